package dataset

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"pixano/features"
	"pixano/internal/lance"
	"pixano/schema"
)

// Programs that know nothing of the log, such as Python's, commit to the tables past it. Their commits carry none of our
// properties. Whoever looks at a table to change it notes those that came since the last look in the entry that
// follows, before pruning can take them away.

// knownFile holds, by table, a version up to which the history knows of all commits. It is a hint: without it, what was
// committed since our own last commit counts as new.
const knownFile = logFolder + "/tables"

func readKnown(dataset string) map[string]uint64 {
	known := map[string]uint64{}
	text, err := os.ReadFile(filepath.Join(dataset, filepath.FromSlash(knownFile)))
	if err != nil || json.Unmarshal(text, &known) != nil {
		return map[string]uint64{}
	}
	return known
}

func writeKnown(dataset string, known map[string]uint64) error {
	text, err := json.Marshal(known)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dataset, filepath.FromSlash(knownFile)), append(text, '\n'))
}

// rowless are the operations of commits that leave the rows as they are.
var rowless = []string{"Rewrite", "CreateIndex", "ReserveFragments", "UpdateConfig"}

// outside reports whether a commit changed rows or columns past the log.
func outside(c lance.Transaction) bool {
	return !c.Missing && c.Properties[entryProperty] == "" && !slices.Contains(rowless, c.Operation)
}

// outsideCommits lists the commits to a table up to a version, oldest first, that came past the log and that the history
// does not know of. It is called with the dataset's lock held.
func (s *state) outsideCommits(ctx context.Context, t *lance.Table, version uint64) ([]outsideCommit, error) {
	w, name := &s.write, t.Name()
	if !w.checked[name] {
		// The file may be of an earlier time. Our own last commit followed a note of all before it.
		own, err := s.carrier(ctx, t, version)
		if err != nil {
			return nil, err
		}
		w.known[name] = max(w.known[name], own)
		w.checked[name] = true
	}
	return outsideSince(ctx, t, version, w.known[name])
}

// outsideSince lists the commits past the log between two versions. Where the older one is 0, the table was never changed from
// here: all of it is where the history begins.
func outsideSince(ctx context.Context, t *lance.Table, version, known uint64) ([]outsideCommit, error) {
	if version <= known || known == 0 {
		return nil, nil
	}
	commits, err := t.Transactions(ctx, version, int(version-known))
	if err != nil {
		return nil, err
	}
	var found []outsideCommit
	for _, c := range slices.Backward(commits) {
		if outside(c) {
			found = append(found, outsideCommit{t.Name(), c.Version, c.Timestamp, c.Operation})
		}
	}
	return found, nil
}

// noteCommits notes that the history knows of all commits up to those that were looked at, and, where nobody came
// between, up to our own.
func (a *attempt) noteCommits(plans map[string]*tablePlan) {
	known := a.s.write.known
	for name, seen := range a.seen {
		known[name] = max(known[name], seen.version)
		p := plans[name]
		if p == nil {
			continue
		}
		if p.version == seen.version+p.commits() {
			known[name] = max(known[name], p.version)
			stored := slices.Concat(p.appends, p.puts)
			for column, value := range map[string]func(row any) (string, error){"id": schema.ID, "item_ref.id": itemIDOf} {
				a.s.index(name, column).ahead(seen.version, p.version, p.commits(), stored, value)
			}
		}
	}
}

// itemIDOf returns the id of the item that a row belongs to.
func itemIDOf(row any) (string, error) {
	ref, err := schema.Value(row, "item_ref")
	if err != nil {
		return "", err
	}
	item, ok := ref.(features.ItemRef)
	if !ok {
		return "", fmt.Errorf("item_ref is %T", ref)
	}
	return item.ID, nil
}

// noteOutside notes what others committed since the last look in an entry of its own, and keeps how far it looked. It is
// called with the dataset's lock held.
func (s *state) noteOutside(ctx context.Context) error {
	w := &s.write
	e := &entry{Time: time.Now().UTC()}
	looked := map[string]uint64{}
	for _, info := range s.meta.Load().tables {
		t, err := s.writeTable(ctx, info.Name)
		if err != nil {
			continue // a broken table does not hide the others
		}
		version, err := t.CheckoutLatest(ctx)
		if err != nil {
			continue
		}
		found, err := s.outsideCommits(ctx, t, version)
		if err != nil {
			return at("look at the commits of", info.Name, err)
		}
		e.Outside = append(e.Outside, found...)
		looked[info.Name] = version
	}
	if len(e.Outside) > 0 {
		if err := w.log.append(e, e.Time); err != nil {
			return err
		}
		if err := w.log.setState(e.Number, w.log.state.Synced); err != nil {
			return err
		}
	}
	if changed := !maps.Equal(w.known, looked); !changed {
		return nil
	}
	w.known = looked
	return writeKnown(s.path, w.known)
}

// knowCommits notes that the commits to a table up to the newest one are ours, or known. It is called with the dataset's
// lock held.
func (s *state) knowCommits(ctx context.Context, t *lance.Table) error {
	version, err := t.CheckoutLatest(ctx)
	if err != nil {
		return err
	}
	s.write.known[t.Name()] = version
	return writeKnown(s.path, s.write.known)
}
