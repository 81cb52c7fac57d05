package coco

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"pixano/dataset"
	"pixano/dataset/exchange"
	"pixano/schema"
)

// reader reads COCO files. A first pass finds the images, the categories and which columns there are; a second one, which
// is a stream, makes the rows of the annotations.
type reader struct {
	in     *exchange.Input
	schema *schema.DatasetSchema
	info   dataset.Info
	files  []*file
	views  []string                     // tables of images
	images map[string]*image            // of all files, by split and file name or by their own id
	items  map[string]bool              // whether an item has several views
	extra  map[string]map[string]string // attributes of items and objects: columns to types
	texts  map[string]bool              // tables of captions
	others bool                         // annotations have attributes beside "attributes"
	frames bool
}

// file is one of the source.
type file struct {
	name       string
	split      string
	categories map[number]string
	supers     map[number]string
	used       map[number]bool         // categories with an annotation
	twice      map[number]bool         // ids of several annotations
	poses      map[number]string       // templates of key points, by category
	skeletons  map[number]cocoCategory // those with points that no built-in template has
	sketches   map[number]*sketch
	images     map[number]*image
	order      []*image
	hasImages  bool
}

// image is one of a file, or of several.
type image struct {
	cocoImage
	item     string
	view     string
	table    string
	split    string
	url      string
	skipped  bool
	repeated bool // it was in another file before
}

func open(ctx context.Context, in *exchange.Input) (exchange.Reader, error) {
	names, err := files(in)
	if err != nil {
		return nil, err
	}
	r := &reader{in: in, images: map[string]*image{}, extra: map[string]map[string]string{}, texts: map[string]bool{}}
	for _, name := range names {
		f := &file{name: name, split: in.Options().Params["split"], categories: map[number]string{}, supers: map[number]string{}, used: map[number]bool{},
			twice: map[number]bool{}, poses: map[number]string{},
			skeletons: map[number]cocoCategory{}, sketches: map[number]*sketch{}, images: map[number]*image{}}
		err := r.index(ctx, f)
		if errors.Is(err, errForeign) && len(names) > 1 {
			in.LeftOut(name, 0, errors.Unwrap(err))
			continue
		}
		if err != nil {
			return nil, err
		}
		r.files = append(r.files, f)
	}
	if len(r.files) == 0 {
		return nil, fmt.Errorf("none of the files %q has \"images\": want a COCO file", names)
	}
	r.findTables()
	if r.schema, err = r.tables(); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *reader) Schema() *schema.DatasetSchema { return r.schema }

func (r *reader) Info() dataset.Info {
	if r.info.Workspace = "image"; r.frames {
		r.info.Workspace = "video"
	}
	return r.info
}

func (r *reader) Close() error { return nil }

// walk reads a file and calls fn for each element of its lists, with its place.
func (r *reader) walk(ctx context.Context, name string, fn func(key string, i int, s *exchange.Stream) error) error {
	f, err := r.in.Root().Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	s := exchange.NewStream(f)
	where := ""
	err = s.Object(func(key string) error {
		where = key
		switch key {
		case "info":
			return fn(key, 0, s)
		case "images", "annotations", "categories":
			return s.List(func(i int) error {
				where = fmt.Sprintf("%s[%d]", key, i)
				if i%1024 == 0 {
					if err := ctx.Err(); err != nil {
						return err
					}
				}
				return fn(key, i, s)
			})
		}
		return s.Skip()
	})
	if err == nil || errors.Is(err, errStop) {
		return err
	}
	if _, ok := errors.AsType[*exchange.LineError](err); ok {
		return err
	}
	if where != "" {
		err = fmt.Errorf("%s: %w", where, err)
	}
	return &exchange.LineError{File: name, Line: s.Line(), Err: err}
}

var (
	errStop    = errors.New("stopped")
	errForeign = errors.New("there are no images: want a COCO file with \"images\"")
)

