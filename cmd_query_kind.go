package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/protocol/query"
	"github.com/trialmesh/trialmesh/protocol/spelling"
)

// newQueryKind is the shortcut for a kind of analysis: its flags are the fields of the
// kind's spec, so that a new kind needs nothing here but, if its words are new, what they
// mean in flagWords.
func newQueryKind(kind query.AnalysisKind) *cobra.Command {
	cmd := &cobra.Command{
		Use:   string(kind),
		Short: kindShorts[kind],
		Long: fmt.Sprintf(`Ask a question of the kind %s without writing it to a file, and wait for the answer.
With --print it is shown, as JSON, and not asked: what is printed can be given to query submit.`, kind),
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return askKind(cmd, kind) },
	}
	if cmd.Short == "" {
		cmd.Short = "Ask a question of the kind " + string(kind)
	}
	const common = " --trial bp-2026 --purpose \"…\" --cohort cohort.json"
	const network = " \\\n    --key researcher.key --hub https://hub.example:7420 --root root.pem --token-file researcher.token"
	cmd.Example = "  trialmesh query " + string(kind) + strings.TrimRight(" "+kindExamples[kind], " ") + common + network
	if specType(kind) != nil && kind != query.CaseSeries { // which needs observation periods
		cmd.Example += "\n  trialmesh query " + string(kind) + " " + kindExamples[kind] + " --trial bp-2026 --purpose \"…\" --dataset registry --print"
	}
	if kind == query.Moments {
		cmd.Aliases = []string{"means"}
	}
	cmd.Flags().String("trial", "", "the trial's id (required)")
	cmd.Flags().String("purpose", "", "what the answer is for, in words; public (required)")
	cmd.Flags().String("cohort", "", "file with the cohort definition, as ATLAS exports it (required, or --dataset)")
	cmd.Flags().String("proof", "", "result: the hospitals are to prove their figures, over a data set that they committed to")
	cmd.Flags().String("dataset", "", "in place of a cohort: name of a data set of the hospitals, for everybody with a row in it")
	cmd.Flags().Bool("print", false, "print the question as JSON instead of asking it")
	addAsking(cmd, true)
	switch {
	case specType(kind) != nil:
		cmd.Flags().String("columns", "", "JSON or YAML file with a list of columns: where persons' values come from; those that the question does not name are left out (required)")
		addSpecFlags(cmd, kind)
	default:
		cmd.Flags().StringSlice("by", nil, "strata: sex, age-group, race")
	}
	if kind == query.Count {
		cmd.Flags().Bool("attrition", false, "in place of strata: how many persons each inclusion rule of the cohort leaves")
	}
	if kind == query.Moments {
		cmd.Flags().Int64("concept", 0, "standard concept of the measurement")
		cmd.Flags().String("unit", "", "UCUM unit of the values")
		cmd.Flags().String("take", query.TakeLast, "which of a person's values counts")
		cmd.Flags().Float64("low", 0, "lowest plausible value")
		cmd.Flags().Float64("high", 0, "highest plausible value")
	}
	return cmd
}

