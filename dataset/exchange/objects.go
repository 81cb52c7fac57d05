package exchange

import (
	"context"
	"errors"
	"iter"
	"path"
	"strings"

	"pixano/dataset"
	"pixano/schema"
)

// Picture is an image of an item with what is in it, for formats that have a file for each image.
type Picture struct {
	Row           *schema.Dynamic
	Table, ID     string
	Width, Height float64
	Objects       []*Entry
}

// Entry is what a picture shows of one entity: at most one box, mask and pose each. Further ones are entries of their own.
type Entry struct {
	Entity            *schema.Dynamic // nil where there is none
	Table             string          // of the entity
	Box, Mask, Points *schema.Dynamic
}

// Category returns the category of an entry, or "".
func (e *Entry) Category() string {
	if e.Entity == nil {
		return ""
	}
	return Text(e.Entity, "category")
}

// Tables says which tables pictures are made of.
type Tables struct {
	Images, Entities, Boxes, Masks, Points []string
}

// TablesFor returns the tables of a dataset that pictures are made of.
func TablesFor(s *schema.DatasetSchema) Tables {
	return Tables{TablesOf(s, "Image"), s.TablesOf(schema.GroupEntities), TablesOf(s, "BBox"), TablesOf(s, "CompressedRLE"), TablesOf(s, "KeyPoints")}
}

// Pictures returns the images of an item with their entries, in the order of the rows. lost is called for annotations that
// are in none of the images.
func (t Tables) Pictures(item *dataset.Item, lost func(table string)) []*Picture {
	var pictures []*Picture
	byID := map[string]*Picture{}
	for _, table := range t.Images {
		for _, row := range Rows(item.Tables, table) {
			p := &Picture{Row: row, Table: table, ID: Text(row, "id")}
			p.Width, p.Height = float64(Int(row, "width")), float64(Int(row, "height"))
			pictures = append(pictures, p)
			byID[p.ID] = p
		}
	}
	type named struct {
		row   *schema.Dynamic
		table string
	}
	entities := map[string]named{}
	for _, table := range t.Entities {
		for _, row := range Rows(item.Tables, table) {
			entities[Text(row, "id")] = named{row, table}
		}
	}
	entries := map[[2]string]*Entry{}
	used := map[string]bool{}
	put := func(tables []string, slot func(*Entry) **schema.Dynamic) {
		for _, table := range tables {
			for _, row := range Rows(item.Tables, table) {
				p := byID[ViewOf(row).ID]
				if p == nil {
					lost(table)
					continue
				}
				id := EntityOf(row).ID
				used[id] = true
				key := [2]string{p.ID, id}
				e := entries[key]
				if e == nil || *slot(e) != nil || id == "" {
					e = &Entry{Entity: entities[id].row, Table: entities[id].table}
					p.Objects = append(p.Objects, e)
					if entries[key] == nil {
						entries[key] = e
					}
				}
				*slot(e) = row
			}
		}
	}
	put(t.Boxes, func(e *Entry) **schema.Dynamic { return &e.Box })
	put(t.Masks, func(e *Entry) **schema.Dynamic { return &e.Mask })
	put(t.Points, func(e *Entry) **schema.Dynamic { return &e.Points })
	for id, e := range entities {
		if !used[id] {
			lost(e.table)
		}
	}
	return pictures
}

// FileNames gives the images of an export names of their own.
type FileNames struct {
	taken map[string]bool
}

// Name returns a name without suffix for an image, and its suffix: that of its file, or one that no other image of the
// folder has.
func (n *FileNames) Name(folder string, p *Picture) (stem, suffix string) {
	if n.taken == nil {
		n.taken = map[string]bool{}
	}
	name := path.Base(MediaPath(Text(p.Row, "url"), p.ID, Text(p.Row, "format")))
	suffix = path.Ext(name)
	stem = strings.TrimSuffix(name, suffix)
	if key := folder + "/" + strings.ToLower(stem); n.taken[key] || stem == "" {
		stem += "_" + strings.Map(func(r rune) rune {
			if strings.ContainsRune(`/\:*?"<>|`, r) || r < ' ' {
				return '_'
			}
			return r
		}, p.ID)
	}
	n.taken[folder+"/"+strings.ToLower(stem)] = true
	return stem, suffix
}

// WithSource returns the id of the source of what a tool has made, and a yield that adds its row to the first rows. An import
// that finds nothing new makes none.
func (in *Input) WithSource(tool string, yield func(dataset.Batch, error) bool) (func(dataset.Batch, error) bool, string) {
	source, done := in.ID("source"), false
	return func(b dataset.Batch, err error) bool {
		if err == nil && !done {
			done = true
			b[schema.SourceTable] = []schema.Source{{ID: source, Name: tool, Kind: schema.SourceOther, Metadata: "{}"}}
		}
		return yield(b, err)
	}, source
}

// fileBatch is how many images are handed over together.
const fileBatch = 1000

// FileRows yields the rows of a source that has a file for each image. read makes the rows of one, unless the dataset has
// it already; take hands over what was made since it was called last.
func (in *Input) FileRows(ctx context.Context, tool string, files []string, read func(file, source string, known *Known) (has bool, err error),
	take func() dataset.Batch) iter.Seq2[dataset.Batch, error] {
	return func(yield func(dataset.Batch, error) bool) {
		yield, source := in.WithSource(tool, yield)
		known, err := in.Known(ctx)
		made, there := 0, 0
		for _, file := range files {
			has := false
			if err == nil {
				err = ctx.Err()
			}
			if err == nil {
				has, err = read(file, source, known)
			}
			switch {
			case errors.Is(err, ErrMedia) && in.opts.SkipMissing:
				in.LeftOut(file, 0, err)
				err = nil
				continue
			case err != nil:
				if _, ok := errors.AsType[*LineError](err); !ok {
					err = &LineError{File: file, Err: err}
				}
				yield(nil, err)
				return
			case has:
				there++
				continue
			}
			if made++; made%fileBatch == 0 && !yield(take(), nil) {
				return
			}
		}
		if there > 0 {
			in.Warn("", 0, "%d items are in the dataset already and were left out", there)
		}
		if err != nil {
			yield(nil, err)
		} else if made%fileBatch > 0 {
			yield(take(), nil)
		}
	}
}
