package search_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"pixano/dataset"
	"pixano/inference/toyclip"
	"pixano/search"
)

func ExampleSearcher_Explain() {
	ctx := context.Background()
	ds, err := dataset.Open(ctx, "../testdata/golden/image_detection", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ds.Close()
	how, err := search.New(ds, nil).Explain(ctx, search.Query{
		Table:  "image_embedding",
		Like:   "emb_003_1",
		Filter: dataset.Query{Has: []dataset.Has{{Table: "objects", Where: "category = ?", Args: []any{"cat"}}}},
		Limit:  5,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, step := range how.Steps {
		fmt.Println(step)
	}
	// Output:
	// vectors: l2 of 36 rows, exact: every vector is compared
	//   before: rows where `item_ref`.`id` IN ('item_006', 'item_011', 'item_018', 'item_023')
	// one hit an item, at its best row
}

// A dataset is opted in to an index, which waits until its table is large enough to need one.
func ExampleSearcher_CreateIndex() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "pixano-example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "images")
	if err := os.CopyFS(path, os.DirFS("../testdata/golden/image_detection")); err != nil {
		fmt.Println(err)
		return
	}
	ds, err := dataset.Open(ctx, path, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ds.Close()
	s := search.New(ds, toyclip.Embedder{})
	if _, err := s.CreateIndex(ctx, dataset.Index{Table: "image_embedding"}, nil); err != nil {
		fmt.Println(err)
		return
	}
	words, err := s.CreateIndex(ctx, dataset.Index{Table: "objects", Column: "category"}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(words.Name, words.Type, words.Indexed, "rows")
	indexes, err := s.Indexes(ctx, "image_embedding")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(indexes[0].Name, indexes[0].Indexed, "rows")
	// Output:
	// category_idx FTS 36 rows
	// vector_idx 0 rows
}
