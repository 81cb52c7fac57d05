package dataset

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"pixano/features"
	"pixano/internal/lance"
	"pixano/schema"
)

// RepairOptions are the options of [Dataset.Repair]. Nil and the zero value are the defaults.
type RepairOptions struct {
	// PythonCompat also removes what keeps old Python releases from writing to the dataset: indexes.
	PythonCompat bool

	// DryRun changes nothing: the steps are those that would be made.
	DryRun bool

	// Author is noted in the history. "": "repair".
	Author string
}

// RepairStep is something that [Dataset.Repair] does about a finding.
type RepairStep struct {
	Finding
	Text string `json:"step"` // what was done, or would be: "delete the row", "give the row the id …"
}

// String says what is done where, as "bboxes \"b1\": view_ref: empty the reference to image \"v9\"".
func (s RepairStep) String() string {
	f := s.Finding
	f.Text = s.Text
	return f.String()
}

// repairRows is how many rows are repaired together.
const repairRows = 1000

// repairPasses bounds how often the dataset is looked at: a row may have several faults, of which a check tells one, and
// what is deleted may leave references behind.
const repairPasses = 5

// Repair sets right what can be set right without deciding what is true, and yields each step when it is done:
//
//   - rows whose item is gone are deleted, references that lead nowhere are emptied, rows without an id get one;
//   - of rows with the same id the one that was updated last keeps it; the others, if they differ in more than their
//     times, stay under new ids;
//   - columns inside of structs that an old Python wrote too long are cut to what it reads itself;
//   - declared tables that are missing are made, changes that a crash cut off are completed, old versions removed, small
//     files joined, remains of writes removed, missing JSON files written.
//
// References into a table without any rows are left alone: its rows may come back from a copy.
//
// What changes rows goes through change sets, in parts of 1,000 rows: the history has the rows as they were. (Rows that
// share an id, or have none, cannot be told apart there: they are changed in single commits past it.) Each is looked at
// again before it is changed, and left alone if somebody changed it meanwhile. A crash leaves a dataset that can be
// repaired again, and no row is lost on the way. Everything else that [Dataset.Inspect] finds is left to be
// decided by somebody. An error is the last pair; leaving the loop ends the repair.
//
// With DryRun nothing is changed, and the steps are what would be done to what is found first: a repair may find more.
func (d *Dataset) Repair(ctx context.Context, opts *RepairOptions) iter.Seq2[RepairStep, error] {
	if opts == nil {
		opts = &RepairOptions{}
	}
	return func(yield func(RepairStep, error) bool) {
		if d.readOnly && !opts.DryRun {
			yield(RepairStep{}, at("repair", "", ErrReadOnly))
			return
		}
		r := &repairer{d: d.unchecked(), opts: *opts, yield: func(s RepairStep) bool { return yield(s, nil) }, done: map[Finding]bool{}}
		for range repairPasses {
			r.steps = 0
			if err := r.pass(ctx); err != nil {
				if err != errLeft {
					yield(RepairStep{}, placed("repair", "", err))
				}
				return
			}
			if r.steps == 0 || opts.DryRun {
				return
			}
		}
	}
}

// repairer is a running repair.
type repairer struct {
	d     *Dataset
	opts  RepairOptions
	yield func(RepairStep) bool
	steps int // in this pass
	done  map[Finding]bool

	rows []Finding // about rows, that wait to be repaired together
}

func (r *repairer) step(f Finding, text string) error {
	r.steps++
	if !r.yield(RepairStep{f, text}) {
		return errLeft
	}
	return nil
}

