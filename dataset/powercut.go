package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"pixano/internal/lance"
)

// tornFolder is where versions of tables go that a power cut left incomplete.
const tornFolder = ".pixano/torn"

// dropTorn takes the newest versions of a table away as long as their files are incomplete, which happens when the
// machine stopped before it had written them out. Their changes are in the log, and are made again.
func (s *state) dropTorn(ctx context.Context, table string) error {
	db := filepath.Join(s.path, "db")
	if tornVersion(ctx, db, table) == nil {
		return nil
	}
	// What is open has seen the version that will be gone.
	if t := s.write.tables[table]; t != nil {
		t.Close()
		delete(s.write.tables, table)
	}
	s.mu.Lock()
	if t := s.open[table]; t != nil {
		t.Close()
		delete(s.open, table)
	}
	s.mu.Unlock()
	return dropTornVersions(ctx, db, table, filepath.Join(s.path, filepath.FromSlash(tornFolder)))
}

// dropTornVersions moves the newest versions of a table in a database to a folder as long as their files are incomplete.
func dropTornVersions(ctx context.Context, database, table, to string) error {
	for {
		why := tornVersion(ctx, database, table)
		if why == nil {
			return nil
		}
		name, others := newestManifest(filepath.Join(database, table+".lance", "_versions"))
		if name == "" || others == 0 {
			return why
		}
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
		if err := os.Rename(name, filepath.Join(to, table+"-"+filepath.Base(name))); err != nil {
			return err
		}
		if err := syncDir(filepath.Dir(name)); err != nil {
			return err
		}
	}
}

// tornVersion reports why the newest version of a table is incomplete, or nil.
func tornVersion(ctx context.Context, database, table string) error {
	// A connection of its own has cached nothing.
	db, err := lance.Connect(ctx, database, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	t, err := db.OpenTable(ctx, table, nil)
	if err != nil {
		return err
	}
	defer t.Close()
	info, err := t.Info(ctx, true)
	if err != nil {
		return err
	}
	for _, file := range info.Files {
		if err := whole(filepath.Join(database, table+".lance", filepath.FromSlash(file))); err != nil {
			return at("read", table, &kindError{ErrCorrupt, file + ": " + err.Error(), err})
		}
	}
	// The lists of deleted rows are read by a count.
	_, err = t.Count(ctx, "true")
	return err
}

// whole reports whether a data file ends as Lance files do.
func whole(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fileError(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	end := make([]byte, 4)
	if _, err := f.ReadAt(end, max(0, st.Size()-4)); err != nil || string(end) != "LANC" {
		return errors.New("the file is cut")
	}
	return nil
}

// newestManifest returns the manifest of the newest version in a folder, and how many others there are. Newer writers
// count their names down from the largest number.
func newestManifest(dir string) (name string, others int) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return "", 0
	}
	newest := uint64(0)
	for _, f := range files {
		stem, ok := strings.CutSuffix(f.Name(), ".manifest")
		n, err := strconv.ParseUint(stem, 10, 64)
		if !ok || err != nil {
			continue
		}
		if len(stem) == 20 {
			n = math.MaxUint64 - n
		}
		if others++; n >= newest {
			newest, name = n, filepath.Join(dir, f.Name())
		}
	}
	return name, max(0, others-1)
}

// afterPowerCut makes the tables whole that changed since the last checkpoint, if the machine was started anew since.
// It returns the entry after which all is to be looked at again.
func (s *state) afterPowerCut(ctx context.Context) (uint64, error) {
	log := s.write.log
	if log.state.Boot == bootID() {
		return log.state.Applied, nil
	}
	var tables []string
	if log.state.Synced != log.last {
		var err error
		if tables, err = s.changedSince(log.state.Synced); err != nil {
			return 0, err
		}
	}
	if table := s.tended(); table != "" && !slices.Contains(tables, table) {
		tables = append(tables, table)
	}
	for _, table := range tables {
		if err := s.dropTorn(ctx, table); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, fmt.Errorf("after the machine stopped: %w", err)
		}
	}
	if log.state.Synced == log.last {
		return log.state.Applied, nil
	}
	return log.state.Synced, nil
}
