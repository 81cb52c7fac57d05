package dataset

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"pixano/features"
	"pixano/internal/lance"
	"pixano/schema"
)

// Batch is what a [Builder] generates at a time: by table a row, or a slice of rows. A row is a struct, a
// [schema.Dynamic] or a pointer to one, with exactly the table's columns; nil and empty slices are passed over. The
// table "source" may be among them.
//
// Rows are copied when the batch is taken; their lists, vectors and bytes are read later and must not change.
type Batch map[string]any

// Builder generates the rows of a dataset for [Build].
type Builder interface {
	// Generate yields batches of any size, in the order in which their rows are stored. The first error ends the build.
	Generate(ctx context.Context, b *BuildContext) iter.Seq2[Batch, error]
}

// BuilderFunc is a [Builder] that hands batches to a function, for code that cannot write iterators, such as notebooks.
// When yield gives an error, the build has ended; the function should return.
type BuilderFunc func(ctx context.Context, b *BuildContext, yield func(Batch) error) error

// Generate runs the function.
func (f BuilderFunc) Generate(ctx context.Context, b *BuildContext) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		var ended error
		err := f(ctx, b, func(batch Batch) error {
			if ended == nil && !yield(batch, nil) {
				ended = cmp.Or(context.Cause(ctx), errBuildEnded)
			}
			return ended
		})
		if err != nil && ended == nil {
			yield(nil, err)
		}
	}
}

var errBuildEnded = errors.New("the build has ended")

// BuildMode says what [Build] does with a dataset that is there.
type BuildMode string

const (
	BuildCreate    BuildMode = "create"    // it is an error, ErrExists; the default
	BuildOverwrite BuildMode = "overwrite" // it is replaced, if there is one
	BuildAdd       BuildMode = "add"       // rows are added to it; without one, ErrNotFound
)

// BuildOptions are the options of [Build]. Nil and the zero value are the defaults.
type BuildOptions struct {
	Mode BuildMode // "": BuildCreate

	// FlushRows and FlushBytes bound how many rows of a table, and about how many bytes, are gathered before they go to
	// the storage engine. A table has at most three times as much in memory. 0: 8,192 rows and 8 MiB.
	FlushRows  int
	FlushBytes int64

	// Checks are made over the new rows at the end, before they become visible; references may lead to any row of the
	// result. Mode CheckNone leaves them out.
	Checks Checks

	// Progress is called by the goroutine of Build, after the first batch, about ten times a second, and at the end. Nil:
	// never.
	Progress func(BuildProgress)

	// Resume names a build that goes on where it was interrupted. "": a build that does not end well leaves nothing. See
	// [Build]. The name is that of one folder.
	Resume string

	// CheckpointRows is how many rows, of all tables, a build with a name may lose. Every half minute is a checkpoint as
	// well. 0: 100,000.
	CheckpointRows int64

	// CompactAtEnd joins small files of the tables after BuildAdd, see [Dataset.Optimize]. New tables need none.
	CompactAtEnd bool

	// Author is noted in the history.
	Author string

	// Options are those of the dataset that is returned; StorageVersion is that of new tables.
	Options *Options
}

const (
	defaultFlushRows      = 8192
	defaultFlushBytes     = 8 << 20
	defaultCheckpointRows = 100_000
	checkpointInterval    = 30 * time.Second
	progressInterval      = 100 * time.Millisecond
	largeFile             = 50_000  // rows
	laneBuffer            = 1 << 20 // a table of so few bytes is written in one call
)

// BuildProgress is how far a build has come.
type BuildProgress struct {
	Step    string           // "generate", "check", "publish" or, at the end, "done"
	Batches int64            // taken, with those of earlier runs
	Rows    map[string]int64 // by table, with those of earlier runs; the receiver's own
}

// BuildContext is what a [Builder] gets to know of its build. It is safe for concurrent use.
type BuildContext struct {
	build *build
}

// NewID returns a new random id of 22 letters and digits.
func (c *BuildContext) NewID() string { return features.NewShortUUID() }

// Schema returns the schema of the dataset. Do not change it.
func (c *BuildContext) Schema() *schema.DatasetSchema { return c.build.schema }

// MediaDir returns the directory for media files that the build makes: [Options.MediaDir] or "media" in
// [BuildContext.TargetDir]. It need not exist.
func (c *BuildContext) MediaDir() string {
	if o := c.build.opts.Options; o != nil && o.MediaDir != "" {
		return o.MediaDir
	}
	return filepath.Join(c.TargetDir(), "media")
}

