package pixanoserver_test

import (
	"encoding/json"
	"fmt"
	"image"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"pixano/features"
	"pixano/inference"
	"pixano/inference/pixanoserver"
)

const apiKey = "sesame-9"

// server is an inference server of one generation, strict about what it is sent. Its model "sam" gives the box of a
// prompt, or the pixel of its first point, as the mask; "dino" finds one object for each class; "vlm" answers with the
// last text; "clip" gives lengths.
type server struct {
	*httptest.Server
	gen pixanoserver.Generation
	mux *http.ServeMux

	// instead, if it is set, answers requests in place of the routes if it returns true.
	instead func(w http.ResponseWriter, r *http.Request) bool

	mu       sync.Mutex
	jobs     map[string]map[string]any // answers of jobs by id
	polls    int
	pending  int  // how often a job is not done yet
	forget   bool // jobs are lost, as when the server was started again
	deleted  []string
	models   []string
	requests []map[string]any
	size     image.Point
}

func newServer(t *testing.T, gen pixanoserver.Generation, size image.Point) *server {
	s := &server{gen: gen, mux: http.NewServeMux(), jobs: map[string]map[string]any{}, models: []string{"sam", "dino", "vlm"}, size: size, pending: 2}
	if gen == pixanoserver.GenerationD {
		s.models = append(s.models, "clip")
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if gen == pixanoserver.GenerationD && r.Header.Get("X-API-Key") != apiKey {
			reply(w, 401, map[string]any{"detail": "bad key " + r.Header.Get("X-API-Key")})
			return
		}
		if s.instead == nil || !s.instead(w, r) {
			s.mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	capabilities := map[string]string{"sam": "segmentation", "dino": "detection", "vlm": "vlm", "clip": "embedding"}
	tasks := map[string]inference.Task{"sam": inference.TaskImageMask, "dino": inference.TaskDetection, "vlm": inference.TaskGeneration}
	list := func(w http.ResponseWriter, _ *http.Request) {
		models := []map[string]any{}
		for _, name := range s.models {
			switch gen {
			case pixanoserver.GenerationC:
				models = append(models, map[string]any{"name": name, "capability": capabilities[name], "model_path": "hub/" + name, "model_class": "M"})
			case pixanoserver.GenerationD:
				models = append(models, map[string]any{"name": name, "capability": capabilities[name], "modelPath": "hub/" + name, "modelClass": "M"})
			default:
				models = append(models, map[string]any{"name": name, "task": tasks[name]})
			}
		}
		reply(w, 200, models)
	}
	settings := map[string]any{"app_name": "Pixano Inference", "app_version": "0.5.6", "num_cpus": 4, "num_gpus": 1, "gpus_used": []any{"0"},
		"gpu_to_model": map[string]any{"0": "sam"}, "models": []string{"sam"}, "models_to_task": map[string]any{"sam": "image_mask_generation"}, "queue": 7}
	if gen == pixanoserver.GenerationD {
		s.mux.HandleFunc("GET /v1/health", func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, map[string]any{"status": "healthy"}) })
		s.mux.HandleFunc("GET /v1/info", func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, camelKeys(settings)) })
		s.mux.HandleFunc("GET /v1/models", list)
		s.mux.HandleFunc("POST /v1/models", s.deploy)
		s.mux.HandleFunc("DELETE /v1/models/{name}", s.undeploy)
		for path, task := range map[string]task{"segmentation": s.segment, "detection": s.detect, "vlm": s.generate, "tracking": s.track, "embedding": s.embed} {
			s.mux.HandleFunc("POST /v1/inference/"+path, s.sync(task))
		}
		s.mux.HandleFunc("POST /v1/inference/tracking/jobs", s.submit(s.track, "jobId"))
		s.mux.HandleFunc("/v1/jobs/{id}", s.job("jobId"))
		return s
	}
	s.mux.HandleFunc("GET /app/settings/", func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, settings) })
	s.mux.HandleFunc("GET /app/models/", list)
	old := map[string]task{"tasks/image/mask_generation/": s.segment, "tasks/video/mask_generation/": s.track,
		"tasks/image/zero_shot_detection/": s.detect, "tasks/multimodal/text-image/conditional_generation/": s.generate}
	switch gen {
	case pixanoserver.GenerationA:
		for path, task := range old {
			s.mux.HandleFunc("POST /"+path+"{$}", s.submit(task, "id"))
			s.mux.HandleFunc("/"+path+"{id}", s.job("id"))
		}
		s.mux.HandleFunc("POST /providers/instantiate", s.submit(s.load, "id"))
		s.mux.HandleFunc("/providers/instantiate/{id}", s.job("id"))
		s.mux.HandleFunc("DELETE /providers/model/{name}", s.undeploy)
	case pixanoserver.GenerationB:
		s.mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, map[string]any{"ready": true}) })
		for path, task := range old {
			s.mux.HandleFunc("POST /"+path+"{$}", s.sync(task))
		}
	case pixanoserver.GenerationC:
		s.mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, map[string]any{"status": "healthy"}) })
		for path, task := range map[string]task{"segmentation": s.segment, "detection": s.detect, "vlm": s.generate, "tracking": s.track} {
			s.mux.HandleFunc("POST /inference/"+path+"/{$}", s.sync(task))
		}
		s.mux.HandleFunc("POST /inference/tracking/jobs/{$}", s.submit(s.track, "job_id"))
		s.mux.HandleFunc("/inference/tracking/jobs/{id}", s.job("job_id"))
	}
	return s
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		panic(err)
	}
}