// kindShorts and kindExamples say what a kind gives, and how it is asked for.
var (
	kindShorts = map[query.AnalysisKind]string{
		query.Count:        "Count the persons of a cohort",
		query.Moments:      "Ask for the mean and standard deviation of a measurement",
		query.GLM:          "Fit a generalized linear model",
		query.Cox:          "Fit a proportional hazards model",
		query.KaplanMeier:  "Estimate survival curves",
		query.CrossTab:     "Cross-tabulate two or three factors, with tests",
		query.Describe:     "Describe columns: moments, correlations, Welch's test",
		query.Quantiles:    "Ask for quantiles",
		query.Histogram:    "Count values in ranges",
		query.Characterize: "Make the first table of a study",
		query.Incidence:    "Ask for incidence rates",
		query.Prevalence:   "Ask for shares of persons with a property",
		query.NegBin:       "Fit a negative binomial regression",
		query.MixedModel:   "Fit a linear model with an intercept for each hospital",
		query.Meta:         "Pool the hospitals' own estimates",
		query.PCA:          "Find principal components",
		query.KMeans:       "Find clusters of persons",
		query.Propensity:   "Estimate an effect, adjusted by a propensity score",
		query.Predict:      "Fit a logistic model and judge its predictions",
		query.Compare:      "Compare the new users of two drugs",

		query.ConditionalLogistic: "Fit a logistic regression within matched sets",
		query.ODAL:                "Fit a logistic model in four rounds, nearly",
		query.ODAC:                "Fit a proportional hazards model in four rounds, nearly",
		query.CaseSeries:          "Compare the time after an exposure with a person's other time",
	}
	kindExamples = map[query.AnalysisKind]string{
		query.Count:        "--by sex,age-group",
		query.Moments:      "--concept 3004249 --unit 'mm[Hg]' --low 50 --high 260",
		query.GLM:          "--formula 'relapse ~ age + sex' --family binomial --columns columns.yaml",
		query.Cox:          "--formula 'Surv(days, died) ~ age' --grid-width 1 --grid-horizon 365 --columns columns.yaml",
		query.KaplanMeier:  "--formula 'Surv(days, died) ~ sex' --grid-width 7 --grid-horizon 364 --columns columns.yaml",
		query.CrossTab:     "--factors sex,relapse --columns columns.yaml",
		query.Describe:     "--values age,pressure --by sex --columns columns.yaml",
		query.Quantiles:    "--values age --probabilities 0.25,0.5,0.75 --columns columns.yaml",
		query.Histogram:    "--value age --breaks 0,20,40,60,80,130 --columns columns.yaml",
		query.Characterize: "--variables age,sex,pressure --arm treated --columns columns.yaml",
		query.Incidence:    "--events falls --time days --columns columns.yaml",
		query.Prevalence:   "--property smokes --by sex --columns columns.yaml",
		query.NegBin:       "--formula 'falls ~ age + sex' --columns columns.yaml",
		query.MixedModel:   "--formula 'pressure ~ age + sex' --columns columns.yaml",
		query.Meta:         "--value pressure --by treated --between REML --adjust --columns columns.yaml",
		query.PCA:          "--values age,pressure,weight --scale --columns columns.yaml",
		query.KMeans:       "--values age,pressure --clusters 3 --columns columns.yaml",
		query.Propensity:   "--treatment 'treated ~ age + sex' --outcome 'relapse ~ treated' --family binomial --adjustment weighting --estimand ATE --columns columns.yaml",
		query.Compare: "--treatment 'celecoxib ~ age + sex' --outcome 'Surv(days, bleeding) ~ celecoxib' --grid-width 1 --grid-horizon 365 " +
			"--adjustment strata --estimand ATT --strata 5 --columns columns.yaml",
		query.ConditionalLogistic: "--formula 'relapse ~ pressure + strata(age) + strata(sex)' --columns columns.yaml",
		query.ODAL:                "--formula 'relapse ~ age + sex' --columns columns.yaml",
		query.ODAC:                "--formula 'Surv(days, died) ~ age' --grid-width 1 --grid-horizon 365 --columns columns.yaml",
		query.CaseSeries: "--events bleedings --exposures doses --risks '[{\"name\": \"30 days\", \"from\": 0, \"to\": 29}]' --ages '[40, 65]' --seasons " +
			"--columns columns.yaml",

		query.Predict: "--formula 'relapse ~ age + pressure' --share 0.7 --columns columns.yaml",
	}
	flagWords = map[string]string{
		"formula": "formula, as in R", "family": "gaussian, binomial or poisson", "link": "link, if not the family's usual one", "weights": "column with prior weights",
		"ties": "efron or breslow; exact too within matched sets", "grid-width": "days between two points of time", "grid-horizon": "days after which follow-up ends", "by-site": "give each hospital a baseline hazard of its own", "restriction": "days to which means are restricted",
		"factors": "two or three columns", "values": "columns", "value": "column", "by": "column whose levels are also told apart", "pairwise": "take each column, and each pair, over those who have it",
		"probabilities": "from 0 to 1", "breaks": "ends of the ranges, rising", "variables": "columns", "arm": "column that makes the arms",
		"events": "column that says whether, how often or on which days", "time": "column with days at risk", "property": "column that says whether",
		"criterion": "REML or ML", "between": "variance between hospitals: DL, REML or PM; none for a fixed effect", "adjust": "take the standard error of Hartung and Knapp",
		"model-formula": "each hospital's own model, in place of value and by", "model-family": "gaussian, binomial or poisson", "model-link": "link, if not the family's usual one",
		"model-weights": "column with prior weights", "term": "name of the model's coefficient that is pooled",
		"scale": "give each column the variance 1 first", "clusters": "2 to 10", "steps": "at most, 1 to 19",
		"treatment": "formula of the score: treatment ~ covariates", "outcome": "formula of the outcome's model, with the treatment", "adjustment": "weighting, strata or matching",
		"estimand": "ATE, or ATT", "stabilized": "weights times the share of the arm", "truncate": "quantile above which weights are cut, 0.5 to 1", "strata": "2 to 20",
		"caliper": "greatest distance of a pair, in standard deviations", "train": "column that says who is of the part that is fitted to", "share": "share of that part, 0.1 to 0.9",
		"exposures": "column with the days of the exposures", "risks": "periods after an exposure, each with name, from and to in days",
		"ages": "years at which another group of ages begins", "seasons": "tell the quarters of the year apart", "first": "count a person's first event only",
		"window-from": "first observed day, from entry", "window-to": "last observed day, from entry",
		"by-pair": "make each pair a stratum of its own", "groups": "of calibration, 2 to 20",
	}
)

