// Package voc imports and exports datasets in the format of Pascal VOC: an XML file for each image, lists of the images of
// each split, and masks as images of classes and of objects.
//
//	OUT/Annotations/a.xml           boxes in whole pixels, counted from 1, both ends included
//	OUT/JPEGImages/a.jpg
//	OUT/ImageSets/Main/train.txt    the names of the images of a split
//	OUT/SegmentationObject/a.png    masks: the number of the object in the XML, from 1
//	OUT/SegmentationClass/a.png     the number of the class
//
// An import takes any directory with such XML files, whatever the folder is called. Pixels of a mask that belong to two
// objects belong to the later one, as images of masks have it.
package voc

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"io/fs"
	"iter"
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"pixano/dataset"
	"pixano/dataset/exchange"
	"pixano/features"
	"pixano/schema"
)

// Format is the format of Pascal VOC.
var Format = exchange.Format{
	Name:        "voc",
	Title:       "Pascal VOC",
	Description: "images with boxes in an XML file for each image, and masks as images",
	Source:      "a directory with a folder Annotations, or of XML files",
	Open:        open,
	NewWriter:   newWriter,
}

// Object is the class of the entities that an import makes.
type Object struct {
	schema.Entity
	Category    string
	Pose        string // "Left", "Frontal"
	IsTruncated bool
	IsDifficult bool
	IsOccluded  bool
}

type item struct {
	schema.Item
	Image   schema.Image
	Objects []Object
	BBoxes  []schema.BBox `pixano:"bboxes"`
	Masks   []schema.CompressedRLE
}

// annotation is an XML file.
type annotation struct {
	XMLName   xml.Name `xml:"annotation"`
	Folder    string   `xml:"folder"`
	Filename  string   `xml:"filename"`
	Size      *size    `xml:"size"`
	Segmented int      `xml:"segmented"`
	Objects   []object `xml:"object"`
	Others    []other  `xml:",any"`
}

// other is an element that is not read.
type other struct {
	XMLName xml.Name
	Text    string `xml:",chardata"`
	Inner   string `xml:",innerxml"`
}

func (o other) empty() bool { return strings.TrimSpace(o.Inner) == "" }

type size struct {
	Width  int64 `xml:"width"`
	Height int64 `xml:"height"`
	Depth  int64 `xml:"depth"`
}

type object struct {
	Name      string  `xml:"name"`
	Pose      string  `xml:"pose"`
	Truncated string  `xml:"truncated"`
	Difficult string  `xml:"difficult"`
	Occluded  string  `xml:"occluded,omitempty"`
	Box       *box    `xml:"bndbox"`
	Part      []thing `xml:"part"`
	Others    []other `xml:",any"`
}

type thing struct {
	Name string `xml:"name"`
}

type box struct {
	XMin string `xml:"xmin"`
	YMin string `xml:"ymin"`
	XMax string `xml:"xmax"`
	YMax string `xml:"ymax"`
}

// coords returns a box as left, top, width and height in pixels from 0.
func (b *box) coords() ([]float64, error) {
	var v [4]float64
	for i, text := range []string{b.XMin, b.YMin, b.XMax, b.YMax} {
		f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fmt.Errorf("bndbox: %s %q: want a number", []string{"xmin", "ymin", "xmax", "ymax"}[i], text)
		}
		v[i] = f
	}
	if v[2] < v[0] || v[3] < v[1] {
		return nil, fmt.Errorf("bndbox: from %g, %g to %g, %g: want the smaller numbers first", v[0], v[1], v[2], v[3])
	}
	return []float64{v[0] - 1, v[1] - 1, v[2] - v[0] + 1, v[3] - v[1] + 1}, nil
}

func boolean(text string) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "", "0", "false", "unspecified":
		return false, nil
	case "1", "true":
		return true, nil
	}
	return false, fmt.Errorf("%q: want 0 or 1", text)
}

// writer writes XML files.
type writer struct {
	out    *exchange.Output
	schema *schema.DatasetSchema
	tables exchange.Tables
	media  exchange.MediaMode
	files  exchange.FileNames
	sets   map[string]*exchange.File
	class  map[string]uint8
}

