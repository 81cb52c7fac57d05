package features

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
)

// MaxBitmapPixels bounds what [RLE.Bitmap], [RLE.Image], [RLE.Contours] and [RLE.Polygons] allocate for a mask of few
// bytes that claims to be large: 2^28 pixels, a byte each. [RLE.DrawBitmap] has no bound.
const MaxBitmapPixels = 1 << 28

// RLEFromBitmap returns the mask of the pixels that are not 0 in pix, one byte per pixel, row after row from the top
// left. The error matches [ErrInvalid] where pix has not height times width bytes.
func RLEFromBitmap(height, width int, pix []byte) (RLE, error) {
	n, err := countPixels(int64(height), int64(width))
	if err != nil {
		return RLE{}, err
	}
	if int64(len(pix)) != n {
		return RLE{}, invalid("bitmap", "", len(pix), "want %d bytes for %d x %d pixels", n, height, width)
	}
	return RLE{Height: height, Width: width, Counts: runsOfBitmap(height, width, width, pix)}, nil
}

// RLEFromImage returns the mask of the pixels of img that are neither black nor fully transparent: those that are not
// 0 in an [image.Gray], [image.Alpha] or a palette that begins with black.
func RLEFromImage(img image.Image) (RLE, error) {
	b := img.Bounds()
	n, err := countPixels(int64(b.Dy()), int64(b.Dx()))
	if err != nil {
		return RLE{}, err
	}
	m := RLE{Height: b.Dy(), Width: b.Dx()}
	if n == 0 {
		return m, nil
	}
	switch img := img.(type) {
	case *image.Gray:
		m.Counts = runsOfBitmap(m.Height, m.Width, img.Stride, img.Pix[img.PixOffset(b.Min.X, b.Min.Y):])
	case *image.Alpha:
		m.Counts = runsOfBitmap(m.Height, m.Width, img.Stride, img.Pix[img.PixOffset(b.Min.X, b.Min.Y):])
	default:
		pix := make([]byte, 0, n)
		for y := b.Min.Y; y < b.Max.Y; y++ {
			for x := b.Min.X; x < b.Max.X; x++ {
				pix = append(pix, isSet(img.At(x, y)))
			}
		}
		m.Counts = runsOfBitmap(m.Height, m.Width, m.Width, pix)
	}
	return m, nil
}

func isSet(c color.Color) byte {
	if r, g, b, _ := c.RGBA(); r|g|b != 0 { // the colours are 0 where alpha is
		return 1
	}
	return 0
}

// runsOfBitmap finds the pixels that differ from the one above, row by row since that is how memory is laid out and
// in stretches since most do not, and sorts them into columns.
func runsOfBitmap(height, width, stride int, pix []byte) []uint32 {
	if height == 0 || width == 0 {
		return nil
	}
	type point struct{ x, y uint32 }
	var changes []point
	perColumn := make([]uint32, width+1) // changes in the columns to the left
	for y := 1; y < height; y++ {
		row := pix[y*stride:][:width]
		above := pix[(y-1)*stride:][:width]
		for x := 0; x < width; {
			end := min(x+64, width)
			if bytes.Equal(row[x:end], above[x:end]) {
				x = end
				continue
			}
			for ; x < end; x++ {
				if (row[x] != 0) != (above[x] != 0) {
					changes = append(changes, point{uint32(x), uint32(y)})
					perColumn[x+1]++
				}
			}
		}
	}
	for x := range width {
		perColumn[x+1] += perColumn[x]
	}
	sorted := make([]uint32, len(changes)) // rows of the changes, by column and from top to bottom in each
	next := perColumn[:width:width]
	for _, c := range changes {
		sorted[next[c.x]] = c.y
		next[c.x]++ // ends as the start of the column to the right
	}

	counts := make([]uint32, 0, len(changes)+1)
	last, start, in := uint64(0), uint32(0), false // last is where the current run began
	toggle := func(pos uint64) {
		counts = append(counts, uint32(pos-last))
		last, in = pos, !in
	}
	for x := range width {
		head := uint64(x) * uint64(height)
		if (pix[x] != 0) != in {
			toggle(head)
		}
		for _, y := range sorted[start:next[x]] {
			toggle(head + uint64(y))
		}
		start = next[x]
	}
	return append(counts, uint32(uint64(height)*uint64(width)-last))
}

