package features

import "fmt"

// NDArrayFloat is an array of numbers of any number of dimensions, such as a pose or a matrix.
//
// Values holds the numbers in row-major order, the last dimension varying fastest. Shape holds the length of each
// dimension. The reference implementation means the values as float32 and stores them as float64.
//
// Stored as struct<values: list<double>, shape: list<int64>>.
type NDArrayFloat struct {
	Values []float64 `json:"values" pixano:"values"`
	Shape  []int64   `json:"shape" pixano:"shape"`
}

// Validate checks that Shape has at least one dimension, each of length 1 or more. The number of Values is not
// checked against it, since stored rows may disagree.
func (a NDArrayFloat) Validate() error {
	if len(a.Shape) == 0 {
		return invalid("NDArrayFloat", "shape", nil, "want at least one dimension")
	}
	for i, n := range a.Shape {
		if n < 1 {
			return invalid("NDArrayFloat", fmt.Sprintf("shape[%d]", i), n, "want at least 1")
		}
	}
	return nil
}
