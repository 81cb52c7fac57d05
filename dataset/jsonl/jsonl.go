// Package jsonl imports and exports datasets as Pixano's own JSON and JSON lines.
//
// JSON has the rows of a split by group and table in one file; JSON lines has one item a line, and info.json beside.
// Both are written as the reference implementation writes them, with one file more, schema.json, which says of what
// classes the tables are. Without it the classes are guessed from the keys.
//
// Rows keep their ids and all columns but the times created_at and updated_at. Tables of vectors are not exported.
package jsonl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"

	"pixano/dataset"
	"pixano/dataset/exchange"
	"pixano/schema"
)

// JSON is the format with the rows of a split in one file.
var JSON = exchange.Format{
	Name:        "json",
	Title:       "Pixano JSON",
	Description: "all rows of all tables but vectors, by table, in a JSON file for each split",
	Source:      "a JSON file or a directory of them",
	Open: func(ctx context.Context, in *exchange.Input) (exchange.Reader, error) {
		return open(ctx, in, ".json")
	},
	NewWriter: newJSONWriter,
}

// JSONL is the format with one item a line.
var JSONL = exchange.Format{
	Name:        "jsonl",
	Title:       "Pixano JSON lines",
	Description: "all rows of all tables but vectors, one item a line",
	Source:      "a file of JSON lines or a directory of them",
	Open: func(ctx context.Context, in *exchange.Input) (exchange.Reader, error) {
		return open(ctx, in, ".jsonl")
	},
	NewWriter: newLinesWriter,
}

const (
	infoFile   = "info.json"
	schemaFile = "schema.json"
)

// isTime reports whether a key is one that is not exported.
func isTime(key string) bool { return key == "created_at" || key == "updated_at" }

// held is what both formats hold.
type held struct{}

func (held) Holds(_, column string) bool { return !isTime(column) }

// appendRow appends a row in a style.
func appendRow(dst []byte, row *schema.Dynamic, style exchange.JSONStyle) ([]byte, error) {
	text, err := schema.EncodeJSON(row)
	if err != nil {
		return dst, err
	}
	style.Drop = isTime
	return exchange.AppendJSON(dst, text, style), nil
}

// sources returns all sources of a dataset, as a JSON list.
func sources(ctx context.Context, ds *dataset.Dataset) ([]byte, error) {
	var rows []*schema.Dynamic
	if err := ds.Get(ctx, schema.SourceTable, &rows, dataset.Query{}); err != nil {
		return nil, err
	}
	list := []byte("[")
	for i, row := range rows {
		if i > 0 {
			list = append(list, ", "...)
		}
		var err error
		if list, err = appendRow(list, row, exchange.JSONStyle{}); err != nil {
			return nil, err
		}
	}
	return append(list, ']'), nil
}

func encodeInfo(ds *dataset.Dataset) ([]byte, error) { return json.Marshal(ds.Info()) }

// jsonWriter writes JSON.
type jsonWriter struct {
	held
	out     *exchange.Output
	info    []byte
	sources []byte
	groups  []group
	tables  map[string]*spooled
	buf     []byte
	split   string
	number  int
	items   int // in the file
}

// group is a key of the file.
type group struct {
	key    string
	tables []string // in the order of the schema
}

type spooled struct {
	*exchange.Spool
	rows int
}

func newJSONWriter(ctx context.Context, out *exchange.Output) (exchange.Writer, error) {
	ds := out.Dataset()
	s := ds.Schema()
	w := &jsonWriter{out: out, tables: map[string]*spooled{}}
	var err error
	if w.info, err = encodeInfo(ds); err != nil {
		return nil, err
	}
	if w.sources, err = sources(ctx, ds); err != nil {
		return nil, err
	}
	w.groups = []group{
		{"annotations", s.TablesOf(schema.GroupAnnotations)},
		{"items", []string{schema.ItemTable}},
		{"entities", s.TablesOf(schema.GroupEntities)},
		{"views", s.TablesOf(schema.GroupViews)},
	}
	for _, g := range w.groups {
		for _, table := range g.tables {
			spool, err := out.NewSpool()
			if err != nil {
				return nil, errors.Join(err, w.remove())
			}
			w.tables[table] = &spooled{Spool: spool}
		}
	}
	return w, out.Put(schemaFile, s.Encode())
}

func (w *jsonWriter) remove() error {
	var errs []error
	for _, t := range w.tables {
		errs = append(errs, t.Close())
	}
	return errors.Join(errs...)
}

