package features

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestRLEFromPolygons(t *testing.T) {
	for _, test := range []struct {
		name     string
		polygons [][]float64
		want     []string
	}{
		{"square", [][]float64{{1, 1, 4, 1, 4, 4, 1, 4}}, []string{
			"......",
			".###..",
			".###..",
			".###..",
			"......"}},
		{"the other way round", [][]float64{{1, 4, 4, 4, 4, 1, 1, 1}}, []string{
			"......",
			".###..",
			".###..",
			".###..",
			"......"}},
		{"triangle", [][]float64{{0, 0, 5, 0, 0, 5}}, []string{
			"####..",
			"###...",
			"##....",
			"#.....",
			"......"}},
		{"over all edges", [][]float64{{-9, -9, 20, -9, 20, 20, -9, 20}}, []string{
			"######",
			"######",
			"######",
			"######",
			"######"}},
		{"outside", [][]float64{{10, 10, 20, 10, 20, 20}, {-9, 1, -9, 4, -3, 2}}, []string{
			"......",
			"......",
			"......",
			"......",
			"......"}},
		{"crossing itself", [][]float64{{0, 0, 6, 5, 6, 0, 0, 5}}, []string{
			"#....#",
			"##..##",
			"######",
			"##..##",
			"#....#"}},
		{"two that overlap", [][]float64{{0, 0, 3, 0, 3, 3, 0, 3}, {2, 2, 5, 2, 5, 5, 2, 5}}, []string{
			"###...",
			"###...",
			"#####.",
			"..###.",
			"..###."}},
		{"no area", [][]float64{{1, 1, 4, 4, 1, 1}}, []string{
			"......",
			"......",
			"......",
			"......",
			"......"}},
		{"none", nil, []string{
			"......",
			"......",
			"......",
			"......",
			"......"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := mask(t, test.want...)
			got, err := RLEFromPolygons(want.Height, want.Width, test.polygons)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.Counts, want.Counts) {
				t.Errorf("got\n%s\nwant\n%s", draw(t, got), draw(t, want))
			}
		})
	}
}

// draw is the inverse of mask.
func draw(t *testing.T, m RLE) string {
	t.Helper()
	pix, err := m.Bitmap()
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for y := range m.Height {
		row := ""
		for x := range m.Width {
			row += string(".#"[pix[y*m.Width+x]])
		}
		rows = append(rows, row)
	}
	return strings.Join(rows, "\n")
}

func TestRLEFromPolygonsErrors(t *testing.T) {
	for _, test := range []struct {
		name          string
		height, width int
		polygon       []float64
		place         string
	}{
		{"two points", 6, 6, []float64{1, 1, 4, 4}, "[1]"},
		{"no points", 6, 6, nil, "[1]"},
		{"half a point", 6, 6, []float64{1, 1, 4, 1, 4, 4, 1}, "[1]"},
		{"no number", 6, 6, []float64{1, 1, 4, math.NaN(), 4, 4}, "[1][3]"},
		{"no end", 6, 6, []float64{1, 1, 4, 1, math.Inf(-1), 4}, "[1][4]"},
		{"far away", 6, 6, []float64{1, 1, 4, 1, 4, 1e9}, "[1][5]"},
		{"no picture", -1, 6, []float64{1, 1, 4, 1, 4, 4}, "size"},
		{"too large a picture", math.MaxUint32, 2, []float64{1, 1, 4, 1, 4, 4}, "size"},
		{"over too many columns", 2, 1 << 26, []float64{0, 0, 1 << 26, 0, 1 << 26, 1}, "[1]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := RLEFromPolygons(test.height, test.width, [][]float64{{1, 1, 4, 1, 4, 4}, test.polygon})
			checkValid(t, err, false)
			if e, ok := err.(*Error); ok && e.Field != test.place {
				t.Errorf("%v: at %q, want %q", err, e.Field, test.place)
			}
		})
	}
	if m, err := RLEFromPolygons(0, 5, [][]float64{{1, 1, 4, 1, 4, 4}}); err != nil || m.Counts != nil {
		t.Errorf("picture without pixels: %v, %v", m, err)
	}
	many := slices.Repeat([][]float64{{0, 0, 1 << 21, 0, 1 << 21, 1, 0, 1}}, 3)
	_, err := RLEFromPolygons(2, 1<<21, many)
	checkValid(t, err, false)
}

