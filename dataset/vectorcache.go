package dataset

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"pixano/internal/lance"
)

// An exact search in the engine reads all vectors anew. Comparing those of a small table in memory takes a tenth of that
// time, so they are kept: as float32, with the ids of their rows, as of one version. After a commit only the rows of new
// fragments are read; which of the others are still there, and which a condition selects, the engine says.
const (
	vectorBytes   = 256 << 20 // for all tables of a dataset
	vectorRowSize = 128       // bytes of a row beside its vector, about
)

// Vectors are the rows of a table that have a vector, in memory.
type Vectors struct {
	Rows []VectorRow // by item and id

	addresses []rowAddress // ascending
}

// VectorRow is a row with its vector, which must not be changed.
type VectorRow struct {
	ID, Item string // Item is "" for a row without one
	Group    int32  // the place of its item among those of all rows
	Vector   []float32

	address uint64
}

// rowAddress is the address of the row at a place of Vectors.Rows.
type rowAddress struct {
	address uint64
	row     int32
}

// vectorCache holds vectors of tables of one dataset.
type vectorCache struct {
	mu     sync.Mutex // of what follows, and of the tables but for their own locks
	tables map[place]*vectorTable
	clock  uint64
}

// vectorTable is a column of vectors as far as it was read.
type vectorTable struct {
	filling sync.Mutex // held while it is read

	uses    int
	last    uint64 // when it was used, by the clock of the cache
	vectors *Vectors
	version uint64
	top     uint64 // the fragment after the last one that was read
	bytes   int64
}

// Vectors returns the vectors of a column of float32 in memory, and which of their rows the query's condition selects:
// nil for all of them. It returns nil where the engine should compare them: the first time, unless all rows are ranked,
// which reads all vectors anyway; for tables that are too large; and when the table moves on meanwhile.
func (s *Searched) Vectors(ctx context.Context, column string, ranked bool) (*Vectors, []bool, error) {
	c := &s.state.vectors
	c.mu.Lock()
	if c.tables == nil {
		c.tables = map[place]*vectorTable{}
	}
	table := c.tables[place{s.Table.Name(), column}]
	if table == nil {
		table = &vectorTable{}
		c.tables[place{s.Table.Name(), column}] = table
	}
	table.uses++
	wanted := table.vectors != nil || ranked || table.uses > 1
	c.mu.Unlock()
	if !wanted {
		return nil, nil, nil
	}
	table.filling.Lock()
	vectors, version, err := c.follow(ctx, table, s, column)
	table.filling.Unlock()
	if vectors == nil || err != nil {
		return nil, nil, err
	}
	var selected []bool
	if s.Where != "" {
		addresses, err := addressesOf(ctx, s.Table, s.Where)
		if err != nil {
			return nil, nil, err
		}
		selected = vectors.at(addresses)
	}
	// Another goroutine may have moved the handle on.
	if now, err := s.Table.Version(ctx); err != nil || now != version {
		return nil, nil, err
	}
	return vectors, selected, nil
}

// at marks the rows at addresses, which are ascending.
func (v *Vectors) at(addresses []uint64) []bool {
	marks := make([]bool, len(v.Rows))
	for _, a := range v.addresses {
		for len(addresses) > 0 && addresses[0] < a.address {
			addresses = addresses[1:]
		}
		marks[a.row] = len(addresses) > 0 && addresses[0] == a.address
	}
	return marks
}

// addressesOf returns the addresses of rows, ascending.
func addressesOf(ctx context.Context, t *lance.Table, where string) (addresses []uint64, err error) {
	for batch, err := range t.Batches(ctx, lance.Query{Where: where, Columns: []string{}, WithRowID: true}) {
		if err != nil {
			return nil, err
		}
		column, err := addressColumn(batch)
		if err != nil {
			return nil, err
		}
		addresses = append(addresses, column...)
	}
	slices.Sort(addresses)
	return addresses, nil
}

// follow has a table in memory at the version that its handle sees, or returns nil. It is called with the table's lock.
func (c *vectorCache) follow(ctx context.Context, table *vectorTable, s *Searched, column string) (*Vectors, uint64, error) {
	version, err := s.Table.Version(ctx)
	if err != nil {
		return nil, 0, err
	}
	c.mu.Lock()
	c.clock++
	table.last = c.clock
	vectors, before, top := table.vectors, table.version, table.top
	c.mu.Unlock()
	if vectors != nil && version <= before {
		if version < before {
			vectors = nil // a read of the state before a change that goes on
		}
		return vectors, version, nil
	}
	rows, err := s.Table.Count(ctx, "")
	if err != nil {
		return nil, 0, err
	}
	size := rows * int64(4*s.dim(column)+vectorRowSize)
	if rows == 0 || size > vectorBytes {
		c.put(table, nil, 0, 0, 0)
		return nil, 0, nil
	}
	var kept []VectorRow
	if vectors != nil {
		keeps, err := keptAddresses(ctx, s.Table, before, version)
		if err != nil {
			return nil, 0, err
		}
		if keeps {
			addresses, err := addressesOf(ctx, s.Table, "_rowid < "+strconv.FormatUint(top<<32, 10))
			if err != nil {
				return nil, 0, err
			}
			for i, there := range vectors.at(addresses) {
				if there {
					kept = append(kept, vectors.Rows[i])
				}
			}
		}
		// The vectors of rows that are gone stay in memory beside those that were read with them.
		if len(kept) < len(vectors.Rows)*3/4 {
			kept, top = nil, 0
		}
	}
	fresh, top, err := readVectors(ctx, s, column, top)
	if err != nil {
		return nil, 0, err
	}
	if now, err := s.Table.Version(ctx); err != nil || now != version {
		return nil, 0, err
	}
	vectors = newVectors(append(kept, fresh...))
	c.put(table, vectors, version, top, size)
	return vectors, version, nil
}

