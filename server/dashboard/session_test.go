package dashboard

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// browser keeps one cookie, as a browser would.
type browser struct {
	t      *testing.T
	h      *Handler
	cookie *http.Cookie
}

func (b *browser) do(method, path string, form url.Values, edit func(*http.Request)) *http.Response {
	b.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r := httptest.NewRequest(method, "https://tutti.example.org"+path, body)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	if b.cookie != nil {
		r.AddCookie(b.cookie)
	}
	if edit != nil {
		edit(r)
	}
	w := httptest.NewRecorder()
	b.h.ServeHTTP(w, r)
	got := w.Result()
	for _, c := range got.Cookies() {
		if b.cookie = c; c.MaxAge < 0 {
			b.cookie = nil
		}
	}
	if got.Header.Get("Content-Security-Policy") != policy || got.Header.Get("X-Content-Type-Options") != "nosniff" || got.Header.Get("Referrer-Policy") != "no-referrer" || got.Header.Get("Cross-Origin-Opener-Policy") != "same-origin" {
		b.t.Errorf("%s %s is answered without its guards: %v", method, path, got.Header)
	}
	return got
}

func (b *browser) get(path string) (int, string) {
	b.t.Helper()
	got := b.do("GET", path, nil, nil)
	body, err := io.ReadAll(got.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return got.StatusCode, string(body)
}

func (b *browser) post(path string, form url.Values) (int, string) {
	b.t.Helper()
	got := b.do("POST", path, form, nil)
	body, err := io.ReadAll(got.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return got.StatusCode, string(body)
}

func (b *browser) login(token string) int {
	b.t.Helper()
	code, _ := b.post("/login", url.Values{"token": {token}})
	return code
}

// secret is the form's secret on a page.
func (b *browser) secret() string {
	b.t.Helper()
	_, page := b.get("/tasks")
	m := regexp.MustCompile(`name="csrf" value="([^"]+)"`).FindStringSubmatch(page)
	if m == nil {
		b.t.Fatalf("no form with a secret on the page:\n%s", page)
	}
	return m[1]
}

// Every address but the login and the assets wants a session, whatever the method.
func TestEveryRouteWantsASession(t *testing.T) {
	h := newDashboard(t, Options{}, newBoard(sample("films", 3, true)))
	for _, path := range []string{"/", "/tasks", "/compare", "/task/films", "/task/films/confirm?do=pause", "/nowhere", "/task/none"} {
		b := &browser{t: t, h: h}
		got := b.do("GET", path, nil, nil)
		if got.StatusCode != http.StatusSeeOther || got.Header.Get("Location") != "/login" {
			t.Errorf("GET %s without a session: %s to %q", path, got.Status, got.Header.Get("Location"))
		}
		if body, _ := io.ReadAll(got.Body); strings.Contains(string(body), "films") {
			t.Errorf("GET %s without a session tells of a task", path)
		}
	}
	for _, path := range []string{"/logout", "/task/films/do", "/task/films/events", "/anything"} {
		if code, _ := (&browser{t: t, h: h}).post(path, url.Values{"do": {"pause"}}); code != http.StatusUnauthorized && code != http.StatusMethodNotAllowed {
			t.Errorf("POST %s without a session: %d", path, code)
		}
	}
	if code, _ := (&browser{t: t, h: h}).get("/task/films/events"); code != http.StatusUnauthorized {
		t.Errorf("the stream without a session: %d", code)
	}
	for _, path := range []string{"/login", h.address("style.css"), h.address("live.js")} {
		if code, _ := (&browser{t: t, h: h}).get(path); code != http.StatusOK {
			t.Errorf("GET %s: %d", path, code)
		}
	}
}

func TestLogin(t *testing.T) {
	h := newDashboard(t, Options{}, newBoard(sample("films", 3, true)))
	b := &browser{t: t, h: h}
	if code := b.login("nobody's"); code != http.StatusForbidden || b.cookie != nil {
		t.Fatalf("a wrong token: %d, cookie %v", code, b.cookie)
	}
	if code := b.login(" looks\n"); code != http.StatusSeeOther || b.cookie == nil {
		t.Fatalf("a right token: %d, cookie %v", code, b.cookie)
	}
	if c := b.cookie; !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || !strings.HasPrefix(c.Name, "__Host-") || c.Domain != "" || c.MaxAge > 3600 {
		t.Errorf("the cookie: %+v", c)
	}
	if code, page := b.get("/task/films"); code != http.StatusOK || !strings.Contains(page, "Ada · may look") {
		t.Fatalf("the page: %d\n%s", code, page)
	}
	old := b.cookie
	if code, _ := b.post("/logout", url.Values{}); code != http.StatusForbidden {
		t.Errorf("a logout without the form's secret: %d", code)
	}
	if code, _ := b.post("/logout", url.Values{"csrf": {b.secret()}}); code != http.StatusSeeOther || b.cookie != nil {
		t.Errorf("the logout: %d, cookie %v", code, b.cookie)
	}
	b.cookie = old
	if got := b.do("GET", "/tasks", nil, nil); got.StatusCode != http.StatusSeeOther {
		t.Errorf("the cookie of a session that was ended: %s", got.Status)
	}
}

// A cookie that was changed in any one byte, made by another server, or has run out opens nothing.
func TestForgedCookies(t *testing.T) {
	now := time.Now()
	clock := func() time.Time { return now }
	h := newDashboard(t, Options{Clock: clock}, newBoard(sample("films", 1, true)))
	_, value, err := h.sessions.open(Identity{Name: "Ada", Until: now.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.sessions.read(value); err != nil {
		t.Fatal("an honest cookie is refused")
	}
	for i := range value {
		forged := []byte(value)
		forged[i] ^= 1
		if _, err := h.sessions.read(string(forged)); err == nil {
			t.Fatalf("byte %d changed, and the cookie opens a session", i)
		}
	}
	body, _ := json.Marshal(session{ID: "x", Name: "Eve", Write: true, Until: now.Add(time.Hour).Unix()})
	payload := base64.RawURLEncoding.EncodeToString(body)
	for _, forged := range []string{"", ".", payload, payload + ".", payload + "." + h.sessions.mac("form", payload), strings.Repeat("a", 4096)} {
		if _, err := h.sessions.read(forged); err == nil {
			t.Errorf("%.40q opens a session", forged)
		}
	}
	other := newDashboard(t, Options{Clock: clock}, newBoard(sample("films", 1, true)))
	if _, err := other.sessions.read(value); err == nil {
		t.Error("another server's cookie opens a session")
	}
	now = now.Add(time.Hour)
	if _, err := h.sessions.read(value); err == nil {
		t.Error("a session goes on after its token has run out")
	}
}

// Replicas with one key know each other's sessions.
func TestSessionAtAnotherReplica(t *testing.T) {
	key := [32]byte{1, 2, 3}
	one := &browser{t: t, h: newDashboard(t, Options{SessionKey: key}, newBoard(sample("films", 1, true)))}
	if code := one.login("acts"); code != http.StatusSeeOther {
		t.Fatal(code)
	}
	two := &browser{t: t, h: newDashboard(t, Options{SessionKey: key}, newBoard(sample("films", 1, true))), cookie: one.cookie}
	if code, page := two.get("/task/films"); code != http.StatusOK || !strings.Contains(page, "Grace · may act") {
		t.Errorf("at another replica: %d", code)
	}
	if one.secret() != two.secret() {
		t.Error("a form of one replica would be refused by another")
	}
}

func TestInvitationLetsInOnce(t *testing.T) {
	now := time.Now()
	h := newDashboard(t, Options{Clock: func() time.Time { return now }}, newBoard(sample("films", 1, true)))
	token, err := h.Invite(Identity{Name: "you", Write: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{http.StatusSeeOther, http.StatusForbidden} {
		if code := (&browser{t: t, h: h}).login(token); code != want {
			t.Errorf("an invitation: %d, want %d", code, want)
		}
	}
	late, err := h.Invite(Identity{Name: "you"})
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(inviteLife)
	if code := (&browser{t: t, h: h}).login(late); code != http.StatusForbidden {
		t.Errorf("an invitation that has run out: %d", code)
	}
}

func TestTooManyLogins(t *testing.T) {
	now := time.Now()
	h := newDashboard(t, Options{Clock: func() time.Time { return now }}, newBoard(sample("films", 1, true)))
	try := func(from string) int {
		b := &browser{t: t, h: h}
		return b.do("POST", "/login", url.Values{"token": {"guess"}}, func(r *http.Request) { r.RemoteAddr = from }).StatusCode
	}
	for range loginBurst {
		if code := try("203.0.113.9:4711"); code != http.StatusForbidden {
			t.Fatal(code)
		}
	}
	if code := try("203.0.113.9:4712"); code != http.StatusTooManyRequests {
		t.Errorf("guess %d: %d", loginBurst+1, code)
	}
	if code := try("203.0.113.10:4711"); code != http.StatusForbidden {
		t.Errorf("another address: %d", code)
	}
	for i := range loginBurst {
		try(fmt.Sprintf("[2001:db8::%d]:1", i+1))
	}
	if code := try("[2001:db8::ffff]:1"); code != http.StatusTooManyRequests {
		t.Errorf("another address of the same network: %d", code)
	}
	now = now.Add(loginEvery)
	if code := try("203.0.113.9:4711"); code != http.StatusForbidden {
		t.Errorf("after a pause: %d", code)
	}
	a := newAttempts()
	for i := range 2 * mostOrigins {
		a.allow(fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255), now)
	}
	if len(a.from) > mostOrigins {
		t.Errorf("%d addresses are remembered", len(a.from))
	}
}

// What comes from another site, or by another name than ours, is refused before anything is looked at.
func TestForeignRequests(t *testing.T) {
	board := newBoard(sample("films", 2, true))
	h := newDashboard(t, Options{Hosts: []string{"tutti.example.org"}}, board)
	b := &browser{t: t, h: h}
	b.login("acts")
	form := url.Values{"csrf": {b.secret()}, "do": {"pause"}}
	for what, edit := range map[string]func(*http.Request){
		"another site":   func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"another origin": func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "https://evil.example") },
		"another name":   func(r *http.Request) { r.Host = "evil.example" },
	} {
		if got := b.do("POST", "/task/films/do", form, edit); got.StatusCode != http.StatusForbidden && got.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("%s: %s", what, got.Status)
		}
	}
	if len(board.done) > 0 {
		t.Errorf("done all the same: %v", board.done)
	}
	local := newDashboard(t, Options{Loopback: true, Port: "7700"}, board)
	for _, c := range []struct {
		host, from string
		want       int
	}{{"127.0.0.1:7700", "127.0.0.1:5", 200}, {"localhost:7700", "[::1]:5", 200}, {"evil.example", "127.0.0.1:5", 421}, {"127.0.0.1:7700", "192.0.2.1:5", 421}} {
		got := (&browser{t: t, h: local}).do("GET", "/login", nil, func(r *http.Request) { r.Host, r.RemoteAddr = c.host, c.from })
		if got.StatusCode != c.want {
			t.Errorf("asked for as %s from %s: %s", c.host, c.from, got.Status)
		}
	}
}

// The assets name no other machine: the page works with no network but this server.
func TestAssetsAreOurOwn(t *testing.T) {
	names, err := os.ReadDir("assets")
	if err != nil || len(names) < 6 {
		t.Fatalf("%d assets: %v", len(names), err)
	}
	var all []string
	for _, n := range names {
		all = append(all, "assets/"+n.Name())
	}
	for _, f := range append(all, "pages/base.html", "pages/task.html", "pages/compare.html") {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		rest := strings.ReplaceAll(string(text), "http://www.w3.org/2000/svg", "")
		for _, bad := range []string{"http://", "https://", "//cdn", "@import", "eval(", "innerHTML", " style=", "<style", " onclick", "javascript:"} {
			if strings.Contains(rest, bad) {
				t.Errorf("%s holds %q", f, bad)
			}
		}
	}
	h := newDashboard(t, Options{}, newBoard(sample("films", 1, true)))
	got := (&browser{t: t, h: h}).do("GET", h.address("style.css"), nil, nil)
	if !strings.Contains(got.Header.Get("Cache-Control"), "immutable") || !strings.HasPrefix(got.Header.Get("Content-Type"), "text/css") {
		t.Errorf("the style: %v", got.Header)
	}
	if got := (&browser{t: t, h: h}).do("GET", "/assets/style.css", nil, nil); got.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("the style without its digest: %v", got.Header)
	}
}

func TestSessionsRedactThemselves(t *testing.T) {
	h := newDashboard(t, Options{SessionKey: [32]byte{0xab, 0xcd}}, newBoard(sample("films", 1, true)))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		if s := fmt.Sprintf(verb, h.sessions); !strings.Contains(s, "redacted") {
			t.Errorf("%s prints %q", verb, s)
		}
	}
}
