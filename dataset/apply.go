package dataset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"pixano/features"
	"pixano/internal/lance"
	"pixano/internal/rowcodec"
	"pixano/schema"
)

// entryProperty is the property of a commit's transaction that names the last entry of the log that is in the table:
// the log's id, the entry's number and the step of the table, separated by "/".
const entryProperty = "pixano.entry"

// bulkProperty tells commits of bulk loads apart.
const bulkProperty = "pixano.bulk"

// The steps of an entry in one table, each a commit.
const (
	stepAppend = 1 + iota // rows are added whatever is there
	stepPut               // rows are added or replaced
	stepDelete
)

// tablePlan is what an entry does to one table.
type tablePlan struct {
	t       *lance.Table
	class   *schema.Class
	version uint64 // that it was checked at; 0 for an entry that is redone
	appends []any
	puts    []any
	fresh   bool // none of the puts is there at this version
	deletes []string
	at      []uint64 // the rows to delete, where all were found by their items; nil: those with the ids
}

// plans folds what the accepted change sets do into the end state of each row.
func (a *attempt) plans() map[string]*tablePlan {
	plans := map[string]*tablePlan{}
	plan := func(table string) *tablePlan {
		p := plans[table]
		if p == nil {
			class, _ := a.m.schema.Class(table)
			p = &tablePlan{class: class, fresh: true}
			plans[table] = p
		}
		return p
	}
	for table, rows := range a.appends {
		plan(table).appends = rows
	}
	// In a settled order, so that rows come into the table in the order of their ids' first mention.
	for _, p := range a.order {
		now := a.state[p]
		before := a.seen[p.table].before[p.id]
		switch {
		case now.row != nil:
			plan := plan(p.table)
			plan.puts = append(plan.puts, now.row)
			plan.fresh = plan.fresh && before == nil
		case before != nil:
			plan := plan(p.table)
			plan.deletes = append(plan.deletes, p.id)
		}
	}
	for table, p := range plans {
		seen := a.seen[table]
		if seen == nil {
			continue
		}
		p.t, p.version = seen.t, seen.version
		for _, id := range p.deletes {
			at := seen.at[id]
			if at == nil || len(p.deletes) > idChunk {
				p.at = nil
				break
			}
			p.at = append(p.at, at...)
		}
	}
	return plans
}

// applyPlans commits an entry's changes: parents first, deletions last and in the reverse order. Live ones were checked
// just now; if another writer was faster before the first commit, the error is errAgain and nothing was done.
func (s *state) applyPlans(ctx context.Context, number uint64, plans map[string]*tablePlan, live bool) error {
	var order []string
	m := s.meta.Load()
	for _, group := range schema.Groups() {
		for _, table := range m.schema.TablesOf(group) {
			if plans[table] != nil {
				order = append(order, table)
			}
		}
	}
	first := live
	commit := func(table string, step int) error {
		p := plans[table]
		if p.t == nil {
			var err error
			if p.t, err = s.writeTable(ctx, table); err != nil {
				return err
			}
		}
		err := s.commit(ctx, p, number, step, first)
		if err != nil && !errors.Is(err, errAgain) {
			return at("write", table, err)
		}
		if err == nil {
			first = false
			fault("committed " + table)
		}
		return err
	}
	for _, table := range order {
		p := plans[table]
		if len(p.appends) > 0 {
			if err := commit(table, stepAppend); err != nil {
				return err
			}
		}
		if len(p.puts) > 0 {
			if err := commit(table, stepPut); err != nil {
				return err
			}
		}
	}
	for _, table := range slices.Backward(order) {
		if len(plans[table].deletes) > 0 {
			if err := commit(table, stepDelete); err != nil {
				return err
			}
		}
	}
	return nil
}

