// Textsearch finds objects by meaning with a real model of sentences, MiniLM, which runs in this process. It needs a build
// with cgo and what scripts/models fetches.
//
//	scripts/models onnxruntime all-minilm-l6-v2
//	pixano demo pixano-demo --no-serve
//	go run ./examples/textsearch pixano-demo
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"pixano/dataset"
	"pixano/inference"
	"pixano/inference/annotate"
	"pixano/inference/onnx"
	"pixano/search"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: textsearch DIRECTORY-OF-THE-DEMO")
	}
	if err := run(context.Background(), os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, demo string) error {
	ds, err := dataset.Open(ctx, filepath.Join(demo, "library", "captions"), nil)
	if err != nil {
		return err
	}
	defer ds.Close()

	models := onnx.New(nil) // looks into the user's cache, where scripts/models puts models
	defer models.Close()
	const name = "all-minilm-l6-v2"
	_, err = annotate.EmbedViews(ctx, ds, annotate.EmbedRequest{
		Model: annotate.Model{Provider: models, Name: name}, Table: "text_embedding", Views: "text"})
	if err != nil {
		return err
	}
	embedder, err := inference.NewEmbedder(ctx, models, name)
	if err != nil {
		return err
	}
	s := search.New(ds, embedder)
	for _, text := range []string{"automobiles in wet weather", "a signal at an intersection after dark"} {
		result, err := s.Search(ctx, search.Query{Table: "text_embedding", Text: text, Limit: 1})
		if err != nil {
			return err
		}
		var item struct{ Text string }
		for row, err := range ds.Rows(ctx, "text", dataset.Query{ItemIDs: []string{result.Hits[0].ItemID}}) {
			if err != nil {
				return err
			}
			item.Text = fmt.Sprint(row.Value("content"))
		}
		fmt.Printf("%s\n    %s: %s\n", text, result.Hits[0].ItemID, item.Text)
	}
	return nil
}
