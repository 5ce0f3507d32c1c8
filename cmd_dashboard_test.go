package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"tutti/server"
)

// The demo's link lets one browser in once, and shows the task that runs.
func TestDemosDashboard(t *testing.T) {
	dir := t.TempDir()
	var said bytes.Buffer
	a := &app{out: &said, err: &said}
	d, err := a.deploy(deploymentSpec{dir: dir, task: demoTask, purpose: "a test", members: 3, corrupt: 1, goal: 10, minimum: 5, delta: "1e-6", observer: func(server.Event) {}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	s, err := a.serveDashboard(d, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	link, err := s.link()
	if err != nil {
		t.Fatal(err)
	}
	address, token, found := strings.Cut(link, "#")
	if !found || !strings.HasPrefix(address, "http://127.0.0.1:") {
		t.Fatalf("the link is %q", link)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	enter := func(c *http.Client) (int, string) {
		got, err := c.PostForm(address, url.Values{"token": {token}})
		if err != nil {
			t.Fatal(err)
		}
		defer got.Body.Close()
		page, err := io.ReadAll(got.Body)
		if err != nil {
			t.Fatal(err)
		}
		return got.StatusCode, string(page)
	}
	if code, page := enter(&http.Client{Jar: jar}); code != http.StatusOK || !strings.Contains(page, `<h1 id="h-now">demo</h1>`) || !strings.Contains(page, "PRIVACY IS OFF") {
		t.Errorf("the link: %d\n%s", code, page)
	}
	if code, _ := enter(&http.Client{}); code != http.StatusForbidden {
		t.Errorf("the link for a second browser: %d", code)
	}
	if got, err := http.Get(s.address + "/metrics"); err != nil || got.StatusCode != http.StatusUnauthorized {
		t.Errorf("metrics without a token: %v %v", got, err)
	}
}