// pass repairs what an inspection finds.
func (r *repairer) pass(ctx context.Context) error {
	var optimize []Finding
	repeated := map[place]bool{}
	for f, err := range r.d.WithChecks(Checks{Ignore: r.d.checks.Ignore}).Inspect(ctx, &InspectOptions{PythonCompat: true}) {
		if err != nil {
			return err
		}
		if f.Repair == "" || f.Kind == FoundIndex && !r.opts.PythonCompat {
			continue
		}
		switch f.Kind {
		case FoundVersions, FoundFragments:
			optimize = append(optimize, f)
			continue
		case FoundDefinedID, FoundUniqueID:
			// All rows of the id are dealt with at once.
			if p := (place{f.Table, f.ID}); repeated[p] {
				continue
			} else if len(repeated) < 1<<20 {
				repeated[p] = true
			}
			if err := r.sameID(ctx, f); err != nil {
				return err
			}
			continue
		case FoundRefID, FoundRefName, FoundRefType:
			r.rows = append(r.rows, f)
			if len(r.rows) == repairRows {
				if err := r.references(ctx); err != nil {
					return err
				}
			}
			continue
		}
		if err := r.files(ctx, f); err != nil {
			return err
		}
	}
	if err := r.references(ctx); err != nil {
		return err
	}
	if len(optimize) == 0 || r.done[optimize[0]] {
		return nil
	}
	if !r.opts.DryRun {
		if _, err := r.d.Optimize(ctx); err != nil {
			return err
		}
	}
	for _, f := range optimize {
		// Versions that are young, or that a snapshot keeps, stay; that is no reason to try again.
		r.done[optimize[0]] = true
		if err := r.step(f, f.Repair); err != nil {
			return err
		}
	}
	r.steps -= len(optimize)
	return nil
}

// references empties references that lead nowhere, and deletes the rows whose items are gone.
func (r *repairer) references(ctx context.Context) error {
	findings := r.rows
	r.rows = nil
	for len(findings) > 0 {
		table := findings[0].Table
		n := 1
		for n < len(findings) && findings[n].Table == table {
			n++
		}
		if err := r.referencesOf(ctx, table, findings[:n]); err != nil {
			return err
		}
		findings = findings[n:]
	}
	return nil
}

func (r *repairer) referencesOf(ctx context.Context, table string, findings []Finding) error {
	ids := make([]string, len(findings))
	for i, f := range findings {
		ids[i] = f.ID
	}
	rows, err := r.rowsOf(ctx, table, ids)
	if err != nil {
		return err
	}
	var changes []Change
	var steps []RepairStep
	for _, f := range findings {
		now := rows[f.ID]
		if len(now) != 1 { // gone, or one of several: those are parted first
			continue
		}
		row := now[0]
		v, _ := row.Get(f.Field)
		if to := refOf(v); to.table != f.To || f.Kind == FoundRefID && to.id != f.Value {
			continue // it was changed meanwhile
		}
		_, updated, err := schema.Times(row)
		if err != nil {
			return err
		}
		if f.Field == "item_ref" && f.Kind == FoundRefID {
			changes = append(changes, Delete(table, f.ID).If(updated))
			steps = append(steps, RepairStep{f, fmt.Sprintf("delete the row, whose item %q is gone", f.Value)})
			continue
		}
		if err := row.Set(f.Field, map[string]any{"name": "", "id": ""}); err != nil {
			return err
		}
		changes = append(changes, Put(table, row).If(updated))
		steps = append(steps, RepairStep{f, fmt.Sprintf("empty the reference to %s %q", f.To, refOf(v).id)})
	}
	done, err := r.apply(ctx, changes)
	if err != nil {
		return err
	}
	for i, s := range steps {
		if !done[i] {
			continue
		}
		if err := r.step(s.Finding, s.Text); err != nil {
			return err
		}
	}
	return nil
}

// apply applies changes together, or one by one if one of them is refused: since somebody changed its row meanwhile, or
// since its class does not accept the row. It reports which were made.
func (r *repairer) apply(ctx context.Context, changes []Change) ([]bool, error) {
	done := make([]bool, len(changes))
	if len(changes) == 0 {
		return done, nil
	}
	var err error
	if !r.opts.DryRun {
		_, err = r.d.Apply(ctx, ChangeSet{Author: cmp.Or(r.opts.Author, "repair"), Changes: changes})
	}
	refused := errors.Is(err, ErrConflict) || errors.Is(err, ErrSchema)
	switch {
	case err == nil:
		for i := range done {
			done[i] = true
		}
		return done, nil
	case !refused:
		return nil, err
	case len(changes) == 1:
		return done, nil
	}
	for i := range changes {
		one, err := r.apply(ctx, changes[i:i+1])
		if err != nil {
			return nil, err
		}
		done[i] = one[0]
	}
	return done, nil
}

