package dataset

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"pixano/internal/lance"
)

// Maintenance says how a dataset is looked after: small files are joined, old versions removed, full segments of the change
// log folded into the history. It happens in the background while a dataset is open that changes, and by
// [Dataset.Optimize]. The zero value is the default.
type Maintenance struct {
	// Off leaves it to Optimize.
	Off bool

	// KeepFor is the age, and KeepVersions the number of newest versions of a table, within which none is removed. Reads
	// that began longer ago may fail. 0: ten minutes, twenty versions. Negative: none but the newest. Snapshots are kept
	// in any case.
	//
	// Versions that are older than a minute go earlier where so many are made that their lists of files take more space than
	// the table's rows, and more than 32 MiB. Of the twenty, those go that take more than the table's rows and 256 KiB; three
	// stay.
	KeepFor      time.Duration
	KeepVersions int

	// KeepHistory is how long the history holds changes. 0: for ever. Less than 24 hours is 24 hours.
	KeepHistory time.Duration
}

const (
	keepFor      = 10 * time.Minute
	keepVersions = 20

	tendAfter     = 32 // commits after which the background looks at what to do
	tendFragments = 32 // fragments of a table from which on it joins small ones
	tendRows      = 1024
	pruneEvery    = time.Minute
	trimEvery     = 10 * time.Second

	keepAtLeast = time.Minute // whatever the versions take
	keepBytes   = 32 << 20    // that the versions of a table may take if its rows do not take more
	keepFew     = 3           // versions
	keepFewFor  = 256 << 10   // bytes of the newest versions from which on there may be so few
)

func (m Maintenance) prune(least int) *lance.Prune {
	p := &lance.Prune{OlderThan: new(m.KeepFor), KeepVersions: new(max(m.KeepVersions, 1))}
	if m.KeepFor == 0 {
		*p.OlderThan = keepFor
	}
	*p.OlderThan = max(*p.OlderThan, 0)
	if m.KeepVersions == 0 {
		*p.KeepVersions = keepVersions
	}
	*p.KeepVersions = max(*p.KeepVersions, least)
	return p
}

// Upkeep says what maintenance did.
type Upkeep struct {
	Tables []TableUpkeep `json:"tables"` // those where something was done

	EntriesFolded  int64 `json:"entries_folded"`  // of the change log, into the history
	EventsExpired  int64 `json:"events_expired"`  // rows of the history that were older than it is kept
	LogBytes       int64 `json:"log_bytes"`       // of the segments that were folded
	BytesBefore    int64 `json:"bytes_before"`    // of the dataset on disk, without media
	BytesAfter     int64 `json:"bytes_after"`     // the same
	LongestHoldMS  int64 `json:"longest_hold_ms"` // for which saves had to wait at once
	MillisecondsIn int64 `json:"milliseconds"`    // that it took in all
}

// TableUpkeep says what maintenance did to a table.
type TableUpkeep struct {
	Table            string `json:"table"`
	FragmentsRemoved int    `json:"fragments_removed"` // parts of the table that were joined, or whose deleted rows were dropped
	FragmentsAdded   int    `json:"fragments_added"`   // what was made of them
	VersionsRemoved  int    `json:"versions_removed"`
	BytesRemoved     int64  `json:"bytes_removed"`
	IndexesRefreshed bool   `json:"indexes_refreshed,omitempty"`
}

// Optimize does all maintenance there is to do, as Options.Maintenance says: it joins small files, drops deleted rows, brings indexes up
// to date, removes old versions, and folds the change log into the history. It may run beside reads and writes, also those
// of other processes. Saves wait for no more than a few commits; see [Upkeep] for how long they did.
//
// When the context ends, what was done stays.
func (d *Dataset) Optimize(ctx context.Context) (*Upkeep, error) {
	const op = "optimize"
	if d.readOnly {
		return nil, at(op, "", ErrReadOnly)
	}
	d.mu.Lock()
	closed := d.closed
	d.mu.Unlock()
	if closed {
		return nil, at(op, "", ErrClosed)
	}
	began := time.Now()
	before := diskBytes(d.path)
	did, err := d.tend(ctx, true)
	if err != nil {
		return nil, at(op, "", err)
	}
	did.BytesBefore, did.BytesAfter = before, diskBytes(d.path)
	did.MillisecondsIn = time.Since(began).Milliseconds()
	return did, nil
}

// diskBytes measures what a dataset takes on disk, without its media.
func diskBytes(dataset string) int64 {
	var sum int64
	for _, folder := range []string{"db", privateFolder} {
		filepath.WalkDir(filepath.Join(dataset, folder), func(_ string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Type().IsRegular() {
				if st, err := entry.Info(); err == nil {
					sum += st.Size()
				}
			}
			return nil // files come and go
		})
	}
	return sum
}

