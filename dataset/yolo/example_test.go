package yolo_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"pixano/dataset"
	"pixano/dataset/exchange"
	"pixano/dataset/yolo"
)

func Example() {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	ds, err := dataset.Open(ctx, "../../testdata/golden/image_detection", &dataset.Options{ReadOnly: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ds.Close()
	report, err := exchange.Export(ctx, ds, exchange.ExportOptions{Format: yolo.Format, Out: filepath.Join(dir, "out"), Params: map[string]string{"task": "detect"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Items, "items,", report.Tables["bboxes"], "boxes")
	for _, file := range report.Files[:2] {
		fmt.Println(file)
	}
	// Output:
	// 24 items, 36 boxes
	// data.yaml
	// labels/train/im_001.txt
}
