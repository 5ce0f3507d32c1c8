package main

import (
	"errors"
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"tutti/client"
)

func (a *app) recommendCommand() *cobra.Command {
	var f deviceFlags
	count := 5
	cmd := &cobra.Command{
		Use:     "recommend",
		Short:   "Recommend on a device, offline, with a reason for each item",
		Long:    "Opens a device's directory and ranks with the last model that it accepted. Nothing is sent and nothing is asked.",
		Example: "  tutti recommend --dir phone1 --task task.json --catalogue movies -n 5",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, shared, err := a.openDevice(f, nil)
			if err != nil {
				return err
			}
			defer d.Close()
			list, err := d.Recommend(cmd.Context(), client.Request{Count: count})
			if errors.Is(err, client.ErrNoModel) {
				return fmt.Errorf("this device has no model yet: run tutti device on %s once, with a network", f.dir)
			}
			if err != nil {
				return err
			}
			lines := make([]recommendation, len(list))
			rows := make([]table.Row, len(list))
			for i, r := range list {
				lines[i] = recommendation{Item: r.Item, Title: displayTitle(shared.Catalogue(), r.Item), Score: r.Score, Reason: reasonSentence(shared.Catalogue(), r.Why)}
				rows[i] = table.Row{i + 1, lines[i].Title, fmt.Sprintf("%.4f", r.Score), lines[i].Reason}
			}
			if a.json {
				return a.emit(lines)
			}
			u := a.newUI()
			defer u.close()
			u.print(table.Row{"", "item", "probability", "reason"}, rows)
			return nil
		},
	}
	f.identity(cmd)
	cmd.Flags().IntVarP(&count, "count", "n", count, "how many")
	return cmd
}
