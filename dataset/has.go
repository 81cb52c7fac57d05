package dataset

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"

	"pixano/internal/lance"
	"pixano/schema"
)

// Has is a condition of a [Query] on the item of a row: another table has a row of the same item, of those that Where
// selects. In the table of items that row is the item itself, so that the rows of any table can be chosen by what their
// items are: Has{Table: "item", Where: "split = 'val'"}.
type Has struct {
	Table string `json:"table"`
	Where string `json:"where,omitempty"` // as Query.Where, over the columns of Table. "": any row
	Args  []any  `json:"args,omitempty"`  // as Query.Args
	Not   bool   `json:"not,omitempty"`   // the other table has no such row
}

// owners are running reads of the items that the conditions of a query on other tables select.
type owners struct {
	op      string
	has     []Has
	readers []*lance.Reader // by condition
}

// owners starts to read the items that a query's conditions on other tables select; nil if it has none.
func (v *view) owners(ctx context.Context, table string, q Query) (o *owners, err error) {
	if len(q.Has) == 0 {
		return nil, nil
	}
	if table == schema.SourceTable {
		return nil, queryError(fmt.Errorf("sources belong to no item"))
	}
	o = &owners{op: v.op, has: q.Has}
	defer func() {
		if err != nil {
			o.close()
		}
	}()
	for _, h := range q.Has {
		if h.Table == schema.SourceTable {
			return nil, queryError(fmt.Errorf("the rows of %s belong to no item", h.Table))
		}
		t, p, err := v.plan(ctx, h.Table, Query{Where: h.Where, Args: h.Args})
		if err != nil {
			return nil, err
		}
		p.query.Columns = []string{p.item}
		r, err := t.Query(ctx, p.query)
		if err != nil {
			return nil, p.wrap(v.op, h.Table, err)
		}
		o.readers = append(o.readers, r)
	}
	return o, nil
}

func (o *owners) close() {
	if o == nil {
		return
	}
	for _, r := range o.readers {
		r.Close()
	}
}

// allow reads the items to the end, and returns a function that reports whether the rows of an item are selected. Rows of
// the same item are best asked for one after the other.
func (o *owners) allow(ctx context.Context) (func(item string) bool, error) {
	if o == nil {
		return func(string) bool { return true }, nil
	}
	sets, err := o.sets(ctx)
	if err != nil {
		return nil, err
	}
	return o.allowed(sets), nil
}

// sets reads the items that each condition selects.
func (o *owners) sets(ctx context.Context) ([]map[string]struct{}, error) {
	defer o.close()
	sets := make([]map[string]struct{}, len(o.readers))
	for i, r := range o.readers {
		set, err := distinctTexts(ctx, r)
		if err != nil {
			return nil, &Error{Op: o.op, Table: o.has[i].Table, Field: "where", Err: err}
		}
		sets[i] = set
	}
	return sets, nil
}

// allowed tells the items that all conditions let pass. It remembers the last one, since rows of an item mostly follow one
// another, so each goroutine needs one of its own.
func (o *owners) allowed(sets []map[string]struct{}) func(item string) bool {
	last, ok := "", false
	asked := false
	return func(item string) bool {
		if !asked || item != last {
			asked, last, ok = true, item, o.allows(sets, item)
		}
		return ok
	}
}

// allows reports whether all conditions let an item pass.
func (o *owners) allows(sets []map[string]struct{}, item string) bool {
	for i, set := range sets {
		if _, has := set[item]; has == o.has[i].Not {
			return false
		}
	}
	return true
}

// distinctTexts returns the different texts in the only column of a query.
func distinctTexts(ctx context.Context, reader *lance.Reader) (map[string]struct{}, error) {
	set := map[string]struct{}{}
	last := ""
	for {
		batch, err := reader.Next(ctx)
		if err == io.EOF {
			return set, nil
		}
		if err != nil {
			return nil, err
		}
		column, ok := batch.Column(0).(*array.String)
		if !ok {
			return nil, schemaError("column %s is %s: want texts", batch.ColumnName(0), batch.Column(0).DataType())
		}
		for i := range column.Len() {
			text := column.Value(i)
			if text == last && len(set) > 0 { // rows of an item mostly follow one another
				continue
			}
			if _, known := set[text]; !known {
				set[strings.Clone(text)] = struct{}{} // lets go of the batch
			}
			last = text
		}
	}
}

// having starts a scan whose rows are found by their items.
func (s *scan) having(ctx context.Context, v *view, t *lance.Table, version uint64) error {
	keys := s.plan.query
	keys.Columns, keys.WithRowID, keys.Limit, keys.Offset = []string{s.plan.item}, true, 0, 0
	reader, err := t.Query(ctx, keys)
	if err != nil {
		return s.plan.wrap(v.op, s.table, err)
	}
	limit, skip := s.plan.query.Limit, s.plan.query.Offset
	find := func(ctx context.Context) (rows []uint64, err error) {
		allowed, err := s.owners.allow(ctx)
		if err != nil {
			return nil, err
		}
		for batch, err := range reader.All(ctx) {
			if err != nil {
				return nil, s.plan.wrap(s.op, s.table, err)
			}
			items, err := stringColumn(batch, s.plan.item)
			if err != nil {
				return nil, at(s.op, s.table, err)
			}
			addresses, ok := batch.Column(int(batch.NumCols()) - 1).(*array.Uint64)
			if !ok {
				return nil, at(s.op, s.table, &kindError{ErrCorrupt, "row addresses are no uint64", nil})
			}
			for i := range items.Len() {
				if !allowed(items.Value(i)) {
					continue
				}
				if skip > 0 {
					skip--
					continue
				}
				if rows = append(rows, addresses.Value(i)); len(rows) == limit {
					return rows, nil
				}
			}
		}
		return rows, nil
	}
	s.late = &late{version: version, find: find, close: func() { reader.Close(); s.owners.close() }}
	return nil
}

// countHaving counts the rows of a query with conditions on other tables.
func (d *Dataset) countHaving(ctx context.Context, table string, q Query) (n int64, err error) {
	q.OrderBy, q.Limit, q.Offset = "", 0, 0
	has := q.Has
	q.Has = nil
	var s *scan
	var o *owners
	err = d.read(ctx, "count", func(v *view) (err error) {
		if s, err = v.scan(ctx, table, q, []string{d.itemColumn(table)}); err != nil {
			return err
		}
		if o, err = v.owners(ctx, table, Query{Has: has}); err != nil {
			s.close()
			return &Error{Op: v.op, Table: table, Field: "has", Err: err}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	allowed, err := o.allow(ctx)
	if err != nil {
		s.close()
		return 0, err
	}
	for batch, err := range s.all(ctx) {
		if err != nil {
			return 0, err
		}
		items, err := stringColumn(batch, s.plan.item)
		if err != nil {
			return 0, at("count", table, err)
		}
		for i := range items.Len() {
			if allowed(items.Value(i)) {
				n++
			}
		}
	}
	return n, nil
}
