package quality

// bounds are those of a variable in one unit: outside low to high a value is
// implausible, outside min to max impossible.
//
// low and high are plausibleValueLow and plausibleValueHigh of the OHDSI
// DataQualityDashboard, OMOP_CDMv5.4_Concept_Level.csv of commit 27df598ad3a9
// (Apache-2.0), where that has them; a value beyond them may be a patient in
// danger, so it is kept. min and max are the widest that was ever measured in a
// living person, by the source beside each, and otherwise 0 and what the unit or
// the substance allows: beyond is a mistake of unit or of typing.
type bounds struct{ low, high, min, max float64 }

// Concepts of units.
const (
	percent    = 8554
	mmolPerMol = 9579
	mmHg       = 8876
	celsius    = 586323
	fahrenheit = 9289
	cm         = 8582
	meter      = 9546
	inch       = 9327
	inchUS     = 9330
	kg         = 9529
	gram       = 8504
	pound      = 8739
	kgPerM2    = 9531
	perMinute  = 8541
	beats      = 8483
	mgPerDL    = 8840
	gPerDL     = 8713
	gPerL      = 8636
	mmolPerL   = 8753
	meqPerL    = 9557
	umolPerL   = 8749
	mlPerMin   = 8795
	mlPerMinA  = 720870 // per 1.73 square meters of body surface
	mlPerMinA0 = 9117   // the same before vocabulary release v5.0 2022-04
)

// variables are the bounds of standard measurement concepts by unit. A unit that is
// not listed is of another kind.
var variables = map[int64]map[int64]bounds{
	3004249: pressure(10, 250, 480), // LOINC 8480-6, systolic
	3012888: pressure(30, 200, 350), // LOINC 8462-4, diastolic

	3027018: { // LOINC 8867-4, heart rate; 600/min: Chhabra et al., Indian Pacing Electrophysiol. J. 2012
		beats: {10, 500, 0, 600}, perMinute: {10, 500, 0, 600},
	},
	3024171: {beats: {0, 100, 0, 200}, perMinute: {0, 100, 0, 200}}, // LOINC 9279-1, respiratory rate

	3020891: temperature, // LOINC 8310-5, body
	3006322: temperature, // LOINC 8331-1, oral

	3036277: { // LOINC 8302-2, height; 272 cm: R. Wadlow; 24 cm: the smallest surviving newborns
		cm: {20, 250, 15, 280}, meter: {0.2, 2.5, 0.15, 2.8}, inch: {8, 98, 6, 110}, inchUS: {8, 98, 6, 110},
	},
	3025315: { // LOINC 29463-7, weight; 635 kg: J. B. Minnoch; 0.212 kg: the smallest surviving newborn
		kg: {2, 500, 0.2, 650}, gram: {2000, 500_000, 200, 650_000}, pound: {4, 1000, 0.4, 1433},
	},
	3038553: {kgPerM2: {16, 100, 5, 210}}, // LOINC 39156-5, body mass index; 204: K. bin M. Shaari

	3004410: {percent: {4, 15, 0, 30}, mmolPerMol: {20, 140, 0, 304}}, // LOINC 4548-4, hemoglobin A1c
	3000483: glucose,                                                  // LOINC 2339-0, in blood
	3004501: glucose,                                                  // LOINC 2345-7, in serum or plasma

	3027114: lipid(38.67, 90, 400, 3000),    // LOINC 2093-3, total cholesterol
	3007070: lipid(38.67, 5, 150, 400),      // LOINC 2085-9, HDL
	3028437: lipid(38.67, 20, 300, 2500),    // LOINC 2089-1, LDL
	3009966: lipid(38.67, 1, 400, 2500),     // LOINC 18262-6, LDL, direct
	3022192: lipid(88.57, 40, 1000, 50_000), // LOINC 2571-8, triglycerides

	3016723: creatinine, // LOINC 2160-0, in serum or plasma
	3051825: creatinine, // LOINC 38483-4, in blood
	3049187: filtration, // LOINC 48642-3, eGFR, not black
	3053283: filtration, // LOINC 48643-1, eGFR, black

	3019550: electrolyte(100, 150, 80, 220), // LOINC 2951-2, sodium in serum or plasma
	3000285: electrolyte(100, 150, 80, 220), // LOINC 2947-0, sodium in blood
	3023103: electrolyte(3, 8, 0.5, 15),     // LOINC 2823-3, potassium in serum or plasma
	3005456: electrolyte(3, 8, 0.5, 15),     // LOINC 6298-4, potassium in blood

	3000963: {gPerDL: {1, 30, 0, 35}, gPerL: {10, 300, 0, 350}}, // LOINC 718-7, hemoglobin in blood
}

// pressure: 480 and 350 mm[Hg] during weight lifting, MacDougall et al., J. Appl.
// Physiol. 1985.
func pressure(low, high, highest float64) map[int64]bounds {
	return map[int64]bounds{mmHg: {low, high, 0, highest}}
}

// temperature: 11.8 and 46.5 Cel are the extremes that were survived.
var temperature = map[int64]bounds{celsius: {34, 45, 10, 47}, fahrenheit: {93.2, 113, 50, 116.6}}

// glucose: 147.6 mmol/L was survived; 18.016 mg/dL are 1 mmol/L.
var glucose = map[int64]bounds{mgPerDL: {1, 300, 0, 2700}, mmolPerL: {0.06, 16.7, 0, 150}}

// lipid gives bounds in mg/dL and in mmol/L, of which one is perMmol mg/dL.
func lipid(perMmol, low, high, limit float64) map[int64]bounds {
	return map[int64]bounds{mgPerDL: {low, high, 0, limit}, mmolPerL: {low / perMmol, high / perMmol, 0, limit / perMmol}}
}

// creatinine: 88.42 umol/L are 1 mg/dL.
var creatinine = map[int64]bounds{mgPerDL: {0.1, 5, 0, 80}, umolPerL: {8.8, 442, 0, 7074}}

var filtration = map[int64]bounds{mlPerMinA: {5, 200, 0, 400}, mlPerMinA0: {5, 200, 0, 400}, mlPerMin: {5, 200, 0, 400}}

// electrolyte: with one charge an equivalent is a mole.
func electrolyte(low, high, lowest, highest float64) map[int64]bounds {
	b := bounds{low, high, lowest, highest}
	return map[int64]bounds{mmolPerL: b, meqPerL: b}
}
