package dataset_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pixano/dataset"
	"pixano/features"
	"pixano/schema"
)

func TestTableOf(t *testing.T) {
	ds := openGolden(t, "image_detection")
	boxes, err := dataset.TableOf[schema.BBox](ds, "bboxes")
	if err != nil {
		t.Fatal(err)
	}
	if boxes.Name() != "bboxes" {
		t.Errorf("the table's name is %q", boxes.Name())
	}
	_, err = dataset.TableOf[schema.BBox](ds, "nope")
	wantError(t, err, dataset.ErrNotFound, "nope")
	_, err = dataset.TableOf[schema.Image](ds, "bboxes")
	wantError(t, err, dataset.ErrSchema, "bboxes")
	_, err = dataset.TableOf[schema.CompressedRLE](ds, "bboxes")
	wantError(t, err, dataset.ErrSchema, "size")
	if _, err := dataset.TableOf[*schema.Dynamic](ds, "bboxes"); err != nil {
		t.Error(err)
	}
	if _, err := dataset.TableOf[Detection](ds, "item"); err != nil {
		t.Error(err)
	}
}

// selected are the ids of a selection, read in every way.
func selected[T any](t *testing.T, s dataset.Selection[T]) []string {
	t.Helper()
	ctx := t.Context()
	idOf := func(row any) string {
		if item, ok := row.(dataset.Item); ok {
			return item.ID
		}
		id, err := schema.ID(row)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	rows, err := s.Slice(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := s.IDs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var bySlice, byStream, byBatch []string
	for _, row := range rows {
		bySlice = append(bySlice, idOf(row))
	}
	for range 2 { // ranging again reads again
		byStream = nil
		for row, err := range s.All(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			byStream = append(byStream, idOf(row))
		}
	}
	for batch, err := range s.Batches(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		for i := range int(batch.NumRows()) {
			byBatch = append(byBatch, batch.Column(0).ValueStr(i))
		}
	}
	for name, got := range map[string][]string{"Slice": bySlice, "All": byStream, "Batches": byBatch} {
		if !slices.Equal(got, ids) {
			t.Errorf("%s gives %v, IDs %v", name, got, ids)
		}
	}
	first, err := s.First(ctx)
	switch {
	case len(ids) == 0:
		wantError(t, err, dataset.ErrNotFound, "no such row")
	case err != nil || idOf(first) != ids[0]:
		t.Errorf("First gives %v (%v), want %s", first, err, ids[0])
	}
	one, err := s.One(ctx)
	switch {
	case len(ids) == 0:
		wantError(t, err, dataset.ErrNotFound, "no such row")
	case len(ids) > 1:
		wantError(t, err, dataset.ErrQuery, "want one")
	case err != nil || idOf(one) != ids[0]:
		t.Errorf("One gives %v (%v), want %s", one, err, ids[0])
	}
	return ids
}

func TestSelection(t *testing.T) {
	ds := openGolden(t, "image_detection")
	boxes, err := dataset.TableOf[*schema.BBox](ds, "bboxes")
	if err != nil {
		t.Fatal(err)
	}
	base := boxes.Where("confidence > ?", 0.3)
	tests := []struct {
		name string
		got  dataset.Selection[*schema.BBox]
		want dataset.Query
	}{
		{"all", boxes.Selection, dataset.Query{}},
		{"base", base, dataset.Query{Where: "confidence > 0.3"}},
		{"refined", base.Where("confidence < ? OR confidence > ?", 0.5, 0.8), dataset.Query{Where: "confidence > 0.3 AND (confidence < 0.5 OR confidence > 0.8)"}},
		{"refined twice", base.Where("true OR true").Where("is_normalized"), dataset.Query{Where: "confidence > 0.3 AND is_normalized"}},
		{"order", base.OrderBy("id").OrderBy("confidence desc"), dataset.Query{Where: "confidence > 0.3", OrderBy: "confidence desc"}},
		{"page", boxes.Limit(3).Offset(2), dataset.Query{Limit: 3, Offset: 2}},
		{"one", boxes.WithIDs("box_003_1"), dataset.Query{IDs: []string{"box_003_1"}}},
		{"no ids", boxes.WithIDs(), dataset.Query{IDs: []string{}}},
		{"items", base.OfItems("item_003", "item_007"), dataset.Query{Where: "confidence > 0.3", ItemIDs: []string{"item_003", "item_007"}}},
		{"query", base.Query(dataset.Query{Where: " "}).Where("id > 'box_01'").Limit(4), dataset.Query{Where: "id > 'box_01'", Limit: 4}},
		{"base again", base, dataset.Query{Where: "confidence > 0.3"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want, err := ds.IDs(t.Context(), "bboxes", test.want)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, selected(t, test.got)); diff != "" {
				t.Errorf("ids (-want +got):\n%s", diff)
			}
			n, err := ds.Count(t.Context(), "bboxes", test.want)
			if got, gotErr := test.got.Count(t.Context()); err != nil || gotErr != nil || got != n {
				t.Errorf("Count gives %d (%v), want %d (%v)", got, gotErr, n, err)
			}
		})
	}
}

// TestSelectionErrors: the first mistake is kept, and reported by whatever runs the selection.
func TestSelectionErrors(t *testing.T) {
	ds := openGolden(t, "image_detection")
	boxes, err := dataset.TableOf[schema.BBox](ds, "bboxes")
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for part, s := range map[string]dataset.Selection[schema.BBox]{
		"limit: -1":                       boxes.Limit(-1).Offset(-2).Where(""),
		"offset: -2":                      boxes.Offset(-2).Limit(5),
		`where: at 4: ")" closes nothing`: boxes.Where("true) OR (true").Where("id = 'a'"),
		"where: \"(\" is not closed":      boxes.Query(dataset.Query{Where: "(true"}).Where("true)"),
		"1 more question marks":           boxes.Where("id = ?"),
		"2 more values":                   boxes.Where("true", 1, 2),
		"the condition is empty":          boxes.Where(" "),
		"no comments":                     boxes.Where("true --"),
		`no column "nope"`:                boxes.Where("nope = 1"), // known only when it runs
		`order_by: no column "nope"`:      boxes.OrderBy("nope"),
	} {
		_, err := s.Slice(ctx)
		wantError(t, err, dataset.ErrQuery, "bboxes", part)
		_, err = s.IDs(ctx)
		wantError(t, err, dataset.ErrQuery, part)
		_, err = s.First(ctx)
		wantError(t, err, dataset.ErrQuery, part)
		_, err = s.One(ctx)
		wantError(t, err, dataset.ErrQuery, part)
		_, err = s.Count(ctx)
		wantError(t, err, dataset.ErrQuery, part)
		for _, err := range s.All(ctx) {
			wantError(t, err, dataset.ErrQuery, part)
		}
		for _, err := range s.Batches(ctx) {
			wantError(t, err, dataset.ErrQuery, part)
		}
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	for _, err := range boxes.All(cancelled) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	}
}

func TestTableByID(t *testing.T) {
	ds := openGolden(t, "image_detection")
	objects, err := dataset.TableOf[DetectedObject](ds, "objects")
	if err != nil {
		t.Fatal(err)
	}
	rows, missing, err := objects.ByID(t.Context(), "obj_003_1", "nope", "obj_002_0")
	if err != nil || len(rows) != 2 || rows[0].ID != "obj_003_1" || rows[1].ID != "obj_002_0" || !slices.Equal(missing, []string{"nope"}) {
		t.Errorf("got %v, missing %v (%v)", rows, missing, err)
	}
}

func TestItemsOf(t *testing.T) {
	ds := openGolden(t, "image_detection")
	items, err := dataset.ItemsOf[Detection](ds)
	if err != nil {
		t.Fatal(err)
	}
	dynamic, err := dataset.ItemsOf[dataset.Item](ds)
	if err != nil {
		t.Fatal(err)
	}
	want, err := ds.IDs(t.Context(), "item", dataset.Query{Where: "split = 'val'", OrderBy: "score"})
	if err != nil || len(want) < 3 {
		t.Fatal(want, err)
	}
	if diff := cmp.Diff(want, selected(t, items.Where("split = ?", "val").OrderBy("score"))); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[1:2], selected(t, dynamic.Where("split = ?", "val").OrderBy("score").Offset(1).Limit(1))); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
	rows, missing, err := items.ByID(t.Context(), "item_003", "nope")
	if err != nil || len(rows) != 1 || len(rows[0].BBoxes) != 3 || rows[0].Image.ID != "img_003" || !slices.Equal(missing, []string{"nope"}) {
		t.Errorf("got %v, missing %v (%v)", rows, missing, err)
	}
	for range items.All(t.Context()) {
		break // must not read on
	}
	_, err = dataset.ItemsOf[schema.BBox](ds)
	wantError(t, err, dataset.ErrSchema, "schema.Item")
	_, err = dataset.ItemsOf[Detection](openGolden(t, "video_tracking"))
	wantError(t, err, dataset.ErrSchema, "category")
	_, err = dataset.ItemsOf[dataset.Item](openGolden(t, "record_image"))
	wantError(t, err, dataset.ErrUnsupported, "record layout")
}

