package dataset

import (
	"context"
	"slices"
	"sort"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"pixano/internal/lance"
)

// The engine needs about 10 µs for each column of a row that is read by its address, and 50 ns in a scan. So a table
// whose rows are often read by address is read once as a whole, and kept in memory, if it is small enough. What an
// address holds never changes: rows that are changed get a new one. Whether a row is still there the engine says.
const (
	cacheBytes = 64 << 20 // for all tables of a dataset
	cacheCost  = 600      // a row read by its address takes so many times the time of one in a scan, with a margin
)

// rowCache holds tables of one dataset.
type rowCache struct {
	mu     sync.Mutex
	tables map[string]*cachedTable
	bytes  int64 // that the tables take
}

// cachedTable is a table as far as it was read.
type cachedTable struct {
	mu      sync.Mutex
	taken   int64 // rows read by address so far
	refused bool  // it is too large
	version uint64
	top     uint64 // the fragment after the last one that was read; 0: nothing was
	parts   []cachedPart
	bytes   int64

	orders  map[string][]uint64 // addresses of the rows by order
	ordered uint64              // the version that these are of
}

// cachedPart is a batch with the addresses of its rows, ascending.
type cachedPart struct {
	batch arrow.RecordBatch
	rows  []uint64
}

func (c *rowCache) table(name string) *cachedTable {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tables == nil {
		c.tables = map[string]*cachedTable{}
	}
	t := c.tables[name]
	if t == nil {
		t = &cachedTable{}
		c.tables[name] = t
	}
	return t
}

// refuses reports whether a table was found to be too large.
func (c *rowCache) refuses(name string) bool {
	table := c.table(name)
	table.mu.Lock()
	defer table.mu.Unlock()
	return table.refused
}

// rows returns columns, nil for all, of rows of a table at their addresses, in this order, as one batch or more. It
// returns false where the engine has to read them. Addresses of rows that are gone are left out if they may be there.
func (c *rowCache) rows(ctx context.Context, t *lance.Table, version uint64, rows []uint64, columns []string, mayBeGone bool) ([]arrow.RecordBatch, bool, error) {
	table := c.table(t.Name())
	table.mu.Lock()
	defer table.mu.Unlock()
	table.taken += int64(len(rows))
	if ok, err := c.prepare(ctx, table, t, version); !ok || err != nil {
		return nil, false, err
	}
	if mayBeGone {
		var err error
		if rows, err = alive(ctx, t, rows); err != nil {
			return nil, false, err
		}
	}
	var batches []arrow.RecordBatch
	projected := map[int]arrow.RecordBatch{}
	for i := 0; i < len(rows); {
		part := sort.Search(len(table.parts), func(p int) bool { r := table.parts[p].rows; return r[len(r)-1] >= rows[i] })
		if part == len(table.parts) {
			return nil, false, nil
		}
		p := table.parts[part]
		first, ok := slices.BinarySearch(p.rows, rows[i])
		if !ok {
			return nil, false, nil
		}
		n := 1
		for i+n < len(rows) && first+n < len(p.rows) && rows[i+n] == p.rows[first+n] {
			n++
		}
		batch := projected[part]
		if batch == nil {
			if batch, ok = project(p.batch, columns); !ok {
				return nil, false, nil
			}
			projected[part] = batch
		}
		batches = append(batches, batch.NewSlice(int64(first), int64(first+n)))
		i += n
	}
	return batches, true, nil
}

// project selects columns of a batch by their names.
func project(batch arrow.RecordBatch, columns []string) (arrow.RecordBatch, bool) {
	if columns == nil {
		return batch, true
	}
	fields := make([]arrow.Field, len(columns))
	values := make([]arrow.Array, len(columns))
	for i, name := range columns {
		at := batch.Schema().FieldIndices(name)
		if len(at) != 1 {
			return nil, false
		}
		fields[i], values[i] = batch.Schema().Field(at[0]), batch.Column(at[0])
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), values, batch.NumRows()), true
}

