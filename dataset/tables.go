package dataset

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"pixano/internal/lance"
	"pixano/schema"
)

// exclusively runs a change of what the dataset declares, with the lock of the dataset held. change gets a copy of what
// this process knows, to be stored when it is done.
func (d *Dataset) exclusively(ctx context.Context, op, table string, change func(m *meta) error) error {
	if d.readOnly {
		return at(op, table, ErrReadOnly)
	}
	d.mu.Lock()
	closed := d.closed
	d.mu.Unlock()
	if closed {
		return at(op, table, ErrClosed)
	}
	unlock, err := d.lockFile(ctx)
	if err != nil {
		return at(op, table, err)
	}
	defer unlock()
	if err := d.settle(ctx); err != nil {
		return at(op, table, err)
	}
	m := *d.meta.Load()
	return wrap(op, table, change(&m))
}

// CreateTable adds a table without rows to the dataset.
//
// class is the class of its rows: a row's struct or a pointer to one, its reflect.Type, a *[schema.Dynamic] or a
// *[schema.Class]. relation is read from the table to the items: [schema.ManyToOne] for several rows per item. A name
// that is taken, that has capitals or that Lance refuses, and a class of items or of sources are ErrSchema.
//
// Rows in db/NAME.lance that no schema declares, as a crash of [Dataset.DropTable] leaves them, are ErrExists. Handles
// of other processes see the table at their next call.
func (d *Dataset) CreateTable(ctx context.Context, name string, class any, relation schema.SchemaRelation) error {
	const op = "create table"
	c, ok := class.(*schema.Class)
	if !ok {
		var err error
		if c, err = schema.ClassOf(class); err != nil {
			return at(op, name, err)
		}
	} else if c == nil {
		return at(op, name, schemaError("the class is nil"))
	}
	return d.exclusively(ctx, op, name, func(m *meta) error {
		s, err := readSchema(d.path) // another process may have changed it
		if err != nil {
			return err
		}
		if err := s.Add(name, c, relation); err != nil {
			return err
		}
		if _, err := tableColumns(c); err != nil {
			return err
		}
		if err := d.clearOrphan(ctx, name); err != nil {
			return err
		}
		if err := createTable(ctx, d.db, name, c, d.opts.StorageVersion); err != nil {
			return err
		}
		// Until schema.json lists it, the table is an orphan, which the next attempt replaces.
		db := filepath.Join(d.path, "db")
		err = syncTree(filepath.Join(db, name+".lance"))
		if err == nil {
			err = syncDir(db)
		}
		if err == nil {
			err = writeFile(filepath.Join(d.path, "schema.json"), s.Encode())
		}
		if err != nil {
			return fileError(err)
		}
		m.schema, m.tables = s, declaredTables(s)
		d.meta.Store(m)
		return nil
	})
}

// SetTableMetadata replaces the metadata of a table's Arrow schema. For an embedding table it names the function that
// computes the vectors, see package search.
func (d *Dataset) SetTableMetadata(ctx context.Context, name string, metadata map[string]string) error {
	const op = "set metadata of"
	if _, err := d.class(op, name); err != nil {
		return err
	}
	return d.exclusively(ctx, op, name, func(*meta) error {
		t, err := d.openTable(ctx, op, name)
		if err != nil {
			return err
		}
		defer t.Close()
		if metadata == nil {
			metadata = map[string]string{}
		}
		_, err = t.SetMetadata(ctx, lance.Metadata{Schema: metadata}, nil)
		return err
	})
}

