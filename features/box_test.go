package features

import (
	"math"
	"slices"
	"testing"
)

func TestConvertBox(t *testing.T) {
	for _, test := range []struct {
		name     string
		coords   []float64
		from, to string
		want     []float64 // nil: refused
	}{
		{"corners to size", []float64{1, 2, 4, 8}, FormatXYXY, FormatXYWH, []float64{1, 2, 3, 6}},
		{"size to corners", []float64{1, 2, 3, 6}, FormatXYWH, FormatXYXY, []float64{1, 2, 4, 8}},
		{"same", []float64{1, 2, 3, 6}, FormatXYWH, FormatXYWH, []float64{1, 2, 3, 6}},
		{"fractions", []float64{.25, .5, .5, .75}, FormatXYXY, FormatXYWH, []float64{.25, .5, .25, .25}},
		{"corners in wrong order", []float64{4, 8, 1, 2}, FormatXYXY, FormatXYWH, []float64{4, 8, -3, -6}},
		{"corners to size in space", []float64{1, 2, 3, 5, 7, 9}, FormatXYZXYZ, FormatXYZWHD, []float64{1, 2, 3, 4, 5, 6}},
		{"size to corners in space", []float64{1, 2, 3, 4, 5, 6}, FormatXYZWHD, FormatXYZXYZ, []float64{1, 2, 3, 5, 7, 9}},
		{"unknown from", []float64{1, 2, 3, 4}, "cxcywh", FormatXYWH, nil},
		{"unknown to", []float64{1, 2, 3, 4}, FormatXYWH, "XYXY", nil},
		{"two into three dimensions", []float64{1, 2, 3, 4}, FormatXYWH, FormatXYZWHD, nil},
		{"too few", []float64{1, 2, 3}, FormatXYWH, FormatXYXY, nil},
		{"too many", []float64{1, 2, 3, 4, 5}, FormatXYWH, FormatXYXY, nil},
		{"none", nil, FormatXYWH, FormatXYXY, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := slices.Clone(test.coords)
			got, err := ConvertBox(test.coords, test.from, test.to)
			checkValid(t, err, test.want != nil)
			if !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
			if !slices.Equal(test.coords, before) {
				t.Errorf("the argument was changed to %v", test.coords)
			}
		})
	}
}

func TestNormalize(t *testing.T) {
	for _, test := range []struct {
		name                             string
		coords, size                     []float64
		normalized, scaled, denormalized []float64 // nil: refused
	}{
		{"box", []float64{10, 20, 30, 40}, []float64{100, 200},
			[]float64{.1, .1, .3, .2}, []float64{1000, 4000, 3000, 8000}, []float64{1000, 4000, 3000, 8000}},
		{"halves go to the even number", []float64{.5, 1.5, 2.5, 3.5}, []float64{1, 1},
			[]float64{.5, 1.5, 2.5, 3.5}, []float64{.5, 1.5, 2.5, 3.5}, []float64{0, 2, 2, 4}},
		{"fractions", []float64{.25, .3}, []float64{10, 10},
			[]float64{.025, .03}, []float64{2.5, 3}, []float64{2, 3}},
		{"space", []float64{1, 1, 1, 2, 2, 2}, []float64{2, 4, 8},
			[]float64{.5, .25, .125, 1, .5, .25}, []float64{2, 4, 8, 4, 8, 16}, []float64{2, 4, 8, 4, 8, 16}},
		{"nothing", []float64{}, []float64{2, 4}, []float64{}, []float64{}, []float64{}},
		{"half a point", []float64{1, 2, 3}, []float64{2, 4}, nil, nil, nil},
		{"no size", []float64{1, 2}, nil, nil, nil, nil},
		{"size of 0", []float64{1, 2}, []float64{0, 1}, nil, nil, nil},
		{"negative size", []float64{1, 2}, []float64{1, -1}, nil, nil, nil},
		{"endless size", []float64{1, 2}, []float64{1, math.Inf(1)}, nil, nil, nil},
		{"size that is no number", []float64{1, 2}, []float64{math.NaN(), 1}, nil, nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, f := range []struct {
				name string
				f    func([]float64, ...float64) ([]float64, error)
				want []float64
			}{{"Normalize", Normalize, test.normalized}, {"Scale", Scale, test.scaled}, {"Denormalize", Denormalize, test.denormalized}} {
				got, err := f.f(test.coords, test.size...)
				checkValid(t, err, f.want != nil)
				if !slices.Equal(got, f.want) {
					t.Errorf("%s: got %v, want %v", f.name, got, f.want)
				}
			}
		})
	}
}
