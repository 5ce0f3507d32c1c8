package run

// Evaluation is a table: recommenders by metrics, measured on the same people.
type Evaluation struct {
	Split   string      `json:"split"` // "test" or "validation"
	Users   int         `json:"users"`
	Metrics []Metric    `json:"metrics"`
	Rows    []Measured  `json:"rows"` // the run's model first
	Groups  []Breakdown `json:"groups,omitempty"`
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
}

// Group is one line of a breakdown.
type Group struct {
	Label string `json:"label"`
	Users int    `json:"users"`
	NDCG  Value  `json:"ndcg10"`
	HR    Value  `json:"hr10"`
}
