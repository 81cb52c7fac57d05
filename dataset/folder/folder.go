// Package folder imports folders of media: a directory for each split, with an optional metadata.jsonl that describes the
// items. It is the layout that Pixano's own import reads.
//
//	SOURCE/
//	  train/                every folder that does not begin with a dot is a split
//	    metadata.jsonl      optional: a JSON object for each item
//	    a.jpg
//	    more/b.png
//
// Without metadata.jsonl every media file becomes an item whose id is the file's name without suffix; in a dataset of
// type video so does every folder of frames. With it, a JSON object is one item:
//
//	{"image": "a.jpg", "id": "item-1", "weather": "fog",
//	 "objects": {"category": ["car", "dog"], "bboxes": [[0.1, 0.2, 0.3, 0.4], [4, 3, 10, 12]]}}
//
// The name of a view table gives a file, or a list of files; that of an entity table gives parallel lists of its fields
// and of the annotations of each entity, or conversations; id and split are what they say; any other key is a field of the
// item. A key that is null is as good as not there.
//
// # Types
//
// "image", "video", "vqa" and "image_text_entity_linking" are the types of dataset, each with tables of its own. Without
// a schema, fields that the metadata has beyond those tables become columns of them.
package folder

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"pixano/dataset"
	"pixano/dataset/exchange"
	"pixano/features"
	"pixano/schema"
)

// Format imports folders of media.
var Format = exchange.Format{
	Name:        "folder",
	Title:       "Folder of media",
	Description: "images, videos, questions and texts in a folder for each split, with an optional metadata.jsonl",
	Source:      "a directory of split directories",
	Open:        open,
}

// The types of dataset.
const (
	Image  = "image"
	Video  = "video"
	VQA    = "vqa"
	Linker = "image_text_entity_linking"
)

// Types lists the types of dataset.
func Types() []string { return []string{Image, Video, VQA, Linker} }

const metadataFile = "metadata.jsonl"

// source is the reader of a folder.
type source struct {
	in      *exchange.Input
	kind    string
	schema  *schema.DatasetSchema
	splits  []split
	views   []string          // in the order of the schema
	entries []string          // entity tables
	seen    map[string]string // ids of items to where they stand
	known   *exchange.Known
}

type split struct {
	name     string
	metadata bool
}

