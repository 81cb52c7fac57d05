package dataset_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"pixano/dataset"
	"pixano/features"
	"pixano/internal/lance"
	"pixano/schema"
)

// What the writer remembers of rows holds until somebody else changes them, with the log or past it.
func TestRowsChangedElsewhere(t *testing.T) {
	ds := openForWrite(t, "image_detection")
	ctx := t.Context()
	class, _ := ds.Schema().Class("objects")
	object := must(schema.NewDynamic(class))
	if err := object.Set("id", "o1"); err != nil {
		t.Fatal(err)
	}
	box := func(id string) schema.BBox {
		b := testBox(id)
		b.EntityRef = features.Entity("objects", "o1")
		return b
	}
	apply := func(d *dataset.Dataset, changes ...dataset.Change) (*dataset.Result, error) {
		return d.Apply(ctx, dataset.ChangeSet{Changes: changes})
	}
	first := must(apply(ds, dataset.Put("objects", object), dataset.Put("bboxes", box("b1"))))

	other := must(dataset.Open(ctx, ds.Path(), nil))
	defer other.Close()
	second := must(apply(other, dataset.Put("bboxes", testBox("b1"))))
	if _, err := apply(ds, dataset.Put("bboxes", box("b1")).If(first.Rows[1].UpdatedAt)); !errors.Is(err, dataset.ErrConflict) {
		t.Errorf("a row that another one changed: %v", err)
	}
	if _, err := apply(ds, dataset.Put("bboxes", box("b1")).If(second.Rows[0].UpdatedAt)); err != nil {
		t.Error(err)
	}
	must(apply(other, dataset.Delete("bboxes", "b1"), dataset.Delete("objects", "o1")))
	if _, err := apply(ds, dataset.Put("bboxes", box("b2"))); !errors.Is(err, dataset.ErrIntegrity) {
		t.Errorf("a reference to what another one deleted: %v", err)
	}
	if _, err := apply(ds, dataset.Insert("objects", object), dataset.Insert("bboxes", box("b1"))); err != nil {
		t.Errorf("rows that another one deleted: %v", err)
	}

	db := must(lance.Connect(ctx, filepath.Join(ds.Path(), "db"), nil))
	defer db.Close()
	table := must(db.OpenTable(ctx, "objects", nil))
	defer table.Close()
	must(table.Delete(ctx, "id = 'o1'", nil))
	if _, err := apply(ds, dataset.Put("bboxes", box("b3"))); !errors.Is(err, dataset.ErrIntegrity) {
		t.Errorf("a reference to what was deleted past the log: %v", err)
	}
}

// Rows that are saved again and again, by several writers, with small files being joined meanwhile: each change set sees the
// row that the one before it left.
func TestSavesOfTheSameRows(t *testing.T) {
	ds := openForWrite(t, "image_detection")
	ctx := t.Context()
	const writers, saves = 8, 40
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for n := range saves {
				b := testBox(fmt.Sprintf("w%d_%d", w, n%3))
				b.Coords = []float64{float64(n), 0, float64(n + 1), 1}
				res, err := ds.Apply(ctx, dataset.ChangeSet{Changes: []dataset.Change{dataset.Put("bboxes", b)}})
				want := dataset.Updated
				if n < 3 {
					want = dataset.Added
				}
				if err != nil || res.Rows[0].Outcome != want {
					t.Errorf("save %d of writer %d: %+v (%v)", n, w, res, err)
					return
				}
			}
		})
	}
	all.Wait()
	if _, err := ds.Background(); err != nil {
		t.Error(err)
	}
	for w := range writers {
		last := map[string]float64{}
		for event, err := range ds.History(ctx, dataset.HistoryQuery{Table: "bboxes"}) {
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range event.Rows {
				var after, before struct{ Coords []float64 }
				if row.After == nil || json.Unmarshal(row.After, &after) != nil || row.Before != nil && json.Unmarshal(row.Before, &before) != nil {
					t.Fatalf("event %v: %s, %s", event.ID, row.Before, row.After)
				}
				if newer, ok := last[row.ID]; ok && after.Coords[0] != newer-3 {
					t.Fatalf("%s went from %v to %v", row.ID, after.Coords, newer)
				}
				if row.Before != nil && before.Coords[0] != after.Coords[0]-3 {
					t.Fatalf("%s: before %v, after %v", row.ID, before.Coords, after.Coords)
				}
				last[row.ID] = after.Coords[0]
			}
		}
		var rows []schema.BBox
		if err := ds.Get(ctx, "bboxes", &rows, dataset.Query{IDs: []string{fmt.Sprintf("w%d_0", w)}}); err != nil || len(rows) != 1 || rows[0].Coords[0] != saves-1 {
			t.Errorf("writer %d: %v (%v)", w, rows, err)
		}
	}
}
