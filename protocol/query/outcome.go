package query

import (
	"fmt"
	"reflect"
)

// Outcome is what a method in rounds came to: one of the fields is there.
type Outcome struct {
	Regression       *Regression       `json:"regression,omitempty"`
	Hazards          *Hazards          `json:"hazards,omitempty"`
	Survival         *Survival         `json:"survival,omitempty"`
	CrossTab         *ContingencyTable `json:"crosstab,omitempty"`
	Description      *Description      `json:"description,omitempty"`
	Quantiles        *QuantileTable    `json:"quantiles,omitempty"`
	Histogram        *FrequencyTable   `json:"histogram,omitempty"`
	Characterization *Characterization `json:"characterization,omitempty"`
	Rates            *Rates            `json:"rates,omitempty"`

	NegativeBinomial *NegativeBinomial    `json:"negativeBinomial,omitempty"`
	Mixed            *Mixed               `json:"mixedModel,omitempty"`
	MetaAnalysis     *MetaAnalysis        `json:"metaAnalysis,omitempty"`
	Components       *PrincipalComponents `json:"components,omitempty"`
	Clusters         *Clusters            `json:"clusters,omitempty"`
	Effect           *PropensityEffect    `json:"propensityEffect,omitempty"`
	Prediction       *Prediction          `json:"prediction,omitempty"`
	Comparison       *Comparison          `json:"comparison,omitempty"`
	Conditional      *Conditional         `json:"conditional,omitempty"`
	OneShot          *OneShot             `json:"oneShot,omitempty"`
	OneShotHazards   *OneShotHazards      `json:"oneShotHazards,omitempty"`
}

// OutcomeOf returns the outcome that is one of the results, a pointer.
func OutcomeOf(result any) (o Outcome, err error) {
	fields := reflect.ValueOf(&o).Elem()
	for i := range fields.NumField() {
		if fields.Field(i).Type() == reflect.TypeOf(result) {
			fields.Field(i).Set(reflect.ValueOf(result))
			return o, nil
		}
	}
	return o, fmt.Errorf("query: a %T is no outcome", result)
}

// one reports whether exactly one field is there.
func (o Outcome) one() bool {
	fields, there := reflect.ValueOf(o), 0
	for i := range fields.NumField() {
		if !fields.Field(i).IsNil() {
			there++
		}
	}
	return there == 1
}

// IsZero reports whether no field is there.
func (o Outcome) IsZero() bool { return o == Outcome{} }

// Value returns the field that is there, not its pointer, and nil if none is.
func (o Outcome) Value() any {
	fields := reflect.ValueOf(o)
	for i := range fields.NumField() {
		if f := fields.Field(i); !f.IsNil() {
			return f.Elem().Interface()
		}
	}
	return nil
}
