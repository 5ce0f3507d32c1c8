package dataset

import (
	"encoding/json"
	"errors"
	"hash/fnv"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
)

// columnValues is Rows of a few named columns.
type columnValues map[string][]Value

func (t columnValues) Len() int {
	for _, values := range t {
		return len(values)
	}
	return 0
}

func (t columnValues) Value(row int, column string) Value {
	if values := t[column]; values != nil {
		return values[row]
	}
	return Value{}
}

func fitOne(t *testing.T, c Column, training []int, values ...Value) (*Encoder, [][]float32) {
	t.Helper()
	rows := columnValues{c.Name: values}
	e, err := Schema{c}.Fit(rows, training)
	if err != nil {
		t.Fatalf("%s: %v", c.Kind, err)
	}
	matrix, err := e.Matrix(rows)
	if err != nil {
		t.Fatalf("%s: %v", c.Kind, err)
	}
	split := make([][]float32, len(values))
	for i := range split {
		split[i] = matrix[i*e.Dim() : (i+1)*e.Dim()]
	}
	return e, split
}

func wantRows(t *testing.T, name string, got [][]float32, want ...[]float32) {
	t.Helper()
	for i := range want {
		same := len(got[i]) == len(want[i])
		for j := 0; same && j < len(want[i]); j++ {
			same = math.Abs(float64(got[i][j]-want[i][j])) < 1e-6
		}
		if !same {
			t.Errorf("%s: row %d is %v, want %v", name, i, got[i], want[i])
		}
	}
}

func wantNames(t *testing.T, e *Encoder, want ...string) {
	t.Helper()
	if got := e.Names(); !slices.Equal(got, want) || len(got) != e.Dim() {
		t.Errorf("%d features %q, want %q", e.Dim(), got, want)
	}
}

func TestLabelColumns(t *testing.T) {
	e, rows := fitOne(t, Column{Name: "c", Kind: Categorical, Missing: true, Other: true, MinCount: 2, Norm: 0.5}, nil,
		Labels("b"), Labels("a"), Labels("a"), Labels("b"), Labels("rare"), Labels(""))
	wantNames(t, e, "c a", "c b", "c (other)", "c (missing)")
	wantRows(t, "categorical", rows, []float32{0, .5, 0, 0}, []float32{.5, 0, 0, 0}, []float32{.5, 0, 0, 0}, []float32{0, .5, 0, 0}, []float32{0, 0, .5, 0}, []float32{0, 0, 0, .5})

	e, rows = fitOne(t, Column{Name: "g", Kind: MultiHot, Size: 2}, nil,
		Labels("x", "y"), Labels("y", "y", "z"), Labels("y", "x"), Value{})
	wantNames(t, e, "g x", "g y") // the two most frequent
	wantRows(t, "multi-hot", rows, []float32{1, 1}, []float32{0, 1}, []float32{1, 1}, []float32{0, 0})

	_, rows = fitOne(t, Column{Name: "h", Kind: Hashed, Size: 8, Hashes: 2}, nil, Labels("x"), Labels("x", "x"), Labels("x"))
	for i, n := range []float32{2, 4, 2} {
		sum := float32(0)
		for _, v := range rows[i] {
			sum += v
		}
		if sum != n {
			t.Errorf("hashed: row %d adds up to %v, want %v", i, sum, n)
		}
	}
}

func TestNumberColumns(t *testing.T) {
	nan := Number(math.NaN())
	_, rows := fitOne(t, Column{Name: "s", Kind: Standardised, Missing: true}, []int{0, 1, 2, 3},
		Number(2), Number(4), Number(2), Number(4), Number(1e9), nan)
	wantRows(t, "standardised", rows, []float32{-1, 0}, []float32{1, 0}, []float32{-1, 0}, []float32{1, 0}, []float32{8, 0}, []float32{0, 1})
	_, rows = fitOne(t, Column{Name: "s", Kind: Standardised}, nil, Number(3), Number(3))
	wantRows(t, "constant number", rows, []float32{0}, []float32{0})

	e, rows := fitOne(t, Column{Name: "q", Kind: Quantiles, Size: 4, Missing: true}, []int{0, 1, 2, 3, 4, 5, 6, 7},
		Number(0), Number(1), Number(2), Number(3), Number(4), Number(5), Number(6), Number(7), Number(-100), Number(3.9), nan)
	wantNames(t, e, "q below 2", "q from 2", "q from 4", "q from 6", "q (missing)")
	for i, bucket := range []int{0, 0, 1, 1, 2, 2, 3, 3, 0, 1, 4} {
		want := make([]float32, 5)
		want[bucket] = 1
		wantRows(t, "quantiles", rows[i:], want)
	}
	e, rows = fitOne(t, Column{Name: "q", Kind: Quantiles, Size: 4}, nil, Number(1), Number(1), Number(1), Number(1), Number(9))
	wantNames(t, e, "q (any)") // equal numbers cannot be told apart
	wantRows(t, "repeated", rows, []float32{1}, []float32{1})

	_, rows = fitOne(t, Column{Name: "r", Kind: Radial, Size: 3, First: 10, Step: 5, Norm: 1}, nil, Number(15), Value{})
	side, middle := math.Exp(-0.5), 1.0
	length := math.Sqrt(2*side*side + 1)
	wantRows(t, "radial", rows, []float32{float32(side / length), float32(middle / length), float32(side / length)}, []float32{0, 0, 0})
}