// commit makes one step of a table's plan. The version that was checked must still be the newest one, but for commits that
// leave the rows as they are; where another writer came between, the step is given up if it is the first, and else made on what is there now.
func (s *state) commit(ctx context.Context, p *tablePlan, number uint64, step int, first bool) error {
	opts := &lance.WriteOptions{Properties: s.property(number, step), ExpectedVersion: p.version, ConflictRetries: -1}
	for try := 0; ; try++ {
		seen, err := p.t.Version(ctx)
		if err != nil {
			return err
		}
		res, err := s.write1(ctx, p, step, opts)
		if errors.Is(err, lance.ErrInternal) {
			res.Version, err = outcome(ctx, p.t, seen, opts.Properties, err)
		}
		if err == nil {
			p.version = res.Version
			return nil
		}
		if !errors.Is(err, ErrConflict) || try == 50 {
			return err
		}
		latest, err := p.t.CheckoutLatest(ctx)
		if err != nil {
			return err
		}
		if p.version != 0 && sameRows(ctx, p.t, p.version, latest) {
			// Small files were joined meanwhile: what was checked holds, but for the addresses.
			p.version, opts.ExpectedVersion, p.at = latest, latest, nil
			continue
		}
		if first {
			return errAgain
		}
		p.fresh, opts.ExpectedVersion, p.version = false, 0, 0
	}
}

// outcome looks what became of a commit of which the engine does not know whether it landed, which happens where another
// writer came first: it landed as a version; or it did not, which is ErrConflict if there are versions after the one that
// was seen, and else the error.
func outcome(ctx context.Context, t *lance.Table, seen uint64, properties map[string]string, failed error) (uint64, error) {
	version, err := t.CheckoutLatest(ctx)
	if err != nil || version <= seen {
		return 0, failed
	}
	commits, err := t.Transactions(ctx, 0, int(version-seen))
	if err != nil {
		return 0, failed
	}
	for _, c := range commits {
		if maps.Equal(c.Properties, properties) {
			return c.Version, nil
		}
	}
	return 0, &kindError{ErrConflict, failed.Error(), failed}
}

// deletion gives the condition for the rows that a plan deletes. With their addresses, which hold at a pinned version, the
// engine looks at those rows alone instead of scanning the ids: 3 ms instead of 8 of 100,000 rows.
func (s *state) deletion(ctx context.Context, p *tablePlan, pinned bool) (string, error) {
	condition := inCondition("id", p.deletes)
	if !pinned || len(p.deletes) > idChunk {
		return condition, nil
	}
	if p.at != nil {
		return addressCondition(p.at) + " AND " + condition, nil
	}
	x := s.index(p.t.Name(), "id")
	if !x.known() {
		return condition, nil
	}
	rows, ok, err := x.find(ctx, p.t, p.deletes)
	if err != nil || !ok || len(rows) == 0 {
		return condition, err
	}
	return addressCondition(rows) + " AND " + condition, nil
}

func (s *state) write1(ctx context.Context, p *tablePlan, step int, opts *lance.WriteOptions) (lance.WriteResult, error) {
	rows := p.puts
	switch step {
	case stepDelete:
		condition, err := s.deletion(ctx, p, opts.ExpectedVersion != 0)
		if err != nil {
			return lance.WriteResult{}, err
		}
		return p.t.Delete(ctx, condition, opts)
	case stepAppend:
		rows = p.appends
	}
	columns, err := p.t.Schema(ctx)
	if err != nil {
		return lance.WriteResult{}, err
	}
	batches, err := encodeRows(rows, p.class, columns)
	if err != nil {
		return lance.WriteResult{}, err
	}
	data := lance.FromBatches(columns, batches...)
	defer data.Release()
	if step == stepAppend || p.fresh && p.version != 0 {
		return p.t.Append(ctx, data, opts)
	}
	return p.t.MergeInsert(ctx, lance.MergeInsert{On: []string{"id"}, UpdateMatched: true, InsertMissing: true}, data, opts)
}

func (s *state) property(number uint64, step int) map[string]string {
	return map[string]string{entryProperty: fmt.Sprintf("%s/%d/%d", s.write.log.id, number, step)}
}

