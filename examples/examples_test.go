// Package examples_test runs the programs of this directory and compares what they print.
package examples_test

import (
	"bytes"
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pixano/internal/demo"
	"pixano/internal/fetched"
)

var update = flag.Bool("update", false, "write the files output.txt anew")

var built struct {
	once      sync.Once
	dir       string
	bin, demo string
	err       error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// build builds all programs at once, and draws the library that most of them read.
func build(t *testing.T) (bin, library string) {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "pixano-examples-"); built.err != nil {
			return
		}
		built.bin, built.demo = filepath.Join(built.dir, "bin"), filepath.Join(built.dir, "demo")
		if built.err = os.Mkdir(built.bin, 0o755); built.err != nil {
			return
		}
		if _, built.err = demo.Create(context.Background(), built.demo, nil); built.err != nil {
			return
		}
		var out []byte
		if out, built.err = exec.Command("go", "build", "-ldflags=-s -w", "-o", built.bin, "./...").CombinedOutput(); built.err != nil {
			built.err = &failed{built.err, out}
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.bin, built.demo
}

type failed struct {
	error
	out []byte
}

func (f *failed) Error() string { return f.error.Error() + "\n" + string(f.out) }

// python returns the interpreter of an environment of scripts/python-env.
func python(t *testing.T, environment string) string {
	t.Helper()
	out, err := exec.Command(filepath.Join("..", "scripts", "python-env"), "--find", environment).CombinedOutput()
	if err == nil {
		return strings.TrimSpace(string(out))
	}
	if os.Getenv("PIXANO_REQUIRE_INTEROP") != "" {
		t.Fatalf("no Python environment %s: %s", environment, out)
	}
	t.Skipf("no Python environment %s, made by scripts/python-env: %s", environment, strings.TrimSpace(string(out)))
	return ""
}

// TestExamples runs each program twice, the second time on what the first one left, since people do that too.
func TestExamples(t *testing.T) {
	const demo = "DEMO" // stands for a library of its own
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	examples := []struct {
		name   string
		args   []string
		steps  [][]string // in place of args: programs, or Python files, with their arguments
		python string
		models bool
		once   bool // a second run is not meant
	}{
		{name: "quickstart"},
		{name: "owntypes"},
		{name: "build"},
		{name: "changesets"},
		{name: "history"},
		{name: "coco", args: []string{demo}},
		{name: "imagesearch", args: []string{demo}},
		{name: "textsearch", args: []string{demo}, models: true},
		{name: "preannotate", args: []string{demo}},
		{name: "sql", args: []string{demo}},
		{name: "webapp", args: []string{"-once", "-addr", "127.0.0.1:0", demo}},
		{name: "python", python: "pixano", steps: [][]string{{"python/read.py", demo}}},
		{name: "ray", python: "ray", once: true, steps: [][]string{{"ray", "prepare", demo}, {"ray/embed.py", demo}, {"ray", "search", demo}}},
	}
	for _, e := range examples {
		t.Run(e.name, func(t *testing.T) {
			interpreter := ""
			if e.python != "" {
				interpreter = python(t, e.python)
			}
			if e.models {
				fetched.Dir(t, "onnxruntime")
				fetched.Dir(t, "all-minilm-l6-v2")
			}
			bin, library := build(t)
			mine := filepath.Join(t.TempDir(), "demo")
			steps := e.steps
			if steps == nil {
				steps = [][]string{append([]string{e.name}, e.args...)}
			}
			for _, step := range steps {
				for _, arg := range step {
					if _, err := os.Stat(mine); err != nil && arg == demo {
						if err := os.CopyFS(mine, os.DirFS(library)); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			for run := 1; run == 1 || run == 2 && !e.once; run++ {
				var out bytes.Buffer
				for _, step := range steps {
					var args []string
					for _, arg := range step[1:] {
						args = append(args, strings.ReplaceAll(arg, demo, mine))
					}
					program := filepath.Join(bin, step[0])
					if strings.HasSuffix(step[0], ".py") {
						program, args = interpreter, append([]string{filepath.Join(here, step[0])}, args...)
					}
					var messages bytes.Buffer
					cmd := exec.CommandContext(t.Context(), program, args...)
					cmd.Dir = t.TempDir()
					cmd.Stdout, cmd.Stderr = &out, &messages
					if err := cmd.Run(); err != nil {
						t.Fatalf("%v: %v\n%s%s", step, err, out.Bytes(), messages.Bytes())
					}
				}
				file := filepath.Join(e.name, "output.txt")
				if *update && run == 1 {
					if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(string(want), out.String()); d != "" {
					t.Errorf("run %d prints something else than %s has (-file +now):\n%s", run, file, d)
				}
			}
		})
	}

	// Each directory is run.
	dirs, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		known := d.Name() == "notebooks" || !d.IsDir()
		for _, e := range examples {
			known = known || e.name == d.Name()
		}
		if !known {
			t.Errorf("no test runs %s", d.Name())
		}
	}
}