// camelKeys writes keys as generation D does.
func camelKeys(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			out[camel(k)] = camelKeys(x)
		}
		return out
	default:
		return v
	}
}

func camel(k string) string {
	words := strings.Split(k, "_")
	for i := 1; i < len(words); i++ {
		words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
	}
	return strings.Join(words, "")
}

// refusal is an answer with an error.
type refusal struct {
	status int
	detail any
}

type task func(request map[string]any) (data map[string]any, no *refusal)

// read reads a request, in generation D with keys in camel case and no others, and gives it in snake case.
func (s *server) read(r *http.Request) (map[string]any, *refusal) {
	var request map[string]any
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		return nil, &refusal{422, err.Error()}
	}
	if s.gen == pixanoserver.GenerationD {
		snake := map[string]any{}
		for k, v := range request {
			if strings.Contains(k, "_") {
				return nil, &refusal{422, "unexpected " + k}
			}
			var b strings.Builder
			for _, c := range k {
				if c >= 'A' && c <= 'Z' {
					b.WriteByte('_')
					c += 'a' - 'A'
				}
				b.WriteRune(c)
			}
			snake[b.String()] = v
		}
		request = snake
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, request)
	if model, ok := request["model"].(string); ok && !slices.Contains(s.models, model) {
		return nil, &refusal{404, "Model " + model + " is not registered."}
	}
	return request, nil
}

func (s *server) envelope(data map[string]any) map[string]any {
	e := map[string]any{"id": "x", "status": "SUCCESS", "timestamp": "2026-03-01T10:00:00.250000", "processing_time": 0.5,
		"metadata": map[string]any{"name": "m", "torch_dtype": "bfloat16"}, "data": data}
	if s.gen == pixanoserver.GenerationD {
		return camelKeys(e).(map[string]any)
	}
	return e
}

func (s *server) sync(f task) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		request, no := s.read(r)
		var data map[string]any
		if no == nil {
			data, no = f(request)
		}
		if no != nil {
			reply(w, no.status, map[string]any{"detail": no.detail})
			return
		}
		reply(w, 200, s.envelope(data))
	}
}

