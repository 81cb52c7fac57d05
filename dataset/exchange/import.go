package exchange

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"pixano/dataset"
	"pixano/features"
	"pixano/schema"
)

// ImportOptions say what to import, and how.
type ImportOptions struct {
	Format Format
	Source string // a file or directory

	// Dataset is the directory of the dataset that is made, or added to. Its parent, the library, must exist.
	Dataset string

	// MediaDir is the media directory, which urls of media are relative to. It must exist.
	MediaDir string

	// MediaRoots are further directories of media by name, as in [dataset.Options].
	MediaRoots map[string]string

	// Folder is the folder of MediaDir that media are copied or linked to. "": the base name of Dataset.
	Folder string

	// Media says what to do with media files. "": MediaCopy.
	Media MediaMode

	// Images is the directory that names of media files are relative to, if that is not the source.
	Images string

	Mode dataset.BuildMode // "": create
	Info dataset.Info      // its fields, where not empty, win over what the source says

	// Type is one of the kinds of dataset that the format knows: "image", "video", "vqa". "": as the source looks.
	Type string

	// Schema says which tables to make, in the place of the format's own. With mode add, rows go to the tables that are
	// there, which have to be as it says.
	Schema *schema.DatasetSchema

	// StableIDs makes the same ids from the same source and dataset name each time, in the place of random ones.
	StableIDs bool

	// NamesAsIDs gives items and views the names of their files as ids.
	NamesAsIDs bool

	// SkipMissing leaves items out, with a warning, whose media are missing or cannot be read. Otherwise they are errors.
	SkipMissing bool

	// Resume goes on with an import of the same source that was interrupted, if there is one. Otherwise what it had done is
	// removed.
	Resume bool

	FPS    float64           // of videos that are folders of frames. 0: 25
	Params map[string]string // settings of the format, see Format.Options

	// StorageVersion is that of new tables, see [dataset.Options].
	StorageVersion string
	Author         string // noted in the history

	// Progress is called about ten times a second, and at the end. Nil: never.
	Progress func(Progress)
}

// Input is what a format gets to know of an import, and what it tells: warnings, losses, and media files that it names.
// It is safe for concurrent use.
type Input struct {
	notes
	opts   *ImportOptions
	source string // absolute
	file   string // base name of the source, if that is a file
	root   *os.Root
	images *os.Root // that names of media are relative to
	target *schema.DatasetSchema
	seed   []byte
	media  *mediaTaker
	probed *prober
}

// Source returns the absolute path of the source.
func (in *Input) Source() string { return in.source }

// File returns the name of the source within Root if it is a file, and "" if it is a directory.
func (in *Input) File() string { return in.file }

// Root returns the directory of the source. Nothing outside of it can be read through it.
func (in *Input) Root() *os.Root { return in.root }

// Options returns the options of the import. Do not change them.
func (in *Input) Options() *ImportOptions { return in.opts }

// Schema returns the tables that the caller wants or, with mode add, that are there; or nil, for the format's own.
func (in *Input) Schema() *schema.DatasetSchema { return in.target }

