package fhir

// PractitionerRole is a FHIR PractitionerRole: what someone who gives care does, and where.
// What a Practitioner says of who that is nobody asks for: it is not read.
type PractitionerRole struct {
	private

	ID           string
	Practitioner Reference
	Organization Reference
	Location     []Reference
	Specialty    []CodeableConcept
}

func decodePractitionerRole(t *tree, at int, id string) Resource {
	return &PractitionerRole{
		ID:           id,
		Practitioner: t.reference(at, "practitioner"),
		Organization: t.reference(at, "organization"),
		Location:     t.references(at, "location"),
		Specialty:    t.concepts(at, "specialty"),
	}
}

// EachReference implements [Resource].
func (p *PractitionerRole) EachReference(visit func(string, *Reference)) {
	visitAll(visit, named{"practitioner", &p.Practitioner}, named{"organization", &p.Organization})
	visitList(visit, "location", p.Location)
}

// Place is a FHIR Location or Organization, as far as care is given there: neither its name
// nor its address is read.
type Place struct {
	private

	ID      string
	Type    []CodeableConcept
	State   string
	Country string
}

func decodePlace(t *tree, at int, id string) Resource {
	p := &Place{ID: id}
	if c := t.member(at, "type"); c != none && t.nodes[c].kind == kindObject { // of STU3
		p.Type = []CodeableConcept{t.concept(at, "type")}
	} else {
		p.Type = t.concepts(at, "type")
	}
	region := func(address int) {
		if p.State == "" && p.Country == "" {
			p.State, p.Country = t.str(address, "state"), t.str(address, "country")
		}
	}
	switch c := t.member(at, "address"); { // a Location has one, an Organization several
	case c == none:
	case t.nodes[c].kind == kindObject:
		region(c)
	default:
		t.list(at, "address", region)
	}
	return p
}

// EachReference implements [Resource]; a place has none that is read.
func (*Place) EachReference(func(string, *Reference)) {}

// by reads who gave the care: the first reference of the list called name, in its member
// called within if that is set.
func (t *tree) by(at int, name, within string) Reference {
	if within == "" {
		if all := t.references(at, name); len(all) > 0 {
			return all[0]
		}
		return Reference{}
	}
	var first Reference
	t.list(at, name, func(e int) {
		if first.IsZero() {
			first = t.reference(e, within)
		}
	})
	return first
}

// saidBy reads who said it: the one, else the other, else the first participant of R5.
func (t *tree) saidBy(at int, name, other string) Reference {
	if r := t.reference(at, t.or(at, name, other)); !r.IsZero() {
		return r
	}
	return t.by(at, "participant", "actor")
}
