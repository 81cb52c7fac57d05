package dataset

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"pixano/internal/lance"
	"pixano/schema"
)

// TestReadsWhileOthersWrite: rows that another handle replaces over and over are there for every read.
func TestReadsWhileOthersWrite(t *testing.T) {
	ds := generated(t, 200)
	ctx := t.Context()
	other, err := Open(ctx, ds.Path(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other = other.unchecked()
	var all []schema.BBox
	if err := ds.Get(ctx, "bboxes", &all, Query{}); err != nil {
		t.Fatal(err)
	}
	compacted, err := other.openTable(ctx, "compact", "bboxes")
	if err != nil {
		t.Fatal(err)
	}
	defer compacted.Close()
	done := make(chan struct{})
	var wait sync.WaitGroup
	for g := range 5 {
		wait.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			for {
				select {
				case <-done:
					return
				default:
				}
				i := r.IntN(200)
				switch g {
				case 0, 1:
					ids := []string{fmt.Sprintf("bbox-%08d-%d", i, r.IntN(5)), fmt.Sprintf("bbox-%08d-%d", (i+7)%200, r.IntN(5))}
					var boxes []schema.BBox
					missing, err := ds.ByID(ctx, "bboxes", &boxes, ids...)
					if err != nil || missing != nil {
						t.Errorf("by id %v: missing %v (%v)", ids, missing, err)
						return
					}
				case 2:
					id := fmt.Sprintf("item-%08d", i)
					var boxes []schema.BBox
					if err := ds.Get(ctx, "bboxes", &boxes, Query{ItemIDs: []string{id}}); err != nil || len(boxes) != 5 {
						t.Errorf("item %s: %d boxes (%v)", id, len(boxes), err)
						return
					}
				case 3:
					var scenes []scene
					if err := ds.Items(ctx, &scenes, Query{Offset: i % 150, Limit: 20}); err != nil || len(scenes) != 20 {
						t.Errorf("items: %d (%v)", len(scenes), err)
						return
					}
					for _, s := range scenes {
						if len(s.BBoxes) != 5 || len(s.Objects) != 5 {
							t.Errorf("item %s: %d boxes", s.ID, len(s.BBoxes))
							return
						}
					}
				case 4:
					var scenes []scene
					if err := ds.Items(ctx, &scenes, Query{OrderBy: "#bboxes desc", Limit: 20}); err != nil || len(scenes) != 20 {
						t.Errorf("sorted items: %d (%v)", len(scenes), err)
						return
					}
				}
			}
		})
	}
	r := rand.New(rand.NewPCG(9, 9))
	for i := 1; i <= 40 && !t.Failed(); i++ {
		from := r.IntN(len(all) - 20)
		if _, err := other.Update(ctx, "bboxes", all[from:from+1+r.IntN(20)]); err != nil {
			t.Error(err)
		}
		if i%5 == 0 { // rows get other addresses
			if _, err := compacted.Optimize(ctx, lance.OptimizeOptions{Compact: &lance.Compact{}}, nil); err != nil {
				t.Error(err)
			}
		}
	}
	close(done)
	wait.Wait()
}
