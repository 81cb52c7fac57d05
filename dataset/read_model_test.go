package dataset

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	gocmp "github.com/google/go-cmp/cmp"

	"pixano/features"
	"pixano/internal/lance"
	"pixano/schema"
)

// TestReadsAgainstScans makes random changes, here and past the dataset, and after each compares random queries with a
// plain scan of the tables by a handle that remembers nothing.
func TestReadsAgainstScans(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 0))
	ds := generated(t, 30)
	ctx := t.Context()
	serial := 0
	var items []scene
	var boxes []schema.BBox
	scan := func() {
		t.Helper()
		fresh, err := OpenTables(ctx, ds.Path(), &Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		defer fresh.Close()
		items, boxes = nil, nil
		if err := fresh.Get(ctx, "item", &items, Query{}); err != nil {
			t.Fatal(err)
		}
		if err := fresh.Get(ctx, "bboxes", &boxes, Query{}); err != nil {
			t.Fatal(err)
		}
	}
	newBox := func(id string) schema.BBox {
		b := schema.NewBBox(id)
		b.ItemRef = features.Item(items[r.IntN(len(items))].ID)
		b.Coords, b.Format, b.IsNormalized = []float64{0.1, 0.1, 0.2, 0.2}, "xywh", true
		b.Confidence = float64(r.IntN(11)) / 10
		return b
	}
	table := func(name string, do func(*lance.Table) error) {
		t.Helper()
		to, err := ds.openTable(ctx, "outside", name)
		if err == nil {
			defer to.Close()
			err = do(to)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	pickBoxes := func(n int) (ids []string) {
		for range n {
			if len(boxes) > 0 {
				ids = append(ids, boxes[r.IntN(len(boxes))].ID)
			}
		}
		slices.Sort(ids)
		return slices.Compact(ids)
	}
	unchecked := ds.unchecked() // as scenes have no sources
	change := func() string {
		switch r.IntN(9) {
		case 0, 1:
			var rows []schema.BBox
			for range 1 + r.IntN(20) {
				serial++
				rows = append(rows, newBox(fmt.Sprintf("new-%d", serial)))
			}
			if err := unchecked.Add(ctx, "bboxes", rows); err != nil {
				t.Fatal(err)
			}
			return "add"
		case 2, 3:
			var rows []schema.BBox
			for _, id := range pickBoxes(1 + r.IntN(20)) {
				rows = append(rows, newBox(id))
			}
			if len(rows) == 0 {
				return "nothing"
			}
			if _, err := unchecked.Update(ctx, "bboxes", rows); err != nil {
				t.Fatal(err)
			}
			return "update"
		case 4:
			if _, err := ds.Delete(ctx, "bboxes", pickBoxes(1+r.IntN(20))...); err != nil {
				t.Fatal(err)
			}
			return "delete"
		case 5:
			var rows []schema.BBox
			for range 1 + r.IntN(5) {
				serial++
				rows = append(rows, newBox(fmt.Sprintf("out-%d", serial)))
			}
			store(t, ds, "bboxes", rows)
			return "append outside"
		case 6:
			name := []string{"bboxes", "item"}[r.IntN(2)]
			table(name, func(to *lance.Table) error {
				_, err := to.Optimize(ctx, lance.OptimizeOptions{Compact: &lance.Compact{}}, nil)
				return err
			})
			return "compact " + name
		case 7:
			table("bboxes", func(to *lance.Table) error {
				switch r.IntN(4) {
				case 0: // an older state
					v, err := to.Version(ctx)
					if err != nil {
						return err
					}
					if err := to.Checkout(ctx, max(v-uint64(r.IntN(4)), 2)); err != nil {
						return err
					}
					_, err = to.Restore(ctx)
					return err
				case 1:
					_, err := to.Update(ctx, "confidence > 0.7", []lance.Set{{Column: "confidence", SQL: "0.05"}}, nil)
					return err
				case 2: // all rows anew, in another order
					var batches []arrow.RecordBatch
					for batch, err := range to.Batches(ctx, lance.Query{OrderBy: []lance.Order{{Column: "id"}}}) {
						if err != nil {
							return err
						}
						batch.Retain()
						batches = append(batches, batch)
					}
					_, err := to.Overwrite(ctx, lance.FromBatches(nil, batches...), nil)
					return err
				default:
					_, err := to.Delete(ctx, "confidence = 0.5", nil)
					return err
				}
			})
			return "outside"
		default:
			id := items[r.IntN(len(items))].ID
			if r.IntN(3) == 0 && len(items) > 10 {
				if _, err := ds.DeleteItems(ctx, id); err != nil {
					t.Fatal(err)
				}
				return "delete item"
			}
			serial++
			s := scene{Item: schema.NewItem(fmt.Sprintf("scene-%d", serial)), Number: int64(r.IntN(9))}
			b := newBox(fmt.Sprintf("of-scene-%d", serial))
			b.ItemRef = features.Item(s.ID)
			s.BBoxes = []schema.BBox{b}
			if err := ds.AddItems(ctx, []scene{s}); err != nil {
				t.Fatal(err)
			}
			return "add item"
		}
	}
	idsOf := func(rows []schema.BBox) []string {
		ids := []string{}
		for _, b := range rows {
			ids = append(ids, b.ID)
		}
		return ids
	}
	var last string
	check := func(what string, want, got any, err error) {
		t.Helper()
		if diff := gocmp.Diff(want, got); diff != "" || err != nil {
			t.Fatalf("after %s: %s: %v (-want +got):\n%s", last, what, err, diff)
		}
	}
	page := func(q *Query) {
		if r.IntN(3) == 0 {
			q.Limit = 1 + r.IntN(30)
		}
		if r.IntN(4) == 0 {
			q.Offset = r.IntN(40)
		}
	}
	for range 25 {
		scan()
		last = change()
		scan()
		for range 6 {
			q := Query{}
			if r.IntN(2) == 0 {
				q.IDs = append(pickBoxes(r.IntN(12)), "unknown")
				r.Shuffle(len(q.IDs), func(i, j int) { q.IDs[i], q.IDs[j] = q.IDs[j], q.IDs[i] })
			}
			if r.IntN(2) == 0 {
				q.ItemIDs = []string{}
				for range r.IntN(8) {
					q.ItemIDs = append(q.ItemIDs, items[r.IntN(len(items))].ID)
				}
			}
			limit := 0.0
			if r.IntN(3) == 0 {
				limit = float64(r.IntN(10)) / 10
				q.Where, q.Args = "confidence > ? OR confidence < 0", []any{limit}
			} else {
				limit = -1
			}
			var want []schema.BBox
			for _, b := range boxes {
				if (q.IDs == nil || slices.Contains(q.IDs, b.ID)) && (q.ItemIDs == nil || slices.Contains(q.ItemIDs, b.ItemRef.ID)) && b.Confidence > limit {
					want = append(want, b)
				}
			}
			n, err := ds.Count(ctx, "bboxes", q)
			check(fmt.Sprintf("count %+v", q), int64(len(want)), n, err)
			switch r.IntN(3) {
			case 0:
				q.OrderBy = "confidence desc"
				slices.SortStableFunc(want, func(a, b schema.BBox) int { return cmp.Compare(b.Confidence, a.Confidence) })
			case 1:
				q.OrderBy = "item_ref.id, confidence"
				slices.SortStableFunc(want, func(a, b schema.BBox) int {
					return cmp.Or(cmp.Compare(a.ItemRef.ID, b.ItemRef.ID), cmp.Compare(a.Confidence, b.Confidence))
				})
			}
			page(&q)
			want = want[min(q.Offset, len(want)):]
			if q.Limit > 0 {
				want = want[:min(q.Limit, len(want))]
			}
			want = append([]schema.BBox{}, want...)
			var got []schema.BBox
			err = ds.Get(ctx, "bboxes", &got, q)
			check(fmt.Sprintf("get %+v", q), want, got, err)
			ids, err := ds.IDs(ctx, "bboxes", q)
			check(fmt.Sprintf("ids %+v", q), idsOf(want), ids, err)
		}
		// By id.
		ids := append(pickBoxes(5), "no", "no")
		r.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
		var got []schema.BBox
		missing, err := ds.ByID(ctx, "bboxes", &got, ids...)
		want := []schema.BBox{}
		for _, id := range ids {
			if i := slices.IndexFunc(boxes, func(b schema.BBox) bool { return b.ID == id }); i >= 0 {
				want = append(want, boxes[i])
			}
		}
		check(fmt.Sprintf("by id %v", ids), want, got, err)
		check("missing", []string{"no", "no"}, missing, nil)
		// Whole items, by number of boxes.
		count := map[string]int{}
		for _, b := range boxes {
			count[b.ItemRef.ID]++
		}
		wantItems := slices.Clone(items)
		q := Query{}
		switch r.IntN(4) {
		case 0:
			q.OrderBy = "#bboxes desc"
			slices.SortStableFunc(wantItems, func(a, b scene) int { return cmp.Compare(count[b.ID], count[a.ID]) })
		case 1:
			q.OrderBy = "#bboxes, number desc"
			slices.SortStableFunc(wantItems, func(a, b scene) int {
				return cmp.Or(cmp.Compare(count[a.ID], count[b.ID]), cmp.Compare(b.Number, a.Number))
			})
		case 2:
			q.IDs = []string{"unknown"}
			for range 4 {
				q.IDs = append(q.IDs, items[r.IntN(len(items))].ID)
			}
			wantItems = slices.DeleteFunc(wantItems, func(s scene) bool { return !slices.Contains(q.IDs, s.ID) })
		}
		page(&q)
		wantItems = wantItems[min(q.Offset, len(wantItems)):]
		if q.Limit > 0 {
			wantItems = wantItems[:min(q.Limit, len(wantItems))]
		}
		var scenes []scene
		if err := ds.Items(ctx, &scenes, q); err != nil {
			t.Fatal(err)
		}
		type flat struct {
			ID     string
			Number int64
			Boxes  []string
		}
		var wantFlat, gotFlat []flat
		for _, s := range wantItems {
			f := flat{s.ID, s.Number, []string{}}
			for _, b := range boxes {
				if b.ItemRef.ID == s.ID {
					f.Boxes = append(f.Boxes, b.ID)
				}
			}
			wantFlat = append(wantFlat, f)
		}
		for _, s := range scenes {
			gotFlat = append(gotFlat, flat{s.ID, s.Number, idsOf(s.BBoxes)})
		}
		check(fmt.Sprintf("items %+v", q), wantFlat, gotFlat, nil)
	}
}
