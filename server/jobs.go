package server

import (
	"archive/zip"
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"pixano/dataset"
	"pixano/dataset/exchange"
	"pixano/dataset/formats"
	"pixano/features"
	"pixano/search"
)

// Job is work that goes on after the request that began it: an import, an export, the making of an index.
type Job struct {
	ID       string       `json:"id"`
	Kind     string       `json:"kind" enum:"import,export,index,optimize,embed,detect,segment"`
	Dataset  string       `json:"dataset"`
	State    string       `json:"state" enum:"running,done,failed,cancelled"`
	Started  time.Time    `json:"started"`
	Ended    *time.Time   `json:"ended,omitempty"`
	Progress *JobProgress `json:"progress,omitempty"`
	Result   any          `json:"result,omitempty" doc:"what it did, once it is done"`
	Error    string       `json:"error,omitempty"`
	File     string       `json:"file,omitempty" doc:"the path of what an export made, to be fetched as a zip"`
}

// JobProgress is how far a job is.
type JobProgress struct {
	Step  string `json:"step" doc:"what is being done"`
	Items int64  `json:"items,omitempty"`
	Rows  int64  `json:"rows,omitempty"`
	Files int64  `json:"files,omitempty" doc:"of media"`
	Bytes int64  `json:"bytes,omitempty"`
	Total int64  `json:"total,omitempty" doc:"items that there will be; 0: not known"`
}

func exchanged(p exchange.Progress) JobProgress {
	return JobProgress{Step: p.Step, Items: p.Items, Rows: p.Rows, Files: p.Media, Total: p.Total}
}

// jobs runs and remembers jobs.
type jobs struct {
	log     *slog.Logger
	mu      sync.Mutex
	all     map[string]*running
	closing context.Context
	close   context.CancelFunc
	wait    sync.WaitGroup
}

type running struct {
	Job
	cancel context.CancelFunc
	dir    string // what an export made
}

const (
	keptJobs     = 100 // that ended
	runningJobs  = 4   // at the same time
	exportPrefix = "export-"
)

func newJobs(log *slog.Logger) *jobs {
	ctx, cancel := context.WithCancel(context.Background())
	return &jobs{log: log, all: map[string]*running{}, closing: ctx, close: cancel}
}

// end cancels all jobs and waits for them.
func (j *jobs) end() {
	j.close()
	j.wait.Wait()
}

// states counts the jobs that are remembered by their states.
func (j *jobs) states() map[string]int {
	j.mu.Lock()
	defer j.mu.Unlock()
	states := map[string]int{"running": 0, "done": 0, "failed": 0, "cancelled": 0}
	for _, r := range j.all {
		states[r.State]++
	}
	return states
}

// start begins a job. do gets a function that takes its progress.
func (j *jobs) start(kind, ds string, do func(ctx context.Context, r *running, progress func(JobProgress)) (any, error)) (Job, error) {
	ctx, cancel := context.WithCancel(j.closing)
	r := &running{Job: Job{ID: features.NewShortUUID(), Kind: kind, Dataset: ds, State: "running", Started: time.Now().UTC()}, cancel: cancel}
	j.mu.Lock()
	defer j.mu.Unlock()
	active := 0
	for _, other := range j.all {
		if other.State == "running" {
			active++
		}
	}
	if active >= runningJobs || ctx.Err() != nil {
		cancel()
		return Job{}, &statusError{http.StatusTooManyRequests, "too many jobs are running"}
	}
	j.all[r.ID] = r
	j.forget()
	j.wait.Go(func() {
		defer cancel()
		result, err := j.run(ctx, r, do)
		j.mu.Lock()
		defer j.mu.Unlock()
		now := time.Now().UTC()
		r.Ended, r.Result = &now, result
		switch {
		case err == nil:
			r.State = "done"
		case errors.Is(err, context.Canceled):
			r.State, r.Result = "cancelled", nil
		default:
			r.State, r.Result, r.Error = "failed", nil, err.Error()
		}
	})
	return r.Job, nil
}

// run does the work of a job. A panic is an error of the job: the server goes on.
func (j *jobs) run(ctx context.Context, r *running, do func(ctx context.Context, r *running, progress func(JobProgress)) (any, error)) (result any, err error) {
	defer caught(j.log, &err)
	return do(ctx, r, func(p JobProgress) {
		j.mu.Lock()
		defer j.mu.Unlock()
		r.Progress = &p
	})
}