// encodeRows makes batches of rows of one table, which may be of several Go types.
func encodeRows(rows []any, class *schema.Class, columns *arrow.Schema) ([]arrow.RecordBatch, error) {
	var batches []arrow.RecordBatch
	for len(rows) > 0 {
		t := reflect.TypeOf(rows[0])
		n := 1
		for n < len(rows) && reflect.TypeOf(rows[n]) == t {
			n++
		}
		var codec *rowcodec.Codec
		var err error
		if t == reflect.TypeFor[*schema.Dynamic]() {
			codec, err = rowcodec.ForClass(class)
		} else {
			codec, err = rowcodec.For(t)
		}
		if err != nil {
			return nil, err
		}
		same := reflect.MakeSlice(reflect.SliceOf(t), n, n)
		for i, row := range rows[:n] {
			same.Index(i).Set(reflect.ValueOf(row))
		}
		batch, err := codec.Encode(same.Interface(), columns)
		if err != nil {
			return nil, err
		}
		batches = append(batches, batch)
		rows = rows[n:]
	}
	return batches, nil
}

// stringColumn returns a column of texts, or a field of a struct column as "item_ref.id", whether the batch has it as a
// column of its own or within its struct.
func stringColumn(batch arrow.RecordBatch, name string) (*array.String, error) {
	var column arrow.Array
	if at := batch.Schema().FieldIndices(name); len(at) == 1 {
		column = batch.Column(at[0])
	} else if outer, inner, nested := strings.Cut(name, "."); nested {
		if at := batch.Schema().FieldIndices(outer); len(at) == 1 {
			if s, ok := batch.Column(at[0]).(*array.Struct); ok {
				if i, ok := s.DataType().(*arrow.StructType).FieldIdx(inner); ok {
					column = s.Field(i)
				}
			}
		}
	}
	texts, ok := column.(*array.String)
	switch {
	case column == nil:
		return nil, &kindError{ErrSchema, "no column " + name, nil}
	case !ok:
		return nil, &kindError{ErrSchema, fmt.Sprintf("column %s is %s: want utf8", name, column.DataType()), nil}
	}
	return texts, nil
}

// bulk reports whether the rows of a request are too many to be logged one by one.
func (r *request) bulk() bool {
	if !r.lone || len(r.steps) == 0 || r.steps[0].op != opInsert && r.steps[0].op != opAppend {
		return false
	}
	values := 0
	for _, f := range r.steps[0].class.Fields {
		values += f.Type.Dim
	}
	return len(r.steps) > bulkRows || len(r.steps)*values > bulkValues
}

