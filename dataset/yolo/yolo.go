// Package yolo imports and exports datasets in the format of YOLO, as Ultralytics and others read it: data.yaml, a folder of
// images for each split, and beside it a folder of labels with a text file for each image.
//
//	OUT/data.yaml           names of the classes, folders of the splits
//	OUT/images/train/a.jpg
//	OUT/labels/train/a.txt  a line for each object, all numbers as fractions of the image
//
// There are four kinds of line, one for each task: detect has "class x y width height" with the middle of the box; segment
// "class x y x y …", a polygon; pose a box and the key points "x y v"; obb the four corners of a turned box. What is not
// of the task is not written. An export of the task obb takes the smallest turned box around each mask.
package yolo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"pixano/dataset"
	"pixano/dataset/exchange"
	"pixano/features"
	"pixano/schema"
)

// Format is the format of YOLO.
var Format = exchange.Format{
	Name:        "yolo",
	Title:       "YOLO",
	Description: "images with boxes, polygons, key points or turned boxes, in a text file for each image",
	Source:      "a directory with data.yaml, or the YAML file",
	Open:        open,
	NewWriter:   newWriter,
	Options: []exchange.Option{
		{Name: "task", Description: "detect, segment, pose or obb (default: detect; imports look at data.yaml and the labels)", Import: true, Export: true},
	},
}

// The tasks.
const (
	detect  = "detect"
	segment = "segment"
	pose    = "pose"
	obb     = "obb"
)

var tasks = []string{detect, segment, pose, obb}

type item struct {
	schema.Item
	Image     schema.Image
	Objects   []exchange.Object
	BBoxes    []schema.BBox `pixano:"bboxes"`
	Masks     []schema.CompressedRLE
	Keypoints []schema.KeyPoints
}

// config is data.yaml.
type config struct {
	Path     string    `yaml:"path"`
	Names    yaml.Node `yaml:"names"`
	Count    *int      `yaml:"nc"`
	KptShape []int     `yaml:"kpt_shape"`
	KptNames yaml.Node `yaml:"kpt_names"` // names of the points, by class or of all
	Task     string    `yaml:"task"`

	PoseIDs map[int]string `yaml:"pixano_templates"` // of key points, by class
	Poses   string         `yaml:"pixano_template_list"`
}

// writer writes labels.
type writer struct {
	out    *exchange.Output
	tables exchange.Tables
	schema *schema.DatasetSchema
	task   string
	media  exchange.MediaMode
	names  []string
	ids    map[string]int
	points int            // of a pose
	poses  map[int]string // templates of key points, by class
	files  exchange.FileNames
	used   map[string]bool // splits with an image
	buf    []byte
}

func newWriter(ctx context.Context, out *exchange.Output) (exchange.Writer, error) {
	s := out.Dataset().Schema()
	w := &writer{out: out, schema: s, tables: exchange.TablesFor(s), task: out.Options().Params["task"], ids: map[string]int{}, used: map[string]bool{}, poses: map[int]string{}}
	if w.task == "" {
		w.task = detect
	}
	if !slices.Contains(tasks, w.task) {
		return nil, fmt.Errorf("task %q: want one of %s", w.task, strings.Join(tasks, ", "))
	}
	w.media = out.MediaMode(exchange.MediaCopy)
	set := map[string]bool{}
	if err := out.EachCategory(ctx, func(name string) { set[name] = true }); err != nil {
		return nil, err
	}
	delete(set, "")
	w.names = slices.Sorted(maps.Keys(set))
	for i, name := range w.names {
		w.ids[name] = i
	}
	return w, nil
}

// Holds reports what is written of a table.
func (w *writer) Holds(table, column string) bool {
	class, ok := w.schema.Class(table)
	if !ok {
		return false
	}
	held := ""
	t := w.tables
	switch {
	case table == schema.ItemTable:
		held = "split"
	case slices.Contains(t.Images, table):
		held = "width height format item_ref"
	case slices.Contains(t.Entities, table):
		held = "category item_ref view_ref"
	case slices.Contains(t.Boxes, table) && (w.task == detect || w.task == pose):
		held = "coords item_ref view_ref entity_ref"
	case slices.Contains(t.Masks, table) && w.task == segment:
		held = "size counts item_ref view_ref entity_ref"
	case slices.Contains(t.Masks, table) && w.task == obb:
		held = "item_ref view_ref entity_ref"
	case slices.Contains(t.Points, table) && w.task == pose:
		held = "template_id coords states item_ref view_ref entity_ref"
	}
	if held == "" || class.Group() == schema.GroupEmbeddings {
		return false
	}
	return column == "" || slices.Contains(strings.Fields(held), column)
}

