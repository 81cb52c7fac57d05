package dataset

import (
	"context"
	"hash/maphash"
	"iter"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"pixano/internal/lance"
)

// Check makes the integrity checks of all tables that schema.json lists, and yields the rows that fail one: at most one
// violation for each row, tables in the order of the schema, rows in storage order. An error is the last pair; leaving
// the loop ends the check, and ranging again checks again. Checks.Ignore of the handle names checks that are not made,
// see [Dataset.WithChecks]; its Mode makes no difference.
//
// All tables are seen in one state, whatever is written meanwhile. Ids and references are read as a stream; what stays
// in memory are 8 bytes for each row of the tables checked and of those that they refer to, and 16 more for each id
// that is there more than once: 64-bit hashes of the ids, with another seed in each run. No violation is false, since
// ids with equal hashes are compared. A reference to a row that is not there is overlooked if its hash is that of a row
// that is, which has a probability of n/2^64 in a table of n rows: 3 in 10^13 for 5,000,000.
//
// A table that cannot be read, whether it is checked or referred to, ends the check with an error. So does the removal
// of old versions, see Optimize, if it meets those that are being read. In the record layout the error is
// ErrUnsupported.
func (d *Dataset) Check(ctx context.Context) iter.Seq2[Violation, error] {
	return d.check(ctx, nil, nil)
}

// CheckTable makes the integrity checks of one table, which may be "source", as [Dataset.Check] does of all. An unknown
// table is ErrNotFound.
func (d *Dataset) CheckTable(ctx context.Context, table string) iter.Seq2[Violation, error] {
	return d.check(ctx, []string{table}, nil)
}

// CheckIntegrity returns the violations of some tables, of all that schema.json lists if none is named; at most limit of
// them if it is above 0. It is [Dataset.Check] where one cannot range over functions, as in notebooks. No error means
// that the check was made, not that nothing was found.
func (d *Dataset) CheckIntegrity(ctx context.Context, limit int, tables ...string) ([]Violation, error) {
	var found []Violation
	for v, err := range d.check(ctx, tables, nil) {
		if err != nil {
			return nil, err
		}
		if found = append(found, v); len(found) == limit {
			break
		}
	}
	return found, nil
}

// suspectIDs is how many ids with equal hashes are compared in one read of a table, which bounds the memory for them.
const suspectIDs = 1 << 17

// checker checks tables as they were when it was made.
type checker struct {
	d        *Dataset
	m        *meta
	hash     func(id string) uint64
	versions map[string]uint64
	errs     map[string]error    // of tables that could not be opened
	ids      map[string][]uint64 // per table the hashes of its ids, sorted
	broken   map[string]bool     // tables that cannot be read, which references may lead to; nil: they end the check
}

// check checks tables, nil for all. hash replaces the hash of ids in tests.
func (d *Dataset) check(ctx context.Context, tables []string, hash func(string) uint64) iter.Seq2[Violation, error] {
	return func(yield func(Violation, error) bool) {
		c, err := d.newChecker(ctx, hash)
		if err != nil {
			yield(Violation{}, err)
			return
		}
		names := tables
		if len(names) == 0 {
			names = c.m.schema.Tables()
		}
		for _, name := range names {
			if _, ok := c.m.schema.Class(name); !ok {
				yield(Violation{}, at("check", name, c.m.noTable()))
				return
			}
		}
		for _, name := range names {
			more, err := c.table(ctx, name, yield)
			if err != nil {
				yield(Violation{}, placed("check", name, err))
			}
			if err != nil || !more {
				return
			}
		}
	}
}

