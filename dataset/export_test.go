package dataset

import (
	"context"
	"time"
)

// SetClock sets the clock of a dataset.
func SetClock(d *Dataset, now func() time.Time) { d.now = now }

// SetFault sets what is called after each step of the write protocol, for all datasets of the process.
func SetFault(f func(step string)) { fault = f }

// Lock takes the lock of a dataset, so that nobody changes it, and completes nothing.
func Lock(ctx context.Context, d *Dataset) (unlock func(), err error) { return d.lockFile(ctx) }

// SetRollBytes sets the size from which on Optimize ends a segment of the log to fold it.
func SetRollBytes(n int64) { rollBytes = n }
