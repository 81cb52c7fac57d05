package lance

import (
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
)

// WriteOptions are the options of every call that makes a commit. Nil and the zero value are the defaults.
type WriteOptions struct {
	// Properties are kept in the commit's transaction; see [Table.Transactions].
	Properties map[string]string

	// ConflictRetries is how often a write that met another one is tried again. 0: the engine's 10. Negative:
	// never, the first conflict is the caller's [ErrConflict].
	ConflictRetries int

	// ExpectedVersion makes the commit the direct successor of this version; where another one has come in
	// between, nothing is written and the error matches [ErrConflict]. 0: any.
	ExpectedVersion uint64

	// MaxRowsPerFile and MaxBytesPerFile bound the data files of [Table.Append] and [Table.Overwrite].
	// 0: the engine's choice.
	MaxRowsPerFile  int64
	MaxBytesPerFile int64

	// BufferBytes is how much data is gathered to be handed over at once. A merge of so little can be tried
	// again after a conflict; what is larger is streamed in bounded memory and read once. 0: 16 MiB.
	// Negative: stream from the first batch on.
	BufferBytes int64
}

const (
	defaultBufferBytes = 16 << 20
	// pushBytes is how much is gathered for one step of a stream, to spare calls on small batches.
	pushBytes = 1 << 20
	// ipcOverhead is about what a batch takes in a stream beside its values.
	ipcOverhead = 8 << 10
	// streamCapacity is how many batches wait in the engine before a step blocks.
	streamCapacity = 2
)

// commitJSON is the part that all writing requests share.
type commitJSON struct {
	Properties      map[string]string `json:"properties,omitempty"`
	ConflictRetries *int              `json:"conflict_retries"`
	ExpectedVersion *uint64           `json:"expected_version"`
	Stream          uint64            `json:"stream,omitempty"`
}

func (o *WriteOptions) commit(stream uint64) commitJSON {
	if o == nil {
		return commitJSON{Stream: stream}
	}
	c := commitJSON{Properties: o.Properties, ExpectedVersion: optional(o.ExpectedVersion), Stream: stream}
	if o.ConflictRetries != 0 {
		c.ConflictRetries = new(max(o.ConflictRetries, 0))
	}
	return c
}

// WriteResult says what a write did. Fields that do not concern it are 0.
type WriteResult struct {
	Version  uint64 `json:"version"`  // the version made, or the one seen where nothing was to be done
	Rows     int64  `json:"rows"`     // rows written by Append and Overwrite
	Inserted int64  `json:"inserted"` // by MergeInsert
	Updated  int64  `json:"updated"`  // by MergeInsert and Update
	Deleted  int64  `json:"deleted"`  // by MergeInsert and Delete
	Attempts int    `json:"attempts"` // of MergeInsert: 1, and one more for each conflict met
}

// Append adds the rows of data in one commit: all of them, or none when it fails, data reports an error or
// the context ends. Columns are matched by name. The caller keeps data and releases it.
func (t *Table) Append(ctx context.Context, data array.RecordReader, opts *WriteOptions) (WriteResult, error) {
	return t.writeRows(ctx, "append", data, opts)
}

// Overwrite replaces schema and rows in one commit; the old ones remain as older versions.
func (t *Table) Overwrite(ctx context.Context, data array.RecordReader, opts *WriteOptions) (WriteResult, error) {
	return t.writeRows(ctx, "overwrite", data, opts)
}

func (t *Table) writeRows(ctx context.Context, mode string, data array.RecordReader, opts *WriteOptions) (WriteResult, error) {
	if opts == nil {
		opts = &WriteOptions{}
	}
	return t.writeData(ctx, fnWrite, t.args(mode, nil), data, opts.BufferBytes, func(stream uint64) any {
		return struct {
			Mode            string     `json:"mode"`
			Opts            commitJSON `json:"opts"`
			MaxRowsPerFile  int64      `json:"max_rows_per_file"`
			MaxBytesPerFile int64      `json:"max_bytes_per_file"`
		}{mode, opts.commit(stream), opts.MaxRowsPerFile, opts.MaxBytesPerFile}
	})
}

