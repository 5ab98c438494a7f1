package api

import (
	"context"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/trialmesh/trialmesh/protocol/ucum"
)

// ucumSystem is how FHIR names UCUM.
const ucumSystem = "http://unitsofmeasure.org"

// Unit is a unit of UCUM that has a definition of its own.
type Unit struct {
	System    string   `json:"system"`
	Code      string   `json:"code" example:"mm[Hg]"`
	Name      string   `json:"name"`
	Synonyms  []string `json:"synonyms" nullable:"false"`
	Symbol    string   `json:"symbol,omitempty" doc:"For print"`
	Property  string   `json:"property" doc:"Kind of quantity"`
	Dimension string   `json:"dimension" doc:"Over base units and arbitrary units; units of one dimension can be converted" example:"g.m-1.s-2"`
	Class     string   `json:"class" doc:"Table of UCUM that lists it"`
	Base      bool     `json:"base"`
	Metric    bool     `json:"metric" doc:"Takes a prefix, such as m for milli"`
	Special   bool     `json:"special" doc:"On a scale with an offset or a curve"`
	Arbitrary bool     `json:"arbitrary" doc:"Defined by a procedure"`
}

// Units is a page of the units.
type Units struct {
	Version string `json:"version" doc:"Of UCUM"`
	Total   int    `json:"total" doc:"How many fit the request"`
	Units   []Unit `json:"units" nullable:"false"`
}

// units are those of the essence; they are read once.
var units = sync.OnceValues(func() ([]Unit, error) {
	var list []Unit
	for _, d := range ucum.Units() {
		u, err := ucum.Parse(d.Code)
		if err != nil {
			return nil, err
		}
		_, dimension := u.Canonical()
		list = append(list, Unit{
			System: ucumSystem, Code: d.Code, Name: d.Name, Synonyms: append([]string{}, d.Synonyms...), Symbol: d.Symbol, Property: d.Property,
			Dimension: dimension, Class: d.Class, Base: d.Base, Metric: d.Metric, Special: d.Special, Arbitrary: d.Arbitrary,
		})
	}
	return list, nil
})

func (s *server) routeUnits() {
	get(s, huma.Operation{
		OperationID: "units", Path: "/v1/units", Summary: "Units that the node knows", Tags: []string{"reference"},
		Description: "The units that UCUM defines, without prefixes. Any product of them is a unit too.",
	}, func(_ context.Context, in *struct {
		System string `query:"system" maxLength:"256" doc:"Only of this system; there is http://unitsofmeasure.org"`
		Code   string `query:"code" maxLength:"256" doc:"Only this code"`
		Paging
	},
	) (*body[Units], error) {
		all, err := units()
		if err != nil {
			return nil, err
		}
		var fit []Unit
		for _, u := range all {
			if (in.System == "" || in.System == u.System) && (in.Code == "" || in.Code == u.Code) {
				fit = append(fit, u)
			}
		}
		return &body[Units]{Units{Version: ucum.Version(), Total: len(fit), Units: part(in.Paging, fit)}}, nil
	})
}
