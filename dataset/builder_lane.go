package dataset

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"pixano/internal/lance"
	"pixano/internal/rowcodec"
	"pixano/schema"
)

// rowError is the error of a row, with its column where it is known.
func rowError(table, id string, err error) error {
	e := &Error{Table: table, ID: id, Err: err}
	if s, ok := errors.AsType[*schema.Error](err); ok && s.Field != "" {
		e.Field = s.Field
		e.Err = &schema.Error{Value: s.Value, Rule: s.Rule}
	}
	return e
}

// lane takes the rows of one table. Rows are gathered in a slice of their own type; a full one goes to the goroutine that
// writes the table, and comes back empty.
type lane struct {
	b       *build
	table   string
	class   *schema.Class
	columns *arrow.Schema
	known   map[reflect.Type]*rowShape // types whose rows may be stored

	buf   reflect.Value // []T, or []*schema.Dynamic
	shape *rowShape     // of its rows; nil: there is none yet
	bytes int64         // about as much is in it
	now   time.Time     // of the rows that are taken together
	rows  int64         // taken

	full chan reflect.Value // to the goroutine; nil: there is none
	free chan reflect.Value
	done chan struct{} // closed when it ends

	// What follows belongs to the goroutine while there is one.
	t       *lance.Table // nil until it is created
	commits int
	version uint64
}

// laneError is the error of a goroutine that writes a table.
type laneError struct {
	table string
	err   error
}

func (e *laneError) Error() string { return e.table + ": " + e.err.Error() }
func (e *laneError) Unwrap() error { return e.err }

