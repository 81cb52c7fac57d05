package inference

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"slices"
	"strings"
	"time"

	"pixano/features"
)

// Timeout returns how long a call of a task may take when its context has no deadline.
func Timeout(task Task) time.Duration {
	if task == TaskVideoMask {
		return 2 * time.Minute
	}
	return time.Minute
}

// call runs f, within the time for the task, and puts the place on its error.
func call[R any](ctx context.Context, p Provider, task Task, model string, f func(context.Context) (*R, error)) (*R, error) {
	limited := ctx
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeoutCause(ctx, Timeout(task), ErrTimeout)
		defer cancel()
	}
	r, err := f(limited)
	if err == nil {
		return r, nil
	}
	switch {
	case ctx.Err() != nil && !errors.Is(err, ctx.Err()):
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	case ctx.Err() == nil && limited.Err() != nil && !errors.Is(err, ErrTimeout):
		err = Errorf(ErrTimeout, "timed out after %v", Timeout(task))
	}
	return nil, Located(err, p.Name(), string(task), model)
}

// Located puts the place on an error that does not carry it yet: provider, what was being done, model.
func Located(err error, provider, op, model string) error {
	if e, ok := err.(*Error); ok {
		located := *e
		located.Provider = cmp.Or(e.Provider, provider)
		located.Op = cmp.Or(e.Op, op)
		located.Model = cmp.Or(e.Model, model)
		return &located
	}
	return &Error{Provider: provider, Op: op, Model: model, Err: err}
}

func invalid(format string, args ...any) error { return Errorf(ErrInvalidRequest, format, args...) }
func nonsense(format string, args ...any) error {
	return Errorf(ErrInvalidResponse, "the answer makes no sense: "+format, args...)
}

func checkModel(model string) error {
	if model == "" {
		return invalid("want the name of a model")
	}
	return nil
}

// checkPrompt returns the prompt with its points and its box inside the picture. What lies on its right or lower edge is
// moved by a pixel, since people click there.
func checkPrompt(p Prompt, size image.Point) (Prompt, error) {
	known := size != image.Point{}
	p.Points = slices.Clone(p.Points)
	foreground := false
	for i, pt := range p.Points {
		foreground = foreground || !pt.Background
		if pt.X < 0 || pt.Y < 0 || known && (pt.X > size.X || pt.Y > size.Y) {
			return p, invalid("point %d, %d is outside of the picture of %d × %d pixels", pt.X, pt.Y, size.X, size.Y)
		}
		if known {
			p.Points[i].X, p.Points[i].Y = min(pt.X, size.X-1), min(pt.Y, size.Y-1)
		}
	}
	if b := p.Box; b.Empty() {
		if b != (image.Rectangle{}) {
			return p, invalid("box %d, %d, %d, %d is empty: want left, top, right, bottom", b.Min.X, b.Min.Y, b.Max.X, b.Max.Y)
		}
		if !foreground {
			return p, invalid("want a point on the object, or a box around it")
		}
	} else if known {
		if p.Box = b.Intersect(image.Rectangle{Max: size}); p.Box.Empty() {
			return p, invalid("box %d, %d, %d, %d is outside of the picture of %d × %d pixels", b.Min.X, b.Min.Y, b.Max.X, b.Max.Y, size.X, size.Y)
		}
	}
	return p, nil
}

