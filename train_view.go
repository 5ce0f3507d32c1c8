package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"tutti/model/run"
)

// trainView shows a run as it goes: two curves that redraw themselves on a terminal, lines now and then in a pipe.
type trainView struct {
	out   io.Writer
	term  *os.File // nil in a pipe
	steps int
	begun int // step at which this process took over

	loss, quality []float64
	best          run.Record
	last          run.Record
	started       time.Time
	said, drawn   time.Time
	lines         int // of the block on the screen
}

// plain shows what needs no bars.
func (a *app) plain() *ui {
	if a.json {
		return &ui{out: a.err}
	}
	return &ui{out: a.out}
}

// width is how many columns a terminal has, 0 elsewhere.
func (u *ui) width() int {
	f, ok := u.out.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// redrawEvery bounds how often the terminal is written to.
const redrawEvery = 150 * time.Millisecond

func (a *app) newTrainView(steps, begun int, log []run.Record) *trainView {
	v := &trainView{out: a.out, steps: steps, begun: begun, started: time.Now()}
	v.said = v.started
	if a.json {
		v.out = a.err
	}
	if f, ok := v.out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		v.term = f
	}
	for _, r := range log {
		v.keep(r)
	}
	return v
}

// say prints a line that stays.
func (v *trainView) say(format string, args ...any) {
	v.erase()
	fmt.Fprintf(v.out, format+"\n", args...)
	v.draw()
}

func (v *trainView) keep(r run.Record) {
	v.last = r
	v.loss = append(v.loss, r.Loss)
	if r.Validation != nil {
		v.quality = append(v.quality, r.Validation.NDCG)
		if r.Validation.Best {
			v.best = r
		}
	}
}

// record takes in a line of the log.
func (v *trainView) record(r run.Record) {
	v.keep(r)
	if v.term != nil {
		v.step(r.Step)
		return
	}
	if r.Validation == nil && time.Since(v.said) < sayEvery {
		return
	}
	v.said = time.Now()
	fmt.Fprintf(v.out, "  %s\n", v.line(r.Step))
}

// step is told after every step.
func (v *trainView) step(step int) {
	if v.term == nil || time.Since(v.drawn) < redrawEvery {
		return
	}
	v.last.Step = step
	v.draw()
}

// line is where training stands, in words.
func (v *trainView) line(step int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "step %d of %d", step, v.steps)
	if left, ok := v.left(step); ok {
		fmt.Fprintf(&b, ", about %s left", left)
	}
	fmt.Fprintf(&b, ": loss %.3f", v.last.Loss)
	if n := v.last.Validation; n != nil && v.term == nil {
		fmt.Fprintf(&b, ", NDCG@10 %.4f", n.NDCG)
		if n.Best {
			b.WriteString(" (best)")
		}
	}
	if v.best.Validation != nil && v.term != nil {
		fmt.Fprintf(&b, ", best NDCG@10 %.4f at step %d", v.best.Validation.NDCG, v.best.Step)
	}
	fmt.Fprintf(&b, ", epoch %.1f", v.last.Epoch)
	return b.String()
}

// left is how long it takes to the last step, at the pace of this process.
func (v *trainView) left(step int) (time.Duration, bool) {
	done := step - v.begun
	if done < 1 || step >= v.steps {
		return 0, false
	}
	d := time.Duration(float64(time.Since(v.started)) / float64(done) * float64(v.steps-step))
	return d.Round(time.Second), true
}

// Size of a curve on the screen.
const (
	plotHeight   = 6
	plotMaxWidth = 56
)

func (v *trainView) draw() {
	if v.term == nil || v.last.Step == 0 {
		return
	}
	width, _, err := term.GetSize(int(v.term.Fd()))
	if err != nil || width < 20 {
		width = 80
	}
	v.drawn = time.Now()
	lines := v.block(width - 1)
	fmt.Fprint(v.out, v.away()+strings.Join(lines, "\n")+"\n") // at once, so that it does not flicker
	v.lines = len(lines)
}

// block is the picture: the curves beside each other, or one above the other where there is no room.
func (v *trainView) block(width int) []string {
	each := min(plotMaxWidth, (width-3)/2)
	beside := each >= 30
	if !beside {
		each = min(plotMaxWidth, width)
	}
	var out []string
	if len(v.loss) > 1 {
		out = plot("training loss", v.loss, each, plotHeight)
	}
	if len(v.quality) > 1 {
		right := plot("validation NDCG@10", v.quality, each, plotHeight)
		if beside && len(out) == len(right) {
			for i := range out {
				out[i] += "   " + right[i]
			}
		} else {
			out = append(out, right...)
		}
	}
	return append(out, fit(v.line(v.last.Step), width))
}

// erase takes the block off the screen.
func (v *trainView) erase() {
	fmt.Fprint(v.out, v.away())
	v.lines = 0
}

// away takes the block off the screen from its first column on: Ctrl-C leaves the cursor behind a ^C.
func (v *trainView) away() string {
	if v.lines == 0 {
		return ""
	}
	return fmt.Sprintf("\r\x1b[%dA\x1b[J", v.lines)
}
