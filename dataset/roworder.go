package dataset

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"pixano/internal/lance"
)

// Pages of one order follow one another, so of tables in memory the order is kept too, as long as the version is the same.
const (
	orderedRows = 131_072 // the engine sorts larger tables
	keptOrders  = 4       // of a table; each takes 8 bytes a row
	deepPage    = 8       // a page is deep beyond this part of the rows
	fewValues   = 1024    // different texts in a column that are sorted instead of its rows
)

// whole returns columns, nil for all, of all rows of a table in storage order. It returns false unless they are in memory
// already.
func (c *rowCache) whole(ctx context.Context, t *lance.Table, version uint64, columns []string) ([]arrow.RecordBatch, bool, error) {
	table := c.table(t.Name())
	table.mu.Lock()
	defer table.mu.Unlock()
	if table.top == 0 {
		return nil, false, nil
	}
	if ok, err := c.prepare(ctx, table, t, version); !ok || err != nil || table.version != version {
		return nil, false, err
	}
	count, err := t.Count(ctx, "")
	if err != nil || int(count) != table.rows() {
		return nil, false, err // some are gone
	}
	batches := make([]arrow.RecordBatch, len(table.parts))
	for i, part := range table.parts {
		batch, ok := project(part.batch, columns)
		if !ok {
			return nil, false, nil
		}
		batches[i] = batch.NewSlice(0, batch.NumRows())
	}
	return batches, true, nil
}

// rows is the number of rows that were read, with those that are gone.
func (t *cachedTable) rows() (n int) {
	for _, part := range t.parts {
		n += len(part.rows)
	}
	return n
}

// ordered returns the addresses of all rows of a table in an order by columns, of which so many are to be read. They must not
// be changed. It returns false where the engine has to sort them.
func (c *rowCache) ordered(ctx context.Context, t *lance.Table, version uint64, order []order, offset, read int) ([]uint64, bool, error) {
	table := c.table(t.Name())
	table.mu.Lock()
	defer table.mu.Unlock()
	count, err := t.Count(ctx, "")
	if err != nil || count > orderedRows {
		return nil, false, err
	}
	// To sort a table the engine reads all of it, if only some columns: a second page is worth to have it in memory.
	// So is the first one where it is deep, as the engine keeps all rows before it in order.
	worth := count/(2*cacheCost) + 1
	if int64(offset) > count/deepPage {
		worth *= 2
	}
	table.taken += max(int64(read), worth)
	if ok, err := c.prepare(ctx, table, t, version); !ok || err != nil || table.version != version || table.rows() > orderedRows {
		return nil, false, err
	}
	if table.ordered != version || len(table.orders) == keptOrders {
		table.ordered, table.orders = version, map[string][]uint64{}
	}
	var name strings.Builder
	for _, k := range order {
		name.WriteString(k.column.String())
		name.WriteString(map[bool]string{false: " asc,", true: " desc,"}[k.descending])
	}
	if rows, ok := table.orders[name.String()]; ok {
		return rows, true, nil
	}
	there, err := addressesOf(ctx, t, "")
	if err != nil {
		return nil, false, err
	}
	places := make([]int, 0, len(there))
	addresses := make([]uint64, 0, table.rows())
	for _, part := range table.parts {
		for _, address := range part.rows {
			for len(there) > 0 && there[0] < address {
				there = there[1:]
			}
			if len(there) > 0 && there[0] == address {
				places = append(places, len(addresses))
			}
			addresses = append(addresses, address)
		}
	}
	if !table.byFewTexts(order, places) {
		compare, ok := table.comparer(order)
		if !ok {
			return nil, false, nil
		}
		slices.SortFunc(places, func(a, b int) int {
			if c := compare(a, b); c != 0 {
				return c
			}
			return a - b
		})
	}
	rows := make([]uint64, len(places))
	for i, place := range places {
		rows[i] = addresses[place]
	}
	table.orders[name.String()] = rows
	return rows, true, nil
}

