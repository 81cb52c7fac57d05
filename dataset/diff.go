package dataset

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"iter"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"pixano/internal/lance"
	"pixano/internal/rowcodec"
	"pixano/schema"
)

// Difference is what differs between two states of a dataset. It keeps the versions that it compared open: close it.
type Difference struct {
	From, To string // names of snapshots; "" is the present

	// Tables are the tables of either, in the order of the newer schema. Those without a difference are listed, too.
	Tables []TableDifference

	from, to *side
	rows     map[string]tableRows
}

// TableDifference counts the rows of a table that differ.
type TableDifference struct {
	Table   string `json:"table"`
	Added   int64  `json:"added"`
	Changed int64  `json:"changed"`
	Removed int64  `json:"removed"`
	Same    int64  `json:"same"`

	// AddedColumns and RemovedColumns are columns of one state only. They make no row a changed one.
	AddedColumns   []string `json:"added_columns,omitempty"`
	RemovedColumns []string `json:"removed_columns,omitempty"`
}

// tableRows are the addresses of rows that differ.
type tableRows struct {
	removed, added []uint64
	changed        [][2]uint64
	repeated       *repeatedID // the first one that is stored several times and differs; nil: none
}

// repeatedID are the rows of an id in either state.
type repeatedID struct {
	times    int
	old, now []hashedRow
}

// ofID returns the rows of an id, with which the list begins.
func ofID(rows []hashedRow, id [2]uint64) []hashedRow {
	n := 0
	for n < len(rows) && rows[n].id == id {
		n++
	}
	return rows[:n]
}

// side is one of the states that are compared.
type side struct {
	schema *schema.DatasetSchema
	tables map[string]*lance.Table // each stays at its version
}

func (s *side) close() error {
	var errs []error
	for _, t := range s.tables {
		errs = append(errs, t.Close())
	}
	return errors.Join(errs...)
}

// Diff compares two states of the dataset: snapshots, or the present, which is "". Counts come first; the rows are read by
// [Difference.Rows].
//
// Rows are compared by their ids and all columns but created_at and updated_at. A row whose id is stored several times is
// compared in storage order. It takes one scan of the tables whose versions differ, and 32 bytes of memory for each of
// their rows.
func (d *Dataset) Diff(ctx context.Context, from, to string) (*Difference, error) {
	op := fmt.Sprintf("diff %s %s", orNow(from), orNow(to))
	diff := &Difference{From: from, To: to, rows: map[string]tableRows{}}
	var err error
	if diff.from, err = d.side(ctx, from); err != nil {
		return nil, at(op, "", err)
	}
	if diff.to, err = d.side(ctx, to); err == nil {
		err = diff.compare(ctx)
	}
	if err != nil {
		diff.Close()
		return nil, at(op, "", err)
	}
	return diff, nil
}

func orNow(snapshot string) string { return cmp.Or(snapshot, "now") }

// Close gives the versions back.
func (f *Difference) Close() error {
	var errs []error
	for _, s := range []*side{f.from, f.to} {
		if s != nil {
			errs = append(errs, s.close())
		}
	}
	return errors.Join(errs...)
}

// Empty reports whether no row differs.
func (f *Difference) Empty() bool {
	return !slices.ContainsFunc(f.Tables, func(t TableDifference) bool { return t.Added+t.Changed+t.Removed > 0 })
}

// side opens a state: that of a snapshot, or the present for "".
func (d *Dataset) side(ctx context.Context, name string) (*side, error) {
	if name == "" {
		var s *side
		err := d.read(ctx, "diff", func(v *view) (err error) {
			s, err = v.side(ctx)
			return err
		})
		return s, err
	}
	past, err := d.At(ctx, name)
	if err != nil {
		return nil, err
	}
	defer past.Close()
	var s *side
	err = past.read(ctx, "diff", func(v *view) (err error) {
		s, err = v.side(ctx)
		return err
	})
	return s, err
}

// side opens the tables that a view sees.
func (v *view) side(ctx context.Context) (*side, error) {
	m := v.d.meta.Load()
	if m.schema == nil {
		return nil, ErrUnsupported
	}
	s := &side{m.schema, map[string]*lance.Table{}}
	for _, info := range m.tables {
		t, err := v.table(ctx, info.Name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // declared, and never made
		}
		var version uint64
		if err == nil {
			version, err = t.Version(ctx)
		}
		if err == nil {
			t, err = v.ownTable(ctx, info.Name, version)
		}
		if err != nil {
			s.close()
			return nil, err
		}
		s.tables[info.Name] = t
	}
	return s, nil
}

