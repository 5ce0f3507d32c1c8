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
	var clear askFlags
	list := rankFlags{count: 5}
	cmd := &cobra.Command{
		Use:   "recommend",
		Short: "Recommend, with a reason for each item: on a device, offline, or in the clear with a trained run",
		Long: `With --dir, opens a device's directory and ranks with the last model that it accepted. Nothing is sent and nothing is
asked. With --run, ranks with the best weights of tutti train for a person of the data or for a list of items; the
reason is the event of the history without which the item would have lost most. The probability is that of the item
over the whole catalogue, whatever order --diversity gives.`,
		Example: "  tutti recommend --dir phone1 --task task.json --catalogue movies -n 5\n  tutti recommend --run run1 --user 17\n  tutti recommend --run run1 --items 1,260,1196 --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if list.count < 1 {
				return usageError("-n %d: want 1 or more", list.count)
			}
			if !(list.diversity >= 0 && list.diversity <= 1) {
				return usageError("--diversity %v: want 0 to 1", list.diversity)
			}
			inClear := cmd.Flags().Changed("run")
			for _, name := range []string{"user", "items", "data", "repeat", "diversity"} {
				if cmd.Flags().Changed(name) && !inClear {
					return usageError("--%s belongs to --run", name)
				}
			}
			for _, name := range []string{"dir", "task", "catalogue"} {
				if cmd.Flags().Changed(name) && inClear {
					return usageError("--run is in the clear and --%s is a device's: give one of them", name)
				}
			}
			found, about, err := a.recommendations(cmd, f, clear, inClear, list)
			if err != nil {
				return err
			}
			if a.json {
				return a.emit(found)
			}
			u := a.plain()
			if about != "" {
				u.say("%s", about)
			}
			rows := make([]table.Row, len(found))
			for i, r := range found {
				rows[i] = table.Row{i + 1, r.Title, fmt.Sprintf("%.4f", r.Score), r.Reason}
			}
			u.print(table.Row{"", "item", "probability", "reason"}, rows)
			return nil
		},
	}
	f.identity(cmd)
	clear.add(cmd)
	cmd.Flags().IntVarP(&list.count, "count", "n", list.count, "how many")
	cmd.Flags().BoolVar(&list.repeat, "repeat", false, "with --run: items of the history may come again")
	cmd.Flags().Float64Var(&list.diversity, "diversity", 0, "with --run: 0 to 1, how much it counts that the items differ by their genres (maximal marginal relevance)")
	return cmd
}

// recommendations asks the device, or the run.
func (a *app) recommendations(cmd *cobra.Command, f deviceFlags, clear askFlags, inClear bool, ask rankFlags) ([]recommendation, string, error) {
	if inClear {
		t, q, err := clear.ask(cmd)
		if err != nil {
			return nil, "", err
		}
		list, err := t.recommend(q.query, ask)
		return list, q.sentence(), err
	}
	d, shared, err := a.openDevice(f, nil)
	if err != nil {
		return nil, "", err
	}
	defer d.Close()
	list, err := d.Recommend(cmd.Context(), client.Request{Count: ask.count})
	if errors.Is(err, client.ErrNoModel) {
		return nil, "", fmt.Errorf("this device has no model yet: run tutti device on %s once, with a network", f.dir)
	}
	if err != nil {
		return nil, "", err
	}
	lines := make([]recommendation, len(list))
	for i, r := range list {
		lines[i] = recommendation{Item: r.Item, Title: displayTitle(shared.Catalogue(), r.Item), Score: r.Score, Reason: reasonSentence(shared.Catalogue(), r.Why)}
	}
	return lines, "", nil
}