// byFewTexts sorts places of rows, which are in storage order, by a column of few different texts. It returns false, and leaves them as they
// are, for other orders.
func (t *cachedTable) byFewTexts(order []order, places []int) bool {
	if len(order) != 1 {
		return false
	}
	number := map[string]int{} // of a text
	var texts []string
	var numbers []int // by place
	for _, part := range t.parts {
		values, ok := leaf(part.batch, strings.Split(order[0].column.String(), "."))
		column, isText := values.(*array.String)
		if !ok || !isText || column.NullN() > 0 {
			return false
		}
		for i := range column.Len() {
			n, ok := number[column.Value(i)]
			if !ok {
				if n = len(texts); n == fewValues {
					return false
				}
				number[column.Value(i)] = n
				texts = append(texts, column.Value(i))
			}
			numbers = append(numbers, n)
		}
	}
	sorted := slices.Sorted(slices.Values(texts))
	if order[0].descending {
		slices.Reverse(sorted)
	}
	starts := make([]int, len(texts)) // by number: where the next row of this text goes
	counts := make([]int, len(texts))
	for _, place := range places {
		counts[numbers[place]]++
	}
	next := 0
	for _, text := range sorted {
		starts[number[text]] = next
		next += counts[number[text]]
	}
	for _, place := range slices.Clone(places) {
		n := numbers[place]
		places[starts[n]] = place
		starts[n]++
	}
	return true
}

// comparer compares rows by their places in storage order. It returns false for columns whose order only the engine knows.
func (t *cachedTable) comparer(order []order) (func(a, b int) int, bool) {
	compares := make([]func(a, b int) int, len(order))
	for i, k := range order {
		var arrays []arrow.Array
		for _, part := range t.parts {
			values, ok := leaf(part.batch, strings.Split(k.column.String(), "."))
			if !ok {
				return nil, false
			}
			arrays = append(arrays, values)
		}
		column, err := array.Concatenate(arrays, memory.DefaultAllocator)
		if err != nil {
			return nil, false
		}
		if compares[i] = columnComparer(column, k.descending); compares[i] == nil {
			return nil, false
		}
	}
	return func(a, b int) int {
		for _, compare := range compares {
			if c := compare(a, b); c != 0 {
				return c
			}
		}
		return 0
	}, true
}

// leaf returns a column of a batch, or a field of a struct column.
func leaf(batch arrow.RecordBatch, path []string) (arrow.Array, bool) {
	at := batch.Schema().FieldIndices(path[0])
	if len(at) != 1 {
		return nil, false
	}
	column := batch.Column(at[0])
	for _, name := range path[1:] {
		outer, ok := column.(*array.Struct)
		if !ok || outer.NullN() > 0 { // a field says nothing of the nulls of its struct
			return nil, false
		}
		i, ok := outer.DataType().(*arrow.StructType).FieldIdx(name)
		if !ok {
			return nil, false
		}
		column = outer.Field(i)
	}
	return column, true
}

// columnComparer compares values of a column by their places, as the engine does: nulls last either way, NaN above all
// numbers, -0 before 0. Nil: it is of another type.
func columnComparer(column arrow.Array, descending bool) func(a, b int) int {
	switch a := column.(type) {
	case *array.String:
		return comparer(a, strings.Compare, descending)
	case *array.Int8:
		return comparer(a, cmp.Compare[int8], descending)
	case *array.Int16:
		return comparer(a, cmp.Compare[int16], descending)
	case *array.Int32:
		return comparer(a, cmp.Compare[int32], descending)
	case *array.Int64:
		return comparer(a, cmp.Compare[int64], descending)
	case *array.Timestamp:
		return comparer(a, cmp.Compare[arrow.Timestamp], descending)
	case *array.Float32:
		return comparer(a, func(x, y float32) int { return compareFloats(float64(x), float64(y)) }, descending)
	case *array.Float64:
		return comparer(a, compareFloats, descending)
	case *array.Boolean:
		return comparer(a, func(x, y bool) int {
			switch {
			case x == y:
				return 0
			case y:
				return -1
			}
			return 1
		}, descending)
	}
	return nil
}

func compareFloats(x, y float64) int {
	c := cmp.Compare(x, y)
	switch {
	case math.IsNaN(x) || math.IsNaN(y):
		return -c // cmp has NaN first
	case c == 0 && math.Signbit(x) != math.Signbit(y):
		if math.Signbit(x) {
			return -1
		}
		return 1
	}
	return c
}

func comparer[T any](column interface {
	IsNull(i int) bool
	Value(i int) T
	NullN() int
}, compare func(x, y T) int, descending bool) func(a, b int) int {
	nulls := column.NullN() > 0
	return func(a, b int) int {
		if nulls && (column.IsNull(a) || column.IsNull(b)) {
			switch {
			case column.IsNull(a) == column.IsNull(b):
				return 0
			case column.IsNull(a):
				return 1
			}
			return -1
		}
		if descending {
			a, b = b, a
		}
		return compare(column.Value(a), column.Value(b))
	}
}
