package demo

import (
	"image"
	"image/color"
	"image/draw"
	"math"

	"golang.org/x/image/vector"
)

// point is a place in pixels, or in the units of whoever draws.
type point struct{ x, y float64 }

// path is a closed outline. Curved corners are given by rounded and ellipse, which make polygons fine enough for the eye.
type path []point

// canvas is a picture that knows, for each pixel, which thing is in front there.
type canvas struct {
	img    *image.RGBA
	ids    []uint8 // by pixel: the thing in front, 0 for the background
	raster *vector.Rasterizer

	// Where the paths of thing number id go, and how much of each pixel they cover so far; id 0 is the background.
	id       uint8
	coverage *image.Alpha
	mask     []uint8 // of one outline

	whole []int // by id: how many pixels the thing would have if nothing were in front of it

	// From the units of the thing that is drawn to pixels.
	scale, dx, dy float64
	flip          bool // it looks to the left
}

func newCanvas(width, height int) *canvas {
	return &canvas{
		img: image.NewRGBA(image.Rect(0, 0, width, height)), ids: make([]uint8, width*height),
		raster: vector.NewRasterizer(width, height), coverage: image.NewAlpha(image.Rect(0, 0, width, height)),
		mask: make([]uint8, width*height), whole: make([]int, 256), scale: 1,
	}
}

func (c *canvas) size() (width, height int) { return c.img.Rect.Dx(), c.img.Rect.Dy() }

// place puts the origin of what is drawn next, and gives its unit in pixels.
func (c *canvas) place(x, y, scale float64, flip bool) {
	c.dx, c.dy, c.scale, c.flip = x, y, scale, flip
}

// pixel gives the place of a point in the picture.
func (c *canvas) pixel(p point) point {
	x := p.x
	if c.flip {
		x = -x
	}
	return point{c.dx + x*c.scale, c.dy + p.y*c.scale}
}

// thing draws what is to be told from the rest. Where it covers at least half of a pixel, the pixel is its own.
func (c *canvas) thing(id uint8, draw func()) {
	c.id = id
	clear(c.coverage.Pix)
	draw()
	for i, covered := range c.coverage.Pix {
		if covered >= 128 {
			c.ids[i] = id
			c.whole[id]++
		}
	}
	c.id = 0
}

// fill paints an outline.
func (c *canvas) fill(colour color.Color, outline path) {
	if len(outline) < 3 {
		return
	}
	width, height := c.size()
	// The rasteriser costs by its size, so it gets the part that the outline is in.
	low, high := point{math.Inf(1), math.Inf(1)}, point{math.Inf(-1), math.Inf(-1)}
	pixels := make(path, len(outline))
	for i, p := range outline {
		p = c.pixel(p)
		pixels[i] = p
		low, high = point{min(low.x, p.x), min(low.y, p.y)}, point{max(high.x, p.x), max(high.y, p.y)}
	}
	part := image.Rect(int(math.Floor(low.x)), int(math.Floor(low.y)), int(math.Ceil(high.x)), int(math.Ceil(high.y))).
		Intersect(image.Rect(0, 0, width, height))
	if part.Empty() {
		return
	}
	c.raster.Reset(part.Dx(), part.Dy())
	for i, p := range pixels {
		x, y := float32(p.x-float64(part.Min.X)), float32(p.y-float64(part.Min.Y))
		if i == 0 {
			c.raster.MoveTo(x, y)
		} else {
			c.raster.LineTo(x, y)
		}
	}
	c.raster.ClosePath()
	// The rasteriser gives its picture once only, and two uses are made of it.
	mask := &image.Alpha{Pix: c.mask[:part.Dx()*part.Dy()], Stride: part.Dx(), Rect: part}
	clear(mask.Pix)
	c.raster.Draw(mask, part, image.Opaque, image.Point{})
	draw.DrawMask(c.img, part, image.NewUniform(colour), image.Point{}, mask, part.Min, draw.Over)
	if c.id != 0 {
		draw.Draw(c.coverage, part, mask, part.Min, draw.Over)
	}
}

// line paints a line of a width, with round ends, through points.
func (c *canvas) line(colour color.Color, width float64, through ...point) {
	for i, p := range through {
		c.fill(colour, ellipse(p, width/2, width/2))
		if i == 0 {
			continue
		}
		from := through[i-1]
		dx, dy := p.x-from.x, p.y-from.y
		length := math.Hypot(dx, dy)
		if length == 0 {
			continue
		}
		nx, ny := -dy/length*width/2, dx/length*width/2
		c.fill(colour, path{{from.x + nx, from.y + ny}, {p.x + nx, p.y + ny}, {p.x - nx, p.y - ny}, {from.x - nx, from.y - ny}})
	}
}

// ring paints the line around a circle.
func (c *canvas) ring(colour color.Color, centre point, radius, width float64) {
	outer, inner := ellipse(centre, radius+width/2, radius+width/2), ellipse(centre, radius-width/2, radius-width/2)
	for i := range outer {
		k := (i + 1) % len(outer)
		c.fill(colour, path{outer[i], outer[k], inner[k], inner[i]})
	}
}

func ellipse(centre point, rx, ry float64) path {
	const corners = 40
	p := make(path, corners)
	for i := range p {
		sin, cos := math.Sincos(2 * math.Pi * float64(i) / corners)
		p[i] = point{centre.x + rx*cos, centre.y + ry*sin}
	}
	return p
}

// rounded gives a polygon with its corners cut round: by the radius, or by half of the shorter side.
func rounded(radius float64, corners ...point) path {
	var p path
	for i, at := range corners {
		before, after := corners[(i+len(corners)-1)%len(corners)], corners[(i+1)%len(corners)]
		toward := func(to point) point {
			length := math.Hypot(to.x-at.x, to.y-at.y)
			if length == 0 {
				return at
			}
			t := min(radius, length/2) / length
			return point{at.x + (to.x-at.x)*t, at.y + (to.y-at.y)*t}
		}
		from, to := toward(before), toward(after)
		const steps = 6
		for s := range steps + 1 { // a quadratic curve around the corner
			t := float64(s) / steps
			p = append(p, point{
				(1-t)*(1-t)*from.x + 2*t*(1-t)*at.x + t*t*to.x,
				(1-t)*(1-t)*from.y + 2*t*(1-t)*at.y + t*t*to.y,
			})
		}
	}
	return p
}

// box gives a rectangle with round corners.
func box(x0, y0, x1, y1, radius float64) path {
	return rounded(radius, point{x0, y0}, point{x1, y0}, point{x1, y1}, point{x0, y1})
}

// mix blends two colours; t is the share of b.
func mix(a, b color.RGBA, t float64) color.RGBA {
	of := func(a, b uint8) uint8 { return uint8(math.Round(float64(a)*(1-t) + float64(b)*t)) }
	return color.RGBA{of(a.R, b.R), of(a.G, b.G), of(a.B, b.B), 255}
}

// see makes a colour let the picture through. alpha is in [0, 1].
func see(c color.RGBA, alpha float64) color.NRGBA {
	return color.NRGBA{c.R, c.G, c.B, uint8(math.Round(255 * alpha))}
}

func rgb(hex uint32) color.RGBA {
	return color.RGBA{uint8(hex >> 16), uint8(hex >> 8), uint8(hex), 255}
}
