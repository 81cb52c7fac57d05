package exchange

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// MediaMode says what a run does with media files.
type MediaMode string

const (
	MediaCopy MediaMode = "copy" // they are copied
	MediaLink MediaMode = "link" // they become hard links or, on another file system, copies
	MediaKeep MediaMode = "keep" // they stay where they are, in the media directory or one of its roots
	MediaNone MediaMode = "none" // exports only: no files, only their urls
)

// stagedMedia is the directory where an import gathers media before they are put in place.
func stagedMedia(mediaDir, folder string) string {
	return filepath.Join(mediaDir, ".pixano", "imports", folder)
}

// finishPlacing puts staged media in the place of a folder of media.
func finishPlacing(mediaDir, folder string) error {
	staged, target := stagedMedia(mediaDir, folder), filepath.Join(mediaDir, folder)
	if _, err := os.Stat(staged); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	old := staged + ".old"
	if err := os.RemoveAll(old); err != nil {
		return err
	}
	if err := os.Rename(target, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	fault("old away")
	if err := os.Rename(staged, target); err != nil {
		return err
	}
	fault("new there")
	return os.RemoveAll(old)
}

// takeBack makes a folder of media that an import had put in place its stage again.
func takeBack(mediaDir, folder string) error {
	staged, target := stagedMedia(mediaDir, folder), filepath.Join(mediaDir, folder)
	if _, err := os.Stat(target); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.RemoveAll(staged); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(staged), 0o755); err != nil {
		return err
	}
	return os.Rename(target, staged)
}

// mediaTaker brings media files into the media directory.
type mediaTaker struct {
	in     *Input
	stage  string // where they are gathered
	target string // their folder in the media directory
	base   string // with MediaKeep: what urls begin with
	plan   bool   // nothing is to be written

	mu    sync.Mutex
	taken map[string]string // names to urls
	dirs  map[string]bool   // that were made
	count MediaCount
	added []string // put in place beside others, to be removed on failure
}

func newMediaTaker(in *Input, state *importState, plan bool) (*mediaTaker, error) {
	o := in.opts
	m := &mediaTaker{in: in, plan: plan, taken: map[string]string{}, dirs: map[string]bool{}, count: MediaCount{Mode: o.Media}}
	if st, err := os.Stat(o.MediaDir); err != nil {
		return nil, noFile(err, o.MediaDir)
	} else if !st.IsDir() {
		return nil, fmt.Errorf("%s: not a directory: want the media directory", o.MediaDir)
	}
	if o.Media == MediaKeep {
		return m, m.findBase()
	}
	m.stage, m.target = stagedMedia(o.MediaDir, o.Folder), filepath.Join(o.MediaDir, o.Folder)
	inside, err := within(m.target, in.images.Name())
	if err == nil && !inside {
		inside, err = within(in.images.Name(), m.target)
	}
	if err != nil {
		return nil, err
	}
	if inside {
		return nil, fmt.Errorf("the source lies where its media would go, in %s: want media keep", m.target)
	}
	if _, err := os.Stat(m.target); err == nil && o.Mode == "create" && !state.Placed {
		return nil, fmt.Errorf("%s is there already: %w (mode overwrite replaces it, add adds to it)", m.target, fs.ErrExist)
	}
	return m, nil
}

// within reports whether a path is a directory or lies in it, links resolved.
func within(dir, path string) (bool, error) {
	resolve := func(p string) (string, error) {
		p, err := filepath.Abs(p)
		if err != nil {
			return "", err
		}
		if r, err := filepath.EvalSymlinks(p); err == nil {
			return r, nil
		}
		return p, nil
	}
	d, err := resolve(dir)
	if err != nil {
		return false, err
	}
	p, err := resolve(path)
	if err != nil {
		return false, err
	}
	rel, err := filepath.Rel(d, p)
	return err == nil && filepath.IsLocal(rel), nil
}

// findBase finds the url of the directory of media that stay where they are.
func (m *mediaTaker) findBase() error {
	o, dir := m.in.opts, m.in.images.Name()
	abs := func(p string) string {
		if a, err := filepath.Abs(p); err == nil {
			p = a
		}
		if r, err := filepath.EvalSymlinks(p); err == nil {
			p = r
		}
		return p
	}
	roots := map[string]string{"": o.MediaDir}
	for name, root := range o.MediaRoots {
		roots[name] = root
	}
	for name, root := range roots {
		if rel, err := filepath.Rel(abs(root), abs(dir)); err == nil && filepath.IsLocal(rel) {
			m.base = path.Join(name, filepath.ToSlash(rel))
			if m.base == "." {
				m.base = ""
			}
			return nil
		}
	}
	return fmt.Errorf("media of %s cannot be kept there: it lies in neither the media directory %s nor a media root: "+
		"name it as one, or copy or link them", dir, o.MediaDir)
}

var scheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]+:`)

// IsURL reports whether a name of a media file is a URL with a scheme, such as https: or data:. Those are kept as they
// are: nothing is fetched.
func IsURL(name string) bool { return scheme.MatchString(name) }

// ErrMedia is what errors about media files of a source match: missing, unreadable, or outside of the source.
var ErrMedia = errors.New("media file")

// mediaError is an error about a media file. It matches ErrMedia.
type mediaError struct {
	name string
	err  error
}

func (e *mediaError) Error() string        { return fmt.Sprintf("media file %q: %v", e.name, e.err) }
func (e *mediaError) Unwrap() error        { return e.err }
func (e *mediaError) Is(target error) bool { return target == ErrMedia }

// CheckMediaName brings the name of a media file, as a source gives it, into a clean form relative to the source.
func CheckMediaName(name string) (string, error) {
	fail := func(text string) (string, error) { return "", &mediaError{name, errors.New(text)} }
	clean := strings.TrimPrefix(path.Clean(strings.ReplaceAll(name, `\`, "/")), "./")
	switch {
	case name == "":
		return fail("the name is empty")
	case !utf8.ValidString(name):
		return fail("the name is not UTF-8: want the file renamed")
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fail("the name has control characters: want the file renamed")
	case path.IsAbs(clean), !filepath.IsLocal(filepath.FromSlash(clean)):
		return fail("leads out of the source")
	}
	return clean, nil
}

// Stat looks for a media file by its name, relative to the directory of the source's media. The error matches ErrMedia.
func (in *Input) Stat(name string) (fs.FileInfo, error) {
	clean, err := CheckMediaName(name)
	if err != nil {
		return nil, err
	}
	st, err := in.images.Stat(filepath.FromSlash(clean))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &mediaError{name, absent("no such file in " + in.images.Name())}
	case err != nil:
		return nil, &mediaError{name, outside(err)}
	case !st.Mode().IsRegular():
		return nil, &mediaError{name, errors.New(map[bool]string{true: "a folder: want a file", false: "not a regular file"}[st.IsDir()])}
	}
	return st, nil
}

// outside names the one error of os.Root that says little.
func outside(err error) error {
	if strings.Contains(err.Error(), "escapes") {
		return errors.New("leads out of the source")
	}
	return err
}

// Media takes a media file into the dataset, by its name relative to the directory of the source's media, and returns its
// url. The error matches ErrMedia if the file is to blame.
func (in *Input) Media(name string) (url string, err error) {
	clean, err := CheckMediaName(name)
	if err != nil {
		return "", err
	}
	m := in.media
	m.mu.Lock()
	url, ok := m.taken[clean]
	m.mu.Unlock()
	if ok {
		return url, nil
	}
	st, err := in.Stat(clean)
	if err != nil {
		return "", err
	}
	if url, err = m.take(clean, st); err != nil {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.taken[clean] = url
	m.count.Files++
	m.count.Bytes += st.Size()
	return url, nil
}

func (m *mediaTaker) take(name string, st fs.FileInfo) (string, error) {
	if m.in.opts.Media == MediaKeep {
		return path.Join(m.base, name), nil
	}
	url := path.Join(m.in.opts.Folder, name)
	if m.plan {
		return url, nil
	}
	to := filepath.Join(m.stage, filepath.FromSlash(name))
	if err := m.makeDir(filepath.Dir(to)); err != nil {
		return "", err
	}
	if have, err := os.Stat(to); err == nil && have.Size() == st.Size() && (os.SameFile(have, st) || !have.ModTime().Before(st.ModTime())) {
		return url, nil // from the run before
	}
	err := m.bring(name, to)
	fault("brought")
	return url, err
}

func (m *mediaTaker) makeDir(dir string) error {
	m.mu.Lock()
	made := m.dirs[dir]
	m.mu.Unlock()
	if made {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dirs[dir] = true
	return nil
}

// bring copies or links a file of the source.
func (m *mediaTaker) bring(name, to string) error {
	if m.in.opts.Media == MediaLink {
		if err := m.link(name, to); err == nil {
			return nil
		} // on another file system, or none that has links
	}
	from, err := m.in.images.Open(filepath.FromSlash(name))
	if err != nil {
		return &mediaError{name, outside(err)}
	}
	defer from.Close()
	return copyFile(from, to)
}

// link makes a hard link to a regular file of the source, but not to a symbolic link.
func (m *mediaTaker) link(name, to string) error {
	st, err := m.in.images.Lstat(filepath.FromSlash(name))
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Link(filepath.Join(m.in.images.Name(), filepath.FromSlash(name)), to)
}

// copyFile writes a file that is whole or not there.
func copyFile(from io.Reader, to string) error {
	part := to + ".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(part, to)
	}
	if err != nil {
		os.Remove(part)
	}
	return err
}

// WriteMedia stores a media file that the import makes, such as a mosaic, under a name relative to the source, and returns
// its url. In a plan nothing is stored. Where media are kept in place it is an error.
func (in *Input) WriteMedia(name string, content []byte) (string, error) {
	clean, err := CheckMediaName(name)
	if err != nil {
		return "", err
	}
	m := in.media
	if in.opts.Media == MediaKeep {
		return "", &mediaError{name, errors.New("has to be made, which media keep does not allow: want copy or link")}
	}
	if !m.plan {
		to := filepath.Join(m.stage, filepath.FromSlash(clean))
		if err := m.makeDir(filepath.Dir(to)); err != nil {
			return "", err
		}
		if err := copyFile(strings.NewReader(string(content)), to); err != nil {
			return "", err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count.Files++
	m.count.Bytes += int64(len(content))
	return path.Join(in.opts.Folder, clean), nil
}

// OpenMedia opens a media file of the source by its name.
func (in *Input) OpenMedia(name string) (*os.File, error) {
	clean, err := CheckMediaName(name)
	if err != nil {
		return nil, err
	}
	f, err := in.images.Open(filepath.FromSlash(clean))
	if err != nil {
		return nil, &mediaError{name, outside(err)}
	}
	if st, err := f.Stat(); err == nil && st.IsDir() {
		f.Close()
		return nil, &mediaError{name, errors.New("a folder: want a file")}
	}
	return f, nil
}

// HasMedia reports whether there is a media file of a name.
func (in *Input) HasMedia(name string) bool {
	_, err := in.Stat(name)
	return err == nil
}

// place puts the staged files in place: as a whole folder, or beside those that are there.
func (m *mediaTaker) place() error {
	if m.stage == "" {
		return nil
	}
	if _, err := os.Stat(m.stage); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if _, err := os.Stat(m.target); errors.Is(err, fs.ErrNotExist) {
		return os.Rename(m.stage, m.target)
	}
	var names []string
	err := fs.WalkDir(os.DirFS(m.stage), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			names = append(names, filepath.FromSlash(name))
		}
		return err
	})
	if err != nil {
		return err
	}
	// All are looked at before the first is moved.
	var fresh []string
	for _, name := range names {
		same, err := sameContent(filepath.Join(m.stage, name), filepath.Join(m.target, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			fresh = append(fresh, name)
		case err != nil:
			return err
		case !same:
			return fmt.Errorf("%s is there already, with another content: want another name for the new file", filepath.Join(m.target, name))
		}
	}
	for _, name := range fresh {
		to := filepath.Join(m.target, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(m.stage, name), to); err != nil {
			return err
		}
		fault("moved")
		m.added = append(m.added, name)
	}
	return os.RemoveAll(m.stage)
}

// takeBack undoes place.
func (m *mediaTaker) takeBack() error {
	if m.stage == "" {
		return nil
	}
	if m.in.opts.Mode != "add" {
		return takeBack(m.in.opts.MediaDir, m.in.opts.Folder)
	}
	for _, name := range slices.Backward(m.added) {
		if err := os.Remove(filepath.Join(m.target, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	m.added = nil
	return nil
}

// sameContent compares two files. The error matches fs.ErrNotExist if the second is not there.
func sameContent(a, b string) (bool, error) {
	g, err := os.Open(b)
	if err != nil {
		return false, err
	}
	defer g.Close()
	f, err := os.Open(a)
	if err != nil {
		return false, err
	}
	defer f.Close()
	sf, err := f.Stat()
	if err != nil {
		return false, err
	}
	sg, err := g.Stat()
	if err != nil || !sg.Mode().IsRegular() || sf.Size() != sg.Size() {
		return false, err
	}
	if os.SameFile(sf, sg) {
		return true, nil
	}
	x, y := make([]byte, 1<<16), make([]byte, 1<<16)
	for {
		n, err := io.ReadFull(f, x)
		m, _ := io.ReadFull(g, y)
		if string(x[:n]) != string(y[:m]) {
			return false, nil
		}
		if err != nil {
			return true, nil
		}
	}
}

func (m *mediaTaker) counted() MediaCount {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.count
}

func (m *mediaTaker) close() error { return nil }
