package dataset_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/features"
	"pixano/schema"
)

func testBox(id string) schema.BBox {
	b := schema.NewBBox(id)
	b.Coords, b.Format = []float64{1, 2, 3, 4}, features.FormatXYXY
	return b
}

func openForWrite(t *testing.T, set string) *dataset.Dataset {
	t.Helper()
	needEngine(t)
	ds, err := dataset.Open(t.Context(), copyGolden(t, set), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ds.Close(); err != nil {
			t.Error(err)
		}
	})
	return ds
}

func outcomes(res *dataset.Result) (list []string) {
	for _, row := range res.Rows {
		list = append(list, fmt.Sprint(row.Table, " ", row.ID, " ", row.Outcome))
	}
	return list
}

func TestApply(t *testing.T) {
	ds := openForWrite(t, "image_detection")
	ctx := t.Context()
	before, err := ds.Count(ctx, "bboxes", dataset.Query{})
	if err != nil {
		t.Fatal(err)
	}
	entity := features.Entity("objects", "o1")
	box := testBox("b1")
	box.EntityRef = entity
	class, _ := ds.Schema().Class("objects")
	object := must(schema.NewDynamic(class))
	if err := object.Set("id", "o1"); err != nil {
		t.Fatal(err)
	}
	// Rows may refer to each other in any order, and later changes see earlier ones.
	set := dataset.ChangeSet{Author: "ana", Key: "first", Changes: []dataset.Change{
		dataset.Insert("bboxes", box), dataset.Insert("objects", object), dataset.Put("bboxes", testBox("b2")),
		dataset.Delete("bboxes", "b2", "none"), dataset.Put("bboxes", []schema.BBox{testBox("b3"), box}),
	}}
	res, err := ds.Apply(ctx, set)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"bboxes b1 added", "objects o1 added", "bboxes b2 added", "bboxes b2 deleted", "bboxes none missing",
		"bboxes b3 added", "bboxes b1 updated"}
	if d := cmp.Diff(want, outcomes(res)); d != "" {
		t.Error(d)
	}
	again, err := ds.Apply(ctx, set)
	if err != nil || !again.Replayed {
		t.Fatalf("the same key again: %+v (%v)", again, err)
	}
	again.Replayed = false
	if d := cmp.Diff(res, again); d != "" {
		t.Error(d)
	}
	if n, err := ds.Count(ctx, "bboxes", dataset.Query{}); err != nil || n != before+2 {
		t.Errorf("%d boxes (%v), want %d", n, err, before+2)
	}

	var boxes []schema.BBox
	if _, err := ds.ByID(ctx, "bboxes", &boxes, "b1"); err != nil || len(boxes) != 1 {
		t.Fatal(boxes, err)
	}
	old := boxes[0].UpdatedAt
	if _, err := ds.Apply(ctx, dataset.ChangeSet{Changes: []dataset.Change{dataset.Put("bboxes", testBox("b1")).If(old)}}); err != nil {
		t.Fatal(err)
	}
	for name, changes := range map[string][]dataset.Change{
		"conflict":        {dataset.Put("bboxes", testBox("b1")).If(old)},
		"expected none":   {dataset.Put("bboxes", testBox("b1")).If(time.Time{})},
		"expected a row":  {dataset.Delete("bboxes", "nobody").If(old)},
		"exists":          {dataset.Put("bboxes", testBox("x")), dataset.Insert("bboxes", testBox("b3"))},
		"dangling":        {dataset.Put("bboxes", testBox("x")), dataset.Put("bboxes", func() schema.BBox { b := testBox("y"); b.EntityRef.Name, b.EntityRef.ID = "objects", "zz"; return b }())},
		"bad row":         {dataset.Put("bboxes", testBox("x")), dataset.Put("bboxes", schema.BBox{})},
		"no such table":   {dataset.Put("bboxes", testBox("x")), dataset.Put("nowhere", testBox("x"))},
		"another group":   {dataset.Put("bboxes", testBox("x")), dataset.Put("image", testBox("x"))},
		"deleted, wanted": {dataset.Delete("objects", "o1"), dataset.Put("bboxes", box)},
	} {
		wants := map[string]error{
			"conflict": dataset.ErrConflict, "expected none": dataset.ErrConflict, "expected a row": dataset.ErrConflict,
			"exists": dataset.ErrExists, "dangling": dataset.ErrIntegrity, "bad row": dataset.ErrSchema,
			"no such table": dataset.ErrNotFound, "another group": dataset.ErrSchema, "deleted, wanted": dataset.ErrIntegrity,
		}
		_, err := ds.Apply(ctx, dataset.ChangeSet{Changes: changes})
		if !errors.Is(err, wants[name]) {
			t.Errorf("%s: got %v, want %v", name, err, wants[name])
		}
		if c, ok := errors.AsType[*dataset.ConflictError](err); name == "conflict" && (!ok || c.Conflicts[0].Now == nil || c.Conflicts[0].ID != "b1") {
			t.Errorf("%s: %+v", name, c)
		}
	}
	exist, err := ds.Exist(ctx, "bboxes", "x", "y")
	if err != nil || exist["x"] || exist["y"] {
		t.Errorf("refused change sets left rows: %v (%v)", exist, err)
	}
	if exist, err := ds.Exist(ctx, "objects", "o1"); err != nil || !exist["o1"] {
		t.Errorf("a refused change set deleted a row (%v)", err)
	}
}

