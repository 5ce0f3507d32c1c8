package run

import "fmt"

// Evaluation is a table: recommenders by metrics, measured on the same people.
type Evaluation struct {
	Split   string     `json:"split"` // "test" or "validation"
	Users   int        `json:"users"`
	Metrics []Metric   `json:"metrics"`
	Rows    []Measured `json:"rows"` // the run's model first
	// Groups and Exposure are of the run's model alone.
	Groups   []Breakdown `json:"groups,omitempty"`
	Exposure []Exposure  `json:"exposure,omitempty"`
	// Ratings is how well the model foretells the rating of what came next, where
	// it learned to.
	Ratings *Ratings `json:"ratings,omitempty"`
	Seconds float64  `json:"seconds"`
}

// Ratings compares foretold ratings with those that were given.
type Ratings struct {
	Events int   `json:"events"`
	RMSE   Value `json:"rmse"` // root mean squared error
	MAE    Value `json:"mae"`  // mean absolute error
	// Mean is the RMSE of always saying the mean rating of the training data.
	Mean Value `json:"rmse_of_the_mean"`
}

// Metric is one column.
type Metric struct {
	Name  string `json:"name"`  // such as "NDCG@10"
	Means string `json:"means"` // in one sentence
	// Better is +1 where more is better, -1 where less is, 0 where neither is.
	Better int `json:"better"`
}

// Measured is one recommender.
type Measured struct {
	Name   string  `json:"name"`
	Values []Value `json:"values"` // one for each metric
}

// Value is a number with its 95 % interval; Low == High == Value without one.
type Value struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// Exact is a value without an interval.
func Exact(x float64) Value { return Value{x, x, x} }

// Breakdown is the model's quality by one grouping of the cases.
type Breakdown struct {
	Name string  `json:"name"` // such as "history length"
	Rows []Group `json:"rows"`
	Gap  *Gap    `json:"gap,omitempty"` // nil where fewer than two groups are large enough
}

// Gap is the distance between the best and the worst served group. The extremes
// of many equal groups are apart by chance: an interval above 0 is no proof.
type Gap struct {
	Best  string `json:"best"`
	Worst string `json:"worst"`
	Least int    `json:"least_users"` // groups of fewer take no part
	NDCG  Value  `json:"ndcg10"`      // the difference
}

// String is the gap in words.
func (g Gap) String() string {
	return fmt.Sprintf("Gap in NDCG@10 between %s and %s: %s (%s to %s); groups of %d people or more", g.Best, g.Worst, number(g.NDCG.Value), number(g.NDCG.Low), number(g.NDCG.High), g.Least)
}

// Exposure is how a group of items fares, in shares between 0 and 1.
type Exposure struct {
	Label     string  `json:"label"` // how many people had each of them in training
	Items     int     `json:"items"`
	Catalogue float64 `json:"catalogue"` // of the items
	Had       float64 `json:"had"`       // of what people had in training
	Shown     float64 `json:"shown"`     // of the places in the lists of ten
}

// Group is one line of a breakdown.
type Group struct {
	Label string `json:"label"`
	Users int    `json:"users"`
	NDCG  Value  `json:"ndcg10"`
	HR    Value  `json:"hr10"`
}
