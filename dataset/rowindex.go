package dataset

import (
	"context"
	"hash/maphash"
	"slices"
	"sync"

	"pixano/internal/lance"
)

// A rowIndex finds the rows of a table whose id, or whose item's id, has a value, without scanning the column each
// time: a hash table in memory of the addresses of all rows. Rows keep their address until the table is compacted, and
// new ones get higher ones, so after a commit only the new rows are looked at. It is made at the second search, takes
// about 24 bytes a row, and holds no values: what is found is compared with what was wanted.
type rowIndex struct {
	column string

	mu      sync.Mutex
	uses    int
	made    bool
	version uint64 // of the table that it describes
	top     uint64 // the fragment after the last one that it has rows of
	seed    maphash.Seed
	heads   []int32 // by hash: the last row of it, or -1
	rows    []indexedRow

	newer   uint64          // a later version, which differs by rows with these hashes and by rows that are gone; 0: none
	commits int             // from version to newer
	pending map[uint64]bool // hashes
}

type indexedRow struct {
	hash uint64
	row  uint64 // the address
	next int32  // the one before of the same head, or -1
}

const (
	indexedRows = 20_000_000 // a larger table is scanned
	followed    = 64         // commits that an index catches up with; after more it is made anew
)

// index returns the index of a column of a table.
func (s *state) index(table, column string) *rowIndex {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.indexes == nil {
		s.indexes = map[place]*rowIndex{}
	}
	x := s.indexes[place{table, column}]
	if x == nil {
		x = &rowIndex{column: column}
		s.indexes[place{table, column}] = x
	}
	return x
}

// known reports whether the index was made, so that a search costs no scan.
func (x *rowIndex) known() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.made
}

// find returns the addresses of the rows with one of the values, ascending, and possibly those of a few other rows and
// of rows that were deleted. It returns false where a scan of the column is the better way.
func (x *rowIndex) find(ctx context.Context, t *lance.Table, values []string) ([]uint64, bool, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.uses++
	if x.uses == 1 {
		return nil, false, nil
	}
	version, err := t.Version(ctx)
	if err != nil {
		return nil, false, err
	}
	current := x.made && (version == x.version || version == x.newer &&
		!slices.ContainsFunc(values, func(value string) bool { return x.pending[maphash.String(x.seed, value)] }))
	if !current {
		if ok, err := x.follow(ctx, t, version); !ok || err != nil {
			return nil, false, err
		}
	}
	var found []uint64
	for _, value := range values {
		hash := maphash.String(x.seed, value)
		for i := x.heads[hash&uint64(len(x.heads)-1)]; i >= 0; i = x.rows[i].next {
			if x.rows[i].hash == hash {
				found = append(found, x.rows[i].row)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found), true, nil
}

// follow brings the index to a version of the table.
func (x *rowIndex) follow(ctx context.Context, t *lance.Table, version uint64) (bool, error) {
	if x.made && version < x.version {
		return false, nil // a read of the state before a change that goes on
	}
	from := x.version
	if version >= x.newer {
		from = max(from, x.newer)
	}
	if x.made {
		var err error
		if x.made, err = keptAddresses(ctx, t, from, version); err != nil {
			return false, err
		}
	}
	if !x.made {
		rows, err := t.Count(ctx, "")
		if err != nil || rows > indexedRows {
			return false, err
		}
		x.top, x.rows, x.seed = 0, make([]indexedRow, 0, rows+rows/8), maphash.MakeSeed()
		x.hang(int(rows))
	}
	err := x.add(ctx, t)
	if err != nil {
		x.made = false
		return false, err
	}
	// Another goroutine may have moved the handle on meanwhile.
	now, err := t.Version(ctx)
	x.version, x.made = version, err == nil && now == version
	x.newer, x.commits = 0, 0
	clear(x.pending)
	return x.made, err
}

// ahead tells that a version follows another one by commits of this process that stored rows and deleted others. As long as
// none of those rows is looked for, they need not be read.
func (x *rowIndex) ahead(from, to, commits uint64, stored []any, value func(row any) (string, error)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.made || from != max(x.version, x.newer) || x.commits+int(commits) > followed/2 {
		return
	}
	if x.pending == nil {
		x.pending = map[uint64]bool{}
	}
	for _, row := range stored {
		text, err := value(row)
		if err != nil {
			return
		}
		x.pending[maphash.String(x.seed, text)] = true
	}
	x.newer, x.commits = to, x.commits+int(commits)
}

// hang makes heads for a number of rows and hangs those that there are on them.
func (x *rowIndex) hang(rows int) {
	size := 1024
	for size < rows {
		size *= 2
	}
	x.heads = make([]int32, size)
	for i := range x.heads {
		x.heads[i] = -1
	}
	for i := range x.rows {
		x.hook(int32(i))
	}
}

func (x *rowIndex) hook(i int32) {
	head := &x.heads[x.rows[i].hash&uint64(len(x.heads)-1)]
	x.rows[i].next, *head = *head, i
}

// add adds the rows from the fragment top on.
func (x *rowIndex) add(ctx context.Context, t *lance.Table) error {
	all, err := t.Count(ctx, "")
	if err != nil {
		return err
	}
	for batch, err := range fromFragment(ctx, t, lance.Query{Columns: []string{x.column}, WithRowID: true}, x.top, all) {
		if err != nil {
			return err
		}
		values, err := stringColumn(batch, x.column)
		if err != nil {
			return err
		}
		rows, err := addressColumn(batch)
		if err != nil {
			return err
		}
		for i, row := range rows {
			x.rows = append(x.rows, indexedRow{hash: maphash.String(x.seed, values.Value(i)), row: row})
			x.hook(int32(len(x.rows) - 1))
			x.top = max(x.top, row>>32+1)
		}
	}
	if len(x.rows) > 2*len(x.heads) {
		x.hang(len(x.rows))
	}
	return nil
}
