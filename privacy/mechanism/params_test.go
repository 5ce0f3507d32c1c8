package mechanism

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"os"
	"testing"

	"pgregory.net/rapid"
)

// realistic are literals of the kinds that the project runs.
func realistic() map[string]Literal {
	return map[string]Literal{
		"demo model round":      {Dim: 4000, Clip: 0.5, NMin: 56, NMax: 104, Colluders: 6, Z: 4.5, Noise: true},
		"demo statistics":       {Dim: 5000, Clip: 1, NMin: 210, NMax: 390, Colluders: 20, Z: 0.8, Noise: true},
		"ml-1m transitions":     {Dim: 499500, Clip: 1, NMin: 4228, NMax: 7852, Colluders: 393, Z: 0.757, Noise: true},
		"ml-1m model":           {Dim: 295611, Clip: 1, NMin: 140, NMax: 260, Colluders: 13, Z: 2, Noise: true},
		"largest common vector": {Dim: 1<<20 - MinMeterPad, Clip: 1, NMin: 70, NMax: 130, Colluders: 7, Z: 1, Noise: true},
		"tiny cohort, strong":   {Dim: 10, Clip: 1, NMin: 3, NMax: 5, Colluders: 1, Z: 9.45, Noise: true},
		"by rho":                {Dim: 4000, Clip: 0.1, NMin: 56, NMax: 104, Colluders: 6, Rho: big.NewRat(7, 1000), Noise: true},
		"ten thousand":          {Dim: 62907, Clip: 1, NMin: 7000, NMax: 13000, Colluders: 650, Z: 1, Noise: true},
		"one coordinate":        {Dim: 1, Clip: 1, NMin: 56, NMax: 104, Colluders: 6, Z: 1, Noise: true},
		"metrics":               {Dim: 16, Clip: 2, NMin: 56, NMax: 104, Colluders: 6, Z: 3, Noise: true, Unmetered: true},
		"Skellam":               {Dim: 4000, Clip: 0.5, NMin: 56, NMax: 104, Colluders: 6, Z: 2, Noise: true, Kind: Skellam},
		"Skellam by rho":        {Dim: 4000, Clip: 0.5, NMin: 56, NMax: 104, Colluders: 6, Rho: big.NewRat(1, 6), Noise: true, Kind: Skellam},
		"one clip bit":          {Dim: 1, Clip: 0.5, NMin: 56, NMax: 104, Colluders: 6, Z: 10, Noise: true, Unmetered: true},
		"off, small":            {Dim: 10, Clip: 1, NMin: 1, NMax: 40},
		"off, large":            {Dim: 295611, Clip: 1, NMin: 56, NMax: 104, Colluders: 6},
	}
}

func TestDesignOfRealisticTasks(t *testing.T) {
	for name, l := range realistic() {
		p, err := Design(l)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		t.Logf("%s: D %d (block %d, pad %d), c*s %d, B %d, sigma %.1f (%d/%d), M %d, n_max*M %.3g, z %g, rho %v",
			name, p.PaddedDim, p.Block, p.Pad(), p.ClipGrid, p.L2Bound, p.Sigma(), p.Sigma2.Num, p.Sigma2.Den,
			p.InputBound, float64(p.NMax)*float64(p.InputBound), p.Z, p.Rho())
		if l.Unmetered {
			if p.Block != p.PaddedDim || p.PaddedDim >= 2*l.Dim && l.Dim > 1 {
				t.Errorf("%s: %d coordinates take %d in blocks of %d", name, l.Dim, p.PaddedDim, p.Block)
			}
			continue
		}
		if waste := p.PaddedDim - l.Dim - l.Pad; l.Noise && waste-MinMeterPad > (l.Dim+MinMeterPad)/wasteDen {
			t.Errorf("%s: %d coordinates are wasted", name, waste-MinMeterPad)
		}
		if most := max(int64(MinClipGrid)+1, usefulGrid(p.PaddedDim)); l.Noise && p.ClipGrid > most {
			t.Errorf("%s: a clip of %d grid units is finer than is useful, %d", name, p.ClipGrid, most)
		}
		if inflation := float64(p.L2Bound) / float64(p.ClipGrid); l.Noise && inflation > 1.005 {
			t.Errorf("%s: rounding inflates the sensitivity by %g", name, inflation)
		}
	}
}

