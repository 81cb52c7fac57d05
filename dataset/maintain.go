package dataset

import (
	"context"
	"time"

	"pixano/internal/lance"
)

// Upkeep says what maintenance did.
type Upkeep struct {
	Tables []TableUpkeep `json:"tables"` // those where there was something to do
}

// TableUpkeep says what maintenance did to a table.
type TableUpkeep struct {
	Table            string `json:"table"`
	FragmentsRemoved int    `json:"fragments_removed"` // small parts of the table that were joined, or whose deleted rows were dropped
	FragmentsAdded   int    `json:"fragments_added"`   // what was made of them
	VersionsRemoved  int    `json:"versions_removed"`
	BytesRemoved     int64  `json:"bytes_removed"`
	IndexesRefreshed bool   `json:"indexes_refreshed,omitempty"`
}

// Optimize joins small files, drops deleted rows and removes old versions of all tables: those older than ten minutes
// that are not among the newest twenty. It may run beside reads and writes.
func (d *Dataset) Optimize(ctx context.Context) (*Upkeep, error) {
	if d.readOnly {
		return nil, at("optimize", "", ErrReadOnly)
	}
	did := &Upkeep{}
	for _, table := range d.Tables() {
		err := d.locked(ctx, func() error {
			t, err := d.writeTable(ctx, table.Name)
			if err != nil {
				return err
			}
			if _, err := t.CheckoutLatest(ctx); err != nil {
				return err
			}
			res, err := t.Optimize(ctx, lance.OptimizeOptions{
				Compact: &lance.Compact{}, Prune: &lance.Prune{OlderThan: new(10 * time.Minute), KeepVersions: new(20)},
			}, &lance.WriteOptions{Properties: d.property(d.write.log.last, stepDelete)})
			did.Tables = append(did.Tables, TableUpkeep{table.Name, res.FragmentsRemoved, res.FragmentsAdded, res.OldVersions, res.BytesRemoved, res.IndexUpdated})
			return err
		})
		if err != nil {
			return did, at("optimize", table.Name, err)
		}
	}
	return did, nil
}