func (w *writer) folder(split string) string {
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\`, r) || r < ' ' {
			return '_'
		}
		return r
	}, strings.TrimLeft(split, "."))
	if name == "" {
		name = "default"
	}
	return name
}

func (w *writer) Write(_ context.Context, item *dataset.Item) error {
	folder := w.folder(exchange.Text(item.Item, "split"))
	w.used[folder] = true
	pictures := w.tables.Pictures(item, func(table string) {
		w.out.Lose(table, "", "what is in no image, or has no annotation, has no place", 1)
	})
	for i, p := range pictures {
		if i > 0 {
			w.out.Lose(schema.ItemTable, "", "images of one item become items of their own", 1)
		}
		stem, suffix := w.files.Name(folder, p)
		if url := exchange.Text(p.Row, "url"); w.media != exchange.MediaNone {
			if err := w.out.Media(p.Table, url, path.Join("images", folder, stem+suffix)); err != nil {
				return err
			}
		}
		w.buf = w.buf[:0]
		for _, e := range p.Objects {
			if err := w.line(p, e); err != nil {
				return err
			}
		}
		if err := w.out.Put(path.Join("labels", folder, stem+".txt"), w.buf); err != nil {
			return err
		}
	}
	return nil
}

// unlabelled is the class of objects without a category.
const unlabelled = "object"

func (w *writer) class(e *exchange.Entry) int {
	name := e.Category()
	if name == "" {
		w.out.Lose(e.Table, "category", "objects without a category become "+unlabelled, 1)
		name = unlabelled
	}
	id, ok := w.ids[name]
	if !ok {
		id = len(w.names)
		w.names = append(w.names, name)
		w.ids[name] = id
	}
	return id
}

// line writes what an image shows of an entity.
func (w *writer) line(p *exchange.Picture, e *exchange.Entry) error {
	lose := func(tables []string, row *schema.Dynamic, why string) {
		if row != nil && len(tables) > 0 {
			w.out.Lose(strings.Join(tables, ", "), "", why, 1)
		}
	}
	nothing := func(why string) error {
		if e.Entity != nil {
			w.out.Lose(e.Table, "", why, 1)
		}
		return nil
	}
	if p.Width <= 0 || p.Height <= 0 {
		lose(w.tables.Boxes, e.Box, "the size of the image is not known")
		lose(w.tables.Masks, e.Mask, "the size of the image is not known")
		lose(w.tables.Points, e.Points, "the size of the image is not known")
		return nothing("the size of the image is not known")
	}
	switch w.task {
	case detect, pose:
		if w.task == pose && e.Points == nil {
			lose(w.tables.Boxes, e.Box, "the task pose wants key points")
			return nothing("the task pose wants key points")
		}
		box, err := w.box(p, e)
		if err != nil {
			return err
		}
		if box == nil {
			return nothing("the task " + w.task + " wants a box")
		}
		class := w.class(e)
		w.buf = strconv.AppendInt(w.buf, int64(class), 10)
		w.numbers(box[0]+box[2]/2, box[1]+box[3]/2, box[2], box[3])
		if w.task == pose {
			template := exchange.Text(e.Points, "template_id")
			if first, ok := w.poses[class]; !ok {
				w.poses[class] = template
			} else if first != template {
				w.out.Lose(strings.Join(w.tables.Points, ", "), "template_id", "a class has one template: that of its first pose", 1)
			}
			if err := w.keyPoints(p, e); err != nil {
				return err
			}
		}
	case segment:
		if e.Mask == nil {
			return nothing("the task segment wants a mask")
		}
		ring, holes, err := outline(e.Mask)
		if err != nil {
			return err
		}
		if len(ring) == 0 {
			lose(w.tables.Masks, e.Mask, "an empty mask has no outline")
			return nothing("an empty mask has no outline")
		}
		if holes {
			w.out.Lose(strings.Join(w.tables.Masks, ", "), "counts", "polygons have no holes: they are filled", 1)
		}
		w.buf = strconv.AppendInt(w.buf, int64(w.class(e)), 10)
		for i := 0; i+1 < len(ring); i += 2 {
			w.numbers(ring[i]/p.Width, ring[i+1]/p.Height)
		}
	case obb:
		corners, err := w.corners(p, e)
		if err != nil {
			return err
		}
		if corners == nil {
			return nothing("the task obb wants a mask or a box")
		}
		w.buf = strconv.AppendInt(w.buf, int64(w.class(e)), 10)
		for i := 0; i+1 < len(corners); i += 2 {
			w.numbers(corners[i]/p.Width, corners[i+1]/p.Height)
		}
	}
	w.buf = append(w.buf, '\n')
	return nil
}

// numbers appends numbers with ten decimals at most.
func (w *writer) numbers(values ...float64) {
	for _, v := range values {
		w.buf = append(w.buf, ' ')
		w.buf = strconv.AppendFloat(w.buf, math.Round(v*1e10)/1e10, 'f', -1, 64)
	}
}

// box returns the box of an entry as fractions, cut to the image; without one, that around its mask.
func (w *writer) box(p *exchange.Picture, e *exchange.Entry) ([]float64, error) {
	if e.Box == nil {
		if e.Mask == nil {
			return nil, nil
		}
		mask, err := exchange.Mask(e.Mask)
		if err != nil || mask.Area() == 0 {
			return nil, err
		}
		return mask.BBox()
	}
	box, err := exchange.Box(e.Box, p.Width, p.Height)
	if err != nil {
		return nil, err
	}
	f, err := exchange.Fractions(box, p.Width, p.Height)
	if err != nil {
		return nil, err
	}
	const slack = 1e-9
	if f[0]+f[2] > 1+slack || f[1]+f[3] > 1+slack {
		w.out.Lose(strings.Join(w.tables.Boxes, ", "), "coords", "boxes are cut where they reach out of their image", 1)
		f[0], f[1] = min(f[0], 1), min(f[1], 1)
		f[2], f[3] = min(f[2], 1-f[0]), min(f[3], 1-f[1])
	}
	return f, nil
}

func (w *writer) keyPoints(p *exchange.Picture, e *exchange.Entry) error {
	coords, _ := exchange.Value(e.Points, "coords").([]float64)
	states, _ := exchange.Value(e.Points, "states").([]string)
	if slices.ContainsFunc(coords, func(c float64) bool { return c > 1 }) {
		var err error
		if coords, err = features.Normalize(coords, p.Width, p.Height); err != nil {
			return err
		}
		w.out.Lose(strings.Join(w.tables.Points, ", "), "coords", "pixels become fractions", 1)
	}
	flat, _, err := features.KeyPointsToCOCO(coords, states)
	if err != nil {
		return err
	}
	if slices.Contains(states, features.StateInvisible) {
		w.out.Lose(strings.Join(w.tables.Points, ", "), "coords", "points that are not seen lose their place", 1)
	}
	if w.points == 0 {
		w.points = len(states)
	}
	if len(states) != w.points {
		return fmt.Errorf("key points %q: %d points: want %d, as in all poses of one export", exchange.Text(e.Points, "id"), len(states), w.points)
	}
	w.numbers(flat...)
	return nil
}

// outline returns the outline of a mask as one ring. Several parts are joined by lines there and back.
func outline(row *schema.Dynamic) (ring []float64, holes bool, err error) {
	mask, err := exchange.Mask(row)
	if err != nil {
		return nil, false, err
	}
	parts, err := mask.Polygons()
	if err != nil {
		return nil, false, err
	}
	for _, p := range parts {
		holes = holes || len(p.Holes) > 0
		ring = append(ring, p.Exterior...)
		if len(parts) > 1 {
			ring = append(ring, p.Exterior[:2]...)
		}
	}
	for _, p := range slices.Backward(parts[:max(0, len(parts)-1)]) {
		ring = append(ring, p.Exterior[:2]...)
	}
	return ring, holes, nil
}

// corners returns the corners of the smallest turned box around a mask, or else those of the box.
func (w *writer) corners(p *exchange.Picture, e *exchange.Entry) ([]float64, error) {
	if e.Mask != nil {
		mask, err := exchange.Mask(e.Mask)
		if err != nil {
			return nil, err
		}
		parts, err := mask.Polygons()
		if err != nil {
			return nil, err
		}
		var points []point
		for _, part := range parts {
			for i := 0; i+1 < len(part.Exterior); i += 2 {
				points = append(points, point{part.Exterior[i], part.Exterior[i+1]})
			}
		}
		if len(points) > 0 {
			w.out.Lose(strings.Join(w.tables.Masks, ", "), "counts", "masks become the smallest turned box around them", 1)
			return smallestBox(points), nil
		}
	}
	if e.Box == nil {
		return nil, nil
	}
	b, err := exchange.Box(e.Box, p.Width, p.Height)
	if err != nil {
		return nil, err
	}
	return []float64{b[0], b[1], b[0] + b[2], b[1], b[0] + b[2], b[1] + b[3], b[0], b[1] + b[3]}, nil
}

func (w *writer) Close() error {
	var b strings.Builder
	b.WriteString("path: .\n")
	splits := slices.Sorted(maps.Keys(w.used))
	for _, name := range splits {
		key, err := yaml.Marshal(map[string]string{name: "images/" + name})
		if err != nil {
			return err
		}
		b.Write(key)
	}
	// Readers want both.
	for _, name := range []string{"train", "val"} {
		if !w.used[name] && len(splits) > 0 {
			value, err := yaml.Marshal(map[string]string{name: "images/" + splits[0]})
			if err != nil {
				return err
			}
			b.WriteString("# there is no split of this name\n")
			b.Write(value)
		}
	}
	fmt.Fprintf(&b, "task: %s\nnc: %d\n", w.task, len(w.names))
	if w.task == pose {
		fmt.Fprintf(&b, "kpt_shape: [%d, 3]\n", max(1, w.points))
		if err := w.describePoses(&b); err != nil {
			return err
		}
	}
	names := yaml.Node{Kind: yaml.MappingNode}
	for i, name := range w.names {
		names.Content = append(names.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: strconv.Itoa(i)},
			&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name})
	}
	text, err := yaml.Marshal(map[string]*yaml.Node{"names": &names})
	if err != nil {
		return err
	}
	b.Write(text)
	return w.out.Put("data.yaml", []byte(b.String()))
}

// reader reads data.yaml and labels.
type reader struct {
	in     *exchange.Input
	file   string // the YAML
	task   string
	names  map[int]string
	kpt    []int
	poses  map[string]*posed // by class
	labels map[string]bool   // files that belong to an image
	given  []features.KeyPointTemplate
	splits []split
}

type split struct {
	name   string
	images []string // paths in the source
}

func open(ctx context.Context, in *exchange.Input) (exchange.Reader, error) {
	r := &reader{in: in, file: in.File(), names: map[int]string{}, labels: map[string]bool{}}
	if r.file == "" {
		for _, name := range []string{"data.yaml", "data.yml", "dataset.yaml"} {
			if _, err := in.Root().Stat(name); err == nil {
				r.file = name
				break
			}
		}
		if r.file == "" {
			return nil, errors.New("the directory has no data.yaml: want one, or the YAML file itself")
		}
	}
	text, err := fs.ReadFile(in.Root().FS(), r.file)
	if err != nil {
		return nil, err
	}
	if err := r.parse(text); err != nil {
		return nil, &exchange.LineError{File: r.file, Err: err}
	}
	return r, nil
}

// parse reads data.yaml.
func (r *reader) parse(text []byte) error {
	var c config
	if err := yaml.Unmarshal(text, &c); err != nil {
		return fmt.Errorf("not YAML of a dataset: %w", err)
	}
	r.kpt, r.poses = c.KptShape, map[string]*posed{}
	if r.kpt != nil && (len(r.kpt) != 2 || r.kpt[0] < 1 || r.kpt[0] > 10_000 || r.kpt[1] != 2 && r.kpt[1] != 3) {
		return fmt.Errorf("kpt_shape %v: want the number of points, and 2 or 3 numbers for each", r.kpt)
	}
	r.task = r.in.Options().Params["task"]
	if r.task == "" && slices.Contains(tasks, c.Task) {
		r.task = c.Task
	}
	if r.task == "" && r.kpt != nil {
		r.task = pose
	}
	if r.task != "" && !slices.Contains(tasks, r.task) {
		return fmt.Errorf("task %q: want one of %s", r.task, strings.Join(tasks, ", "))
	}
	if r.task == pose && r.kpt == nil {
		return errors.New("there is no kpt_shape: want the number of points of a pose")
	}
	switch c.Names.Kind {
	case yaml.SequenceNode:
		var list []string
		if err := c.Names.Decode(&list); err != nil {
			return fmt.Errorf("names: %w", err)
		}
		for i, name := range list {
			r.names[i] = name
		}
	case yaml.MappingNode:
		if err := c.Names.Decode(&r.names); err != nil {
			return fmt.Errorf("names: %w", err)
		}
	default:
		return errors.New("there are no names: want the names of the classes")
	}
	if err := r.findPoses(&c); err != nil {
		return err
	}
	if c.Count != nil && *c.Count != len(r.names) {
		r.in.Warn(r.file, 0, "nc is %d, and there are %d names", *c.Count, len(r.names))
	}
	var all map[string]yaml.Node
	if err := yaml.Unmarshal(text, &all); err != nil {
		return err
	}
	base := path.Dir(r.file)
	if c.Path != "" && c.Path != "." && !path.IsAbs(c.Path) {
		if _, err := r.in.Root().Stat(path.Join(base, c.Path)); err == nil {
			base = path.Join(base, c.Path)
		}
	}
	seen := map[string]bool{}
	keys := slices.Sorted(maps.Keys(all))
	slices.SortStableFunc(keys, func(a, b string) int {
		// A folder that stands for several splits is the one that is called like it.
		other := func(name string) int {
			if node := all[name]; path.Base(node.Value) == name {
				return 0
			}
			return 1
		}
		return other(a) - other(b)
	})
	for _, name := range keys {
		if slices.Contains([]string{"path", "names", "nc", "kpt_shape", "flip_idx", "download", "task", "roboflow", "kpt_names", "skeleton",
			"pixano_templates", "pixano_template_list"}, name) {
			continue
		}
		node := all[name]
		var places []string
		if node.Kind == yaml.ScalarNode && node.Tag == "!!str" {
			places = []string{node.Value}
		} else if node.Kind == yaml.SequenceNode {
			if err := node.Decode(&places); err != nil {
				continue
			}
		} else {
			continue
		}
		s := split{name: name}
		for _, place := range places {
			images, err := r.list(base, place)
			if name == "test" && errors.Is(err, fs.ErrNotExist) { // which templates of data.yaml name though there is none
				r.in.LeftOut(r.file, 0, fmt.Errorf("test: %w", err))
				continue
			}
			if err != nil {
				if name == "train" || name == "val" || name == "test" {
					return fmt.Errorf("%s: %w", name, err)
				}
				continue
			}
			for _, image := range images {
				if !seen[image] { // one folder may serve for two splits
					seen[image] = true
					s.images = append(s.images, image)
				}
			}
		}
		r.splits = append(r.splits, s)
	}
	if len(r.splits) == 0 {
		return errors.New("there are no splits: want train, val or test with folders of images")
	}
	return nil
}

// list returns the images of a folder, or of a text file that lists them.
func (r *reader) list(base, place string) ([]string, error) {
	place = strings.ReplaceAll(place, `\`, "/")
	dir := path.Join(base, place)
	if _, err := r.in.Root().Stat(dir); err != nil {
		// Files of Roboflow say ../train/images for train/images.
		if short := strings.TrimLeft(place, "./"); short != place && short != "" {
			if _, err := r.in.Root().Stat(path.Join(base, short)); err == nil {
				dir = path.Join(base, short)
			}
		}
	}
	st, err := r.in.Root().Stat(dir)
	if err != nil {
		if strings.Contains(err.Error(), "escapes") {
			return nil, missing(fmt.Sprintf("%q leads out of the source", place))
		}
		return nil, missing(fmt.Sprintf("%q: no such folder or file", place))
	}
	var images []string
	if !st.IsDir() {
		f, err := r.in.Root().Open(dir)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		lines := exchange.NewLines(f)
		for n := 1; lines.Scan(); n++ {
			line := strings.TrimSpace(lines.Text())
			if line == "" {
				continue
			}
			image, err := r.listed(dir, base, line)
			if err != nil {
				return nil, &exchange.LineError{File: dir, Line: n, Err: err}
			}
			images = append(images, image)
		}
		return images, lines.Err()
	}
	err = fs.WalkDir(r.in.Root().FS(), dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && exchange.IsImage(name) {
			images = append(images, name)
		}
		return err
	})
	return images, err
}

// missing is the error of a split that is not there.
type missing string

func (e missing) Error() string        { return string(e) }
func (e missing) Is(target error) bool { return target == fs.ErrNotExist }

// listed returns the image that a list names: from where the dataset begins, or from the list. Of a path of another machine it
// is the longest end that is there.
func (r *reader) listed(list, base, line string) (string, error) {
	name := strings.ReplaceAll(line, `\`, "/")
	for _, dir := range []string{base, path.Dir(list)} {
		if image, err := exchange.CheckMediaName(path.Join(dir, name)); err == nil && !path.IsAbs(name) && r.in.HasMedia(image) {
			return image, nil
		}
	}
	for rest := name; ; {
		_, after, ok := strings.Cut(rest, "/")
		if !ok {
			break
		}
		rest = after
		if image, err := exchange.CheckMediaName(path.Join(base, rest)); err == nil && r.in.HasMedia(image) {
			return image, nil
		}
	}
	return exchange.CheckMediaName(path.Join(base, name))
}

func (r *reader) Schema() *schema.DatasetSchema { return exchange.SchemaWith(item{}) }
func (r *reader) Info() dataset.Info            { return dataset.Info{Workspace: "image"} }
func (r *reader) Close() error                  { return nil }

// labelOf returns the path of the labels of an image.
func labelOf(image string) string {
	dir := path.Dir(image)
	if i := strings.LastIndex("/"+dir+"/", "/images/"); i >= 0 {
		dir = strings.Trim(("/" + dir + "/")[:i]+"/labels/"+("/" + dir + "/")[i+len("/images/"):], "/")
	}
	return path.Join(dir, strings.TrimSuffix(path.Base(image), path.Ext(image))+".txt")
}

// rows are those of some images.
type rows struct {
	items   []schema.Item
	images  []schema.Image
	objects []exchange.Object
	boxes   []schema.BBox
	masks   []schema.CompressedRLE
	points  []schema.KeyPoints
}

func (b *rows) batch() dataset.Batch {
	return dataset.Batch{schema.ItemTable: b.items, "image": b.images, "objects": b.objects, "bboxes": b.boxes, "masks": b.masks, "keypoints": b.points}
}

// Rows yields the rows of the images, split by split.
func (r *reader) Rows(ctx context.Context) iter.Seq2[dataset.Batch, error] {
	var images []string
	splitOf := map[string]string{}
	for _, s := range r.splits {
		for _, image := range s.images {
			images = append(images, image)
			splitOf[image] = s.name
		}
	}
	b, ids := &rows{}, map[string]string{}
	found := r.in.FileRows(ctx, "YOLO", images, func(name, source string, known *exchange.Known) (bool, error) {
		return r.image(b, splitOf[name], name, source, known, ids)
	}, func() dataset.Batch {
		batch := b.batch()
		*b = rows{}
		return batch
	})
	return func(yield func(dataset.Batch, error) bool) {
		clear(r.labels)
		for batch, err := range found {
			if !yield(batch, err) || err != nil {
				return
			}
		}
		r.warnOfLabels(images)
	}
}

// warnOfLabels warns of labels of images that are not there.
func (r *reader) warnOfLabels(images []string) {
	seen := map[string]bool{}
	for _, image := range images {
		dir := path.Dir(labelOf(image))
		if seen[dir] {
			continue
		}
		seen[dir] = true
		entries, _ := fs.ReadDir(r.in.Root().FS(), dir) // one that is not there has none
		n, some := 0, ""
		for _, e := range entries {
			if name := path.Join(dir, e.Name()); !e.IsDir() && path.Ext(name) == ".txt" && e.Name() != "classes.txt" && dir != path.Dir(image) && !r.labels[name] {
				n, some = n+1, name
			}
		}
		if n > 0 {
			r.in.Warn(dir, 0, "labels of no image of the splits were left out: %d, such as %s", n, some)
		}
	}
}

// image makes the rows of an image, unless the dataset has it already.
func (r *reader) image(b *rows, split, name, source string, known *exchange.Known, ids map[string]string) (has bool, err error) {
	label := labelOf(name)
	r.labels[label] = true
	info, err := r.in.Image(name)
	if err != nil {
		return false, err
	}
	url, err := r.in.Media(name)
	if err != nil {
		return false, err
	}
	id, view := r.in.ID("item", name), r.in.ID("image", name)
	if r.in.Options().NamesAsIDs {
		id = strings.ReplaceAll(strings.TrimSuffix(path.Base(name), path.Ext(name)), " ", "_")
		view = id
		if first, ok := ids[id]; ok {
			return false, fmt.Errorf("the id %q is that of %s already", id, first)
		}
		ids[id] = name
	}
	if has, err := known.Has(id, []string{url}); has || err != nil {
		return has, err
	}
	b.items = append(b.items, schema.Item{ID: id, Split: split})
	b.images = append(b.images, schema.Image{View: schema.View{ID: view, ItemRef: features.Item(id)}, URL: url, Width: info.Width,
		Height: info.Height, Format: info.Format})
	f, err := r.in.Root().Open(label)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // an image without objects
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	scan := exchange.NewLines(f)
	for n := 1; scan.Scan(); n++ {
		text := strings.TrimSpace(scan.Text())
		if text == "" {
			continue
		}
		o, err := r.parseLine(text)
		if err == nil {
			err = r.add(b, o, info, id, view, label, n, source)
		}
		if err != nil {
			return false, &exchange.LineError{File: label, Line: n, Err: err}
		}
	}
	if err := scan.Err(); err != nil {
		return false, &exchange.LineError{File: label, Err: err}
	}
	return false, nil
}

// labelled is a line of a file of labels.
type labelled struct {
	class      string
	box        []float64 // middle and size
	polygon    []float64
	points     []float64 // x, y, v
	confidence float64
	clipped    bool
}

// parseLine reads a line of labels.
func (r *reader) parseLine(text string) (*labelled, error) {
	fields := strings.Fields(text)
	class, err := strconv.ParseFloat(fields[0], 64)
	if err != nil || class != math.Trunc(class) || class < 0 || class > 1e9 {
		return nil, fmt.Errorf("class %q: want a number from 0", fields[0])
	}
	o := &labelled{confidence: schema.NoConfidence}
	name, ok := r.names[int(class)]
	if !ok {
		return nil, fmt.Errorf("there is no class %d: %s has %d names", int(class), r.file, len(r.names))
	}
	o.class = name
	values := make([]float64, len(fields)-1)
	for i, f := range fields[1:] {
		v, err := strconv.ParseFloat(f, 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%q: want a number", f)
		}
		values[i] = v
	}
	task := r.task
	if task == "" || task == detect && len(values) > 5 || task == segment && len(values) <= 5 {
		task = detect
		if len(values) > 5 {
			task = segment
		}
	}
	clip := func(list []float64) []float64 {
		for i, v := range list {
			if c := min(max(v, 0), 1); c != v {
				list[i] = c
				o.clipped = o.clipped || math.Abs(c-v) > 1e-6
			}
		}
		return list
	}
	switch task {
	case detect:
		if len(values) != 4 && len(values) != 5 {
			return nil, fmt.Errorf("%d numbers after the class: want 4, the middle and the size of a box", len(values))
		}
		if len(values) == 5 {
			if o.confidence = values[4]; o.confidence < 0 || o.confidence > 1 {
				return nil, fmt.Errorf("confidence %g: want 0 to 1", o.confidence)
			}
		}
		o.box = values[:4]
	case pose:
		want := 4 + r.kpt[0]*r.kpt[1]
		if len(values) != want {
			return nil, fmt.Errorf("%d numbers after the class: want %d, a box and %d points", len(values), want, r.kpt[0])
		}
		o.box = values[:4]
		for i := 4; i < len(values); i += r.kpt[1] {
			visible := 2.0
			if r.kpt[1] == 3 {
				visible = values[i+2]
			} else if values[i] == 0 && values[i+1] == 0 {
				visible = 0
			}
			o.points = append(o.points, clip(values[i : i+2])[0], values[i+1], visible)
		}
	case obb:
		if len(values) != 8 {
			return nil, fmt.Errorf("%d numbers after the class: want 8, the corners of a box", len(values))
		}
		o.polygon = clip(values)
	case segment:
		if len(values)%2 != 0 || len(values) < 6 {
			return nil, fmt.Errorf("%d numbers after the class: want x and y of at least 3 points", len(values))
		}
		o.polygon = clip(values)
	}
	if o.box != nil && (o.box[2] < 0 || o.box[3] < 0) {
		return nil, fmt.Errorf("a box of the size %g × %g: want no negative size", o.box[2], o.box[3])
	}
	return o, nil
}

// add makes the rows of an object.
func (r *reader) add(b *rows, o *labelled, info exchange.ImageInfo, item, view, file string, line int, source string) error {
	key := []string{file, strconv.Itoa(line)}
	id := func(kind string) string { return r.in.ID(append([]string{kind}, key...)...) }
	seen := features.View("image", view)
	entity := exchange.Object{Entity: schema.Entity{ID: id("object"), ItemRef: features.Item(item), ViewRef: seen}, Category: o.class}
	b.objects = append(b.objects, entity)
	note := func(kind string) schema.Annotation {
		return exchange.NewAnnotation(id(kind), item, seen, features.Entity("objects", entity.ID), source)
	}
	var left, top, right, bottom float64
	if o.box != nil {
		left, top = o.box[0]-o.box[2]/2, o.box[1]-o.box[3]/2
		right, bottom = left+o.box[2], top+o.box[3]
	} else {
		left, top, right, bottom = 1, 1, 0, 0
		for i := 0; i+1 < len(o.polygon); i += 2 {
			left, right = min(left, o.polygon[i]), max(right, o.polygon[i])
			top, bottom = min(top, o.polygon[i+1]), max(bottom, o.polygon[i+1])
		}
	}
	const slack = 1e-6
	if left < -slack || top < -slack || right > 1+slack || bottom > 1+slack || o.clipped {
		r.in.Warn(file, line, "what reaches out of the image was cut")
	}
	box := schema.NewBBox("")
	box.Annotation = note("box")
	left, top = max(left, 0), max(top, 0)
	box.Coords = []float64{left, top, max(0, min(right, 1)-left), max(0, min(bottom, 1)-top)}
	box.Format, box.IsNormalized, box.Confidence = features.FormatXYWH, true, o.confidence
	if left > 1 || top > 1 {
		return errors.New("the box lies outside of the image")
	}
	b.boxes = append(b.boxes, box)
	if o.polygon != nil {
		pixels, err := features.Scale(o.polygon, float64(info.Width), float64(info.Height))
		if err != nil {
			return err
		}
		mask, err := features.RLEFromPolygons(int(info.Height), int(info.Width), [][]float64{pixels})
		if err != nil {
			return err
		}
		row := schema.CompressedRLE{Annotation: note("mask")}
		row.SetMask(mask)
		b.masks = append(b.masks, row)
		if r.task == obb {
			r.in.Lose("labels", "", "corners of turned boxes are kept as masks, and boxes around them", 1)
		}
	}
	if o.points != nil {
		row := schema.KeyPoints{Annotation: note("points"), TemplateID: r.template(o)}
		var err error
		if row.Coords, row.States, err = features.KeyPointsFromCOCO(o.points); err != nil {
			return err
		}
		b.points = append(b.points, row)
	}
	return nil
}
