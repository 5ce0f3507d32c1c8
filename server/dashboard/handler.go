package dashboard

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"html/template"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Options are what may differ from one place to another. The zero values of optional fields take the default in brackets.
type Options struct {
	SessionKey [32]byte         // signs sessions; the same at every replica, or each knows only its own [made anew at every start]
	Loopback   bool             // plain HTTP to this machine only, as the demo does: other addresses and names are refused
	Port       string           // with Loopback: the listener's port
	Hosts      []string         // names that the page is asked for by [any]
	Clients    int              // open live streams at most [256]
	Heartbeat  time.Duration    // between signs of life in a stream [15 s]
	Clock      func() time.Time // [time.Now]
	Random     io.Reader        // [crypto/rand]
	Log        hclog.Logger
}

// Handler is the dashboard. It is safe for concurrent use; Close ends its streams.
type Handler struct {
	tasks    Tasks
	verify   Verifier
	opts     Options
	sessions *sessions
	hub      *hub
	logins   *attempts
	pages    *template.Template
	assets   map[string]asset
	mux      *http.ServeMux
	origin   *http.CrossOriginProtection

	mu    sync.Mutex
	desks map[string]*watch
}

//go:embed assets
var embedded embed.FS

// policy lets a page load its own scripts, styles and images, and nothing else from anywhere.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// longestForm bounds what a form may send.
const longestForm = 16 << 10

// New makes a dashboard of tasks, for operators whose tokens verify.
func New(tasks Tasks, verify Verifier, opts Options) (*Handler, error) {
	if tasks == nil || verify == nil {
		return nil, errors.New("dashboard: tasks and a verifier of tokens are needed")
	}
	if opts.Clients == 0 {
		opts.Clients = 256
	}
	if opts.Heartbeat == 0 {
		opts.Heartbeat = 15 * time.Second
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Log == nil {
		opts.Log = hclog.NewNullLogger()
	}
	h := &Handler{tasks: tasks, verify: verify, opts: opts, desks: map[string]*watch{}, logins: newAttempts(), mux: http.NewServeMux(), origin: http.NewCrossOriginProtection()}
	var err error
	if h.sessions, err = newSessions(opts.SessionKey, randomness(opts.Random), opts.Clock); err != nil {
		return nil, err
	}
	if h.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	if h.pages, err = h.parse(); err != nil {
		return nil, err
	}
	h.hub = newHub(opts.Clients)
	h.hub.render = h.render
	h.routes()
	return h, nil
}

// Close ends the streams.
func (h *Handler) Close() { h.hub.close() }

// Invite makes a token that lets one operator in once, within a quarter of an hour. In a link it belongs behind the #, where no
// server, proxy or log sees it: /login#TOKEN.
func (h *Handler) Invite(who Identity) (string, error) { return h.sessions.invite(who) }

// routes lists every address. All but the login and the assets want a session.
func (h *Handler) routes() {
	h.mux.HandleFunc("GET /assets/{name}", h.asset)
	h.mux.HandleFunc("GET /login", h.loginPage)
	h.mux.HandleFunc("POST /login", h.login)
	h.mux.HandleFunc("POST /logout", h.in(h.logout))
	h.mux.HandleFunc("GET /{$}", h.in(h.home))
	h.mux.HandleFunc("GET /tasks", h.in(h.home))
	h.mux.HandleFunc("GET /compare", h.in(h.compare))
	h.mux.HandleFunc("GET /task/{task}", h.in(h.task))
	h.mux.HandleFunc("GET /task/{task}/events", h.in(h.events))
	h.mux.HandleFunc("GET /task/{task}/confirm", h.in(h.confirm))
	h.mux.HandleFunc("POST /task/{task}/do", h.in(h.act))
	h.mux.HandleFunc("/", h.in(func(w http.ResponseWriter, r *http.Request, in session) {
		h.fail(w, r, in, http.StatusNotFound, "There is no such page.")
	}))
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Content-Security-Policy", policy)
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("X-Frame-Options", "DENY")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cross-Origin-Opener-Policy", "same-origin")
	head.Set("Cross-Origin-Resource-Policy", "same-origin")
	head.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()")
	head.Set("Cache-Control", "no-store")
	if !h.opts.Loopback {
		head.Set("Strict-Transport-Security", "max-age=31536000")
	}
	if !h.wellAddressed(r) {
		http.Error(w, "this dashboard is not asked for by that name", http.StatusMisdirectedRequest)
		return
	}
	if err := h.origin.Check(r); err != nil {
		http.Error(w, "this came from another site", http.StatusForbidden)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, longestForm)
	h.mux.ServeHTTP(w, r)
}

// wellAddressed refuses names that are not ours: a page of somebody else whose name was bound to our address could otherwise ask.
func (h *Handler) wellAddressed(r *http.Request) bool {
	name := r.Host
	if host, _, err := net.SplitHostPort(r.Host); err == nil {
		name = host
	}
	if h.opts.Loopback {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		return err == nil && from.Addr().Unmap().IsLoopback() && slices.Contains([]string{"127.0.0.1", "localhost", "::1"}, strings.Trim(name, "[]"))
	}
	return len(h.opts.Hosts) == 0 || slices.Contains(h.opts.Hosts, name)
}

// in lets a request through that has a session; others are shown the way to the login.
func (h *Handler) in(next func(http.ResponseWriter, *http.Request, session)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		in, ok := h.of(r)
		if ok {
			next(w, r, in)
			return
		}
		if r.Method == http.MethodGet && !strings.HasSuffix(r.URL.Path, "/events") {
			http.Redirect(w, r, "/login", http.StatusSeeOther)
			return
		}
		http.Error(w, "log in first", http.StatusUnauthorized)
	}
}

// asset is one embedded file; its address holds its digest, so that it may be kept for ever.
type asset struct {
	body         []byte
	kind, digest string
}

func loadAssets() (map[string]asset, error) {
	kinds := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	out := map[string]asset{}
	err := fs.WalkDir(embedded, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || kinds[path.Ext(name)] == "" {
			return err
		}
		body, err := embedded.ReadFile(name)
		sum := sha256.Sum256(body)
		out[path.Base(name)] = asset{body, kinds[path.Ext(name)], hex.EncodeToString(sum[:6])}
		return err
	})
	return out, err
}

// address is where a page loads an asset from.
func (h *Handler) address(name string) string {
	return "/assets/" + name + "?v=" + h.assets[name].digest
}

func (h *Handler) asset(w http.ResponseWriter, r *http.Request) {
	a, found := h.assets[r.PathValue("name")]
	if !found {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", a.kind)
	if r.URL.Query().Get("v") == a.digest {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		w.Header().Set("Cache-Control", "no-cache")
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.body))
}

// write renders a page; nothing is sent if it cannot be rendered whole.
func (h *Handler) write(w http.ResponseWriter, status int, name string, data any) {
	var b bytes.Buffer
	if err := h.pages.ExecuteTemplate(&b, name, data); err != nil {
		h.opts.Log.Error("page", "name", name, "error", err)
		http.Error(w, "the page could not be made; the server's log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	b.WriteTo(w)
}
