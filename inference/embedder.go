package inference

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"maps"
	"slices"
	"strings"
	"time"

	"pixano/search"
)

// FunctionNamer is a Provider that knows which embedding functions its models are, as the metadata of tables name them.
// Models of other providers are functions of the kind of their provider: "pixano-inference" with {"name": "clip"}.
type FunctionNamer interface {
	// EmbeddingFunction returns name and arguments of the function that a model is, or false for none.
	EmbeddingFunction(model string) (name string, arguments map[string]any, ok bool)
}

// NewEmbedder returns a model of a provider as what package search wants. It asks the model for a vector, so as to know
// their length. Vectors have the length 1, but for those of [ProviderOf].
func NewEmbedder(ctx context.Context, p Provider, model string) (search.Embedder, error) {
	e := &embedder{provider: p, model: model}
	e.name, e.arguments = functionOf(p, model)
	vectors, err := e.EmbedTexts(ctx, []string{"a"})
	if errors.Is(err, errors.ErrUnsupported) {
		grey := image.NewUniform(color.Gray{128})
		vectors, err = e.EmbedImages(ctx, []image.Image{&uniform{grey}})
	}
	if err != nil {
		return nil, err
	}
	e.dim = len(vectors[0])
	return e, nil
}

// uniform is a small picture of one colour.
type uniform struct{ *image.Uniform }

func (uniform) Bounds() image.Rectangle { return image.Rect(0, 0, 8, 8) }

// functionOf returns the embedding function that a model is.
func functionOf(p Provider, model string) (name string, arguments map[string]any) {
	if n, ok := p.(FunctionNamer); ok {
		if name, arguments, ok := n.EmbeddingFunction(model); ok {
			return name, arguments
		}
	}
	kind, _, _ := strings.Cut(p.Name(), "@")
	return kind, map[string]any{"name": model}
}

type embedder struct {
	provider  Provider
	model     string
	name      string
	arguments map[string]any
	dim       int
}

func (e *embedder) Name() string             { return e.name }
func (e *embedder) Metadata() map[string]any { return maps.Clone(e.arguments) }
func (e *embedder) Dim() int                 { return e.dim }

func (e *embedder) EmbedTexts(ctx context.Context, texts []string) ([][]float32, error) {
	return e.embed(ctx, &EmbeddingRequest{Texts: texts})
}

func (e *embedder) EmbedImages(ctx context.Context, images []image.Image) ([][]float32, error) {
	req := &EmbeddingRequest{}
	for _, img := range images {
		picture, err := ImageOf(img)
		if err != nil {
			return nil, err
		}
		req.Images = append(req.Images, picture)
	}
	return e.embed(ctx, req)
}

func (e *embedder) embed(ctx context.Context, req *EmbeddingRequest) ([][]float32, error) {
	req.Model, req.Normalize = e.model, true
	resp, err := Embed(ctx, e.provider, req)
	if err != nil {
		return nil, err
	}
	if e.dim != 0 && len(resp.Vectors[0]) != e.dim {
		return nil, Located(nonsense("vectors of %d values, and before of %d", len(resp.Vectors[0]), e.dim), e.provider.Name(), string(TaskEmbedding), e.model)
	}
	return resp.Vectors, nil
}

// The arguments that functions of Python's LanceDB have when a table names none.
var defaultArguments = map[string]map[string]any{
	"sentence-transformers": {"name": "all-MiniLM-L6-v2"},
	"open-clip":             {"name": "ViT-B-32", "pretrained": "laion2b_s34b_b79k"},
	"siglip":                {"model_name": "google/siglip-base-patch16-224"},
}

// sameFunction reports whether a function of a table is that of a model: of one name, with one value for each argument that
// both have. Names of models are compared without their owner and in any case, as hubs do.
func sameFunction(f search.Function, name string, arguments map[string]any) bool {
	if f.Name != name {
		return false
	}
	with := func(given map[string]any) map[string]any {
		all := maps.Clone(defaultArguments[name])
		if all == nil {
			all = map[string]any{}
		}
		maps.Copy(all, given)
		return all
	}
	theirs, ours := with(f.Model), with(arguments)
	for key, value := range ours {
		other, ok := theirs[key]
		if !ok {
			continue
		}
		a, aText := value.(string)
		b, bText := other.(string)
		if aText && bText {
			if strings.EqualFold(a[strings.LastIndexByte(a, '/')+1:], b[strings.LastIndexByte(b, '/')+1:]) {
				continue
			}
		} else if fmt.Sprint(value) == fmt.Sprint(other) {
			continue
		}
		return false
	}
	return true
}

