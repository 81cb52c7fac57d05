package exchange

import (
	"context"
	"iter"

	"pixano/dataset"
	"pixano/features"
	"pixano/schema"
)

// Format is a dataset format of other tools, or of Pixano itself.
type Format struct {
	Name        string // "coco": what commands and routes call it
	Title       string // "COCO"
	Description string // one sentence: what it holds
	Source      string // what an import reads: "a JSON file, or a directory of them"; "" where there is no import

	// Open opens a source for an import. Nil: the format cannot be imported.
	Open func(ctx context.Context, in *Input) (Reader, error)

	// NewWriter begins an export. Nil: the format cannot be exported.
	NewWriter func(ctx context.Context, out *Output) (Writer, error)

	// Options are the keys of ImportOptions.Params and ExportOptions.Params that the format knows.
	Options []Option
}

// Option is a setting of one format.
type Option struct {
	Name        string // "categories"
	Description string
	Import      bool // it is one of imports
	Export      bool // it is one of exports
}

// TemplateReader is a [Reader] whose source says what its key points are.
type TemplateReader interface {
	Reader

	// Templates returns the templates that the rows name, but for built-in ones. It is called after Rows.
	Templates() []features.KeyPointTemplate
}

// Reader is a source that is open for an import.
type Reader interface {
	// Schema returns the tables that the rows of the source are for.
	Schema() *schema.DatasetSchema

	// Info returns what the source says of the dataset. Empty fields are filled in.
	Info() dataset.Info

	// Rows yields the rows, in the same order and with the same ids each time. The first error is the last pair.
	Rows(ctx context.Context) iter.Seq2[dataset.Batch, error]

	// Close closes the source.
	Close() error
}

// Writer writes a dataset in a format.
type Writer interface {
	// Holds reports whether a column of a table is written: in full, or in a form from which an import of the same format
	// makes an equal value. Values other than the column's default that it does not hold are losses.
	Holds(table, column string) bool

	// Write writes an item with its rows. Items come split by split.
	Write(ctx context.Context, item *dataset.Item) error

	// Close finishes the files. It is called once, also after an error.
	Close() error
}
