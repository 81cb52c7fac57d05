// Package notebooks_test executes the notebooks of this directory in Jupyter.
package notebooks_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"image/png"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pixano/internal/notebook"
)

var update = flag.Bool("update", false, "write the notebooks anew with their outputs")

type cell struct {
	Kind    string   `json:"cell_type"`
	Source  lines    `json:"source"`
	Outputs []result `json:"outputs"`
}

type result struct {
	Kind      string                     `json:"output_type"`
	Text      lines                      `json:"text"`
	Data      map[string]json.RawMessage `json:"data"`
	Traceback []string                   `json:"traceback"`
}

// lines is a text that notebooks also write as a list of lines.
type lines string

func (l *lines) UnmarshalJSON(text []byte) error {
	if list := []string{}; json.Unmarshal(text, &list) == nil {
		*l = lines(strings.Join(list, ""))
		return nil
	}
	return json.Unmarshal(text, (*string)(l))
}

func read(t *testing.T, path string) []cell {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var nb struct{ Cells []cell }
	if err := json.Unmarshal(content, &nb); err != nil {
		t.Fatal(path, err)
	}
	return nb.Cells
}

var clock = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?`)

// shown is what a reader sees of a cell's outputs, without the time of day; pictures are their sizes.
func (c cell) shown(t *testing.T) (all []string) {
	t.Helper()
	for _, out := range c.Outputs {
		text := string(out.Text)
		for _, kind := range slices.Sorted(maps.Keys(out.Data)) {
			var value lines
			if err := json.Unmarshal(out.Data[kind], &value); err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			if kind == "image/png" {
				raw, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(string(value), "\n", ""))
				if err != nil {
					t.Fatal(err)
				}
				picture, err := png.Decode(bytes.NewReader(raw))
				if err != nil {
					t.Fatal(err)
				}
				value = lines(picture.Bounds().String())
			}
			text += kind + ": " + string(value)
		}
		all = append(all, clock.ReplaceAllString(text, "TIME"))
	}
	return all
}

// TestNotebooks executes each notebook with the kernel that "pixano notebook install" makes, and compares what its cells
// show with what is in the file.
func TestNotebooks(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	found, err := exec.Command(filepath.Join(root, "scripts", "python-env"), "--find", "notebook").CombinedOutput()
	if err != nil {
		if os.Getenv("PIXANO_REQUIRE_INTEROP") != "" {
			t.Fatalf("no Python environment notebook: %s", found)
		}
		t.Skipf("no Python environment notebook, made by scripts/python-env: %s", strings.TrimSpace(string(found)))
	}
	jupyter := t.TempDir()
	if _, err := notebook.Install(t.Context(), notebook.Options{Source: root, Kernels: filepath.Join(jupyter, "kernels"), Log: t.Output()}); err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(bin, "pixano"), "pixano/cmd/pixano").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	notebooks, err := filepath.Glob("*.ipynb")
	if err != nil || len(notebooks) == 0 {
		t.Fatal("no notebooks ", err)
	}
	for _, name := range notebooks {
		t.Run(name, func(t *testing.T) {
			executed := filepath.Join(t.TempDir(), name)
			run := exec.Command(strings.TrimSpace(string(found)), "run.py", name, executed)
			run.Env = append(os.Environ(), "JUPYTER_PATH="+jupyter, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			if out, err := run.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			want, got := read(t, name), read(t, executed)
			outputs := 0
			for i, c := range got {
				for _, out := range c.Outputs {
					outputs++
					if out.Kind == "error" {
						t.Fatalf("cell %d\n%s\nfails: %s", i, c.Source, strings.Join(out.Traceback, "\n"))
					}
				}
			}
			if outputs == 0 {
				t.Fatal("no cell shows anything")
			}
			if *update {
				content, err := os.ReadFile(executed)
				if err == nil {
					err = os.WriteFile(name, content, 0o644)
				}
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			for i := range want {
				if d := cmp.Diff(want[i].shown(t), got[i].shown(t)); d != "" {
					t.Errorf("cell %d\n%s\nshows something else than the file has (-file +now):\n%s", i, want[i].Source, d)
				}
			}
		})
	}
}
