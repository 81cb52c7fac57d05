package grabcut

import (
	"context"
	"image"
	"runtime"
	"slices"
	"sync"
	"time"

	"pixano/features"
	"pixano/inference"
	"pixano/schema"
)

const (
	// Name is the name of the provider.
	Name = "builtin"
	// Model is the name of its model.
	Model = "builtin-grabcut"
)

// maxCached is how many bytes of decoded pictures a provider keeps.
const maxCached = 256 << 20

// Provider is a provider whose one model is this package's method. It keeps the pixels of the pictures that were asked for
// last and have an ID, so that a click need not decode them again.
type Provider struct {
	inference.Unsupported
	solvers chan *solver // as many as may run at once

	mu     sync.Mutex
	cached []cachedPicture // the last one asked for at the end
	bytes  int
}

type cachedPicture struct {
	id      string
	picture raster
}

var _ inference.PictureKeeper = (*Provider)(nil)

// New makes a provider. It uses all processors when it is asked several things at once, and one for each.
func New() *Provider {
	p := &Provider{solvers: make(chan *solver, runtime.GOMAXPROCS(0))}
	for range cap(p.solvers) {
		p.solvers <- new(solver)
	}
	return p
}

// Name returns "builtin".
func (p *Provider) Name() string { return Name }

// Tasks returns masks in pictures and in videos.
func (p *Provider) Tasks() []inference.Task {
	return []inference.Task{inference.TaskImageMask, inference.TaskVideoMask}
}

// KeepsPictures reports that the pixels of pictures are kept.
func (p *Provider) KeepsPictures(model string) bool { return model == Model }

// Models lists the one model with its two tasks.
func (p *Provider) Models(context.Context) ([]inference.Model, error) {
	return []inference.Model{
		{Name: Model, Task: inference.TaskImageMask, Class: "GrabCut"},
		{Name: Model, Task: inference.TaskVideoMask, Class: "GrabCut"},
	}, nil
}

// Info describes the provider.
func (p *Provider) Info(context.Context) (*inference.Info, error) {
	return &inference.Info{AppName: Name, AppDescription: "segmentation by colours and edges, without a model file", NumCPUs: cap(p.solvers),
		Models: []string{Model}, ModelsToTask: map[string]inference.Task{Model: inference.TaskImageMask}}, nil
}

// Close forgets the pictures.
func (p *Provider) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cached, p.bytes = nil, 0
	return nil
}

// picture returns the pixels of an image.
func (p *Provider) picture(m *inference.Image) (raster, error) {
	if m.ID() != "" {
		p.mu.Lock()
		if i := slices.IndexFunc(p.cached, func(c cachedPicture) bool { return c.id == m.ID() }); i >= 0 {
			found := p.cached[i]
			p.cached = append(slices.Delete(p.cached, i, i+1), found)
			p.mu.Unlock()
			return found.picture, nil
		}
		p.mu.Unlock()
	}
	img, err := m.Decode()
	if err != nil {
		return raster{}, err
	}
	r := rasterOf(img)
	if m.ID() != "" && len(r.pix) <= maxCached {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.cached = append(p.cached, cachedPicture{m.ID(), r})
		for p.bytes += len(r.pix); p.bytes > maxCached; p.cached = p.cached[1:] {
			p.bytes -= len(p.cached[0].picture.pix)
		}
	}
	return r, nil
}

