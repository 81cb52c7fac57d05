package schema

import (
	"slices"

	"pixano/features"
)

// NoConfidence is the confidence of a box that no model predicted.
const NoConfidence = -1

// BBox is an axis-aligned box around an object in one view.
//
// Coords holds four numbers in the order Format names: "xyxy" is left, top, right, bottom; "xywh" is left, top,
// width, height (COCO's order). They are pixels from the top left, or fractions of the view's size if IsNormalized; they
// are not negative, and at most 1 if IsNormalized. Confidence is in [0, 1], or -1 for a box no model predicted;
// [NewBBox] sets -1, and the zero value is a confidence of zero.
//
// Stored as the columns of [Annotation], list<double>, string, bool, double. See https://cocodataset.org/#format-data.
type BBox struct {
	Annotation
	Coords       []float64
	Format       string
	IsNormalized bool
	Confidence   float64 `pixano:",optional"`
}

// NewBBox returns a box without coordinates whose confidence is -1, none.
func NewBBox(id string) BBox {
	return BBox{Annotation: Annotation{ID: id}, Confidence: NoConfidence}
}

// BBox3D is a box in space.
//
// Coords holds six numbers in the order Format names: "xyzxyz" is two opposite corners, "xyzwhd" one corner and the
// extent. Their unit is the calibration's, or fractions if IsNormalized; they are not negative, and at most 1 if
// IsNormalized. Heading holds the box's angles, any number of them. Confidence is as in [BBox].
//
// Stored as the columns of [Annotation], list<double>, string, list<double>, bool, double.
type BBox3D struct {
	Annotation
	Coords       []float64
	Format       string
	Heading      []float64
	IsNormalized bool
	Confidence   float64 `pixano:",optional"`
}

// NewBBox3D returns a box without coordinates whose confidence is -1, none.
func NewBBox3D(id string) BBox3D {
	return BBox3D{Annotation: Annotation{ID: id}, Confidence: NoConfidence}
}

// CompressedRLE is a mask of pixels in one view, as COCO's compressed run lengths.
//
// Size is [height, width] in pixels. Counts is COCO's compressed text of the column-major mask, in ASCII; the package
// features encodes and decodes it. The empty mask has the size [0, 0] and no counts.
//
// Stored as the columns of [Annotation], list<int64>, binary. See https://github.com/cocodataset/cocoapi (maskApi.c).
type CompressedRLE struct {
	Annotation
	Size   []int64
	Counts []byte
}

// KeyPoints is the pose of an object in one view, as points in the order of a template.
//
// TemplateID names the template ("person", "face"). Coords holds x, y of every point, not negative, in pixels or as
// fractions of the view's size. States holds one state per point: "visible", "invisible" or "hidden". No points at all
// are allowed.
//
// Stored as the columns of [Annotation], string, list<double>, list<string>.
type KeyPoints struct {
	Annotation
	TemplateID string
	Coords     []float64
	States     []string
}

// KeyPoints3D is [KeyPoints] in space: Coords holds x, y, z of every point.
//
// Stored as [KeyPoints].
type KeyPoints3D struct {
	Annotation
	TemplateID string
	Coords     []float64
	States     []string
}

// Classification is the labels given to an item, view or entity.
//
// Confidences holds one number per label. Its range is not checked; by custom it is [0, 1].
//
// Stored as the columns of [Annotation], list<string>, list<double>.
type Classification struct {
	Annotation
	Labels      []string
	Confidences []float64
}

// TextSpan is a mention in a [Text] view, in one piece or several.
//
// Mention is the text marked. Piece i reaches from SpansStart[i] to SpansEnd[i], counted in characters from 0, the end
// not included; 0 <= start <= end.
//
// Stored as the columns of [Annotation], string, list<int64>, list<int64>.
type TextSpan struct {
	Annotation
	Mention    string
	SpansStart []int64
	SpansEnd   []int64
}

// Relation is a statement about two annotations: subject, predicate, object.
//
// Stored as the columns of [Annotation], string, struct<name: string, id: string> twice.
type Relation struct {
	Annotation
	Predicate  string
	SubjectRef features.AnnotationRef
	ObjectRef  features.AnnotationRef
}

// NoTime is the value of a bound of a [Tracklet] that is not given.
const NoTime = -1

