package dataset

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"pixano/features"
	"pixano/internal/lance"
	"pixano/schema"
)

// prepare looks at what is there and makes or takes up the stage.
func (b *build) prepare(ctx context.Context, tables any) error {
	target, err := filepath.Abs(b.target)
	if err != nil {
		return err
	}
	parent := filepath.Dir(target)
	if st, err := os.Stat(parent); errors.Is(err, fs.ErrNotExist) || err == nil && !st.IsDir() {
		return &kindError{ErrNotFound, "no directory " + parent + " to make it in", fs.ErrNotExist}
	}
	if err := restoreSwapped(ctx, target); err != nil {
		return err
	}
	var old *schema.DatasetSchema // nil where no dataset is
	there := exists(target, "info.json")
	if b.opts.Mode != BuildCreate && there {
		// A link to a dataset stays a link.
		if target, err = filepath.EvalSymlinks(target); err != nil {
			return err
		}
	}
	b.target = target
	switch b.opts.Mode {
	case BuildAdd:
		if b.old, err = Open(ctx, target, b.opts.Options); err != nil {
			return err
		}
		if err := b.old.finishBuilds(ctx); err != nil {
			return err
		}
		old = b.old.Schema()
	case BuildOverwrite:
		if there {
			if old, err = readSchema(target); err != nil && tables == nil {
				return err
			}
			break
		}
		fallthrough
	default:
		if err := checkFree(target); err != nil {
			return err
		}
	}
	if err := b.findSchema(tables, old); err != nil {
		return err
	}
	if err := b.fillInfo(there); err != nil {
		return &Error{Field: "info.json", Err: err}
	}
	if err := b.openStage(ctx); err != nil {
		return err
	}
	b.dir = b.stage.path("dataset")
	if err := os.MkdirAll(filepath.Join(b.dir, "db"), 0o755); err != nil {
		return stagingError(err)
	}
	if b.db, err = lance.Connect(ctx, filepath.Join(b.dir, "db"), nil); err != nil {
		return err
	}
	err = b.addLanes(func(table string, class *schema.Class) (*arrow.Schema, error) {
		if b.old != nil {
			return b.old.Columns(ctx, table)
		}
		return tableColumns(class)
	})
	if err != nil || !b.named {
		return err
	}
	return b.takeUp(ctx)
}

// findSchema finds the tables of the build.
func (b *build) findSchema(tables any, old *schema.DatasetSchema) error {
	var s *schema.DatasetSchema
	switch t := tables.(type) {
	case nil:
		if s = old; s == nil {
			return schemaError("the schema is nil: want an aggregate or a *schema.DatasetSchema")
		}
	case *schema.DatasetSchema:
		if s = t; s == nil {
			return schemaError("the schema is nil: want an aggregate or a *schema.DatasetSchema")
		}
	default:
		var err error
		if s, err = SchemaOf(tables); err != nil {
			return err
		}
	}
	b.schema = s
	if b.old == nil {
		return nil
	}
	b.schema = old
	for _, name := range s.Tables() {
		have, ok := old.Class(name)
		if !ok {
			return &Error{Table: name, Err: b.old.meta.Load().noTable()}
		}
		want, _ := s.Class(name)
		if err := sameColumns(want, have); err != nil {
			return &Error{Table: name, Err: err}
		}
	}
	return nil
}

// sameColumns wants a class with the columns of a table's class.
func sameColumns(given, table *schema.Class) error {
	if given.Group() != table.Group() {
		return schemaError("rows of class %s are %s, the table's are %s", given.Name, given.Group(), table.Group())
	}
	for _, f := range given.Fields {
		have, _, ok := table.Field(f.Name)
		if !ok {
			return schemaError("class %s has a column %s, which the table has not", given.Name, f.Name)
		}
		t := f.Type
		if t.Dim == 0 {
			t.Dim = have.Type.Dim // of vectors whose length only the table says
		}
		if t != have.Type {
			return schemaError("column %s of class %s is %s: want %s", f.Name, given.Name, f.Type, have.Type)
		}
	}
	for _, f := range table.Fields {
		if _, _, ok := given.Field(f.Name); !ok {
			return schemaError("class %s has no column %s", given.Name, f.Name)
		}
	}
	return nil
}

// fillInfo fills in what the caller left out of the info.
func (b *build) fillInfo(there bool) error {
	var old Info
	if there && b.opts.Mode != BuildCreate {
		var err error
		if old, _, err = readInfo(b.target); err != nil && b.opts.Mode == BuildAdd {
			return err
		}
	}
	b.info.ID = cmp.Or(b.info.ID, old.ID, features.NewShortUUID())
	b.info.Name = cmp.Or(b.info.Name, old.Name)
	if !there {
		b.info.Name = cmp.Or(b.info.Name, filepath.Base(b.target))
	}
	b.info.Description = cmp.Or(b.info.Description, old.Description)
	b.info.Size = cmp.Or(b.info.Size, old.Size)
	b.info.Preview = cmp.Or(b.info.Preview, old.Preview)
	b.info.Workspace = cmp.Or(b.info.Workspace, old.Workspace)
	var err error
	b.info, err = b.info.stored()
	return err
}

// openStage makes the stage, or opens that of the build's name.
func (b *build) openStage(ctx context.Context) (err error) {
	parent := filepath.Dir(b.target)
	if b.old != nil {
		parent = b.target // so that a rename takes the rows into the dataset
	}
	if !b.named {
		b.stage, err = newStage(ctx, parent)
		return err
	}
	b.stage, err = lockNamedStage(parent, b.opts.Resume)
	return err
}

