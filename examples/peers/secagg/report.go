package main

import (
	"fmt"
	"io"
	"math/bits"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
)

// report is all that was found, and the JSON file.
type report struct {
	Machine  string            `json:"machine"`
	Versions map[string]string `json:"versions"`
	Devices  int               `json:"devices"`
	Columns  []column          `json:"dimensions"`
}

// column is one dimension.
type column struct {
	Dim      int             `json:"dim"`
	Ours     []ourFigures    `json:"ours,omitempty"`
	Pairwise []pairFigures   `json:"pairwise,omitempty"`
	BGV      *bgvFigures     `json:"bgv,omitempty"`
	Flower   []flowerFigures `json:"flower,omitempty"`
}

const lost = 0.3 // part of the devices that is gone in the last column of the table

func ms(t float64) string { return fmt.Sprintf("%.2f", 1e3*t) }
func mb(n int64) string   { return fmt.Sprintf("%.0f MB", float64(n)/1e6) }
func mbs(n int) string    { return fmt.Sprintf("%.2f", float64(n)/1e6) }

func seconds(t float64) string {
	if t < 100 {
		return fmt.Sprintf("%.2f s", t)
	}
	return fmt.Sprintf("%.0f s", t)
}

// extrapolated marks a figure that nobody measured.
func extrapolated(s string) string { return "~" + s + " x" }

func power(n int) string {
	if n&(n-1) == 0 {
		return fmt.Sprintf("2^%d", bits.Len(uint(n))-1)
	}
	return fmt.Sprint(n)
}

func (r *report) print(out io.Writer) {
	fmt.Fprintf(out, "%s, %s", r.Machine, time.Now().Format(time.DateOnly))
	for _, name := range []string{"flwr", "numpy", "python"} {
		if v := r.Versions[name]; v != "" {
			fmt.Fprintf(out, ", %s %s", name, v)
		}
	}
	fmt.Fprintf(out, "\nOne core, processor time. n = %d devices, 16-bit coordinates; ours: m = %d, c = %d, rho = %d, c+rho = %d answers needed.\n",
		r.Devices, members, corrupt, rho, corrupt+rho)
	for _, c := range r.Columns {
		t := newTable(out, fmt.Sprintf("%s coordinates", power(c.Dim)))
		t.AppendHeader(table.Row{"scheme", "client ms", "upload MB", "server ms\nper upload", "server ms\nto open the sum", "server ms per\ndropped client",
			fmt.Sprintf("server, n = %d,\nnone dropped", r.Devices), fmt.Sprintf("server, n = %d,\n%.0f %% dropped", r.Devices, 100*lost), "memory"})
		c.rows(t, r.Devices)
		t.Render()
	}
	r.committee(out)
	fmt.Fprintln(out, notes)
}

func newTable(out io.Writer, title string) table.Writer {
	t := table.NewWriter()
	t.SetOutputMirror(out)
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = 0
	t.SetTitle(title)
	return t
}

const notes = `r  replayed: 12 really sealed uploads, over and over; every one is parsed, verified, checked and folded again each time.
x  extrapolated from the measured costs of one device: nobody ran so many; > where the measured line is a bound from below.
Client and opening: the best of several; per upload: the median. Ours opens the sum of the 12 distinct uploads, which no n changes but
by the reading of n entries. Memory of ours: peak of a process that does the server's part alone, and what it had before the first upload.
Pairwise: two coordinates in a 64-bit word, AES-128-CTR, X25519, Shamir with threshold k/2+1; what is needed before, between and after
the upload is in the client's time and bytes, waiting is not. A dropped client is one that shared its keys and sent no vector.
BGV: N = 2^13, Q of 108 bits, 9 parties, all of them needed; per upload: parse and add. Opening: the server's part with all shares there.
Flower: its own client and server code, 16-bit quantisation, int64 on the wire; clients of a round share one process, whose memory is given.`