// TargetDir returns the directory for other files that the build makes, such as "previews/…". It becomes that of the
// dataset. With BuildAdd it is the dataset's own directory, where files stay if the build fails.
func (c *BuildContext) TargetDir() string {
	if c.build.old != nil {
		return c.build.target
	}
	return c.build.dir
}

// Skip returns how many batches an earlier run of the build stored, see [BuildOptions.Resume]. After this call the first
// batch that is yielded is the one after them. A builder that does not call it yields all of them again, and they are
// passed over.
func (c *BuildContext) Skip() int64 {
	c.build.mu.Lock()
	defer c.build.mu.Unlock()
	c.build.skips = true
	return c.build.skip
}

// AddSource adds a row to the table "source" and returns its id, a new random one for "".
//
// kind is "model", "human", "ground_truth" or "other". metadata is JSON text as a string, []byte or json.RawMessage, or a
// value to be written as JSON; nil is an empty object. A source that is there already, by its id or from an earlier run
// of the build, is not added again: its name and kind must be the same.
func (c *BuildContext) AddSource(name, kind string, metadata any, id string) (string, error) {
	id, err := c.build.addSource(name, kind, metadata, id)
	if err != nil {
		return "", placed("add source", schema.SourceTable, err)
	}
	return id, nil
}

// AddGroundTruthSource adds the source of what is held to be right, whose id it returns. See [BuildContext.AddSource].
func (c *BuildContext) AddGroundTruthSource(metadata any) (string, error) {
	return c.AddSource(schema.GroundTruthName, schema.SourceGroundTruth, metadata, schema.GroundTruthID)
}

// AddKeyPointTemplates adds templates of key points to those of the dataset, where one of the same ID stays as it is. They
// become visible with the rows. A template that is not valid is ErrSchema.
func (c *BuildContext) AddKeyPointTemplates(list []features.KeyPointTemplate) error {
	b := c.build
	b.mu.Lock()
	defer b.mu.Unlock()
	merged := mergeTemplates(b.templates, list)
	if err := checkTemplates(merged); err != nil {
		return &Error{Op: "add templates of key points", Field: templatesFile, Err: err}
	}
	b.templates = merged
	return nil
}

// Build makes a dataset, or adds to one, of the rows that a builder generates, and opens it.
//
// tables says which tables it has, as for [Create]; where there is a dataset, nil stands for the tables that it has, and
// BuildAdd wants no others. The parent directory must exist. Of info, empty fields are what the dataset has already, or
// as for [Create].
//
// Rows are validated as they come, and keep the times that they carry; without, they get the current one. The error of a
// row names its table, id and column, and the batch and row in it, counted from 1 and 0. Rows are written while the
// builder goes on, in bounded memory, one commit and as few files as can be for each table. The context that the builder
// gets ends when the build fails.
//
// The dataset, or the rows that are added, become visible at the end, safe from a power cut. A build that fails, whose
// context ends, or whose process dies, leaves what was there as it was, except for files in [BuildContext.MediaDir] and
// [BuildContext.TargetDir] of BuildAdd; what a dead process left in .pixano/staging is removed by a later build.
//
// BuildOverwrite replaces tables, schema, constraints and history; the id and all other files, such as media, stay. A
// dataset that is open has to be opened again. Where the system cannot exchange two directories in one step, there is a
// moment without a dataset, and the next build there puts back the old one if a crash hits it. Files are kept as hard
// links, so they are not to be written in place meanwhile.
//
// BuildAdd checks and adds the rows with the dataset's lock held. They are at first put into .pixano/builds as a whole,
// and then appended table by table, parents first; each append carries the name of the build, and who finds a build that
// was cut off there appends what is missing. Constraints stay.
//
// A build that has a name ([BuildOptions.Resume]) keeps what it has written at a checkpoint in .pixano/staging/NAME,
// beside the dataset or with BuildAdd in it, when it does not end well. The next build of that name goes on with the batch
// after it; path, mode and tables must be the same, and the builder has to generate the same batches, with ids that do
// not come from [BuildContext.NewID] where a later batch refers to them. To give it up, remove that directory.
func Build(ctx context.Context, path string, tables any, info Info, from Builder, opts *BuildOptions) (*Dataset, error) {
	b := &build{op: "build " + path, target: path, info: info, lanes: map[string]*lane{}, now: time.Now}
	if opts != nil {
		b.opts = *opts
	}
	ds, err := b.run(ctx, tables, from)
	if err != nil {
		return nil, b.error(err)
	}
	return ds, nil
}

