package dashboard

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// Bounds of the live stream.
const (
	queueLength   = 64                     // events that wait for one reader; a reader that is further behind is let go
	writePatience = 10 * time.Second       // for one event to leave
	quietest      = 2 * time.Second        // between two looks when nobody says that anything changed
	busiest       = 500 * time.Millisecond // between two looks at least
)

// events answers a stream of a task: first the page's sections as they are and what happened since the reader last heard, then
// what changes. It ends with the session.
func (h *Handler) events(w http.ResponseWriter, r *http.Request, in session) {
	d, err := h.desk(r.Context(), r.PathValue("task"))
	if err != nil {
		http.Error(w, "there is no such task", http.StatusNotFound)
		return
	}
	news, last, err := d.catchUp(r.Context())
	if err != nil {
		http.Error(w, "what happened cannot be read", http.StatusServiceUnavailable)
		return
	}
	reader, err := h.hub.join(d, in.Write, last)
	if err != nil {
		w.Header().Set("Retry-After", "30")
		http.Error(w, "too many readers: the page goes on without live news", http.StatusServiceUnavailable)
		return
	}
	defer h.hub.leave(reader)
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store, no-transform")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy that buffers would keep the news
	out := &stream{w: w, c: http.NewResponseController(w)}
	v, err := d.look(r.Context())
	if err != nil {
		return
	}
	now, err := h.render(d, v, in.Write)
	if err != nil || out.write([]byte("retry: 3000\n\n"), event("sections", 0, now)) != nil {
		return
	}
	if after, known := resumeFrom(r); known {
		missed, whole := since(news, after, last)
		if !whole && out.write(event("missed", 0, struct{}{})) != nil {
			return
		}
		for _, x := range missed {
			if out.write(happenedEvent(x)) != nil {
				return
			}
		}
	}
	h.follow(r, out, reader, in, last)
}

// follow passes on what the hub queues, and a sign of life now and then.
func (h *Handler) follow(r *http.Request, out *stream, reader *reader, in session, seen uint64) {
	ends := time.NewTimer(time.Unix(in.Until, 0).Sub(h.opts.Clock()))
	defer ends.Stop()
	beat := time.NewTicker(h.opts.Heartbeat)
	defer beat.Stop()
	for {
		var err error
		select {
		case <-r.Context().Done():
			return
		case <-h.hub.ctx.Done():
			return
		case <-reader.lost:
			return
		case <-ends.C:
			out.write(event("ended", 0, struct{}{}))
			return
		case <-beat.C:
			if !h.sessions.holds(in) {
				out.write(event("ended", 0, struct{}{}))
				return
			}
			err = out.write(event("beat", 0, struct{}{}))
		case b := <-reader.queue:
			if id := idOf(b); id > 0 && id <= seen {
				continue // told already
			}
			err = out.write(b)
		}
		if err != nil {
			return
		}
	}
}

// resumeFrom is the last happening that a reader has: the browser says it when it comes back, the page when it first comes.
func resumeFrom(r *http.Request) (uint64, bool) {
	for _, s := range []string{r.Header.Get("Last-Event-ID"), r.URL.Query().Get("after")} {
		if n, err := strconv.ParseUint(s, 10, 64); err == nil {
			return n, true
		}
	}
	return 0, false
}

// idOf reads the id of an event of ours; 0: it has none.
func idOf(b []byte) uint64 {
	rest, found := bytes.CutPrefix(b, []byte("id: "))
	if !found {
		return 0
	}
	digits, _, _ := bytes.Cut(rest, []byte("\n"))
	n, _ := strconv.ParseUint(string(digits), 10, 64)
	return n
}

// stream writes events, each within its patience.
type stream struct {
	w http.ResponseWriter
	c *http.ResponseController
}

func (s *stream) write(events ...[]byte) error {
	if err := s.c.SetWriteDeadline(time.Now().Add(writePatience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	for _, b := range events {
		if _, err := s.w.Write(b); err != nil {
			return err
		}
	}
	return s.c.Flush()
}
