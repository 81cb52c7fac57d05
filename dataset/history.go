package dataset

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"pixano/schema"
)

// ChangeID names a change set in the history: the number of its entry in the change log, and its place among the change
// sets that were applied together. Its text is "12", or "12.1" for the second one of an entry. Outside changes that were found
// before the entry have negative places: "12.-1".
type ChangeID struct {
	Number uint64
	Set    int
}

// String returns the text of an id.
func (id ChangeID) String() string {
	text := strconv.FormatUint(id.Number, 10)
	if id.Set != 0 {
		text += "." + strconv.Itoa(id.Set)
	}
	return text
}

// ParseChangeID reads the text of an id. Anything else is ErrQuery.
func ParseChangeID(text string) (ChangeID, error) {
	number, set, several := strings.Cut(text, ".")
	n, err := strconv.ParseUint(number, 10, 64)
	id := ChangeID{Number: n}
	if err == nil && several {
		id.Set, err = strconv.Atoi(set)
	}
	if err != nil || n == 0 {
		return ChangeID{}, queryError(fmt.Errorf("%q is no change set: want a number, such as 12 or 12.1", text))
	}
	return id, nil
}

// MarshalText is [ChangeID.String].
func (id ChangeID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is [ParseChangeID], but that "0" is the zero value.
func (id *ChangeID) UnmarshalText(text []byte) (err error) {
	if string(text) == "0" {
		*id = ChangeID{}
		return nil
	}
	*id, err = ParseChangeID(string(text))
	return err
}

// ID returns the name of the change set in the history.
func (r *Result) ID() ChangeID { return ChangeID{r.Number, r.Set} }

// EventKind is what an [Event] of the history is.
type EventKind string

const (
	// EventChange: a change set, with its rows.
	EventChange EventKind = "change"
	// EventLoad: many rows that were added at once, by a large Add, a build or an import. Only their number is kept.
	EventLoad EventKind = "load"
	// EventOutside: a commit to a table by a program that keeps no history, such as Python Pixano. Who did it, and to
	// which rows, is not known.
	EventOutside EventKind = "outside"
)

// Event is an entry of a dataset's history.
type Event struct {
	// ID names the event. It is the zero value of an outside change that was seen just now and is not kept yet.
	ID   ChangeID  `json:"id"`
	Kind EventKind `json:"kind"`

	// Time is when it happened, in UTC, by the clock of its writer.
	Time   time.Time `json:"time"`
	Author string    `json:"author,omitempty"`
	Key    string    `json:"key,omitempty"` // the idempotency key of the change set

	// Reverts is the change set that this one undoes, nil for none. Restores is the snapshot that it brought back.
	Reverts  *ChangeID `json:"reverts,omitempty"`
	Restores string    `json:"restores,omitempty"`

	// Rows are the rows of a change set, in its order; of those only the ones that the query asks for. Count is the
	// number of all.
	Rows  []RowChange `json:"rows,omitempty"`
	Count int64       `json:"count"`

	// Table, Version and Operation say of loads and outside changes which commit it is, and the engine's word for it:
	// Append, Delete, Update …
	Table     string `json:"table,omitempty"`
	Version   uint64 `json:"version,omitempty"`
	Operation string `json:"operation,omitempty"`
}

// RowChange is what became of one row, with the row before and after as [schema.EncodeJSON] writes it. Nil: it was not
// there.
type RowChange struct {
	Table   string          `json:"table"`
	ID      string          `json:"id"`
	Outcome Outcome         `json:"outcome"`
	Before  json.RawMessage `json:"before,omitempty"`
	After   json.RawMessage `json:"after,omitempty"`
}

// Fields lists the columns whose values differ before and after, the times left out; all of them, for a row that was
// added or deleted.
func (c RowChange) Fields() []string {
	before, _ := parseObject("before", orEmpty(c.Before))
	after, _ := parseObject("after", orEmpty(c.After))
	if before == nil || after == nil {
		return nil
	}
	var fields []string
	for _, key := range after.keys {
		if !isTime(key) && !bytes.Equal(before.values[key], after.values[key]) {
			fields = append(fields, key)
		}
	}
	for _, key := range before.keys {
		if _, ok := after.values[key]; !ok && !isTime(key) {
			fields = append(fields, key)
		}
	}
	return fields
}

func orEmpty(object json.RawMessage) json.RawMessage {
	if object == nil {
		return json.RawMessage("{}")
	}
	return object
}

// isTime reports whether a column is set by whoever stores a row.
func isTime(column string) bool { return column == "created_at" || column == "updated_at" }

// HistoryQuery says which events of the history to read. The zero value reads all.
type HistoryQuery struct {
	// Change is the one event wanted. Zero: no condition.
	Change ChangeID

	// Table and ID are the table, and the id of the row, whose changes are wanted. "": no condition.
	Table, ID string

	// Item is the id of the item whose changes are wanted: of its own row and of those that refer to it, before or after.
	// "": no condition.
	Item string

	// Author is whose changes are wanted. "": no condition.
	Author string

	// Since and Until bound the time: from Since on, and before Until. Zero: no bound.
	Since, Until time.Time

	// Before asks for events older than the one of this id: the last one of a page, to read the next page. After asks
	// for newer ones. Zero: no condition.
	Before, After ChangeID

	// Limit is the largest number of events wanted. 0: no limit.
	Limit int
}

// History reads what changed in the dataset, newest first, as a stream. An error is the last pair.
//
// It holds each change set made here: when, by whom, and every row before and after. Loads of many rows are one event
// each. Commits by programs that keep no history are shown by their versions ([EventOutside]) as far back as they were
// seen before the table's old versions were pruned. A query with an ID or an Item leaves loads and outside changes out, since
// the rows of those are not known.
//
// History begins with the first change made here.
func (d *Dataset) History(ctx context.Context, q HistoryQuery) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		const op = "history"
		if q.Limit < 0 {
			yield(Event{}, at(op, q.Table, queryError(fmt.Errorf("limit %d: want 0 or more", q.Limit))))
			return
		}
		if s := d.snapshot; s != nil && (q.Before == ChangeID{} || older(ChangeID{Number: s.Number + 1}, q.Before)) {
			q.Before = ChangeID{Number: s.Number + 1}
		}
		given := 0
		err := d.events(ctx, q, func(e Event) bool {
			given++
			return yield(e, nil) && (q.Limit == 0 || given < q.Limit)
		})
		if err != nil {
			yield(Event{}, at(op, q.Table, err))
		}
	}
}

