package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A data directory belongs to one process, so a backup of a running server is made by the server: whoever may write in
// its data directory leaves a request there, and finds the answer beside it.
const (
	requestFile = "backup.request"
	answerFile  = "backup.answer"
	askPause    = 500 * time.Millisecond
)

type backupRequest struct {
	ID string `json:"id"`
	To string `json:"to"`
}

type backupAnswer struct {
	ID       string   `json:"id"`
	Error    string   `json:"error,omitempty"`
	Manifest Manifest `json:"manifest"`
}

// answerRequests makes the backups that are asked for in the data directory.
func (s *SQL) answerRequests(ctx context.Context) {
	tick := time.NewTicker(askPause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			path := filepath.Join(s.dir, requestFile)
			text, err := os.ReadFile(path)
			if err != nil {
				continue
			}
			var r backupRequest
			if json.Unmarshal(text, &r) != nil || r.ID == "" {
				continue // half written
			}
			os.Remove(path)
			a := backupAnswer{ID: r.ID}
			if a.Manifest, err = s.Backup(ctx, r.To); err != nil {
				a.Error = err.Error()
			}
			if text, err = json.Marshal(a); err == nil {
				_ = WriteFile(filepath.Join(s.dir, answerFile), text)
			}
		}
	}
}

// ErrNoAnswer says that nobody took a request for a backup.
var ErrNoAnswer = errors.New("the process that has the data directory does not answer: is it a server of this version?")

// AskBackup has the server that runs on a data directory make a backup of itself in to, a new directory on its machine. It
// waits until the server has taken the request for at most patience, and then until the backup is made.
func AskBackup(ctx context.Context, dir, to string, patience time.Duration) (Manifest, error) {
	to, err := filepath.Abs(to)
	if err != nil {
		return Manifest{}, err
	}
	raw := make([]byte, 8)
	rand.Read(raw)
	r := backupRequest{ID: hex.EncodeToString(raw), To: to}
	text, err := json.Marshal(r)
	if err != nil {
		return Manifest{}, err
	}
	request, answer := filepath.Join(dir, requestFile), filepath.Join(dir, answerFile)
	if err := WriteFile(request, text); err != nil {
		return Manifest{}, err
	}
	defer os.Remove(request)
	until := time.Now().Add(patience)
	for {
		if text, err := os.ReadFile(answer); err == nil {
			var a backupAnswer
			if json.Unmarshal(text, &a) == nil && a.ID == r.ID {
				os.Remove(answer)
				if a.Error != "" {
					return a.Manifest, fmt.Errorf("the server says: %s", a.Error)
				}
				return a.Manifest, nil
			}
		}
		if _, err := os.Stat(request); !errors.Is(err, fs.ErrNotExist) && time.Now().After(until) {
			return Manifest{}, fmt.Errorf("%s: %w", dir, ErrNoAnswer)
		}
		select {
		case <-ctx.Done():
			return Manifest{}, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}
