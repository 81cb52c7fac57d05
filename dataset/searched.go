package dataset

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"pixano/internal/lance"
)

// Searched is a table as the storage engine has it, with the rows that a query selects. It is for package search; its
// types are internal to this module.
type Searched struct {
	Table   *lance.Table  // at the version to read; it belongs to the dataset
	Columns *arrow.Schema // of that version
	Item    string        // the column with the ids of the rows' items; "id" in the table of items
	Where   string        // the condition of the query in the engine's words; "" for every row
	Empty   bool          // the query selects no rows, whatever the table holds

	// Allow reports whether the rows of an item are selected, for conditions on other tables that Where cannot say: those
	// that select many items. Several goroutines may call it. Nil: they all are.
	Allow func(item string) bool

	// Share is about how many of the items Allow selects, from 0 to 1.
	Share float64

	state *state
}

// Search prepares a search among the rows of a query, of which only conditions count. A table that is not declared is
// ErrNotFound, a condition that the table does not fit ErrQuery.
func (d *Dataset) Search(ctx context.Context, op, table string, q Query) (*Searched, error) {
	s := &Searched{Share: 1, state: d.state}
	var o *owners
	var items int64
	err := d.read(ctx, op, func(v *view) error {
		q := Query{IDs: q.IDs, ItemIDs: q.ItemIDs, Where: q.Where, Args: q.Args, Has: q.Has}
		t, p, err := v.plan(ctx, table, q)
		if err != nil {
			return err
		}
		s.Table, s.Item, s.Where, s.Empty = t, p.item, p.query.Where, p.empty
		if s.Columns = p.table; s.Columns == nil {
			if s.Columns, err = v.columns(ctx, table); err != nil {
				return err
			}
		}
		if len(q.Has) == 0 {
			return nil
		}
		item, err := v.table(ctx, d.ItemTable())
		if err != nil {
			return err
		}
		if items, err = item.Count(ctx, ""); err != nil {
			return at(op, d.ItemTable(), err)
		}
		if o, err = v.owners(ctx, table, q); err != nil {
			return &Error{Op: op, Table: table, Field: "has", Err: err}
		}
		return nil
	})
	if err != nil || o == nil {
		return s, err
	}
	if err := s.having(ctx, o, items); err != nil {
		return nil, placed(op, table, err)
	}
	return s, nil
}

// having adds the conditions on other tables: for few items to Where, else as Allow.
func (s *Searched) having(ctx context.Context, o *owners, items int64) error {
	sets, err := o.sets(ctx)
	if err != nil {
		return err
	}
	allow := func(item string) bool { return o.allows(sets, item) }
	var least map[string]struct{} // of the conditions that want a row
	for i, set := range sets {
		share := min(1, float64(len(set))/float64(max(items, 1)))
		if o.has[i].Not {
			share = 1 - share
		} else if least == nil || len(set) < len(least) {
			least = set
		}
		s.Share *= share
	}
	if least == nil || len(least) > lookupValues {
		s.Allow = allow
		return nil
	}
	few := []string{}
	for item := range least {
		if allow(item) {
			few = append(few, item)
		}
	}
	if s.Share = 1; len(few) == 0 {
		s.Empty = true
		return nil
	}
	slices.Sort(few) // so that a plan reads the same each time
	in, err := bindFilter(s.Item+" IN ?", []any{few}, s.Columns)
	if err != nil {
		return queryError(fmt.Errorf("has: %w", err))
	}
	if s.Where != "" {
		in = "(" + s.Where + ") AND (" + in + ")"
	}
	s.Where = in
	return nil
}