// What Design returns is valid, costs no more than was asked and not much
// less; what it refuses names a rule.
func TestDesignKeepsItsPromise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Literal{
			Dim:   rapid.IntRange(1, 1<<20).Draw(t, "dim"),
			Clip:  rapid.Float64Range(1e-4, 1e4).Draw(t, "clip"),
			NMin:  rapid.IntRange(1, 20000).Draw(t, "nmin"),
			Pad:   rapid.IntRange(0, 1<<17).Draw(t, "pad"),
			Noise: rapid.Bool().Draw(t, "noise"), Unmetered: rapid.Bool().Draw(t, "unmetered"),
		}
		if l.Noise {
			l.Kind = NoiseKind(rapid.IntRange(0, 1).Draw(t, "kind"))
		}
		l.NMax = l.NMin + rapid.IntRange(0, l.NMin).Draw(t, "more")
		l.Colluders = rapid.IntRange(0, l.NMin-1).Draw(t, "colluders")
		var asked *big.Rat
		if l.Noise && rapid.Bool().Draw(t, "by rho") {
			l.Rho = big.NewRat(rapid.Int64Range(1, 1e9).Draw(t, "num"), rapid.Int64Range(1e6, 1e9).Draw(t, "den"))
			asked = l.Rho
		} else if l.Noise {
			l.Z = rapid.Float64Range(0.05, 50).Draw(t, "z")
			z := decimal(l.Z)
			asked = z.Inv(z.Mul(big.NewRat(2, 1), z.Mul(z, z)))
		}
		p, err := Design(l)
		var broke *RuleError
		if errors.As(err, &broke) {
			return
		}
		if err != nil {
			t.Fatalf("an error without a rule: %v", err)
		}
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		if !l.Noise {
			if p.Rho() != nil {
				t.Fatal("a claim without noise")
			}
			return
		}
		rho := p.Rho()
		if p.Kind == Skellam && l.Rho == nil { // a multiplier of Skellam noise costs more
			if most := new(big.Rat).Mul(asked, big.NewRat(11, 10)); rho.Cmp(asked) <= 0 || rho.Cmp(most) > 0 {
				t.Fatalf("rho %v for a multiplier that costs a Gaussian %v", rho, asked)
			}
			return
		}
		if rho.Cmp(asked) > 0 {
			t.Fatalf("rho %v exceeds what was asked, %v", rho, asked)
		}
		if ratio, _ := new(big.Rat).Quo(rho, asked).Float64(); ratio < 1-1e-6 {
			t.Fatalf("rho is %g of what was asked: noise is wasted", ratio)
		}
		if p.Kind == Skellam {
			return
		}
		z2, _ := new(big.Rat).Inv(new(big.Rat).Add(rho, rho)).Float64()
		if claimed := p.Z / math.Sqrt(z2); claimed > 1 || claimed < 0.9998 {
			t.Fatalf("z is claimed as %g, is %g", p.Z, math.Sqrt(z2))
		}
	})
}

// A rho with a small denominator is met exactly, so that budgets add up to
// round numbers.
func TestDesignMeetsARoundRhoExactly(t *testing.T) {
	want := big.NewRat(7, 1000)
	p := mustDesign(t, Literal{Dim: 4000, Clip: 1, NMin: 56, NMax: 104, Colluders: 6, Rho: want, Noise: true})
	if p.Rho().Cmp(want) != 0 {
		t.Fatalf("rho %v, want exactly %v", p.Rho(), want)
	}
}