// newChecker notes the versions of all tables.
func (d *Dataset) newChecker(ctx context.Context, hash func(string) uint64) (*checker, error) {
	if err := d.checks.validate(); err != nil {
		return nil, at("check", "", err)
	}
	if hash == nil {
		seed := maphash.MakeSeed()
		hash = func(id string) uint64 { return maphash.String(seed, id) }
	}
	c := &checker{
		d: d, m: d.meta.Load(), hash: hash,
		versions: map[string]uint64{}, errs: map[string]error{}, ids: map[string][]uint64{},
	}
	if c.m.schema == nil {
		return nil, at("check", "", &kindError{ErrUnsupported,
			"integrity checks are those of the item layout: the dataset has the record layout", nil})
	}
	return c, d.read(ctx, "check", func(v *view) error {
		for _, info := range c.m.tables {
			t, err := v.table(ctx, info.Name)
			if err == nil {
				c.versions[info.Name], err = t.Version(ctx)
			}
			c.errs[info.Name] = err // it matters if the table is needed
		}
		return nil
	})
}

// scan reads columns of a table at its version, nil for all. start, if it is not nil, is told the number of rows before.
func (c *checker) scan(ctx context.Context, table string, columns []string, start func(rows int64)) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		var rows int64
		// Each time anew, since the shared handle may move on between two queries.
		at := func(use func(t *lance.Table) error) error {
			return c.d.read(ctx, "check", func(v *view) error {
				t, done, err := v.tableAt(ctx, table, c.versions[table])
				if err != nil {
					return err
				}
				defer done()
				return use(t)
			})
		}
		err := c.errs[table]
		if err == nil {
			err = at(func(t *lance.Table) (err error) {
				rows, err = t.Count(ctx, "")
				return err
			})
		}
		if err != nil {
			yield(nil, placed("check", table, err))
			return
		}
		if start != nil {
			start(rows)
		}
		query := func(q lance.Query) (reader *lance.Reader, err error) {
			err = at(func(t *lance.Table) (err error) {
				reader, err = t.Query(ctx, q)
				return err
			})
			return reader, err
		}
		for batch, err := range inParts(ctx, lance.Query{Columns: columns}, rows, query) {
			if err != nil {
				err = placed("check", table, err)
			}
			if !yield(batch, err) {
				return
			}
		}
	}
}

// eachID calls a function for the ids of a table.
func (c *checker) eachID(ctx context.Context, table string, start func(rows int64), each func(id string)) error {
	for batch, err := range c.scan(ctx, table, []string{"id"}, start) {
		if err != nil {
			return err
		}
		column, err := stringColumn(batch, "id")
		if err != nil {
			return at("check", table, err)
		}
		for i := range column.Len() {
			each(textAt(column, i))
		}
	}
	return nil
}

// textAt returns a text of a column, an empty one for null.
func textAt(column *array.String, i int) string {
	if column.IsNull(i) {
		return ""
	}
	return column.Value(i)
}

// hashes returns the sorted hashes of a table's ids.
func (c *checker) hashes(ctx context.Context, table string) ([]uint64, error) {
	if ids, ok := c.ids[table]; ok {
		return ids, nil
	}
	var ids []uint64
	err := c.eachID(ctx, table,
		func(rows int64) { ids = make([]uint64, 0, rows) },
		func(id string) { ids = append(ids, c.hash(id)) })
	if err != nil {
		return nil, err
	}
	slices.Sort(ids)
	c.ids[table] = ids
	return ids, nil
}

// repeats are the ids that a table has more than once.
type repeats struct {
	hashes []uint64        // sorted; all ids with one of them are the same
	ids    map[string]bool // whose hashes other ids have too
}

func (r repeats) has(id string, hash func(string) uint64) bool {
	if len(r.hashes) > 0 {
		if _, found := slices.BinarySearch(r.hashes, hash(id)); found {
			return true
		}
	}
	return r.ids[id]
}

