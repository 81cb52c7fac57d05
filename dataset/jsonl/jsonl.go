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
	"runtime"
	"slices"
	"strings"
	"sync"

	"pixano/dataset"
	"pixano/dataset/exchange"
	"pixano/features"
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
	infoFile      = "info.json"
	schemaFile    = "schema.json"
	templatesFile = "keypoint_templates.json"
)

// putBeside writes the schema, and templates of key points where the dataset has some.
func putBeside(out *exchange.Output) error {
	list, err := out.Dataset().KeyPointTemplates()
	if err != nil {
		return err
	}
	if len(list) > 0 {
		text, err := json.MarshalIndent(list, "", "    ")
		if err == nil {
			err = out.Put(templatesFile, text)
		}
		if err != nil {
			return err
		}
	}
	return out.Put(schemaFile, out.Dataset().Schema().Encode())
}

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
	return w, putBeside(out)
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
	return w, putBeside(out)
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
			!slices.Contains([]string{infoFile, schemaFile, "features_values.json", "stats.json", templatesFile}, name) {
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
	wide   map[string]*schema.Class // classes of the tables, none of whose columns is required
	poses  []features.KeyPointTemplate
	known  *exchange.Known
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
	text, err := fs.ReadFile(in.Root().FS(), templatesFile)
	if err == nil {
		err = place(templatesFile, 0, exchange.NewStream(bytes.NewReader(text)).Decode(&r.poses))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if r.known, err = in.Known(ctx); err != nil {
		return nil, err
	}
	g := newGuess(r.schema)
	for _, name := range r.files {
		err := r.each(ctx, name, r.schema != nil, func(v value) error {
			return r.rowsOf(v, func(v value) error { return place(v.file, v.line, g.see(v)) })
		})
		if err != nil && err != errStop {
			return nil, err
		}
	}
	r.info = dataset.Info{Name: g.info.Name, Description: g.info.Description, Size: g.info.Size, Workspace: g.info.Workspace}
	if r.schema == nil {
		if r.schema, err = g.schema(in); err != nil {
			return nil, err
		}
	}
	for _, table := range append([]string{schema.SourceTable}, r.schema.Tables()...) {
		class, _ := r.schema.Class(table)
		if r.wide[table], err = class.Optional(); err != nil {
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

// Templates returns the templates of key points beside.
func (r *reader) Templates() []features.KeyPointTemplate { return r.poses }

// value is a row of a file, what it says of the dataset or, in JSON lines, an item with its rows.
type value struct {
	file  string
	line  int
	group string // "items", "views", …, "sources", "info"; "line" of an item with its rows, and "" of those
	table string
	one   bool // it is the only row of its item
	item  string
	raw   json.RawMessage // until the next value
}

// each calls fn for each value of a file. With head only those that say something of the dataset are meant, and the end of
// others may be left out with errStop.
func (r *reader) each(ctx context.Context, name string, head bool, fn func(value) error) error {
	f, err := r.in.Root().Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if r.lines {
		return r.eachLine(ctx, name, f, head, fn)
	}
	s := exchange.NewStream(f)
	next := func(group, table string) error {
		raw, err := s.Raw()
		if err == nil {
			err = fn(value{file: name, line: s.Line(), group: group, table: table, raw: raw})
		}
		if err == nil {
			err = ctx.Err()
		}
		return err
	}
	err = s.Object(func(key string) error {
		switch key {
		case "info":
			if err := next(key, ""); err != nil || !head {
				return err
			}
			return errStop
		case "sources", "items", "views", "entities", "annotations":
		default:
			if !head {
				r.in.Lose(key, "", "the key is none of the format", 1)
			}
			return s.Skip()
		}
		switch {
		case head:
			if err := s.Skip(); err != nil {
				return err
			}
			return ctx.Err()
		case key == "sources":
			return s.List(func(int) error { return next(key, schema.SourceTable) })
		case key == "items":
			return s.List(func(int) error { return next(key, schema.ItemTable) })
		}
		return s.Object(func(table string) error {
			if err := s.List(func(int) error { return next(key, table) }); err != nil {
				return fmt.Errorf("%s.%s: %w", key, table, err)
			}
			return nil
		})
	})
	return place(name, s.Line(), err)
}

func place(file string, line int, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*exchange.LineError](err); ok || errors.Is(err, context.Canceled) || errors.Is(err, errStop) {
		return err
	}
	return &exchange.LineError{File: file, Line: line, Err: err}
}

var errStop = errors.New("stopped")

func (r *reader) eachLine(ctx context.Context, name string, f io.Reader, head bool, fn func(value) error) error {
	if text, err := fs.ReadFile(r.in.Root().FS(), infoFile); err == nil {
		var beside struct {
			Info    json.RawMessage   `json:"info"`
			Sources []json.RawMessage `json:"sources"`
		}
		if err := exchange.NewStream(bytes.NewReader(text)).Decode(&beside); err != nil {
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
	if head {
		return errStop
	}
	for v, err := range exchange.JSONValues(f) {
		if err == nil {
			err = fn(value{file: name, line: v.Line, group: "line", raw: v.Value})
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

// rowsOf calls fn for the rows of a value.
func (r *reader) rowsOf(v value, fn func(value) error) error {
	if v.group != "line" {
		return fn(v)
	}
	return place(v.file, v.line, r.lineValues(v, fn))
}

// lineValues splits an item into its rows.
func (r *reader) lineValues(v value, fn func(value) error) error {
	members, err := exchange.Members(v.raw)
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
			rows = append(rows, value{file: v.file, line: v.line, table: m.Key, one: true, raw: m.Value})
		case "a list":
			var list []json.RawMessage
			if err := json.Unmarshal(m.Value, &list); err != nil {
				return err
			}
			for _, raw := range list {
				rows = append(rows, value{file: v.file, line: v.line, table: m.Key, raw: raw})
			}
		default:
			return fmt.Errorf("%s: want a row or a list of rows, have %s", m.Key, kind)
		}
	}
	if id == "" {
		return errors.New("the item has no id")
	}
	if err := fn(value{file: v.file, line: v.line, group: "items", table: schema.ItemTable, item: id, raw: append(own, '}')}); err != nil {
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
		flush := func() bool {
			batch := dataset.Batch{}
			for table, list := range tables {
				batch[table] = list
			}
			tables, rows = map[string][]*schema.Dynamic{}, 0
			return yield(batch, nil)
		}
		there := 0
		for d, err := range r.decoded(ctx) {
			if err == nil && r.isKnown(d) {
				if d.table == schema.ItemTable {
					there++
				}
				continue
			}
			if err == nil {
				err = place(d.file, d.line, r.media(d))
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if d.table == schema.SourceTable {
				id := exchange.Text(d.row, "id")
				if seen[id] {
					continue
				}
				seen[id] = true
			}
			tables[d.table] = append(tables[d.table], d.row)
			if rows++; rows >= batchRows && !flush() {
				return
			}
		}
		if there > 0 {
			r.in.Warn("", 0, "%d items are in the dataset already and were left out", there)
		}
		if rows > 0 {
			flush()
		}
	}
}

// isKnown reports whether the dataset that is added to has a source, an item, or the item of a row.
func (r *reader) isKnown(d decodedRow) bool {
	switch d.table {
	case schema.SourceTable:
		return r.known.HasSource(exchange.Text(d.row, "id"))
	case schema.ItemTable:
		return r.known.HasItem(exchange.Text(d.row, "id"))
	}
	ref, _ := exchange.Value(d.row, "item_ref").(features.ItemRef)
	return r.known.HasItem(ref.ID)
}

// decodedRow is a row with its place.
type decodedRow struct {
	table, file string
	line        int
	row         *schema.Dynamic
}

// part is some of a file: the texts of values, and what becomes of them.
type part struct {
	text   []byte
	values []value // whose texts are parts of text
	rows   []decodedRow
	err    error
	done   chan struct{}
}

// partBytes is how much text is decoded at a time by one of several goroutines.
const partBytes = 256 << 10

// decoded yields the rows of the files in order. One goroutine finds where rows end, others decode them.
func (r *reader) decoded(ctx context.Context) iter.Seq2[decodedRow, error] {
	return func(yield func(decodedRow, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		workers := min(runtime.GOMAXPROCS(0), 4)
		work, order := make(chan *part), make(chan *part, 2*workers)
		for range workers {
			running.Go(func() {
				for p := range work {
					r.decodePart(p)
					close(p.done)
				}
			})
		}
		running.Go(func() {
			defer close(order)
			defer close(work)
			var p *part
			send := func() error {
				if p == nil {
					return nil
				}
				for _, to := range []chan *part{order, work} {
					select {
					case to <- p:
					case <-ctx.Done():
						return ctx.Err()
					}
				}
				p = nil
				return nil
			}
			var err error
			for _, name := range r.files {
				err = r.each(ctx, name, false, func(v value) error {
					if p != nil && len(p.text)+len(v.raw) > cap(p.text) {
						if err := send(); err != nil {
							return err
						}
					}
					if p == nil {
						p = &part{text: make([]byte, 0, max(partBytes, len(v.raw))), done: make(chan struct{})}
					}
					start := len(p.text)
					p.text = append(p.text, v.raw...)
					v.raw = p.text[start:]
					p.values = append(p.values, v)
					return nil
				})
				if err != nil {
					break
				}
			}
			if err != nil && p == nil {
				p = &part{done: make(chan struct{})}
			}
			if p != nil {
				p.err = err
			}
			send()
		})
		for p := range order {
			select {
			case <-p.done:
			case <-ctx.Done():
				yield(decodedRow{}, ctx.Err())
				return
			}
			for _, d := range p.rows {
				if !yield(d, nil) {
					return
				}
			}
			if p.err != nil {
				yield(decodedRow{}, p.err)
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(decodedRow{}, err)
		}
	}
}

// decodePart makes the rows of a part, up to the first error.
func (r *reader) decodePart(p *part) {
	p.rows = make([]decodedRow, 0, len(p.values))
	for _, v := range p.values {
		err := r.rowsOf(v, func(v value) error {
			if v.group == "info" {
				return nil
			}
			row, err := r.decode(v)
			if err == nil && row != nil {
				p.rows = append(p.rows, decodedRow{v.table, v.file, v.line, row})
			}
			return place(v.file, v.line, err)
		})
		if err != nil {
			p.err = err
			return
		}
	}
}

// decode makes a row. It is nil for one of a table that is not imported.
func (r *reader) decode(v value) (*schema.Dynamic, error) {
	class := r.wide[v.table]
	if class == nil {
		r.in.Lose(v.table, "", "the schema has no such table", 1)
		return nil, nil
	}
	row, err := schema.NewDynamic(class)
	if err != nil {
		return nil, err
	}
	if err := schema.DecodeJSON(v.raw, row); err != nil {
		return nil, fmt.Errorf("%s: %w", v.table, err)
	}
	return row, nil
}

// media takes the file in whose url a view has, unless it is a URL of elsewhere.
func (r *reader) media(d decodedRow) error {
	url := exchange.Text(d.row, "url")
	if url == "" || exchange.IsURL(url) || path.IsAbs(url) {
		return nil
	}
	taken, err := r.in.Media(url)
	if errors.Is(err, exchange.ErrMedia) && r.in.Options().SkipMissing {
		r.in.Warn(d.file, d.line, "%v", err)
		return nil
	}
	if err != nil {
		if r.in.Options().Images == "" {
			err = fmt.Errorf("%w (is it in another directory of images?)", err)
		}
		return err
	}
	return d.row.Set("url", taken)
}