func TestDesignRefuses(t *testing.T) {
	base := Literal{Dim: 4000, Clip: 1, NMin: 56, NMax: 104, Colluders: 6, Z: 1, Noise: true}
	for name, test := range map[string]struct {
		change func(*Literal)
		rule   Rule
	}{
		"no dimension":          {func(l *Literal) { l.Dim = 0 }, RuleDimension},
		"too large":             {func(l *Literal) { l.Dim = MaxDim }, RuleDimension},
		"negative pad":          {func(l *Literal) { l.Noise = false; l.Z = 0; l.Pad = -1 }, RuleDimension},
		"no clip":               {func(l *Literal) { l.Clip = 0 }, RuleClip},
		"NaN clip":              {func(l *Literal) { l.Clip = math.NaN() }, RuleClip},
		"infinite clip":         {func(l *Literal) { l.Clip = math.Inf(1) }, RuleClip},
		"denormal clip":         {func(l *Literal) { l.Clip = 5e-324 }, RuleClip},
		"negative clip":         {func(l *Literal) { l.Clip = -1 }, RuleClip},
		"empty cohort":          {func(l *Literal) { l.NMin = 0 }, RuleCohort},
		"n_max below n_min":     {func(l *Literal) { l.NMax = 55 }, RuleCohort},
		"all collude":           {func(l *Literal) { l.Colluders = 56 }, RuleCohort},
		"no z, no rho":          {func(l *Literal) { l.Z = 0 }, RuleNoise},
		"both":                  {func(l *Literal) { l.Rho = big.NewRat(1, 2) }, RuleNoise},
		"negative z":            {func(l *Literal) { l.Z = -1 }, RuleNoise},
		"NaN z":                 {func(l *Literal) { l.Z = math.NaN() }, RuleNoise},
		"infinite z":            {func(l *Literal) { l.Z = math.Inf(1) }, RuleNoise},
		"denormal z":            {func(l *Literal) { l.Z = 5e-324 }, RuleNoise},
		"negative rho":          {func(l *Literal) { l.Z, l.Rho = 0, big.NewRat(-1, 2) }, RuleNoise},
		"unknown kind":          {func(l *Literal) { l.Kind = 2 }, RuleNoise},
		"kind without noise":    {func(l *Literal) { l.Noise, l.Z, l.Kind = false, 0, Skellam }, RuleNoise},
		"Skellam too wide":      {func(l *Literal) { l.Kind, l.Z = Skellam, 8 }, RuleSigma},
		"negative sum limit":    {func(l *Literal) { l.SumLimit = -1 }, RuleSumLimit},
		"zero rho":              {func(l *Literal) { l.Z = 0; l.Rho = new(big.Rat) }, RuleNoise},
		"off but z":             {func(l *Literal) { l.Noise = false }, RuleNoise},
		"more than the sampler": {func(l *Literal) { l.Z = 100 }, RuleSigma},
		"sum too small":         {func(l *Literal) { l.SumLimit = 104 * 9000 }, RuleSumLimit},
		"cohort too large":      {func(l *Literal) { l.NMin, l.NMax, l.Colluders = 50000, 65536, 1000 }, RuleSumLimit},
		"sum limit too large":   {func(l *Literal) { l.SumLimit = MaxSumLimit + 1 }, RuleSumLimit},
	} {
		l := base
		test.change(&l)
		_, err := Design(l)
		var broke *RuleError
		if !errors.As(err, &broke) || broke.Rule != test.rule {
			t.Errorf("%s: got %v, want rule %s", name, err, test.rule)
		}
	}
}