// build is a run of Build.
type build struct {
	op     string
	target string // the dataset's directory, absolute
	opts   BuildOptions
	info   Info
	schema *schema.DatasetSchema
	old    *Dataset // that rows are added to, or nil
	now    func() time.Time

	stage *stage
	named bool
	dir   string // of the staged dataset
	db    *lance.Connection

	ctx    context.Context
	cancel context.CancelCauseFunc
	lanes  map[string]*lane
	order  []*lane // in the order of groups, sources first

	batches   int64 // taken
	lastItem  string
	taken     int64 // rows since the last checkpoint
	checkedAt time.Time
	shownAt   time.Time

	mu      sync.Mutex // guards what follows, and the lane of sources
	skip    int64
	skips   bool // the builder begins after them
	sources []builtSource

	templates []features.KeyPointTemplate // to be added
}

// builtSource is a source that the build has added.
type builtSource struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Kind string `json:"kind"`
	used bool   // in this run
}

// error puts the operation on an error that has none.
func (b *build) error(err error) error {
	if e, ok := err.(*Error); ok {
		if e.Op == "" || e.Op == b.op {
			e.Op = b.op
			return e
		}
	}
	return &Error{Op: b.op, Err: err}
}

func (b *build) run(ctx context.Context, tables any, from Builder) (ds *Dataset, err error) {
	if err := b.checkOptions(from); err != nil {
		return nil, err
	}
	b.ctx, b.cancel = context.WithCancelCause(ctx)
	defer func() {
		if e := b.close(ds); e != nil {
			err = errors.Join(err, e)
		}
	}()
	if err := b.prepare(ctx, tables); err != nil {
		return nil, err
	}
	if err := b.generate(from); err != nil {
		return nil, err
	}
	if err := b.finish(); err != nil {
		return nil, err
	}
	return b.publish(ctx)
}

func (b *build) checkOptions(from Builder) error {
	o := &b.opts
	v := reflect.ValueOf(from)
	if !v.IsValid() || (v.Kind() == reflect.Pointer || v.Kind() == reflect.Func) && v.IsNil() {
		return queryError(errors.New("the builder is nil"))
	}
	o.Mode = cmp.Or(o.Mode, BuildCreate)
	if !slices.Contains([]BuildMode{BuildCreate, BuildOverwrite, BuildAdd}, o.Mode) {
		return queryError(fmt.Errorf("mode %q: want create, overwrite or add", o.Mode))
	}
	for _, n := range []struct {
		name  string
		value int64
	}{{"FlushRows", int64(o.FlushRows)}, {"FlushBytes", o.FlushBytes}, {"CheckpointRows", o.CheckpointRows}} {
		if n.value < 0 {
			return queryError(fmt.Errorf("%s is %d: want more than 0, or 0 for the default", n.name, n.value))
		}
	}
	o.FlushRows = cmp.Or(o.FlushRows, defaultFlushRows)
	o.FlushBytes = cmp.Or(o.FlushBytes, defaultFlushBytes)
	o.CheckpointRows = cmp.Or(o.CheckpointRows, defaultCheckpointRows)
	if err := o.Checks.validate(); err != nil {
		return err
	}
	if o.Resume != "" {
		if err := checkFolderName(o.Resume); err != nil {
			return &Error{Field: "Resume", Err: err}
		}
		if strings.HasPrefix(o.Resume, stagePrefix) || strings.HasPrefix(o.Resume, swapPrefix) || o.Resume == "lock" {
			return &Error{Field: "Resume", Err: schemaError("the name %q is taken: want another one", o.Resume)}
		}
		b.named = true
	}
	if o.Options == nil {
		o.Options = &Options{}
	}
	if o.Options.ReadOnly {
		return ErrReadOnly
	}
	return o.Options.check()
}

