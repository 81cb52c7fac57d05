package server

import (
	"context"
	"time"

	"pixano/dataset"
)

const (
	watchEvery = time.Second
	watchTells = 64 // change sets that are told one by one; after more, clients read everything again
)

// watch tells those who listen to a dataset what other processes change in it, and the jobs of this one, until the context
// ends.
func (s *Server) watch(ctx context.Context, key string) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var mark *dataset.Mark
	for {
		ds, release, err := s.pool.get(ctx, key)
		switch {
		case err != nil:
			mark = nil // it may come back
		case mark == nil:
			if mark, err = ds.Mark(ctx); err != nil {
				mark = nil
			}
			release()
		default:
			events, all, err := ds.Since(ctx, mark, s.events.toldOf(ds.Path()))
			if err == nil {
				s.events.found(ds.Path(), events, all)
			}
			release()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// found tells what a watch found.
func (e *events) found(path string, changes []dataset.Event, all bool) {
	again := !all || len(changes) > watchTells
	for _, c := range changes {
		again = again || c.Kind != dataset.EventChange
	}
	if again {
		e.send(path, ChangeEvent{Tables: map[string][]string{}})
		return
	}
	for _, c := range changes {
		event := ChangeEvent{Change: c.ID.String(), Author: c.Author, Tables: map[string][]string{}}
		for _, row := range c.Rows {
			if row.Outcome != dataset.Missing {
				event.Tables[row.Table] = append(event.Tables[row.Table], row.ID)
			}
		}
		if len(event.Tables) > 0 {
			e.send(path, event)
		}
	}
}

const keptTold = 10_000

// told notes an entry of the history whose changes were told as they were made.
func (e *events) told(path string, number uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.listeners[path]) == 0 {
		return
	}
	if e.toldNumbers[path] == nil || len(e.toldNumbers[path]) >= keptTold {
		e.toldNumbers[path] = map[uint64]bool{}
	}
	e.toldNumbers[path][number] = true
}

// toldOf reports whether an entry was told.
func (e *events) toldOf(path string) func(number uint64) bool {
	return func(number uint64) bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.toldNumbers[path][number]
	}
}
