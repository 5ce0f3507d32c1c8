package main

import (
	"fmt"
	"math"
	"strings"
)

// plot draws a curve in Braille dots, two by four in a character, beneath a title and beside its scale.
func plot(title string, values []float64, width, height int) []string {
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		low, high = min(low, v), max(high, v)
	}
	top, bottom := scale(high), scale(low)
	label := max(len(top), len(bottom))
	cols := max(4, width-label-1)
	cells := make([][]rune, height)
	for y := range cells {
		cells[y] = make([]rune, cols)
	}
	across, down := 2*cols, 4*height
	before := -1
	for x := range across {
		if len(values) == 0 {
			break
		}
		y := row(values[min(len(values)-1, x*len(values)/across)], low, high, down)
		from, to := y, y
		if before >= 0 { // join steep parts
			from, to = min(y, before), max(y, before)
		}
		for dot := from; dot <= to; dot++ {
			cells[dot/4][x/2] |= brailleDot[x%2][dot%4]
		}
		before = y
	}
	out := []string{fmt.Sprintf("%-*s", width, fit(title, width))}
	for y, line := range cells {
		var b strings.Builder
		mark := ""
		if y == 0 {
			mark = top
		} else if y == height-1 {
			mark = bottom
		}
		fmt.Fprintf(&b, "%*s ", label, mark)
		for _, c := range line {
			b.WriteRune(0x2800 + c)
		}
		out = append(out, b.String())
	}
	return out
}

// brailleDot are the bits of U+2800 and following by column and row.
var brailleDot = [2][4]rune{{0x01, 0x02, 0x04, 0x40}, {0x08, 0x10, 0x20, 0x80}}

// row is the dot of a value, 0 at the top.
func row(v, low, high float64, dots int) int {
	if !(high > low) {
		return dots / 2
	}
	return min(dots-1, max(0, int(math.Round(float64(dots-1)*(high-v)/(high-low)))))
}

func scale(v float64) string {
	switch {
	case math.IsInf(v, 0) || math.IsNaN(v):
		return ""
	case math.Abs(v) >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.4f", v)
}

// fit cuts a line to a number of characters.
func fit(s string, width int) string {
	r := []rune(s)
	if len(r) <= width {
		return s
	}
	return string(r[:max(0, width-1)]) + "…"
}
