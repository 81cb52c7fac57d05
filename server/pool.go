package server

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"pixano/dataset"
)

// openTimeout bounds the opening of a dataset, which goes on when the request that began it ends.
const openTimeout = time.Minute

// pool keeps the datasets open that are in use. Each is opened by the first request for it, while requests for others
// go on, and closed when it was not used for a while, or when its files vanish or are replaced.
type pool struct {
	library *dataset.Library
	options dataset.Options
	idle    time.Duration
	closed  func(*dataset.Dataset) // is told of each dataset before it is closed; may be nil

	mu   sync.Mutex
	open map[string]*opened // by the key that was asked for
	done chan struct{}
}

type opened struct {
	path  string
	stamp stamp
	ready chan struct{} // closed when what follows is set
	ds    *dataset.Dataset
	err   error

	users int // guarded by the pool's mutex, as what follows
	last  time.Time
	stale bool
}

// stamp tells whether the files that describe a dataset are those that it was opened with.
type stamp [3]os.FileInfo

func stampOf(path string) stamp {
	var s stamp
	for i, name := range []string{"info.json", "schema.json", "features_values.json"} {
		s[i], _ = os.Stat(filepath.Join(path, name))
	}
	return s
}

func (s stamp) equal(o stamp) bool {
	for i := range s {
		switch a, b := s[i], o[i]; {
		case a == nil || b == nil:
			if a != b {
				return false
			}
		case !os.SameFile(a, b) || a.Size() != b.Size() || !a.ModTime().Equal(b.ModTime()):
			return false
		}
	}
	return true
}

func newPool(library *dataset.Library, options dataset.Options, idle time.Duration) *pool {
	p := &pool{library: library, options: options, idle: idle, open: map[string]*opened{}, done: make(chan struct{})}
	go p.tidy()
	return p
}

// cutLast is [strings.Cut] at the last separator.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// get returns the dataset that a key names, see [dataset.Library], open until release is called. KEY@NAME is the dataset
// as it was at a snapshot.
func (p *pool) get(ctx context.Context, key string) (ds *dataset.Dataset, release func(), err error) {
	for {
		o, err := p.entry(ctx, key)
		if err != nil {
			return nil, nil, err
		}
		select {
		case <-o.ready:
		case <-ctx.Done():
			p.release(o)
			return nil, nil, ctx.Err()
		}
		if o.err != nil {
			p.release(o)
			return nil, nil, o.err
		}
		if stampOf(o.path).equal(o.stamp) {
			return o.ds, sync.OnceFunc(func() { p.release(o) }), nil
		}
		p.forget(key, o)
		p.release(o)
	}
}

// entry returns the entry of a key with one user more. A new one is opened in the background.
func (p *pool) entry(ctx context.Context, key string) (*opened, error) {
	p.mu.Lock()
	o := p.open[key]
	if o != nil {
		o.users++
		p.mu.Unlock()
		return o, nil
	}
	p.mu.Unlock()

	options := p.options
	path, err := p.library.Locate(ctx, key)
	if id, snapshot, ok := cutLast(key, "@"); ok && errors.Is(err, dataset.ErrNotFound) {
		if path, err = p.library.Locate(ctx, id); err == nil {
			options.Snapshot = snapshot
		}
	}
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == nil {
		return nil, dataset.ErrClosed
	}
	if o = p.open[key]; o == nil {
		o = &opened{path: path, ready: make(chan struct{})}
		p.open[key] = o
		go p.fill(key, o, options)
	}
	o.users++
	return o, nil
}

func (p *pool) fill(key string, o *opened, options dataset.Options) {
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	o.stamp = stampOf(o.path)
	o.ds, o.err = dataset.OpenTables(ctx, o.path, &options)
	if o.err != nil {
		p.forget(key, o) // the next request tries again
	}
	close(o.ready)
}

// forget takes an entry out of the pool; it is closed when its last user has left.
func (p *pool) forget(key string, o *opened) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o.stale = true
	if p.open[key] == o {
		delete(p.open, key)
	}
}

func (p *pool) release(o *opened) {
	p.mu.Lock()
	o.users--
	o.last = time.Now()
	last := o.stale && o.users == 0
	p.mu.Unlock()
	if last {
		p.shut(o)
	}
}

func (p *pool) shut(o *opened) error {
	<-o.ready
	if o.ds == nil {
		return nil
	}
	if p.closed != nil {
		p.closed(o.ds)
	}
	return o.ds.Close()
}

// tidy closes datasets that were not used for a while.
func (p *pool) tidy() {
	tick := time.NewTicker(max(p.idle/4, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-p.done:
			return
		case <-tick.C:
		}
		var unused []*opened
		p.mu.Lock()
		for key, o := range p.open {
			if o.users == 0 && time.Since(o.last) > p.idle {
				delete(p.open, key)
				unused = append(unused, o)
			}
		}
		p.mu.Unlock()
		for _, o := range unused {
			p.shut(o)
		}
	}
}

// count returns how many datasets are open.
func (p *pool) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open)
}

// close closes all datasets. Requests that go on get errors.
func (p *pool) close() error {
	p.mu.Lock()
	open := p.open
	p.open = nil
	p.mu.Unlock()
	if open == nil {
		return nil
	}
	close(p.done)
	var errs []error
	for _, o := range open {
		errs = append(errs, p.shut(o))
	}
	return errors.Join(errs...)
}