// rowsOf reads the rows of ids, which may be there several times.
func (r *repairer) rowsOf(ctx context.Context, table string, ids []string) (map[string][]*schema.Dynamic, error) {
	rows := map[string][]*schema.Dynamic{}
	var all []*schema.Dynamic
	if err := r.d.Get(ctx, table, &all, Query{IDs: ids}); err != nil {
		return nil, err
	}
	for _, row := range all {
		id, err := schema.ID(row)
		if err != nil {
			return nil, err
		}
		rows[id] = append(rows[id], row)
	}
	return rows, nil
}

// sameID parts the rows that have one id, or none.
func (r *repairer) sameID(ctx context.Context, f Finding) error {
	if err := r.references(ctx); err != nil { // in the order in which they were found
		return err
	}
	if f.ID == "" {
		return r.newIDs(ctx, f)
	}
	found, err := r.rowsOf(ctx, f.Table, []string{f.ID})
	if err != nil {
		return err
	}
	rows := found[f.ID]
	if len(rows) < 2 {
		return nil
	}
	newest := newestOf(len(rows), func(i int) time.Time { _, updated, _ := schema.Times(rows[i]); return updated })
	seen := []*schema.Dynamic{rows[newest]}
	var safe []Change
	var texts []string
	for i, row := range rows {
		if i == newest || slices.ContainsFunc(seen, func(o *schema.Dynamic) bool { return sameButTimes(o, row) }) {
			continue
		}
		seen = append(seen, row)
		copied := row.Clone()
		id := features.NewShortUUID()
		if err := schema.SetID(copied, id); err != nil {
			return err
		}
		safe = append(safe, Insert(f.Table, copied))
		text := "store the older row, which differs, under an id of its own"
		if !r.opts.DryRun { // else another one will be taken
			text += fmt.Sprintf(": %q", id)
		}
		texts = append(texts, text)
	}
	texts = append(texts, fmt.Sprintf("keep the newest of %d rows of the id", len(rows)))
	done, err := r.apply(ctx, safe)
	if err != nil || slices.Contains(done, false) {
		return err // a row that its class does not accept can only stay where it is
	}
	if !r.opts.DryRun {
		if ok, err := r.keepNewest(ctx, f.Table, f.ID, len(rows)); !ok || err != nil {
			return err
		}
	}
	for _, text := range texts {
		if err := r.step(f, text); err != nil {
			return err
		}
	}
	return nil
}

// newestOf returns which of n rows in storage order was updated last.
func newestOf(n int, updated func(i int) time.Time) int {
	newest := 0
	for i := range n {
		if !updated(i).Before(updated(newest)) {
			newest = i
		}
	}
	return newest
}

// addressed returns the addresses of the rows of an id in a table, and when they were updated.
func addressed(ctx context.Context, t *lance.Table, id string) (rows []uint64, updated []time.Time, err error) {
	q := lance.Query{Where: inCondition("id", []string{id}), Columns: []string{"updated_at"}, WithRowID: true}
	for batch, err := range t.Batches(ctx, q) {
		if err != nil {
			return nil, nil, err
		}
		times, ok := batch.Column(0).(*array.Timestamp)
		if !ok {
			return nil, nil, schemaError("column updated_at is %s", batch.Column(0).DataType())
		}
		addresses, ok := batch.Column(1).(*array.Uint64)
		if !ok {
			return nil, nil, schemaError("row addresses are %s", batch.Column(1).DataType())
		}
		rows = append(rows, addresses.Uint64Values()...)
		for i := range times.Len() {
			updated = append(updated, times.Value(i).ToTime(arrow.Microsecond))
		}
	}
	return rows, updated, nil
}

// directly changes a table by a function, past the log, which knows rows by their ids. The function gets the table at its
// newest version, and its commit must be the next one.
func (r *repairer) directly(ctx context.Context, table string, change func(t *lance.Table, opts *lance.WriteOptions) error) error {
	d := r.d
	return d.locked(ctx, func() error {
		t, err := d.writeTable(ctx, table)
		if err != nil {
			return err
		}
		version, err := t.CheckoutLatest(ctx)
		if err != nil {
			return err
		}
		defer d.refresh(context.WithoutCancel(ctx), []string{table})
		return change(t, &lance.WriteOptions{Properties: d.property(d.write.log.last, stepDelete), ExpectedVersion: version, ConflictRetries: -1})
	})
}

