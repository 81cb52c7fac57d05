package coco

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"path"
	"slices"
	"strings"

	"pixano/dataset"
	"pixano/dataset/exchange"
	"pixano/features"
	"pixano/schema"
)

const (
	imageBatch      = 1000
	annotationBatch = 5000
)

// Rows yields the rows of items and images, then those of the annotations.
func (r *reader) Rows(ctx context.Context) iter.Seq2[dataset.Batch, error] {
	return func(yield func(dataset.Batch, error) bool) {
		yield, source := r.in.WithSource("COCO", yield)
		known, err := r.in.Known(ctx)
		if err == nil {
			err = r.imageRows(known, yield)
		}
		made := map[string]bool{}
		for _, f := range r.files {
			if err != nil {
				break
			}
			m := &maker{r: r, f: f, source: source, made: made}
			err = r.walk(ctx, f.name, func(key string, i int, s *exchange.Stream) error {
				if key != "annotations" {
					return s.Skip()
				}
				var a cocoAnnotation
				raw, err := s.Raw()
				if err == nil {
					err = exchange.Unmarshal(raw, &a)
				}
				if err == nil && r.others {
					err = others(raw, noteKeys, func(key string, value json.RawMessage) error {
						if _, there := a.Attributes[key]; there {
							return nil
						}
						if a.Attributes == nil {
							a.Attributes = map[string]any{}
						}
						a.Attributes[key], err = exchange.Decoded(value)
						return err
					})
				}
				if err != nil {
					return err
				}
				if err := m.add(i, &a); err != nil {
					return err
				}
				if m.rows >= annotationBatch && !yield(m.batch(), nil) {
					return errStop
				}
				return nil
			})
			if err == nil && m.rows > 0 && !yield(m.batch(), nil) {
				return
			}
		}
		if err != nil && !errors.Is(err, errStop) {
			yield(nil, err)
		}
	}
}

// imageRows yields the items and images.
func (r *reader) imageRows(known *exchange.Known, yield func(dataset.Batch, error) bool) error {
	var items []schema.Item
	var described []*schema.Dynamic
	images := map[string][]schema.Image{}
	frames := map[string][]schema.SequenceFrame{}
	n, there := 0, 0
	flush := func() bool {
		b := dataset.Batch{schema.ItemTable: items}
		if described != nil {
			b[schema.ItemTable] = described
		}
		for table, rows := range images {
			b[table] = rows
		}
		for table, rows := range frames {
			b[table] = rows
		}
		ok := yield(b, nil)
		items, described, n = nil, nil, 0
		images, frames = map[string][]schema.Image{}, map[string][]schema.SequenceFrame{}
		return ok
	}
	class, _ := r.schema.Class(schema.ItemTable)
	seen := map[string]bool{}
	for _, f := range r.files {
		found := &finder{in: r.in, file: f.name, split: f.split}
		for i, img := range f.order {
			if img.repeated {
				continue
			}
			fail := func(err error) error {
				return &exchange.LineError{File: f.name, Err: fmt.Errorf("images[%d]: %w", i, err)}
			}
			if err := r.take(found, img); err != nil {
				if errors.Is(err, exchange.ErrMedia) && r.in.Options().SkipMissing {
					r.in.Warn(f.name, 0, "images[%d] was left out, with its annotations: %v", i, err)
					img.skipped = true
					continue
				}
				return fail(err)
			}
			has, err := known.Has(img.item, []string{img.url})
			if err != nil {
				return fail(err)
			}
			if has {
				img.skipped = true
				there++
				continue
			}
			if !seen[img.item] {
				seen[img.item] = true
				if len(r.extra[schema.ItemTable]) == 0 {
					items = append(items, schema.Item{ID: img.item, Split: img.split})
				} else {
					row, err := schema.NewDynamic(class)
					if err == nil {
						err = setAll(row, map[string]any{"id": img.item, "split": img.split}, img.Attributes)
					}
					if err != nil {
						return fail(err)
					}
					described = append(described, row)
				}
			} else if r.in.Options().NamesAsIDs && !r.items[img.table] && img.ItemID == "" {
				return fail(fmt.Errorf("two files would get the id %q", img.item))
			}
			row := schema.Image{View: schema.View{ID: img.view, ItemRef: features.Item(img.item)}, URL: img.url, Width: img.Width, Height: img.Height,
				Format: formatOf(img.FileName)}
			if r.frames {
				frame := schema.SequenceFrame{Image: row, Timestamp: img.Timestamp}
				if img.FrameIndex != nil {
					frame.FrameIndex = *img.FrameIndex
				}
				frames[img.table] = append(frames[img.table], frame)
			} else {
				images[img.table] = append(images[img.table], row)
			}
			if n++; n == imageBatch && !flush() {
				return errStop
			}
		}
	}
	if there > 0 {
		r.in.Warn("", 0, "%d items are in the dataset already and were left out", there)
	}
	if n > 0 && !flush() {
		return errStop
	}
	return nil
}