// tend does maintenance: all of it, or what is due. One process at a time does; in the background, others leave it to it.
func (s *state) tend(ctx context.Context, all bool) (*Upkeep, error) {
	did := &Upkeep{}
	name := filepath.Join(s.path, privateFolder, "maintenance.lock")
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return nil, fileError(err)
	}
	lock, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fileError(err)
	}
	defer lock.Close()
	if all {
		if err := lockWait(ctx, lock, true); err != nil {
			return nil, err
		}
	} else if err := flock(lock, true, false); err != nil {
		return did, nil
	}
	m := s.opts.Maintenance
	s.upkeep.mu.Lock()
	prune := all || time.Since(s.upkeep.pruned) > pruneEvery
	s.upkeep.mu.Unlock()
	if prune {
		err := s.locked(ctx, func() error {
			if err := s.sweepSnapshots(ctx); err != nil {
				return err
			}
			return s.noteOutside(ctx) // before the versions that tell of it go
		})
		if err != nil {
			return nil, err
		}
	}
	for _, info := range s.meta.Load().tables {
		did1, err := s.tendTable(ctx, info.Name, all, prune, did)
		if errors.Is(err, fs.ErrNotExist) {
			continue // declared, and not there
		}
		if err != nil {
			return nil, at("", info.Name, err)
		}
		if did1 != (TableUpkeep{Table: info.Name}) {
			did.Tables = append(did.Tables, did1)
		}
	}
	if prune {
		s.upkeep.mu.Lock()
		s.upkeep.pruned = time.Now()
		s.upkeep.mu.Unlock()
	}
	folded, err := s.fold(ctx, all)
	s.upkeep.mu.Lock()
	trim := prune || folded.entries > 0 || time.Since(s.upkeep.trimmed) > trimEvery
	if trim {
		s.upkeep.trimmed = time.Now()
	}
	s.upkeep.mu.Unlock()
	if trim {
		lance.Trim()
	}
	did.EntriesFolded, did.LogBytes = folded.entries, folded.bytes
	if err == nil && (prune || folded.entries > 0) {
		err = s.tendHistory(ctx, m, did)
	}
	if err != nil {
		return nil, err
	}
	return did, nil
}

// tendTable does the maintenance of one table.
func (s *state) tendTable(ctx context.Context, name string, all, prune bool, sum *Upkeep) (did TableUpkeep, err error) {
	did.Table = name
	// A handle of its own, so that writes need not wait for it.
	t, err := s.openTable(ctx, "", name)
	if err != nil {
		return did, err
	}
	defer t.Close()
	info, err := t.Info(ctx, false)
	if err != nil {
		return did, err
	}
	changed := false
	for rows := int64(tendRows); all || info.Fragments > tendFragments; rows *= 16 {
		if all {
			rows = 0 // the engine's choice, which is a million
		}
		res, err := s.compact(ctx, t, name, rows, sum)
		if err != nil {
			return did, err
		}
		did.FragmentsRemoved += res.FragmentsRemoved
		did.FragmentsAdded += res.FragmentsAdded
		changed = changed || res.FragmentsRemoved > 0
		if all || rows > 1<<20 {
			break
		}
		if info, err = t.Info(ctx, false); err != nil {
			return did, err
		}
	}
	if all || changed || prune {
		pending := int64(refreshRows)
		if all {
			pending = 0
		}
		if did.IndexesRefreshed, err = s.tendIndexes(ctx, t, pending); err != nil {
			return did, err
		}
	}
	if changed || did.IndexesRefreshed {
		if _, err := t.Sync(ctx, 0); err != nil {
			return did, err
		}
		if err := s.endTending(); err != nil {
			return did, err
		}
		fault("compaction synced")
	}
	if !prune {
		return did, nil
	}
	// The newest commit that names an entry of the log stays: it says what is in the table.
	latest, err := t.CheckoutLatest(ctx)
	if err != nil {
		return did, err
	}
	least := 1
	if version, err := s.carrier(ctx, t, latest); err != nil {
		return did, err
	} else if version > 0 {
		least = int(latest-version) + keepFew
	}
	stats, err := t.Info(ctx, true)
	if err != nil {
		return did, err
	}
	m := s.opts.Maintenance
	if m.KeepVersions == 0 {
		_, few := s.affordable(name, max(keepFewFor, stats.Bytes))
		m.KeepVersions = min(max(few, keepFew), keepVersions)
	}
	policy := m.prune(least)
	if *policy.OlderThan > keepAtLeast {
		age, _ := s.affordable(name, max(keepBytes, stats.Bytes))
		*policy.OlderThan = min(*policy.OlderThan, max(keepAtLeast, age))
	}
	res, err := t.Optimize(ctx, lance.OptimizeOptions{Prune: policy}, nil)
	did.VersionsRemoved, did.BytesRemoved = res.OldVersions, res.BytesRemoved
	fault("pruned")
	return did, err
}

