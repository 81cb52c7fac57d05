package dataset

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"pixano/schema"
)

// By says who makes a change, and under which idempotency key; see [ChangeSet]. Both may be empty.
type By struct {
	Author string
	Key    string
}

// RevertError says which rows keep a change set from being undone. It matches [ErrConflict].
type RevertError struct {
	Change ChangeID
	Rows   []BlockedRow
}

// BlockedRow is a row that was changed after the change set that was to be undone.
type BlockedRow struct {
	Table  string
	ID     string
	Fields []string // the columns that were changed in both; nil if the row itself is in the way
	Why    string
}

// Error names the rows.
func (e *RevertError) Error() string {
	const most = 5
	var b strings.Builder
	fmt.Fprintf(&b, "change %s cannot be undone: ", e.Change)
	for i, row := range e.Rows {
		if i == most {
			fmt.Fprintf(&b, "; and %d more", len(e.Rows)-most)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s %q %s", row.Table, row.ID, row.Why)
	}
	return b.String()
}

// Unwrap gives ErrConflict.
func (e *RevertError) Unwrap() error { return ErrConflict }

// Revert undoes a change set of the history by an inverse change set, which the history holds as well: undoing that one
// does the change again.
//
// Rows that were changed since are merged column by column: what the change set set goes back, what was set later stays.
// Undoing what is undone already does nothing. Revert refuses, with a [RevertError] that names the rows and changes nothing, where a
// later change set the same columns, or deleted the row; where a row that it would delete was changed since, or other
// rows refer to it. References are checked as by [Dataset.Apply].
//
// Errors: ErrNotFound if the history has no such change set; ErrUnsupported for loads and outside changes, whose rows it
// does not know; those of Apply.
func (d *Dataset) Revert(ctx context.Context, id ChangeID, by By) (*Result, error) {
	op := "revert " + id.String()
	event, err := d.event(ctx, id)
	if err != nil {
		return nil, at(op, "", err)
	}
	if event.Kind != EventChange {
		return nil, at(op, event.Table, &kindError{ErrUnsupported,
			fmt.Sprintf("the history does not hold the rows of this %s: want a change set, or a snapshot to restore", event.Kind), nil})
	}
	return d.submit(ctx, &request{op: op, author: by.Author, key: by.Key, reverts: id.String(),
		prepare: func(ctx context.Context, a *attempt, r *request) error { return a.revert(ctx, r, event) }}, nil)
}

// event returns one event of the history.
func (d *Dataset) event(ctx context.Context, id ChangeID) (*Event, error) {
	for event, err := range d.History(ctx, HistoryQuery{Change: id, Limit: 1}) {
		if err != nil {
			return nil, err
		}
		return &event, nil
	}
	return nil, &kindError{ErrNotFound, "the history has no such change", nil}
}

// net folds the changes of an event into one a row, in order of first mention.
func net(rows []RowChange) []RowChange {
	place := map[place]int{}
	var folded []RowChange
	for _, c := range rows {
		i, again := place[key(c)]
		if !again {
			place[key(c)] = len(folded)
			folded = append(folded, c)
			continue
		}
		folded[i].After = c.After
	}
	return folded
}

func key(c RowChange) place { return place{c.Table, c.ID} }

// revert makes the steps of a request that undoes an event.
func (a *attempt) revert(ctx context.Context, r *request, event *Event) error {
	changes := net(event.Rows)
	later, undone, err := a.s.later(ctx, event.ID, changes)
	if err != nil || undone {
		return err
	}
	ids := map[string][]string{}
	for _, c := range changes {
		ids[c.Table] = append(ids[c.Table], c.ID)
	}
	now := map[place][]*schema.Dynamic{}
	for _, table := range slices.Sorted(maps.Keys(ids)) {
		class, ok := a.m.schema.Class(table)
		if !ok {
			return &Error{Table: table, Err: a.m.noTable()}
		}
		seen, err := a.table(ctx, table)
		if err != nil {
			return err
		}
		rows, err := a.s.readRows(ctx, seen.t, class, "id", ids[table])
		if err != nil {
			return &Error{Table: table, Err: err}
		}
		for _, row := range rows {
			id, _ := schema.ID(row)
			now[place{table, id}] = append(now[place{table, id}], row)
		}
	}
	refused := &RevertError{Change: event.ID}
	for _, c := range changes {
		class, _ := a.m.schema.Class(c.Table)
		block := func(why string, fields ...string) {
			refused.Rows = append(refused.Rows, BlockedRow{c.Table, c.ID, fields, why})
		}
		rows := now[key(c)]
		if len(rows) > 1 {
			block(fmt.Sprintf("is there %d times", len(rows)))
			continue
		}
		var current *jsonObject
		if len(rows) == 1 {
			text, err := schema.EncodeJSON(rows[0])
			if err != nil {
				return &Error{Table: c.Table, ID: c.ID, Err: err}
			}
			if current, err = parseObject("the row", text); err != nil {
				return err
			}
		}
		target, fields, why := undo(class, current, c, later[key(c)])
		switch {
		case why != "":
			block(why, fields...)
		case target == current: // it is undone already
		case target == nil:
			r.steps = append(r.steps, step{op: opDelete, table: c.Table, class: class, given: given{id: c.ID}})
		default:
			step, err := storedStep(c.Table, c.ID, class, target.raw())
			if err != nil {
				return err
			}
			r.steps = append(r.steps, step)
		}
	}
	if len(refused.Rows) == 0 {
		if err := a.referring(ctx, r.steps, refused); err != nil {
			return err
		}
	}
	if len(refused.Rows) > 0 {
		return refused
	}
	return nil
}

// later is what change sets wrote to a row after the one that is undone.
type later struct {
	whole  bool // they added or deleted it
	fields map[string]bool
}

// later returns what was written after a change set to the rows of its changes, and whether it was undone. Changes that were
// undone themselves do not count.
func (s *state) later(ctx context.Context, id ChangeID, changes []RowChange) (map[place]later, bool, error) {
	written := map[place]later{}
	for _, c := range changes {
		written[key(c)] = later{fields: map[string]bool{}}
	}
	undone := false
	gone := map[ChangeID]bool{} // undone by a later one
	err := s.events(ctx, HistoryQuery{After: id}, func(e Event) bool {
		if e.Kind != EventChange || gone[e.ID] {
			return true
		}
		if e.Reverts != nil {
			if *e.Reverts == id {
				undone = true
				return false // what came between does not matter
			}
			if older(id, *e.Reverts) {
				gone[*e.Reverts] = true
				return true
			}
		}
		for _, c := range net(e.Rows) {
			row, ours := written[key(c)]
			if !ours {
				continue
			}
			row.whole = row.whole || (c.Before == nil) != (c.After == nil)
			for _, field := range c.Fields() {
				row.fields[field] = true
			}
			written[key(c)] = row
		}
		return true
	})
	return written, undone, err
}

// undo returns what a row becomes when a change of it is undone, nil for no row, and current itself if nothing is to be
// done; or why it cannot be undone, and because of which columns.
func undo(class *schema.Class, current *jsonObject, c RowChange, since later) (target *jsonObject, fields []string, why string) {
	before, _ := parseObject("before", orEmpty(c.Before))
	after, _ := parseObject("after", orEmpty(c.After))
	differ := func(a, b *jsonObject) (names []string) {
		for _, f := range class.Fields {
			if x, ok := a.values[f.Name]; ok && !isTime(f.Name) {
				if y, ok := b.values[f.Name]; ok && !bytes.Equal(x, y) {
					names = append(names, f.Name)
				}
			}
		}
		return names
	}
	wrote := slices.Sorted(maps.Keys(since.fields))
	switch {
	case c.Before == nil && c.After == nil:
		return current, nil, ""
	case c.Before == nil: // it was added
		switch {
		case since.whole:
			return nil, nil, "was added by it and deleted since"
		case current == nil: // by others
			return nil, nil, ""
		case len(wrote) == 0:
			wrote = differ(current, after)
		}
		if len(wrote) > 0 {
			return nil, wrote, "was added by it and changed since in " + strings.Join(wrote, ", ")
		}
		return nil, nil, ""
	case c.After == nil: // it was deleted
		switch {
		case since.whole:
			return nil, nil, "was deleted by it and added again since"
		case current == nil:
			return before, nil, ""
		}
		if fields := differ(current, before); fields != nil {
			return nil, fields, "was deleted by it and added again with other values since"
		}
		return current, nil, ""
	case since.whole || current == nil:
		if differ(before, after) == nil {
			return current, nil, "" // it only had its time set
		}
		return nil, nil, "was deleted since"
	}
	target = &jsonObject{keys: current.keys, values: maps.Clone(current.values)}
	changed := false
	for _, name := range differ(before, after) {
		switch have := current.values[name]; {
		case since.fields[name]:
			fields = append(fields, name)
		case bytes.Equal(have, after.values[name]):
			target.values[name] = before.values[name]
			changed = true
		case !bytes.Equal(have, before.values[name]):
			fields = append(fields, name)
		}
	}
	if fields != nil {
		return nil, fields, "was changed since in " + strings.Join(fields, ", ")
	}
	if !changed {
		return current, nil, ""
	}
	return target, nil, ""
}

// storedStep is a step that stores a row as the history or a snapshot has it. Columns that came to the table since have their
// default.
func storedStep(table, id string, class *schema.Class, text json.RawMessage) (step, error) {
	fail := func(err error) (step, error) { return step{}, &Error{Table: table, ID: id, Err: err} }
	row, err := schema.NewDynamic(class)
	if err != nil {
		return fail(err)
	}
	have, err := parseObject("the row", text)
	if err != nil {
		return fail(err)
	}
	var full *jsonObject
	for _, f := range class.Fields {
		if _, ok := have.values[f.Name]; ok {
			continue
		}
		if full == nil {
			empty, err := schema.EncodeJSON(row)
			if err == nil {
				full, err = parseObject("the row", empty)
			}
			if err != nil {
				return fail(err)
			}
		}
		have.set(f.Name, full.values[f.Name])
	}
	if full != nil {
		text = have.raw()
	}
	if err := schema.DecodeStoredJSON(text, row); err != nil {
		return fail(err)
	}
	return backStep(table, id, class, row)
}

// backStep is a step that stores a row as it was, with its time of creation.
func backStep(table, id string, class *schema.Class, row *schema.Dynamic) (step, error) {
	created, _, err := schema.Times(row)
	return step{op: opPut, table: table, class: class, given: given{row: row, id: id, created: created}, back: true}, err
}

// referring adds to what blocks an undo the rows that some steps delete although others refer to them.
func (a *attempt) referring(ctx context.Context, steps []step, refused *RevertError) error {
	deleted := map[string][]string{}
	touched := map[place]bool{}
	for _, s := range steps {
		touched[place{s.table, s.id}] = true
		if s.op == opDelete {
			deleted[s.table] = append(deleted[s.table], s.id)
		}
	}
	for _, target := range slices.Sorted(maps.Keys(deleted)) {
		targetClass, _ := a.m.schema.Class(target)
		for _, name := range a.m.schema.Tables() {
			class, _ := a.m.schema.Class(name)
			for _, column := range refColumns(class) {
				// A reference that may name any table is one of the group that its type says, or empty.
				if group, _ := refGroup(class, column.name); group != targetClass.Group() {
					continue
				}
				found, err := a.references(ctx, name, column.name, target, deleted[target])
				if err != nil {
					return err
				}
				for _, from := range found {
					if !touched[place{name, from.id}] {
						refused.Rows = append(refused.Rows, BlockedRow{target, from.to, nil,
							fmt.Sprintf("was added by it, and %s %q refers to it since", name, from.id)})
					}
				}
			}
		}
	}
	return nil
}

func refGroup(class *schema.Class, column string) (schema.Group, bool) {
	f, _, _ := class.Field(column)
	return f.Type.RefGroup()
}

type reference struct{ id, to string }

// references lists rows of a table whose column refers to one of some rows of another.
func (a *attempt) references(ctx context.Context, table, column, target string, ids []string) ([]reference, error) {
	seen, err := a.table(ctx, table)
	if errors.Is(err, ErrNotFound) {
		return nil, nil // declared, and not there
	}
	if err != nil {
		return nil, err
	}
	var found []reference
	for batch, err := range a.s.rowsWith(ctx, seen.t, column+".id", ids, []string{"id", column}) {
		if err != nil {
			return nil, &Error{Table: table, Field: column, Err: err}
		}
		var columns [3][]string
		for i, name := range []string{"id", column + ".id", column + ".name"} {
			values, err := stringColumn(batch, name)
			if err != nil {
				return nil, &Error{Table: table, Field: column, Err: err}
			}
			for j := range values.Len() {
				columns[i] = append(columns[i], values.Value(j))
			}
		}
		for j, id := range columns[0] {
			if columns[2][j] == target {
				found = append(found, reference{id, columns[1][j]})
			}
		}
	}
	return found, nil
}