// MergeInsert compares rows with those of a table by key and says what becomes of them.
type MergeInsert struct {
	On []string // the key columns

	UpdateMatched   bool   // rows that are in both are replaced by the new ones
	UpdateCondition string // only where this holds, in SQL over source.COLUMN and target.COLUMN

	InsertMissing bool // rows that only data has are inserted

	DeleteMissing   bool   // rows that only the table has are deleted
	DeleteCondition string // only where this holds, in SQL over the table's columns
}

// MergeInsert updates, inserts and deletes rows in one commit, as m says, by comparing data with the table.
//
// When the key column is marked as the unenforced primary key (field metadata
// "lance-schema:unenforced-primary-key" = "true"), merges that insert one new key at the same time conflict,
// and all but the first find it there when they are tried again; without the mark each would insert it.
func (t *Table) MergeInsert(ctx context.Context, m MergeInsert, data array.RecordReader, opts *WriteOptions) (WriteResult, error) {
	var buffer int64
	if opts != nil {
		buffer = opts.BufferBytes
	}
	return t.writeData(ctx, fnMergeInsert, t.args("merge into", nil), data, buffer, func(stream uint64) any {
		return struct {
			On              []string   `json:"on"`
			UpdateMatched   bool       `json:"update_matched"`
			UpdateCondition string     `json:"update_condition"`
			InsertMissing   bool       `json:"insert_missing"`
			DeleteMissing   bool       `json:"delete_missing"`
			DeleteCondition string     `json:"delete_condition"`
			Opts            commitJSON `json:"opts"`
		}{nonNil(m.On), m.UpdateMatched, m.UpdateCondition, m.InsertMissing, m.DeleteMissing, m.DeleteCondition, opts.commit(stream)}
	})
}

func (t *Table) writeData(ctx context.Context, fn function, a args, data array.RecordReader, buffer int64, request func(stream uint64) any) (WriteResult, error) {
	var result WriteResult
	answer, err := t.h.write(ctx, fn, a, data.Schema(), data, buffer, request)
	if err == nil {
		err = answer.json(a, &result)
	}
	return result, err
}

// Set gives a column the value of an expression in SQL.
type Set struct {
	Column string
	SQL    string
}

// Update sets columns of the rows that match a filter in SQL, or of all for "", in one commit.
func (t *Table) Update(ctx context.Context, where string, set []Set, opts *WriteOptions) (WriteResult, error) {
	pairs := make([][2]string, len(set))
	for i, s := range set {
		pairs[i] = [2]string{s.Column, s.SQL}
	}
	return t.change(ctx, "update", fnUpdate, struct {
		Where string      `json:"where"`
		Set   [][2]string `json:"set"`
		Opts  commitJSON  `json:"opts"`
	}{where, pairs, opts.commit(0)})
}

// Delete deletes the rows that match a filter in SQL, in one commit. An empty filter is refused; "true"
// deletes every row.
func (t *Table) Delete(ctx context.Context, where string, opts *WriteOptions) (WriteResult, error) {
	return t.change(ctx, "delete from", fnDelete, struct {
		Where string     `json:"where"`
		Opts  commitJSON `json:"opts"`
	}{where, opts.commit(0)})
}

func (t *Table) change(ctx context.Context, op string, fn function, request any) (WriteResult, error) {
	var result WriteResult
	err := t.h.json(ctx, fn, t.args(op, request), &result)
	return result, err
}

// write makes a call that takes rows. Up to buffer bytes of them go with the call; more are streamed while
// it runs.
func (h *handle) write(ctx context.Context, fn function, a args, schema *arrow.Schema, data array.RecordReader, buffer int64, request func(stream uint64) any) (reply, error) {
	switch {
	case buffer == 0:
		buffer = defaultBufferBytes
	case buffer < 0:
		buffer = 0
	}
	e := encoder{schema: schema, data: data}
	ended, err := e.fill(buffer)
	if err != nil {
		return reply{}, dataError(a, err)
	}
	if !ended {
		return h.stream(ctx, fn, a, &e, request)
	}
	a.request, a.body = request(0), e.out
	return h.call(ctx, fn, a)
}

// streamRequest is a step of an input stream.
type streamRequest struct {
	Op       string  `json:"op"`
	Capacity int     `json:"capacity,omitempty"`
	Error    *string `json:"error,omitempty"`
}

