package dataset

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// Check is one of the five integrity checks of a row. They are made in this order, each for all references of the row
// before the next one, and a row that fails one is not checked further: it has one violation at most.
//
// The references checked are the columns that hold one; lists of references are not looked at, nor whether the row
// that is referred to belongs to the same item.
type Check string

const (
	// DefinedID: the id is not empty.
	DefinedID Check = "defined_id"
	// UniqueID: the id occurs once among the rows given and, for rows that are added, not yet in the table; in a check
	// of a table, once in it. Each row with the id fails.
	UniqueID Check = "unique_id"
	// RefName: each reference names a table of the dataset, "source" included. One that names none is no reference.
	RefName Check = "ref_name"
	// RefType: a reference to a view, an entity, an annotation or an embedding names a table of that group. Those to
	// items and sources may name any.
	RefType Check = "ref_type"
	// RefID: the id of each reference is in the table that it names. A reference without table or id is none.
	RefID Check = "ref_id"
)

var allChecks = []Check{DefinedID, UniqueID, RefName, RefType, RefID}

// CheckMode says what becomes of rows that fail a check.
type CheckMode string

const (
	CheckRaise CheckMode = "raise" // they are refused; of [Checks.Mode] the default
	CheckWarn  CheckMode = "warn"  // they are stored, and the error goes to Checks.Warn
	CheckNone  CheckMode = "none"  // they are not looked at; of [Checks.Values] the default
)

// Checks says how rows are checked before they are stored. The zero value makes all integrity checks and refuses rows
// that fail one. See [Dataset.WithChecks].
type Checks struct {
	// Mode is what becomes of rows that fail an integrity check. "": CheckRaise.
	Mode CheckMode

	// Ignore are integrity checks that are not made. Without UniqueID, [Dataset.Add] stores an id that is there already
	// a second time.
	Ignore []Check

	// Values is what becomes of rows with a value that a restricted constraint does not list, see
	// [Dataset.Constraints]. "": CheckNone.
	Values CheckMode

	// Warn receives an *[IntegrityError] or *[ValueError] for what CheckWarn let pass, once the rows are stored and
	// before the call that stored them returns. Nil: [slog.Warn].
	Warn func(error)
}

// WithChecks returns a handle of the same dataset whose writes check rows in another way, and whose checks of whole
// tables leave out what c.Ignore names. Unknown modes and checks are an error of every write and check with it.
func (d *Dataset) WithChecks(c Checks) *Dataset {
	c.Ignore = slices.Clone(c.Ignore)
	h := *d
	h.checks = c
	return &h
}

// validate refuses modes and checks that there are not.
func (c Checks) validate() error {
	for _, m := range []CheckMode{c.Mode, c.Values} {
		if !slices.Contains([]CheckMode{"", CheckRaise, CheckWarn, CheckNone}, m) {
			return queryError(fmt.Errorf("check mode %q: want raise, warn or none", m))
		}
	}
	for _, check := range c.Ignore {
		if !slices.Contains(allChecks, check) {
			return queryError(fmt.Errorf("check %q: want one of %s", check, strings.Trim(fmt.Sprint(allChecks), "[]")))
		}
	}
	return nil
}

// checks reports whether an integrity check may refuse a row.
func (c Checks) checks(check Check) bool {
	return (c.Mode == "" || c.Mode == CheckRaise) && !slices.Contains(c.Ignore, check)
}

// warn reports what CheckWarn let pass.
func (c Checks) warn(err error) {
	if c.Warn != nil {
		c.Warn(err)
		return
	}
	slog.Warn("dataset: rows stored although a check failed", "error", err)
}

// Violation is a row that fails an integrity check.
type Violation struct {
	Check Check  `json:"check"`
	Table string `json:"table"`
	ID    string `json:"id"`           // of the row; "" in a violation of DefinedID
	Field string `json:"field"`        // the column: "id", or that of the reference
	Value string `json:"value"`        // what is wrong there: the id, or the reference's table or id
	To    string `json:"to,omitempty"` // of a reference: the table that it names
}

// String says what is wrong, as "bboxes \"b1\": view_ref: no row \"v9\" in table image".
func (v Violation) String() string {
	row := fmt.Sprintf("%s %q: ", v.Table, v.ID)
	switch v.Check {
	case DefinedID:
		return v.Table + ": a row has no id"
	case UniqueID:
		return row + "the id is not unique"
	case RefName:
		return row + fmt.Sprintf("%s: no table %q", v.Field, v.To)
	case RefType:
		return row + fmt.Sprintf("%s: table %s is of another group", v.Field, v.To)
	}
	return row + fmt.Sprintf("%s: no row %q in table %s", v.Field, v.Value, v.To)
}

// IntegrityError lists rows that fail integrity checks. It matches [ErrIntegrity].
type IntegrityError struct {
	Violations []Violation
}

// Error names the rows, one a line; of many only the first.
func (e *IntegrityError) Error() string {
	const most = 20
	var b strings.Builder
	for i, v := range e.Violations {
		if i == most {
			fmt.Fprintf(&b, "\nand %d more", len(e.Violations)-most)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(v.String())
	}
	return b.String()
}

// Unwrap gives ErrIntegrity.
func (e *IntegrityError) Unwrap() error { return ErrIntegrity }
