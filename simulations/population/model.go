package population

// Concepts of the OHDSI standardized vocabularies.
const (
	Male, Female = 8507, 8532

	Hypertension   = 316866   // Hypertensive disorder
	Type2Diabetes  = 201826   // Type 2 diabetes mellitus
	Prediabetes    = 37018196 // Prediabetes
	ChronicKidney  = 46271022 // Chronic kidney disease
	Asthma         = 317009   // Asthma
	Lisinopril     = 1308216
	Amlodipine     = 1332418
	Metformin      = 1503297
	Insulin        = 1502905 // insulin glargine
	Atorvastatin   = 1545958
	Albuterol      = 1154343
	Systolic       = 3004249 // mm[Hg]
	Diastolic      = 3012888 // mm[Hg]
	BodyMassIndex  = 3038553 // kg/m2
	HemoglobinA1c  = 3004410 // %
	LDLCholesterol = 3009966 // mg/dL
	EGFR           = 46236952

	unitMercury, unitBMI, unitPercent  = 8876, 9531, 8554
	unitMilligramPerDeciliter, unitGFR = 8840, 720870 // mL/min/1.73 m2

	Outpatient = 9202 // Outpatient Visit

	fromEHR = 32817 // EHR
)

// What follows is the model. Intercepts were fitted by simulation, so that a million
// people show the published prevalence; slopes follow the published order of
// sizes, as no table gives them for all factors jointly.
//
//	condition      published                                                  source
//	hypertension   47.7 % of adults; 23.4, 52.5, 71.6 % at 18-39, 40-59,      NCHS, Hypertension Prevalence ... August 2021-August
//	               60+; men 50.8, women 44.6 %; 51.2 % of them treated        2023 (Fryar, Kit, Carroll, Afful, 2024)
//	diabetes       11.3 % of adults diagnosed; 2.2, 12.1, 20.5 % at 20-39,    NCHS, Prevalence of Total, Diagnosed, and Undiagnosed
//	               40-59, 60+; men 12.9, women 9.7 %                          Diabetes ... August 2021-August 2023 (Gwira et al., 2024)
//	prediabetes    38.0 % of adults                                           CDC, National Diabetes Statistics Report, 2017-2020 data
//	kidney         about 14 % of adults; 6, 12, 38 % at 18-44, 45-64, 65+     CDC, Chronic Kidney Disease in the United States, 2021
//	asthma         8.0 % of adults, 6.5 % of children                         CDC, Most Recent National Asthma Data, 2021
//
// Treatment shares other than for hypertension, and the sizes of drug effects, are round
// numbers of the order that trials report.

// ageBands is the resident population of the United States by age, in percent
// (2020 Census, rounded).
var ageBands = []struct {
	from, to int // years, to exclusive
	percent  float64
}{
	{0, 18, 22.1}, {18, 30, 16.3}, {30, 40, 13.6}, {40, 50, 12.4}, {50, 60, 12.9}, {60, 70, 11.7}, {70, 80, 7.2}, {80, 95, 3.8},
}

// races are the OMOP concepts of 2020 Census categories, in percent; 0 is "some
// other race" or several.
var races = []struct {
	concept int64
	percent float64
}{{8527, 61.6}, {8516, 12.4}, {8515, 6.0}, {8657, 1.1}, {8557, 0.2}, {0, 18.7}}

// hispanic is the share of ethnicity 38003563, 18.7 % in the 2020 Census.
const (
	hispanic                      = 0.187
	ethnicityHispanic, ethnicityN = 38003563, 38003564
)

// traits is what does not change about a person, or only slowly.
type traits struct {
	age    float64 // years at the end of observation
	male   float64 // 1 or 0
	bmi    float64 // kg/m2
	decade float64 // age in decades from 50
	weight float64 // BMI in steps of 5 from 29
}

// bmiMean is 29.4 kg/m2 for adults with a spread of 24 % (NHANES 2017-2020: 29.4
// for men, 29.8 for women); children grow from 16 towards 23.
func bmiMean(age float64) float64 {
	if age < 18 {
		return 16 + 7*clamp((age-4)/14, 0, 1)
	}
	return 28.6 - 0.0007*(age-52)*(age-52)
}

func (t traits) hypertension() float64 {
	return logistic(-0.19 + 0.58*t.decade + 0.45*t.weight + 0.35*t.male)
}

func (t traits) diabetes(hypertension float64) float64 {
	return logistic(-2.93 + 0.43*t.decade + 0.42*t.weight + 0.35*t.male + 0.60*hypertension)
}

// prediabetes is the chance of those without diabetes.
func (t traits) prediabetes() float64 {
	return logistic(-0.33 + 0.20*t.decade + 0.35*t.weight + 0.25*t.male)
}

func (t traits) kidney(hypertension, diabetes float64) float64 {
	return logistic(-2.42 + 0.55*t.decade + 0.45*hypertension + 0.75*diabetes - 0.15*t.male)
}

func (t traits) asthma() float64 {
	if t.age < 18 {
		return 0.069
	}
	return logistic(-2.28 + 0.15*t.weight - 0.45*t.male)
}

// treated is the chance that someone with hypertension takes drugs for it.
func (t traits) treated() float64 { return logistic(-0.15 + 0.60*t.decade - 0.40*t.male) }
