package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestServerRun serves a library, answers, and ends well when it is asked to, also while a client listens to events.
func TestServerRun(t *testing.T) {
	dir := t.TempDir()
	for _, sub := range []string{"media", "models"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(dir, "library", "vqa"), os.DirFS(filepath.Join(goldenDir, "vqa"))); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	log, stderr := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- execute(ctx, []string{"server", "run", dir, "--port", "0"}, strings.NewReader(""), io.Discard, stderr)
		stderr.Close()
	}()
	lines := bufio.NewScanner(log)
	address := ""
	for address == "" && lines.Scan() {
		address = regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(lines.Text())
	}
	rest := make(chan string, 1)
	go func() {
		var text strings.Builder
		for lines.Scan() {
			text.WriteString(lines.Text() + "\n")
		}
		rest <- text.String()
	}()
	for path, want := range map[string]string{"/datasets/info": `"id":"golden_vqa"`, "/openapi.json": `"openapi":"3.1.0"`, "/docs": "REST API", "/inference/models/list": "builtin-grabcut", "/models": "[]"} {
		res, err := http.Get(address + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: status %d, %v: %.300s", path, res.StatusCode, err, body)
		}
	}
	var said strings.Builder
	if got := execute(t.Context(), []string{"server", "run", dir, "--port", address[strings.LastIndexByte(address, ':')+1:]}, strings.NewReader(""), io.Discard, &said); got != exitFailure || !strings.Contains(said.String(), "is in use: want another --port") {
		t.Errorf("at the same port: exit code %d: %s", got, said.String())
	}
	events, err := http.Get(address + "/events/golden_vqa")
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()
	cancel()
	if got := <-code; got != 0 {
		t.Errorf("exit code %d", got)
	}
	if got := <-rest; !strings.Contains(got, "Shutting down") {
		t.Errorf("standard error: %s", got)
	}
}
