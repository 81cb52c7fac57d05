package dataset

import (
	"context"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"pixano/schema"
)

// Table is a table whose rows are read and written as T, see [TableOf]. It is also the [Selection] of all its rows, so
// Where, OrderBy and the other methods of one begin a narrower selection.
//
// It is safe for concurrent use.
type Table[T schema.Row] struct {
	Selection[T]
}

// TableOf returns a table of a dataset with rows of type T: a struct that embeds a group, a pointer to one, or
// schema.Dynamic. T may have fewer columns than the table, which are then the ones read.
//
// A type that does not fit the table is ErrSchema, an unknown table ErrNotFound.
func TableOf[T schema.Row](ds *Dataset, name string) (*Table[T], error) {
	if _, err := ds.form(name, reflect.TypeFor[T]()); err != nil {
		return nil, at("table", name, err)
	}
	return &Table[T]{Selection[T]{ds: ds, table: name}}, nil
}

// Name returns the table's name.
func (t *Table[T]) Name() string { return t.table }

// ByID reads the rows of the ids, in their order, and returns the ids that are not there, see [Dataset.ByID].
func (t *Table[T]) ByID(ctx context.Context, ids ...string) (rows []T, missing []string, err error) {
	missing, err = t.ds.ByID(ctx, t.table, &rows, ids...)
	return rows, missing, err
}

// Add stores new rows, see [Dataset.Add].
func (t *Table[T]) Add(ctx context.Context, rows ...T) error { return t.ds.Add(ctx, t.table, rows) }

// Update stores rows, each replacing the one of its id if there is one, see [Dataset.Update].
func (t *Table[T]) Update(ctx context.Context, rows ...T) (UpdateResult, error) {
	return t.ds.Update(ctx, t.table, rows)
}

// Delete deletes rows and returns the ids that were not there, see [Dataset.Delete].
func (t *Table[T]) Delete(ctx context.Context, ids ...string) (missing []string, err error) {
	return t.ds.Delete(ctx, t.table, ids...)
}

// ItemTable is a dataset's whole items as T, see [ItemsOf]. It is also the [Selection] of all items.
//
// It is safe for concurrent use.
type ItemTable[T any] struct {
	Selection[T]
}

// ItemsOf returns the whole items of a dataset as T: an aggregate, a pointer to one, or [Item], as [Dataset.Items] reads
// them. Conditions and orders of its selections are on the table of items.
//
// A type that does not fit the dataset is ErrSchema.
func ItemsOf[T any](ds *Dataset) (*ItemTable[T], error) {
	if _, err := ds.itemReader("items", reflect.TypeFor[T]()); err != nil {
		return nil, at("items", "", err)
	}
	return &ItemTable[T]{Selection[T]{ds: ds, table: ds.ItemTable(), whole: true}}, nil
}

// ByID reads the items of the ids, in their order, and returns the ids that are not there, see [Dataset.ItemsByID].
func (t *ItemTable[T]) ByID(ctx context.Context, ids ...string) (items []T, missing []string, err error) {
	missing, err = t.ds.ItemsByID(ctx, &items, ids...)
	return items, missing, err
}

// Add stores whole items, see [Dataset.AddItems].
func (t *ItemTable[T]) Add(ctx context.Context, items ...T) error { return t.ds.AddItems(ctx, items) }

// Update stores whole items, see [Dataset.UpdateItems].
func (t *ItemTable[T]) Update(ctx context.Context, items ...T) (UpdateResult, error) {
	return t.ds.UpdateItems(ctx, items)
}

// Delete deletes items with all their rows and returns the ids that were not there, see [Dataset.DeleteItems].
func (t *ItemTable[T]) Delete(ctx context.Context, ids ...string) (missing []string, err error) {
	return t.ds.DeleteItems(ctx, ids...)
}

// Selection is some rows of a [Table], or items of an [ItemTable], in an order. It is a value: each of its methods that
// change the selection returns a changed copy, so that one can be kept and refined in several ways.
//
// Nothing is read until a method is called that takes a context. It also reports the first mistake made before.
type Selection[T any] struct {
	ds    *Dataset
	table string
	whole bool // rows are whole items
	query Query
	err   error // the first one
}

// Where adds a condition, see Query.Where; of several all must hold. args are the values for its question marks.
func (s Selection[T]) Where(condition string, args ...any) Selection[T] {
	if err := checkCondition(condition, len(args)); err != nil {
		return s.fail("where", err)
	}
	if s.query.Where == "" {
		s.query.Where, s.query.Args = condition, args
		return s
	}
	s.query.Where = "(" + s.query.Where + ") AND (" + condition + ")"
	s.query.Args = append(slices.Clip(s.query.Args), args...)
	return s
}

// Has selects rows whose items have a row in another table, one that the condition selects if it is not empty; of several
// all must hold. See [Has].
func (s Selection[T]) Has(table, condition string, args ...any) Selection[T] {
	s.query.Has = append(slices.Clip(s.query.Has), Has{Table: table, Where: condition, Args: args})
	return s
}

// HasNot selects rows whose items have no such row.
func (s Selection[T]) HasNot(table, condition string, args ...any) Selection[T] {
	s.query.Has = append(slices.Clip(s.query.Has), Has{Table: table, Where: condition, Args: args, Not: true})
	return s
}