// wants reports whether an event is one of a query's, and leaves out the rows that are not.
func (q *HistoryQuery) wants(e *Event) bool {
	switch {
	case q.Change != ChangeID{} && q.Change != e.ID,
		q.Before != ChangeID{} && !older(e.ID, q.Before),
		q.After != ChangeID{} && !older(q.After, e.ID) && e.ID != ChangeID{},
		q.Author != "" && q.Author != e.Author,
		!q.Since.IsZero() && e.Time.Before(q.Since),
		!q.Until.IsZero() && !e.Time.Before(q.Until):
		return false
	case q.Table == "" && !q.ofRows():
		return true
	case e.Kind != EventChange:
		return !q.ofRows() && q.Table == e.Table
	}
	e.Rows = slices.DeleteFunc(slices.Clone(e.Rows), func(c RowChange) bool {
		return q.Table != "" && q.Table != c.Table || q.ID != "" && q.ID != c.ID || q.Item != "" && !c.belongsTo(q.Item)
	})
	return len(e.Rows) > 0
}

// ofRows reports whether a query asks for rows that loads and outside changes do not tell.
func (q *HistoryQuery) ofRows() bool { return q.ID != "" || q.Item != "" }

// belongsTo reports whether a row is an item's own, or refers to it.
func (c RowChange) belongsTo(item string) bool {
	if c.Table == schema.ItemTable {
		return c.ID == item
	}
	for _, raw := range []json.RawMessage{c.Before, c.After} {
		var row struct {
			ItemRef struct {
				ID string `json:"id"`
			} `json:"item_ref"`
		}
		if raw != nil && json.Unmarshal(raw, &row) == nil && row.ItemRef.ID == item {
			return true
		}
	}
	return false
}

