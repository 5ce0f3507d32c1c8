package dashboard

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// attempts bounds how often somebody may try to log in: per address, and all together.
type attempts struct {
	mu    sync.Mutex
	all   *rate.Limiter
	from  map[netip.Prefix]*rate.Limiter
	swept time.Time
}

// A login takes a token of its address's bucket of five, which fills at one in twelve seconds, and one of everybody's.
const (
	loginEvery  = 12 * time.Second
	loginBurst  = 5
	loginsAll   = 60 // a minute, and at once
	mostOrigins = 1 << 12
)

func newAttempts() *attempts {
	return &attempts{all: rate.NewLimiter(rate.Limit(float64(loginsAll)/60), loginsAll), from: map[netip.Prefix]*rate.Limiter{}}
}

func (a *attempts) allow(remote string, now time.Time) bool {
	key := originOf(remote)
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.swept) > loginBurst*loginEvery { // by now every bucket that was left alone is full
		for k, l := range a.from {
			if l.TokensAt(now) >= loginBurst {
				delete(a.from, k)
			}
		}
		a.swept = now
	}
	l := a.from[key]
	if l == nil {
		if len(a.from) >= mostOrigins {
			return false
		}
		l = rate.NewLimiter(rate.Every(loginEvery), loginBurst)
		a.from[key] = l
	}
	return l.AllowN(now, 1) && a.all.AllowN(now, 1)
}

// originOf is the network that one person has: an IPv4 address, or the /64 of an IPv6 address.
func originOf(remote string) netip.Prefix {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}
	}
	bits := 64
	if addr = addr.Unmap().WithZone(""); addr.Is4() {
		bits = 32
	}
	p, _ := addr.Prefix(bits)
	return p
}

// loginView is the page that asks for a token.
type loginView struct {
	base
	Wrong string
}

func (h *Handler) loginPage(w http.ResponseWriter, r *http.Request) {
	if _, ok := h.of(r); ok {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	h.write(w, http.StatusOK, "login", loginView{base: h.base(r, "Log in", session{})})
}

// login exchanges a token for a session. The token is in the body, never in an address.
func (h *Handler) login(w http.ResponseWriter, r *http.Request) {
	if !h.logins.allow(r.RemoteAddr, h.opts.Clock()) {
		w.Header().Set("Retry-After", "60")
		h.write(w, http.StatusTooManyRequests, "login", loginView{base: h.base(r, "Log in", session{}), Wrong: "Too many attempts. Wait a minute and try again."})
		return
	}
	token := strings.TrimSpace(r.PostFormValue("token"))
	who, ok := h.sessions.accept(token)
	if !ok && len(token) <= longestToken && !strings.HasPrefix(token, invitePrefix) {
		var err error
		if who, err = h.verify(r.Context(), token); err != nil {
			h.opts.Log.Warn("login refused", "from", originOf(r.RemoteAddr).String(), "error", err)
		}
		ok = err == nil
	}
	if !ok {
		h.write(w, http.StatusForbidden, "login", loginView{base: h.base(r, "Log in", session{}), Wrong: "This token does not let you in: it is not an operator's of this server, has run out, or was a link that has been used."})
		return
	}
	in, value, err := h.sessions.open(who)
	if err != nil {
		http.Error(w, "no session could be made", http.StatusInternalServerError)
		return
	}
	h.opts.Log.Info("login", "name", in.Name, "write", in.Write, "until", time.Unix(in.Until, 0).UTC())
	http.SetCookie(w, h.cookie(value, time.Unix(in.Until, 0).Sub(h.opts.Clock())))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (h *Handler) logout(w http.ResponseWriter, r *http.Request, in session) {
	if !h.sessions.csrfHolds(in, r.PostFormValue("csrf")) {
		h.fail(w, r, in, http.StatusForbidden, "This form is not from this session. Go back, reload the page and try again.")
		return
	}
	h.sessions.end(in)
	http.SetCookie(w, h.cookie("", 0))
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}
