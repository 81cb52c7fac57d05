package dataset_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"pixano/dataset"
	"pixano/schema"
)

// copyOf opens a copy of a golden dataset.
func copyOf(ctx context.Context, name string) (ds *dataset.Dataset, done func(), err error) {
	dir, err := os.MkdirTemp("", "pixano-example-")
	if err != nil {
		return nil, nil, err
	}
	path := filepath.Join(dir, name)
	if err = os.CopyFS(path, os.DirFS(filepath.Join("../testdata/golden", name))); err == nil {
		ds, err = dataset.Open(ctx, path, nil)
	}
	return ds, func() {
		if err := errors.Join(ds.Close(), os.RemoveAll(dir)); err != nil {
			fmt.Println(err)
		}
	}, err
}

func ExampleDataset_SQL() {
	ctx := context.Background()
	ds, err := dataset.Open(ctx, "../testdata/golden/image_detection", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ds.Close()
	result, err := ds.SQL(ctx, "SELECT split, count(*) AS boxes FROM bboxes b JOIN item i ON b.item_ref.id = i.id WHERE confidence > ? GROUP BY split ORDER BY split", 0.5)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer result.Close()
	for row, err := range result.Rows(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(row.Value("split"), row.Value("boxes"))
	}
	// Output:
	// train 15
}

func ExampleDataset_Facet() {
	ctx := context.Background()
	ds, err := dataset.Open(ctx, "../testdata/golden/image_detection", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ds.Close()
	values, err := ds.Facet(ctx, "item", "category", dataset.Query{}, &dataset.FacetOptions{BySplit: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, v := range values.Values {
		fmt.Println(v.Value, v.Count, v.Splits)
	}
	histogram, err := ds.Facet(ctx, "bboxes", "confidence", dataset.Query{Where: "confidence >= 0"}, &dataset.FacetOptions{Bins: 2, Range: &[2]float64{0, 1}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, bin := range histogram.Bins {
		fmt.Println(bin.Start, bin.End, bin.Count)
	}
	// Output:
	// 4 map[train:4]
	// bird "x" 4 map[train:2 val:2]
	// cat 4 map[train:2 val:2]
	// dog 4 map[train:4]
	// l'orange 4 map[train:4]
	// été 4 map[train:2 val:2]
	// 0 0.5 9
	// 0.5 1 15
}

func ExampleDataset_AddColumns() {
	ctx := context.Background()
	ds, done, err := copyOf(ctx, "image_detection")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer done()
	err = ds.AddColumns(ctx, "objects",
		dataset.NewColumn{Name: "difficult", Type: schema.FieldType{Name: schema.TypeBool}},
		dataset.NewColumn{Name: "label", Type: schema.FieldType{Name: schema.TypeStr}, SQL: "upper(category) || ?", Args: []any{"!"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := ds.RenameColumn(ctx, "objects", "label", "loud"); err != nil {
		fmt.Println(err)
		return
	}
	for row, err := range ds.Rows(ctx, "objects", dataset.Query{Where: "category = 'cat'", Limit: 1}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(row.Value("category"), row.Value("loud"), row.Value("difficult"))
	}
	fmt.Println(ds.DropColumns(ctx, "objects", "loud", "difficult"))
	// Output:
	// cat CAT! false
	// <nil>
}

func ExampleDataset_Repair() {
	ctx := context.Background()
	ds, done, err := copyOf(ctx, "image_detection")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer done()
	lost := schema.NewBBox("lost")
	lost.ItemRef.Name, lost.ItemRef.ID = "item", "nobody"
	lost.Format, lost.Coords = "xywh", []float64{1, 2, 3, 4}
	unchecked := ds.WithChecks(dataset.Checks{Mode: dataset.CheckNone}) // as another program may write
	if err := unchecked.Add(ctx, "bboxes", lost); err != nil {
		fmt.Println(err)
		return
	}
	for finding, err := range ds.Inspect(ctx, nil) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if finding.ID == "lost" {
			fmt.Println(finding.Severity, finding)
		}
	}
	for step, err := range ds.Repair(ctx, nil) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if step.ID == "lost" {
			fmt.Println(step.Text)
		}
	}
	there, err := ds.Exist(ctx, "bboxes", "lost")
	fmt.Println(there["lost"], err)
	// Output:
	// error bboxes "lost": item_ref: no row "nobody" in table item
	// delete the row, whose item "nobody" is gone
	// false <nil>
}

func ExampleDataset_Snapshot() {
	ctx := context.Background()
	ds, done, err := copyOf(ctx, "image_detection")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer done()
	if _, err := ds.Snapshot(ctx, "v1", dataset.SnapshotOptions{Author: "ana", Message: "as delivered"}); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := ds.Delete(ctx, "bboxes", "box_010_0"); err != nil {
		fmt.Println(err)
		return
	}
	then, err := ds.At(ctx, "v1")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer then.Close()
	for _, d := range []*dataset.Dataset{then, ds} {
		there, err := d.Exist(ctx, "bboxes", "box_010_0")
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(there["box_010_0"])
	}
	res, err := ds.Restore(ctx, "v1", dataset.By{Author: "ana"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(res.Rows[0].Outcome, res.Rows[0].ID)
	// Output:
	// true
	// false
	// added box_010_0
}

func ExampleDataset_Apply() {
	ctx := context.Background()
	ds, done, err := copyOf(ctx, "image_detection")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer done()
	var boxes []schema.BBox
	if _, err := ds.ByID(ctx, "bboxes", &boxes, "box_010_0"); err != nil {
		fmt.Println(err)
		return
	}
	box := boxes[0]
	box.Confidence = 1
	set := dataset.ChangeSet{Author: "ana", Changes: []dataset.Change{
		dataset.Put("bboxes", box).If(box.UpdatedAt), // only if nobody changed it meanwhile
		dataset.Delete("bboxes", "box_011_0"),
	}}
	res, err := ds.Apply(ctx, set)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, row := range res.Rows {
		fmt.Println(row.Outcome, row.Table, row.ID)
	}
	_, err = ds.Apply(ctx, set)
	fmt.Println(errors.Is(err, dataset.ErrConflict))
	// Output:
	// updated bboxes box_010_0
	// deleted bboxes box_011_0
	// true
}
