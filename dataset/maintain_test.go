package dataset_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/internal/lance"
	"pixano/schema"
)

// segments lists the files of the log's segments.
func segments(t *testing.T, dir string) []string {
	t.Helper()
	return must(filepath.Glob(filepath.Join(dir, ".pixano", "log", "*.log")))
}

// fill makes change sets of long rows, some with keys, so that the log grows, and returns how many there are.
func fill(t *testing.T, ds *dataset.Dataset, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		th := thing(fmt.Sprint("t", i%7), strings.Repeat("x", 4000)+fmt.Sprint(i), int64(i))
		set := dataset.ChangeSet{Author: fmt.Sprint("author", i%3), Changes: []dataset.Change{dataset.Put("objects", th), dataset.Put("objects", thing("second", "", 0))}}
		if i%2 == 0 {
			set.Key = fmt.Sprint("key", i)
		}
		must(ds.Apply(t.Context(), set))
	}
}

// TestFold folds the log several times. The history must say the same before and after, keys are known, and undo goes on.
func TestFold(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dir := filepath.Join(t.TempDir(), "shots")
	ds := newDataset(t, dir, dataset.Info{}, &dataset.Options{Maintenance: dataset.Maintenance{Off: true}})
	rows := make([]schema.ViewEmbedding, 10_001)
	for i := range rows {
		rows[i] = schema.ViewEmbedding{Embedding: schema.Embedding{ID: fmt.Sprint(i), Vector: make([]float32, 4), Shape: []int64{4}}}
	}
	if err := ds.Add(ctx, "vectors", rows); err != nil {
		t.Fatal(err)
	}
	fill(t, ds, 0, 30)
	dataset.Store(t, ds, "objects", []Thing{thing("x", "ufo", 9)})
	fill(t, ds, 30, 60)
	must(ds.Apply(ctx, dataset.ChangeSet{Key: "empty", Changes: []dataset.Change{dataset.Delete("objects", "nobody")}}))
	read := func(q dataset.HistoryQuery) []dataset.Event { t.Helper(); return collect(t, ds.History(ctx, q)) }
	queries := map[string]dataset.HistoryQuery{
		"all": {}, "a row": {Table: "objects", ID: "t3"}, "a table": {Table: "vectors"}, "an author": {Author: "author1"}, "a page": {Limit: 7},
		"a later page": {Limit: 7, Before: dataset.ChangeID{Number: 20}}, "one": {Change: dataset.ChangeID{Number: 5}},
		"since": {After: dataset.ChangeID{Number: 33}},
	}
	check := func(when string, want map[string][]dataset.Event) {
		t.Helper()
		for name, q := range queries {
			got := read(q)
			if string(must(json.Marshal(want[name]))) == string(must(json.Marshal(got))) {
				continue // cmp is slow on bytes
			}
			if d := cmp.Diff(want[name], got); d != "" {
				t.Fatalf("%s, %s (-before +after):\n%s", when, name, d)
			}
		}
	}
	all := func() map[string][]dataset.Event {
		want := map[string][]dataset.Event{}
		for name, q := range queries {
			want[name] = read(q)
		}
		return want
	}
	want := all()
	if len(want["all"]) != 63 || len(want["a row"]) != 9 {
		t.Fatalf("%d events, %d of a row", len(want["all"]), len(want["a row"]))
	}
	did := must(ds.Optimize(ctx))
	if did.EntriesFolded != 62 || len(segments(t, dir)) != 1 {
		t.Errorf("%+v, %v", did, segments(t, dir))
	}
	check("folded", want)
	replay := func(ds *dataset.Dataset) {
		t.Helper()
		for _, key := range []string{"key4", "key58", "empty"} {
			res, err := ds.Apply(ctx, dataset.ChangeSet{Key: key, Changes: []dataset.Change{dataset.Delete("objects", "t4")}})
			if err != nil || !res.Replayed || key != "empty" && (len(res.Rows) != 2 || res.Rows[1].ID != "second" || res.Rows[0].UpdatedAt.IsZero()) {
				t.Errorf("%s: %+v, %v", key, res, err)
			}
		}
	}
	replay(ds)
	other := must(dataset.Open(ctx, dir, nil)) // knows the log as it is now
	defer other.Close()
	replay(other)
	fill(t, ds, 60, 80)
	must(ds.Optimize(ctx))
	fill(t, ds, 80, 100)
	want = all()
	did = must(ds.Optimize(ctx))
	check("folded again", want)
	if did.EntriesFolded != 20 {
		t.Errorf("%+v", did)
	}
	// What was folded between is known to the other handle as well.
	if res := must(other.Apply(ctx, dataset.ChangeSet{Key: "key62", Changes: []dataset.Change{dataset.Delete("objects", "t6")}})); !res.Replayed {
		t.Errorf("%+v", res)
	}
	if err := ds.Close(); err != nil {
		t.Fatal(err)
	}
	ds = must(dataset.Open(ctx, dir, nil))
	defer ds.Close()
	check("opened again", want)
	replay(ds)
	// Undo of a folded change set, and the row's history.
	newest := read(dataset.HistoryQuery{Table: "objects", ID: "t1", Limit: 2})
	if _, err := ds.Revert(ctx, newest[1].ID, dataset.By{}); !errors.Is(err, dataset.ErrConflict) {
		t.Errorf("undo of a change before another one: %v", err)
	}
	must(ds.Revert(ctx, newest[0].ID, dataset.By{}))
	must(ds.Revert(ctx, newest[1].ID, dataset.By{}))
	if got := read(dataset.HistoryQuery{Limit: 2}); got[0].Reverts == nil || *got[0].Reverts != newest[1].ID {
		t.Errorf("%v", brief(got))
	}
	must(ds.Optimize(ctx))
	if got := read(dataset.HistoryQuery{Limit: 2}); got[0].Reverts == nil || *got[0].Reverts != newest[1].ID {
		t.Errorf("folded: %v", brief(got))
	}
}

