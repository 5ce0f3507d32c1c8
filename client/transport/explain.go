package transport

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tutti/client"
	"tutti/server/api"
)

// This one file turns what gRPC says into sentences that say what to do. What a tutti server itself says carries a reason
// (api.Reasons); what is without one comes from the library or from something on the way, and gRPC hides it in the status
// message, which is read here.

// advice is what each of the server's reasons means to whoever runs the device.
var advice = map[string]struct {
	says string
	is   error
}{
	api.ReasonRate:        {"the server asks this device or its network to slow down; it will ask again later by itself", client.ErrUnavailable},
	api.ReasonBusy:        {"the server has too much to do now; the device will ask again later by itself", client.ErrUnavailable},
	api.ReasonStopping:    {"the server is stopping, for a restart perhaps; the device will ask again later by itself", client.ErrUnavailable},
	api.ReasonFull:        {"the server cannot store anything now, its operator has to free or add disk space; the device will ask again later by itself", client.ErrUnavailable},
	api.ReasonDatabase:    {"the server cannot reach its database; the device will ask again later by itself", client.ErrUnavailable},
	api.ReasonFailed:      {"the server failed, and its operator finds the cause in its log; the device will ask again later by itself", client.ErrUnavailable},
	api.ReasonSlow:        {"the connection is too slow or stood still for too long; try again on a better network", client.ErrUnavailable},
	api.ReasonSuperseded:  {"another connection of this device sends the same upload; run one program per device directory", client.ErrUnavailable},
	api.ReasonClock:       {"the clocks do not agree; set this machine's clock (the server's may be wrong as well)", client.ErrNotAllowed},
	api.ReasonTask:        {"the server runs another task; use the task.json of the server that this address belongs to", client.ErrNotFound},
	api.ReasonToken:       {"the enrolment token is not one of this server's; copy a line of its tokens.txt exactly, or ask the operator for a fresh one", client.ErrNotAllowed},
	api.ReasonTokenUsed:   {"another device has used this enrolment token, each is good for one; ask the operator for a fresh one", client.ErrNotAllowed},
	api.ReasonEnrolment:   {"the server does not know this device's key as enrolled; enrol it with a token, in a new directory if this one belongs to another server", client.ErrNotAllowed},
	api.ReasonAttestation: {"the server's attestor did not accept what this device showed; get a fresh attestation for this key and task", client.ErrNotAllowed},
	api.ReasonCertificate: {"the server enrols only devices with a client certificate of its operator's authority; give one with --cert and --key", client.ErrNotAllowed},
	api.ReasonMissing:     {"the server has no such thing", client.ErrNotFound},
	api.ReasonMalformed:   {"the server does not understand this program; update the app", nil},
}

// explain turns an error of gRPC into a sentence.
func (t *Conn) explain(ctx context.Context, doing string, err error) error {
	s := status.Convert(err)
	if errors.Is(err, errSilent) || s.Code() == codes.Canceled && errors.Is(context.Cause(ctx), errSilent) {
		s = status.New(codes.DeadlineExceeded, errSilent.Error())
	}
	said := t.sentence(doing, s)
	if after := retryOf(s); after > 0 {
		return &later{said, jitter(after)}
	}
	return said
}

func (t *Conn) sentence(doing string, s *status.Status) error {
	say := func(is error, format string, args ...any) error {
		return &told{doing + ": " + fmt.Sprintf(format, args...), is}
	}
	if a, known := advice[reasonOf(s)]; known {
		return say(a.is, "%s (%s)", a.says, s.Message())
	}
	switch s.Code() {
	case codes.Canceled:
		return say(context.Canceled, "it was stopped")
	case codes.DeadlineExceeded:
		return say(errors.Join(client.ErrUnavailable, context.DeadlineExceeded), "no answer from %s in time; check the network, or try again later", t.address)
	case codes.Unavailable:
		return say(client.ErrUnavailable, "%s", t.connectionTrouble(s.Message()))
	case codes.ResourceExhausted:
		if strings.Contains(s.Message(), "larger than max") {
			return say(nil, "the message is larger than the server takes; update the app, or the server (%s)", s.Message())
		}
		return say(client.ErrUnavailable, "the server is busy; the device will ask again later by itself (%s)", s.Message())
	case codes.PermissionDenied, codes.Unauthenticated:
		return say(client.ErrNotAllowed, "the server refused: %s", s.Message())
	case codes.NotFound:
		return say(client.ErrNotFound, "the server has no such thing: %s", s.Message())
	}
	if s.Code() == codes.Unimplemented || strings.Contains(s.Message(), "unexpected HTTP status code") || strings.Contains(s.Message(), "content-type") {
		return say(nil, "%s does not offer the service of devices; is it a tutti server, and the port of its --listen? (%s)", t.address, firstLine(s.Message()))
	}
	return say(nil, "the server answered %s: %s", s.Code(), s.Message())
}

