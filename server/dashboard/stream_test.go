package dashboard

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tutti/server/operator"
)

// sent is one event as a browser reads it.
type sent struct {
	id         uint64
	name, data string
}

// listener reads a stream over a real connection.
type listener struct {
	t      *testing.T
	events chan sent
	close  context.CancelFunc
	status int
}

func listen(t *testing.T, server *httptest.Server, cookie *http.Cookie, task, query, last string) *listener {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/task/"+task+"/events"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(cookie)
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	got, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{t, make(chan sent, 1000), cancel, got.StatusCode}
	go func() {
		defer close(l.events)
		defer got.Body.Close()
		var e sent
		lines := bufio.NewScanner(got.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			switch field, value, _ := strings.Cut(lines.Text(), ": "); field {
			case "id":
				fmt.Sscan(value, &e.id)
			case "event":
				e.name = value
			case "data":
				e.data = value
			case "":
				if e.name != "" {
					l.events <- e
				}
				e = sent{}
			}
		}
	}()
	t.Cleanup(l.end)
	return l
}

func (l *listener) end() {
	l.close()
	for range l.events { // until the connection is gone
	}
}

// next waits for an event of a name; others are passed over.
func (l *listener) next(name string) sent {
	l.t.Helper()
	for {
		select {
		case e, open := <-l.events:
			if !open {
				l.t.Fatalf("the stream ended before an event %q", name)
			}
			if e.name == name {
				return e
			}
		case <-time.After(20 * time.Second):
			l.t.Fatalf("no event %q came", name)
		}
	}
}

func serve(t *testing.T, opts Options, boards ...*board) (*Handler, *httptest.Server, *http.Cookie) {
	t.Helper()
	h := newDashboard(t, opts, boards...)
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	b := &browser{t: t, h: h}
	if code := b.login("acts"); code != http.StatusSeeOther {
		t.Fatal(code)
	}
	return h, server, b.cookie
}

// A stream begins with the page as it is; then come what happens, each once and in order, and the parts that change.
func TestStreamInOrder(t *testing.T) {
	films := newBoard(sample("films", 3, true))
	films.happen(operator.RoundOpened, operator.RoundFrozen)
	_, server, cookie := serve(t, Options{}, films)
	l := listen(t, server, cookie, "films", "?after=4", "")
	var first sections
	if err := json.Unmarshal([]byte(l.next("sections").data), &first); err != nil {
		t.Fatal(err)
	}
	for _, name := range sectionNames {
		if !strings.Contains(first[name], `id="`+name+`"`) {
			t.Errorf("the part %q is not sent at first, or has another id", name)
		}
	}
	for range 5 {
		films.happen(operator.RoundProgress, operator.RoundCertified, operator.RoundPublished)
	}
	last := uint64(4)
	for range 10 {
		e := l.next("happened")
		var x happened
		if err := json.Unmarshal([]byte(e.data), &x); err != nil || x.Seq != e.id || x.Seq <= last {
			t.Fatalf("after number %d came %+v: %v", last, e, err)
		}
		last = x.Seq
	}
	films.change(func(v *operator.View) { v.State = operator.Paused })
	for {
		var now sections
		if err := json.Unmarshal([]byte(l.next("sections").data), &now); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(now["now"], "Paused: no new round opens") {
			if _, there := now["meter"]; there {
				t.Error("a part that did not change is sent again")
			}
			return
		}
	}
}

// Who comes back says what it heard last, and is told the rest, also at another replica.
func TestStreamResumes(t *testing.T) {
	films := newBoard(sample("films", 3, true))
	films.happen(operator.RoundOpened, operator.RoundFrozen, operator.RoundCertified, operator.RoundPublished)
	key := [32]byte{7}
	_, one, cookie := serve(t, Options{SessionKey: key}, films)
	_, two, _ := serve(t, Options{SessionKey: key}, films)
	for i, server := range []*httptest.Server{one, two} {
		l := listen(t, server, cookie, "films", "?after=1", "4")
		for _, want := range []uint64{7, 10} {
			if e := l.next("happened"); e.id != want {
				t.Errorf("replica %d: number %d, want %d", i, e.id, want)
			}
		}
		l.end()
	}
}

// Who was away for longer than is remembered is told so, instead of being told a part.
func TestStreamMissed(t *testing.T) {
	films := newBoard(sample("films", 3, true))
	for range keptNews + 50 {
		films.happen(operator.RoundCertified)
	}
	_, server, cookie := serve(t, Options{}, films)
	l := listen(t, server, cookie, "films", "", "1")
	l.next("missed")
}

