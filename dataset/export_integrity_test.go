package dataset

import (
	"context"
	"iter"
	"testing"
)

// CheckHashed is Check with another hash of ids.
func CheckHashed(ctx context.Context, d *Dataset, table string, hash func(id string) uint64) iter.Seq2[Violation, error] {
	return d.check(ctx, []string{table}, hash)
}

// SuspectIDs is how many ids with equal hashes are compared in one read.
const SuspectIDs = suspectIDs

// Store appends rows to a table as another program might: past all checks. rows is a slice of structs.
func Store(t testing.TB, d *Dataset, table string, rows any) {
	t.Helper()
	store(t, d, table, rows)
}
