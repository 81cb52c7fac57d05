// Changesets changes several tables as a whole, and shows what happens when two people change the same row.
//
//	go run ./examples/changesets
package main

import (
	"context"
	"errors"
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
	Objects []schema.Entity
	BBoxes  []schema.BBox `pixano:"bboxes"`
}

func main() {
	dir, err := os.MkdirTemp("", "changesets-")
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

	// Rows of one set may refer to each other. The key makes it safe to send again.
	item := features.Item("photo")
	object := schema.Entity{ID: "object", ItemRef: item}
	box := schema.NewBBox("box")
	box.ItemRef, box.EntityRef, box.Format, box.Coords = item, features.Entity("objects", "object"), "xywh", []float64{1, 2, 3, 4}
	set := dataset.ChangeSet{Author: "ana", Key: "5b0a7f0e-2f5d-4f8e-9a50-0d3f6c1a7b11", Changes: []dataset.Change{
		dataset.Insert("item", schema.NewItem("photo")), dataset.Insert("objects", object), dataset.Insert("bboxes", box)}}
	for range 2 {
		res, err := ds.Apply(ctx, set)
		if err != nil {
			return err
		}
		fmt.Println("change", res.ID(), "of", len(res.Rows), "rows, replayed:", res.Replayed)
	}

	// A set with a reference that leads nowhere is refused whole.
	lost := schema.NewBBox("lost")
	lost.ItemRef, lost.EntityRef, lost.Format, lost.Coords = item, features.Entity("objects", "nobody"), "xywh", []float64{1, 2, 3, 4}
	_, err = ds.Apply(ctx, dataset.ChangeSet{Author: "ana", Changes: []dataset.Change{dataset.Delete("objects", "object"), dataset.Put("bboxes", lost)}})
	fmt.Println(errors.Is(err, dataset.ErrIntegrity), err)

	// Ana and Bob read the same box. If says: only if it is as I read it.
	read := func() (schema.BBox, error) {
		var boxes []schema.BBox
		_, err := ds.ByID(ctx, "bboxes", &boxes, "box")
		if err != nil {
			return schema.BBox{}, err
		}
		return boxes[0], nil
	}
	save := func(author string, b schema.BBox) error {
		_, err := ds.Apply(ctx, dataset.ChangeSet{Author: author, Changes: []dataset.Change{dataset.Put("bboxes", b).If(b.UpdatedAt)}})
		return err
	}
	ana, err := read()
	if err != nil {
		return err
	}
	bob := ana
	ana.Coords = []float64{10, 10, 50, 50}
	if err := save("ana", ana); err != nil {
		return err
	}
	bob.Coords = []float64{0, 0, 5, 5}
	conflict, ok := errors.AsType[*dataset.ConflictError](save("bob", bob))
	if !ok {
		return errors.New("bob has overwritten what ana drew")
	}
	fmt.Println("bob:", conflict.Conflicts[0].Table, conflict.Conflicts[0].ID, "was changed meanwhile")

	// Bob looks at it again and decides.
	if bob, err = read(); err != nil {
		return err
	}
	bob.Coords[2] = 60
	if err := save("bob", bob); err != nil {
		return err
	}
	if bob, err = read(); err != nil {
		return err
	}
	fmt.Println(bob.Coords)
	return nil
}
