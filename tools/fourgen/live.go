package main

// lastUses gives, for every value, the position of the instruction after which
// its register is free. A value that is made before a loop and used within it
// lives to the loop's end.
func lastUses(p *program) []int {
	loops := loopsOf(p)
	made, last := make([]int, p.values), make([]int, p.values)
	for v := range made {
		made[v], last[v] = -1, -1 // parameters are made before the first instruction
	}
	for at, in := range p.list {
		if in.dst >= 0 && made[in.dst] < 0 && !isParam(p, in.dst) {
			made[in.dst] = at
		}
		touched := in.args
		if in.dst >= 0 {
			touched = append([]value{in.dst}, touched...)
		}
		for _, v := range touched {
			end := at
			for _, l := range loops {
				if l.first > made[v] && l.first <= at && at <= l.last {
					end = max(end, l.last)
				}
			}
			last[v] = max(last[v], end)
		}
	}
	if p.outcome.has {
		last[p.outcome.val] = len(p.list)
	}
	return last
}

type span struct{ first, last int }

func loopsOf(p *program) []span {
	var all []span
	var open []int
	for at, in := range p.list {
		switch in.op {
		case opLoop:
			open = append(open, at)
		case opEndLoop:
			all = append(all, span{open[len(open)-1], at})
			open = open[:len(open)-1]
		}
	}
	return all
}

func isParam(p *program, v value) bool {
	for _, q := range p.params {
		if q.val == v {
			return true
		}
	}
	return false
}
