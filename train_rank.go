package main

import (
	"math"
	"slices"

	"tutti/model/rank"
	"tutti/model/run"
	"tutti/model/seqrec"
)

// caseQuery is what the model may know when it is asked after the history of a case.
func (t *trained) caseQuery(user int, history []int32) seqrec.Query {
	times := t.behaviour[user].Times
	if t.config.Split.Kind == run.SplitCold { // what follows there is later than what is asked for
		times = times[:min(len(times), len(history))]
	}
	return t.query(user, history, times)
}

// query is what the model may know when it is asked after a history: its times, and now, which is the time after them.
func (t *trained) query(user int, history []int32, times []int64) seqrec.Query {
	q := seqrec.Query{Items: history, User: t.attributes(t.config, user)}
	if len(times) >= len(history) && len(history) > 0 {
		q.Times = times[:len(history)]
		if len(times) > len(history) {
			q.Now = times[len(history)]
		}
	}
	return q
}

// answer scores all items as the next one.
func (t *trained) answer(user int, history []int32, out []float32) error {
	return t.scorer.ScoresOf(t.caseQuery(user, history), out)
}

// recent are the titles of the last events, newest first.
func (m *material) recent(history []int32, most int) []string {
	var out []string
	for i := len(history) - 1; i >= 0 && len(out) < most; i-- {
		out = append(out, m.data.Catalogue.Items[history[i]].DisplayTitle())
	}
	return out
}

// explained bounds how many events of a history are looked at for a reason.
const explained = 30

// candidate is a ranked item.
type candidate struct {
	item        int32
	logit       float64
	probability float64 // over the whole catalogue
}

// top ranks for a history; scores is room for all items and holds their logits afterwards.
func (t *trained) top(q seqrec.Query, count int, repeat bool, scores []float32) ([]candidate, error) {
	if err := t.scorer.ScoresOf(q, scores); err != nil {
		return nil, err
	}
	norm := logSum(scores)
	best := rank.Top(scores, count, func(item int32) bool { return !repeat && slices.Contains(q.Items, item) })
	out := make([]candidate, len(best))
	for i, r := range best {
		out[i] = candidate{r.Item, float64(r.Score), math.Exp(float64(r.Score) - norm)}
	}
	return out, nil
}

// rankFlags say what a list should be like.
type rankFlags struct {
	count     int
	repeat    bool    // items of the history may come again
	diversity float64 // 0 to 1
}

// diversePool is how many candidates there are for each place of a list that should be diverse.
const diversePool = 10

// diverse ranks for a history, with an eye on how little the items have in common by their genres.
func (t *trained) diverse(q seqrec.Query, f rankFlags, scores []float32) ([]candidate, error) {
	if f.diversity == 0 {
		return t.top(q, f.count, f.repeat, scores)
	}
	similarity := t.facts().Similarity
	if similarity == nil {
		return nil, usageError("--diversity: the items of %s have no genres", t.about.Source)
	}
	pool, err := t.top(q, diversePool*min(f.count, len(scores)), f.repeat, scores)
	if err != nil {
		return nil, err
	}
	ranked, byItem := make([]rank.Ranked, len(pool)), map[int32]candidate{}
	for i, c := range pool {
		ranked[i], byItem[c.item] = rank.Ranked{Item: c.item, Score: float32(c.logit)}, c
	}
	chosen, err := rank.Diversify(ranked, f.count, 1-f.diversity, similarity)
	out := make([]candidate, len(chosen))
	for i, r := range chosen {
		out[i] = byItem[r.Item]
	}
	return out, err
}

// recommend ranks for a history; the reason of an item is the event whose absence costs it most.
func (t *trained) recommend(q seqrec.Query, f rankFlags) ([]recommendation, error) {
	scores := make([]float32, t.scorer.Items())
	best, err := t.diverse(q, f, scores)
	if err != nil {
		return nil, err
	}
	reasons, err := t.because(q, scores, best)
	if err != nil {
		return nil, err
	}
	out := make([]recommendation, len(best))
	for i, r := range best {
		item := t.data.Catalogue.Items[r.item]
		out[i] = recommendation{Item: item.ID, Title: item.DisplayTitle(), Score: r.probability, Reason: "fits what came before as a whole"}
		if reasons[i] >= 0 {
			out[i].Reason = "because of " + t.data.Catalogue.Items[reasons[i]].DisplayTitle()
		}
	}
	return out, nil
}

// because finds, for each recommended item, the event without which its probability would fall most (leave-one-out); -1
// where no single event matters.
func (t *trained) because(q seqrec.Query, whole []float32, best []candidate) ([]int32, error) {
	reasons, cost := make([]int32, len(best)), make([]float64, len(best))
	for i := range reasons {
		reasons[i] = -1
	}
	if len(q.Items) < 2 {
		for i := range reasons {
			reasons[i] = q.Items[0]
		}
		return reasons, nil
	}
	norm := logSum(whole)
	without := make([]float32, len(whole))
	for k := max(0, len(q.Items)-min(explained, t.config.Model.MaxLen)); k < len(q.Items); k++ {
		less := q
		less.Items = slices.Delete(slices.Clone(q.Items), k, k+1)
		if q.Times != nil {
			less.Times = slices.Delete(slices.Clone(q.Times), k, k+1)
		}
		if err := t.scorer.ScoresOf(less, without); err != nil {
			return nil, err
		}
		other := logSum(without)
		for i, r := range best {
			if fall := (r.logit - norm) - (float64(without[r.item]) - other); fall > cost[i] {
				reasons[i], cost[i] = q.Items[k], fall
			}
		}
	}
	return reasons, nil
}

// logSum is the logarithm of the sum of exponentials.
func logSum(x []float32) float64 {
	top := float64(slices.Max(x))
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(float64(v) - top)
	}
	return top + math.Log(sum)
}
