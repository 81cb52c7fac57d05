package coco_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"pixano/dataset"
	"pixano/dataset/coco"
	"pixano/dataset/exchange"
)

// A dataset is written as COCO's tools read it. The report says what the format cannot hold.
func Example() {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	ds, err := dataset.Open(ctx, "../../testdata/golden/video_tracking", &dataset.Options{ReadOnly: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ds.Close()
	report, err := exchange.Export(ctx, ds, exchange.ExportOptions{Format: coco.Format, Out: filepath.Join(dir, "coco"), Strict: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Files)
	text, err := os.ReadFile(filepath.Join(dir, "coco", report.Files[0]))
	if err != nil {
		fmt.Println(err)
		return
	}
	var file struct {
		Images, Annotations []struct{}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(file.Images), "images with", len(file.Annotations), "annotations")
	for _, l := range report.Losses {
		if l.Table == "tracklets" {
			fmt.Println(l)
		}
	}
	// Output:
	// [test_pixano_export_0.json train_pixano_export_0.json]
	// 6 images with 16 annotations
	// tracklets (8): the format has no place for such rows
}
