package coco

import (
	"encoding/json"
	"fmt"
	"slices"

	"pixano/dataset"
	"pixano/dataset/exchange"
	"pixano/features"
	"pixano/schema"
)

// unlabelled is the category of objects without one, in the strict form.
const unlabelled = "object"

// strictAnnotation writes an element of "annotations" as COCO has it.
func (w *writer) strictAnnotation(item *dataset.Item, images []pictured, o *object) error {
	place := slices.IndexFunc(images, func(p pictured) bool { return p.id == o.view })
	lose := func(why string) {
		for table, row := range map[string]*schema.Dynamic{boxTable: o.box, maskTable: o.mask, pointTable: o.points} {
			if row != nil {
				w.out.Lose(table, "", why, 1)
			}
		}
	}
	if o.box == nil && o.mask == nil && o.points == nil {
		return nil // see objects
	}
	if place < 0 {
		lose("an annotation that is in no image has no place")
		return nil
	}
	p := images[place]
	name := ""
	if o.category != nil {
		name = *o.category
	}
	id, ok := w.ids(name)
	if !ok || name == "" {
		id = w.unlabelledID()
		w.plain = true
	}
	w.annIDs++
	pairs := []pair{{"id", w.annIDs}, {"image_id", p.number}, {"category_id", id}}
	var box []float64
	var area float64
	if o.mask != nil {
		mask, err := exchange.Mask(o.mask)
		if err != nil {
			return fmt.Errorf("mask %q: %w", exchange.Text(o.mask, "id"), err)
		}
		outline, err := w.segmentation(mask)
		if err != nil {
			return fmt.Errorf("mask %q: %w", exchange.Text(o.mask, "id"), err)
		}
		b := mask.Bounds()
		box = []float64{float64(b.Min.X), float64(b.Min.Y), float64(b.Dx()), float64(b.Dy())}
		area = float64(mask.Area())
		pairs = append(pairs, pair{"segmentation", outline})
	}
	if o.points != nil {
		flat, err := w.points(o.points, p, &pairs)
		if err != nil {
			return fmt.Errorf("key points %q: %w", exchange.Text(o.points, "id"), err)
		}
		if box == nil {
			box = around(flat)
		}
	} else if len(w.poses) > 0 {
		// COCO's evaluation wants them of each object of a category that has key points, and their number of all.
		if pose, ok := w.poses[name]; ok {
			pairs = append(pairs, pair{"keypoints", make([]int, 3*pose.points)})
		}
		pairs = append(pairs, pair{"num_keypoints", 0})
	}
	if o.box != nil {
		own, err := exchange.Box(o.box, p.width, p.height)
		if err != nil {
			return fmt.Errorf("box %q: %w", exchange.Text(o.box, "id"), err)
		}
		box = own[:]
		if o.mask == nil {
			area = box[2] * box[3]
		}
	}
	if area == 0 && o.mask == nil {
		area = box[2] * box[3]
	}
	crowd, _ := exchange.Value(orEmpty(o.row), "is_crowd").(bool)
	pairs = append(pairs, pair{"bbox", json.RawMessage(appendFloats(nil, box))}, pair{"area", area}, pair{"iscrowd", map[bool]int{true: 1}[crowd]})
	if o.box != nil {
		coords, _ := exchange.Value(o.box, "coords").([]float64)
		normalized, _ := exchange.Value(o.box, "is_normalized").(bool)
		pairs = append(pairs, pair{"score", exchange.Value(o.box, "confidence")}, pair{"pixano_bbox_id", exchange.Text(o.box, "id")})
		if format := exchange.Text(o.box, "format"); normalized || format != features.FormatXYWH {
			pairs = append(pairs, pair{"pixano_bbox", json.RawMessage(fmt.Sprintf(`{"coords": %s, "format": %q, "is_normalized": %t}`,
				appendFloats(nil, coords), format, normalized))})
		}
	}
	if o.mask != nil {
		pairs = append(pairs, pair{"pixano_segmentation_id", exchange.Text(o.mask, "id")})
	}
	if o.entity != "" {
		pairs = append(pairs, pair{"pixano_entity_id", o.entity})
	}
	if name == "" {
		pairs = append(pairs, pair{"pixano_unlabelled", true})
	}
	extra := w.attributesOf(o.row, o.table)
	if super, ok := extra[superColumn].(string); ok && super == w.supers[name] {
		delete(extra, superColumn) // the category says it
	}
	if len(extra) > 0 {
		pairs = append(pairs, pair{"attributes", extra})
	}
	return w.write(pairs)
}

func orEmpty(row *schema.Dynamic) *schema.Dynamic {
	if row == nil {
		return &schema.Dynamic{}
	}
	return row
}

func (w *writer) unlabelledID() int {
	if id, ok := w.ids(unlabelled); ok {
		return id
	}
	highest := 0
	for _, name := range w.names {
		if id, ok := w.ids(name); ok {
			highest = max(highest, id)
		}
	}
	return highest + 1
}

// around returns the smallest box around key points that are seen.
func around(flat []float64) []float64 {
	var box []float64
	for i := 0; i+2 < len(flat); i += 3 {
		x, y := flat[i], flat[i+1]
		switch {
		case flat[i+2] == 0:
		case box == nil:
			box = []float64{x, y, x, y}
		default:
			box = []float64{min(box[0], x), min(box[1], y), max(box[2], x), max(box[3], y)}
		}
	}
	if box == nil {
		return []float64{0, 0, 0, 0}
	}
	return []float64{box[0], box[1], box[2] - box[0], box[3] - box[1]}
}

// segmentation writes a mask in pixels: as polygons where they draw the same mask again, or as run lengths.
func (w *writer) segmentation(mask features.RLE) (json.RawMessage, error) {
	rle := func() (json.RawMessage, error) { return mask.MarshalJSON() }
	if w.masks == "rle" || mask.Area() == 0 {
		return rle()
	}
	polygons, err := mask.Polygons()
	if err != nil {
		return nil, err
	}
	b := []byte("[")
	for i, p := range polygons {
		if len(p.Holes) > 0 {
			if w.masks != "polygon" {
				return rle()
			}
			w.out.Lose(maskTable, "counts", "polygons have no holes: they are filled", 1)
		}
		if i > 0 {
			b = append(b, ", "...)
		}
		b = appendFloats(b, p.Exterior)
	}
	return append(b, ']'), nil
}

// points writes key points in pixels, and as they are in the dataset.
func (w *writer) points(row *schema.Dynamic, p pictured, pairs *[]pair) ([]float64, error) {
	coords, _ := exchange.Value(row, "coords").([]float64)
	states, _ := exchange.Value(row, "states").([]string)
	pixels := coords
	if !slices.ContainsFunc(coords, func(c float64) bool { return c > 1 }) && p.width > 0 && p.height > 0 && len(coords) > 0 {
		var err error
		if pixels, err = features.Scale(coords, p.width, p.height); err != nil {
			return nil, err
		}
	}
	flat, labelled, err := features.KeyPointsToCOCO(pixels, states)
	if err != nil {
		return nil, err
	}
	template := exchange.Text(row, "template_id")
	own, err := json.Marshal(ownPoints{template, coords, states})
	if err != nil {
		return nil, err
	}
	*pairs = append(*pairs, pair{"keypoints", json.RawMessage(appendFloats(nil, flat))}, pair{"num_keypoints", labelled},
		pair{"pixano_keypoints_id", exchange.Text(row, "id")}, pair{"pixano_keypoints", json.RawMessage(own)})
	return flat, nil
}
