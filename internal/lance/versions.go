package lance

import (
	"context"
	"time"
)

// Version is one commit of a table.
type Version struct {
	Version   uint64
	Timestamp time.Time         // in UTC, to the millisecond
	Metadata  map[string]string // what the engine noted about it
}

// Versions lists the versions there are, oldest first.
func (t *Table) Versions(ctx context.Context) ([]Version, error) {
	var answer struct {
		Versions []struct {
			Version     uint64            `json:"version"`
			TimestampMS int64             `json:"timestamp_ms"`
			Metadata    map[string]string `json:"metadata"`
		} `json:"versions"`
	}
	if err := t.h.json(ctx, fnVersions, t.args("versions of", opRequest{Op: "list"}), &answer); err != nil {
		return nil, err
	}
	versions := make([]Version, len(answer.Versions))
	for i, v := range answer.Versions {
		versions[i] = Version{v.Version, fromMillis(v.TimestampMS), v.Metadata}
	}
	return versions, nil
}

type versionRequest struct {
	Op      string  `json:"op"`
	Version *uint64 `json:"version,omitempty"`
	Tag     *string `json:"tag,omitempty"`
}

// Checkout makes the handle see one version. Until [Table.CheckoutLatest] it stays there and refuses writes.
func (t *Table) Checkout(ctx context.Context, version uint64) error {
	_, err := t.version(ctx, "table", fnVersions, versionRequest{Op: "checkout", Version: &version})
	return err
}

// CheckoutTag makes the handle see the version of a tag, as [Table.Checkout] does, and returns it.
func (t *Table) CheckoutTag(ctx context.Context, tag string) (uint64, error) {
	return t.version(ctx, "table", fnVersions, versionRequest{Op: "checkout", Tag: &tag})
}

// CheckoutLatest makes the handle see the newest version there is, and returns it.
func (t *Table) CheckoutLatest(ctx context.Context) (uint64, error) {
	return t.version(ctx, "table", fnVersions, opRequest{Op: "latest"})
}

// Restore makes the version that is checked out the newest one, by a commit that takes over its content, and
// returns that commit's version. The handle then sees the newest version again.
func (t *Table) Restore(ctx context.Context) (uint64, error) {
	return t.version(ctx, "table", fnVersions, opRequest{Op: "restore"})
}

// Tag is a name for a version, which pruning keeps.
type Tag struct {
	Version       uint64 `json:"version"`
	ManifestBytes int64  `json:"manifest_bytes"`
}

// Tags lists the tags by name.
func (t *Table) Tags(ctx context.Context) (map[string]Tag, error) {
	var answer struct {
		Tags map[string]Tag `json:"tags"`
	}
	err := t.h.json(ctx, fnVersions, t.args("tags of", opRequest{Op: "tags"}), &answer)
	return answer.Tags, err
}

// CreateTag names a version. A tag of this name is an error that matches [ErrExists].
func (t *Table) CreateTag(ctx context.Context, tag string, version uint64) error {
	_, err := t.version(ctx, "table", fnVersions, versionRequest{"tag_create", &version, &tag})
	return err
}

// UpdateTag moves a tag to another version. Without one of this name the error matches [ErrNotFound].
func (t *Table) UpdateTag(ctx context.Context, tag string, version uint64) error {
	_, err := t.version(ctx, "table", fnVersions, versionRequest{"tag_update", &version, &tag})
	return err
}

// DeleteTag removes a tag. Without one of this name the error matches [ErrNotFound].
func (t *Table) DeleteTag(ctx context.Context, tag string) error {
	_, err := t.version(ctx, "table", fnVersions, versionRequest{Op: "tag_delete", Tag: &tag})
	return err
}

// Transaction is what a commit noted about itself.
type Transaction struct {
	Version     uint64
	Missing     bool      // the version was pruned or noted nothing; what follows is empty
	Timestamp   time.Time // in UTC, to the millisecond
	UUID        string
	ReadVersion uint64            // the version that the commit was prepared on
	Operation   string            // "Append", "Delete", "Update" …
	Properties  map[string]string // those of [WriteOptions]
}

// Transactions returns the transactions of a version, 0 for the one seen, and of those before it, count in
// all, newest first.
func (t *Table) Transactions(ctx context.Context, version uint64, count int) ([]Transaction, error) {
	var answer struct {
		Transactions []struct {
			Version     uint64            `json:"version"`
			Missing     bool              `json:"missing"`
			TimestampMS int64             `json:"timestamp_ms"`
			UUID        string            `json:"uuid"`
			ReadVersion uint64            `json:"read_version"`
			Operation   string            `json:"operation"`
			Properties  map[string]string `json:"properties"`
		} `json:"transactions"`
	}
	request := struct {
		Version uint64 `json:"version"`
		Count   int    `json:"count"`
	}{version, max(count, 1)}
	if err := t.h.json(ctx, fnTransaction, t.args("transactions of", request), &answer); err != nil {
		return nil, err
	}
	transactions := make([]Transaction, len(answer.Transactions))
	for i, a := range answer.Transactions {
		transactions[i] = Transaction{
			Version: a.Version, Missing: a.Missing, UUID: a.UUID, ReadVersion: a.ReadVersion,
			Operation: a.Operation, Properties: a.Properties,
		}
		if a.TimestampMS != 0 {
			transactions[i].Timestamp = fromMillis(a.TimestampMS)
		}
	}
	return transactions, nil
}

