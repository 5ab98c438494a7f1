package wearable

const (
	loinc = "http://loinc.org"

	// SystemOMH is the system of the names of Open mHealth's schemas, for what LOINC
	// has no code that we could look up. Behind a stroke stands a member of the
	// schema, or a statistic: "heart-rate/minimum".
	SystemOMH = "https://w3id.org/openmhealth/schemas/omh"

	// SystemOwn is the system of what neither has: names of ours, and scores that are
	// a maker's own, such as "garmin/stress".
	SystemOwn = "urn:trialmesh:wearable"

	// SystemInterval is the system of the lengths of intervals in seconds, which have
	// the time of the values. The code is "day", "sleep-episode" or
	// "physical-activity" for all values of one, else the value's own system and code
	// joined by a bar.
	SystemInterval = "urn:trialmesh:interval"
)

// variable is a kind of value. Each has one unit, whatever a maker sends.
type variable struct {
	system, code, unit string // unit in UCUM

	signed bool // a value below 0 means something
	unworn bool // 0 is also what a device sends that nobody wears
}

// lengths is the variable of the lengths of v's intervals.
func (v variable) lengths() variable {
	return variable{system: SystemInterval, code: v.system + "|" + v.code, unit: "s"}
}

// Names of LOINC codes, as published: by Open mHealth's schemas for 55423-8, by HL7's
// guides on physical activity and personal health for the others that are not vital
// signs.
var (
	heartRate        = variable{system: loinc, code: "8867-4", unit: "/min"}  // Heart rate
	restingHeartRate = variable{system: loinc, code: "40443-4", unit: "/min"} // Heart rate --resting
	respiratoryRate  = variable{system: loinc, code: "9279-1", unit: "/min"}  // Respiratory rate
	spO2             = variable{system: loinc, code: "59408-5", unit: "%"}    // Oxygen saturation in Arterial blood by Pulse oximetry
	systolic         = variable{system: loinc, code: "8480-6", unit: "mm[Hg]"}
	diastolic        = variable{system: loinc, code: "8462-4", unit: "mm[Hg]"}
	temperature      = variable{system: loinc, code: "8310-5", unit: "Cel", signed: true} // Body temperature
	glucoseMass      = variable{system: loinc, code: "2339-0", unit: "mg/dL"}             // Glucose [Mass/volume] in Blood
	glucoseMoles     = variable{system: loinc, code: "15074-8", unit: "mmol/L"}           // Glucose [Moles/volume] in Blood

	weight  = variable{system: loinc, code: "29463-7", unit: "kg"}
	height  = variable{system: loinc, code: "8302-2", unit: "cm"}
	bmi     = variable{system: loinc, code: "39156-5", unit: "kg/m2"}
	bodyFat = variable{system: loinc, code: "41982-0", unit: "%"}

	steps     = variable{system: loinc, code: "55423-8", unit: "{steps}", unworn: true}        // Number of steps in unspecified time Pedometer
	stepsDay  = variable{system: loinc, code: "41950-7", unit: "{steps}/(24.h)", unworn: true} // Number of steps in 24 hour Measured
	energy    = variable{system: loinc, code: "55424-6", unit: "kcal"}                         // Calories burned in unspecified time Pedometer
	energyDay = variable{system: loinc, code: "41979-6", unit: "kcal/(24.h)"}                  // Calories burned in 24 hour Calculated
	distance  = variable{system: loinc, code: "55430-3", unit: "m"}                            // Walking distance unspecified time Pedometer

	sleepTime  = variable{system: loinc, code: "93832-4", unit: "min"} // Sleep duration
	deepSleep  = variable{system: loinc, code: "93831-6", unit: "min"} // Deep sleep duration
	lightSleep = variable{system: loinc, code: "93830-8", unit: "min"} // Light sleep duration
	remSleep   = variable{system: loinc, code: "93829-0", unit: "min"} // REM sleep duration

	sleepOnset      = variable{system: SystemOMH, code: "sleep-episode/latency_to_sleep_onset", unit: "min"}
	sleepArising    = variable{system: SystemOMH, code: "sleep-episode/latency_to_arising", unit: "min"}
	sleepAwake      = variable{system: SystemOMH, code: "sleep-episode/wake_after_sleep_onset", unit: "min"}
	sleepAwakenings = variable{system: SystemOMH, code: "sleep-episode/number_of_awakenings", unit: "1"}
	sleepMain       = variable{system: SystemOMH, code: "sleep-episode/is_main_sleep", unit: "1"}
	sleepEfficiency = variable{system: SystemOMH, code: "sleep-episode/sleep_maintenance_efficiency_percentage", unit: "%"}

	activity         = variable{system: SystemOMH, code: "physical-activity", unit: "min"} // how long it was
	activityDistance = variable{system: SystemOMH, code: "physical-activity/distance", unit: "m"}
	activityEnergy   = variable{system: SystemOMH, code: "physical-activity/kcal_burned", unit: "kcal"}
	moderate         = variable{system: SystemOMH, code: "minutes-moderate-activity", unit: "min"}
	speed            = variable{system: SystemOMH, code: "speed", unit: "m/s"}
	rrInterval       = variable{system: SystemOMH, code: "rr-interval", unit: "ms"}

	vigorous             = variable{system: SystemOwn, code: "minutes-vigorous-activity", unit: "min"}
	lightActivity        = variable{system: SystemOwn, code: "minutes-light-activity", unit: "min"}
	sedentary            = variable{system: SystemOwn, code: "minutes-sedentary", unit: "min"}
	distanceDay          = variable{system: SystemOwn, code: "distance-24h", unit: "m"}
	activeEnergy         = variable{system: SystemOwn, code: "active-energy", unit: "kcal"}
	activeEnergyDay      = variable{system: SystemOwn, code: "active-energy-24h", unit: "kcal"}
	basalEnergy          = variable{system: SystemOwn, code: "basal-energy", unit: "kcal"}
	rmssd                = variable{system: SystemOwn, code: "rmssd", unit: "ms"} // 80404-7 is the standard deviation
	met                  = variable{system: SystemOwn, code: "met", unit: "1"}
	temperatureDeviation = variable{system: SystemOwn, code: "temperature-deviation", unit: "K", signed: true}
	bodyWater            = variable{system: SystemOwn, code: "body-water", unit: "%"}
	boneMass             = variable{system: SystemOwn, code: "bone-mass", unit: "kg"}
	muscleMass           = variable{system: SystemOwn, code: "muscle-mass", unit: "kg"}
	fatMass              = variable{system: SystemOwn, code: "fat-mass", unit: "kg"}
	leanMass             = variable{system: SystemOwn, code: "lean-mass", unit: "kg"}
)

