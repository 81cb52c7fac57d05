package inference

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"pixano/search"
)

// Connector connects to the server at a URL. It contacts the server, and fails if there is none of its kind.
type Connector func(ctx context.Context, url string) (Provider, error)

// Registry holds the kinds of server that a program can connect to, and the providers that it is connected to. The zero
// value is empty and ready. It is safe for concurrent use.
type Registry struct {
	mu    sync.Mutex
	kinds map[string]Connector
	named []Provider // in the order in which they came; the first is the default

	ofModels map[embedderKey]search.Embedder // see Embedder
}

// Register adds a kind of server, such as "pixano-inference". A kind that is there is replaced.
func (r *Registry) Register(kind string, connect Connector) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kinds == nil {
		r.kinds = map[string]Connector{}
	}
	r.kinds[kind] = connect
}

// Kinds returns the names of the kinds, sorted.
func (r *Registry) Kinds() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.kinds))
}

// Connect connects to a server and adds it as a provider. A server whose provider is there already is asked again whether
// it answers, and the provider that is there stays; added is false then. An unknown kind is ErrProviderNotFound.
func (r *Registry) Connect(ctx context.Context, kind, url string) (p Provider, added bool, err error) {
	r.mu.Lock()
	connect, ok := r.kinds[kind]
	r.mu.Unlock()
	if !ok {
		return nil, false, Errorf(ErrProviderNotFound, "unknown provider %q: want one of %s", kind, strings.Join(r.Kinds(), ", "))
	}
	if p, err = connect(ctx, url); err != nil {
		return nil, false, err
	}
	if err := r.Add(p); err != nil {
		there, notThere := r.Get(p.Name())
		if err := p.Close(); err != nil {
			return nil, false, err
		}
		return there, false, notThere
	}
	return p, true, nil
}

// Add adds a provider, after the others. One whose name is there already is an error.
func (r *Registry) Add(p Provider) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.find(p.Name()) >= 0 {
		return fmt.Errorf("provider %q is connected already", p.Name())
	}
	r.named = append(r.named, p)
	return nil
}

func (r *Registry) find(name string) int {
	return slices.IndexFunc(r.named, func(p Provider) bool { return p.Name() == name })
}

// Get returns a provider by its name, or the default one for "". None is ErrProviderNotFound.
func (r *Registry) Get(name string) (Provider, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if name == "" && len(r.named) > 0 {
		return r.named[0], nil
	}
	if i := r.find(name); i >= 0 {
		return r.named[i], nil
	}
	if len(r.named) == 0 {
		return nil, Errorf(ErrProviderNotFound, "no inference provider connected")
	}
	var names []string
	for _, p := range r.named {
		names = append(names, p.Name())
	}
	return nil, Errorf(ErrProviderNotFound, "inference provider %q is not connected: want one of %s", name, strings.Join(names, ", "))
}

// Default returns the name of the default provider: the one that has been connected for longest. "" if there is none.
func (r *Registry) Default() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.named) == 0 {
		return ""
	}
	return r.named[0].Name()
}

// Providers returns the providers in the order in which they were added.
func (r *Registry) Providers() []Provider {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.named)
}

// Remove takes a provider out and closes it. None of that name is ErrProviderNotFound.
func (r *Registry) Remove(name string) error {
	r.mu.Lock()
	i := r.find(name)
	if i < 0 {
		r.mu.Unlock()
		return Errorf(ErrProviderNotFound, "provider %q is not connected", name)
	}
	p := r.named[i]
	r.named = slices.Delete(r.named, i, i+1)
	maps.DeleteFunc(r.ofModels, func(k embedderKey, _ search.Embedder) bool { return k.provider == p })
	r.mu.Unlock()
	return p.Close()
}

// Find returns a provider that has a model for a task: the one named or, for "", the first in order. Providers that cannot
// be asked are passed over, and their errors are part of the error if no other one has the model.
func (r *Registry) Find(ctx context.Context, provider, model string, task Task) (Provider, error) {
	providers := r.Providers()
	if provider != "" || len(providers) == 0 {
		p, err := r.Get(provider)
		if err != nil {
			return nil, err
		}
		providers = []Provider{p}
	}
	var known []string
	var errs []error
	for _, p := range providers {
		models, err := p.Models(ctx)
		if err != nil {
			errs = append(errs, Located(err, p.Name(), "list models", ""))
			continue
		}
		for _, m := range models {
			if m.Task != task {
				continue
			}
			if m.Name == model {
				return p, nil
			}
			known = append(known, m.Name)
		}
	}
	list := "none is there"
	if len(known) > 0 {
		list = "want one of " + strings.Join(known, ", ")
	}
	return nil, errors.Join(append([]error{Errorf(ErrModelNotFound, "no model %q for %s: %s", model, task, list)}, errs...)...)
}

// Close removes and closes all providers.
func (r *Registry) Close() error {
	r.mu.Lock()
	named := r.named
	r.named, r.ofModels = nil, nil
	r.mu.Unlock()
	var errs []error
	for _, p := range named {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}
