package onnx

import (
	"image"
	"image/color"
	"image/draw"
	"math"
)

// fit is how a picture is brought to the size of a model's input.
type fit int

const (
	fitStretch   fit = iota // both sides as they come
	fitCrop                 // the shorter side fits, the middle of the longer one is taken
	fitCorner               // the longer side fits, what is missing on the right or at the bottom is filled
	fitLetterbox            // the longer side fits, what is missing is filled on both sides
)

// filter is how pixels are weighted when the size changes. Where it shrinks, the filter widens, as Pillow does.
type filter struct {
	support float64 // in pixels
	weight  func(x float64) float64
}

var (
	bilinear = filter{1, func(x float64) float64 { return max(0, 1-math.Abs(x)) }}
	bicubic  = filter{2, func(x float64) float64 { // of Pillow: a = -0.5
		const a = -0.5
		switch x = math.Abs(x); {
		case x < 1:
			return ((a+2)*x-(a+3))*x*x + 1
		case x < 2:
			return (((x-5)*x+8)*x - 4) * a
		}
		return 0
	}}
)

// preparation says how a model wants its pictures.
type preparation struct {
	width, height int // of the input
	fit           fit
	filter        filter
	mean, std     [3]float32 // of red, green and blue, in the range 0 to 255
	fill          float32    // of what is missing, in the input's own range
}

// view says where a picture lies in a model's input: a pixel x of the picture is at x*scaleX + left.
type view struct {
	picture        image.Point // size of the picture
	scaleX, scaleY float64
	left, top      float64
	width, height  int // of the scaled picture
}

// place computes where a picture of a size comes to lie.
func (p *preparation) place(size image.Point) view {
	v := view{picture: size, width: p.width, height: p.height}
	sx, sy := float64(p.width)/float64(size.X), float64(p.height)/float64(size.Y)
	scaled := func(n int, scale float64, round float64) int { return max(1, int(float64(n)*scale+round)) }
	switch p.fit {
	case fitCrop:
		// Whole numbers: 224/1080*1920 must not become 397.99.
		if sx > sy {
			v.height = max(p.height, size.Y*p.width/size.X)
		} else {
			v.width = max(p.width, size.X*p.height/size.Y)
		}
		v.left, v.top = -math.Round(float64(v.width-p.width)/2), -math.Round(float64(v.height-p.height)/2)
	case fitCorner, fitLetterbox:
		scale := min(sx, sy)
		v.width, v.height = min(p.width, scaled(size.X, scale, 0.5)), min(p.height, scaled(size.Y, scale, 0.5))
		if p.fit == fitLetterbox {
			v.left, v.top = float64((p.width-v.width)/2), float64((p.height-v.height)/2)
		}
	}
	v.scaleX, v.scaleY = float64(v.width)/float64(size.X), float64(v.height)/float64(size.Y)
	return v
}

// back turns a point of the model's input into one of the picture.
func (v view) back(x, y float64) (float64, float64) {
	return (x - v.left) / v.scaleX, (y - v.top) / v.scaleY
}

// prepare writes a picture as red, green and blue planes of p.height rows into dst, and says where it lies there.
func (p *preparation) prepare(img image.Image, dst []float32) view {
	v := p.place(img.Bounds().Size())
	area := p.width * p.height
	dst = dst[:3*area]
	// The part of the scaled picture that is in the input, in the scaled picture's coordinates.
	x0, y0 := max(0, int(-v.left)), max(0, int(-v.top))
	x1, y1 := min(v.width, x0+p.width), min(v.height, y0+p.height)
	at := max(0, int(v.top))*p.width + max(0, int(v.left))
	if x1-x0 < p.width || y1-y0 < p.height {
		for i := range dst {
			dst[i] = p.fill
		}
	}
	planes, luma := planesOf(img)
	var rows [3][]float32
	for c, src := range planes {
		rows[c] = src.resample(p.filter, v.width, v.height, image.Rect(x0, y0, x1, y1))
	}
	var factor, offset [3]float32
	for c := range 3 {
		factor[c] = 1 / p.std[c]
		offset[c] = -p.mean[c] / p.std[c]
	}
	w := x1 - x0
	for y := range y1 - y0 {
		a, b, c := rows[0][y*w:][:w], rows[1][y*w:][:w], rows[2][y*w:][:w]
		o := at + y*p.width
		red, green, blue := dst[o:][:w], dst[area+o:][:w], dst[2*area+o:][:w]
		if luma {
			for x := range a {
				yy, cb, cr := a[x], b[x]-128, c[x]-128
				red[x] = clamp(yy+1.402*cr)*factor[0] + offset[0]
				green[x] = clamp(yy-0.344136*cb-0.714136*cr)*factor[1] + offset[1]
				blue[x] = clamp(yy+1.772*cb)*factor[2] + offset[2]
			}
			continue
		}
		for x := range a {
			red[x] = clamp(a[x])*factor[0] + offset[0]
			green[x] = clamp(b[x])*factor[1] + offset[1]
			blue[x] = clamp(c[x])*factor[2] + offset[2]
		}
	}
	return v
}

