package mask

import (
	"encoding/binary"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// exp is e^-x at 320 bits, by the series on x/2^k.
func exp(x *big.Float) *big.Float {
	const halvings = 16
	y := new(big.Float).SetPrec(320).Neg(x)
	y.SetMantExp(y, -halvings)
	sum, term := big.NewFloat(1).SetPrec(320), big.NewFloat(1).SetPrec(320)
	for i := 1; i < 60; i++ {
		term.Mul(term, y).Quo(term, big.NewFloat(float64(i)))
		sum.Add(sum, term)
	}
	for range halvings {
		sum.Mul(sum, sum)
	}
	return sum
}

func TestT1_6_Tables(t *testing.T) {
	for _, c := range []struct {
		sigma Sigma
		table [][2]uint64
	}{{Sigma65, table65[:]}, {Sigma70, table70[:]}} {
		if len(c.table) != int(13.3*c.sigma.Value()) || c.sigma.Tail() != len(c.table)+1 {
			t.Errorf("sigma %v: %d entries, tail %d", c.sigma.Value(), len(c.table), c.sigma.Tail())
		}
		weight := make([]*big.Float, 200) // of ±k; beyond 200 it is below 2^-600
		total := new(big.Float).SetPrec(320)
		for k := range weight {
			x := new(big.Float).SetPrec(320).SetInt64(int64(2 * k * k)) // k²/(2·sigma²) with sigma = s/2
			weight[k] = exp(x.Quo(x, new(big.Float).SetInt64(int64(c.sigma)*int64(c.sigma))))
			if k > 0 {
				weight[k].Add(weight[k], weight[k])
			}
			total.Add(total, weight[k])
		}
		tail := new(big.Float).SetPrec(320)
		for k := len(weight) - 1; k > 0; k-- {
			tail.Add(tail, weight[k])
			if k > len(c.table) {
				continue
			}
			scaled := new(big.Float).SetPrec(320).Quo(tail, total)
			scaled.SetMantExp(scaled, 128).Add(scaled, big.NewFloat(0.5))
			want, _ := scaled.Int(nil)
			got := new(big.Int).SetUint64(c.table[k-1][0])
			got.Lsh(got, 64).Or(got, new(big.Int).SetUint64(c.table[k-1][1]))
			if got.Cmp(want) != 0 {
				t.Errorf("sigma %v: t_%d = %x, want %x", c.sigma.Value(), k, got, want)
			}
		}
	}
}

// The sampler against the definition, one sample at a time, at random points and around every table entry.
func TestT1_6_MagnitudeIsInversion(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 6))
	for _, c := range []struct {
		sigma Sigma
		table [][2]uint64
	}{{Sigma65, table65[:]}, {Sigma70, table70[:]}} {
		var points [][2]uint64
		for _, e := range c.table {
			for d := -2; d <= 2; d++ {
				points = append(points, [2]uint64{e[0], e[1] + uint64(d)}, [2]uint64{e[0] + uint64(d), e[1]})
			}
		}
		for len(points)%group != 0 || len(points) < 20_000 {
			points = append(points, [2]uint64{rng.Uint64() >> rng.IntN(65), rng.Uint64() >> rng.IntN(65)})
		}
		s := newSampler(c.sigma, [32]byte{})
		for ; len(points) > 0; points = points[group:] {
			var random [groupBytes]byte
			signs := rng.Uint64()
			for i, u := range points[:group] { // complements in planes, lowest bit first
				for b := range 128 {
					random[8*b+i/8] |= byte(^u[1-b/64]>>(b%64)&1) << (i % 8)
				}
			}
			binary.LittleEndian.PutUint64(random[8*128:], signs)
			var got [group]int64
			s.fillGroup(&got, &random)
			for i, u := range points[:group] {
				want := int64(0)
				for _, e := range c.table {
					if u[0] < e[0] || u[0] == e[0] && u[1] < e[1] {
						want++
					}
				}
				if signs>>i&1 == 1 {
					want = -want
				}
				if got[i] != want {
					t.Fatalf("sigma %v: %#x gives %d, want %d", c.sigma.Value(), u, got[i], want)
				}
			}
		}
	}
}