// stream runs a write beside an input stream. The rows are read by the caller's goroutine, as their reader
// may not be made for another one, and the write waits in one of its own, which has ended on return.
//
// Whichever side fails stops the other: a write that returns cancels a step that waits for room, and a
// reader that fails, or panics, ends the stream with an error, so that the write commits nothing.
func (h *handle) stream(ctx context.Context, fn function, a args, e *encoder, request func(stream uint64) any) (reply, error) {
	schema, err := encodeSchema(e.schema)
	if err != nil {
		return reply{}, dataError(a, err)
	}
	opened, err := callToken(fnStream, 0, 0, args{op: a.op, table: a.table, body: schema, request: streamRequest{Op: "open", Capacity: streamCapacity}})
	if err != nil {
		return reply{}, err
	}
	stream := newHandle(opened.handle)
	stopped := newToken() // cancelled when the write has returned
	done := make(chan struct{})
	var answer reply
	write := a
	write.request = request(stream.id)
	go func() {
		defer close(done)
		answer, err = h.call(ctx, fn, write)
		stopped.cancel()
	}()
	defer stopped.end()
	defer func() { <-done }()
	// First of all on the way out: an unfinished stream makes the write fail.
	defer stream.close()

	finish := func(why *string) {
		callToken(fnStream, stream.id, stopped.id, args{op: a.op, table: a.table, request: streamRequest{Op: "finish", Error: why}})
	}
	var failed error
	for ended := false; ; {
		if _, pushed := callToken(fnStream, stream.id, stopped.id, args{op: a.op, table: a.table, request: streamRequest{Op: "push"}, body: e.out}); pushed != nil {
			if code := pushed.(*Error).Code; code != CodeCancelled && code != CodeClosed {
				failed = pushed
				finish(new(pushed.Error()))
			}
			break
		}
		if ended {
			finish(nil)
			break
		}
		if ended, failed = e.fill(pushBytes); failed != nil {
			failed = dataError(a, failed)
			finish(new(failed.Error()))
			break
		}
	}
	<-done
	// A write that was done without the rest of the data has succeeded.
	if err != nil && failed != nil && ctx.Err() == nil {
		return reply{}, failed
	}
	return answer, err
}

// dataError is the error of a write whose data could not be read or encoded.
func dataError(a args, err error) error {
	return &Error{Op: a.op, Table: a.table, Code: CodeInvalid, Message: "input: " + err.Error(), cause: err}
}

// encoder writes the batches of a reader as IPC streams of a certain size.
type encoder struct {
	schema *arrow.Schema
	data   array.RecordReader
	out    []byte // the last stream
}

// Write makes the encoder the destination of Arrow's writer.
func (e *encoder) Write(p []byte) (int, error) {
	e.out = append(e.out, p...)
	return len(p), nil
}

// fill encodes batches until they take more than limit bytes or the data ends.
func (e *encoder) fill(limit int64) (ended bool, err error) {
	e.out = e.out[:0]
	w := ipc.NewWriter(e, ipc.WithSchema(e.schema))
	for int64(len(e.out)) <= limit {
		if !e.data.Next() {
			ended = true
			break
		}
		batch := e.data.RecordBatch()
		if batch.NumRows() == 0 {
			continue
		}
		// Arrow's writer hands over a buffer at a time: without this, many would make the stream's memory anew. The
		// size is that of whole buffers, so a slice of a large batch seems as large as that.
		e.out = slices.Grow(e.out, min(batchBytes(batch), 4*pushBytes)+ipcOverhead)
		if err := w.Write(batch); err != nil {
			return false, fmt.Errorf("encode a batch: %w", err)
		}
	}
	if ended {
		if err := e.data.Err(); err != nil {
			return false, err
		}
	}
	return ended, w.Close()
}

// batchBytes is how much the buffers of a batch hold.
func batchBytes(batch arrow.RecordBatch) int {
	n := 0
	for _, column := range batch.Columns() {
		n += dataBytes(column.Data())
	}
	return n
}

func dataBytes(d arrow.ArrayData) int {
	n := 0
	for _, b := range d.Buffers() {
		if b != nil {
			n += b.Len()
		}
	}
	for _, child := range d.Children() {
		n += dataBytes(child)
	}
	return n
}
