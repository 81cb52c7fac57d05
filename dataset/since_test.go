package dataset_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"pixano/dataset"
	"pixano/internal/lance"
)

// What changed after a mark is told once, whoever did it; where the log was folded meanwhile, that is told.
func TestSince(t *testing.T) {
	ds := openForWrite(t, "image_detection")
	ctx := t.Context()
	apply := func(d *dataset.Dataset, author string, ids ...string) uint64 {
		t.Helper()
		var changes []dataset.Change
		for _, id := range ids {
			changes = append(changes, dataset.Put("bboxes", testBox(id)))
		}
		return must(d.Apply(ctx, dataset.ChangeSet{Author: author, Changes: changes})).Number
	}
	apply(ds, "before", "b0")
	mark := must(ds.Mark(ctx))
	since := func(skip func(uint64) bool) (list []string, all bool) {
		t.Helper()
		events, all, err := ds.Since(ctx, mark, skip)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			text := fmt.Sprint(e.Kind, " ", e.Author, " ", e.Table)
			for _, row := range e.Rows {
				text += " " + row.ID
			}
			list = append(list, text)
		}
		return list, all
	}
	want := func(what string, skip func(uint64) bool, want ...string) {
		t.Helper()
		if got, all := since(skip); fmt.Sprint(got) != fmt.Sprint(want) || !all {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
	}
	want("nothing", nil)
	other := must(dataset.Open(ctx, ds.Path(), nil))
	defer other.Close()
	apply(other, "ana", "b1", "b2")
	mine := apply(ds, "bea", "b3")
	want("two change sets, one of them skipped", func(n uint64) bool { return n == mine }, "change ana  b1 b2")
	want("nothing again", nil)

	db := must(lance.Connect(ctx, filepath.Join(ds.Path(), "db"), nil))
	defer db.Close()
	table := must(db.OpenTable(ctx, "bboxes", nil))
	defer table.Close()
	must(table.Delete(ctx, "id = 'b1'", nil))
	want("past the log", nil, "outside  bboxes")
	apply(ds, "ana", "b4") // notes it in the log
	want("once", nil, "change ana  b4")

	dataset.SetRollBytes(1)
	defer dataset.SetRollBytes(64 << 10)
	must(ds.Optimize(ctx))
	want("maintenance changes no rows", nil)
	apply(ds, "cid", "b5")
	must(ds.Optimize(ctx)) // folds it away
	apply(ds, "cid", "b6")
	if _, all := since(nil); all {
		t.Error("what was folded away counts as told")
	}
	apply(ds, "dan", "b7")
	want("after that", nil, "change dan  b7")
}
