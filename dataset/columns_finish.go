package dataset

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"pixano/schema"
)

// settle, with the lock held, finishes a change of columns that was cut off, and looks at what other processes changed.
func (s *state) settle(ctx context.Context) error {
	if s.layout != ItemLayout {
		return nil
	}
	if s.unfinishedColumns() {
		if _, err := s.finishColumns(ctx); err != nil {
			return err
		}
	}
	s.follow()
	return nil
}

// unfinishedColumns reports whether a change of columns was begun and not finished.
func (s *state) unfinishedColumns() bool { return exists(s.path, privateFolder, columnsFile) }

// readColumnsNote reads the note of a change of columns, and reports whether the table has the new columns.
func (s *state) readColumnsNote(ctx context.Context) (n columnsNote, to *schema.DatasetSchema, done bool, err error) {
	fail := func(err error) (columnsNote, *schema.DatasetSchema, bool, error) {
		return n, nil, false, &Error{Op: "complete a change of columns", Field: privateFolder + "/" + columnsFile, Err: err}
	}
	text, err := os.ReadFile(filepath.Join(s.path, privateFolder, columnsFile))
	if err != nil {
		return fail(fileError(err))
	}
	if err := json.Unmarshal(text, &n); err != nil {
		return fail(&kindError{ErrCorrupt, err.Error(), err})
	}
	if to, err = schema.ParseDatasetSchema([]byte(n.Schema)); err != nil {
		return fail(err)
	}
	class, ok := to.Class(n.Table)
	if !ok {
		return fail(schemaError("no table %s in the new schema", n.Table))
	}
	t, err := s.db.OpenTable(ctx, n.Table, nil)
	if err != nil {
		return fail(err)
	}
	defer t.Close()
	columns, err := t.Schema(ctx)
	if err != nil {
		return fail(err)
	}
	if sameAsClass(columns, class) == nil {
		return n, to, true, nil
	}
	old, err := readSchema(s.path)
	if err != nil {
		return fail(err)
	}
	if class, ok := old.Class(n.Table); ok {
		if err := sameAsClass(columns, class); err != nil {
			return fail(err) // neither the old ones nor the new ones
		}
	}
	return n, to, false, nil
}

// finishColumns, with the lock held, finishes a change of columns if the table has the new ones, and reports whether it
// has. If not, the change has not happened.
func (s *state) finishColumns(ctx context.Context) (bool, error) {
	n, to, done, err := s.readColumnsNote(ctx)
	if err != nil {
		return false, err
	}
	note := filepath.Join(s.path, privateFolder, columnsFile)
	if done {
		t, err := s.db.OpenTable(ctx, n.Table, nil)
		if err != nil {
			return false, err
		}
		defer t.Close()
		if _, err := t.Sync(ctx, 0); err != nil {
			return false, err
		}
		if err := writeFile(filepath.Join(s.path, "schema.json"), to.Encode()); err != nil {
			return false, &Error{Field: "schema.json", Err: fileError(err)}
		}
		fault("columns in schema.json")
		if err := s.followConstraints(n); err != nil {
			return false, err
		}
		s.follow()
	}
	if err := os.Remove(note); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return done, &Error{Field: privateFolder + "/" + columnsFile, Err: fileError(err)}
	}
	return done, fileError(syncDir(filepath.Dir(note)))
}

// followConstraints brings the value constraints in line with changed columns.
func (s *state) followConstraints(n columnsNote) error {
	m := *s.meta.Load()
	cut := n.Drop
	if n.From != "" {
		cut = append(cut, n.From)
	}
	concerned := slices.ContainsFunc((&Dataset{state: s}).Constraints(n.Table), func(c Constraint) bool { return slices.Contains(cut, c.Name) })
	if !concerned {
		return nil
	}
	return (&Dataset{state: s}).changeConstraints(&m, func(groups map[string]*jsonObject) error {
		for _, o := range groups {
			if raw, ok := o.values[n.Table]; ok && n.From != "" {
				list, err := parseList(n.Table, raw)
				if err != nil {
					return err
				}
				for i, raw := range list {
					if c, err := parseObject("", raw); err == nil && concerns(c, n.From) {
						c.set("name", marshalJSON(n.To))
						list[i] = c.raw()
					}
				}
				o.set(n.Table, rawList(list))
			}
			for _, name := range n.Drop {
				if err := cutFrom(o, n.Table, name); err != nil && !errors.Is(err, ErrNotFound) {
					return err
				}
			}
		}
		return nil
	})
}

// foreseeColumns, where nothing can be written, takes the schema that a change of columns led to that was cut off.
func (s *state) foreseeColumns(ctx context.Context) error {
	if s.layout != ItemLayout || s.snapshot != nil || !s.unfinishedColumns() {
		return nil
	}
	_, to, done, err := s.readColumnsNote(ctx)
	if err != nil || !done {
		return err
	}
	m := *s.meta.Load()
	m.schema, m.tables = to, declaredTables(to)
	s.meta.Store(&m)
	return nil
}

// schemaFile tells the schema.json that is there from others; nil if it cannot.
func schemaFile(path string) *fs.FileInfo {
	st, err := os.Stat(filepath.Join(path, "schema.json"))
	if err != nil {
		return nil
	}
	return &st
}

// follow takes over what another process wrote to schema.json. What cannot be read changes nothing.
func (s *state) follow() {
	known := s.known.Load()
	if known == nil {
		return
	}
	now := schemaFile(s.files)
	if now == nil || os.SameFile(*known, *now) && (*known).ModTime().Equal((*now).ModTime()) && (*known).Size() == (*now).Size() {
		return
	}
	there, err := readSchema(s.files)
	if err != nil {
		return
	}
	for {
		old := s.meta.Load()
		if old.schema.Equal(there) {
			break
		}
		m := *old
		m.schema, m.tables = there, declaredTables(there)
		if s.meta.CompareAndSwap(old, &m) {
			break
		}
	}
	s.known.Store(now)
}
