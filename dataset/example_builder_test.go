package dataset_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"pixano/dataset"
	"pixano/features"
	"pixano/schema"
)

// Road is an item of a dataset of roads.
type Road struct {
	schema.Item
	Image   schema.Image
	Objects []Vehicle
	BBoxes  []schema.BBox `pixano:"bboxes"`
}

// Vehicle is an object on a road.
type Vehicle struct {
	schema.Entity
	Category string
}

func ExampleBuild() {
	ctx := context.Background()
	library, err := os.MkdirTemp("", "library")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(library)

	roads := dataset.BuilderFunc(func(_ context.Context, b *dataset.BuildContext, yield func(dataset.Batch) error) error {
		truth, err := b.AddGroundTruthSource(nil)
		if err != nil {
			return err
		}
		for i := range 3 {
			item := features.Item(fmt.Sprintf("road-%d", i))
			view := features.View("image", b.NewID())
			var cars []Vehicle
			var boxes []schema.BBox
			for k := range i + 1 {
				car := Vehicle{Entity: schema.Entity{ID: b.NewID(), ItemRef: item, ViewRef: view}, Category: "car"}
				box := schema.NewBBox(b.NewID())
				box.ItemRef, box.ViewRef, box.EntityRef = item, view, features.Entity("objects", car.ID)
				box.SourceRef = features.Source(truth)
				box.Format, box.Coords = "xywh", []float64{float64(100 * k), 50, 80, 60}
				cars, boxes = append(cars, car), append(boxes, box)
			}
			err := yield(dataset.Batch{
				"item":    schema.NewItem(item.ID),
				"image":   schema.Image{View: schema.View{ID: view.ID, ItemRef: item}, URL: item.ID + ".jpg", Width: 640, Height: 480, Format: "JPEG"},
				"objects": cars,
				"bboxes":  boxes,
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	ds, err := dataset.Build(ctx, filepath.Join(library, "roads"), Road{}, dataset.Info{Name: "Roads"}, roads, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ds.Close()
	for _, table := range ds.Tables() {
		n, err := ds.Count(ctx, table.Name, dataset.Query{})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(table.Name, n)
	}
	// Output:
	// item 3
	// image 3
	// objects 6
	// bboxes 6
	// source 1
}
