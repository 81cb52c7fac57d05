package dataset

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"pixano/internal/lance"
	"pixano/schema"
)

// Options are the options of [Open] and [OpenTables]. Nil and the zero value are the defaults.
type Options struct {
	// MediaDir is the directory that relative media urls start from. "": the dataset's own directory "media".
	MediaDir string

	// MediaRoots are further directories of media by name: a media url "NAME/…" names a file in the directory of that
	// name, rather than in a folder NAME of MediaDir. Names are those of one folder.
	MediaRoots map[string]string

	// StorageVersion is the Lance storage version of tables that are created: "2.0", "2.1" or "2.2". "": 2.0, the newest
	// that every release of the reference implementation reads and writes. A table keeps the version that it has.
	StorageVersion string

	// IndexCacheBytes bounds the memory for the indexes that searches use. One of vectors that does not fit is read anew by
	// each search, which takes seconds: about the size of its files is needed. 0: 4 GiB.
	IndexCacheBytes int64

	// ReadOnly refuses every change with ErrReadOnly, and leaves changes that a crashed process began unfinished.
	ReadOnly bool

	// Snapshot opens the dataset as it was at the snapshot of this name, for reading only. "": the present.
	Snapshot string

	// Maintenance says how the dataset is looked after while it is open for writing.
	Maintenance Maintenance
}

// Dataset is an open dataset. It is safe for concurrent use.
//
// Handles derived from one, such as that of [Dataset.WithChecks], share everything with it; closing one closes all.
type Dataset struct {
	*state
	checks Checks
	limits Limits
}

// state is what all handles of one open dataset share.
type state struct {
	path     string
	files    string  // the directory of the JSON files: path, or that of a snapshot
	opts     Options // as given
	media    string
	layout   Layout
	readOnly bool
	db       *lance.Connection
	now      func() time.Time // the local wall clock; tests set it

	// view is held for reading while reads take hold of versions, so that they see all of a change or none of it; a
	// change of this process holds it for writing only to say that it begins and that it ended.
	view     sync.RWMutex
	applying bool // tables are between two states: handles stay at the versions that they see

	mu      sync.Mutex // guards what follows
	open    map[string]*lance.Table
	indexes map[place]*rowIndex // by table and column
	closed  bool

	cache   rowCache
	ring    ring
	vectors vectorCache

	snapshot *Snapshot // that is read instead of the present; nil: none

	meta  atomic.Pointer[meta]
	known atomic.Pointer[fs.FileInfo] // schema.json as meta has it

	renewed sync.Map // by table: a *lance.Connection that knows nothing of files that were repaired since db was made
	write   writer

	upkeep  upkeep
	holders atomic.Uint64 // counts how often the dataset's lock was taken and given back
}

// meta is what the JSON files say. It is replaced, not changed.
type meta struct {
	info   Info
	schema *schema.DatasetSchema // nil in the record layout
	tables []TableInfo

	constraints constraints
}

// Open opens the dataset in a directory.
//
// A directory that is missing, or is no dataset, is ErrNotFound; info.json or schema.json that cannot be understood
// are ErrSchema; a dataset of another layout is ErrUnsupported, see [OpenTables]. Tables are opened when they are
// first used, so that one broken table does not hide the others.
func Open(ctx context.Context, path string, opts *Options) (*Dataset, error) {
	return open(ctx, path, opts, false)
}

// OpenTables opens a dataset of any layout for reading its tables only. Without a schema.json the tables are those
// found in the database, without group and class.
func OpenTables(ctx context.Context, path string, opts *Options) (*Dataset, error) {
	return open(ctx, path, opts, true)
}

// What the engine keeps of the tables of an open dataset, by its own count, which is about a third of what it takes: without a
// bound, each version that is written adds its list of files until there are hundreds of megabytes.
const (
	metadataCache    = 12 << 20
	metadataReadOnly = 48 << 20
)

