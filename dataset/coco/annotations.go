package coco

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"pixano/dataset"
	"pixano/dataset/exchange"
	"pixano/features"
	"pixano/schema"
)

// maker makes the rows of annotations.
type maker struct {
	r      *reader
	f      *file
	source string
	made   map[string]bool // entities, where one may be made twice

	objects   []Object
	described []*schema.Dynamic
	boxes     []schema.BBox
	masks     []schema.CompressedRLE
	points    []schema.KeyPoints
	texts     map[string][]schema.Text
	rows      int
}

func (m *maker) batch() dataset.Batch {
	b := dataset.Batch{boxTable: m.boxes, maskTable: m.masks, pointTable: m.points}
	if m.described != nil {
		b[objectTable] = m.described
	} else {
		b[objectTable] = m.objects
	}
	for table, rows := range m.texts {
		b[table] = rows
	}
	*m = maker{r: m.r, f: m.f, source: m.source, made: m.made}
	return b
}

// add makes the rows of the i-th annotation of the file.
func (m *maker) add(i int, a *cocoAnnotation) error {
	if a.Segments != nil {
		return nil // see index
	}
	img := m.f.images[a.ImageID]
	if img == nil && a.ImageID.text() == "" && a.EntityID != "" {
		m.r.in.Lose(objectTable, "", "an annotation that is in no image has no place", 1)
		return nil
	}
	if img == nil {
		return fmt.Errorf("there is no image of the id %s", orNone(a.ImageID))
	}
	if img.skipped {
		return nil
	}
	warn := func(format string, args ...any) {
		m.r.in.Warn(m.f.name, 0, "annotations[%d]: %s", i, fmt.Sprintf(format, args...))
	}
	// Annotations of one id in files of the same images are one.
	key := []string{m.f.split, img.view, string(a.ID)}
	if a.ID == "" || m.f.twice[a.ID] {
		key = []string{m.f.name, strconv.Itoa(i)}
	}
	id := func(kind, own string) string {
		if own != "" {
			return own
		}
		return m.r.in.ID(append([]string{kind}, key...)...)
	}
	view := features.View(img.table, img.view)
	if a.Caption != nil {
		return m.caption(a, img, id("caption", a.ViewID))
	}
	category, err := m.category(a)
	if err != nil {
		return err
	}
	entity := id("object", a.EntityID)
	new := true
	if a.EntityID != "" || len(m.r.files) > 1 {
		new = !m.made[entity]
		m.made[entity] = true
	}
	repeated := !new && a.EntityID == ""
	if new {
		if err := m.object(entity, category, img, view, a); err != nil {
			return err
		}
	}
	ref := features.Entity(objectTable, entity)
	note := func(kind, own string) schema.Annotation {
		return exchange.NewAnnotation(id(kind, own), img.item, view, ref, m.source)
	}
	if !repeated {
		if err := m.box(a, img, note("box", a.BoxID), warn); err != nil {
			return err
		}
		if err := m.mask(a, img, note("mask", a.MaskID), warn); err != nil {
			return err
		}
	}
	return m.keyPoints(a, img, note("points", a.PointsID))
}

func orNone(n number) string {
	if n == "" {
		return "null"
	}
	return string(n)
}

func (m *maker) category(a *cocoAnnotation) (string, error) {
	if a.Unlabelled {
		return "", nil
	}
	if name, ok := m.f.categories[a.CategoryID]; ok {
		return name, nil
	}
	if a.CategoryName != nil {
		return *a.CategoryName, nil
	}
	if a.CategoryID == "" {
		return "", nil
	}
	return "", fmt.Errorf("there is no category of the id %s", a.CategoryID)
}

