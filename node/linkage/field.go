package linkage

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Field is a kind of identifier.
type Field uint8

// The fields. A record need not have them all.
const (
	GivenName Field = iota
	FamilyName
	BirthDate
	Sex
	HouseNumber
	Street
	Address // a second line
	Town
	Region
	Postcode
	NationalID // of a person for life: social security, health service, …
	Phone

	fields = iota
)

var fieldNames = [fields]string{
	"given", "family", "birth", "sex", "house", "street", "address", "town", "region", "postcode", "id", "phone",
}

// String returns the field's name in settings and files.
func (f Field) String() string {
	if int(f) < len(fieldNames) {
		return fieldNames[f]
	}
	return fmt.Sprintf("field %d", uint8(f))
}

// ParseField reads what [Field.String] wrote.
func ParseField(name string) (Field, error) {
	i := slices.Index(fieldNames[:], name)
	if i < 0 {
		return 0, fmt.Errorf("field %q: want one of %s", name, strings.Join(fieldNames[:], ", "))
	}
	return Field(i), nil
}

// ParseColumns reads which column of a file holds which field, for example
// "given=given_name,family=surname". A field without "=" is in the column of its
// own name.
func ParseColumns(text string) (map[Field]string, error) {
	columns := make(map[Field]string)
	for part := range strings.SplitSeq(text, ",") {
		name, column, named := strings.Cut(strings.TrimSpace(part), "=")
		f, err := ParseField(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		if !named {
			column = name
		}
		if _, twice := columns[f]; twice {
			return nil, fmt.Errorf("field %q is there twice", f)
		}
		if columns[f] = strings.TrimSpace(column); columns[f] == "" {
			return nil, fmt.Errorf("field %q has no column", f)
		}
	}
	if len(columns) == 0 {
		return nil, errors.New("no field")
	}
	return columns, nil
}
