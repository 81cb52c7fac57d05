package imaging_test

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/png"
	"testing"

	"golang.org/x/image/tiff"

	"pixano/internal/imaging"
)

func deepGrey(width, height int) *image.Gray16 {
	img := image.NewGray16(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			img.SetGray16(x, y, color.Gray16{Y: uint16(1000*y + 7*x)})
		}
	}
	return img
}

func deepColour(width, height int) *image.NRGBA64 {
	img := image.NewNRGBA64(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			img.SetNRGBA64(x, y, color.NRGBA64{R: uint16(x + 1), G: uint16(300 * (y + 1)), B: 65535, A: 65535})
		}
	}
	return img
}

func encoded(t testing.TB, img image.Image, format string) []byte {
	t.Helper()
	var b bytes.Buffer
	encode := func() error { return png.Encode(&b, img) }
	if format == "tiff" {
		encode = func() error { return tiff.Encode(&b, img, &tiff.Options{Compression: tiff.Deflate, Predictor: true}) }
	}
	if err := encode(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestDecodeSamples(t *testing.T) {
	for _, format := range []string{"png", "tiff"} {
		grey, err := imaging.DecodeSamples(bytes.NewReader(encoded(t, deepGrey(5, 4), format)), imaging.MaxSamples)
		if err != nil {
			t.Fatal(format, err)
		}
		if grey.Channels != 1 || grey.Width != 5 || grey.Height != 4 || grey.Values[0] != 0 || grey.Values[3*5+4] != 3028 {
			t.Errorf("%s, greys: %+v", format, grey)
		}
		colour, err := imaging.DecodeSamples(bytes.NewReader(encoded(t, deepColour(3, 2), format)), imaging.MaxSamples)
		if err != nil {
			t.Fatal(format, err)
		}
		if colour.Channels != 3 || len(colour.Values) != 18 || [3]uint16(colour.Values[15:]) != [3]uint16{3, 600, 65535} {
			t.Errorf("%s, colours: %+v", format, colour)
		}
	}
	// A mean of squares of 2 by 2 pixels, the last column and row of an odd size left out.
	small, err := imaging.DecodeSamples(bytes.NewReader(encoded(t, deepGrey(5, 5), "png")), 6)
	if err != nil {
		t.Fatal(err)
	}
	if small.Width != 2 || small.Height != 2 || small.FullWidth != 5 || small.FullHeight != 5 || small.Values[0] != 504 || small.Values[3] != 2518 {
		t.Errorf("made smaller: %+v", small)
	}
	line, err := imaging.DecodeSamples(bytes.NewReader(encoded(t, deepGrey(9, 1), "png")), 3)
	if err != nil || line.Width != 3 || line.Height != 1 || line.Values[0] != 7 {
		t.Errorf("a line made smaller: %+v, %v", line, err)
	}
	for _, img := range []image.Image{image.NewGray(image.Rect(0, 0, 2, 2)), image.NewNRGBA(image.Rect(0, 0, 2, 2))} {
		if got, err := imaging.DecodeSamples(bytes.NewReader(encoded(t, img, "png")), 10); got != nil || err != nil {
			t.Errorf("%T: %+v, %v", img, got, err)
		}
	}
	wire := small.Append(nil)
	if string(wire[:4]) != "px16" || len(wire) != 24+8 || binary.LittleEndian.Uint32(wire[8:]) != 2 || binary.LittleEndian.Uint16(wire[24:]) != 504 {
		t.Errorf("sent as % x", wire)
	}
}

// TestReduceStretches makes small pictures of dark ones of 16 bits: their values fill the range.
func TestReduceStretches(t *testing.T) {
	colour := image.NewNRGBA64(image.Rect(0, 0, 2, 1))
	colour.SetNRGBA64(0, 0, color.NRGBA64{R: 100, G: 100, B: 100, A: 65535})
	colour.SetNRGBA64(1, 0, color.NRGBA64{R: 4000, G: 4000, B: 4000, A: 65535})
	grey := image.NewGray16(colour.Rect)
	grey.SetGray16(0, 0, color.Gray16{Y: 100})
	grey.SetGray16(1, 0, color.Gray16{Y: 4000})
	for _, img := range []image.Image{grey, colour} {
		content, _, err := imaging.Reduce(bytes.NewReader(encoded(t, img, "png")), 2, 1)
		if err != nil {
			t.Fatal(err)
		}
		small, _, err := image.Decode(bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		dark, _, _, _ := small.At(0, 0).RGBA()
		light, _, _, _ := small.At(1, 0).RGBA()
		if dark > 0x1000 || light < 0xf000 {
			t.Errorf("%T: %d and %d", img, dark, light)
		}
	}
}

func FuzzDecodeSamples(f *testing.F) {
	f.Add(encoded(f, deepGrey(3, 2), "png"))
	f.Add(encoded(f, deepColour(3, 2), "png"))
	f.Add(encoded(f, deepGrey(3, 2), "tiff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		const most = 1 << 12
		s, err := imaging.DecodeSamples(bytes.NewReader(data), most)
		if s != nil && (err != nil || len(s.Values) != s.Width*s.Height*s.Channels || len(s.Values) > most) {
			t.Errorf("%d values of %d by %d by %d, %v", len(s.Values), s.Width, s.Height, s.Channels, err)
		}
	})
}
