package features

import (
	"fmt"
	"math"
	"slices"
)

// Polygon is an area in a picture: what its exterior encloses, less what its holes enclose.
//
// Exterior and each of Holes is a ring: the points of its vertices as x, y, x, y, … in pixels from the top left, at
// least three of them; the last is joined to the first. The middle of the first pixel is at 0.5, 0.5. COCO's polygons
// are rings without holes.
type Polygon struct {
	Exterior []float64   `json:"exterior"`
	Holes    [][]float64 `json:"holes,omitempty"`
}

// RLE draws the polygon into an empty picture: its exterior as [RLEFromPolygons] does, less its holes. Errors are as
// there.
func (p Polygon) RLE(height, width int) (RLE, error) {
	m, err := drawRings(height, width, [][]float64{p.Exterior}, func(int) string { return "exterior" })
	if err != nil || len(p.Holes) == 0 {
		return m, err
	}
	holes, err := drawRings(height, width, p.Holes, func(i int) string { return fmt.Sprintf("holes[%d]", i) })
	if err != nil {
		return RLE{}, err
	}
	return Difference(m, holes)
}

// RLEFromPolygons draws rings into an empty picture, exactly as COCO does, and returns the union of their areas. Each is
// a list of x, y, x, y, … in pixels from the top left, at least three points within ±429,496,729; what lies outside the
// picture is cut off.
//
// The error matches [ErrInvalid] and names the ring, where one has fewer points, half a point or a coordinate that is
// no such number, or where the rings cross more than 8 million columns. Time grows with the points and the columns
// between them, memory with the length of the result.
func RLEFromPolygons(height, width int, polygons [][]float64) (RLE, error) {
	return drawRings(height, width, polygons, func(i int) string { return fmt.Sprintf("[%d]", i) })
}

// drawRings returns the union of the rings, which errors call by name.
func drawRings(height, width int, rings [][]float64, name func(i int) string) (RLE, error) {
	n, err := countPixels(int64(height), int64(width))
	if err != nil {
		return RLE{}, err
	}
	masks := make([]RLE, len(rings))
	d := drawing{height: int64(height), width: int64(width)}
	changes := 0
	for i, ring := range rings {
		d.name = func() string { return name(i) }
		if err := d.ring(ring); err != nil {
			return RLE{}, err
		}
		if changes += len(d.changes); changes > maxChanges {
			return RLE{}, d.tooLong()
		}
		masks[i] = RLE{Height: height, Width: width, Counts: d.runs()}
	}
	if len(masks) == 0 && n > 0 {
		return RLE{Height: height, Width: width, Counts: []uint32{uint32(n)}}, nil
	}
	if n == 0 {
		return RLE{Height: height, Width: width}, nil
	}
	return Union(masks...)
}

const (
	// upsampling is the number of steps per pixel in which COCO walks along edges. Every number below that involves it
	// follows from the middle of a pixel lying at step 2 of 5.
	upsampling = 5
	// maxStep is how far COCO's own 32-bit arithmetic reaches, in steps.
	maxStep = math.MaxInt32
	// maxChanges bounds the memory for outlines at 32 MiB: few points can cross many columns. An edge from side to side
	// of a picture of 65,535 x 65,535 pixels crosses 65,535.
	maxChanges = 1 << 23
)

// drawing collects the outline of one ring, as the offsets in column-major order where pixels change between outside
// and inside.
type drawing struct {
	height, width int64
	changes       []uint32
	name          func() string // of the ring, for errors
}

// ring walks along the edges of a ring.
func (d *drawing) ring(ring []float64) error {
	if len(ring)%2 != 0 {
		return invalid("polygon", d.name(), len(ring), "want x and y of every point, an even number of values")
	}
	if len(ring) < 6 {
		return invalid("polygon", d.name(), len(ring)/2, "want at least 3 points")
	}
	d.changes = d.changes[:0]
	steps := make([]int64, len(ring))
	for i, c := range ring {
		// The inner conversion keeps compilers from fusing the operations, which would round once instead of twice.
		s := float64(upsampling*c) + .5
		if !(math.Abs(s) <= maxStep) {
			return invalid("polygon", fmt.Sprintf("%s[%d]", d.name(), i), c, "want numbers within ±%d", maxStep/upsampling)
		}
		steps[i] = int64(s)
	}
	x, y := steps[len(steps)-2], steps[len(steps)-1]
	for i := 0; i < len(steps); i += 2 {
		if err := d.edge(x, y, steps[i], steps[i+1]); err != nil {
			return err
		}
		x, y = steps[i], steps[i+1]
	}
	d.compact()
	return nil
}

