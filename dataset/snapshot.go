package dataset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pixano/features"
	"pixano/internal/lance"
)

// A snapshot is a folder of .pixano/snapshots, named after it: a file that says the version of each table, and copies of
// the JSON files. Tags of the tables keep the versions from being pruned. The folder appears as a whole after the tags,
// and is renamed away before they are removed, so what a crash leaves is tags without a snapshot, which maintenance
// removes.
const (
	snapshotsFolder = ".pixano/snapshots"
	snapshotFile    = "snapshot.json"
	snapshotTag     = "pixano-" // begins the name of its tags
)

// Snapshot is a state of a dataset that was given a name.
type Snapshot struct {
	Name    string                   `json:"name"`
	Time    time.Time                `json:"time"` // in UTC
	Author  string                   `json:"author,omitempty"`
	Message string                   `json:"message,omitempty"`
	Number  uint64                   `json:"number"` // the last entry of the change log that it holds
	Tables  map[string]SnapshotTable `json:"tables"`
}

// SnapshotTable is a table of a snapshot.
type SnapshotTable struct {
	Version uint64 `json:"version"`
	Rows    int64  `json:"rows"`
}

// SnapshotCost says what a snapshot costs users of older Python programs, for those who take one.
const SnapshotCost = "the versions are tagged: while a snapshot exists, cleanup_old_versions and optimize of Python lancedb 0.17 " +
	"(Pixano 0.6) fail on its tables; reading and writing go on"

// SnapshotOptions are the options of [Dataset.Snapshot].
type SnapshotOptions struct {
	Author  string
	Message string // what it is for
}

// Snapshot gives the present state of the dataset a name: all tables between two change sets, and the JSON files.
//
// It costs nothing but the space of rows and versions that would otherwise be removed one day. The tables get a tag
// each, see [SnapshotCost] for what that means to Python. Media are not part of it.
//
// Names have 1 to 64 letters, digits, ".", "-" and "_", and begin with a letter or digit; "now" is no name. Another
// name is ErrSchema, one that is taken ErrExists.
func (d *Dataset) Snapshot(ctx context.Context, name string, opts SnapshotOptions) (*Snapshot, error) {
	op := "snapshot " + name
	if err := checkSnapshotName(name); err != nil {
		return nil, at(op, "", err)
	}
	if d.readOnly {
		return nil, at(op, "", ErrReadOnly)
	}
	var taken *Snapshot
	err := d.exclusively(ctx, op, "", func(*meta) error {
		if exists(d.path, filepath.FromSlash(snapshotsFolder), name) {
			return &kindError{ErrExists, "there is a snapshot of this name", nil}
		}
		err := d.prepareLocked(ctx)
		if err == nil {
			taken, err = d.takeSnapshot(ctx, name, opts)
		}
		return err
	})
	return taken, err
}

func checkSnapshotName(name string) error {
	ok := len(name) <= 64 && name != "now" && !strings.Contains(name, "..") && !strings.HasSuffix(name, ".") && !strings.HasSuffix(name, ".lock")
	for i, c := range name {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		ok = ok && (letter || i > 0 && strings.ContainsRune("._-", c))
	}
	if !ok || name == "" {
		return schemaError("%q is no name of a snapshot: want 1 to 64 letters, digits, \".\", \"-\" and \"_\", the first a letter or digit", name)
	}
	return nil
}