// keepNewest deletes all rows of an id but the one that was updated last, if there are still as many, in one commit.
func (r *repairer) keepNewest(ctx context.Context, table, id string, n int) (kept bool, err error) {
	err = r.directly(ctx, table, func(t *lance.Table, opts *lance.WriteOptions) error {
		rows, updated, err := addressed(ctx, t, id)
		if err != nil || len(rows) != n {
			return err
		}
		newest := newestOf(n, func(i int) time.Time { return updated[i] })
		_, err = t.Delete(ctx, addressCondition(slices.Delete(rows, newest, newest+1)), opts)
		kept = err == nil
		return err
	})
	return kept, err
}

// newIDs gives the rows without an id one each.
func (r *repairer) newIDs(ctx context.Context, f Finding) error {
	if r.opts.DryRun {
		n, err := r.d.Count(ctx, f.Table, Query{IDs: []string{""}})
		if err != nil {
			return err
		}
		for range n {
			if err := r.step(f, "give the row an id"); err != nil {
				return err
			}
		}
		return nil
	}
	for {
		id := features.NewShortUUID()
		done := false
		err := r.directly(ctx, f.Table, func(t *lance.Table, opts *lance.WriteOptions) error {
			rows, _, err := addressed(ctx, t, "")
			if err != nil || len(rows) == 0 {
				return err
			}
			_, err = t.Update(ctx, addressCondition(rows[:1]), []lance.Set{{Column: "id", SQL: "'" + id + "'"}}, opts)
			done = err == nil
			return err
		})
		if err != nil || !done {
			return err
		}
		if err := r.step(f, fmt.Sprintf("give the row the id %q", id)); err != nil {
			return err
		}
	}
}

// sameButTimes reports whether two rows of a class differ in nothing but when they were created and updated.
func sameButTimes(a, b *schema.Dynamic) bool {
	for i, f := range a.Class().Fields {
		if f.Name != "created_at" && f.Name != "updated_at" && !reflect.DeepEqual(a.Values()[i], b.Values()[i]) {
			return false
		}
	}
	return true
}

// files sets right what is not about rows.
func (r *repairer) files(ctx context.Context, f Finding) error {
	if r.done[f] { // it is found again, so it does no good
		return nil
	}
	r.done[f] = true
	d := r.d
	if !r.opts.DryRun {
		var err error
		switch f.Kind {
		case FoundUnfinished:
			err = d.locked(ctx, func() error { return nil })
		case FoundLeftover:
			if err = os.Remove(filepath.Join(d.path, filepath.FromSlash(f.Field))); errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
		case FoundNoTable:
			err = d.exclusively(ctx, "make", f.Table, func(m *meta) error {
				class, ok := m.schema.Class(f.Table)
				if !ok {
					return m.noTable()
				}
				if err := createTable(ctx, d.db, f.Table, class, d.opts.StorageVersion); err != nil {
					return err
				}
				return fileError(syncTree(filepath.Join(d.path, "db", f.Table+".lance")))
			})
		case FoundStruct:
			err = d.locked(ctx, func() error {
				_, err := d.repairStructs(ctx, f.Table, false)
				return err
			})
		case FoundIndex:
			if err = d.DropIndex(ctx, f.Table, f.Value); errors.Is(err, ErrNotFound) {
				err = nil
			}
		case FoundFile:
			err = d.exclusively(ctx, "write", "", func(m *meta) error {
				content := m.schema.Encode()
				if f.Field == constraintsFile {
					content = fileJSON(emptyConstraints().raw())
				}
				return fileError(writeFile(filepath.Join(d.path, f.Field), content))
			})
		default:
			return nil
		}
		if err != nil {
			return &Error{Table: f.Table, Field: f.Field, Err: err}
		}
	}
	return r.step(f, f.Repair)
}