// TestMaintenance: what Optimize removes and keeps, and that it says so.
func TestMaintenance(t *testing.T) {
	ctx := t.Context()
	dir := filepath.Join(t.TempDir(), "shots")
	now := dataset.Maintenance{KeepFor: -1, KeepVersions: -1, Off: true}
	ds := newDataset(t, dir, dataset.Info{}, &dataset.Options{Maintenance: now})
	fill(t, ds, 0, 20)
	must(ds.Snapshot(ctx, "v1", dataset.SnapshotOptions{}))
	fill(t, ds, 20, 60)
	did := must(ds.Optimize(ctx))
	if len(did.Tables) == 0 || did.BytesAfter >= did.BytesBefore || did.EntriesFolded != 60 {
		t.Errorf("%+v", did)
	}
	conn := must(lance.Connect(ctx, filepath.Join(dir, "db"), nil))
	defer conn.Close()
	table := must(conn.OpenTable(ctx, "objects", nil))
	defer table.Close()
	info := must(table.Info(ctx, false))
	if versions := must(table.Versions(ctx)); info.Fragments != 1 || info.DeletedRows != 0 || len(versions) > 23 {
		t.Errorf("%d fragments, %d deleted rows, %d versions", info.Fragments, info.DeletedRows, len(versions))
	}
	if n := must(ds.Count(ctx, "objects", dataset.Query{})); n != 8 {
		t.Errorf("%d rows", n)
	}
	past := must(ds.At(ctx, "v1"))
	if n := must(past.Count(ctx, "objects", dataset.Query{Where: "rank < 20"})); n != 8 {
		t.Errorf("%d rows in the snapshot", n)
	}
	past.Close()
	if again := must(ds.Optimize(ctx)); again.EntriesFolded != 0 {
		t.Errorf("again: %+v", again)
	}
	if _, err := os.Stat(filepath.Join(dir, ".pixano", "tended")); !errors.Is(err, os.ErrNotExist) {
		t.Error("a mark of what was tended is left")
	}
	// Indexes that the dataset has are brought up to date.
	must(table.CheckoutLatest(ctx))
	must(table.CreateIndex(ctx, lance.Index{Columns: []string{"id"}, Type: lance.BTree}, nil))
	apply(t, ds, "ana", dataset.Put("objects", thing("fresh", "", 1)))
	did = must(ds.Optimize(ctx))
	must(table.CheckoutLatest(ctx))
	stats := must(table.IndexStats(ctx, "id_idx"))
	if !slices.ContainsFunc(did.Tables, func(u dataset.TableUpkeep) bool { return u.IndexesRefreshed }) || stats.UnindexedRows != 0 {
		t.Errorf("%+v, %d rows without index", did, stats.UnindexedRows)
	}
	if n := must(ds.Count(ctx, "objects", dataset.Query{Where: "id = 'fresh'"})); n != 1 {
		t.Errorf("%d rows by index", n)
	}

	// The history is kept for a day at least, and then as long as it is to be.
	ds.Close()
	now.KeepHistory = time.Second
	ds = must(dataset.Open(ctx, dir, &dataset.Options{Maintenance: now}))
	defer func() { ds.Close() }()
	if did := must(ds.Optimize(ctx)); did.EventsExpired != 0 {
		t.Errorf("%+v", did)
	}
	private := must(lance.Connect(ctx, filepath.Join(dir, ".pixano"), nil))
	defer private.Close()
	folded := must(private.OpenTable(ctx, "history", nil))
	defer folded.Close()
	const days = 10 * 24 * 3600 * 1_000_000
	must(folded.Update(ctx, "number <= 25", []lance.Set{{Column: "time_us", SQL: fmt.Sprintf("time_us - %d", int64(days))}}, nil))
	if did := must(ds.Optimize(ctx)); did.EventsExpired != 50 {
		t.Errorf("%+v", did)
	}
	events := collect(t, ds.History(ctx, dataset.HistoryQuery{Author: "author0"}))
	if oldest := events[len(events)-1].ID.Number; oldest <= 25 {
		t.Errorf("change %d is still there", oldest)
	}
}

