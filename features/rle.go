package features

import (
	"encoding/json"
	"fmt"
	"image"
	"math"
	"math/bits"
	"slices"
)

// RLE is a mask of pixels as run lengths, the way COCO stores masks.
//
// The pixels are taken in column-major order: down each column, columns from left to right. Counts holds the lengths
// of the runs of equal pixels in that order, alternately outside and inside the mask, outside first; so the first
// length is 0 if the first pixel is inside. The lengths add up to Height times Width, which is at most [MaxPixels].
// Lengths of 0 at later places are allowed; no function here makes them. The zero value is the empty mask of the
// empty picture.
//
// Masks are values: no function here changes Counts, and results share them with no argument.
//
// [ParseRLE] and [RLE.Compressed] translate from and to the stored form, JSON from and to COCO's. See
// https://github.com/cocodataset/cocoapi (maskApi.h).
type RLE struct {
	Height, Width int // of the picture, in pixels
	Counts        []uint32
}

// MaxPixels is the largest picture that a mask can have, 2^32 - 1 pixels, since COCO counts in 32 bits.
const MaxPixels = math.MaxUint32

// The characters of compressed counts are six bits above '0': five of the number, and one that says whether more
// follow.
const (
	charBase  = '0'
	charMore  = 0x20
	charSign  = 0x10
	charBits  = 5
	charMask  = 1<<charBits - 1
	charCount = 64
	// maxChars are as many as a difference of two 32-bit lengths can have.
	maxChars = 7
)

// ParseRLE reads a mask in its stored form: size is [height, width], counts is COCO's compressed text. A size of
// [0, 0] with no counts is the empty mask.
//
// Memory is bounded by four bytes per byte of counts, whatever lengths they claim. The error matches [ErrInvalid]
// where the size has not two parts, the text is not COCO's, or the lengths do not add up to the size.
func ParseRLE(size []int64, counts []byte) (RLE, error) {
	if len(size) != 2 {
		return RLE{}, invalid("RLE", "size", len(size), "want 2 numbers, height and width")
	}
	want, err := countPixels(size[0], size[1])
	if err != nil {
		return RLE{}, err
	}
	m := RLE{Height: int(size[0]), Width: int(size[1])}
	if len(counts) == 0 && want == 0 {
		return m, nil
	}
	runs := make([]uint32, 0, countRuns(counts))
	var total int64
	for i := 0; i < len(counts); {
		start := i
		var x int64
		for shift := 0; ; {
			if i == len(counts) {
				return RLE{}, invalid("RLE", "counts", nil, "want a whole last number, it begins at byte %d", start)
			}
			c := counts[i] - charBase // wraps around below charBase
			if c >= charCount {
				return RLE{}, invalid("RLE", "counts", string(counts[i:i+1]), "want characters from '0' to 'o' at byte %d", i)
			}
			i++
			x |= int64(c&charMask) << shift
			shift += charBits
			if c&charMore == 0 {
				if c&charSign != 0 {
					x |= -1 << shift
				}
				break
			}
			if i-start == maxChars {
				return RLE{}, invalid("RLE", "counts", nil, "want numbers of at most %d characters, one begins at byte %d", maxChars, start)
			}
		}
		// From the fourth on, lengths are stored as the difference to the last one of the same kind.
		if n := len(runs); n > 2 {
			x += int64(runs[n-2])
		}
		if x < 0 {
			return RLE{}, invalid("RLE", "counts", x, "want lengths of at least 0 at byte %d", start)
		}
		if total += x; total > want {
			return RLE{}, errSum(m.Height, m.Width, total, "at least ")
		}
		runs = append(runs, uint32(x))
	}
	if total != want {
		return RLE{}, errSum(m.Height, m.Width, total, "")
	}
	m.Counts = runs
	return m, nil
}

// countRuns counts the numbers in compressed counts by their last characters, which are below 'P'.
func countRuns(counts []byte) int {
	n := 0
	for _, c := range counts {
		n += int(^(c + 0x30) >> 7)
	}
	return n
}

func errSum(height, width int, total int64, least string) error {
	return invalid("RLE", "counts", nil, "want lengths that add up to %d x %d pixels, have %s%d", height, width, least, total)
}

// countPixels checks a size and multiplies it.
func countPixels(height, width int64) (int64, error) {
	if height < 0 || width < 0 {
		return 0, invalid("RLE", "size", fmt.Sprint([2]int64{height, width}), "want a height and a width of at least 0")
	}
	hi, n := bits.Mul64(uint64(height), uint64(width))
	if hi != 0 || n > MaxPixels || max(height, width) > math.MaxInt {
		return 0, invalid("RLE", "size", fmt.Sprint([2]int64{height, width}), "want at most %d pixels", int64(MaxPixels))
	}
	return int64(n), nil
}

// Compressed returns the stored form of the mask: its size as [height, width], and COCO's compressed text of the
// lengths, in ASCII. The text of no lengths is empty.
func (m RLE) Compressed() (size []int64, counts []byte) {
	counts = make([]byte, 0, 2*len(m.Counts)) // lengths along an outline differ little: one character, seldom two
	for i, c := range m.Counts {
		x := int64(c)
		if i > 2 {
			x -= int64(m.Counts[i-2])
		}
		for {
			b := byte(x & charMask)
			x >>= charBits
			if sign := b&charSign != 0; x == 0 && !sign || x == -1 && sign {
				counts = append(counts, b+charBase)
				break
			}
			counts = append(counts, b|charMore+charBase)
		}
	}
	return m.Size(), counts
}