// checkMask wants a mask of the size of its picture. An empty one of no size becomes one of that size.
func checkMask(m *Mask, size image.Point) error {
	if m.Height == 0 && m.Width == 0 && len(m.Counts) == 0 && size != (image.Point{}) {
		m.RLE = features.RLE{Height: size.Y, Width: size.X, Counts: []uint32{uint32(size.X * size.Y)}}
	}
	if err := m.Validate(); err != nil {
		return nonsense("%v", err)
	}
	if size != (image.Point{}) && (m.Width != size.X || m.Height != size.Y) {
		return nonsense("a mask of %d × %d pixels for a picture of %d × %d", m.Width, m.Height, size.X, size.Y)
	}
	if !finite(m.Score) {
		return nonsense("a score of %v", m.Score)
	}
	return nil
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// ImageMask asks a provider for the masks of objects in a picture.
func ImageMask(ctx context.Context, p Provider, req *ImageMaskRequest) (*ImageMaskResponse, error) {
	return call(ctx, p, TaskImageMask, req.Model, func(ctx context.Context) (*ImageMaskResponse, error) {
		r := *req
		if err := checkModel(r.Model); err != nil {
			return nil, err
		}
		if r.Image == nil {
			return nil, invalid("want a picture")
		}
		if len(r.Prompts) == 0 {
			return nil, invalid("want at least one prompt")
		}
		if r.MasksPerPrompt = cmp.Or(r.MasksPerPrompt, 1); r.MasksPerPrompt != 1 && r.MasksPerPrompt != 3 {
			return nil, invalid("%d masks for a prompt: want 1 or 3", r.MasksPerPrompt)
		}
		r.Prompts = slices.Clone(r.Prompts)
		for i := range r.Prompts {
			var err error
			if r.Prompts[i], err = checkPrompt(r.Prompts[i], r.Image.Size()); err != nil {
				return nil, err
			}
		}
		resp, err := p.ImageMask(ctx, &r)
		if err != nil {
			return nil, err
		}
		if len(resp.Masks) != len(r.Prompts) {
			return nil, nonsense("masks for %d prompts, asked with %d", len(resp.Masks), len(r.Prompts))
		}
		for _, masks := range resp.Masks {
			if len(masks) == 0 {
				return nil, nonsense("a prompt without a mask")
			}
			for j := range masks {
				if err := checkMask(&masks[j], r.Image.Size()); err != nil {
					return nil, err
				}
			}
		}
		return resp, nil
	})
}

// VideoMask asks a provider for the masks of objects through a video.
func VideoMask(ctx context.Context, p Provider, req *VideoMaskRequest) (*VideoMaskResponse, error) {
	return call(ctx, p, TaskVideoMask, req.Model, func(ctx context.Context) (*VideoMaskResponse, error) {
		r := *req
		if err := checkModel(r.Model); err != nil {
			return nil, err
		}
		if len(r.Frames) == 0 || slices.Contains(r.Frames, nil) {
			return nil, invalid("want at least one frame, and a picture in each")
		}
		if len(r.Prompts) == 0 {
			return nil, invalid("want at least one prompt")
		}
		r.Prompts = slices.Clone(r.Prompts)
		objects := map[int]bool{}
		for i, prompt := range r.Prompts {
			if prompt.Frame < 0 || prompt.Frame >= len(r.Frames) {
				return nil, invalid("a prompt in frame %d: the video has %d frames", prompt.Frame, len(r.Frames))
			}
			objects[prompt.Object] = true
			var err error
			if r.Prompts[i].Prompt, err = checkPrompt(prompt.Prompt, r.Frames[prompt.Frame].Size()); err != nil {
				return nil, err
			}
		}
		resp, err := p.VideoMask(ctx, &r)
		if err != nil {
			return nil, err
		}
		type place struct{ object, frame int }
		seen := map[place]bool{}
		for i, m := range resp.Masks {
			switch at := (place{m.Object, m.Frame}); {
			case m.Frame < 0 || m.Frame >= len(r.Frames):
				return nil, nonsense("a mask in frame %d of %d", m.Frame, len(r.Frames))
			case !objects[m.Object]:
				return nil, nonsense("a mask of object %d, which was not asked for", m.Object)
			case seen[at]:
				return nil, nonsense("two masks of object %d in frame %d", m.Object, m.Frame)
			default:
				seen[at] = true
			}
			if err := checkMask(&resp.Masks[i].Mask, r.Frames[m.Frame].Size()); err != nil {
				return nil, err
			}
		}
		slices.SortStableFunc(resp.Masks, func(a, b FrameMask) int { return cmp.Compare(a.Frame, b.Frame) })
		return resp, nil
	})
}

// threshold fills in the default and turns "no limit" into 0.
func threshold(value *float64, def float64, what string) error {
	switch {
	case *value == 0:
		*value = def
	case *value == -1:
		*value = 0
	case !(*value > 0 && *value <= 1):
		return invalid("%s threshold %v: want a value in [0, 1]", what, *value)
	}
	return nil
}

// Detect asks a provider for the objects in a picture. Boxes are cut off at the edges of the picture; those that lie
// outside of it are left out.
func Detect(ctx context.Context, p Provider, req *DetectionRequest) (*DetectionResponse, error) {
	return call(ctx, p, TaskDetection, req.Model, func(ctx context.Context) (*DetectionResponse, error) {
		r := *req
		if err := checkModel(r.Model); err != nil {
			return nil, err
		}
		if r.Image == nil {
			return nil, invalid("want a picture")
		}
		if slices.ContainsFunc(r.Classes, func(c string) bool { return strings.TrimSpace(c) == "" }) {
			return nil, invalid("a class without a name")
		}
		if err := threshold(&r.BoxThreshold, DefaultBoxThreshold, "box"); err != nil {
			return nil, err
		}
		if err := threshold(&r.TextThreshold, DefaultTextThreshold, "text"); err != nil {
			return nil, err
		}
		resp, err := p.Detect(ctx, &r)
		if err != nil {
			return nil, err
		}
		kept := resp.Detections[:0:0]
		size := r.Image.Size()
		for _, d := range resp.Detections {
			if !(d.Score >= 0 && d.Score <= 1) {
				return nil, nonsense("a score of %v", d.Score)
			}
			if d.Box.Min.X > d.Box.Max.X || d.Box.Min.Y > d.Box.Max.Y {
				return nil, nonsense("a box %v whose second corner is not right of and below the first", d.Box)
			}
			if d.Mask != nil {
				m := Mask{RLE: *d.Mask}
				if err := checkMask(&m, size); err != nil {
					return nil, err
				}
				d.Mask = &m.RLE
			}
			if size != (image.Point{}) {
				d.Box = d.Box.Intersect(image.Rectangle{Max: size})
			} else {
				d.Box.Min.X, d.Box.Min.Y = max(0, d.Box.Min.X), max(0, d.Box.Min.Y)
			}
			if !d.Box.Empty() {
				kept = append(kept, d)
			}
		}
		resp.Detections = kept
		return resp, nil
	})
}

// Generate asks a provider for the next turn of a conversation.
func Generate(ctx context.Context, p Provider, req *GenerationRequest) (*GenerationResponse, error) {
	return call(ctx, p, TaskGeneration, req.Model, func(ctx context.Context) (*GenerationResponse, error) {
		r := *req
		if err := checkModel(r.Model); err != nil {
			return nil, err
		}
		if len(r.Messages) == 0 {
			return nil, invalid("want at least one message")
		}
		for i, m := range r.Messages {
			if m.Role == "" || len(m.Parts) == 0 {
				return nil, invalid("message %d: want a role and content", i)
			}
		}
		if r.MaxNewTokens = cmp.Or(r.MaxNewTokens, DefaultMaxNewTokens); r.MaxNewTokens < 0 {
			return nil, invalid("at most %d new tokens: want at least 1", r.MaxNewTokens)
		}
		if !(r.Temperature >= 0) || math.IsInf(r.Temperature, 1) {
			return nil, invalid("temperature %v: want at least 0", r.Temperature)
		}
		return p.Generate(ctx, &r)
	})
}

// Embed asks a provider for vectors of texts or pictures.
func Embed(ctx context.Context, p Provider, req *EmbeddingRequest) (*EmbeddingResponse, error) {
	return call(ctx, p, TaskEmbedding, req.Model, func(ctx context.Context) (*EmbeddingResponse, error) {
		if err := checkModel(req.Model); err != nil {
			return nil, err
		}
		n := len(req.Texts) + len(req.Images)
		if n == 0 || len(req.Texts) > 0 && len(req.Images) > 0 {
			return nil, invalid("%d texts and %d pictures: want one or more of either", len(req.Texts), len(req.Images))
		}
		if slices.Contains(req.Images, nil) {
			return nil, invalid("want a picture in each place")
		}
		resp, err := p.Embed(ctx, req)
		if err != nil {
			return nil, err
		}
		if len(resp.Vectors) != n {
			return nil, nonsense("%d vectors for %d inputs", len(resp.Vectors), n)
		}
		for _, v := range resp.Vectors {
			if len(v) == 0 || len(v) != len(resp.Vectors[0]) {
				return nil, nonsense("vectors of %d and %d values", len(resp.Vectors[0]), len(v))
			}
			for _, x := range v {
				if !finite(float64(x)) {
					return nil, nonsense("a vector with the value %v", x)
				}
			}
		}
		return resp, nil
	})
}
