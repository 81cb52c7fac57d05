package features

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"slices"
	"testing"
)

// fuzzPixels keeps the pictures that are drawn while fuzzing small. Larger sizes are still read.
const fuzzPixels = 1 << 12

// checkMask checks everything that holds for every mask that a decoder accepts.
func checkMask(t *testing.T, m RLE) {
	t.Helper()
	if err := m.Validate(); err != nil {
		t.Fatalf("accepted: %v", err)
	}
	area, b := m.Area(), m.Bounds()
	if area < 0 || area > b.Dx()*b.Dy() || (area == 0) != b.Empty() || b.Min.X < 0 || b.Min.Y < 0 || b.Max.X > m.Width || b.Max.Y > m.Height {
		t.Fatalf("area %d and bounds %v in %d x %d", area, b, m.Height, m.Width)
	}
	size, counts := m.Compressed()
	again, err := ParseRLE(size, counts)
	if err != nil || !slices.Equal(again.Counts, m.Counts) {
		t.Fatalf("%s reads as %v, %v, want %v", counts, again.Counts, err, m.Counts)
	}
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &again); err != nil || !again.Equal(m) {
		t.Fatalf("%s reads as %v, %v, want %v", data, again, err, m)
	}
	if box, err := m.BBox(); (err != nil) != (area == 0) {
		t.Fatalf("box %v, %v of %d pixels", box, err, area)
	}
	if iou, err := IoU(m, m, false); err != nil || (iou == 1) != (area > 0) {
		t.Fatalf("IoU with itself is %v, %v", iou, err)
	}
	both, err := Intersection(m, m)
	if err != nil || !both.Equal(m) {
		t.Fatalf("intersection with itself is %v, %v", both, err)
	}
	if m.Height > fuzzPixels || m.Width > fuzzPixels || m.Height*m.Width > fuzzPixels || m.Height*m.Width == 0 {
		return
	}
	pix, err := m.Bitmap()
	if err != nil {
		t.Fatal(err)
	}
	drawn, err := RLEFromBitmap(m.Height, m.Width, pix)
	if err != nil || !drawn.Equal(m) {
		t.Fatalf("the bitmap of %v is that of %v, %v", m, drawn, err)
	}
	if n := bytes.Count(pix, []byte{1}); n != area {
		t.Fatalf("area %d, %d pixels in the bitmap", area, n)
	}
	checkOutlines(t, m)
}

func FuzzParseRLE(f *testing.F) {
	f.Add(int64(30), int64(40), []byte("a97g000000000000000000cb0"))
	f.Add(int64(3), int64(2), []byte("06"))
	f.Add(int64(3), int64(2), []byte("6"))
	f.Add(int64(3), int64(2), []byte("023O"))
	f.Add(int64(20), int64(20), []byte("e27=0000000g6"))
	f.Add(int64(6), int64(6), []byte("733000;"))
	f.Add(int64(0), int64(0), []byte(""))
	f.Add(int64(1), int64(math.MaxUint32), []byte("oooooo3"))
	f.Add(int64(1<<30), int64(1<<30), []byte("PPPPPPPPPPPP1"))
	f.Add(int64(-1), int64(math.MaxInt64), []byte("0P"))
	f.Fuzz(func(t *testing.T, height, width int64, counts []byte) {
		m, err := ParseRLE([]int64{height, width}, counts)
		if err != nil {
			checkValid(t, err, false)
			return
		}
		if len(m.Counts) > len(counts) {
			t.Fatalf("%d lengths of %d bytes", len(m.Counts), len(counts))
		}
		checkMask(t, m)
	})
}

