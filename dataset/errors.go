package dataset

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"pixano/internal/lance"
	"pixano/schema"
)

// The kinds of error that callers tell apart, with [errors.Is]. Refused access also matches [fs.ErrPermission], and
// a call whose context ended matches the context's error instead.
var (
	// ErrNotFound: no such dataset, table or row. It also matches [fs.ErrNotExist].
	ErrNotFound = lance.ErrNotFound
	// ErrExists: the dataset, table or row is there already. It also matches [fs.ErrExist].
	ErrExists = lance.ErrExists
	// ErrSchema: info.json or schema.json do not say what a dataset wants, or rows do not fit the schema.
	ErrSchema = schema.ErrSchema
	// ErrQuery: a query that makes no sense for its table: an unknown column, a filter that cannot be read, values
	// of a type that the column does not have, a vector of another dimension, a negative limit.
	ErrQuery = lance.ErrInvalid
	// ErrIntegrity: references that name no row, or ids that are empty or not unique.
	ErrIntegrity = errors.New("integrity")
	// ErrConflict: another writer changed the same rows in between.
	ErrConflict = lance.ErrConflict
	// ErrReadOnly: a change to a dataset that was opened for reading only.
	ErrReadOnly = errors.New("read only")
	// ErrClosed: the dataset was closed. It also matches [fs.ErrClosed].
	ErrClosed = lance.ErrClosed
	// ErrCorrupt: a table or file that cannot be decoded.
	ErrCorrupt = lance.ErrCorrupt
	// ErrNoSpace: the storage, or the memory that a query may use, is full. Files of a local disk that is full also match
	// [syscall.ENOSPC], and may match that alone.
	ErrNoSpace = lance.ErrNoSpace
	// ErrUnsupported: a layout or a storage version that this version does not know. It also matches
	// [errors.ErrUnsupported].
	ErrUnsupported = lance.ErrUnsupported
)

// Error says what went wrong where. It prints as: add bboxes "b1": coords: want 4 values, have 3.
type Error struct {
	Op    string // what was being done: "open library/voc", "read", "count"
	Table string // the table; "" where none is concerned
	ID    string // the row's id; "" where none is concerned
	Field string // the column, or the file; "" where none is concerned
	Err   error  // why
}

// Error joins the parts that are given.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	for _, word := range []string{e.Table, quoted(e.ID)} {
		if word != "" && b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(word)
	}
	why := e.Err.Error()
	if le, ok := e.Err.(*lance.Error); ok && (le.Table == "" || le.Table == e.Table) {
		why = le.Message // the rest says the place once more
	}
	for _, part := range []string{e.Field, why} {
		if part != "" && b.Len() > 0 {
			b.WriteString(": ")
		}
		b.WriteString(part)
	}
	return b.String()
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

func quoted(id string) string {
	if id == "" {
		return ""
	}
	return strconv.Quote(id)
}

// kindError is a message of this package with its kind.
type kindError struct {
	kind error
	text string
	err  error // what it is about; nil for none
}

func (e *kindError) Error() string { return e.text }

func (e *kindError) Unwrap() []error {
	if e.err == nil {
		return []error{e.kind}
	}
	return []error{e.kind, e.err}
}

// queryError makes an error of a query.
func queryError(err error) error { return &kindError{ErrQuery, err.Error(), err} }

// at puts operation and table on an error that does not carry them yet.
func at(op, table string, err error) error {
	if e, ok := err.(*Error); ok && e.Op == "" {
		e.Op, e.Table = op, table
		return e
	}
	return &Error{Op: op, Table: table, Err: err}
}

// fileError is an error about a file, without the path that the caller's error has already.
func fileError(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		kind := path.Err
		if errors.Is(kind, fs.ErrNotExist) {
			kind = ErrNotFound
		}
		return &kindError{kind, path.Err.Error(), path.Err}
	}
	return err
}
