package dataset

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pixano/schema"
)

// TestLockDataset: one holder at a time; who waits for a dataset that is moved meanwhile does not bring it back.
func TestLockDataset(t *testing.T) {
	path := t.TempDir()
	holders, most := 0, 0
	var mu sync.Mutex
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 20 {
				unlock, err := lockDataset(t.Context(), path)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				holders++
				most = max(most, holders)
				mu.Unlock()
				time.Sleep(100 * time.Microsecond)
				mu.Lock()
				holders--
				mu.Unlock()
				unlock()
			}
		})
	}
	group.Wait()
	if most != 1 {
		t.Errorf("%d held the lock together", most)
	}
	if err := os.RemoveAll(filepath.Join(path, privateFolder)); err != nil {
		t.Fatal(err)
	}

	unlock, err := lockDataset(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := lockDataset(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting: got %v, want the end of the context", err)
	}
	waiting := make(chan error)
	go func() {
		_, err := lockDataset(t.Context(), path)
		waiting <- err
	}()
	time.Sleep(20 * time.Millisecond)
	if err := os.Rename(path, path+"x"); err != nil {
		t.Fatal(err)
	}
	unlock()
	if err := <-waiting; !errors.Is(err, ErrNotFound) {
		t.Errorf("a dataset that was moved: got %v, want ErrNotFound", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it came back: %v", err)
	}
	// The one that gave up has not kept the lock.
	if err := os.Rename(path+"x", path); err != nil {
		t.Fatal(err)
	}
	unlock, err = lockDataset(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

// TestStages: what dead processes left is removed when no live one has a stage, and other things stay.
func TestStages(t *testing.T) {
	parent := t.TempDir()
	root := filepath.Join(parent, privateFolder, "staging")
	for _, dir := range []string{stagePrefix + "dead/dataset/db", "import"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	names := func() []string {
		entries, err := os.ReadDir(root)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			if e.Name() != "lock" {
				names = append(names, e.Name())
			}
		}
		return names
	}
	first, err := newStage(t.Context(), parent)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"import", filepath.Base(first.dir)}, names()); diff != "" {
		t.Errorf("with one stage (-want +got):\n%s", diff)
	}
	second, err := newStage(t.Context(), parent)
	if err != nil {
		t.Fatal(err)
	}
	if len(names()) != 3 {
		t.Errorf("with two stages: %v", names())
	}
	// The first one dies: its lock is given up and its files stay.
	if err := first.lock.Close(); err != nil {
		t.Fatal(err)
	}
	if err := second.close(); err != nil {
		t.Fatal(err)
	}
	third, err := newStage(t.Context(), parent)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"import", filepath.Base(third.dir)}, names()); diff != "" {
		t.Errorf("afterwards (-want +got):\n%s", diff)
	}
	if err := third.close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"import"}, names()); diff != "" {
		t.Errorf("in the end (-want +got):\n%s", diff)
	}
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "info.json")
	for _, content := range []string{"a", "", "longer"} {
		if err := writeFile(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); string(got) != content {
			t.Errorf("got %q (%v), want %q", got, err, content)
		}
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(path, nil); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("permissions became %v (%v)", st.Mode(), err)
	}
	if err := os.Mkdir(filepath.Join(dir, "taken"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(filepath.Join(dir, "taken"), nil); err == nil {
		t.Error("a directory was replaced")
	}
	if err := writeFile(filepath.Join(dir, "none", "x"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: got %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("got %v (%v), want info.json and taken", entries, err)
	}
}

func TestValueErrors(t *testing.T) {
	type Thing struct {
		schema.Entity
		Category string
		Rank     int64
		Weight   float64
		Hidden   bool
		Tags     []string
	}
	m := &meta{constraints: constraints{"things": {
		{Name: "category", Restricted: true, Values: []any{"cat", "dog"}},
		{Name: "rank", Restricted: true, Values: []any{int64(1), 2.0, int64(1) << 60}},
		{Name: "weight", Restricted: true, Values: []any{int64(1), 0.5, int64(1)<<60 + 1}},
		{Name: "hidden", Restricted: true, Values: []any{false}},
		{Name: "tags", Restricted: true, Values: []any{"a", "b"}},
		{Name: "tags", Values: []any{"suggested"}},
		{Name: "gone", Restricted: true, Values: []any{"x"}},
	}, "none": {{Name: "category", Restricted: true}}}}
	good := Thing{Entity: schema.Entity{ID: "t"}, Category: "cat", Rank: 1, Weight: 0.5}
	for _, test := range []struct {
		change func(*Thing)
		want   []string
	}{
		{func(*Thing) {}, nil},
		{func(r *Thing) { r.Rank, r.Weight, r.Tags = 2, 1, []string{"b", "a", "b"} }, nil},
		{func(r *Thing) { r.Rank = 1 << 60 }, nil},
		{func(r *Thing) { r.Category = "Cat" }, []string{`category: "Cat" is not allowed: want one of "cat", "dog"`}},
		{func(r *Thing) { r.Category = "" }, []string{`category: "" is not allowed: want one of "cat", "dog"`}},
		{func(r *Thing) { r.Rank, r.Hidden = 3, true }, []string{
			"rank: 3 is not allowed: want one of 1, 2.0, 1152921504606846976", "hidden: true is not allowed: want false"}},
		{func(r *Thing) { r.Weight = 1 << 60 }, []string{"weight: 1.152921504606847e+18 is not allowed: want one of 1, 0.5, 1152921504606846977"}},
		{func(r *Thing) { r.Tags = []string{"a", "é", "x"} }, []string{`tags: "é" is not allowed: want one of "a", "b"`}},
	} {
		row := good
		test.change(&row)
		class, err := schema.ClassOf(row)
		if err != nil {
			t.Fatal(err)
		}
		dynamic, err := schema.NewDynamic(class)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range class.Fields {
			if value, err := schema.Value(row, f.Name); err != nil {
				t.Fatal(err)
			} else if err := dynamic.Set(f.Name, value); err != nil {
				t.Fatal(err)
			}
		}
		for _, row := range []any{row, &row, dynamic} {
			var got []string
			for _, e := range m.valueErrors("things", row) {
				got = append(got, e.Error())
				if e.Table != "things" || e.ID != "t" || !errors.Is(e, ErrSchema) {
					t.Errorf("got %+v", e)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%T (-want +got):\n%s", row, diff)
			}
		}
	}
	if list := m.valueErrors("other", good); list != nil {
		t.Errorf("a table without constraints: %v", list)
	}
	if list := m.valueErrors("none", good); len(list) != 1 || !strings.Contains(list[0].Error(), "the constraint has no values") {
		t.Errorf("a constraint without values: %v", list)
	}
}
