package circuits

import (
	"math/big"
	"testing"
	"time"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"
	"github.com/stretchr/testify/require"
)

func TestEligibilityRefusesAnyChangedInput(t *testing.T) {
	t.Parallel()
	refusesAnyChange(t, tinyEligibilityCircuit, assigned[*eligibilityCircuit](t, tinyEligibilityCircuit, tinyEligibility(t)))
}

func TestEligibilityAtTheBounds(t *testing.T) {
	t.Parallel()
	today := dayOf(t, 2026, 11, 23)
	for name, c := range map[string]struct {
		change   func(*Credential)
		accepted bool
	}{
		"18 today":             {func(c *Credential) { c.Born = dayOf(t, 2008, 11, 23) }, true},
		"18 tomorrow":          {func(c *Credential) { c.Born = dayOf(t, 2008, 11, 24) }, false},
		"75 until tomorrow":    {func(c *Credential) { c.Born = dayOf(t, 1950, 11, 24) }, true},
		"76 today":             {func(c *Credential) { c.Born = dayOf(t, 1950, 11, 23) }, false},
		"born in 1800":         {func(c *Credential) { c.Born = 0 }, false},
		"not yet born":         {func(c *Credential) { c.Born = today + 1 }, false},
		"lowest value":         {func(c *Credential) { c.Value = 500 }, true},
		"a thousandth below":   {func(c *Credential) { c.Value = 499 }, false},
		"highest value":        {func(c *Credential) { c.Value = 1200 }, true},
		"a thousandth above":   {func(c *Credential) { c.Value = 1201 }, false},
		"a negative value":     {func(c *Credential) { c.Value = -900 }, false},
		"measured today":       {func(c *Credential) { c.Measured = today }, true},
		"measured tomorrow":    {func(c *Credential) { c.Measured = today + 1 }, false},
		"30 days old":          {func(c *Credential) { c.Measured = today - 30 }, true},
		"31 days old":          {func(c *Credential) { c.Measured = today - 31 }, false},
		"good until tomorrow":  {func(c *Credential) { c.Expires = today + 1 }, true},
		"expired yesterday":    {func(c *Credential) { c.Expires = today - 1 }, false},
		"another LOINC code":   {func(c *Credential) { c.Code = LabCode("2161-8", "mg/dL") }, false},
		"another unit":         {func(c *Credential) { c.Code = LabCode("2160-0", "umol/L") }, false},
		"of another holder":    {func(c *Credential) { c.Holder = secret("holder", 9) }, false},
		"of a holder unsalted": {func(c *Credential) { c.Holder = fromField(person(0).x) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := eligibilityWith(t, c.change)
			p, bounds, err := w.open(tinyEligibilityCircuit)
			agrees(t, tinyEligibilityCircuit, err, w.assign(p, bounds), c.accepted)
		})
	}
}

// The trial's public criterion names the code: a prover can take the credential's
// code for the criterion's, but not state the trial's criterion then.
func TestEligibilityIsForTheCodeOfTheCriterion(t *testing.T) {
	t.Parallel()
	urine := LabCode("2161-8", "mg/dL")
	w := eligibilityWith(t, func(c *Credential) { c.Code = urine })
	wanted, err := creatinine.Digest(w.Day)
	require.NoError(t, err)
	w.Criterion.Code = urine
	p, bounds, err := w.open(tinyEligibilityCircuit)
	agrees(t, tinyEligibilityCircuit, err, w.assign(p, bounds), true)
	require.NotEqual(t, wanted, p.Criterion)
	p.Criterion = wanted
	dishonestly(t, attempt(t, tinyEligibilityCircuit, w.assign(p, bounds)))
}

func TestEligibilityRefusesAnIssuerOutsideTheSet(t *testing.T) {
	t.Parallel()
	w := tinyEligibility(t)
	outsider := signingKey(t, 9)
	issuers := w.Path.steps[0].children
	w.Issuer = outsider.Public()
	var err error
	w.Signature, err = outsider.Issue(w.Credential)
	require.NoError(t, err)
	_, err = w.Public(tinyEligibilityCircuit)
	require.EqualError(t, err, "eligibility: issuer: path does not start here")

	honest := assigned[*eligibilityCircuit](t, tinyEligibilityCircuit, tinyEligibility(t))
	honest.Issuer, honest.Signature = w.Issuer.assign(), w.Signature.assign()
	dishonestly(t, attempt(t, tinyEligibilityCircuit, honest))

	// The fourth slot is empty. No key opens it.
	require.True(t, issuers[3].IsZero())
	honest.Path[0].Index = [2]frontend.Variable{1, 1}
	dishonestly(t, attempt(t, tinyEligibilityCircuit, honest))

	// A keeper of the same key is no issuer.
	keepers, err := KeeperSet(1, []PublicKey{outsider.Public()})
	require.NoError(t, err)
	p, err := keepers.Path(0)
	require.NoError(t, err)
	honest.Issuers, honest.Path = fieldVariable(keepers.Root()), p.assign()
	dishonestly(t, attempt(t, tinyEligibilityCircuit, honest))
}

