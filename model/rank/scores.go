package rank

import "fmt"

// Scores writes the score of every item, the very number that Top ranks by;
// len(out) must be Items. Where only the best are wanted, Top takes a fraction
// of the time.
func (x *Index) Scores(query, out []float32) error {
	if len(query) != x.dim || len(out) != x.items {
		return fmt.Errorf("rank: room for %d scores and a query of %d numbers, want %d and %d", len(out), len(query), x.items, x.dim)
	}
	if !(norm(query) <= limit) {
		return fmt.Errorf("rank: the query is not finite or too large")
	}
	wide := make([]float64, x.dim)
	for j, q := range query {
		wide[j] = float64(q)
	}
	for i := range out {
		out[i] = x.wideScore(wide, i)
	}
	return nil
}

// wideScore is score for a query that is float64 already: the same sums in the
// same order.
func (x *Index) wideScore(query []float64, item int) float32 {
	row := x.row(item)
	q := query[:len(row)]
	var s0, s1, s2, s3 float64
	j := 0
	for ; j+4 <= len(row); j += 4 {
		s0 += q[j] * float64(row[j])
		s1 += q[j+1] * float64(row[j+1])
		s2 += q[j+2] * float64(row[j+2])
		s3 += q[j+3] * float64(row[j+3])
	}
	for ; j < len(row); j++ {
		s0 += q[j] * float64(row[j])
	}
	sum := (s0 + s1) + (s2 + s3)
	if x.bias != nil {
		sum += float64(x.bias[item])
	}
	return float32(sum)
}
