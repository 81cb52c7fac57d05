package dataset_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/features"
	"pixano/internal/lance"
	"pixano/schema"
)

var diffRuns = flag.Int("diff-runs", 60, "random runs of TestDiffAndRestore")

// tally counts the rows that differ between two states of a model, which are equal but for their times.
func tally(from, to map[string]map[string]any) map[string][3]int {
	counts := map[string][3]int{}
	for _, table := range modelTables {
		c := [3]int{} // added, changed, removed
		for id, row := range to[table] {
			if old, ok := from[table][id]; !ok {
				c[0]++
			} else if !sameValues(old, row) {
				c[1]++
			}
		}
		for id := range from[table] {
			if _, ok := to[table][id]; !ok {
				c[2]++
			}
		}
		counts[table] = c
	}
	return counts
}

// sameValues compares rows of the model but for their times.
func sameValues(a, b any) bool {
	return cmp.Equal(a, b, cmp.FilterPath(func(p cmp.Path) bool {
		name := p.Last().String()
		return name == ".CreatedAt" || name == ".UpdatedAt"
	}, cmp.Ignore()))
}

// TestDiffAndRestore takes snapshots between random changes, compares any two states with what a model says, and brings
// some back.
func TestDiffAndRestore(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dir := filepath.Join(t.TempDir(), "shots")
	m := &model{t: t, r: rand.New(rand.NewPCG(5, 5)), dir: dir, seed: 5, ds: newDataset(t, dir, dataset.Info{}, nil),
		now:  schema.Now(),
		rows: map[string]map[string]any{}, keys: map[string]*dataset.Result{}, refused: map[error]int{}}
	for _, table := range modelTables {
		m.rows[table] = map[string]any{}
	}
	m.open(ctx)
	defer func() { m.ds.Close() }()
	states := map[string]map[string]map[string]any{}
	var names []string
	runs := *diffRuns
	if testing.Short() {
		runs = 8
	}
	restored, differences := 0, 0
	for m.count = range runs {
		m.now = m.now.Add(1000)
		for range 1 + m.r.IntN(3) {
			switch m.r.IntN(6) {
			case 0:
				m.delete(ctx)
			case 1:
				m.deleteItems(ctx)
			case 2:
				m.update(ctx)
			default:
				m.apply(ctx)
			}
		}
		if m.r.IntN(20) == 0 {
			if _, err := m.ds.Optimize(ctx); err != nil {
				m.fail("%v", err)
			}
		}
		// Of the states known, and the present.
		states[""] = m.rows
		any := func() string { return append([]string{""}, names...)[m.r.IntN(len(names)+1)] }
		from, to := any(), any()
		m.checkDiff(ctx, from, to, states)
		differences++
		switch m.r.IntN(4) {
		case 0, 1:
			name := fmt.Sprint("run-", m.count)
			if _, err := m.ds.Snapshot(ctx, name, dataset.SnapshotOptions{}); err != nil {
				m.fail("%v", err)
			}
			states[name] = m.copyState()
			names = append(names, name)
			if len(names) > 5 {
				i := m.r.IntN(len(names))
				if err := m.ds.DeleteSnapshot(ctx, names[i]); err != nil {
					m.fail("%v", err)
				}
				delete(states, names[i])
				names = slices.Delete(names, i, i+1)
			}
		case 2:
			if len(names) == 0 {
				break
			}
			name := names[m.r.IntN(len(names))]
			if _, err := m.ds.Restore(ctx, name, dataset.By{Author: "ana"}); err != nil {
				m.fail("%v", err)
			}
			restored++
			m.takeTimes(ctx, states[name])
		}
	}
	m.compare(ctx)
	t.Logf("%d runs, %d comparisons, %d times restored", runs, differences, restored)
	if restored == 0 && !testing.Short() {
		t.Error("nothing was restored")
	}
}

// takeTimes makes the model what a state was, but for the times of rows that were stored again: only those of rows that
// differed.
func (m *model) takeTimes(ctx context.Context, state map[string]map[string]any) {
	for _, table := range modelTables {
		rows := map[string]any{}
		for id, row := range state[table] {
			created, _ := times(row)
			old, there := m.rows[table][id]
			if there && sameValues(old, row) {
				rows[id] = old
				continue
			}
			updated := m.now
			if there {
				if _, was := times(old); !updated.After(was) {
					updated = was.Add(1000)
				}
			}
			if updated.Before(created) {
				updated = created
			}
			rows[id] = m.stored(row, created, updated)
		}
		m.rows[table] = rows
	}
	m.compare(ctx)
}

