package onnx

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"pixano/inference"
)

// Name is the name of the provider.
const Name = "local"

// Options are the options of New. Nil and the zero value are the defaults.
type Options struct {
	// Dirs are the directories of models, of which the first that has a name decides. One that is not there has none.
	// The directory pixano/models of the user's cache, where scripts/models puts them, follows after them. See [Scan].
	Dirs []string

	// Library is the shared library of ONNX Runtime. "": it is looked for, see [Load].
	Library string

	// Threads compute a model. 0: as many as Go uses.
	Threads int

	// FeatureBytes bounds the memory for what encoders computed of pictures: 4 MB a picture for SAM, 12 for SAM 2. 0: 512
	// MiB; -1: nothing is kept.
	FeatureBytes int64
}

// Provider runs models in this process. It is safe for concurrent use.
type Provider struct {
	inference.Unsupported
	opts     Options
	features cache

	mu     sync.Mutex
	closed bool
	known  map[string]*Model       // by name, as found last
	loaded map[string]*loadedModel // by path of its file
}

var _ inference.PictureKeeper = (*Provider)(nil)

var errClosed = fmt.Errorf("the provider is closed: %w", fs.ErrClosed)

// New returns a provider. Nothing is loaded yet, and no error but those of its calls tells that a directory, a model or
// the runtime is missing.
func New(opts *Options) *Provider {
	p := &Provider{loaded: map[string]*loadedModel{}}
	if opts != nil {
		p.opts = *opts
	}
	p.opts.Dirs = slices.DeleteFunc(slices.Clone(p.opts.Dirs), func(dir string) bool { return dir == "" })
	if cache, err := os.UserCacheDir(); err == nil {
		p.opts.Dirs = append(p.opts.Dirs, filepath.Join(cache, "pixano", "models"))
	}
	if p.opts.Threads <= 0 {
		p.opts.Threads = runtime.GOMAXPROCS(0)
	}
	switch {
	case p.opts.FeatureBytes == 0:
		p.opts.FeatureBytes = 512 << 20
	case p.opts.FeatureBytes < 0:
		p.opts.FeatureBytes = 0
	}
	p.features.limit = p.opts.FeatureBytes
	return p
}

// Name returns "local".
func (p *Provider) Name() string { return Name }

// Dirs returns the directories in which models are looked for, in order.
func (p *Provider) Dirs() []string { return slices.Clone(p.opts.Dirs) }

// Tasks returns the tasks of the families.
func (p *Provider) Tasks() []inference.Task {
	return []inference.Task{inference.TaskImageMask, inference.TaskVideoMask, inference.TaskDetection, inference.TaskEmbedding}
}

// Runtime loads ONNX Runtime, unless it is there already, and says which it is. The error is a [*LoadError].
func (p *Provider) Runtime() (*Runtime, error) { return Load(p.opts.Library, p.opts.Dirs...) }

// Found lists the models in the directories, sorted by name, whether or not there is a runtime. The error lists the files
// that are none, beside the models.
func (p *Provider) Found() ([]*Model, error) {
	byName := map[string]*Model{}
	var errs []error
	for _, dir := range p.opts.Dirs {
		models, err := Scan(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		for _, m := range models {
			if byName[m.Name] == nil {
				byName[m.Name] = m
			}
		}
	}
	var models []*Model
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		models = append(models, byName[name])
	}
	p.mu.Lock()
	p.known = byName
	p.mu.Unlock()
	return models, errors.Join(errs...)
}

// Models lists the models for each of their tasks. Files that are no models are passed over, see [Provider.Found]. With
// models and without a runtime the error is a [*LoadError].
func (p *Provider) Models(context.Context) ([]inference.Model, error) {
	found, _ := p.Found()
	if len(found) == 0 {
		return nil, nil
	}
	if _, err := p.Runtime(); err != nil {
		return nil, err
	}
	var models []inference.Model
	for _, m := range found {
		for _, task := range m.Tasks {
			models = append(models, inference.Model{Name: m.Name, Task: task, Path: m.Path(), Class: string(m.Family)})
		}
	}
	return models, nil
}

