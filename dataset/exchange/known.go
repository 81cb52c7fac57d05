package exchange

import (
	"context"
	"fmt"
	"hash/maphash"

	"pixano/dataset"
	"pixano/schema"
)

// Known is what a dataset that is added to has already: 64-bit hashes of the ids of its items and sources and of its views'
// urls.
type Known struct {
	seed               maphash.Seed
	ids, sources, urls map[uint64]struct{}
}

// HasItem reports whether the dataset has an item of an id.
func (k *Known) HasItem(id string) bool {
	_, ok := k.ids[maphash.String(k.seed, id)]
	return ok
}

// HasSource reports whether the dataset has a source of an id.
func (k *Known) HasSource(id string) bool {
	_, ok := k.sources[maphash.String(k.seed, id)]
	return ok
}

// Known reads what the dataset has that is added to. Otherwise it knows nothing.
func (in *Input) Known(ctx context.Context) (*Known, error) {
	k := &Known{seed: maphash.MakeSeed(), ids: map[uint64]struct{}{}, sources: map[uint64]struct{}{}, urls: map[uint64]struct{}{}}
	if in.opts.Mode != dataset.BuildAdd {
		return k, nil
	}
	ds, err := dataset.Open(ctx, in.opts.Dataset, &dataset.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer ds.Close()
	gather := func(table, column string, into map[uint64]struct{}) error {
		for row, err := range ds.Rows(ctx, table, dataset.Query{Columns: []string{column}}) {
			if err != nil {
				return err
			}
			text, _ := row.At(0).(string)
			into[maphash.String(k.seed, text)] = struct{}{}
		}
		return nil
	}
	if err := gather(schema.ItemTable, "id", k.ids); err != nil {
		return nil, err
	}
	if err := gather(schema.SourceTable, "id", k.sources); err != nil {
		return nil, err
	}
	s := ds.Schema()
	for _, table := range s.TablesOf(schema.GroupViews) {
		class, _ := s.Class(table)
		if _, _, ok := class.Field("url"); !ok {
			continue
		}
		if err := gather(table, "url", k.urls); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// Has reports whether the dataset has an item already: one whose media are all there. One of the same id and other media
// is an error, which matches [dataset.ErrExists].
func (k *Known) Has(id string, urls []string) (bool, error) {
	all := len(urls) > 0
	for _, url := range urls {
		if _, ok := k.urls[maphash.String(k.seed, url)]; !ok {
			all = false
		}
	}
	if all {
		return true, nil
	}
	if k.HasItem(id) {
		return false, fmt.Errorf("the dataset has another item %q: %w", id, dataset.ErrExists)
	}
	return false, nil
}
