package pixanoserver

import (
	"cmp"
	"context"
	"errors"
	"image"
	"math"
	"net/http"
	"time"

	"pixano/features"
	"pixano/inference"
)

// routes gives the page of a task: of generations A and B, and its name in C and D.
var routes = map[inference.Task]struct{ old, name string }{
	inference.TaskImageMask:  {"tasks/image/mask_generation/", "segmentation"},
	inference.TaskVideoMask:  {"tasks/video/mask_generation/", "tracking"},
	inference.TaskDetection:  {"tasks/image/zero_shot_detection/", "detection"},
	inference.TaskGeneration: {"tasks/multimodal/text-image/conditional_generation/", "vlm"},
	inference.TaskEmbedding:  {"", "embedding"},
}

func (c *Client) route(task inference.Task) string {
	switch r := routes[task]; c.gen {
	case GenerationC:
		return "inference/" + r.name + "/"
	case GenerationD:
		return "v1/inference/" + r.name
	default:
		return r.old
	}
}

// run sends a task and returns the answer of the server, waiting for it if the server made it a job.
func (c *Client) run(ctx context.Context, task inference.Task, request map[string]any) (*answer, error) {
	path := c.route(task)
	if task == inference.TaskVideoMask && (c.gen == GenerationC || c.gen == GenerationD) {
		a, err := c.trackingJob(ctx, request)
		if e, ok := errors.AsType[*inference.Error](err); !ok || e.Status != http.StatusNotFound && e.Status != http.StatusMethodNotAllowed || modelMissing(e) {
			return a, modelError(err)
		}
		// A server without such jobs does it at once.
	}
	var o object
	if err := c.http.Do(ctx, http.MethodPost, path, c.body(request), &o); err != nil {
		return nil, modelError(err)
	}
	return c.await(ctx, o, path)
}

func (c *Client) body(request map[string]any) any {
	if c.gen == GenerationD {
		return camelKeys(request)
	}
	return request
}

func modelMissing(e *inference.Error) bool {
	return errors.Is(modelError(e), inference.ErrModelNotFound)
}

func (c *Client) trackingJob(ctx context.Context, request map[string]any) (*answer, error) {
	submit, jobs := "inference/tracking/jobs/", "inference/tracking/jobs/"
	if c.gen == GenerationD {
		submit, jobs = "v1/inference/tracking/jobs", "v1/jobs/"
	}
	var o object
	if err := c.http.Do(ctx, http.MethodPost, submit, c.body(request), &o); err != nil {
		return nil, err
	}
	return c.await(ctx, o, jobs)
}

// lost is how often in a row a job may not be asked for because of the connection, before it is given up.
const lost = 3

// await returns the answer, asking for it at path while it is a job that is not done. When the context ends the job is
// cancelled.
func (c *Client) await(ctx context.Context, o object, path string) (*answer, error) {
	a, err := readAnswer(o)
	if err != nil {
		return nil, err
	}
	id := a.id
	interval := c.opts.PollInterval
	for failures := 0; ; {
		switch a.state() {
		case done:
			if a.data == nil {
				a.data = object{}
			}
			return a, nil
		case failed:
			return nil, inference.Errorf(inference.ErrFailed, "%s", cmp.Or(a.detail, "the server says that the inference failed, and not why"))
		case cancelled:
			return nil, inference.Errorf(inference.ErrFailed, "%s", cmp.Or(a.detail, "the job was cancelled on the server"))
		}
		if id == "" {
			return nil, nonsense("neither data nor the id of a job")
		}
		select {
		case <-ctx.Done():
			c.cancel(ctx, path+escape(id))
			return nil, ctx.Err()
		case <-time.After(interval):
		}
		var next object
		err := c.http.Do(ctx, http.MethodGet, path+escape(id), nil, &next)
		switch e, ok := errors.AsType[*inference.Error](err); {
		case err == nil:
			failures, interval = 0, c.opts.PollInterval
		case ctx.Err() != nil:
			c.cancel(ctx, path+escape(id))
			return nil, ctx.Err()
		case ok && e.Status == http.StatusNotFound:
			return nil, inference.Errorf(inference.ErrFailed, "the server does not know its job any more: %s", e.HTTP())
		case errors.Is(err, inference.ErrConnection) && !ok && failures+1 < lost:
			failures++
			interval *= 2
			continue
		default:
			return nil, err
		}
		if a, err = readAnswer(next); err != nil {
			return nil, err
		}
	}
}