// Each way to weaken a plan by hand is refused with the rule it breaks.
func TestValidateNamesTheBrokenRule(t *testing.T) {
	good := mustDesign(t, realistic()["demo model round"])
	off := mustDesign(t, realistic()["off, large"])
	small := mustDesign(t, realistic()["metrics"])
	skellamGood := mustDesign(t, realistic()["Skellam"])
	for name, test := range map[string]struct {
		params Params
		change func(*Params)
		rule   Rule
	}{
		"no dimension":            {good, func(p *Params) { p.Dim = 0 }, RuleDimension},
		"D below d":               {good, func(p *Params) { p.PaddedDim = p.Dim - 1 }, RuleDimension},
		"D too large":             {good, func(p *Params) { p.PaddedDim = MaxDim + p.Block }, RuleDimension},
		"block not a power":       {good, func(p *Params) { p.Block = 4095 }, RuleDimension},
		"block zero":              {good, func(p *Params) { p.Block = 0 }, RuleDimension},
		"block too large":         {good, func(p *Params) { p.Block = MaxBlock * 2 }, RuleDimension},
		"block does not divide":   {good, func(p *Params) { p.Block = 1 << 16 }, RuleDimension},
		"pad one short":           {good, func(p *Params) { p.Dim = p.PaddedDim - MinMeterPad + 1 }, RulePad},
		"clip zero":               {good, func(p *Params) { p.Clip = 0 }, RuleClip},
		"clip infinite":           {good, func(p *Params) { p.Clip = math.Inf(1) }, RuleClip},
		"clip NaN":                {good, func(p *Params) { p.Clip = math.NaN() }, RuleClip},
		"scale too coarse":        {good, func(p *Params) { p.ClipGrid = MinClipGrid - 1 }, RuleScale},
		"scale too fine":          {off, func(p *Params) { p.ClipGrid = maxClipGrid + 1 }, RuleScale},
		"scale zero":              {off, func(p *Params) { p.ClipGrid = 0 }, RuleScale},
		"one device is a sum":     {good, func(p *Params) { p.NMin = 0 }, RuleCohort},
		"negative colluders":      {good, func(p *Params) { p.Colluders = -1 }, RuleCohort},
		"cohort too large":        {good, func(p *Params) { p.NMax = MaxCohort + 1 }, RuleCohort},
		"bound one short":         {good, func(p *Params) { p.L2Bound -= 2 }, RuleL2Bound},
		"bound too wide":          {good, func(p *Params) { p.L2Bound += 2 }, RuleL2Bound},
		"small and metered":       {small, func(p *Params) { p.Unmetered = false }, RulePad},
		"small, too little noise": {small, func(p *Params) { p.Sigma2 = Rational{16, 1} }, RuleNoiseShare},
		"noise off":               {good, func(p *Params) { p.Noise = false }, RuleNoise},
		"noise on, none stated":   {good, func(p *Params) { p.Sigma2 = Rational{0, 1} }, RuleNoise},
		"noise on, no padding":    {off, func(p *Params) { p.Noise = true }, RulePad},
		"variance not reduced":    {good, func(p *Params) { p.Sigma2.Num *= 2; p.Sigma2.Den *= 2 }, RuleNoise},
		"variance without den":    {good, func(p *Params) { p.Sigma2.Den = 0 }, RuleNoise},
		"z zero":                  {good, func(p *Params) { p.Z = 0 }, RuleNoise},
		"z infinite":              {good, func(p *Params) { p.Z = math.Inf(1) }, RuleNoise},
		"sigma below 4":           {good, func(p *Params) { p.Sigma2 = Rational{15, 1} }, RuleSigma},
		"unknown kind":            {good, func(p *Params) { p.Kind = 9 }, RuleNoise},
		"off with a kind":         {off, func(p *Params) { p.Kind = Skellam }, RuleNoise},
		"Skellam below 16":        {skellamGood, func(p *Params) { p.Sigma2 = Rational{255, 1} }, RuleSigma},
		"Skellam above 2400":      {skellamGood, func(p *Params) { p.Sigma2 = Rational{2400*2400 + 1, 1} }, RuleSigma},
		"denormal clip":           {good, func(p *Params) { p.Clip = 5e-324 }, RuleClip},
		"negative clip":           {good, func(p *Params) { p.Clip = -p.Clip }, RuleClip},
		"z NaN":                   {good, func(p *Params) { p.Z = math.NaN() }, RuleNoise},
		"z denormal":              {good, func(p *Params) { p.Z = -5e-324 }, RuleNoise},
		"sigma above the sampler": {good, func(p *Params) { p.Sigma2 = Rational{1<<32 + 1, 1} }, RuleSigma},
		"less noise":              {good, func(p *Params) { p.Sigma2 = Rational{p.Sigma2.Num / p.Sigma2.Den, 1} }, RuleNoiseShare},
		"smaller n_min":           {good, func(p *Params) { p.NMin-- }, RuleNoiseShare},
		"more colluders":          {good, func(p *Params) { p.Colluders++ }, RuleNoiseShare},
		"larger z":                {good, func(p *Params) { p.Z *= 1.0001 }, RuleNoiseShare},
		"input bound one short":   {good, func(p *Params) { p.InputBound-- }, RuleInputBound},
		"input bound one more":    {good, func(p *Params) { p.InputBound++ }, RuleInputBound},
		"sum limit exceeded":      {good, func(p *Params) { p.SumLimit = p.InputBound*int64(p.NMax) - 1 }, RuleSumLimit},
		"sum limit zero":          {good, func(p *Params) { p.SumLimit = 0 }, RuleSumLimit},
		"off with variance":       {off, func(p *Params) { p.Sigma2 = Rational{16, 1} }, RuleNoise},
		"off with a claim":        {off, func(p *Params) { p.Z = 1 }, RuleNoise},
	} {
		p := test.params
		test.change(&p)
		err := p.Validate()
		var broke *RuleError
		if !errors.As(err, &broke) || broke.Rule != test.rule {
			t.Errorf("%s: got %v, want rule %s", name, err, test.rule)
		}
		if _, err := NewCodec(p); err == nil {
			t.Errorf("%s: a codec is built from it", name)
		}
	}
	edge := good
	edge.SumLimit = edge.InputBound * int64(edge.NMax)
	if err := edge.Validate(); err != nil {
		t.Errorf("a sum limit that is just met: %v", err)
	}
}