func (m *maker) object(id, category string, img *image, view features.ViewRef, a *cocoAnnotation) error {
	m.rows++
	o := Object{Entity: schema.Entity{ID: id, ItemRef: features.Item(img.item), ViewRef: view}, Category: category, IsCrowd: bool(a.IsCrowd)}
	if len(m.r.extra[objectTable]) == 0 {
		m.objects = append(m.objects, o)
		return nil
	}
	class, _ := m.r.schema.Class(objectTable)
	row, err := schema.NewDynamic(class)
	if err == nil {
		err = setAll(row, map[string]any{"id": id, "item_ref": o.ItemRef, "view_ref": view, "category": category, "is_crowd": o.IsCrowd},
			map[string]any{superColumn: super(m.f.supers[a.CategoryID])}, a.Attributes)
	}
	m.described = append(m.described, row)
	return err
}

// super is nil for no text.
func super(name string) any {
	if name == "" {
		return nil
	}
	return name
}

// box makes a box, which is cut to what a box can be: it cannot begin before its image.
func (m *maker) box(a *cocoAnnotation, img *image, note schema.Annotation, warn func(string, ...any)) error {
	if a.BBox == nil || a.BoxID == "" && (a.MaskID != "" || a.PointsID != "") {
		return nil // the box of a mask of ours was made for the export
	}
	if len(a.BBox) != 4 {
		return fmt.Errorf("bbox: want 4 numbers, have %d", len(a.BBox))
	}
	b := schema.NewBBox(note.ID)
	b.Annotation = note
	b.Format = features.FormatXYWH
	for _, confidence := range []*float64{a.Score, a.Confidence} {
		if confidence != nil {
			b.Confidence = *confidence
		}
	}
	x, y, w, h := a.BBox[0], a.BBox[1], a.BBox[2], a.BBox[3]
	b.IsNormalized = a.EntityID != "" && a.Box == nil && m.isReference(a) && max(x, y, w, h) <= 1 && min(x, y, w, h) >= 0
	switch {
	case a.Box != nil && m.agrees(a, img):
		b.Coords, b.Format, b.IsNormalized = a.Box.Coords, a.Box.Format, a.Box.IsNormalized
	case w < 0 || h < 0:
		warn("a box of the size %g × %g was left out", w, h)
		return nil
	default:
		if x < 0 || y < 0 {
			warn("a box that begins outside of its image was cut")
			w, h = max(0, w+min(x, 0)), max(0, h+min(y, 0))
			x, y = max(x, 0), max(y, 0)
		}
		if !b.IsNormalized && (x+w > float64(img.Width)+1 || y+h > float64(img.Height)+1) {
			warn("a box reaches out of its image of %d × %d pixels", img.Width, img.Height)
		}
		b.Coords = []float64{x, y, w, h}
	}
	m.boxes = append(m.boxes, b)
	m.rows++
	return nil
}

// isReference reports whether an annotation is of the form of the reference implementation, whose ids are texts.
func (m *maker) isReference(a *cocoAnnotation) bool { return strings.HasPrefix(string(a.ImageID), `"`) }

// agrees reports whether the dataset's own box still is the one in pixels, which others may have changed.
func (m *maker) agrees(a *cocoAnnotation, img *image) bool {
	box, err := features.ConvertBox(a.Box.Coords, a.Box.Format, features.FormatXYWH)
	if err == nil && a.Box.IsNormalized {
		box, err = features.Scale(box, float64(img.Width), float64(img.Height))
	}
	if err != nil {
		return false
	}
	for i := range box {
		if d := box[i] - a.BBox[i]; d > 1e-3 || d < -1e-3 {
			return false
		}
	}
	return true
}

