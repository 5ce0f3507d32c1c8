package store_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"tutti/client"
	"tutti/client/history"
	"tutti/client/store"
)

func open(t *testing.T, dir string) *store.Files {
	t.Helper()
	f, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// both runs a test on a store in files and on one in memory; reopen closes the
// store and opens it again.
func both(t *testing.T, test func(t *testing.T, s client.Store, reopen func() client.Store)) {
	t.Run("files", func(t *testing.T) {
		dir := t.TempDir()
		f := open(t, dir)
		test(t, f, func() client.Store { must(t, f.Close()); f = open(t, dir); return f })
	})
	t.Run("memory", func(t *testing.T) {
		m := &store.Memory{}
		test(t, m, func() client.Store { must(t, m.Close()); return m })
	})
}

func recordsOf(t *testing.T, s client.Store) (uint64, []string) {
	t.Helper()
	first, records, err := s.History()
	must(t, err)
	var texts []string
	for _, r := range records {
		texts = append(texts, string(r))
	}
	return first, texts
}

func TestStoreKeepsEverything(t *testing.T) {
	both(t, func(t *testing.T, s client.Store, reopen func() client.Store) {
		if b, err := s.State(); b != nil || err != nil {
			t.Fatalf("a new store has the state %q, %v", b, err)
		}
		if b, err := s.Pending(); b != nil || err != nil {
			t.Fatalf("a new store has the upload %q, %v", b, err)
		}
		must(t, s.DropPending())
		must(t, s.SaveState([]byte("one")))
		must(t, s.SaveState([]byte("two")))
		must(t, s.SavePending([]byte("upload")))
		must(t, s.AppendHistory([]byte("a")))
		must(t, s.AppendHistory([]byte("bb")))
		must(t, s.SaveBlob([32]byte{1}, []byte("blob 1")))
		must(t, s.SaveBlob([32]byte{2}, []byte("blob 2")))
		must(t, s.SaveBlob([32]byte{2}, []byte("blob 2")))

		s = reopen()
		if b, _ := s.State(); string(b) != "two" {
			t.Fatalf("state %q", b)
		}
		if b, _ := s.Pending(); string(b) != "upload" {
			t.Fatalf("pending %q", b)
		}
		if first, texts := recordsOf(t, s); first != 0 || !slices.Equal(texts, []string{"a", "bb"}) {
			t.Fatalf("history from %d: %q", first, texts)
		}
		must(t, s.RewriteHistory(2, [][]byte{[]byte("ccc")}))
		must(t, s.AppendHistory([]byte("d")))
		must(t, s.KeepBlobs([][32]byte{{2}}))
		must(t, s.DropPending())

		s = reopen()
		if first, texts := recordsOf(t, s); first != 2 || !slices.Equal(texts, []string{"ccc", "d"}) {
			t.Fatalf("history from %d: %q", first, texts)
		}
		if _, err := s.Blob([32]byte{1}); !errors.Is(err, client.ErrNoBlob) {
			t.Fatalf("a dropped blob: %v", err)
		}
		if b, err := s.Blob([32]byte{2}); err != nil || string(b) != "blob 2" {
			t.Fatalf("blob %q, %v", b, err)
		}
		if b, err := s.Pending(); b != nil || err != nil {
			t.Fatalf("the dropped upload is %q, %v", b, err)
		}

		must(t, s.Erase())
		s = reopen()
		if b, _ := s.State(); b != nil {
			t.Fatal("the state was not erased")
		}
		if first, texts := recordsOf(t, s); first != 0 || len(texts) != 0 {
			t.Fatal("the history was not erased")
		}
		if _, err := s.Blob([32]byte{2}); !errors.Is(err, client.ErrNoBlob) {
			t.Fatal("a blob was not erased")
		}
		must(t, s.AppendHistory([]byte("new")))
	})
}

// TestHistoryCutAtEveryByte: whatever a crash leaves of the file, all whole
// records are there, and the next append follows them.
func TestHistoryCutAtEveryByte(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "history")
	f := open(t, dir)
	records := []string{"first", "second record", "3"}
	var ends []int // sizes of the file with 0, 1, 2, 3 whole records
	size := func() int {
		info, err := os.Stat(path)
		must(t, err)
		return int(info.Size())
	}
	ends = append(ends, size())
	for _, r := range records {
		must(t, f.AppendHistory([]byte(r)))
		ends = append(ends, size())
	}
	must(t, f.Close())
	whole, err := os.ReadFile(path)
	must(t, err)
	for _, fill := range []int{0, 40} { // some file systems leave zeros where the tail should be
		for cut := ends[0]; cut <= len(whole); cut++ {
			must(t, os.WriteFile(path, append(bytes.Clone(whole[:cut]), make([]byte, fill)...), 0o600))
			n := 0
			for n < len(records) && ends[n+1] <= cut {
				n++
			}
			f := open(t, dir)
			_, texts := recordsOf(t, f)
			if len(texts) < n || !slices.Equal(texts[:n], records[:n]) {
				t.Fatalf("cut at byte %d of %d, %d zeros: %q, want %q", cut, len(whole), fill, texts, records[:n])
			}
			if fill == 0 && len(texts) != n {
				t.Fatalf("cut at byte %d: %q, want %q", cut, texts, records[:n])
			}
			must(t, f.AppendHistory([]byte("next")))
			must(t, f.Close())
			f = open(t, dir)
			if _, after := recordsOf(t, f); len(after) != len(texts)+1 || after[len(texts)] != "next" {
				t.Fatalf("cut at byte %d: after the next append %q", cut, after)
			}
			must(t, f.Close())
		}
	}
	for cut := range ends[0] { // the head is written as a whole: less is damage
		must(t, os.WriteFile(path, whole[:cut], 0o600))
		if _, err := store.Open(dir); !errors.Is(err, store.ErrHistoryFile) {
			t.Fatalf("a head of %d bytes: %v", cut, err)
		}
	}
}

