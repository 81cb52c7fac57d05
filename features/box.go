package features

import (
	"math"
	"strings"
)

// The formats of the coordinates of boxes.
const (
	FormatXYXY   = "xyxy"   // left, top, right, bottom
	FormatXYWH   = "xywh"   // left, top, width, height: COCO's order
	FormatXYZXYZ = "xyzxyz" // two opposite corners in space
	FormatXYZWHD = "xyzwhd" // one corner in space, then width, height, depth
)

// boxFormats gives the number of dimensions of each format, and whether its second half is a corner or an extent.
var boxFormats = map[string]struct {
	dims   int
	corner bool
}{
	FormatXYXY:   {2, true},
	FormatXYWH:   {2, false},
	FormatXYZXYZ: {3, true},
	FormatXYZWHD: {3, false},
}

// ConvertBox returns the coordinates of a box in another format of as many dimensions: [FormatXYXY] and [FormatXYWH],
// [FormatXYZXYZ] and [FormatXYZWHD]. Pixels stay pixels and fractions stay fractions. The error matches [ErrInvalid] for
// formats that do not fit each other or the number of coordinates.
func ConvertBox(coords []float64, from, to string) ([]float64, error) {
	f, ok := boxFormats[from]
	if !ok {
		return nil, errFormat(from)
	}
	t, ok := boxFormats[to]
	if !ok {
		return nil, errFormat(to)
	}
	if f.dims != t.dims {
		return nil, invalid("box", "format", to, "want a format of %d dimensions as %s", f.dims, from)
	}
	if len(coords) != 2*f.dims {
		return nil, invalid("box", "coords", len(coords), "want %d values for %s", 2*f.dims, from)
	}
	out := append([]float64(nil), coords...)
	for i := range f.dims {
		switch {
		case f.corner && !t.corner:
			out[f.dims+i] -= out[i]
		case !f.corner && t.corner:
			out[f.dims+i] += out[i]
		}
	}
	return out, nil
}

func errFormat(format string) error {
	return invalid("box", "format", format, "want one of %s",
		strings.Join([]string{FormatXYXY, FormatXYWH, FormatXYZXYZ, FormatXYZWHD}, ", "))
}

// Normalize returns coordinates as fractions of a size: of the coordinates of boxes, of key points or of rings, every
// first is divided by the first number of size, every second by the second, and so on:
//
//	Normalize([]float64{10, 20, 30, 40}, 100, 200) // width, height: [0.1 0.1 0.3 0.2]
//
// The error matches [ErrInvalid] unless size is one or more positive numbers and coords a multiple of as many.
func Normalize(coords []float64, size ...float64) ([]float64, error) {
	if err := checkSize(coords, size); err != nil {
		return nil, err
	}
	out := make([]float64, len(coords))
	for i, c := range coords {
		out[i] = c / size[i%len(size)]
	}
	return out, nil
}

// Denormalize is the inverse of [Normalize] for pixels: it returns fractions times size, rounded to whole numbers, halves
// to the even one. [Scale] does not round.
func Denormalize(coords []float64, size ...float64) ([]float64, error) {
	out, err := Scale(coords, size...)
	for i := range out {
		out[i] = math.RoundToEven(out[i])
	}
	return out, err
}

// Scale returns coordinates times a size: every first times its first number, and so on. Errors are as in [Normalize].
func Scale(coords []float64, size ...float64) ([]float64, error) {
	if err := checkSize(coords, size); err != nil {
		return nil, err
	}
	out := make([]float64, len(coords))
	for i, c := range coords {
		out[i] = c * size[i%len(size)]
	}
	return out, nil
}

func checkSize(coords, size []float64) error {
	if len(size) == 0 {
		return invalid("size", "", nil, "want at least one number")
	}
	for _, s := range size {
		if !(s > 0) || math.IsInf(s, 1) {
			return invalid("size", "", s, "want numbers above 0")
		}
	}
	if len(coords)%len(size) != 0 {
		return invalid("coords", "", len(coords), "want a multiple of %d values", len(size))
	}
	return nil
}