// cancel tells the server that nobody waits for a job any more.
func (c *Client) cancel(ctx context.Context, path string) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	// Whether it heard makes no difference to the caller.
	_ = c.http.Do(ctx, http.MethodDelete, path, nil, nil)
}

// prompts writes the prompts as three lists, one entry for each prompt, or null where no prompt has that part.
func prompts(list []inference.Prompt) (points, labels, boxes any) {
	var hasPoints, hasBoxes bool
	p := make([][][2]int, len(list))
	l := make([][]int, len(list))
	b := make([][]int, len(list))
	for i, prompt := range list {
		p[i], l[i], b[i] = [][2]int{}, []int{}, nil
		for _, pt := range prompt.Points {
			hasPoints = true
			p[i] = append(p[i], [2]int{pt.X, pt.Y})
			label := 1
			if pt.Background {
				label = 0
			}
			l[i] = append(l[i], label)
		}
		if r := prompt.Box; !r.Empty() {
			hasBoxes = true
			b[i] = []int{r.Min.X, r.Min.Y, r.Max.X, r.Max.Y}
		}
	}
	if hasPoints {
		points, labels = p, l
	}
	if hasBoxes {
		boxes = b
	}
	return points, labels, boxes
}

// set puts an optional value into a request. Generation A wants null for one that is not there, the others no key.
func (c *Client) set(request map[string]any, key string, value any, given bool) {
	switch {
	case given:
		request[key] = value
	case c.gen == GenerationA:
		request[key] = nil
	}
}

func (c *Client) setPrompts(request map[string]any, list []inference.Prompt) error {
	points, labels, boxes := prompts(list)
	if boxes != nil {
		for _, b := range boxes.([][]int) {
			if b == nil {
				return inference.Errorf(inference.ErrInvalidRequest, "prompts with and without a box in one request: servers take one kind at a time")
			}
		}
	}
	c.set(request, "points", points, points != nil)
	c.set(request, "labels", labels, labels != nil)
	c.set(request, "boxes", boxes, boxes != nil)
	return nil
}

// ImageMask asks the server for masks.
func (c *Client) ImageMask(ctx context.Context, req *inference.ImageMaskRequest) (*inference.ImageMaskResponse, error) {
	source, err := req.Image.Source()
	if err != nil {
		return nil, err
	}
	n := max(1, req.MasksPerPrompt)
	request := map[string]any{
		"model":                  req.Model,
		"image":                  source,
		"num_multimask_outputs":  n,
		"multimask_output":       n > 1,
		"return_image_embedding": req.ReturnFeatures,
	}
	if err := c.setPrompts(request, req.Prompts); err != nil {
		return nil, err
	}
	given := req.Features != nil && len(req.Features.HighResolution) > 0 // servers want both or none
	if given {
		request["image_embedding"], request["high_resolution_features"] = req.Features.Embedding, req.Features.HighResolution
	} else {
		c.set(request, "image_embedding", nil, false)
		c.set(request, "high_resolution_features", nil, false)
	}
	request["reset_predictor"] = true
	if c.opts.Exclusive {
		c.last.Lock()
		defer c.last.Unlock()
		request["reset_predictor"] = given || req.Image.ID() == "" || c.last.image != req.Image.ID() || c.last.model != req.Model
		c.last.image = ""
	}
	a, err := c.run(ctx, inference.TaskImageMask, request)
	if err != nil {
		return nil, err
	}
	out := &inference.ImageMaskResponse{Meta: a.meta}
	var masks [][]features.RLE
	var scores *inference.Tensor
	var embedding *inference.Tensor
	var high []inference.Tensor
	if err := errors.Join(a.data.read("masks", &masks), a.data.read("scores", &scores),
		a.data.read("image_embedding", &embedding), a.data.read("high_resolution_features", &high)); err != nil {
		return nil, err
	}
	total := 0
	for _, list := range masks {
		total += len(list)
	}
	if scores != nil {
		if err := checkTensor(*scores); err != nil {
			return nil, err
		}
		if len(scores.Values) != total {
			return nil, nonsense("%d scores for %d masks", len(scores.Values), total)
		}
	}
	at := 0
	for _, list := range masks {
		with := make([]inference.Mask, len(list))
		for i, m := range list {
			with[i] = inference.Mask{RLE: m, Score: inference.NoScore}
			if scores != nil {
				with[i].Score = float64(scores.Values[at])
			}
			at++
		}
		out.Masks = append(out.Masks, with)
	}
	if embedding != nil {
		for _, t := range append(high, *embedding) {
			if err := checkTensor(t); err != nil {
				return nil, err
			}
		}
		out.Features = &inference.Features{Embedding: *embedding, HighResolution: high}
	}
	if c.opts.Exclusive {
		c.last.image, c.last.model = req.Image.ID(), req.Model
	}
	return out, nil
}

