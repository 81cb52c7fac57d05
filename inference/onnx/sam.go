package onnx

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"slices"
	"sync"

	"pixano/features"
	"pixano/inference"
)

// sam computes masks from clicks and boxes: an encoder for each picture, a decoder for each prompt.
type sam struct {
	*Model
	encoder, decoder *session
	prep             preparation
	interleaved      bool // the encoder wants [height, width, 3] and prepares the pixels itself
	boxes            bool // the decoder knows boxes
	cache            *cache
	encoding         sync.Mutex
}

// The size of the pictures and of the masks inside the models.
const (
	samInput = 1024
	samMask  = 256
)

// The labels of points in a prompt.
const (
	labelBackground = 0
	labelForeground = 1
	labelTopLeft    = 2 // of a box
	labelBottom     = 3
	labelPadding    = -1
)

// encoded is what an encoder computed of a picture.
type encoded struct {
	embedding      tensor
	highResolution []tensor
	view           view
}

func (f *encoded) bytes() int64 {
	n := len(f.embedding.float32)
	for _, t := range f.highResolution {
		n += len(t.float32)
	}
	return 4 * int64(n)
}

func newSAM(m *Model, p *Provider) (s *sam, err error) {
	s = &sam{Model: m, cache: &p.features, boxes: m.config.Boxes == nil || *m.config.Boxes}
	s.prep = preparation{width: samInput, height: samInput, filter: bilinear}
	input := m.headers[roleEncoder].inputs[0]
	outputs := []string{m.headers[roleEncoder].outputs[0].name}
	switch m.Family {
	case SAM2:
		s.prep.fit, s.prep.mean, s.prep.std = fitStretch, imageNetMean, imageNetStd
		outputs = []string{"image_embed", "high_res_feats_0", "high_res_feats_1"}
	default:
		s.prep.fit, s.prep.mean, s.prep.std = fitCorner, samMean, samStd
	}
	switch {
	case input.kind != float32Type:
		return nil, fmt.Errorf("%s: input %v: want elements of float", m.Path(), input)
	case fits(input.shape, -1, -1, 3):
		s.interleaved = true
		s.prep.mean, s.prep.std = [3]float32{}, [3]float32{1, 1, 1}
	case fits(input.shape, -1, 3, samInput, samInput):
	default:
		return nil, fmt.Errorf("%s: input %v: want [1, 3, %d, %d] or [height, width, 3]", m.Path(), input, samInput, samInput)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.encoder, err = m.open(roleEncoder, p.opts.Threads, outputs...); err != nil {
		return nil, err
	}
	masks := "low_res_masks" // the full ones of some exports are cut to the size of the picture that they were made with
	if m.Family == SAM2 {
		masks = "masks"
	}
	if m.headers[roleDecoder].output(masks) == nil || m.headers[roleDecoder].output("iou_predictions") == nil {
		return nil, fmt.Errorf("%s: outputs %v: want %s and iou_predictions", m.Files[roleDecoder], m.headers[roleDecoder].outputs, masks)
	}
	s.decoder, err = m.open(roleDecoder, p.opts.Threads, masks, "iou_predictions")
	return s, err
}

// encode computes the features of a picture, or takes those that it kept.
func (s *sam) encode(ctx context.Context, img *inference.Image) (*encoded, error) {
	key := keyOf(s.Path()+s.stamp, img)
	if f := s.cache.get(key); f != nil {
		return f, nil
	}
	s.encoding.Lock() // clicks that come while a picture is encoded wait for it
	defer s.encoding.Unlock()
	if f := s.cache.get(key); f != nil {
		return f, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	pixels, err := img.Decode()
	if err != nil {
		return nil, err
	}
	f := &encoded{}
	prep := s.prep
	if s.interleaved {
		v := prep.place(pixels.Bounds().Size())
		prep.fit, prep.width, prep.height = fitStretch, v.width, v.height
	}
	values := make([]float32, 3*prep.width*prep.height)
	f.view = prep.prepare(pixels, values)
	in := floats(values, 1, 3, int64(prep.height), int64(prep.width))
	if s.interleaved {
		in = interleave(in)
	}
	out, err := s.encoder.run(ctx, map[string]tensor{s.encoder.inputs[0].name: in})
	if err != nil {
		return nil, err
	}
	for _, t := range out {
		if t.float32 == nil || len(t.shape) != 4 || t.shape[0] != 1 {
			return nil, inference.Errorf(inference.ErrInvalidResponse, "an encoder's output of the shape %v", t.shape)
		}
	}
	f.embedding, f.highResolution = out[0], out[1:]
	s.cache.put(key, f)
	return f, nil
}

// interleave turns [1, 3, h, w] into [h, w, 3].
func interleave(t tensor) tensor {
	h, w := t.shape[2], t.shape[3]
	area := int(h * w)
	out := make([]float32, 3*area)
	for c := range 3 {
		for i, v := range t.float32[c*area:][:area] {
			out[3*i+c] = v
		}
	}
	return floats(out, h, w, 3)
}

// given takes features from an earlier answer.
func (s *sam) given(f *inference.Features, size image.Point) (*encoded, error) {
	take := func(t inference.Tensor) (tensor, error) {
		shape := []int64{1}
		n := 1
		for _, d := range t.Shape {
			shape, n = append(shape, int64(d)), n*d
		}
		if len(t.Shape) != 3 || n != len(t.Values) || n == 0 {
			return tensor{}, inference.Errorf(inference.ErrInvalidRequest, "features of the shape %v with %d values: want those of an earlier answer", t.Shape, len(t.Values))
		}
		return floats(t.Values, shape...), nil
	}
	e := &encoded{view: s.prep.place(size)}
	var err error
	if e.embedding, err = take(f.Embedding); err != nil {
		return nil, err
	}
	for _, t := range f.HighResolution {
		high, err := take(t)
		if err != nil {
			return nil, err
		}
		e.highResolution = append(e.highResolution, high)
	}
	want := [][]int64{{1, 256, 64, 64}}
	if s.Family == SAM2 {
		want = append(want, []int64{1, 32, 256, 256}, []int64{1, 64, 128, 128})
	}
	have := append([]tensor{e.embedding}, e.highResolution...)
	if len(have) != len(want) || !slices.EqualFunc(have, want, func(t tensor, w []int64) bool { return slices.Equal(t.shape, w) }) {
		return nil, inference.Errorf(inference.ErrInvalidRequest, "%d features, the first of the shape %v: want those of a model of the family %q", len(have), e.embedding.shape, s.Family)
	}
	return e, nil
}

// answer is what the decoder says to a prompt: masks of samMask by samMask logits.
type answer struct {
	masks  [][]float32
	scores []float32
	points int // of the prompt, with those that stand for a box
}

// decode asks for the masks of a prompt. before are the logits of an earlier mask of the same object, or nil.
func (s *sam) decode(ctx context.Context, f *encoded, prompt inference.Prompt, before []float32) (*answer, error) {
	var coords, labels []float32
	add := func(x, y float64, label float32) {
		coords = append(coords, float32(x*f.view.scaleX), float32(y*f.view.scaleY))
		labels = append(labels, label)
	}
	foreground := false
	for _, p := range prompt.Points {
		if p.Background {
			add(float64(p.X)+0.5, float64(p.Y)+0.5, labelBackground)
		} else {
			add(float64(p.X)+0.5, float64(p.Y)+0.5, labelForeground)
			foreground = true
		}
	}
	box := prompt.Box
	switch {
	case box.Empty():
	case s.boxes:
		add(float64(box.Min.X), float64(box.Min.Y), labelTopLeft)
		add(float64(box.Max.X), float64(box.Max.Y), labelBottom)
	case !foreground:
		add(float64(box.Min.X+box.Max.X)/2, float64(box.Min.Y+box.Max.Y)/2, labelForeground)
	}
	if s.Family == SAM && (box.Empty() || !s.boxes) { // the exports of SAM 2 pad themselves
		coords, labels = append(coords, 0, 0), append(labels, labelPadding)
	}
	n := int64(len(labels))
	mask, has := before, float32(1)
	if before == nil {
		mask, has = make([]float32, samMask*samMask), 0
	}
	in := map[string]tensor{
		"image_embeddings": f.embedding, "image_embed": f.embedding,
		"point_coords": floats(coords, 1, n, 2), "point_labels": floats(labels, 1, n),
		"mask_input": floats(mask, 1, 1, samMask, samMask), "has_mask_input": floats([]float32{has}, 1),
	}
	for i, t := range f.highResolution {
		in[fmt.Sprintf("high_res_feats_%d", i)] = t
	}
	for _, p := range s.decoder.inputs {
		if p.name == "orig_im_size" {
			t, err := integers(p, []int64{int64(f.view.picture.Y), int64(f.view.picture.X)}, 2)
			if err != nil {
				return nil, err
			}
			in[p.name] = t
		}
	}
	out, err := s.decoder.run(ctx, in)
	if err != nil {
		return nil, err
	}
	masks, scores := out[0], out[1]
	if !fits(masks.shape, 1, -1, samMask, samMask) || masks.float32 == nil || len(scores.float32) != int(masks.shape[1]) || masks.shape[1] == 0 {
		return nil, inference.Errorf(inference.ErrInvalidResponse, "masks of the shape %v and scores of %v: want [1, n, %d, %d] and [1, n]", masks.shape, scores.shape, samMask, samMask)
	}
	a := &answer{scores: scores.float32, points: len(labels)}
	for m := range slices.Chunk(masks.float32, samMask*samMask) {
		a.masks = append(a.masks, m)
	}
	return a, nil
}

// best chooses one of the masks as the models' own code does.
func (s *sam) best(a *answer) int {
	if s.Family == SAM && len(a.masks) == 4 {
		// The first mask is that of the whole prompt, the others are readings of an ambiguous one.
		if a.points >= 3 {
			return 0
		}
		return 1 + argmax(a.scores[1:])
	}
	return argmax(a.scores)
}

func argmax(values []float32) int {
	best := 0
	for i, v := range values {
		if v > values[best] {
			best = i
		}
	}
	return best
}

// mask brings logits to the size of the picture.
func (s *sam) mask(logits []float32, score float32, v view, box image.Rectangle) inference.Mask {
	clip := image.Rectangle{Max: v.picture}
	if !s.boxes && !box.Empty() {
		clip = clip.Intersect(box)
	}
	return inference.Mask{RLE: threshold(logits, v, clip), Score: float64(score)}
}

// threshold is the mask, of the size of the picture, of the pixels in a rectangle whose logit is above 0. Between the
// logits it is linear.
func threshold(logits []float32, v view, clip image.Rectangle) features.RLE {
	const scale = float64(samMask) / samInput
	type tap struct {
		low, high int
		weight    float32 // of high
	}
	taps := func(n int, factor, offset float64) []tap {
		taps := make([]tap, n)
		for i := range taps {
			at := min(max(((float64(i)+0.5)*factor+offset)*scale-0.5, 0), samMask-1)
			low := int(at)
			taps[i] = tap{low, min(low+1, samMask-1), float32(at - float64(low))}
		}
		return taps
	}
	rows := taps(v.picture.Y, v.scaleY, v.top)
	rle := features.RLE{Height: v.picture.Y, Width: v.picture.X}
	column := make([]float32, samMask)
	var run uint32
	inside := false
	emit := func(in bool, n uint32) {
		if in != inside {
			rle.Counts = append(rle.Counts, run)
			run, inside = 0, in
		}
		run += n
	}
	for x, c := range taps(v.picture.X, v.scaleX, v.left) {
		if x < clip.Min.X || x >= clip.Max.X {
			emit(false, uint32(v.picture.Y))
			continue
		}
		for y := range column {
			a, b := logits[y*samMask+c.low], logits[y*samMask+c.high]
			column[y] = a + (b-a)*c.weight
		}
		for y, r := range rows {
			a, b := column[r.low], column[r.high]
			emit(a+(b-a)*r.weight > 0 && y >= clip.Min.Y && y < clip.Max.Y, 1)
		}
	}
	rle.Counts = append(rle.Counts, run)
	return rle
}

func (s *sam) imageMask(ctx context.Context, req *inference.ImageMaskRequest) (*inference.ImageMaskResponse, error) {
	var f *encoded
	var err error
	if req.Features != nil {
		f, err = s.given(req.Features, req.Image.Size())
	} else {
		f, err = s.encode(ctx, req.Image)
	}
	if err != nil {
		return nil, err
	}
	resp := &inference.ImageMaskResponse{}
	for _, prompt := range req.Prompts {
		a, err := s.decode(ctx, f, prompt, nil)
		if err != nil {
			return nil, err
		}
		chosen := []int{s.best(a)}
		if req.MasksPerPrompt > 1 && len(a.masks) >= req.MasksPerPrompt {
			chosen = nil
			for i := len(a.masks) - req.MasksPerPrompt; i < len(a.masks); i++ {
				chosen = append(chosen, i)
			}
		}
		var masks []inference.Mask
		for _, i := range chosen {
			masks = append(masks, s.mask(a.masks[i], a.scores[i], f.view, prompt.Box))
		}
		resp.Masks = append(resp.Masks, masks)
	}
	if req.ReturnFeatures {
		resp.Features = &inference.Features{Embedding: given(f.embedding)}
		for _, t := range f.highResolution {
			resp.Features.HighResolution = append(resp.Features.HighResolution, given(t))
		}
	}
	return resp, nil
}

// given is a tensor of one picture as callers get it.
func given(t tensor) inference.Tensor {
	out := inference.Tensor{Values: slices.Clone(t.float32)} // the cache keeps its own
	for _, n := range t.shape[1:] {
		out.Shape = append(out.Shape, int(n))
	}
	return out
}

// grow is by how much of its size the box of a mask is taken larger for the next frame, on each side.
const grow = 0.1

// videoMask follows objects from the frames where they are prompted, forwards and then backwards: the mask in a frame,
// with the box around it and a point inside, is the prompt for the next one.
func (s *sam) videoMask(ctx context.Context, req *inference.VideoMaskRequest) (*inference.VideoMaskResponse, error) {
	var objects []int
	prompts := map[int]map[int]inference.Prompt{} // by object and frame
	for _, p := range req.Prompts {
		if prompts[p.Object] == nil {
			objects = append(objects, p.Object)
			prompts[p.Object] = map[int]inference.Prompt{}
		}
		q := prompts[p.Object][p.Frame]
		q.Points = append(q.Points, p.Points...)
		if !p.Box.Empty() {
			q.Box = p.Box
		}
		prompts[p.Object][p.Frame] = q
	}
	resp := &inference.VideoMaskResponse{}
	type track struct {
		logits []float32
		mask   features.RLE
	}
	// pass goes through frames, each object from its first prompt on the way.
	pass := func(frames []int, backwards bool) error {
		tracks := map[int]track{}
		for _, frame := range frames {
			if err := ctx.Err(); err != nil {
				return err
			}
			var f *encoded
			for _, object := range objects {
				prompt, prompted := prompts[object][frame]
				if backwards && frame > firstFrame(prompts[object]) {
					continue // its mask is there
				}
				var before []float32
				if !prompted {
					last, ok := tracks[object]
					if !ok {
						continue
					}
					if prompt, ok = s.next(last.mask, req.Frames[frame].Size()); !ok {
						continue // lost
					}
					before = last.logits
				}
				if f == nil {
					var err error
					if f, err = s.encode(ctx, req.Frames[frame]); err != nil {
						return fmt.Errorf("frame %d: %w", frame, err)
					}
				}
				a, err := s.decode(ctx, f, prompt, before)
				if err != nil {
					return fmt.Errorf("frame %d: %w", frame, err)
				}
				i := s.best(a)
				mask := s.mask(a.masks[i], a.scores[i], f.view, prompt.Box)
				tracks[object] = track{a.masks[i], mask.RLE}
				if !backwards || frame < firstFrame(prompts[object]) {
					resp.Masks = append(resp.Masks, inference.FrameMask{Object: object, Frame: frame, Mask: mask})
				}
			}
			if !backwards && req.Progress != nil {
				req.Progress(frame+1, len(req.Frames))
			}
		}
		return nil
	}
	var frames []int
	for i := range req.Frames {
		frames = append(frames, i)
	}
	if err := pass(frames, false); err != nil {
		return nil, err
	}
	// Back from the latest first prompt; later frames have their masks.
	last := 0
	for _, object := range objects {
		last = max(last, firstFrame(prompts[object]))
	}
	frames = frames[:last+1]
	slices.Reverse(frames)
	return resp, pass(frames, true)
}

func firstFrame(prompts map[int]inference.Prompt) int {
	first := math.MaxInt
	for frame := range prompts {
		first = min(first, frame)
	}
	return first
}

// next is the prompt that a mask makes for the next frame; false if nothing is left of it.
func (s *sam) next(mask features.RLE, size image.Point) (inference.Prompt, bool) {
	inside, ok := inner(mask)
	if !ok {
		return inference.Prompt{}, false
	}
	box := mask.Bounds()
	dx, dy := int(grow*float64(box.Dx()))+1, int(grow*float64(box.Dy()))+1
	bounds := image.Rectangle{Max: size} // frames of a sequence may differ in size
	box = image.Rect(box.Min.X-dx, box.Min.Y-dy, box.Max.X+dx, box.Max.Y+dy).Intersect(bounds)
	if !inside.In(bounds) {
		return inference.Prompt{}, false
	}
	return inference.Prompt{Points: []inference.Point{{X: inside.X, Y: inside.Y}}, Box: box}, true
}

// inner returns a point well inside of a mask: of the long runs of its columns, the middle of the one that is nearest to
// the centre of the mask. It is false for an empty mask.
func inner(m features.RLE) (inside image.Point, ok bool) {
	type run struct{ x, y, length int }
	var runs []run
	at, longest, area := 0, 0, 0
	var sumX, sumY float64
	for i, n := range m.Counts {
		end := at + int(n)
		for i%2 == 1 && at < end {
			r := run{at / m.Height, at % m.Height, 0}
			r.length = min(end-at, m.Height-r.y)
			runs = append(runs, r)
			longest, area = max(longest, r.length), area+r.length
			sumX += float64(r.length) * float64(r.x)
			sumY += float64(r.length) * (float64(r.y) + float64(r.length)/2)
			at += r.length
		}
		at = end
	}
	nearest := math.Inf(1)
	for _, r := range runs {
		if r.length < longest/2 {
			continue
		}
		middle := r.y + r.length/2
		if d := math.Hypot(float64(r.x)-sumX/float64(area), float64(middle)-sumY/float64(area)); d < nearest {
			nearest, inside = d, image.Pt(r.x, middle)
		}
	}
	return inside, len(runs) > 0
}

func (s *sam) close() error {
	var errs []error
	for _, session := range []*session{s.encoder, s.decoder} {
		if session != nil {
			errs = append(errs, session.close())
		}
	}
	return errors.Join(errs...)
}
