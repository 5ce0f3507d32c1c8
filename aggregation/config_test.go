package aggregation

import (
	"errors"
	"slices"
	"testing"

	"tutti/aggregation/mask"
)

// lotWorld is a round of three shards among 40 enrolled devices, three quarters of them eligible.
func lotWorld(t testing.TB) *world {
	return newCast(t, testParams(13, 2, 100), 40, SuiteX25519, 3, 3<<62)
}

// Rule by rule: a configuration that breaks one is no configuration, whoever signed it.
func TestRule1_ConfigsRefused(t *testing.T) {
	w := lotWorld(t)
	for name, c := range map[string]struct {
		change func(*ConfigLiteral)
		want   error
	}{
		"a population too small for its groups": {func(l *ConfigLiteral) { l.Population = enrolled(t, someIDs(5)).Sign(w.enroller, "demo") }, ErrCohort},
		"more groups than devices fill":         {func(l *ConfigLiteral) { l.Groups = 21 }, ErrCohort},
		"a larger minimum":                      {func(l *ConfigLiteral) { l.Params.NMin = 14 }, ErrCohort},
		"an unsigned population":                {func(l *ConfigLiteral) { l.Population.Signature = nil }, ErrPopulation},
		"nobody eligible":                       {func(l *ConfigLiteral) { l.Threshold = 0 }, ErrConfig},
		"no groups":                             {func(l *ConfigLiteral) { l.Groups = 0 }, ErrConfig},
		"too many groups":                       {func(l *ConfigLiteral) { l.Groups, l.Population.Size = MaxGroups+1, 1<<32-1 }, ErrConfig},
		"a shard beyond the groups":             {func(l *ConfigLiteral) { l.Round.Shard = 3 }, ErrConfig},
		"another coin":                          {func(l *ConfigLiteral) { l.Roster[4].Coin[0] ^= 1 }, ErrRoster},
		"another commitment":                    {func(l *ConfigLiteral) { l.Roster[0].Key.Commit[0] ^= 1 }, ErrRoster},
		"coins swapped": {func(l *ConfigLiteral) {
			l.Roster[0].Coin, l.Roster[1].Coin = l.Roster[1].Coin, l.Roster[0].Coin
		}, ErrRoster},
		"a member short": {func(l *ConfigLiteral) { l.Roster = l.Roster[:4] }, ErrRoster},
		"members swapped": {func(l *ConfigLiteral) {
			l.Roster[0], l.Roster[1] = l.Roster[1], l.Roster[0]
		}, ErrRoster},
		"one member twice": {func(l *ConfigLiteral) {
			l.Roster[1] = l.Roster[0]
			l.Roster[1].Index = 2
		}, ErrRoster},
		"a key cut short":      {func(l *ConfigLiteral) { l.Roster[2].Key.Public = l.Roster[2].Key.Public[:31] }, ErrRoster},
		"an unknown suite":     {func(l *ConfigLiteral) { l.Roster[0].Key.Suite = 77 }, ErrRoster},
		"no enroller":          {func(l *ConfigLiteral) { l.Enroller = nil }, ErrConfig},
		"no base":              {func(l *ConfigLiteral) { l.Bases = nil }, ErrConfig},
		"a base twice":         {func(l *ConfigLiteral) { l.Bases = []Digest{{2}, {2}} }, ErrConfig},
		"too many bases":       {func(l *ConfigLiteral) { l.Bases = make([]Digest, maxBases+1) }, ErrConfig},
		"a task without name":  {func(l *ConfigLiteral) { l.Round.Task = "" }, ErrConfig},
		"a task in capitals":   {func(l *ConfigLiteral) { l.Round.Task = "Demo" }, ErrConfig},
		"a negative norm":      {func(l *ConfigLiteral) { l.Params.Norm = -1 }, ErrOverflow},
		"a dimension of none":  {func(l *ConfigLiteral) { l.Params.Dim = 0 }, ErrDimension},
		"a sum of one device":  {func(l *ConfigLiteral) { l.Params.NMin = 1 }, ErrCohort},
		"a committee of three": {func(l *ConfigLiteral) { l.Params.Members = 3 }, ErrRoster},
	} {
		l := cloneLiteral(w.literal)
		c.change(&l)
		if _, err := NewConfig(l); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// What only signatures can tell, Verify refuses.
func TestRule1_ConfigsNotVerified(t *testing.T) {
	w := lotWorld(t)
	stranger := newKey(w.random)
	if err := w.cfg.Verify(w.pins); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*ConfigLiteral)
		want   error
	}{
		"a population of invented devices": {func(l *ConfigLiteral) { l.Population.Root[0] ^= 1 }, ErrPopulation},
		"more devices than enrolled":       {func(l *ConfigLiteral) { l.Population.Size++ }, ErrPopulation},
		"another task's population":        {func(l *ConfigLiteral) { l.Population = w.enrolled.Sign(w.enroller, "other") }, ErrPopulation},
		"a population of the server's own": {func(l *ConfigLiteral) { l.Population = w.enrolled.Sign(stranger, "demo") }, ErrPopulation},
		"another enroller": {func(l *ConfigLiteral) {
			l.Enroller, l.Population = publicOf(stranger), w.enrolled.Sign(stranger, "demo")
		}, ErrRoster},
		"keys of another round": {func(l *ConfigLiteral) { l.Round.Round++ }, ErrRoster},
		"keys of another task":  {func(l *ConfigLiteral) { l.Round.Task, l.Population = "other", w.enrolled.Sign(w.enroller, "other") }, ErrRoster},
		"keys of another plan":  {func(l *ConfigLiteral) { l.Plan[0] ^= 1 }, ErrRoster},
		"an unsigned round key": {func(l *ConfigLiteral) { l.Roster[3].Key.Signature[0] ^= 1 }, ErrRoster},
		"a round key put in":    {func(l *ConfigLiteral) { l.Roster[3].Key.Public = l.Roster[2].Key.Public }, ErrRoster},
		"a coin of the server's": {func(l *ConfigLiteral) {
			l.Roster[3].Coin = [32]byte{9}
			l.Roster[3].Key.Commit = commitCoin([32]byte{9})
		}, ErrRoster},
		"a member put in": {func(l *ConfigLiteral) { l.Roster[3].Identity = publicOf(stranger) }, ErrRoster},
	} {
		l := cloneLiteral(w.literal)
		c.change(&l)
		cfg, err := NewConfig(l)
		if err != nil {
			t.Errorf("%s: not even a configuration: %v", name, err)
			continue
		}
		if err := cfg.Verify(w.pins); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	pins := w.pins
	pins.Roster = slices.Clone(pins.Roster[:4])
	if err := w.cfg.Verify(pins); !errors.Is(err, ErrRoster) {
		t.Errorf("four pinned of five: %v", err)
	}
}

// cfg binds every field: no two literals share a digest. Shards of a round differ in cfg and share keys and beacon.
func TestConfigDigestBindsEveryField(t *testing.T) {
	w := lotWorld(t)
	seen := map[Digest]string{w.cfg.Digest(): "the round"}
	for name, change := range map[string]func(*ConfigLiteral){
		"shard":      func(l *ConfigLiteral) { l.Round.Shard = 1 },
		"round":      func(l *ConfigLiteral) { l.Round.Round++ },
		"task":       func(l *ConfigLiteral) { l.Round.Task = "other" },
		"plan":       func(l *ConfigLiteral) { l.Plan[31] ^= 1 },
		"bases":      func(l *ConfigLiteral) { l.Bases = l.Bases[:1] },
		"order":      func(l *ConfigLiteral) { slices.Reverse(l.Bases) },
		"dim":        func(l *ConfigLiteral) { l.Params.Dim++ },
		"bound":      func(l *ConfigLiteral) { l.Params.Bound++ },
		"minimum":    func(l *ConfigLiteral) { l.Params.NMin++ },
		"maximum":    func(l *ConfigLiteral) { l.Params.NMax++ },
		"corrupt":    func(l *ConfigLiteral) { l.Params.Corrupt, l.Params.Rho = 2, 1 },
		"rho":        func(l *ConfigLiteral) { l.Params.Rho = 1 },
		"profile":    func(l *ConfigLiteral) { l.Params.Profile = mask.High },
		"enroller":   func(l *ConfigLiteral) { l.Enroller[0] ^= 1 },
		"population": func(l *ConfigLiteral) { l.Population.Root[31] ^= 1 },
		"size":       func(l *ConfigLiteral) { l.Population.Size++ },
		"word":       func(l *ConfigLiteral) { l.Population.Signature[63] ^= 1 },
		"threshold":  func(l *ConfigLiteral) { l.Threshold-- },
		"groups":     func(l *ConfigLiteral) { l.Groups++ },
		"identity":   func(l *ConfigLiteral) { l.Roster[4].Identity[0] ^= 1 },
		"key":        func(l *ConfigLiteral) { l.Roster[4].Key.Public[0] ^= 1 },
		"signature":  func(l *ConfigLiteral) { l.Roster[4].Key.Signature[0] ^= 1 },
		"coin": func(l *ConfigLiteral) {
			l.Roster[4].Coin[0] ^= 1
			l.Roster[4].Key.Commit = commitCoin(l.Roster[4].Coin)
		},
	} {
		l := cloneLiteral(w.literal)
		change(&l)
		cfg, err := NewConfig(l)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if was, ok := seen[cfg.Digest()]; ok {
			t.Errorf("another %s has the digest of %s", name, was)
		}
		seen[cfg.Digest()] = name
		again, err := ParseConfig(cfg.Marshal())
		if err != nil || again.Digest() != cfg.Digest() || again.Beacon() != cfg.Beacon() {
			t.Errorf("another %s: does not come back: %v", name, err)
		}
	}
	sibling := cloneLiteral(w.literal)
	sibling.Round.Shard = 2
	cfg, err := NewConfig(sibling)
	if err != nil || cfg.Beacon() != w.cfg.Beacon() || cfg.Verify(w.pins) != nil {
		t.Errorf("shard 2 of the same round: %v, other beacon or keys", err)
	}
}

// The accessors give what the literal said, and copies: a caller's change reaches no configuration.
func TestConfigIsImmutable(t *testing.T) {
	w := lotWorld(t)
	c := w.cfg
	if c.Threshold() != 3<<62 || c.Groups() != 3 || c.Population().Root != w.enrolled.Root() || len(c.Coins()) != 5 {
		t.Errorf("threshold %d, %d groups, %d coins", c.Threshold(), c.Groups(), len(c.Coins()))
	}
	for j, coin := range c.Coins() {
		if !c.literal.Roster[j].Key.Opens(coin) {
			t.Errorf("coin %d is not member %d's", j, j+1)
		}
	}
	l, p := c.Literal(), c.Population()
	l.Population.Signature[0] ^= 1
	p.Signature[1] ^= 1
	l.Roster[0].Coin[0] ^= 1
	c.Coins()[1][0] ^= 1
	w.literal.Population.Signature[2] ^= 1
	if c.Verify(w.pins) != nil {
		t.Error("a caller changed the configuration")
	}
}

// Every device has one shard of a round, and the lot admits it to that shard or to none, whichever shard's cfg is asked.
func TestRule11_ShardsAgreeOnTheLot(t *testing.T) {
	w := lotWorld(t)
	admitted := 0
	for i := range w.enrolled.Size() {
		id := w.enrolled.ID(i)
		for shard := range uint32(3) {
			l := cloneLiteral(w.literal)
			l.Round.Shard = shard
			cfg := w.config(l)
			if cfg.ShardOf(id) != w.cfg.ShardOf(id) || cfg.ShardOf(id) >= 3 || cfg.Eligible(id) != w.cfg.Eligible(id) {
				t.Fatalf("shard %d thinks otherwise of %v", shard, id)
			}
			if cfg.Eligible(id) && cfg.ShardOf(id) == shard {
				admitted++
			}
		}
	}
	if admitted < 15 || admitted > 39 { // binomial(40, 3/4): outside with less than 2^-16
		t.Errorf("%d of 40 admitted at a threshold of three quarters", admitted)
	}
}
