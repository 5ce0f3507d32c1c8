package main

import (
	"fmt"
	"os"
	"strings"
)

// The picture's plane, in its own units.
const (
	width, height           = 900, 360
	left, right, top, floor = 70, 20, 40, 320
)

// draw draws the server's memory over the rounds: resident as the kernel tells it, and the live heap.
func (f figures) draw(path string) error {
	most := 1.0
	for _, s := range f.Samples {
		most = max(most, float64(s.Resident.Now)/1e6, float64(s.Heap)/1e6)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`, width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/><text x="%d" y="22">Memory of the server over %d rounds (MB)</text>`, width, height, left, len(f.Samples))
	for i := range 5 {
		y := floor - (floor-top)*i/4
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%d" y2="%d" stroke="#ddd"/><text x="%d" y="%d" text-anchor="end">%.0f</text>`, left, width-right, y, y, left-8, y+4, most*float64(i)/4)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d">round 1</text><text x="%d" y="%d" text-anchor="end">round %d</text>`, left, floor+20, width-right, floor+20, len(f.Samples))
	f.line(&b, "#b03a2e", most, func(s sample) uint64 { return s.Resident.Now })
	f.line(&b, "#1f618d", most, func(s sample) uint64 { return s.Heap })
	fmt.Fprintf(&b, `<text x="%d" y="22" fill="#b03a2e">resident</text><text x="%d" y="22" fill="#1f618d">live heap</text></svg>`, width-200, width-110)
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

func (f figures) line(b *strings.Builder, colour string, most float64, of func(sample) uint64) {
	fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="1.5" points="`, colour)
	for i, s := range f.Samples {
		x := left + float64(width-left-right)*float64(i)/float64(max(1, len(f.Samples)-1))
		fmt.Fprintf(b, "%.1f,%.1f ", x, floor-(floor-top)*float64(of(s))/1e6/most)
	}
	b.WriteString(`"/>`)
}
