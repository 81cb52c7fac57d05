package coco

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"pixano/dataset"
	"pixano/dataset/exchange"
	"pixano/features"
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
	poses      map[number]string // templates of key points, by category
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
		f := &file{name: name, split: in.Options().Params["split"], categories: map[number]string{}, poses: map[number]string{}, images: map[number]*image{}}
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
func (r *reader) walk(ctx context.Context, name string, fn func(key string, i int, dec *json.Decoder) error) error {
	f, err := r.in.Root().Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := exchange.NewLines(f)
	dec := json.NewDecoder(lines)
	where := ""
	err = exchange.WalkObject(dec, func(key string) error {
		where = key
		switch key {
		case "info":
			return fn(key, 0, dec)
		case "images", "annotations", "categories":
			return exchange.WalkList(dec, func(i int) error {
				where = fmt.Sprintf("%s[%d]", key, i)
				if i%1024 == 0 {
					if err := ctx.Err(); err != nil {
						return err
					}
				}
				return fn(key, i, dec)
			})
		}
		return exchange.Skip(dec)
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
	return &exchange.LineError{File: name, Line: lines.At(dec.InputOffset()), Err: err}
}

var errStop = errors.New("stopped")

// index makes the first pass over a file.
func (r *reader) index(ctx context.Context, f *file) error {
	var split string
	err := r.walk(ctx, f.name, func(key string, i int, dec *json.Decoder) error {
		switch key {
		case "info":
			var info struct {
				Name, Description, Split string
			}
			var raw json.RawMessage
			if err := exchange.DecodeNext(dec, &raw); err != nil {
				return err
			}
			if json.Unmarshal(raw, &info) == nil { // whatever others write there
				r.info.Name, r.info.Description, split = info.Name, info.Description, info.Split
			}
		case "images":
			f.hasImages = true
			img := &image{}
			if err := exchange.DecodeNext(dec, &img.cocoImage); err != nil {
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
			if err := exchange.DecodeNext(dec, &c); err != nil {
				return err
			}
			if _, there := f.categories[c.ID]; there {
				return fmt.Errorf("the category id %s is there twice", c.ID)
			}
			f.categories[c.ID] = c.Name
			f.poses[c.ID] = templateOf(c)
		case "annotations":
			var a struct {
				Caption    *string
				View       string
				Attributes map[string]any
			}
			if err := exchange.DecodeNext(dec, &a); err != nil {
				return err
			}
			if a.Caption != nil {
				if a.View == "" {
					a.View = captionTable
				}
				r.texts[a.View] = true
			}
			r.note(objectTable, a.Attributes)
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

// templateOf names the template of the key points of a category.
func templateOf(c cocoCategory) string {
	for _, t := range features.KeyPointTemplates() {
		if len(t.Points) == len(c.KeyPoints) && slices.EqualFunc(t.Points, c.KeyPoints, func(p features.TemplatePoint, name string) bool { return p.Name == name }) {
			return t.ID
		}
	}
	return strings.ReplaceAll(c.Name, " ", "_")
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

const (
	imageBatch      = 1000
	annotationBatch = 5000
)

// Rows yields the rows of items and images, then those of the annotations.
func (r *reader) Rows(ctx context.Context) iter.Seq2[dataset.Batch, error] {
	return func(yield func(dataset.Batch, error) bool) {
		source := r.in.ID("source")
		if !yield(dataset.Batch{schema.SourceTable: []schema.Source{{ID: source, Name: "COCO", Kind: schema.SourceOther, Metadata: "{}"}}}, nil) {
			return
		}
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
			err = r.walk(ctx, f.name, func(key string, i int, dec *json.Decoder) error {
				if key != "annotations" {
					return exchange.Skip(dec)
				}
				var a cocoAnnotation
				if err := exchange.DecodeNext(dec, &a); err != nil {
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
			if _, _, ok := row.Class().Field(column); !ok || v == nil {
				continue
			}
			if f, ok := v.(float64); ok && f == float64(int64(f)) {
				v = int64(f)
			}
			if err := row.Set(column, v); err != nil {
				return err
			}
		}
	}
	return nil
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
	if img.Width <= 0 || img.Height <= 0 {
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
	for _, folder := range []string{"", "images", folderOf(f.file), f.split, path.Join("images", folderOf(f.file)), path.Join("images", f.split), "data"} {
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
	if a.ID == "" {
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
		err = setAll(row, map[string]any{"id": id, "item_ref": o.ItemRef, "view_ref": view, "category": category, "is_crowd": o.IsCrowd}, a.Attributes)
	}
	m.described = append(m.described, row)
	return err
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
	if len(a.KeyPoints) == 0 && a.Points == nil {
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