// Info describes the machine and the models.
func (p *Provider) Info(ctx context.Context) (*inference.Info, error) {
	info := &inference.Info{AppName: "pixano", AppDescription: "ONNX models in this process", NumCPUs: p.opts.Threads, NumNodes: 1,
		ModelsToTask: map[string]inference.Task{}}
	if r, err := p.Runtime(); err == nil {
		info.Extra = map[string]any{"onnxruntime": r.Version}
	}
	models, err := p.Models(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range models {
		if !slices.Contains(info.Models, m.Name) {
			info.Models = append(info.Models, m.Name)
			info.ModelsToTask[m.Name] = m.Task
		}
	}
	return info, nil
}

// Find returns a model by its name. None is inference.ErrModelNotFound.
func (p *Provider) Find(name string) (*Model, error) {
	p.mu.Lock()
	m := p.known[name]
	p.mu.Unlock()
	if m != nil && m.unchanged() { // reading the directories for each click would take longer than some models
		return m, nil
	}
	found, scanErr := p.Found()
	var known []string
	for _, m := range found {
		if m.Name == name {
			return m, nil
		}
		known = append(known, m.Name)
	}
	err := inference.Errorf(inference.ErrModelNotFound, "no model %q in %s: want one of %s", name, strings.Join(p.opts.Dirs, ", "), strings.Join(known, ", "))
	if scanErr != nil {
		err = inference.Errorf(inference.ErrModelNotFound, "%v; files that are no models: %v", err, scanErr)
	}
	return nil, err
}

// EmbeddingFunction returns the embedding function that a model is, see [Function].
func (p *Provider) EmbeddingFunction(model string) (name string, arguments map[string]any, ok bool) {
	m, err := p.Find(model)
	if err != nil || m.Function == nil {
		return "", nil, false
	}
	return m.Function.Name, m.Function.Model, true
}

// runner is a model of a family that is loaded.
type runner interface{ close() error }

// loadedModel is a model with its sessions.
type loadedModel struct {
	*Model
	once   sync.Once
	err    error
	runner runner
	hashes map[string]string // SHA-256 of its files by their names
}

// KeepsPictures reports whether a model makes masks: the embeddings of its pictures are kept, see Options.FeatureBytes.
func (p *Provider) KeepsPictures(model string) bool {
	m, err := p.Find(model)
	return err == nil && m.Has(inference.TaskImageMask) && p.features.limit > 0
}

// load returns a model that is ready for a task.
func (p *Provider) load(name string, task inference.Task) (*loadedModel, error) {
	m, err := p.Find(name)
	if err != nil {
		return nil, err
	}
	if !m.Has(task) {
		return nil, inference.Errorf(inference.ErrTaskNotSupported, "a model of the family %q has no %s", m.Family, task)
	}
	if _, err := p.Runtime(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, errClosed
	}
	l := p.loaded[m.Path()]
	if l == nil || l.stamp != m.stamp {
		if l != nil { // its file was replaced
			go l.close()
		}
		l = &loadedModel{Model: m}
		p.loaded[m.Path()] = l
	}
	p.mu.Unlock()
	l.once.Do(func() {
		if l.err = l.open(p); l.err != nil {
			p.mu.Lock()
			delete(p.loaded, m.Path()) // the file may be replaced by a better one
			p.mu.Unlock()
		}
	})
	return l, l.err
}

func (l *loadedModel) open(p *Provider) (err error) {
	l.hashes = map[string]string{}
	for _, path := range l.Files {
		if l.hashes[filepath.Base(path)], err = hashFile(path); err != nil {
			return err
		}
	}
	switch l.Family {
	case Sentence:
		l.runner, err = newSentence(l.Model, p.opts.Threads)
	case CLIP:
		l.runner, err = newCLIP(l.Model, p.opts.Threads)
	case SAM, SAM2:
		l.runner, err = newSAM(l.Model, p)
	case YOLO, YOLOBoxes:
		l.runner, err = newYOLO(l.Model, p.opts.Threads)
	default:
		err = fmt.Errorf("unknown family %q", l.Family)
	}
	return err
}

// close frees the model once no call uses it.
func (l *loadedModel) close() error {
	l.once.Do(func() { l.err = errClosed })
	if l.runner == nil {
		return nil
	}
	return l.runner.close()
}

// open loads a file of a model, of which some outputs are wanted.
func (m *Model) open(role string, threads int, outputs ...string) (*session, error) {
	s, err := newSession(m.Files[role], m.headers[role], outputs, threads)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.Files[role], err)
	}
	return s, nil
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// meta says how an answer came about.
func (l *loadedModel) meta(began time.Time) inference.Meta {
	now := time.Now()
	return inference.Meta{
		Timestamp:      time.Date(now.Year(), now.Month(), now.Day(), now.Hour(), now.Minute(), now.Second(), now.Nanosecond(), time.UTC),
		ProcessingTime: time.Since(began),
		Metadata:       map[string]any{"name": l.Name, "provider": Name, "sha256": l.hashes},
	}
}