// compare counts what differs.
func (f *Difference) compare(ctx context.Context) error {
	names := append(f.to.schema.Tables(), schema.SourceTable)
	for _, name := range f.from.schema.Tables() {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	seed := maphash.MakeSeed()
	for _, name := range names {
		counts, err := f.compareTable(ctx, name, seed)
		if err != nil {
			return &Error{Table: name, Err: err}
		}
		f.Tables = append(f.Tables, counts)
	}
	return nil
}

func (f *Difference) compareTable(ctx context.Context, name string, seed maphash.Seed) (TableDifference, error) {
	counts := TableDifference{Table: name}
	old, oldThere := f.from.schema.Class(name)
	now, nowThere := f.to.schema.Class(name)
	a, b := f.from.tables[name], f.to.tables[name]
	columns := []string{}
	if oldThere && nowThere {
		for _, field := range now.Fields {
			if _, _, ok := old.Field(field.Name); !ok {
				counts.AddedColumns = append(counts.AddedColumns, field.Name)
			} else if !isTime(field.Name) && field.Name != "id" {
				columns = append(columns, field.Name)
			}
		}
		for _, field := range old.Fields {
			if _, _, ok := now.Field(field.Name); !ok {
				counts.RemovedColumns = append(counts.RemovedColumns, field.Name)
			}
		}
	}
	if a != nil && b != nil {
		before, err := a.Version(ctx)
		if err != nil {
			return counts, err
		}
		after, err := b.Version(ctx)
		if err != nil {
			return counts, err
		}
		if before == after {
			counts.Same, err = a.Count(ctx, "")
			return counts, err
		}
	}
	from, err := hashTable(ctx, a, columns, seed)
	if err != nil {
		return counts, err
	}
	to, err := hashTable(ctx, b, columns, seed)
	if err != nil {
		return counts, err
	}
	var rows tableRows
	for i, j := 0, 0; i < len(from) || j < len(to); {
		// Rows of one id are compared in their order.
		id := [2]uint64{}
		if j == len(to) || i < len(from) && slices.Compare(from[i].id[:], to[j].id[:]) < 0 {
			id = from[i].id
		} else {
			id = to[j].id
		}
		old, now := ofID(from[i:], id), ofID(to[j:], id)
		i, j = i+len(old), j+len(now)
		same := 0
		for k := range min(len(old), len(now)) {
			if old[k].content == now[k].content {
				same++
			} else {
				rows.changed = append(rows.changed, [2]uint64{old[k].row, now[k].row})
			}
		}
		for _, row := range old[min(len(old), len(now)):] {
			rows.removed = append(rows.removed, row.row)
		}
		for _, row := range now[min(len(old), len(now)):] {
			rows.added = append(rows.added, row.row)
		}
		counts.Same += int64(same)
		if max(len(old), len(now)) > 1 && (same < len(old) || same < len(now)) && rows.repeated == nil {
			rows.repeated = &repeatedID{max(len(old), len(now)), old, now}
		}
	}
	slices.Sort(rows.removed)
	slices.Sort(rows.added)
	slices.SortFunc(rows.changed, func(a, b [2]uint64) int { return cmp.Compare(a[1], b[1]) })
	counts.Added, counts.Changed, counts.Removed = int64(len(rows.added)), int64(len(rows.changed)), int64(len(rows.removed))
	f.rows[name] = rows
	return counts, nil
}

// hashedRow is what is kept of a row to compare it: hashes of its id, the second one seeded with the first, and of its columns.
type hashedRow struct {
	id      [2]uint64
	content uint64
	row     uint64 // its address
}

// hashTable reads columns of all rows of a table, nil for none, sorted by id.
func hashTable(ctx context.Context, t *lance.Table, columns []string, seed maphash.Seed) ([]hashedRow, error) {
	if t == nil {
		return nil, nil
	}
	var rows []hashedRow
	var b []byte
	for batch, err := range t.Batches(ctx, lance.Query{Columns: append([]string{"id"}, columns...), WithRowID: true}) {
		if err != nil {
			return nil, err
		}
		ids, err := stringColumn(batch, "id")
		if err != nil {
			return nil, err
		}
		addresses, err := addressColumn(batch)
		if err != nil {
			return nil, err
		}
		values := make([]valueAppender, len(columns))
		for i, name := range columns {
			at := batch.Schema().FieldIndices(name)
			if len(at) != 1 {
				return nil, schemaError("no column %s", name)
			}
			values[i] = valueBytes(batch.Column(at[0]))
		}
		rows = slices.Grow(rows, len(addresses))
		for i, address := range addresses {
			b = b[:0]
			for _, value := range values {
				b = value(b, i)
			}
			id := ids.Value(i)
			content := maphash.Bytes(seed, b)
			first := maphash.String(seed, id)
			b = append(append(b[:0], "second"...), id...)
			rows = append(rows, hashedRow{[2]uint64{first, maphash.Bytes(seed, b)}, content, address})
		}
	}
	slices.SortFunc(rows, func(a, b hashedRow) int {
		return cmp.Or(cmp.Compare(a.id[0], b.id[0]), cmp.Compare(a.id[1], b.id[1]), cmp.Compare(a.row, b.row))
	})
	return rows, nil
}

func addressColumn(batch arrow.RecordBatch) ([]uint64, error) {
	at := batch.Schema().FieldIndices("_rowid")
	if len(at) == 1 {
		if column, ok := batch.Column(at[0]).(*array.Uint64); ok {
			return column.Uint64Values(), nil
		}
	}
	return nil, errors.New("a read with row addresses has none")
}

// Rows reads the rows that differ, of all tables or of those named: of each table those that were removed, those that
// were changed, and those that were added, each in storage order. An error is the last pair.
func (f *Difference) Rows(ctx context.Context, tables ...string) iter.Seq2[RowChange, error] {
	return func(yield func(RowChange, error) bool) {
		for _, table := range f.Tables {
			if len(tables) > 0 && !slices.Contains(tables, table.Table) {
				continue
			}
			for c, err := range f.tableRows(ctx, table.Table) {
				if err != nil {
					err = at("diff", table.Table, err)
				}
				if !yield(c, err) || err != nil {
					return
				}
			}
		}
	}
}

const diffChunk = 1024 // rows that are read by their addresses at once

func (f *Difference) tableRows(ctx context.Context, table string) iter.Seq2[RowChange, error] {
	return func(yield func(RowChange, error) bool) {
		rows := f.rows[table]
		for chunk := range slices.Chunk(rows.removed, diffChunk) {
			before, err := f.from.read(ctx, table, chunk)
			if !giveRows(table, Deleted, before, nil, err, yield) {
				return
			}
		}
		for chunk := range slices.Chunk(rows.changed, diffChunk) {
			at := [2][]uint64{}
			for _, pair := range chunk {
				at[0], at[1] = append(at[0], pair[0]), append(at[1], pair[1])
			}
			before, err := f.from.read(ctx, table, at[0])
			var after []*schema.Dynamic
			if err == nil {
				after, err = f.to.read(ctx, table, at[1])
			}
			if !giveRows(table, Updated, before, after, err, yield) {
				return
			}
		}
		for chunk := range slices.Chunk(rows.added, diffChunk) {
			after, err := f.to.read(ctx, table, chunk)
			if !giveRows(table, Added, nil, after, err, yield) {
				return
			}
		}
	}
}

// giveRows yields rows before and after; an empty list has none of them.
func giveRows(table string, outcome Outcome, before, after []*schema.Dynamic, err error, yield func(RowChange, error) bool) bool {
	if err != nil {
		yield(RowChange{}, err)
		return false
	}
	for i := range max(len(before), len(after)) {
		c := RowChange{Table: table, Outcome: outcome}
		for _, side := range []struct {
			rows []*schema.Dynamic
			to   *[]byte
		}{{before, (*[]byte)(&c.Before)}, {after, (*[]byte)(&c.After)}} {
			if side.rows == nil {
				continue
			}
			text, err := schema.EncodeJSON(side.rows[i])
			if err != nil {
				yield(RowChange{}, err)
				return false
			}
			*side.to = text
			c.ID, _ = schema.ID(side.rows[i])
		}
		if !yield(c, nil) {
			return false
		}
	}
	return true
}

// read reads rows by their addresses, in this order.
func (s *side) read(ctx context.Context, table string, rows []uint64) ([]*schema.Dynamic, error) {
	class, _ := s.schema.Class(table)
	codec, err := rowcodec.ForClass(class)
	if err != nil {
		return nil, err
	}
	var found []*schema.Dynamic
	var decoder *rowcodec.Decoder
	for batch, err := range s.tables[table].Batches(ctx, lance.Query{RowIDs: rows, Columns: codec.Columns()}) {
		if err == nil && decoder == nil {
			decoder, err = codec.Decoder(batch.Schema())
		}
		if err == nil {
			found, err = rowcodec.Append(decoder, found, batch)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(found) != len(rows) {
		return nil, &kindError{ErrCorrupt, fmt.Sprintf("%d of %d rows are there", len(found), len(rows)), nil}
	}
	return found, nil
}

// Restore makes the rows of all tables those of a snapshot again, by one change set: rows that are missing or differ are
// stored as they were, with their time of creation, and rows that were added are deleted. It is kept in the history, so it can be
// undone.
//
// Tables and columns of today stay: those that the snapshot lacks are left alone, or have their defaults in rows that
// come back. JSON files and media are not restored. Rows are neither validated nor checked, since they were there before. No
// other change comes between. A result without a number says that nothing differed.
//
// Errors: ErrNotFound without a snapshot of this name, ErrSchema if rows of it do not fit their table any more; those of
// Apply.
func (d *Dataset) Restore(ctx context.Context, name string, by By) (*Result, error) {
	op := "restore " + name
	if _, err := readSnapshot(d.path, name); err != nil {
		return nil, at(op, "", err)
	}
	return d.unchecked().submit(ctx, &request{op: op, author: by.Author, key: by.Key, restores: name,
		prepare: func(ctx context.Context, a *attempt, r *request) error { return a.restore(ctx, d, r, name) }}, nil)
}

// restore makes the steps of a request that brings a snapshot back.
func (a *attempt) restore(ctx context.Context, d *Dataset, r *request, name string) error {
	past, err := d.side(ctx, name)
	if err != nil {
		return err
	}
	now := &side{a.m.schema, map[string]*lance.Table{}}
	diff := &Difference{To: name, from: now, to: past, rows: map[string]tableRows{}}
	defer past.close()
	for table := range past.tables {
		if _, ok := a.m.schema.Class(table); !ok {
			continue // it was dropped since
		}
		seen, err := a.table(ctx, table)
		if err != nil {
			return err
		}
		now.tables[table] = seen.t // at the version that the attempt is about
	}
	seed := maphash.MakeSeed()
	for _, table := range append(a.m.schema.Tables(), schema.SourceTable) {
		if past.tables[table] == nil {
			continue
		}
		if _, err := diff.compareTable(ctx, table, seed); err != nil {
			return &Error{Table: table, Err: err}
		}
		class, _ := a.m.schema.Class(table)
		if r := diff.rows[table].repeated; r != nil {
			return diff.repeatedError(ctx, table, r)
		}
		for c, err := range diff.tableRows(ctx, table) {
			if err != nil {
				return &Error{Table: table, Err: err}
			}
			if c.After == nil {
				r.steps = append(r.steps, step{op: opDelete, table: table, class: class, given: given{id: c.ID}})
				continue
			}
			step, err := storedStep(table, c.ID, class, c.After)
			if err != nil {
				return err
			}
			r.steps = append(r.steps, step)
		}
	}
	return nil
}

// repeatedError names a row that a change set cannot store, since it finds rows by their ids.
func (f *Difference) repeatedError(ctx context.Context, table string, r *repeatedID) error {
	side, rows := f.from, r.old
	if len(rows) == 0 {
		side, rows = f.to, r.now
	}
	found, err := side.read(ctx, table, []uint64{rows[0].row})
	if err != nil {
		return &Error{Table: table, Err: err}
	}
	id, _ := schema.ID(found[0])
	return &Error{Table: table, ID: id, Err: &kindError{ErrIntegrity,
		fmt.Sprintf("the id is stored %d times and differs: want it once, delete or rename the others first", r.times), nil}}
}
