package dataset

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"

	"pixano/internal/lance"
)

// Of rows that lie apart the engine reads each value by itself, and hands each read to another thread, which takes longer than
// the read. Through the kernel's rings the same rows come in a third to a half of the time. So rows are read that way,
// where the kernel and its rules allow it; all else, and all that is written, goes the common way.
type ring struct {
	off atomic.Bool // it does not work here

	mu     sync.Mutex
	db     *lance.Connection
	tables map[string]*ringTable
}

// ringTable is a table at one version.
type ringTable struct {
	mu      sync.Mutex
	t       *lance.Table
	version uint64
}

const (
	ringRows     = 16       // fewer are not worth it
	ringTables   = 131_072  // rows of a table; those of a smaller one are soon in memory
	ringMetadata = 12 << 20 // of what the engine keeps, by its own count
)

// query starts to read rows by their addresses, and returns the first batch of them too, as errors of the rings show there. It
// returns nil where they have to be read the common way.
func (r *ring) query(ctx context.Context, s *state, t *lance.Table, version uint64, q lance.Query) (*lance.Reader, arrow.RecordBatch) {
	if r.off.Load() {
		return nil, nil
	}
	name := t.Name()
	if count, err := t.Count(ctx, ""); err != nil || count <= ringTables && !s.cache.refuses(name) {
		return nil, nil
	}
	if _, ok := s.renewed.Load(name); ok {
		return nil, nil // the engine may have files open whose place others have taken
	}
	reader, err := r.start(ctx, s, name, version, q)
	if err == nil {
		var first arrow.RecordBatch
		if first, err = reader.Next(ctx); err == nil || errors.Is(err, io.EOF) {
			return reader, first
		}
		reader.Close()
	}
	if (lance.RingFailed(err) || errors.Is(err, ErrUnsupported)) && !r.off.Swap(true) {
		slog.Debug("rows are read without io_uring", "dataset", s.path, "error", err)
	}
	return nil, nil
}

func (r *ring) start(ctx context.Context, s *state, name string, version uint64, q lance.Query) (*lance.Reader, error) {
	t, err := r.table(ctx, s, name)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.t == nil {
		if t.t, err = r.db.OpenTable(ctx, name, &lance.OpenOptions{Version: version}); err != nil {
			return nil, err
		}
		t.version = version
	}
	if t.version != version {
		if err := t.t.Checkout(ctx, version); err != nil {
			return nil, err
		}
		t.version = version
	}
	return t.t.Query(ctx, q)
}

func (r *ring) table(ctx context.Context, s *state, name string) (*ringTable, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.db == nil {
		db, err := lance.ConnectRing(ctx, filepath.Join(s.path, "db"), &lance.ConnectOptions{MetadataCacheBytes: ringMetadata})
		if err != nil {
			return nil, err
		}
		r.db, r.tables = db, map[string]*ringTable{}
	}
	t := r.tables[name]
	if t == nil {
		t = &ringTable{}
		r.tables[name] = t
	}
	return t, nil
}

// close closes what is open. Reads that have begun go on.
func (r *ring) close() error {
	r.off.Store(true)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.db == nil {
		return nil
	}
	errs := []error{r.db.Close()}
	for _, t := range r.tables {
		t.mu.Lock()
		if t.t != nil {
			errs = append(errs, t.t.Close())
		}
		t.mu.Unlock()
	}
	return errors.Join(errs...)
}
