package dataset

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"pixano/internal/lance"
	"pixano/internal/rowcodec"
	"pixano/schema"
)

// Severity is how bad a [Finding] is.
type Severity string

const (
	SeverityError   Severity = "error"   // rows cannot be read, or contradict each other
	SeverityWarning Severity = "warning" // most likely a mistake, or something that does not work elsewhere
	SeverityInfo    Severity = "info"    // good to know
)

// FindingKind is what a [Finding] is about.
type FindingKind string

// The kinds of findings. The integrity checks have kinds of their names, see [Check].
const (
	FoundDefinedID FindingKind = FindingKind(DefinedID) // error
	FoundUniqueID  FindingKind = FindingKind(UniqueID)  // error
	FoundRefName   FindingKind = FindingKind(RefName)   // error
	FoundRefType   FindingKind = FindingKind(RefType)   // error
	FoundRefID     FindingKind = FindingKind(RefID)     // error; of item_ref: the row is an orphan

	FoundUnreadable FindingKind = "unreadable"  // error: a table or a file cannot be read
	FoundStruct     FindingKind = "struct"      // error: a struct column that an old Python wrote from a part of a table
	FoundColumns    FindingKind = "columns"     // error: a table's columns are not those of schema.json
	FoundNoTable    FindingKind = "no_table"    // error: schema.json declares a table that is not there
	FoundValue      FindingKind = "value"       // warning: a value that the class of the row refuses
	FoundDoubtful   FindingKind = "doubtful"    // info: a value that is accepted and most likely wrong
	FoundNoItem     FindingKind = "no_item"     // warning: a row that belongs to no item
	FoundOtherItem  FindingKind = "other_item"  // warning: a row and its view, entity or parent belong to different items
	FoundOutside    FindingKind = "outside"     // warning: a box that reaches out of its image
	FoundMaskSize   FindingKind = "mask_size"   // warning: a mask of another size than its image
	FoundMedia      FindingKind = "media"       // warning: the media file of a view cannot be opened
	FoundUnfinished FindingKind = "unfinished"  // warning: a change that a crash cut off, completed when the dataset is opened for writing
	FoundLog        FindingKind = "log"         // error: the change log is damaged
	FoundUndeclared FindingKind = "undeclared"  // warning: a table in db/ that schema.json does not list
	FoundLeftover   FindingKind = "leftover"    // info: a temporary file of a write that was cut off
	FoundVersions   FindingKind = "versions"    // info: many old versions
	FoundFragments  FindingKind = "fragments"   // info: many small files or deleted rows
	FoundConstraint FindingKind = "constraint"  // warning: a value constraint of a column that is not there
	FoundFile       FindingKind = "file"        // warning, Python: a JSON file that is missing or incomplete
	FoundStorage    FindingKind = "storage"     // warning, Python: a storage version that old releases do not read
	FoundIndex      FindingKind = "index"       // warning, Python: an index, with which old releases do not write
	FoundTag        FindingKind = "tag"         // warning, Python: a tag, which stops old releases from removing versions
	FoundNullable   FindingKind = "nullable"    // warning, Python: a column whose nullability is not the reference's
	FoundType       FindingKind = "column_type" // warning, Python: a column type that old releases do not read
)

// Finding is something that [Dataset.Inspect] found.
type Finding struct {
	Kind     FindingKind `json:"kind"`
	Severity Severity    `json:"severity"`
	Table    string      `json:"table,omitempty"`
	ID       string      `json:"id,omitempty"`    // of the row
	Field    string      `json:"field,omitempty"` // the column, or the file
	Value    string      `json:"value,omitempty"` // what is there: of a reference the id
	To       string      `json:"to,omitempty"`    // of a reference: the table that it names
	Text     string      `json:"text"`            // what is wrong, without the place

	// Repair says what [Dataset.Repair] would do. "": nothing, somebody has to decide.
	Repair string `json:"repair,omitempty"`
}

// String says where what is wrong, as "bboxes \"b1\": coords: reaches out of the image of 640 × 480".
func (f Finding) String() string {
	var b strings.Builder
	b.WriteString(f.Table)
	if f.ID != "" {
		fmt.Fprintf(&b, " %q", f.ID)
	}
	for _, part := range []string{f.Field, f.Text} {
		if part != "" && b.Len() > 0 {
			b.WriteString(": ")
		}
		b.WriteString(part)
	}
	return b.String()
}