// specType returns the type of a kind's spec, nil for a kind that has none.
func specType(kind query.AnalysisKind) reflect.Type {
	if f, there := specField(kind); there {
		return f.Type.Elem()
	}
	return nil
}

// specField is the field of a kind in a question.
func specField(kind query.AnalysisKind) (reflect.StructField, bool) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[query.Specs]()) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); dashed(name) == string(kind) {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

// requiredFlags are those of fields that a kind's spec never leaves out.
func requiredFlags(kind query.AnalysisKind) (flags []string) {
	if spec := specType(kind); spec != nil {
		for _, f := range reflect.VisibleFields(spec) {
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			if options == "" && structOf(f.Type) == nil {
				flags = append(flags, dashed(name))
			}
		}
	}
	return flags
}

// addSpecFlags adds a flag for each field of a spec, --grid-width for a field of a field.
func addSpecFlags(cmd *cobra.Command, kind query.AnalysisKind) {
	required := requiredFlags(kind)
	eachField(specType(kind), "", func(flag string, t reflect.Type) {
		usage := flagWords[flag]
		if usage == "" {
			usage = "see the guide for researchers"
		}
		if slices.Contains(required, flag) {
			usage += " (required)"
		}
		switch {
		case t.Kind() == reflect.String:
			cmd.Flags().String(flag, "", usage)
		case t.Kind() == reflect.Bool:
			cmd.Flags().Bool(flag, false, usage)
		case t.Kind() == reflect.Float64:
			cmd.Flags().Float64(flag, 0, usage)
		case t.Kind() == reflect.Int, t.Kind() == reflect.Int64:
			cmd.Flags().Int64(flag, 0, usage)
		case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String:
			cmd.Flags().StringSlice(flag, nil, usage)
		case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Float64:
			cmd.Flags().Float64Slice(flag, nil, usage)
		default:
			cmd.Flags().String(flag, "", usage+" (JSON)")
		}
	})
}

// eachField calls do with the flag and the type of each field, and of the fields of a field.
func eachField(spec reflect.Type, prefix string, do func(flag string, t reflect.Type)) {
	for _, f := range reflect.VisibleFields(spec) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		flag := prefix + dashed(name)
		if inner := structOf(f.Type); inner != nil {
			eachField(inner, flag+"-", do)
			continue
		}
		do(flag, f.Type)
	}
}

// structOf returns the struct that a type is or points to, nil for another type.
func structOf(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Struct {
		return t
	}
	return nil
}

