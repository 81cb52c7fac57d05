package coco

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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
	frames bool
}

// file is one of the source.
type file struct {
	name       string
	split      string
	categories map[number]string
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
		f := &file{name: name, split: in.Options().Params["split"], categories: map[number]string{}, poses: map[number]string{},
			skeletons: map[number]cocoCategory{}, sketches: map[number]*sketch{}, images: map[number]*image{}}
		if err := r.index(ctx, f); err != nil {
			return nil, err
		}
		r.files = append(r.files, f)
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

var errStop = errors.New("stopped")

// index makes the first pass over a file.
func (r *reader) index(ctx context.Context, f *file) error {
	var split string
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
			if err := s.Decode(&img.cocoImage); err != nil {
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
			f.poses[c.ID] = templateOf(c)
			if len(c.KeyPoints) > 0 && exchange.NamedTemplate(c.KeyPoints) == "" {
				f.skeletons[c.ID] = c
			}
		case "annotations":
			var a struct {
				Caption    *string
				View       string
				Attributes map[string]any
				CategoryID number `json:"category_id"`
				KeyPoints  []float64
				Points     struct {
					TemplateID string `json:"template_id"`
				} `json:"pixano_keypoints"`
			}
			if err := s.Decode(&a); err != nil {
				return err
			}
			if a.Caption != nil {
				if a.View == "" {
					a.View = captionTable
				}
				r.texts[a.View] = true
			}
			r.note(objectTable, a.Attributes)
			if len(a.KeyPoints) > 0 {
				f.noteKeyPoints(a.CategoryID, a.KeyPoints, a.Points.TemplateID)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !f.hasImages {
		return &exchange.LineError{File: f.name, Err: errors.New("there are no images: want a COCO file with \"images\"")}
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

// note remembers the types of attributes.
func (r *reader) note(table string, attributes map[string]any) {
	for key, v := range attributes {
		if f, ok := v.(float64); ok && f == float64(int64(f)) {
			v = int64(f)
		}
		if r.extra[table] == nil {
			r.extra[table] = map[string]string{}
		}
		r.extra[table][key] = exchange.WiderType(r.extra[table][key], exchange.TypeOf(v))
	}
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
		case strings.HasPrefix(string(img.ID), `"`):
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
