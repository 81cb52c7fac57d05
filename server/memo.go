package server

import (
	"container/list"
	"context"
	"errors"
	"sync"
)

// memo keeps values that take long to make: each is made once for all who wait for it, and those that were asked for last
// are kept.
type memo[V any] struct {
	limit int         // of the costs of what is kept
	cost  func(V) int // bytes

	mu     sync.Mutex
	kept   map[string]*list.Element // of *keptValue[V]
	recent *list.List               // most recent first
	used   int
	making map[string]*making[V]
}

type keptValue[V any] struct {
	key   string
	value V
	cost  int
}

// making is a value that is being made.
type making[V any] struct {
	done  chan struct{}
	value V
	err   error
}

func newMemo[V any](limit int, cost func(V) int) *memo[V] {
	return &memo[V]{limit: limit, cost: cost, kept: map[string]*list.Element{}, recent: list.New(), making: map[string]*making[V]{}}
}

// get returns the value of a key, which produce makes if it is not kept. Errors are not kept. When the one who makes a
// value leaves, another one who waits for it makes it.
func (m *memo[V]) get(ctx context.Context, key string, produce func() (V, error)) (V, error) {
	for {
		m.mu.Lock()
		if e, ok := m.kept[key]; ok {
			m.recent.MoveToFront(e)
			m.mu.Unlock()
			return e.Value.(*keptValue[V]).value, nil
		}
		other := m.making[key]
		if other == nil {
			own := &making[V]{done: make(chan struct{}), err: errors.New("the value was not made")}
			m.making[key] = own
			m.mu.Unlock()
			return m.make(key, own, produce)
		}
		m.mu.Unlock()
		select {
		case <-other.done:
		case <-ctx.Done():
			var none V
			return none, ctx.Err()
		}
		if !errors.Is(other.err, context.Canceled) && !errors.Is(other.err, context.DeadlineExceeded) {
			return other.value, other.err
		}
	}
}

func (m *memo[V]) make(key string, own *making[V], produce func() (V, error)) (V, error) {
	defer func() { // also after a panic
		m.mu.Lock()
		delete(m.making, key)
		if own.err == nil {
			m.keep(key, own.value)
		}
		m.mu.Unlock()
		close(own.done)
	}()
	own.value, own.err = produce()
	return own.value, own.err
}

// size returns the costs of what is kept.
func (m *memo[V]) size() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used
}

func (m *memo[V]) keep(key string, value V) {
	cost := m.cost(value) + len(key)
	if cost > m.limit/4 {
		return
	}
	m.kept[key] = m.recent.PushFront(&keptValue[V]{key, value, cost})
	m.used += cost
	for m.used > m.limit {
		old := m.recent.Remove(m.recent.Back()).(*keptValue[V])
		delete(m.kept, old.key)
		m.used -= old.cost
	}
}
