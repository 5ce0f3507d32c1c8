package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// pgPoll is how often a replica looks for other replicas' writes when it is not told of them.
const pgPoll = time.Second

// follow rings when another replica has written: told by the database, and by looking now and then.
func (s *SQL) follow(ctx context.Context) {
	told := make(chan struct{}, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.listen(ctx, told)
	}()
	defer func() { <-ended }()
	tick := time.NewTicker(pgPoll)
	defer tick.Stop()
	var seen string
	for {
		select {
		case <-ctx.Done():
			return
		case <-told:
			s.bell.ring()
		case <-tick.C:
			var sum string
			if _, err := s.db.Row(ctx, `SELECT coalesce(sum(seq), 0)::text FROM writers WHERE writer <> ?`, []any{s.db.d.pg.writer}, &sum); err == nil && sum != seen {
				seen = sum
				s.bell.ring()
			}
		}
	}
}

// listen passes on that another replica has written, over a connection of its own, which is made again when it is lost.
func (s *SQL) listen(ctx context.Context, told chan<- struct{}) {
	for ctx.Err() == nil {
		s.listenOnce(ctx, told)
		select {
		case <-ctx.Done():
		case <-time.After(pgPoll):
		}
	}
}

func (s *SQL) listenOnce(ctx context.Context, told chan<- struct{}) {
	pg := s.db.d.pg
	conn, err := pgx.ConnectConfig(ctx, pg.config.Copy())
	if err != nil {
		return
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, `LISTEN `+pg.channel); err != nil {
		return
	}
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return
		}
		if n.Payload == pg.writer {
			continue
		}
		select {
		case told <- struct{}{}:
		default:
		}
	}
}