// VideoMask asks the server for masks through a video.
func (c *Client) VideoMask(ctx context.Context, req *inference.VideoMaskRequest) (*inference.VideoMaskResponse, error) {
	video := make([]string, len(req.Frames))
	for i, frame := range req.Frames {
		var err error
		if video[i], err = frame.Source(); err != nil {
			return nil, err
		}
	}
	var objects, frames []int
	list := make([]inference.Prompt, len(req.Prompts))
	for i, p := range req.Prompts {
		list[i] = p.Prompt
		objects, frames = append(objects, p.Object), append(frames, p.Frame)
	}
	old := c.gen == GenerationA || c.gen == GenerationB
	if old && len(list) == 1 && objects[0] == 0 && frames[0] == 0 {
		// What the reference's client sends for one object in the first frame, which is all that it can ask.
		objects, frames = make([]int, len(video)), make([]int, len(video))
		for i := range video {
			objects[i], frames[i] = i, i
		}
	}
	request := map[string]any{"model": req.Model, "video": video, "objects_ids": objects, "frame_indexes": frames}
	if err := c.setPrompts(request, list); err != nil {
		return nil, err
	}
	if !old {
		request["propagate"] = true
	}
	a, err := c.run(ctx, inference.TaskVideoMask, request)
	if err != nil {
		return nil, err
	}
	var masks []features.RLE
	objects, frames = nil, nil
	if err := errors.Join(a.data.read("masks", &masks), a.data.read("objects_ids", &objects), a.data.read("frame_indexes", &frames)); err != nil {
		return nil, err
	}
	if len(objects) != len(masks) || len(frames) != len(masks) {
		return nil, nonsense("%d masks of %d objects in %d frames: want lists of one length", len(masks), len(objects), len(frames))
	}
	out := &inference.VideoMaskResponse{Meta: a.meta}
	for i, m := range masks {
		out.Masks = append(out.Masks, inference.FrameMask{Object: objects[i], Frame: frames[i], Mask: inference.Mask{RLE: m, Score: inference.NoScore}})
	}
	if req.Progress != nil {
		req.Progress(len(video), len(video))
	}
	return out, nil
}

// Detect asks the server for objects.
func (c *Client) Detect(ctx context.Context, req *inference.DetectionRequest) (*inference.DetectionResponse, error) {
	source, err := req.Image.Source()
	if err != nil {
		return nil, err
	}
	request := map[string]any{"model": req.Model, "image": source, "classes": req.Classes,
		"box_threshold": req.BoxThreshold, "text_threshold": req.TextThreshold}
	if len(req.Classes) == 0 {
		if c.gen == GenerationA || c.gen == GenerationB {
			return nil, inference.Errorf(inference.ErrInvalidRequest, "want the classes to look for")
		}
		request["classes"] = nil
	}
	a, err := c.run(ctx, inference.TaskDetection, request)
	if err != nil {
		return nil, err
	}
	var boxes [][]float64
	var scores []float64
	var classes []string
	var masks []features.RLE
	if err := errors.Join(a.data.read("boxes", &boxes), a.data.read("scores", &scores), a.data.read("classes", &classes), a.data.read("masks", &masks)); err != nil {
		return nil, err
	}
	if len(scores) != len(boxes) || len(classes) != len(boxes) || len(masks) > 0 && len(masks) != len(boxes) {
		return nil, nonsense("%d boxes, %d scores, %d classes, %d masks: want lists of one length", len(boxes), len(scores), len(classes), len(masks))
	}
	out := &inference.DetectionResponse{Meta: a.meta}
	for i, b := range boxes {
		d := inference.Detection{Score: scores[i], Class: classes[i]}
		if d.Box, err = rectangle(b); err != nil {
			return nil, err
		}
		if len(masks) > 0 {
			d.Mask = &masks[i]
		}
		out.Detections = append(out.Detections, d)
	}
	return out, nil
}