func newWriter(ctx context.Context, out *exchange.Output) (exchange.Writer, error) {
	s := out.Dataset().Schema()
	w := &writer{out: out, schema: s, tables: exchange.TablesFor(s), sets: map[string]*exchange.File{}, class: map[string]uint8{}}
	w.media = out.MediaMode(exchange.MediaCopy)
	set := map[string]bool{}
	if err := out.EachCategory(ctx, func(name string) { set[name] = true }); err != nil {
		return nil, err
	}
	for i, name := range slices.Sorted(maps.Keys(set)) {
		w.class[name] = uint8(min(i+1, 254))
	}
	return w, nil
}

// Holds reports what is written of a table.
func (w *writer) Holds(table, column string) bool {
	held, t := "", w.tables
	switch {
	case table == schema.ItemTable:
		held = "split"
	case slices.Contains(t.Images, table):
		held = "width height format item_ref"
	case slices.Contains(t.Entities, table):
		held = "category item_ref view_ref pose is_truncated is_difficult is_occluded"
	case slices.Contains(t.Boxes, table):
		held = "coords item_ref view_ref entity_ref"
	case slices.Contains(t.Masks, table):
		held = "size counts item_ref view_ref entity_ref"
	}
	return held != "" && (column == "" || slices.Contains(strings.Fields(held), column))
}

func flag(row *schema.Dynamic, column string) string {
	if row != nil {
		if v, _ := exchange.Value(row, column).(bool); v {
			return "1"
		}
	}
	return "0"
}

func (w *writer) Write(_ context.Context, item *dataset.Item) error {
	pictures := w.tables.Pictures(item, func(table string) {
		w.out.Lose(table, "", "what is in no image, or has no annotation, has no place", 1)
	})
	split := exchange.Text(item.Item, "split")
	for i, p := range pictures {
		if i > 0 {
			w.out.Lose(schema.ItemTable, "", "images of one item become items of their own", 1)
		}
		stem, suffix := w.files.Name("", p)
		url := exchange.Text(p.Row, "url")
		if w.media != exchange.MediaNone {
			if err := w.out.Media(p.Table, url, "JPEGImages/"+stem+suffix); err != nil {
				return err
			}
		}
		if err := w.list(split, stem); err != nil {
			return err
		}
		if err := w.annotation(p, stem, stem+suffix); err != nil {
			return err
		}
	}
	return nil
}