// bulk appends the rows of a request in one commit and notes it. A crash before the note leaves either all rows or none.
func (a *attempt) bulk(ctx context.Context, r *request) error {
	s, table := a.s, r.steps[0].table
	seen, err := a.table(ctx, table)
	if err != nil {
		return at(r.op, table, err)
	}
	columns, err := seen.t.Schema(ctx)
	if err != nil {
		return at(r.op, table, err)
	}
	steps := r.steps
	data := &stepReader{columns: columns}
	// Rows are encoded in Go, copied, and encoded by the engine: of vectors a few megabytes at a time.
	most := 8192
	for _, f := range r.steps[0].class.Fields {
		if f.Type.Dim > 0 {
			most = min(most, max(256, bulkValues/f.Type.Dim))
		}
	}
	data.next = func() (arrow.RecordBatch, error) {
		n := min(len(steps), most)
		if n == 0 {
			return nil, nil
		}
		rows := make([]any, n)
		for i := range rows {
			rows[i] = steps[i].row
		}
		steps = steps[n:]
		batches, err := encodeRows(rows, r.steps[0].class, columns)
		if err != nil {
			return nil, err
		}
		if len(batches) == 1 {
			return batches[0], nil
		}
		return array.NewRecordBatch(columns, nil, 0), fmt.Errorf("rows of several Go types: want one")
	}
	log := s.write.log
	properties := s.property(log.last, stepDelete)
	properties[bulkProperty] = features.NewShortUUID()
	s.begin()
	res, err := seen.t.Append(ctx, data, &lance.WriteOptions{
		Properties: properties, ExpectedVersion: seen.version, ConflictRetries: -1, BufferBytes: laneBuffer,
	})
	if errors.Is(err, lance.ErrInternal) {
		res.Version, err = outcome(ctx, seen.t, seen.version, properties, err)
	}
	s.end(ctx, []string{table})
	if errors.Is(err, ErrConflict) {
		return errAgain
	}
	if err != nil {
		return at(r.op, table, err)
	}
	fault("appended")
	e := &entry{Time: time.Now().UTC(), Outside: a.outside, Bulk: &bulkLoad{r.author, r.key, table, int64(len(r.steps)), res.Version}}
	if err := log.append(e, e.Time); err != nil {
		return at(r.op, table, fmt.Errorf("the rows are stored, but the change log has no note of them: %w", err))
	}
	if err := log.setState(e.Number, log.state.Synced); err != nil {
		return at(r.op, table, err)
	}
	s.write.since++
	s.upkeep.changed(s)
	s.write.known[table] = res.Version // the successor of what was looked at
	r.result = &Result{Number: e.Number, Time: a.now}
	for _, step := range r.steps {
		created, updated, _ := schema.Times(step.row)
		r.result.Rows = append(r.result.Rows, RowResult{table, step.id, Added, created, updated})
	}
	return nil
}

// stepReader gives batches as they are made.
type stepReader struct {
	columns *arrow.Schema
	next    func() (arrow.RecordBatch, error)
	batch   arrow.RecordBatch
	err     error
}

func (r *stepReader) Retain()                        {}
func (r *stepReader) Release()                       {}
func (r *stepReader) Schema() *arrow.Schema          { return r.columns }
func (r *stepReader) RecordBatch() arrow.RecordBatch { return r.batch }
func (r *stepReader) Record() arrow.RecordBatch      { return r.batch }
func (r *stepReader) Err() error                     { return r.err }

func (r *stepReader) Next() bool {
	r.batch, r.err = r.next()
	return r.err == nil && r.batch != nil
}

// recover, with the lock held, reads what other processes logged and redoes what they left half done.
func (s *state) recover(ctx context.Context) error {
	w := &s.write
	if w.log == nil {
		log, err := openLog(s.path)
		if err != nil {
			return &Error{Op: "open", Field: logFolder, Err: fileError(err)}
		}
		w.log, w.tables, w.memory = log, map[string]*lance.Table{}, map[string]*rowMemory{}
		w.known, w.checked = readKnown(s.path), map[string]bool{}
		if firsts, err := log.segments(); err == nil && len(firsts) == 0 {
			// The log was deleted; its numbers go on after those of the history.
			t, err := s.openHistory(ctx)
			if err == nil {
				log.last, err = lastFolded(ctx, t)
			}
			if err != nil {
				return at("open", historyTable, err)
			}
			if t != nil {
				t.Close()
			}
		}
	}
	log := w.log
	if err := log.catchUp(time.Now()); err != nil {
		return &Error{Op: "open", Field: logFolder, Err: fileError(err)}
	}
	if log.state.Applied == log.last && w.looked {
		return nil
	}
	from, err := s.afterPowerCut(ctx)
	if err != nil {
		return err
	}
	w.looked = true
	if from == log.last {
		return nil
	}
	var entries []*entry
	void := map[uint64]bool{}
	err = log.after(from, func(e *entry) error {
		entries = append(entries, e)
		void[e.Void] = true
		return nil
	})
	if err != nil {
		return &Error{Op: "open", Field: logFolder, Err: fileError(err)}
	}
	s.begin()
	touched := map[string]bool{}
	defer func() { s.end(ctx, slices.Collect(maps.Keys(touched))) }()
	for _, e := range entries {
		if len(e.Sets) > 0 && !void[e.Number] {
			if err := s.redo(ctx, e, touched); err != nil {
				return at(fmt.Sprintf("complete change %d", e.Number), "", err)
			}
		}
		if err := log.setState(e.Number, log.state.Synced); err != nil {
			return err
		}
	}
	return nil
}

