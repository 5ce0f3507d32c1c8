package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tutti/model/run"
)

// TestTrainView: what is drawn is taken away again, line for line and from the first column, and no oftener than the eye
// sees.
func TestTrainView(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "terminal"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var screen bytes.Buffer
	v := &trainView{out: &screen, term: file, steps: 100, started: time.Now().Add(-time.Minute)}
	for step := 1; step <= 10; step++ {
		v.keep(run.Record{Step: step, Epoch: float64(step), Loss: 1 / float64(step), Validation: &run.Validation{NDCG: 0.1 * float64(step), Best: true}})
	}
	v.draw()
	lines := strings.Count(screen.String(), "\n")
	if lines < plotHeight || lines != v.lines {
		t.Fatalf("%d lines, %d are known:\n%s", lines, v.lines, &screen)
	}
	screen.Reset()
	v.erase()
	if want := fmt.Sprintf("\r\x1b[%dA\x1b[J", lines); screen.String() != want || v.lines != 0 {
		t.Errorf("%q, want %q", &screen, want)
	}
	screen.Reset()
	v.drawn = time.Now().Add(time.Hour)
	v.record(run.Record{Step: 11})
	if screen.Len() > 0 {
		t.Errorf("drawn again at once:\n%s", &screen)
	}
	for _, width := range []int{20, 59, 79, 200} {
		for _, line := range v.block(width) {
			if n := len([]rune(line)); n > width {
				t.Errorf("%d columns, want at most %d: %q", n, width, line)
			}
		}
	}
	if last := v.block(59); !strings.Contains(last[len(last)-1], " left: loss ") {
		t.Errorf("a narrow screen does not tell how long it takes: %q", last[len(last)-1])
	}
}