// TestTamperingIsSeen: every changed byte of a device's files is noticed, or
// costs nothing but a torn tail.
func TestTamperingIsSeen(t *testing.T) {
	dir := t.TempDir()
	secret, err := history.NewKey(bytes.Repeat([]byte{3}, history.KeyBytes))
	must(t, err)
	codec, err := history.NewCodec(secret, rand.Reader)
	must(t, err)
	f := open(t, dir)
	var records [][]byte
	for i := range 3 {
		record, err := codec.Seal(uint64(i), []history.Event{{Item: int64(i), Kind: history.View}})
		must(t, err)
		must(t, f.AppendHistory(record))
		records = append(records, record)
	}
	must(t, f.Close())
	path := filepath.Join(dir, "history")
	whole, err := os.ReadFile(path)
	must(t, err)
	for i := range whole {
		changed := bytes.Clone(whole)
		changed[i] ^= 0x08
		must(t, os.WriteFile(path, changed, 0o600))
		f, err := store.Open(dir)
		if errors.Is(err, store.ErrHistoryFile) {
			continue
		}
		must(t, err)
		first, read, err := f.History()
		must(t, err)
		ok := len(read) == len(records)
		for k, r := range read {
			if _, err := codec.Open(first+uint64(k), r); err != nil {
				ok = false
			}
		}
		if ok {
			t.Fatalf("byte %d was changed, and nobody noticed", i)
		}
		must(t, f.Close())
	}
}

func TestOneProcessOwnsADirectory(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	if _, err := store.Open(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Fatalf("opened twice: %v", err)
	}
	must(t, f.Close())
	open(t, dir)
}

func TestFilesArePrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("windows has no modes")
	}
	dir := filepath.Join(t.TempDir(), "device")
	f := open(t, dir)
	must(t, f.SaveState([]byte("s")))
	must(t, f.SavePending([]byte("p")))
	must(t, f.SaveBlob([32]byte{1}, []byte("b")))
	must(t, f.AppendHistory([]byte("h")))
	must(t, f.RewriteHistory(0, nil))
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		must(t, err)
		info, err := e.Info()
		must(t, err)
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	must(t, err)
}

// TestCrashLeftovers: half-written files are removed, an interrupted Erase is
// finished.
func TestCrashLeftovers(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	must(t, f.SaveState([]byte("kept")))
	must(t, f.SaveBlob([32]byte{1}, []byte("kept")))
	must(t, f.Close())
	for _, half := range []string{".new-1", filepath.Join("blobs", ".new-2")} {
		must(t, os.WriteFile(filepath.Join(dir, half), []byte("half"), 0o600))
	}
	f = open(t, dir)
	if b, _ := f.State(); string(b) != "kept" {
		t.Fatalf("state %q", b)
	}
	must(t, f.Close())
	for _, half := range []string{".new-1", filepath.Join("blobs", ".new-2")} {
		if _, err := os.Stat(filepath.Join(dir, half)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there", half)
		}
	}
	must(t, os.WriteFile(filepath.Join(dir, "erasing"), nil, 0o600))
	f = open(t, dir)
	if b, _ := f.State(); b != nil {
		t.Fatal("an interrupted Erase was not finished: there is a state")
	}
	if _, err := f.Blob([32]byte{1}); !errors.Is(err, client.ErrNoBlob) {
		t.Fatal("an interrupted Erase was not finished: there is a blob")
	}
}

func TestUnusableDirectory(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a file")
	must(t, os.WriteFile(file, nil, 0o600))
	if _, err := store.Open(filepath.Join(file, "below")); err == nil {
		t.Fatal("a store was opened below a file")
	}
	f := open(t, filepath.Join(dir, "gone"))
	must(t, f.SaveState([]byte("old")))
	must(t, os.RemoveAll(filepath.Join(dir, "gone")))
	if err := f.SaveState([]byte("new")); err == nil {
		t.Fatal("a state was saved in a directory that is gone")
	}
}

func TestClosed(t *testing.T) {
	f := open(t, t.TempDir())
	must(t, f.Close())
	must(t, f.Close())
	if f.AppendHistory([]byte("x")) == nil {
		t.Error("a closed store took a record")
	}
	if _, _, err := f.History(); err == nil {
		t.Error("a closed store gave a history")
	}
}
