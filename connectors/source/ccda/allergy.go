package ccda

import "github.com/trialmesh/trialmesh/connectors/source/fhir"

const (
	allergyClinical     = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
	allergyVerification = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification"
)

// propensity is what the value of an allergy observation says besides the substance.
type propensity struct{ kind, category string }

// propensities are those of SNOMED.
//
// Source: concept maps CF-AllergyIntoleranceType and CF-AllergyIntoleranceCategory of the
// C-CDA on FHIR guide, and environmental allergy by its name.
var propensities = map[string]propensity{
	"416098002": {"allergy", "medication"}, "419511003": {"", "medication"}, "59037007": {"intolerance", "medication"},
	"414285001": {"allergy", "food"}, "418471000": {"", "food"}, "235719002": {"intolerance", "food"},
	"419199007": {"allergy", ""}, "418038007": {"", ""}, "420134006": {"", ""}, "426232007": {"allergy", "environment"},
}

// anySubstance are SNOMED codes of what is no certain substance: denied, they say that no
// allergy to any of its kind is known.
var anySubstance = []string{"410942007", "105590001", "762766007", "255620007", "373873005"}

// noAllergy are SNOMED codes that say so themselves.
var noAllergy = []string{"716186003", "409137002", "428607008", "429625007", "716184000", "160244002"}

// criticalities are FHIR's of HL7 v3's, severities of SNOMED's.
//
// Source: concept maps CF-Criticality and CF-Severity of the C-CDA on FHIR guide; what lies
// between two severities, which it leaves open, is the worse.
var (
	criticalities = map[string]string{"CRITL": "low", "CRITH": "high", "CRITU": "unable-to-assess"}
	severities    = map[string]string{
		"255604002": "mild", "6736007": "moderate", "24484000": "severe", "399166001": "severe", "371923003": "moderate", "371924009": "severe",
	}
)

// Templates of an allergy and of what is said about it.
const (
	allergyObservation     = "7"
	severityObservation    = "8"
	allergyStatus          = "28"
	criticalityObservation = "145"
)

// allergyConcern reads the act around allergy observations, or one of these alone.
func (c *converter) allergyConcern(e *element, at place) {
	if !happened(e) {
		return
	}
	at = at.in(e.name)
	switch e.name {
	case "act":
		concern := wrapping(e)
		for o, place := range related(e, at, "observation", "SUBJ", "") {
			if happened(o) && o.may(allergyObservation) {
				c.allergy(o, concern, place.in("observation"))
			}
		}
	case "observation":
		if e.may(allergyObservation) {
			c.allergy(e, wrapper{}, at)
		}
	}
}

// allergy reads an allergy observation; concern is the act around it, if any.
func (c *converter) allergy(o *element, concern wrapper, at place) {
	kind := c.concept(o.at("value"))
	entity := consumed(o).at("participantRole", "playingEntity")
	substance := c.concept(entity.at("code"))
	if substance.IsZero() {
		substance.Text = entity.at("name").words()
	}
	no := negated(o)
	if no && (substance.IsZero() || has(substance, snomed, anySubstance...)) || has(kind, snomed, noAllergy...) || has(substance, snomed, noAllergy...) {
		c.keep("Negation", at)
		return
	}
	general := false
	a := &fhir.AllergyIntolerance{Code: substance, Patient: c.patient, Recorded: first(authored(o), concern.authored, concern.start)}
	for _, coding := range kind.Coding {
		if p, ok := propensities[coding.Code]; ok && coding.System == snomed {
			general = true
			a.Type = p.kind
			if p.category != "" {
				a.Category = []string{p.category}
			}
			break
		}
	}
	if a.Code.IsZero() && !general {
		a.Code = kind // "allergy to penicillin"
	}
	if a.Code.IsZero() {
		if a.Code.Text = kind.Text; a.Code.Text == "" {
			a.Code.Text = c.words(o.at("text"))
		}
	}
	if a.Code.IsZero() && entity != nil && !entity.at("code").is() {
		return // it says that the substance is not known
	}
	c.required(a.Code, at.in("participant"))
	a.Onset, _ = c.span(o.at("effectiveTime"), at)
	if status := c.status(o, concern, at); status != "" {
		a.Clinical = one(allergyClinical, status)
	}
	switch {
	case o.at("statusCode").attr("code") == "nullified" || concern.status == "nullified":
		a.Verification = one(allergyVerification, "entered-in-error")
	case no:
		a.Verification, a.Clinical = one(allergyVerification, "refuted"), fhir.CodeableConcept{}
	}
	c.reactions(o, a, at)
	a.ID = c.id("AllergyIntolerance", o, []string{codeKey(a.Code), first(a.Onset, a.Recorded).Text}, codeKey(kind))
	c.give("AllergyIntolerance", a.ID, a, at)
}

// consumed is the participant that is the substance.
func consumed(o *element) *element {
	for p := range o.each("participant") {
		if kind := p.attr("typeCode"); kind == "CSM" || kind == "" {
			return p
		}
	}
	return nil
}

// reactions reads what was seen, how severe it was, and how bad it may become.
func (c *converter) reactions(o *element, a *fhir.AllergyIntolerance, at place) {
	overall := ""
	for s := range related(o, at, "observation") {
		value := s.at("value").attr("code")
		switch {
		case s.of(severityObservation) || s.at("code").attr("code") == "SEV":
			overall = severities[value]
		case s.of(criticalityObservation) || s.at("code").attr("code") == "82606-5":
			a.Criticality = criticalities[value]
		}
	}
	for r := range related(o, at, "observation", "MFST") {
		seen := c.described(r.at("value"), r)
		if seen.IsZero() || negated(r) {
			continue
		}
		reaction := fhir.Reaction{Manifestation: []fhir.CodeableConcept{seen}, Severity: overall}
		for s := range related(r, at, "observation") {
			if word := severities[s.at("value").attr("code")]; word != "" && (s.of(severityObservation) || s.at("code").attr("code") == "SEV") {
				reaction.Severity = word
			}
		}
		a.Reactions = append(a.Reactions, reaction)
	}
}