// checkCondition checks that a condition can stand in parentheses and has as many question marks as values.
func checkCondition(condition string, values int) error {
	tokens, err := lex(condition)
	if err != nil {
		return err
	}
	var open []string
	for _, t := range tokens {
		switch {
		case t.kind == paramToken:
			values--
		case t.kind != opToken:
		case t.text == "(" || t.text == "[":
			open = append(open, t.text)
		case t.text == ")" || t.text == "]":
			if len(open) == 0 || (open[len(open)-1] == "(") != (t.text == ")") {
				return fmt.Errorf("at %d: %q closes nothing", t.pos, t.text)
			}
			open = open[:len(open)-1]
		}
	}
	switch {
	case len(tokens) == 0:
		return fmt.Errorf("the condition is empty")
	case len(open) > 0:
		return fmt.Errorf("%q is not closed", open[len(open)-1])
	case values > 0:
		return fmt.Errorf("%d more values than question marks", values)
	case values < 0:
		return fmt.Errorf("%d more question marks than values", -values)
	}
	return nil
}

// Query makes q the whole selection, in place of what was selected before.
func (s Selection[T]) Query(q Query) Selection[T] {
	if q.Where = strings.TrimSpace(q.Where); q.Where != "" {
		if err := checkCondition(q.Where, len(q.Args)); err != nil {
			return s.fail("where", err)
		}
	}
	s.query = q
	return s
}

// OrderBy sorts the rows, in place of an order given before, see Query.OrderBy.
func (s Selection[T]) OrderBy(order string) Selection[T] {
	s.query.OrderBy = order
	return s
}

// Limit selects at most n rows. 0: no limit.
func (s Selection[T]) Limit(n int) Selection[T] {
	if n < 0 {
		return s.fail("limit", fmt.Errorf("%d: want 0 or more", n))
	}
	s.query.Limit = n
	return s
}

// Offset leaves out the first n rows.
func (s Selection[T]) Offset(n int) Selection[T] {
	if n < 0 {
		return s.fail("offset", fmt.Errorf("%d: want 0 or more", n))
	}
	s.query.Offset = n
	return s
}

// WithIDs selects rows of these ids only, none for no ids, in place of ids given before. The rows keep their order; see
// ByID for that of the ids.
func (s Selection[T]) WithIDs(ids ...string) Selection[T] {
	s.query.IDs = append([]string{}, ids...)
	return s
}

// OfItems selects rows that belong to these items only, none for no ids, in place of items given before.
func (s Selection[T]) OfItems(ids ...string) Selection[T] {
	s.query.ItemIDs = append([]string{}, ids...)
	return s
}

func (s Selection[T]) fail(field string, err error) Selection[T] {
	if s.err == nil {
		s.err = &Error{Op: "select from", Table: s.table, Field: field, Err: queryError(err)}
	}
	return s
}

// All reads the rows as a stream. An error is the last pair; leaving the loop ends the read, and ranging again reads
// again. The rows belong to the caller.
//
// Whole items are read a few thousand at a time; those of one such part are of one state of the dataset, and items that
// are deleted meanwhile are left out.
func (s Selection[T]) All(ctx context.Context) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		if s.err != nil {
			yield(zero, s.err)
			return
		}
		parts := s.ds.slices(ctx, "read", s.table, reflect.TypeFor[T](), s.query)
		if s.whole {
			parts = s.ds.eachItems(ctx, "read items", reflect.TypeFor[T](), s.query, itemChunk)
		}
		for part, err := range parts {
			if err != nil {
				yield(zero, err)
				return
			}
			for _, row := range part.Interface().([]T) {
				if !yield(row, nil) {
					return
				}
			}
		}
	}
}

// Slice reads all the rows. Whole items are of one state of the dataset.
func (s Selection[T]) Slice(ctx context.Context) ([]T, error) {
	if s.err != nil {
		return nil, s.err
	}
	var rows []T
	var err error
	if s.whole {
		err = s.ds.Items(ctx, &rows, s.query)
	} else {
		err = s.ds.Get(ctx, s.table, &rows, s.query)
	}
	return rows, err
}

// First reads the first row. Where there is none the error matches ErrNotFound.
func (s Selection[T]) First(ctx context.Context) (T, error) {
	s.query.Limit = 1
	rows, err := s.Slice(ctx)
	if err == nil && len(rows) == 0 {
		err = &Error{Op: "get first of", Table: s.table, Err: noRow}
	}
	if err != nil {
		var zero T
		return zero, err
	}
	return rows[0], nil
}

// One reads the only row. Where there is none the error matches ErrNotFound, where there are several ErrQuery.
func (s Selection[T]) One(ctx context.Context) (T, error) {
	if s.query.Limit != 1 {
		s.query.Limit = 2
	}
	rows, err := s.Slice(ctx)
	if err == nil && len(rows) == 0 {
		err = &Error{Op: "get one of", Table: s.table, Err: noRow}
	}
	if err == nil && len(rows) > 1 {
		err = &Error{Op: "get one of", Table: s.table, Err: queryError(fmt.Errorf("several rows are selected: want one"))}
	}
	if err != nil {
		var zero T
		return zero, err
	}
	return rows[0], nil
}

// Count returns the number of rows selected, before Limit and Offset.
func (s Selection[T]) Count(ctx context.Context) (int64, error) {
	if s.err != nil {
		return 0, s.err
	}
	return s.ds.Count(ctx, s.table, s.query)
}

// IDs returns the ids of the rows.
func (s Selection[T]) IDs(ctx context.Context) ([]string, error) {
	if s.err != nil {
		return nil, s.err
	}
	return s.ds.IDs(ctx, s.table, s.query)
}

// Batches reads the rows as Arrow record batches with all columns of the table, those of items without their other
// tables. See [Dataset.Batches].
func (s Selection[T]) Batches(ctx context.Context) iter.Seq2[arrow.RecordBatch, error] {
	if s.err != nil {
		return func(yield func(arrow.RecordBatch, error) bool) { yield(nil, s.err) }
	}
	return s.ds.Batches(ctx, s.table, s.query)
}
