package dataset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"pixano/internal/lance"
	"pixano/internal/rowcodec"
	"pixano/schema"
)

// All changes of rows go through the writer of the dataset that this process has open. Change sets that wait are taken
// together: with the dataset's lock held they are checked one after the other against the tables and those before
// them, logged as one entry, and applied table by table. What a crash leaves half done is redone by the next holder of
// the lock, in this process or another one.

// An Add of more rows, or of more values of vectors, is one commit whose rows are not logged.
const (
	bulkRows   = 10_000
	bulkValues = 256 << 10
)

// writer applies the changes of this process to an open dataset.
type writer struct {
	mu      sync.Mutex
	queue   []*request
	running chan struct{} // closed when the goroutine that works on the queue ends; nil if there is none
	closed  bool
	full    chan struct{} // closed when the queue holds wanted requests; nil: nobody waits for that
	wanted  int

	// What follows belongs to whoever holds the dataset's lock.
	log    *changeLog
	tables map[string]*lance.Table // handles for writes, which move on their own
	known  map[string]uint64       // by table: a version up to which the history knows of all commits
	memory map[string]*rowMemory   // by table

	checked map[string]bool // by table: whether known was compared with the commits
	since   int             // entries since the last checkpoint
	looked  bool            // whether the machine was started anew since the log was written

	syncing sync.Mutex     // held for a checkpoint beside saves
	beside  sync.WaitGroup // of checkpoints beside saves
}

// request is a change set on its way.
type request struct {
	op     string // of its errors
	author string
	key    string
	lone   bool     // its rows may not refer to each other
	items  []string // to be deleted with all rows that belong to them
	checks Checks
	steps  []step

	// prepare, if not nil, finds the steps by what is in the tables.
	prepare  func(ctx context.Context, a *attempt, r *request) error
	reverts  string // the change set that this one undoes
	restores string // the snapshot that this one brings back

	done     chan struct{}
	result   *Result
	err      error
	warnings []error // of the last attempt
}

// step is a change of one row.
type step struct {
	op    op
	table string
	class *schema.Class
	given
	when *time.Time
	back bool // a row that was there before: it gets its time of creation back
}

// submit checks what can be checked without looking at the tables, hands the change set to the writer, and waits.
func (d *Dataset) submit(ctx context.Context, r *request, changes []Change) (*Result, error) {
	if d.readOnly {
		return nil, at(r.op, "", &kindError{ErrReadOnly, "the dataset was opened for reading only", nil})
	}
	r.checks = d.checks
	if err := r.checks.validate(); err != nil {
		return nil, at(r.op, "", err)
	}
	for _, c := range changes {
		class, err := d.class(r.op, c.table)
		if err != nil {
			return nil, err
		}
		if c.op == opDelete {
			for _, id := range c.ids {
				r.steps = append(r.steps, step{op: opDelete, table: c.table, class: class, given: given{id: id}, when: c.when})
			}
			continue
		}
		rows, err := copyRows(c.rows, class)
		if err != nil {
			return nil, at(r.op, c.table, err)
		}
		r.steps = slices.Grow(r.steps, len(rows))
		for _, row := range rows {
			r.steps = append(r.steps, step{op: c.op, table: c.table, class: class, given: row, when: c.when})
		}
	}
	if len(r.steps) == 0 && r.key == "" && r.prepare == nil {
		return &Result{Time: d.now()}, ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return nil, at(r.op, "", err)
	}
	r.done = make(chan struct{})
	if err := d.write.enqueue(d.state, r); err != nil {
		return nil, at(r.op, "", err)
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		if d.write.withdraw(r) {
			return nil, at(r.op, "", ctx.Err())
		}
		// It is being applied: that takes milliseconds, and its outcome is worth more than none.
		<-r.done
	}
	if r.err == nil {
		// Here, where the dataset is not locked and a second attempt cannot tell it twice.
		for _, err := range r.warnings {
			r.checks.warn(err)
		}
	}
	return r.result, r.err
}

// errorAt puts the request's operation and a place on an error.
func (r *request) errorAt(table, id, field string, err error) error {
	return &Error{Op: r.op, Table: table, ID: id, Field: field, Err: err}
}

func (w *writer) enqueue(s *state, r *request) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return ErrClosed
	}
	w.queue = append(w.queue, r)
	if w.full != nil && len(w.queue) >= w.wanted {
		close(w.full)
		w.full = nil
	}
	if w.running == nil {
		w.running = make(chan struct{})
		go w.run(s)
	}
	return nil
}

