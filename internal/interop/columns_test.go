package interop_test

import (
	"path/filepath"
	"testing"

	"pixano/dataset"
	"pixano/features"
	"pixano/schema"
)

// TestPixanoUsesChangedColumns has Python Pixano read and change a dataset whose columns were added, renamed, dropped and
// converted here: of custom classes, of the items and of a built-in class.
func TestPixanoUsesChangedColumns(t *testing.T) {
	interpreter := python(t, "pixano")
	ctx := t.Context()
	dir := filepath.Join(t.TempDir(), "scenes")
	ds := must(dataset.Create(ctx, dir, Scene{}, dataset.Info{Name: "scenes"}, nil))(t)
	defer ds.Close()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var scenes []Scene
	for i := range 12 {
		scenes = append(scenes, makeScene(i))
	}
	check(ds.Add(ctx, "source", schema.Source{ID: "model", Name: "detector", Kind: "model", Metadata: `{}`}))
	check(ds.AddItems(ctx, scenes))
	one := func(name string) schema.FieldType { return schema.FieldType{Name: name} }
	list := func(name string) schema.FieldType { return schema.FieldType{Name: name, Collection: true} }
	check(ds.AddColumns(ctx, "objects",
		dataset.NewColumn{Name: "colour", Type: one("str"), Value: "rouge é"},
		dataset.NewColumn{Name: "axles", Type: one("int"), SQL: "doors + 2"},
		dataset.NewColumn{Name: "seen", Type: one("datetime")},
		dataset.NewColumn{Name: "checked", Type: one("bool"), Value: true},
		dataset.NewColumn{Name: "photo", Type: one("bytes"), Value: []byte("abc")},
		dataset.NewColumn{Name: "words", Type: list("str"), Value: []string{"a", "b"}},
	))
	check(ds.AddColumns(ctx, "objects", dataset.NewColumn{Name: "twin", Type: one("EntityRef"), Value: features.Entity("objects", "obj_00_0")}))
	check(ds.AddColumns(ctx, "bboxes", dataset.NewColumn{Name: "occluded", Type: one("bool")}, dataset.NewColumn{Name: "score", Type: one("float"), SQL: "confidence / 2"}))
	check(ds.AddColumns(ctx, "item", dataset.NewColumn{Name: "city", Type: one("str"), SQL: "concat('city of ', id)"}))
	check(ds.AddColumns(ctx, "image", dataset.NewColumn{Name: "blur", Type: list("float"), Value: []float64{0.5}}))
	check(ds.RenameColumn(ctx, "objects", "doors", "entrances"))
	check(ds.RenameColumn(ctx, "item", "note", "remark"))
	check(ds.DropColumns(ctx, "objects", "parked", "checked"))
	check(ds.RetypeColumn(ctx, "objects", "weight", one("str"), ""))
	check(ds.RetypeColumn(ctx, "item", "lanes", one("float"), ""))

	sameRows(t, "after the changes of columns", readHere(t, ds), runPixano(t, interpreter, "read", dir))
	there := runPixano(t, interpreter, "change", dir)
	here := readHere(t, ds)
	sameRows(t, "after Python's changes", here, there)
	changedBy(t, there, here)
	changeAll(t, ds) // and compacts
	check(ds.RenameColumn(ctx, "bboxes", "occluded", "hidden"))
	sameRows(t, "after all rows were written again", readHere(t, ds), runPixano(t, interpreter, "read", dir))
}