// redo makes the commits of an entry that are missing.
func (s *state) redo(ctx context.Context, e *entry, touched map[string]bool) error {
	type carried struct {
		number uint64
		step   int
	}
	m := s.meta.Load()
	last := map[place]*loggedOp{}
	var order []place
	appends := map[string][]*loggedOp{}
	for i := range e.Sets {
		for j := range e.Sets[i].Rows {
			op := &e.Sets[i].Rows[j]
			p := place{op.Table, op.ID}
			if op.Append {
				appends[op.Table] = append(appends[op.Table], op)
				continue
			}
			if last[p] == nil {
				order = append(order, p)
			}
			last[p] = op
		}
	}
	plans := map[string]*tablePlan{}
	done := map[string]carried{}
	plan := func(table string) (*tablePlan, error) {
		if p, ok := plans[table]; ok {
			return p, nil
		}
		class, ok := m.schema.Class(table)
		if !ok {
			plans[table] = nil // it was dropped since
			return nil, nil
		}
		t, err := s.writeTable(ctx, table)
		if errors.Is(err, fs.ErrNotExist) {
			plans[table] = nil // by another process
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if _, err := t.CheckoutLatest(ctx); err != nil {
			return nil, err
		}
		number, step, err := s.carried(ctx, t)
		if err != nil {
			return nil, err
		}
		done[table] = carried{number, step}
		touched[table] = true
		plans[table] = &tablePlan{t: t, class: class}
		return plans[table], nil
	}
	missing := func(table string, step int) bool {
		c := done[table]
		return c.number < e.Number || c.number == e.Number && c.step < step
	}
	decode := func(p *tablePlan, op *loggedOp) (any, error) {
		row, err := decodeLogged(p.class, op.After)
		if err != nil {
			return nil, &Error{Table: op.Table, ID: op.ID, Err: err}
		}
		return row, nil
	}
	for table, ops := range appends {
		p, err := plan(table)
		if err != nil {
			return err
		}
		if p == nil || !missing(table, stepAppend) {
			continue
		}
		for _, op := range ops {
			row, err := decode(p, op)
			if err != nil {
				return err
			}
			p.appends = append(p.appends, row)
		}
	}
	for _, at := range order {
		p, err := plan(at.table)
		if err != nil {
			return err
		}
		op := last[at]
		switch {
		case p == nil:
		case op.After == nil && missing(at.table, stepDelete):
			p.deletes = append(p.deletes, at.id)
		case op.After != nil && missing(at.table, stepPut):
			row, err := decode(p, op)
			if err != nil {
				return err
			}
			p.puts = append(p.puts, row)
		}
	}
	maps.DeleteFunc(plans, func(_ string, p *tablePlan) bool { return p == nil })
	return s.applyPlans(ctx, e.Number, plans, false)
}

// decodeLogged makes a row of what the log has of it.
func decodeLogged(class *schema.Class, text json.RawMessage) (*schema.Dynamic, error) {
	row, err := schema.NewDynamic(class)
	if err == nil {
		err = schema.DecodeStoredJSON(text, row)
	}
	return row, err
}

// carried returns the last entry of the log of which a table has a step, and the step.
func (s *state) carried(ctx context.Context, t *lance.Table) (number uint64, step int, err error) {
	for count := 16; ; count *= 8 {
		found, err := t.Transactions(ctx, 0, count)
		if err != nil {
			return 0, 0, err
		}
		for _, tx := range found {
			parts := strings.Split(tx.Properties[entryProperty], "/")
			if len(parts) != 3 || parts[0] != s.write.log.id {
				continue
			}
			number, err1 := strconv.ParseUint(parts[1], 10, 64)
			step, err2 := strconv.Atoi(parts[2])
			if err1 == nil && err2 == nil {
				return number, step, nil
			}
		}
		if len(found) < count {
			return 0, 0, nil
		}
	}
}

// checkpoint makes what was applied safe from a power cut: the engine itself syncs nothing. It is called with the dataset's
// lock held.
func (s *state) checkpoint(ctx context.Context) error {
	applied, tables, err := s.unsynced(ctx)
	if err == nil {
		err = syncAll(ctx, tables)
	}
	if err != nil || applied == 0 {
		return err
	}
	s.write.since = 0
	return s.write.log.setState(s.write.log.state.Applied, applied)
}

// checkpointBeside is checkpoint while saves go on: the dataset's lock is held to look and to note, not to sync.
func (s *state) checkpointBeside(ctx context.Context) error {
	s.write.syncing.Lock()
	defer s.write.syncing.Unlock()
	var applied uint64
	var tables []unsyncedTable
	err := s.locked(ctx, func() (err error) {
		applied, tables, err = s.unsynced(ctx)
		return err
	})
	if err == nil {
		err = syncAll(ctx, tables)
	}
	if err != nil || applied == 0 {
		return err
	}
	return s.locked(ctx, func() error {
		log := s.write.log
		return log.setState(log.state.Applied, max(log.state.Synced, applied))
	})
}

// unsyncedTable is a version of a table that has what was applied.
type unsyncedTable struct {
	t       *lance.Table
	version uint64
}

// unsynced returns the last entry that was applied, and the tables that a checkpoint has to sync; 0 if there is nothing to do.
func (s *state) unsynced(ctx context.Context) (applied uint64, versions []unsyncedTable, err error) {
	w := &s.write
	if w.log == nil || w.log.state.Synced == w.log.state.Applied {
		return 0, nil, nil
	}
	tables, err := s.changedSince(w.log.state.Synced)
	if err != nil {
		return 0, nil, err
	}
	for _, table := range tables {
		t, err := s.writeTable(ctx, table)
		if err != nil {
			return 0, nil, err
		}
		version, err := t.CheckoutLatest(ctx)
		if err != nil {
			return 0, nil, err
		}
		versions = append(versions, unsyncedTable{t, version})
	}
	return w.log.state.Applied, versions, nil
}

func syncAll(ctx context.Context, tables []unsyncedTable) error {
	for _, u := range tables {
		if _, err := u.t.Sync(ctx, u.version); err != nil {
			return at("sync", u.t.Name(), err)
		}
	}
	return nil
}

// changedSince lists the tables that entries after number n change and that are still there.
func (s *state) changedSince(n uint64) ([]string, error) {
	m, log := s.meta.Load(), s.write.log
	changed := log.changed
	if n < log.from {
		changed = map[string]uint64{}
		if err := log.after(n, func(e *entry) error {
			e.noteTables(changed)
			return nil
		}); err != nil {
			return nil, err
		}
	}
	var tables []string
	for table, last := range changed {
		if _, ok := m.schema.Class(table); ok && last > n {
			tables = append(tables, table)
		}
	}
	slices.Sort(tables)
	return tables, nil
}

// unfinished reports whether the log has entries that may not be in the tables, without reading it.
func (s *state) unfinished() bool {
	dir := filepath.Join(s.path, filepath.FromSlash(logFolder))
	l := &changeLog{dir: dir}
	firsts, err := l.segments()
	if err != nil || len(firsts) == 0 {
		return false
	}
	last := firsts[len(firsts)-1]
	st, err := os.Stat(filepath.Join(dir, segmentName(last)))
	if err != nil {
		return true
	}
	state := l.readState()
	return state.Applied != state.Last || state.Segment != last || state.Size != st.Size() || state.Synced != state.Applied && state.Boot != bootID()
}
