// Imagesearch searches pictures by picture, by text, by example and under conditions, with the toy pair of models, which
// needs no weights.
//
//	pixano demo pixano-demo --no-serve
//	go run ./examples/imagesearch pixano-demo
package main

import (
	"context"
	"fmt"
	"image"
	_ "image/jpeg"
	"log"
	"os"
	"path/filepath"

	"pixano/dataset"
	"pixano/inference/toyclip"
	"pixano/search"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: imagesearch DIRECTORY-OF-THE-DEMO")
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

	file, err := os.Open(filepath.Join(demo, "media", "streets", "street_007.jpg"))
	if err != nil {
		return err
	}
	defer file.Close()
	picture, _, err := image.Decode(file)
	if err != nil {
		return err
	}

	s := search.New(ds, toyclip.Embedder{})
	const table = "image_embedding"
	queries := []struct {
		name string
		search.Query
	}{
		{"by picture", search.Query{Image: picture}},
		{"by text", search.Query{Text: "a red car"}},
		{"like a row", search.Query{Like: "vector_street_011"}},
		{"on the split val", search.Query{Text: "a red car", Filter: dataset.Query{Has: []dataset.Has{{Table: "item", Where: "split = 'val'"}}}}},
	}
	for _, q := range queries {
		q.Table, q.Limit = table, 3
		result, err := s.Search(ctx, q.Query)
		if err != nil {
			return err
		}
		fmt.Print(q.name, ":")
		for _, hit := range result.Hits {
			fmt.Print(" ", hit.ItemID)
		}
		fmt.Println()
	}
	how, err := s.Explain(ctx, search.Query{Table: table, Text: "a red car", Limit: 3})
	if err != nil {
		return err
	}
	fmt.Println(how.Steps[0])
	return nil
}