// Tracklet is a part of a video in which a [Track] is seen, by frame, by time or both.
//
// StartTimestep and EndTimestep are frame indices, StartTimestamp and EndTimestamp seconds from the start of the
// video; both ends are included. -1 is "not given"; [NewTracklet] sets all four to it, and one has to be given. A zero
// value is frame 0 and the second 0.
//
// Stored as the columns of [Annotation], int64, int64, double, double.
type Tracklet struct {
	Annotation
	StartTimestep  int64   `pixano:",optional"`
	EndTimestep    int64   `pixano:",optional"`
	StartTimestamp float64 `pixano:",optional"`
	EndTimestamp   float64 `pixano:",optional"`
}

// NewTracklet returns a tracklet whose four bounds are -1, not given.
func NewTracklet(id string) Tracklet {
	return Tracklet{Annotation: Annotation{ID: id},
		StartTimestep: NoTime, EndTimestep: NoTime, StartTimestamp: NoTime, EndTimestamp: NoTime}
}

// CamCalibration is the calibration of the camera that took a view. Type names the camera model, such as "fisheye".
//
// Stored as the columns of [Annotation], string and three structs, see package features.
type CamCalibration struct {
	Annotation
	Type           string
	BaseIntrinsics features.BaseIntrinsics
	Extrinsics     features.Extrinsics
	Intrinsics     features.Intrinsics
}

func (b *BBox) rules() error {
	if err := b.Annotation.rules(); err != nil {
		return err
	}
	return checkBox(b.Coords, 4, b.Format, features.FormatXYXY, features.FormatXYWH, b.IsNormalized, b.Confidence)
}

func (b *BBox3D) rules() error {
	if err := b.Annotation.rules(); err != nil {
		return err
	}
	return checkBox(b.Coords, 6, b.Format, features.FormatXYZXYZ, features.FormatXYZWHD, b.IsNormalized, b.Confidence)
}

func checkBox(coords []float64, n int, format, corners, extent string, normalized bool, confidence float64) error {
	if len(coords) != n {
		return broken("coords", coords, "want %d values", n)
	}
	if err := checkCoords(coords); err != nil {
		return err
	}
	if normalized {
		for _, c := range coords {
			if c > 1 {
				return broken("coords", coords, "want values of at most 1 in a normalized box")
			}
		}
	}
	if format != corners && format != extent {
		return broken("format", format, "want %s or %s", corners, extent)
	}
	if confidence != NoConfidence && !(confidence >= 0 && confidence <= 1) {
		return broken("confidence", confidence, "want a value in [0, 1], or -1 for none")
	}
	return nil
}

// checkCoords wants values of at least zero; NaN is none.
func checkCoords(coords []float64) error {
	for _, c := range coords {
		if !(c >= 0) {
			return broken("coords", coords, "want values of at least 0")
		}
	}
	return nil
}

// The reference implementation refuses a size only if it breaks all of its rules at once. Rows it accepted have to stay
// writable, so the rest is a warning.
func (m *CompressedRLE) rules() error {
	if err := m.Annotation.rules(); err != nil {
		return err
	}
	nonPositive := slices.ContainsFunc(m.Size, func(n int64) bool { return n <= 0 })
	if len(m.Size) != 2 && nonPositive {
		return broken("size", m.Size, "want a height and a width")
	}
	return nil
}

// Mask decodes the mask. Error: what [features.ParseRLE] says.
func (m CompressedRLE) Mask() (features.RLE, error) { return features.ParseRLE(m.Size, m.Counts) }

// SetMask sets Size and Counts from a mask.
func (m *CompressedRLE) SetMask(mask features.RLE) { m.Size, m.Counts = mask.Compressed() }

// PNG draws the mask, white on black, for display in a notebook. It is nil for a mask that cannot be decoded, or that
// has no pixels.
func (m CompressedRLE) PNG() []byte {
	mask, err := m.Mask()
	if err != nil {
		return nil
	}
	return mask.PNG()
}

func (m *CompressedRLE) warnings() []*Error {
	if len(m.Size) != 2 || m.Size[0] < 0 || m.Size[1] < 0 {
		return []*Error{doubtful("size", m.Size, "a mask has a height and a width that are not negative")}
	}
	return nil
}

func (k *KeyPoints) rules() error {
	if err := k.Annotation.rules(); err != nil {
		return err
	}
	return checkPoints(k.Coords, k.States, 2)
}