func TestTextAndDenseColumns(t *testing.T) {
	e, rows := fitOne(t, Column{Name: "t", Kind: Text, Size: 4096, IDF: true, Norm: 1}, []int{0, 1, 2},
		Words("The Piano"), Words("the Lantern, the river"), Words("THE harbor"), Words("piano"), Words("never met"), Words("!?"))
	weights := map[string]float32{}
	for word, row := range map[string]int{"piano": 3} {
		sum := hashOf(word)
		weights[word] = rows[row][sum%4096]
	}
	if w := weights["piano"]; !(math.Abs(math.Abs(float64(w))-1) <= 1e-6) {
		t.Errorf("a word alone has all the weight: %v", w)
	}
	the, piano := rows[0][hashOf("the")%4096], rows[0][hashOf("piano")%4096]
	if ratio := math.Abs(float64(piano / the)); !(math.Abs(ratio-(math.Log(4.0/2)+1)) <= 1e-5) {
		t.Errorf("a rare word weighs %v times a word of every row, want %v", ratio, math.Log(2)+1)
	}
	if rows[4][hashOf("never")%4096] == 0 || slices.ContainsFunc(rows[5], func(v float32) bool { return v != 0 }) {
		t.Error("a word that was never met counts; signs do not")
	}
	if e.Dim() != 4096 {
		t.Errorf("%d features", e.Dim())
	}
	_, rows = fitOne(t, Column{Name: "t", Kind: Text, Size: 4096, MinGram: 3, MaxGram: 4, Norm: 1}, nil, Words("terminator"), Words("terminators"), Words("piano"))
	if near, far := dot(rows[0], rows[1]), dot(rows[0], rows[2]); near < 0.7 || far > 0.2 {
		t.Errorf("n-grams: like words have similarity %.2f, unlike ones %.2f", near, far)
	}
	_, rows = fitOne(t, Column{Name: "d", Kind: Dense, Size: 2, Norm: 2, Missing: true}, nil, Vector([]float32{3, 4}), Vector(nil))
	wantRows(t, "dense", rows, []float32{1.2, 1.6, 0}, []float32{0, 0, 2})
}