// Size returns [height, width], as it is stored.
func (m RLE) Size() []int64 { return []int64{int64(m.Height), int64(m.Width)} }

// Validate checks that the size is possible and that the lengths add up to it.
func (m RLE) Validate() error {
	want, err := countPixels(int64(m.Height), int64(m.Width))
	if err != nil {
		return err
	}
	var total int64
	for _, c := range m.Counts {
		total += int64(c)
	}
	if total != want {
		return errSum(m.Height, m.Width, total, "")
	}
	return nil
}

// Area returns the number of pixels inside the mask.
func (m RLE) Area() int {
	var area uint64
	for i := 1; i < len(m.Counts); i += 2 {
		area += uint64(m.Counts[i])
	}
	return int(area)
}

// Bounds returns the smallest rectangle that holds all pixels inside the mask, in pixels from the top left; the pixels
// in the column and row of Max are outside. It is the zero rectangle if the mask is empty.
func (m RLE) Bounds() image.Rectangle {
	if m.Height <= 0 || int64(m.Height) > MaxPixels { // nothing is inside, or m is not valid
		return image.Rectangle{}
	}
	// Offsets of pixels fit 32 bits, whose divisions are the cost here.
	h := uint32(m.Height)
	xs, ys, xe, ye := uint32(math.MaxUint32), uint32(math.MaxUint32), uint32(0), uint32(0)
	for r := (inside{counts: m.Counts}); r.next(); {
		if r.start == r.end {
			continue
		}
		first, last := uint32(r.start), uint32(r.end-1)
		x0, y0 := first/h, first%h
		x1, y1 := x0, y0+(last-first)
		if y1 >= h { // the run reaches a column's foot and the next one's head
			x1, y0, y1 = last/h, 0, h-1
		}
		xs, ys, xe, ye = min(xs, x0), min(ys, y0), max(xe, x1+1), max(ye, y1+1)
	}
	if xe == 0 {
		return image.Rectangle{}
	}
	return image.Rect(int(xs), int(ys), int(xe), int(ye))
}

// BBox returns [RLE.Bounds] as the coordinates of a box in the format [FormatXYWH], as fractions of the picture's
// size. An empty mask has none: the error matches [ErrInvalid].
func (m RLE) BBox() ([]float64, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	b := m.Bounds()
	if b.Empty() {
		return nil, invalid("RLE", "counts", nil, "want a pixel inside the mask, an empty mask has no box")
	}
	w, h := float64(m.Width), float64(m.Height)
	return []float64{float64(b.Min.X) / w, float64(b.Min.Y) / h, float64(b.Dx()) / w, float64(b.Dy()) / h}, nil
}

// MarshalJSON writes COCO's compressed form, {"size": [height, width], "counts": "…"}. The error is that of
// [RLE.Validate].
func (m RLE) MarshalJSON() ([]byte, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	size, counts := m.Compressed()
	return json.Marshal(struct {
		Size   []int64 `json:"size"`
		Counts string  `json:"counts"`
	}{size, string(counts)})
}

// UnmarshalJSON reads both of COCO's forms: counts may be the compressed text, or the list of lengths. Other keys are
// ignored. Errors in the mask match [ErrInvalid].
func (m *RLE) UnmarshalJSON(data []byte) error {
	var v struct {
		Size   []int64         `json:"size"`
		Counts json.RawMessage `json:"counts"`
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return invalid("RLE", "", nil, "want an object with size and counts: %v", err)
	}
	var text string
	if json.Unmarshal(v.Counts, &text) == nil && v.Counts[0] == '"' {
		parsed, err := ParseRLE(v.Size, []byte(text))
		if err != nil {
			return err
		}
		*m = parsed
		return nil
	}
	var runs []uint32
	if err := json.Unmarshal(v.Counts, &runs); err != nil || runs == nil {
		return invalid("RLE", "counts", nil, "want a text, or a list of whole numbers from 0 to %d", int64(MaxPixels))
	}
	if len(v.Size) != 2 {
		return invalid("RLE", "size", len(v.Size), "want 2 numbers, height and width")
	}
	if _, err := countPixels(v.Size[0], v.Size[1]); err != nil {
		return err
	}
	parsed := RLE{Height: int(v.Size[0]), Width: int(v.Size[1]), Counts: runs}
	if err := parsed.Validate(); err != nil {
		return err
	}
	*m = parsed
	return nil
}

// Equal reports whether both masks are of the same size and hold the same pixels, however their lengths are cut. Both
// have to be valid.
func (m RLE) Equal(other RLE) bool {
	return m.Height == other.Height && m.Width == other.Width && slices.Equal(canonical(m.Counts), canonical(other.Counts))
}

// canonical returns the lengths of the same mask with no zero but the first, and nil for no pixels.
func canonical(counts []uint32) []uint32 {
	if len(counts) > 0 && !slices.Contains(counts[1:], 0) && (len(counts) > 1 || counts[0] > 0) {
		return counts
	}
	return combine(counts, counts, or)
}
