package server

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"pixano/dataset"
	"pixano/schema"
)

// idList is the ids of the items of a query, in its order.
type idList struct {
	ids   []string
	json  []byte         // the list
	place map[string]int // of an id
}

func newIDList(ids []string) (*idList, error) {
	l := &idList{ids: append([]string{}, ids...), place: make(map[string]int, len(ids))}
	for i, id := range ids {
		l.place[id] = i
	}
	var err error
	l.json, err = marshal(l.ids)
	return l, err
}

// cost is about how many bytes a list takes.
func (l *idList) cost() int { return 2*len(l.json) + 64*len(l.ids) }

// page returns the ids from a place on.
func (l *idList) page(offset, limit int) []string {
	ids := l.ids[min(offset, len(l.ids)):]
	if limit > 0 {
		ids = ids[:min(limit, len(ids))]
	}
	return ids
}

// items returns the ids of all items of a query, whose limit and offset make no difference. Explorers ask for the same
// ones with each page, so they are kept as long as the tables that they depend on stay as they are.
func (s *Server) items(ctx context.Context, ds *dataset.Dataset, q dataset.Query) (*idList, error) {
	q.Limit, q.Offset, q.Columns = 0, 0, nil
	text, err := json.Marshal(q)
	if err != nil {
		return nil, badRequest("query: %v", err)
	}
	key := ds.Path() + "\x00" + string(text)
	tables := []string{schema.ItemTable}
	if len(q.Has) > 0 || strings.Contains(q.OrderBy, "#") {
		tables = ds.Schema().Tables()
	}
	for _, table := range tables {
		version, err := ds.Version(ctx, table)
		if err != nil {
			return nil, err
		}
		key += "\x00" + strconv.FormatUint(version, 10)
	}
	return s.lists.get(ctx, key, func() (*idList, error) {
		ids, err := ds.IDs(ctx, schema.ItemTable, q)
		if err != nil {
			return nil, err
		}
		return newIDList(ids)
	})
}