// takeSnapshot takes a snapshot with the dataset's lock held and all of the log applied.
func (s *state) takeSnapshot(ctx context.Context, name string, opts SnapshotOptions) (*Snapshot, error) {
	if err := s.noteOutside(ctx); err != nil {
		return nil, err
	}
	snap := &Snapshot{Name: name, Time: time.Now().UTC(), Author: opts.Author, Message: opts.Message, Number: s.write.log.last,
		Tables: map[string]SnapshotTable{}}
	for _, info := range s.meta.Load().tables {
		t, err := s.writeTable(ctx, info.Name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // declared, and never made
		}
		if err != nil {
			return nil, err
		}
		version, err := t.CheckoutLatest(ctx)
		var rows int64
		if err == nil {
			rows, err = t.Count(ctx, "")
		}
		if err == nil {
			_, err = t.Sync(ctx, version)
		}
		if err == nil {
			err = setTag(ctx, t, snapshotTag+name, version)
		}
		if err == nil {
			err = syncTree(filepath.Join(s.path, "db", info.Name+".lance", "_refs"))
		}
		if err != nil {
			return nil, at("tag", info.Name, err)
		}
		snap.Tables[info.Name] = SnapshotTable{version, rows}
		fault("tagged " + info.Name)
	}
	root := filepath.Join(s.path, filepath.FromSlash(snapshotsFolder))
	stage := filepath.Join(root, "."+features.NewShortUUID())
	if err := os.MkdirAll(stage, 0o755); err != nil {
		return nil, &Error{Field: snapshotsFolder, Err: fileError(err)}
	}
	if err := s.writeSnapshot(stage, snap); err != nil {
		return nil, &Error{Field: snapshotsFolder, Err: errors.Join(fileError(err), os.RemoveAll(stage))}
	}
	fault("snapshot written")
	if err := os.Rename(stage, filepath.Join(root, name)); err != nil {
		return nil, &Error{Field: snapshotsFolder, Err: fileError(err)}
	}
	return snap, errors.Join(syncDir(root), syncDir(filepath.Dir(root)))
}

// setTag gives a version a tag, which may be left from a snapshot that was not completed.
func setTag(ctx context.Context, t *lance.Table, tag string, version uint64) error {
	err := t.CreateTag(ctx, tag, version)
	if errors.Is(err, ErrExists) {
		err = t.UpdateTag(ctx, tag, version)
	}
	return err
}

