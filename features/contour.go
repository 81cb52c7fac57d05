package features

import (
	"cmp"
	"slices"
)

// Contours returns the outlines of the mask as lines through the middles of its outermost pixels, one polygon per
// 8-connected component, its holes kept apart: the form in which the reference implementation exports masks.
//
// Every pixel on the outline is a vertex, at its middle (x + 0.5, y + 0.5); thin parts are passed twice, there and back.
// Exteriors run counter-clockwise on screen from their first pixel in reading order, down first. Holes run clockwise, on the
// pixels around them, from the one left of the hole's first pixel. Polygons are in reverse reading order of their first
// pixels, and so are the holes of each. Components of fewer than three vertices, single pixels and pairs, are left
// out. Being half a pixel inside the mask, contours do not draw the same mask again; [RLE.Polygons] does.
//
// The error matches [ErrInvalid] for an invalid mask, one whose [RLE.Bounds] hold more than [MaxBitmapPixels], or one of
// more than 4 million vertices. The algorithm is the border following of Suzuki and Abe, "Topological structural analysis of digitized binary images by
// border following", 1985.
func (m RLE) Contours() ([]Polygon, error) {
	return m.trace((*canvas).contour, true)
}

// Polygons returns the outlines of the mask along the edges of its pixels, one polygon per 8-connected component, its
// holes kept apart. They draw exactly the same mask: the union of their [Polygon.RLE] is m.
//
// Coordinates are whole numbers, and only corners are vertices. Exteriors run clockwise on screen from the top left
// corner of their first pixel in reading order, holes counter-clockwise from the top left corner of the hole's first
// pixel. Parts that touch at a corner only share that vertex. Polygons are in reading order of their first pixels, and
// so are the holes of each.
//
// The error matches [ErrInvalid] for an invalid mask, one whose [RLE.Bounds] hold more than [MaxBitmapPixels], or one of
// more than 4 million vertices.
func (m RLE) Polygons() ([]Polygon, error) {
	return m.trace((*canvas).outline, false)
}

// canvas is the part of a mask inside its bounds, one byte per pixel, with a margin of one pixel outside the mask.
type canvas struct {
	pix        []byte
	stride     int
	left, top  int // pixel of the picture that pix[0] stands for
	segments   []segment
	components []int32 // see component
	vertices   int     // of all rings so far
}

// What a byte of the canvas says.
const (
	pixelSet byte = 1 << iota // inside the mask

	// For contours.
	pixelVisited   // on a contour
	pixelRightDone // on a contour that has seen the pixel to the right outside the mask

	// For outlines.
	topDone    // the edge above is part of an outline
	bottomDone // the edge below is part of an outline
)

// maxVertices bounds the memory for rings at 64 MiB: a mask of one long run can have a long contour.
const maxVertices = 1 << 22

// follow traces the ring that begins at a pixel in the mask, an exterior's first one or one beside a hole, or returns
// nil if none begins there that was not traced before.
type follow func(c *canvas, at int, hole bool) ([]float64, error)

// trace finds all rings in reading order, and gives each hole to its component.
func (m RLE) trace(ring follow, reverse bool) ([]Polygon, error) {
	c, err := newCanvas(m)
	if err != nil || c == nil {
		return nil, err
	}
	type start struct {
		at   int
		ring []float64
	}
	var exteriors, holes []start
	for at := c.stride; at < len(c.pix)-c.stride; at++ {
		if c.pix[at] == 0 || c.pix[at-1]&c.pix[at+1]&c.pix[at-c.stride]&c.pix[at+c.stride]&pixelSet != 0 {
			continue // outside, or inside on all sides: most pixels
		}
		exterior, err := ring(c, at, false)
		if err != nil {
			return nil, err
		}
		if exterior != nil {
			exteriors = append(exteriors, start{at, exterior})
		}
		hole, err := ring(c, at, true)
		if err != nil {
			return nil, err
		}
		if hole != nil {
			holes = append(holes, start{at, hole})
		}
	}
	if reverse {
		slices.Reverse(exteriors)
		slices.Reverse(holes)
	}
	polygons := make([]Polygon, len(exteriors))
	owner := make(map[int32]int, len(exteriors))
	for i, e := range exteriors {
		polygons[i].Exterior = e.ring
		if len(holes) > 0 {
			owner[c.component(e.at)] = i
		}
	}
	for _, h := range holes {
		p := &polygons[owner[c.component(h.at)]]
		p.Holes = append(p.Holes, h.ring)
	}
	return slices.DeleteFunc(polygons, func(p Polygon) bool { return len(p.Exterior) < 6 }), nil
}

// newCanvas returns the canvas of a mask, nil if the mask is empty.
func newCanvas(m RLE) (*canvas, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	b := m.Bounds()
	if b.Empty() {
		return nil, nil
	}
	w, h := b.Dx()+2, b.Dy()+2
	if n, err := countPixels(int64(h), int64(w)); err != nil || n > MaxBitmapPixels {
		return nil, invalid("RLE", "size", nil, "want a mask within at most %d pixels to outline, have %d x %d",
			MaxBitmapPixels, b.Dy(), b.Dx())
	}
	c := &canvas{pix: make([]byte, w*h), stride: w, left: b.Min.X - 1, top: b.Min.Y - 1}
	m.Counts = canonical(m.Counts) // so that segments of one column do not touch
	for s := range m.segments {
		c.segments = append(c.segments, s)
		for at := c.index(s.x, s.y0); s.y0 < s.y1; s.y0++ {
			c.pix[at] = pixelSet
			at += w
		}
	}
	return c, nil
}