// dashed is a name of JSON as a flag: minAge becomes min-age.
func dashed(name string) string {
	var b strings.Builder
	for _, r := range name {
		if unicode.IsUpper(r) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// requiredMark takes from a flag's words that it is required.
var requiredMark = strings.NewReplacer(" (required)", "", " (required, or --dataset)", "; or --dataset")

// askKind builds the question of the flags, and asks or prints it.
func askKind(cmd *cobra.Command, kind query.AnalysisKind) error {
	show, _ := cmd.Flags().GetBool("print")
	needed := []string{"trial", "purpose"}
	switch of, whole := cmd.Flags().Changed("cohort"), cmd.Flags().Changed("dataset"); {
	case of && whole:
		return usageError{errors.New("--cohort or --dataset, not both: columns of a data set can be had with a cohort too")}
	case !whole:
		needed = append(needed, "cohort")
	default:
		needed = append(needed, "dataset")
	}
	if !show {
		needed = append(needed, "key", "hub")
	}
	if specType(kind) != nil {
		needed = append(needed, "columns")
	}
	if show {
		for _, name := range []string{"format", "out", "wait", "deadline", "priority"} {
			if cmd.Flags().Changed(name) {
				return usageError{fmt.Errorf("--%s is for a question that is asked: leave it or --print out", name)}
			}
		}
	}
	needed = append(needed, requiredFlags(kind)...)
	for _, name := range needed {
		if given := cmd.Flags().Lookup(name); !given.Changed || given.Value.String() == "" {
			return usageError{fmt.Errorf("--%s is missing (%s): see %s --help", name, requiredMark.Replace(given.Usage), cmd.CommandPath())}
		}
	}
	request, err := requestOf(cmd, kind)
	if err != nil {
		return err
	}
	if !show {
		return ask(cmd, request)
	}
	if err := check(request); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(request, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", raw)
	return err
}

// requestOf makes a question of flags.
func requestOf(cmd *cobra.Command, kind query.AnalysisKind) (query.Request, error) {
	a := map[string]any{"kind": kind}
	if field, there := specField(kind); there {
		path, _ := cmd.Flags().GetString("columns")
		var columns []query.Column
		if err := readValue(cmd, path, &columns); err != nil {
			return query.Request{}, fmt.Errorf("--columns: %w", err)
		}
		spec, err := specOf(cmd, field.Type.Elem(), "")
		if err != nil {
			return query.Request{}, err
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		a["columns"], a[name] = columns, spec
	} else if by, _ := cmd.Flags().GetStringSlice("by"); len(by) > 0 {
		a["by"] = by
	}
	if attrition, _ := cmd.Flags().GetBool("attrition"); attrition { // a count's
		a["attrition"] = true
	}
	if kind == query.Moments {
		variable, err := specOf(cmd, reflect.TypeFor[query.Variable](), "")
		if err != nil {
			return query.Request{}, err
		}
		variable["take"], _ = cmd.Flags().GetString("take")
		a["variable"] = variable
	}
	trial, _ := cmd.Flags().GetString("trial")
	purpose, _ := cmd.Flags().GetString("purpose")
	asked := map[string]any{"trial": trial, "purpose": purpose, "analysis": a}
	if proof, _ := cmd.Flags().GetString("proof"); proof != "" {
		asked["proof"] = proof
	}
	if dataset, _ := cmd.Flags().GetString("dataset"); dataset != "" {
		asked["dataset"] = dataset
	} else {
		path, _ := cmd.Flags().GetString("cohort")
		var definition json.RawMessage
		if err := readValue(cmd, path, &definition); err != nil {
			return query.Request{}, fmt.Errorf("--cohort: %w", err)
		}
		asked["cohort"] = definition
	}
	raw, err := json.Marshal(asked)
	if err != nil {
		return query.Request{}, err
	}
	var request query.Request
	if err := decodeJSON(raw, &request); err != nil {
		return query.Request{}, usageError{err}
	}
	names, err := request.Analysis.Named()
	if err != nil {
		return query.Request{}, err
	}
	var declared []string
	for _, c := range request.Analysis.Columns {
		declared = append(declared, c.Name)
	}
	for _, name := range names {
		if !slices.Contains(declared, name) {
			return query.Request{}, usageError{fmt.Errorf("--columns: there is no %.64q, which the question names%s", name, spelling.Hint(name, declared...))}
		}
	}
	request.Analysis.Columns = slices.DeleteFunc(request.Analysis.Columns, func(c query.Column) bool { return !slices.Contains(names, c.Name) })
	return request, nil
}

// specOf collects the flags that were given into the fields of a spec.
func specOf(cmd *cobra.Command, spec reflect.Type, prefix string) (map[string]any, error) {
	out := make(map[string]any)
	for _, f := range reflect.VisibleFields(spec) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		flag := prefix + dashed(name)
		if nested := structOf(f.Type); nested != nil {
			inner, err := specOf(cmd, nested, flag+"-")
			if err != nil {
				return nil, err
			}
			if len(inner) > 0 {
				out[name] = inner
			}
			continue
		}
		given := cmd.Flags().Lookup(flag)
		if given == nil || !given.Changed {
			continue
		}
		switch given.Value.Type() {
		case "bool":
			out[name], _ = cmd.Flags().GetBool(flag)
		case "float64":
			out[name], _ = cmd.Flags().GetFloat64(flag)
		case "int64":
			out[name], _ = cmd.Flags().GetInt64(flag)
		case "stringSlice":
			out[name], _ = cmd.Flags().GetStringSlice(flag)
		case "float64Slice":
			out[name], _ = cmd.Flags().GetFloat64Slice(flag)
		default:
			text, _ := cmd.Flags().GetString(flag)
			out[name] = text
			if f.Type.Kind() != reflect.String {
				if !json.Valid([]byte(text)) {
					return nil, usageError{errors.New("--" + flag + ": want a JSON value")}
				}
				out[name] = json.RawMessage(text)
			}
		}
	}
	return out, nil
}
