package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"tutti/server/operator"
)

// sections are the parts of a task's page that change, as HTML, by the id of their element.
type sections map[string]string

// hub looks at every task that somebody watches, once for all who watch it, and tells them what changed.
type hub struct {
	render func(w *watch, v *operator.View, write bool) (sections, error)
	most   int
	seed   maphash.Seed
	ctx    context.Context
	stop   context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	readers int
	rooms   map[string]*room
}

// room is a task that somebody watches, and those who do.
type room struct {
	hub     *hub
	watch   *watch
	stop    context.CancelFunc
	readers map[*reader]struct{} // guarded by hub.mu
	shown   [2]map[string]uint64 // hash of each section as last sent, for lookers and writers
	seen    uint64               // newest happening that was sent
	nudge   chan struct{}
}

// reader is one open stream.
type reader struct {
	room  *room
	write bool
	queue chan []byte
	lost  chan struct{} // closed when it fell behind
}

func newHub(most int) *hub {
	h := &hub{most: most, seed: maphash.MakeSeed(), rooms: map[string]*room{}}
	h.ctx, h.stop = context.WithCancel(context.Background())
	return h
}

// close ends the hub and every stream.
func (h *hub) close() {
	h.stop()
	h.work.Wait()
}

var errFull = errors.New("dashboard: too many readers")

// join lets a reader in. It is told of happenings behind after, which it has all heard of if it is the room's first.
func (h *hub) join(w *watch, write bool, after uint64) (*reader, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.readers >= h.most || h.ctx.Err() != nil {
		return nil, errFull
	}
	m := h.rooms[w.Task]
	if m == nil || m.watch != w {
		ctx, stop := context.WithCancel(h.ctx)
		m = &room{hub: h, watch: w, stop: stop, readers: map[*reader]struct{}{}, seen: after, nudge: make(chan struct{}, 1)}
		h.rooms[w.Task] = m
		h.work.Go(func() { m.run(ctx) })
	}
	r := &reader{room: m, write: write, queue: make(chan []byte, queueLength), lost: make(chan struct{})}
	m.readers[r] = struct{}{}
	h.readers++
	return r, nil
}

func (h *hub) leave(r *reader) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(r)
}

// drop forgets a reader, and the room with its last; the caller holds mu.
func (h *hub) drop(r *reader) {
	m := r.room
	if _, there := m.readers[r]; !there {
		return
	}
	delete(m.readers, r)
	h.readers--
	if len(m.readers) == 0 {
		m.stop()
		if h.rooms[m.watch.Task] == m {
			delete(h.rooms, m.watch.Task)
		}
	}
}

// count is how many streams are open.
func (h *hub) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.readers
}

// run looks when something changed and now and then, but never more often than busiest, until the last reader has left.
func (m *room) run(ctx context.Context) {
	changed := m.watch.Source.Changed(ctx) // before the look, so that nothing is missed
	for {
		m.look(ctx)
		if !pause(ctx, busiest) {
			return
		}
		timer := time.NewTimer(quietest)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case _, open := <-changed:
			if !open {
				changed = nil
			}
		case <-timer.C:
		}
		timer.Stop()
	}
}

// pause waits, and says whether there is somebody to go on for.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (m *room) look(ctx context.Context) {
	if v, err := m.watch.look(ctx); err == nil { // else the next look tries again
		m.tellSections(v)
	}
	news, last, err := m.watch.catchUp(ctx)
	if err != nil {
		return
	}
	fresh, whole := since(news, m.seen, last)
	if !whole {
		m.send(func(*reader) bool { return true }, event("missed", 0, struct{}{}))
	}
	for _, x := range fresh {
		m.send(func(*reader) bool { return true }, happenedEvent(x))
	}
	m.seen = max(m.seen, last)
}

// tellSections sends the sections that are not as they were.
func (m *room) tellSections(v *operator.View) {
	for role := range m.shown {
		write := role == 1
		if !m.wanted(write) {
			m.shown[role] = nil
			continue
		}
		now, err := m.hub.render(m.watch, v, write)
		if err != nil {
			continue
		}
		if m.shown[role] == nil {
			m.shown[role] = map[string]uint64{}
		}
		fresh := sections{}
		for id, html := range now {
			sum := maphash.String(m.hub.seed, html)
			if old, known := m.shown[role][id]; !known || old != sum {
				fresh[id] = html
			}
			m.shown[role][id] = sum
		}
		if len(fresh) > 0 {
			m.send(func(r *reader) bool { return r.write == write }, event("sections", 0, fresh))
		}
	}
}

func (m *room) wanted(write bool) bool {
	m.hub.mu.Lock()
	defer m.hub.mu.Unlock()
	for r := range m.readers {
		if r.write == write {
			return true
		}
	}
	return false
}

// send queues an event for readers; one whose queue is full is let go, and comes back by itself.
func (m *room) send(to func(*reader) bool, b []byte) {
	m.hub.mu.Lock()
	defer m.hub.mu.Unlock()
	for r := range m.readers {
		if !to(r) {
			continue
		}
		select {
		case r.queue <- b:
		default:
			close(r.lost)
			m.hub.drop(r)
		}
	}
}

// happened is one thing that happened, as readers are told it.
type happened struct {
	Seq   uint64    `json:"seq"`
	At    time.Time `json:"at"`
	Words string    `json:"words"`
	Bad   bool      `json:"bad,omitempty"`
}

// grave are the events that nobody should overlook.
var grave = map[string]bool{operator.RoundAbandoned: true, operator.RoundLost: true, operator.NodeAway: true, operator.NodeDoubted: true, operator.NodeWrong: true, operator.Failing: true}

// small are the events of which there are many: the page's own parts show what they come to.
var small = map[string]bool{operator.RoundProgress: true, operator.RoundMoved: true, operator.RoundEnded: true, operator.ReplicaSeen: true}

func told(x operator.Happening) happened {
	return happened{x.Seq, x.At.UTC().Truncate(time.Second), x.Words, grave[x.Name]}
}

func happenedEvent(x operator.Happening) []byte { return event("happened", x.Seq, told(x)) }

// event is one server-sent event; JSON has no line breaks.
func event(name string, id uint64, data any) []byte {
	body, err := json.Marshal(data)
	if err != nil {
		panic(fmt.Sprintf("dashboard: event %s: %v", name, err)) // strings and numbers of our own
	}
	var b bytes.Buffer
	if id > 0 {
		fmt.Fprintf(&b, "id: %d\n", id)
	}
	fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", name, body)
	return b.Bytes()
}