// alive returns the addresses of rows that are there in the version that a handle sees.
func alive(ctx context.Context, t *lance.Table, rows []uint64) ([]uint64, error) {
	var found []uint64
	for chunk := range slices.Chunk(rows, idChunk) {
		there, err := addressesOf(ctx, t, addressCondition(chunk))
		if err != nil {
			return nil, err
		}
		found = append(found, there...)
	}
	return found, nil
}

// prepare has the table in memory as of a version at least, and reports whether it is.
func (c *rowCache) prepare(ctx context.Context, table *cachedTable, t *lance.Table, version uint64) (bool, error) {
	switch {
	case table.refused:
		return false, nil
	case table.top == 0:
		count, err := t.Count(ctx, "")
		if err != nil || table.taken*cacheCost < count {
			return false, err
		}
	case version <= table.version:
		return true, nil
	default:
		keeps, err := keptAddresses(ctx, t, table.version, version)
		if err != nil {
			return false, err
		}
		if !keeps {
			c.drop(table)
		}
	}
	whole := table.top == 0
	if err := c.fill(ctx, table, t); err != nil {
		c.drop(table)
		return false, err
	}
	if whole {
		if now, err := t.Version(ctx); err != nil || now != version {
			c.drop(table) // the handle moved on between two parts
			return false, err
		}
	}
	table.version = version
	return !table.refused, nil
}

// keptAddresses reports whether the commits between two versions left the rows that they did not delete at their
// addresses, as they were. After very many it does not look.
func keptAddresses(ctx context.Context, t *lance.Table, from, to uint64) (bool, error) {
	if from == to {
		return true, nil
	}
	if from > to || to-from > followed {
		return false, nil
	}
	commits, err := t.Transactions(ctx, to, int(to-from))
	return err == nil && !slices.ContainsFunc(commits, func(c lance.Transaction) bool {
		return c.Missing || !slices.Contains([]string{"Append", "Delete", "Update"}, c.Operation)
	}), err
}

// fill reads the rows from the fragment top on.
func (c *rowCache) fill(ctx context.Context, table *cachedTable, t *lance.Table) error {
	all, err := t.Count(ctx, "")
	if err != nil {
		return err
	}
	read := int64(table.rows())
	for batch, err := range fromFragment(ctx, t, lance.Query{WithRowID: true}, table.top, all) {
		if err != nil {
			return err
		}
		rows, err := addressColumn(batch)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			continue
		}
		names := []string{}
		for _, f := range batch.Schema().Fields() {
			if f.Name != "_rowid" {
				names = append(names, f.Name)
			}
		}
		kept, _ := project(batch, names)
		var bytes int64
		for _, column := range batch.Columns() {
			bytes += int64(column.Data().SizeInBytes())
		}
		table.parts = append(table.parts, cachedPart{kept, rows})
		table.top = max(table.top, rows[len(rows)-1]>>32+1)
		table.bytes += bytes
		read += int64(len(rows))
		c.mu.Lock()
		c.bytes += bytes
		// Of a table that will not fit no more is read than shows that.
		full := c.bytes > cacheBytes || float64(table.bytes)/float64(read)*float64(all) > 1.25*cacheBytes
		c.mu.Unlock()
		if full {
			c.drop(table)
			table.refused = true
			return nil
		}
	}
	return nil
}

// forget gives up a table that is no longer there.
func (c *rowCache) forget(name string) {
	c.mu.Lock()
	table := c.tables[name]
	delete(c.tables, name)
	c.mu.Unlock()
	if table != nil {
		table.mu.Lock()
		defer table.mu.Unlock()
		c.drop(table)
		table.refused = true
	}
}

// drop forgets what was read of a table.
func (c *rowCache) drop(table *cachedTable) {
	c.mu.Lock()
	c.bytes -= table.bytes
	c.mu.Unlock()
	table.parts, table.bytes, table.top, table.version, table.orders = nil, 0, 0, 0, nil
}
