package features

import (
	"bytes"
	"encoding/json"
)

// ParseSegmentation reads the JSON of a mask in any of COCO's forms: a list of polygons in pixels, which are drawn into
// a picture of the given size and united, or an object with "size" and "counts", which is the compressed text or the
// list of lengths. The object's size has to be the given one.
//
// The error matches [ErrInvalid], as those of [RLEFromPolygons] and [RLE.UnmarshalJSON].
func ParseSegmentation(height, width int, data []byte) (RLE, error) {
	switch data = bytes.TrimLeft(data, " \t\r\n"); {
	case len(data) > 0 && data[0] == '[':
		var polygons [][]float64
		if err := json.Unmarshal(data, &polygons); err != nil {
			return RLE{}, invalid("segmentation", "", nil, "want lists of numbers in a list of polygons: %v", err)
		}
		return RLEFromPolygons(height, width, polygons)
	case len(data) > 0 && data[0] == '{':
		var m RLE
		if err := m.UnmarshalJSON(data); err != nil {
			return RLE{}, err
		}
		if m.Height != height || m.Width != width {
			return RLE{}, invalid("segmentation", "size", nil, "want %d x %d pixels, have %d x %d", height, width, m.Height, m.Width)
		}
		return m, nil
	}
	return RLE{}, invalid("segmentation", "", nil, "want a list of polygons, or an object with size and counts")
}