// close ends what is running and removes the stage, but keeps that of a build with a name that did not end well.
func (b *build) close(done *Dataset) error {
	b.cancel(errBuildEnded)
	var errs []error
	for _, l := range b.order {
		l.wait()
		if l.t != nil {
			errs = append(errs, l.t.Close())
		}
	}
	if b.db != nil {
		errs = append(errs, b.db.Close())
	}
	if b.old != nil && done == nil {
		errs = append(errs, b.old.Close())
	}
	switch {
	case b.stage == nil:
	case done == nil && b.named && exists(b.stage.path(progressFile)):
		errs = append(errs, b.stage.lock.Close())
	default:
		errs = append(errs, b.stage.close())
	}
	if done != nil {
		return nil // the dataset is there; what is left of the stage, the next build removes
	}
	return errors.Join(errs...)
}

// addLanes makes the lanes of all tables.
func (b *build) addLanes(columns func(table string, class *schema.Class) (*arrow.Schema, error)) error {
	names := []string{schema.SourceTable}
	for _, group := range groups {
		if group != schema.GroupSource {
			names = append(names, b.schema.TablesOf(group)...)
		}
	}
	for _, name := range names {
		class, _ := b.schema.Class(name)
		c, err := columns(name, class)
		if err != nil {
			return &Error{Table: name, Err: err}
		}
		l := &lane{b: b, table: name, class: class, columns: c, known: map[reflect.Type]*rowShape{}}
		l.free = make(chan reflect.Value, 2)
		b.lanes[name] = l
		b.order = append(b.order, l)
	}
	return nil
}

// generate takes the batches of the builder.
func (b *build) generate(from Builder) error {
	b.checkedAt = b.now()
	again := b.skip
	b.batches = b.skip
	first := true
	for batch, err := range from.Generate(b.ctx, &BuildContext{b}) {
		if why := context.Cause(b.ctx); why != nil {
			return b.stopped(why)
		}
		if first {
			first = false
			b.mu.Lock()
			if b.skips {
				again = 0
			}
			b.mu.Unlock()
		}
		if err == nil && again > 0 {
			again--
			continue
		}
		if err != nil {
			if b.named {
				// What came before is good.
				err = errors.Join(err, b.checkpoint())
			}
			return b.stopped(err)
		}
		if err := b.accept(batch); err != nil {
			if why := context.Cause(b.ctx); why != nil {
				return b.stopped(why)
			}
			return err
		}
		b.batches++
		if b.named && (b.taken >= b.opts.CheckpointRows || b.now().Sub(b.checkedAt) >= checkpointInterval) {
			if err := b.checkpoint(); err != nil {
				return err
			}
		}
		b.show("generate")
	}
	if why := context.Cause(b.ctx); why != nil {
		return b.stopped(why)
	}
	if again > 0 && !b.skips {
		return schemaError("the builder ended %d batches before the point where the build %q had stopped", again, b.opts.Resume)
	}
	return nil
}

// stopped says in which batch a build was stopped.
func (b *build) stopped(why error) error {
	if e, ok := why.(*laneError); ok {
		return &Error{Table: e.table, Err: e.err}
	}
	where := fmt.Sprintf("batch %d", b.batches+1)
	if b.lastItem != "" {
		where += fmt.Sprintf(", after item %q", b.lastItem)
	}
	return fmt.Errorf("%s: %w", where, why)
}

// show reports the progress, if it is time.
func (b *build) show(step string) {
	if b.opts.Progress == nil {
		return
	}
	now := b.now()
	if step == "generate" && now.Sub(b.shownAt) < progressInterval {
		return
	}
	b.shownAt = now
	p := BuildProgress{Step: step, Batches: b.batches, Rows: map[string]int64{}}
	b.mu.Lock()
	for _, l := range b.order {
		if l.rows > 0 {
			p.Rows[l.table] = l.rows
		}
	}
	b.mu.Unlock()
	b.opts.Progress(p)
}

