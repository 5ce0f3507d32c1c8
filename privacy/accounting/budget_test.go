package accounting

import (
	"encoding/json"
	"errors"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// A budget against a plain ledger of what was reserved, spent and given
// back: it never exceeds its total, refuses exactly when it must, and old
// values never change.
func TestBudgetAgainstALedger(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := func(name string) *big.Rat {
			return big.NewRat(rapid.Int64Range(0, 500).Draw(t, name), rapid.SampledFrom([]int64{1, 3, 7, 1000}).Draw(t, "den"))
		}
		total := amount("total")
		b, err := NewBudget(total)
		if err != nil {
			t.Fatal(err)
		}
		spent, open := new(big.Rat), []*big.Rat{}
		reserved := func() *big.Rat {
			sum := new(big.Rat)
			for _, r := range open {
				sum.Add(sum, r)
			}
			return sum
		}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			before, text := b, mustJSON(t, b)
			switch op := rapid.IntRange(0, 3).Draw(t, "op"); {
			case op == 0 || len(open) == 0 && op < 3:
				rho := amount("rho")
				next, err := b.Reserve(rho)
				left := new(big.Rat).Sub(total, new(big.Rat).Add(spent, reserved()))
				var refused *BudgetError
				switch {
				case rho.Cmp(left) <= 0 && err == nil:
					open = append(open, rho)
				case rho.Cmp(left) > 0 && errors.Is(err, ErrBudgetSpent) && errors.As(err, &refused):
					if refused.Needed.Cmp(rho) != 0 || refused.Remaining.Cmp(left) != 0 {
						t.Fatalf("the refusal states %v of %v", refused.Needed, refused.Remaining)
					}
				default:
					t.Fatalf("reserving %v of %v: %v", rho, left, err)
				}
				b = next
			case op == 1:
				if b, err = b.Commit(open[0]); err != nil {
					t.Fatal(err)
				}
				spent.Add(spent, open[0])
				open = open[1:]
			case op == 2:
				if b, err = b.Release(open[0]); err != nil {
					t.Fatal(err)
				}
				open = open[1:]
			case op == 3:
				rho := amount("rho")
				if next, err := b.Spend(rho); err == nil {
					spent.Add(spent, rho)
					b = next
				} else if !errors.Is(err, ErrBudgetSpent) {
					t.Fatal(err)
				}
			}
			if mustJSON(t, before) != text {
				t.Fatal("an old value changed")
			}
			if b.Spent().Cmp(spent) != 0 || b.Reserved().Cmp(reserved()) != 0 || b.Remaining().Sign() < 0 || b.Total().Cmp(total) != 0 {
				t.Fatalf("budget %s, want spent %v, reserved %v", mustJSON(t, b), spent, reserved())
			}
			var read Budget
			if err := json.Unmarshal([]byte(mustJSON(t, b)), &read); err != nil || mustJSON(t, read) != mustJSON(t, b) {
				t.Fatalf("%s is read back as %s, %v", mustJSON(t, b), mustJSON(t, read), err)
			}
		}
	})
}

func mustJSON(t interface{ Fatal(...any) }, b Budget) string {
	text, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestBudgetRefuses(t *testing.T) {
	half := big.NewRat(1, 2)
	if _, err := (Budget{}).Reserve(half); !errors.Is(err, ErrBudgetSpent) {
		t.Errorf("the zero budget reserves: %v", err)
	}
	for _, total := range []*big.Rat{nil, big.NewRat(-1, 2)} {
		if _, err := NewBudget(total); !errors.Is(err, ErrRange) {
			t.Errorf("a budget of %v: %v", total, err)
		}
	}
	b, err := NewBudget(half)
	if err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]func() (Budget, error){
		"no finite claim":      func() (Budget, error) { return b.Reserve(nil) },
		"negative":             func() (Budget, error) { return b.Spend(big.NewRat(-1, 100)) },
		"commit of nothing":    func() (Budget, error) { return b.Commit(half) },
		"release of nothing":   func() (Budget, error) { return b.Release(half) },
		"release of no amount": func() (Budget, error) { return b.Release(nil) },
	} {
		if next, err := try(); !errors.Is(err, ErrRange) || next.Remaining().Cmp(half) != 0 {
			t.Errorf("%s: %v, %v", name, next, err)
		}
	}
	spent, err := b.Spend(half)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := spent.Spend(big.NewRat(1, 1e15)); !errors.Is(err, ErrBudgetSpent) {
		t.Errorf("a spent budget spends: %v", err)
	}
	spent.Spent().SetInt64(0) // what is handed out is a copy
	if spent.Remaining().Sign() != 0 {
		t.Error("a budget can be changed from outside")
	}
	for _, text := range []string{
		`{"total":"1/2","spent":"1/2","reserved":"1/1000"}`, `{"total":"1/2"}`, `{"total":"x","spent":"0/1","reserved":"0/1"}`, `[]`,
	} {
		var read Budget
		if err := json.Unmarshal([]byte(text), &read); err == nil {
			t.Errorf("%s is read as %s", text, mustJSON(t, read))
		}
	}
}
