package dataset

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"pixano/features"
	"pixano/internal/lance"
	"pixano/schema"
)

// uneven creates a dataset whose items have different numbers of boxes and objects, in several fragments and with
// deleted rows, and returns the items in storage order with those numbers.
func uneven(t *testing.T) (ds *Dataset, items []counts) {
	ds = generated(t, 40)
	for _, del := range []struct{ table, where string }{
		{"bboxes", "id LIKE '%-1' AND item_ref.id < 'item-00000020'"},
		{"bboxes", "item_ref.id >= 'item-00000035'"},
		{"objects", "item_ref.id LIKE '%5'"},
		{"item", "id IN ('item-00000003', 'item-00000017')"},
	} {
		table, err := ds.openTable(t.Context(), "delete", del.table)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := table.Delete(t.Context(), del.where, nil); err != nil {
			t.Fatal(err)
		}
		table.Close()
	}
	var more []schema.BBox
	for i := range 7 {
		b := schema.NewBBox(fmt.Sprintf("more-%d", i))
		b.ItemRef = features.Item(fmt.Sprintf("item-%08d", 30+i%3))
		b.Coords, b.Format = []float64{}, "xywh"
		more = append(more, b)
	}
	store(t, ds, "bboxes", more)
	for i := range 40 {
		if i == 3 || i == 17 {
			continue
		}
		c := counts{id: fmt.Sprintf("item-%08d", i), number: int64(i * 7919 % 1000), boxes: 5, objects: 5}
		switch {
		case i < 20:
			c.boxes = 4
		case i >= 35:
			c.boxes = 0
		case i >= 30 && i < 33:
			c.boxes += 2
			if i == 30 {
				c.boxes++
			}
		}
		if i%10 == 5 {
			c.objects = 0
		}
		items = append(items, c)
	}
	return ds, items
}

type counts struct {
	id             string
	number         int64
	boxes, objects int
}

func TestOrderByCount(t *testing.T) {
	ds, items := uneven(t)
	tests := []struct {
		order string
		less  func(a, b counts) int
	}{
		{"#bboxes", func(a, b counts) int { return a.boxes - b.boxes }},
		{"#bboxes desc", func(a, b counts) int { return b.boxes - a.boxes }},
		{"#objects ASC, #bboxes DESC", func(a, b counts) int { return cmp.Or(a.objects-b.objects, b.boxes-a.boxes) }},
		{"#bboxes desc, id desc", func(a, b counts) int { return cmp.Or(b.boxes-a.boxes, strings.Compare(b.id, a.id)) }},
		{"split, #objects, number", func(a, b counts) int { return cmp.Or(a.objects-b.objects, int(a.number-b.number)) }},
		{"#image desc", func(a, b counts) int { return 0 }},
		{"#item", func(a, b counts) int { return 0 }},
		{"#source desc, #objects desc", func(a, b counts) int { return b.objects - a.objects }},
	}
	queries := []Query{{}, {Limit: 5}, {Limit: 7, Offset: 30}, {Offset: 36}, {Offset: 100}, {Where: "number > ?", Args: []any{500}},
		{Where: "number < 300 OR number > 700", Limit: 6, Offset: 2}, {IDs: []string{"item-00000030", "item-00000005", "item-00000036", "x"}}}
	for _, test := range tests {
		for _, q := range queries {
			want := slices.Clone(items)
			want = slices.DeleteFunc(want, func(c counts) bool {
				switch {
				case q.IDs != nil:
					return !slices.Contains(q.IDs, c.id)
				case len(q.Args) > 0:
					return c.number <= 500
				case q.Where != "":
					return c.number >= 300 && c.number <= 700
				}
				return false
			})
			slices.SortStableFunc(want, test.less)
			want = want[min(q.Offset, len(want)):]
			if q.Limit > 0 {
				want = want[:min(q.Limit, len(want))]
			}
			ids := []string{}
			for _, c := range want {
				ids = append(ids, c.id)
			}
			q.OrderBy = test.order
			var scenes []scene
			if err := ds.Get(t.Context(), "item", &scenes, q); err != nil {
				t.Fatalf("%+v: %v", q, err)
			}
			got := []string{}
			for _, s := range scenes {
				got = append(got, s.ID)
			}
			if diff := gocmp.Diff(ids, got); diff != "" {
				t.Errorf("%+v (-want +got):\n%s", q, diff)
			}
			if only, err := ds.IDs(t.Context(), "item", q); err != nil || gocmp.Diff(ids, only) != "" {
				t.Errorf("%+v: ids %v (%v)", q, only, err)
			}
		}
	}
}

