package features

import (
	"encoding/json"
	"errors"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// parse reads a mask that has to be right.
func parse(t *testing.T, height, width int, counts string) RLE {
	t.Helper()
	m, err := ParseRLE([]int64{int64(height), int64(width)}, []byte(counts))
	if err != nil {
		t.Fatalf("%d x %d %q: %v", height, width, counts, err)
	}
	return m
}

// bitmap draws a picture of rows; '#' is inside.
func bitmap(rows ...string) (height, width int, pix []byte) {
	for _, row := range rows {
		for _, c := range row {
			pix = append(pix, byte(strings.Count("#", string(c))))
		}
	}
	return len(rows), len(rows[0]), pix
}

func mask(t *testing.T, rows ...string) RLE {
	t.Helper()
	m, err := RLEFromBitmap(bitmap(rows...))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestRLEVectors(t *testing.T) {
	columns := func(first, inside, outside uint32, n int, last uint32) []uint32 {
		runs := []uint32{first}
		for range n - 1 {
			runs = append(runs, inside, outside)
		}
		return append(runs, inside, last)
	}
	for _, test := range []struct {
		name          string
		height, width int
		counts        string
		runs          []uint32
		area          int
		bounds        image.Rectangle
	}{
		{"rows 5 to 11, columns 10 to 19", 30, 40, "a97g000000000000000000cb0", columns(305, 7, 23, 10, 618), 70, image.Rect(10, 5, 20, 12)},
		{"all inside", 3, 2, "06", []uint32{0, 6}, 6, image.Rect(0, 0, 2, 3)},
		{"all outside", 3, 2, "6", []uint32{6}, 0, image.Rectangle{}},
		{"first pixel inside", 3, 2, "023O", []uint32{0, 2, 3, 1}, 3, image.Rect(0, 0, 2, 3)},
		{"rows 5 to 11, columns 4 to 8", 20, 20, "e27=0000000g6", columns(85, 7, 13, 5, 228), 35, image.Rect(4, 5, 9, 12)},
		{"rows 1 to 3, columns 1 to 3", 6, 6, "733000;", columns(7, 3, 3, 3, 14), 9, image.Rect(1, 1, 4, 4)},
		{"of the golden data set", 25, 37, "c15d0000000000df0", nil, 30, image.Rect(2, 1, 8, 6)},
		{"no pixels", 0, 0, "", nil, 0, image.Rectangle{}},
		{"no rows", 0, 3, "", nil, 0, image.Rectangle{}},
		{"one run over two columns", 3, 3, "225", []uint32{2, 2, 5}, 2, image.Rect(0, 0, 2, 3)},
		{"largest picture", 1, math.MaxUint32, "oooooo3", []uint32{math.MaxUint32}, 0, image.Rectangle{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := parse(t, test.height, test.width, test.counts)
			if test.runs != nil && !slices.Equal(m.Counts, test.runs) {
				t.Errorf("lengths %v, want %v", m.Counts, test.runs)
			}
			size, counts := m.Compressed()
			if want := []int64{int64(test.height), int64(test.width)}; string(counts) != test.counts || !slices.Equal(size, want) {
				t.Errorf("compressed %v %s, want %v %s", size, counts, want, test.counts)
			}
			if got := m.Area(); got != test.area {
				t.Errorf("area %d, want %d", got, test.area)
			}
			if got := m.Bounds(); got != test.bounds {
				t.Errorf("bounds %v, want %v", got, test.bounds)
			}
		})
	}
}

func TestBBox(t *testing.T) {
	got, err := parse(t, 30, 40, "a97g000000000000000000cb0").BBox()
	if err != nil {
		t.Fatal(err)
	}
	if want := []float64{.25, 5. / 30, .25, 7. / 30}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, m := range []RLE{{}, parse(t, 3, 2, "6"), {Height: 3, Width: 2}} {
		_, err := m.BBox()
		checkValid(t, err, false)
	}
}

func TestParseRLEErrors(t *testing.T) {
	// A run of 2^60 pixels, in as many characters as that takes.
	const huge = "PPPPPPPPPPPP1"
	for _, test := range []struct {
		name   string
		size   []int64
		counts string
	}{
		{"no size", nil, "06"},
		{"size of one number", []int64{2}, "06"},
		{"size of three numbers", []int64{2, 3, 4}, "06"},
		{"negative size", []int64{2, -3}, "06"},
		{"two negative sizes", []int64{-2, -3}, "06"},
		{"too many pixels", []int64{math.MaxUint32, 2}, "06"},
		{"pixels that overflow", []int64{math.MaxInt64, math.MaxInt64}, "06"},
		{"pixels that wrap around to 0", []int64{1 << 32, 1 << 32}, ""},
		{"no counts", []int64{2, 3}, ""},
		{"counts without pixels", []int64{0, 3}, "06"},
		{"too few", []int64{3, 2}, "05"},
		{"too many", []int64{3, 2}, "07"},
		{"character below", []int64{3, 2}, "0/6"},
		{"character above", []int64{3, 2}, "0p6"},
		{"not ASCII", []int64{3, 2}, "é"},
		{"space", []int64{3, 2}, "06 "},
		{"end within a number", []int64{3, 2}, "06P"},
		{"negative length", []int64{3, 2}, "O"},
		{"negative length by difference", []int64{3, 2}, "012N"},
		{"long number", []int64{3, 2}, "0PPPPPPPPPPPPPPPPPPPPPPPPPPPPPP0"},
		{"huge run", []int64{3, 2}, huge},
		{"huge run in the largest picture", []int64{1, math.MaxUint32}, huge},
		{"runs that overflow", []int64{1, math.MaxUint32}, "oooooo3oooooo3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, err := ParseRLE(test.size, []byte(test.counts))
			checkValid(t, err, false)
			if m.Counts != nil {
				t.Errorf("got %v beside the error", m)
			}
		})
	}
}

// A few bytes that claim a large picture must not take its memory.
func TestHostileMasks(t *testing.T) {
	full := parse(t, 1<<15, 1<<16, "0PPPPPP2")
	if got := full.Area(); got != 1<<31 {
		t.Fatalf("area %d, want %d", got, 1<<31)
	}
	_, err := full.Bitmap()
	checkValid(t, err, false)
	_, err = full.Image()
	checkValid(t, err, false)
	_, err = full.Contours()
	checkValid(t, err, false)
	_, err = full.Polygons()
	checkValid(t, err, false)

	line := RLE{Height: 1 << 23, Width: 1, Counts: []uint32{0, 1 << 23}}
	_, err = line.Contours() // of 2^24 vertices
	checkValid(t, err, false)
	polygons, err := line.Polygons()
	if err != nil || len(polygons) != 1 {
		t.Errorf("outline of a line: %v, %v", polygons, err)
	}
}

func TestRLEJSON(t *testing.T) {
	for _, test := range []struct {
		name, json string
		want       RLE
		valid      bool
	}{
		{"compressed", `{"size":[3,2],"counts":"023O"}`, RLE{3, 2, []uint32{0, 2, 3, 1}}, true},
		{"lengths", `{"counts": [0, 2, 3, 1], "size": [3, 2], "more": {}}`, RLE{3, 2, []uint32{0, 2, 3, 1}}, true},
		{"escaped", `{"size":[1,44],"counts":"\u005c1"}`, RLE{1, 44, []uint32{44}}, true},
		{"empty", `{"size":[0,0],"counts":""}`, RLE{}, true},
		{"empty list", `{"size":[0,0],"counts":[]}`, RLE{Counts: []uint32{}}, true},
		{"wrong sum", `{"size":[3,2],"counts":[0,2,3]}`, RLE{}, false},
		{"wrong sum of text", `{"size":[3,2],"counts":"0"}`, RLE{}, false},
		{"negative length", `{"size":[3,2],"counts":[7,-1]}`, RLE{}, false},
		{"fraction", `{"size":[3,2],"counts":[1.5,4.5]}`, RLE{}, false},
		{"length of 2^60", `{"size":[3,2],"counts":[1152921504606846976]}`, RLE{}, false},
		{"sum that wraps around", `{"size":[3,2],"counts":[4294967295,7]}`, RLE{}, false},
		{"no counts", `{"size":[0,0]}`, RLE{}, false},
		{"null counts", `{"size":[0,0],"counts":null}`, RLE{}, false},
		{"no size", `{"counts":"06"}`, RLE{}, false},
		{"no size for lengths", `{"counts":[6]}`, RLE{}, false},
		{"negative size", `{"size":[-1,-6],"counts":[6]}`, RLE{}, false},
		{"size of fractions", `{"size":[3.5,2],"counts":[7]}`, RLE{}, false},
		{"list", `[]`, RLE{}, false},
		{"counts of objects", `{"size":[3,2],"counts":{}}`, RLE{}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var m RLE
			err := json.Unmarshal([]byte(test.json), &m)
			checkValid(t, err, test.valid)
			if m.Height != test.want.Height || m.Width != test.want.Width || !slices.Equal(m.Counts, test.want.Counts) {
				t.Errorf("got %v, want %v", m, test.want)
			}
			if !test.valid {
				return
			}
			data, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			var again RLE
			if err := json.Unmarshal(data, &again); err != nil || !again.Equal(m) {
				t.Errorf("%s reads as %v, %v, want %v", data, again, err, m)
			}
		})
	}
	if _, err := json.Marshal(RLE{Height: 3, Width: 2}); !errors.Is(err, ErrInvalid) {
		t.Errorf("writing an invalid mask: %v", err)
	}
}