// InspectOptions are the options of [Dataset.Inspect]. Nil and the zero value are the defaults.
type InspectOptions struct {
	// Media opens the media file of each view. Remote ones are passed over.
	Media bool

	// PythonCompat looks for what keeps a release of the reference implementation from reading or writing the dataset.
	PythonCompat bool
}

// Inspect looks for whatever may be wrong with a dataset, and yields what it finds: about the dataset as a whole, then
// by table. The five integrity checks of [Dataset.Check] are among it; [Checks].Ignore of the handle leaves some out. A
// table that cannot be read is a finding, and the others are looked at all the same. An error is the last pair, and
// leaving the loop ends the inspection.
//
// All tables are seen in one state, and read as streams. What stays in memory are 8 bytes for each row of the tables, and
// 24 more for each view and each entity: hashes of ids, as in [Dataset.Check]. Rows that refer to views or entities
// are compared with them by these hashes. Nothing is written; to see what a crash left unfinished, open the dataset with
// [Options].ReadOnly. In the record layout the error is ErrUnsupported.
func (d *Dataset) Inspect(ctx context.Context, opts *InspectOptions) iter.Seq2[Finding, error] {
	if opts == nil {
		opts = &InspectOptions{}
	}
	return func(yield func(Finding, error) bool) {
		c, err := d.newChecker(ctx, nil)
		if err != nil {
			yield(Finding{}, err)
			return
		}
		c.broken = map[string]bool{}
		seed := maphash.MakeSeed()
		x := &inspector{d: d, c: c, m: c.m, opts: *opts, hash: func(id string) uint64 { return maphash.String(seed, id) },
			owned: map[string][]owner{}, yield: func(f Finding) bool { return yield(f, nil) }}
		err = x.run(ctx)
		if err != nil && err != errLeft {
			yield(Finding{}, placed("inspect", "", err))
		}
	}
}

// errLeft: the loop over the findings was left.
var errLeft = errors.New("left")

// inspector is a running inspection.
type inspector struct {
	d     *Dataset
	c     *checker
	m     *meta
	opts  InspectOptions
	hash  func(id string) uint64
	owned map[string][]owner // by table of views or entities that was read, sorted
	yield func(Finding) bool
}

// owner is what is kept of a view or an entity.
type owner struct {
	id            uint64 // its hash
	item          uint64 // hash of the item's id; 0 for none
	width, height int32  // of an image, else 0
}

// owner finds a view or an entity.
func (x *inspector) owner(table, id string) (owner, bool) {
	list := x.owned[table]
	if list == nil {
		return owner{}, false
	}
	i, ok := slices.BinarySearchFunc(list, x.hash(id), func(o owner, id uint64) int { return cmp.Compare(o.id, id) })
	if !ok {
		return owner{}, false
	}
	return list[i], true
}

func (x *inspector) found(f Finding) error {
	f.ID, f.Value, f.To = strings.Clone(f.ID), strings.Clone(f.Value), strings.Clone(f.To) // lets go of the batch
	if !x.yield(f) {
		return errLeft
	}
	return nil
}