// accept takes the rows of a batch.
func (b *build) accept(batch Batch) error {
	for name := range batch {
		if b.lanes[name] == nil {
			unknown := slices.DeleteFunc(slices.Sorted(maps.Keys(batch)), func(name string) bool { return b.lanes[name] != nil })
			m := &meta{schema: b.schema, tables: declaredTables(b.schema)}
			return &Error{Table: unknown[0], Err: fmt.Errorf("batch %d: %w", b.batches+1, m.noTable())}
		}
	}
	for _, l := range b.order {
		rows, ok := batch[l.table]
		if !ok {
			continue
		}
		if l.table == schema.SourceTable {
			b.mu.Lock()
		}
		before := l.rows
		err := l.take(rows)
		b.taken += l.rows - before
		if l.table == schema.SourceTable {
			b.mu.Unlock()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// addSource adds a source unless it is there.
func (b *build) addSource(name, kind string, metadata any, id string) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	row := schema.Source{ID: id, Name: name, Kind: kind}
	switch m := metadata.(type) {
	case nil:
	case string:
		row.Metadata = m
	case []byte:
		row.Metadata = string(m)
	case json.RawMessage:
		row.Metadata = string(m)
	default:
		text, err := json.Marshal(m)
		if err != nil {
			return "", &Error{ID: id, Field: "metadata", Err: schemaError("%v", err)}
		}
		row.Metadata = string(text)
	}
	random := id == ""
	if random {
		row.ID = features.NewShortUUID()
	}
	if err := schema.Normalize(&row); err != nil {
		return "", rowError(schema.SourceTable, row.ID, err)
	}
	for i := range b.sources {
		s := &b.sources[i]
		same := s.Name == name && s.Kind == kind
		switch {
		case random && same && !s.used && b.skip > 0:
			// The run before gave it a random id, which rows refer to.
			s.used = true
			return s.ID, nil
		case !random && s.ID == id && !same:
			return "", otherSource(id, s.Name, s.Kind)
		case !random && s.ID == id:
			s.used = true
			return id, nil
		}
	}
	if b.old != nil && !random {
		there, err := b.oldSource(id)
		if err != nil {
			return "", err
		}
		if there != nil {
			if there.Name != name || there.Kind != kind {
				return "", otherSource(id, there.Name, there.Kind)
			}
			return id, nil
		}
	}
	if err := b.lanes[schema.SourceTable].take(&row); err != nil {
		return "", err
	}
	b.sources = append(b.sources, builtSource{row.ID, name, kind, true})
	return row.ID, nil
}

func otherSource(id, name, kind string) error {
	return &Error{ID: id, Err: &kindError{ErrExists, fmt.Sprintf("there is a source %q of kind %s with this id", name, kind), nil}}
}

func (b *build) oldSource(id string) (*schema.Source, error) {
	var rows []schema.Source
	if err := b.old.Get(b.ctx, schema.SourceTable, &rows, Query{IDs: []string{id}}); err != nil || len(rows) == 0 {
		return nil, err
	}
	return &rows[0], nil
}

// flush writes all rows that were taken, and makes the commits of the tables.
func (b *build) flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.order {
		if err := l.seal(); err != nil {
			return err
		}
		l.end()
	}
	for _, l := range b.order {
		l.wait()
	}
	return context.Cause(b.ctx)
}

// finish writes what is left, and the files of the dataset.
func (b *build) finish() error {
	if err := b.flush(); err != nil {
		return b.stopped(err)
	}
	if err := b.tidy(); err != nil {
		return err
	}
	for _, l := range b.order {
		if l.t != nil {
			continue
		}
		opts := &lance.CreateOptions{StorageVersion: b.opts.Options.StorageVersion}
		t, err := b.db.CreateTable(b.ctx, l.table, l.columns, nil, opts)
		if err != nil {
			return &Error{Table: l.table, Err: err}
		}
		l.t = t
	}
	return writeMeta(b.dir, b.schema, b.info)
}

// tidy joins the small files that a build with checkpoints may have, and removes those of no version. Large ones are left
// alone: to join them takes twice the memory of the build. Between both is a checkpoint, since the versions of the last one
// go, and the process may yet die before the dataset is published.
func (b *build) tidy() error {
	var untidy []*lane
	for _, l := range b.order {
		if l.t == nil || l.commits < 2 {
			continue
		}
		untidy = append(untidy, l)
		if l.rows < int64(l.commits)*largeFile {
			if _, err := l.t.Optimize(b.ctx, lance.OptimizeOptions{Compact: &lance.Compact{}}, nil); err != nil {
				return &Error{Table: l.table, Err: err}
			}
		}
	}
	if len(untidy) == 0 {
		return nil
	}
	if err := b.checkpoint(); err != nil {
		return err
	}
	for _, l := range untidy {
		o := lance.OptimizeOptions{Prune: &lance.Prune{KeepVersions: new(1), DeleteUnverified: true}}
		if _, err := l.t.Optimize(b.ctx, o, nil); err != nil {
			return &Error{Table: l.table, Err: err}
		}
	}
	return nil
}
