package onnx

import "fmt"

// tensor is an array in row-major order, of one of the element types.
type tensor struct {
	shape   []int64
	float32 []float32
	int64   []int64
	int32   []int32
	uint8   []uint8
}

func floats(values []float32, shape ...int64) tensor { return tensor{shape: shape, float32: values} }

// integers makes a tensor of whole numbers of the type that an input wants.
func integers(p port, values []int64, shape ...int64) (tensor, error) {
	switch p.kind {
	case int64Type:
		return tensor{shape: shape, int64: values}, nil
	case int32Type:
		narrow := make([]int32, len(values))
		for i, v := range values {
			narrow[i] = int32(v)
		}
		return tensor{shape: shape, int32: narrow}, nil
	case float32Type:
		f := make([]float32, len(values))
		for i, v := range values {
			f[i] = float32(v)
		}
		return tensor{shape: shape, float32: f}, nil
	}
	return tensor{}, fmt.Errorf("input %s has elements of the type %d of ONNX: want int64, int32 or float", p.name, p.kind)
}

// fits reports whether a shape has the dimensions wanted, where -1 is any.
func fits(shape []int64, want ...int64) bool {
	if len(shape) != len(want) {
		return false
	}
	for i, w := range want {
		if w >= 0 && shape[i] >= 0 && shape[i] != w {
			return false
		}
	}
	return true
}