// Formula 2.2(4) in integers against 200-bit floats, and the float formula
// against the reference rows.
func TestL2BoundIsTheFormula(t *testing.T) {
	check := func(t interface{ Fatalf(string, ...any) }, grid int64, padded int) {
		want, _ := bigL2Bound(float64(grid), padded).Int64()
		if got := l2Bound(grid, padded); got != want {
			t.Fatalf("g=%d D=%d: %d, want %d", grid, padded, got, want)
		}
	}
	for grid := int64(1); grid <= 64; grid++ {
		for padded := 1; padded <= 300; padded++ {
			check(t, grid, padded)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		check(t, rapid.Int64Range(1, maxClipGrid).Draw(t, "grid"), rapid.IntRange(1, MaxDim).Draw(t, "D"))
	})
}

func bigL2Bound(grid float64, padded int) *big.Float {
	float := func(x float64) *big.Float { return new(big.Float).SetPrec(200).SetFloat64(x) }
	root := float(0).Sqrt(float(float64(padded)))
	conditional := float(0).Mul(float(grid), float(grid))
	conditional.Add(conditional, float(float64(padded)/4))
	conditional.Add(conditional, float(grid))
	conditional.Add(conditional, float(0).Quo(root, float(2)))
	conditional.Sqrt(conditional)
	if worst := root.Add(root, float(grid)); worst.Cmp(conditional) < 0 {
		return worst
	}
	return conditional
}

func TestReferenceRows(t *testing.T) {
	raw, err := os.ReadFile("testdata/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Rows []struct {
			ID     string
			Group  string
			Event  map[string]any
			Expect map[string]float64
		}
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	for _, row := range file.Rows {
		switch row.Group {
		case "distributed_discrete":
			grid := row.Event["clip"].(float64) * row.Expect["scale"]
			got, _ := bigL2Bound(grid, int(row.Event["dim"].(float64))).Float64()
			if want := row.Expect["rounded_l2_bound_scaled"]; math.Abs(got/want-1) > 1e-9 {
				t.Errorf("%s: L2 bound %.9f, want %.9f", row.ID, got, want)
			}
		case "dropout_noise_share":
			p := mustDesign(t, Literal{
				Dim: 1 << 16, Clip: 1, Noise: true, Z: row.Event["target_central_noise_multiplier"].(float64),
				NMin: int(row.Event["min_survivors"].(float64)), NMax: int(row.Event["planned"].(float64)),
			})
			got := p.Sigma() / float64(p.L2Bound)
			if want := row.Expect["local_sigma_over_clip"]; math.Abs(got/want-1) > 1e-9 {
				t.Errorf("%s: share of sigma %.12f, want %.12f", row.ID, got, want)
			}
		}
	}
	if len(file.Rows) != 6 {
		t.Errorf("%d rows, want 6", len(file.Rows))
	}
}
