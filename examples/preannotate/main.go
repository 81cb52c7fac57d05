// Preannotate lets a model draw masks in boxes that are there, over a whole dataset, and compares them with the truth. The
// model is the built-in GrabCut; any inference.Provider goes in its place.
//
//	pixano demo pixano-demo --no-serve
//	go run ./examples/preannotate pixano-demo
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"pixano/dataset"
	"pixano/features"
	"pixano/inference/annotate"
	"pixano/inference/grabcut"
	"pixano/schema"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: preannotate DIRECTORY-OF-THE-DEMO")
	}
	if err := run(context.Background(), os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, demo string) error {
	ds, err := dataset.Open(ctx, filepath.Join(demo, "library", "streets"), &dataset.Options{MediaDir: filepath.Join(demo, "media")})
	if err != nil {
		return err
	}
	defer ds.Close()

	// A table for what the model says, beside that of people.
	const table = "model_masks"
	if _, ok := ds.Schema().Class(table); !ok {
		if err := ds.CreateTable(ctx, table, schema.CompressedRLE{}, schema.ManyToOne); err != nil {
			return err
		}
	}

	// Boxes of cars of two items, without those of a model. The same job again does only what is left.
	people, err := ds.IDs(ctx, "bboxes", dataset.Query{ItemIDs: []string{"street_001", "street_002"}, Where: "confidence < 0"})
	if err != nil {
		return err
	}
	result, err := annotate.SegmentBoxes(ctx, ds, annotate.SegmentJob{
		Job:   annotate.Job{Model: annotate.Model{Provider: grabcut.New(), Name: grabcut.Model}, Author: "me"},
		Boxes: "bboxes", Query: dataset.Query{IDs: people}, Masks: table,
	})
	if err != nil {
		return err
	}
	for _, err := range result.Errors {
		fmt.Println(err)
	}

	masks, err := dataset.TableOf[schema.CompressedRLE](ds, table)
	if err != nil {
		return err
	}
	var truth []schema.CompressedRLE
	count, good := 0, 0
	for m, err := range masks.All(ctx) {
		if err != nil {
			return err
		}
		if err := ds.Get(ctx, "masks", &truth, dataset.Query{Where: "entity_ref.id = ?", Args: []any{m.EntityRef.ID}}); err != nil {
			return err
		}
		if len(truth) == 0 {
			continue
		}
		a, err := m.Mask()
		if err != nil {
			return err
		}
		b, err := truth[0].Mask()
		if err != nil {
			return err
		}
		iou, err := features.IoU(a, b, false)
		if err != nil {
			return err
		}
		if count++; iou > 0.5 {
			good++
		}
	}
	fmt.Println(count, "masks beside the truth,", good, "with IoU over 0.5")
	return nil
}