// TestTypedWrites stores, changes and deletes rows and items as T.
func TestTypedWrites(t *testing.T) {
	ctx := t.Context()
	ds := newDataset(t, t.TempDir()+"/ds", dataset.Info{}, nil)
	items, err := dataset.ItemsOf[Shot](ds)
	if err != nil {
		t.Fatal(err)
	}
	boxes, err := dataset.TableOf[schema.BBox](ds, "bboxes")
	if err != nil {
		t.Fatal(err)
	}
	box := func(id, item string) schema.BBox {
		b := schema.NewBBox(id)
		b.ItemRef, b.Coords, b.Format = features.Item(item), []float64{1, 2, 3, 4}, "xywh"
		return b
	}
	shot := func(id string, difficulty int64) Shot {
		s := Shot{Item: schema.NewItem(id), Difficulty: difficulty, BBoxes: []schema.BBox{box(id+"-box", id)}}
		s.Image.ID, s.Image.ItemRef = id+"-image", features.Item(id)
		return s
	}
	if err := items.Add(ctx, shot("a", 1), shot("b", 2)); err != nil {
		t.Fatal(err)
	}
	if err := boxes.Add(ctx, box("more", "a")); err != nil {
		t.Fatal(err)
	}
	if u, err := items.Update(ctx, shot("b", 3), shot("c", 4)); err != nil || !slices.Equal(u.Updated, []string{"b"}) || !slices.Equal(u.Added, []string{"c"}) {
		t.Fatal(u, err)
	}
	changed := box("more", "a")
	changed.Confidence = 0.5
	if u, err := boxes.Update(ctx, changed); err != nil || !slices.Equal(u.Updated, []string{"more"}) {
		t.Fatal(u, err)
	}
	if missing, err := boxes.Delete(ctx, "c-box", "nope"); err != nil || !slices.Equal(missing, []string{"nope"}) {
		t.Fatal(missing, err)
	}
	got := map[string][]string{}
	for s, err := range items.OrderBy("#bboxes desc, id").All(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range s.BBoxes {
			got[s.ID] = append(got[s.ID], b.ID)
		}
		if s.Image.ID != s.ID+"-image" {
			t.Errorf("item %s has the image %q", s.ID, s.Image.ID)
		}
	}
	if diff := cmp.Diff(map[string][]string{"a": {"a-box", "more"}, "b": {"b-box"}}, got); diff != "" {
		t.Errorf("boxes (-want +got):\n%s", diff)
	}
	if missing, err := items.Delete(ctx, "a", "nope"); err != nil || !slices.Equal(missing, []string{"nope"}) {
		t.Fatal(missing, err)
	}
	if diff := cmp.Diff([]string{"b", "c"}, selected(t, items.OrderBy("difficulty"))); diff != "" {
		t.Errorf("items (-want +got):\n%s", diff)
	}
	if n, err := boxes.Count(ctx); err != nil || n != 1 {
		t.Errorf("%d boxes are left (%v), want 1", n, err)
	}
}
