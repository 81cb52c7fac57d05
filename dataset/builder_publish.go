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
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"pixano/features"
	"pixano/internal/lance"
	"pixano/schema"
)

const (
	// progressFile says in the stage of a build with a name how far it has come.
	progressFile = "progress.json"

	// swapPrefix begins the names of datasets that are being replaced where that takes two steps.
	swapPrefix = "swap-"

	// buildsFolder holds rows that are to be appended to the tables of the dataset that it lies in. Each folder there is
	// one build: a manifest and a database. It appears as a whole, after which the rows belong to the dataset.
	buildsFolder  = ".pixano/builds"
	buildManifest = "build.json"

	// buildProperty is the property of a commit's transaction that names the build whose rows it appended.
	buildProperty = "pixano.build"
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

// violationsShown bounds the violations that an error of a build lists.
const violationsShown = 10_000

// check makes the integrity checks of the staged rows.
func (b *build) check(ctx context.Context) error {
	if b.opts.Checks.Mode == CheckNone {
		return nil
	}
	b.show("check")
	staged, err := Open(ctx, b.dir, &Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer staged.Close()
	staged = staged.WithChecks(b.opts.Checks)
	tables := append([]string{schema.SourceTable}, b.schema.Tables()...)
	var found []Violation
	add := func(v Violation, err error) error {
		if err != nil {
			return err
		}
		if found = append(found, v); len(found) == violationsShown {
			return errBuildEnded
		}
		return nil
	}
	if b.old == nil {
		for v, e := range staged.check(ctx, tables, nil) {
			if err = add(v, e); err != nil {
				break
			}
		}
	} else {
		err = b.checkAdded(ctx, staged, tables, add)
	}
	if err != nil && err != errBuildEnded {
		return err
	}
	if len(found) == 0 {
		return nil
	}
	err = &IntegrityError{found}
	if b.opts.Checks.Mode != CheckWarn {
		return err
	}
	b.opts.Checks.warn(err)
	return nil
}

// checkAdded makes the checks of rows that are added to a dataset as if they were there: with the ids of both. An id that
// is in both is told by its 64-bit hash alone.
func (b *build) checkAdded(ctx context.Context, staged *Dataset, tables []string, add func(Violation, error) error) error {
	c, err := staged.newChecker(ctx, nil)
	if err != nil {
		return err
	}
	before, err := b.old.newChecker(ctx, c.hash)
	if err != nil {
		return err
	}
	for _, table := range tables {
		old, err := before.hashes(ctx, table)
		if err != nil {
			return err
		}
		fresh, err := c.hashes(ctx, table)
		if err != nil {
			return err
		}
		c.ids[table] = slices.Concat(old, fresh)
		slices.Sort(c.ids[table])
	}
	for _, table := range tables {
		if b.lanes[table].rows == 0 {
			continue
		}
		var failed error
		_, err := c.table(ctx, table, func(v Violation, err error) bool {
			failed = add(v, err)
			return failed == nil
		})
		if failed != nil {
			return failed
		}
		if err != nil {
			return placed("check", table, err)
		}
	}
	return nil
}

// publish makes the staged dataset or rows visible, and opens the dataset.
func (b *build) publish(ctx context.Context) (*Dataset, error) {
	if b.old != nil {
		return b.publishRows(ctx)
	}
	if err := b.check(ctx); err != nil {
		return nil, err
	}
	b.show("publish")
	if err := b.logBuilt(); err != nil {
		return nil, &Error{Field: logFolder, Err: fileError(err)}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	fault("built")
	if b.opts.Mode == BuildOverwrite && exists(b.target, "info.json") {
		if err := b.replace(ctx); err != nil {
			return nil, err
		}
	} else if err := b.stage.publish("dataset", b.target); err != nil {
		return nil, fileError(err)
	}
	fault("published")
	ds, err := Open(context.WithoutCancel(ctx), b.target, b.opts.Options)
	if err != nil {
		return nil, err
	}
	b.show("done")
	return ds, nil
}

// logBuilt begins the history of a new dataset with a line for each table that has rows.
func (b *build) logBuilt() error {
	// A run before that died just here may have begun one.
	if err := os.RemoveAll(filepath.Join(b.dir, filepath.FromSlash(logFolder))); err != nil {
		return err
	}
	l, err := openLog(b.dir)
	if err != nil {
		return err
	}
	for _, lane := range b.order {
		if lane.rows == 0 {
			continue
		}
		e := &entry{Time: time.Now().UTC(), Bulk: &bulkLoad{b.opts.Author, "", lane.table, lane.rows, lane.version}}
		if err = l.append(e, e.Time); err != nil {
			break
		}
	}
	if err == nil && l.last > 0 {
		err = l.setState(l.last, l.last)
	}
	return errors.Join(err, l.close())
}

// exchange is exchangeDirs; tests do without.
var exchange = exchangeDirs

// replace puts the staged dataset in the place of the one that is there, which goes to the stage.
func (b *build) replace(ctx context.Context) error {
	unlock, err := lockDataset(ctx, b.target)
	if err != nil {
		return err
	}
	defer unlock()
	if err := b.keepFiles(ctx); err != nil {
		return fileError(err)
	}
	if err := syncTree(b.dir); err != nil {
		return err
	}
	if can, err := exchange(b.dir, b.target); can {
		if err != nil {
			return err
		}
		return errors.Join(syncDir(filepath.Dir(b.target)), syncDir(b.stage.dir))
	}
	unlock() // not every system renames a folder in which a file is open
	return b.replaceInSteps(ctx)
}

// keepFiles takes files that the build did not make, such as media, over from the dataset that is there.
func (b *build) keepFiles(ctx context.Context) error {
	entries, err := os.ReadDir(b.target)
	if err != nil {
		return err
	}
	replaced := []string{"db", "info.json", "schema.json", constraintsFile, privateFolder}
	for _, e := range entries {
		if slices.Contains(replaced, e.Name()) {
			continue
		}
		if err := linkTree(ctx, filepath.Join(b.target, e.Name()), filepath.Join(b.dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// linkTree makes a tree of hard links to the files of another one. What is there already stays.
func linkTree(ctx context.Context, from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err := cmp.Or(err, ctx.Err()); err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		if there, err := os.Lstat(target); err == nil {
			if entry.IsDir() && !there.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		switch {
		case entry.IsDir():
			return os.MkdirAll(target, 0o755)
		case entry.Type() == fs.ModeSymlink:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(link, target)
		case !entry.Type().IsRegular():
			return nil
		}
		if os.Link(path, target) == nil {
			return nil
		}
		return copyFile(ctx, path, target) // on a file system without links
	})
}

// swapLock serializes replacements in two steps, and what puts them right, in a folder of datasets.
func swapLock(ctx context.Context, root string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(root, "swap.lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, stagingError(err)
	}
	if err := lockWait(ctx, f, true); err != nil {
		return nil, err
	}
	return func() { f.Close() }, nil
}

// replaceInSteps replaces a dataset where two directories cannot be exchanged at once.
func (b *build) replaceInSteps(ctx context.Context) error {
	root := filepath.Dir(b.stage.dir)
	unlock, err := swapLock(ctx, root)
	if err != nil {
		return err
	}
	defer unlock()
	aside := filepath.Join(root, swapPrefix+filepath.Base(b.target))
	if err := renameDir(b.target, aside); err != nil {
		return err
	}
	fault("set aside")
	if err := renameDir(b.dir, b.target); err != nil {
		return errors.Join(err, renameDir(aside, b.target))
	}
	if err := syncDir(filepath.Dir(b.target)); err != nil {
		return err
	}
	return os.RemoveAll(aside)
}

// restoreSwapped puts a dataset back that a crash left set aside.
func restoreSwapped(ctx context.Context, target string) error {
	root := filepath.Join(filepath.Dir(target), privateFolder, "staging")
	aside := filepath.Join(root, swapPrefix+filepath.Base(target))
	if !exists(aside) {
		return nil
	}
	unlock, err := swapLock(ctx, root)
	if err != nil {
		return err
	}
	defer unlock()
	if !exists(aside) {
		return nil
	}
	if exists(target, "info.json") {
		return os.RemoveAll(aside)
	}
	if err := renameDir(aside, target); err != nil {
		return err
	}
	return syncDir(filepath.Dir(target))
}

// addedRows is the manifest of rows that belong to a dataset and may not be in its tables yet.
type addedRows struct {
	ID     string       `json:"id"`
	Boot   string       `json:"boot"` // which run of the machine wrote it
	Author string       `json:"author,omitempty"`
	Info   Info         `json:"info"`   // of the dataset from then on
	Tables []addedTable `json:"tables"` // parents first
}

type addedTable struct {
	Table   string `json:"table"`
	Rows    int64  `json:"rows"`
	Version uint64 `json:"version"` // of the table before
}

// publishRows adds the staged rows to the dataset.
func (b *build) publishRows(ctx context.Context) (*Dataset, error) {
	s := b.old.state
	added := false
	err := s.locked(ctx, func() error {
		if err := s.finishBuildsLocked(ctx); err != nil {
			return err
		}
		if err := b.check(ctx); err != nil {
			return err
		}
		b.show("publish")
		m := addedRows{ID: features.NewShortUUID(), Boot: bootID(), Author: b.opts.Author, Info: b.info}
		for _, l := range b.order {
			if l.rows == 0 {
				continue
			}
			t, err := s.writeTable(ctx, l.table)
			if err != nil {
				return err
			}
			version, err := t.CheckoutLatest(ctx)
			if err != nil {
				return &Error{Table: l.table, Err: err}
			}
			// Columns may have changed since the build began.
			now, _ := s.meta.Load().schema.Class(l.table)
			if made, _ := b.schema.Class(l.table); made != nil && now != nil {
				if err := sameColumns(made, now); err != nil {
					return &Error{Table: l.table, Err: err}
				}
			}
			m.Tables = append(m.Tables, addedTable{l.table, l.rows, version})
		}
		text, err := json.Marshal(m)
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(b.dir, buildManifest), text); err != nil {
			return stagingError(err)
		}
		if err := syncTree(b.dir); err != nil {
			return err
		}
		fault("built")
		if err := ctx.Err(); err != nil {
			return err
		}
		folder := filepath.Join(b.target, filepath.FromSlash(buildsFolder))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return fileError(err)
		}
		if err := os.Rename(b.dir, filepath.Join(folder, m.ID)); err != nil {
			return fileError(err)
		}
		added = true
		if err := errors.Join(syncDir(folder), syncDir(filepath.Dir(folder))); err != nil {
			return err
		}
		fault("rows published")
		return s.finishBuildsLocked(context.WithoutCancel(ctx))
	})
	if err != nil {
		if added {
			// The stage has nothing left to be resumed.
			os.Remove(b.stage.path(progressFile))
			err = fmt.Errorf("the rows belong to the dataset and will be appended to its tables when it is changed next: %w", err)
		}
		return nil, err
	}
	if b.opts.CompactAtEnd {
		if _, err := b.old.Optimize(ctx); err != nil {
			return nil, fmt.Errorf("the rows are added, but small files were not joined: %w", err)
		}
	}
	b.show("done")
	return b.old, nil
}

// finishBuilds appends the rows of builds that were cut off while they did.
func (d *Dataset) finishBuilds(ctx context.Context) error {
	if !d.unfinishedBuilds() {
		return nil
	}
	return d.locked(ctx, func() error { return d.finishBuildsLocked(ctx) })
}

// unfinishedBuilds reports whether there may be rows that are not in the tables yet.
func (s *state) unfinishedBuilds() bool { return exists(s.path, filepath.FromSlash(buildsFolder)) }

// finishBuildsLocked is finishBuilds with the dataset's lock held and all of the log applied.
func (s *state) finishBuildsLocked(ctx context.Context) error {
	folder := filepath.Join(s.path, filepath.FromSlash(buildsFolder))
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &Error{Field: buildsFolder, Err: fileError(err)}
	}
	for _, e := range entries {
		dir := filepath.Join(folder, e.Name())
		text, err := os.ReadFile(filepath.Join(dir, buildManifest))
		if err == nil {
			var m addedRows
			if err := json.Unmarshal(text, &m); err != nil {
				return &Error{Field: buildsFolder + "/" + e.Name(), Err: err}
			}
			if err := s.finishBuild(ctx, dir, &m); err != nil {
				return err
			}
			// Without it, the rest is of no use.
			if err := os.Remove(filepath.Join(dir, buildManifest)); err != nil {
				return &Error{Field: buildsFolder + "/" + e.Name(), Err: fileError(err)}
			}
			err = syncDir(dir)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &Error{Field: buildsFolder + "/" + e.Name(), Err: fileError(err)}
		}
		fault("finished")
		if err := os.RemoveAll(dir); err != nil {
			return &Error{Field: buildsFolder + "/" + e.Name(), Err: fileError(err)}
		}
	}
	return fileError(os.Remove(folder))
}

// finishBuild appends the rows of a build to the tables that do not have them.
func (s *state) finishBuild(ctx context.Context, dir string, m *addedRows) error {
	db, err := lance.Connect(ctx, filepath.Join(dir, "db"), nil)
	if err != nil {
		return err
	}
	defer db.Close()
	var touched []string
	for _, a := range m.Tables {
		if _, ok := s.meta.Load().schema.Class(a.Table); ok { // else it was dropped since
			touched = append(touched, a.Table)
		}
	}
	s.begin()
	defer func() { s.end(ctx, touched) }()
	log := s.write.log
	for _, a := range m.Tables {
		if !slices.Contains(touched, a.Table) {
			continue
		}
		fail := func(err error) error { return at("complete build "+m.ID, a.Table, err) }
		if m.Boot != bootID() {
			if err := s.dropTorn(ctx, a.Table); err != nil {
				return fail(err)
			}
		}
		t, err := s.writeTable(ctx, a.Table)
		if err != nil {
			return err
		}
		if _, err := t.CheckoutLatest(ctx); err != nil {
			return fail(err)
		}
		version, err := builtVersion(ctx, t, m.ID, a.Version)
		if err == nil && version == 0 {
			version, err = s.appendFrom(ctx, db, t, m.ID)
			fault("appended " + a.Table)
		}
		if err == nil {
			_, err = t.Sync(ctx, 0)
		}
		if err != nil {
			return fail(err)
		}
		key := strings.Join([]string{"build", m.ID, a.Table}, "/")
		if _, noted := log.keys[key]; noted {
			continue
		}
		e := &entry{Time: time.Now().UTC(), Bulk: &bulkLoad{m.Author, key, a.Table, a.Rows, version}}
		if err := log.append(e, e.Time); err != nil {
			return fail(err)
		}
		if err := log.setState(e.Number, log.state.Synced); err != nil {
			return fail(err)
		}
		s.write.since++
	}
	info, _, err := readInfo(s.path)
	if err != nil || info == m.Info {
		return err
	}
	if err := replaceInfo(s.path, m.Info); err != nil {
		return &Error{Field: "info.json", Err: err}
	}
	declared := *s.meta.Load()
	declared.info = m.Info
	s.meta.Store(&declared)
	return nil
}

// builtVersion returns the version of a table that has the rows of a build, or 0. Before is a version from before it.
func builtVersion(ctx context.Context, t *lance.Table, id string, before uint64) (uint64, error) {
	for count := 16; ; count *= 8 {
		found, err := t.Transactions(ctx, 0, count)
		if err != nil {
			return 0, err
		}
		for _, tx := range found {
			if tx.Version <= before {
				return 0, nil
			}
			if tx.Properties[buildProperty] == id {
				return tx.Version, nil
			}
		}
		if len(found) < count {
			return 0, nil
		}
	}
}

// appendFrom appends all rows of the table of the same name in another database.
func (s *state) appendFrom(ctx context.Context, db *lance.Connection, t *lance.Table, id string) (uint64, error) {
	from, err := db.OpenTable(ctx, t.Name(), nil)
	if err != nil {
		return 0, err
	}
	defer from.Close()
	rows, err := from.Query(ctx, lance.Query{})
	if err != nil {
		return 0, err
	}
	data := rows.Records(ctx)
	defer data.Release()
	properties := s.property(s.write.log.last, stepDelete)
	properties[buildProperty] = id
	res, err := t.Append(ctx, data, &lance.WriteOptions{Properties: properties, BufferBytes: laneBuffer})
	return res.Version, err
}
