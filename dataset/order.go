package dataset

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"

	"pixano/internal/lance"
	"pixano/schema"
)

// Items that are sorted by numbers of rows are ranked here: the engine gives their ids and sort keys in storage order,
// with the addresses of the rows, and the item ids of the tables to count; what is wanted is then taken by address.
// Counting 100,000 rows this way takes a third of the time of a GROUP BY in the engine, and memory for the items only.

// ranking is a running sort of items by numbers of rows.
type ranking struct {
	keys   *lance.Reader            // per item its id, the columns to sort by, its address
	counts map[string]*lance.Reader // per table, per row the id of its item
}

// counted reports whether numbers of rows are among the sort keys.
func (p plan) counted() bool {
	return slices.ContainsFunc(p.order, func(k order) bool { return k.table != "" })
}

// checkCount refuses to sort rows of a table by their number in another one where that makes no sense.
func (v *view) checkCount(table, counted string) error {
	if item := v.d.ItemTable(); table != item {
		return fmt.Errorf("#%s: want items, in the table %s, to sort by their numbers of rows", counted, item)
	}
	m := v.d.meta.Load()
	if !slices.ContainsFunc(m.tables, func(t TableInfo) bool { return t.Name == counted }) {
		return fmt.Errorf("#%s: %v", counted, m.noTable()) // a mistake in the query, not ErrNotFound
	}
	return nil
}

// rank starts the queries of a scan that sorts by numbers of rows.
func (s *scan) rank(ctx context.Context, v *view, items *lance.Table, version uint64) (err error) {
	r := &ranking{counts: map[string]*lance.Reader{}}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	keys := lance.Query{Where: s.plan.query.Where, Columns: []string{"id"}, WithRowID: true}
	for _, k := range s.plan.order {
		switch {
		case k.table == "":
			if name := k.column.String(); !slices.Contains(keys.Columns, name) {
				keys.Columns = append(keys.Columns, name)
			}
		case r.counts[k.table] == nil && k.table != schema.SourceTable: // sources belong to no item
			t, err := v.table(ctx, k.table)
			if err != nil {
				return err
			}
			reader, err := t.Query(ctx, lance.Query{Columns: []string{v.d.itemColumn(k.table)}})
			if err != nil {
				return at(v.op, k.table, err)
			}
			r.counts[k.table] = reader
		}
	}
	if r.keys, err = items.Query(ctx, keys); err != nil {
		return s.plan.wrap(v.op, s.table, err)
	}
	s.late = &late{
		version: version,
		find:    func(ctx context.Context) ([]uint64, error) { return s.ranked(ctx, r) },
		close:   func() { r.close(); s.owners.close() },
	}
	return nil
}

func (r *ranking) close() {
	if r.keys != nil {
		r.keys.Close()
	}
	for _, c := range r.counts {
		c.Close()
	}
}

// ranked returns the addresses of the items wanted, in order.
func (s *scan) ranked(ctx context.Context, r *ranking) ([]uint64, error) {
	counts := map[string]map[string]int{}
	var mu sync.Mutex // of counts and failed
	var failed error
	var wait sync.WaitGroup
	for name, reader := range r.counts {
		wait.Go(func() {
			n, err := countTexts(ctx, reader)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = at(s.op, name, err)
			}
			counts[name] = n
		})
	}
	items, err := s.keys(ctx, r)
	if err == nil && s.owners != nil {
		var allowed func(string) bool
		if allowed, err = s.owners.allow(ctx); err == nil {
			items = slices.DeleteFunc(items, func(it rankedItem) bool { return !allowed(it.id) })
		}
	}
	wait.Wait()
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	for i, k := range s.plan.order {
		if k.table != "" {
			for _, it := range items {
				it.keys[i] = counts[k.table][it.id]
			}
		}
	}
	slices.SortStableFunc(items, func(a, b rankedItem) int {
		for i, k := range s.plan.order {
			if c := compareKeys(a.keys[i], b.keys[i], k.descending); c != 0 {
				return c
			}
		}
		return 0
	})
	items = items[min(s.plan.query.Offset, len(items)):]
	if limit := s.plan.query.Limit; limit > 0 {
		items = items[:min(limit, len(items))]
	}
	addresses := make([]uint64, len(items))
	for i, it := range items {
		addresses[i] = it.address
	}
	return addresses, nil
}

