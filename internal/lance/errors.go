package lance

import (
	"context"
	"errors"
	"io/fs"
	"strconv"
	"strings"
)

// The kinds of error that callers tell apart, with [errors.Is]. ErrNotFound also matches [fs.ErrNotExist],
// ErrExists [fs.ErrExist], ErrPermission [fs.ErrPermission], ErrClosed [fs.ErrClosed] and ErrUnsupported
// [errors.ErrUnsupported]. A call whose context ended matches the context's error instead of any of these.
var (
	// ErrNotFound: no such table, version, tag, index or object.
	ErrNotFound error = &sentinel{"not found", fs.ErrNotExist}
	// ErrExists: the table, tag or object is there already.
	ErrExists error = &sentinel{"already exists", fs.ErrExist}
	// ErrInvalid: a request that makes no sense for the table, such as a filter naming an unknown column, a
	// vector of another dimension, or rows that do not fit the schema.
	ErrInvalid error = &sentinel{"invalid input", nil}
	// ErrConflict: another writer committed in between, or the table is not at the expected version.
	ErrConflict error = &sentinel{"conflict", nil}
	// ErrIO: reading or writing storage went wrong.
	ErrIO error = &sentinel{"input or output error", nil}
	// ErrUnsupported: the engine cannot do this, or the table is of a newer generation than the engine.
	ErrUnsupported error = &sentinel{"not supported", errors.ErrUnsupported}
	// ErrCorrupt: a table or file that cannot be decoded.
	ErrCorrupt error = &sentinel{"corrupt", nil}
	// ErrPermission: storage refused access.
	ErrPermission error = &sentinel{"permission denied", fs.ErrPermission}
	// ErrNoSpace: storage, or the memory that a query may use, is full.
	ErrNoSpace error = &sentinel{"no space left", nil}
	// ErrClosed: the connection, table or reader was closed.
	ErrClosed error = &sentinel{"closed", fs.ErrClosed}
	// ErrPanic: the engine panicked. The panic was caught and the process goes on; it is a bug.
	ErrPanic error = &sentinel{"engine panic", nil}
	// ErrInternal: the engine failed and has no better word for it.
	ErrInternal error = &sentinel{"internal error", nil}
)

// sentinel is an error value that may also match one of the standard library's.
type sentinel struct {
	text string
	also error
}

func (s *sentinel) Error() string        { return s.text }
func (s *sentinel) Is(target error) bool { return s.also != nil && target == s.also }

// Code is the engine's number for a kind of error, part of the C interface.
type Code int32

// The codes of the C interface; 0 is success.
const (
	CodeNotFound    Code = 1
	CodeExists      Code = 2
	CodeInvalid     Code = 3
	CodeConflict    Code = 4
	CodeIO          Code = 5
	CodeUnsupported Code = 6
	CodeCancelled   Code = 7
	CodePanic       Code = 8
	CodeClosed      Code = 9
	CodeCorrupt     Code = 10
	CodePermission  Code = 11
	CodeNoSpace     Code = 12
	CodeInternal    Code = 13
)

// Err returns the sentinel that the code stands for. This is the one place where codes become errors.
func (c Code) Err() error {
	switch c {
	case CodeNotFound:
		return ErrNotFound
	case CodeExists:
		return ErrExists
	case CodeInvalid:
		return ErrInvalid
	case CodeConflict:
		return ErrConflict
	case CodeIO:
		return ErrIO
	case CodeUnsupported:
		return ErrUnsupported
	case CodeCancelled:
		// The caller's context did not end (see callError), so it was the time limit of a query.
		return context.DeadlineExceeded
	case CodePanic:
		return ErrPanic
	case CodeClosed:
		return ErrClosed
	case CodeCorrupt:
		return ErrCorrupt
	case CodePermission:
		return ErrPermission
	case CodeNoSpace:
		return ErrNoSpace
	default:
		return ErrInternal
	}
}

// Error is an error from the engine, or from what was handed to it.
type Error struct {
	Op      string // what was being done, as "append", "merge into" or "open table"
	Table   string // to which table; "" where none is concerned
	Code    Code
	Message string // what went wrong

	cause error // what ended the call from this side: the context's error, or the error of the caller's data
}

// Error says what was being done to which table and what went wrong.
func (e *Error) Error() string { return place(e.Op, e.Table) + ": " + e.Message }

// Unwrap gives the sentinel of the code or, where this side ended the call, the reason.
func (e *Error) Unwrap() error {
	if e.cause != nil {
		return e.cause
	}
	return e.Code.Err()
}

// place puts an operation and a table as the engine's own messages do, which may begin with it.
func place(op, table string) string {
	if table == "" {
		return op
	}
	return op + " " + strconv.Quote(table)
}

// newError makes the error of a call that answered with a code.
func newError(op, table string, code Code, message string) *Error {
	message = strings.TrimPrefix(message, place(op, table)+": ")
	if message == "" {
		message = code.Err().Error()
	}
	return &Error{Op: op, Table: table, Code: code, Message: message}
}

// cancelled makes the error of a call whose context ended.
func cancelled(ctx context.Context, op, table string) *Error {
	cause := ctx.Err()
	e := &Error{Op: op, Table: table, Code: CodeCancelled, Message: cause.Error(), cause: cause}
	if why := context.Cause(ctx); why != cause {
		e.Message, e.cause = why.Error(), errors.Join(cause, why)
	}
	return e
}

// closed makes the error of a call on something that was closed.
func closed(op, table string) *Error {
	return newError(op, table, CodeClosed, "")
}