func FuzzRLEJSON(f *testing.F) {
	f.Add([]byte(`{"size":[3,2],"counts":"023O"}`))
	f.Add([]byte(`{"size":[3,2],"counts":[0,2,3,1]}`))
	f.Add([]byte(`{"size":[0,0],"counts":""}`))
	f.Add([]byte(`{"size":[3,2],"counts":null}`))
	f.Add([]byte(`{"size":[1152921504606846976,16],"counts":[1152921504606846976]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var m RLE
		if err := m.UnmarshalJSON(data); err != nil {
			checkValid(t, err, false)
			return
		}
		checkMask(t, m)
	})
}

func FuzzParseSegmentation(f *testing.F) {
	f.Add(uint8(6), uint8(6), []byte(`[[1,1,4,1,4,4,1,4]]`))
	f.Add(uint8(6), uint8(6), []byte(`[[1,1,4,1,4,4,1,4],[0,0,1e8,0,-1e8,9]]`))
	f.Add(uint8(3), uint8(2), []byte(`{"size":[3,2],"counts":"023O"}`))
	f.Add(uint8(3), uint8(2), []byte(` {"size":[3,2],"counts":[0,2,3,1]}`))
	f.Add(uint8(0), uint8(2), []byte(`[]`))
	f.Fuzz(func(t *testing.T, height, width uint8, data []byte) {
		m, err := ParseSegmentation(int(height), int(width), data)
		if err != nil {
			checkValid(t, err, false)
			return
		}
		if m.Height != int(height) || m.Width != int(width) {
			t.Fatalf("%d x %d, want %d x %d", m.Height, m.Width, height, width)
		}
		checkMask(t, m)
	})
}

// FuzzRLEFromPolygons draws one ring of any numbers, and compares with the walk if it is near the picture.
func FuzzRLEFromPolygons(f *testing.F) {
	add := func(height, width uint8, coords ...float64) {
		var data []byte
		for _, c := range coords {
			data = binary.LittleEndian.AppendUint64(data, math.Float64bits(c))
		}
		f.Add(height, width, data)
	}
	add(6, 6, 1, 1, 4, 1, 4, 4, 1, 4)
	add(6, 6, 1.5, 1.3, 4.7, 1.1, 4.5, 4.9, 1.1, 4.3)
	add(6, 6, 1, 1, 4, 4)
	add(10, 255, -3.7, -2.2, 300, 5, 100, 1e3)
	add(10, 10, math.NaN(), 1, math.Inf(1), 4, 4, 4)
	add(10, 10, -429496729, 429496729, 429496729, -429496729, 0, 0)
	add(0, 10, 1, 1, 4, 1, 4, 4)
	f.Fuzz(func(t *testing.T, height, width uint8, data []byte) {
		ring := make([]float64, len(data)/8)
		near := true
		for i := range ring {
			ring[i] = math.Float64frombits(binary.LittleEndian.Uint64(data[8*i:]))
			near = near && math.Abs(ring[i]) < 2000
		}
		h, w := int(height), int(width)
		m, err := RLEFromPolygons(h, w, [][]float64{ring})
		if err != nil {
			checkValid(t, err, false)
			return
		}
		checkMask(t, m)
		if near && h*w > 0 && len(ring) < 200 {
			if want := walkRing(ring, h, w); !slices.Equal(m.Counts, want) {
				t.Fatalf("%v in %d x %d:\n got %v\nwant %v", ring, h, w, m.Counts, want)
			}
		}
	})
}

// FuzzRLEFromBitmap goes from pixels to lengths to outlines and back.
func FuzzRLEFromBitmap(f *testing.F) {
	f.Add(uint8(3), []byte("\x00\x01\x01\x00\x00\x01"))
	f.Add(uint8(3), []byte("\x01\x01\x01\x01\x00\x01\x01\x01\x01"))
	f.Add(uint8(4), []byte("\x01\x01\x00\x00\x01\x01\x00\x00\x00\x00\x01\x01\x00\x00\x01\x01"))
	f.Add(uint8(1), []byte("\x02"))
	f.Fuzz(func(t *testing.T, width uint8, pix []byte) {
		if width == 0 || len(pix) > fuzzPixels {
			return
		}
		height := len(pix) / int(width)
		pix = pix[:height*int(width)]
		m, err := RLEFromBitmap(height, int(width), pix)
		if err != nil {
			t.Fatal(err)
		}
		checkMask(t, m)
		got, err := m.Bitmap()
		if err != nil {
			t.Fatal(err)
		}
		for i := range pix {
			if (pix[i] != 0) != (got[i] != 0) {
				t.Fatalf("pixel %d is %d, want %d", i, got[i], pix[i])
			}
		}
	})
}

func FuzzParseShortUUID(f *testing.F) {
	for _, text := range []string{"", "2222222222222222222222", "oZEq7ovRbLq6UnGMPwc8B5", "oZEq7ovRbLq6UnGMPwc8B6", "CXc85b4rqinB7s5J52TRYb"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := ParseShortUUID(text)
		if err != nil {
			checkValid(t, err, false)
			return
		}
		if got := ShortUUID(id); got != text {
			t.Fatalf("%s is written as %s", text, got)
		}
	})
}
