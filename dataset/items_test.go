package dataset

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pixano/features"
	"pixano/schema"
)

// itemText gives the REST form of an item.
func itemText(t *testing.T, ds *Dataset, item any, tables map[string]any) string {
	t.Helper()
	raw, err := schema.MarshalItem(ds.Schema(), item, tables)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestItems compares whole items with what plain reads of each table give.
func TestItems(t *testing.T) {
	ds, _ := uneven(t)
	store(t, ds, "image", []schema.Image{{View: schema.View{ID: "second", ItemRef: features.Item("item-00000004")}, URL: "b.jpg"}})
	ctx := t.Context()
	for _, q := range []Query{
		{}, {Limit: 3}, {Limit: 5, Offset: 33}, {Offset: 100}, {IDs: []string{}}, {OrderBy: "number desc", Limit: 6},
		{OrderBy: "#bboxes desc, id", Limit: 8}, {Where: "number > 900"}, {IDs: []string{"item-00000037", "no", "item-00000004"}},
		{ItemIDs: []string{"item-00000004"}}, {Where: "split = 'default' OR true", IDs: []string{"item-00000015"}},
	} {
		var scenes []scene
		if err := ds.Items(ctx, &scenes, q); err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		var rows []scene
		if err := ds.Get(ctx, "item", &rows, q); err != nil {
			t.Fatal(err)
		}
		for i := range rows {
			one := Query{ItemIDs: []string{rows[i].ID}}
			var images []schema.Image
			err := errors.Join(ds.Get(ctx, "image", &images, one), ds.Get(ctx, "objects", &rows[i].Objects, one), ds.Get(ctx, "bboxes", &rows[i].BBoxes, one))
			if err != nil {
				t.Fatal(err)
			}
			rows[i].Image = images[len(images)-1]
		}
		if diff := cmp.Diff(rows, scenes); diff != "" {
			t.Errorf("%+v: items (-want +got):\n%s", q, diff)
		}
		var dynamic []Item
		if err := ds.Items(ctx, &dynamic, q); err != nil {
			t.Fatal(err)
		}
		if len(dynamic) != len(scenes) || dynamic == nil {
			t.Fatalf("%+v: got %d items, want %d", q, len(dynamic), len(scenes))
		}
		for i, item := range dynamic {
			if want, got := itemText(t, ds, scenes[i], nil), itemText(t, ds, item.Item, item.Tables); want != got || item.ID != scenes[i].ID {
				t.Errorf("%+v: item %d\n got %s\nwant %s", q, i, got, want)
			}
		}
	}
}

func TestItemsBelongToTheCaller(t *testing.T) {
	ds := generated(t, 3)
	var scenes []*scene
	if err := ds.Items(t.Context(), &scenes, Query{}); err != nil {
		t.Fatal(err)
	}
	next := scenes[1].BBoxes[0].ID
	scenes[0].BBoxes = append(scenes[0].BBoxes, schema.NewBBox("mine"))
	if scenes[1].BBoxes[0].ID != next {
		t.Error("appending to one item's boxes changed another's")
	}
}

// TestItemsStoredTwice: an id that an unchecked add stored twice gives two items, each with all the rows.
func TestItemsStoredTwice(t *testing.T) {
	ds := generated(t, 3)
	var items []*schema.Dynamic
	if err := ds.Get(t.Context(), "item", &items, Query{Limit: 1}); err != nil {
		t.Fatal(err)
	}
	store(t, ds, "item", items)
	for _, q := range []Query{{}, {IDs: []string{"item-00000000"}}} {
		var scenes []scene
		if err := ds.Items(t.Context(), &scenes, q); err != nil {
			t.Fatal(err)
		}
		first, last := scenes[0], scenes[len(scenes)-1]
		if diff := cmp.Diff(first, last); diff != "" || len(first.BBoxes) != 5 {
			t.Errorf("the two items differ:\n%s", diff)
		}
		if last.BBoxes[0].ID = "changed"; first.BBoxes[0].ID == "changed" {
			t.Error("the two items share their boxes")
		}
	}
}

func TestItemsByID(t *testing.T) {
	ds := generated(t, 4)
	ids := []string{"item-00000002", "no", "item-00000000", "item-00000002"}
	for _, dst := range []any{&[]scene{}, &[]*scene{}, &[]Item{}} {
		missing, err := ds.ItemsByID(t.Context(), dst, ids...)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		switch items := dst.(type) {
		case *[]scene:
			for _, s := range *items {
				got = append(got, s.BBoxes[1].ItemRef.ID)
			}
		case *[]*scene:
			for _, s := range *items {
				got = append(got, s.ID)
			}
		case *[]Item:
			for _, s := range *items {
				got = append(got, s.ID)
			}
		}
		if diff := cmp.Diff([]string{ids[0], ids[2], ids[3]}, got); diff != "" || !slices.Equal(missing, []string{"no"}) {
			t.Errorf("%T: missing %v (-want +got):\n%s", dst, missing, diff)
		}
	}
}

func TestItemsErrors(t *testing.T) {
	ds := generated(t, 1)
	type other struct {
		schema.Item
		Pictures []schema.Image
	}
	type many struct {
		schema.Item
		Image []schema.Image
	}
	tests := []struct {
		name string
		dst  any
		q    Query
		kind error
		part string
	}{
		{"no slice", &scene{}, Query{}, ErrQuery, "want a pointer to a slice"},
		{"rows", &[]schema.BBox{}, Query{}, ErrSchema, "schema.Item"},
		{"numbers", &[]int{}, Query{}, ErrSchema, "int"},
		{"any", &[]any{}, Query{}, ErrSchema, "interface"},
		{"unknown table", &[]other{}, Query{}, ErrSchema, "pictures"},
		{"another relation", &[]many{}, Query{}, ErrSchema, "image"},
		{"columns", &[]scene{}, Query{Columns: []string{"id"}}, ErrQuery, "columns"},
		{"columns of items", &[]Item{}, Query{Columns: []string{"id"}}, ErrQuery, "columns"},
		{"condition", &[]scene{}, Query{Where: "coords = 1"}, ErrQuery, "coords"},
		{"offset", &[]Item{}, Query{Offset: -1}, ErrQuery, "offset"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := ds.Items(t.Context(), test.dst, test.q)
			if _, ok := err.(*Error); !ok || !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.part) {
				t.Errorf("got %v, want %v with %s", err, test.kind, test.part)
			}
		})
	}
	if err := ds.Close(); err != nil {
		t.Fatal(err)
	}
	if err := ds.Items(t.Context(), &[]scene{}, Query{}); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: got %v", err)
	}
}