func open(ctx context.Context, path string, opts *Options, anyLayout bool) (*Dataset, error) {
	if opts == nil {
		opts = &Options{}
	}
	op := "open " + path
	files := path // where the JSON files are
	var snap *Snapshot
	if opts.Snapshot != "" {
		var err error
		if snap, err = readSnapshot(path, opts.Snapshot); err != nil {
			return nil, at(op, "", err)
		}
		files = snapshotDir(path, opts.Snapshot)
	}
	info, layout, err := readInfo(files)
	if err != nil {
		return nil, at(op, "", err)
	}
	if err := opts.check(); err != nil {
		return nil, at(op, "", err)
	}
	s := &state{
		path: path, files: files, snapshot: snap, opts: *opts, media: cmp.Or(opts.MediaDir, filepath.Join(path, "media")), layout: layout,
		readOnly: opts.ReadOnly || layout != ItemLayout || snap != nil, now: schema.Now, open: map[string]*lance.Table{},
	}
	m := &meta{info: info}
	if layout == ItemLayout {
		s.known.Store(schemaFile(files))
		if m.schema, err = readSchema(files); err != nil {
			return nil, at(op, "", err)
		}
		m.tables = declaredTables(m.schema)
		if m.constraints, err = readConstraints(files); err != nil {
			return nil, at(op, "", err)
		}
	} else if !anyLayout {
		return nil, at(op, "", &kindError{ErrUnsupported,
			"the dataset has the record layout of Pixano 0.7 and 0.8: want the item layout of Pixano 0.6, with a schema.json", nil})
	}
	if s.db, err = s.connect(ctx); err != nil {
		return nil, at(op, "", err)
	}
	d := &Dataset{state: s}
	if layout == RecordLayout {
		names, err := s.db.TableNames(ctx)
		if err != nil {
			d.Close()
			return nil, at(op, "", err)
		}
		for _, name := range names {
			m.tables = append(m.tables, TableInfo{Name: name})
		}
	}
	s.meta.Store(m)
	if s.readOnly {
		if err := s.foreseeColumns(ctx); err != nil {
			d.Close()
			return nil, at(op, "", err)
		}
	}
	if !s.readOnly && (s.unfinished() || s.unfinishedBuilds() || s.unfinishedColumns()) {
		// Where nothing can be written, what is half done stays so, and is no reason not to read.
		err := s.locked(ctx, func() error { return nil })
		if err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EROFS) {
			d.Close()
			return nil, at(op, "", err)
		}
	}
	return d, nil
}

func (s *state) connect(ctx context.Context) (*lance.Connection, error) {
	metadata := int64(metadataCache)
	if s.readOnly {
		metadata = metadataReadOnly
	}
	return lance.Connect(ctx, filepath.Join(s.path, "db"), &lance.ConnectOptions{
		MetadataCacheBytes: metadata, IndexCacheBytes: cmp.Or(s.opts.IndexCacheBytes, 4<<30),
	})
}

// Close closes the dataset. Streams that have begun go on; later calls give ErrClosed. It may be repeated.
func (d *Dataset) Close() error {
	d.upkeep.close()
	err := d.write.close(d.state)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	errs := []error{err}
	for _, t := range d.open {
		errs = append(errs, t.Close())
	}
	clear(d.open)
	d.renewed.Range(func(_, c any) bool {
		errs = append(errs, c.(*lance.Connection).Close())
		return true
	})
	return errors.Join(append(errs, d.ring.close(), d.db.Close())...)
}

// Path returns the directory given to [Open].
func (d *Dataset) Path() string { return d.path }

// MediaDir returns the directory that relative media urls start from. It need not exist.
func (d *Dataset) MediaDir() string { return d.media }

// Info returns the content of info.json.
func (d *Dataset) Info() Info { return d.meta.Load().info }

// Layout returns how the dataset arranges its tables.
func (d *Dataset) Layout() Layout { return d.layout }

// Schema returns the content of schema.json, or nil in the record layout. Do not change it.
func (d *Dataset) Schema() *schema.DatasetSchema { return d.meta.Load().schema }

// Tables returns the declared tables: by group, and in a group as declared. Whether each can be read shows when it
// is.
func (d *Dataset) Tables() []TableInfo { return slices.Clone(d.meta.Load().tables) }

// ItemTable returns the name of the table whose rows the others belong to: "item", or "records".
func (d *Dataset) ItemTable() string {
	if d.layout == RecordLayout {
		return "records"
	}
	return schema.ItemTable
}

// Columns returns the columns of a table with their Arrow types. An embedding table's schema metadata may name the
// function that computes its vectors.
func (d *Dataset) Columns(ctx context.Context, table string) (*arrow.Schema, error) {
	var columns *arrow.Schema
	err := d.read(ctx, "columns of", func(v *view) (err error) {
		columns, err = v.columns(ctx, table)
		return err
	})
	return columns, err
}

// Version returns the version of a table that reads see now. It grows with each commit.
func (d *Dataset) Version(ctx context.Context, table string) (uint64, error) {
	var version uint64
	err := d.read(ctx, "version of", func(v *view) error {
		t, err := v.table(ctx, table)
		if err == nil {
			version, err = t.Version(ctx)
			err = wrap(v.op, table, err)
		}
		return err
	})
	return version, err
}