// statistic is what a maker gives instead of single values: a minimum or an average
// is not a measurement, and does not stand among them.
func statistic(schema, name, unit string) variable {
	return variable{system: SystemOMH, code: schema + "/" + name, unit: unit}
}

// score is a number without a unit that one maker defines.
func score(name string) variable { return variable{system: SystemOwn, code: name, unit: "{score}"} }

var (
	heartRateMin    = statistic("heart-rate", "minimum", "/min")
	heartRateMax    = statistic("heart-rate", "maximum", "/min")
	heartRateMean   = statistic("heart-rate", "average", "/min")
	respiratoryMin  = statistic("respiratory-rate", "minimum", "/min")
	respiratoryMax  = statistic("respiratory-rate", "maximum", "/min")
	respiratoryMean = statistic("respiratory-rate", "average", "/min")
	spO2Min         = statistic("oxygen-saturation", "minimum", "%")
	spO2Max         = statistic("oxygen-saturation", "maximum", "%")
	spO2Mean        = statistic("oxygen-saturation", "average", "%")
	rmssdMean       = variable{system: SystemOwn, code: "rmssd/average", unit: "ms"}
	rmssdDeepMean   = variable{system: SystemOwn, code: "rmssd/deep-sleep", unit: "ms"}
	standardRR      = variable{system: loinc, code: "80404-7", unit: "ms"} // R-R interval.standard deviation
)
