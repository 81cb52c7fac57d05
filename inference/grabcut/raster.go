package grabcut

import (
	"image"
	"image/draw"
)

// raster is a picture of four bytes a pixel, red, green, blue and one that is not used.
type raster struct {
	w, h, stride int
	pix          []uint8
}

// rasterOf returns the pixels of img. Those of an RGBA image are shared.
func rasterOf(img image.Image) raster {
	rgba, ok := img.(*image.RGBA)
	if !ok {
		rgba = image.NewRGBA(image.Rectangle{Max: img.Bounds().Size()})
		draw.Draw(rgba, rgba.Rect, img, img.Bounds().Min, draw.Src)
	}
	return raster{rgba.Rect.Dx(), rgba.Rect.Dy(), rgba.Stride, rgba.Pix[rgba.PixOffset(rgba.Rect.Min.X, rgba.Rect.Min.Y):]}
}

// crop returns a part of the raster, which shares its memory.
func (r raster) crop(part image.Rectangle) raster {
	return raster{part.Dx(), part.Dy(), r.stride, r.pix[part.Min.Y*r.stride+4*part.Min.X:]}
}

// halve returns the raster in half the size: each pixel is the mean of four, or of fewer at an odd edge.
func (r raster) halve() raster {
	out := raster{(r.w + 1) / 2, (r.h + 1) / 2, 4 * ((r.w + 1) / 2), nil}
	out.pix = make([]uint8, out.h*out.stride)
	for y := range out.h {
		top := r.pix[2*y*r.stride:]
		bottom := r.pix[min(2*y+1, r.h-1)*r.stride:]
		row := out.pix[y*out.stride:]
		for x := range out.w {
			left, right := 8*x, min(8*x+4, 4*(r.w-1))
			for c := range 3 {
				sum := uint16(top[left+c]) + uint16(top[right+c]) + uint16(bottom[left+c]) + uint16(bottom[right+c])
				row[4*x+c] = uint8((sum + 2) / 4)
			}
		}
	}
	return out
}

// at returns where the pixel is in pix.
func (r raster) at(x, y int) int { return y*r.stride + 4*x }

// regions labels the 4-connected regions of pixels of one value and returns the label of each pixel, and for each region its
// number of pixels and whether it touches the edge.
func regions(mask []uint8, w, h int, value uint8) (labels []int32, areas []int, edge []bool) {
	labels = make([]int32, len(mask))
	for i := range labels {
		labels[i] = -1
	}
	var stack []int32
	for start := range mask {
		if mask[start] != value || labels[start] >= 0 {
			continue
		}
		label := int32(len(areas))
		area, touches := 0, false
		labels[start] = label
		stack = append(stack[:0], int32(start))
		for len(stack) > 0 {
			i := int(stack[len(stack)-1])
			stack = stack[:len(stack)-1]
			area++
			x, y := i%w, i/w
			touches = touches || x == 0 || y == 0 || x == w-1 || y == h-1
			for _, d := range [4]struct {
				step int
				ok   bool
			}{{-1, x > 0}, {1, x < w-1}, {-w, y > 0}, {w, y < h-1}} {
				if j := i + d.step; d.ok && mask[j] == value && labels[j] < 0 {
					labels[j] = label
					stack = append(stack, int32(j))
				}
			}
		}
		areas, edge = append(areas, area), append(edge, touches)
	}
	return labels, areas, edge
}

// bounds returns the smallest rectangle around the pixels that are set.
func bounds(mask []uint8, w, h int) image.Rectangle {
	r := image.Rect(w, h, 0, 0)
	r.Min, r.Max = image.Pt(w, h), image.Point{}
	for y := range h {
		row := mask[y*w : (y+1)*w]
		for x, v := range row {
			if v != 0 {
				r.Min.X, r.Max.X = min(r.Min.X, x), max(r.Max.X, x+1)
				r.Min.Y, r.Max.Y = min(r.Min.Y, y), max(r.Max.Y, y+1)
			}
		}
	}
	if r.Empty() {
		return image.Rectangle{}
	}
	return r
}

// inflate adds a part of the size of a rectangle, and so many pixels, to each side.
func inflate(r image.Rectangle, part float64, pixels int) image.Rectangle {
	dx, dy := int(part*float64(r.Dx()))+pixels, int(part*float64(r.Dy()))+pixels
	return image.Rect(r.Min.X-dx, r.Min.Y-dy, r.Max.X+dx, r.Max.Y+dy)
}
