// Ray declares a table for vectors that a cluster computes with embed.py beside this file, and searches what it found. The
// cluster needs nothing of this project: it reads and writes the same Lance tables.
//
//	pixano demo pixano-demo --no-serve
//	go run ./examples/ray prepare pixano-demo
//	python examples/ray/embed.py pixano-demo          # with lance-ray and pillow
//	go run ./examples/ray search pixano-demo
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"pixano/dataset"
	"pixano/schema"
	"pixano/search"
)

const table = "colour_embedding"

func main() {
	if len(os.Args) != 3 || os.Args[1] != "prepare" && os.Args[1] != "search" {
		log.Fatal("usage: ray prepare|search DIRECTORY-OF-THE-DEMO")
	}
	ctx := context.Background()
	ds, err := dataset.Open(ctx, filepath.Join(os.Args[2], "library", "films"), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer ds.Close()
	if os.Args[1] == "prepare" {
		err = prepare(ctx, ds)
	} else {
		err = find(ctx, ds)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// prepare makes the table: one vector of 48 values for each frame.
func prepare(ctx context.Context, ds *dataset.Dataset) error {
	class, err := schema.ClassOf(schema.ViewEmbedding{})
	if err != nil {
		return err
	}
	if class, err = class.WithDim(48); err != nil {
		return err
	}
	return ds.CreateTable(ctx, table, class, schema.ManyToOne)
}

// find checks what was written, and looks for frames like the first one.
func find(ctx context.Context, ds *dataset.Dataset) error {
	wrong, err := ds.CheckIntegrity(ctx, 10, table)
	if err != nil {
		return err
	}
	n, err := ds.Count(ctx, table, dataset.Query{})
	if err != nil {
		return err
	}
	fmt.Println(n, "vectors,", len(wrong), "of them wrong")
	result, err := search.New(ds, nil).Search(ctx, search.Query{Table: table, Like: "film_01", ByRow: true, Limit: 1})
	if err != nil {
		return err
	}
	fmt.Println("like the first frame of film_01:", result.Hits[0].ItemID)
	return nil
}
