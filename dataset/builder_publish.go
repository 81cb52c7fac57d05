package dataset

import (
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
	// What a run before of a build with a name wrote is of no use.
	if err := os.Remove(filepath.Join(b.dir, templatesFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, stagingError(err)
	}
	if err := addTemplates(b.target, b.dir, b.templates); err != nil {
		return nil, err
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

	Templates []features.KeyPointTemplate `json:"templates,omitempty"` // of key points
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
		m := addedRows{ID: features.NewShortUUID(), Boot: bootID(), Author: b.opts.Author, Info: b.info, Templates: b.templates}
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
	if err := addTemplates(s.path, s.path, m.Templates); err != nil {
		return err
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
