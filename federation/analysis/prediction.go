package analysis

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/trialmesh/trialmesh/protocol/formula"
	"github.com/trialmesh/trialmesh/protocol/query"
)

// Prediction fits a logistic regression to one part of the rows and judges its predictions
// by the others: discrimination, calibration and the Brier score. Its result is a
// *[query.Prediction].
//
// The part of a row is public before there are data: a logical column says it, or a hash of
// the row's values. Rounds of the fit are those of [GLM]; then one counts, and each further one
// takes at the same time a step of the area, of the groups' quantiles and of two models
// of calibration.
//
// Source: Cox, Biometrika 45 (1958) on intercept and slope; Brier, Monthly Weather Review 78
// (1950); Steyerberg, "Clinical Prediction Models", 2nd edition (2019), chapter 15.
type Prediction struct {
	// Formula is the model's; its response is logical, or a factor of two levels.
	Formula formula.Formula

	// Train is a logical column that is true of the rows that the model is fitted to.
	// Without it, Share is their share, 0.1 to 0.9, and which they are follows from a hash
	// of Seed and the row's values, so that equal rows are of one part.
	Train string
	Share float64
	Seed  uint64

	// Groups is the number of groups of calibration, by quantiles of the risk, 2 to 20.
	Groups int

	// MinCell is the least number of persons, besides 0, with and without the event: of
	// those that the model is judged by, and in each group, which is else joined to the
	// one below. It bounds the searches for the area and the quantiles as in [Quantiles].
	// 0 and 1 ask for nothing.
	MinCell int64

	// Declared are the columns that the formula and Train name, and perhaps others.
	Declared []Column
}

const maxGroups = 20

// New checks the question and returns the method.
func (m Prediction) New() (Iteration, error) {
	return overLevels(m.Declared, m.over, m.Formula)
}

func (m Prediction) over(declared []Column) (Rounds[predictionState], error) {
	m.Declared = declared
	p := prediction{Prediction: m}
	var err error
	if p.model, err = (GLM{Formula: m.Formula, Family: query.Binomial, Declared: m.Declared}).check(); err != nil {
		return nil, fmt.Errorf("prediction: formula: %w", err)
	}
	if len(p.model.response.column.levels()) != 2 {
		return nil, errors.New("prediction: formula: the response must be logical or a factor of two levels")
	}
	train := slices.IndexFunc(m.Declared, func(c Column) bool { return c.Name == m.Train })
	switch {
	case m.Train != "" && (train < 0 || m.Declared[train].Kind != Logical):
		return nil, errors.New("prediction: train: name a logical column")
	case m.Train != "" && slices.Contains(m.Formula.Columns(), m.Train):
		return nil, errors.New("prediction: train: the formula must not name the column")
	case m.Train != "" && m.Share != 0:
		return nil, errors.New("prediction: share: the column of train says which rows these are")
	case m.Train == "" && !(0.1 <= m.Share && m.Share <= 0.9):
		return nil, errors.New("prediction: share: must be from 0.1 to 0.9, or name a column in train")
	case m.Groups < 2 || m.Groups > maxGroups:
		return nil, fmt.Errorf("prediction: groups: 2 to %d", maxGroups)
	case m.MinCell < 0:
		return nil, errors.New("prediction: minCell: must not be below 0")
	}
	if _, err := NewFrame(p.Columns()); err != nil {
		return nil, fmt.Errorf("prediction: declared: %w", err)
	}
	if p.slope, err = calibration("event ~ linear"); err != nil {
		return nil, err
	}
	if p.intercept, err = calibration("event ~ offset(linear)"); err != nil {
		return nil, err
	}
	return p, nil
}

// furthest bounds linear predictors: those of the least and greatest risk are within it.
const furthest = 37

// calibrationColumns are those of the frame of the rows that a model is judged by.
var calibrationColumns = []Column{
	{Name: "event", Kind: Logical},
	{Name: "linear", Kind: Numeric, Low: -furthest, High: furthest},
}

func calibration(text string) (glm, error) {
	f, err := formula.Parse(text)
	if err != nil {
		return glm{}, err
	}
	return GLM{Formula: f, Family: query.Binomial, Declared: calibrationColumns}.check()
}

type prediction struct {
	Prediction
	model, slope, intercept glm
}

// predictionState is the state between two rounds. What is judged comes when the model is
// there, and what it is judged by when they are counted.
type predictionState struct {
	Fit   glmState          `json:"fit"`
	Model *query.Regression `json:"model,omitempty"`

	Counted bool    `json:"counted"`
	Cases   int64   `json:"cases,omitempty"`
	Others  int64   `json:"others,omitempty"`
	Brier   float64 `json:"brier,omitempty"`
	Risk    float64 `json:"risk,omitempty"`

	Area areaState `json:"area"`

	Search searchState              `json:"search"`
	Cuts   []float64                `json:"cuts,omitempty"`
	Groups []query.CalibrationGroup `json:"groups,omitempty"`

	Slope     modelState `json:"slope"`
	Intercept modelState `json:"intercept"`
}

// modelState is that of a model of calibration.
type modelState struct {
	State glmState           `json:"state"`
	Done  bool               `json:"done"`
	Found *query.Coefficient `json:"found,omitempty"` // none if it does not fit
}

func (m prediction) Columns() []Column {
	var out []Column
	for _, c := range m.Declared {
		if c.Name == m.Train || slices.ContainsFunc(m.model.columns, func(o Column) bool { return o.Name == c.Name }) {
			out = append(out, c)
		}
	}
	return out
}

// Parameters are the coefficients and what each group and the calibration add.
func (m prediction) Parameters() int { return m.model.Parameters() + m.Prediction.Groups + 3 }

func (m prediction) Start() predictionState {
	return predictionState{
		Fit: m.model.Start(), Slope: modelState{State: m.slope.Start()}, Intercept: modelState{State: m.intercept.Start()},
	}
}

// part returns the rows that the model is fitted to, or the others.
func (m prediction) part(f *Frame, train bool) *Frame {
	column := f.Values(m.Train)
	out := &Frame{columns: f.columns, values: make([][]float64, len(f.columns))}
	for row := range f.rows {
		in := column != nil && column[row] == 1
		if m.Train == "" {
			in = m.drawn(f, row)
		}
		if in != train {
			continue
		}
		for i := range f.columns {
			out.values[i] = append(out.values[i], f.values[i][row])
		}
		out.rows++
	}
	return out
}

// drawn reports whether the hash of a row is below the share of all hashes.
func (m prediction) drawn(f *Frame, row int) bool {
	bytes := binary.BigEndian.AppendUint64(nil, m.Seed)
	for i, values := range f.values {
		if c := f.columns[i]; c.Kind == Factor { // whatever levels are declared beside it
			bytes = append(append(bytes, c.Levels[int(values[row])]...), 0)
			continue
		}
		bytes = binary.BigEndian.AppendUint64(bytes, math.Float64bits(values[row]+0)) // -0 is 0
	}
	hash := sha256.Sum256(bytes)
	return float64(binary.BigEndian.Uint64(hash[:])>>11)/(1<<53) < m.Share
}
