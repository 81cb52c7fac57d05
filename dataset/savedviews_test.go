package dataset_test

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"pixano/dataset"
)

// openCopy opens a copy of a golden dataset, which the test may change.
func openCopy(t *testing.T, name string) *dataset.Dataset {
	t.Helper()
	needEngine(t)
	ds, err := dataset.OpenTables(t.Context(), copyGolden(t, name), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ds.Close() })
	return ds
}

// TestSavedViews: a view replaces the one of its name.
func TestSavedViews(t *testing.T) {
	ds := openCopy(t, "image_detection")
	if got, err := ds.SavedViews(); err != nil || len(got) != 0 {
		t.Errorf("views of a dataset without any: %v, %v", got, err)
	}
	for _, v := range []dataset.SavedView{{Name: "night", Address: "where=a"}, {Name: " cars ", Address: "where=b"}, {Name: "night", Address: "where=c", Author: "ana"}} {
		if err := ds.SaveView(t.Context(), v); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"", " ", "two\nlines"} {
		if err := ds.SaveView(t.Context(), dataset.SavedView{Name: name}); !errors.Is(err, dataset.ErrSchema) {
			t.Errorf("name %q: %v", name, err)
		}
	}
	got, err := ds.SavedViews()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, v := range got {
		names = append(names, v.Name+" "+v.Address)
	}
	if want := []string{"cars where=b", "night where=c"}; !slices.Equal(names, want) {
		t.Errorf("views %q, want %q", names, want)
	}
	if err := ds.RemoveView(t.Context(), "cars"); err != nil {
		t.Error(err)
	}
	if err := ds.RemoveView(t.Context(), "cars"); !errors.Is(err, dataset.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	write(t, filepath.Join(ds.Path(), ".pixano", "views.json"), "[{")
	if err := ds.SaveView(t.Context(), got[0]); !errors.Is(err, dataset.ErrCorrupt) {
		t.Errorf("a broken file was written over: %v", err)
	}
}

// TestDeleteItemsBy: items that were deleted with all that belongs to them come back as they were.
func TestDeleteItemsBy(t *testing.T) {
	ds := openCopy(t, "image_detection")
	ids, err := ds.IDs(t.Context(), "item", dataset.Query{Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	count := func() (n []int64) {
		for _, table := range ds.Tables() {
			c, err := ds.Count(t.Context(), table.Name, dataset.Query{})
			if err != nil {
				t.Fatal(err)
			}
			n = append(n, c)
		}
		return n
	}
	before := count()
	res, err := ds.DeleteItemsBy(t.Context(), dataset.By{Author: "ana"}, ids...)
	if err != nil {
		t.Fatal(err)
	}
	if after := count(); slices.Equal(after, before) {
		t.Error("nothing was deleted")
	}
	if _, err := ds.Revert(t.Context(), dataset.ChangeID{Number: res.Number, Set: res.Set}, dataset.By{}); err != nil {
		t.Fatal(err)
	}
	if after := count(); !slices.Equal(after, before) {
		t.Errorf("rows by table %v, want %v", after, before)
	}
}
