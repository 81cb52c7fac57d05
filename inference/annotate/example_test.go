package annotate_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"pixano/dataset"
	"pixano/inference"
	"pixano/inference/annotate"
	"pixano/inference/toyclip"
	"pixano/search"
)

// Pictures get vectors of a model, which the table then names, and are found by texts.
func ExampleEmbedViews() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "images")
	if err := os.CopyFS(path, os.DirFS("../../testdata/golden/image_detection")); err != nil {
		fmt.Println(err)
		return
	}
	ds, err := dataset.Open(ctx, path, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ds.Close()
	model := toyclip.Embedder{}
	request := annotate.EmbedRequest{
		Model: annotate.Model{Provider: inference.ProviderOf(model), Name: toyclip.Name},
		Table: "colours", Views: "image",
	}
	for range 2 { // the second time nothing is left to do
		result, err := annotate.EmbedViews(ctx, ds, request)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(result.Embedded, "vectors")
	}
	found, err := search.New(ds, model).Semantic(ctx, "green", "colours", 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(found.Hits), "hit")
	// Output:
	// 24 vectors
	// 0 vectors
	// 1 hit
}