func TestStreamsAreBounded(t *testing.T) {
	films := newBoard(sample("films", 1, true))
	h, server, cookie := serve(t, Options{Clients: 2}, films)
	one, two := listen(t, server, cookie, "films", "", ""), listen(t, server, cookie, "films", "", "")
	one.next("sections")
	two.next("sections")
	if over := listen(t, server, cookie, "films", "", ""); over.status != http.StatusServiceUnavailable {
		t.Errorf("a third of two: %d", over.status)
	}
	if none := listen(t, server, cookie, "nothing", "", ""); none.status != http.StatusNotFound {
		t.Errorf("a stream of a task that does not exist: %d", none.status)
	}
	one.end()
	for deadline := time.Now().Add(20 * time.Second); h.hub.count() > 1; {
		if time.Now().After(deadline) {
			t.Fatal("a reader that left is still counted")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if again := listen(t, server, cookie, "films", "", ""); again.status != http.StatusOK {
		t.Errorf("a reader in the place of one that left: %d", again.status)
	}
}

// A reader that takes nothing is let go when its queue is full; the others go on.
func TestSlowReaderIsLetGo(t *testing.T) {
	films := newBoard(sample("films", 1, true))
	h := newDashboard(t, Options{}, films)
	w, err := h.desk(t.Context(), "films")
	if err != nil {
		t.Fatal(err)
	}
	slow, err := h.hub.join(w, true, 0)
	if err != nil {
		t.Fatal(err)
	}
	quick, err := h.hub.join(w, true, 0)
	if err != nil {
		t.Fatal(err)
	}
	taken := 0
	for i := range 3 * queueLength {
		slow.room.send(func(*reader) bool { return true }, event("happened", uint64(i+1), i))
		for len(quick.queue) > 0 {
			<-quick.queue
			taken++
		}
	}
	select {
	case <-slow.lost:
	default:
		t.Error("a reader that takes nothing is kept")
	}
	select {
	case <-quick.lost:
		t.Error("a reader that takes everything is let go")
	default:
	}
	if len(slow.queue) != queueLength || taken < 3*queueLength || h.hub.count() != 1 {
		t.Errorf("%d events wait for the slow one, the quick one took %d, %d readers", len(slow.queue), taken, h.hub.count())
	}
	h.hub.leave(slow) // twice is once
	h.hub.leave(quick)
	if h.hub.count() != 0 || len(h.hub.rooms) != 0 {
		t.Errorf("%d readers in %d rooms after all left", h.hub.count(), len(h.hub.rooms))
	}
}

// A stream ends with its session, with a logout, and with the server; between events there is a sign of life.
func TestStreamEnds(t *testing.T) {
	films := newBoard(sample("films", 1, true))
	h, server, cookie := serve(t, Options{Heartbeat: 20 * time.Millisecond}, films)
	l := listen(t, server, cookie, "films", "", "")
	l.next("beat")
	in, err := h.sessions.read(cookie.Value)
	if err != nil {
		t.Fatal(err)
	}
	h.sessions.end(in)
	l.next("ended")

	short, value, err := h.sessions.open(Identity{Name: "Ada", Until: time.Now().Add(1500 * time.Millisecond)})
	if err != nil || short.Until > time.Now().Add(2*time.Second).Unix() {
		t.Fatal(short, err)
	}
	listen(t, server, &http.Cookie{Name: h.cookieName(), Value: value}, "films", "", "").next("ended")

	_, value, err = h.sessions.open(Identity{Name: "Ada"})
	if err != nil {
		t.Fatal(err)
	}
	l = listen(t, server, &http.Cookie{Name: h.cookieName(), Value: value}, "films", "", "")
	l.next("sections")
	h.Close()
	for range l.events { // ends by itself
	}
}

// A store that fails for a while neither ends a stream nor shows anything half.
func TestStreamOverAFailingStore(t *testing.T) {
	films := newBoard(sample("films", 1, true))
	h, server, cookie := serve(t, Options{}, films)
	l := listen(t, server, cookie, "films", "", "")
	l.next("sections")
	films.change(func(*operator.View) { films.failing = context.DeadlineExceeded })
	time.Sleep(2 * busiest)
	b := &browser{t: t, h: h, cookie: cookie}
	if code, page := b.get("/task/films"); code != http.StatusServiceUnavailable || !strings.Contains(page, "Nothing is lost") || strings.Contains(page, "deadline") {
		t.Errorf("the page over a failing store: %d\n%s", code, page)
	}
	films.change(func(*operator.View) { films.failing = nil })
	films.happen(operator.RoundPublished)
	l.next("happened")
}
