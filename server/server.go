package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"path/filepath"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/klauspost/compress/gzhttp"

	"pixano/dataset"
	"pixano/inference"
	"pixano/search"
)

// Options are the options of [New]. Nil and the zero value are the defaults.
type Options struct {
	// MediaDir is the directory that the urls of views start from. "": each dataset's own directory "media".
	MediaDir string

	// MediaRoots are further directories of media by name, see [dataset.Options].
	MediaRoots map[string]string

	// ModelsDir is the directory of the models that run in the browser. "": there are none.
	ModelsDir string

	// UI holds this project's web interface, served under /app/. Nil: there is none.
	UI fs.FS

	// ReferenceUI is a directory with the web interface of the reference implementation, which is then served at /.
	ReferenceUI string

	// Prefix is put before paths in pages and redirects, for a proxy that serves this server under a path of its own, which it
	// takes away. "": none.
	Prefix string

	// CORS are the origins whose pages may read and write, such as "https://example.org"; "*" stands for any. Nil: none
	// but this server's own.
	CORS []string

	// Hosts are the names under which the server is reached, besides addresses and localhost. "*" stands for any.
	Hosts []string

	// ReadOnly refuses every change.
	ReadOnly bool

	// MaxBody bounds the body of a request, in bytes. 0: 64 MiB.
	MaxBody int64

	// Idle is how long a dataset stays open that nobody asks for. 0: ten minutes.
	Idle time.Duration

	// Workers is how many images are decoded at the same time. 0: as many as there are processors.
	Workers int

	// ImageCache bounds the memory for reduced images, in bytes. 0: 128 MiB.
	ImageCache int

	// ImageDir is a directory where reduced images are kept, of ImageDisk bytes at most (0: 1 GiB), so that they need not be
	// made again after a start. Several servers may share it. "": they are kept in memory only.
	ImageDir  string
	ImageDisk int64

	// Models gives the model that computed the vectors of a table, for searches by text; it should keep what is costly to
	// make. Nil: there is no search by text.
	Models func(ctx context.Context, f search.Function) (search.Embedder, error)

	// Inference are the connections to model servers, and what they can be made to. Nil: there are none, and none can be
	// made. The server does not close it.
	Inference *inference.Registry

	// ExchangeDir is the directory whose folders clients may name as sources of imports, and in which exports are made.
	// "": there are no imports and exports.
	ExchangeDir string

	// Log receives failures, and with level debug each request. Nil: [slog.Default].
	Log *slog.Logger
}

func (o Options) withDefaults() Options {
	o.MaxBody = cmp.Or(o.MaxBody, 64<<20)
	o.Idle = cmp.Or(o.Idle, 10*time.Minute)
	o.ImageCache = cmp.Or(o.ImageCache, 128<<20)
	o.ImageDisk = cmp.Or(o.ImageDisk, 1<<30)
	o.Log = cmp.Or(o.Log, slog.Default())
	return o
}

// Server answers requests for a library. It is safe for concurrent use.
type Server struct {
	opts     Options
	library  *dataset.Library
	log      *slog.Logger
	pool     *pool
	router   router
	api      huma.API
	handler  http.Handler
	previews previews
	images   *images
	disk     *diskCache
	lists    *memo[*idList]

	projections *memo[[]byte]

	events   *events
	jobs     *jobs
	measures *measures
}

// listCache bounds the memory for lists of ids, in bytes.
const listCache = 256 << 20

// New returns a handler that serves the datasets of a library. An error is one of the options, or of the web interface
// that they name. Close it after the last request.
func New(library *dataset.Library, opts *Options) (*Server, error) {
	if opts == nil {
		opts = &Options{}
	}
	s := &Server{opts: opts.withDefaults(), library: library, previews: previews{kept: map[string]preview{}}, events: newEvents(), measures: newMeasures()}
	s.log = s.opts.Log
	s.jobs = newJobs(s.log)
	for name, dir := range s.opts.MediaRoots {
		if name == "" || name != filepath.Base(name) {
			return nil, fmt.Errorf("media root %q: want the name of one folder for %s", name, dir)
		}
	}
	s.images = newImages(s.opts.Workers, s.opts.ImageCache)
	s.disk = newDiskCache(s.opts.ImageDir, s.opts.ImageDisk, s.log)
	s.lists = newMemo(listCache, (*idList).cost)
	s.projections = newMemo(projectionCache, func(body []byte) int { return len(body) })
	s.router.otherwise = noRoute
	s.routeRows()
	s.routeDatasets()
	s.routeBrowser()
	s.routeMedia()
	s.routeInference()
	if err := s.routePages(); err != nil {
		return nil, err
	}
	s.routeAPI()
	s.routeDocs()
	s.refer("GET", "/metrics", s.serveMetrics)
	s.routeManual()
	compress, err := gzhttp.NewWrapper(gzhttp.MinSize(500), gzhttp.CompressionLevel(1), gzhttp.ContentTypeFilter(compressible), gzhttp.EnableZstd(true))
	if err != nil {
		return nil, err
	}
	s.handler = s.logged(s.guarded(compress(&s.router)))
	s.pool = newPool(library, dataset.Options{MediaDir: s.opts.MediaDir, MediaRoots: s.opts.MediaRoots, ReadOnly: s.opts.ReadOnly}, s.opts.Idle)
	return s, nil
}

// EndStreams ends the streams of events, which otherwise last as long as their clients, so that an http.Server can be
// shut down.
func (s *Server) EndStreams() { s.events.close() }

// Close ends the streams of events, cancels all jobs and closes all datasets.
func (s *Server) Close() error {
	s.events.end()
	s.jobs.end()
	return s.pool.close()
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// refer adds a route that answers errors as the reference does.
func (s *Server) refer(method, path string, handle func(w http.ResponseWriter, r *http.Request) error) {
	s.router.HandleFunc(method+" "+path, s.reference(handle))
}

// noRoute answers a request without a route.
func noRoute(w http.ResponseWriter, _ *http.Request, allow []string) {
	code := http.StatusNotFound
	if len(allow) > 0 {
		code = http.StatusMethodNotAllowed
		for _, method := range allow {
			w.Header().Add("Allow", method)
		}
	}
	writeJSON(w, code, map[string]string{"detail": http.StatusText(code)})
}

// dataset returns the dataset that a path names, open until release is called. It has the item layout.
func (s *Server) dataset(r *http.Request) (ds *dataset.Dataset, release func(), err error) {
	if ds, release, err = s.anyDataset(r); err != nil {
		return nil, nil, err
	}
	if ds.Schema() == nil {
		release()
		return nil, nil, badRequest("the dataset has the layout of Pixano 0.7 and 0.8, which this route does not serve")
	}
	return ds, release, nil
}

// anyDataset is dataset for any layout.
func (s *Server) anyDataset(r *http.Request) (ds *dataset.Dataset, release func(), err error) {
	key := r.PathValue("dataset")
	ds, release, err = s.pool.get(r.Context(), key)
	if errors.Is(err, dataset.ErrNotFound) {
		err = notFound("dataset %q: %v", key, err)
	}
	return ds, release, err
}
