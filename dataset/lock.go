package dataset

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"pixano/features"
)

// privateFolder is the folder, in a dataset and in a library, of what the reference implementation does not know.
const privateFolder = ".pixano"

var errLocked = errors.New("locked")

// lockWait locks an open file exclusively or shared, waiting until the context ends. After an error it is closed.
func lockWait(ctx context.Context, f *os.File, exclusive bool) error {
	err := ctx.Err()
	if err == nil {
		err = flock(f, exclusive, false)
	}
	if err != errLocked {
		if err != nil {
			f.Close()
		}
		return err
	}
	done := make(chan error, 1)
	go func() { done <- flock(f, exclusive, true) }()
	select {
	case err := <-done:
		if err != nil {
			f.Close()
		}
		return err
	case <-ctx.Done():
		// Nothing ends the wait early, so the lock is given back when it comes.
		go func() {
			<-done
			f.Close()
		}()
		return ctx.Err()
	}
}

// lockFile takes the dataset's lock, which whoever changes the dataset holds: among processes, and among the goroutines
// and handles of this one. It is not to be taken twice.
func (s *state) lockFile(ctx context.Context) (unlock func(), err error) {
	release, err := lockDataset(ctx, s.path)
	if err != nil {
		return nil, err
	}
	// What Go knows of order, it knows from its own operations.
	s.holders.Add(1)
	return func() { s.holders.Add(1); release() }, nil
}

func lockDataset(ctx context.Context, path string) (unlock func(), err error) {
	dir := filepath.Join(path, privateFolder)
	name := filepath.Join(dir, "lock")
	for {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
		if errors.Is(err, fs.ErrNotExist) {
			// Without the dataset's own directory this fails, so that a dataset that was deleted does not come back.
			if err = os.Mkdir(dir, 0o755); err == nil || errors.Is(err, fs.ErrExist) {
				continue
			}
		}
		if err != nil {
			return nil, &Error{Field: privateFolder + "/lock", Err: fileError(err)}
		}
		if err := lockWait(ctx, f, true); err != nil {
			return nil, err
		}
		// While this one waited, the dataset may have been moved or deleted, and its lock with it.
		if sameFile(f, name) {
			return func() { f.Close() }, nil
		}
		f.Close()
	}
}

func sameFile(f *os.File, name string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(name)
	return err == nil && os.SameFile(mine, there)
}

// stage is a directory where a dataset is made before it becomes visible, or goes before it is removed. It lies in
// PARENT/.pixano/staging, where no listing of datasets finds it.
type stage struct {
	dir  string
	lock *os.File
}

// stagePrefix begins the names of stages. Others in the same folder are not touched.
const stagePrefix = "tmp-"

// newStage makes a stage on the file system of a directory, which must exist. Stages hold a shared lock: who gets the
// exclusive one knows that those that are there were left by processes that died, and removes them.
func newStage(ctx context.Context, parent string) (*stage, error) {
	root := parent
	for _, folder := range []string{privateFolder, "staging"} {
		root = filepath.Join(root, folder)
		if err := os.Mkdir(root, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, stagingError(err)
		}
	}
	lock, err := os.OpenFile(filepath.Join(root, "lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, stagingError(err)
	}
	if flock(lock, true, false) == nil {
		left, _ := os.ReadDir(root)
		for _, entry := range left {
			if strings.HasPrefix(entry.Name(), stagePrefix) {
				os.RemoveAll(filepath.Join(root, entry.Name())) // if it fails, the next one tries again
			}
		}
	}
	if err := lockWait(ctx, lock, false); err != nil {
		return nil, err
	}
	s := &stage{filepath.Join(root, stagePrefix+features.NewShortUUID()), lock}
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		lock.Close()
		return nil, stagingError(err)
	}
	return s, nil
}

func stagingError(err error) error {
	return &Error{Field: privateFolder + "/staging", Err: fileError(err)}
}

// path names a file or directory of the stage.
func (s *stage) path(name string) string { return filepath.Join(s.dir, name) }

// close removes what is left in the stage.
func (s *stage) close() error {
	return errors.Join(os.RemoveAll(s.dir), s.lock.Close())
}

// publish makes a directory of the stage visible under a path, where there may be an empty directory: all of it at
// once, and safe from a power cut.
func (s *stage) publish(name, to string) error {
	from := s.path(name)
	if err := syncTree(from); err != nil {
		return err
	}
	if err := renameDir(from, to); err != nil {
		return occupied(to, err)
	}
	return syncDir(filepath.Dir(to))
}

// occupied gives the error of a rename to a path where something is.
func occupied(path string, err error) error {
	if free := checkFree(path); free != nil {
		return free
	}
	return err
}

// checkFree wants a path where a dataset can be made: nothing, or an empty directory.
func checkFree(path string) error {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fileError(err)
	case !st.IsDir():
		return &kindError{ErrExists, "there is a file of this name", nil}
	case exists(path, "info.json"):
		return &kindError{ErrExists, "there is a dataset already", nil}
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return fileError(err)
	}
	if len(entries) > 0 {
		return &kindError{ErrExists, "the directory is not empty: want none, or an empty one", nil}
	}
	return nil
}