// forget drops the oldest jobs that have ended. The caller holds the mutex.
func (j *jobs) forget() {
	var ended []*running
	for _, r := range j.all {
		if r.State != "running" {
			ended = append(ended, r)
		}
	}
	slices.SortFunc(ended, func(a, b *running) int { return a.Ended.Compare(*b.Ended) })
	for _, r := range ended[:max(0, len(ended)-keptJobs)] {
		delete(j.all, r.ID)
	}
}

func (j *jobs) get(id string) (Job, *running, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := j.all[id]
	if r == nil {
		return Job{}, nil, notFound("there is no job %q", id)
	}
	return r.Job, r, nil
}

func (j *jobs) list() []Job {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := []Job{}
	for _, r := range j.all {
		list = append(list, r.Job)
	}
	slices.SortFunc(list, func(a, b Job) int { return cmp.Or(b.Started.Compare(a.Started), cmp.Compare(a.ID, b.ID)) })
	return list
}

// JobPath names a job.
type JobPath struct {
	ID string `path:"id"`
}

type jobBody = struct{ Body Job }

func (s *Server) routeJobs() {
	huma.Register(s.api, operation("GET", "/jobs", "listJobs", "jobs", "Jobs that run and the last that ended, newest first"), func(context.Context, *struct{}) (*struct {
		Body struct {
			Jobs []Job `json:"jobs"`
		}
	}, error) {
		out := &struct {
			Body struct {
				Jobs []Job `json:"jobs"`
			}
		}{}
		out.Body.Jobs = s.jobs.list()
		return out, nil
	})
	huma.Register(s.api, operation("GET", "/jobs/{id}", "getJob", "jobs", "How far a job is"), func(_ context.Context, in *JobPath) (*jobBody, error) {
		job, _, err := s.jobs.get(in.ID)
		return &jobBody{job}, s.problem(err)
	})
	huma.Register(s.api, operation("DELETE", "/jobs/{id}", "cancelJob", "jobs", "Cancel a job; one that ended is left alone"), func(_ context.Context, in *JobPath) (*struct{}, error) {
		_, r, err := s.jobs.get(in.ID)
		if err != nil {
			return nil, s.problem(err)
		}
		r.cancel()
		return nil, nil
	})
	huma.Register(s.api, operation("GET", "/formats", "listFormats", "jobs", "Formats of imports and exports"), func(context.Context, *struct{}) (*FormatList, error) {
		out := &FormatList{}
		for _, f := range formats.All() {
			out.Body.Formats = append(out.Body.Formats, FormatInfo{f.Name, f.Title, f.Description, f.Source, f.Open != nil, f.NewWriter != nil})
		}
		return out, nil
	})
	huma.Register(s.api, operation("POST", "/export/{dataset}", "startExport", "jobs", "Export a dataset, as a job"), func(ctx context.Context, in *struct {
		DatasetPath
		Body struct {
			Format string            `json:"format"`
			Where  string            `json:"where,omitempty" doc:"only items that match"`
			Splits []string          `json:"splits,omitempty" doc:"only items of these"`
			Media  string            `json:"media,omitempty" enum:"copy,link,keep" doc:"empty: what suits the format"`
			Strict bool              `json:"strict,omitempty"`
			Params map[string]string `json:"params,omitempty" doc:"settings of the format"`
		}
	}) (*jobBody, error) {
		format, err := formats.ByName(in.Body.Format)
		if err != nil || format.NewWriter == nil {
			return nil, huma.Error400BadRequest("format " + in.Body.Format + " cannot be exported")
		}
		if s.opts.ExchangeDir == "" {
			return nil, huma.Error403Forbidden("this server has no directory for exports")
		}
		return with(s, ctx, in.DatasetPath, func(*dataset.Dataset) (*jobBody, error) {
			job, err := s.jobs.start("export", in.Dataset, func(ctx context.Context, r *running, progress func(JobProgress)) (any, error) {
				ds, release, err := s.pool.get(ctx, in.Dataset)
				if err != nil {
					return nil, err
				}
				defer release()
				if err := os.MkdirAll(s.opts.ExchangeDir, 0o755); err != nil {
					return nil, err
				}
				out := filepath.Join(s.opts.ExchangeDir, exportPrefix+r.ID)
				report, err := exchange.Export(ctx, ds, exchange.ExportOptions{Format: format, Out: out, Where: in.Body.Where, Splits: in.Body.Splits,
					Media: exchange.MediaMode(in.Body.Media), Strict: in.Body.Strict, Params: in.Body.Params, Progress: func(p exchange.Progress) { progress(exchanged(p)) }})
				if err == nil {
					s.jobs.mu.Lock()
					r.dir, r.File = out, "/jobs/"+r.ID+"/file"
					s.jobs.mu.Unlock()
				}
				return report, err
			})
			return &jobBody{job}, err
		})
	})
	file := operation("GET", "/jobs/{id}/file", "getJobFile", "jobs", "What an export made, as a zip")
	file.Responses = map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{"application/zip": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}}}
	huma.Register(s.api, file, func(ctx context.Context, in *JobPath) (*huma.StreamResponse, error) {
		_, r, err := s.jobs.get(in.ID)
		if err != nil {
			return nil, s.problem(err)
		}
		s.jobs.mu.Lock()
		dir := r.dir
		s.jobs.mu.Unlock()
		if dir == "" {
			return nil, huma.Error404NotFound("the job made no files")
		}
		return &huma.StreamResponse{Body: func(c huma.Context) {
			c.SetHeader("Content-Type", "application/zip")
			c.SetHeader("Content-Disposition", `attachment; filename="`+filepath.Base(dir)+`.zip"`)
			z := zip.NewWriter(c.BodyWriter())
			if err := errors.Join(z.AddFS(contextFS{os.DirFS(dir), ctx}), z.Close()); err != nil {
				panic(http.ErrAbortHandler)
			}
		}}, nil
	})
	huma.Register(s.api, operation("POST", "/import", "startImport", "jobs", "Import a dataset from a folder of the exchange directory, as a job"), func(_ context.Context, in *struct {
		Body struct {
			Format string            `json:"format"`
			Source string            `json:"source" doc:"a path in the exchange directory"`
			Name   string            `json:"name" minLength:"1" maxLength:"200" doc:"of the dataset and its directory"`
			Type   string            `json:"type,omitempty" doc:"image, video or vqa; empty: as the source looks"`
			Mode   dataset.BuildMode `json:"mode,omitempty" enum:"create,add"`
			Media  string            `json:"media,omitempty" enum:"copy,link,keep" doc:"empty: copy"`
			Author string            `json:"author,omitempty"`
			Params map[string]string `json:"params,omitempty" doc:"settings of the format"`
		}
	}) (*jobBody, error) {
		options, err := s.importOptions(in.Body.Format, in.Body.Source, in.Body.Name)
		if err != nil {
			return nil, s.problem(err)
		}
		options.Type, options.Mode, options.Author, options.Params = in.Body.Type, in.Body.Mode, in.Body.Author, in.Body.Params
		options.Media = exchange.MediaMode(in.Body.Media)
		job, err := s.jobs.start("import", in.Body.Name, func(ctx context.Context, _ *running, progress func(JobProgress)) (any, error) {
			options.Progress = func(p exchange.Progress) { progress(exchanged(p)) }
			return exchange.Import(ctx, options)
		})
		return &jobBody{job}, s.problem(err)
	})
	s.routeIndexes()
	s.routeModelJobs()
}