func (x *inspector) run(ctx context.Context) error {
	if err := x.whole(ctx); err != nil {
		return err
	}
	tables := append(x.m.schema.Tables(), schema.SourceTable)
	for _, table := range tables {
		if err := x.layout(ctx, table); err != nil {
			return err
		}
	}
	// What refers comes after what is referred to.
	for _, group := range schema.Groups() {
		for _, table := range x.m.schema.TablesOf(group) {
			if x.c.broken[table] {
				continue
			}
			if err := x.rows(ctx, table); err != nil {
				return err
			}
		}
	}
	for _, table := range tables {
		if x.c.broken[table] {
			continue
		}
		left := false
		_, err := x.c.table(ctx, table, func(v Violation, _ error) bool {
			f := Finding{Kind: FindingKind(v.Check), Severity: SeverityError, Table: v.Table, ID: v.ID, Field: v.Field, Value: v.Value, To: v.To}
			_, f.Text, _ = strings.Cut(v.String(), ": ")
			f.Text = strings.TrimPrefix(f.Text, v.Field+": ")
			if v.Check != RefID || len(x.c.ids[v.To]) > 0 { // all rows of a table are more than a mistake of one reference
				f.Repair = repairOf(v)
			}
			left = x.found(f) != nil
			return !left
		})
		if left {
			return errLeft
		}
		if err != nil {
			if err := x.unreadable(ctx, table, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// repairOf says what is done about a violation.
func repairOf(v Violation) string {
	switch {
	case v.Check == DefinedID:
		return "give the row an id"
	case v.Check == UniqueID:
		return "keep the row that was updated last under the id, and the others, if they differ, under new ids"
	case v.Field == "item_ref" && v.Check == RefID:
		return "delete the row, whose item is gone"
	}
	return "empty the reference"
}

// unreadable reports a table that cannot be read, unless the error is of another kind.
func (x *inspector) unreadable(ctx context.Context, table string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrClosed) {
		return err
	}
	f := Finding{Kind: FoundUnreadable, Severity: SeverityError, Table: table, Text: reason(err)}
	x.c.broken[table] = true
	switch {
	case strings.Contains(f.Text, "children have differing lengths"):
		f.Kind = FoundStruct
		f.Text = "an old Python wrote a part of a table, and gave the columns inside of a struct the length of the whole: " + f.Text
		if files, err := x.d.repairStructs(ctx, table, true); err == nil && len(files) > 0 {
			f.Repair = "cut them to the length of the struct, as old Pythons read them; if the part did not begin with the first row, " +
				"they are those of other rows there too. The files as they were stay in " + tornFolder
		}
	case errors.Is(err, fs.ErrNotExist) && !exists(x.d.path, "db", table+".lance"):
		f.Kind, f.Text, f.Repair = FoundNoTable, "schema.json declares the table, and db/"+table+".lance is not there", "make the table, without rows"
	}
	return x.found(f)
}

// reason is an error without its place.
func reason(err error) string {
	for {
		e, ok := err.(*Error)
		if !ok {
			break
		}
		err = e.Err
	}
	if e, ok := err.(*lance.Error); ok {
		return e.Message
	}
	return err.Error()
}

// many is the number of old versions, or of small files, from which they are worth a finding.
const many = 100

// layout looks at a table without reading its rows.
func (x *inspector) layout(ctx context.Context, table string) error {
	if err := x.c.errs[table]; err != nil {
		return x.unreadable(ctx, table, err)
	}
	class, _ := x.m.schema.Class(table)
	var columns *arrow.Schema
	var info lance.TableInfo
	var versions []lance.Version
	var indexes []lance.IndexInfo
	var tags map[string]lance.Tag
	err := x.d.read(ctx, "inspect", func(v *view) error {
		t, done, err := v.tableAt(ctx, table, x.c.versions[table])
		if err != nil {
			return err
		}
		defer done()
		if columns, err = t.Schema(ctx); err != nil {
			return err
		}
		if info, err = t.Info(ctx, false); err != nil {
			return err
		}
		if versions, err = t.Versions(ctx); err != nil {
			return err
		}
		if !x.opts.PythonCompat {
			return nil
		}
		if indexes, err = t.Indexes(ctx); err != nil {
			return err
		}
		tags, err = t.Tags(ctx)
		return err
	})
	if err != nil {
		return x.unreadable(ctx, table, err)
	}
	if err := sameAsClass(columns, class); err != nil {
		x.c.broken[table] = true
		if err := x.found(Finding{Kind: FoundColumns, Severity: SeverityError, Table: table, Text: reason(err)}); err != nil {
			return err
		}
	}
	if len(versions) > many {
		f := Finding{Kind: FoundVersions, Severity: SeverityInfo, Table: table, Repair: "remove old versions and join small files",
			Text: fmt.Sprintf("%d versions, the oldest of %s", len(versions), versions[0].Timestamp.Format(time.DateTime))}
		if err := x.found(f); err != nil {
			return err
		}
	}
	if info.SmallFiles > many || info.DeletedRows > info.Rows && info.DeletedRows > many {
		f := Finding{Kind: FoundFragments, Severity: SeverityInfo, Table: table, Repair: "join small files and drop deleted rows",
			Text: fmt.Sprintf("%d small files, %d deleted rows beside %d", info.SmallFiles, info.DeletedRows, info.Rows)}
		if err := x.found(f); err != nil {
			return err
		}
	}
	if !x.opts.PythonCompat {
		return nil
	}
	return x.compat(table, class, columns, info, indexes, tags)
}

// compat looks for what keeps old releases in Python from reading or writing a table.
func (x *inspector) compat(table string, class *schema.Class, columns *arrow.Schema, info lance.TableInfo, indexes []lance.IndexInfo, tags map[string]lance.Tag) error {
	var found []Finding
	add := func(kind FindingKind, field, value, text, repair string) {
		found = append(found, Finding{Kind: kind, Severity: SeverityWarning, Table: table, Field: field, Value: value, Text: text, Repair: repair})
	}
	switch info.StorageVersion {
	case "2.0", "0.1", "legacy":
	case "2.1":
		add(FoundStorage, "", info.StorageVersion, "storage version 2.1: Pixano 0.6.12 (lancedb 0.17) cannot read the table", "")
	default:
		add(FoundStorage, "", info.StorageVersion, "storage version "+info.StorageVersion+": lancedb 0.17 and 0.29 cannot read the table", "")
	}
	for _, index := range indexes {
		add(FoundIndex, strings.Join(index.Columns, ", "), index.Name, fmt.Sprintf("index %q of type %s: lancedb 0.17 cannot write to the table", index.Name, index.Type), "drop the index")
	}
	for tag, of := range tags {
		add(FoundTag, "", tag, fmt.Sprintf("tag %q of version %d: lancedb 0.17 cannot remove old versions of the table", tag, of.Version), "")
	}
	want, err := tableColumns(class)
	if err == nil {
		for i, f := range columns.Fields() {
			if i < want.NumFields() && want.Field(i).Name == f.Name && (f.Nullable != want.Field(i).Nullable ||
				!arrow.TypeEqual(f.Type, want.Field(i).Type)) {
				add(FoundNullable, f.Name, "", fmt.Sprintf("the column is %s, nullable %v: want %s, nullable %v", f.Type, f.Nullable, want.Field(i).Type, want.Field(i).Nullable), "")
			}
		}
	}
	for _, f := range class.Fields {
		if _, ref := f.Type.RefGroup(); f.Type.Collection && len(f.Type.Fields()) > 0 {
			add(FoundType, f.Name, f.Type.String(), map[bool]string{true: "a list of references", false: "a list of structs"}[ref]+": Pixano 0.6.12 refuses the schema", "")
		}
		if f.Type.ValueType == "halffloat" {
			add(FoundType, f.Name, f.Type.String(), "vectors of half floats: Pixano 0.6.12 cannot read the table", "")
		}
	}
	slices.SortFunc(found, func(a, b Finding) int {
		return strings.Compare(string(a.Kind)+a.Field+a.Value, string(b.Kind)+b.Field+b.Value)
	})
	for _, f := range found {
		if err := x.found(f); err != nil {
			return err
		}
	}
	return nil
}

// rows reads all rows of a table, and looks at each by itself, and at the views and entities that it refers to.
func (x *inspector) rows(ctx context.Context, table string) error {
	class, _ := x.m.schema.Class(table)
	group := class.Group()
	codec, err := rowcodec.ForClass(class)
	if err != nil {
		return err
	}
	p := x.newRowLook(table, class)
	var decoder *rowcodec.Decoder
	var rows []*schema.Dynamic
	for batch, err := range x.c.scan(ctx, table, nil, nil) {
		if err == nil && decoder == nil && group != schema.GroupEmbeddings {
			decoder, err = codec.Decoder(batch.Schema())
		}
		if err != nil {
			return x.unreadable(ctx, table, err)
		}
		if err := p.batch(batch); err != nil {
			return err
		}
		if group == schema.GroupEmbeddings {
			continue // that the vectors can be read is all there is to see
		}
		if rows, err = rowcodec.Append(decoder, rows[:0], batch); err != nil {
			return x.unreadable(ctx, table, err)
		}
		for _, row := range rows {
			if err := p.row(ctx, row); err != nil {
				return err
			}
		}
	}
	if p.keep {
		slices.SortFunc(p.kept, func(a, b owner) int { return cmp.Compare(a.id, b.id) })
		x.owned[table] = p.kept
	}
	return nil
}

// rowLook is what the look at a table's rows needs.
type rowLook struct {
	x     *inspector
	table string
	class *schema.Class
	refs  []string // columns that refer to views or entities

	keep       bool    // the table is one of views or entities
	kept       []owner // its rows
	image, box bool
	mask, url  bool
}

func (x *inspector) newRowLook(table string, class *schema.Class) *rowLook {
	p := &rowLook{x: x, table: table, class: class}
	for _, f := range class.Fields {
		group, ref := f.Type.RefGroup()
		if ref && !f.Type.Collection && (group == schema.GroupViews || group == schema.GroupEntities) {
			p.refs = append(p.refs, f.Name)
		}
	}
	group := class.Group()
	if group == schema.GroupViews || group == schema.GroupEntities {
		p.keep = true
		// Parents may be in the same table, or come after.
		p.refs = slices.DeleteFunc(p.refs, func(name string) bool { return name == "parent_ref" })
	}
	p.image = schema.IsA(class.Base, "Image")
	p.box = schema.IsA(class.Base, "BBox")
	p.mask = schema.IsA(class.Base, "CompressedRLE")
	f, _, ok := class.Field("url")
	p.url = ok && group == schema.GroupViews && f.Type == schema.FieldType{Name: schema.TypeStr}
	return p
}

// batch looks at the references of a batch's rows.
func (p *rowLook) batch(batch arrow.RecordBatch) error {
	_, hasItem, _ := p.class.Field("item_ref")
	if hasItem < 0 {
		return nil // an item, or a source
	}
	ids, err := stringColumn(batch, "id")
	if err != nil {
		return err
	}
	items, err := stringColumn(batch, "item_ref.id")
	if err != nil {
		return err
	}
	type target struct {
		name       string
		tables, to *array.String
	}
	targets := make([]target, len(p.refs))
	for i, name := range p.refs {
		targets[i].name = name
		if targets[i].tables, err = stringColumn(batch, name+".name"); err != nil {
			return err
		}
		if targets[i].to, err = stringColumn(batch, name+".id"); err != nil {
			return err
		}
	}
	var widths, heights *array.Int64
	if p.image {
		widths, _ = columnNamed(batch, "width").(*array.Int64)
		heights, _ = columnNamed(batch, "height").(*array.Int64)
	}
	last, lastHash := "", uint64(0)
	for i := range ids.Len() {
		item := textAt(items, i)
		if item == "" {
			f := Finding{Kind: FoundNoItem, Severity: SeverityWarning, Table: p.table, ID: textAt(ids, i), Field: "item_ref", Text: "the row belongs to no item"}
			if err := p.x.found(f); err != nil {
				return err
			}
		}
		if item != last {
			last, lastHash = item, p.x.hash(item)
		}
		hash := lastHash
		if item == "" {
			hash = 0
		}
		if p.keep {
			o := owner{id: p.x.hash(textAt(ids, i)), item: hash}
			if widths != nil && heights != nil {
				o.width, o.height = size(widths.Value(i)), size(heights.Value(i))
			}
			p.kept = append(p.kept, o)
		}
		for _, to := range targets {
			if hash == 0 {
				continue
			}
			if o, ok := p.x.owner(textAt(to.tables, i), textAt(to.to, i)); ok && o.item != 0 && o.item != hash {
				f := Finding{Kind: FoundOtherItem, Severity: SeverityWarning, Table: p.table, ID: textAt(ids, i), Field: to.name,
					Value: textAt(to.to, i), To: textAt(to.tables, i),
					Text: fmt.Sprintf("%s %q belongs to another item than the row, which is of %q", textAt(to.tables, i), textAt(to.to, i), item)}
				if err := p.x.found(f); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func size(n int64) int32 { return int32(min(max(n, 0), math.MaxInt32)) }

func columnNamed(batch arrow.RecordBatch, name string) arrow.Array {
	if at := batch.Schema().FieldIndices(name); len(at) == 1 {
		return batch.Column(at[0])
	}
	return nil
}

// row looks at the values of a row.
func (p *rowLook) row(ctx context.Context, row *schema.Dynamic) error {
	id, _ := schema.ID(row)
	report := func(kind FindingKind, severity Severity, field, value, text string) error {
		return p.x.found(Finding{Kind: kind, Severity: severity, Table: p.table, ID: id, Field: field, Value: value, Text: text})
	}
	if err := schema.Validate(row); err != nil {
		field, text := "", err.Error()
		if e, ok := errors.AsType[*schema.Error](err); ok {
			field, text = e.Field, fmt.Sprintf("%v: %s", e.Value, e.Rule)
			if e.Value == nil {
				text = e.Rule
			}
		}
		if err := report(FoundValue, SeverityWarning, field, "", text); err != nil {
			return err
		}
	}
	outside := false
	if p.box || p.mask {
		var err error
		if outside, err = p.inImage(row, report); err != nil {
			return err
		}
	}
	doubts, err := schema.Warnings(row)
	if err != nil {
		return err
	}
	for _, doubt := range doubts {
		if outside && doubt.Field == "coords" {
			continue // the same once more
		}
		if err := report(FoundDoubtful, SeverityInfo, doubt.Field, "", fmt.Sprintf("%v: %s", doubt.Value, doubt.Rule)); err != nil {
			return err
		}
	}
	if !p.url || !p.x.opts.Media {
		return ctx.Err()
	}
	v, _ := row.Get("url")
	url, _ := v.(string)
	if url == "" {
		return nil
	}
	m, err := p.x.d.OpenMedia(url)
	if err == nil {
		return m.Close()
	}
	if errors.Is(err, ErrUnsupported) {
		return nil // remote
	}
	return report(FoundMedia, SeverityWarning, "url", url, reason(err))
}

// boxTolerance is how far a box may reach out of its image, in parts of its size: rounding, not a mistake.
const boxTolerance = 1e-6

// inImage looks whether a box or a mask fits its image, and reports whether a box does not.
func (p *rowLook) inImage(row *schema.Dynamic, report func(kind FindingKind, severity Severity, field, value, text string) error) (bool, error) {
	v, _ := row.Get("view_ref")
	to := refOf(v)
	image, ok := p.x.owner(to.table, to.id)
	sized := ok && image.width > 0 && image.height > 0
	if p.mask {
		v, _ := row.Get("size")
		if have, _ := v.([]int64); sized && len(have) == 2 && (have[0] != int64(image.height) || have[1] != int64(image.width)) && have[0]*have[1] != 0 {
			return false, report(FoundMaskSize, SeverityWarning, "size", fmt.Sprint(have),
				fmt.Sprintf("%d × %d: the image is %d × %d wide and high", have[1], have[0], image.width, image.height))
		}
		return false, nil
	}
	v, _ = row.Get("coords")
	c, _ := v.([]float64)
	if len(c) != 4 {
		return false, nil // said already
	}
	format, _ := row.Get("format")
	normalized, _ := row.Get("is_normalized")
	right, bottom := c[2], c[3]
	if format == "xywh" {
		right, bottom = c[0]+c[2], c[1]+c[3]
	}
	width, height, of := 1.0, 1.0, "1 × 1"
	if normalized != true {
		if !sized {
			return false, nil
		}
		width, height, of = float64(image.width), float64(image.height), fmt.Sprintf("%d × %d", image.width, image.height)
	}
	tolerance := func(size float64) float64 { return size * boxTolerance }
	if c[0] < -tolerance(width) || c[1] < -tolerance(height) || right > width+tolerance(width) || bottom > height+tolerance(height) {
		return true, report(FoundOutside, SeverityWarning, "coords", fmt.Sprint(c), fmt.Sprintf("the box %v (%v) reaches out of the image of %s", c, format, of))
	}
	return false, nil
}

// whole looks at the dataset's files.
func (x *inspector) whole(ctx context.Context) error {
	d := x.d
	var found []Finding
	add := func(kind FindingKind, severity Severity, field, text, repair string) {
		found = append(found, Finding{Kind: kind, Severity: severity, Field: field, Text: text, Repair: repair})
	}
	if d.unfinishedColumns() {
		add(FoundUnfinished, SeverityWarning, privateFolder+"/"+columnsFile, "a change of columns was cut off", "complete it")
	}
	if d.unfinishedBuilds() {
		add(FoundUnfinished, SeverityWarning, buildsFolder, "rows of a build are not yet in their tables", "complete it")
	}
	if exists(d.path, filepath.FromSlash(logFolder)) {
		if d.unfinished() {
			add(FoundUnfinished, SeverityWarning, logFolder, "the last changes may not be in all tables", "complete them")
		}
		l := &changeLog{dir: filepath.Join(d.path, filepath.FromSlash(logFolder))}
		err := l.after(0, func(*entry) error { return ctx.Err() })
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && !errors.Is(err, errTorn) { // a torn end is one that is being written, or was never acknowledged
			add(FoundLog, SeverityError, logFolder, reason(err), "")
		}
	}
	names, err := d.db.TableNames(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		add(FoundUnreadable, SeverityError, "db", reason(err), "")
	}
	for _, name := range names {
		if _, ok := x.m.schema.Class(name); !ok {
			add(FoundUndeclared, SeverityWarning, "db/"+name+".lance", "schema.json lists no such table", "")
		}
	}
	for _, dir := range []string{"", privateFolder} {
		files, _ := os.ReadDir(filepath.Join(d.path, dir))
		for _, f := range files {
			if info, err := f.Info(); isLeftover(f.Name()) && err == nil && time.Since(info.ModTime()) > leftoverAge {
				add(FoundLeftover, SeverityInfo, filepath.ToSlash(filepath.Join(dir, f.Name())), "a file whose write was cut off", "remove it")
			}
		}
	}
	if torn, _ := os.ReadDir(filepath.Join(d.path, filepath.FromSlash(tornFolder))); len(torn) > 0 {
		add(FoundLeftover, SeverityInfo, tornFolder, fmt.Sprintf("%d versions of tables that a power cut left incomplete; their changes were made again", len(torn)), "")
	}
	for table, list := range x.m.constraints {
		class, ok := x.m.schema.Class(table)
		for _, c := range list {
			if !ok {
				add(FoundConstraint, SeverityWarning, constraintsFile, fmt.Sprintf("a constraint of the table %s, which is not there", table), "")
			} else if _, _, ok := class.Field(c.Name); !ok {
				add(FoundConstraint, SeverityWarning, constraintsFile, fmt.Sprintf("a constraint of the column %s of %s, which is not there", c.Name, table), "")
			}
		}
	}
	if x.opts.PythonCompat {
		if !exists(d.files, constraintsFile) {
			add(FoundFile, SeverityWarning, constraintsFile, "the file is missing: Pixano 0.6.12 does not open the dataset", "write an empty one")
		}
		if missing := groupsMissing(d.files); missing != "" {
			add(FoundFile, SeverityWarning, "schema.json", missing+": Pixano 0.6.12 does not open the dataset", "write the groups")
		}
	}
	slices.SortStableFunc(found, func(a, b Finding) int { return strings.Compare(a.Field, b.Field) })
	for _, f := range found {
		if err := x.found(f); err != nil {
			return err
		}
	}
	return nil
}

// leftoverAge is how old a temporary file must be to belong to no write that is running.
const leftoverAge = time.Hour

// isLeftover reports whether a file is one of writeFile's before it gets its name.
func isLeftover(name string) bool {
	return strings.HasPrefix(name, ".") && strings.HasSuffix(name, ".tmp")
}

// groupsMissing says what schema.json lacks of the groups that the reference implementation wants; "" for nothing.
func groupsMissing(path string) string {
	text, err := os.ReadFile(filepath.Join(path, "schema.json"))
	if err != nil {
		return ""
	}
	var file struct {
		Groups map[string]json.RawMessage `json:"groups"`
	}
	if json.Unmarshal(text, &file) != nil {
		return ""
	}
	for _, group := range schema.Groups() {
		if _, ok := file.Groups[string(group)]; !ok && group != schema.GroupSource {
			return fmt.Sprintf("the group %q is missing", group)
		}
	}
	return ""
}