// firstLine leaves out what another service sent in place of an answer.
func firstLine(message string) string {
	line, _, _ := strings.Cut(message, "\n")
	return line
}

// told is a sentence, and which of the client's errors it is; the sentence alone is shown.
type told struct {
	text string
	is   error
}

func (e *told) Error() string { return e.text }
func (e *told) Unwrap() error { return e.is }

// trouble is what gRPC says of a connection that does not come about or breaks, and what it means. passing is trouble that
// may be gone in a moment.
var trouble = []struct {
	mark, sentence string
	passing        bool
}{
	{"certificate signed by unknown authority", "the certificate of %s is not signed by the authority that was given; check the CA file", false},
	{"not yet valid: current time", "", false}, // see connectionTrouble: expired, or not yet valid
	{"certificate is valid for", "the certificate of %s is for another name; check the address or the server name", false},
	{"certificate is not valid for any names", "the certificate of %s is for no name; check the address or the server name", false},
	{"doesn't contain any IP SANs", "the certificate of %s is for a name, not for an address; give the server name", false},
	{"first record does not look like a TLS handshake", "%s does not speak TLS; check the port: devices go to that of tutti server --listen", false},
	{"missing selected ALPN property", "%s speaks TLS, but not gRPC; check the port: devices go to that of tutti server --listen", false},
	{"no application protocol", "%s speaks TLS, but not gRPC; check the port: devices go to that of tutti server --listen", false},
	{"tls: protocol version not supported", "%s and this device do not agree on TLS: 1.3 is needed", false},
	{"remote error: tls: unknown certificate authority", "%s does not accept the certificate of this device; it is of another authority", false},
	{"remote error: tls: bad certificate", "%s does not accept the certificate of this device", false},
	{"remote error: tls: expired certificate", "%s does not accept the certificate of this device: it has expired", false},
	{"tls:", "%s and this device do not agree on TLS", false},
	{"connection refused", "nothing listens at %s; is the server running, and the port right?", true},
	{"name resolver error", "the name in %s is not known; check the address", false},
	{"no such host", "the name in %s is not known; check the address", false},
	{"network is unreachable", "there is no network on the way to %s", true},
	{"i/o timeout", "%s does not answer; check the address and the network", true},
	{"connection reset", "%s broke the connection; if it was restarted, it is back in a moment", true},
	{"GOAWAY", "%s ended the connection; if it was restarted, it is back in a moment", true},
	{"transport is closing", "%s ended the connection; if it was restarted, it is back in a moment", true},
	{"server preface", "%s does not answer as a tutti server does, or has no room for a connection more; check the port, or try again later", true},
	{"EOF", "%s broke the connection; if it was restarted, it is back in a moment", true},
	{"broken pipe", "%s broke the connection; if it was restarted, it is back in a moment", true},
	{"keepalive ping failed", "%s does not answer any more; the network may have changed", true},
}

// connectionTrouble says in words why there is no connection.
func (t *Conn) connectionTrouble(message string) string {
	if strings.Contains(message, "not yet valid: current time") {
		clock := time.Now().UTC().Format("2006-01-02 15:04 UTC")
		if strings.Contains(message, " is before ") {
			return fmt.Sprintf("the certificate of %s is not valid yet by this machine's clock (%s); set the clock", t.address, clock)
		}
		return fmt.Sprintf("the certificate of %s has expired, or this machine's clock (%s) is wrong; its operator renews it", t.address, clock)
	}
	for _, known := range trouble {
		if strings.Contains(message, known.mark) {
			return fmt.Sprintf(known.sentence, t.address)
		}
	}
	return fmt.Sprintf("no connection to %s (%s)", t.address, message)
}

// passing says whether the trouble may be gone in a moment; what is not known may.
func (t *Conn) passing(message string) bool {
	for _, known := range trouble {
		if strings.Contains(message, known.mark) {
			return known.passing
		}
	}
	return true
}

// reasonOf is the reason that a tutti server gave; "" if none did.
func reasonOf(s *status.Status) string {
	for _, d := range s.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == api.Domain {
			return info.GetReason()
		}
	}
	return ""
}

// retryOf is when the server asks to be asked again; 0 if it does not say.
func retryOf(s *status.Status) time.Duration {
	for _, d := range s.Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			return min(max(info.GetRetryDelay().AsDuration(), 0), maxRetry)
		}
	}
	return 0
}

// later is an error with a time.
type later struct {
	error
	after time.Duration
}

func (l *later) Unwrap() error { return l.error }

// RetryAfter is when asking again makes sense, with jitter.
func (l *later) RetryAfter() time.Duration { return l.after }