// writeSnapshot writes the files of a snapshot into a folder.
func (s *state) writeSnapshot(dir string, snap *Snapshot) error {
	for _, name := range []string{"info.json", "schema.json", constraintsFile, statsFile, templatesFile} {
		content, err := os.ReadFile(filepath.Join(s.path, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = writeFile(filepath.Join(dir, name), content)
		}
		if err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(snap, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, snapshotFile), append(text, '\n'))
}

// Snapshots lists the snapshots, oldest first.
func (d *Dataset) Snapshots() ([]Snapshot, error) {
	snapshots, err := readSnapshots(d.path)
	return snapshots, wrap("snapshots", "", err)
}

func readSnapshots(dataset string) ([]Snapshot, error) {
	folders, err := os.ReadDir(filepath.Join(dataset, filepath.FromSlash(snapshotsFolder)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, &Error{Field: snapshotsFolder, Err: fileError(err)}
	}
	var snapshots []Snapshot
	for _, folder := range folders {
		if checkSnapshotName(folder.Name()) != nil {
			continue
		}
		snap, err := readSnapshot(dataset, folder.Name())
		if errors.Is(err, ErrNotFound) {
			continue // deleted just now
		}
		if err != nil {
			return nil, err
		}
		snapshots = append(snapshots, *snap)
	}
	slices.SortFunc(snapshots, func(a, b Snapshot) int { return a.Time.Compare(b.Time) })
	return snapshots, nil
}

func snapshotDir(dataset, name string) string {
	return filepath.Join(dataset, filepath.FromSlash(snapshotsFolder), name)
}

// readSnapshot reads what a snapshot says of itself. One that is not there is ErrNotFound.
func readSnapshot(dataset, name string) (*Snapshot, error) {
	if err := checkSnapshotName(name); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(snapshotDir(dataset, name), snapshotFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &kindError{ErrNotFound, fmt.Sprintf("no snapshot %q", name), fs.ErrNotExist}
	}
	snap := new(Snapshot)
	if err == nil {
		err = json.Unmarshal(text, snap)
	}
	if err != nil {
		return nil, &Error{Field: snapshotsFolder + "/" + name + "/" + snapshotFile, Err: fileError(err)}
	}
	return snap, nil
}

// DeleteSnapshot removes a snapshot; what only it held goes with the next maintenance. One that is not there is ErrNotFound.
func (d *Dataset) DeleteSnapshot(ctx context.Context, name string) error {
	op := "delete snapshot " + name
	return d.exclusively(ctx, op, "", func(*meta) error {
		if _, err := readSnapshot(d.path, name); err != nil {
			return err
		}
		from := snapshotDir(d.path, name)
		if err := os.Rename(from, filepath.Join(filepath.Dir(from), "."+features.NewShortUUID())); err != nil {
			return fileError(err)
		}
		if err := syncDir(filepath.Dir(from)); err != nil {
			return err
		}
		fault("snapshot renamed")
		return d.sweepSnapshots(ctx)
	})
}

// sweepSnapshots removes what snapshots left that were deleted or not completed. It is called with the dataset's lock held.
func (s *state) sweepSnapshots(ctx context.Context) error {
	root := filepath.Join(s.path, filepath.FromSlash(snapshotsFolder))
	folders, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fileError(err)
	}
	names := map[string]bool{}
	for _, folder := range folders {
		if strings.HasPrefix(folder.Name(), ".") {
			if err := os.RemoveAll(filepath.Join(root, folder.Name())); err != nil {
				return fileError(err)
			}
			continue
		}
		names[folder.Name()] = true
	}
	for _, info := range s.meta.Load().tables {
		// Most tables have none.
		if !exists(s.path, "db", info.Name+".lance", "_refs", "tags") {
			continue
		}
		t, err := s.db.OpenTable(ctx, info.Name, nil)
		if err != nil {
			continue // a broken table does not hide the others
		}
		tags, err := t.Tags(ctx)
		for tag := range tags {
			if name, ours := strings.CutPrefix(tag, snapshotTag); ours && !names[name] && err == nil {
				err = t.DeleteTag(ctx, tag)
			}
		}
		t.Close()
		if err != nil {
			return at("untag", info.Name, err)
		}
	}
	return nil
}

// inSnapshots refuses to remove a table that snapshots hold rows of.
func (s *state) inSnapshots(table string) error {
	snapshots, err := readSnapshots(s.path)
	if err != nil {
		return err
	}
	var names []string
	for _, snap := range snapshots {
		if snap.Tables[table].Rows > 0 {
			names = append(names, snap.Name)
		}
	}
	if names == nil {
		return nil
	}
	return &kindError{ErrConflict, "snapshots hold rows of the table: delete them first: " + strings.Join(names, ", "), nil}
}

// Tags lists the tags of each table that has any, by name with their versions: those of snapshots and those of others.
// With tags, Python lancedb 0.17 cannot clean up a table; see [SnapshotCost].
func (d *Dataset) Tags(ctx context.Context) (map[string]map[string]uint64, error) {
	found := map[string]map[string]uint64{}
	for _, info := range d.Tables() {
		t, err := d.openTable(ctx, "tags of", info.Name)
		if err != nil {
			return nil, err
		}
		tags, err := t.Tags(ctx)
		t.Close()
		if err != nil {
			return nil, at("tags of", info.Name, err)
		}
		for name, tag := range tags {
			if found[info.Name] == nil {
				found[info.Name] = map[string]uint64{}
			}
			found[info.Name][name] = tag.Version
		}
	}
	return found, nil
}

// At opens the dataset as it was at a snapshot, for reading only. It is to be closed by itself. It is [Open] with
// Options.Snapshot.
func (d *Dataset) At(ctx context.Context, name string) (*Dataset, error) {
	opts := d.opts
	opts.Snapshot = name
	return Open(ctx, d.path, &opts)
}

// AtSnapshot returns the snapshot that the dataset was opened at, or nil.
func (d *Dataset) AtSnapshot() *Snapshot { return d.snapshot }