// edge notes where the edge from (xs, ys) to (xe, ye), in steps, crosses the middles of columns.
//
// COCO walks every edge in steps along its longer axis, rounding the other coordinate, and looks for pairs of
// neighbouring points left and right of a column's middle: at steps 5x+2 and 5x+3. The upper one of the pair tells the
// row. Only those pairs matter, so only they are computed here, in the same arithmetic. The direction of an edge plays
// no part, since COCO turns edges to increase along the longer axis.
func (d *drawing) edge(xs, ys, xe, ye int64) error {
	dx, dy := abs(xe-xs), abs(ye-ys)
	if dx >= dy && xs > xe || dx < dy && ys > ye {
		xs, ys, xe, ye = xe, ye, xs, ys
	}
	first := max(0, ceilDiv(min(xs, xe)-2, upsampling))
	last := min(d.width, ceilDiv(max(xs, xe)-2, upsampling)) // not included
	if dx >= dy {
		slope := float64(ye-ys) / float64(dx)
		at := func(t int64) int64 { return int64(float64(ys) + float64(slope*float64(t)) + .5) }
		for x := first; x < last; x++ {
			t := upsampling*x + 2 - xs
			if err := d.cross(x, min(at(t), at(t+1))); err != nil {
				return err
			}
		}
		return nil
	}
	slope := float64(xe-xs) / float64(dy)
	at := func(t int64) int64 { return int64(float64(xs) + float64(slope*float64(t)) + .5) }
	for x := first; x < last; x++ {
		// The first t on the far side of the column's middle: near where the line meets it, but for rounding.
		t := min(max(1, int64((float64(upsampling*x)+2.5-float64(xs))/slope)), dy)
		right := slope > 0
		for t > 1 && (at(t-1) > upsampling*x+2) == right {
			t--
		}
		for t < dy && (at(t) > upsampling*x+2) != right {
			t++
		}
		if err := d.cross(x, ys+t-1); err != nil {
			return err
		}
	}
	return nil
}

// cross notes a change in column x at the given step from the top: at the first pixel whose middle is not above it.
func (d *drawing) cross(x, step int64) error {
	y := min(max(0, ceilDiv(step-2, upsampling)), d.height)
	if len(d.changes) == maxChanges {
		if d.compact(); len(d.changes) > maxChanges/2 { // else the next time comes soon
			return d.tooLong()
		}
	}
	d.changes = append(d.changes, uint32(x*d.height+y))
	return nil
}

func (d *drawing) tooLong() error {
	return invalid("polygon", d.name(), nil, "want outlines that cross at most %d columns", maxChanges)
}

// compact sorts the changes, and cancels those that are at the same place: inside and outside again.
func (d *drawing) compact() {
	slices.Sort(d.changes)
	kept := d.changes[:0]
	for _, c := range d.changes {
		if n := len(kept); n > 0 && kept[n-1] == c {
			kept = kept[:n-1]
		} else {
			kept = append(kept, c)
		}
	}
	d.changes = kept
}

// runs returns the lengths between the changes, after compact.
func (d *drawing) runs() []uint32 {
	n := uint32(d.height * d.width)
	if n == 0 {
		return nil
	}
	runs := make([]uint32, 0, len(d.changes)+1)
	last := uint32(0)
	for _, c := range d.changes {
		if c < n { // a change below the last pixel changes nothing
			runs = append(runs, c-last)
			last = c
		}
	}
	return append(runs, n-last)
}

func abs(n int64) int64 { return max(n, -n) }

// ceilDiv returns a/b rounded up, for b > 0.
func ceilDiv(a, b int64) int64 {
	q := a / b
	if a%b > 0 {
		q++
	}
	return q
}