func TestOrderByCountErrors(t *testing.T) {
	ds := generated(t, 2)
	for order, part := range map[string]string{
		"#nope":            "#nope: no such table: want one of item, image",
		"#":                "want the name of a table after #",
		"id, #bboxes up":   `#bboxes: order "up": want asc or desc`,
		"#bboxes #objects": "want a comma",
		"# bboxes":         "want the name of a table",
		"#bboxes, nope":    `no column "nope"`,
		"#Bboxes":          "#Bboxes: no such table",
		"#bboxes,":         "want columns or #table",
	} {
		_, err := ds.IDs(t.Context(), "item", Query{OrderBy: order})
		if e, ok := err.(*Error); !ok || e.Field != "order_by" || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: got %v, want an error of order_by with %s", order, err, part)
		}
	}
	_, err := ds.IDs(t.Context(), "bboxes", Query{OrderBy: "#objects"})
	if err == nil || !strings.Contains(err.Error(), "want items, in the table item") {
		t.Errorf("boxes by number of objects: got %v", err)
	}
}

// TestLateScansKeepTheirVersion: rows that were found are taken from the version in which they were found, whatever has
// happened to the table since.
func TestLateScansKeepTheirVersion(t *testing.T) {
	for name, q := range map[string]Query{
		"order by count": {OrderBy: "#bboxes desc"},
		"lookup":         {IDs: []string{"item-00000001", "item-00000002", "item-00000005"}},
	} {
		t.Run(name, func(t *testing.T) {
			ds := generated(t, 6)
			ctx := t.Context()
			want, err := ds.IDs(ctx, "item", q)
			if err != nil {
				t.Fatal(err)
			}
			var s *scan
			err = ds.read(ctx, "test", func(v *view) (err error) {
				s, err = v.scan(ctx, "item", q, []string{"id", "split"})
				return err
			})
			if err != nil || s.late == nil {
				t.Fatal(err, s.late)
			}
			table, err := ds.openTable(ctx, "test", "item")
			if err != nil {
				t.Fatal(err)
			}
			defer table.Close()
			if _, err := table.Delete(ctx, "id < 'item-00000003'", nil); err != nil {
				t.Fatal(err)
			}
			compact := lance.Compact{KeepDeletions: false}
			if _, err := table.Optimize(ctx, lance.OptimizeOptions{Compact: &compact}, nil); err != nil {
				t.Fatal(err)
			}
			if n, err := ds.Count(ctx, "item", Query{}); err != nil || n != 3 { // moves the shared handle on
				t.Fatal(n, err)
			}
			got := []string{}
			for batch, err := range s.all(ctx) {
				if err != nil {
					t.Fatal(err)
				}
				if got, err = appendTexts(got, batch); err != nil {
					t.Fatal(err)
				}
			}
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Errorf("ids (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCompareKeys(t *testing.T) {
	day := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, values := range [][]any{ // ascending
		{int64(math.MinInt64), int64(-1), int64(5), nil},
		{int8(-3), int8(4)}, {uint64(1), uint64(math.MaxUint64)}, {1, 2},
		{math.Inf(-1), -1.0, 0.5, math.Inf(1), math.NaN(), nil},
		{float32(-1), float32(2), float32(math.NaN())},
		{"", "Z", "a", "é", nil}, {false, true, nil},
		{day, day.Add(time.Microsecond), nil},
		{[]byte{}, []byte{0}, []byte{0, 1}, []byte{1}, nil},
	} {
		for i, a := range values {
			for j, b := range values {
				want, down := cmp.Compare(i, j), cmp.Compare(j, i)
				if a == nil || b == nil {
					down = want // nulls are last either way
				}
				if got := compareKeys(a, b, false); got != want {
					t.Errorf("%v %v: got %d, want %d", a, b, got, want)
				}
				if got := compareKeys(a, b, true); got != down {
					t.Errorf("%v %v, descending: got %d, want %d", a, b, got, down)
				}
			}
		}
	}
}