// Embed computes vectors of texts or pictures. Models of the SAM family give what their encoder computes of a picture.
func (p *Provider) Embed(ctx context.Context, req *inference.EmbeddingRequest) (*inference.EmbeddingResponse, error) {
	l, err := p.load(req.Model, inference.TaskEmbedding)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	resp := &inference.EmbeddingResponse{}
	switch r := l.runner.(type) {
	case *sentence:
		if len(req.Images) > 0 {
			return nil, inference.Errorf(inference.ErrTaskNotSupported, "%q embeds texts, no pictures", l.Name)
		}
		resp.Vectors, err = r.embed(ctx, req.Texts)
	case *clip:
		if len(req.Images) > 0 {
			resp.Vectors, err = r.embedImages(ctx, req.Images)
		} else {
			resp.Vectors, err = r.embedTexts(ctx, req.Texts)
		}
	case *sam:
		if len(req.Texts) > 0 {
			return nil, inference.Errorf(inference.ErrTaskNotSupported, "%q encodes pictures, no texts", l.Name)
		}
		for _, img := range req.Images {
			f, err := r.encode(ctx, img)
			if err != nil {
				return nil, err
			}
			resp.Vectors = append(resp.Vectors, f.embedding.float32)
			resp.Shape = resp.Shape[:0]
			for _, n := range f.embedding.shape[1:] {
				resp.Shape = append(resp.Shape, int(n))
			}
		}
		resp.Meta = l.meta(began)
		return resp, nil
	}
	if err != nil {
		return nil, err
	}
	if req.Normalize {
		for _, v := range resp.Vectors {
			normalize(v)
		}
	}
	resp.Meta = l.meta(began)
	return resp, nil
}

// ImageMask computes masks with a model of the SAM family.
func (p *Provider) ImageMask(ctx context.Context, req *inference.ImageMaskRequest) (*inference.ImageMaskResponse, error) {
	l, err := p.load(req.Model, inference.TaskImageMask)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	resp, err := l.runner.(*sam).imageMask(ctx, req)
	if err != nil {
		return nil, err
	}
	resp.Meta = l.meta(began)
	return resp, nil
}

// VideoMask computes masks frame by frame: each mask is the prompt for the next frame.
func (p *Provider) VideoMask(ctx context.Context, req *inference.VideoMaskRequest) (*inference.VideoMaskResponse, error) {
	l, err := p.load(req.Model, inference.TaskVideoMask)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	resp, err := l.runner.(*sam).videoMask(ctx, req)
	if err != nil {
		return nil, err
	}
	resp.Meta = l.meta(began)
	return resp, nil
}

// Detect finds the objects of a detector's classes.
func (p *Provider) Detect(ctx context.Context, req *inference.DetectionRequest) (*inference.DetectionResponse, error) {
	l, err := p.load(req.Model, inference.TaskDetection)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	found, err := l.runner.(*yolo).detect(ctx, req)
	if err != nil {
		return nil, err
	}
	return &inference.DetectionResponse{Meta: l.meta(began), Detections: found}, nil
}

// Close frees the models once no call uses them. ONNX Runtime itself stays in the process.
func (p *Provider) Close() error {
	p.mu.Lock()
	p.closed = true
	loaded := p.loaded
	p.loaded = map[string]*loadedModel{}
	p.mu.Unlock()
	var errs []error
	for _, l := range loaded {
		errs = append(errs, l.close())
	}
	return errors.Join(errs...)
}