// Mean, deviation and shape over 2^22 samples. False rejection for a fresh key: the mean leaves ±0.01 (3.1 of its deviations) with
// probability below 2^-8, the deviation (4.4 of its own) below 2^-16, chi-square its limit below e^-21; the key is fixed, so the test is not flaky.
func TestT1_6_Distribution(t *testing.T) {
	const n = 1 << 22
	for _, sigma := range []Sigma{Sigma65, Sigma70} {
		s := newSampler(sigma, [32]byte{6, byte(sigma)})
		counts := make(map[int64]float64)
		dst := make([]int64, 1<<12)
		sum, squares := 0.0, 0.0
		for range n / len(dst) {
			s.fill(dst)
			for _, v := range dst {
				counts[v]++
				sum += float64(v)
				squares += float64(v * v)
			}
		}
		mean := sum / n
		std := math.Sqrt(squares/n - mean*mean)
		if math.Abs(mean) > 0.01 || math.Abs(std-sigma.Value()) > 0.01 {
			t.Errorf("sigma %v: mean %.4f, deviation %.4f", sigma.Value(), mean, std)
		}
		total := 0.0
		for k := -200; k <= 200; k++ {
			total += math.Exp(-float64(k*k) / (2 * square(sigma.Value())))
		}
		chi, bins, seen, expectedSeen := 0.0, 0, 0.0, 0.0
		for k := int64(-28); k <= 28; k++ {
			want := n * math.Exp(-float64(k*k)/(2*square(sigma.Value()))) / total
			chi += square(counts[k]-want) / want
			bins++
			seen += counts[k]
			expectedSeen += want
		}
		chi += square(n-seen-(n-expectedSeen)) / (n - expectedSeen)
		const x = 21
		if limit := float64(bins) + 2*math.Sqrt(float64(bins)*x) + 2*x; chi > limit {
			t.Errorf("sigma %v: chi-square %.1f over %d degrees, limit %.1f", sigma.Value(), chi, bins, limit)
		}
	}
}

// T1.6: the generated comparisons are straight lines. Besides declarations they hold nothing but assignments of ANDs and ORs of
// variables and of constant places of their arguments: no branch, no loop, no call, no index that is computed.
func TestT1_6_ComparisonsAreStraightLines(t *testing.T) {
	for _, file := range []string{"compare65.go", "compare70.go"} {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil || len(parsed.Decls) != 1 || len(parsed.Imports) != 0 {
			t.Fatalf("%s: not a single function (%v)", file, err)
		}
		body := parsed.Decls[0].(*ast.FuncDecl).Body.List
		for _, s := range body[2:] { // after the declarations of w, x, y, v and z
			assign, ok := s.(*ast.AssignStmt)
			if !ok || len(assign.Lhs) != 1 || len(assign.Rhs) != 1 || !straight(assign.Lhs[0]) || !straight(assign.Rhs[0]) {
				t.Fatalf("%s: %T", file, s)
			}
		}
		if len(body) < 1000 {
			t.Errorf("%s: only %d statements", file, len(body))
		}
	}
}

func straight(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return true
	case *ast.ParenExpr:
		return straight(e.X)
	case *ast.IndexExpr:
		at, ok := e.Index.(*ast.BasicLit)
		return ok && at.Kind == token.INT && straight(e.X)
	case *ast.BinaryExpr:
		return (e.Op == token.AND || e.Op == token.OR) && straight(e.X) && straight(e.Y)
	}
	return false
}

// T1.6, T2.12: the functions that touch s, e or m hold no branch but their loops, and no table index that depends on them:
// every index is a loop variable.
func TestT1_6_NoSecretBranches(t *testing.T) {
	want := map[string]string{
		"sampler.go":   "fillGroup transpose8",
		"compare65.go": "compare65",
		"compare70.go": "compare70",
		"mask.go":      "addAndSwitch modSwitch lift",
		"pair.go":      "addAndSwitch add wire",
	}
	for file, names := range want {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, d := range parsed.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !containsWord(names, f.Name.Name) {
				continue
			}
			found++
			loopVars := map[string]bool{}
			ast.Inspect(f.Body, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.IfStmt, *ast.SwitchStmt, *ast.SelectStmt, *ast.BranchStmt:
					t.Errorf("%s: %s branches", file, f.Name.Name)
				case *ast.BinaryExpr:
					if n.Op == token.LAND || n.Op == token.LOR || n.Op == token.QUO || n.Op == token.REM {
						t.Errorf("%s: %s uses %v", file, f.Name.Name, n.Op)
					}
				case *ast.RangeStmt:
					if key, ok := n.Key.(*ast.Ident); ok {
						loopVars[key.Name] = true
					}
				case *ast.ForStmt:
					if init, ok := n.Init.(*ast.AssignStmt); ok {
						loopVars[init.Lhs[0].(*ast.Ident).Name] = true
					}
				case *ast.IndexExpr:
					checkPublic(t, n.Index, loopVars)
				case *ast.SliceExpr:
					checkPublic(t, n.Low, loopVars)
				}
				return true
			})
		}
		if found == 0 {
			t.Errorf("%s: none of %s found", file, names)
		}
	}
}

// checkPublic fails the test unless an index is made of constants and loop variables only.
func checkPublic(t *testing.T, index ast.Expr, loopVars map[string]bool) {
	t.Helper()
	if index == nil {
		return
	}
	ast.Inspect(index, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && !loopVars[id.Name] {
			t.Errorf("an index depends on %s", id.Name)
		}
		return true
	})
}

func containsWord(list, word string) bool {
	for i := 0; i+len(word) <= len(list); i++ {
		if list[i:i+len(word)] == word && (i == 0 || list[i-1] == ' ') && (i+len(word) == len(list) || list[i+len(word)] == ' ') {
			return true
		}
	}
	return false
}