func (k *KeyPoints3D) rules() error {
	if err := k.Annotation.rules(); err != nil {
		return err
	}
	return checkPoints(k.Coords, k.States, 3)
}

func checkPoints(coords []float64, states []string, dims int) error {
	if len(coords)%dims != 0 {
		return broken("coords", coords, "want %d values per point", dims)
	}
	if err := checkCoords(coords); err != nil {
		return err
	}
	if len(states) != len(coords)/dims {
		return broken("states", states, "want one state for each of %d points", len(coords)/dims)
	}
	for _, s := range states {
		if s != features.StateVisible && s != features.StateInvisible && s != features.StateHidden {
			return broken("states", s, "want visible, invisible or hidden")
		}
	}
	return nil
}

func (c *Classification) rules() error {
	if err := c.Annotation.rules(); err != nil {
		return err
	}
	if len(c.Labels) != len(c.Confidences) {
		return broken("confidences", c.Confidences, "want one value for each of %d labels", len(c.Labels))
	}
	return nil
}

func (t *TextSpan) rules() error {
	if err := t.Annotation.rules(); err != nil {
		return err
	}
	if len(t.SpansStart) != len(t.SpansEnd) {
		return broken("spans_end", t.SpansEnd, "want one end for each of %d starts", len(t.SpansStart))
	}
	for i, start := range t.SpansStart {
		if start < 0 {
			return broken("spans_start", start, "want positions of at least 0")
		}
		if t.SpansEnd[i] < start {
			return broken("spans_end", t.SpansEnd[i], "want an end not before the start %d", start)
		}
	}
	return nil
}

func (t *TextSpan) warnings() []*Error {
	if len(t.SpansStart) == 0 {
		return []*Error{doubtful("spans_start", t.SpansStart, "a span marks at least one piece of text")}
	}
	return nil
}

func (t *Tracklet) rules() error {
	if err := t.Annotation.rules(); err != nil {
		return err
	}
	if t.StartTimestep == NoTime && t.EndTimestep == NoTime && t.StartTimestamp == NoTime && t.EndTimestamp == NoTime {
		return broken("start_timestep", nil, "want a start or an end, all four bounds are -1")
	}
	if err := checkBounds("timestep", float64(t.StartTimestep), float64(t.EndTimestep)); err != nil {
		return err
	}
	return checkBounds("timestamp", t.StartTimestamp, t.EndTimestamp)
}

// checkBounds holds the reference implementation's rules for one pair of bounds. A bound of zero is let off the rules
// about pairs there; rows with one have to stay writable, so those are warnings.
func checkBounds(unit string, start, end float64) error {
	if !(start >= NoTime) {
		return broken("start_"+unit, start, "want at least -1")
	}
	if !(end >= NoTime) {
		return broken("end_"+unit, end, "want at least -1")
	}
	switch {
	case end > 0 && start == NoTime:
		return broken("start_"+unit, start, "want a start for the end %v", end)
	case start > 0 && end == NoTime:
		return broken("end_"+unit, end, "want an end for the start %v", start)
	case start > 0 && end > 0 && start > end:
		return broken("end_"+unit, end, "want an end not before the start %v", start)
	}
	return nil
}

func (t *Tracklet) warnings() []*Error {
	var w []*Error
	if t.StartTimestep > t.EndTimestep && t.EndTimestep >= 0 {
		w = append(w, doubtful("end_timestep", t.EndTimestep, "an end is not before the start"))
	}
	if t.StartTimestamp > t.EndTimestamp && t.EndTimestamp >= 0 {
		w = append(w, doubtful("end_timestamp", t.EndTimestamp, "an end is not before the start"))
	}
	return w
}

func (b *BBox) warnings() []*Error {
	if len(b.Coords) != 4 {
		return nil
	}
	switch c := b.Coords; {
	case b.Format == features.FormatXYXY && (c[0] > c[2] || c[1] > c[3]):
		return []*Error{doubtful("coords", c, "the second corner is right of and below the first")}
	case b.Format == features.FormatXYWH && b.IsNormalized && (c[0]+c[2] > 1+boxSlack || c[1]+c[3] > 1+boxSlack):
		return []*Error{doubtful("coords", c, "a normalized box ends inside its view")}
	}
	return nil
}

// boxSlack is the rounding allowed for a box that ends at its view's edge: a thousandth of a pixel in a picture 10,000
// pixels wide.
const boxSlack = 1e-7
