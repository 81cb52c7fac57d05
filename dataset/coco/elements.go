package coco

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"pixano/dataset"
	"pixano/dataset/exchange"
	"pixano/features"
	"pixano/schema"
)

// image writes an element of "images".
func (w *writer) image(item *dataset.Item, p pictured, first bool) error {
	b := w.buf[:0]
	if w.images > 0 {
		b = append(b, ", "...)
	}
	w.images++
	url := exchange.Text(p.row, "url")
	file := url
	if w.out.Options().Media == exchange.MediaCopy || w.out.Options().Media == exchange.MediaLink {
		file = "images/" + exchange.MediaPath(url, p.id, exchange.Text(p.row, "format"))
		if err := w.out.Media(p.table, url, file); err != nil {
			return err
		}
	}
	var id any = p.id
	if w.strict {
		id = p.number
	}
	created, _ := exchange.Value(p.row, "created_at").(time.Time)
	pairs := []pair{{"id", id}, {"view", p.table}, {"width", int64(p.width)}, {"height", int64(p.height)}, {"file_name", file}, {"license", 0},
		{"date_captured", schema.FormatTime(created)}}
	if index, ok := p.row.Get("frame_index"); ok {
		pairs = append(pairs, pair{"timestamp", exchange.Value(p.row, "timestamp")}, pair{"frame_index", index})
	}
	if w.strict {
		pairs = append(pairs, pair{"pixano_view_id", p.id}, pair{"pixano_item_id", item.ID})
		if extra := w.attributesOf(item.Item, schema.ItemTable); first && len(extra) > 0 {
			pairs = append(pairs, pair{"attributes", extra})
		}
	}
	var err error
	if w.buf, err = appendObject(b, pairs); err != nil {
		return err
	}
	if w.shown != nil {
		if _, err := w.shown.Write(w.buf); err != nil {
			return err
		}
	}
	_, err = w.f.Write(w.buf)
	return err
}

func (w *writer) attributesOf(row *schema.Dynamic, table string) map[string]any {
	if row == nil || len(w.extra[table]) == 0 {
		return nil
	}
	m := map[string]any{}
	for _, column := range w.extra[table] {
		v := exchange.Value(row, column)
		if f, ok := v.(float64); ok {
			v = json.RawMessage(appendFloat(nil, f))
		}
		m[column] = v
	}
	return m
}

// annotation writes an element of "annotations" as the reference does.
func (w *writer) annotation(images []pictured, o *object) error {
	var name, id any
	if o.category != nil {
		clean := strings.ToLower(strings.TrimSpace(*o.category))
		if clean != *o.category {
			w.out.Lose(o.table, "category", "names are written in small letters and without space around", 1)
		}
		name = clean
		if n, ok := w.ids(clean); ok {
			id = n
		}
	}
	pairs := []pair{{"id", o.view + "_" + o.entity}, {"image_id", o.view}, {"category_id", id}, {"category_name", name}}
	var outline, area, box, confidence any
	if o.mask != nil {
		polygons, mask, err := fractions(o.mask)
		if err != nil {
			return fmt.Errorf("mask %q: %w", exchange.Text(o.mask, "id"), err)
		}
		outline, area = polygons, float64(mask.Area())
	}
	if o.box != nil {
		coords, _ := exchange.Value(o.box, "coords").([]float64)
		list, err := features.ConvertBox(coords, exchange.Text(o.box, "format"), features.FormatXYWH)
		if err != nil {
			return fmt.Errorf("box %q: %w", exchange.Text(o.box, "id"), err)
		}
		if exchange.Text(o.box, "format") != features.FormatXYWH {
			w.out.Lose(w.tableOf(w.tables.boxes), "coords", "boxes are written as left, top, width and height", 1)
			w.out.Lose(w.tableOf(w.tables.boxes), "format", "boxes are written as left, top, width and height", 1)
		}
		if normalized, _ := exchange.Value(o.box, "is_normalized").(bool); normalized != !slices.ContainsFunc(list, func(c float64) bool { return c > 1 }) {
			w.out.Lose(w.tableOf(w.tables.boxes), "is_normalized", "it is not written: boxes without a number above 1 are taken for fractions", 1)
		}
		box, confidence = json.RawMessage(appendFloats(nil, list)), exchange.Value(o.box, "confidence")
	}
	pairs = append(pairs, pair{"segmentation", outline}, pair{"area", area}, pair{"bbox", box}, pair{"confidence", confidence},
		pair{"iscrowd", 0}, pair{"pixano_entity_id", o.entity})
	if o.box != nil {
		pairs = append(pairs, pair{"pixano_bbox_id", exchange.Text(o.box, "id")})
	}
	if o.mask != nil {
		pairs = append(pairs, pair{"pixano_segmentation_id", exchange.Text(o.mask, "id")})
	}
	return w.write(pairs)
}

func (w *writer) tableOf(tables []string) string { return strings.Join(tables, ", ") }

func (w *writer) write(pairs []pair) error {
	b := w.buf[:0]
	if w.written > 0 {
		b = append(b, ", "...)
	}
	w.written++
	var err error
	if w.buf, err = appendObject(b, pairs); err != nil {
		return err
	}
	_, err = w.rest.Write(w.buf)
	return err
}

// fractions returns the outlines of a mask as fractions of its size, and the mask.
func fractions(row *schema.Dynamic) (json.RawMessage, features.RLE, error) {
	mask, err := exchange.Mask(row)
	if err != nil {
		return nil, mask, err
	}
	contours, err := mask.Contours()
	if err != nil {
		return nil, mask, err
	}
	b := []byte("[")
	ring := func(points []float64) error {
		scaled, err := features.Normalize(points, float64(mask.Width), float64(mask.Height))
		if err != nil {
			return err
		}
		if len(b) > 1 {
			b = append(b, ", "...)
		}
		b = appendFloats(b, scaled)
		return nil
	}
	for _, p := range contours {
		for _, points := range append([][]float64{p.Exterior}, p.Holes...) {
			if err := ring(points); err != nil {
				return nil, mask, err
			}
		}
	}
	return append(b, ']'), mask, nil
}