// older reports whether an event comes before another one. What is not numbered yet is the newest.
func older(a, b ChangeID) bool {
	return a.Number > 0 && (a.Number < b.Number || a.Number == b.Number && a.Set < b.Set)
}

// events calls f for the events of a query, newest first, until it returns false.
func (s *state) events(ctx context.Context, q HistoryQuery, f func(Event) bool) error {
	// First what the log holds is opened: what is folded away later stays readable, and what was before is in the
	// folded history.
	segments, applied, err := s.openSegments()
	// Those that end before what is wanted are not looked at.
	for len(segments) > 1 && q.After.Number > 0 && firstOf(segments[1]) <= q.After.Number {
		segments[0].Close()
		segments = segments[1:]
	}
	if err != nil {
		return err
	}
	defer func() {
		for _, segment := range segments {
			segment.Close()
		}
	}()
	more := true
	give := func(e Event) {
		if more && q.wants(&e) {
			more = f(e)
		}
	}
	if (q.Before == ChangeID{}) && (q.Change == ChangeID{}) && !q.ofRows() {
		fresh, err := s.freshOutside(ctx, q.Table)
		if err != nil {
			return err
		}
		for _, c := range slices.Backward(fresh) {
			give(c.event(ChangeID{}))
		}
	}
	first := uint64(0) // the first entry that the log holds
	void := map[uint64]bool{}
	for _, segment := range slices.Backward(segments) {
		if !more {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		events, begins, err := segmentEvents(segment, applied, &q, void)
		if err != nil {
			return err
		}
		if begins > 0 {
			first = begins
		}
		for _, e := range slices.Backward(events) {
			give(e)
		}
	}
	if !more || first > 0 && first <= q.After.Number {
		return nil
	}
	return s.foldedEvents(ctx, q, first, func(e Event) bool {
		give(e)
		return more
	})
}

// openSegments opens the segments of the log, in order, and returns the last entry that is in the tables.
func (s *state) openSegments() (files []*os.File, applied uint64, err error) {
	l := &changeLog{dir: filepath.Join(s.path, filepath.FromSlash(logFolder))}
	applied = l.readState().Applied
	for {
		firsts, err := l.segments()
		if errors.Is(err, fs.ErrNotExist) {
			return nil, 0, nil
		}
		if err != nil {
			return nil, 0, &Error{Field: logFolder, Err: fileError(err)}
		}
		files = files[:0]
		for _, first := range firsts {
			var file *os.File
			if file, err = os.Open(filepath.Join(l.dir, segmentName(first))); err != nil {
				break
			}
			files = append(files, file)
		}
		if err == nil {
			return files, applied, nil
		}
		for _, file := range files {
			file.Close()
		}
		if !errors.Is(err, fs.ErrNotExist) { // else it was folded just now
			return nil, 0, &Error{Field: logFolder, Err: fileError(err)}
		}
	}
}

// firstOf is the first entry of a segment, by its name.
func firstOf(segment *os.File) uint64 {
	n, _ := strconv.ParseUint(strings.TrimSuffix(filepath.Base(segment.Name()), ".log"), 10, 64)
	return n
}

// segmentEvents reads the events of a segment that may be of a query, in order, and the number of its first entry. void
// has the entries of later segments that were given up, and gets those of this one.
func segmentEvents(segment *os.File, applied uint64, q *HistoryQuery, void map[uint64]bool) ([]Event, uint64, error) {
	first := uint64(0)
	var entries []*entry
	var skip []byte // what a line has that is of use
	if q.ofRows() {
		skip = jsonText(cmp.Or(q.ID, q.Item))
	}
	if _, err := segment.Seek(0, io.SeekStart); err != nil {
		return nil, 0, err
	}
	err := readLines(segment, func(line []byte) error {
		if first > 0 && skip != nil && !bytes.Contains(line, skip) && !bytes.Contains(line, []byte(`"void":`)) {
			return nil
		}
		e := new(entry)
		if err := parseEntry(line, e); err != nil {
			return err
		}
		if first == 0 {
			first = e.Number
		}
		if e.Void != 0 {
			void[e.Void] = true
		} else if applied == 0 || e.Number <= applied {
			entries = append(entries, e)
		}
		return nil
	})
	if err == errDamaged {
		return nil, 0, &kindError{ErrCorrupt, filepath.Base(segment.Name()) + ": a line is damaged", nil}
	}
	if err != nil && err != errTorn { // what is torn was never acknowledged
		return nil, 0, err
	}
	var events []Event
	for _, e := range entries {
		if !void[e.Number] {
			events = append(events, e.events()...)
		}
	}
	return events, first, nil
}

// jsonText is a text as it stands in a line of the log.
func jsonText(text string) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // texts are always written
	return bytes.TrimSpace(b.Bytes())
}