func TestParseSegmentation(t *testing.T) {
	for _, test := range []struct {
		name, json string
		want       string // compressed; empty: refused
	}{
		{"polygon", ` [[1,1,4,1,4,4,1,4]]`, "733000;"},
		{"two polygons", `[[1,1,4,1,4,2,1,2],[1,2,4,2,4,4,1,4]]`, "733000;"},
		{"no polygons", `[]`, "T1"},
		{"text", `{"size":[6,6],"counts":"733000;"}`, "733000;"},
		{"lengths", `{"size":[6,6],"counts":[7,3,3,3,3,3,14]}`, "733000;"},
		{"another size", `{"size":[3,2],"counts":[6]}`, ""},
		{"one ring without its list", `[1,1,4,1,4,4,1,4]`, ""},
		{"text in the list", `[["1"]]`, ""},
		{"two points", `[[1,1,4,4]]`, ""},
		{"number", `1`, ""},
		{"nothing", ``, ""},
		{"null", `null`, ""},
		{"broken", `[[`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, err := ParseSegmentation(6, 6, []byte(test.json))
			checkValid(t, err, test.want != "")
			if _, counts := m.Compressed(); string(counts) != test.want {
				t.Errorf("got %s, want %s", counts, test.want)
			}
		})
	}
}

func TestBooleanOperations(t *testing.T) {
	a := mask(t, "##..", "##..", "....")
	b := mask(t, ".##.", ".##.", "....")
	c := mask(t, "....", ".##.", ".##.")
	empty := mask(t, "....", "....", "....")
	full := mask(t, "####", "####", "####")
	other := mask(t, "###", "###", "###", "###")
	broken := RLE{Height: 3, Width: 4, Counts: []uint32{5}}
	loose := RLE{Height: 3, Width: 4, Counts: []uint32{0, 1, 0, 1, 1, 0, 0, 2, 7, 0}} // a, cut in pieces

	if !loose.Equal(a) || !a.Equal(a) || a.Equal(b) || empty.Equal(full) || full.Equal(other) || !(RLE{}).Equal(RLE{Counts: []uint32{0}}) {
		t.Error("Equal is wrong")
	}
	for _, test := range []struct {
		name string
		got  func() (RLE, error)
		want RLE
	}{
		{"union", func() (RLE, error) { return Union(a, b) }, mask(t, "###.", "###.", "....")},
		{"union of three", func() (RLE, error) { return Union(a, b, c) }, mask(t, "###.", "###.", ".##.")},
		{"union of five", func() (RLE, error) { return Union(empty, a, b, c, empty) }, mask(t, "###.", "###.", ".##.")},
		{"union with all", func() (RLE, error) { return Union(a, full) }, full},
		{"union with nothing", func() (RLE, error) { return Union(a, empty) }, a},
		{"union of one in pieces", func() (RLE, error) { return Union(loose) }, a},
		{"union of none", func() (RLE, error) { return Union() }, RLE{}},
		{"intersection", func() (RLE, error) { return Intersection(a, b) }, mask(t, ".#..", ".#..", "....")},
		{"intersection of three", func() (RLE, error) { return Intersection(a, b, c) }, mask(t, "....", ".#..", "....")},
		{"intersection with all", func() (RLE, error) { return Intersection(full, a) }, a},
		{"intersection with nothing", func() (RLE, error) { return Intersection(a, empty) }, empty},
		{"intersection of none", func() (RLE, error) { return Intersection() }, RLE{}},
		{"difference", func() (RLE, error) { return Difference(a, b) }, mask(t, "#...", "#...", "....")},
		{"difference from all", func() (RLE, error) { return Difference(full, a) }, mask(t, "..##", "..##", "####")},
		{"difference in pieces", func() (RLE, error) { return Difference(loose, c) }, mask(t, "##..", "#...", "....")},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.got()
			if err != nil {
				t.Fatal(err)
			}
			if got.Height != test.want.Height || got.Width != test.want.Width || !slices.Equal(got.Counts, test.want.Counts) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
	for _, pair := range [][2]RLE{{a, other}, {a, broken}, {broken, a}} {
		_, err := Union(pair[:]...)
		checkValid(t, err, false)
		_, err = Intersection(pair[:]...)
		checkValid(t, err, false)
		_, err = Difference(pair[0], pair[1])
		checkValid(t, err, false)
		_, err = IoU(pair[0], pair[1], false)
		checkValid(t, err, false)
	}

	for _, test := range []struct {
		name   string
		dt, gt RLE
		crowd  bool
		want   float64
	}{
		{"third", a, b, false, 2. / 6},
		{"crowd", a, b, true, 2. / 4},
		{"same", a, a, false, 1},
		{"in pieces", loose, b, false, 2. / 6},
		{"part of all", a, full, false, 4. / 12},
		{"part of a crowd", a, full, true, 1},
		{"one pixel", a, c, false, 1. / 7},
		{"apart", mask(t, "#..", "#.#"), mask(t, ".#.", ".#."), false, 0},
		{"nothing", a, empty, false, 0},
		{"two of nothing", empty, empty, false, 0},
		{"two of nothing in a crowd", empty, empty, true, 0},
		{"no picture", RLE{}, RLE{}, false, 0},
	} {
		t.Run("IoU of "+test.name, func(t *testing.T) {
			if got, err := IoU(test.dt, test.gt, test.crowd); err != nil || got != test.want {
				t.Errorf("got %v, %v, want %v", got, err, test.want)
			}
		})
	}
}

func TestBitmap(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 0))
	for range 300 {
		h, w := randomSize(r)
		pix := randomBitmap(r, h, w)
		m, err := RLEFromBitmap(h, w, pix)
		if err != nil {
			t.Fatal(err)
		}
		// The definition, pixel by pixel.
		runs, last := []uint32{0}, byte(0)
		for x := range w {
			for y := range h {
				if pix[y*w+x] != last {
					runs, last = append(runs, 0), pix[y*w+x]
				}
				runs[len(runs)-1]++
			}
		}
		if !slices.Equal(m.Counts, runs) {
			t.Fatalf("%d x %d: lengths %v, want %v", h, w, m.Counts, runs)
		}
		got, err := m.Bitmap()
		if err != nil || !slices.Equal(got, pix) {
			t.Fatalf("%d x %d: the bitmap of a bitmap's mask is another: %v", h, w, err)
		}
		for i := range got {
			got[i] = 7 // must not matter
		}
		if err := m.DrawBitmap(got); err != nil || !slices.Equal(got, pix) {
			t.Fatalf("%d x %d: drawn on another bitmap: %v", h, w, err)
		}
	}
}

