package interop_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pixano/dataset"
	"pixano/schema"
)

// cleanUp has Python remove the old versions of a table, and prints what became of it.
const cleanUp = `
import sys
from datetime import timedelta
import lancedb
table = lancedb.connect(sys.argv[1]).open_table(sys.argv[2])
rows = table.count_rows()
try:
    table.cleanup_old_versions(timedelta(0), delete_unverified=True)
    print("done", rows)
except Exception as e:
    print("refused", rows, type(e).__name__)
`

// TestPixanoBesideHistoryAndSnapshots: Python Pixano reads and changes a dataset whose history was folded and that has snapshots; what it
// did shows as outside changes, in differences, and can be taken back.
func TestPixanoBesideHistoryAndSnapshots(t *testing.T) {
	interpreter := python(t, "pixano")
	ctx := t.Context()
	dir := filepath.Join(t.TempDir(), "scenes")
	ds := must(dataset.Create(ctx, dir, Scene{}, dataset.Info{Name: "scenes"}, nil))(t)
	defer func() { ds.Close() }()
	if err := ds.Add(ctx, "source", schema.Source{ID: "model", Name: "detector", Kind: "model", Metadata: "{}"}); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		if err := ds.AddItems(ctx, makeScene(i)); err != nil {
			t.Fatal(err)
		}
	}
	if did := must(ds.Optimize(ctx))(t); did.EntriesFolded < 40 {
		t.Fatalf("%d entries folded", did.EntriesFolded)
	}
	must(ds.Snapshot(ctx, "before", dataset.SnapshotOptions{Author: "ana"}))(t)
	before := readHere(t, ds)
	sameRows(t, "with folded history and a snapshot", before, runPixano(t, interpreter, "read", dir))

	there := runPixano(t, interpreter, "change", dir)
	here := readHere(t, ds)
	sameRows(t, "after Python's changes", here, there)
	changedBy(t, there, here)

	tables := map[string]bool{}
	for event, err := range ds.History(ctx, dataset.HistoryQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		if event.Kind == dataset.EventOutside {
			tables[event.Table] = true
			if event.Version == 0 || event.Operation == "" || event.Author != "" {
				t.Errorf("%+v", event)
			}
		}
	}
	for table, rows := range there.Wrote {
		if len(rows) > 0 && !tables[table] {
			t.Errorf("the history knows of no outside change of %s, of which Python wrote %d rows", table, len(rows))
		}
	}
	diff := must(ds.Diff(ctx, "before", ""))(t)
	for _, table := range diff.Tables {
		was, is := byID(before[table.Table]), byID(here[table.Table])
		added, removed := int64(0), int64(0)
		for id := range is {
			if was[id] == nil {
				added++
			}
		}
		for id := range was {
			if is[id] == nil {
				removed++
			}
		}
		if table.Added != added || table.Removed != removed {
			t.Errorf("%s: %d added and %d removed, want %d and %d", table.Table, table.Added, table.Removed, added, removed)
		}
	}
	diff.Close()
	past := must(ds.At(ctx, "before"))(t)
	sameRows(t, "the snapshot", readHere(t, past), seen{Tables: before})
	past.Close()

	res := must(ds.Restore(ctx, "before", dataset.By{Author: "ana"}))(t)
	if len(res.Rows) == 0 {
		t.Error("nothing was restored")
	}
	sameRows(t, "after all was restored", readHere(t, ds), runPixano(t, interpreter, "read", dir))
	diff = must(ds.Diff(ctx, "before", ""))(t)
	if !diff.Empty() {
		t.Errorf("after all was restored: %+v", diff.Tables)
	}
	diff.Close()

	// What a snapshot costs Python is what SnapshotCost says, and no more.
	clean := func() string {
		t.Helper()
		out, err := exec.Command(interpreter, "-c", cleanUp, filepath.Join(dir, "db"), "bboxes").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		return strings.Fields(lines[len(lines)-1])[0]
	}
	if got := clean(); got != "refused" {
		t.Errorf("cleanup_old_versions of a tagged table: %s", got)
	}
	if err := ds.DeleteSnapshot(ctx, "before"); err != nil {
		t.Fatal(err)
	}
	if got := clean(); got != "done" {
		t.Errorf("cleanup_old_versions without a snapshot: %s", got)
	}
	if len(must(ds.Tags(ctx))(t)) != 0 {
		t.Error("tags are left")
	}
	sameRows(t, "after Python cleaned up", readHere(t, ds), runPixano(t, interpreter, "read", dir))
}
