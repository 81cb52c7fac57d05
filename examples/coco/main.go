// Coco writes a dataset as COCO's tools read it, and reads it again.
//
//	pixano demo pixano-demo --no-serve
//	go run ./examples/coco pixano-demo
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"pixano/dataset"
	"pixano/dataset/coco"
	"pixano/dataset/exchange"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: coco DIRECTORY-OF-THE-DEMO")
	}
	dir, err := os.MkdirTemp("", "coco-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = run(context.Background(), os.Args[1], dir)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, demo, dir string) error {
	ds, err := dataset.Open(ctx, filepath.Join(demo, "library", "streets"), &dataset.Options{ReadOnly: true, MediaDir: filepath.Join(demo, "media")})
	if err != nil {
		return err
	}
	defer ds.Close()

	// Out. The report tells what the format cannot hold; PlanExport tells it before.
	out := filepath.Join(dir, "out")
	report, err := exchange.Export(ctx, ds, exchange.ExportOptions{
		Format: coco.Format, Out: out, Strict: true, Name: "streets", Splits: []string{"val"}, Where: "weather = 'clear'"})
	if err != nil {
		return err
	}
	fmt.Println("out:", report.Items, "items,", report.Tables["bboxes"], "boxes,", report.Files)
	for _, loss := range report.Losses {
		if loss.Table == "image_embedding" {
			fmt.Println("lost:", loss)
		}
	}

	// In, media where they are.
	library, media := filepath.Join(dir, "library"), filepath.Join(dir, "media")
	for _, d := range []string{library, media} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	report, err = exchange.Import(ctx, exchange.ImportOptions{
		Format: coco.Format, Source: filepath.Join(out, report.Files[0]), Images: filepath.Join(demo, "media"),
		Dataset: filepath.Join(library, "streets"), MediaDir: media, Info: dataset.Info{Name: "Streets from COCO"}})
	if err != nil {
		return err
	}
	fmt.Println("in:", report.Items, "items,", report.Tables["bboxes"], "boxes,", report.Media.Files, "pictures copied")
	for _, w := range report.Warnings {
		fmt.Println(w)
	}
	return nil
}
