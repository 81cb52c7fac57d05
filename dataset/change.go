package dataset

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"

	"pixano/schema"
)

// ChangeSet is an ordered list of changes to rows of any tables that is stored as a whole or not at all.
type ChangeSet struct {
	// Author says who makes the changes. It is kept in the history.
	Author string

	// Key, if not empty, names this change set among all: applying it again within 24 hours changes nothing and
	// gives the first result, marked as replayed. A UUID is a good key.
	Key string

	// Separate: the rows of the only change may not refer to each other, as in [Dataset.Add] and [Dataset.Update].
	Separate bool

	// Changes are made in order: a later one sees what an earlier one did.
	Changes []Change
}

// Change is a step of a [ChangeSet], made by [Put], [Insert] or [Delete].
type Change struct {
	op    op
	table string
	rows  any
	ids   []string
	when  *time.Time
}

type op string

const (
	opPut    op = "put"
	opInsert op = "insert"
	opAppend op = "append" // an insert that does not look whether the id is there
	opDelete op = "delete"
)

// Put stores rows of a table, each replacing the one of its id if there is one. rows is a row or a slice of rows.
//
// CreatedAt of a row that is replaced becomes that of the new row, and stays if the new one's is zero.
func Put(table string, rows any) Change { return Change{op: opPut, table: table, rows: rows} }

// Insert stores new rows: an id that is there already is ErrExists. rows is a row or a slice of rows.
func Insert(table string, rows any) Change { return Change{op: opInsert, table: table, rows: rows} }

// Delete deletes rows by their ids. One that is not there is no error; the result tells.
func Delete(table string, ids ...string) Change { return Change{op: opDelete, table: table, ids: ids} }

// If makes a change depend on its rows being as they were when they had this UpdatedAt; otherwise the whole change set
// is refused with a [ConflictError]. The zero time stands for rows that are not there.
func (c Change) If(updatedAt time.Time) Change {
	c.when = &updatedAt
	return c
}

// Result says what a change set did.
type Result struct {
	Number   uint64    // of the entry in the change log; change sets applied together share one; 0: nothing was to be done
	Set      int       // the place among those
	Time     time.Time // when, by the local wall clock
	Replayed bool      // it was applied before, under the same key
	Rows     []RowResult
}

// RowResult says what became of one row of a change set.
type RowResult struct {
	Table     string
	ID        string
	Outcome   Outcome
	CreatedAt time.Time // of the row now; zero if it is not there
	UpdatedAt time.Time // likewise
}

// Outcome is what became of a row.
type Outcome string

const (
	Added   Outcome = "added"
	Updated Outcome = "updated"
	Deleted Outcome = "deleted"
	Missing Outcome = "missing" // to be deleted, and not there
)

// UpdateResult are the ids of the rows that an update replaced, and of those that were not there and were added.
type UpdateResult struct {
	Updated, Added []string
}

// ConflictError says which preconditions of a change set did not hold. It matches [ErrConflict].
type ConflictError struct {
	Conflicts []Conflict
}

// Conflict is a row that is not as a change expected it.
type Conflict struct {
	Table string
	ID    string
	Want  time.Time       // the UpdatedAt that was expected; zero: no row
	Now   *schema.Dynamic // the row as it is; nil if there is none
}

