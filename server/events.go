package server

import (
	"context"
	"sync"
	"time"

	"pixano/dataset"
)

// events tells those who listen to a dataset what changed in it through this server, and who else looks at it.
type events struct {
	mu        sync.Mutex
	listeners map[string]map[*listener]bool       // by the dataset's directory
	present   map[string]map[string]PresenceEntry // by the dataset's directory and client
	watches   map[string]context.CancelFunc       // by the dataset's directory
	closed    chan struct{}

	toldNumbers map[string]map[uint64]bool // by the dataset's directory: entries of the history that need not be told again
	once        sync.Once
	watching    sync.WaitGroup
}

// listener receives events. One that is too slow is told to read everything again.
type listener struct {
	queue chan any
	lost  bool
}

const (
	eventQueue  = 256
	presenceAge = 45 * time.Second // after which a client that said nothing is gone
)

// ChangeEvent says that rows changed.
type ChangeEvent struct {
	Change string              `json:"change" doc:"id in the history; empty if what changed is not known row by row"`
	Author string              `json:"author"`
	Tables map[string][]string `json:"tables" doc:"ids of the rows by table; empty: read everything again"`
}

// PresenceEntry is a client that looks at a dataset.
type PresenceEntry struct {
	Client string    `json:"client" doc:"an id that the client chose"`
	Author string    `json:"author" doc:"a name to show"`
	Item   string    `json:"item" doc:"id of the item looked at; empty: none"`
	Seen   time.Time `json:"seen"`
}

// PresenceEvent lists the clients that look at the dataset.
type PresenceEvent struct {
	Clients []PresenceEntry `json:"clients"`
}

// PingEvent says that the connection is alive.
type PingEvent struct {
	Time time.Time `json:"time"`
}

func newEvents() *events {
	return &events{listeners: map[string]map[*listener]bool{}, present: map[string]map[string]PresenceEntry{},
		watches: map[string]context.CancelFunc{}, closed: make(chan struct{}), toldNumbers: map[string]map[uint64]bool{}}
}

func (e *events) close() { e.once.Do(func() { close(e.closed) }) }

// end ends all watches. Streams have ended.
func (e *events) end() {
	e.close()
	e.mu.Lock()
	for _, cancel := range e.watches {
		cancel()
	}
	e.mu.Unlock()
	e.watching.Wait()
}

// listen begins to receive the events of a dataset. As long as anyone does, watch runs.
func (e *events) listen(path string, watch func(ctx context.Context)) (l *listener, stop func()) {
	l = &listener{queue: make(chan any, eventQueue)}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.listeners[path] == nil {
		e.listeners[path] = map[*listener]bool{}
	}
	e.listeners[path][l] = true
	if e.watches[path] == nil {
		ctx, cancel := context.WithCancel(context.Background())
		e.watches[path] = cancel
		e.watching.Go(func() { watch(ctx) })
	}
	return l, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.listeners[path], l)
		if len(e.listeners[path]) == 0 {
			delete(e.listeners, path)
			delete(e.toldNumbers, path)
			e.watches[path]()
			delete(e.watches, path)
		}
	}
}

// count returns how many listen.
func (e *events) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for _, listeners := range e.listeners {
		n += len(listeners)
	}
	return n
}

// send gives an event to all who listen to a dataset. It never waits.
func (e *events) send(path string, event any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sendLocked(path, event)
}

func (e *events) sendLocked(path string, event any) {
	for l := range e.listeners[path] {
		if l.lost {
			event = ChangeEvent{Tables: map[string][]string{}}
		}
		select {
		case l.queue <- event:
			l.lost = false
		default:
			l.lost = true
		}
	}
}

// changed tells what a change set did.
func (e *events) changed(ds *dataset.Dataset, author string, res *dataset.Result) {
	if res.Replayed || len(res.Rows) == 0 {
		return
	}
	event := ChangeEvent{Change: dataset.ChangeID{Number: res.Number, Set: res.Set}.String(), Author: author, Tables: map[string][]string{}}
	for _, row := range res.Rows {
		if row.Outcome != dataset.Missing {
			event.Tables[row.Table] = append(event.Tables[row.Table], row.ID)
		}
	}
	e.told(ds.Path(), res.Number)
	e.send(ds.Path(), event)
}

// reread tells that much changed.
func (e *events) reread(ds *dataset.Dataset) {
	e.send(ds.Path(), ChangeEvent{Tables: map[string][]string{}})
}

// presence notes that a client is there, or with gone that it left, and tells the others.
func (e *events) presence(path string, entry PresenceEntry, gone bool) PresenceEvent {
	e.mu.Lock()
	defer e.mu.Unlock()
	clients := e.present[path]
	if clients == nil {
		clients = map[string]PresenceEntry{}
		e.present[path] = clients
	}
	if gone {
		delete(clients, entry.Client)
	} else {
		clients[entry.Client] = entry
	}
	event := PresenceEvent{Clients: []PresenceEntry{}}
	for client, c := range clients {
		if time.Since(c.Seen) > presenceAge {
			delete(clients, client)
			continue
		}
		event.Clients = append(event.Clients, c)
	}
	if len(clients) == 0 {
		delete(e.present, path)
	}
	e.sendLocked(path, event)
	return event
}