func dot(a, b []float32) float64 {
	sum := 0.0
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

// TestFitSeesTrainingRowsOnly changes everything else, and nothing may change.
func TestFitSeesTrainingRowsOnly(t *testing.T) {
	schema := Schema{
		{Name: "label", Kind: MultiHot}, {Name: "number", Kind: Standardised}, {Name: "price", Kind: Quantiles, Size: 3},
		{Name: "text", Kind: Text, Size: 64, MinGram: 2, MaxGram: 3, IDF: true},
	}
	rows := columnValues{
		"label":  {Labels("a"), Labels("b", "a"), Labels("c"), Labels("d")},
		"number": {Number(1), Number(2), Number(3), Number(4)},
		"price":  {Number(1), Number(2), Number(3), Number(4)},
		"text":   {Words("one"), Words("two"), Words("three"), Words("four")},
	}
	encode := func() string {
		e, err := schema.Fit(rows, []int{0, 2, 1})
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	before := encode()
	rows["label"][3], rows["number"][3], rows["price"][3], rows["text"][3] = Labels("a", "z"), Number(1e6), Number(-50), Words("one one two")
	if after := encode(); after != before {
		t.Errorf("a row that is not for training changed\n%s\nto\n%s", before, after)
	}
	rows["number"][2] = Number(5)
	if after := encode(); after == before {
		t.Error("a training row changed nothing")
	}
}

// TestFeaturesAreThoseOfTheFirstVersion: published models were trained on them,
// so they stay the same to the bit.
func TestFeaturesAreThoseOfTheFirstVersion(t *testing.T) {
	data, err := Generate(GeneratorConfig{Users: 20, Items: 900, Seed: 4, MeanLength: 45, MedianLength: 30})
	if err != nil {
		t.Fatal(err)
	}
	check := func(name string, c *Catalogue) {
		dim, rows := c.Features()
		wantDim, want := featuresByHand(c)
		if dim != wantDim || !slices.Equal(rows, want) {
			t.Errorf("%s: the features have changed", name)
		}
	}
	check("generated", data.Catalogue)
	check("empty", NewCatalogue([]Item{{ID: 1, Title: "x"}}))
	const folder = "../../../shared/data/ml-1m"
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s is missing: it is real data that is not part of the repository", folder)
	}
	c, err := LoadCatalogue(os.DirFS(folder))
	if err != nil {
		t.Fatal(err)
	}
	check("ml-1m", c)
}

// featuresByHand writes them down without a schema.
func featuresByHand(c *Catalogue) (dim int, rows []float32) {
	var genres []string
	for _, item := range c.Items {
		for _, g := range item.Genres {
			if !slices.Contains(genres, g) {
				genres = append(genres, g)
			}
		}
	}
	slices.Sort(genres)
	half := func(part []float32) {
		square := 0.0
		for _, v := range part {
			square += float64(v) * float64(v)
		}
		for i := range part {
			if square > 0 {
				part[i] = float32(float64(part[i]) / math.Sqrt(square) / 2)
			}
		}
	}
	dim = len(genres) + 8 + 32 + 1
	series := c.seriesOf()
	for i, item := range c.Items {
		genre, years, rest := make([]float32, len(genres)), make([]float32, 8), make([]float32, 32)
		for _, g := range item.Genres {
			genre[slices.Index(genres, g)] = 1
		}
		if item.Year > 0 {
			for j := range years {
				distance := float64(item.Year-1930-j*12) / 12
				years[j] = float32(math.Exp(-distance * distance / 2))
			}
		}
		if series[i] != "" {
			h := fnv.New64a()
			h.Write([]byte(series[i]))
			rest[h.Sum64()%32]++
			rest[h.Sum64()>>32%32]++
		}
		for _, part := range [][]float32{genre, years, rest} {
			half(part)
			rows = append(rows, part...)
		}
		rows = append(rows, 0.5)
	}
	return dim, rows
}

func TestUserSchema(t *testing.T) {
	data := &Dataset{Users: []User{{Gender: "F", Age: 25, Occupation: "10"}, {Gender: "M", Age: 56, Occupation: "16"}, {}}}
	e, err := UserSchema().Fit(data.UserRows(), []int{0, 1})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := e.Matrix(data.UserRows())
	if err != nil {
		t.Fatal(err)
	}
	for i := range data.Users {
		row := rows[i*e.Dim() : (i+1)*e.Dim()]
		if n := dot(row, row); !(math.Abs(n-1) <= 1e-6) {
			t.Errorf("user %d: squared norm %v", i, n)
		}
	}
	unknown := rows[2*e.Dim():]
	for j, name := range e.Names() {
		if want := strings.HasSuffix(name, "(missing)") || name == ColumnConstant; (unknown[j] == 0.5) != want {
			t.Errorf("of a user who told nothing: %s is %v", name, unknown[j])
		}
	}
	if m, f := dot(rows[:e.Dim()], rows[e.Dim():2*e.Dim()]), dot(rows[:e.Dim()], rows[:e.Dim()]); m >= f {
		t.Errorf("two users are as alike (%v) as one and the same (%v)", m, f)
	}
}

func TestTitleColumn(t *testing.T) {
	c := NewCatalogue([]Item{{ID: 1, Title: "Iron Tide"}, {ID: 2, Title: "Iron Tides"}, {ID: 3, Title: "Velvet Orchard"}})
	e, err := Schema{TitleColumn(512)}.Fit(c.Rows(), nil)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := e.Matrix(c.Rows())
	if err != nil {
		t.Fatal(err)
	}
	if near, far := dot(rows[:512], rows[512:1024]), dot(rows[:512], rows[1024:]); near < 0.12 || far > 0.05 {
		t.Errorf("like titles %.3f, unlike titles %.3f", near, far)
	}
}

func TestColumnsRefuse(t *testing.T) {
	for name, c := range map[string]Column{
		"no name":           {Kind: Constant},
		"no kind":           {Name: "a"},
		"size":              {Name: "a", Kind: Quantiles},
		"negative size":     {Name: "a", Kind: MultiHot, Size: -1},
		"too large":         {Name: "a", Kind: Text, Size: maxSize + 1},
		"size of constant":  {Name: "a", Kind: Constant, Size: 3},
		"norm":              {Name: "a", Kind: Constant, Norm: math.NaN()},
		"other of numbers":  {Name: "a", Kind: Standardised, Other: true},
		"hashes":            {Name: "a", Kind: Hashed, Size: 3, Hashes: 3},
		"step":              {Name: "a", Kind: Radial, Size: 3},
		"step of text":      {Name: "a", Kind: Text, Size: 3, Step: 1},
		"grams":             {Name: "a", Kind: Text, Size: 3, MinGram: 4, MaxGram: 3},
		"idf of numbers":    {Name: "a", Kind: Standardised, IDF: true},
		"constant, missing": {Name: "a", Kind: Constant, Missing: true},
	} {
		if _, err := (Schema{c}).Fit(columnValues{}, nil); !errors.Is(err, ErrColumn) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := (Schema{{Name: "a", Kind: Constant}, {Name: "a", Kind: Constant}}).Fit(columnValues{}, nil); !errors.Is(err, ErrColumn) {
		t.Errorf("one name twice: %v", err)
	}
	if _, err := (Schema{}).Fit(columnValues{}, nil); err == nil {
		t.Error("no column")
	}
	for name, wrong := range map[Column]Value{
		{Name: "a", Kind: Categorical}:    Labels("x", "y"),
		{Name: "a", Kind: MultiHot}:       Number(3),
		{Name: "a", Kind: Standardised}:   Words("3"),
		{Name: "a", Kind: Text, Size: 4}:  Labels("3"),
		{Name: "a", Kind: Dense, Size: 3}: Vector([]float32{1}),
		{Name: "a", Kind: Dense, Size: 1}: Vector([]float32{float32(math.Inf(1))}),
	} {
		if _, err := (Schema{name}).Fit(columnValues{"a": {wrong}}, nil); err == nil {
			t.Errorf("%s took %+v", name.Kind, wrong)
		}
	}
	if _, err := (Schema{{Name: "a", Kind: Constant}}).Fit(columnValues{"a": {{}}}, []int{1}); err == nil {
		t.Error("a training row that is not there")
	}
}

func TestEncoderRoundTrip(t *testing.T) {
	e := someEncoder(t)
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseEncoder(b)
	if err != nil {
		t.Fatal(err)
	}
	row := func(column string) Value {
		return map[string]Value{"m": Labels("x", "new"), "s": Number(2.5), "q": Number(3), "t": Words("one two"), "r": Number(1)}[column]
	}
	first, second := make([]float32, e.Dim()), make([]float32, again.Dim())
	if err := errors.Join(e.Row(row, first), again.Row(row, second)); err != nil || !slices.Equal(first, second) || !slices.Equal(e.Names(), again.Names()) {
		t.Errorf("%v: %v became %v", err, first, second)
	}
	if err := e.Row(row, first[1:]); err == nil {
		t.Error("a row that is too short")
	}
	for name, edit := range map[string][2]string{
		"unknown field":     {`"kind"`, `"sort"`},
		"order":             {`"vocabulary":["x","y"]`, `"vocabulary":["y","x"]`},
		"too many labels":   {`"vocabulary":["x","y"]`, `"vocabulary":["x","y","z","z1"]`},
		"edges":             {`"edges":[`, `"edges":[9e9,`},
		"weights":           {`"weights":[`, `"weights":[1,`},
		"a kind's own rule": {`"size":3`, `"size":-3`},
	} {
		changed := strings.Replace(string(b), edit[0], edit[1], 1)
		if changed == string(b) {
			t.Fatalf("%s: nothing to edit in %s", name, b)
		}
		if _, err := ParseEncoder([]byte(changed)); err == nil {
			t.Errorf("%s: was read", name)
		}
	}
	for _, after := range []string{"]", "}", "{}", "x"} {
		if _, err := ParseEncoder(append(slices.Clone(b), after...)); err == nil {
			t.Errorf("%q after the encoder was read over", after)
		}
	}
}

func someEncoder(t testing.TB) *Encoder {
	t.Helper()
	e, err := Schema{
		{Name: "m", Kind: MultiHot, Size: 3, Other: true}, {Name: "s", Kind: Standardised, Missing: true},
		{Name: "q", Kind: Quantiles, Size: 4}, {Name: "t", Kind: Text, Size: 6, IDF: true}, {Name: "r", Kind: Radial, Size: 2, Step: 1},
	}.Fit(columnValues{
		"m": {Labels("x"), Labels("y")}, "s": {Number(1), Number(4)}, "q": {Number(1), Number(4)}, "t": {Words("one"), Words("two")}, "r": {Number(0), {}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func FuzzParseEncoder(f *testing.F) {
	b, err := json.Marshal(someEncoder(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`[{"name":"a","kind":"constant"}]`))
	f.Add([]byte(`[{"name":"a","kind":"text","size":65536},{"name":"b","kind":"dense","size":65536}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := ParseEncoder(data)
		if err != nil {
			return
		}
		row := make([]float32, e.Dim())
		if err := e.Row(func(string) Value { return Value{} }, row); err != nil {
			t.Fatal(err)
		}
		if len(e.Names()) != e.Dim() {
			t.Fatalf("%d names of %d features", len(e.Names()), e.Dim())
		}
		again, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := ParseEncoder(again); err != nil || second.Dim() != e.Dim() {
			t.Fatalf("written and read again: %v", err)
		}
	})
}
