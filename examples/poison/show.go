package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// parts makes what is attacked.
func parts(o options) (list []part, err error) {
	for _, make := range []func(options) (part, error){statisticsPart, noisePart, networkPart} {
		p, err := make(o)
		if err != nil {
			return nil, err
		}
		if o.only == "" || o.only == p.Name {
			list = append(list, p)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("-only %q: want statistics, noise or network", o.only)
	}
	return list, nil
}

func statisticsPart(o options) (part, error) {
	ds, source, err := load(o)
	if err != nil {
		return part{}, err
	}
	w := newWorld(ds, o.seed)
	s, err := newStatistics(w, o.epsilon, false)
	if err != nil {
		return part{}, err
	}
	return part{"statistics", fmt.Sprintf("Popularity and transitions among %d items, without noise; %s", s.split.Block, source), w, s.learn}, nil
}

func noisePart(o options) (part, error) {
	ds, err := invent(o.people, 400, o.seed)
	if err != nil {
		return part{}, err
	}
	w := newWorld(ds, o.seed)
	s, err := newStatistics(w, o.epsilon, true)
	if err != nil {
		return part{}, err
	}
	return part{"noise", fmt.Sprintf("Popularity and transitions among %d items, epsilon %g; %d invented people", s.split.Block, o.epsilon, o.people), w, s.learn}, nil
}

func networkPart(o options) (part, error) {
	ds, err := invent(200, 150, o.seed)
	if err != nil {
		return part{}, err
	}
	n, err := newNetwork(newWorld(ds, o.seed), o.rounds)
	if err != nil {
		return part{}, err
	}
	return part{"network", fmt.Sprintf("A Transformer of %d numbers, %d rounds without noise; 200 invented people", n.model.Layout().Size(), o.rounds), n.world, n.learn}, nil
}

// show prints one part: a line for each defence, NDCG@10 of honest people for each attack, and beside a backdoor the
// share of them that are shown the pushed item.
func show(out io.Writer, p part, rows []row) {
	fmt.Fprintf(out, "\n%s\nNDCG@10 of honest people at 1 / 5 / 20 %% attackers (differences below %.3f may be chance); under hits the share of them that\nare shown the item that the backdoor pushes\n",
		p.Title, chance(p, rows))
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "defence\tnoise\tno attack\tboost x100\tboost max\tflip\tbackdoor\tits hits\n")
	for _, d := range defences() {
		fmt.Fprintln(t, line(p, d, rows))
	}
	t.Flush()
}

// chance is how much one figure may be off: half of its 95 % interval, without attack or defence.
func chance(p part, rows []row) float64 {
	for _, r := range rows {
		if r.Part == p.Name {
			return r.Chance
		}
	}
	return 0
}

func line(p part, d defence, rows []row) string {
	find := func(a attack, share float64) row {
		for _, r := range rows {
			if r.Part == p.Name && r.Defence == d.String() && r.Attack == a.String() && r.Share == share {
				return r
			}
		}
		return row{}
	}
	clean := find(honest, 0)
	if clean.Infeasible != "" {
		return d.String() + "\timpossible: " + clean.Infeasible
	}
	noise := "none"
	if clean.Noise > 0 {
		noise = fmt.Sprintf("x%.1f", clean.Noise)
	}
	text := fmt.Sprintf("%s\t%s\t%.4f (%.2f)", d, noise, clean.NDCG, clean.Target)
	for _, a := range attacks {
		text += "\t"
		for k, s := range shares {
			if k > 0 {
				text += " / "
			}
			text += fmt.Sprintf("%.4f", find(a, s).NDCG)
		}
	}
	text += "\t"
	for k, s := range shares {
		if k > 0 {
			text += " / "
		}
		text += fmt.Sprintf("%.2f", find(backdoor, s).Target)
	}
	return text
}

// limits says what no figure above should make anybody forget.
const limits = `
What each defence does not stop
  none         one device with no clip decides what everybody gets: the clip is kept by honest programs only.
  norm check   everything that keeps within its bound. Without noise the bound is the clip, and what is left is flip and
               backdoor. With noise the bound covers the noise share too, which is many times longer than the clip, so "boost
               max" may be as long as that: the check stops x100 only where that is longer still.
  median       anything, once half of the groups hold attackers, and the lot spreads 5 % of the devices over nearly all groups.
  trimmed      the same, once more than a fifth of the groups are moved to one side.
  short only   what keeps a group's mean within the clip, so flip and backdoor, and under noise what the noise hides.
  groups       cost: each group's noise is sized for the fewest honest devices that it may hold, and of few devices too few
               may be honest for any group at all. None of these defences stops people who agree to lie about what they like.
`
