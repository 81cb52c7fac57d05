package exchange

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"pixano/dataset"
	"pixano/features"
	"pixano/schema"
)

// ExportOptions say where to write a dataset, and how.
type ExportOptions struct {
	Format Format

	// Out is the directory that is made. Its parent must exist. It may be there if it is empty.
	Out string

	// Overwrite allows an Out with files in it: those of the export replace others of their names, the rest stays.
	Overwrite bool

	Name         string // in the names of files: SPLIT_NAME_NUMBER. "": "pixano_export"
	ItemsPerFile int    // 0: all of a split in one file, where the format has files of several items

	// Strict writes what other tools read, where the format of the reference implementation is not that.
	Strict bool

	// Media says what to do with media files. "": what suits the format.
	Media MediaMode

	Splits []string          // only items of these. Nil: all
	Where  string            // only items that match, see [dataset.Query]
	Params map[string]string // settings of the format, see Format.Options

	// Progress is called about ten times a second, and at the end. Nil: never.
	Progress func(Progress)
}

// Output is what a format gets to know of an export, and what it tells. It is for one goroutine.
type Output struct {
	notes
	ds     *dataset.Dataset
	opts   *ExportOptions
	dir    string // where files are made; "" in a plan
	files  map[string]bool
	count  MediaCount
	splits []string
	now    time.Time
	made   map[string]string // media urls to their names in the export
}

// Dataset returns the dataset that is exported.
func (o *Output) Dataset() *dataset.Dataset { return o.ds }

// Options returns the options of the export. Do not change them.
func (o *Output) Options() *ExportOptions { return o.opts }

// Splits returns the splits that are exported, in the order in which their items come.
func (o *Output) Splits() []string { return o.splits }

// Now returns when the export began, by the local wall clock.
func (o *Output) Now() time.Time { return o.now }

// Warn notes something doubtful in the dataset.
func (o *Output) Warn(format string, args ...any) { o.warn("", 0, format, args...) }

// Lose notes rows that the format has no place for, beside the columns that [Writer.Holds] denies.
func (o *Output) Lose(table, field, reason string, count int64) { o.lose(table, field, reason, count) }

// FileName returns the name of a file of a split: SPLIT_NAME_NUMBER.EXTENSION.
func (o *Output) FileName(split string, number int, extension string) string {
	clean := strings.Map(func(r rune) rune {
		if r == '/' || r == '\\' || r < ' ' || r == 0x7f {
			return '_'
		}
		return r
	}, split)
	return fmt.Sprintf("%s_%s_%d.%s", strings.TrimLeft(clean, "."), o.opts.Name, number, extension)
}

// File is a file of an export.
type File struct {
	*bufio.Writer
	f io.WriteCloser
}

// Close ends the file.
func (f *File) Close() error {
	err := f.Flush()
	if e := f.f.Close(); err == nil {
		err = e
	}
	return err
}

type nowhere struct{ io.Writer }

func (nowhere) Close() error { return nil }

// Create makes a file of the export, by its path in it. In a plan nothing is stored.
func (o *Output) Create(name string) (*File, error) {
	clean, err := CheckMediaName(name)
	if err != nil {
		return nil, err
	}
	if o.files[clean] {
		return nil, fmt.Errorf("%s would be written twice", clean)
	}
	o.files[clean] = true
	if o.dir == "" {
		return &File{bufio.NewWriter(io.Discard), nowhere{io.Discard}}, nil
	}
	to := filepath.Join(o.dir, filepath.FromSlash(clean))
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	return newFile(f), nil
}

func newFile(f *os.File) *File { return &File{bufio.NewWriterSize(f, 1<<16), f} }