// rankedItem is an item that is sorted by numbers of rows.
type rankedItem struct {
	address uint64
	id      string
	keys    []any // one for each key of the order; an int for a number of rows
}

// keys returns the items in storage order, without their numbers of rows.
func (s *scan) keys(ctx context.Context, r *ranking) ([]rankedItem, error) {
	var items []rankedItem
	var columns *rowColumns
	places := make([]int, len(s.plan.order)) // of the keys that are columns
	for batch, err := range r.keys.All(ctx) {
		if err != nil {
			return nil, s.plan.wrap(s.op, s.table, err)
		}
		if columns == nil {
			columns = newRowColumns(batch.Schema().Fields())
			for i, k := range s.plan.order {
				if k.table == "" {
					places[i] = batch.Schema().FieldIndices(k.column.String())[0]
				}
			}
		}
		rows, err := decodeRows(batch, columns)
		if err != nil {
			return nil, at(s.op, s.table, err)
		}
		slab := make([]any, len(rows)*len(s.plan.order))
		for _, row := range rows {
			it := rankedItem{keys: slab[:len(s.plan.order):len(s.plan.order)]}
			slab = slab[len(s.plan.order):]
			it.address, _ = row.At(row.Len() - 1).(uint64)
			it.id, _ = row.At(0).(string)
			for i, k := range s.plan.order {
				if k.table == "" {
					it.keys[i] = row.At(places[i])
				}
			}
			items = append(items, it)
		}
	}
	return items, nil
}

// countTexts counts how often each text occurs in the only column of a query.
func countTexts(ctx context.Context, reader *lance.Reader) (map[string]int, error) {
	counts := map[string]int{}
	for {
		batch, err := reader.Next(ctx)
		if err == io.EOF {
			return counts, nil
		}
		if err != nil {
			return nil, err
		}
		column, ok := batch.Column(0).(*array.String)
		if !ok {
			return nil, schemaError("column %s is %s: want texts", batch.ColumnName(0), batch.Column(0).DataType())
		}
		for i := 0; i < column.Len(); { // rows of an item mostly follow one another
			text, from := column.Value(i), i
			for i++; i < column.Len() && column.Value(i) == text; i++ {
			}
			if _, known := counts[text]; !known {
				text = strings.Clone(text) // lets go of the batch
			}
			counts[text] += i - from
		}
	}
}

// compareKeys compares two values of a column as the engine sorts them: nulls last either way, NaN above all numbers.
func compareKeys(a, b any, descending bool) int {
	if a == nil || b == nil {
		switch {
		case a == b:
			return 0
		case a == nil:
			return 1
		}
		return -1
	}
	c := 0
	switch x, y := reflect.ValueOf(a), reflect.ValueOf(b); {
	case x.CanInt():
		c = cmp.Compare(x.Int(), y.Int())
	case x.CanUint():
		c = cmp.Compare(x.Uint(), y.Uint())
	case x.CanFloat():
		c = cmp.Compare(x.Float(), y.Float())
		if math.IsNaN(x.Float()) || math.IsNaN(y.Float()) {
			c = -c // cmp has NaN first
		}
	case x.Kind() == reflect.String:
		c = strings.Compare(x.String(), y.String())
	case x.Kind() == reflect.Bool && x.Bool() != y.Bool():
		c = 1
		if y.Bool() {
			c = -1
		}
	case x.Type() == reflect.TypeFor[time.Time]():
		c = a.(time.Time).Compare(b.(time.Time))
	case x.Type() == reflect.TypeFor[[]byte]():
		c = bytes.Compare(a.([]byte), b.([]byte))
	}
	if descending {
		return -c
	}
	return c
}
