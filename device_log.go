package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"tutti/client"
	"tutti/privacy/ledger"
	atomicfile "tutti/server/store"
)

// sayLog tells what the operator's log has newly proven, or failed to prove, of the device, and writes it to files.
// before is what was told last; failed is passed on.
func (a *app) sayLog(d *client.Device, f deviceFlags, before client.Status, failed error) (client.Status, error) {
	now := d.Privacy()
	if now.Proven > before.Proven {
		receipts := d.Receipts()
		for _, data := range receipts[max(0, len(receipts)-int(now.Proven-before.Proven)):] {
			failed = errors.Join(failed, a.sayReceipt(data, f.receipts))
		}
	}
	if now.Unproven > before.Unproven && !a.json {
		fmt.Fprintln(a.out, "the server says that this device is in a sum and does not prove that the log tells of it; the charge stays: please tell the auditor")
	}
	if now.Forked {
		path := filepath.Join(f.dir, "evidence.fork")
		failed = errors.Join(failed, atomicfile.WriteFile(path, d.Evidence()))
		if !before.Forked && !a.json {
			fmt.Fprintf(a.out, "two states of the log that the operator signed do not go together; %s holds them: tutti verify fork reads it\n", path)
		}
	}
	return now, failed
}

func (a *app) sayReceipt(data []byte, folder string) error {
	r, err := ledger.ParseReceipt(data)
	if err != nil {
		return err
	}
	c, err := r.Verify(nil) // the device has verified it under the operator's key
	if err != nil {
		return err
	}
	if !a.json {
		fmt.Fprintf(a.out, "round %d: the contribution stands in the log, one of %d in record %d\n", c.Round, c.Survived, c.Seq)
	}
	if folder == "" {
		return nil
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	return atomicfile.WriteFile(filepath.Join(folder, fmt.Sprintf("round-%d.receipt", c.Round)), data)
}