func TestBitmapErrors(t *testing.T) {
	m := mask(t, "#.", ".#")
	for _, size := range []int{0, 3, 5} {
		_, err := RLEFromBitmap(2, 2, make([]byte, size))
		checkValid(t, err, false)
		checkValid(t, m.DrawBitmap(make([]byte, size)), false)
	}
	_, err := RLEFromBitmap(-1, -1, make([]byte, 1))
	checkValid(t, err, false)
	broken := RLE{Height: 2, Width: 2, Counts: []uint32{5}}
	_, err = broken.Bitmap()
	checkValid(t, err, false)
	_, err = broken.Image()
	checkValid(t, err, false)
	checkValid(t, broken.DrawBitmap(make([]byte, 4)), false)
	if pix, err := (RLE{}).Bitmap(); err != nil || len(pix) != 0 {
		t.Errorf("empty bitmap: %v, %v", pix, err)
	}
}

func TestImage(t *testing.T) {
	want := mask(t, "....", ".##.", ".#..")
	alpha, err := want.Image()
	if err != nil {
		t.Fatal(err)
	}
	black := color.Gray{}
	grey := image.NewGray(image.Rect(-3, 5, 9, 11))
	grey.SetGray(-2, 6, color.Gray{1})
	grey.SetGray(-1, 6, color.Gray{255})
	grey.SetGray(-2, 7, color.Gray{128})
	grey.SetGray(8, 10, color.Gray{9}) // outside the part that is read
	colours := image.NewNRGBA(image.Rect(0, 0, 4, 3))
	colours.Set(1, 1, color.NRGBA{R: 255, A: 255})
	colours.Set(2, 1, color.NRGBA{B: 9, A: 9})
	colours.Set(1, 2, color.White)
	colours.Set(3, 2, color.NRGBA{R: 255, A: 0})
	colours.Set(0, 0, black)
	palette := image.NewPaletted(image.Rect(0, 0, 4, 3), color.Palette{black, color.NRGBA{R: 128, A: 255}})
	palette.Pix = []byte{0, 0, 0, 0, 0, 1, 1, 0, 0, 1, 0, 0}
	for name, img := range map[string]image.Image{
		"alpha": alpha, "grey": grey.SubImage(image.Rect(-3, 5, 1, 8)), "colours": colours, "palette": palette,
	} {
		if got, err := RLEFromImage(img); err != nil || !got.Equal(want) {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, want)
		}
	}
	if got, err := RLEFromImage(image.NewGray(image.Rect(2, 2, 2, 5))); err != nil || got.Area() != 0 || got.Height != 0 && got.Width != 0 {
		t.Errorf("image without pixels: %v, %v", got, err)
	}
}