// Put makes a file of the export with a content.
func (o *Output) Put(name string, content []byte) error {
	f, err := o.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

// Media puts the file that a url of the dataset names into the export, under a path of it, as Options.Media says. A file
// that cannot be read is a warning, and reported as a loss of the table.
func (o *Output) Media(table, url, name string) error {
	clean, err := CheckMediaName(name)
	if err != nil {
		return err
	}
	if other, ok := o.made[clean]; ok {
		if other != url {
			return fmt.Errorf("%q and %q would both be written as %s", other, url, clean)
		}
		return nil
	}
	m, err := o.ds.OpenMedia(url)
	if err != nil {
		o.Warn("%v", err)
		o.Lose(table, "url", "the media file cannot be read", 1)
		return nil
	}
	defer m.Close()
	o.made[clean] = url
	o.count.Files++
	o.count.Bytes += m.Size
	if o.dir == "" {
		return nil
	}
	to := filepath.Join(o.dir, filepath.FromSlash(clean))
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if f, ok := m.ReadSeekCloser.(*os.File); ok && o.opts.Media == MediaLink {
		if st, err := os.Lstat(f.Name()); err == nil && st.Mode().IsRegular() && os.Link(f.Name(), to) == nil {
			return nil
		} // on another file system, or none that has links
	}
	return copyFile(m, to)
}

// MediaMode returns what to do with media: what the caller said, or else what suits the format.
func (o *Output) MediaMode(suits MediaMode) MediaMode {
	o.count.Mode = cmp.Or(o.opts.Media, suits)
	return o.count.Mode
}

// PlanExport reads a dataset as [Export] does and reports what that would do. It writes nothing.
func PlanExport(ctx context.Context, ds *dataset.Dataset, o ExportOptions) (*Report, error) {
	report, err := export(ctx, ds, o, true)
	if err != nil {
		return nil, fmt.Errorf("export to %s: %w", o.Format.Name, err)
	}
	return report, nil
}

// Export writes a dataset in a format. The directory appears at the end, as a whole, if it was not there; a run that fails
// leaves nothing.
func Export(ctx context.Context, ds *dataset.Dataset, o ExportOptions) (*Report, error) {
	report, err := export(ctx, ds, o, false)
	if err != nil {
		return nil, fmt.Errorf("export to %s: %w", o.Format.Name, err)
	}
	return report, nil
}

func export(ctx context.Context, ds *dataset.Dataset, o ExportOptions, plan bool) (report *Report, err error) {
	begun := time.Now()
	o.Name = cmp.Or(o.Name, "pixano_export")
	switch {
	case o.Format.NewWriter == nil:
		return nil, fmt.Errorf("the format cannot be exported")
	case o.ItemsPerFile < 0:
		return nil, fmt.Errorf("%d items per file: want more than 0, or 0 for all", o.ItemsPerFile)
	case o.Media != "" && !slices.Contains([]MediaMode{MediaCopy, MediaLink, MediaNone}, o.Media):
		return nil, fmt.Errorf("media %q: want copy, link or none", o.Media)
	case strings.ContainsAny(o.Name, `/\`):
		return nil, fmt.Errorf("file name %q: want no separator", o.Name)
	case ds.Layout() != dataset.ItemLayout:
		return nil, fmt.Errorf("a dataset of the %s layout: %w: want one of the layout of Pixano 0.6", ds.Layout(), dataset.ErrUnsupported)
	}
	if err := checkParams(o.Format, o.Params, func(p Option) bool { return p.Export }); err != nil {
		return nil, err
	}
	out := &Output{ds: ds, opts: &o, files: map[string]bool{}, made: map[string]string{}, now: schema.Now()}
	out.count.Mode = cmp.Or(o.Media, MediaNone)
	target := filepath.Clean(o.Out)
	if !plan {
		if err := checkOut(target, o.Overwrite); err != nil {
			return nil, err
		}
		out.dir, err = os.MkdirTemp(filepath.Dir(target), "."+filepath.Base(target)+"-exporting-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(out.dir)
		if err := os.Chmod(out.dir, 0o755); err != nil {
			return nil, err
		}
	}
	r := &exportRun{out: out, report: &Report{Action: "export", Format: o.Format.Name, DryRun: plan, Source: ds.Path(), Target: o.Out,
		Tables: map[string]int64{}, Splits: map[string]int64{}, Categories: map[string]int64{}}}
	if err := r.run(ctx); err != nil {
		return nil, err
	}
	if !plan {
		r.show("publish")
		if err := publish(out.dir, target, out); err != nil {
			return nil, err
		}
	}
	out.fill(r.report)
	r.report.Files = []string{}
	for name := range out.files {
		r.report.Files = append(r.report.Files, name)
	}
	slices.Sort(r.report.Files)
	r.report.Media = out.count
	r.report.Seconds = time.Since(begun).Seconds()
	delete(r.report.Categories, "")
	r.show("done")
	return r.report, nil
}

// checkOut wants a directory that can be made.
func checkOut(target string, overwrite bool) error {
	if st, err := os.Stat(filepath.Dir(target)); err != nil {
		return noFile(err, filepath.Dir(target))
	} else if !st.IsDir() {
		return fmt.Errorf("%s: not a directory", filepath.Dir(target))
	}
	entries, err := os.ReadDir(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(entries) > 0 && !overwrite:
		return fmt.Errorf("%s is not empty: %w (with overwrite, files of the same names are replaced)", target, fs.ErrExist)
	}
	return nil
}

// publish makes the files of the export visible.
func publish(dir, target string, out *Output) error {
	if err := os.Remove(target); err == nil || errors.Is(err, fs.ErrNotExist) {
		return os.Rename(dir, target) // the target was empty or not there
	}
	names := make([]string, 0, len(out.files)+len(out.made))
	for name := range out.files {
		names = append(names, name)
	}
	for name := range out.made {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		to := filepath.Join(target, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(dir, filepath.FromSlash(name)), to); err != nil {
			return err
		}
	}
	return nil
}

// exportRun is a run of Export.
type exportRun struct {
	out    *Output
	report *Report
	writer Writer
	total  int64
	rows   int64
	shown  time.Time
	tables map[string]*heldTable
}

// heldTable says what the format does not hold of a table.
type heldTable struct {
	group  schema.Group
	rows   bool // it holds its rows at all
	fields []lostField
	count  []int64
}

type lostField struct {
	name  string
	index int
	zero  any // the default of the column
}

func (r *exportRun) run(ctx context.Context) (err error) {
	out, o := r.out, r.out.opts
	query := dataset.Query{Where: o.Where}
	found := map[string]int64{}
	for row, err := range out.ds.Rows(ctx, schema.ItemTable, dataset.Query{Where: o.Where, Columns: []string{"split"}}) {
		if err != nil {
			return err
		}
		split, _ := row.Value("split").(string)
		if o.Splits == nil || slices.Contains(o.Splits, split) {
			found[split]++
			r.total++
		}
	}
	for split := range found {
		out.splits = append(out.splits, split)
	}
	slices.Sort(out.splits)
	for _, split := range o.Splits {
		if _, ok := found[split]; !ok {
			return fmt.Errorf("no item of the split %q: the dataset has %q", split, out.splits)
		}
	}
	if r.writer, err = o.Format.NewWriter(ctx, out); err != nil {
		return err
	}
	closed := false
	defer func() {
		if !closed {
			r.writer.Close()
		}
	}()
	if err := r.findLosses(ctx); err != nil {
		return err
	}
	chunk, err := r.chunk(ctx)
	if err != nil {
		return err
	}
	for _, split := range out.splits {
		q := query
		q.Where, q.Args = "split = ?", []any{split}
		if query.Where != "" {
			q.Where = "(" + query.Where + ") AND split = ?"
		}
		ids, err := out.ds.IDs(ctx, schema.ItemTable, q)
		if err != nil {
			return err
		}
		for part := range slices.Chunk(ids, chunk) {
			var items []dataset.Item
			if _, err := out.ds.ItemsByID(ctx, &items, part...); err != nil {
				return err
			}
			for i := range items {
				r.count(&items[i], split)
				if err := r.writer.Write(ctx, &items[i]); err != nil {
					return fmt.Errorf("item %q: %w", items[i].ID, err)
				}
			}
			r.show("write")
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	closed = true
	if err := r.writer.Close(); err != nil {
		return err
	}
	for name, t := range r.tables {
		for i, f := range t.fields {
			out.lose(name, f.name, "the format has no place for it", t.count[i])
		}
	}
	return nil
}

// chunkRows is about how many rows are read together: each part looks through all tables once.
const chunkRows = 8_000

// chunk returns how many items to read together.
func (r *exportRun) chunk(ctx context.Context) (int, error) {
	items, err := r.out.ds.Count(ctx, schema.ItemTable, dataset.Query{})
	if err != nil || items == 0 {
		return 1, err
	}
	var rows int64
	for _, t := range r.out.ds.Tables() {
		if t.Group == schema.GroupEmbeddings || t.Group == schema.GroupSource {
			continue
		}
		n, err := r.out.ds.Count(ctx, t.Name, dataset.Query{})
		if err != nil {
			return 0, err
		}
		rows += n
	}
	return int(max(16, min(8192, chunkRows*items/max(rows, 1)))), nil
}

// findLosses asks the format what it does not hold.
func (r *exportRun) findLosses(ctx context.Context) error {
	out := r.out
	r.tables = map[string]*heldTable{}
	s := out.ds.Schema()
	whole := out.opts.Where == "" && out.opts.Splits == nil
	for _, name := range s.Tables() {
		class, _ := s.Class(name)
		t := &heldTable{group: class.Group(), rows: r.writer.Holds(name, "")}
		if t.group == schema.GroupEmbeddings {
			n, err := out.ds.Count(ctx, name, dataset.Query{})
			if err != nil {
				return err
			}
			out.lose(name, "", "vectors are never exported", n)
			continue
		}
		r.tables[name] = t
		if !t.rows {
			continue
		}
		zero, err := schema.NewDynamic(class)
		if err != nil {
			return err
		}
		for i, f := range class.Fields {
			if f.Name == "created_at" || f.Name == "updated_at" || r.writer.Holds(name, f.Name) {
				continue
			}
			t.fields = append(t.fields, lostField{f.Name, i, zero.Values()[i]})
		}
		t.count = make([]int64, len(t.fields))
		n, err := out.ds.Count(ctx, name, dataset.Query{})
		if err != nil {
			return err
		}
		if !r.writer.Holds(name, "created_at") {
			out.lose(name, "created_at, updated_at", "the format has no times of rows", n)
		}
		if constraints := len(out.ds.Constraints(name)); constraints > 0 {
			out.lose(name, "", "value constraints are not exported", int64(constraints))
		}
	}
	if !r.writer.Holds(schema.SourceTable, "") {
		n, err := out.ds.Count(ctx, schema.SourceTable, dataset.Query{})
		if err != nil {
			return err
		}
		out.lose(schema.SourceTable, "", "the format has no place for such rows", n)
	} else if !whole {
		return nil
	}
	return nil
}

// count counts an item and its rows, and the values that are lost.
func (r *exportRun) count(item *dataset.Item, split string) {
	r.report.Items++
	r.report.Splits[split]++
	for name, t := range r.tables {
		rows := Rows(item.Tables, name)
		if name == schema.ItemTable {
			rows = []*schema.Dynamic{item.Item}
		}
		n := int64(len(rows))
		r.rows += n
		if !t.rows {
			r.out.lose(name, "", "the format has no place for such rows", n)
			continue
		}
		r.report.Tables[name] += n
		if t.group == schema.GroupEntities {
			for _, row := range rows {
				if category := Text(row, "category"); category != "" {
					r.report.Categories[category]++
				}
			}
		}
		if len(t.fields) == 0 {
			continue
		}
		for _, row := range rows {
			for i, f := range t.fields {
				if v, _ := row.Get(f.name); !isDefault(v) && !reflect.DeepEqual(v, f.zero) {
					t.count[i]++
				}
			}
		}
	}
}

func (r *exportRun) show(step string) {
	if r.out.opts.Progress == nil || step == "write" && time.Since(r.shown) < 100*time.Millisecond {
		return
	}
	r.shown = time.Now()
	r.out.opts.Progress(Progress{Step: step, Items: r.report.Items, Rows: r.rows, Media: r.out.count.Files, Total: r.total})
}

// TablesOf returns the tables of a dataset whose rows are of a built-in class or of one that extends it.
func TablesOf(s *schema.DatasetSchema, class string) []string {
	var names []string
	for _, name := range s.Tables() {
		if c, ok := s.Class(name); ok && schema.IsA(c.Base, class) {
			names = append(names, name)
		}
	}
	return names
}

// EachCategory calls fn with the category of each entity of the dataset, in the order of the tables.
func (o *Output) EachCategory(ctx context.Context, fn func(category string)) error {
	s := o.ds.Schema()
	for _, name := range s.TablesOf(schema.GroupEntities) {
		class, _ := s.Class(name)
		if f, _, ok := class.Field("category"); !ok || f.Type.Name != schema.TypeStr || f.Type.Collection {
			continue
		}
		for row, err := range o.ds.Rows(ctx, name, dataset.Query{Columns: []string{"category"}}) {
			if err != nil {
				return err
			}
			text, _ := row.Value("category").(string)
			fn(text)
		}
	}
	return nil
}

// MediaPath returns a path for the media file of a url in an export: the url itself where it is a plain path, or else one
// made of the view's id.
func MediaPath(url, id, format string) string {
	if clean, err := CheckMediaName(url); err == nil && !strings.Contains(url, ":") {
		return clean
	}
	return path.Join("media", id+"."+strings.ToLower(cmp.Or(format, "bin")))
}

// Fractions returns a box of pixels as fractions of a view.
func Fractions(box [4]float64, width, height float64) ([]float64, error) {
	return features.Normalize(box[:], width, height)
}