// ProviderOf makes a provider, named after its embedder, with that as its one model. It is for embedders that are no model
// of a provider, such as one of a program's own. Its vectors are as the embedder gives them, also where a request wants them
// to have the length 1: tables name the embedder, and their vectors have to be comparable with its own.
func ProviderOf(e search.Embedder) Provider { return &embedderProvider{embed: e} }

type embedderProvider struct {
	Unsupported
	embed search.Embedder
}

func (p *embedderProvider) Name() string { return p.embed.Name() }
func (*embedderProvider) Tasks() []Task  { return []Task{TaskEmbedding} }
func (p *embedderProvider) Models(context.Context) ([]Model, error) {
	return []Model{{Name: p.embed.Name(), Task: TaskEmbedding, Class: "built in"}}, nil
}

func (p *embedderProvider) Info(context.Context) (*Info, error) {
	return &Info{AppName: p.embed.Name(), Models: []string{p.embed.Name()}, ModelsToTask: map[string]Task{p.embed.Name(): TaskEmbedding}}, nil
}

func (p *embedderProvider) EmbeddingFunction(model string) (string, map[string]any, bool) {
	return p.embed.Name(), p.embed.Metadata(), model == p.embed.Name()
}

func (p *embedderProvider) Embed(ctx context.Context, req *EmbeddingRequest) (*EmbeddingResponse, error) {
	if req.Model != p.embed.Name() {
		return nil, Errorf(ErrModelNotFound, "no model %q: want %s", req.Model, p.embed.Name())
	}
	began := time.Now()
	var vectors [][]float32
	var err error
	if len(req.Texts) > 0 {
		vectors, err = p.embed.EmbedTexts(ctx, req.Texts)
	} else {
		images := make([]image.Image, len(req.Images))
		for i, img := range req.Images {
			if images[i], err = img.Decode(); err != nil {
				return nil, err
			}
		}
		vectors, err = p.embed.EmbedImages(ctx, images)
	}
	if errors.Is(err, errors.ErrUnsupported) {
		err = Errorf(ErrTaskNotSupported, "%v", err)
	}
	if err != nil {
		return nil, err
	}
	return &EmbeddingResponse{Vectors: vectors, Meta: Meta{Timestamp: began, ProcessingTime: time.Since(began), Metadata: map[string]any{"name": req.Model}}}, nil
}

// Embedder returns what computes the vectors of a table's function: of the providers in order, the first model that is this
// function. None is ErrModelNotFound. It is what [search.Searcher.WithModels] takes.
func (r *Registry) Embedder(ctx context.Context, f search.Function) (search.Embedder, error) {
	var known []string
	var errs []error
	for _, p := range r.Providers() {
		models, err := p.Models(ctx)
		if err != nil {
			errs = append(errs, Located(err, p.Name(), "list models", ""))
			continue
		}
		for _, m := range models {
			if m.Task != TaskEmbedding {
				continue
			}
			name, arguments := functionOf(p, m.Name)
			if sameFunction(f, name, arguments) {
				return r.embedder(ctx, p, m.Name)
			}
			known = append(known, fmt.Sprintf("%s %v", name, arguments))
		}
	}
	slices.Sort(known)
	list := "there is none"
	if len(known) > 0 {
		list = "there are " + strings.Join(known, ", ")
	}
	return nil, errors.Join(append([]error{Errorf(ErrModelNotFound, "no model is the embedding function %q with %v: %s", f.Name, f.Model, list)}, errs...)...)
}

// embedder keeps the embedder of a model, which costs a run to make.
func (r *Registry) embedder(ctx context.Context, p Provider, model string) (search.Embedder, error) {
	key := embedderKey{p, model}
	r.mu.Lock()
	e := r.ofModels[key]
	r.mu.Unlock()
	if e != nil {
		return e, nil
	}
	e, err := NewEmbedder(ctx, p, model)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.find(p.Name()) >= 0 { // it may have been removed meanwhile
		if r.ofModels == nil {
			r.ofModels = map[embedderKey]search.Embedder{}
		}
		r.ofModels[key] = e
	}
	return e, nil
}

type embedderKey struct {
	provider Provider
	model    string
}

// IsFunction reports whether a model is the function that a table names; if not, it says which one it is.
func IsFunction(f search.Function, p Provider, model string) error {
	name, arguments := functionOf(p, model)
	if sameFunction(f, name, arguments) {
		return nil
	}
	return invalid("its vectors are of the function %q with %v, %q is %q with %v", f.Name, f.Model, model, name, arguments)
}