// index makes the first pass over a file.
func (r *reader) index(ctx context.Context, f *file) error {
	var split string
	ids := idSet{}
	err := r.walk(ctx, f.name, func(key string, i int, s *exchange.Stream) error {
		switch key {
		case "info":
			var info struct {
				Name, Description, Split string
			}
			var raw json.RawMessage
			if err := s.Decode(&raw); err != nil {
				return err
			}
			if json.Unmarshal(raw, &info) == nil { // whatever others write there
				r.info.Name, r.info.Description, split = info.Name, info.Description, info.Split
			}
		case "images":
			f.hasImages = true
			img := &image{}
			raw, err := s.Raw()
			if err == nil {
				err = exchange.Unmarshal(raw, &img.cocoImage)
			}
			if err == nil {
				err = r.facts(img, raw)
			}
			if err != nil {
				return err
			}
			if img.ID == "" {
				return errors.New("the image has no id")
			}
			if f.images[img.ID] != nil {
				return fmt.Errorf("the image id %s is there twice", img.ID)
			}
			f.images[img.ID] = img
			f.order = append(f.order, img)
			r.note(schema.ItemTable, img.Attributes)
			r.frames = r.frames || img.FrameIndex != nil
		case "categories":
			var c cocoCategory
			if err := s.Decode(&c); err != nil {
				return err
			}
			if _, there := f.categories[c.ID]; there {
				return fmt.Errorf("the category id %s is there twice", c.ID)
			}
			f.categories[c.ID] = c.Name
			if c.Super != nil && *c.Super != "" && *c.Super != "none" {
				f.supers[c.ID] = *c.Super
				r.note(objectTable, map[string]any{superColumn: *c.Super})
			}
			f.poses[c.ID] = templateOf(c)
			if len(c.KeyPoints) > 0 && exchange.NamedTemplate(c.KeyPoints) == "" {
				f.skeletons[c.ID] = c
			}
		case "annotations":
			var a struct {
				ID         number
				EntityID   string          `json:"pixano_entity_id"`
				Segments   json.RawMessage `json:"segments_info"`
				Caption    *string
				View       string
				Attributes map[string]any
				CategoryID number `json:"category_id"`
				KeyPoints  []float64
				Points     struct {
					TemplateID string `json:"template_id"`
				} `json:"pixano_keypoints"`
			}
			raw, err := s.Raw()
			if err == nil {
				err = exchange.Unmarshal(raw, &a)
			}
			if err != nil {
				return err
			}
			if a.Segments != nil {
				r.in.Lose("annotations", "segments_info", "panoptic segmentations, which are images of ids, are not read", 1)
				return nil
			}
			f.used[a.CategoryID] = true
			if a.ID != "" && a.EntityID == "" && ids.has(a.ID) {
				f.twice[a.ID] = true
			}
			if a.Caption != nil {
				if a.View == "" {
					a.View = captionTable
				}
				r.texts[a.View] = true
			}
			r.note(objectTable, a.Attributes)
			if err := others(raw, noteKeys, func(key string, value json.RawMessage) error {
				v, err := exchange.Decoded(value)
				r.others = true
				r.note(objectTable, map[string]any{key: v})
				return err
			}); err != nil {
				return err
			}
			if !unlabelledPoints(a.KeyPoints) {
				f.noteKeyPoints(a.CategoryID, a.KeyPoints, a.Points.TemplateID)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !f.hasImages {
		return &exchange.LineError{File: f.name, Err: errForeign}
	}
	if len(f.twice) > 0 {
		some := slices.Sorted(maps.Keys(f.twice))[0]
		r.in.Warn(f.name, 0, "annotation ids that several have: %d, such as %s; they are taken for annotations of their own", len(f.twice), some)
	}
	for id := range f.categories {
		if !f.used[id] {
			r.in.Lose("categories", "name", "no annotation is of the category", 1)
		}
	}
	switch {
	case f.split != "":
	case split != "":
		f.split = split
	default:
		f.split = splitOf(f.name)
	}
	return r.place(f)
}

// idSet is a set of ids, of which it keeps hashes.
type idSet map[uint64]struct{}

var idSeed = maphash.MakeSeed()

// has adds an id, and reports whether it was there.
func (s idSet) has(id number) bool {
	h := maphash.String(idSeed, string(id))
	_, ok := s[h]
	s[h] = struct{}{}
	return ok
}

// facts takes what an element says of an image beside the keys that are read.
func (r *reader) facts(img *image, raw json.RawMessage) error {
	if u, err := url.Parse(img.URL); err == nil && img.FileName == "" && img.URL != "" {
		img.FileName = path.Join(path.Base(path.Dir(u.Path)), path.Base(u.Path)) // "train2017/000000391895.jpg"
	}
	return others(raw, imageKeys, func(key string, value json.RawMessage) error {
		if slices.Contains(factKeys, key) {
			if text := string(value); img.ViewID == "" && text != `""` && text != "0" {
				r.in.Lose("images", key, "the dataset has no place for it", 1)
			}
			return nil
		}
		if img.Attributes == nil {
			img.Attributes = map[string]any{}
		}
		v, err := exchange.Decoded(value)
		if _, there := img.Attributes[key]; !there {
			img.Attributes[key] = v
		}
		return err
	})
}

// note remembers the types of attributes.
func (r *reader) note(table string, attributes map[string]any) {
	for key, v := range attributes {
		if f, ok := v.(float64); ok && f == float64(int64(f)) {
			v = int64(f)
		}
		if r.extra[table] == nil {
			r.extra[table] = map[string]string{}
		}
		r.extra[table][key] = exchange.WiderType(r.extra[table][key], attributeType(v))
	}
}

// attributeType is the type of a column for a value: that of texts for what has none, which is kept as JSON.
func attributeType(v any) string {
	t := exchange.TypeOf(v)
	if list, ok := v.([]any); t == "" && v != nil || ok && slices.ContainsFunc(list, func(e any) bool { return exchange.TypeOf(e) == "" || strings.HasSuffix(exchange.TypeOf(e), "[]") }) {
		return schema.TypeStr
	}
	return t
}

// place gives the images of a file their items and ids. An image that another file of the source has too, as COCO's files
// of instances, captions and key points do, is the same.
func (r *reader) place(f *file) error {
	for i, img := range f.order {
		img.split = f.split
		if img.FileName == "" {
			return &exchange.LineError{File: f.name, Err: fmt.Errorf("images[%d]: the image has no file_name", i)}
		}
		key := f.split + "\x00" + img.FileName
		if img.ViewID != "" {
			key = "\x00" + img.View + "\x00" + img.ViewID
		}
		if first := r.images[key]; first != nil {
			if slices.Contains(f.order[:i], first) {
				return &exchange.LineError{File: f.name, Err: fmt.Errorf("images[%d]: the file %q is there twice", i, img.FileName)}
			}
			f.images[img.ID], f.order[i] = first, &image{repeated: true}
			continue
		}
		r.images[key] = img
		switch {
		case img.ItemID != "":
			img.item = img.ItemID
		case r.in.Options().NamesAsIDs:
			img.item = stem(img.FileName)
		default:
			img.item = r.in.ID("item", key)
		}
		switch {
		case img.ViewID != "":
			img.view = img.ViewID
		case strings.HasPrefix(string(img.ID), `"`) && img.View != "":
			img.view = img.ID.text() // of the reference
		case r.in.Options().NamesAsIDs:
			img.view = stem(img.FileName)
		default:
			img.view = r.in.ID("image", key)
		}
		if img.table = img.View; img.table == "" || schema.CheckTableName(img.table) != nil {
			img.table = imageTable
		}
		if !slices.Contains(r.views, img.table) {
			r.views = append(r.views, img.table)
		}
	}
	return nil
}

func stem(name string) string {
	name = path.Base(strings.ReplaceAll(name, `\`, "/"))
	return strings.ReplaceAll(strings.TrimSuffix(name, path.Ext(name)), " ", "_")
}

// findTables leaves tables of images with names of other tables out.
func (r *reader) findTables() {
	if len(r.views) == 0 {
		r.views = []string{imageTable}
	}
	r.items = map[string]bool{}
	seen := map[string]bool{}
	for _, f := range r.files {
		for _, img := range f.order {
			if img.repeated {
				continue
			}
			key := img.table + "\x00" + img.item
			if seen[key] {
				r.items[img.table] = true
			}
			seen[key] = true
		}
	}
}

// tables makes the schema.
func (r *reader) tables() (*schema.DatasetSchema, error) {
	base := exchange.SchemaWith(item{})
	class := func(table string) (*schema.Class, error) {
		c, _ := base.Class(table)
		if len(r.extra[table]) == 0 {
			return c, nil
		}
		own := &schema.Class{Name: c.Name, Base: c.Base, Fields: slices.Clone(c.Fields)}
		if table != schema.ItemTable {
			own.Name = "DescribedObject"
		}
		for _, column := range slices.Sorted(maps.Keys(r.extra[table])) {
			if _, _, there := own.Field(column); there || schema.CheckColumnName(column) != nil {
				r.in.Lose(table, column, "the attribute has no name that a column can have", 1)
				continue
			}
			name, list := strings.CutSuffix(r.extra[table][column], "[]")
			if name == "" {
				name = schema.TypeStr
			}
			own.Fields = append(own.Fields, schema.Field{Name: column, Type: schema.FieldType{Name: name, Collection: list}})
		}
		return own, nil
	}
	itemClass, err := class(schema.ItemTable)
	if err != nil {
		return nil, err
	}
	s, err := schema.NewDatasetSchema(itemClass)
	if err != nil {
		return nil, err
	}
	picture := "Image"
	if r.frames {
		picture = "SequenceFrame"
	}
	goType, _ := schema.Lookup(picture)
	pictureClass, err := schema.ClassOf(goType)
	if err != nil {
		return nil, err
	}
	for _, table := range r.views {
		relation := schema.OneToOne
		if r.items[table] {
			relation = schema.ManyToOne
		}
		if err := s.Add(table, pictureClass, relation); err != nil {
			return nil, err
		}
	}
	for _, table := range []string{objectTable, boxTable, maskTable, pointTable} {
		c, err := class(table)
		if err != nil {
			return nil, err
		}
		if err := s.Add(table, c, schema.ManyToOne); err != nil {
			return nil, err
		}
	}
	textType, _ := schema.Lookup("Text")
	textClass, err := schema.ClassOf(textType)
	if err != nil {
		return nil, err
	}
	for _, table := range slices.Sorted(maps.Keys(r.texts)) {
		if err := s.Add(table, textClass, schema.ManyToOne); err != nil {
			return nil, err
		}
	}
	return s, nil
}
