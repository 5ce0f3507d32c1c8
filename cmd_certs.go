package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"tutti/server/keys"
)

func (a *app) certsCommand() *cobra.Command {
	var out string
	var hosts []string
	cmd := &cobra.Command{
		Use:     "dev-certs",
		Short:   "Make TLS certificates for a trial on your own machines",
		Long:    "Makes an authority and one server certificate (30 days). In earnest use your own authority: the server only reads the files.",
		Example: "  tutti dev-certs --out certs --host server.lan",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			files, err := keys.DevCerts(out, time.Now(), hosts...)
			if err != nil {
				return err
			}
			if a.json {
				return a.emit(map[string]string{"ca": files.CA, "cert": files.Cert, "key": files.Key})
			}
			fmt.Fprintf(a.out, "%s: give it to devices and committee nodes\n%s, %s: for the server\n", files.CA, files.Cert, files.Key)
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", "certs", "folder to write to")
	cmd.Flags().StringSliceVar(&hosts, "host", nil, "names or addresses besides localhost; may be repeated")
	return cmd
}
