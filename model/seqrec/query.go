package seqrec

// sequence is what the model reads to answer q, which packFor has checked: the
// last items that fit, and where it is Bidirectional a MASK behind them, whose
// time is Now. One more of Times than of Items is in place of Now. It has no
// targets. The slices may be parts of q; room is reused.
func (q Query) sequence(cfg Config, room *queryRoom) (Sequence, error) {
	if len(q.Items) == 0 {
		return Sequence{}, ErrEmptyHistory
	}
	if err := checkUser(q.User, cfg); err != nil {
		return Sequence{}, err
	}
	most := cfg.MaxLen
	if cfg.Arch == Bidirectional {
		most--
	}
	first := max(0, len(q.Items)-most)
	s := Sequence{Items: q.Items[first:], User: q.User}
	if cfg.TimeBuckets > 0 && q.Times != nil {
		s.Times = q.Times[first:]
		if q.Now != 0 && len(q.Times) == len(q.Items) {
			room.times = append(append(room.times[:0], s.Times...), q.Now)
			s.Times = room.times
		}
	}
	if cfg.Arch == Bidirectional {
		room.items = append(append(room.items[:0], s.Items...), int32(cfg.Items))
		s.Items = room.items
	}
	return s, nil
}

// queryRoom is memory for what a query adds to its slices.
type queryRoom struct {
	items []int32
	times []int64
}

// packQuery makes a batch of the one sequence that answers a query.
func (b *Batch) packQuery(cfg Config, q Query, room *queryRoom) error {
	s, err := q.sequence(cfg, room)
	if err != nil {
		return err
	}
	b.reset()
	b.addInput(cfg, &s)
	if cfg.Arch == EncoderDecoder {
		b.Reads = append(b.Reads, s.Items[len(s.Items)-1])
		b.Positions = append(b.Positions, 1)
	}
	return nil
}
