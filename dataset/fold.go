package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"pixano/internal/lance"
)

// Segments of the log that are full, and safe in the tables, are folded into a table of the dataset's own, which takes a
// tenth of the space: one commit a segment, synced before the segment is removed. What the table has up to its last
// number is never folded again, so a crash at any step neither loses nor repeats an entry. Rows are in the order of their
// numbers.
const historyTable = "history" // in .pixano

// historyColumns are the columns of the folded history: one row for each row of a change set, for each load and for each
// outside commit. A change set without rows has one with op -1.
var historyColumns = func() *arrow.Schema {
	text := func(name string) arrow.Field { return arrow.Field{Name: name, Type: arrow.BinaryTypes.String} }
	whole := func(name string) arrow.Field { return arrow.Field{Name: name, Type: arrow.PrimitiveTypes.Int64} }
	packed := func(name string) arrow.Field {
		f := arrow.Field{Name: name, Type: arrow.BinaryTypes.String, Nullable: true}
		f.Metadata = arrow.NewMetadata([]string{"lance-encoding:compression"}, []string{"zstd"})
		return f
	}
	return arrow.NewSchema([]arrow.Field{
		whole("number"), whole("place"), whole("op"), text("kind"), whole("time_us"), text("author"), text("key"), text("reverts"),
		text("restores"), whole("count"), text("table_name"), text("id"), packed("before"), packed("after"),
		{Name: "append", Type: arrow.FixedWidthTypes.Boolean}, whole("version"), text("operation"),
	}, nil)
}()

// openHistory opens the folded history; the table is nil if there is none yet.
func (s *state) openHistory(ctx context.Context) (*lance.Table, error) {
	if !exists(s.path, privateFolder, historyTable+".lance") {
		return nil, nil
	}
	db, err := lance.Connect(ctx, filepath.Join(s.path, privateFolder), nil)
	if err != nil {
		return nil, err
	}
	defer db.Close() // the table stays open
	t, err := db.OpenTable(ctx, historyTable, nil)
	if errors.Is(err, ErrNotFound) {
		return nil, nil // its first version was not completed
	}
	return t, err
}