// clearOrphan removes the table of this name that schema.json does not list, if it has no rows.
func (s *state) clearOrphan(ctx context.Context, name string) error {
	folder := filepath.Join("db", name+".lance")
	path := filepath.Join(s.path, folder)
	t, err := s.db.OpenTable(ctx, name, nil)
	if errors.Is(err, ErrNotFound) {
		// A crash in the middle of creating an empty table leaves no data files; others are not ours to remove.
		data, _ := os.ReadDir(filepath.Join(path, "data"))
		if len(data) > 0 {
			return &kindError{ErrExists, folder + " holds data of a table that schema.json does not list", nil}
		}
		return fileError(os.RemoveAll(path))
	}
	if err != nil {
		return &kindError{ErrExists, fmt.Sprintf("%s holds a table that schema.json does not list and that cannot be read: %v",
			folder, err), err}
	}
	defer t.Close()
	rows, err := t.Count(ctx, "")
	if err != nil {
		return err
	}
	if rows > 0 {
		return &kindError{ErrExists, fmt.Sprintf("%s holds %d rows of a table that schema.json does not list",
			folder, rows), nil}
	}
	return s.db.DropTable(ctx, name, nil)
}

// DropTable removes a table with its rows, its relations and its value constraints. The tables "item" and "source" are
// ErrSchema, one that is not declared is ErrNotFound, one that a snapshot holds rows of is ErrConflict.
//
// Rows of other tables that refer to its rows are left alone, so their references lead nowhere. Reads of the table that
// are running may end with an error.
func (d *Dataset) DropTable(ctx context.Context, name string) error {
	const op = "drop table"
	if name == schema.ItemTable || name == schema.SourceTable {
		return at(op, name, schemaError("every dataset has this table"))
	}
	return d.exclusively(ctx, op, name, func(m *meta) error {
		s, err := readSchema(d.path)
		if err != nil {
			return err
		}
		m.schema, m.tables = s, declaredTables(s)
		if _, ok := s.Class(name); !ok {
			return m.noTable()
		}
		if err := d.inSnapshots(name); err != nil {
			return err
		}
		// Nothing that was logged may be done again in another table of this name.
		if err := d.recover(ctx); err != nil {
			return err
		}
		if err := d.checkpoint(ctx); err != nil {
			return err
		}
		if s, err = withoutTable(s, name); err != nil {
			return err
		}
		if err := writeFile(filepath.Join(d.path, "schema.json"), s.Encode()); err != nil {
			return fileError(err)
		}
		// From here on the table is gone; what a crash leaves of it is data that no schema declares.
		m.schema, m.tables = s, declaredTables(s)
		if err := d.forget(name, m); err != nil {
			return err
		}
		if err := d.db.DropTable(ctx, name, nil); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		// The engine knows files by their paths: for it, versions of another table of this name would be those of this one.
		if err := d.renew(ctx, name); err != nil {
			return err
		}
		return d.changeConstraints(m, func(groups map[string]*jsonObject) error { return cutConstraints(groups, name, "") })
	})
}

// forget closes the handle of a table that is no longer declared.
func (d *Dataset) forget(name string, m *meta) error {
	d.view.Lock()
	defer d.view.Unlock()
	declared := *m
	d.meta.Store(&declared)
	d.mu.Lock()
	t, ok := d.open[name]
	delete(d.open, name)
	// Another table of this name would have other rows at their addresses.
	maps.DeleteFunc(d.indexes, func(p place, _ *rowIndex) bool { return p.table == name })
	d.mu.Unlock()
	d.cache.forget(name)
	d.vectors.forget(name)
	if !ok {
		return nil
	}
	return t.Close()
}

// withoutTable returns a schema without one of its tables and the relations of it.
func withoutTable(s *schema.DatasetSchema, name string) (*schema.DatasetSchema, error) {
	root, err := parseObject("schema.json", s.Encode())
	if err != nil {
		return nil, err
	}
	for _, key := range []string{"relations", "schemas"} {
		object, err := parseObject(key, root.values[key])
		if err != nil {
			return nil, err
		}
		object.remove(name)
		if key == "relations" {
			for _, from := range slices.Clone(object.keys) {
				to, err := parseObject(key, object.values[from])
				if err != nil {
					return nil, err
				}
				if to.remove(name); len(to.keys) == 0 && from != schema.ItemTable {
					object.remove(from)
					continue
				}
				object.set(from, to.raw())
			}
		}
		root.set(key, object.raw())
	}
	root.remove("groups") // they follow from the classes
	return schema.ParseDatasetSchema(root.raw())
}