// walkRing draws one ring the way COCO does it, step by step along every edge. It follows the description of the
// algorithm to the letter, with no regard to time and memory.
func walkRing(ring []float64, h, w int) []uint32 {
	var us, vs []int
	n := len(ring) / 2
	step := func(c float64) int { return int(float64(5*c) + .5) }
	for j := range n {
		k := (j + 1) % n
		xs, ys, xe, ye := step(ring[2*j]), step(ring[2*j+1]), step(ring[2*k]), step(ring[2*k+1])
		dx, dy := max(xe-xs, xs-xe), max(ye-ys, ys-ye)
		swapped := dx >= dy && xs > xe || dx < dy && ys > ye
		if swapped {
			xs, ys, xe, ye = xe, ye, xs, ys
		}
		for d := range max(dx, dy) + 1 {
			t := d
			if swapped {
				t = max(dx, dy) - d
			}
			if dx >= dy {
				s := 0.
				if dx > 0 {
					s = float64(ye-ys) / float64(dx)
				}
				us, vs = append(us, xs+t), append(vs, int(float64(ys)+float64(s*float64(t))+.5))
			} else {
				s := float64(xe-xs) / float64(dy)
				us, vs = append(us, int(float64(xs)+float64(s*float64(t))+.5)), append(vs, ys+t)
			}
		}
	}
	var offsets []int
	for j := 1; j < len(us); j++ {
		if us[j] == us[j-1] {
			continue
		}
		x := us[j]
		if us[j] > us[j-1] {
			x--
		}
		column := (float64(x)+.5)/5 - .5
		if column != math.Floor(column) || column < 0 || column > float64(w-1) {
			continue
		}
		row := (float64(min(vs[j], vs[j-1]))+.5)/5 - .5
		offsets = append(offsets, int(column)*h+int(math.Ceil(min(max(row, 0), float64(h)))))
	}
	offsets = append(offsets, h*w)
	slices.Sort(offsets)
	last := 0
	for i, o := range offsets {
		offsets[i], last = o-last, o
	}
	runs := []uint32{uint32(offsets[0])}
	for i := 1; i < len(offsets); i++ {
		if offsets[i] > 0 {
			runs = append(runs, uint32(offsets[i]))
		} else if i++; i < len(offsets) {
			runs[len(runs)-1] += uint32(offsets[i])
		}
	}
	return runs
}

func TestRLEFromPolygonsAgainstWalk(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 0))
	for range 3000 {
		h, w := randomSize(r)
		for _, ring := range randomPolygons(r, h, w) {
			got, err := RLEFromPolygons(h, w, [][]float64{ring})
			if err != nil {
				t.Fatal(err)
			}
			if want := walkRing(ring, h, w); !slices.Equal(got.Counts, want) {
				t.Fatalf("%v in %d x %d:\n got %v\nwant %v", ring, h, w, got.Counts, want)
			}
		}
	}
}

func TestPolygonRLE(t *testing.T) {
	p := Polygon{
		Exterior: []float64{0, 0, 6, 0, 6, 5, 0, 5},
		Holes:    [][]float64{{1, 1, 3, 1, 3, 3, 1, 3}, {4, 4, 9, 4, 9, 9, 4, 9}},
	}
	want := mask(t,
		"######.",
		"#..###.",
		"#..###.",
		"######.",
		"####...",
		".......")
	got, err := p.RLE(6, 7)
	if err != nil || !got.Equal(want) {
		t.Errorf("got %v, %v\n%s\nwant\n%s", got, err, draw(t, got), draw(t, want))
	}
	for place, p := range map[string]Polygon{
		"exterior": {Exterior: []float64{1, 1}},
		"holes[1]": {Exterior: p.Exterior, Holes: [][]float64{p.Holes[0], {1}}},
	} {
		_, err := p.RLE(6, 7)
		checkValid(t, err, false)
		if e, ok := err.(*Error); ok && e.Field != place {
			t.Errorf("%v: want it at %s", err, place)
		}
	}
}

func TestContours(t *testing.T) {
	m := parse(t, 20, 20, "e27=0000000g6")
	polygons, err := m.Contours()
	if err != nil {
		t.Fatal(err)
	}
	if len(polygons) != 1 || len(polygons[0].Exterior) != 2*20 || polygons[0].Holes != nil {
		t.Fatalf("got %v, want one ring of 20 points", polygons)
	}
	ring, err := Normalize(polygons[0].Exterior, 20, 20)
	if err != nil {
		t.Fatal(err)
	}
	if want := []float64{.225, .275, .225, .325}; !slices.Equal(ring[:4], want) {
		t.Errorf("begins with %v, want %v", ring[:4], want)
	}
}

