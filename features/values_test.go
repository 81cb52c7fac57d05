package features

import (
	"encoding/json"
	"math"
	"testing"
)

func TestNDArrayFloatValidate(t *testing.T) {
	for _, test := range []struct {
		name  string
		array NDArrayFloat
		valid bool
	}{
		{"vector", NDArrayFloat{[]float64{1, 2, 3}, []int64{3}}, true},
		{"matrix", NDArrayFloat{[]float64{1, 2, 3, 4}, []int64{2, 2}}, true},
		{"number of values is not checked", NDArrayFloat{nil, []int64{2, 2}}, true},
		{"no shape", NDArrayFloat{[]float64{1}, nil}, false},
		{"dimension of 0", NDArrayFloat{nil, []int64{2, 0}}, false},
		{"negative dimension", NDArrayFloat{nil, []int64{-1}}, false},
	} {
		t.Run(test.name, func(t *testing.T) { checkValid(t, test.array.Validate(), test.valid) })
	}
}

func TestCameraValidate(t *testing.T) {
	base := BaseIntrinsics{CxOffsetPx: 20.5, ImgHeightPx: 4, ImgWidthPx: 5}
	lens := Intrinsics{C1: 20.5, C3: 1, C4: 2, PixelAspectRatio: 1}
	pose := Extrinsics{PosXM: 20.5, PosZM: 1, RotXDeg: 2, RotZ1Deg: 3, RotZ2Deg: 4}
	type validator interface{ Validate() error }
	with := func(change func(*BaseIntrinsics, *Intrinsics, *Extrinsics)) [3]validator {
		b, l, p := base, lens, pose
		change(&b, &l, &p)
		return [3]validator{b, l, p}
	}
	for _, test := range []struct {
		name    string
		invalid string // column
		change  func(b *BaseIntrinsics, l *Intrinsics, p *Extrinsics)
	}{
		{"as given", "", func(*BaseIntrinsics, *Intrinsics, *Extrinsics) {}},
		{"zero", "", func(b *BaseIntrinsics, l *Intrinsics, p *Extrinsics) {
			*b, *l, *p = BaseIntrinsics{}, Intrinsics{}, Extrinsics{}
		}},
		{"any aspect ratio", "", func(_ *BaseIntrinsics, l *Intrinsics, _ *Extrinsics) { l.PixelAspectRatio = -5 }},
		{"cx", "cx_offset_px", func(b *BaseIntrinsics, _ *Intrinsics, _ *Extrinsics) { b.CxOffsetPx = -5 }},
		{"cy", "cy_offset_px", func(b *BaseIntrinsics, _ *Intrinsics, _ *Extrinsics) { b.CyOffsetPx = -5 }},
		{"height", "img_height_px", func(b *BaseIntrinsics, _ *Intrinsics, _ *Extrinsics) { b.ImgHeightPx = -1 }},
		{"width", "img_width_px", func(b *BaseIntrinsics, _ *Intrinsics, _ *Extrinsics) { b.ImgWidthPx = -1 }},
		{"c1", "c1", func(_ *BaseIntrinsics, l *Intrinsics, _ *Extrinsics) { l.C1 = -5 }},
		{"c2", "c2", func(_ *BaseIntrinsics, l *Intrinsics, _ *Extrinsics) { l.C2 = -5 }},
		{"c3", "c3", func(_ *BaseIntrinsics, l *Intrinsics, _ *Extrinsics) { l.C3 = -5 }},
		{"c4", "c4", func(_ *BaseIntrinsics, l *Intrinsics, _ *Extrinsics) { l.C4 = math.NaN() }},
		{"x", "pos_x_m", func(_ *BaseIntrinsics, _ *Intrinsics, p *Extrinsics) { p.PosXM = -5 }},
		{"y", "pos_y_m", func(_ *BaseIntrinsics, _ *Intrinsics, p *Extrinsics) { p.PosYM = -5 }},
		{"z", "pos_z_m", func(_ *BaseIntrinsics, _ *Intrinsics, p *Extrinsics) { p.PosZM = -5 }},
		{"about x", "rot_x_deg", func(_ *BaseIntrinsics, _ *Intrinsics, p *Extrinsics) { p.RotXDeg = -5 }},
		{"about z", "rot_z1_deg", func(_ *BaseIntrinsics, _ *Intrinsics, p *Extrinsics) { p.RotZ1Deg = -5 }},
		{"about z again", "rot_z2_deg", func(_ *BaseIntrinsics, _ *Intrinsics, p *Extrinsics) { p.RotZ2Deg = -5 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			for _, v := range with(test.change) {
				err := v.Validate()
				checkValid(t, err, err == nil)
				if err != nil {
					got += err.(*Error).Field
				}
			}
			if got != test.invalid {
				t.Errorf("refused %q, want %q", got, test.invalid)
			}
		})
	}
}

// The columns are those of the stored format, in its order.
func TestColumns(t *testing.T) {
	for _, test := range []struct {
		value any
		want  string
	}{
		{NDArrayFloat{[]float64{1.5}, []int64{1}}, `{"values":[1.5],"shape":[1]}`},
		{BaseIntrinsics{1, 2, 3, 4}, `{"cx_offset_px":1,"cy_offset_px":2,"img_height_px":3,"img_width_px":4}`},
		{Intrinsics{1, 2, 3, 4, 5}, `{"c1":1,"c2":2,"c3":3,"c4":4,"pixel_aspect_ratio":5}`},
		{Extrinsics{1, 2, 3, 4, 5, 6}, `{"pos_x_m":1,"pos_y_m":2,"pos_z_m":3,"rot_x_deg":4,"rot_z1_deg":5,"rot_z2_deg":6}`},
	} {
		got, err := json.Marshal(test.value)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != test.want {
			t.Errorf("%T: got %s, want %s", test.value, got, test.want)
		}
	}
}

func TestError(t *testing.T) {
	long := make([]byte, 1000)
	for _, test := range []struct {
		err  error
		want string
	}{
		{Extrinsics{PosXM: -5}.Validate(), `Extrinsics.pos_x_m: want at least 0, have -5`},
		{ItemRef{"image", "i"}.Validate(), `ItemRef.name: want "item", have "image"`},
		{NDArrayFloat{Shape: []int64{1, 0}}.Validate(), `NDArrayFloat.shape[1]: want at least 1, have 0`},
		{&Error{Type: "polygon", Field: "[2]", Rule: "want at least 3 points", Value: 2}, `polygon[2]: want at least 3 points, have 2`},
		{&Error{Type: "mask", Rule: "want a mask"}, `mask: want a mask`},
	} {
		if got := test.err.Error(); got != test.want {
			t.Errorf("got %s\nwant %s", got, test.want)
		}
	}
	if got := len((&Error{Value: string(long)}).Error()); got > 300 {
		t.Errorf("a long value makes an error of %d bytes", got)
	}
}
