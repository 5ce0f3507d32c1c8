package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"tutti/server/operator"
)

// line writes a value as one line of JSON.
func (a *app) line(v any) error { return json.NewEncoder(a.out).Encode(v) }

// picture is a view in a terminal.
func picture(v *operator.View, live bool, width int) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	where := "read from the data directory: no server runs"
	if live {
		where = v.At.Format("2006-01-02 15:04:05")
	}
	say("Task %s (%s): %s; %s", v.Task, v.Purpose, v.State, where)
	say("%s.", v.Sentence)
	for _, w := range v.Warnings {
		mark := "  "
		if w.Grave {
			mark = "! "
		}
		say("%s%s%s", mark, upper(w.Words), remedy(w))
	}
	if o := v.Open; o != nil {
		say("\nRound %d (%s) %s, since %s", o.Number, o.Kind, o.Words, o.Since.Format("15:04:05"))
		say("  %s %d of %d uploads in, %d accepted; at least %d%s, until %s", bar(o.Staged, o.Goal, 24), o.Staged, o.Goal, o.Accepted, o.Min, ofEach(o.Groups), o.Deadline.Format("15:04:05"))
		say("  %s", phases(o.Phases))
	}
	budgetLines(v, say)
	if len(v.Rounds) > 0 {
		say("\nThe last of %d rounds (%d published, %d abandoned, %d lost)", v.Totals.Rounds, v.Totals.Published, v.Totals.Abandoned, v.Totals.Lost)
		say("%s", roundTable(v.Rounds[:min(8, len(v.Rounds))]))
	}
	for _, r := range v.Totals.Refused[:min(4, len(v.Totals.Refused))] {
		say("  %d x %s", r.Count, r.Words)
	}
	if len(v.Quality) > 0 {
		say("\nOn devices, before round %d (with differential privacy): %s", v.Quality[0].Round, qualityLine(v.Quality[0].Figures))
	}
	restLines(v, say)
	say("Counts of devices are %s.", operator.Counts)
	return clip(b.String(), width)
}

func budgetLines(v *operator.View, say func(string, ...any)) {
	bu := v.Budget
	say("")
	if !bu.Bounded {
		say("Budget: none, because no noise is added")
		return
	}
	say("Budget: epsilon %.3g of %.3g spent (delta %s) %s %.0f %% of rho left", bu.Spent.Epsilon, bu.Epsilon, bu.Delta, bar(int(1000*(1-bu.Left)), 1000, 24), 100*bu.Left)
	if bu.Reserved.Rho > 0 || bu.Held.Rho > 0 {
		say("  reserved for the round under way: %.2g of rho; held for rounds without a certificate: %.2g", bu.Reserved.Rho/bu.Rho, bu.Held.Rho/bu.Rho)
	}
	say("  %s", bu.Forecast.Words)
}

func restLines(v *operator.View, say func(string, ...any)) {
	away := []string{}
	for _, n := range v.Nodes {
		if !n.Up {
			away = append(away, n.Address)
		}
	}
	say("\nCommittee: %d nodes%s", len(v.Nodes), map[bool]string{true: ", all there as far as is known", false: "; away: " + strings.Join(away, ", ")}[len(away) == 0])
	say("Devices: %d enrolled, %d were counted at least once, one of them in %d rounds", v.Devices.Enrolled, v.Devices.Counted, v.Devices.Most)
	if len(v.Versions) > 0 {
		n := v.Versions[0]
		say("Version %d (%s, %s), SHA-256 %.16s…", n.Number, n.Cause, n.At.Format("2 January 15:04"), n.Digest)
	}
	for _, al := range v.Aliases {
		say("  %s: version %d, %d %% of the devices%s", al.Name, al.Number, al.Percent, because(al.Note))
	}
	say("Log: %d records, root %.16s…, %s", v.Log.Size, v.Log.Root, v.Log.Verdict.Words)
	for _, r := range v.Replicas {
		does := "answers devices"
		if r.Drives {
			does = "runs the rounds"
		}
		say("Server %s %s, seen %s", r.Name, does, r.Seen.Format("15:04:05"))
	}
	m := v.Machine
	if m.DiskTotal > 0 {
		cert := ""
		if m.Certificate != nil {
			cert = "; certificate until " + m.Certificate.Format("2 January 2006")
		}
		say("This server: %d MiB of memory, %d GiB of %d GiB of disk free%s", m.Memory>>20, m.DiskFree>>30, m.DiskTotal>>30, cert)
	}
}

func roundTable(rounds []operator.Round) string {
	w := table.NewWriter()
	w.SetStyle(table.StyleLight)
	w.Style().Format.Header = 0
	w.AppendHeader(table.Row{"round", "kind", "ended", "became", "counted", "refused", "late", "took", "epsilon", "noise", "version"})
	for _, r := range rounds {
		refused := 0
		for _, x := range r.Refused {
			refused += x.Count
		}
		noise, version, became := "", "", r.State
		if r.Meter != nil {
			noise = fmt.Sprintf("%.2f (z %+.1f)", r.Meter.Ratio, r.Meter.Z)
		}
		if r.Version > 0 {
			version = fmt.Sprint(r.Version)
		}
		if r.Reason != "" {
			became += ": " + strings.ReplaceAll(r.Reason, "_", " ")
		}
		w.AppendRow(table.Row{r.Number, r.Kind, r.Ended.Format("02.01. 15:04"), became, fmt.Sprintf("%d of %d", r.Counted, r.Goal), refused, r.Late, short(r.Seconds), fmt.Sprintf("%.2g", r.Cost.Epsilon), noise, version})
	}
	return w.Render()
}

func phases(ps []operator.Phase) string {
	var out []string
	for _, p := range ps {
		out = append(out, p.Name+" "+short(p.Seconds))
	}
	return strings.Join(out, ", ")
}

func qualityLine(figures []operator.Figure) string {
	var parts []string
	for _, f := range figures {
		if what, shown := toldAs[f.Name]; shown {
			parts = append(parts, fmt.Sprintf("%s %.2f [%.2f, %.2f]", what, f.Value, f.Low, f.High))
		}
	}
	return strings.Join(parts, ", ")
}

// short is a duration in seconds, to be read at a glance.
func short(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d < time.Minute {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// bar draws n of most.
func bar(n, most, width int) string {
	full := 0
	if most > 0 {
		full = min(width, n*width/most)
	}
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", width-full) + "]"
}

func ofEach(groups int) string {
	if groups < 2 {
		return ""
	}
	return fmt.Sprintf(" in each of %d groups", groups)
}

func because(note string) string {
	if note == "" {
		return ""
	}
	return " (" + note + ")"
}

func remedy(w operator.Warning) string {
	if w.Remedy == "" {
		return ""
	}
	return ": " + w.Remedy
}

func upper(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}

// clip cuts lines that are wider than the terminal.
func clip(s string, width int) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if r := []rune(l); len(r) > width && !strings.ContainsAny(l, "─│") {
			lines[i] = wrap(l, width)
		}
	}
	return strings.Join(lines, "\n")
}

// wrap breaks a line between words.
func wrap(l string, width int) string {
	indent := strings.Repeat(" ", 2+len(l)-len(strings.TrimLeft(l, " ")))
	var out []string
	line := ""
	for _, word := range strings.SplitAfter(l, " ") {
		if line != "" && len([]rune(line))+len([]rune(word)) > width && strings.TrimSpace(line) != "" {
			out = append(out, strings.TrimRight(line, " "))
			line = indent
		}
		line += word
	}
	return strings.Join(append(out, line), "\n")
}
