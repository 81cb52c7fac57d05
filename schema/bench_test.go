package schema_test

import (
	"reflect"
	"testing"

	"pixano/features"
	"pixano/schema"
)

func benchBox() schema.BBox {
	b := schema.NewBBox("box_000001")
	b.ItemRef, b.ViewRef, b.EntityRef = features.Item("item_0001"), features.View("image", "img_0001"), features.Entity("objects", "obj_0001")
	b.SourceRef = features.Source("ground_truth")
	b.Coords, b.Format, b.IsNormalized = []float64{0.1, 0.2, 0.3, 0.4}, "xywh", true
	return b
}

func BenchmarkPlanOf(b *testing.B) {
	t := reflect.TypeFor[schema.BBox]()
	for b.Loop() {
		if _, err := schema.PlanOf(t); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNormalize(b *testing.B) {
	box := benchBox()
	b.ReportAllocs()
	for b.Loop() {
		if err := schema.Normalize(&box); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNormalizeDynamic(b *testing.B) {
	class, err := schema.ClassOf(schema.BBox{})
	if err != nil {
		b.Fatal(err)
	}
	d, err := schema.NewDynamic(class)
	if err != nil {
		b.Fatal(err)
	}
	for column, value := range map[string]any{"coords": []float64{0.1, 0.2, 0.3, 0.4}, "format": "xywh", "is_normalized": true} {
		if err := d.Set(column, value); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := schema.Normalize(d); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendRow(b *testing.B) {
	box := benchBox()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buf, err = schema.AppendRow(buf[:0], "bboxes", &box); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkUnmarshalRow(b *testing.B) {
	var box schema.BBox
	b.ReportAllocs()
	for b.Loop() {
		if _, err := schema.UnmarshalRow([]byte(boxJSON), &box); err != nil {
			b.Fatal(err)
		}
	}
}