// rectangle rounds the corners of a box to whole pixels.
func rectangle(box []float64) (image.Rectangle, error) {
	if len(box) != 4 {
		return image.Rectangle{}, nonsense("a box of %d values", len(box))
	}
	for _, v := range box {
		if math.Abs(v) > math.MaxInt32 {
			return image.Rectangle{}, nonsense("a box at %v", box)
		}
	}
	round := func(i int) int { return int(math.RoundToEven(box[i])) }
	return image.Rectangle{Min: image.Pt(round(0), round(1)), Max: image.Pt(round(2), round(3))}, nil
}

// Generate asks the server for the next turn of a conversation. The answer comes at once.
func (c *Client) Generate(ctx context.Context, req *inference.GenerationRequest) (*inference.GenerationResponse, error) {
	prompt := make([]map[string]any, len(req.Messages))
	for i, m := range req.Messages {
		content := make([]map[string]any, len(m.Parts))
		for j, part := range m.Parts {
			if part.Image == nil {
				content[j] = map[string]any{"type": "text", "text": part.Text}
				continue
			}
			source, err := part.Image.Source()
			if err != nil {
				return nil, err
			}
			content[j] = map[string]any{"type": "image_url", "image_url": rawKeys{"url": source}}
		}
		prompt[i] = map[string]any{"role": m.Role, "content": raw(content)}
	}
	request := map[string]any{"model": req.Model, "prompt": prompt, "images": nil, "max_new_tokens": req.MaxNewTokens, "temperature": req.Temperature}
	a, err := c.run(ctx, inference.TaskGeneration, request)
	if err != nil {
		return nil, err
	}
	out := &inference.GenerationResponse{Meta: a.meta}
	var text *string
	var usage object
	if err := errors.Join(a.data.read("generated_text", &text), a.data.read("usage", &usage), a.data.read("generation_config", &out.Config)); err != nil {
		return nil, err
	}
	if text == nil {
		return nil, nonsense("no generated_text")
	}
	if err := errors.Join(usage.read("prompt_tokens", &out.Usage.PromptTokens), usage.read("completion_tokens", &out.Usage.CompletionTokens),
		usage.read("total_tokens", &out.Usage.TotalTokens)); err != nil {
		return nil, err
	}
	out.Text = *text
	if req.OnText != nil {
		if err := req.OnText(out.Text); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// rawKeys is an object whose keys are those of another protocol, that of chat messages: no generation changes them.
type rawKeys map[string]any

func raw(content []map[string]any) []rawKeys {
	out := make([]rawKeys, len(content))
	for i, c := range content {
		out[i] = c
	}
	return out
}

// Embed asks a server of generation D for vectors.
func (c *Client) Embed(ctx context.Context, req *inference.EmbeddingRequest) (*inference.EmbeddingResponse, error) {
	if c.gen != GenerationD {
		return nil, inference.Errorf(inference.ErrTaskNotSupported, "servers of generation %s compute no embeddings", c.gen)
	}
	request := map[string]any{"model": req.Model, "normalize": req.Normalize}
	if len(req.Texts) > 0 {
		request["text"] = req.Texts
	} else {
		sources := make([]string, len(req.Images))
		for i, m := range req.Images {
			var err error
			if sources[i], err = m.Source(); err != nil {
				return nil, err
			}
		}
		request["image"] = sources
	}
	a, err := c.run(ctx, inference.TaskEmbedding, request)
	if err != nil {
		return nil, err
	}
	var t *inference.Tensor
	if err := a.data.read("embeddings", &t); err != nil {
		return nil, err
	}
	if t == nil {
		return nil, nonsense("no embeddings")
	}
	if err := checkTensor(*t); err != nil {
		return nil, err
	}
	if len(t.Shape) != 2 {
		return nil, nonsense("embeddings of the shape %v: want [n, dim]", t.Shape)
	}
	out := &inference.EmbeddingResponse{Meta: a.meta}
	for i := range t.Shape[0] {
		out.Vectors = append(out.Vectors, t.Values[i*t.Shape[1]:(i+1)*t.Shape[1]])
	}
	return out, nil
}