// TestMaintenanceInBackground: an open dataset that changes is looked after.
func TestMaintenanceInBackground(t *testing.T) {
	ctx := t.Context()
	dir := filepath.Join(t.TempDir(), "shots")
	ds := newDataset(t, dir, dataset.Info{}, nil)
	conn := must(lance.Connect(ctx, filepath.Join(dir, "db"), nil))
	defer conn.Close()
	most := 0
	for i := range 4 {
		for j := range 50 {
			apply(t, ds, "ana", dataset.Put("objects", thing(fmt.Sprint(i*50+j), "car", 1)))
		}
		table := must(conn.OpenTable(ctx, "objects", nil))
		most = max(most, must(table.Info(ctx, false)).Fragments)
		table.Close()
	}
	// Without it there would be 200.
	if most > 150 {
		t.Errorf("%d fragments", most)
	}
	if n := must(ds.Count(ctx, "objects", dataset.Query{})); n != 200 {
		t.Errorf("%d rows", n)
	}
}

// TestCrashInMaintenance kills a process that writes and maintains, after each step of maintenance, and looks each time at what is there:
// of the history, every change set once, in order; of the rows, what they say.
func TestCrashInMaintenance(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dir := filepath.Join(t.TempDir(), "street")
	ds := newStreet(t, dir)
	if err := ds.Close(); err != nil {
		t.Fatal(err)
	}
	steps := []string{"rolled", "folded", "history synced", "segment removed", "compacted bboxes", "compaction synced", "pruned", "history compacted", "logged"}
	kills := 2 * len(steps)
	if testing.Short() {
		kills = len(steps)
	}
	want, last, present := crashState{}, -1, false
	for kill := range kills {
		step := steps[kill%len(steps)]
		victim := goChild(t, dir, "victim", 0)
		victim.ack.Store(int64(last))
		victim.tell(t, crashStart{First: last + 1, Present: present, Fault: step, Nth: 1 + kill/len(steps)%2, Optimize: 3, Roll: 1})
		select {
		case <-victim.told:
		case <-time.After(time.Minute):
			t.Fatalf("kill %d: the process goes on", kill)
		}
		if why := victim.trouble(); why != "" || victim.command.ProcessState.Success() {
			t.Fatalf("kill %d at %s: the process ended by itself: %s", kill, step, why)
		}
		for acknowledged := int(victim.ack.Load()); last < acknowledged; {
			last++
			want.apply("victim", last)
		}
		ds := must(dataset.Open(ctx, dir, nil))
		found := must(readStreet(ctx, ds))
		present = false
		if !maps.Equal(want, found["victim"]) && !(len(want) == 0 && found["victim"] == nil) {
			next := maps.Clone(want)
			next.apply("victim", last+1)
			if d := cmp.Diff(next, found["victim"]); d != "" {
				t.Fatalf("kill %d at %s: set %d was the last acknowledged (-next +got):\n%s", kill, step, last, d)
			}
			present = true
		}
		logged := last
		if present {
			logged++
		}
		var keys, wantKeys []string
		loads, wantLoads := 0, 0
		events := collect(t, ds.History(ctx, dataset.HistoryQuery{}))
		slices.Reverse(events)
		for i, e := range events {
			if i > 0 && (e.ID.Number < events[i-1].ID.Number || e.ID == events[i-1].ID) {
				t.Fatalf("kill %d at %s: event %s follows %s", kill, step, e.ID, events[i-1].ID)
			}
			if e.Author == "victim" {
				keys = append(keys, e.Key)
			}
			if e.Kind == dataset.EventLoad {
				loads++
			}
		}
		for n := range logged + 1 {
			if n%bulkOfSet == bulkOfSet-1 {
				wantLoads++
			} else {
				wantKeys = append(wantKeys, fmt.Sprintf("victim:%d", n))
			}
		}
		if d := cmp.Diff(wantKeys, keys); d != "" {
			t.Fatalf("kill %d at %s: change sets in the history to %d (-want +got):\n%s", kill, step, logged, d)
		}
		// The note of a load follows its commit.
		if loads != wantLoads && loads != wantLoads-1 {
			t.Fatalf("kill %d at %s: %d loads in the history, want %d", kill, step, loads, wantLoads)
		}
		if err := ds.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d kills, %d change sets", kills, last+1)
}

// TestCrashInSnapshot kills a process that takes and deletes snapshots, after each step. A snapshot is there as a whole or not at all,
// and what was not completed keeps no version.
func TestCrashInSnapshot(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dir := filepath.Join(t.TempDir(), "street")
	ds := newStreet(t, dir)
	if err := ds.Close(); err != nil {
		t.Fatal(err)
	}
	last := -1
	for kill, step := range []string{"tagged image", "snapshot written", "snapshot renamed", "tagged bboxes", "snapshot renamed"} {
		victim := goChild(t, dir, "victim", 0)
		victim.ack.Store(int64(last))
		victim.tell(t, crashStart{First: last + 1, Fault: step, Nth: 1 + kill%2, Snapshots: true})
		select {
		case <-victim.told:
		case <-time.After(time.Minute):
			t.Fatalf("kill %d: the process goes on", kill)
		}
		if why := victim.trouble(); why != "" || victim.command.ProcessState.Success() {
			t.Fatalf("kill %d at %s: the process ended by itself: %s", kill, step, why)
		}
		last = int(victim.ack.Load())
		ds := must(dataset.Open(ctx, dir, nil))
		names := map[string]bool{}
		for _, snap := range must(ds.Snapshots()) {
			names["pixano-"+snap.Name] = true
			past := must(ds.At(ctx, snap.Name))
			state := must(readStreet(ctx, past))["victim"]
			n, _ := strconv.Atoi(snap.Name[1:])
			want := crashState{}
			for i := range n + 1 {
				want.apply("victim", i)
			}
			if d := cmp.Diff(want, state); d != "" {
				t.Fatalf("kill %d at %s: snapshot %s (-want +got):\n%s", kill, step, snap.Name, d)
			}
			past.Close()
		}
		must(ds.Optimize(ctx))
		for table, tags := range must(ds.Tags(ctx)) {
			for tag := range tags {
				if !names[tag] {
					t.Errorf("kill %d at %s: %s keeps the tag %s", kill, step, table, tag)
				}
			}
		}
		if left := must(filepath.Glob(filepath.Join(dir, ".pixano", "snapshots", ".*"))); len(left) > 0 {
			t.Errorf("kill %d at %s: left %v", kill, step, left)
		}
		ds.Close()
	}
}