// clamp keeps a value in the range of a pixel, which a bicubic filter leaves beside edges.
func clamp(x float32) float32 {
	if x < 0 { // rarely; the built-in min and max take thrice the time
		return 0
	}
	if x > 255 {
		return 255
	}
	return x
}

// plane is one channel of a picture: the pixel x, y is at pix[y*stride+x*step].
type plane struct {
	pix           []uint8
	width, height int
	stride, step  int
}

// planesOf returns the planes of a picture: red, green and blue, or luma and the two chromas, which may be smaller.
func planesOf(img image.Image) (planes [3]plane, luma bool) {
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	switch m := img.(type) {
	case *image.YCbCr:
		return planesOfYCbCr(m), true
	case *image.NYCbCrA:
		return planesOfYCbCr(&m.YCbCr), true
	case *image.Gray:
		p := plane{m.Pix[m.PixOffset(b.Min.X, b.Min.Y):], w, h, m.Stride, 1}
		return [3]plane{p, p, p}, false
	case *image.NRGBA:
		return interleaved(m.Pix[m.PixOffset(b.Min.X, b.Min.Y):], w, h, m.Stride), false
	case *image.RGBA:
		if m.Opaque() {
			return interleaved(m.Pix[m.PixOffset(b.Min.X, b.Min.Y):], w, h, m.Stride), false
		}
	}
	n := image.NewNRGBA(image.Rect(0, 0, w, h))
	if p, ok := img.(*image.Paletted); ok {
		palette := make([]color.NRGBA, len(p.Palette))
		for i, c := range p.Palette {
			palette[i] = color.NRGBAModel.Convert(c).(color.NRGBA)
		}
		for y := range h {
			for x := range w {
				n.SetNRGBA(x, y, palette[p.ColorIndexAt(b.Min.X+x, b.Min.Y+y)])
			}
		}
	} else {
		draw.Draw(n, n.Rect, img, b.Min, draw.Src)
	}
	return interleaved(n.Pix, w, h, n.Stride), false
}

func interleaved(pix []uint8, w, h, stride int) (planes [3]plane) {
	for c := range 3 {
		planes[c] = plane{pix[c:], w, h, stride, 4}
	}
	return planes
}

func planesOfYCbCr(m *image.YCbCr) [3]plane {
	b := m.Bounds()
	c := m.COffset(b.Min.X, b.Min.Y)
	last := m.COffset(b.Max.X-1, b.Max.Y-1) - c // the last chroma sample's place
	w, h := last%m.CStride+1, last/m.CStride+1
	return [3]plane{
		{m.Y[m.YOffset(b.Min.X, b.Min.Y):], b.Dx(), b.Dy(), m.YStride, 1},
		{m.Cb[c:], w, h, m.CStride, 1},
		{m.Cr[c:], w, h, m.CStride, 1},
	}
}

// taps are the weights of the source pixels of each target pixel along one axis.
type taps struct {
	first   []int32   // of the source pixels
	weights []float32 // n for each
	n       int       // a multiple of 4 where the source has as many pixels, since loops take 4 at a time
}