func setAll(row *schema.Dynamic, maps ...map[string]any) error {
	for _, m := range maps {
		for column, v := range m {
			field, _, ok := row.Class().Field(column)
			if !ok || v == nil {
				continue
			}
			if err := row.Set(column, attribute(field.Type, v)); err != nil {
				return err
			}
		}
	}
	return nil
}

// attribute brings a value into the form of a column that other values have widened.
func attribute(t schema.FieldType, v any) any {
	if f, ok := v.(float64); ok && f == float64(int64(f)) {
		v = int64(f)
	}
	if t.Collection {
		list, ok := v.([]any)
		if !ok {
			list = []any{v}
		}
		list = slices.Clone(list)
		for i := range list {
			list[i] = attribute(schema.FieldType{Name: t.Name}, list[i])
		}
		return list
	}
	if _, ok := v.(string); !ok && t.Name == schema.TypeStr {
		if text, err := json.Marshal(v); err == nil {
			return string(text)
		}
	}
	return v
}

var formats = map[string]string{"jpg": "JPEG", "jpe": "JPEG", "tif": "TIFF"}

// formatOf names the format of an image by its suffix.
func formatOf(name string) string {
	name, _, _ = strings.Cut(name, "?")
	suffix := strings.ToLower(strings.TrimPrefix(path.Ext(name), "."))
	if f, ok := formats[suffix]; ok {
		return f
	}
	return strings.ToUpper(suffix)
}

// take finds the file of an image and its size.
func (r *reader) take(found *finder, img *image) error {
	if exchange.IsURL(img.FileName) {
		img.url = img.FileName
		return nil
	}
	name, err := found.find(img.FileName)
	if err != nil {
		return err
	}
	if img.url != "" {
		return nil
	}
	if img.Width > 0 && img.Height > 0 {
		if w, h, ok := r.in.SizeOf(name); ok && (w != img.Width || h != img.Height) {
			r.in.Warn(found.file, 0, "the image %q is said to have %d × %d pixels, its file has %d × %d%s", img.FileName, img.Width, img.Height, w, h,
				map[bool]string{true: ": it may be turned by its EXIF data"}[w == img.Height && h == img.Width])
		}
	} else {
		info, err := r.in.Image(name)
		if err != nil {
			return err
		}
		img.Width, img.Height = info.Width, info.Height
	}
	if img.Width > features.MaxPixels/img.Height {
		return fmt.Errorf("an image of %d × %d pixels: want at most %d", img.Width, img.Height, int64(features.MaxPixels))
	}
	img.url, err = r.in.Media(name)
	return err
}

// finder finds the files of images, in the folders where they are by custom.
type finder struct {
	in          *exchange.Input
	file, split string
	folder      string
	sure        bool
}

func (f *finder) find(name string) (string, error) {
	if f.sure {
		candidate := path.Join(f.folder, name)
		if f.in.HasMedia(candidate) {
			return candidate, nil
		}
	}
	for _, folder := range []string{path.Dir(f.file), "", "images", folderOf(f.file), f.split, path.Join("images", folderOf(f.file)), path.Join("images", f.split), "data"} {
		if strings.Contains(folder, "..") {
			continue
		}
		candidate := path.Join(folder, name)
		if _, err := exchange.CheckMediaName(name); err == nil && f.in.HasMedia(candidate) {
			f.folder, f.sure = folder, true
			return candidate, nil
		}
	}
	_, err := f.in.Stat(name)
	if err == nil {
		return name, nil
	}
	return "", err
}