// affordable returns the age up to which the versions of a table, without its rows, take no more than some bytes, and how many
// these are.
func (s *state) affordable(table string, bytes int64) (age time.Duration, versions int) {
	type file struct {
		age      time.Duration
		size     int64
		manifest bool
	}
	var files []file
	now := time.Now()
	for _, folder := range []string{"_versions", "_transactions", "_deletions"} {
		list, _ := os.ReadDir(filepath.Join(s.path, "db", table+".lance", folder))
		for _, f := range list {
			if st, err := f.Info(); err == nil {
				files = append(files, file{now.Sub(st.ModTime()), st.Size(), folder == "_versions"})
			}
		}
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Compare(a.age, b.age) })
	for _, f := range files {
		if bytes -= f.size; bytes < 0 {
			return f.age, versions
		}
		if f.manifest {
			versions++
		}
	}
	return math.MaxInt64, versions
}

// compact joins the fragments of a table that have fewer rows, 0 for a million.
//
// Saves wait while the small fragments are joined, which are what changes most: that takes about as long as a save, and beside
// saves both would be repeated again and again. Larger ones are joined while saves go on. One that changes a fragment that is
// being joined comes first, and what was to be joined waits for the next time.
func (s *state) compact(ctx context.Context, t *lance.Table, name string, rows int64, sum *Upkeep) (res lance.OptimizeResult, err error) {
	if err := s.beginTending(name); err != nil {
		return res, err
	}
	once := func(rows int64) error {
		if _, err := t.CheckoutLatest(ctx); err != nil {
			return err
		}
		more, err := t.Optimize(ctx, lance.OptimizeOptions{Compact: &lance.Compact{TargetRowsPerFragment: rows}}, nil)
		res.FragmentsRemoved, res.FragmentsAdded = res.FragmentsRemoved+more.FragmentsRemoved, res.FragmentsAdded+more.FragmentsAdded
		fault("compacted " + name)
		return err
	}
	small := func() error {
		return s.locked(ctx, func() (err error) {
			began := time.Now()
			for range 10 { // others may write who know of no lock
				if err = once(tendRows); !errors.Is(err, ErrConflict) {
					break
				}
			}
			sum.LongestHoldMS = max(sum.LongestHoldMS, time.Since(began).Milliseconds())
			return err
		})
	}
	if rows == tendRows {
		return res, small()
	}
	for range 3 {
		if err := once(rows); !errors.Is(err, ErrConflict) {
			return res, err
		}
		if rows != 0 {
			return res, nil
		}
		if err := small(); err != nil {
			return res, err
		}
	}
	return res, nil
}

// carrier returns the newest version of a table whose commit names an entry of the log, 0 for none.
func (s *state) carrier(ctx context.Context, t *lance.Table, latest uint64) (uint64, error) {
	id := ""
	if text, err := os.ReadFile(filepath.Join(s.path, filepath.FromSlash(logFolder), logID)); err == nil {
		id = strings.TrimSpace(string(text))
	}
	for count := 16; ; count *= 8 {
		found, err := t.Transactions(ctx, latest, count)
		if err != nil {
			return 0, err
		}
		for _, tx := range found {
			if log, _, _ := strings.Cut(tx.Properties[entryProperty], "/"); id != "" && log == id {
				return tx.Version, nil
			}
			if tx.Missing {
				return 0, nil // pruned: so are those before it
			}
		}
		if len(found) < count {
			return 0, nil
		}
	}
}

// tendHistory joins the small files of the folded history and removes what is older than it is kept.
func (s *state) tendHistory(ctx context.Context, m Maintenance, did *Upkeep) error {
	t, err := s.openHistory(ctx)
	if t == nil || err != nil {
		return err
	}
	defer t.Close()
	fail := func(err error) error { return at("", historyTable, err) }
	if err := s.beginTending(tendedHistory); err != nil {
		return err
	}
	if m.KeepHistory > 0 {
		last, err := lastFolded(ctx, t)
		if err != nil {
			return fail(err)
		}
		cutoff := time.Now().Add(-max(m.KeepHistory, keyLife)).UnixMicro()
		// The last entry stays: it says how far the log was folded.
		res, err := t.Delete(ctx, fmt.Sprintf("time_us < %d AND number < %d", cutoff, last), nil)
		if err != nil {
			return fail(err)
		}
		did.EventsExpired = res.Deleted
		fault("history expired")
	}
	info, err := t.Info(ctx, false)
	if err != nil {
		return fail(err)
	}
	if info.Fragments > 8 || did.EventsExpired > 0 {
		if _, err := t.Optimize(ctx, lance.OptimizeOptions{Compact: &lance.Compact{TargetRowsPerFragment: 128 << 10}}, nil); err != nil {
			return fail(err)
		}
		fault("history compacted")
	}
	if _, err := t.Sync(ctx, 0); err != nil {
		return fail(err)
	}
	if err := s.endTending(); err != nil {
		return err
	}
	prune := m.prune(1)
	*prune.KeepVersions = 1 // nobody asks for an old version of it by number
	if _, err := t.Optimize(ctx, lance.OptimizeOptions{Prune: prune}, nil); err != nil {
		return fail(err)
	}
	return nil
}

