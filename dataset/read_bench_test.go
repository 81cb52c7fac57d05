package dataset

import (
	"fmt"
	"path/filepath"
	"reflect"
	"runtime"
	"testing"

	"pixano/features"
	"pixano/internal/lance"
	"pixano/internal/rowcodec"
	"pixano/schema"
)

// scene is the aggregate of the datasets that are generated here.
type scene struct {
	schema.Item
	Number  int64
	Tags    []string
	Image   schema.Image
	Objects []schema.NamedEntity
	BBoxes  []schema.BBox `pixano:"bboxes"`
}

// generated creates a dataset of n items with one image, five objects and five boxes each.
func generated(t testing.TB, n int) *Dataset {
	t.Helper()
	if _, err := Engine(); err != nil {
		if runtime.GOOS == "linux" && runtime.GOARCH == "amd64" {
			t.Fatal(err)
		}
		t.Skip("no storage engine on this platform: ", err)
	}
	ds, err := Create(t.Context(), filepath.Join(t.TempDir(), "scenes"), scene{}, Info{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ds.Close() })
	const per = 5
	type item struct {
		schema.Item
		Number int64
		Tags   []string
	}
	items := make([]item, n)
	images := make([]schema.Image, n)
	objects := make([]schema.NamedEntity, 0, per*n)
	boxes := make([]schema.BBox, 0, per*n)
	for i := range n {
		id := fmt.Sprintf("item-%08d", i)
		ref := features.Item(id)
		items[i] = item{Item: schema.NewItem(id), Number: int64(i * 7919 % 1000), Tags: []string{"a", "b"}}
		image := schema.Image{View: schema.View{ID: fmt.Sprintf("image-%08d", i), ItemRef: ref}, URL: id + ".jpg", Width: 640, Height: 480, Format: "JPEG"}
		images[i] = image
		for j := range per {
			o := schema.NamedEntity{Entity: schema.Entity{ID: fmt.Sprintf("object-%08d-%d", i, j), ItemRef: ref, ViewRef: features.View("image", image.ID)}, Name: "dog"}
			b := schema.NewBBox(fmt.Sprintf("bbox-%08d-%d", i, j))
			b.ItemRef, b.ViewRef, b.EntityRef, b.SourceRef = ref, o.ViewRef, features.Entity("objects", o.ID), features.Source("model")
			b.Coords, b.Format, b.IsNormalized = []float64{0.125, 0.25, 0.5, float64(i%100) / 200}, "xywh", true
			b.Confidence = float64(i*per+j) / float64(n*per)
			objects, boxes = append(objects, o), append(boxes, b)
		}
	}
	store(t, ds, "item", items)
	store(t, ds, "image", images)
	store(t, ds, "objects", objects)
	store(t, ds, "bboxes", boxes)
	return ds
}

// store appends rows to a table, past all checks. rows is a slice of structs, or of *schema.Dynamic.
func store(t testing.TB, ds *Dataset, table string, rows any) {
	t.Helper()
	ctx := t.Context()
	columns, err := ds.Columns(ctx, table)
	if err != nil {
		t.Fatal(err)
	}
	codec, err := rowcodec.For(reflect.TypeOf(rows).Elem())
	if dynamic, ok := rows.([]*schema.Dynamic); ok {
		codec, err = rowcodec.ForClass(dynamic[0].Class())
	}
	if err != nil {
		t.Fatal(err)
	}
	batch, err := codec.Encode(rows, columns)
	if err != nil {
		t.Fatal(err)
	}
	to, err := ds.openTable(ctx, "store", table)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if _, err := to.Append(ctx, lance.FromBatches(nil, batch), nil); err != nil {
		t.Fatal(err)
	}
}

const (
	benchItems = 20_000
	benchBoxes = 5 * benchItems
)

func reportRows(b *testing.B, n int) {
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkGet(b *testing.B) {
	ds := generated(b, benchItems)
	b.Run("boxes", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var boxes []schema.BBox
			if err := ds.Get(b.Context(), "bboxes", &boxes, Query{}); err != nil || len(boxes) != benchBoxes {
				b.Fatal(len(boxes), err)
			}
		}
		reportRows(b, benchBoxes)
	})
	b.Run("annotations", func(b *testing.B) { // fewer columns
		b.ReportAllocs()
		for b.Loop() {
			var rows []schema.Annotation
			if err := ds.Get(b.Context(), "bboxes", &rows, Query{}); err != nil || len(rows) != benchBoxes {
				b.Fatal(len(rows), err)
			}
		}
		reportRows(b, benchBoxes)
	})
	b.Run("dynamic", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var boxes []*schema.Dynamic
			if err := ds.Get(b.Context(), "bboxes", &boxes, Query{}); err != nil || len(boxes) != benchBoxes {
				b.Fatal(len(boxes), err)
			}
		}
		reportRows(b, benchBoxes)
	})
	b.Run("stream", func(b *testing.B) {
		boxes, err := TableOf[schema.BBox](ds, "bboxes")
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			n := 0
			for _, err := range boxes.All(b.Context()) {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
			if n != benchBoxes {
				b.Fatal(n)
			}
		}
		reportRows(b, benchBoxes)
	})
	page := func(name, table string, q Query) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				var rows []*schema.Dynamic
				if err := ds.Get(b.Context(), table, &rows, q); err != nil || len(rows) != 50 {
					b.Fatal(len(rows), err)
				}
			}
		})
	}
	page("page", "item", Query{Offset: 5000, Limit: 50})
	page("page sorted", "item", Query{OrderBy: "number desc", Offset: 5000, Limit: 50})
	page("page by number of rows", "item", Query{OrderBy: "#bboxes desc", Offset: 5000, Limit: 50})
	page("page where", "bboxes", Query{Where: "confidence > 0.5", Offset: 500, Limit: 50})
	ids := make([]string, 100)
	for i := range ids {
		ids[i] = fmt.Sprintf("bbox-%08d-%d", (i*7919)%benchItems, i%5)
	}
	b.Run("by id", func(b *testing.B) {
		for b.Loop() {
			var boxes []schema.BBox
			if missing, err := ds.ByID(b.Context(), "bboxes", &boxes, ids...); err != nil || missing != nil {
				b.Fatal(missing, err)
			}
		}
	})
}

func BenchmarkItems(b *testing.B) {
	ds := generated(b, benchItems)
	scattered := make([]string, 50)
	for i := range scattered {
		scattered[i] = fmt.Sprintf("item-%08d", (i*7919)%benchItems)
	}
	for name, q := range map[string]Query{
		"page of 50":      {Offset: 5000, Limit: 50},
		"50 scattered":    {IDs: scattered},
		"all":             {},
		"one":             {IDs: scattered[:1]},
		"page, row count": {OrderBy: "#bboxes", Limit: 50},
	} {
		b.Run(name, func(b *testing.B) {
			n := 0
			for b.Loop() {
				var scenes []scene
				if err := ds.Items(b.Context(), &scenes, q); err != nil {
					b.Fatal(err)
				}
				n = len(scenes)
			}
			reportRows(b, n)
		})
	}
	b.Run("dynamic", func(b *testing.B) {
		for b.Loop() {
			var items []Item
			if err := ds.Items(b.Context(), &items, Query{Offset: 5000, Limit: 50}); err != nil || len(items) != 50 {
				b.Fatal(len(items), err)
			}
		}
		reportRows(b, 50)
	})
}
