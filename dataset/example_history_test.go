package dataset_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"pixano/dataset"
)

// exampleBoxes makes a copy of a dataset, with a snapshot, after which ana deleted a box.
func exampleBoxes(ctx context.Context) (ds *dataset.Dataset, done func(), err error) {
	dir, err := os.MkdirTemp("", "pixano-example-")
	if err != nil {
		return nil, nil, err
	}
	path := filepath.Join(dir, "boxes")
	err = os.CopyFS(path, os.DirFS("../testdata/golden/image_detection"))
	if err == nil {
		ds, err = dataset.Open(ctx, path, nil)
	}
	if err == nil {
		_, err = ds.Snapshot(ctx, "v1", dataset.SnapshotOptions{Author: "ana"})
	}
	if err == nil {
		_, err = ds.Apply(ctx, dataset.ChangeSet{Author: "ana", Changes: []dataset.Change{dataset.Delete("bboxes", "box_010_0")}})
	}
	return ds, func() {
		if err := errors.Join(ds.Close(), os.RemoveAll(dir)); err != nil {
			fmt.Println(err)
		}
	}, err
}

func ExampleDataset_History() {
	ctx := context.Background()
	ds, done, err := exampleBoxes(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer done()
	var last dataset.ChangeID
	for event, err := range ds.History(ctx, dataset.HistoryQuery{Table: "bboxes", Limit: 10}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, row := range event.Rows {
			fmt.Println(event.ID, event.Author, row.Outcome, row.ID)
		}
		last = event.ID
	}
	res, err := ds.Revert(ctx, last, dataset.By{Author: "bob"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(res.ID(), res.Rows[0].Outcome, res.Rows[0].ID)
	// Output:
	// 1 ana deleted box_010_0
	// 2 added box_010_0
}

func ExampleDataset_Diff() {
	ctx := context.Background()
	ds, done, err := exampleBoxes(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer done()
	diff, err := ds.Diff(ctx, "v1", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer diff.Close()
	for _, table := range diff.Tables {
		if table.Removed > 0 {
			fmt.Println(table.Table, table.Added, table.Changed, table.Removed)
		}
	}
	for row, err := range diff.Rows(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(row.Outcome, row.ID)
	}
	// Output:
	// bboxes 0 0 1
	// deleted box_010_0
}