// checkDiff compares two states by the dataset and by the model.
func (m *model) checkDiff(ctx context.Context, from, to string, states map[string]map[string]map[string]any) {
	m.t.Helper()
	diff, err := m.ds.Diff(ctx, from, to)
	if err != nil {
		m.fail("%v", err)
	}
	defer diff.Close()
	want, got := tally(states[from], states[to]), map[string][3]int{}
	for _, table := range diff.Tables {
		if table.Table != schema.SourceTable {
			got[table.Table] = [3]int{int(table.Added), int(table.Changed), int(table.Removed)}
		}
		if table.Same+table.Changed+table.Added != int64(len(states[to][table.Table])) {
			m.fail("diff %s: %d same, %d changed and %d added of %d rows", table.Table, table.Same, table.Changed, table.Added,
				len(states[to][table.Table]))
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		m.fail("diff %q %q: added, changed, removed (-want +got):\n%s", from, to, d)
	}
	seen := map[string][3]int{}
	for _, table := range modelTables {
		seen[table] = [3]int{}
	}
	for c, err := range diff.Rows(ctx) {
		if err != nil {
			m.fail("%v", err)
		}
		counts := seen[c.Table]
		counts[map[dataset.Outcome]int{dataset.Added: 0, dataset.Updated: 1, dataset.Deleted: 2}[c.Outcome]]++
		seen[c.Table] = counts
		for _, side := range []struct {
			text []byte
			row  any
		}{{c.Before, states[from][c.Table][c.ID]}, {c.After, states[to][c.Table][c.ID]}} {
			if side.row == nil && side.text == nil {
				continue
			}
			if side.row == nil || side.text == nil || string(must(schema.EncodeJSON(side.row))) != string(side.text) {
				m.fail("diff %s %s: %s, want %+v", c.Table, c.ID, side.text, side.row)
			}
		}
	}
	if d := cmp.Diff(want, seen); d != "" {
		m.fail("rows of diff %q %q (-want +got):\n%s", from, to, d)
	}
}

// TestSnapshots: what they say, what they refuse, and that they outlive pruning.
func TestSnapshots(t *testing.T) {
	ctx := t.Context()
	dir := filepath.Join(t.TempDir(), "shots")
	ds := newDataset(t, dir, dataset.Info{Name: "before"}, nil)
	apply(t, ds, "ana", dataset.Insert("objects", []Thing{thing("a", "car", 1), thing("b", "dog", 2)}))
	for _, name := range []string{"", "now", ".x", "a/b", "a b", "é", "x..y", "x.lock", string(make([]byte, 65))} {
		if _, err := ds.Snapshot(ctx, name, dataset.SnapshotOptions{}); !errors.Is(err, dataset.ErrSchema) {
			t.Errorf("%q: %v", name, err)
		}
	}
	snap, err := ds.Snapshot(ctx, "v1", dataset.SnapshotOptions{Author: "ana", Message: "first"})
	if err != nil {
		t.Fatal(err)
	}
	if snap.Number != 1 || snap.Tables["objects"].Rows != 2 || snap.Message != "first" {
		t.Errorf("%+v", snap)
	}
	if _, err := ds.Snapshot(ctx, "v1", dataset.SnapshotOptions{}); !errors.Is(err, dataset.ErrExists) {
		t.Errorf("taken: %v", err)
	}
	for i := range 30 {
		apply(t, ds, "bob", dataset.Put("objects", thing("a", "bus", int64(i))))
	}
	past, err := ds.At(ctx, "v1")
	if err != nil {
		t.Fatal(err)
	}
	defer past.Close()
	check := func() {
		t.Helper()
		var things []Thing
		if err := past.Get(ctx, "objects", &things, dataset.Query{OrderBy: "id"}); err != nil {
			t.Fatal(err)
		}
		if len(things) != 2 || things[0].Category != "car" || past.Info().Name != "before" || past.AtSnapshot().Name != "v1" {
			t.Errorf("%+v", things)
		}
	}
	check()
	if events := collect(t, past.History(ctx, dataset.HistoryQuery{})); len(events) != 1 {
		t.Errorf("history at the snapshot: %v", brief(events))
	}
	if err := past.Add(ctx, "objects", thing("z", "", 0)); !errors.Is(err, dataset.ErrReadOnly) {
		t.Errorf("a change of the past: %v", err)
	}
	// Everything that may go goes.
	conn := must(lance.Connect(ctx, filepath.Join(dir, "db"), nil))
	defer conn.Close()
	table := must(conn.OpenTable(ctx, "objects", nil))
	if _, err := table.Optimize(ctx, lance.OptimizeOptions{Compact: &lance.Compact{}, Prune: &lance.Prune{KeepVersions: new(1)}}, nil); err != nil {
		t.Fatal(err)
	}
	if versions := must(table.Versions(ctx)); len(versions) > 3 {
		t.Errorf("%d versions", len(versions))
	}
	table.Close()
	past.Close()
	past = must(dataset.Open(ctx, dir, &dataset.Options{Snapshot: "v1"}))
	check()
	if tags := must(ds.Tags(ctx)); len(tags) != 6 || tags["objects"]["pixano-v1"] != snap.Tables["objects"].Version {
		t.Errorf("tags %v", tags)
	}
	if err := ds.DropTable(ctx, "objects"); !errors.Is(err, dataset.ErrConflict) {
		t.Errorf("drop a table of a snapshot: %v", err)
	}
	res, err := ds.Restore(ctx, "v1", dataset.By{Author: "ana"})
	if err != nil || len(res.Rows) != 1 {
		t.Fatalf("restore: %+v, %v", res, err)
	}
	if e := collect(t, ds.History(ctx, dataset.HistoryQuery{Limit: 1}))[0]; e.Restores != "v1" || e.Author != "ana" {
		t.Errorf("%+v", e)
	}
	if again, err := ds.Restore(ctx, "v1", dataset.By{}); err != nil || again.Number != 0 {
		t.Errorf("restore again: %+v, %v", again, err)
	}
	if _, err := ds.Revert(ctx, res.ID(), dataset.By{}); err != nil {
		t.Error(err)
	}
	dataset.Store(t, ds, "objects", []Thing{thing("a", "twice", 1)})
	if _, err := ds.Restore(ctx, "v1", dataset.By{}); !errors.Is(err, dataset.ErrIntegrity) {
		t.Errorf("an id that is stored twice: %v", err)
	}
	if list := must(ds.Snapshots()); len(list) != 1 || list[0].Name != "v1" {
		t.Errorf("%+v", list)
	}
	if err := ds.DeleteSnapshot(ctx, "v1"); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{ds.DeleteSnapshot(ctx, "v1"), second(ds.At(ctx, "v1")), second(ds.Restore(ctx, "v1", dataset.By{})), second(ds.Diff(ctx, "v1", ""))} {
		if !errors.Is(err, dataset.ErrNotFound) {
			t.Errorf("deleted: %v", err)
		}
	}
	if tags := must(ds.Tags(ctx)); len(tags) != 0 {
		t.Errorf("tags %v", tags)
	}
}

func second[T any](_ T, err error) error { return err }

// TestSnapshotDuringSaves: writers keep the sum of a number over three tables, and of all rows, while snapshots are
// taken. Each must hold it.
func TestSnapshotDuringSaves(t *testing.T) {
	ctx := t.Context()
	ds := newDataset(t, filepath.Join(t.TempDir(), "shots"), dataset.Info{}, nil)
	const writers, start = 4, 1000
	// Each writer has a row in three tables: what it takes from one it gives to the others.
	set := func(id string, n [3]int64) []dataset.Change {
		image := schema.Image{View: schema.View{ID: id, ItemRef: features.Item(id)}, URL: "x", Width: n[1]}
		object := thing(id, "", n[2])
		object.ItemRef = features.Item(id)
		return []dataset.Change{dataset.Put("item", ShotItem{schema.NewItem(id), n[0]}), dataset.Put("image", image),
			dataset.Put("objects", object)}
	}
	for i := range writers {
		apply(t, ds, "", set(strconv.Itoa(i), [3]int64{start, start, start})...)
	}
	var all sync.WaitGroup
	stop := make(chan struct{})
	for i := range writers {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 3))
			n := [3]int64{start, start, start}
			for {
				select {
				case <-stop:
					return
				default:
				}
				from, to, by := r.IntN(3), r.IntN(3), r.Int64N(100)
				n[from] -= by
				n[to] += by
				if _, err := ds.Apply(ctx, dataset.ChangeSet{Changes: set(strconv.Itoa(i), n)}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	snapshots := 12
	if testing.Short() {
		snapshots = 4
	}
	sums := map[string]bool{}
	for i := range snapshots {
		name := fmt.Sprint("s", i)
		if _, err := ds.Snapshot(ctx, name, dataset.SnapshotOptions{}); err != nil {
			t.Fatal(err)
		}
		past, err := ds.At(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		var shots []Shot
		if err := past.Items(ctx, &shots, dataset.Query{}); err != nil {
			t.Fatal(err)
		}
		past.Close()
		state := ""
		for _, s := range shots {
			if len(s.Objects) != 1 {
				t.Fatalf("%+v", s)
			}
			if sum := s.Difficulty + s.Image.Width + s.Objects[0].Rank; sum != 3*start {
				t.Errorf("snapshot %d: the numbers of %s sum up to %d, want %d", i, s.ID, sum, 3*start)
			}
			state += fmt.Sprint(s.Difficulty, " ", s.Image.Width, " ")
		}
		sums[state] = true
	}
	close(stop)
	all.Wait()
	if len(sums) < snapshots/2 {
		t.Errorf("%d different states in %d snapshots", len(sums), snapshots)
	}
	t.Logf("%d snapshots of %d states", snapshots, len(slices.Collect(maps.Keys(sums))))
}