// events lists what an entry holds, in order: what others had committed before comes first.
func (e *entry) events() []Event {
	var events []Event
	at := e.Time.Truncate(time.Microsecond)
	for i, c := range e.Outside {
		events = append(events, c.event(ChangeID{e.Number, i - len(e.Outside)}))
	}
	if b := e.Bulk; b != nil {
		return append(events, Event{ID: ChangeID{e.Number, 0}, Kind: EventLoad, Time: at, Author: b.Author, Key: b.Key,
			Count: b.Rows, Table: b.Table, Version: b.Version, Operation: "Append"})
	}
	for i, set := range e.Sets {
		event := Event{ID: ChangeID{e.Number, i}, Kind: EventChange, Time: at, Author: set.Author, Key: set.Key,
			Restores: set.Restores, Count: int64(len(set.Rows)), Rows: make([]RowChange, len(set.Rows))}
		if id, err := ParseChangeID(set.Reverts); err == nil {
			event.Reverts = &id
		}
		for j, op := range set.Rows {
			event.Rows[j] = RowChange{op.Table, op.ID, op.outcome(), op.Before, op.After}
		}
		events = append(events, event)
	}
	return events
}

func (c outsideCommit) event(id ChangeID) Event {
	return Event{ID: id, Kind: EventOutside, Time: c.Time.Truncate(time.Microsecond), Table: c.Table, Version: c.Version, Operation: c.Operation}
}

// freshOutside lists what others committed to a table, or to all for "", that no entry notes yet, oldest first.
func (s *state) freshOutside(ctx context.Context, table string) ([]outsideCommit, error) {
	if s.layout != ItemLayout || s.snapshot != nil {
		return nil, nil
	}
	known := readKnown(s.path)
	var found []outsideCommit
	for _, info := range s.meta.Load().tables {
		if table != "" && info.Name != table {
			continue
		}
		t, err := s.openTable(ctx, "history", info.Name)
		if err != nil {
			continue // a broken table does not hide the others
		}
		version, err := t.Version(ctx)
		own := uint64(0)
		if err == nil {
			own, err = s.carrier(ctx, t, version)
		}
		var commits []outsideCommit
		if err == nil {
			commits, err = outsideSince(ctx, t, version, max(own, known[info.Name]))
		}
		t.Close()
		if err != nil {
			return nil, at("", info.Name, err)
		}
		found = append(found, commits...)
	}
	slices.SortStableFunc(found, func(a, b outsideCommit) int { return a.Time.Compare(b.Time) })
	return found, nil
}