// The rings were checked with OpenCV's findContours.
func TestOutlines(t *testing.T) {
	for _, test := range []struct {
		name               string
		rows               []string
		contours, polygons string
	}{
		{"empty", []string{"...", "..."}, `null`, `null`},
		{"single pixels and pairs", []string{"#...", "..##"},
			`[]`,
			`[{"exterior":[0,0,1,0,1,1,0,1]},{"exterior":[2,1,4,1,4,2,2,2]}]`},
		{"line", []string{".....", ".###."},
			`[{"exterior":[1.5,1.5,2.5,1.5,3.5,1.5,2.5,1.5]}]`,
			`[{"exterior":[1,1,4,1,4,2,1,2]}]`},
		{"ring", []string{"###", "#.#", "###"},
			`[{"exterior":[0.5,0.5,0.5,1.5,0.5,2.5,1.5,2.5,2.5,2.5,2.5,1.5,2.5,0.5,1.5,0.5],"holes":[[0.5,1.5,1.5,0.5,2.5,1.5,1.5,2.5]]}]`,
			`[{"exterior":[0,0,3,0,3,3,0,3],"holes":[[1,1,1,2,2,2,2,1]]}]`},
		{"corner to corner", []string{"##..", "##..", "..##", "..##"},
			`[{"exterior":[0.5,0.5,0.5,1.5,1.5,1.5,2.5,2.5,2.5,3.5,3.5,3.5,3.5,2.5,2.5,2.5,1.5,1.5,1.5,0.5]}]`,
			`[{"exterior":[0,0,2,0,2,2,4,2,4,4,2,4,2,2,0,2]}]`},
		{"island in a lake, two lakes", []string{
			"#########",
			"#.....#.#",
			"#.###.###",
			"#.###.#..",
			"#.....#..",
			"#######.."},
			"",
			`[{"exterior":[0,0,9,0,9,3,7,3,7,6,0,6],"holes":[[1,1,1,5,6,5,6,1],[7,1,7,2,8,2,8,1]]},{"exterior":[2,2,5,2,5,4,2,4]}]`},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := mask(t, test.rows...)
			contours, err := m.Contours()
			if err != nil {
				t.Fatal(err)
			}
			if got := polygonText(t, contours); test.contours != "" && got != test.contours {
				t.Errorf("contours %s\nwant %s", got, test.contours)
			}
			polygons, err := m.Polygons()
			if err != nil {
				t.Fatal(err)
			}
			if got := polygonText(t, polygons); got != test.polygons {
				t.Errorf("polygons %s\nwant %s", got, test.polygons)
			}
		})
	}
	for _, outlines := range []func(RLE) ([]Polygon, error){RLE.Contours, RLE.Polygons} {
		_, err := outlines(RLE{Height: 2, Width: 2, Counts: []uint32{0, 5}})
		checkValid(t, err, false)
	}
}

// checkOutlines checks that a mask's polygons draw the mask, and its contours part of it.
func checkOutlines(t *testing.T, m RLE) {
	t.Helper()
	polygons, err := m.Polygons()
	if err != nil {
		t.Fatal(err)
	}
	drawn := make([]RLE, 0, len(polygons)+1)
	drawn = append(drawn, RLE{Height: m.Height, Width: m.Width, Counts: []uint32{uint32(m.Height * m.Width)}})
	area := 0
	for _, p := range polygons {
		one, err := p.RLE(m.Height, m.Width)
		if err != nil {
			t.Fatal(err)
		}
		area += one.Area()
		drawn = append(drawn, one)
	}
	all, err := Union(drawn...)
	if err != nil {
		t.Fatal(err)
	}
	if !all.Equal(m) || area != m.Area() {
		data, _ := json.Marshal(polygons)
		t.Fatalf("polygons %s of\n%s\ndraw\n%s", data, draw(t, m), draw(t, all))
	}
	contours, err := m.Contours()
	if err != nil {
		t.Fatal(err)
	}
	pix, err := m.Bitmap()
	if err != nil {
		t.Fatal(err)
	}
	if len(contours) > len(polygons) {
		t.Fatalf("%d contours of %d components", len(contours), len(polygons))
	}
	for _, c := range contours {
		for _, ring := range append(c.Holes, c.Exterior) {
			for i := 0; i < len(ring); i += 2 {
				if pix[int(ring[i+1])*m.Width+int(ring[i])] == 0 {
					t.Fatalf("contour %v is at %v, %v outside\n%s", ring, ring[i], ring[i+1], draw(t, m))
				}
			}
		}
	}
}

func TestOutlinesOfRandomMasks(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 0))
	for range 500 {
		h, w := 1+r.IntN(30), 1+r.IntN(30)
		m, err := RLEFromBitmap(h, w, randomBitmap(r, h, w))
		if err != nil {
			t.Fatal(err)
		}
		checkOutlines(t, m)
	}
}
