package dataset

import (
	"context"
	"encoding/json"
	"slices"

	"pixano/internal/lance"
	"pixano/schema"
)

// rowMemory is what the writer knows of the rows of a table from its last change sets, as of one version. With it, a save that
// follows another one reads neither the rows that were stored a moment ago nor what they refer to. It belongs to whoever
// holds the dataset's lock.
type rowMemory struct {
	t       *lance.Table // the handle that it was read with
	version uint64
	class   *schema.Class
	rows    map[string]json.RawMessage // by id: the row as it is logged; empty: it is there; nil: it is not there
	bytes   int                        // about what they take
}

// memoryBytes bounds what is known of a table. What is beyond is read again.
const memoryBytes = 4 << 20

// put notes what is known of a row.
func (m *rowMemory) put(id string, row json.RawMessage) {
	if m.bytes += len(id) + len(row) + 64; m.bytes > memoryBytes {
		clear(m.rows)
		m.bytes = len(id) + len(row) + 64
	}
	m.rows[id] = row
}

// remember returns what is known of a table at a version.
func (s *state) remember(ctx context.Context, t *lance.Table, version uint64, class *schema.Class) *rowMemory {
	w, name := &s.write, t.Name()
	m := w.memory[name]
	if m == nil || m.t != t || m.class != class || !sameRows(ctx, t, m.version, version) {
		m = &rowMemory{t: t, class: class, rows: map[string]json.RawMessage{}}
		w.memory[name] = m
	}
	m.version = version
	return m
}

// sameRows reports whether two versions of a table have the same rows, as far as that is told at once.
func sameRows(ctx context.Context, t *lance.Table, from, to uint64) bool {
	const most = 8
	if from == to {
		return true
	}
	if from > to || to-from > most {
		return false
	}
	commits, err := t.Transactions(ctx, to, int(to-from))
	return err == nil && !slices.ContainsFunc(commits, func(c lance.Transaction) bool {
		return c.Missing || !slices.Contains(rowless, c.Operation)
	})
}

// there tells which rows are in a table at the version that was looked at.
func (a *attempt) there(ctx context.Context, table string, ids []string) (map[string]bool, error) {
	seen, err := a.table(ctx, table)
	if err != nil {
		return nil, err
	}
	found := make(map[string]bool, len(ids))
	var look []string
	for _, id := range ids {
		if row, ok := seen.memory.rows[id]; ok {
			found[id] = row != nil
		} else {
			look = append(look, id)
		}
	}
	have, err := a.s.readIDs(ctx, seen.t, "id", look)
	if err != nil {
		return nil, err
	}
	for _, id := range have {
		found[id] = true
	}
	for _, id := range look {
		if found[id] {
			seen.memory.put(id, json.RawMessage{})
		} else {
			seen.memory.put(id, nil)
		}
	}
	return found, nil
}

// lookAhead looks for what the rows of a group refer to: once for all of them instead of once for each. What goes wrong here
// is told by the check of the change set that it concerns.
func (a *attempt) lookAhead(ctx context.Context, group []*request) {
	if len(group) < 2 {
		return
	}
	wanted := map[string]*idSet{}
	for _, r := range group {
		if r.err != nil || r.result != nil || r.checks.Mode == CheckNone {
			continue
		}
		by := map[string]*rules{}
		for i := range r.steps {
			step := &r.steps[i]
			if step.op == opDelete {
				continue
			}
			rules := by[step.table]
			if rules == nil {
				rules = newRules(a.m.schema, step.table, step.class, r.checks.Ignore)
				by[step.table] = rules
			}
			refs := make([]ref, len(rules.columns))
			read := rowRefs{columns: rules.columns}
			if _, err := read.read(step.row, refs); err != nil {
				continue
			}
			for _, to := range refs {
				if rules.looksUp(to) {
					if wanted[to.table] == nil {
						wanted[to.table] = &idSet{}
					}
					wanted[to.table].add(to.id)
				}
			}
		}
	}
	for table, ids := range wanted {
		_, _ = a.there(ctx, table, ids.list)
	}
}

// remember notes, after an entry was applied, what its rows are now.
func (a *attempt) remember(e *entry, plans map[string]*tablePlan) {
	for name, p := range plans {
		if seen := a.seen[name]; seen != nil && p.version == seen.version+p.commits() {
			seen.memory.version = p.version
		} else {
			delete(a.s.write.memory, name) // another writer came between
		}
	}
	for _, set := range e.Sets {
		for _, op := range set.Rows {
			seen := a.seen[op.Table]
			switch {
			case seen == nil:
			case op.Append:
				delete(a.s.write.memory, op.Table) // there may be two rows of this id
			case op.After == nil && seen.at[op.ID] != nil:
				delete(seen.memory.rows, op.ID) // another item may have a row of this id
			default:
				seen.memory.put(op.ID, op.After)
			}
		}
	}
}

// commits is how many versions a plan makes.
func (p *tablePlan) commits() uint64 {
	n := uint64(0)
	for _, rows := range []int{len(p.appends), len(p.puts), len(p.deletes)} {
		if rows > 0 {
			n++
		}
	}
	return n
}
