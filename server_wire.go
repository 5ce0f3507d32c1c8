package main

import (
	"crypto/ed25519"
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"tutti/server"
	"tutti/server/attest"
	wire "tutti/server/grpc"
	"tutti/server/keys"
)

// wireFlags are what an operator decides of the server's wire, beside its address and certificate.
type wireFlags struct {
	web, attestor, attestorKey, clientCA string
	origins                              []string
	reflect                              bool
}

func (f *wireFlags) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.web, "web", "", "address to answer devices in browsers on, over Connect, gRPC-Web and JSON (default: none are)")
	flags.StringArrayVar(&f.origins, "origin", nil, "with --web: a page that may speak to the server, such as https://shop.example; may be repeated")
	flags.StringVar(&f.attestor, "attestor", "none", "who may enrol: none (who has a one-time token), jwt (whose key is in a token signed by --attestor-key), mtls (who shows a certificate of --client-ca)")
	flags.StringVar(&f.attestorKey, "attestor-key", "", "with --attestor jwt: PEM file with the signer's Ed25519 public key")
	flags.StringVar(&f.clientCA, "client-ca", "", "PEM file of the authority of client certificates; devices that show one must show one of these")
	flags.BoolVar(&f.reflect, "reflection", false, "answer gRPC reflection, for people with grpcurl")
}

// apply completes a server's configuration.
func (f *wireFlags) apply(c *server.Config, certs keys.Files) error {
	complain := func(err error) { c.Log.Error("certificate", "error", err) }
	c.Limits.Reflect = f.reflect
	var err error
	if f.clientCA != "" {
		c.TLS, err = keys.InvitingTLS(keys.Files{CA: f.clientCA, Cert: certs.Cert, Key: certs.Key}, complain)
	} else {
		c.TLS, err = keys.ServerTLS(certs, complain)
	}
	if err != nil {
		return err
	}
	if len(f.origins) > 0 && f.web == "" {
		return usageError("--origin is for --web")
	}
	if (f.attestor == "jwt") != (f.attestorKey != "") {
		return usageError("--attestor jwt and --attestor-key belong together")
	}
	switch f.attestor {
	case "none":
	case "jwt":
		var key ed25519.PublicKey
		if key, err = keys.ReadPublic(f.attestorKey); err != nil {
			return err
		}
		c.Attestor = attest.JWT{Key: key}
	case "mtls":
		if f.clientCA == "" {
			return usageError("--attestor mtls needs --client-ca")
		}
		c.Attestor = attest.Certificate{}
	default:
		return usageError("--attestor %q: want none, jwt or mtls", f.attestor)
	}
	return nil
}

// serve answers browsers, where they are to be answered, until the server is closed.
func (f *wireFlags) serve(srv *server.Server, c server.Config) (net.Addr, error) {
	if f.web == "" {
		return nil, nil
	}
	web := wire.Web{Origins: f.origins}
	if err := web.Check(); err != nil {
		return nil, fmt.Errorf("--origin: %w", err)
	}
	l, err := listenOn(f.web)
	if err != nil {
		return nil, err
	}
	go func() {
		if err := srv.ServeWeb(l, web); err != nil {
			c.Log.Error("browsers are not answered", "error", err)
		}
	}()
	return l.Addr(), nil
}
