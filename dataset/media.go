package dataset

import (
	"cmp"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// maxDataURL bounds the content of a data URL, in bytes.
const maxDataURL = 64 << 20

// Media is an open media file, or the content of a data URL. The caller closes it.
type Media struct {
	io.ReadSeekCloser
	Name        string    // of the file, without its directory; "" for a data URL
	ContentType string    // as the data URL says; "" for a file
	Size        int64     // in bytes
	ModTime     time.Time // of the file; zero for a data URL
}

// OpenMedia opens the file that a view's url names.
//
// A url is a path relative to the media directory, whose leading slashes are ignored; "NAME/…" for a root of that name
// in [Options.MediaRoots]; an absolute path or a file: URL that lies in the media directory or a root; or a data: URL.
// No path and no symbolic link leads out of the media directory or root: that matches [fs.ErrPermission]. A missing file
// and a directory are ErrNotFound. Other URLs, such as those of http, are ErrUnsupported: nothing is fetched.
func (d *Dataset) OpenMedia(url string) (*Media, error) {
	return OpenMediaIn(d.media, d.opts.MediaRoots, url)
}

// OpenMediaIn is [Dataset.OpenMedia] with a media directory and roots of no dataset.
func OpenMediaIn(dir string, roots map[string]string, url string) (*Media, error) {
	m, err := mediaDirs{dir, roots}.open(url)
	if err != nil {
		return nil, at("open media "+shortURL(url), "", err)
	}
	return m, nil
}

// mediaDirs are the directories that media may lie in.
type mediaDirs struct {
	media string
	roots map[string]string
}

// shortURL is a url as an error may show it.
func shortURL(url string) string {
	const shown = 200
	if len(url) > shown {
		url = url[:shown] + "…"
	}
	return quoted(strings.ToValidUTF8(url, "�"))
}

func (d mediaDirs) open(ref string) (*Media, error) {
	scheme, rest, ok := strings.Cut(ref, ":")
	switch scheme = strings.ToLower(scheme); {
	case ok && scheme == "data":
		return openDataURL(rest)
	case ok && scheme == "file":
		path, err := filePath(ref)
		if err != nil {
			return nil, err
		}
		return d.openAbsolute(path)
	case ok && strings.HasPrefix(rest, "//"):
		return nil, &kindError{ErrUnsupported, "remote media are not fetched: want a file of the media directory", nil}
	}
	if filepath.IsAbs(ref) {
		if m, err := d.openAbsolute(ref); !errors.Is(err, fs.ErrPermission) {
			return m, err
		}
	}
	path := strings.TrimLeft(ref, "/")
	if name, rest, ok := strings.Cut(path, "/"); ok {
		if dir, ok := d.roots[name]; ok {
			return openIn(dir, strings.TrimLeft(rest, "/"))
		}
	}
	return openIn(d.media, path)
}

// filePath returns the path of a file: URL.
func filePath(ref string) (string, error) {
	u, err := url.Parse(ref)
	if err != nil || u.Path == "" || u.Host != "" && u.Host != "localhost" {
		return "", &kindError{ErrUnsupported, "want file:///PATH", err}
	}
	path := u.Path
	if filepath.Separator == '\\' {
		path = strings.TrimPrefix(path, "/") // file:///C:/media
	}
	return filepath.FromSlash(path), nil
}

// openAbsolute opens a file by its path if that lies in the media directory or a root.
func (d mediaDirs) openAbsolute(path string) (*Media, error) {
	dirs := []string{d.media}
	for _, dir := range d.roots {
		dirs = append(dirs, dir)
	}
	for _, dir := range dirs {
		dir, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		if name, err := filepath.Rel(dir, path); err == nil && filepath.IsLocal(name) {
			return openIn(dir, name)
		}
	}
	return nil, errOutside
}

var errOutside = &kindError{fs.ErrPermission, "leads out of the media directory", nil}

// openIn opens a regular file by its path in a directory.
func openIn(dir, name string) (*Media, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, mediaError(err)
	}
	defer root.Close()
	name = filepath.FromSlash(name)
	// Looking first, since opening a pipe waits for its writer.
	st, err := root.Stat(cmp.Or(name, "."))
	if err != nil {
		return nil, mediaError(err)
	}
	if !st.Mode().IsRegular() {
		return nil, &kindError{ErrNotFound, "not a file", nil}
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, mediaError(err)
	}
	if st, err = f.Stat(); err != nil {
		f.Close()
		return nil, mediaError(err)
	}
	return &Media{ReadSeekCloser: f, Name: filepath.Base(name), Size: st.Size(), ModTime: st.ModTime()}, nil
}

// mediaError is the error of opening a file below a directory. That a path leads out of it is the one that the system
// does not report.
func mediaError(err error) error {
	var errno syscall.Errno
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &kindError{ErrNotFound, "no such file", fs.ErrNotExist}
	case !errors.As(err, &errno):
		return errOutside
	case errors.Is(err, fs.ErrPermission):
		return fileError(err)
	}
	return &kindError{ErrNotFound, "no such file: " + errno.Error(), err} // a name too long, a file taken for a directory
}

// openDataURL decodes what stands behind "data:".
func openDataURL(rest string) (*Media, error) {
	head, data, ok := strings.Cut(rest, ",")
	if !ok {
		return nil, schemaError("a data URL without a comma")
	}
	if len(data) > 2*maxDataURL {
		return nil, schemaError("a data URL of %d bytes: want at most %d of content", len(data), maxDataURL)
	}
	content, err := url.PathUnescape(data)
	if err != nil {
		return nil, schemaError("data URL: %v", err)
	}
	kind, isBase64 := strings.CutSuffix(head, ";base64")
	if isBase64 {
		encoding := base64.StdEncoding
		if strings.ContainsAny(content, "-_") {
			encoding = base64.URLEncoding
		}
		raw, err := encoding.WithPadding(base64.NoPadding).DecodeString(strings.TrimRight(content, "="))
		if err != nil {
			return nil, schemaError("data URL: %v", err)
		}
		content = string(raw)
	}
	if len(content) > maxDataURL {
		return nil, schemaError("a data URL of %d bytes: want at most %d", len(content), maxDataURL)
	}
	if kind == "" || strings.HasPrefix(kind, ";") {
		kind = "text/plain" + kind
	}
	return &Media{ReadSeekCloser: inMemory{strings.NewReader(content)}, ContentType: kind, Size: int64(len(content))}, nil
}

// inMemory is an open file in memory.
type inMemory struct{ *strings.Reader }

func (inMemory) Close() error { return nil }