// Sync makes a version, 0 for the one seen, safe from a power cut, and returns how many files it wrote out.
// The engine itself syncs nothing on local disks; on object stores there is nothing to do.
func (t *Table) Sync(ctx context.Context, version uint64) (int, error) {
	var answer struct {
		Files int `json:"files"`
	}
	request := struct {
		Version uint64 `json:"version"`
	}{version}
	err := t.h.json(ctx, fnSync, t.args("sync", request), &answer)
	return answer.Files, err
}

// OptimizeOptions say what upkeep to do: compaction, then indexes, then pruning. Nil parts are left out.
type OptimizeOptions struct {
	Compact *Compact
	Index   *Reindex
	Prune   *Prune
}

// Compact joins small fragments and drops deleted rows. 0 leaves a number to the engine.
type Compact struct {
	TargetRowsPerFragment int64
	MaxRowsPerGroup       int64
	KeepDeletions         bool    // leave fragments alone that only have deleted rows
	DeletionsThreshold    float32 // share of deleted rows that is worth a rewrite; 0: 0.1
	Threads               int
}

// Reindex brings indexes up to the rows added since.
type Reindex struct {
	Names   []string // nil: all
	Merge   *int     // how many of an index's parts to join with the new one; nil: 1
	Retrain bool     // make them anew
}

// Prune removes versions that are both older and beyond the number kept; tagged ones stay. At least one of
// the two must be given.
type Prune struct {
	OlderThan    *time.Duration // nil: whatever their age
	KeepVersions *int           // nil: whatever their number

	// DeleteUnverified also removes files that belong to no version although they are young. They may be
	// those of a write that is running.
	DeleteUnverified bool

	ErrorIfTagged bool // fail when a tagged version would have gone
}

// OptimizeResult says what an upkeep did.
type OptimizeResult struct {
	Version          uint64 `json:"version"`
	FragmentsRemoved int    `json:"fragments_removed"`
	FragmentsAdded   int    `json:"fragments_added"`
	FilesRemoved     int    `json:"files_removed"`
	FilesAdded       int    `json:"files_added"`
	BytesRemoved     int64  `json:"bytes_removed"`
	OldVersions      int    `json:"old_versions"` // removed
	IndexUpdated     bool   `json:"index_updated"`
}

// Optimize compacts, refreshes indexes and prunes, whichever are asked for. Of the options only Properties
// apply, to each commit.
func (t *Table) Optimize(ctx context.Context, o OptimizeOptions, opts *WriteOptions) (OptimizeResult, error) {
	type compact struct {
		TargetRowsPerFragment int64    `json:"target_rows_per_fragment"`
		MaxRowsPerGroup       int64    `json:"max_rows_per_group"`
		MaterializeDeletions  bool     `json:"materialize_deletions"`
		Threshold             *float32 `json:"materialize_deletions_threshold,omitempty"`
		Threads               int      `json:"threads"`
	}
	type prune struct {
		OlderThanMS      *int64 `json:"older_than_ms"`
		KeepVersions     *int   `json:"keep_versions"`
		DeleteUnverified bool   `json:"delete_unverified"`
		ErrorIfTagged    bool   `json:"error_if_tagged"`
	}
	type reindex struct {
		Names   []string `json:"names"`
		Merge   int      `json:"merge"`
		Retrain bool     `json:"retrain"`
	}
	request := struct {
		Compact *compact   `json:"compact"`
		Prune   *prune     `json:"prune"`
		Index   *reindex   `json:"index"`
		Opts    commitJSON `json:"opts"`
	}{Opts: opts.commit(0)}
	if c := o.Compact; c != nil {
		request.Compact = &compact{c.TargetRowsPerFragment, c.MaxRowsPerGroup, !c.KeepDeletions, optional(c.DeletionsThreshold), c.Threads}
	}
	if p := o.Prune; p != nil {
		request.Prune = &prune{nil, p.KeepVersions, p.DeleteUnverified, p.ErrorIfTagged}
		if p.OlderThan != nil {
			request.Prune.OlderThanMS = new(p.OlderThan.Milliseconds())
		}
	}
	if i := o.Index; i != nil {
		request.Index = &reindex{i.Names, 1, i.Retrain}
		if i.Merge != nil {
			request.Index.Merge = *i.Merge
		}
	}
	var result OptimizeResult
	err := t.h.json(ctx, fnOptimize, t.args("optimize", request), &result)
	return result, err
}