// withdraw takes a request out of the queue, and reports whether it was still there.
func (w *writer) withdraw(r *request) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.Index(w.queue, r)
	if i < 0 {
		return false
	}
	w.queue = slices.Delete(w.queue, i, i+1)
	return true
}

// Writers that save one row after the other come in step: half of them wait while the other half is stored. A group costs
// little more than a lone change set, so those that were answered just now are waited for, but not for long.
const (
	gatherShare = 4                    // of the time that the last group took
	gatherMost  = 5 * time.Millisecond // and no longer
)

// gather waits until as many requests wait as were at work lately, or for as long as pays.
func (w *writer) gather(wanted int, took time.Duration) {
	w.mu.Lock()
	if wanted < 2 || len(w.queue) >= wanted || w.closed {
		w.mu.Unlock()
		return
	}
	full := make(chan struct{})
	w.full, w.wanted = full, wanted
	w.mu.Unlock()
	timer := time.NewTimer(min(took/gatherShare, gatherMost))
	defer timer.Stop()
	select {
	case <-full:
	case <-timer.C:
		w.mu.Lock()
		w.full = nil
		w.mu.Unlock()
	}
}

// run works on the queue until it is empty.
func (w *writer) run(s *state) {
	for {
		w.mu.Lock()
		group := w.queue
		w.queue = nil
		if len(group) == 0 {
			close(w.running)
			w.running = nil
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		began, size := time.Now(), len(group)
		for len(group) > 0 {
			n := 1
			for !group[0].alone() && n < len(group) && !group[n].alone() {
				n++
			}
			err := s.process(context.Background(), group[:n])
			for _, r := range group[:n] {
				if r.result == nil && r.err == nil {
					r.err = at(r.op, "", err)
				}
				close(r.done)
			}
			group = group[n:]
		}
		w.mu.Lock()
		waiting := len(w.queue)
		w.mu.Unlock()
		w.gather(size+waiting, time.Since(began))
	}
}

// alone reports whether a request shares no entry with others: its rows are not logged one by one, or they are stored
// whatever is there, so that others of its group would not see them, or they depend on what is in the tables.
func (r *request) alone() bool {
	return r.prepare != nil || r.bulk() || slices.ContainsFunc(r.steps, func(s step) bool { return s.op == opAppend })
}

// close waits for what is being applied, makes it safe from a power cut, and gives the handles back.
func (w *writer) close(s *state) error {
	w.mu.Lock()
	w.closed = true
	running := w.running
	w.mu.Unlock()
	if running != nil {
		<-running
	}
	w.beside.Wait()
	if w.log == nil {
		return nil
	}
	unlock, err := s.lockFile(context.Background())
	if err == nil {
		err = s.checkpoint(context.Background())
		if err == nil && len(w.known) < len(s.meta.Load().tables) {
			err = s.noteOutside(context.Background()) // from now on, what others commit to any table is seen
		}
		unlock()
	}
	for _, t := range w.tables {
		err = errors.Join(err, t.Close())
	}
	err = errors.Join(err, w.log.close())
	w.log, w.tables, w.memory = nil, nil, nil
	return err
}

// locked runs a function with the dataset's lock held, all of the log applied and all builds finished.
func (s *state) locked(ctx context.Context, do func() error) error {
	unlock, err := s.lockFile(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.prepareLocked(ctx); err != nil {
		return err
	}
	return do()
}

// prepareLocked applies all of the log and finishes all builds, with the dataset's lock held.
func (s *state) prepareLocked(ctx context.Context) error {
	if err := s.settle(ctx); err != nil {
		return err
	}
	if err := s.recover(ctx); err != nil {
		return err
	}
	return s.finishBuildsLocked(ctx)
}

// process applies the change sets of a group and gives each its result or its error. What it returns is for those that
// got neither.
func (s *state) process(ctx context.Context, group []*request) error {
	return s.locked(ctx, func() error {
		// A table of the reference implementation may change at any moment. Then nothing of the entry has been done, it is
		// given up, and the group is checked anew.
		const tries = 50
		for range tries {
			err := s.attempt(ctx, group)
			if errors.Is(err, errAgain) {
				continue
			}
			if err != nil && len(group) > 1 && s.write.log.last == s.write.log.state.Applied {
				// A table that cannot be read is the trouble of those that want it.
				for i := range group {
					if r := group[i : i+1]; r[0].err == nil && r[0].result == nil {
						r[0].err = s.processOne(ctx, r)
					}
				}
				return nil
			}
			return err
		}
		return &kindError{ErrConflict, fmt.Sprintf("other writers came first %d times", tries), nil}
	})
}

// processOne is process for one of a group that failed as a whole.
func (s *state) processOne(ctx context.Context, one []*request) error {
	for range 50 {
		if err := s.attempt(ctx, one); !errors.Is(err, errAgain) {
			if err != nil {
				return at(one[0].op, "", err)
			}
			return one[0].err
		}
	}
	return at(one[0].op, "", ErrConflict)
}

// errAgain: another writer committed to a table since it was looked at, and nothing was changed yet.
var errAgain = errors.New("try again")

// attempt checks a group, logs it and applies it.
func (s *state) attempt(ctx context.Context, group []*request) error {
	now := s.now()
	a := &attempt{s: s, m: s.meta.Load(), now: now, seen: map[string]*seenTable{}, state: map[place]*rowNow{}, appends: map[string][]any{}, keys: map[string]*request{}}
	if err := a.load(ctx, group); err != nil {
		return err
	}
	a.lookAhead(ctx, group)
	e := &entry{Time: time.Now().UTC()}
	var accepted []*request
	twins := map[*request]*request{} // of the same key
	for _, r := range group {
		if r.err != nil || r.result != nil {
			continue // settled in an earlier attempt
		}
		if first, ok := a.keys[r.key]; ok && r.key != "" {
			twins[r] = first
			continue
		}
		a.keys[r.key] = r
		replayed, err := a.replay(ctx, r)
		if replayed || err != nil {
			r.err = err
			continue
		}
		set, err := a.check(ctx, r)
		if err != nil {
			r.err = err
			continue
		}
		if r.bulk() {
			if err := a.bulk(ctx, r); err != nil {
				if errors.Is(err, errAgain) {
					return err
				}
				r.err = err
			}
			continue
		}
		accepted = append(accepted, r)
		e.Sets = append(e.Sets, *set)
	}
	w := &s.write
	if slices.ContainsFunc(e.Sets, func(set loggedSet) bool { return len(set.Rows) > 0 || set.Key != "" }) {
		e.Outside = a.outside
		if err := w.log.append(e, e.Time); err != nil {
			return fmt.Errorf("change log: %w", err)
		}
		fault("logged")
		s.begin()
		plans := a.plans()
		err := s.applyPlans(ctx, e.Number, plans, true)
		s.end(ctx, a.touched())
		if errors.Is(err, errAgain) {
			void := &entry{Time: e.Time, Void: e.Number}
			if err := w.log.append(void, e.Time); err != nil {
				return fmt.Errorf("change log: %w", err)
			}
			fault("voided")
			if err := w.log.setState(void.Number, w.log.state.Synced); err != nil {
				return err
			}
			return errAgain
		}
		if err != nil {
			// It is logged, so it will be redone; whether it was is not known to its callers.
			return fmt.Errorf("the change is logged as entry %d and will be completed by the next one: %w", e.Number, err)
		}
		if err := w.log.setState(e.Number, w.log.state.Synced); err != nil {
			return err
		}
		fault("noted")
		w.since++
		s.upkeep.changed(s)
		a.noteCommits(plans)
		a.remember(e, plans)
	}
	for i, r := range accepted {
		r.result = e.result(i, schema.Naive(e.Time.Local()))
	}
	for r, first := range twins {
		if r.err = first.err; first.result != nil {
			again := *first.result
			again.Replayed = true
			r.result = &again
		}
	}
	if w.since >= checkpointEntries {
		w.since = 0
		w.beside.Go(func() { _ = s.checkpointBeside(context.Background()) }) // what fails is tried again after as many
	}
	return nil
}

// checkpointEntries is the number of entries after which the tables are made safe from a power cut.
const checkpointEntries = 256

// begin keeps reads at the versions that they see, end lets them see the new ones at once.
func (s *state) begin() {
	s.view.Lock()
	s.applying = true
	s.view.Unlock()
}

func (s *state) end(ctx context.Context, tables []string) {
	// If a handle cannot move now, the next read tries again.
	_ = s.refresh(ctx, tables)
}

// result makes the result of a set of an entry.
func (e *entry) result(set int, now time.Time) *Result {
	res := &Result{Number: e.Number, Set: set, Time: now}
	if e.Bulk != nil {
		return res
	}
	for _, op := range e.Sets[set].Rows {
		row := RowResult{Table: op.Table, ID: op.ID, Outcome: op.outcome()}
		row.CreatedAt, row.UpdatedAt = times(op.After)
		res.Rows = append(res.Rows, row)
	}
	return res
}

func (op *loggedOp) outcome() Outcome {
	switch {
	case op.After == nil && op.Before == nil:
		return Missing
	case op.After == nil:
		return Deleted
	case op.Before == nil || op.Append:
		return Added
	}
	return Updated
}

// times reads the times of a logged row; zero if there is none.
func times(row json.RawMessage) (created, updated time.Time) {
	var head struct {
		CreatedAt string `json:"created_at"`
		UpdatedAt string `json:"updated_at"`
	}
	if row == nil || json.Unmarshal(row, &head) != nil {
		return
	}
	created, _ = schema.ParseTime(head.CreatedAt)
	updated, _ = schema.ParseTime(head.UpdatedAt)
	return
}

// place names a row.
type place struct{ table, id string }

// rowNow is a row in the state that the accepted change sets so far lead to.
type rowNow struct {
	row any // nil if there is none
}

func (r *rowNow) updated() time.Time {
	if r == nil || r.row == nil {
		return time.Time{}
	}
	_, updated, _ := schema.Times(r.row)
	return updated
}

// attempt is one look at the tables, and what the change sets of a group make of them.
type attempt struct {
	s    *state
	m    *meta
	now  time.Time
	seen map[string]*seenTable
	keys map[string]*request

	state   map[place]*rowNow // of the rows that change
	order   []place           // of them, by first mention
	appends map[string][]any  // rows that are added whatever is there
	outside []outsideCommit   // that were found in the tables
}

// seenTable is a table at the version that was looked at.
type seenTable struct {
	t       *lance.Table
	version uint64
	before  map[string]*schema.Dynamic // the rows that the group names, as they are; absent: not there
	at      map[string][]uint64        // by id: where the rows are that were found by their items
	memory  *rowMemory
}

func (a *attempt) touched() []string { return slices.Collect(maps.Keys(a.seen)) }

// table returns a table at its newest version, which it stays at for the attempt.
func (a *attempt) table(ctx context.Context, name string) (*seenTable, error) {
	if t, ok := a.seen[name]; ok {
		return t, nil
	}
	t, err := a.s.writeTable(ctx, name)
	if err != nil {
		return nil, err
	}
	version, err := t.CheckoutLatest(ctx)
	if err != nil {
		return nil, at("", name, err)
	}
	outside, err := a.s.outsideCommits(ctx, t, version)
	if err != nil {
		return nil, at("", name, err)
	}
	a.outside = append(a.outside, outside...)
	class, _ := a.m.schema.Class(name)
	seen := &seenTable{t: t, version: version, before: map[string]*schema.Dynamic{}, memory: a.s.remember(ctx, t, version, class)}
	a.seen[name] = seen
	return seen, nil
}

// writeTable returns the handle for writes of a declared table.
func (s *state) writeTable(ctx context.Context, name string) (*lance.Table, error) {
	w := &s.write
	if t, ok := w.tables[name]; ok {
		return t, nil
	}
	t, err := s.openTable(ctx, "write", name)
	if err != nil {
		return nil, err
	}
	w.tables[name] = t
	return t, nil
}

// load reads the rows that the change sets of a group name, and expands deletions of whole items.
func (a *attempt) load(ctx context.Context, group []*request) error {
	ids := map[string]map[string]bool{}
	for _, r := range group {
		if r.err != nil || r.result != nil {
			continue // settled in an earlier attempt
		}
		if r.err = a.checkClasses(r); r.err != nil {
			continue
		}
		if r.items != nil {
			if err := a.expand(ctx, r); err != nil {
				return err
			}
		}
		if r.prepare != nil {
			r.steps = nil
			if _, again, err := a.s.keyed(ctx, r.key); err != nil {
				return err
			} else if !again {
				if err := r.prepare(ctx, a, r); err != nil {
					return err
				}
			}
		}
		for _, step := range r.steps {
			if step.op == opAppend {
				continue
			}
			if ids[step.table] == nil {
				ids[step.table] = map[string]bool{}
			}
			ids[step.table][step.id] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(ids)) {
		seen, err := a.table(ctx, name)
		if err != nil {
			return err
		}
		class, ok := a.m.schema.Class(name)
		if !ok {
			return at("write", name, a.m.noTable())
		}
		var look []string
		for id := range ids[name] {
			row, known := seen.memory.rows[id]
			switch {
			case seen.at[id] != nil: // it was found by its item
			case !known || row != nil && len(row) == 0:
				look = append(look, id)
			case row != nil:
				if seen.before[id], err = decodeLogged(class, row); err != nil {
					return &Error{Op: "write", Table: name, ID: id, Err: err}
				}
			}
		}
		slices.Sort(look)
		rows, err := a.s.readRows(ctx, seen.t, class, "id", look)
		if err != nil {
			return at("write", name, err)
		}
		for _, row := range rows {
			id, _ := schema.ID(row)
			seen.before[id] = row
		}
		for _, id := range look {
			if seen.before[id] != nil {
				seen.memory.put(id, json.RawMessage{})
			} else {
				seen.memory.put(id, nil)
			}
		}
	}
	return nil
}

// checkClasses refuses rows that were made before columns of their table changed: once in the log, they could not be
// stored any more.
func (a *attempt) checkClasses(r *request) error {
	for i := range r.steps {
		step := &r.steps[i]
		class, ok := a.m.schema.Class(step.table)
		if !ok {
			return at(r.op, step.table, a.m.noTable())
		}
		if class == step.class {
			continue
		}
		if step.op != opDelete && !slices.Equal(class.Fields, step.class.Fields) {
			return r.errorAt(step.table, step.id, "", &kindError{ErrConflict, "the columns of the table changed meanwhile", nil})
		}
		step.class = class
	}
	return nil
}

// expand adds to a deletion of items the rows that belong to them, in all tables that schema.json lists.
func (a *attempt) expand(ctx context.Context, r *request) error {
	r.steps = slices.DeleteFunc(r.steps, func(s step) bool { return s.table != schema.ItemTable })
	type found struct {
		seen      *seenTable
		class     *schema.Class
		rows      []*schema.Dynamic
		addresses []uint64
		err       error
	}
	var tables []*found
	var wait sync.WaitGroup
	for _, name := range a.m.schema.Tables() {
		class, _ := a.m.schema.Class(name)
		if _, _, ok := class.Field("item_ref"); !ok {
			continue
		}
		seen, err := a.table(ctx, name)
		if err != nil {
			wait.Wait()
			return err
		}
		f := &found{seen: seen, class: class}
		tables = append(tables, f)
		wait.Go(func() { f.rows, f.addresses, f.err = a.s.itemRows(ctx, f.seen.t, class, r.items) })
	}
	wait.Wait()
	for _, f := range tables {
		name := f.seen.t.Name()
		if f.err != nil {
			return at("write", name, f.err)
		}
		if f.seen.at == nil {
			f.seen.at = map[string][]uint64{}
		}
		for i, row := range f.rows {
			id, _ := schema.ID(row)
			f.seen.before[id] = row
			f.seen.at[id] = append(f.seen.at[id], f.addresses[i])
			r.steps = append(r.steps, step{op: opDelete, table: name, class: f.class, given: given{id: id}})
		}
	}
	return nil
}

// itemRows reads the rows that belong to items, and their addresses, in storage order.
func (s *state) itemRows(ctx context.Context, t *lance.Table, class *schema.Class, items []string) (rows []*schema.Dynamic, addresses []uint64, err error) {
	const column = "item_ref.id"
	codec, err := rowcodec.ForClass(class)
	if err != nil {
		return nil, nil, err
	}
	wanted := make(map[string]bool, len(items))
	for _, id := range items {
		wanted[id] = true
	}
	var decoder *rowcodec.Decoder
	read := func(batch arrow.RecordBatch, at []uint64) error {
		if decoder == nil {
			if decoder, err = codec.Decoder(batch.Schema()); err != nil {
				return err
			}
		}
		have, err := stringColumn(batch, column)
		if err != nil {
			return err
		}
		from := len(rows)
		if rows, err = rowcodec.Append(decoder, rows, batch); err != nil {
			return err
		}
		kept := rows[:from]
		for i, row := range rows[from:] {
			if wanted[have.Value(i)] { // an index may find others too
				kept, addresses = append(kept, row), append(addresses, at[i])
			}
		}
		rows = kept
		return nil
	}
	// A scan for few rows would read columns of numbers along with that of the items: their addresses come first.
	at, ok, err := s.index(t.Name(), column).find(ctx, t, items)
	if ok {
		at, err = alive(ctx, t, at)
	} else if err == nil {
		for chunk := range slices.Chunk(items, idChunk) {
			found, err := addressesOf(ctx, t, inCondition(column, chunk))
			if err != nil {
				return nil, nil, err
			}
			at = append(at, found...)
		}
		slices.Sort(at)
		at = slices.Compact(at)
	}
	if err != nil {
		return nil, nil, err
	}
	version, err := t.Version(ctx)
	if err != nil {
		return nil, nil, err
	}
	batches, ok, err := s.cache.rows(ctx, t, version, at, codec.Columns(), false)
	if err != nil {
		return nil, nil, err
	}
	if ok {
		for _, batch := range batches {
			n := int(batch.NumRows())
			if err := read(batch, at[:n]); err != nil {
				return nil, nil, err
			}
			at = at[n:]
		}
		return rows, addresses, nil
	}
	for chunk := range slices.Chunk(at, idChunk) {
		for batch, err := range t.Batches(ctx, lance.Query{Where: addressCondition(chunk), Columns: codec.Columns(), WithRowID: true}) {
			if err != nil {
				return nil, nil, err
			}
			at, err := addressColumn(batch)
			if err != nil {
				return nil, nil, err
			}
			if err := read(batch, at); err != nil {
				return nil, nil, err
			}
		}
	}
	return rows, addresses, nil
}

// idChunk is how many ids one condition lists.
const idChunk = 5000

// inCondition gives "column IN (…)".
func inCondition(column string, ids []string) string {
	b := []byte(column + " IN (")
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendQuoted(b, id)
	}
	return string(append(b, ')'))
}

// addressCondition gives "_rowid IN (…)".
func addressCondition(rows []uint64) string {
	b := []byte("_rowid IN (")
	for i, row := range rows {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, row, 10)
	}
	return string(append(b, ')'))
}

func appendQuoted(b []byte, text string) []byte {
	b = append(b, '\'')
	for i := range len(text) {
		if text[i] == '\'' {
			b = append(b, '\'')
		}
		b = append(b, text[i])
	}
	return append(b, '\'')
}

// rowsWith reads columns of the rows whose column has one of the values, in storage order.
func (s *state) rowsWith(ctx context.Context, t *lance.Table, column string, values, columns []string) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		if len(values) == 0 {
			return
		}
		rows, ok, err := s.index(t.Name(), column).find(ctx, t, values)
		if err != nil {
			yield(nil, err)
			return
		}
		if ok {
			if len(rows) == 0 {
				return
			}
			batches, err := s.take(ctx, t, rows, column, values, columns)
			if err != nil {
				yield(nil, err)
				return
			}
			if batches != nil {
				for _, batch := range batches {
					if !yield(batch, nil) {
						return
					}
				}
				return
			}
		}
		for chunk := range slices.Chunk(values, idChunk) {
			for batch, err := range t.Batches(ctx, lance.Query{Where: inCondition(column, chunk), Columns: columns}) {
				if !yield(batch, err) || err != nil {
					return
				}
			}
		}
	}
}

