package server_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	pathpkg "path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pixano/dataset"
	"pixano/server"
)

var update = flag.Bool("update", false, "write the files that tests compare with")

// TestOpenAPI: the description that the web interface's client is made of is that of the server. -update writes it.
func TestOpenAPI(t *testing.T) {
	const file = "../ui/openapi.json"
	l, err := dataset.OpenLibrary(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(l, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	content, err := s.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := json.Indent(&got, content, "", "  "); err != nil {
		t.Fatal(err)
	}
	got.WriteByte('\n')
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%s is stale: run go test ./server -run TestOpenAPI -update", file)
	}
	if n := bytes.Count(content, []byte(`"operationId"`)); n < 70 {
		t.Errorf("%d operations", n)
	}
}

// TestDocs: the page of routes names all of them and asks for nothing from elsewhere.
func TestDocs(t *testing.T) {
	url := start(t, newLibrary(t), nil)
	page := string(call(t, "GET", url+"/docs", nil).body)
	for _, want := range []string{"/changes/{dataset}", "/browser/{dataset}", "listAnnotations", "ChangesResult"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in the page", want)
		}
	}
	for _, unwanted := range []string{`href="http`, "src=", "<script", "url("} {
		if strings.Contains(page, unwanted) {
			t.Errorf("%s in the page", unwanted)
		}
	}
}

// TestManual: every page is shown, leads only to pages that are there, and asks for nothing from elsewhere.
func TestManual(t *testing.T) {
	url := start(t, newLibrary(t), nil)
	seen := map[string]bool{}
	var visit func(path string)
	visit = func(path string) {
		if seen[path] {
			return
		}
		seen[path] = true
		answer := call(t, "GET", url+path, nil)
		page := string(answer.body)
		if answer.status != http.StatusOK || !strings.Contains(page, "<h1") {
			t.Errorf("%s: %d", path, answer.status)
		}
		for _, unwanted := range []string{`src="http`, "<script", "url(", "```", "<!-- raw HTML"} {
			if strings.Contains(page, unwanted) {
				t.Errorf("%s: %s in the page", path, unwanted)
			}
		}
		for _, m := range regexp.MustCompile(`href="([^"#:]+)(?:#[^"]*)?"`).FindAllStringSubmatch(page, -1) {
			if to := pathpkg.Join(pathpkg.Dir(path), m[1]); strings.HasPrefix(to, "/docs/manual/") {
				visit(to)
			}
		}
	}
	visit("/docs/manual/README.md")
	if len(seen) < 15 {
		t.Errorf("%d pages", len(seen))
	}
	if index := call(t, "GET", url+"/docs/manual/", nil); !strings.Contains(string(index.body), "concepts.md") {
		t.Errorf("no index: %d", index.status)
	}
	for _, path := range []string{"/docs/manual/nothing.md", "/docs/manual/decisions.md", "/docs/manual/..%2fgo.mod", "/docs/manual/docs.go"} {
		if answer := call(t, "GET", url+path, nil); answer.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, answer.status)
		}
	}
}