func open(ctx context.Context, in *exchange.Input) (exchange.Reader, error) {
	if in.File() != "" {
		return nil, fmt.Errorf("%s is a file: want a directory with a folder for each split, or another format", in.File())
	}
	s := &source{in: in, seen: map[string]string{}}
	entries, err := fs.ReadDir(in.Root().FS(), ".")
	if err != nil {
		return nil, err
	}
	var beside []string // files that are in no split
	for _, e := range entries {
		if !utf8.ValidString(e.Name()) {
			return nil, fmt.Errorf("the folder name %q is not UTF-8: want it renamed", e.Name())
		}
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if !e.IsDir() {
			if e.Type()&fs.ModeSymlink == 0 {
				if name := e.Name(); exchange.IsImage(name) || exchange.IsVideo(name) || strings.HasPrefix(name, "metadata.") {
					beside = append(beside, name)
				}
				continue
			}
			if st, err := in.Root().Stat(e.Name()); err != nil || !st.IsDir() {
				continue // a link out of the source is none of its folders
			}
		}
		_, err := in.Root().Stat(path.Join(e.Name(), metadataFile))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s/%s: %w", e.Name(), metadataFile, err)
		}
		s.splits = append(s.splits, split{e.Name(), err == nil})
	}
	if len(s.splits) == 0 {
		return nil, fmt.Errorf("the directory has no folders: want one for each split, such as train%s", hint(entries))
	}
	if len(beside) > 0 {
		in.Warn("", 0, "files beside the folders of the splits were left out: %d, such as %s", len(beside), beside[0])
	}
	if s.kind = in.Options().Type; s.kind == "" {
		if s.kind, err = Detect(in.Root().FS()); err != nil {
			return nil, err
		}
	}
	if !slices.Contains(Types(), s.kind) {
		return nil, fmt.Errorf("type %q: want one of %s", s.kind, strings.Join(Types(), ", "))
	}
	if s.schema = in.Schema(); s.schema == nil {
		if s.schema, err = s.inferSchema(ctx); err != nil {
			return nil, err
		}
	}
	s.views = s.schema.TablesOf(schema.GroupViews)
	s.entries = s.schema.TablesOf(schema.GroupEntities)
	if len(s.views) == 0 || len(s.entries) == 0 {
		return nil, errors.New("the schema has no view or no entity table: want at least one of each")
	}
	if s.known, err = in.Known(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// hint names the format that a directory looks like.
func hint(entries []fs.DirEntry) string {
	for _, e := range entries {
		switch ext := path.Ext(e.Name()); {
		case e.Name() == "data.yaml" || e.Name() == "dataset.yaml":
			return "; it looks like the format yolo"
		case ext == ".json":
			return "; it may be of the format coco or json"
		case ext == ".jsonl":
			return "; it may be of the format jsonl"
		}
	}
	return ""
}

// Detect finds the type of dataset that a folder looks like: "vqa" if the first line of a metadata.jsonl has
// conversations, "image_text_entity_linking" if it has an image and a text, "video" if a split has a video file or holds
// folders of frames that are all it has; otherwise "image".
func Detect(source fs.FS) (string, error) {
	dirs, err := fs.ReadDir(source, ".")
	if err != nil {
		return "", err
	}
	for _, dir := range dirs {
		if strings.HasPrefix(dir.Name(), ".") {
			continue
		}
		if f, err := source.Open(path.Join(dir.Name(), metadataFile)); err == nil {
			for v, err := range exchange.JSONValues(f) {
				if err != nil {
					break
				}
				members, _ := exchange.Members(v.Value)
				has := func(key string) bool {
					return slices.ContainsFunc(members, func(m exchange.Member) bool { return m.Key == key && !exchange.Null(m.Value) })
				}
				switch {
				case has("conversations"):
					f.Close()
					return VQA, nil
				case has("image") && has("text"):
					f.Close()
					return Linker, nil
				}
				break
			}
			f.Close()
		}
		files, err := fs.ReadDir(source, dir.Name())
		if err != nil {
			continue
		}
		for _, file := range files {
			if !file.IsDir() && exchange.IsVideo(file.Name()) {
				return Video, nil
			}
		}
	}
	return Image, nil
}

type imageItem struct {
	schema.Item
	Image     schema.Image
	Objects   []schema.Entity
	BBoxes    []schema.BBox `pixano:"bboxes"`
	Masks     []schema.CompressedRLE
	Keypoints []schema.KeyPoints
}

type framesItem struct {
	schema.Item
	Image     []schema.SequenceFrame
	Tracks    []schema.Track
	Tracklets []schema.Tracklet
	BBoxes    []schema.BBox `pixano:"bboxes"`
	Masks     []schema.CompressedRLE
	Keypoints []schema.KeyPoints
}

type videoItem struct {
	schema.Item
	Video     schema.Video
	Tracks    []schema.Track
	Tracklets []schema.Tracklet
	BBoxes    []schema.BBox `pixano:"bboxes"`
	Masks     []schema.CompressedRLE
	Keypoints []schema.KeyPoints
}

type vqaItem struct {
	schema.Item
	Image         schema.Image
	Conversations []schema.Conversation
	Messages      []schema.Message
	Objects       []schema.Entity
	BBoxes        []schema.BBox `pixano:"bboxes"`
	Masks         []schema.CompressedRLE
	Keypoints     []schema.KeyPoints
}

type linkerItem struct {
	schema.Item
	Image     schema.Image
	Text      schema.Text
	Entities  []schema.MultiModalEntity
	BBoxes    []schema.BBox `pixano:"bboxes"`
	Masks     []schema.CompressedRLE
	Keypoints []schema.KeyPoints
	TextSpans []schema.TextSpan
}

// DefaultSchema returns the tables of a type of dataset: one of [Types], or "video" with files of videos in the place of
// frames if files is set. An unknown type has none.
func DefaultSchema(kind string, files bool) *schema.DatasetSchema {
	switch kind {
	case Image:
		return exchange.SchemaWith(imageItem{})
	case Video:
		if files {
			return exchange.SchemaWith(videoItem{})
		}
		return exchange.SchemaWith(framesItem{})
	case VQA:
		return exchange.SchemaWith(vqaItem{})
	case Linker:
		return exchange.SchemaWith(linkerItem{})
	}
	return nil
}

func (s *source) Schema() *schema.DatasetSchema { return s.schema }

func (s *source) Info() dataset.Info {
	workspace := s.kind
	if s.kind == VQA {
		workspace = "image_vqa"
	}
	return dataset.Info{Name: path.Base(strings.ReplaceAll(s.in.Source(), `\`, "/")), Workspace: workspace}
}

func (s *source) Close() error { return nil }

// inferSchema returns the type's own schema, with the fields that the metadata has beyond it.
func (s *source) inferSchema(ctx context.Context) (*schema.DatasetSchema, error) {
	files := false
	if s.kind == Video {
		err := fs.WalkDir(s.in.Root().FS(), ".", func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && exchange.IsVideo(name) {
				files = true
				return fs.SkipAll
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	base := DefaultSchema(s.kind, files)
	extra := map[string]map[string]string{} // table, column to type
	note := func(table, column string, v any) error {
		if err := schema.CheckColumnName(column); err != nil {
			return fmt.Errorf("the key %q of %s: %w", column, table, err)
		}
		if extra[table] == nil {
			extra[table] = map[string]string{}
		}
		extra[table][column] = exchange.WiderType(extra[table][column], exchange.TypeOf(v))
		return nil
	}
	for _, sp := range s.splits {
		if !sp.metadata {
			continue
		}
		err := s.eachLine(ctx, sp, func(line int, members []exchange.Member) error {
			for _, m := range members {
				if exchange.Null(m.Value) || m.Key == "id" || m.Key == "split" {
					continue
				}
				group, ok := base.Group(m.Key)
				switch {
				case !ok && m.Key == "conversations" && exchange.Kind(m.Value) == "a list":
					return fmt.Errorf("conversations: want the type %s, have %s", VQA, s.kind)
				case !ok:
					v, err := exchange.Decoded(m.Value)
					if err == nil {
						err = note(schema.ItemTable, m.Key, v)
					}
					if err != nil {
						return err
					}
				case group == schema.GroupEntities:
					class, _ := base.Class(m.Key)
					fields, err := exchange.Members(m.Value)
					if err != nil || class.Base == "Conversation" {
						continue
					}
					for _, f := range fields {
						if _, _, ok := class.Field(f.Key); ok || f.Key == "view_ref" || exchange.Null(f.Value) {
							continue
						}
						if _, ok := base.Class(f.Key); ok {
							continue
						}
						v, _ := exchange.Decoded(f.Value)
						list, ok := v.([]any)
						if !ok {
							list = []any{v}
						}
						for _, v := range list {
							if err := note(m.Key, f.Key, v); err != nil {
								return err
							}
						}
					}
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return extend(base, extra)
}

// extend returns a schema whose tables have further columns.
func extend(base *schema.DatasetSchema, extra map[string]map[string]string) (*schema.DatasetSchema, error) {
	if len(extra) == 0 {
		return base, nil
	}
	with := func(table string) (*schema.Class, error) {
		class, _ := base.Class(table)
		if len(extra[table]) == 0 {
			return class, nil
		}
		c := &schema.Class{Name: class.Name, Base: class.Base, Fields: slices.Clone(class.Fields)}
		if table != schema.ItemTable {
			c.Name = "Described" + class.Name
		}
		for _, column := range slices.Sorted(maps.Keys(extra[table])) {
			name, list := strings.CutSuffix(cmp.Or(extra[table][column], schema.TypeStr), "[]")
			c.Fields = append(c.Fields, schema.Field{Name: column, Type: schema.FieldType{Name: cmp.Or(name, schema.TypeStr), Collection: list}})
		}
		return c, nil
	}
	item, err := with(schema.ItemTable)
	if err != nil {
		return nil, err
	}
	out, err := schema.NewDatasetSchema(item)
	if err != nil {
		return nil, err
	}
	for _, table := range base.Tables() {
		if table == schema.ItemTable {
			continue
		}
		class, err := with(table)
		if err != nil {
			return nil, err
		}
		relation, _ := base.Relation(table, schema.ItemTable)
		if err := out.Add(table, class, relation); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// eachLine calls fn for each object of the metadata of a split.
func (s *source) eachLine(ctx context.Context, sp split, fn func(line int, members []exchange.Member) error) error {
	name := path.Join(sp.name, metadataFile)
	f, err := s.in.Root().Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for v, err := range exchange.JSONValues(f) {
		var members []exchange.Member
		if err == nil {
			members, err = exchange.Members(v.Value)
		}
		if err == nil {
			err = fn(v.Line, members)
		}
		if err != nil {
			if _, placed := errors.AsType[*exchange.LineError](err); placed || err == errStop {
				return err
			}
			return &exchange.LineError{File: name, Line: v.Line, Err: err}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

var errStop = errors.New("stopped")

// batchItems is how many items are handed over together.
const batchItems = 500

// Rows yields the rows of the items, split by split.
func (s *source) Rows(ctx context.Context) iter.Seq2[dataset.Batch, error] {
	return func(yield func(dataset.Batch, error) bool) {
		clear(s.seen)
		skipped := 0
		b := newBatch(s)
		sourced := false // the row of the source goes with the first items
		take := func(it *item, err error) error {
			if err != nil {
				return err
			}
			if it == nil {
				return nil
			}
			there, err := s.known.Has(it.id, it.urls)
			if err != nil {
				return it.fail(err)
			}
			if there {
				skipped++
				return nil
			}
			if first, ok := s.seen[it.id]; ok {
				return it.fail(fmt.Errorf("the item id %q is there already, in %s: ids have to be unique over all splits", it.id, first))
			}
			s.seen[it.id] = it.place()
			if !sourced {
				sourced = true
				b.source = []schema.Source{{ID: s.builder(), Name: "Builder", Kind: schema.SourceOther, Metadata: "{}"}}
			}
			if b.add(it); b.items < batchItems {
				return nil
			}
			if !yield(b.rows(), nil) {
				return errStop
			}
			b = newBatch(s)
			return nil
		}
		for _, sp := range s.splits {
			var err error
			if sp.metadata {
				index := 0
				err = s.eachLine(ctx, sp, func(line int, members []exchange.Member) error {
					it, err := s.described(sp, line, index, members)
					index++
					return take(it, err)
				})
			} else {
				err = s.undescribed(ctx, sp, take)
			}
			if err == errStop {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
		}
		if skipped > 0 {
			s.in.Warn("", 0, "%d items are in the dataset already and were left out", skipped)
		}
		yield(b.rows(), nil)
	}
}

// batch gathers rows.
type batch struct {
	s      *source
	tables map[string][]*schema.Dynamic
	source []schema.Source
	items  int
}

func newBatch(s *source) *batch { return &batch{s: s, tables: map[string][]*schema.Dynamic{}} }

// builder returns the id of the source of what is imported.
func (s *source) builder() string { return s.in.ID("source", "Builder") }

func (b *batch) add(it *item) {
	b.items++
	for table, rows := range it.rows {
		b.tables[table] = append(b.tables[table], rows...)
	}
}

func (b *batch) rows() dataset.Batch {
	out := dataset.Batch{}
	if b.source != nil {
		out[schema.SourceTable] = b.source
	}
	for table, rows := range b.tables {
		out[table] = rows
	}
	return out
}

// item is one that is being made.
type item struct {
	s     *source
	split split
	line  int    // of the metadata
	file  string // without metadata
	id    string
	key   []string // what its rows' ids are made of
	rows  map[string][]*schema.Dynamic
	views []view
	urls  []string
	n     int // rows so far
}

// view is a view of the item.
type view struct {
	table, id string
	class     string // the built-in one
	frame     int64
}

func (it *item) place() string {
	if it.file != "" {
		return it.file
	}
	return fmt.Sprintf("%s:%d", path.Join(it.split.name, metadataFile), it.line)
}

func (it *item) fail(err error) error {
	if _, ok := errors.AsType[*exchange.LineError](err); ok {
		return err
	}
	if it.file != "" {
		return &exchange.LineError{File: it.file, Err: err}
	}
	return &exchange.LineError{File: path.Join(it.split.name, metadataFile), Line: it.line, Err: err}
}

// row adds a row with defaults to a table.
func (it *item) row(table, id string) (*schema.Dynamic, error) {
	class, _ := it.s.schema.Class(table)
	d, err := schema.NewDynamic(class)
	if err != nil {
		return nil, err
	}
	if id == "" {
		id = it.s.in.ID(append(slices.Clone(it.key), table, fmt.Sprint(it.n))...)
	}
	it.n++
	if err := d.Set("id", id); err != nil {
		return nil, err
	}
	if table != schema.ItemTable {
		if err := d.Set("item_ref", features.Item(it.id)); err != nil {
			return nil, err
		}
	}
	it.rows[table] = append(it.rows[table], d)
	return d, nil
}

// setAll sets columns of a row and checks it.
func setAll(d *schema.Dynamic, values map[string]any) error {
	for _, column := range slices.Sorted(maps.Keys(values)) {
		if values[column] == nil {
			continue
		}
		if err := d.Set(column, values[column]); err != nil {
			return err
		}
	}
	return schema.Normalize(d)
}

// described makes an item of an object of the metadata. It is nil if it is left out.
func (s *source) described(sp split, line, index int, members []exchange.Member) (*item, error) {
	it := &item{s: s, split: sp, line: line, rows: map[string][]*schema.Dynamic{}}
	it.key = []string{"item", sp.name, fmt.Sprint(index)}
	it.id = s.in.ID(it.key...)
	if s.in.Options().NamesAsIDs {
		it.id = fmt.Sprintf("item_%s_%d", sp.name, index)
	}
	fields := map[string]any{"split": sp.name}
	class, _ := s.schema.Class(schema.ItemTable)
	for _, m := range members {
		if exchange.Null(m.Value) {
			continue
		}
		if group, ok := s.schema.Group(m.Key); ok && m.Key != schema.ItemTable {
			if group == schema.GroupAnnotations {
				s.in.Lose(m.Key, "", "annotations have to stand under the entity that they belong to", 1)
			}
			continue
		}
		v, err := exchange.Decoded(m.Value)
		if err != nil {
			return nil, err
		}
		_, _, known := class.Field(m.Key)
		switch {
		case m.Key == "id":
			id, ok := v.(string)
			if !ok || id == "" {
				return nil, fmt.Errorf("id: want a text, have %s", exchange.Kind(m.Value))
			}
			it.id = id
		case !known || m.Key == "created_at" || m.Key == "updated_at":
			s.in.Lose(schema.ItemTable, m.Key, "the schema has no such field", 1)
		default:
			fields[m.Key] = v
		}
	}
	row, err := it.row(schema.ItemTable, it.id)
	if err == nil {
		err = setAll(row, fields)
	}
	if err != nil {
		return nil, err
	}
	for _, table := range s.views {
		value, ok := find(members, table)
		if !ok {
			continue
		}
		if err := it.addViews(table, value); err != nil {
			if errors.Is(err, exchange.ErrMedia) && s.in.Options().SkipMissing {
				s.in.LeftOut(path.Join(sp.name, metadataFile), line, err)
				return nil, nil
			}
			return nil, err
		}
	}
	for _, table := range s.entries {
		value, ok := find(members, table)
		if !ok {
			continue
		}
		class, _ := s.schema.Class(table)
		if class.Base == "Conversation" {
			err = it.addConversations(table, value)
		} else {
			err = it.addEntities(table, class, value)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", table, err)
		}
	}
	return it, nil
}

func find(members []exchange.Member, key string) (json.RawMessage, bool) {
	for _, m := range members {
		if m.Key == key && !exchange.Null(m.Value) {
			return m.Value, true
		}
	}
	return nil, false
}

// undescribed makes items of the files of a split without metadata.
func (s *source) undescribed(ctx context.Context, sp split, take func(*item, error) error) error {
	table := s.views[0]
	class, _ := s.schema.Class(table)
	accepts := exchange.IsImage
	switch class.Base {
	case "Video":
		accepts = exchange.IsVideo
	case "Text":
		accepts = func(name string) bool { return strings.EqualFold(path.Ext(name), ".txt") }
	}
	frames := map[string][]string{} // folders to their frames
	var folders []string
	other := 0
	root := s.in.Root()
	err := fs.WalkDir(root.FS(), sp.name, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return &exchange.LineError{File: name, Err: err}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if d.IsDir() {
			return nil
		}
		if d.Type()&fs.ModeSymlink != 0 {
			if st, err := root.Stat(name); err != nil || !st.Mode().IsRegular() {
				s.in.Warn(name, 0, "left out: the link leads to no file of the source")
				return nil
			}
		}
		if !utf8.ValidString(name) {
			err := fmt.Errorf("the file name %q is not UTF-8: want it renamed", path.Base(name))
			if s.in.Options().SkipMissing {
				s.in.LeftOut(path.Dir(name), 0, err)
				return nil
			}
			return &exchange.LineError{File: path.Dir(name), Err: err}
		}
		if !accepts(name) {
			if strings.HasPrefix(path.Base(name), "metadata.") {
				s.in.Warn(name, 0, "left out: want metadata in %s/%s, a JSON object for each item", sp.name, metadataFile)
				return nil
			}
			other++
			return nil
		}
		if class.Base == "SequenceFrame" {
			dir := path.Dir(name)
			if frames[dir] == nil {
				folders = append(folders, dir)
			}
			frames[dir] = append(frames[dir], name)
			return nil
		}
		return take(s.ofFiles(sp, table, name, []string{name}))
	})
	if err != nil {
		return err
	}
	slices.Sort(folders)
	for _, dir := range folders {
		if err := take(s.ofFiles(sp, table, dir, frames[dir])); err != nil {
			return err
		}
	}
	if other > 0 {
		s.in.Warn(sp.name, 0, "files that are no media of the table %s were left out: %d", table, other)
	}
	return nil
}

// ofFiles makes an item of a file, or of a folder of frames.
func (s *source) ofFiles(sp split, table, name string, files []string) (*item, error) {
	it := &item{s: s, split: sp, file: name, rows: map[string][]*schema.Dynamic{}, key: []string{"item", name}}
	it.id = strings.TrimSuffix(path.Base(name), path.Ext(name))
	if len(files) > 1 || files[0] != name {
		it.id = path.Base(name)
	}
	if strings.Contains(it.id, " ") {
		s.in.Warn(name, 0, "the item id gets _ for spaces")
		it.id = strings.ReplaceAll(it.id, " ", "_")
	}
	row, err := it.row(schema.ItemTable, it.id)
	if err == nil {
		err = setAll(row, map[string]any{"split": sp.name})
	}
	if err != nil {
		return nil, it.fail(err)
	}
	for i, file := range files {
		if err := it.addFile(table, file, i); err != nil {
			if errors.Is(err, exchange.ErrMedia) && s.in.Options().SkipMissing {
				s.in.LeftOut(file, 0, err)
				return nil, nil
			}
			return nil, &exchange.LineError{File: file, Err: err}
		}
	}
	for _, table := range s.entries {
		class, _ := s.schema.Class(table)
		if class.Base != "Conversation" {
			continue
		}
		if _, err := it.conversation(table); err != nil {
			return nil, it.fail(err)
		}
	}
	return it, nil
}

// readText reads a text file of the source.
func (it *item) readText(name string) (string, error) {
	f, err := it.s.in.OpenMedia(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 64<<20))
	if err == nil && !utf8.Valid(text) {
		err = fmt.Errorf("the text file %q is not UTF-8", name)
	}
	return string(text), err
}