// take reads columns of the rows at the addresses. It returns nil if one of them has none of the values in the column.
func (s *state) take(ctx context.Context, t *lance.Table, rows []uint64, column string, values, columns []string) ([]arrow.RecordBatch, error) {
	wanted := make(map[string]bool, len(values))
	for _, value := range values {
		wanted[value] = true
	}
	path := strings.Split(column, ".")
	extra := !slices.Contains(columns, column) && !slices.Contains(columns, path[0])
	if extra {
		columns = append(slices.Clone(columns), path[0])
	}
	var batches []arrow.RecordBatch
	version, err := t.Version(ctx)
	if err != nil {
		return nil, err
	}
	found, ok, err := s.cache.rows(ctx, t, version, rows, columns, true)
	if err != nil {
		return nil, err
	}
	batchesOf := func(yield func(arrow.RecordBatch, error) bool) {
		for chunk := range slices.Chunk(rows, idChunk) {
			// As a condition, addresses of rows that are gone do no harm.
			for batch, err := range t.Batches(ctx, lance.Query{Where: addressCondition(chunk), Columns: columns}) {
				if !yield(batch, err) || err != nil {
					return
				}
			}
		}
	}
	if ok {
		batchesOf = batchSeq(found)
	}
	for batch, err := range batchesOf {
		if err != nil {
			return nil, err
		}
		have, err := stringColumn(batch, column)
		if err != nil {
			return nil, err
		}
		for i := range have.Len() {
			if !wanted[have.Value(i)] {
				return nil, nil
			}
		}
		batches = append(batches, batch)
	}
	if batches == nil {
		batches = []arrow.RecordBatch{}
	}
	return batches, nil
}

