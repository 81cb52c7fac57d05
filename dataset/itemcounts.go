package dataset

import (
	"context"
	"errors"

	"pixano/internal/lance"
	"pixano/schema"
)

// CountByItem returns how many rows of a table belong to each item: to those of the ids, or with none given, to each that
// has any. Items without rows are left out. In the table of items, each has one.
func (d *Dataset) CountByItem(ctx context.Context, table string, ids ...string) (map[string]int, error) {
	const op = "count by item"
	if table == schema.SourceTable {
		return nil, at(op, table, queryError(errors.New("sources belong to no item")))
	}
	column := d.itemColumn(table)
	if len(ids) > 0 {
		found, err := d.texts(ctx, op, table, Query{ItemIDs: ids}, column)
		if err != nil {
			return nil, err
		}
		counts := make(map[string]int, len(ids))
		for _, id := range found {
			counts[id]++
		}
		return counts, nil
	}
	var reader *lance.Reader
	err := d.read(ctx, op, func(v *view) error {
		t, err := v.table(ctx, table)
		if err != nil {
			return err
		}
		if reader, err = t.Query(ctx, lance.Query{Columns: []string{column}}); err != nil {
			return at(op, table, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	counts, err := countTexts(ctx, reader)
	return counts, wrap(op, table, err)
}