// ID returns the id of what is named by the parts: always the same in one import.
func (in *Input) ID(parts ...string) string {
	h := sha256.New()
	h.Write(in.seed)
	var n [4]byte
	for _, p := range parts {
		binary.LittleEndian.PutUint32(n[:], uint32(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return features.ShortUUID([16]byte(h.Sum(nil)[:16]))
}

// Warn notes something doubtful in a file of the source. line is 0 where it is not known.
func (in *Input) Warn(file string, line int, format string, args ...any) {
	in.warn(file, line, format, args...)
}

// LeftOut notes that something of a file of the source was left out because of an error.
func (in *Input) LeftOut(file string, line int, err error) {
	in.warn(file, line, "left out: %v", about(file, err))
}

// Lose notes values of the source that the dataset has no place for.
func (in *Input) Lose(table, field, reason string, count int64) { in.lose(table, field, reason, count) }

// importState is kept beside the stage of an import, so that a later one knows what it finds.
type importState struct {
	Seed     []byte `json:"seed"`
	Key      string `json:"key"`      // of what is imported, and how
	Complete bool   `json:"complete"` // all media are staged, and the rows are about to be published
	Placed   bool   `json:"placed"`   // media were put in place before
	Before   int64  `json:"before"`   // when info.json of the dataset was changed last, before the import
}

// importRun is a run of Import.
type importRun struct {
	in     *Input
	opts   *ImportOptions
	report Report
	name   string // of the build
	path   string // of the state
	state  importState
	format Reader
	own    []features.KeyPointTemplate // of the dataset that is added to
	from   *schema.DatasetSchema
	fits   map[string]*fit
	shown  time.Time
	begun  time.Time
}

// flushBytes is how much of a table is gathered before it is written: less than a build does by itself, since an import has
// several tables and a source in memory.
const flushBytes = 2 << 20

// checkpointRows is how many rows an interrupted import may have to make again, which takes some seconds. Checkpoints cost
// a commit of each table.
const checkpointRows = 500_000

// fault is called after each step of an import. Tests of crashes end the process there.
var fault = func(step string) {}

// PlanImport reads a source as [Import] does, and reports what that would do. It writes nothing.
func PlanImport(ctx context.Context, o ImportOptions) (*Report, error) {
	r, err := newImport(ctx, o, true)
	if err != nil {
		return nil, importError(o, err)
	}
	defer r.close()
	r.report.DryRun = true
	for batch, err := range r.rows(ctx) {
		if err == nil {
			err = r.validate(batch)
		}
		if err != nil {
			return nil, importError(o, err)
		}
	}
	r.templates()
	return r.finish(), nil
}

// Import makes a dataset of a source, or adds to one.
//
// The dataset, its media, and with mode add the new rows, become visible at the end; an import that fails leaves nothing,
// see [ImportOptions.Resume]. Errors name the file and line of the source where they are known. Errors of the target are
// those of [dataset.Build].
func Import(ctx context.Context, o ImportOptions) (*Report, error) {
	report, err := runImport(ctx, o)
	if err != nil {
		return nil, importError(o, err)
	}
	return report, nil
}

func importError(o ImportOptions, err error) error {
	if e, ok := errors.AsType[*LineError](err); ok {
		err = e // the place says enough; what the build adds is about its batches
	}
	return fmt.Errorf("import %s: %w", filepath.Base(o.Source), err)
}

func runImport(ctx context.Context, o ImportOptions) (*Report, error) {
	r, err := newImport(ctx, o, false)
	if err != nil {
		return nil, err
	}
	defer r.close()
	r.report.Resumed = r.state.Seed != nil && o.Resume
	build := &dataset.BuildOptions{
		Mode: o.Mode, Resume: r.name, Author: o.Author,
		FlushBytes: flushBytes, CheckpointRows: checkpointRows,
		Options:  &dataset.Options{MediaDir: o.MediaDir, MediaRoots: o.MediaRoots, StorageVersion: o.StorageVersion},
		Progress: func(p dataset.BuildProgress) { r.show(p) },
	}
	var tables any
	switch {
	case o.Schema != nil:
		tables = o.Schema
	case o.Mode != dataset.BuildAdd:
		tables = r.from
	}
	info := r.format.Info()
	info = dataset.Info{ID: o.Info.ID, Name: cmp.Or(o.Info.Name, info.Name), Description: cmp.Or(o.Info.Description, info.Description),
		Size: cmp.Or(o.Info.Size, info.Size), Preview: o.Info.Preview, Workspace: cmp.Or(o.Info.Workspace, info.Workspace)}
	if o.Mode == dataset.BuildAdd {
		info = o.Info
	}
	ds, err := dataset.Build(ctx, o.Dataset, tables, info, r, build)
	if err != nil {
		return nil, errors.Join(err, r.unplace())
	}
	fault("published")
	if err := ds.Close(); err != nil {
		return nil, err
	}
	if err := r.placeAfter(); err != nil {
		return nil, fmt.Errorf("the dataset is there, but not all of its media: %w", err)
	}
	fault("replaced")
	return r.finish(), os.RemoveAll(r.path)
}

// newImport checks the options and opens the source.
func newImport(ctx context.Context, o ImportOptions, plan bool) (r *importRun, err error) {
	o.Mode = cmp.Or(o.Mode, dataset.BuildCreate)
	o.Media = cmp.Or(o.Media, MediaCopy)
	o.Folder = cmp.Or(o.Folder, filepath.Base(o.Dataset))
	o.FPS = cmp.Or(o.FPS, 25)
	switch {
	case o.Format.Open == nil:
		return nil, fmt.Errorf("the format %s cannot be imported", cmp.Or(o.Format.Name, "\"\""))
	case !slices.Contains([]MediaMode{MediaCopy, MediaLink, MediaKeep}, o.Media):
		return nil, fmt.Errorf("media %q: want copy, link or keep", o.Media)
	case !slices.Contains([]dataset.BuildMode{dataset.BuildCreate, dataset.BuildOverwrite, dataset.BuildAdd}, o.Mode):
		return nil, fmt.Errorf("mode %q: want create, overwrite or add", o.Mode)
	case !filepath.IsLocal(o.Folder) || strings.ContainsAny(o.Folder, `/\`) || strings.HasPrefix(o.Folder, "."):
		return nil, fmt.Errorf("media folder %q: want the name of one folder without a dot in front", o.Folder)
	case o.FPS < 0:
		return nil, fmt.Errorf("frames per second are %g: want more than 0", o.FPS)
	}
	if err := checkParams(o.Format, o.Params, func(p Option) bool { return p.Import }); err != nil {
		return nil, err
	}
	in := &Input{opts: &o, target: o.Schema}
	r = &importRun{in: in, opts: &o, begun: time.Now(), fits: map[string]*fit{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	r.report = Report{Action: "import", Format: o.Format.Name, Source: o.Source, Target: o.Dataset,
		Tables: map[string]int64{}, Splits: map[string]int64{}, Categories: map[string]int64{}, Media: MediaCount{Mode: o.Media}}
	if err := in.open(); err != nil {
		return r, err
	}
	if err := r.openState(plan); err != nil {
		return r, err
	}
	if o.Mode == dataset.BuildAdd {
		ds, err := dataset.Open(ctx, o.Dataset, &dataset.Options{ReadOnly: true})
		if err != nil {
			return r, err
		}
		in.target = ds.Schema()
		r.own, err = ds.KeyPointTemplates()
		if err := errors.Join(err, ds.Close()); err != nil {
			return r, err
		}
	} else if _, err := os.Stat(filepath.Join(o.Dataset, "info.json")); err == nil && o.Mode == dataset.BuildCreate {
		return r, fmt.Errorf("%s is there already: %w (mode overwrite replaces it, add adds to it)", o.Dataset, dataset.ErrExists)
	}
	if in.media, err = newMediaTaker(in, &r.state, plan); err != nil {
		return r, err
	}
	if r.format, err = o.Format.Open(ctx, in); err != nil {
		return r, err
	}
	r.from = r.format.Schema()
	return r, nil
}

func checkParams(f Format, params map[string]string, known func(Option) bool) error {
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if !slices.ContainsFunc(f.Options, func(o Option) bool { return o.Name == name && known(o) }) {
			var names []string
			for _, o := range f.Options {
				if known(o) {
					names = append(names, o.Name)
				}
			}
			return fmt.Errorf("the format %s has no option %q: want one of %q", f.Name, name, names)
		}
	}
	return nil
}

// open opens the directories of the source.
func (in *Input) open() (err error) {
	if in.source, err = filepath.Abs(in.opts.Source); err != nil {
		return err
	}
	st, err := os.Stat(in.source)
	if err != nil {
		return noFile(err, in.opts.Source)
	}
	dir := in.source
	if !st.IsDir() {
		dir, in.file = filepath.Split(in.source)
	}
	if in.root, err = os.OpenRoot(dir); err != nil {
		return err
	}
	in.images = in.root
	if in.opts.Images != "" {
		if in.images, err = os.OpenRoot(in.opts.Images); err != nil {
			return noFile(err, in.opts.Images)
		}
	}
	in.probed = newProber()
	return nil
}

func noFile(err error, path string) error {
	if errors.Is(err, fs.ErrNotExist) {
		return absent(path + ": no such file or directory")
	}
	return err
}

// absent says that a file is not there, and matches [fs.ErrNotExist].
type absent string

func (e absent) Error() string        { return string(e) }
func (e absent) Is(target error) bool { return target == fs.ErrNotExist }

func (r *importRun) close() error {
	var errs []error
	if r.format != nil {
		errs = append(errs, r.format.Close())
	}
	in := r.in
	if in.images != nil && in.images != in.root {
		errs = append(errs, in.images.Close())
	}
	if in.root != nil {
		errs = append(errs, in.root.Close())
	}
	if in.media != nil {
		errs = append(errs, in.media.close())
	}
	return errors.Join(errs...)
}

// openState looks for what an interrupted import of the same dataset has left: it completes one that was published, goes
// on with it, or removes it.
func (r *importRun) openState(plan bool) error {
	o := r.opts
	abs, err := filepath.Abs(o.Dataset)
	if err != nil {
		return err
	}
	r.name = "import-" + filepath.Base(abs)
	r.path = filepath.Join(filepath.Dir(abs), ".pixano", "imports", filepath.Base(abs)+".json")
	key, _ := json.Marshal([]any{o.Format.Name, r.in.source, o.Images, o.Mode, o.Media, o.Folder, o.Type, o.StableIDs, o.NamesAsIDs,
		o.SkipMissing, o.FPS, o.Params})
	text, err := os.ReadFile(r.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case json.Unmarshal(text, &r.state) != nil:
		r.state = importState{} // cut by a crash: nothing was published since
	}
	r.in.seed = []byte("pixano " + filepath.Base(abs))
	if !o.StableIDs {
		r.in.seed = []byte(features.NewShortUUID())
	}
	if plan {
		r.state = importState{}
		return nil
	}
	published := r.state.Complete && infoTime(o.Dataset) != r.state.Before && infoTime(o.Dataset) != 0
	switch {
	case r.state.Seed == nil:
	case published:
		if err := finishPlacing(o.MediaDir, o.Folder); err != nil {
			return err
		}
		if err := os.Remove(r.path); err != nil {
			return err
		}
		r.state = importState{}
	case o.Resume && r.state.Key != string(key):
		return fmt.Errorf("another import of %s was interrupted, with other options: want the same, or no resume", o.Dataset)
	case o.Resume:
		if r.state.Placed && o.Mode == dataset.BuildCreate {
			if err := takeBack(o.MediaDir, o.Folder); err != nil {
				return err
			}
		}
	default:
		if err := r.discard(); err != nil {
			return err
		}
		r.state = importState{}
	}
	if r.state.Seed != nil {
		r.in.seed = r.state.Seed
	}
	r.state.Key, r.state.Before, r.state.Complete, r.state.Placed = string(key), infoTime(o.Dataset), false, false
	return nil
}

// infoTime tells one state of a dataset directory from another; 0 stands for none.
func infoTime(dir string) int64 {
	st, err := os.Stat(filepath.Join(dir, "info.json"))
	if err != nil {
		return 0
	}
	return st.ModTime().UnixNano()
}

// discard removes what an interrupted import has left.
func (r *importRun) discard() error {
	o := r.opts
	if err := dataset.DiscardBuild(o.Dataset, o.Mode, r.name); err != nil {
		return err
	}
	if r.state.Placed && o.Mode == dataset.BuildCreate {
		if err := takeBack(o.MediaDir, o.Folder); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(stagedMedia(o.MediaDir, o.Folder)); err != nil {
		return err
	}
	return os.Remove(r.path)
}

func (r *importRun) saveState() error {
	text, err := json.Marshal(r.state)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(r.path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(r.path+".new", text, 0o644); err != nil {
		return err
	}
	return os.Rename(r.path+".new", r.path)
}

// Generate makes an import a [dataset.Builder]. It runs with the lock of the build held.
func (r *importRun) Generate(ctx context.Context, b *dataset.BuildContext) iter.Seq2[dataset.Batch, error] {
	return func(yield func(dataset.Batch, error) bool) {
		r.state.Seed = r.in.seed
		if err := r.saveState(); err != nil {
			yield(nil, err)
			return
		}
		fault("begun")
		for batch, err := range r.rows(ctx) {
			fault("read")
			if !yield(batch, err) || err != nil {
				return
			}
		}
		err := b.AddKeyPointTemplates(r.templates())
		if err == nil {
			err = r.placeBefore()
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// templates returns the templates of key points that the source has. Those of a dataset that is added to win.
func (r *importRun) templates() []features.KeyPointTemplate {
	from, ok := r.format.(TemplateReader)
	if !ok {
		return nil
	}
	list := from.Templates()
	names := func(t features.KeyPointTemplate) (names []string) {
		for _, p := range t.Points {
			names = append(names, p.Name)
		}
		return names
	}
	for _, t := range list {
		for _, own := range r.own {
			if own.ID == t.ID && !slices.Equal(names(own), names(t)) {
				r.in.Warn("", 0, "the dataset has another template of key points %q, with the points %q: it is not replaced by %q", t.ID, names(own), names(t))
			}
		}
	}
	return list
}

// placeBefore puts media in place that nothing refers to yet, so that a dataset never shows without them.
func (r *importRun) placeBefore() error {
	r.state.Complete = true
	if err := r.saveState(); err != nil || r.opts.Mode == dataset.BuildOverwrite {
		return err
	}
	r.state.Placed = true
	if err := r.saveState(); err != nil {
		return err
	}
	fault("complete")
	if err := r.in.media.place(); err != nil {
		return err
	}
	fault("placed")
	return nil
}

// placeAfter replaces the media of a dataset that was replaced.
func (r *importRun) placeAfter() error {
	if r.opts.Mode != dataset.BuildOverwrite {
		return nil
	}
	return finishPlacing(r.opts.MediaDir, r.opts.Folder)
}

// unplace takes media back whose rows were not published, so that the import can be resumed.
func (r *importRun) unplace() error {
	if !r.state.Placed {
		return nil
	}
	if err := r.in.media.takeBack(); err != nil {
		return err
	}
	r.state.Complete, r.state.Placed = false, false
	return r.saveState()
}

// rows yields the rows of the source in the form of the target's tables, and counts them.
func (r *importRun) rows(ctx context.Context) iter.Seq2[dataset.Batch, error] {
	return func(yield func(dataset.Batch, error) bool) {
		for batch, err := range r.format.Rows(ctx) {
			if err == nil {
				err = ctx.Err()
			}
			if err == nil {
				batch, err = r.adapt(batch)
			}
			if _, ok := errors.AsType[*LineError](err); err != nil && !ok {
				err = &LineError{Err: err} // what a build adds about its batches says nothing of the source
			}
			if !yield(batch, err) || err != nil {
				return
			}
		}
	}
}

// adapt fits the rows of a batch to the tables of the target.
func (r *importRun) adapt(batch dataset.Batch) (dataset.Batch, error) {
	out := make(dataset.Batch, len(batch))
	for table, rows := range batch {
		f := r.fits[table]
		if f == nil {
			var err error
			if f, err = newFit(table, r.from, r.in.target); err != nil {
				return nil, err
			}
			r.fits[table] = f
		}
		fitted, n, err := f.rows(rows, &r.in.notes)
		if err != nil {
			return nil, err
		}
		if fitted == nil {
			continue
		}
		out[table] = fitted
		r.report.Tables[table] += int64(n)
		r.count(table, fitted)
	}
	return out, nil
}

// count counts items by split, and rows by category.
func (r *importRun) count(table string, rows any) {
	v := reflect.ValueOf(rows)
	column, into := "category", r.report.Categories
	if table == schema.ItemTable {
		r.report.Items += int64(v.Len())
		column, into = "split", r.report.Splits
	} else if group, _ := r.from.Group(table); group != schema.GroupEntities {
		return
	}
	elem := v.Type().Elem()
	if elem.Kind() == reflect.Struct {
		i, err := columnIndex(elem, column)
		if err != nil || i == nil {
			return
		}
		for j := range v.Len() {
			into[v.Index(j).FieldByIndex(i).String()]++
		}
		return
	}
	for j := range v.Len() {
		if d, ok := v.Index(j).Interface().(*schema.Dynamic); ok {
			if text, ok := Value(d, column).(string); ok {
				into[text]++
			}
		}
	}
}

func columnIndex(t reflect.Type, column string) ([]int, error) {
	columns, err := schema.ColumnsOf(t)
	if err != nil {
		return nil, err
	}
	for _, c := range columns {
		if c.Name == column && c.GoType.Kind() == reflect.String {
			return c.Index, nil
		}
	}
	return nil, nil
}

// validate checks the rows of a batch as a build does.
func (r *importRun) validate(batch dataset.Batch) error {
	r.show(dataset.BuildProgress{Step: "read"})
	for table, rows := range batch {
		v := reflect.ValueOf(rows)
		for i := range v.Len() {
			row := v.Index(i)
			if row.Kind() == reflect.Struct {
				row = row.Addr()
			}
			if err := schema.Normalize(row.Interface()); err != nil {
				id, _ := schema.ID(row.Interface())
				return fmt.Errorf("%s %q: %w", table, id, err)
			}
		}
	}
	return nil
}

func (r *importRun) show(p dataset.BuildProgress) {
	if r.opts.Progress == nil || p.Step == "read" && time.Since(r.shown) < 100*time.Millisecond {
		return
	}
	r.shown = time.Now()
	if p.Step == "generate" {
		p.Step = "read"
	}
	var rows int64
	for _, n := range r.report.Tables {
		rows += n
	}
	media := r.in.media.counted()
	r.opts.Progress(Progress{Step: p.Step, Items: r.report.Items, Rows: rows, Media: media.Files})
}

func (r *importRun) finish() *Report {
	if r.report.Items == 0 && r.opts.Mode != dataset.BuildAdd {
		r.in.Warn("", 0, "nothing was found: want %s", r.opts.Format.Source)
	}
	r.in.fill(&r.report)
	r.report.Media = r.in.media.counted()
	r.report.Seconds = time.Since(r.begun).Seconds()
	delete(r.report.Categories, "")
	r.report.Files = []string{}
	if r.opts.Progress != nil {
		r.show(dataset.BuildProgress{Step: "done"})
	}
	return &r.report
}
