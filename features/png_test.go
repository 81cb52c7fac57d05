package features

import (
	"bytes"
	"image"
	"image/png"
	"testing"
)

func TestMaskPNG(t *testing.T) {
	mask, err := RLEFromBitmap(2, 3, []byte{0, 1, 1, 0, 0, 1})
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(mask.PNG()))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := img.Bounds().Size(), image.Pt(3, 2); got != want {
		t.Errorf("got size %v, want %v", got, want)
	}
	for y, row := range []string{" ##", "  #"} {
		for x, c := range row {
			if r, _, _, _ := img.At(x, y).RGBA(); (r == 0xffff) != (c == '#') {
				t.Errorf("pixel %d, %d: got %#x", x, y, r)
			}
		}
	}
	for name, none := range map[string]RLE{
		"empty": {}, "broken": {Height: 2, Width: 3, Counts: []uint32{7}}, "no width": {Height: 3, Counts: []uint32{0}},
		"huge": {Height: 1 << 15, Width: 1 << 14, Counts: []uint32{1 << 29}},
	} {
		if got := none.PNG(); got != nil {
			t.Errorf("%s: got %d bytes, want none", name, len(got))
		}
	}
}