// mask makes a mask of polygons or run lengths.
func (m *maker) mask(a *cocoAnnotation, img *image, note schema.Annotation, warn func(string, ...any)) error {
	segmentation := a.Segmentation
	if exchange.Null(segmentation) {
		return nil
	}
	if exchange.Kind(segmentation) == "a list" {
		var polygons [][]float64
		if err := json.Unmarshal(segmentation, &polygons); err != nil {
			return fmt.Errorf("segmentation: want lists of x, y, …, have %.60s", segmentation)
		}
		reference := m.isReference(a) && a.EntityID != ""
		kept := polygons[:0]
		for _, p := range polygons {
			if len(p) < 6 {
				warn("a polygon of %d points was left out: want at least 3", len(p)/2)
				continue
			}
			if len(p)%2 != 0 {
				return fmt.Errorf("segmentation: a polygon of %d numbers: want x, y, …", len(p))
			}
			if reference {
				var err error
				if p, err = features.Scale(p, float64(img.Width), float64(img.Height)); err != nil {
					return err
				}
			}
			kept = append(kept, p)
		}
		if len(kept) == 0 && a.MaskID == "" {
			return nil
		}
		mask, err := features.RLEFromPolygons(int(img.Height), int(img.Width), kept)
		if err != nil {
			return fmt.Errorf("segmentation: %w", err)
		}
		return m.addMask(mask, note)
	}
	var mask features.RLE
	if err := json.Unmarshal(segmentation, &mask); err != nil {
		return fmt.Errorf("segmentation: %w", err)
	}
	if int64(mask.Height) != img.Height || int64(mask.Width) != img.Width {
		if a.MaskID == "" {
			return fmt.Errorf("segmentation: a mask of %d × %d pixels in an image of %d × %d", mask.Width, mask.Height, img.Width, img.Height)
		}
		warn("a mask of %d × %d pixels in an image of %d × %d", mask.Width, mask.Height, img.Width, img.Height)
	}
	return m.addMask(mask, note)
}

func (m *maker) addMask(mask features.RLE, note schema.Annotation) error {
	row := schema.CompressedRLE{Annotation: note}
	row.SetMask(mask)
	m.masks = append(m.masks, row)
	m.rows++
	return nil
}

func (m *maker) keyPoints(a *cocoAnnotation, img *image, note schema.Annotation) error {
	if a.Points == nil && unlabelledPoints(a.KeyPoints) {
		return nil
	}
	row := schema.KeyPoints{Annotation: note}
	var err error
	if row.Coords, row.States, err = features.KeyPointsFromCOCO(a.KeyPoints); err != nil {
		return fmt.Errorf("keypoints: %w", err)
	}
	for i, c := range row.Coords {
		row.Coords[i] = max(c, 0)
	}
	row.TemplateID = features.TemplateID(m.f.poses[a.CategoryID], len(row.States))
	if a.Points != nil && samePoints(a.Points.Coords, row.Coords, row.States, img) {
		row.TemplateID, row.Coords, row.States = a.Points.TemplateID, a.Points.Coords, a.Points.States
	}
	m.points = append(m.points, row)
	m.rows++
	return nil
}

// unlabelledPoints reports whether all key points are those of an object that has none, in a category that has: zeros.
func unlabelledPoints(points []float64) bool {
	return !slices.ContainsFunc(points, func(v float64) bool { return v != 0 })
}

// samePoints reports whether the dataset's own key points still are those in pixels, which others may have changed.
func samePoints(own, pixels []float64, states []string, img *image) bool {
	if len(own) != len(pixels) {
		return false
	}
	size := [2]float64{1, 1}
	if !slices.ContainsFunc(own, func(c float64) bool { return c > 1 }) {
		size = [2]float64{float64(img.Width), float64(img.Height)}
	}
	for i := range own {
		if d := own[i]*size[i%2] - pixels[i]; states[i/2] != features.StateInvisible && (d > 1e-3 || d < -1e-3) {
			return false
		}
	}
	return true
}

func (m *maker) caption(a *cocoAnnotation, img *image, id string) error {
	table := a.View
	if table == "" {
		table = captionTable
	}
	if m.texts == nil {
		m.texts = map[string][]schema.Text{}
	}
	row := schema.Text{View: schema.View{ID: id, ItemRef: features.Item(img.item)}, Content: *a.Caption}
	m.texts[table] = append(m.texts[table], row)
	m.rows++
	return nil
}