// Methods without an error must not panic on masks that nobody checked.
func TestInvalidMasks(t *testing.T) {
	for _, m := range []RLE{
		{Height: -1, Width: -1, Counts: []uint32{0, 1}},
		{Height: 0, Width: 5, Counts: []uint32{0, 1}},
		{Height: 1 << 32, Width: 1, Counts: []uint32{0, 5}},
		{Height: math.MaxInt, Width: math.MaxInt, Counts: []uint32{math.MaxUint32, math.MaxUint32, math.MaxUint32, math.MaxUint32}},
		{Height: 3, Width: 2, Counts: []uint32{4, 9}},
	} {
		checkValid(t, m.Validate(), false)
		m.Area()
		m.Bounds()
		m.Compressed()
		m.Equal(m)
	}
}

// Lengths in any cut are one mask to every function.
func TestLooseLengths(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 0))
	for range 200 {
		h, w := 1+r.IntN(12), 1+r.IntN(12)
		m, err := RLEFromBitmap(h, w, randomBitmap(r, h, w))
		if err != nil {
			t.Fatal(err)
		}
		loose := RLE{Height: h, Width: w}
		for _, c := range m.Counts {
			cut := uint32(0)
			if c > 0 {
				cut = r.Uint32N(c + 1)
			}
			loose.Counts = append(loose.Counts, cut, 0, c-cut)
		}
		// Each length became three, and an odd number keeps the sides in turn.
		if err := loose.Validate(); err != nil {
			t.Fatal(err)
		}
		if !loose.Equal(m) {
			t.Fatalf("%v is not equal to %v", loose, m)
		}
		if loose.Area() != m.Area() || loose.Bounds() != m.Bounds() {
			t.Fatalf("%v: area %d and bounds %v, want %d and %v", loose.Counts, loose.Area(), loose.Bounds(), m.Area(), m.Bounds())
		}
		a, err1 := loose.Bitmap()
		b, err2 := m.Bitmap()
		if err1 != nil || err2 != nil || !slices.Equal(a, b) {
			t.Fatalf("%v: another bitmap than %v", loose.Counts, m.Counts)
		}
		size, counts := loose.Compressed()
		again, err := ParseRLE(size, counts)
		if err != nil || !slices.Equal(again.Counts, loose.Counts) {
			t.Fatalf("%v: reads back as %v, %v", loose.Counts, again, err)
		}
		p1, err1 := loose.Polygons()
		p2, err2 := m.Polygons()
		if got, want := polygonText(t, p1), polygonText(t, p2); err1 != nil || err2 != nil || got != want {
			t.Fatalf("polygons %s, want %s", got, want)
		}
	}
}

func polygonText(t *testing.T, polygons []Polygon) string {
	t.Helper()
	data, err := json.Marshal(polygons)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