// tapsFor computes the taps for the target pixels from..to of an axis that is scaled from src to dst pixels.
func tapsFor(f filter, src, dst, from, to int) taps {
	scale := float64(src) / float64(dst)
	widen := max(1, scale)
	support := f.support * widen
	bounds := func(i int) (centre float64, lo, hi int) {
		centre = (float64(i) + 0.5) * scale
		return centre, max(0, int(centre-support+0.5)), min(src, int(centre+support+0.5))
	}
	var t taps
	for i := from; i < to; i++ {
		_, lo, hi := bounds(i)
		t.n = max(t.n, hi-lo)
	}
	t.n = min(src, (t.n+3)/4*4)
	for i := from; i < to; i++ {
		centre, lo, hi := bounds(i)
		first := min(lo, src-t.n)
		w := make([]float32, t.n)
		var sum float64
		for k := lo; k < hi; k++ {
			x := f.weight((float64(k) - centre + 0.5) / widen)
			w[k-first] = float32(x)
			sum += x
		}
		for k := range w {
			w[k] /= float32(sum)
		}
		t.first = append(t.first, int32(first))
		t.weights = append(t.weights, w...)
	}
	return t
}

// resample scales the plane to width by height pixels and returns the part in the rectangle r of that, row by row.
func (p plane) resample(f filter, width, height int, r image.Rectangle) []float32 {
	across := tapsFor(f, p.width, width, r.Min.X, r.Max.X)
	down := tapsFor(f, p.height, height, r.Min.Y, r.Max.Y)
	w := r.Dx()
	out := make([]float32, w*r.Dy())
	// Source rows are scaled across when they are first wanted, and kept as long as a target row needs them.
	window := make([]float32, down.n*w)
	row := make([]float32, p.width)
	next := 0 // the first source row that was not scaled yet
	for y := range r.Dy() {
		first := int(down.first[y])
		next = max(next, first)
		for ; next < first+down.n; next++ {
			line := p.pix[next*p.stride:]
			if p.step == 1 {
				for x, v := range line[:p.width] {
					row[x] = float32(v)
				}
			} else {
				for x := range row {
					row[x] = float32(line[x*p.step])
				}
			}
			across.apply(row, window[next%down.n*w:][:w])
		}
		kept := func(k int) []float32 { return window[(first+k)%down.n*w:][:w] }
		target := out[y*w:][:w]
		weights := down.weights[y*down.n:][:down.n]
		k := 0
		for ; k+4 <= len(weights); k += 4 {
			w0, w1, w2, w3 := weights[k], weights[k+1], weights[k+2], weights[k+3]
			a, b, c, d := kept(k), kept(k+1), kept(k+2), kept(k+3)
			switch {
			case k == 0 && w2 == 0 && w3 == 0:
				for x := range target {
					target[x] = w0*a[x] + w1*b[x]
				}
			case k == 0:
				for x := range target {
					target[x] = w0*a[x] + w1*b[x] + w2*c[x] + w3*d[x]
				}
			default:
				for x := range target {
					target[x] += w0*a[x] + w1*b[x] + w2*c[x] + w3*d[x]
				}
			}
		}
		for ; k < len(weights); k++ {
			for x, v := range kept(k) {
				target[x] += weights[k] * v
			}
		}
	}
	return out
}

// apply computes a row from a source row.
func (t taps) apply(src, dst []float32) {
	dst = dst[:len(t.first)]
	if t.n == 4 {
		for i, first := range t.first {
			w, s := t.weights[4*i:][:4], src[first:][:4]
			dst[i] = w[0]*s[0] + w[1]*s[1] + w[2]*s[2] + w[3]*s[3]
		}
		return
	}
	for i, first := range t.first {
		w := t.weights[i*t.n:][:t.n]
		s := src[first:][:len(w)]
		var sum float32
		for len(w) >= 4 && len(s) >= 4 {
			sum += w[0]*s[0] + w[1]*s[1] + w[2]*s[2] + w[3]*s[3]
			w, s = w[4:], s[4:]
		}
		for k, weight := range w {
			sum += weight * s[k]
		}
		dst[i] = sum
	}
}