// tendedFile names the table whose files are being rewritten, and the run of the machine that does: if it stops meanwhile,
// the newest version may be incomplete although no entry of the log says so.
const (
	tendedFile    = ".pixano/tended"
	tendedHistory = ".history"
)

type tendedTable struct {
	Table string `json:"table"`
	Boot  string `json:"boot"`
}

func (s *state) beginTending(table string) error {
	text, err := json.Marshal(tendedTable{table, bootID()})
	if err == nil {
		err = writeFile(filepath.Join(s.path, filepath.FromSlash(tendedFile)), text)
	}
	return fileError(err)
}

func (s *state) endTending() error {
	err := os.Remove(filepath.Join(s.path, filepath.FromSlash(tendedFile)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fileError(err)
}

// tended returns the table whose files were being rewritten when the machine stopped, or "".
func (s *state) tended() string {
	var t tendedTable
	text, err := os.ReadFile(filepath.Join(s.path, filepath.FromSlash(tendedFile)))
	if err != nil || json.Unmarshal(text, &t) != nil || t.Boot == bootID() {
		return ""
	}
	return t.Table
}

// upkeep is the maintenance of an open dataset in the background. It begins with the first change.
type upkeep struct {
	mu     sync.Mutex    // guards all but commits
	wake   chan struct{} // nil until it begins
	stop   context.CancelFunc
	done   chan struct{}
	closed bool

	commits int       // since the last look; belongs to the writer
	pruned  time.Time // when old versions were last removed
	trimmed time.Time // when memory that is free was last given back
	sum     Upkeep    // of all looks
	err     error     // of the last look; nil if it went well
}

// Background returns what maintenance did in the background since the dataset was opened, the figures of each table summed
// up, and the error of its last look at what there was to do, if it had one.
func (d *Dataset) Background() (Upkeep, error) {
	u := &d.upkeep
	u.mu.Lock()
	defer u.mu.Unlock()
	sum := u.sum
	sum.Tables = slices.Clone(sum.Tables)
	return sum, u.err
}

// add sums up what was done.
func (u *Upkeep) add(did *Upkeep) {
	for _, t := range did.Tables {
		i := slices.IndexFunc(u.Tables, func(o TableUpkeep) bool { return o.Table == t.Table })
		if i < 0 {
			u.Tables = append(u.Tables, t)
			continue
		}
		o := &u.Tables[i]
		o.FragmentsRemoved += t.FragmentsRemoved
		o.FragmentsAdded += t.FragmentsAdded
		o.VersionsRemoved += t.VersionsRemoved
		o.BytesRemoved += t.BytesRemoved
		o.IndexesRefreshed = o.IndexesRefreshed || t.IndexesRefreshed
	}
	u.EntriesFolded += did.EntriesFolded
	u.EventsExpired += did.EventsExpired
	u.LogBytes += did.LogBytes
	u.LongestHoldMS = max(u.LongestHoldMS, did.LongestHoldMS)
	u.MillisecondsIn += did.MillisecondsIn
}

// changed notes a change, and has the background look after enough of them.
func (u *upkeep) changed(s *state) {
	if u.commits++; u.commits < tendAfter || s.opts.Maintenance.Off {
		return
	}
	u.commits = 0
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return
	}
	if u.wake == nil {
		ctx, stop := context.WithCancel(context.Background())
		u.wake, u.stop, u.done = make(chan struct{}, 1), stop, make(chan struct{})
		go u.run(ctx, s)
	}
	select {
	case u.wake <- struct{}{}:
	default: // it will look anyway
	}
}

func (u *upkeep) run(ctx context.Context, s *state) {
	defer close(u.done)
	for {
		select {
		case <-ctx.Done():
			return
		case <-u.wake:
		}
		// What fails is tried again after the next changes; Optimize tells why.
		began := time.Now()
		did, err := s.tend(ctx, false)
		u.mu.Lock()
		if u.err = err; err == nil {
			did.MillisecondsIn = time.Since(began).Milliseconds()
			u.sum.add(did)
		}
		u.mu.Unlock()
	}
}

// close ends the maintenance in the background, and waits for it.
func (u *upkeep) close() {
	u.mu.Lock()
	u.closed = true
	stop, done := u.stop, u.done
	u.mu.Unlock()
	if stop != nil {
		stop()
		<-done
	}
}
