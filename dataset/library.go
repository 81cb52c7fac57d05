package dataset

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"pixano/features"
)

// Library is a directory of dataset directories, one level deep. It is safe for concurrent use.
//
// Methods that take a key find a dataset by its id or, if no dataset has that id, by the name of its directory. An id
// that several datasets have is ErrExists: use the directory.
type Library struct {
	path string
}

// OpenLibrary opens the library in a directory, which must exist.
func OpenLibrary(path string) (*Library, error) {
	if st, err := os.Stat(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = &kindError{ErrNotFound, "no such directory", fs.ErrNotExist}
		}
		return nil, at("open library "+path, "", fileError(err))
	} else if !st.IsDir() {
		return nil, at("open library "+path, "", &kindError{ErrNotFound, "not a directory: want a directory of datasets", nil})
	}
	return &Library{path}, nil
}

// Path returns the directory given to [OpenLibrary].
func (l *Library) Path() string { return l.path }

// Entry is a dataset of a library.
type Entry struct {
	Path   string // its directory
	Info   Info
	Layout Layout
	Items  int64    // rows of the item table
	SameID []string // directories of other datasets of the library with the same id; nil for none
	Err    error    // why the rest is missing, or nil
}

// Datasets lists the datasets, sorted by directory: every directory that holds an info.json. One that cannot be read
// is listed with its error. Nothing is written.
func (l *Library) Datasets(ctx context.Context) ([]Entry, error) {
	op := "list " + l.path
	paths, err := l.directories()
	if err != nil {
		return nil, at(op, "", err)
	}
	entries := make([]Entry, len(paths))
	// Opening waits for files more than it computes.
	free := make(chan struct{}, 8)
	var group sync.WaitGroup
	for i, path := range paths {
		free <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		group.Go(func() {
			entries[i] = readEntry(ctx, path)
			<-free
		})
	}
	group.Wait()
	if err := ctx.Err(); err != nil {
		return nil, at(op, "", err)
	}
	byID := map[string][]string{}
	for _, e := range entries {
		if e.Info.ID != "" {
			byID[e.Info.ID] = append(byID[e.Info.ID], e.Path)
		}
	}
	for i := range entries {
		for _, path := range byID[entries[i].Info.ID] {
			if path != entries[i].Path {
				entries[i].SameID = append(entries[i].SameID, path)
			}
		}
	}
	return entries, nil
}

// Directories lists the directories of datasets, sorted: those that hold an info.json. It opens none.
func (l *Library) Directories(context.Context) ([]string, error) {
	paths, err := l.directories()
	return paths, wrap("list "+l.path, "", err)
}

// directories lists the directories of datasets, sorted.
func (l *Library) directories() ([]string, error) {
	dirs, err := os.ReadDir(l.path)
	if err != nil {
		return nil, fileError(err)
	}
	var paths []string
	for _, dir := range dirs {
		path := filepath.Join(l.path, dir.Name())
		if dir.Name() != privateFolder && exists(path, "info.json") {
			paths = append(paths, path)
		}
	}
	return paths, nil
}

func readEntry(ctx context.Context, path string) Entry {
	e := Entry{Path: path}
	ds, err := OpenTables(ctx, path, &Options{ReadOnly: true})
	if err != nil {
		e.Err = err
		// The id tells which dataset it is that cannot be opened.
		e.Info, e.Layout, _ = readInfo(path)
		return e
	}
	defer ds.Close()
	e.Info, e.Layout = ds.Info(), ds.Layout()
	if e.Items, err = ds.Count(ctx, ds.ItemTable(), Query{}); err != nil {
		e.Err = at("open "+path, "", err)
	}
	return e
}

// Find returns the dataset with an id. None is ErrNotFound, several are ErrExists, which names their directories.
func (l *Library) Find(ctx context.Context, id string) (Entry, error) {
	op := "find " + strconv.Quote(id)
	path, err := l.find(ctx, id)
	if err == nil && path == "" {
		err = l.unknown("id")
	}
	if err != nil {
		return Entry{}, at(op, "", err)
	}
	return readEntry(ctx, path), nil
}

func (l *Library) unknown(what string) error {
	return &kindError{ErrNotFound, "no dataset of this " + what + " in " + l.path, fs.ErrNotExist}
}

// find returns the directory of the dataset with an id, or "".
func (l *Library) find(ctx context.Context, id string) (string, error) {
	paths, err := l.directories()
	if err != nil || id == "" {
		return "", err
	}
	var found []string
	for _, path := range paths {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		if info, _, err := readInfo(path); err == nil && info.ID == id {
			found = append(found, path)
		}
	}
	switch len(found) {
	case 0:
		return "", nil
	case 1:
		return found[0], nil
	}
	return "", &kindError{ErrExists, "several datasets have this id: " + strings.Join(found, ", "), nil}
}