// put keeps what was read of a table, in place of what was used longest ago if it becomes too much.
func (c *vectorCache) put(table *vectorTable, vectors *Vectors, version, top uint64, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	table.vectors, table.version, table.top, table.bytes = vectors, version, top, size
	for {
		var oldest *vectorTable
		bytes := int64(0)
		for _, t := range c.tables {
			bytes += t.bytes
			if t != table && t.vectors != nil && (oldest == nil || t.last < oldest.last) {
				oldest = t
			}
		}
		if bytes <= vectorBytes || oldest == nil {
			return
		}
		oldest.vectors, oldest.bytes = nil, 0
	}
}

// forget drops what was read of a table.
func (c *vectorCache) forget(table string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range c.tables {
		if p.table == table {
			delete(c.tables, p)
		}
	}
}

// newVectors sorts and numbers rows.
func newVectors(rows []VectorRow) *Vectors {
	slices.SortFunc(rows, func(a, b VectorRow) int {
		if c := strings.Compare(a.Item, b.Item); c != 0 {
			return c
		}
		return cmp.Or(strings.Compare(a.ID, b.ID), cmp.Compare(a.address, b.address))
	})
	v := &Vectors{Rows: rows, addresses: make([]rowAddress, len(rows))}
	for i := range rows {
		switch {
		case i == 0:
			rows[i].Group = 0
		case rows[i].Item == rows[i-1].Item:
			rows[i].Group = rows[i-1].Group
		default:
			rows[i].Group = rows[i-1].Group + 1
		}
		v.addresses[i] = rowAddress{rows[i].address, int32(i)}
	}
	slices.SortFunc(v.addresses, func(a, b rowAddress) int { return cmp.Compare(a.address, b.address) })
	return v
}

// dim is the length of the vectors of a column.
func (s *Searched) dim(column string) int {
	if f, ok := s.Columns.FieldsByName(column); ok {
		if list, ok := f[0].Type.(*arrow.FixedSizeListType); ok {
			return int(list.Len())
		}
	}
	return 0
}

// readVectors reads the rows from the fragment top on. It asks for some thousand at a time: the engine reads ahead whatever
// it is asked for, and would have half a table of vectors in memory beside the one that is made.
func readVectors(ctx context.Context, s *Searched, column string, top uint64) ([]VectorRow, uint64, error) {
	q := lance.Query{Columns: []string{"id"}, WithRowID: true, BatchRows: 1024, Limit: 4096}
	item := s.Item
	if _, err := resolve(s.Columns, strings.Split(item, ".")); err != nil {
		item = "" // a table whose rows belong to no item
	} else if item != "id" {
		q.Columns = append(q.Columns, item)
	}
	q.Columns = append(q.Columns, column)
	if top > 0 {
		q.Where = "_rowid >= " + strconv.FormatUint(top<<32, 10)
	}
	var rows []VectorRow
	for read := q.Limit; read == q.Limit; q.Offset += read {
		read = 0
		for batch, err := range s.Table.Batches(ctx, q) {
			if err != nil {
				return nil, 0, err
			}
			read += int(batch.NumRows())
			if rows, err = appendVectors(rows, batch, item, column); err != nil {
				return nil, 0, err
			}
		}
	}
	for i := range rows {
		top = max(top, rows[i].address>>32+1)
	}
	return rows, top, nil
}

// appendVectors appends the rows of a batch. Vectors stay where they are; texts are copied, so that what a search returns
// does not hold on to vectors.
func appendVectors(rows []VectorRow, batch arrow.RecordBatch, item, column string) ([]VectorRow, error) {
	ids, err := stringColumn(batch, "id")
	if err != nil {
		return nil, err
	}
	items := ids
	if item != "" {
		if items, err = stringColumn(batch, item); err != nil {
			return nil, err
		}
	}
	addresses, err := addressColumn(batch)
	if err != nil {
		return nil, err
	}
	at := batch.Schema().FieldIndices(column)
	list, ok := batch.Column(at[0]).(*array.FixedSizeList)
	if !ok {
		return nil, schemaError("column %s is %s: want vectors", column, batch.Column(at[0]).DataType())
	}
	numbers, ok := list.ListValues().(*array.Float32)
	if !ok {
		return nil, schemaError("column %s holds %s: want float32", column, list.ListValues().DataType())
	}
	var b strings.Builder
	for i := range ids.Len() {
		b.WriteString(ids.Value(i))
		b.WriteString(items.Value(i))
	}
	texts := b.String()
	cut := func(n int) string {
		part := texts[:n]
		texts = texts[n:]
		return part
	}
	for i := range list.Len() {
		row := VectorRow{ID: cut(len(ids.Value(i))), Item: cut(len(items.Value(i))), address: addresses[i]}
		if item == "" {
			row.Item = ""
		}
		if list.IsValid(i) {
			from, to := list.ValueOffsets(i)
			row.Vector = numbers.Float32Values()[from:to:to]
			rows = append(rows, row)
		}
	}
	return rows, nil
}
