// Sql asks for statistics of a dataset in SQL, and by facets.
//
//	pixano demo pixano-demo --no-serve
//	go run ./examples/sql pixano-demo
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"pixano/dataset"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: sql DIRECTORY-OF-THE-DEMO")
	}
	if err := run(context.Background(), os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, demo string) error {
	ds, err := dataset.Open(ctx, filepath.Join(demo, "library", "streets"), &dataset.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer ds.Close()

	// Any SELECT over all tables. Question marks are values.
	// Fields of references that join tables get names of their own first: the engine's optimizer loses columns of three
	// tables joined by them otherwise.
	result, err := ds.SQL(ctx, `
		WITH b AS (SELECT entity_ref.id AS entity, item_ref.id AS item, confidence FROM bboxes)
		SELECT o.category, i.split, count(*) AS boxes, round(avg(b.confidence), 3) AS confidence
		FROM b JOIN objects o ON b.entity = o.id JOIN item i ON b.item = i.id
		WHERE i.weather = ? AND b.confidence >= 0
		GROUP BY o.category, i.split
		ORDER BY boxes DESC, o.category, i.split
		LIMIT 4`, "clear")
	if err != nil {
		return err
	}
	defer result.Close()
	for row, err := range result.Rows(ctx) {
		if err != nil {
			return err
		}
		fmt.Println(row.Value("category"), row.Value("split"), row.Value("boxes"), row.Value("confidence"))
	}

	// How often each value occurs, under any filter and by split: what an explorer shows beside its list.
	facet, err := ds.Facet(ctx, "objects", "category", dataset.Query{}, nil)
	if err != nil {
		return err
	}
	for _, v := range facet.Values[:3] {
		fmt.Println(v.Value, v.Count)
	}
	return nil
}
