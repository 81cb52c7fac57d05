package dataset

import (
	"testing"
	"time"

	"pixano/features"
	"pixano/internal/lance"
	"pixano/schema"
)

// TestDeletedItemsOnly: a deletion of items takes the rows that belong to them and no others, also where one of another
// item has the id of theirs, and where the rows get other addresses after they were looked at.
func TestDeletedItemsOnly(t *testing.T) {
	defer func(f func(string)) { fault = f }(fault)
	for _, c := range []struct {
		name    string
		compact bool // between the look at the tables and the deletion
	}{{"same id", false}, {"other addresses", true}} {
		t.Run(c.name, func(t *testing.T) {
			ds := generated(t, 40)
			ctx := t.Context()
			if !c.compact {
				twin := schema.NewBBox("bbox-00000003-0")
				twin.ItemRef, twin.Coords, twin.Format = features.Item("item-00000004"), []float64{0, 0, 1, 1}, "xyxy"
				if err := ds.unchecked().Add(ctx, "bboxes", twin); err != nil {
					t.Fatal(err)
				}
			}
			of := func(item string) (n int64) {
				t.Helper()
				n, err := ds.Count(ctx, "bboxes", Query{ItemIDs: []string{item}})
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
			own, err := ds.openTable(ctx, "compact", "bboxes")
			if err != nil {
				t.Fatal(err)
			}
			defer own.Close()
			for i, item := range []string{"item-00000003", "item-00000010", "item-00000011", "item-00000012"} {
				others := of("item-00000004")
				if c.compact {
					fault = func(step string) {
						if step != "logged" {
							return
						}
						if _, err := own.CheckoutLatest(ctx); err != nil {
							t.Error(err)
						}
						// Rows of a fragment without its deleted ones move up.
						if _, err := own.Optimize(ctx, lance.OptimizeOptions{Compact: &lance.Compact{DeletionsThreshold: 0.0001}}, nil); err != nil {
							t.Error(err)
						}
					}
				}
				missing, err := ds.DeleteItems(ctx, item)
				if err != nil || missing != nil {
					t.Fatalf("%s: missing %v (%v)", item, missing, err)
				}
				if n := of(item); n != 0 {
					t.Errorf("%s: %d boxes are left", item, n)
				}
				if n := of("item-00000004"); n != others {
					t.Errorf("deleting %s left %d of %d boxes of another item", item, n, others)
				}
				all, err := ds.Count(ctx, "bboxes", Query{})
				if want := int64(5 * (40 - i - 1)); err != nil || all != want && all != want+1 {
					t.Errorf("%d boxes are left, want %d (%v)", all, want, err)
				}
			}
			// What the deletion knows of the id does not hide the other row.
			if !c.compact {
				if missing, err := ds.Delete(ctx, "bboxes", "bbox-00000003-0"); err != nil || missing != nil {
					t.Errorf("missing %v (%v)", missing, err)
				}
			}
		})
	}
}

// TestItemsFollow: rows that come to an item, or go to another one, are found by it at once, with and without an index.
func TestItemsFollow(t *testing.T) {
	ds := generated(t, 40).unchecked()
	ctx := t.Context()
	for step := range 6 {
		from, to := []string{"item-00000001", "item-00000002"}[step%2], []string{"item-00000002", "item-00000001"}[step%2]
		var boxes []schema.BBox
		if err := ds.Get(ctx, "bboxes", &boxes, Query{ItemIDs: []string{from}}); err != nil {
			t.Fatal(err)
		}
		boxes[0].ItemRef = features.Item(to)
		added := schema.NewBBox("added-" + string(rune('a'+step)))
		added.ItemRef, added.Coords, added.Format = features.Item(to), []float64{0, 0, 1, 1}, "xyxy"
		_, err := ds.Apply(ctx, ChangeSet{Changes: []Change{Put("bboxes", boxes[0]), Insert("bboxes", added)}})
		if err != nil {
			t.Fatal(err)
		}
		var left, came []schema.BBox
		if err := ds.Get(ctx, "bboxes", &left, Query{ItemIDs: []string{from}}); err != nil {
			t.Fatal(err)
		}
		if err := ds.Get(ctx, "bboxes", &came, Query{ItemIDs: []string{to}}); err != nil {
			t.Fatal(err)
		}
		has := func(rows []schema.BBox, id string) bool {
			for _, row := range rows {
				if row.ID == id {
					return true
				}
			}
			return false
		}
		if has(left, boxes[0].ID) || !has(came, boxes[0].ID) || !has(came, added.ID) || len(left) != len(boxes)-1 {
			t.Errorf("step %d: %s has %d boxes, %s %d", step, from, len(left), to, len(came))
		}
	}
}

// TestBackAfterClock: a row that comes back after it was deleted is newer than it was, also when the clock went back.
func TestBackAfterClock(t *testing.T) {
	ds := generated(t, 4).unchecked()
	ctx := t.Context()
	now := schema.Now()
	ds.now = func() time.Time { return now }
	box, _, err := byID(ctx, ds, []string{"bbox-00000001-2"})
	if err != nil || len(box) != 1 {
		t.Fatal(box, err)
	}
	put, err := ds.Apply(ctx, ChangeSet{Changes: []Change{Put("bboxes", box)}})
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(-24 * time.Hour)
	deleted, err := ds.Apply(ctx, ChangeSet{Changes: []Change{Delete("bboxes", box[0].ID)}})
	if err != nil {
		t.Fatal(err)
	}
	back, err := ds.Revert(ctx, ChangeID{Number: deleted.Number, Set: deleted.Set}, By{})
	if err != nil {
		t.Fatal(err)
	}
	if was, is := put.Rows[0].UpdatedAt, back.Rows[0].UpdatedAt; !is.After(was) {
		t.Errorf("updated at %v, and at %v before it was deleted", is, was)
	}
}
