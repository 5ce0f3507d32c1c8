package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
)

// The world of the example: every history is known, so that every true sum is.
const (
	people = 40
	films  = 24
	single = 16 // people with one film: their popularity vector holds one 1 and nothing else
)

// watched is what person p (1 to people) watched, film numbers in the order of time. Person 17 and the others after the
// singles watched four films: each counts 1/2, so that every true popularity is a whole number of halves.
func watched(p int) []int64 {
	if p <= single {
		return []int64{int64(1 + (p-1)%(films/2))}
	}
	var h []int64
	for k := range 4 {
		h = append(h, int64(1+(5*p+k*(1+p%5))%films))
	}
	return h
}

// writePeople writes the world as a MovieLens folder.
func writePeople(dir string) error {
	var movies, ratings bytes.Buffer
	movies.WriteString("movieId,title,genres\n")
	genres := []string{"Drama", "Comedy", "Action|Thriller", "Drama|Romance"}
	for f := 1; f <= films; f++ {
		fmt.Fprintf(&movies, "%d,The Film %c (%d),%s\n", f, 'A'+f-1, 1990+f, genres[f%len(genres)])
	}
	ratings.WriteString("userId,movieId,rating,timestamp\n")
	for p := 1; p <= people; p++ {
		for k, f := range watched(p) {
			fmt.Fprintf(&ratings, "%d,%d,4.0,%d\n", p, f, 1_700_000_000+60*k)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "movies.csv"), movies.Bytes(), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "ratings.csv"), ratings.Bytes(), 0o644)
}

// popularityOf is a person's first vector, by its definition: 1/sqrt(n) for each of n different films.
func popularityOf(items []int32) []float64 {
	v := make([]float64, films)
	for _, i := range items {
		v[i] = 1 / math.Sqrt(float64(len(items)))
	}
	return v
}

// transitionsOf is a person's second vector, by its definition: of the films in the block, two that are d places apart
// add decay^(d-1) to their pair's cell, up to width places; then the whole has length 1.
func transitionsOf(items, block []int32, width int, decay float64) []float64 {
	k := len(block)
	cells := map[[2]int]int{}
	for p := range k {
		for q := p + 1; q < k; q++ {
			cells[[2]int{p, q}] = len(cells)
		}
	}
	v := make([]float64, len(cells))
	var own []int
	for _, i := range items {
		for p, b := range block {
			if b == i {
				own = append(own, p)
			}
		}
	}
	for a := range own {
		for b := a + 1; b < len(own) && b-a <= width; b++ {
			v[cells[[2]int{min(own[a], own[b]), max(own[a], own[b])}]] += math.Pow(decay, float64(b-a-1))
		}
	}
	return scaled(v, 1, true)
}

// scaled brings a vector's length down to limit, or up to it as well.
func scaled(v []float64, limit float64, up bool) []float64 {
	square := 0.0
	for _, x := range v {
		square += x * x
	}
	if norm := math.Sqrt(square); norm > 0 && (up || norm > limit) {
		for i := range v {
			v[i] *= limit / norm
		}
	}
	return v
}
