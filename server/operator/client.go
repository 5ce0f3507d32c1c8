package operator

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"tutti/server/api"
)

// Client is a running server, asked over its operator's listener: a Source, a Control and a Reporter.
type Client struct {
	conn *grpc.ClientConn
	api  api.OperatorClient
}

// bearer puts a token on every call.
type bearer struct {
	token  string
	secure bool
}

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + b.token}, nil
}

func (b bearer) RequireTransportSecurity() bool { return b.secure }

// maxView bounds a picture that is received.
const maxView = 16 << 20

// Dial prepares to ask the server at an address. settings nil is plain HTTP, for a loopback address alone.
func Dial(address, token string, settings *tls.Config) (*Client, error) {
	creds := insecure.NewCredentials()
	if settings != nil {
		creds = credentials.NewTLS(settings)
	} else if !Loopback(address) {
		return nil, fmt.Errorf("%s is another machine: a token is sent there over TLS only", address)
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(creds), grpc.WithPerRPCCredentials(bearer{strings.TrimSpace(token), settings != nil}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxView)))
	if err != nil {
		return nil, err
	}
	return &Client{conn, api.NewOperatorClient(conn)}, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// ErrAway says that nobody answers at the address.
var ErrAway = errors.New("no server answers there")

// answered makes of a call's error what the operator should read.
func answered(err error) error {
	s, is := status.FromError(err)
	if err == nil || !is {
		return err
	}
	for _, known := range []error{ErrNoRound, ErrStopped, ErrBusy, ErrVersion} {
		if s.Message() == known.Error() {
			return known
		}
	}
	switch s.Code() {
	case codes.Unavailable:
		return fmt.Errorf("%w: %s", ErrAway, s.Message())
	case codes.Canceled:
		return context.Canceled
	}
	return errors.New(s.Message())
}

// View implements Source.
func (c *Client) View(ctx context.Context) (*View, error) {
	r, err := c.api.Status(ctx, &api.StatusRequest{})
	if err != nil {
		return nil, answered(err)
	}
	v := new(View)
	return v, json.Unmarshal(r.View, v)
}

// Watch calls each with what happens, from behind number after on, and with the view whenever it changes; one of the two is
// nil. It ends with ctx, the connection, or an error of each.
func (c *Client) Watch(ctx context.Context, after uint64, views bool, each func(*Happening, *View) error) error {
	stream, err := c.api.Watch(ctx, &api.WatchRequest{After: after, Views: views})
	if err != nil {
		return answered(err)
	}
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return answered(err)
		}
		var h *Happening
		var v *View
		if len(r.Happening) > 0 {
			h = new(Happening)
			err = json.Unmarshal(r.Happening, h)
		}
		if len(r.View) > 0 && err == nil {
			v = new(View)
			err = json.Unmarshal(r.View, v)
		}
		if err == nil {
			err = each(h, v)
		}
		if err != nil {
			return err
		}
	}
}

// Happenings implements Source: those that are there already.
func (c *Client) Happenings(ctx context.Context, after uint64, limit int) ([]Happening, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var out []Happening
	enough := errors.New("enough")
	err := c.Watch(ctx, after, true, func(h *Happening, v *View) error { // a view comes when all that is there was sent
		if h != nil {
			out = append(out, *h)
		}
		if v != nil || len(out) >= limit {
			return enough
		}
		return nil
	})
	if errors.Is(err, enough) {
		err = nil
	}
	return out, err
}

// Changed implements Source: it asks once a second.
func (c *Client) Changed(ctx context.Context) <-chan struct{} {
	out := make(chan struct{}, 1)
	go func() {
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				select {
				case out <- struct{}{}:
				default:
				}
			}
		}
	}()
	return out
}

// Report implements Reporter.
func (c *Client) Report(ctx context.Context, w io.Writer) ([]byte, error) {
	stream, err := c.api.Report(ctx, &api.ReportRequest{})
	if err != nil {
		return nil, answered(err)
	}
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil, io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, answered(err)
		}
		if len(r.Checkpoint) > 0 {
			return r.Checkpoint, nil
		}
		if _, err := w.Write(r.Ledger); err != nil {
			return nil, err
		}
	}
}

// Pause implements Control.
func (c *Client) Pause(ctx context.Context) error {
	_, err := c.api.Pause(ctx, &api.PauseRequest{})
	return answered(err)
}

// Resume implements Control.
func (c *Client) Resume(ctx context.Context) error {
	_, err := c.api.Resume(ctx, &api.ResumeRequest{})
	return answered(err)
}

// Stop implements Control.
func (c *Client) Stop(ctx context.Context) error {
	_, err := c.api.Stop(ctx, &api.StopRequest{})
	return answered(err)
}

// CloseRound implements Control.
func (c *Client) CloseRound(ctx context.Context, number uint64) error {
	_, err := c.api.CloseRound(ctx, &api.CloseRoundRequest{Round: number})
	return answered(err)
}

// Abandon implements Control.
func (c *Client) Abandon(ctx context.Context, number uint64) error {
	_, err := c.api.Abandon(ctx, &api.AbandonRequest{Round: number})
	return answered(err)
}

// Rollback implements Control.
func (c *Client) Rollback(ctx context.Context, number uint64, note string) (uint64, error) {
	r, err := c.api.Rollback(ctx, &api.RollbackRequest{Version: number, Note: note})
	return r.GetVersion(), answered(err)
}

// Rollout implements Control.
func (c *Client) Rollout(ctx context.Context, number uint64, percent int, note string) error {
	if percent < 0 || percent > 100 {
		return ErrShare
	}
	_, err := c.api.Rollout(ctx, &api.RolloutRequest{Version: number, Percent: uint32(percent), Note: note})
	return answered(err)
}

var (
	_ Source   = (*Client)(nil)
	_ Control  = (*Client)(nil)
	_ Reporter = (*Client)(nil)
)
