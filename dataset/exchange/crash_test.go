//go:build unix

package exchange_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/dataset/exchange"
	"pixano/dataset/folder"
)

// job is an import that another process makes, which dies at a step of it.
type job struct {
	Dir    string
	Source string
	Mode   dataset.BuildMode
	Resume bool
	Step   string // "": it does not die
	Nth    int    // time that the step comes, from 1
}

const jobVariable = "PIXANO_TEST_IMPORT"

func TestMain(m *testing.M) {
	text := os.Getenv(jobVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		panic(err)
	}
	var mu sync.Mutex
	exchange.OnFault(func(step string) {
		mu.Lock()
		defer mu.Unlock()
		if step == j.Step {
			if j.Nth--; j.Nth == 0 {
				syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
		}
	})
	if _, err := exchange.Import(context.Background(), j.options()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (j job) options() exchange.ImportOptions {
	return exchange.ImportOptions{Format: folder.Format, Source: filepath.Join(j.Dir, j.Source), Dataset: filepath.Join(j.Dir, "library", "photos"),
		MediaDir: filepath.Join(j.Dir, "media"), Mode: j.Mode, Resume: j.Resume}
}

// start makes another process do the import.
func (j job) start(t *testing.T) (*exec.Cmd, *strings.Builder) {
	t.Helper()
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), jobVariable+"="+string(text))
	var messages strings.Builder
	cmd.Stderr = &messages
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, &messages
}

// sources writes two folders of pictures, "old" and "new", with boxes.
func sources(t *testing.T, dir string) {
	t.Helper()
	for name, count := range map[string]int{"old": 5, "new": 40} {
		split := filepath.Join(dir, name, "train")
		if err := os.MkdirAll(split, 0o755); err != nil {
			t.Fatal(err)
		}
		var lines strings.Builder
		for i := range count {
			file := fmt.Sprintf("%s_%02d.ppm", name, i)
			fmt.Fprintf(&lines, `{"image": %q, "objects": {"category": ["car"], "bboxes": [[0.1, 0.2, 0.3, 0.4]]}}`+"\n", file)
			if err := os.WriteFile(filepath.Join(split, file), []byte("P3 40 30 255 "+file), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(split, "metadata.jsonl"), []byte(lines.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"library", "media"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// state is what somebody sees of a library: rows, and media files with the contents that they should have.
type state struct {
	Items, Boxes, Sources, Wrong int
	Files                        []string
}

// look opens the dataset, if there is one. Every row's file has to be there.
func look(t *testing.T, dir string) (s state) {
	t.Helper()
	ctx := t.Context()
	ds, err := dataset.Open(ctx, filepath.Join(dir, "library", "photos"), &dataset.Options{MediaDir: filepath.Join(dir, "media")})
	if errors.Is(err, fs.ErrNotExist) {
		return s
	}
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	for table, n := range map[string]*int{"item": &s.Items, "bboxes": &s.Boxes, "source": &s.Sources} {
		count, err := ds.Count(ctx, table, dataset.Query{})
		if err != nil {
			t.Fatal(err)
		}
		*n = int(count)
	}
	for row, err := range ds.Rows(ctx, "image", dataset.Query{OrderBy: "url"}) {
		if err != nil {
			t.Fatal(err)
		}
		url, _ := row.Value("url").(string)
		s.Files = append(s.Files, url)
	}
	violations, err := ds.CheckIntegrity(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.Wrong = len(violations)
	return s
}

// files wants the file of each row, and nothing that a crash left.
func files(t *testing.T, dir string, s state) {
	t.Helper()
	for _, url := range s.Files {
		content, err := os.ReadFile(filepath.Join(dir, "media", url))
		if err != nil || !strings.HasSuffix(string(content), filepath.Base(url)) {
			t.Errorf("%s: %q, %v", url, content, err)
		}
	}
	for _, pattern := range []string{"library/.pixano/imports/*", "library/.pixano/staging/*", "media/.pixano/imports/*", "library/photos/.pixano/builds/*"} {
		if left, err := filepath.Glob(filepath.Join(dir, pattern)); err != nil || len(left) > 0 {
			t.Errorf("left over: %v %v", left, err)
		}
	}
}

// TestKilledImports kills imports in each mode after each step and at random moments: the library is then what it was, or
// what it was to become, and a second run, with or without resuming, brings it there.
func TestKilledImports(t *testing.T) {
	random := 4
	if testing.Short() {
		random = 2
	}
	for _, mode := range []dataset.BuildMode{dataset.BuildCreate, dataset.BuildOverwrite, dataset.BuildAdd} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			prepare := func(t *testing.T) string {
				t.Helper()
				dir := t.TempDir()
				sources(t, dir)
				if mode != dataset.BuildCreate {
					if _, err := exchange.Import(t.Context(), job{Dir: dir, Source: "old"}.options()); err != nil {
						t.Fatal(err)
					}
				}
				return dir
			}
			dir := prepare(t)
			before := look(t, dir)
			began := time.Now()
			cmd, messages := job{Dir: dir, Source: "new", Mode: mode}.start(t)
			if err := cmd.Wait(); err != nil {
				t.Fatal(err, messages)
			}
			took := time.Since(began)
			after := look(t, dir)
			files(t, dir, after)
			if after.Items != map[dataset.BuildMode]int{dataset.BuildCreate: 40, dataset.BuildOverwrite: 40, dataset.BuildAdd: 45}[mode] || after.Wrong != 0 {
				t.Fatalf("%d items, %d wrong rows", after.Items, after.Wrong)
			}

			type kill struct {
				step  string
				nth   int
				after time.Duration
			}
			kills := []kill{{step: "begun", nth: 1}, {step: "brought", nth: 1}, {step: "brought", nth: 23}, {step: "read", nth: 1}, {step: "complete", nth: 1},
				{step: "moved", nth: 7}, {step: "placed", nth: 1}, {step: "published", nth: 1}, {step: "old away", nth: 1}, {step: "new there", nth: 1}, {step: "replaced", nth: 1}}
			for range random {
				kills = append(kills, kill{after: time.Duration(rand.Int64N(int64(took)))})
			}
			for i, k := range kills {
				name := fmt.Sprintf("%s %d", k.step, k.nth)
				if k.step == "" {
					name = "after " + k.after.String()
				}
				dir := prepare(t)
				cmd, messages := job{Dir: dir, Source: "new", Mode: mode, Step: k.step, Nth: k.nth}.start(t)
				if k.step == "" {
					time.Sleep(k.after)
					cmd.Process.Kill()
				}
				err := cmd.Wait()
				if err == nil && k.step != "" {
					continue // a step that this mode does not have
				}
				if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
					t.Fatalf("%s: %v\n%s", name, err, messages)
				}
				got := look(t, dir)
				was, is := cmp.Diff(before, got), cmp.Diff(after, got)
				if was != "" && is != "" {
					t.Fatalf("%s: the library is neither what it was nor what it was to become:\n%s\n%s", name, was, is)
				}
				again, messages := job{Dir: dir, Source: "new", Mode: mode, Resume: i%2 == 0}.start(t)
				err = again.Wait()
				if done := is == "" && mode == dataset.BuildCreate && strings.Contains(messages.String(), "is there already"); err != nil && !done {
					t.Fatalf("%s, then again: %v\n%s", name, err, messages)
				}
				if d := cmp.Diff(after, look(t, dir)); d != "" {
					t.Fatalf("%s, then again (-want +got):\n%s", name, d)
				}
				if err == nil {
					files(t, dir, after)
				}
			}
		})
	}
}