// TestItemsOfManyParts reads a stream of items in parts.
func TestItemsOfManyParts(t *testing.T) {
	ds, want := uneven(t)
	slices.SortStableFunc(want, func(a, b counts) int { return b.boxes - a.boxes })
	for _, together := range []int{1, 7, len(want), 1000} {
		var got []counts
		parts := 0
		for part, err := range ds.eachItems(t.Context(), "test", reflect.TypeFor[scene](), Query{OrderBy: "#bboxes desc"}, together) {
			if err != nil {
				t.Fatal(err)
			}
			parts++
			for _, s := range part.Interface().([]scene) {
				got = append(got, counts{s.ID, s.Number, len(s.BBoxes), len(s.Objects)})
			}
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(counts{})); diff != "" {
			t.Errorf("%d together (-want +got):\n%s", together, diff)
		}
		if parts != (len(want)+together-1)/together {
			t.Errorf("%d together: got %d parts", together, parts)
		}
	}
}

// TestItemsOfOneState: while items and their rows are added in turn, no reader sees a part of an item's rows.
func TestItemsOfOneState(t *testing.T) {
	ds := generated(t, 4)
	ctx := t.Context()
	r, err := ds.itemReader("test", reflect.TypeFor[scene]())
	if err != nil {
		t.Fatal(err)
	}
	// Between the reading of the items and that of their tables, the boxes go away.
	i := slices.IndexFunc(r.tables, func(t itemTable) bool { return t.name == "bboxes" })
	idOf, done := r.idOf, false
	r.idOf = func(row reflect.Value) string {
		if !done {
			done = true
			table, err := ds.openTable(ctx, "test", "bboxes")
			if err == nil {
				_, err = table.Delete(ctx, "true", nil)
			}
			if n, countErr := ds.Count(ctx, "bboxes", Query{}); err != nil || countErr != nil || n != 0 {
				t.Error(n, err, countErr)
			}
		}
		return idOf(row)
	}
	items, err := r.read(ctx, Query{Limit: 1})
	if err != nil || i < 0 {
		t.Fatal(i, err)
	}
	if s := items.Index(0).Interface().(scene); len(s.BBoxes) != 5 {
		t.Errorf("got %d boxes, want the 5 that were there when the item was read", len(s.BBoxes))
	}
}

// TestReadsTogether reads in many ways at once, while the table changes.
func TestReadsTogether(t *testing.T) {
	ds, items := uneven(t)
	ctx := t.Context()
	items = items[:len(items):len(items)]
	reads := []func() (int, error){
		func() (int, error) {
			var s []scene
			return len(items), ds.Items(ctx, &s, Query{Limit: 10, OrderBy: "#bboxes"})
		},
		func() (int, error) {
			ids, err := ds.IDs(ctx, "item", Query{OrderBy: "#objects, number"})
			return len(ids), err
		},
		func() (int, error) { var s []scene; err := ds.Get(ctx, "item", &s, Query{}); return len(s), err },
		func() (int, error) { var s []Item; err := ds.Items(ctx, &s, Query{}); return len(s), err },
		func() (int, error) {
			var s []*schema.Dynamic
			missing, err := ds.ByID(ctx, "item", &s, "item-00000030", "item-00000001")
			return len(items) - len(missing), err
		},
	}
	var wait sync.WaitGroup
	for range 3 {
		for i, read := range reads {
			wait.Go(func() {
				for range 5 {
					if n, err := read(); err != nil || n != len(items) {
						t.Errorf("read %d: got %d items (%v), want %d", i, n, err, len(items))
					}
				}
			})
		}
	}
	for i := range 5 {
		b := schema.NewBBox(fmt.Sprintf("late-%d", i))
		b.ItemRef, b.Coords = features.Item("item-00000001"), []float64{}
		store(t, ds, "bboxes", []schema.BBox{b})
	}
	wait.Wait()
}