func (c column) rows(t table.Writer, n int) {
	count := float64(n)
	for _, f := range c.Ours {
		s := f.Server
		t.AppendRow(table.Row{fmt.Sprintf("ours, %s, %d bits", f.Variant, f.WordBits), ms(f.ClientSeconds), mbs(f.UpBytes), fmt.Sprintf("%s r (fold %s)", ms(s.upload()), ms(s.Fold)),
			ms(s.Unmask), "0", seconds(s.Total+s.Unmask) + " r", extrapolated(seconds((1-lost)*s.Total + s.Unmask)),
			fmt.Sprintf("%s (%s)", mb(s.Peak), mb(s.Start))})
	}
	t.AppendSeparator()
	for _, f := range c.Pairwise {
		t.AppendRow(table.Row{fmt.Sprintf("pairwise masks, k = %d", f.Neighbours), ms(f.ClientSeconds), mbs(f.UpBytes), ms(f.AddSeconds),
			extrapolated(ms(count * f.PresentSeconds)), ms(f.DroppedSeconds), extrapolated(seconds(count * (f.AddSeconds + f.PresentSeconds))),
			extrapolated(seconds(count * ((1-lost)*(f.AddSeconds+f.PresentSeconds) + lost*f.DroppedSeconds))), "-"})
	}
	t.AppendSeparator()
	if f := c.BGV; f != nil {
		t.AppendRow(table.Row{"BGV, collective key, lattigo", ms(f.ClientSeconds), mbs(f.UpBytes), ms(f.AddSeconds), ms(f.DecryptSeconds), "0",
			extrapolated(seconds(count*f.AddSeconds + f.DecryptSeconds)), extrapolated(seconds((1-lost)*count*f.AddSeconds + f.DecryptSeconds)), "-"})
	}
	t.AppendSeparator()
	for _, f := range c.Flower {
		t.AppendRow(table.Row{fmt.Sprintf("Flower SecAgg+, k = %d, %d clients", f.Neighbours, f.Clients), ms(f.Client), mbs(f.UpBytes), ms(f.Upload),
			fmt.Sprintf("%s (%d lost)", ms(f.Unmask), f.Dropped), ms(f.Lost), extrapolated(seconds(count * (f.Upload + f.Present))),
			extrapolated(seconds(count * ((1-lost)*(f.Upload+f.Present) + lost*f.Lost))), mb(f.Peak)})
	}
	if k := len(c.Flower) - 1; k > 0 && c.Flower[k].Neighbours > 2*c.Flower[0].Neighbours {
		t.AppendRow(c.Flower[0].beyond(c.Flower[k], 746, count))
	}
}

// beyond extends the line through two measured graphs to k neighbours: a bound from below, because shares cost k^2.
func (f flowerFigures) beyond(g flowerFigures, k int, count float64) table.Row {
	line := func(x, y float64) float64 {
		return x + (y-x)*float64(k-f.Neighbours)/float64(g.Neighbours-f.Neighbours)
	}
	present, gone := line(f.Present, g.Present), line(f.Lost, g.Lost)
	atLeast := func(s string) string { return ">" + s + " x" }
	return table.Row{fmt.Sprintf("Flower SecAgg+, k = %d", k), atLeast(ms(line(f.Client, g.Client))),
		extrapolated(mbs(int(line(float64(f.UpBytes), float64(g.UpBytes))))), extrapolated(ms(g.Upload)), atLeast(ms(count * present)), atLeast(ms(gone)),
		atLeast(seconds(count * (g.Upload + present))), atLeast(seconds(count * ((1-lost)*(g.Upload+present) + lost*gone))), "-"}
}

// committee prints what the members of ours and the parties of BGV do.
func (r *report) committee(out io.Writer) {
	if len(r.Columns) == 0 {
		return
	}
	t := newTable(out, "committee: one member, one core")
	t.AppendHeader(table.Row{"scheme", "receives per device", "µs per device", "signs ms", "answers ms", "in total"})
	for _, f := range r.Columns[0].Ours {
		m := f.Member
		t.AppendRow(table.Row{fmt.Sprintf("ours, %s, n = %d, all sealed", f.Variant, m.Devices), fmt.Sprintf("%d B", m.Bytes), fmt.Sprintf("%.1f", 1e6*m.Header),
			ms(m.Sign), ms(m.Release), seconds(m.total())})
	}
	for _, c := range r.Columns {
		if f := c.BGV; f != nil {
			t.AppendRow(table.Row{fmt.Sprintf("BGV, %s coordinates", power(c.Dim)), "0", "0", "-", ms(f.ShareSeconds),
				fmt.Sprintf("%s, sends %s MB", seconds(f.KeySeconds+f.ShareSeconds), mbs(f.ShareBytes))})
		}
	}
	t.Render()
}