// list notes an image of a split.
func (w *writer) list(split, stem string) error {
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\`, r) || r < ' ' {
			return '_'
		}
		return r
	}, strings.TrimLeft(split, "."))
	if name == "" {
		name = "default"
	}
	f := w.sets[name]
	if f == nil {
		var err error
		if f, err = w.out.Create("ImageSets/Main/" + name + ".txt"); err != nil {
			return err
		}
		w.sets[name] = f
	}
	_, err := f.WriteString(stem + "\n")
	return err
}

func (w *writer) annotation(p *exchange.Picture, stem, file string) error {
	a := annotation{Folder: "JPEGImages", Filename: file, Size: &size{int64(p.Width), int64(p.Height), 3}}
	var objects, classes *image.Paletted
	for _, e := range p.Objects {
		if e.Box == nil && e.Mask == nil {
			w.out.Lose(strings.Join(w.tables.Points, ", "), "", "key points have no place", 1)
			if e.Entity != nil {
				w.out.Lose(e.Table, "", "an object wants a box or a mask", 1)
			}
			continue
		}
		o := object{Name: e.Category(), Pose: "Unspecified", Truncated: flag(e.Entity, "is_truncated"), Difficult: flag(e.Entity, "is_difficult")}
		if flag(e.Entity, "is_occluded") == "1" {
			o.Occluded = "1"
		}
		if e.Entity != nil {
			if pose := exchange.Text(e.Entity, "pose"); pose != "" {
				o.Pose = pose
			}
		}
		if o.Name == "" {
			o.Name = "object"
			w.out.Lose(e.Table, "category", "objects without a category become object", 1)
		}
		b, err := w.box(p, e)
		if err != nil {
			return err
		}
		if b == nil {
			w.out.Lose(e.Table, "", "an empty mask, or a box in an image of unknown size, has no place", 1)
			continue
		}
		o.Box = b
		a.Objects = append(a.Objects, o)
		if e.Mask == nil {
			continue
		}
		if objects == nil && p.Width*p.Height < features.MaxBitmapPixels {
			r := image.Rect(0, 0, int(p.Width), int(p.Height))
			objects, classes = image.NewPaletted(r, palette()), image.NewPaletted(r, palette())
		}
		if err := w.draw(e, objects, classes, len(a.Objects)); err != nil {
			return err
		}
	}
	if objects != nil {
		a.Segmented = 1
		for folder, img := range map[string]*image.Paletted{"SegmentationObject/": objects, "SegmentationClass/": classes} {
			f, err := w.out.Create(folder + stem + ".png")
			if err != nil {
				return err
			}
			if err := errors.Join(png.Encode(f, img), f.Close()); err != nil {
				return err
			}
		}
	}
	text, err := xml.MarshalIndent(a, "", "\t")
	if err != nil {
		return err
	}
	return w.out.Put("Annotations/"+stem+".xml", append(text, '\n'))
}

// draw draws a mask with the number of its object.
func (w *writer) draw(e *exchange.Entry, objects, classes *image.Paletted, number int) error {
	mask, err := exchange.Mask(e.Mask)
	if err != nil {
		return err
	}
	table := strings.Join(w.tables.Masks, ", ")
	if objects == nil || mask.Width != objects.Rect.Dx() || mask.Height != objects.Rect.Dy() || number > 254 {
		w.out.Lose(table, "", "a mask of another size than its image, or beyond the 254th object, has no place", 1)
		return nil
	}
	bits, err := mask.Bitmap()
	if err != nil {
		return err
	}
	covered := false
	for i, in := range bits {
		if in == 0 {
			continue
		}
		covered = covered || objects.Pix[i] != 0
		objects.Pix[i] = uint8(number)
		classes.Pix[i] = w.class[e.Category()]
	}
	if covered {
		w.out.Lose(table, "counts", "pixels of two masks belong to the later one", 1)
	}
	return nil
}

// palette returns VOC's colours: bits of the number spread over red, green and blue, the highest first.
func palette() color.Palette {
	p := make(color.Palette, 256)
	for i := range p {
		var c [3]uint8
		for n, shift := i, 7; n > 0; n, shift = n>>3, shift-1 {
			for j := range c {
				c[j] |= uint8(n>>j&1) << shift
			}
		}
		p[i] = color.RGBA{c[0], c[1], c[2], 255}
	}
	return p
}

// box returns the box of an entry, or the one around its mask, in whole pixels.
func (w *writer) box(p *exchange.Picture, e *exchange.Entry) (*box, error) {
	var b [4]float64
	if e.Box != nil {
		if p.Width <= 0 || p.Height <= 0 {
			return nil, nil
		}
		var err error
		if b, err = exchange.Box(e.Box, p.Width, p.Height); err != nil {
			return nil, err
		}
	} else {
		mask, err := exchange.Mask(e.Mask)
		if err != nil || mask.Area() == 0 {
			return nil, err
		}
		r := mask.Bounds()
		b = [4]float64{float64(r.Min.X), float64(r.Min.Y), float64(r.Dx()), float64(r.Dy())}
	}
	const slack = 1e-6
	whole := func(f float64) (string, bool) {
		r := math.Round(f)
		return strconv.FormatFloat(r, 'f', 0, 64), math.Abs(r-f) < slack
	}
	var out box
	exact := true
	for i, to := range []*string{&out.XMin, &out.YMin, &out.XMax, &out.YMax} {
		v := b[i%2] + 1
		if i > 1 {
			v = max(math.Round(b[i%2])+1, b[i%2]+b[i])
		}
		text, same := whole(v)
		*to = text
		exact = exact && same
	}
	if !exact {
		w.out.Lose(strings.Join(w.tables.Boxes, ", "), "coords", "boxes are rounded to whole pixels", 1)
	}
	return &out, nil
}

func (w *writer) Close() error {
	var errs []error
	for _, f := range w.sets {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// reader reads XML files.
type reader struct {
	in     *exchange.Input
	dir    string // of the XML files
	base   string // of the dataset: the folder that Annotations lies in
	files  []string
	splits map[string]string // of images by their name
	ids    map[string]string // of items, to their files
}

func open(_ context.Context, in *exchange.Input) (exchange.Reader, error) {
	if in.File() != "" {
		return nil, fmt.Errorf("%s is a file: want a directory with a folder Annotations", in.File())
	}
	r := &reader{in: in, dir: ".", base: ".", splits: map[string]string{}, ids: map[string]string{}}
	if _, err := in.Root().Stat("Annotations"); err == nil {
		r.dir = "Annotations"
	}
	err := fs.WalkDir(in.Root().FS(), r.dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.EqualFold(path.Ext(name), ".xml") {
			return err
		}
		if !utf8.ValidString(name) {
			return fmt.Errorf("the file name %q is not UTF-8: want it renamed", name)
		}
		r.files = append(r.files, name)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(r.files) == 0 {
		return nil, errors.New("there are no XML files: want a directory with a folder Annotations")
	}
	r.warnOfImages()
	return r, r.readSets()
}

// stem returns the name of an XML file without suffix, with the folder in that of the XML files if it is in one.
func (r *reader) stem(file string) string {
	return strings.TrimSuffix(strings.TrimPrefix(file, r.dir+"/"), path.Ext(file))
}

// warnOfImages warns of images without an XML file.
func (r *reader) warnOfImages() {
	there := map[string]bool{}
	for _, name := range r.files {
		there[r.stem(name)] = true
	}
	entries, _ := fs.ReadDir(r.in.Root().FS(), "JPEGImages") // one that is not there has none
	n, some := 0, ""
	for _, e := range entries {
		if name := e.Name(); exchange.IsImage(name) && !there[strings.TrimSuffix(name, path.Ext(name))] {
			n, some = n+1, name
		}
	}
	if n > 0 {
		r.in.Warn("JPEGImages", 0, "images without an XML file were left out: %d, such as %s", n, some)
	}
}

// readSets reads the lists of images, those of one class left out.
func (r *reader) readSets() error {
	for _, dir := range []string{"ImageSets/Main", "ImageSets/Segmentation"} {
		entries, err := fs.ReadDir(r.in.Root().FS(), dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for _, e := range entries {
			name, ok := strings.CutSuffix(e.Name(), ".txt")
			_, _, ofClass := strings.Cut(name, "_")
			if !ok || e.IsDir() || name == "trainval" || ofClass && dir == "ImageSets/Main" {
				continue
			}
			text, err := fs.ReadFile(r.in.Root().FS(), path.Join(dir, e.Name()))
			if err != nil {
				return err
			}
			for line := range strings.Lines(strings.TrimPrefix(string(text), "\ufeff")) {
				fields := strings.Fields(line)
				if len(fields) == 0 {
					continue
				}
				if other, ok := r.splits[fields[0]]; ok && other != name {
					r.in.Warn(path.Join(dir, e.Name()), 0, "%s is in the split %s already", fields[0], other)
					continue
				}
				r.splits[fields[0]] = name
			}
		}
	}
	return nil
}

func (r *reader) Schema() *schema.DatasetSchema { return exchange.SchemaWith(item{}) }
func (r *reader) Info() dataset.Info            { return dataset.Info{Workspace: "image"} }
func (r *reader) Close() error                  { return nil }

type rows struct {
	items   []schema.Item
	images  []schema.Image
	objects []Object
	boxes   []schema.BBox
	masks   []schema.CompressedRLE
}

func (b *rows) batch() dataset.Batch {
	return dataset.Batch{schema.ItemTable: b.items, "image": b.images, "objects": b.objects, "bboxes": b.boxes, "masks": b.masks}
}

// Rows yields the rows of the XML files, in the order of their names.
func (r *reader) Rows(ctx context.Context) iter.Seq2[dataset.Batch, error] {
	b := &rows{}
	return r.in.FileRows(ctx, "Pascal VOC", r.files, func(name, source string, known *exchange.Known) (bool, error) {
		return r.file(b, name, source, known)
	}, func() dataset.Batch {
		batch := b.batch()
		*b = rows{}
		return batch
	})
}

// maxXML bounds the size of an XML file, in bytes.
const maxXML = 64 << 20

// parse reads an XML file. The error names the line where it can.
func parse(in io.Reader) (*annotation, int, error) {
	var a annotation
	dec := xml.NewDecoder(io.LimitReader(in, maxXML))
	dec.CharsetReader = func(label string, input io.Reader) (io.Reader, error) {
		if strings.EqualFold(label, "ascii") || strings.EqualFold(label, "us-ascii") {
			return input, nil
		}
		return nil, fmt.Errorf("the encoding %q: want UTF-8", label)
	}
	if err := dec.Decode(&a); err != nil {
		line, _ := dec.InputPos()
		if err == io.EOF {
			err = errors.New("the file is empty")
		}
		return nil, line, fmt.Errorf("not XML of an annotation: %w", err)
	}
	return &a, 0, nil
}

// file makes the rows of an XML file, unless the dataset has its image already.
func (r *reader) file(b *rows, name, source string, known *exchange.Known) (has bool, err error) {
	f, err := r.in.Root().Open(name)
	if err != nil {
		return false, err
	}
	a, line, err := parse(f)
	f.Close()
	if err != nil {
		return false, &exchange.LineError{File: name, Line: line, Err: err}
	}
	stem := r.stem(name)
	picture, err := r.find(a, stem)
	if err != nil {
		return false, err
	}
	info, err := r.in.Image(picture)
	if err != nil {
		return false, err
	}
	if s := a.Size; s != nil && (s.Width != info.Width || s.Height != info.Height) && s.Width > 0 {
		r.in.Warn(name, 0, "the size is %d × %d, that of the image is %d × %d", s.Width, s.Height, info.Width, info.Height)
	}
	url, err := r.in.Media(picture)
	if err != nil {
		return false, err
	}
	id, view := r.in.ID("item", stem), r.in.ID("image", stem)
	if r.in.Options().NamesAsIDs {
		id = strings.ReplaceAll(path.Base(stem), " ", "_")
		view = id
		if first, ok := r.ids[id]; ok && first != name {
			return false, fmt.Errorf("the id %q is that of %s already", id, first)
		}
		r.ids[id] = name
	}
	if has, err := known.Has(id, []string{url}); has || err != nil {
		return has, err
	}
	split, ok := r.splits[stem]
	if !ok {
		split = "default"
		if folder, _, nested := strings.Cut(stem, "/"); nested {
			split = folder
		}
	}
	masks, err := r.readMasks(stem, info)
	if err != nil {
		return false, err
	}
	b.items = append(b.items, schema.Item{ID: id, Split: split})
	b.images = append(b.images, schema.Image{View: schema.View{ID: view, ItemRef: features.Item(id)}, URL: url, Width: info.Width,
		Height: info.Height, Format: info.Format})
	for _, o := range a.Others {
		if !o.empty() && !slices.Contains([]string{"path", "source", "owner"}, o.XMLName.Local) {
			r.in.Lose("annotation", o.XMLName.Local, "the element is not read", 1)
		}
	}
	for i, o := range a.Objects {
		if err := r.object(b, name, i, o, info, id, view, stem, source, masks[i+1]); err != nil {
			return false, fmt.Errorf("object %d: %w", i+1, err)
		}
		delete(masks, i+1)
	}
	if len(masks) > 0 {
		r.in.Warn(name, 0, "%d masks belong to no object and were left out", len(masks))
	}
	return false, nil
}

// find finds the image of an XML file.
func (r *reader) find(a *annotation, stem string) (string, error) {
	file := a.Filename
	if file == "" {
		file = stem + ".jpg"
	}
	names := []string{file}
	if dir := path.Dir(stem); dir != "." {
		names = append(names, path.Join(dir, file))
	}
	if path.Ext(file) == "" {
		names = append(names, file+".jpg", file+".png")
	}
	for _, name := range names {
		if _, err := exchange.CheckMediaName(name); err != nil {
			return "", err
		}
		for _, folder := range []string{"JPEGImages", path.Join(r.dir, path.Dir(stem)), ".", "images"} {
			if candidate := path.Join(folder, name); r.in.HasMedia(candidate) {
				return candidate, nil
			}
		}
	}
	_, err := r.in.Stat(path.Join("JPEGImages", file))
	return "", err
}

// readMasks reads the masks of the objects of an image, by their number.
func (r *reader) readMasks(stem string, info exchange.ImageInfo) (map[int]features.RLE, error) {
	name := "SegmentationObject/" + stem + ".png"
	f, err := r.in.Root().Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fail := func(format string, args ...any) error {
		return &exchange.LineError{File: name, Err: fmt.Errorf(format, args...)}
	}
	head, err := png.DecodeConfig(f)
	if err != nil {
		return nil, fail("not a PNG: %w", err)
	}
	if int64(head.Width) != info.Width || int64(head.Height) != info.Height {
		return nil, fail("masks of %d × %d pixels, and the image has %d × %d", head.Width, head.Height, info.Width, info.Height)
	}
	if info.Width*info.Height > features.MaxBitmapPixels {
		return nil, fail("masks of %d × %d pixels: want at most %d in all", head.Width, head.Height, features.MaxBitmapPixels)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	img, err := png.Decode(f)
	if err != nil {
		return nil, fail("the PNG cannot be decoded: %w", err)
	}
	pix, ok := numbers(img)
	if !ok {
		return nil, fail("want a PNG with a palette or in shades of grey, whose numbers are those of the objects, or in the colours of VOC")
	}
	const border = 255
	var used [256]bool
	for _, n := range pix {
		used[n] = true
	}
	masks := map[int]features.RLE{}
	bits := make([]byte, len(pix))
	for n := 1; n < border; n++ {
		if !used[n] {
			continue
		}
		for i, v := range pix {
			bits[i] = 0
			if int(v) == n {
				bits[i] = 1
			}
		}
		if masks[n], err = features.RLEFromBitmap(head.Height, head.Width, bits); err != nil {
			return nil, fail("%w", err)
		}
	}
	return masks, nil
}

// numbers returns the number of each pixel: in its palette, its shade or, as other tools write masks, that of its colour in
// VOC's palette.
func numbers(img image.Image) ([]byte, bool) {
	size := img.Bounds().Size()
	switch img := img.(type) {
	case *image.Paletted:
		return img.Pix, true
	case *image.Gray:
		return img.Pix, true
	}
	of := map[color.RGBA]byte{}
	for i, c := range palette() {
		of[c.(color.RGBA)] = byte(i)
	}
	pix := make([]byte, 0, size.X*size.Y)
	for y := range size.Y {
		for x := range size.X {
			n, ok := of[color.RGBAModel.Convert(img.At(x, y)).(color.RGBA)]
			if !ok {
				return nil, false
			}
			pix = append(pix, n)
		}
	}
	return pix, true
}

// object makes the rows of an object.
func (r *reader) object(b *rows, file string, i int, o object, info exchange.ImageInfo, item, view, stem, source string, mask features.RLE) error {
	if o.Box == nil {
		return errors.New("there is no bndbox")
	}
	coords, err := o.Box.coords()
	if err != nil {
		return err
	}
	key := []string{stem, strconv.Itoa(i)}
	id := func(kind string) string { return r.in.ID(append([]string{kind}, key...)...) }
	seen := features.View("image", view)
	row := Object{Entity: schema.Entity{ID: id("object"), ItemRef: features.Item(item), ViewRef: seen}, Category: strings.TrimSpace(o.Name)}
	if o.Pose != "Unspecified" {
		row.Pose = o.Pose
	}
	for _, f := range []struct {
		to   *bool
		text string
		name string
	}{{&row.IsTruncated, o.Truncated, "truncated"}, {&row.IsDifficult, o.Difficult, "difficult"}, {&row.IsOccluded, o.Occluded, "occluded"}} {
		if *f.to, err = boolean(f.text); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	b.objects = append(b.objects, row)
	if len(o.Part) > 0 {
		r.in.Lose("object", "part", "parts of objects have no table", int64(len(o.Part)))
	}
	for _, o := range o.Others {
		if !o.empty() {
			r.in.Lose("object", o.XMLName.Local, "the element is not read", 1)
		}
	}
	x, y, w, h := coords[0], coords[1], coords[2], coords[3]
	if x < 0 || y < 0 || x+w > float64(info.Width) || y+h > float64(info.Height) {
		r.in.Warn(file, 0, "object %d: the box reaches out of its image of %d × %d pixels, where it is cut", i+1, info.Width, info.Height)
		w, h = w+min(x, 0), h+min(y, 0)
		x, y = max(x, 0), max(y, 0)
		w, h = max(0, min(w, float64(info.Width)-x)), max(0, min(h, float64(info.Height)-y))
	}
	note := func(kind string) schema.Annotation {
		return exchange.NewAnnotation(id(kind), item, seen, features.Entity("objects", row.ID), source)
	}
	bb := schema.NewBBox("")
	bb.Annotation = note("box")
	bb.Coords, bb.Format = []float64{x, y, w, h}, features.FormatXYWH
	b.boxes = append(b.boxes, bb)
	if mask.Counts != nil {
		m := schema.CompressedRLE{Annotation: note("mask")}
		m.SetMask(mask)
		b.masks = append(b.masks, m)
	}
	return nil
}