// Bitmap returns the mask as one byte per pixel, 1 inside and 0 outside, row after row from the top left. The error
// matches [ErrInvalid] for an invalid mask, or one of more than [MaxBitmapPixels].
func (m RLE) Bitmap() ([]byte, error) {
	if err := m.checkBitmap(); err != nil {
		return nil, err
	}
	pix := make([]byte, m.Height*m.Width)
	m.draw(pix, 1)
	return pix, nil
}

// DrawBitmap writes what [RLE.Bitmap] returns into pix, whatever its size. The error matches [ErrInvalid] for an
// invalid mask, or where pix has not height times width bytes.
func (m RLE) DrawBitmap(pix []byte) error {
	if err := m.Validate(); err != nil {
		return err
	}
	if len(pix) != m.Height*m.Width {
		return invalid("bitmap", "", len(pix), "want %d bytes for %d x %d pixels", m.Height*m.Width, m.Height, m.Width)
	}
	m.draw(pix, 1)
	return nil
}

// Image returns the mask as an image, opaque inside and transparent outside, to draw a colour through. The error
// matches [ErrInvalid] for an invalid mask, or one of more than [MaxBitmapPixels].
func (m RLE) Image() (*image.Alpha, error) {
	if err := m.checkBitmap(); err != nil {
		return nil, err
	}
	img := image.NewAlpha(image.Rect(0, 0, m.Width, m.Height))
	m.draw(img.Pix, 0xff)
	return img, nil
}

// PNG draws the mask as a picture, white on black, for display in a notebook. It is nil for a mask without pixels and where
// [RLE.Image] gives an error.
func (m RLE) PNG() []byte {
	alpha, err := m.Image()
	if err != nil || alpha.Rect.Empty() {
		return nil
	}
	var buf bytes.Buffer
	if err := png.Encode(&buf, &image.Gray{Pix: alpha.Pix, Stride: alpha.Stride, Rect: alpha.Rect}); err != nil {
		return nil
	}
	return buf.Bytes()
}

func (m RLE) checkBitmap() error {
	if err := m.Validate(); err != nil {
		return err
	}
	if n := m.Height * m.Width; n > MaxBitmapPixels {
		return invalid("RLE", "size", n, "want at most %d pixels for a bitmap", MaxBitmapPixels)
	}
	return nil
}

// draw writes every pixel of a valid mask, as value inside and 0 outside. Each row begins as a copy of the one above,
// whose pixels change where a run begins or ends: the mirror of runsOfBitmap. In narrow pictures that would cost more
// memory than the pixels, and a column's pixels are near each other anyway.
func (m RLE) draw(pix []byte, value byte) {
	h, w := m.Height, m.Width
	if h == 0 || w == 0 {
		return
	}
	if w < 16 {
		clear(pix)
		for s := range m.segments {
			for y := s.y0; y < s.y1; y++ {
				pix[int(y)*w+int(s.x)] = value
			}
		}
		return
	}
	perRow := make([]uint32, h+1)
	changes := make([]uint32, 0, len(m.Counts)) // offsets in column-major order of the pixels that differ from the one above
	clear(pix[:w])
	for r := (inside{counts: m.Counts}); r.next(); {
		if r.start == r.end {
			continue
		}
		for x := (r.start + uint64(h) - 1) / uint64(h); x*uint64(h) < r.end; x++ {
			pix[x] = value
		}
		for _, pos := range [2]uint64{r.start, r.end} {
			if y := pos % uint64(h); y != 0 {
				changes = append(changes, uint32(pos))
				perRow[y]++
			}
		}
	}
	for y := range h {
		perRow[y+1] += perRow[y]
	}
	sorted := make([]uint32, len(changes)) // columns of the changes, by row
	for _, pos := range changes {
		y := pos % uint32(h)
		perRow[y]--
		sorted[perRow[y]] = pos / uint32(h)
	}
	for y := 1; y < h; y++ {
		row := pix[y*w:][:w]
		copy(row, pix[(y-1)*w:][:w])
		for _, x := range sorted[perRow[y]:perRow[y+1]] {
			row[x] ^= value
		}
	}
}

// segment is a piece of a column inside a mask: the rows from y0 to y1, y1 not included.
type segment struct{ x, y0, y1 uint32 }

// segments yields the runs inside a valid mask, cut at the columns' ends.
func (m RLE) segments(yield func(segment) bool) {
	h := uint64(m.Height)
	for r := (inside{counts: m.Counts}); r.next(); {
		for pos := r.start; pos < r.end; {
			x := pos / h
			end := min(r.end, (x+1)*h)
			if !yield(segment{uint32(x), uint32(pos - x*h), uint32(end - x*h)}) {
				return
			}
			pos = end
		}
	}
}
