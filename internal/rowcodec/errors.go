package rowcodec

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
)

// Error says which column of which row cannot be converted. Row is the row's number in the batch or slice, -1 if the
// column as a whole is meant. Have and Want are Arrow types, where they differ.
type Error struct {
	Type       string // Go type or class
	Column     string
	Row        int
	Have, Want arrow.DataType
	Err        error
}

// Error gives `BBox.coords: row 3: ...` or `BBox.coords: column is int64, want list<item: float64, nullable>`.
func (e *Error) Error() string {
	place := e.Type + "." + e.Column
	if e.Row >= 0 {
		place += fmt.Sprintf(": row %d", e.Row)
	}
	if e.Err != nil {
		return place + ": " + e.Err.Error()
	}
	return fmt.Sprintf("%s: column is %s, want %s", place, e.Have, e.Want)
}

func (e *Error) Unwrap() error { return e.Err }

// A rowError is an error of one row on its way to the place that knows the column.
type rowError struct {
	row int
	err error
}

func (e *rowError) Error() string { return e.err.Error() }

func atRow(row int, format string, args ...any) error {
	return &rowError{row, fmt.Errorf(format, args...)}
}
