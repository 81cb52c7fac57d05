package pixano_test

import (
	"bytes"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// tracked lists the files of the repository: those that git tracks or would track.
func tracked(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		t.Skip("not a git checkout: ", err) // such as a copy from the module cache
	}
	var files []string
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		if st, err := os.Lstat(name); err == nil && st.Mode().IsRegular() {
			files = append(files, name)
		}
	}
	if len(files) < 50 {
		t.Fatalf("git lists %d files", len(files))
	}
	return files
}

// unwanted is text that belongs to the machine that it was written on.
var unwanted = map[string]*regexp.Regexp{
	"a machine's path":  regexp.MustCompile(`(^|[^A-Za-z0-9_.-])/((work|farm|root)/[A-Za-z.]|var/tmp/)`),
	"a registry's host": regexp.MustCompile(`https?://[a-z0-9.-]*(registry|proxy|mirror|crates|packages)[a-z0-9.-]*/|"resolved": "htt[p]|(index|static)\.crates\.io|files\.pythonhosted|registry\.npmjs|(proxy|sum)\.golang\.org`),
}

// TestText: no file names a path of a machine, or the host of a package registry.
func TestText(t *testing.T) {
	for _, name := range tracked(t) {
		if name == "go.sum" {
			continue
		}
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(content[:min(len(content), 8000)], 0) >= 0 {
			continue // binary
		}
		for what, pattern := range unwanted {
			if at := pattern.FindIndex(content); at != nil {
				line := 1 + bytes.Count(content[:at[0]], []byte("\n"))
				t.Errorf("%s:%d: %s: %q", name, line, what, content[at[0]:at[1]])
			}
		}
	}
}

// TestFormat: Go files are as gofmt writes them.
func TestFormat(t *testing.T) {
	for _, name := range tracked(t) {
		if filepath.Ext(name) != ".go" {
			continue
		}
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		want, err := format.Source(content)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !bytes.Equal(want, content) {
			t.Errorf("%s: not as gofmt writes it", name)
		}
	}
}