// repeats finds the ids that a table has more than once: those of equal hashes are read again and compared.
func (c *checker) repeats(ctx context.Context, table string) (repeats, error) {
	hashes, err := c.hashes(ctx, table)
	if err != nil {
		return repeats{}, err
	}
	var suspects []uint64
	for i := 1; i < len(hashes); i++ {
		if hashes[i] == hashes[i-1] && (i == 1 || hashes[i] != hashes[i-2]) {
			suspects = append(suspects, hashes[i])
		}
	}
	r := repeats{ids: map[string]bool{}}
	for part := range slices.Chunk(suspects, suspectIDs) {
		first := make([]string, len(part)) // the first id of each hash
		seen, again := make([]bool, len(part)), make([]bool, len(part))
		others := map[int]map[string]bool{} // further ids of a hash, and whether they are there again
		err := c.eachID(ctx, table, nil, func(id string) {
			i, suspect := slices.BinarySearch(part, c.hash(id))
			switch {
			case !suspect:
			case !seen[i]:
				seen[i], first[i] = true, strings.Clone(id) // else it would keep the batch
			case first[i] == id:
				again[i] = true
			default:
				if others[i] == nil {
					others[i] = map[string]bool{}
				}
				_, more := others[i][id]
				others[i][strings.Clone(id)] = more
			}
		})
		if err != nil {
			return repeats{}, err
		}
		for i, h := range part {
			if others[i] == nil {
				r.hashes = append(r.hashes, h)
				continue
			}
			r.ids[first[i]] = again[i]
			for id, again := range others[i] {
				r.ids[id] = again
			}
		}
	}
	return r, nil
}

// target is what the last row looked up in a column: rows that follow each other often refer to the same row.
type target struct {
	to     ref
	found  bool
	hashes []uint64 // of the ids of to.table
}

// exists reports whether the row that a column refers to is there.
func (c *checker) exists(ctx context.Context, last *target, to ref) (bool, error) {
	if to == last.to || c.broken[to.table] {
		return last.found || c.broken[to.table], nil
	}
	if to.table != last.to.table {
		hashes, err := c.hashes(ctx, to.table)
		if err != nil {
			return false, err
		}
		last.hashes, last.to.table = hashes, strings.Clone(to.table)
	}
	_, last.found = slices.BinarySearch(last.hashes, c.hash(to.id))
	last.to.id = strings.Clone(to.id)
	return last.found, nil
}

// table checks the rows of a table, and reports whether more violations are wanted.
func (c *checker) table(ctx context.Context, name string, yield func(Violation, error) bool) (bool, error) {
	class, _ := c.m.schema.Class(name)
	r := newRules(c.m.schema, name, class, c.d.checks.Ignore)
	var repeated repeats
	if r.on[UniqueID] {
		var err error
		if repeated, err = c.repeats(ctx, name); err != nil {
			return false, err
		}
	}
	columns := []string{"id"}
	for _, column := range r.columns {
		columns = append(columns, column.name)
	}
	refs, last := make([]ref, len(r.columns)), make([]target, len(r.columns))
	tables, to := make([]*array.String, len(r.columns)), make([]*array.String, len(r.columns))
	exists := func(column int, to ref) (bool, error) { return c.exists(ctx, &last[column], to) }
	for batch, err := range c.scan(ctx, name, columns, nil) {
		if err != nil {
			return false, err
		}
		ids, err := stringColumn(batch, "id")
		if err != nil {
			return false, err
		}
		for i, column := range r.columns {
			if tables[i], err = stringColumn(batch, column.name+".name"); err != nil {
				return false, err
			}
			if to[i], err = stringColumn(batch, column.name+".id"); err != nil {
				return false, err
			}
		}
		for row := range ids.Len() {
			id := textAt(ids, row)
			for i := range refs {
				refs[i] = ref{textAt(tables[i], row), textAt(to[i], row)}
			}
			v, err := r.check(id, repeated.has(id, c.hash), refs, exists)
			if err != nil {
				return false, err
			}
			if v.Check != "" && !yield(v.clone(), nil) {
				return false, nil
			}
		}
	}
	return true, nil
}

// clone returns a violation that does not keep the batch that its row was read in.
func (v Violation) clone() Violation {
	v.ID, v.Value, v.To = strings.Clone(v.ID), strings.Clone(v.Value), strings.Clone(v.To)
	return v
}