// TestApplyAtOnce: change sets of many goroutines share entries, and each gets its own result.
func TestApplyAtOnce(t *testing.T) {
	ds := openForWrite(t, "image_detection")
	ctx := t.Context()
	var all sync.WaitGroup
	var mu sync.Mutex
	numbers := map[uint64]int{}
	won := 0
	for i := range 40 {
		all.Go(func() {
			res, err := ds.Apply(ctx, dataset.ChangeSet{Changes: []dataset.Change{dataset.Put("bboxes", testBox(fmt.Sprint("own", i)))}})
			if err != nil {
				t.Error(err)
				return
			}
			_, err = ds.Apply(ctx, dataset.ChangeSet{Changes: []dataset.Change{dataset.Insert("bboxes", testBox("shared"))}})
			mu.Lock()
			defer mu.Unlock()
			numbers[res.Number]++
			if err == nil {
				won++
			} else if !errors.Is(err, dataset.ErrExists) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won != 1 {
		t.Errorf("%d inserts of one id succeeded", won)
	}
	if len(numbers) == 40 {
		t.Error("no two change sets shared an entry")
	}
	ids, err := ds.IDs(ctx, "bboxes", dataset.Query{Where: "id LIKE 'own%' OR id = 'shared'"})
	if err != nil || len(ids) != 41 {
		t.Errorf("%d rows (%v), want 41", len(ids), err)
	}
}

func TestReadOnly(t *testing.T) {
	needEngine(t)
	dir := copyGolden(t, "vqa")
	ds, err := dataset.Open(t.Context(), dir, &dataset.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer ds.Close()
	for name, err := range map[string]error{
		"add":      ds.Add(t.Context(), "bboxes", testBox("b")),
		"optimize": second(ds.Optimize(t.Context())),
	} {
		if !errors.Is(err, dataset.ErrReadOnly) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if exists := must(fs.Glob(os.DirFS(dir), ".pixano")); len(exists) > 0 {
		t.Error("a read-only dataset has got a folder of ours")
	}
}

// TestBulkAdd: many rows are one commit, noted in the log without them.
func TestBulkAdd(t *testing.T) {
	ds := openForWrite(t, "image_detection")
	ctx := t.Context()
	rows := make([]schema.BBox, 10_001)
	for i := range rows {
		rows[i] = testBox(fmt.Sprint("bulk", i))
	}
	if err := ds.Add(ctx, "bboxes", rows); err != nil {
		t.Fatal(err)
	}
	if err := ds.Add(ctx, "bboxes", rows[:1]); !errors.Is(err, dataset.ErrIntegrity) {
		t.Errorf("a row of the bulk again: %v", err)
	}
	if err := ds.Add(ctx, "bboxes", rows); !errors.Is(err, dataset.ErrIntegrity) {
		t.Errorf("the bulk again: %v", err)
	}
	if n := must(ds.Count(ctx, "bboxes", dataset.Query{Where: "id LIKE 'bulk%'"})); n != 10_001 {
		t.Errorf("%d rows", n)
	}
	if _, err := ds.Update(ctx, "bboxes", rows[5000]); err != nil {
		t.Error(err)
	}
	if missing, err := ds.Delete(ctx, "bboxes", "bulk1", "bulk10001"); err != nil || !cmp.Equal(missing, []string{"bulk10001"}) {
		t.Errorf("missing %v (%v)", missing, err)
	}
}
