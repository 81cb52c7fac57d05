package lance

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// FromBatches gives batches in memory as data to write. A nil schema is that of the first batch; with
// neither, the reader's schema has no columns.
func FromBatches(schema *arrow.Schema, batches ...arrow.RecordBatch) array.RecordReader {
	if schema == nil {
		if len(batches) > 0 {
			schema = batches[0].Schema()
		} else {
			schema = arrow.NewSchema(nil, nil)
		}
	}
	for _, batch := range batches {
		batch.Retain()
	}
	rest := batches
	records := &recordReader{schema: schema}
	records.refs.Store(1)
	records.next = func() (arrow.RecordBatch, error) {
		if len(rest) == 0 {
			return nil, io.EOF
		}
		batch := rest[0]
		rest = rest[1:]
		return batch, nil
	}
	records.done = func() {
		for _, batch := range batches {
			batch.Release()
		}
	}
	return records
}

// recordReader is Arrow's interface over a function that gives io.EOF at the end.
type recordReader struct {
	refs   atomic.Int64
	schema *arrow.Schema
	next   func() (arrow.RecordBatch, error)
	done   func()
	batch  arrow.RecordBatch
	err    error
}

func (r *recordReader) Retain() { r.refs.Add(1) }

func (r *recordReader) Release() {
	if r.refs.Add(-1) == 0 {
		r.done()
	}
}

func (r *recordReader) Schema() *arrow.Schema { return r.schema }

func (r *recordReader) Next() bool {
	if r.err == nil {
		r.batch, r.err = r.next()
	}
	return r.err == nil
}

func (r *recordReader) RecordBatch() arrow.RecordBatch { return r.batch }

// Record is the older name of RecordBatch, part of Arrow's interface.
func (r *recordReader) Record() arrow.RecordBatch { return r.batch }

func (r *recordReader) Err() error {
	if r.err == io.EOF {
		return nil
	}
	return r.err
}

// decoder turns the IPC streams of one query's batches, each of which repeats the schema, into batches of
// one schema, which is decoded once.
type decoder struct {
	a        args
	messages messages
	reader   *ipc.Reader
}

func newDecoder(a args, stream []byte) (*decoder, error) {
	d := &decoder{a: a, messages: messages{rest: stream}}
	reader, err := ipc.NewReaderFromMessageReader(&d.messages)
	if err != nil {
		return nil, d.error(err)
	}
	d.reader = reader
	d.messages.skipSchema = true
	return d, nil
}

func (d *decoder) schema() *arrow.Schema { return d.reader.Schema() }

// decode gives the batch of a stream, whose memory it shares.
func (d *decoder) decode(stream []byte) (arrow.RecordBatch, error) {
	d.messages.rest = stream
	if !d.reader.Next() {
		err := d.reader.Err()
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return nil, d.error(err)
	}
	batch := d.reader.RecordBatch()
	batch.Retain() // for the caller; the reader gives up its own reference at the next step
	return batch, nil
}

func (d *decoder) error(err error) error {
	return newError(d.a.op, d.a.table, CodeInternal, "decode the engine's answer: "+err.Error())
}

func decodeSchema(a args, stream []byte) (*arrow.Schema, error) {
	d, err := newDecoder(a, stream)
	if err != nil {
		return nil, err
	}
	return d.schema(), nil
}

// messages cuts an IPC stream in memory into its messages without copying. The engine pads metadata and
// bodies to 64 bytes, so buffers are aligned when the stream is.
type messages struct {
	rest       []byte
	skipSchema bool
}

func (m *messages) Retain() {}

func (m *messages) Release() {}

func (m *messages) Message() (*ipc.Message, error) {
	for {
		message, err := m.cut()
		if err != nil || !m.skipSchema || message.Type() != ipc.MessageSchema {
			return message, err
		}
	}
}

// continuation begins each message; see https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format.
const continuation = 0xFFFFFFFF

func (m *messages) cut() (*ipc.Message, error) {
	if len(m.rest) == 0 {
		return nil, io.EOF
	}
	if len(m.rest) < 8 || binary.LittleEndian.Uint32(m.rest) != continuation {
		return nil, fmt.Errorf("message of %d bytes without its prefix", len(m.rest))
	}
	size := uint64(binary.LittleEndian.Uint32(m.rest[4:]))
	if size == 0 {
		m.rest = nil
		return nil, io.EOF
	}
	if size > uint64(len(m.rest)-8) {
		return nil, fmt.Errorf("message metadata of %d bytes: %w", size, io.ErrUnexpectedEOF)
	}
	metadata, rest := m.rest[8:8+size], m.rest[8+size:]
	// The length of the body stands in the metadata, so a message is made to ask for it.
	length := ipc.NewMessage(memory.NewBufferBytes(metadata), memory.NewBufferBytes(nil)).BodyLen()
	if length < 0 || length > int64(len(rest)) {
		return nil, fmt.Errorf("message body of %d bytes: %w", length, io.ErrUnexpectedEOF)
	}
	m.rest = rest[length:]
	return ipc.NewMessage(memory.NewBufferBytes(metadata), memory.NewBufferBytes(rest[:length:length])), nil
}

// encodeSchema writes an IPC stream that holds only a schema.
func encodeSchema(schema *arrow.Schema) ([]byte, error) {
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(schema))
	// Closing writes the schema when no batch has.
	err := w.Close()
	return out.Bytes(), err
}
