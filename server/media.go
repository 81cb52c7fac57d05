package server

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"pixano/dataset"
)

func (s *Server) routeMedia() {
	s.both("/media/{path...}", s.serveMedia)
	s.both("/dataset_media/{dataset}/{path...}", s.serveDatasetMedia)
	s.both("/app_models/{path...}", s.serveModel)
	s.refer("GET", "/models", s.listModels)
	s.refer("GET", "/models/{name}", s.getModel)
	s.both("/thumbnail/{url...}", s.thumbnail)
}

// both adds a route for GET and HEAD.
func (s *Server) both(path string, handle func(w http.ResponseWriter, r *http.Request) error) {
	s.refer("GET", path, handle)
	s.refer("HEAD", path, handle)
}

// mediaAge is how long a client may use a file without asking again.
const mediaAge = 24 * time.Hour

// openMedia opens a file of the media directory by the url of a view. Where each dataset has a directory of its own, it
// is that of the dataset named, or of the only one that has such a file.
func (s *Server) openMedia(ctx context.Context, key, url string) (*dataset.Media, error) {
	if key != "" {
		ds, release, err := s.pool.get(ctx, key)
		if err != nil {
			return nil, err
		}
		defer release()
		return ds.OpenMedia(url)
	}
	if s.opts.MediaDir != "" {
		return dataset.OpenMediaIn(s.opts.MediaDir, s.opts.MediaRoots, url)
	}
	paths, err := s.library.Directories(ctx)
	if err != nil {
		return nil, err
	}
	var found *dataset.Media
	for _, dir := range paths {
		file, err := dataset.OpenMediaIn(path.Join(dir, "media"), s.opts.MediaRoots, url)
		if errors.Is(err, dataset.ErrNotFound) {
			continue
		}
		if found != nil {
			found.Close()
			if err == nil {
				file.Close()
			}
			return nil, notFound("several datasets have a file of this name: want /dataset_media/DATASET/PATH")
		}
		if err != nil {
			return nil, err
		}
		found = file
	}
	if found == nil {
		return nil, notFound("no dataset has a file of this name")
	}
	return found, nil
}

// place tells files of the same name apart.
func place(key, url string) string { return key + "/" + url }

func (s *Server) serveMedia(w http.ResponseWriter, r *http.Request) error {
	return s.serveMediaOf(w, r, "")
}

func (s *Server) serveDatasetMedia(w http.ResponseWriter, r *http.Request) error {
	return s.serveMediaOf(w, r, r.PathValue("dataset"))
}

func (s *Server) serveMediaOf(w http.ResponseWriter, r *http.Request, key string) error {
	q, err := queryOf(r)
	if err != nil {
		return err
	}
	width := q.atLeast("w", 1, 1)
	if depth := q.integer("depth", 16); depth != 16 {
		text, _ := q.text("depth")
		q.wrong("literal_error", "depth", "want 16", text, nil)
	}
	if err := q.err(); err != nil {
		return err
	}
	file, err := s.openMedia(r.Context(), key, r.PathValue("path"))
	if err != nil {
		return hidden(err)
	}
	defer file.Close()
	if q.has("depth") {
		return s.serveSamples(w, r, place(key, r.PathValue("path")), file)
	}
	if q.has("w") {
		return s.serveReduced(w, r, place(key, r.PathValue("path")), file, reduceTo(width), maxEdge)
	}
	serveFile(w, r, place(key, r.PathValue("path")), file)
	return nil
}

// hidden answers what must not be read as what is not there.
func hidden(err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, dataset.ErrUnsupported) {
		return notFound("no such file")
	}
	return err
}

// serveFile answers with a file, or the parts asked for, if the client does not have it.
func serveFile(w http.ResponseWriter, r *http.Request, place string, file *dataset.Media) {
	contentType := cmp.Or(file.ContentType, mime.TypeByExtension(path.Ext(file.Name)), "application/octet-stream")
	// A page or a script among the media must not run as one of this server's.
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:")
	h.Set("Etag", etag(place, file, ""))
	h.Set("Cache-Control", fmt.Sprintf("private, max-age=%d", int(mediaAge.Seconds())))
	http.ServeContent(w, r, "", file.ModTime, file)
}