// class returns the class of a declared table.
func (d *Dataset) class(op, table string) (*schema.Class, error) {
	d.follow()
	m := d.meta.Load()
	if m.schema != nil {
		if class, ok := m.schema.Class(table); ok {
			return class, nil
		}
	}
	return nil, at(op, table, m.noTable())
}

func (m *meta) noTable() error {
	names := make([]string, len(m.tables))
	for i, t := range m.tables {
		names[i] = t.Name
	}
	return &kindError{ErrNotFound, "no such table: want one of " + strings.Join(names, ", "), nil}
}

// view is what one read sees of the dataset: of every table one version, with all of each change of this process or
// none of it.
type view struct {
	d     *Dataset
	op    string
	fresh map[string]*lance.Table
}

// read runs a function that takes hold of what it reads: it starts queries on tables of the view, which may be read to
// their end after it has returned. It must not wait for anything else.
func (d *Dataset) read(ctx context.Context, op string, take func(v *view) error) error {
	d.follow()
	d.view.RLock()
	defer d.view.RUnlock()
	return take(&view{d, op, map[string]*lance.Table{}})
}

// table returns the handle of a declared table, at the version to read.
func (v *view) table(ctx context.Context, name string) (*lance.Table, error) {
	if t, ok := v.fresh[name]; ok {
		return t, nil
	}
	t, isNew, err := v.d.handle(ctx, v.op, name)
	if err != nil {
		return nil, err
	}
	if !isNew && !v.d.applying && v.d.snapshot == nil {
		if _, err := t.CheckoutLatest(ctx); err != nil {
			return nil, at(v.op, name, err)
		}
	}
	v.fresh[name] = t
	return t, nil
}

// columns returns the Arrow schema of a table.
func (v *view) columns(ctx context.Context, table string) (*arrow.Schema, error) {
	t, err := v.table(ctx, table)
	if err != nil {
		return nil, err
	}
	columns, err := t.Schema(ctx)
	if err != nil {
		return nil, at(v.op, table, err)
	}
	return columns, nil
}

// handle returns the handle for reads of a declared table, and whether it was opened just now.
func (s *state) handle(ctx context.Context, op, name string) (*lance.Table, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, false, at(op, name, ErrClosed)
	}
	if t, ok := s.open[name]; ok {
		return t, false, nil
	}
	t, err := s.openTable(ctx, op, name)
	if err != nil {
		return nil, false, err
	}
	s.open[name] = t
	return t, true, nil
}

// openTable opens a declared table at its newest version.
func (s *state) openTable(ctx context.Context, op, name string) (*lance.Table, error) {
	m := s.meta.Load()
	folder := filepath.Join("db", name+".lance")
	if !slices.ContainsFunc(m.tables, func(t TableInfo) bool { return t.Name == name }) {
		// Where nothing declares the tables, those without a readable version are missing from the list.
		if m.schema == nil && exists(s.path, folder) {
			return nil, at(op, name, &kindError{ErrCorrupt, folder + " holds no readable version of the table", nil})
		}
		return nil, at(op, name, m.noTable())
	}
	var version *lance.OpenOptions
	if s.snapshot != nil {
		of, ok := s.snapshot.Tables[name]
		if !ok {
			return nil, at(op, name, &kindError{ErrNotFound, fmt.Sprintf("the snapshot %q has no such table", s.snapshot.Name), fs.ErrNotExist})
		}
		version = &lance.OpenOptions{Version: of.Version}
	}
	db := s.db
	if c, ok := s.renewed.Load(name); ok {
		db = c.(*lance.Connection)
	}
	t, err := db.OpenTable(ctx, name, version)
	if errors.Is(err, ErrNotFound) {
		if exists(s.path, folder) {
			return nil, at(op, name, &kindError{ErrCorrupt, folder + " holds no readable version of the table", err})
		}
		return nil, at(op, name, &kindError{ErrNotFound, "the dataset declares the table but has no " + folder, fs.ErrNotExist})
	}
	if err != nil {
		return nil, at(op, name, err)
	}
	return t, nil
}

// refresh brings the handles for reads to the newest versions, all at once, after a change of this process.
func (s *state) refresh(ctx context.Context, tables []string) error {
	s.view.Lock()
	defer s.view.Unlock()
	s.applying = false
	s.mu.Lock()
	open := maps.Clone(s.open)
	s.mu.Unlock()
	var errs []error
	for _, name := range tables {
		if t, ok := open[name]; ok {
			_, err := t.CheckoutLatest(ctx)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