// wholeHistory opens the folded history to add to it, and makes it first where there is none. Versions that a power cut left
// incomplete are dropped: the segments that they were to have are there still.
func (s *state) wholeHistory(ctx context.Context) (*lance.Table, error) {
	folder := filepath.Join(s.path, privateFolder, historyTable+".lance")
	if s.tended() == tendedHistory {
		err := dropTornVersions(ctx, filepath.Join(s.path, privateFolder), historyTable, filepath.Join(s.path, filepath.FromSlash(tornFolder)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	t, err := s.openHistory(ctx)
	if t != nil || err != nil {
		return t, err
	}
	// A crash while it was made leaves a folder without rows.
	if data, _ := os.ReadDir(filepath.Join(folder, "data")); len(data) > 0 {
		return nil, &kindError{ErrCorrupt, "the folder holds no readable version", nil}
	}
	if err := os.RemoveAll(folder); err != nil {
		return nil, fileError(err)
	}
	db, err := lance.Connect(ctx, filepath.Join(s.path, privateFolder), nil)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	if t, err = db.CreateTable(ctx, historyTable, historyColumns, nil, &lance.CreateOptions{StorageVersion: "2.1", V2ManifestPaths: true}); err != nil {
		return nil, err
	}
	if err := syncTree(folder); err != nil {
		t.Close()
		return nil, err
	}
	return t, syncDir(filepath.Join(s.path, privateFolder))
}

// lastFolded returns the last number that the folded history has, 0 for none.
func lastFolded(ctx context.Context, t *lance.Table) (uint64, error) {
	if t == nil {
		return 0, nil
	}
	last := uint64(0)
	for batch, err := range t.Batches(ctx, lance.Query{Columns: []string{"number"}, OrderBy: []lance.Order{{Column: "number", Descending: true}}, Limit: 1}) {
		if err != nil {
			return 0, err
		}
		for _, number := range batch.Column(0).(*array.Int64).Int64Values() {
			last = max(last, uint64(number))
		}
	}
	return last, nil
}

// folded says what folding did.
type folded struct {
	entries  int64
	segments int
	bytes    int64 // of the segments
}

// rollBytes is the size from which on a segment that is not full is ended, so that it can be folded, when asked to. Tests set it.
var rollBytes = int64(64 << 10)

// fold folds the segments that are done with; with roll, the one that is written ends first. It is called with the
// maintenance lock held, and takes that of the dataset only to say what may be folded and to remove what was.
func (s *state) fold(ctx context.Context, roll bool) (did folded, err error) {
	log := func() *changeLog { return s.write.log }
	var firsts []uint64
	err = s.locked(ctx, func() error {
		now := time.Now()
		maps.DeleteFunc(log().keys, func(_ string, at keyAt) bool { return now.Sub(at.time) > keyLife })
		if roll && log().file != nil && log().size >= rollBytes {
			if err := log().roll(); err != nil {
				return err
			}
			fault("rolled")
		}
		var err error
		if firsts, err = log().segments(); err != nil || len(firsts) < 2 {
			return err
		}
		if last := firsts[len(firsts)-1] - 1; log().state.Synced < last {
			return s.checkpoint(ctx)
		}
		return nil
	})
	if err != nil || len(firsts) < 2 {
		return did, err
	}
	t, err := s.wholeHistory(ctx)
	if err != nil {
		return did, at("fold", historyTable, err)
	}
	defer t.Close()
	have, err := lastFolded(ctx, t)
	if err != nil {
		return did, at("fold", historyTable, err)
	}
	if err := s.beginTending(tendedHistory); err != nil {
		return did, err
	}
	done := firsts[:len(firsts)-1]
	for i, first := range done {
		if err := ctx.Err(); err != nil {
			return did, err
		}
		n, err := s.foldSegment(ctx, t, first, firsts[i+1], have)
		if err != nil {
			return did, at("fold", historyTable, err)
		}
		did.entries += n
		fault("folded")
	}
	if _, err := t.Sync(ctx, 0); err != nil {
		return did, at("sync", historyTable, err)
	}
	if err := s.endTending(); err != nil {
		return did, err
	}
	fault("history synced")
	err = s.locked(ctx, func() error {
		for _, first := range done {
			name := filepath.Join(log().dir, segmentName(first))
			if st, err := os.Stat(name); err == nil {
				did.bytes += st.Size()
			}
			if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fileError(err)
			}
			did.segments++
			fault("segment removed")
		}
		for key, at := range log().keys {
			if at.segment < firsts[len(firsts)-1] {
				at.segment = 0
				log().keys[key] = at
			}
		}
		return syncDir(log().dir)
	})
	return did, err
}

// roll ends the segment that is written, and begins the next one.
func (l *changeLog) roll() error {
	if l.first > l.last {
		return nil // nothing is in it
	}
	was := l.file
	if err := l.openSegment(l.last+1, os.O_RDWR|os.O_CREATE); err != nil {
		return err
	}
	was.Close()
	if err := syncDir(l.dir); err != nil {
		return err
	}
	return l.setState(l.state.Applied, l.state.Synced)
}

// foldSegment adds the entries after number have of a segment to the folded history, in one commit.
func (s *state) foldSegment(ctx context.Context, t *lance.Table, first, next, have uint64) (int64, error) {
	if next-1 <= have {
		return 0, nil
	}
	file, err := os.Open(filepath.Join(s.path, filepath.FromSlash(logFolder), segmentName(first)))
	if err != nil {
		return 0, fileError(err)
	}
	defer file.Close()
	var entries []*entry
	void := map[uint64]bool{}
	err = readEntries(file, func(e *entry, _ int64) error {
		if e.Void != 0 {
			void[e.Void] = true
		} else if e.Number > have {
			entries = append(entries, e)
		}
		return nil
	})
	if err != nil {
		return 0, &kindError{ErrCorrupt, fmt.Sprintf("change log, %s: %v", segmentName(first), err), err}
	}
	// An entry is given up by the next one, which may begin the next segment.
	if e, err := firstEntry(filepath.Join(s.path, filepath.FromSlash(logFolder), segmentName(next))); err != nil {
		return 0, err
	} else if e != nil && e.Void != 0 {
		void[e.Void] = true
	}
	entries = slices.DeleteFunc(entries, func(e *entry) bool { return void[e.Number] })
	if len(entries) == 0 {
		return 0, nil
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, historyColumns)
	defer b.Release()
	rest := entries
	const batchRows, batchBytes = 8192, 4 << 20
	data := &stepReader{columns: historyColumns}
	data.next = func() (arrow.RecordBatch, error) {
		rows, bytes := 0, 0
		for len(rest) > 0 && rows < batchRows && bytes < batchBytes {
			n, size := appendHistory(b, rest[0])
			rows, bytes, rest = rows+n, bytes+size, rest[1:]
		}
		if rows == 0 {
			return nil, nil
		}
		return b.NewRecordBatch(), nil
	}
	_, err = t.Append(ctx, data, nil)
	return int64(len(entries)), err
}

// firstEntry reads the first entry of a segment; nil if it is empty, or not whole yet.
func firstEntry(path string) (*entry, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fileError(err)
	}
	defer file.Close()
	var found *entry
	err = readEntries(file, func(e *entry, _ int64) error {
		found = e
		return errBuildEnded
	})
	if err != nil && err != errBuildEnded && err != errTorn {
		return nil, err
	}
	return found, nil
}

// appendHistory adds the rows of an entry, and returns how many they are and about how many bytes they take.
func appendHistory(b *array.RecordBuilder, e *entry) (rows, bytes int) {
	text := func(i int, v string) { b.Field(i).(*array.StringBuilder).Append(v) }
	whole := func(i int, v int64) { b.Field(i).(*array.Int64Builder).Append(v) }
	packed := func(i int, v []byte) {
		if f := b.Field(i).(*array.StringBuilder); v == nil {
			f.AppendNull()
		} else {
			f.Append(string(v))
		}
	}
	for _, event := range e.events() {
		list := event.Rows
		if len(list) == 0 {
			list = []RowChange{{Table: event.Table}}
		}
		for op, c := range list {
			if len(event.Rows) == 0 {
				op = -1
			}
			whole(0, int64(event.ID.Number))
			whole(1, int64(event.ID.Set))
			whole(2, int64(op))
			text(3, string(event.Kind))
			whole(4, event.Time.UnixMicro())
			text(5, event.Author)
			text(6, event.Key)
			reverts := ""
			if event.Reverts != nil {
				reverts = event.Reverts.String()
			}
			text(7, reverts)
			text(8, event.Restores)
			whole(9, event.Count)
			text(10, c.Table)
			text(11, c.ID)
			packed(12, c.Before)
			packed(13, c.After)
			b.Field(14).(*array.BooleanBuilder).Append(c.Outcome == Added && c.Before != nil)
			whole(15, int64(event.Version))
			text(16, event.Operation)
			rows++
			bytes += len(c.Before) + len(c.After) + 100
		}
	}
	return rows, bytes
}

// historyPage is how many rows of the folded history are read at once.
const historyPage = 1024

// foldedEvents calls f for the folded events of a query that come before entry first, newest first, until it returns
// false.
func (s *state) foldedEvents(ctx context.Context, q HistoryQuery, first uint64, f func(Event) bool) error {
	t, err := s.openHistory(ctx)
	if err != nil {
		return at("", historyTable, err)
	}
	if t == nil {
		return nil
	}
	defer t.Close()
	before := uint64(math.MaxInt64)
	if first > 0 {
		before = first
	}
	if q.Before != (ChangeID{}) {
		before = min(before, q.Before.Number+1)
	}
	page := historyPage
	for {
		rows, err := readHistory(ctx, t, q.folded(before), page)
		if err != nil {
			return at("", historyTable, err)
		}
		full := len(rows) == page
		if full {
			// The last entry may be cut.
			last := rows[len(rows)-1].event.ID.Number
			whole := slices.IndexFunc(rows, func(r historyRow) bool { return r.event.ID.Number == last })
			if whole == 0 {
				page *= 4
				continue
			}
			rows = rows[:whole]
		}
		for _, event := range gatherEvents(rows) {
			if !f(event) {
				return nil
			}
		}
		if !full {
			return nil
		}
		before, page = rows[len(rows)-1].event.ID.Number, historyPage
	}
}

// folded gives the condition of a query for the folded history, before a number.
func (q *HistoryQuery) folded(before uint64) string {
	conditions := []string{"number < " + strconv.FormatUint(before, 10)}
	add := func(text string, args ...any) { conditions = append(conditions, fmt.Sprintf(text, args...)) }
	if q.Change != (ChangeID{}) {
		add("number = %d AND place = %d", q.Change.Number, q.Change.Set)
	}
	if q.After != (ChangeID{}) {
		add("number >= %d", q.After.Number)
	}
	for column, value := range map[string]string{"table_name": q.Table, "id": q.ID, "author": q.Author} {
		if value != "" {
			add("%s = %s", column, appendQuoted(nil, value))
		}
	}
	if q.Item != "" {
		id, text := appendQuoted(nil, q.Item), appendQuoted(nil, string(jsonText(q.Item)))
		add("(id = %s OR contains(before, %s) OR contains(after, %s))", id, text, text)
	}
	if !q.Since.IsZero() {
		add("time_us >= %d", q.Since.UnixMicro())
	}
	if !q.Until.IsZero() {
		add("time_us <= %d", q.Until.UnixMicro())
	}
	return strings.Join(conditions, " AND ")
}

// historyRow is a row of the folded history: an event with one row of it.
type historyRow struct {
	event  Event
	op     int64
	row    RowChange
	append bool
}

// readHistory reads rows of the folded history, newest first; a limit of 0 reads all.
func readHistory(ctx context.Context, t *lance.Table, where string, limit int) ([]historyRow, error) {
	var rows []historyRow
	q := lance.Query{Where: where, Limit: limit, OrderBy: []lance.Order{{Column: "number", Descending: true}, {Column: "place", Descending: true}}}
	for batch, err := range t.Batches(ctx, q) {
		if err != nil {
			return nil, err
		}
		column := func(name string) arrow.Array { return batch.Column(batch.Schema().FieldIndices(name)[0]) }
		text := func(name string, i int) string { return strings.Clone(column(name).(*array.String).Value(i)) }
		whole := func(name string, i int) int64 { return column(name).(*array.Int64).Value(i) }
		packed := func(name string, i int) []byte {
			c := column(name).(*array.String)
			if c.IsNull(i) {
				return nil
			}
			return []byte(c.Value(i))
		}
		for i := range int(batch.NumRows()) {
			r := historyRow{op: whole("op", i), append: column("append").(*array.Boolean).Value(i)}
			r.event = Event{ID: ChangeID{uint64(whole("number", i)), int(whole("place", i))}, Kind: EventKind(text("kind", i)),
				Time: time.UnixMicro(whole("time_us", i)).UTC(), Author: text("author", i), Key: text("key", i),
				Restores: text("restores", i), Count: whole("count", i), Version: uint64(whole("version", i)), Operation: text("operation", i)}
			if id, err := ParseChangeID(text("reverts", i)); err == nil {
				r.event.Reverts = &id
			}
			op := loggedOp{text("table_name", i), text("id", i), packed("before", i), packed("after", i), r.append}
			if r.event.Kind != EventChange {
				r.event.Table = op.Table
			}
			r.row = RowChange{op.Table, op.ID, op.outcome(), op.Before, op.After}
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// gatherEvents joins rows of the same event, which stand together.
func gatherEvents(rows []historyRow) []Event {
	var events []Event
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].event.ID == rows[0].event.ID {
			n++
		}
		event := rows[0].event
		slices.SortFunc(rows[:n], func(a, b historyRow) int { return int(a.op - b.op) })
		for _, r := range rows[:n] {
			if r.op >= 0 && event.Kind == EventChange {
				event.Rows = append(event.Rows, r.row)
			}
		}
		events = append(events, event)
		rows = rows[n:]
	}
	return events
}

// keyed says where the change set with a key is. It is called with the dataset's lock held.
func (s *state) keyed(ctx context.Context, key string) (keyAt, bool, error) {
	l := s.write.log
	at, ok := l.keys[key]
	if key == "" || ok || l.foldedKeys {
		return at, ok && key != "", nil
	}
	t, err := s.openHistory(ctx)
	if err != nil {
		return at, false, err
	}
	if t != nil {
		defer t.Close()
		where := fmt.Sprintf("key <> '' AND time_us >= %d", time.Now().Add(-keyLife).UnixMicro())
		for batch, err := range t.Batches(ctx, lance.Query{Where: where, Columns: []string{"number", "place", "key", "time_us"}}) {
			if err != nil {
				return at, false, err
			}
			numbers, sets := batch.Column(0).(*array.Int64), batch.Column(1).(*array.Int64)
			keys, times := batch.Column(2).(*array.String), batch.Column(3).(*array.Int64)
			for i := range int(batch.NumRows()) {
				if _, newer := l.keys[keys.Value(i)]; !newer {
					l.keys[strings.Clone(keys.Value(i))] = keyAt{number: uint64(numbers.Value(i)), set: int(sets.Value(i)), time: time.UnixMicro(times.Value(i))}
				}
			}
		}
	}
	l.foldedKeys = true
	at, ok = l.keys[key]
	return at, ok, nil
}

// readKeyed reads the entry of a key again.
func (s *state) readKeyed(ctx context.Context, key keyAt) (*entry, error) {
	if key.segment != 0 {
		e, err := s.write.log.read(key)
		if !errors.Is(err, fs.ErrNotExist) { // else another process folded it
			return e, err
		}
	}
	t, err := s.openHistory(ctx)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, &kindError{ErrCorrupt, "the folded history is gone", nil}
	}
	defer t.Close()
	rows, err := readHistory(ctx, t, fmt.Sprintf("number = %d", key.number), 0)
	if err != nil {
		return nil, err
	}
	e := &entry{Number: key.number, Sets: make([]loggedSet, key.set+1)}
	slices.SortFunc(rows, func(a, b historyRow) int { return int(a.op - b.op) })
	for _, r := range rows {
		set := r.event.ID.Set
		if r.event.Kind == EventLoad && set == key.set {
			e.Time, e.Bulk = r.event.Time, &bulkLoad{Table: r.event.Table, Rows: r.event.Count, Version: r.event.Version}
		}
		if r.event.Kind == EventChange && set == key.set {
			e.Time = r.event.Time
			if r.op >= 0 {
				e.Sets[set].Rows = append(e.Sets[set].Rows, loggedOp{r.row.Table, r.row.ID, r.row.Before, r.row.After, r.append})
			}
		}
	}
	if e.Time.IsZero() {
		return nil, &kindError{ErrCorrupt, fmt.Sprintf("the folded history has no entry %d", key.number), nil}
	}
	return e, nil
}
