package features

// boolOp says which pixels of two masks A and B belong to the result: bit 0 stands for pixels in neither, bit 1 for
// those in A only, bit 2 for those in B only, bit 3 for those in both.
type boolOp uint8

const (
	and    boolOp = 0b1000
	or     boolOp = 0b1110
	andNot boolOp = 0b0010
)

// combine returns the lengths of a combination of two masks of the same number of pixels. No length but the first is 0.
func combine(a, b []uint32, op boolOp) []uint32 {
	if len(a) == 0 || len(b) == 0 {
		return nil
	}
	out := make([]uint32, 0, max(len(a), len(b)))
	var (
		i, j       int                          // current runs
		endA, endB = uint64(a[0]), uint64(b[0]) // where they end
		in         uint8                        // bit 0: the current run is inside A; bit 1: inside B
		result     boolOp                       // bit 0: the current run is inside the result
		start, pos uint64                       // of the result's current run; of what is left
	)
	for {
		for endA == pos && i+1 < len(a) {
			i++
			endA += uint64(a[i])
			in ^= 1
		}
		for endB == pos && j+1 < len(b) {
			j++
			endB += uint64(b[j])
			in ^= 2
		}
		next := min(endA, endB)
		if next <= pos {
			break // the end of both
		}
		if now := op >> in & 1; now != result {
			out = append(out, uint32(pos-start))
			start, result = pos, now
		}
		pos = next
	}
	if pos == 0 {
		return nil
	}
	return append(out, uint32(pos-start))
}

// Union returns the mask of the pixels inside at least one of the masks; that of no masks is the zero value. All have
// to be valid and of one size, otherwise the error matches [ErrInvalid].
func Union(masks ...RLE) (RLE, error) { return combineAll(masks, or) }

// Intersection returns the mask of the pixels inside all of the masks; that of no masks is the zero value. All have to
// be valid and of one size, otherwise the error matches [ErrInvalid].
func Intersection(masks ...RLE) (RLE, error) { return combineAll(masks, and) }

// Difference returns the mask of the pixels inside a and outside b. Both have to be valid and of one size, otherwise
// the error matches [ErrInvalid].
func Difference(a, b RLE) (RLE, error) {
	if err := checkAll([]RLE{a, b}); err != nil {
		return RLE{}, err
	}
	return RLE{Height: a.Height, Width: a.Width, Counts: combine(a.Counts, b.Counts, andNot)}, nil
}

// combineAll combines neighbours until one is left: the cost stays near the sum of all lengths for many masks, where
// adding one after the other to a growing result would square it.
func combineAll(masks []RLE, op boolOp) (RLE, error) {
	if err := checkAll(masks); err != nil || len(masks) == 0 {
		return RLE{}, err
	}
	runs := make([][]uint32, len(masks))
	for i, m := range masks {
		runs[i] = m.Counts
	}
	if len(runs) == 1 {
		runs = append(runs, runs[0])
	}
	for len(runs) > 1 {
		half := runs[:0]
		for i := 0; i+1 < len(runs); i += 2 {
			half = append(half, combine(runs[i], runs[i+1], op))
		}
		if len(runs)%2 == 1 {
			half = append(half, runs[len(runs)-1])
		}
		runs = half
	}
	return RLE{Height: masks[0].Height, Width: masks[0].Width, Counts: runs[0]}, nil
}

func checkAll(masks []RLE) error {
	for _, m := range masks {
		if err := m.Validate(); err != nil {
			return err
		}
		if first := masks[0]; m.Height != first.Height || m.Width != first.Width {
			return invalid("RLE", "size", nil, "want masks of one size, have %d x %d and %d x %d",
				first.Height, first.Width, m.Height, m.Width)
		}
	}
	return nil
}

// IoU returns the intersection over union of two masks: the pixels inside both over those inside either, from 0 to 1,
// and 0 if they share none. If crowd is set, gt marks a region of many objects, and the result is the share of dt that
// lies in it: COCO's rule for annotations with iscrowd. Both masks have to be valid and of one size, otherwise the
// error matches [ErrInvalid].
func IoU(dt, gt RLE, crowd bool) (float64, error) {
	if err := checkAll([]RLE{dt, gt}); err != nil {
		return 0, err
	}
	if !dt.Bounds().Overlaps(gt.Bounds()) {
		return 0, nil
	}
	both := commonPixels(dt.Counts, gt.Counts)
	if both == 0 {
		return 0, nil
	}
	area := dt.Area()
	if !crowd {
		area += gt.Area() - both
	}
	return float64(both) / float64(area), nil
}

// commonPixels counts the pixels inside both of two masks of the same size.
func commonPixels(a, b []uint32) int {
	var both uint64
	ra, rb := inside{counts: a}, inside{counts: b}
	for okA, okB := ra.next(), rb.next(); okA && okB; {
		if lo, hi := max(ra.start, rb.start), min(ra.end, rb.end); lo < hi {
			both += hi - lo
		}
		if ra.end <= rb.end {
			okA = ra.next()
		} else {
			okB = rb.next()
		}
	}
	return int(both)
}

// inside walks the runs inside a mask.
type inside struct {
	counts     []uint32 // what is left
	start, end uint64   // of the current run, in column-major order
}

func (r *inside) next() bool {
	if len(r.counts) < 2 {
		return false
	}
	r.start = r.end + uint64(r.counts[0])
	r.end = r.start + uint64(r.counts[1])
	r.counts = r.counts[2:]
	return true
}