// readRows reads the rows whose column has one of the values, in storage order.
func (s *state) readRows(ctx context.Context, t *lance.Table, class *schema.Class, column string, values []string) ([]*schema.Dynamic, error) {
	codec, err := rowcodec.ForClass(class)
	if err != nil {
		return nil, err
	}
	var rows []*schema.Dynamic
	var decoder *rowcodec.Decoder
	for batch, err := range s.rowsWith(ctx, t, column, values, codec.Columns()) {
		if err != nil {
			return nil, err
		}
		if decoder == nil {
			if decoder, err = codec.Decoder(batch.Schema()); err != nil {
				return nil, err
			}
		}
		if rows, err = rowcodec.Append(decoder, rows, batch); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// readIDs reads the ids of the rows whose column has one of the values.
func (s *state) readIDs(ctx context.Context, t *lance.Table, column string, values []string) ([]string, error) {
	var ids []string
	for batch, err := range s.rowsWith(ctx, t, column, values, []string{"id"}) {
		if err != nil {
			return nil, err
		}
		found, err := stringColumn(batch, "id")
		if err != nil {
			return nil, err
		}
		for i := range found.Len() {
			ids = append(ids, found.Value(i))
		}
	}
	return ids, nil
}

// replay answers a change set whose key was used before.
func (a *attempt) replay(ctx context.Context, r *request) (bool, error) {
	at, ok, err := a.s.keyed(ctx, r.key)
	if err != nil || !ok {
		return false, wrap(r.op, "", err)
	}
	e, err := a.s.readKeyed(ctx, at)
	if err != nil {
		return false, r.errorAt("", "", "", fmt.Errorf("change log: %w", err))
	}
	r.result = e.result(at.set, schema.Naive(e.Time.Local()))
	r.result.Replayed = true
	return true, nil
}

// check checks a change set against the state that those before it lead to. If it is accepted, the state is that after
// it, and what it does is returned.
func (a *attempt) check(ctx context.Context, r *request) (*loggedSet, error) {
	set := &loggedSet{Author: r.author, Key: r.key, Reverts: r.reverts, Restores: r.restores, Rows: make([]loggedOp, 0, len(r.steps))}
	after := map[place]*rowNow{}
	current := func(p place) (*rowNow, error) {
		if row, ok := after[p]; ok {
			return row, nil
		}
		if row, ok := a.state[p]; ok {
			return row, nil
		}
		seen, err := a.table(ctx, p.table)
		if err != nil {
			return nil, err
		}
		row := &rowNow{}
		if before := seen.before[p.id]; before != nil {
			row.row = before
		}
		return row, nil
	}
	var conflicts []Conflict
	stored := map[string][]any{} // rows to check, by table
	adding := map[string]bool{}
	logRows := !r.bulk()
	for i := range r.steps {
		step := &r.steps[i]
		p := place{step.table, step.id}
		now := &rowNow{}
		if step.op != opAppend {
			var err error
			if now, err = current(p); err != nil {
				return nil, at(r.op, step.table, err)
			}
		}
		if step.when != nil && !now.updated().Equal(schema.Naive(*step.when)) {
			c := Conflict{Table: step.table, ID: step.id, Want: *step.when}
			c.Now, _ = a.dynamic(step.class, now.row)
			conflicts = append(conflicts, c)
			continue
		}
		op := loggedOp{Table: step.table, ID: step.id}
		if now.row != nil && logRows {
			var err error
			if op.Before, err = schema.EncodeJSON(now.row); err != nil {
				return nil, r.errorAt(step.table, step.id, "", err)
			}
		}
		switch step.op {
		case opDelete:
			after[p] = &rowNow{}
		case opInsert, opAppend, opPut:
			if step.op == opInsert && now.row != nil && !r.lone {
				return nil, r.errorAt(step.table, step.id, "", ErrExists)
			}
			if err := a.stamp(step, now); err != nil {
				return nil, r.errorAt(step.table, step.id, "", err)
			}
			op.Append = step.op == opAppend
			if logRows {
				var err error
				if op.After, err = schema.EncodeJSON(step.row); err != nil {
					return nil, r.errorAt(step.table, step.id, "", err)
				}
			}
			if !op.Append {
				after[p] = &rowNow{row: step.row}
			}
		}
		set.Rows = append(set.Rows, op)
	}
	if len(conflicts) > 0 {
		return nil, r.errorAt("", "", "", &ConflictError{conflicts})
	}
	for i := range r.steps {
		step := &r.steps[i]
		if step.op == opDelete {
			continue
		}
		if row := after[place{step.table, step.id}]; !r.lone && step.op != opAppend && row.row != step.row {
			continue // a later step replaces or deletes it
		}
		stored[step.table] = append(stored[step.table], step.row)
		adding[step.table] = r.lone && step.op != opPut
	}
	if err := a.checkStored(ctx, r, stored, adding, after); err != nil {
		return nil, err
	}
	if r.bulk() {
		return set, nil
	}
	for _, step := range r.steps {
		p := place{step.table, step.id}
		if row, ok := after[p]; ok {
			if _, again := a.state[p]; !again {
				a.order = append(a.order, p)
			}
			a.state[p] = row
		}
		if step.op == opAppend {
			a.appends[step.table] = append(a.appends[step.table], step.row)
		}
	}
	return set, nil
}

// checkStored makes the integrity checks and those of constraints.
func (a *attempt) checkStored(ctx context.Context, r *request, stored map[string][]any, adding map[string]bool, after map[place]*rowNow) error {
	exists := func(ctx context.Context, table string, ids []string) (map[string]bool, error) {
		var look []string
		found := map[string]bool{}
		for _, id := range ids {
			p := place{table, id}
			row, ok := after[p]
			if !ok || r.lone {
				row, ok = a.state[p]
			}
			if ok {
				found[id] = row.row != nil
			} else {
				look = append(look, id)
			}
		}
		there, err := a.there(ctx, table, look)
		maps.Copy(found, there)
		return found, err
	}
	mode := r.checks.Mode
	r.warnings = nil
	var violations []Violation
	if mode != CheckNone {
		for _, table := range slices.Sorted(maps.Keys(stored)) {
			c := r.checks
			if !r.lone {
				// A change set may store a row twice, and says itself what it inserts.
				c.Ignore = append(slices.Clone(c.Ignore), UniqueID)
			}
			found, err := a.m.checkRows(ctx, c, table, stored[table], adding[table], exists)
			if err != nil {
				return at(r.op, table, err)
			}
			violations = append(violations, found...)
		}
	}
	if len(violations) > 0 {
		err := &IntegrityError{violations}
		if mode != CheckWarn {
			return r.errorAt("", "", "", err)
		}
		r.warnings = append(r.warnings, err)
	}
	if r.checks.Values == CheckWarn || r.checks.Values == CheckRaise {
		for _, table := range slices.Sorted(maps.Keys(stored)) {
			for _, row := range stored[table] {
				for _, err := range a.m.valueErrors(table, row) {
					if r.checks.Values == CheckRaise {
						return r.errorAt(err.Table, err.ID, err.Field, err)
					}
					r.warnings = append(r.warnings, err)
				}
			}
		}
	}
	return nil
}

// stamp gives a row that is stored its times.
func (a *attempt) stamp(step *step, now *rowNow) error {
	created, updated := a.now, a.now
	if now.row != nil && step.op != opAppend {
		was, before, err := schema.Times(now.row)
		if err != nil {
			return err
		}
		created = was
		if !step.created.IsZero() {
			created = schema.Naive(step.created)
		}
		if !updated.After(before) {
			updated = before.Add(time.Microsecond)
		}
	}
	if step.back {
		created = schema.Naive(step.created)
		// Of a row that was deleted, the last time is in the row that comes back.
		if _, before, err := schema.Times(step.row); err == nil && !updated.After(before) {
			updated = before.Add(time.Microsecond)
		}
	}
	if updated.Before(created) {
		updated = created
	}
	return schema.SetTimes(step.row, created, updated)
}

// dynamic returns a row as a dynamic one; nil for none.
func (a *attempt) dynamic(class *schema.Class, row any) (*schema.Dynamic, error) {
	switch row := row.(type) {
	case nil:
		return nil, nil
	case *schema.Dynamic:
		return row, nil
	}
	values := make([]any, len(class.Fields))
	for i, f := range class.Fields {
		var err error
		if values[i], err = schema.Value(row, f.Name); err != nil {
			return nil, err
		}
	}
	return schema.NewDynamicValues(class, values)
}
