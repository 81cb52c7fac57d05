// Package formats lists the exchange formats.
package formats

import (
	"fmt"
	"strings"

	"pixano/dataset/coco"
	"pixano/dataset/exchange"
	"pixano/dataset/folder"
	"pixano/dataset/jsonl"
	"pixano/dataset/voc"
	"pixano/dataset/yolo"
)

// All returns the formats, the default of imports first.
func All() []exchange.Format {
	return []exchange.Format{folder.Format, jsonl.JSON, jsonl.JSONL, coco.Format, yolo.Format, voc.Format}
}

// ByName returns a format by its name.
func ByName(name string) (exchange.Format, error) {
	var names []string
	for _, f := range All() {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	return exchange.Format{}, fmt.Errorf("format %q: want one of %s", name, strings.Join(names, ", "))
}
