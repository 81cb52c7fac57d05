package folder_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"pixano/dataset/exchange"
	"pixano/dataset/folder"
)

func Example() {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	for _, d := range []string{"photos/train", "data/library", "data/media"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			panic(err)
		}
	}
	files := map[string]string{
		"a.ppm":          "P3 40 30 255", // the head of an image is all that is read
		"metadata.jsonl": `{"image": "a.ppm", "weather": "fog", "objects": {"category": ["car", "dog"], "bboxes": [[0.1, 0.2, 0.3, 0.4], [4, 3, 10, 12]]}}`,
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, "photos/train", name), []byte(content), 0o644); err != nil {
			panic(err)
		}
	}
	report, err := exchange.Import(context.Background(), exchange.ImportOptions{
		Format:   folder.Format,
		Source:   filepath.Join(dir, "photos"),
		Dataset:  filepath.Join(dir, "data/library/photos"),
		MediaDir: filepath.Join(dir, "data/media"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Items, "item of", report.Splits, "with", report.Categories)
	// Output: 1 item of map[train:1] with map[car:1 dog:1]
}