func fieldVariable(e Element) frontend.Variable { return e[:] }

// Holder and enrollment are one person: the nullifier of both is the same.
func TestEligibilityIsBoundToTheEnrollment(t *testing.T) {
	t.Parallel()
	enrolled, err := tinyEnrollment(t).Public(tinyEnrollmentCircuit)
	require.NoError(t, err)
	eligible, err := tinyEligibility(t).Public(tinyEligibilityCircuit)
	require.NoError(t, err)
	require.Equal(t, enrolled.Nullifier, eligible.Nullifier)

	lent := tinyEligibility(t) // person 1 shows person 0's credential
	lent.Secret = person(1)
	p, bounds, err := lent.open(tinyEligibilityCircuit)
	agrees(t, tinyEligibilityCircuit, err, lent.assign(p, bounds), false)

	// With a secret and a salt for the holder that is not one's own there would
	// be no nullifier of one's own.
	c := assigned[*eligibilityCircuit](t, tinyEligibilityCircuit, tinyEligibility(t))
	other, err := person(1).Nullifier(secret("trial", 0))
	require.NoError(t, err)
	c.Nullifier = other[:]
	dishonestly(t, attempt(t, tinyEligibilityCircuit, c))
}

// Pitfall 3: the issuer signs, and the criterion opens to, numbers beyond their
// ranges, so that only the ranges are left to refuse them.
func TestEligibilityRefusesNumbersThatWrap(t *testing.T) {
	t.Parallel()
	honest := assigned[*eligibilityCircuit](t, tinyEligibilityCircuit, tinyEligibility(t))
	honest.restate(t)
	require.NoError(t, solved(t, tinyEligibilityCircuit, honest), "restated it is the same")
	minus := func(n uint64) fr.Element { x := fr.NewElement(n); return *x.Neg(&x) }
	huge := *new(fr.Element).SetBigInt(new(big.Int).Lsh(big.NewInt(1), 200))
	for name, change := range map[string]func(*eligibilityCircuit){
		"value below 0":              func(c *eligibilityCircuit) { c.Low, c.Value, c.High = 0, minus(1), 10 },
		"value and low below 0":      func(c *eligibilityCircuit) { c.Low, c.Value = minus(5), minus(1) },
		"low below 0":                func(c *eligibilityCircuit) { c.Low = minus(5) },
		"all of the value below 0":   func(c *eligibilityCircuit) { c.Low, c.Value, c.High = minus(5), minus(3), minus(1) },
		"all of the value huge":      func(c *eligibilityCircuit) { c.Low, c.Value, c.High = huge, huge, huge },
		"born before all days":       func(c *eligibilityCircuit) { c.BornFirst, c.Born = minus(9), minus(3) },
		"all days of birth below 0":  func(c *eligibilityCircuit) { c.BornFirst, c.Born, c.BornLast = minus(9), minus(3), minus(1) },
		"measured before all days":   func(c *eligibilityCircuit) { c.MeasuredFirst, c.Measured = minus(9), minus(3) },
		"first measurement below 0":  func(c *eligibilityCircuit) { c.MeasuredFirst = minus(9) },
		"expires below 0":            func(c *eligibilityCircuit) { c.Expires = minus(1) },
		"day below 0":                func(c *eligibilityCircuit) { c.Day = minus(1) },
		"measured, day, expiry huge": func(c *eligibilityCircuit) { c.Measured, c.Day, c.Expires = huge, huge, huge },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := assigned[*eligibilityCircuit](t, tinyEligibilityCircuit, tinyEligibility(t))
			change(c)
			c.restate(t)
			dishonestly(t, attempt(t, tinyEligibilityCircuit, c))
		})
	}
}