func (s *server) submit(f task, key string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		request, no := s.read(r)
		if no == nil {
			var data map[string]any
			if data, no = f(request); no == nil {
				s.mu.Lock()
				id := fmt.Sprintf("job-%d", len(s.jobs))
				s.jobs[id] = s.envelope(data)
				s.mu.Unlock()
				reply(w, 200, map[string]any{key: id, "status": "PENDING"})
				return
			}
		}
		reply(w, no.status, map[string]any{"detail": no.detail})
	}
}

func (s *server) job(key string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		id := r.PathValue("id")
		answer, ok := s.jobs[id]
		switch {
		case !ok || s.forget:
			reply(w, 404, map[string]any{"detail": "Job not found"})
		case r.Method == http.MethodDelete:
			s.deleted = append(s.deleted, id)
			reply(w, 200, map[string]any{key: id, "status": "REVOKED"})
		case s.polls < s.pending:
			s.polls++
			reply(w, 200, map[string]any{key: id, "status": "STARTED"})
		default:
			answer = maps(answer)
			answer[key] = id
			reply(w, 200, answer)
		}
	}
}

func maps(m map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		out[k] = v
	}
	return out
}

func box(r image.Rectangle, size image.Point) map[string]any {
	pix := make([]byte, size.X*size.Y)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			pix[y*size.X+x] = 1
		}
	}
	m, err := features.RLEFromBitmap(size.Y, size.X, pix)
	if err != nil {
		panic(err)
	}
	shape, counts := m.Compressed()
	return map[string]any{"size": shape, "counts": string(counts)}
}

// objects reads the prompts of a request: for each the box, or the pixel of its first point.
func (s *server) objects(r map[string]any) (objects []image.Rectangle, no *refusal) {
	keys := []string{"points", "labels", "boxes"}
	if s.gen == pixanoserver.GenerationA {
		keys = append(keys, "image_embedding", "high_resolution_features")
	}
	for _, key := range keys {
		v, there := r[key]
		if _, video := r["video"]; !video && s.gen == pixanoserver.GenerationA && !there {
			return nil, &refusal{422, "missing " + key}
		}
		if s.gen != pixanoserver.GenerationA && there && v == nil {
			return nil, &refusal{422, key + " is null"}
		}
	}
	if r["labels"] == nil != (r["points"] == nil) {
		return nil, &refusal{400, "Labels without points."}
	}
	if boxes, ok := r["boxes"].([]any); ok {
		for _, b := range boxes {
			v := b.([]any)
			objects = append(objects, image.Rect(int(v[0].(float64)), int(v[1].(float64)), int(v[2].(float64)), int(v[3].(float64))))
		}
		return objects, nil
	}
	for i, p := range r["points"].([]any) {
		if len(p.([]any)) != len(r["labels"].([]any)[i].([]any)) {
			return nil, &refusal{400, "Points and labels differ in length."}
		}
		v := p.([]any)[0].([]any)
		x, y := int(v[0].(float64)), int(v[1].(float64))
		objects = append(objects, image.Rect(x, y, x+1, y+1))
	}
	return objects, nil
}

func (s *server) segment(r map[string]any) (map[string]any, *refusal) {
	if r["model"] != "sam" {
		return nil, &refusal{400, fmt.Sprintf("Model %v does not support the image_mask_generation task.", r["model"])}
	}
	if !strings.HasPrefix(r["image"].(string), "data:image/png;base64,") {
		return nil, &refusal{422, "not an image"}
	}
	objects, no := s.objects(r)
	if no != nil {
		return nil, no
	}
	n := int(r["num_multimask_outputs"].(float64))
	if r["multimask_output"].(bool) != (n == 3) {
		return nil, &refusal{400, "multimask_output wants 3"}
	}
	var masks [][]any
	var scores []float64
	for _, o := range objects {
		var list []any
		for i := range n {
			list = append(list, box(o, s.size))
			scores = append(scores, 0.5+float64(i)/8)
		}
		masks = append(masks, list)
	}
	data := map[string]any{"masks": masks, "scores": map[string]any{"values": scores, "shape": []int{len(objects), n}}}
	if r["return_image_embedding"] == true {
		data["image_embedding"] = map[string]any{"values": []float64{1, 2, 3, 4}, "shape": []int{1, 2, 2}}
		data["high_resolution_features"] = []any{map[string]any{"values": []float64{5, 6}, "shape": []int{2, 1}}}
	}
	return data, nil
}