// take takes rows: one, or a slice.
func (l *lane) take(from any) error {
	v := reflect.ValueOf(from)
	for v.IsValid() && v.Kind() == reflect.Pointer && (v.IsNil() || v.Type().Elem().Kind() == reflect.Slice) {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	if !v.IsValid() {
		return nil
	}
	switch {
	case v.Kind() != reflect.Slice && v.Kind() != reflect.Array:
		return l.takeRow(v, 0)
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct && v.Type().Elem() != dynamicType:
		return l.takeAll(v)
	}
	for i := range v.Len() {
		if err := l.takeRow(v.Index(i), i); err != nil {
			return err
		}
	}
	return nil
}

// takeAll takes a slice of structs, without looking at each for its type.
func (l *lane) takeAll(v reflect.Value) error {
	n := v.Len()
	if n == 0 {
		return nil
	}
	if err := l.use(v.Type().Elem()); err != nil {
		return l.inBatch(0, err)
	}
	for from := 0; from < n; {
		have := l.buf.Len()
		to := min(n, from+max(1, l.b.opts.FlushRows-have))
		l.buf = reflect.AppendSlice(l.buf, v.Slice(from, to))
		l.now = schema.Now()
		for i := have; i < l.buf.Len(); i++ {
			if err := l.ready(l.buf.Index(i)); err != nil {
				return l.inBatch(from+i-have, err)
			}
		}
		from = to
		if err := l.flushFull(); err != nil {
			return err
		}
	}
	return nil
}

// takeRow takes one row, which has the number i in its batch.
func (l *lane) takeRow(v reflect.Value, i int) error {
	for v.IsValid() && (v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer) {
		v = v.Elem()
	}
	if !v.IsValid() {
		return l.inBatch(i, schemaError("the row is nil"))
	}
	if v.Type() == dynamicType {
		d := v.Interface().(schema.Dynamic)
		row, err := asClass(&d, l.class)
		if err != nil {
			return l.inBatch(i, err)
		}
		v = reflect.ValueOf(row)
	}
	if err := l.use(v.Type()); err != nil {
		return l.inBatch(i, err)
	}
	l.buf = reflect.Append(l.buf, v)
	l.now = schema.Now()
	if err := l.ready(l.buf.Index(l.buf.Len() - 1)); err != nil {
		return l.inBatch(i, err)
	}
	return l.flushFull()
}

// inBatch says which row of the batch an error is about.
func (l *lane) inBatch(i int, err error) error {
	place := fmt.Sprintf("batch %d, row %d", l.b.batches+1, i)
	if e, ok := err.(*Error); ok {
		e.Table, e.Err = l.table, fmt.Errorf("%s: %w", place, e.Err)
		return e
	}
	return &Error{Table: l.table, Err: fmt.Errorf("%s: %w", place, err)}
}

// use makes the buffer one for rows of a type.
func (l *lane) use(t reflect.Type) error {
	if l.shape != nil && l.shape.row == t {
		return nil
	}
	shape, ok := l.known[t]
	if !ok {
		var err error
		if shape, err = shapeOf(t, l.class); err != nil {
			return err
		}
		l.known[t] = shape
	}
	if err := l.seal(); err != nil {
		return err
	}
	l.shape = shape
	l.buf = reflect.MakeSlice(reflect.SliceOf(t), 0, min(64, l.b.opts.FlushRows))
	return nil
}

// ready brings a row of the buffer into its stored form and checks it.
func (l *lane) ready(v reflect.Value) error {
	if v.Kind() == reflect.Struct {
		v = v.Addr()
	}
	r := v.Interface()
	fail := func(err error) error {
		id, _ := schema.ID(r)
		return rowError(l.table, id, err)
	}
	if err := schema.NormalizeAt(r, l.now); err != nil {
		return fail(err)
	}
	size, err := l.shape.measure(r, v.Elem())
	if err != nil {
		return fail(err)
	}
	if values := l.b.opts.Checks.Values; l.b.old != nil && (values == CheckRaise || values == CheckWarn) {
		for _, err := range l.b.old.meta.Load().valueErrors(l.table, r) {
			if values == CheckRaise {
				return &Error{Table: l.table, ID: err.ID, Field: err.Field, Err: err}
			}
			l.b.opts.Checks.warn(err)
		}
	}
	if l.table == schema.ItemTable {
		l.b.lastItem, _ = schema.ID(r)
	}
	l.bytes += size
	l.rows++
	return nil
}

func (l *lane) flushFull() error {
	if l.buf.Len() >= l.b.opts.FlushRows || l.bytes >= l.b.opts.FlushBytes {
		return l.seal()
	}
	return nil
}

// seal hands the rows of the buffer to the goroutine that writes the table.
func (l *lane) seal() error {
	if l.shape == nil || l.buf.Len() == 0 {
		return nil
	}
	if l.full == nil {
		l.full, l.done = make(chan reflect.Value), make(chan struct{})
		go l.write(l.full, l.done)
	}
	select {
	case l.full <- l.buf:
	case <-l.b.ctx.Done():
		return context.Cause(l.b.ctx)
	}
	t := l.buf.Type()
	l.bytes = 0
	select {
	case l.buf = <-l.free:
		if l.buf.Type() == t {
			return nil
		}
	default:
	}
	l.buf = reflect.MakeSlice(t, 0, min(64, l.b.opts.FlushRows))
	return nil
}

// end tells the goroutine that no more rows come, so that it commits; wait waits for it, also where it was stopped.
func (l *lane) end() {
	if l.full != nil {
		close(l.full)
	}
}

func (l *lane) wait() {
	if l.full != nil {
		<-l.done
		l.full = nil
	}
}

// write writes the rows that come over a channel, in one commit.
func (l *lane) write(full <-chan reflect.Value, done chan<- struct{}) {
	defer close(done)
	b := l.b
	data := &stepReader{columns: l.columns}
	data.next = func() (arrow.RecordBatch, error) {
		select {
		case <-b.ctx.Done():
			return nil, context.Cause(b.ctx)
		case rows, more := <-full:
			if !more {
				return nil, nil
			}
			return l.encode(rows)
		}
	}
	var err error
	if l.t == nil {
		l.t, err = b.db.CreateTable(b.ctx, l.table, l.columns, data, &lance.CreateOptions{
			StorageVersion: b.opts.Options.StorageVersion, BufferBytes: laneBuffer,
		})
	} else {
		_, err = l.t.Append(b.ctx, data, &lance.WriteOptions{BufferBytes: laneBuffer})
	}
	if err == nil {
		l.commits++
		l.version, err = l.t.Version(b.ctx)
	}
	if err != nil {
		b.cancel(&laneError{l.table, err}) // of several causes the first one stays
	}
}

// encode makes a batch of a buffer's rows and gives the buffer back.
func (l *lane) encode(rows reflect.Value) (arrow.RecordBatch, error) {
	t := rows.Type().Elem()
	var codec *rowcodec.Codec
	var err error
	if t.Kind() == reflect.Pointer {
		codec, err = rowcodec.ForClass(l.class)
	} else {
		codec, err = rowcodec.For(t)
	}
	if err != nil {
		return nil, err
	}
	batch, err := codec.Encode(rows.Interface(), l.columns)
	if err != nil {
		return nil, err
	}
	rows.Clear()
	select {
	case l.free <- rows.Slice(0, 0):
	default:
	}
	return batch, nil
}

// rowShape says how large rows of a type are, and which of their columns are vectors of a length that the type does not
// say.
type rowShape struct {
	row     reflect.Type
	fixed   int64
	columns []sizedColumn
}

// sizedColumn is a column whose values have memory of their own.
type sizedColumn struct {
	name  string
	index []int
	item  int64 // bytes of an item; 0 for a list of texts or of lists
	dim   int   // of a vector, or 0
}

// shapeOf returns the shape of rows of a type, if a table of the class can hold them.
func shapeOf(t reflect.Type, class *schema.Class) (*rowShape, error) {
	s := &rowShape{row: t, fixed: int64(t.Size())}
	if t == dynamicPtrType {
		s.fixed = int64(64 * len(class.Fields))
		return s, nil
	}
	if err := checkWrite(t, class); err != nil {
		return nil, err
	}
	plan, err := schema.PlanOf(t)
	if err != nil {
		return nil, err
	}
	for _, c := range plan.Columns {
		column := sizedColumn{name: c.Name, index: c.Index}
		switch c.GoType.Kind() {
		case reflect.String:
			column.item = 1
		case reflect.Slice:
			field, _, _ := class.Field(c.Name)
			column.dim = field.Type.Dim
			switch elem := c.GoType.Elem(); elem.Kind() {
			case reflect.String, reflect.Slice:
			default:
				column.item = int64(elem.Size())
			}
		default:
			continue // the names and ids of references are short
		}
		s.columns = append(s.columns, column)
	}
	return s, nil
}

// measure gives about how many bytes a row takes, and checks the lengths of its vectors.
func (s *rowShape) measure(row any, at reflect.Value) (int64, error) {
	size := s.fixed
	if d, ok := row.(*schema.Dynamic); ok {
		for _, value := range d.Values() {
			v := reflect.ValueOf(value)
			switch v.Kind() {
			case reflect.String:
				size += int64(v.Len())
			case reflect.Slice:
				size += int64(v.Len()) * int64(v.Type().Elem().Size())
			}
		}
		return size, nil
	}
	for i := range s.columns {
		c := &s.columns[i]
		v := at.FieldByIndex(c.index)
		n := v.Len()
		if c.dim > 0 && n != c.dim && !v.IsNil() {
			return 0, &schema.Error{Field: c.name, Rule: fmt.Sprintf("want %d values, have %d", c.dim, n)}
		}
		if c.item > 0 {
			size += int64(n) * c.item
			continue
		}
		for j := range n {
			size += 24 + int64(v.Index(j).Len())
		}
	}
	return size, nil
}