func (w *jsonWriter) Write(_ context.Context, item *dataset.Item) error {
	split := exchange.Text(item.Item, "split")
	per := w.out.Options().ItemsPerFile
	if w.items > 0 && (split != w.split || per > 0 && w.items == per) {
		if err := w.save(); err != nil {
			return err
		}
		w.number++
	}
	if split != w.split {
		w.split, w.number = split, 0
	}
	w.items++
	if err := w.row(schema.ItemTable, item.Item); err != nil {
		return err
	}
	for table := range w.tables {
		if table == schema.ItemTable {
			continue
		}
		for _, row := range exchange.Rows(item.Tables, table) {
			if err := w.row(table, row); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *jsonWriter) row(table string, row *schema.Dynamic) error {
	t := w.tables[table]
	depth := 3
	if table == schema.ItemTable {
		depth = 2
	}
	w.buf = w.buf[:0]
	if t.rows > 0 {
		w.buf = append(w.buf, ',')
	}
	w.buf = newLine(w.buf, depth)
	var err error
	if w.buf, err = appendRow(w.buf, row, exchange.JSONStyle{Indent: true, Depth: depth}); err != nil {
		return err
	}
	t.rows++
	_, err = t.Write(w.buf)
	return err
}

func newLine(b []byte, depth int) []byte {
	return append(append(b, '\n'), strings.Repeat("    ", depth)...)
}

// save writes the file of the items so far.
func (w *jsonWriter) save() error {
	f, err := w.out.Create(w.out.FileName(w.split, w.number, "json"))
	if err != nil {
		return err
	}
	indented := exchange.JSONStyle{Indent: true, Depth: 1}
	b := newLine([]byte("{"), 1)
	b = append(b, `"info": `...)
	b = exchange.AppendJSON(b, w.info, indented)
	if _, err := f.Write(b); err != nil {
		return errors.Join(err, f.Close())
	}
	for _, g := range w.groups {
		if err := w.saveGroup(f, g); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	b = append(newLine([]byte(","), 1), `"sources": `...)
	b = exchange.AppendJSON(b, w.sources, indented)
	f.Write(append(b, "\n}"...))
	w.items = 0
	return f.Close()
}

func (w *jsonWriter) saveGroup(f io.Writer, g group) error {
	b := append(newLine([]byte(","), 1), `"`+g.key+`": `...)
	if g.key == "items" {
		if _, err := f.Write(b); err != nil {
			return err
		}
		return w.saveTable(f, schema.ItemTable, 1)
	}
	b = append(b, '{')
	if _, err := f.Write(b); err != nil {
		return err
	}
	for i, table := range g.tables {
		b = b[:0]
		if i > 0 {
			b = append(b, ',')
		}
		name, err := json.Marshal(table)
		if err != nil {
			return err
		}
		b = append(append(newLine(b, 2), name...), ": "...)
		if _, err := f.Write(b); err != nil {
			return err
		}
		if err := w.saveTable(f, table, 2); err != nil {
			return err
		}
	}
	b = b[:0]
	if len(g.tables) > 0 {
		b = newLine(b, 1)
	}
	_, err := f.Write(append(b, '}'))
	return err
}

func (w *jsonWriter) saveTable(f io.Writer, table string, depth int) error {
	t := w.tables[table]
	if _, err := f.Write([]byte("[")); err != nil {
		return err
	}
	if err := t.Drain(f); err != nil {
		return err
	}
	var end []byte
	if t.rows > 0 {
		end = newLine(end, depth)
	}
	t.rows = 0
	_, err := f.Write(append(end, ']'))
	return err
}

func (w *jsonWriter) Close() error {
	var err error
	if w.items > 0 {
		err = w.save()
	}
	return errors.Join(err, w.remove())
}

// linesWriter writes JSON lines.
type linesWriter struct {
	held
	out    *exchange.Output
	schema *schema.DatasetSchema
	f      *exchange.File
	split  string
	number int
	items  int
	buf    []byte
}

func newLinesWriter(ctx context.Context, out *exchange.Output) (exchange.Writer, error) {
	ds := out.Dataset()
	w := &linesWriter{out: out, schema: ds.Schema()}
	list, err := sources(ctx, ds)
	if err != nil {
		return nil, err
	}
	info, err := encodeInfo(ds)
	if err != nil {
		return nil, err
	}
	text := []byte(`{"info": `)
	text = append(exchange.AppendJSON(text, info, exchange.JSONStyle{}), `, "sources": `...)
	text = append(exchange.AppendJSON(text, list, exchange.JSONStyle{}), '}')
	if err := out.Put(infoFile, text); err != nil {
		return nil, err
	}
	return w, out.Put(schemaFile, w.schema.Encode())
}

func (w *linesWriter) Write(_ context.Context, item *dataset.Item) error {
	split := exchange.Text(item.Item, "split")
	per := w.out.Options().ItemsPerFile
	if w.f != nil && (split != w.split || per > 0 && w.items == per) {
		if err := w.end(); err != nil {
			return err
		}
		w.number++
	}
	if split != w.split {
		w.split, w.number = split, 0
	}
	if w.f == nil {
		var err error
		if w.f, err = w.out.Create(w.out.FileName(split, w.number, "jsonl")); err != nil {
			return err
		}
	}
	b := w.buf[:0]
	if w.items > 0 {
		b = append(b, '\n')
	}
	w.items++
	own, err := schema.EncodeJSON(item.Item)
	if err != nil {
		return err
	}
	head := exchange.AppendJSON(nil, own, exchange.JSONStyle{Drop: func(key string) bool { return key != "id" && key != "split" }})
	rest := exchange.AppendJSON(nil, own, exchange.JSONStyle{Drop: func(key string) bool { return key == "id" || key == "split" || isTime(key) }})
	b = append(b, bytes.TrimSuffix(head, []byte("}"))...)
	for _, table := range w.schema.Tables() {
		group, _ := w.schema.Group(table)
		if group == schema.GroupItem || group == schema.GroupEmbeddings {
			continue
		}
		name, err := json.Marshal(table)
		if err != nil {
			return err
		}
		b = append(append(append(b, ", "...), name...), ": "...)
		rows := exchange.Rows(item.Tables, table)
		many := w.schema.Many(table)
		switch {
		case many:
			b = append(b, '[')
		case len(rows) == 0:
			b = append(b, "null"...)
		}
		for i, row := range rows {
			if i > 0 {
				b = append(b, ", "...)
			}
			if b, err = appendRow(b, row, exchange.JSONStyle{}); err != nil {
				return err
			}
		}
		if many {
			b = append(b, ']')
		}
	}
	if len(rest) > 2 {
		b = append(append(b, ", "...), rest[1:]...)
	} else {
		b = append(b, '}')
	}
	w.buf = b
	_, err = w.f.Write(b)
	return err
}

func (w *linesWriter) end() error {
	w.items = 0
	err := w.f.Close()
	w.f = nil
	return err
}

func (w *linesWriter) Close() error {
	if w.f == nil {
		return nil
	}
	return w.end()
}

// files lists the files of a source with a suffix, but not those that stand beside.
func files(in *exchange.Input, suffix string) ([]string, error) {
	if in.File() != "" {
		return []string{in.File()}, nil
	}
	entries, err := fs.ReadDir(in.Root().FS(), ".")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		if !e.IsDir() && path.Ext(name) == suffix && !strings.HasPrefix(name, ".") &&
			!slices.Contains([]string{infoFile, schemaFile, "features_values.json", "stats.json", "keypoint_templates.json"}, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("the directory has no file *%s", suffix)
	}
	return names, nil
}

// reader reads JSON or JSON lines.
type reader struct {
	in     *exchange.Input
	files  []string
	lines  bool
	schema *schema.DatasetSchema
	info   dataset.Info
	wide   map[string]*schema.Class // classes none of whose columns is required
}

func open(ctx context.Context, in *exchange.Input, suffix string) (exchange.Reader, error) {
	names, err := files(in, suffix)
	if err != nil {
		return nil, err
	}
	r := &reader{in: in, files: names, lines: suffix == ".jsonl", wide: map[string]*schema.Class{}}
	if r.schema = in.Options().Schema; r.schema == nil {
		text, err := fs.ReadFile(in.Root().FS(), schemaFile)
		switch {
		case err == nil:
			if r.schema, err = schema.ParseDatasetSchema(text); err != nil {
				return nil, err
			}
			if r.schema, err = withoutVectors(r.schema, in); err != nil {
				return nil, err
			}
		case errors.Is(err, fs.ErrNotExist):
		default:
			return nil, err
		}
	}
	g := newGuess(r.schema)
	for _, name := range r.files {
		if err := r.eachIn(ctx, name, func(v value) error { return g.see(v) }); err != nil {
			return nil, err
		}
	}
	r.info = dataset.Info{Name: g.info.Name, Description: g.info.Description, Size: g.info.Size, Workspace: g.info.Workspace}
	if r.schema == nil {
		if r.schema, err = g.schema(in); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// withoutVectors returns a schema without its tables of embeddings, which have no rows here. Tables of vectors that a
// function fills are made anew by it.
func withoutVectors(s *schema.DatasetSchema, in *exchange.Input) (*schema.DatasetSchema, error) {
	s = s.Clone()
	for _, table := range s.TablesOf(schema.GroupEmbeddings) {
		in.Lose(table, "", "the table of vectors is not part of the format", 1)
		if err := s.Remove(table); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (r *reader) Schema() *schema.DatasetSchema { return r.schema }
func (r *reader) Info() dataset.Info            { return r.info }
func (r *reader) Close() error                  { return nil }

// value is a row of a file, or what it says of the dataset.
type value struct {
	file  string
	line  int
	group string // "items", "views", …, "sources", "info"; "" in JSON lines
	table string
	one   bool // it is the only row of its item
	item  string
	raw   json.RawMessage
}

// eachIn calls fn for each value of a file.
func (r *reader) eachIn(ctx context.Context, name string, fn func(value) error) error {
	f, err := r.in.Root().Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if r.lines {
		return r.eachLine(ctx, name, f, fn)
	}
	lines := exchange.NewLines(f)
	dec := json.NewDecoder(lines)
	at := 0
	next := func(group, table string) func(int) error {
		return func(int) error {
			v := value{file: name, group: group, table: table}
			err := exchange.DecodeNext(dec, &v.raw)
			at = lines.At(dec.InputOffset())
			v.line = at
			if err == nil {
				err = fn(v)
			}
			if err == nil {
				err = ctx.Err()
			}
			return err
		}
	}
	err = exchange.WalkObject(dec, func(key string) error {
		switch key {
		case "info":
			return next(key, "")(0)
		case "sources":
			return exchange.WalkList(dec, next(key, schema.SourceTable))
		case "items":
			return exchange.WalkList(dec, next(key, schema.ItemTable))
		case "views", "entities", "annotations":
			return exchange.WalkObject(dec, func(table string) error {
				if err := exchange.WalkList(dec, next(key, table)); err != nil {
					return fmt.Errorf("%s.%s: %w", key, table, err)
				}
				return nil
			})
		}
		r.in.Lose(key, "", "the key is none of the format", 1)
		return exchange.Skip(dec)
	})
	return place(name, max(at, lines.At(dec.InputOffset())), err)
}

func place(file string, line int, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*exchange.LineError](err); ok || errors.Is(err, context.Canceled) || err == errStop {
		return err
	}
	return &exchange.LineError{File: file, Line: line, Err: err}
}

var errStop = errors.New("stopped")

func (r *reader) eachLine(ctx context.Context, name string, f io.Reader, fn func(value) error) error {
	if text, err := fs.ReadFile(r.in.Root().FS(), infoFile); err == nil {
		var beside struct {
			Info    json.RawMessage   `json:"info"`
			Sources []json.RawMessage `json:"sources"`
		}
		if err := json.Unmarshal(text, &beside); err != nil {
			return place(infoFile, 1, err)
		}
		if beside.Info != nil {
			if err := fn(value{file: infoFile, line: 1, group: "info", raw: beside.Info}); err != nil {
				return err
			}
		}
		for _, raw := range beside.Sources {
			if err := fn(value{file: infoFile, line: 1, group: "sources", table: schema.SourceTable, raw: raw}); err != nil {
				return place(infoFile, 1, err)
			}
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for v, err := range exchange.JSONValues(f) {
		if err == nil {
			err = r.lineValues(name, v, fn)
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return place(name, v.Line, err)
		}
	}
	return nil
}

// lineValues splits an item into its rows.
func (r *reader) lineValues(name string, v exchange.JSONValue, fn func(value) error) error {
	members, err := exchange.Members(v.Value)
	if err != nil {
		return err
	}
	own := []byte("{")
	id := ""
	var rows []value
	for _, m := range members {
		kind := exchange.Kind(m.Value)
		isTable := kind == "an object"
		if kind == "a list" {
			isTable = bytes.HasPrefix(bytes.TrimSpace(bytes.TrimSpace(m.Value)[1:]), []byte("{"))
		}
		if r.schema != nil {
			_, isTable = r.schema.Class(m.Key)
			if !isTable && kind == "a list" && isEmptyList(m.Value) {
				if _, _, ok := itemClass(r.schema).Field(m.Key); !ok {
					continue // a table without rows
				}
			}
		}
		if !isTable {
			if exchange.Null(m.Value) {
				continue
			}
			if m.Key == "id" {
				if err := json.Unmarshal(m.Value, &id); err != nil {
					return fmt.Errorf("id: want a text, have %s", kind)
				}
			}
			if len(own) > 1 {
				own = append(own, ',')
			}
			key, err := json.Marshal(m.Key)
			if err != nil {
				return err
			}
			own = append(append(append(own, key...), ':'), m.Value...)
			continue
		}
		switch kind {
		case "null":
		case "an object":
			rows = append(rows, value{file: name, line: v.Line, table: m.Key, one: true, raw: m.Value})
		case "a list":
			var list []json.RawMessage
			if err := json.Unmarshal(m.Value, &list); err != nil {
				return err
			}
			for _, raw := range list {
				rows = append(rows, value{file: name, line: v.Line, table: m.Key, raw: raw})
			}
		default:
			return fmt.Errorf("%s: want a row or a list of rows, have %s", m.Key, kind)
		}
	}
	if id == "" {
		return errors.New("the item has no id")
	}
	if err := fn(value{file: name, line: v.Line, group: "items", table: schema.ItemTable, item: id, raw: append(own, '}')}); err != nil {
		return err
	}
	for _, row := range rows {
		row.item = id
		if err := fn(row); err != nil {
			return err
		}
	}
	return nil
}

func isEmptyList(v json.RawMessage) bool {
	v = bytes.TrimSpace(v)
	return len(v) > 1 && len(bytes.TrimSpace(v[1:len(v)-1])) == 0
}

func itemClass(s *schema.DatasetSchema) *schema.Class {
	class, _ := s.Class(schema.ItemTable)
	return class
}

// batchRows is how many rows are handed over together.
const batchRows = 2000

// Rows yields the rows of the files.
func (r *reader) Rows(ctx context.Context) iter.Seq2[dataset.Batch, error] {
	return func(yield func(dataset.Batch, error) bool) {
		seen := map[string]bool{} // ids of sources
		tables := map[string][]*schema.Dynamic{}
		rows := 0
		flush := func() error {
			if rows == 0 {
				return nil
			}
			batch := dataset.Batch{}
			for table, list := range tables {
				batch[table] = list
			}
			tables, rows = map[string][]*schema.Dynamic{}, 0
			if !yield(batch, nil) {
				return errStop
			}
			return nil
		}
		take := func(v value) error {
			if v.group == "info" {
				return nil
			}
			row, err := r.decode(v)
			if err != nil || row == nil {
				return place(v.file, v.line, err)
			}
			if v.table == schema.SourceTable {
				id := exchange.Text(row, "id")
				if seen[id] {
					return nil
				}
				seen[id] = true
			}
			tables[v.table] = append(tables[v.table], row)
			if rows++; rows >= batchRows {
				return flush()
			}
			return nil
		}
		for _, name := range r.files {
			if err := r.eachIn(ctx, name, take); err != nil {
				if err != errStop {
					yield(nil, err)
				}
				return
			}
		}
		if err := flush(); err != nil && err != errStop {
			yield(nil, err)
		}
	}
}

// decode makes a row. It is nil for one of a table that is not imported.
func (r *reader) decode(v value) (*schema.Dynamic, error) {
	class, ok := r.schema.Class(v.table)
	if !ok {
		r.in.Lose(v.table, "", "the schema has no such table", 1)
		return nil, nil
	}
	wide := r.wide[v.table]
	if wide == nil {
		wide = &schema.Class{Name: class.Name, Base: class.Base, Fields: slices.Clone(class.Fields)}
		for i := range wide.Fields {
			wide.Fields[i].Required = false
		}
		r.wide[v.table] = wide
	}
	row, err := schema.NewDynamic(wide)
	if err != nil {
		return nil, err
	}
	if err := schema.DecodeJSON(v.raw, row); err != nil {
		return nil, fmt.Errorf("%s: %w", v.table, err)
	}
	if _, _, ok := class.Field("url"); ok {
		if err := r.media(v, row); err != nil {
			return nil, err
		}
	}
	return row, nil
}

// media takes the file in whose url a view has, unless it is a URL of elsewhere.
func (r *reader) media(v value, row *schema.Dynamic) error {
	url := exchange.Text(row, "url")
	if url == "" || exchange.IsURL(url) || path.IsAbs(url) {
		return nil
	}
	taken, err := r.in.Media(url)
	if errors.Is(err, exchange.ErrMedia) && r.in.Options().SkipMissing {
		r.in.Warn(v.file, v.line, "%v", err)
		return nil
	}
	if err != nil {
		if r.in.Options().Images == "" {
			err = fmt.Errorf("%w (is it in another directory of images?)", err)
		}
		return err
	}
	return row.Set("url", taken)
}
