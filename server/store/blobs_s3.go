package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// s3Blobs is an S3-compatible object store: PREFIX/ab/cdef... in a bucket that is there. The credentials are those of the
// environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), never of the URL, which is written into logs.
type s3Blobs struct {
	client         *minio.Client
	wire           *http.Transport
	bucket, prefix string
	name           string // how messages call it
}

const s3Form = "s3://BUCKET/PREFIX?endpoint=https://HOST:PORT&region=REGION, with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment"

func newS3Blobs(where string) (*s3Blobs, error) {
	u, err := url.Parse(where)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, fmt.Errorf("store: an object store is %s", s3Form)
	}
	q := u.Query()
	endpoint := &url.URL{Scheme: "https", Host: "s3.amazonaws.com"}
	if text := q.Get("endpoint"); text != "" {
		if endpoint, err = url.Parse(text); err != nil || endpoint.Host == "" || endpoint.Scheme != "https" && endpoint.Scheme != "http" || strings.Trim(endpoint.Path, "/") != "" {
			return nil, fmt.Errorf("store: the endpoint %q is not https://HOST:PORT", text)
		}
	}
	q.Del("endpoint")
	region := q.Get("region")
	q.Del("region")
	if len(q) > 0 {
		return nil, fmt.Errorf("store: an object store is %s, and nothing more", s3Form)
	}
	b := &s3Blobs{wire: http.DefaultTransport.(*http.Transport).Clone(), bucket: u.Host, prefix: strings.Trim(u.Path, "/"),
		name: fmt.Sprintf("bucket %s at %s", u.Host, endpoint.Host)}
	b.client, err = minio.New(endpoint.Host, &minio.Options{Creds: credentials.NewEnvAWS(), Secure: endpoint.Scheme == "https", Region: region, Transport: b.wire})
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", b.name, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), blobPatience)
	defer cancel()
	there, err := b.client.BucketExists(ctx, b.bucket)
	if err == nil && !there {
		err = errors.New("there is no such bucket: create it first")
	}
	if err != nil {
		b.close()
		return nil, b.explain(err)
	}
	return b, nil
}

func (b *s3Blobs) explain(err error) error {
	if err == nil {
		return nil
	}
	var s3 minio.ErrorResponse
	if errors.As(err, &s3) && (s3.Code == "AccessDenied" || s3.Code == "InvalidAccessKeyId" || s3.Code == "SignatureDoesNotMatch") {
		return fmt.Errorf("%s: %w: check the credentials in the environment (%w)", b.name, ErrReadOnly, err)
	}
	return Explain(b.name, fmt.Errorf("%s: %w", b.name, err))
}

func (b *s3Blobs) key(digest [32]byte) string {
	name := hex.EncodeToString(digest[:])
	return path.Join(b.prefix, name[:2], name[2:])
}

// stat is ErrNoBlob for what is not there.
func (b *s3Blobs) stat(ctx context.Context, digest [32]byte) (int64, error) {
	info, err := b.client.StatObject(ctx, b.bucket, b.key(digest), minio.StatObjectOptions{})
	var s3 minio.ErrorResponse
	if errors.As(err, &s3) && (s3.Code == "NoSuchKey" || s3.StatusCode == http.StatusNotFound) {
		return 0, noBlob(digest)
	}
	return info.Size, b.explain(err)
}

// nothing is the digest of the empty content, which needs no object: some stores refuse one without bytes.
var nothing = sha256.Sum256(nil)

func (b *s3Blobs) put(digest [32]byte, content []byte) error {
	if digest == nothing {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), blobPatience)
	defer cancel()
	switch n, err := b.stat(ctx, digest); {
	case err == nil && n == int64(len(content)):
		return nil
	case err != nil && !errors.Is(err, ErrNoBlob):
		return err
	}
	_, err := b.client.PutObject(ctx, b.bucket, b.key(digest), bytes.NewReader(content), int64(len(content)), minio.PutObjectOptions{ContentType: "application/octet-stream", SendContentMd5: true})
	return b.explain(err)
}

func (b *s3Blobs) get(digest [32]byte) ([]byte, error) {
	r, n, c, err := b.open(digest)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	out := make([]byte, n)
	_, err = io.ReadFull(io.NewSectionReader(r, 0, n), out)
	return out, b.explain(err)
}

func (b *s3Blobs) open(digest [32]byte) (io.ReaderAt, int64, io.Closer, error) {
	if digest == nothing {
		return bytes.NewReader(nil), 0, io.NopCloser(nil), nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), blobPatience)
	n, err := b.stat(ctx, digest)
	cancel()
	if err != nil {
		return nil, 0, nil, err
	}
	object, err := b.client.GetObject(context.Background(), b.bucket, b.key(digest), minio.GetObjectOptions{})
	if err != nil {
		return nil, 0, nil, b.explain(err)
	}
	return object, n, object, nil
}

func (b *s3Blobs) list(each func(digest [32]byte) error) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	prefix := b.prefix
	if prefix != "" {
		prefix += "/"
	}
	for o := range b.client.ListObjects(ctx, b.bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			return b.explain(o.Err)
		}
		raw, err := hex.DecodeString(strings.ReplaceAll(strings.TrimPrefix(o.Key, prefix), "/", ""))
		if err != nil || len(raw) != 32 {
			continue // not a blob
		}
		if err := each([32]byte(raw)); err != nil {
			return err
		}
	}
	return nil
}

func (b *s3Blobs) remove(digest [32]byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), blobPatience)
	defer cancel()
	return b.explain(b.client.RemoveObject(ctx, b.bucket, b.key(digest), minio.RemoveObjectOptions{}))
}

func (b *s3Blobs) close() { b.wire.CloseIdleConnections() }