// etag names the content of a file, as far as time and size tell: place is where it was found, variant what was made of
// it.
func etag(place string, file *dataset.Media, variant string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %d %d %s", place, file.Name, file.Size, file.ModTime.UnixNano(), variant))
	return fmt.Sprintf(`"%x"`, sum[:12])
}

// widths are those that images are reduced to, in pixels: a few, so that the cache is of use.
var widths = []int{64, 128, 256, 320, 480, 512, 640, 768, 960, 1024, 1280, 1600, 1920, 2048, 2560, 3840}

const maxEdge = 16384 // pixels: of what a reduced image is high

// reduceTo returns the least of the widths that is not below the one asked for.
func reduceTo(width int) int {
	i, _ := slices.BinarySearch(widths, width)
	return widths[min(i, len(widths)-1)]
}

// serveReduced answers with an image made to fit into a frame.
func (s *Server) serveReduced(w http.ResponseWriter, r *http.Request, place string, file *dataset.Media, width, height int) error {
	h := w.Header()
	if unchanged(w, r, etag(place, file, fmt.Sprintf("%dx%d", width, height))) {
		return nil
	}
	img, err := s.reduce(r.Context(), place, file, width, height)
	if err != nil {
		h.Del("Etag")
		h.Del("Cache-Control")
		return err
	}
	h.Set("Content-Type", img.contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", file.ModTime, bytes.NewReader(img.content))
	return nil
}

// unchanged writes the headers of what was made of a file, and answers if the client has it.
func unchanged(w http.ResponseWriter, r *http.Request, tag string) bool {
	h := w.Header()
	h.Set("Etag", tag)
	h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(mediaAge.Seconds())))
	if !slices.Contains(strings.Split(strings.ReplaceAll(r.Header.Get("If-None-Match"), " ", ""), ","), tag) {
		return false
	}
	w.WriteHeader(http.StatusNotModified)
	return true
}

const defaultThumbnail = 128 // pixels

func (s *Server) thumbnail(w http.ResponseWriter, r *http.Request) error {
	q, err := queryOf(r)
	if err != nil {
		return err
	}
	size := q.atLeast("max_size", defaultThumbnail, 1)
	if err := q.err(); err != nil {
		return err
	}
	encoded := strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(r.PathValue("url")), "=")
	name, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return badRequest("want the url of a view in base64")
	}
	key, _ := q.text("dataset")
	file, err := s.openMedia(r.Context(), key, string(name))
	if err != nil {
		return hidden(err)
	}
	defer file.Close()
	size = min(size, widths[len(widths)-1])
	return s.serveReduced(w, r, place(key, string(name)), file, size, size)
}

// openModel opens a file of the models directory.
func (s *Server) openModel(name string) (*dataset.Media, error) {
	if s.opts.ModelsDir == "" {
		return nil, notFound("there is no directory of models")
	}
	file, err := dataset.OpenMediaIn(s.opts.ModelsDir, nil, name)
	if err != nil {
		return nil, notFound("no such model")
	}
	return file, nil
}

func (s *Server) serveModel(w http.ResponseWriter, r *http.Request) error {
	file, err := s.openModel(r.PathValue("path"))
	if err != nil {
		return err
	}
	defer file.Close()
	serveFile(w, r, "model/"+r.PathValue("path"), file)
	return nil
}

func (s *Server) listModels(w http.ResponseWriter, _ *http.Request) error {
	names := []string{}
	if s.opts.ModelsDir != "" {
		entries, err := os.ReadDir(s.opts.ModelsDir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			if name, ok := strings.CutSuffix(e.Name(), ".onnx"); ok && name != "" {
				names = append(names, name)
			}
		}
	}
	writeJSON(w, http.StatusOK, names)
	return nil
}

func (s *Server) getModel(w http.ResponseWriter, r *http.Request) error {
	file, err := s.openModel(r.PathValue("name") + ".onnx")
	if err != nil {
		return err
	}
	defer file.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", fmt.Sprint(file.Size))
	_, _ = io.Copy(w, file)
	return nil
}
