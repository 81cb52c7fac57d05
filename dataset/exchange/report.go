package exchange

import (
	"cmp"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// maxWarnings bounds the warnings that a report lists. Further ones are counted.
const maxWarnings = 1000

// Report says what an import or an export did, or would do.
type Report struct {
	Action  string `json:"action"` // "import" or "export"
	Format  string `json:"format"`
	DryRun  bool   `json:"dry_run"`
	Source  string `json:"source"`  // what was read: a directory or a file
	Target  string `json:"target"`  // what was made: a directory
	Resumed bool   `json:"resumed"` // an interrupted import was continued

	Items      int64            `json:"items"`
	Tables     map[string]int64 `json:"tables"`     // rows by table
	Splits     map[string]int64 `json:"splits"`     // items by split
	Categories map[string]int64 `json:"categories"` // rows by category, where the format has categories
	Files      []string         `json:"files"`      // written by an export, relative to Target; sorted
	Media      MediaCount       `json:"media"`

	Warnings     []Warning `json:"warnings"` // the first thousand
	WarningCount int64     `json:"warning_count"`

	// Losses are what the other side cannot hold, sorted. Nothing else is lost.
	Losses []Loss `json:"losses"`

	Seconds float64 `json:"seconds"`
}

// MediaCount says what became of media files.
type MediaCount struct {
	Mode  MediaMode `json:"mode"`
	Files int64     `json:"files"`
	Bytes int64     `json:"bytes"`
}

// Warning is something in a source that was accepted and is most likely wrong, or left out.
type Warning struct {
	File    string `json:"file"`           // relative to the source; "" where none is concerned
	Line    int    `json:"line,omitempty"` // from 1; 0 where it is not known
	Message string `json:"message"`
}

// String gives "train/metadata.jsonl:3: …".
func (w Warning) String() string { return Place(w.File, w.Line) + w.Message }

// Place gives the beginning of a message about a file: "FILE:LINE: ".
func Place(file string, line int) string {
	switch {
	case file == "":
		return ""
	case line > 0:
		return file + ":" + strconv.Itoa(line) + ": "
	}
	return file + ": "
}

// Loss is something that the target of an import or export has no place for.
type Loss struct {
	Table  string `json:"table,omitempty"` // a table of the dataset; in an import, where the format says it: "info"
	Field  string `json:"field,omitempty"` // a column, or a key; "" for whole rows
	Count  int64  `json:"count"`           // rows concerned
	Reason string `json:"reason"`
}

// String gives "bboxes.confidence (12): …".
func (l Loss) String() string {
	name := l.Table
	if l.Field != "" && name != "" {
		name += "."
	}
	return fmt.Sprintf("%s%s (%d): %s", name, l.Field, l.Count, l.Reason)
}

// LineError is an error at a place of a source.
type LineError struct {
	File string // relative to the source
	Line int    // from 1; 0 where it is not known
	Err  error
}

// Error gives "FILE:LINE: …".
func (e *LineError) Error() string { return Place(e.File, e.Line) + about(e.File, e.Err).Error() }

// Unwrap gives the reason.
func (e *LineError) Unwrap() error { return e.Err }

// about returns what an error says of a file, without the file's name where that is said before.
func about(file string, err error) error {
	if e, ok := err.(*mediaError); ok && e.name == file {
		return e.err
	}
	if e, ok := err.(*fs.PathError); ok && (e.Path == file || strings.HasSuffix(filepath.ToSlash(e.Path), "/"+file)) {
		return e.Err
	}
	return err
}

// notes gathers what a run has to tell. It is safe for concurrent use.
type notes struct {
	mu       sync.Mutex
	warnings []Warning
	warned   int64
	losses   map[Loss]int64 // by their value with a count of 0
}

func (n *notes) warn(file string, line int, format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.warned++
	if len(n.warnings) < maxWarnings {
		n.warnings = append(n.warnings, Warning{file, line, fmt.Sprintf(format, args...)})
	}
}

func (n *notes) lose(table, field, reason string, count int64) {
	if count == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.losses == nil {
		n.losses = map[Loss]int64{}
	}
	n.losses[Loss{Table: table, Field: field, Reason: reason}] += count
}

func (n *notes) fill(r *Report) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r.Warnings, r.WarningCount = append([]Warning{}, n.warnings...), n.warned
	r.Losses = []Loss{}
	for l, count := range n.losses {
		l.Count = count
		r.Losses = append(r.Losses, l)
	}
	slices.SortFunc(r.Losses, func(a, b Loss) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Reason, b.Reason))
	})
}

// Progress is how far a run has come.
type Progress struct {
	Step  string // "read", "write", "check", "publish", or "done"
	Items int64
	Rows  int64
	Media int64 // files
	Total int64 // items that there will be; 0: not known
}
