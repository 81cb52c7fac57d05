package dataset

import (
	"context"
	"iter"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"

	"pixano/internal/lance"
)

// partRows is how many rows of a whole table are read together. The engine reads ahead, all columns of a file or more: for
// a million rows half of the memory of an import.
const partRows = 1 << 16

// inParts yields the batches of a query of all rows of a table, which has so many, in storage order. open starts the query of
// a part; all have to see the same version.
func inParts(ctx context.Context, q lance.Query, rows int64, open func(q lance.Query) (*lance.Reader, error)) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		if rows > partRows {
			q.Limit = partRows
		}
		for {
			reader, err := open(q)
			if err != nil {
				yield(nil, err)
				return
			}
			for batch, err := range reader.All(ctx) {
				if !yield(batch, err) || err != nil {
					reader.Close()
					return
				}
			}
			reader.Close()
			if q.Offset += partRows; int64(q.Offset) >= rows {
				return
			}
		}
	}
}

// fromFragment yields the batches of a query of the rows of a table, which has so many, from a fragment on.
func fromFragment(ctx context.Context, t *lance.Table, q lance.Query, fragment uint64, rows int64) iter.Seq2[arrow.RecordBatch, error] {
	if fragment > 0 { // mostly few rows
		q.Where = "_rowid >= " + strconv.FormatUint(fragment<<32, 10)
		return t.Batches(ctx, q)
	}
	return inParts(ctx, q, rows, func(q lance.Query) (*lance.Reader, error) { return t.Query(ctx, q) })
}