// track moves each object by a pixel to the right a frame.
func (s *server) track(r map[string]any) (map[string]any, *refusal) {
	objects, no := s.objects(r)
	if no != nil {
		return nil, no
	}
	if v3 := s.gen == pixanoserver.GenerationC || s.gen == pixanoserver.GenerationD; v3 && r["propagate"] != true {
		return nil, &refusal{422, "propagate"}
	}
	var ids, frames []int
	var masks []any
	for f := range r["video"].([]any) {
		for i, o := range objects {
			start := int(r["frame_indexes"].([]any)[i].(float64))
			if f < start {
				continue
			}
			ids = append(ids, int(r["objects_ids"].([]any)[i].(float64)))
			frames = append(frames, f)
			masks = append(masks, box(o.Add(image.Pt(f-start, 0)).Intersect(image.Rectangle{Max: s.size}), s.size))
		}
	}
	return map[string]any{"objects_ids": ids, "frame_indexes": frames, "masks": masks}, nil
}

func (s *server) detect(r map[string]any) (map[string]any, *refusal) {
	classes, _ := r["classes"].([]any)
	boxes, scores, names := []any{}, []any{}, []any{}
	for i, c := range classes {
		score := 0.9 - 0.2*float64(i)
		if score >= r["box_threshold"].(float64) {
			boxes, scores, names = append(boxes, []int{i, i, i + 4, i + 3}), append(scores, score), append(names, c)
		}
	}
	return map[string]any{"boxes": boxes, "scores": scores, "classes": names}, nil
}

func (s *server) generate(r map[string]any) (map[string]any, *refusal) {
	var said []string
	for _, m := range r["prompt"].([]any) {
		for _, part := range m.(map[string]any)["content"].([]any) {
			part := part.(map[string]any)
			switch part["type"] {
			case "text":
				said = append(said, fmt.Sprint(m.(map[string]any)["role"], ": ", part["text"]))
			case "image_url":
				said = append(said, part["image_url"].(map[string]any)["url"].(string)[:14])
			}
		}
	}
	return map[string]any{"generated_text": strings.Join(said, "|"), "generation_config": map[string]any{"max_new_tokens": r["max_new_tokens"], "temperature": r["temperature"]},
		"usage": map[string]any{"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}, nil
}

func (s *server) embed(r map[string]any) (map[string]any, *refusal) {
	inputs, ok := r["text"].([]any)
	if !ok {
		inputs = r["image"].([]any)
	}
	values := []float64{}
	for _, in := range inputs {
		values = append(values, float64(len(in.(string))), 1)
	}
	return map[string]any{"embeddings": map[string]any{"values": values, "shape": []int{len(inputs), 2}}, "dim": 2}, nil
}

func (s *server) load(r map[string]any) (map[string]any, *refusal) {
	config := r["config"].(map[string]any)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.models = append(s.models, config["name"].(string))
	return map[string]any{}, nil
}

func (s *server) deploy(w http.ResponseWriter, r *http.Request) {
	request, no := s.read(r)
	if no != nil {
		reply(w, no.status, map[string]any{"detail": no.detail})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.models = append(s.models, request["name"].(string))
	reply(w, 201, map[string]any{"name": request["name"]})
}

func (s *server) undeploy(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.models, r.PathValue("name"))
	if i < 0 {
		reply(w, 404, map[string]any{"detail": "no such one"})
		return
	}
	s.models = slices.Delete(s.models, i, i+1)
	reply(w, 200, map[string]any{})
}