// Error names the rows.
func (e *ConflictError) Error() string {
	const most = 5
	var b strings.Builder
	for i, c := range e.Conflicts {
		if i == most {
			fmt.Fprintf(&b, "; and %d more", len(e.Conflicts)-most)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s %q ", c.Table, c.ID)
		switch _, updated, _ := schema.Times(c.Now); {
		case c.Now == nil:
			fmt.Fprintf(&b, "is not there: want it as of %s", schema.FormatTime(c.Want))
		case c.Want.IsZero():
			fmt.Fprintf(&b, "is there since %s: want none", schema.FormatTime(updated))
		default:
			fmt.Fprintf(&b, "was updated at %s: want it as of %s", schema.FormatTime(updated), schema.FormatTime(c.Want))
		}
	}
	return b.String()
}

// Unwrap gives ErrConflict.
func (e *ConflictError) Unwrap() error { return ErrConflict }

// Apply stores a change set: all of it or nothing.
//
// Rows are brought into their stored form ([schema.Normalize]) and checked against the classes of their tables, and
// references against the state after the set, as [Checks] says; the caller's rows stay as they are. UpdatedAt becomes
// now, or what is needed to be later than before; CreatedAt of new rows becomes now.
//
// The change set is on disk, safe from a crash of the process or the machine, before the tables change and Apply
// returns. Change sets that are applied at the same time share one write of the log. When the context ends, a change
// set that was not begun is withdrawn; one that was may still land.
//
// Errors: ErrConflict if a precondition does not hold, ErrExists for an insert of an id that is there, ErrIntegrity,
// ErrSchema, ErrNotFound for a table, ErrReadOnly.
func (d *Dataset) Apply(ctx context.Context, cs ChangeSet) (*Result, error) {
	if cs.Separate && len(cs.Changes) != 1 {
		return nil, at("apply", "", queryError(fmt.Errorf("%d changes of separate rows: want one", len(cs.Changes))))
	}
	return d.submit(ctx, &request{op: "apply", author: cs.Author, key: cs.Key, lone: cs.Separate}, cs.Changes)
}

// Add stores new rows of a table: all of them or none, in one commit. rows is a row or a slice of rows. Their CreatedAt
// and UpdatedAt become now.
//
// The rows are checked as [Checks] says; they may not refer to each other. Where ids need not be unique, an id that is
// there already is stored twice. More than 10,000 rows are noted in the history by their number only.
func (d *Dataset) Add(ctx context.Context, table string, rows any) error {
	op := opInsert
	if !d.checks.checks(UniqueID) {
		op = opAppend
	}
	_, err := d.submit(ctx, &request{op: "add", lone: true}, []Change{{op: op, table: table, rows: rows}})
	return err
}

// Update stores rows of a table, each replacing the one of its id if there is one; the others are added. rows is a row
// or a slice of rows. The rows are checked as [Checks] says; they may not refer to each other.
func (d *Dataset) Update(ctx context.Context, table string, rows any) (UpdateResult, error) {
	res, err := d.submit(ctx, &request{op: "update", lone: true}, []Change{Put(table, rows)})
	return res.update(), err
}

func (r *Result) update() UpdateResult {
	var u UpdateResult
	if r == nil {
		return u
	}
	for _, row := range r.Rows {
		if row.Outcome == Added {
			u.Added = append(u.Added, row.ID)
		} else {
			u.Updated = append(u.Updated, row.ID)
		}
	}
	return u
}

func (r *Result) missing(table string) []string {
	var ids []string
	if r == nil {
		return nil
	}
	for _, row := range r.Rows {
		if row.Outcome == Missing && row.Table == table {
			ids = append(ids, row.ID)
		}
	}
	return ids
}

// Delete deletes rows of a table and returns the ids that were not there. It leaves rows that refer to them alone, see
// [Dataset.DeleteItems].
func (d *Dataset) Delete(ctx context.Context, table string, ids ...string) (missing []string, err error) {
	res, err := d.submit(ctx, &request{op: "delete"}, []Change{Delete(table, ids...)})
	return res.missing(table), err
}

// AddItems stores whole items, with the rows of all their tables, as one change set. items is an aggregate, see
// [schema.AggregateOf], or an [Item], or a slice of either. As in the reference implementation nothing is checked but the rows themselves:
// ids that are there already are stored twice.
func (d *Dataset) AddItems(ctx context.Context, items any) error {
	changes, err := d.split("add items", items, opAppend)
	if err != nil {
		return err
	}
	_, err = d.unchecked().submit(ctx, &request{op: "add items"}, changes)
	return err
}

// UpdateItems stores whole items as one change set, each row replacing the one of its id if there is one. Rows of an
// item that are left out stay as they are. References are not checked.
func (d *Dataset) UpdateItems(ctx context.Context, items any) (UpdateResult, error) {
	changes, err := d.split("update items", items, opPut)
	if err != nil {
		return UpdateResult{}, err
	}
	res, err := d.unchecked().submit(ctx, &request{op: "update items"}, changes)
	if err != nil {
		return UpdateResult{}, err
	}
	var u UpdateResult
	for _, row := range res.Rows {
		switch {
		case row.Table != schema.ItemTable:
		case row.Outcome == Added:
			u.Added = append(u.Added, row.ID)
		default:
			u.Updated = append(u.Updated, row.ID)
		}
	}
	return u, nil
}

// DeleteItems deletes items with all rows that belong to them in all tables but "source", as one change set, and returns
// the ids that were not there.
func (d *Dataset) DeleteItems(ctx context.Context, ids ...string) (missing []string, err error) {
	res, err := d.DeleteItemsBy(ctx, By{}, ids...)
	return res.missing(schema.ItemTable), err
}

// DeleteItemsBy is [Dataset.DeleteItems] with an author and an idempotency key, and tells what became of each row, so that
// [Dataset.Revert] can bring all of them back.
func (d *Dataset) DeleteItemsBy(ctx context.Context, by By, ids ...string) (*Result, error) {
	return d.submit(ctx, &request{op: "delete items", author: by.Author, key: by.Key, items: ids}, []Change{Delete(schema.ItemTable, ids...)})
}

func (d *Dataset) unchecked() *Dataset {
	c := d.checks
	c.Mode = CheckNone
	return d.WithChecks(c)
}

// split makes changes of the rows of aggregates: one for each table, parents first.
func (d *Dataset) split(name string, items any, what op) ([]Change, error) {
	v := reflect.ValueOf(items)
	for v.IsValid() && v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if !v.IsValid() {
		return nil, at(name, "", schemaError("no items: want an aggregate or a slice of them"))
	}
	if v.Kind() != reflect.Slice {
		one := reflect.MakeSlice(reflect.SliceOf(v.Type()), 0, 1)
		v = reflect.Append(one, v)
	}
	t := v.Type().Elem()
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if d.Schema() == nil {
		return nil, at(name, "", ErrReadOnly)
	}
	if t == reflect.TypeFor[Item]() {
		return d.splitItems(name, v, what)
	}
	a, err := schema.AggregateOf(t)
	if err != nil {
		return nil, at(name, "", err)
	}
	if err := a.Check(d.Schema()); err != nil {
		return nil, at(name, "", err)
	}
	class, _ := d.Schema().Class(schema.ItemTable)
	rows := make([][]any, len(a.Tables))
	var itemRows []any
	for i := range v.Len() {
		item := reflect.Indirect(v.Index(i))
		if !item.IsValid() {
			return nil, at(name, "", schemaError("item %d is nil", i))
		}
		values := make([]any, len(class.Fields))
		for j, f := range class.Fields {
			if values[j], err = schema.Value(item.Interface(), f.Name); err != nil {
				return nil, at(name, schema.ItemTable, err)
			}
		}
		row, err := schema.NewDynamicValues(class, values)
		if err != nil {
			return nil, at(name, schema.ItemTable, err)
		}
		itemRows = append(itemRows, row)
		for j, table := range a.Tables {
			of := item.FieldByIndex(table.Index)
			if table.Many {
				for k := range of.Len() {
					rows[j] = append(rows[j], of.Index(k).Interface())
				}
			} else if id, _ := schema.ID(of.Interface()); id != "" {
				rows[j] = append(rows[j], of.Interface())
			}
		}
	}
	changes := []Change{{op: what, table: schema.ItemTable, rows: itemRows}}
	for j, table := range a.Tables {
		if len(rows[j]) > 0 {
			changes = append(changes, Change{op: what, table: table.Name, rows: rows[j]})
		}
	}
	return changes, nil
}

// splitItems is split for items without a Go type of their own.
func (d *Dataset) splitItems(name string, items reflect.Value, what op) ([]Change, error) {
	var own []any
	rows := map[string][]any{}
	for i := range items.Len() {
		v := reflect.Indirect(items.Index(i))
		if !v.IsValid() {
			return nil, at(name, "", schemaError("item %d is nil", i))
		}
		item := v.Interface().(Item)
		own = append(own, item.Item)
		for table, of := range item.Tables {
			if _, ok := d.Schema().Class(table); !ok || table == schema.ItemTable {
				return nil, at(name, table, d.meta.Load().noTable())
			}
			v := reflect.ValueOf(of)
			switch {
			case !v.IsValid():
			case v.Kind() == reflect.Slice:
				for j := range v.Len() {
					rows[table] = append(rows[table], v.Index(j).Interface())
				}
			default:
				rows[table] = append(rows[table], of)
			}
		}
	}
	changes := []Change{{op: what, table: schema.ItemTable, rows: own}}
	for _, table := range d.Schema().Tables() {
		if len(rows[table]) > 0 {
			changes = append(changes, Change{op: what, table: table, rows: rows[table]})
		}
	}
	return changes, nil
}