// locate returns the directory of the dataset that a key names.
func (l *Library) locate(ctx context.Context, key string) (string, error) {
	path, err := l.find(ctx, key)
	if err != nil || path != "" {
		return path, err
	}
	if checkFolderName(key) == nil && exists(l.path, key, "info.json") {
		return filepath.Join(l.path, key), nil
	}
	return "", l.unknown("id or directory")
}

// Locate returns the directory of the dataset that a key names. It opens nothing.
func (l *Library) Locate(ctx context.Context, key string) (string, error) {
	path, err := l.locate(ctx, key)
	if err != nil {
		return "", at("find "+strconv.Quote(key), "", err)
	}
	return path, nil
}

// checkFolderName wants the name of one folder that is not hidden and leads nowhere else.
func checkFolderName(name string) error {
	switch {
	case name == "":
		return schemaError("the directory name is empty")
	case strings.HasPrefix(name, "."):
		return schemaError("directory name %q: want no dot in front", name)
	case strings.ContainsAny(name, `/\`) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return schemaError("directory name %q: want no separator and no control character", name)
	case !filepath.IsLocal(name):
		return schemaError("directory name %q: want one that this system allows", name)
	}
	return nil
}

// Open opens the dataset that a key names.
func (l *Library) Open(ctx context.Context, key string, opts *Options) (*Dataset, error) {
	path, err := l.locate(ctx, key)
	if err != nil {
		return nil, at("open "+strconv.Quote(key), "", err)
	}
	return Open(ctx, path, opts)
}

// Create makes a dataset without rows in a directory of the library and opens it, see [Create]. A name that is not that
// of one folder, or begins with a dot, is ErrSchema; an id that another dataset has is ErrExists.
func (l *Library) Create(ctx context.Context, name string, tables any, info Info, opts *Options) (*Dataset, error) {
	op := "create " + strconv.Quote(name)
	if err := checkFolderName(name); err != nil {
		return nil, at(op, "", err)
	}
	if err := l.wantFreeID(ctx, info.ID); err != nil {
		return nil, at(op, "", err)
	}
	return Create(ctx, filepath.Join(l.path, name), tables, info, opts)
}

func (l *Library) wantFreeID(ctx context.Context, id string) error {
	path, err := l.find(ctx, id)
	if err == nil && path != "" {
		err = &kindError{ErrExists, fmt.Sprintf("%s has the id %q already", path, id), nil}
	}
	return err
}

// wantFreeName checks the name of a directory for a dataset and returns its path.
func (l *Library) wantFreeName(name string) (string, error) {
	if err := checkFolderName(name); err != nil {
		return "", err
	}
	path := filepath.Join(l.path, name)
	if _, err := os.Lstat(path); err == nil {
		return "", &kindError{ErrExists, path + " is there already", nil}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", fileError(err)
	}
	return path, nil
}

// held runs a function on the directory of a dataset with the dataset's lock held, so that nobody changes it. Before it
// renames the directory, the function calls release.
func (l *Library) held(ctx context.Context, op, key string, do func(path string, release func()) error) error {
	op += " " + strconv.Quote(key)
	path, err := l.locate(ctx, key)
	if err != nil {
		return at(op, "", err)
	}
	unlock, err := lockDataset(ctx, path)
	if err != nil {
		return at(op, "", err)
	}
	defer unlock()
	release := func() {
		if runtime.GOOS == "windows" {
			unlock() // a folder with an open file in it cannot be renamed there
		}
	}
	return wrap(op, "", do(path, release))
}

// Rename gives the directory of a dataset another name. The id stays, and so does the name in [Info]. A dataset that is
// open, here or in another process, has to be opened again.
func (l *Library) Rename(ctx context.Context, key, name string) error {
	return l.held(ctx, "rename", key, func(path string, release func()) error {
		to, err := l.wantFreeName(name)
		if err != nil {
			return err
		}
		release()
		return l.renameTo(path, to)
	})
}

func (l *Library) renameTo(from, to string) error {
	if err := renameDir(from, to); err != nil {
		return occupied(to, err)
	}
	return errors.Join(syncDir(filepath.Dir(to)), syncDir(filepath.Dir(from)))
}

// CopyOptions are the options of [Library.Copy]. Nil and the zero value are the defaults.
type CopyOptions struct {
	ID   string // of the copy; "": a new random one
	Name string // in the copy's [Info]; "": that of the original
}

// Copy copies a dataset to a new directory of the library, with all that lies in its directory: history, and media if
// they are in it. Media elsewhere are shared. No change of this SDK goes on meanwhile.
//
// The copy appears as a whole or, after an error and when the context ends, not at all.
func (l *Library) Copy(ctx context.Context, key, name string, opts *CopyOptions) (Entry, error) {
	if opts == nil {
		opts = &CopyOptions{}
	}
	var to string
	err := l.held(ctx, "copy", key, func(path string, _ func()) (err error) {
		if to, err = l.wantFreeName(name); err != nil {
			return err
		}
		id := cmp.Or(opts.ID, features.NewShortUUID())
		if strings.Contains(id, " ") {
			return schemaError("id %q has a space", id)
		}
		if err := l.wantFreeID(ctx, id); err != nil {
			return err
		}
		stage, err := newStage(ctx, l.path)
		if err != nil {
			return err
		}
		defer stage.close()
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return err
		}
		if err := copyTree(ctx, path, stage.path("dataset")); err != nil {
			return err
		}
		if err := renameCopy(stage.path("dataset"), id, opts.Name); err != nil {
			return err
		}
		return stage.publish("dataset", to)
	})
	if err != nil {
		return Entry{}, err
	}
	return readEntry(ctx, to), nil
}

// renameCopy sets id and, if given, name in the info.json of a copy.
func renameCopy(path, id, name string) error {
	info, _, err := readInfo(path)
	if err != nil {
		return err
	}
	info.ID, info.Name = id, cmp.Or(name, info.Name)
	if info, err = info.stored(); err != nil {
		return err
	}
	return replaceInfo(path, info)
}

// Move moves a dataset to another library, under the name of its directory: by renaming it or, to another file system,
// by copying and deleting it. A directory of that name, or a dataset of its id, there is ErrExists. A dataset that is
// open has to be opened again.
func (l *Library) Move(ctx context.Context, key string, other *Library) error {
	return l.held(ctx, "move", key, func(path string, release func()) error {
		to, err := other.wantFreeName(filepath.Base(path))
		if err != nil {
			return err
		}
		if st, err := os.Lstat(path); err != nil || !st.IsDir() {
			return cmp.Or(err, error(&kindError{ErrUnsupported, path + " is a link: move the directory that it leads to", nil}))
		}
		if info, _, err := readInfo(path); err == nil {
			if err := other.wantFreeID(ctx, info.ID); err != nil {
				return err
			}
		}
		release()
		if err := l.renameTo(path, to); !errors.Is(err, crossDevice) {
			return err
		}
		return l.moveAcross(ctx, path, other, to)
	})
}

// moveAcross moves a dataset to another file system.
func (l *Library) moveAcross(ctx context.Context, path string, other *Library, to string) error {
	stage, err := newStage(ctx, other.path)
	if err != nil {
		return err
	}
	defer stage.close()
	if err := copyTree(ctx, path, stage.path("dataset")); err != nil {
		return err
	}
	// From here on it is there twice until it is gone here; the context is not asked any more.
	if err := stage.publish("dataset", to); err != nil {
		return err
	}
	return l.discard(context.WithoutCancel(ctx), path)
}

// Delete deletes a dataset with all that lies in its directory. It vanishes at once and as a whole; when removing the
// files fails or is interrupted, a later call of Create, Copy or Delete goes on. A dataset that is open has to be closed.
func (l *Library) Delete(ctx context.Context, key string) error {
	return l.held(ctx, "delete", key, func(path string, release func()) error {
		release()
		return l.discard(ctx, path)
	})
}

func (l *Library) discard(ctx context.Context, path string) error {
	stage, err := newStage(ctx, l.path)
	if err != nil {
		return err
	}
	defer stage.close()
	if err := os.Rename(path, stage.path("dataset")); err != nil {
		return err
	}
	return syncDir(l.path)
}

// copyTree copies a directory, given by its own path and not by a link to it. Links in it are copied as links; sockets,
// pipes and devices are left out.
func copyTree(ctx context.Context, from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	// Writers other than this SDK know no lock. A version of a Lance table needs only files that were there before it, so
	// versions are copied first; what is written meanwhile does no harm.
	if i := slices.IndexFunc(entries, func(e fs.DirEntry) bool { return e.Name() == "_versions" }); i > 0 {
		entries[0], entries[i] = entries[i], entries[0]
	}
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		source, target := filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name())
		switch entry.Type() {
		case fs.ModeDir:
			err = copyTree(ctx, source, target)
		case fs.ModeSymlink:
			var link string
			if link, err = os.Readlink(source); err == nil {
				err = os.Symlink(link, target)
			}
		case 0:
			err = copyFile(ctx, source, target)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// copyFile copies a file with its time and permissions.
func copyFile(ctx context.Context, from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, st.Mode().Perm()|0o200)
	if err != nil {
		return err
	}
	for err == nil {
		// In pieces, so that a large video does not outlive the context. The kernel copies them.
		if err = ctx.Err(); err == nil {
			_, err = io.CopyN(out, in, 256<<20)
		}
	}
	if err == io.EOF {
		err = nil
	}
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	return os.Chtimes(to, st.ModTime(), st.ModTime())
}