// restate makes signature and digest true of whatever numbers there are.
func (c *eligibilityCircuit) restate(t *testing.T) {
	t.Helper()
	holder, err := person(0).Holder(secret("holder", 0))
	require.NoError(t, err)
	message := sponge(TagCredential, []fr.Element{
		number(t, holder[:]), number(t, c.Born), number(t, c.Code), number(t, c.Value), number(t, c.Measured), number(t, c.Expires),
	})
	s, err := signingKey(t, 1).sign(message)
	require.NoError(t, err)
	c.Signature = s.assign()
	c.Criterion = sponge(TagCriterion, []fr.Element{
		number(t, c.Code), number(t, c.Low), number(t, c.High), number(t, c.BornFirst), number(t, c.BornLast), number(t, c.MeasuredFirst),
	})
}

func TestBirthday(t *testing.T) {
	t.Parallel()
	on := func(y int, m time.Month, d int) Day { return dayOf(t, y, m, d) }
	for _, c := range []struct {
		today Day
		years int
		want  Day
	}{
		{on(2026, 11, 23), 0, on(2026, 11, 23)},
		{on(2026, 11, 23), 18, on(2008, 11, 23)},
		{on(2022, 2, 28), 18, on(2004, 2, 28)}, // who was born on the 29th waits a day
		{on(2022, 3, 1), 18, on(2004, 3, 1)},
		{on(2024, 2, 29), 18, on(2006, 2, 28)}, // who was born on 1 March is 17
		{on(2024, 2, 29), 20, on(2004, 2, 29)},
		{on(1801, 1, 1), 1, 0},
	} {
		got, err := c.today.birthday(c.years)
		require.NoError(t, err)
		require.Equal(t, c.want, got, "%d years before day %d", c.years, c.today)
	}
	_, err := on(1801, 1, 1).birthday(2)
	require.Error(t, err)
	_, err = NewDay(time.Date(2081, 1, 1, 0, 0, 0, 0, time.UTC))
	require.Error(t, err)

	east := time.FixedZone("east", 9*3600)
	require.Equal(t, on(2026, 11, 23), must(NewDay(time.Date(2026, 11, 23, 1, 0, 0, 0, east))), "the day where it is")
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestCriterionIsChecked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*Criterion)
		want   string
	}{
		"code unreduced": {func(c *Criterion) { c.Code = modulus() }, "criterion: code: not a canonical field element"},
		"ages reversed":  {func(c *Criterion) { c.MaxAge = 17 }, "criterion: ages are not in order from 0 to 150"},
		"age below 0":    {func(c *Criterion) { c.MinAge = -1 }, "criterion: ages are not in order from 0 to 150"},
		"too old":        {func(c *Criterion) { c.MaxAge = 151 }, "criterion: ages are not in order from 0 to 150"},
		"range reversed": {func(c *Criterion) { c.Low = 1201 }, "criterion: low is above high"},
		"low too low":    {func(c *Criterion) { c.Low = -measureZero - 1 }, "criterion: value is not within 2^39 thousandths"},
		"high too high":  {func(c *Criterion) { c.High = measureZero }, "criterion: value is not within 2^39 thousandths"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			criterion := creatinine
			c.change(&criterion)
			_, err := criterion.Digest(dayOf(t, 2026, 11, 23))
			require.EqualError(t, err, c.want)
		})
	}
	seen := map[Element]bool{}
	for _, change := range []func(*Criterion){
		func(*Criterion) {}, func(c *Criterion) { c.MinAge++ }, func(c *Criterion) { c.MaxAge++ }, func(c *Criterion) { c.Low++ },
		func(c *Criterion) { c.High++ }, func(c *Criterion) { c.Within++ }, func(c *Criterion) { c.Code = LabCode("2160-0", "umol/L") },
	} {
		criterion := creatinine
		change(&criterion)
		digest, err := criterion.Digest(dayOf(t, 2026, 11, 23))
		require.NoError(t, err)
		require.False(t, seen[digest])
		seen[digest] = true
	}
	ever, err := Criterion{MaxAge: 150, Within: 1<<32 - 1}.on(dayOf(t, 2026, 11, 23))
	require.NoError(t, err)
	require.Zero(t, ever.measuredFirst, "no day is before the first")
	_, err = SigningKey{}.Issue(Credential{Value: measureZero})
	require.EqualError(t, err, "credential: value is not within 2^39 thousandths")
}