// solver waits for one that is free.
func (p *Provider) solver(ctx context.Context) (*solver, func(), error) {
	select {
	case s := <-p.solvers:
		return s, func() { p.solvers <- s }, nil
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

func checkModel(model string) error {
	if model != Model {
		return inference.Errorf(inference.ErrModelNotFound, "no model %q: want %s", model, Model)
	}
	return nil
}

func meta(start time.Time) inference.Meta {
	return inference.Meta{Timestamp: schema.Now(), ProcessingTime: time.Since(start), Metadata: map[string]any{"name": Model, "provider": Name}}
}

// ImageMask cuts out the object of each prompt. There is one mask for each, without a score.
func (p *Provider) ImageMask(ctx context.Context, req *inference.ImageMaskRequest) (*inference.ImageMaskResponse, error) {
	if err := checkModel(req.Model); err != nil {
		return nil, err
	}
	s, release, err := p.solver(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	start := time.Now()
	picture, err := p.picture(req.Image)
	if err != nil {
		return nil, err
	}
	size := image.Pt(picture.w, picture.h)
	out := &inference.ImageMaskResponse{}
	for _, prompt := range req.Prompts {
		if err := check(size, prompt); err != nil {
			return nil, err
		}
		cut, _, err := s.prompted(ctx, picture, prompt)
		if err != nil {
			return nil, err
		}
		m, err := cut.rle(size)
		if err != nil {
			return nil, err
		}
		out.Masks = append(out.Masks, []inference.Mask{{RLE: m, Score: inference.NoScore}})
	}
	out.Meta = meta(start)
	return out, nil
}

// VideoMask cuts out each object in the frames with prompts and follows it from its first one to the end of the video and
// to its beginning. An object whose colours are not found near its last place has an empty mask.
func (p *Provider) VideoMask(ctx context.Context, req *inference.VideoMaskRequest) (*inference.VideoMaskResponse, error) {
	if err := checkModel(req.Model); err != nil {
		return nil, err
	}
	s, release, err := p.solver(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	start := time.Now()
	prompts := map[int]map[int]inference.Prompt{} // by object and frame
	var objects []int
	for _, prompt := range req.Prompts {
		if prompts[prompt.Object] == nil {
			prompts[prompt.Object] = map[int]inference.Prompt{}
			objects = append(objects, prompt.Object)
		}
		// Several prompts in one frame are one.
		all := prompts[prompt.Object][prompt.Frame]
		all.Points = append(all.Points, prompt.Points...)
		all.Box = all.Box.Union(prompt.Box)
		prompts[prompt.Object][prompt.Frame] = all
	}
	out := &inference.VideoMaskResponse{}
	done, total := 0, len(objects)*len(req.Frames)
	for _, object := range objects {
		first := len(req.Frames)
		for frame := range prompts[object] {
			first = min(first, frame)
		}
		var begin track
		for step, order := range [2][]int{forward(first, len(req.Frames)), backward(first)} {
			t := begin
			for _, frame := range order {
				picture, err := p.picture(req.Frames[frame])
				if err != nil {
					return nil, err
				}
				prompt, asked := prompts[object][frame]
				m, err := t.next(ctx, s, picture, prompt, asked)
				if err != nil {
					return nil, err
				}
				if step == 0 && frame == first {
					begin = t
				}
				out.Masks = append(out.Masks, inference.FrameMask{Object: object, Frame: frame, Mask: inference.Mask{RLE: m, Score: inference.NoScore}})
				if done++; req.Progress != nil {
					req.Progress(done/len(objects), total/len(objects))
				}
			}
		}
	}
	out.Meta = meta(start)
	return out, nil
}

func forward(first, n int) (order []int) {
	for i := first; i < n; i++ {
		order = append(order, i)
	}
	return order
}

func backward(first int) (order []int) {
	for i := first - 1; i >= 0; i-- {
		order = append(order, i)
	}
	return order
}

// track follows an object from frame to frame.
type track struct {
	models models
	last   *shape          // where it was seen last
	place  image.Rectangle // around that
	motion image.Point     // from the frame before
}

// next finds the object in the next frame.
func (t *track) next(ctx context.Context, s *solver, picture raster, prompt inference.Prompt, asked bool) (features.RLE, error) {
	size := image.Pt(picture.w, picture.h)
	all := image.Rectangle{Max: size}
	var cut *shape
	var err error
	if asked {
		if err := check(size, prompt); err != nil {
			return features.RLE{}, err
		}
		if cut, t.models, err = s.prompted(ctx, picture, prompt); err != nil {
			return features.RLE{}, err
		}
	} else {
		// It is near where it would be if it moved on, and not beyond.
		expected := t.place.Add(t.motion)
		reach := inflate(expected, 0.4, 8).Union(inflate(t.place, 0.4, 8)).Intersect(all)
		if t.last == nil || reach.Empty() {
			return (*shape)(nil).rle(size)
		}
		moved := &shape{t.last.at.Add(t.motion), t.last.mask}
		j := job{picture: picture, roi: around(picture, reach), box: reach, start: t.models, overlap: moved}
		var m models
		if cut, m, err = s.run(ctx, j); err != nil {
			return features.RLE{}, err
		}
		// What is much smaller or larger than before is something else.
		if before, now := area(t.last.mask), area(cut.mask); now < before/8 || now > 8*before {
			t.motion = image.Point{}
			return (*shape)(nil).rle(size)
		}
		t.models = m
	}
	place := bounds(cut.mask, cut.at.Dx(), cut.at.Dy())
	if place.Empty() {
		return cut.rle(size)
	}
	place = place.Add(cut.at.Min)
	t.motion = image.Point{}
	if !asked && t.last != nil {
		t.motion = middle(place).Sub(middle(t.place))
	}
	t.last, t.place = cut, place
	return cut.rle(size)
}

func middle(r image.Rectangle) image.Point { return r.Min.Add(r.Max).Div(2) }

func area(mask []uint8) int {
	n := 0
	for _, v := range mask {
		n += int(v)
	}
	return n
}