// lockNamedStage opens the stage of a build with a name, and makes it if it is not there.
func lockNamedStage(parent, build string) (*stage, error) {
	dir := parent
	for _, folder := range []string{privateFolder, "staging", build} {
		dir = filepath.Join(dir, folder)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, stagingError(err)
		}
	}
	name := filepath.Join(dir, "lock")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, stagingError(err)
	}
	if err = flock(f, true, false); err == nil && !sameFile(f, name) {
		err = errLocked // another one has just ended
	}
	if err != nil {
		f.Close()
		if err == errLocked {
			return nil, &kindError{ErrConflict, fmt.Sprintf("the build %q is running", build), nil}
		}
		return nil, stagingError(err)
	}
	return &stage{dir, f}, nil
}

// DiscardBuild gives up a build with a name that did not end well, see [BuildOptions.Resume]: it removes what the build
// had written. path and mode are those of the build. One that is not there is no error; one that is running is
// ErrConflict.
func DiscardBuild(path string, mode BuildMode, name string) error {
	op := "discard the build of " + path
	if err := checkFolderName(name); err != nil {
		return at(op, "", err)
	}
	target, err := filepath.Abs(path)
	if err != nil {
		return at(op, "", err)
	}
	parent := filepath.Dir(target)
	if mode == BuildAdd {
		parent = target
	}
	if !exists(parent, filepath.Join(privateFolder, "staging", name)) {
		return nil
	}
	s, err := lockNamedStage(parent, name)
	if err == nil {
		err = s.close()
	}
	if err != nil {
		return at(op, "", err)
	}
	return nil
}

// builtSoFar is the content of progressFile.
type builtSoFar struct {
	Target  string               `json:"target"`
	Mode    BuildMode            `json:"mode"`
	Schema  json.RawMessage      `json:"schema"`
	Batches int64                `json:"batches"`
	Item    string               `json:"item"` // the last one
	Tables  map[string]builtRows `json:"tables"`
	Sources []builtSource        `json:"sources"`
	Info    Info                 `json:"info"`
}

type builtRows struct {
	Version uint64 `json:"version"`
	Rows    int64  `json:"rows"`
	Commits int    `json:"commits"`
}

// takeUp goes on with the build of this name where its last checkpoint was.
func (b *build) takeUp(ctx context.Context) error {
	text, err := os.ReadFile(b.stage.path(progressFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return stagingError(err)
	}
	so := builtSoFar{}
	if err == nil {
		if err := json.Unmarshal(text, &so); err != nil {
			return &Error{Field: progressFile, Err: err}
		}
		var have, want bytes.Buffer
		same := json.Compact(&have, so.Schema) == nil && json.Compact(&want, b.schema.Encode()) == nil &&
			bytes.Equal(have.Bytes(), want.Bytes())
		switch {
		case so.Target != b.target || so.Mode != b.opts.Mode:
			begun := fmt.Sprintf("the build %q was begun with mode %s for %s", b.opts.Resume, so.Mode, so.Target)
			return &kindError{ErrConflict, begun, nil}
		case !same:
			return &kindError{ErrConflict, fmt.Sprintf("the build %q was begun with other tables", b.opts.Resume), nil}
		}
		if b.opts.Mode == BuildCreate {
			b.info.ID = so.Info.ID
		}
	}
	b.skip, b.lastItem, b.sources = so.Batches, so.Item, so.Sources
	for _, l := range b.order {
		done, ok := so.Tables[l.table]
		if !ok {
			// What a run wrote after its last checkpoint is gone, and so is what one wrote before its first.
			if err := os.RemoveAll(filepath.Join(b.dir, "db", l.table+".lance")); err != nil {
				return stagingError(err)
			}
			continue
		}
		if l.t, err = b.db.OpenTable(ctx, l.table, nil); err != nil {
			return &Error{Table: l.table, Err: err}
		}
		version, err := l.t.Version(ctx)
		if err == nil && version != done.Version {
			if err = l.t.Checkout(ctx, done.Version); err == nil {
				_, err = l.t.Restore(ctx)
			}
			done.Commits += 2 // there is something to clean up
		}
		if err != nil {
			return &Error{Table: l.table, Err: err}
		}
		l.rows, l.commits, l.version = done.Rows, done.Commits, done.Version
	}
	return nil
}

// checkpoint makes what was taken so far the point where the next run of the build goes on.
func (b *build) checkpoint() error {
	if err := b.flush(); err != nil {
		return b.stopped(err)
	}
	fault("flushed")
	so := builtSoFar{Target: b.target, Mode: b.opts.Mode, Schema: b.schema.Encode(), Batches: b.batches, Item: b.lastItem,
		Tables: map[string]builtRows{}, Info: b.info}
	for _, l := range b.order {
		if l.t == nil {
			continue
		}
		version, err := l.t.Version(b.ctx)
		if err == nil {
			_, err = l.t.Sync(b.ctx, 0)
		}
		if err != nil {
			return &Error{Table: l.table, Err: err}
		}
		so.Tables[l.table] = builtRows{version, l.rows, l.commits}
	}
	b.mu.Lock()
	so.Sources = slices.Clone(b.sources)
	b.mu.Unlock()
	text, err := json.Marshal(so)
	if err != nil {
		return err
	}
	if err := writeFile(b.stage.path(progressFile), text); err != nil {
		return stagingError(err)
	}
	b.taken, b.checkedAt = 0, b.now()
	fault("checkpoint")
	return nil
}
