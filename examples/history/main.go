// History shows who changed what, undoes it, and goes back to a snapshot.
//
//	go run ./examples/history
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"pixano/dataset"
	"pixano/features"
	"pixano/schema"
)

// Photo is one item.
type Photo struct {
	schema.Item
	BBoxes []schema.BBox `pixano:"bboxes"`
}

func main() {
	dir, err := os.MkdirTemp("", "history-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = run(context.Background(), filepath.Join(dir, "photos"))
	}
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, path string) error {
	ds, err := dataset.Create(ctx, path, Photo{}, dataset.Info{}, nil)
	if err != nil {
		return err
	}
	defer ds.Close()
	photo := Photo{Item: schema.NewItem("photo")}
	for _, id := range []string{"a", "b", "c"} {
		box := schema.NewBBox(id)
		box.ItemRef, box.Format, box.Coords = features.Item("photo"), "xywh", []float64{1, 2, 3, 4}
		photo.BBoxes = append(photo.BBoxes, box)
	}
	if err := ds.AddItems(ctx, photo); err != nil {
		return err
	}

	// A name for the state that is now.
	if _, err := ds.Snapshot(ctx, "v1", dataset.SnapshotOptions{Author: "ana", Message: "as it came from the camera"}); err != nil {
		return err
	}

	// Two people work.
	moved := photo.BBoxes[0]
	moved.Coords = []float64{10, 20, 30, 40}
	first, err := ds.Apply(ctx, dataset.ChangeSet{Author: "ana", Changes: []dataset.Change{dataset.Put("bboxes", moved), dataset.Delete("bboxes", "b")}})
	if err != nil {
		return err
	}
	sure := photo.BBoxes[2]
	sure.Confidence = 0.5
	if _, err = ds.Apply(ctx, dataset.ChangeSet{Author: "bob", Changes: []dataset.Change{dataset.Put("bboxes", sure)}}); err != nil {
		return err
	}

	// Who did what, newest first.
	for event, err := range ds.History(ctx, dataset.HistoryQuery{Table: "bboxes"}) {
		if err != nil {
			return err
		}
		for _, row := range event.Rows {
			fmt.Println(event.ID, event.Author, row.Outcome, row.ID, row.Fields())
		}
	}

	// The state at the snapshot, beside that of now.
	then, err := ds.At(ctx, "v1")
	if err != nil {
		return err
	}
	defer then.Close()
	for _, d := range []*dataset.Dataset{then, ds} {
		n, err := d.Count(ctx, "bboxes", dataset.Query{})
		if err != nil {
			return err
		}
		fmt.Println(n, "boxes")
	}
	diff, err := ds.Diff(ctx, "v1", "")
	if err != nil {
		return err
	}
	defer diff.Close()
	for _, t := range diff.Tables {
		if t.Table == "bboxes" {
			fmt.Println("since v1:", t.Added, "added,", t.Changed, "changed,", t.Removed, "removed")
		}
	}

	// Undo what ana did; what bob did later stays.
	if _, err := ds.Revert(ctx, first.ID(), dataset.By{Author: "bob"}); err != nil {
		return err
	}
	// And all of it.
	if _, err := ds.Restore(ctx, "v1", dataset.By{Author: "ana"}); err != nil {
		return err
	}
	boxes, err := dataset.TableOf[schema.BBox](ds, "bboxes")
	if err != nil {
		return err
	}
	for b, err := range boxes.OrderBy("id").All(ctx) {
		if err != nil {
			return err
		}
		fmt.Println(b.ID, b.Coords, b.Confidence)
	}
	return nil
}