func (c *canvas) index(x, y uint32) int { return (int(y)-c.top)*c.stride + int(x) - c.left }

func (c *canvas) position(at int) (x, y int) { return at%c.stride + c.left, at/c.stride + c.top }

// extend adds a vertex to a ring, at a distance right of and below the corner of a pixel.
func (c *canvas) extend(ring []float64, at int, distance float64) ([]float64, error) {
	if c.vertices++; c.vertices > maxVertices {
		return nil, invalid("RLE", "counts", nil, "want outlines of at most %d vertices", maxVertices)
	}
	x, y := c.position(at)
	return append(ring, float64(x)+distance, float64(y)+distance), nil
}

// component returns the number of the 8-connected component that a pixel belongs to. Pixels are looked up by their
// segments, which are numbered on the first call.
func (c *canvas) component(at int) int32 {
	if c.components == nil {
		c.connect()
	}
	x, y := c.position(at)
	i, found := slices.BinarySearchFunc(c.segments, segment{uint32(x), uint32(y), 0}, func(s, want segment) int {
		return cmp.Or(cmp.Compare(s.x, want.x), cmp.Compare(s.y0, want.y0))
	})
	if !found {
		i-- // the pixel is further down in the segment before
	}
	return c.root(int32(i))
}

// connect joins the segments of neighbouring columns that touch, corners included: components is a forest over the
// segments, whose trees are the components of the mask.
func (c *canvas) connect() {
	c.components = make([]int32, len(c.segments))
	for i := range c.components {
		c.components[i] = int32(i)
	}
	before := 0 // the first segment of the column to the left that may touch
	for i, s := range c.segments {
		for before < i && (c.segments[before].x+1 < s.x || c.segments[before].x+1 == s.x && c.segments[before].y1 < s.y0) {
			before++
		}
		for j := before; j < i && c.segments[j].x+1 == s.x && c.segments[j].y0 <= s.y1; j++ {
			a, b := c.root(int32(i)), c.root(int32(j))
			c.components[max(a, b)] = min(a, b)
		}
	}
}

// root returns the number of a segment's tree, and shortens the way to it.
func (c *canvas) root(i int32) int32 {
	for c.components[i] != i {
		c.components[i] = c.components[c.components[i]]
		i = c.components[i]
	}
	return i
}

// contour follows a border through the middles of pixels. The eight neighbours are numbered clockwise on screen from the
// one to the right.
func (c *canvas) contour(start int, hole bool) ([]float64, error) {
	w := c.stride
	neighbours := [8]int{1, w + 1, w, w - 1, -1, -w - 1, -w, -w + 1}
	const right, left = 0, 4
	outside, known := left, pixelVisited
	if hole {
		outside, known = right, pixelRightDone
	}
	if c.pix[start]&known != 0 || c.pix[start+neighbours[outside]]&pixelSet != 0 {
		return nil, nil
	}
	// The pixel before start on the ring: the first one found by turning clockwise from the outside.
	previous := -1
	for i := range 8 {
		if d := (outside + i) % 8; c.pix[start+neighbours[d]]&pixelSet != 0 {
			previous = d
			break
		}
	}
	if previous < 0 {
		c.pix[start] |= pixelVisited | pixelRightDone
		return c.extend(nil, start, .5)
	}
	var ring []float64
	at, from, end := start, previous, start+neighbours[previous]
	for {
		// The next pixel: the first one found by turning counter-clockwise from the last.
		c.pix[at] |= pixelVisited
		d := from
		for {
			d = (d + 7) % 8
			if c.pix[at+neighbours[d]]&pixelSet != 0 {
				break
			}
			if d == right {
				c.pix[at] |= pixelRightDone
			}
		}
		var err error
		if ring, err = c.extend(ring, at, .5); err != nil {
			return nil, err
		}
		next := at + neighbours[d]
		if next == start && at == end {
			return ring, nil
		}
		at, from = next, (d+4)%8
	}
}

// outline follows a border along the edges of pixels, the mask to its right. Corners are numbered like the pixels right
// of and below them. Directions are numbered clockwise on screen from the one to the right.
func (c *canvas) outline(start int, hole bool) ([]float64, error) {
	w := c.stride
	const right, down, left = 0, 1, 2
	corner, direction := start, right
	if hole {
		corner, direction = start+w, down // the hole's first pixel
		if c.pix[start]&bottomDone != 0 || c.pix[corner]&pixelSet != 0 {
			return nil, nil
		}
	} else if c.pix[start]&topDone != 0 || c.pix[start-w]&pixelSet != 0 {
		return nil, nil
	}
	step := [4]int{1, w, -1, -w}
	aheadLeft := [4]int{-w, 0, -1, -w - 1} // pixel from the corner, by direction
	aheadRight := [4]int{0, -1, -w - 1, -w}
	var ring []float64
	at, d := corner, direction
	for {
		var err error
		if ring, err = c.extend(ring, at, 0); err != nil {
			return nil, err
		}
		for turned := false; !turned; {
			switch d {
			case right:
				c.pix[at] |= topDone
			case left:
				c.pix[at-w-1] |= bottomDone
			}
			at += step[d]
			switch {
			case c.pix[at+aheadLeft[d]]&pixelSet != 0:
				d, turned = (d+3)%4, true
			case c.pix[at+aheadRight[d]]&pixelSet == 0:
				d, turned = (d+1)%4, true
			}
		}
		if at == corner && d == direction {
			return ring, nil
		}
	}
}
