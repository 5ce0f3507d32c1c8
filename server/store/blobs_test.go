package store

import (
	"bytes"
	"errors"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/minio/minio-go/v7"
)

// places are where blobs can lie, and how to spoil one there.
var places = map[string]func(t *testing.T) (s *SQL, spoil func(digest [32]byte)){
	"dir": func(t *testing.T) (*SQL, func([32]byte)) {
		dir := filepath.Join(t.TempDir(), "elsewhere")
		s := openWith(t, Options{Dir: t.TempDir(), Blobs: "dir:" + dir})
		return s, func(digest [32]byte) {
			must(t, os.WriteFile(dirBlobs{dir}.path(digest), []byte("hellO"), 0o600))
		}
	},
	"db": func(t *testing.T) (*SQL, func([32]byte)) {
		s := openWith(t, Options{Dir: t.TempDir(), Blobs: "db:"})
		return s, func(digest [32]byte) {
			must(t, s.db.do(ctx, func(tx *Tx) error {
				_, err := tx.Exec(`UPDATE blob_parts SET data = ? WHERE digest = ?`, []byte("hellO"), digest[:])
				return err
			}))
		}
	},
	"s3": func(t *testing.T) (*SQL, func([32]byte)) {
		s := openWith(t, Options{Dir: t.TempDir(), Blobs: fakeS3(t, "bucket") + "&region=us-east-1"})
		return s, func(digest [32]byte) {
			b := s.blobs.(*s3Blobs)
			_, err := b.client.PutObject(ctx, b.bucket, b.key(digest), strings.NewReader("hellO"), 5, minio.PutObjectOptions{})
			must(t, err)
		}
	},
}

// fakeS3 is an object store in this process with one bucket; it gives the URL of a prefix in it.
func fakeS3(t *testing.T, bucket string) string {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "KEYID")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "SECRET-OF-TEST")
	backend := s3mem.New()
	must(t, backend.CreateBucket(bucket))
	server := httptest.NewServer(gofakes3.New(backend, gofakes3.WithLogger(gofakes3.StdLog(log.New(testWriter{t}, "", 0)))).Server())
	t.Cleanup(server.Close)
	return "s3://" + bucket + "/some/prefix?endpoint=" + server.URL
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) { return len(p), nil }

func TestBlobPlaces(t *testing.T) {
	for name, make := range places {
		t.Run(name, func(t *testing.T) {
			s, spoil := make(t)
			suiteBlobs(t, func(testing.TB) Store { return s })
			digest, err := s.PutBlob([]byte("hello"))
			must(t, err)
			var all [][32]byte
			must(t, s.blobs.list(func(d [32]byte) error { all = append(all, d); return nil }))
			if len(all) < 5 || len(all) > 6 || !slices.Contains(all, digest) {
				t.Errorf("%d blobs are listed", len(all))
			}
			spoil(digest)
			if _, err := s.Blob(digest); !errors.Is(err, ErrCorrupt) {
				t.Errorf("a damaged blob: %v", err)
			}
			must(t, s.blobs.remove(digest))
			must(t, s.blobs.remove(digest))
			if _, err := s.Blob(digest); !errors.Is(err, ErrNoBlob) {
				t.Errorf("a removed blob: %v", err)
			}
			if again, err := s.PutBlob([]byte("hello")); err != nil || again != digest {
				t.Errorf("behind its removal: %v", err)
			}
			if b, err := s.Blob(digest); err != nil || !bytes.Equal(b, []byte("hello")) {
				t.Errorf("%q, %v", b, err)
			}
		})
	}
}

// TestWrongPlaces: what cannot be meant is refused, and no secret is in a message.
func TestWrongPlaces(t *testing.T) {
	there := fakeS3(t, "bucket")
	for _, where := range []string{
		"here", "dir:", "s3:///x", "s3://key:SECRET-OF-TEST@bucket/x", "s3://bucket/x?endpoint=ftp://x", "s3://bucket/x?endpoint=https://x&secret=SECRET-OF-TEST",
		strings.Replace(there, "bucket", "other", 1),
	} {
		s, err := Open(ctx, Options{Dir: t.TempDir(), Blobs: where})
		if err == nil {
			s.Close()
			t.Errorf("%s was opened", where)
			continue
		}
		if strings.Contains(err.Error(), "SECRET-OF-TEST") {
			t.Errorf("%s: the message names the secret: %v", where, err)
		}
	}
	for _, db := range []string{"mysql://x", "postgres", "data.db"} {
		if s, err := Open(ctx, Options{Dir: t.TempDir(), DB: db}); err == nil {
			s.Close()
			t.Errorf("the database %s was opened", db)
		}
	}
	if s, err := Open(ctx, Options{Dir: t.TempDir(), DB: "postgres://someone:SECRET-OF-TEST@127.0.0.1:1/none?connect_timeout=1"}); !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), "SECRET") {
		if err == nil {
			s.Close()
		}
		t.Errorf("a database that is not there: %v", err)
	}
}