// FormatList is the formats of imports and exports.
type FormatList struct {
	Body struct {
		Formats []FormatInfo `json:"formats"`
	}
}

// FormatInfo is a format.
type FormatInfo struct {
	Name        string `json:"name"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Source      string `json:"source" doc:"what an import reads"`
	Imports     bool   `json:"imports"`
	Exports     bool   `json:"exports"`
}

// importOptions checks what an import is to read and to make: clients name no files but those of the exchange directory.
func (s *Server) importOptions(format, source, name string) (exchange.ImportOptions, error) {
	f, err := formats.ByName(format)
	switch {
	case err != nil || f.Open == nil:
		return exchange.ImportOptions{}, badRequest("format %s cannot be imported", format)
	case s.opts.ExchangeDir == "" || s.opts.ReadOnly || s.opts.MediaDir == "":
		return exchange.ImportOptions{}, &statusError{http.StatusForbidden, "this server takes no imports"}
	case !filepath.IsLocal(source):
		return exchange.ImportOptions{}, badRequest("source %q: want a path in the exchange directory", source)
	case name != filepath.Base(name) || name[0] == '.':
		return exchange.ImportOptions{}, badRequest("name %q: want the name of one folder", name)
	}
	root, err := os.OpenRoot(s.opts.ExchangeDir)
	if err != nil {
		return exchange.ImportOptions{}, notFound("source %q: no such file or folder", source)
	}
	defer root.Close()
	if _, err := root.Stat(source); err != nil { // also where a link leads out
		return exchange.ImportOptions{}, notFound("source %q: no such file or folder", source)
	}
	return exchange.ImportOptions{Format: f, Source: filepath.Join(s.opts.ExchangeDir, source), Dataset: filepath.Join(s.library.Path(), name),
		MediaDir: s.opts.MediaDir, MediaRoots: s.opts.MediaRoots, Info: dataset.Info{Name: name}}, nil
}

// contextFS is a file system whose files cannot be opened once a context has ended.
type contextFS struct {
	fs.FS
	ctx context.Context
}

func (c contextFS) Open(name string) (fs.File, error) {
	if err := c.ctx.Err(); err != nil {
		return nil, err
	}
	return c.FS.Open(name)
}

// IndexList is the indexes of a dataset.
type IndexList struct {
	Body struct {
		Indexes []search.IndexInfo `json:"indexes"`
	}
}

func (s *Server) routeIndexes() {
	huma.Register(s.api, operation("GET", "/indexes/{dataset}", "listIndexes", "indexes", "Indexes of a dataset and how far they are"), func(ctx context.Context, in *struct {
		DatasetPath
		Table string `query:"table" doc:"empty: of all tables"`
	}) (*IndexList, error) {
		return with(s, ctx, in.DatasetPath, func(ds *dataset.Dataset) (*IndexList, error) {
			found, err := s.searcher(ds).Indexes(ctx, in.Table)
			out := &IndexList{}
			out.Body.Indexes = append([]search.IndexInfo{}, found...)
			return out, err
		})
	})
	create := operation("POST", "/indexes/{dataset}", "createIndex", "indexes", "Opt in to an index and build it, as a job")
	create.Description = "Python programs of older releases can no longer write to a table with an index."
	huma.Register(s.api, create, func(ctx context.Context, in *struct {
		DatasetPath
		Body dataset.Index
	}) (*jobBody, error) {
		return with(s, ctx, in.DatasetPath, func(ds *dataset.Dataset) (*jobBody, error) {
			if _, err := ds.Columns(ctx, in.Body.Table); err != nil {
				return nil, err
			}
			job, err := s.datasetJob("index", in.Dataset, func(ctx context.Context, ds *dataset.Dataset, progress func(JobProgress)) (any, error) {
				return s.searcher(ds).CreateIndex(ctx, in.Body, &search.BuildOptions{Progress: func(p search.Progress) { progress(JobProgress{Step: p.Stage, Bytes: p.Bytes}) }})
			})
			return &jobBody{job}, err
		})
	})
	huma.Register(s.api, operation("DELETE", "/indexes/{dataset}/{table}/{name}", "dropIndex", "indexes", "Remove an index"), func(ctx context.Context, in *struct {
		TablePath
		Name string `path:"name"`
	}) (*struct{}, error) {
		return with(s, ctx, in.DatasetPath, func(ds *dataset.Dataset) (*struct{}, error) {
			return &struct{}{}, s.searcher(ds).DropIndex(ctx, in.Table, in.Name)
		})
	})
	huma.Register(s.api, operation("POST", "/optimize/{dataset}", "startOptimize", "jobs", "Join small files and remove old versions, as a job"), func(ctx context.Context, in *DatasetPath) (*jobBody, error) {
		return with(s, ctx, *in, func(*dataset.Dataset) (*jobBody, error) {
			job, err := s.datasetJob("optimize", in.Dataset, func(ctx context.Context, ds *dataset.Dataset, _ func(JobProgress)) (any, error) {
				return ds.Optimize(ctx)
			})
			return &jobBody{job}, err
		})
	})
}

// datasetJob begins a job that changes a dataset, which it keeps open.
func (s *Server) datasetJob(kind, key string, do func(ctx context.Context, ds *dataset.Dataset, progress func(JobProgress)) (any, error)) (Job, error) {
	if s.opts.ReadOnly {
		return Job{}, dataset.ErrReadOnly
	}
	return s.jobs.start(kind, key, func(ctx context.Context, _ *running, progress func(JobProgress)) (any, error) {
		ds, release, err := s.pool.get(ctx, key)
		if err != nil {
			return nil, err
		}
		defer release()
		return do(ctx, ds, progress)
	})
}
