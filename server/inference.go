package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"pixano/dataset"
	"pixano/features"
	"pixano/inference"
	"pixano/inference/annotate"
	"pixano/inference/pixanoserver"
	"pixano/schema"
)

// routeInference adds the routes of models as the reference has them: connections, models, and the four tasks.
func (s *Server) routeInference() {
	s.refer("POST", "/inference/connect", s.connectInference)
	s.refer("GET", "/inference/status", s.inferenceStatus)
	s.refer("GET", "/inference/providers", s.listProviders)
	s.refer("POST", "/inference/disconnect/{name}", s.disconnectInference)
	s.refer("GET", "/inference/models/list", s.listModelsOf)
	s.refer("POST", "/inference/models/instantiate", s.deployModel)
	s.refer("DELETE", "/inference/models/delete/{name}", s.undeployModel)
	s.refer("POST", "/inference/tasks/mask-generation/image", task(s, imageMask))
	s.refer("POST", "/inference/tasks/mask-generation/video", task(s, videoMask))
	s.refer("POST", "/inference/tasks/zero-shot-detection/image", task(s, detect))
	s.refer("POST", "/inference/tasks/conditional_generation/text-image", task(s, answer))
}

// errNoProvider is the reference's answer where no model can be asked.
var errNoProvider = &statusError{http.StatusInternalServerError, "no inference server is connected"}

// connected returns the providers, or the one of a name.
func (s *Server) connected(name string) ([]inference.Provider, error) {
	if s.opts.Inference == nil || len(s.opts.Inference.Providers()) == 0 {
		return nil, errNoProvider
	}
	if name == "" {
		return s.opts.Inference.Providers(), nil
	}
	p, err := s.opts.Inference.Get(name)
	if err != nil {
		return nil, notFound("%v", err)
	}
	return []inference.Provider{p}, nil
}

func (s *Server) connectInference(w http.ResponseWriter, r *http.Request) error {
	q, err := queryOf(r)
	if err != nil {
		return err
	}
	urls := q.required("url")
	if err := q.err(); err != nil {
		return err
	}
	if s.opts.Inference == nil {
		return notFound("this server makes no connections to inference servers")
	}
	if _, _, err := s.opts.Inference.Connect(r.Context(), pixanoserver.Kind, urls[0]); err != nil {
		return notFound("%v", err)
	}
	writeNull(w)
	return nil
}

func writeNull(w http.ResponseWriter) {
	writeBody(w, http.StatusOK, "application/json", []byte("null"))
}

// providerInfo is a provider as the routes of the reference's newer heads list it.
type providerInfo struct {
	Name  string           `json:"name"`
	Tasks []inference.Task `json:"tasks"`
}

func (s *Server) providers() []providerInfo {
	list := []providerInfo{}
	if s.opts.Inference != nil {
		for _, p := range s.opts.Inference.Providers() {
			list = append(list, providerInfo{p.Name(), append([]inference.Task{}, p.Tasks()...)})
		}
	}
	return list
}

func (s *Server) inferenceStatus(w http.ResponseWriter, _ *http.Request) error {
	name := ""
	if s.opts.Inference != nil {
		name = s.opts.Inference.Default()
	}
	writeJSON(w, http.StatusOK, map[string]any{"connected": name != "", "default": name, "providers": s.providers()})
	return nil
}

func (s *Server) listProviders(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, s.providers())
	return nil
}

func (s *Server) disconnectInference(w http.ResponseWriter, r *http.Request) error {
	if s.opts.Inference == nil {
		return notFound("no inference server is connected")
	}
	if err := s.opts.Inference.Remove(r.PathValue("name")); err != nil {
		return notFound("%v", err)
	}
	writeNull(w)
	return nil
}

func (s *Server) listModelsOf(w http.ResponseWriter, r *http.Request) error {
	q, err := queryOf(r)
	if err != nil {
		return err
	}
	name, _ := q.text("provider")
	providers, err := s.connected(name)
	if err != nil {
		return err
	}
	wanted, filtered := q.text("task")
	type model struct {
		Name string         `json:"name"`
		Task inference.Task `json:"task"`
	}
	list := []model{}
	var failed error
	asked := 0
	for _, p := range providers {
		models, err := p.Models(r.Context())
		if err != nil {
			failed = err
			continue
		}
		asked++
		for _, m := range models {
			if one := (model{m.Name, m.Task}); (!filtered || string(m.Task) == wanted) && !slices.Contains(list, one) {
				list = append(list, one)
			}
		}
	}
	if asked == 0 {
		return inferenceError(failed)
	}
	writeJSON(w, http.StatusOK, list)
	return nil
}

// inferenceError gives an error of a model server its status: that of the server's answer if there is one.
func inferenceError(err error) error {
	var status *statusError
	if err == nil || errors.As(err, &status) || errors.Is(err, context.Canceled) {
		return err
	}
	if e, ok := errors.AsType[*inference.Error](err); ok && e.Status >= 400 && e.Status < 500 {
		return &statusError{e.Status, e.HTTP()}
	}
	switch {
	case errors.Is(err, inference.ErrConnection):
		return &statusError{http.StatusBadGateway, err.Error()}
	case errors.Is(err, inference.ErrTimeout):
		return &statusError{http.StatusGatewayTimeout, err.Error()}
	case errors.Is(err, inference.ErrModelNotFound), errors.Is(err, inference.ErrProviderNotFound):
		return notFound("%v", err)
	case errors.Is(err, dataset.ErrNotFound):
		return err
	}
	return badRequest("%v", err)
}

// fields reads a body as an object and finds required keys that are missing.
func fields(r *http.Request, required ...string) (map[string]json.RawMessage, []byte, error) {
	body, err := readBody(r)
	if err != nil {
		return nil, nil, err
	}
	m, ok := object(body)
	if !ok {
		return nil, nil, invalidRequest{{Type: "model_attributes_type", Loc: []any{"body"}, Msg: "want an object", Input: body}}
	}
	var mistakes invalidRequest
	for _, key := range required {
		if _, ok := m[key]; !ok {
			mistakes = append(mistakes, invalid{Type: "missing", Loc: []any{"body", key}, Msg: "want " + key, Input: json.RawMessage("null")})
		}
	}
	if len(mistakes) > 0 {
		return nil, nil, mistakes
	}
	return m, body, nil
}

// into decodes a body, of which fields has found what is required.
func into(body []byte, v any) error {
	if err := json.Unmarshal(body, v); err != nil {
		loc := []any{"body"}
		if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && e.Field != "" {
			loc = append(loc, e.Field)
		}
		return invalidRequest{{Type: "value_error", Loc: loc, Msg: err.Error(), Input: json.RawMessage("null")}}
	}
	return nil
}

func (s *Server) deployModel(w http.ResponseWriter, r *http.Request) error {
	_, body, err := fields(r, "config", "provider")
	if err != nil {
		return err
	}
	var in struct {
		Provider string
		Config   struct {
			Name            string
			Task            inference.Task
			Path            string
			Config          map[string]any
			ProcessorConfig map[string]any `json:"processor_config"`
		}
	}
	if err := into(body, &in); err != nil {
		return err
	}
	if !in.Config.Task.Valid() {
		task, _ := json.Marshal(in.Config.Task)
		return invalidRequest{{Type: "value_error", Loc: []any{"body", "config", "task"}, Msg: fmt.Sprintf("want one of %v", inference.Tasks()), Input: task}}
	}
	d, err := s.deployer()
	if err != nil {
		return err
	}
	c := in.Config
	if err := d.Deploy(r.Context(), inference.DeployRequest{Name: c.Name, Task: c.Task, Provider: in.Provider, Path: c.Path, Config: c.Config, ProcessorConfig: c.ProcessorConfig}); err != nil {
		return inferenceError(err)
	}
	writeNull(w)
	return nil
}

func (s *Server) undeployModel(w http.ResponseWriter, r *http.Request) error {
	d, err := s.deployer()
	if err != nil {
		return err
	}
	if err := d.Undeploy(r.Context(), r.PathValue("name")); err != nil {
		return inferenceError(err)
	}
	writeNull(w)
	return nil
}

// deployer returns the provider connected last that can be told which models to have.
func (s *Server) deployer() (inference.Deployer, error) {
	providers, err := s.connected("")
	if err != nil {
		return nil, err
	}
	for _, p := range slices.Backward(providers) {
		if d, ok := p.(inference.Deployer); ok {
			return d, nil
		}
	}
	return nil, badRequest("no provider can be told which models to have")
}

// taskBody is what the bodies of the four tasks have. Rows stand for those of the dataset: their tables and ids count.
type taskBody struct {
	DatasetID    string `json:"dataset_id"`
	Model        string
	ProviderName string `json:"provider_name"`

	Image  json.RawMessage
	Video  []json.RawMessage
	Entity json.RawMessage
	BBox   *struct {
		Coords       []float64
		Format       string
		IsNormalized bool `json:"is_normalized"`
	}
	Points [][]int
	Labels []int

	Preview bool
	Quick   bool

	MaskTable  string `json:"mask_table_name"`
	BoxTable   string `json:"box_table_name"`
	ClassTable string `json:"class_table_name"`

	Classes       json.RawMessage // a list of texts, or a text
	BoxThreshold  *float64        `json:"box_threshold"`
	TextThreshold *float64        `json:"text_threshold"`

	Conversation  json.RawMessage
	Messages      []json.RawMessage
	MaxNewTokens  int      `json:"max_new_tokens"`
	Temperature   *float64 `json:"temperature"`
	RoleSystem    string   `json:"role_system"`
	RoleUser      string   `json:"role_user"`
	RoleAssistant string   `json:"role_assistant"`
}

// taskRoute is one of the tasks: which keys its body must have, and what it answers.
type taskRoute struct {
	required []string
	task     inference.Task
	run      func(ctx context.Context, ds *dataset.Dataset, model annotate.Model, in *taskBody) ([]byte, error)
}

var (
	imageMask = taskRoute{[]string{"dataset_id", "image", "model", "mask_table_name"}, inference.TaskImageMask, runImageMask}
	videoMask = taskRoute{[]string{"dataset_id", "video", "model"}, inference.TaskVideoMask, runVideoMask}
	detect    = taskRoute{[]string{"dataset_id", "image", "entity", "classes", "model", "box_table_name", "class_table_name"}, inference.TaskDetection, runDetect}
	answer    = taskRoute{[]string{"dataset_id", "conversation", "messages", "model"}, inference.TaskGeneration, runAnswer}
)

// task makes a handler of a task. A client that leaves ends it, also on the model server.
func task(s *Server, route taskRoute) func(w http.ResponseWriter, r *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		_, body, err := fields(r, route.required...)
		if err != nil {
			return err
		}
		var in taskBody
		if err := into(body, &in); err != nil {
			return err
		}
		if _, err := s.connected(in.ProviderName); err != nil {
			return err
		}
		r.SetPathValue("dataset", in.DatasetID)
		ds, release, err := s.dataset(r)
		if err != nil {
			return err
		}
		defer release()
		p, err := s.opts.Inference.Find(r.Context(), in.ProviderName, in.Model, route.task)
		if err != nil {
			return inferenceError(err)
		}
		out, err := route.run(r.Context(), ds, annotate.Model{Provider: p, Name: in.Model}, &in)
		if err != nil {
			return inferenceError(err)
		}
		writeBody(w, http.StatusOK, "application/json", out)
		return nil
	}
}

// view reads the row of a picture that a body has.
func view(ctx context.Context, ds *dataset.Dataset, raw json.RawMessage) (annotate.View, error) {
	e, err := schema.ParseEnvelope(raw)
	if err != nil {
		return annotate.View{}, badRequest("image: %v", err)
	}
	class, ok := ds.Schema().Class(e.Table.Name)
	if !ok || !schema.IsA(class.Base, "Image") {
		return annotate.View{}, badRequest("image: table %q is no table of images", e.Table.Name)
	}
	return annotate.ReadView(ctx, ds, e.Table.Name, e.ID)
}

// entity returns the reference to the entity that a body has; none for null.
func entity(raw json.RawMessage) (features.EntityRef, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return features.EntityRef{}, nil
	}
	e, err := schema.ParseEnvelope(raw)
	if err != nil {
		return features.EntityRef{}, badRequest("entity: %v", err)
	}
	return features.Entity(e.Table.Name, e.ID), nil
}

// prompt returns the points and the box of a body.
func (in *taskBody) prompt() ([]inference.Point, *schema.BBox, error) {
	if len(in.Labels) != len(in.Points) && len(in.Labels) != 0 {
		return nil, nil, badRequest("%d labels for %d points", len(in.Labels), len(in.Points))
	}
	var points []inference.Point
	for i, p := range in.Points {
		if len(p) != 2 {
			return nil, nil, badRequest("points[%d]: want two numbers", i)
		}
		points = append(points, inference.Point{X: p[0], Y: p[1], Background: len(in.Labels) > 0 && in.Labels[i] == 0})
	}
	if in.BBox == nil {
		return points, nil, nil
	}
	box := schema.NewBBox("")
	box.Coords, box.Format, box.IsNormalized = in.BBox.Coords, in.BBox.Format, in.BBox.IsNormalized
	return points, &box, nil
}

func runImageMask(ctx context.Context, ds *dataset.Dataset, model annotate.Model, in *taskBody) ([]byte, error) {
	req := annotate.MaskRequest{Model: model, Preview: in.Preview, Quick: in.Quick}
	var err error
	if req.View, err = view(ctx, ds, in.Image); err != nil {
		return nil, err
	}
	if req.Entity, err = entity(in.Entity); err != nil {
		return nil, err
	}
	if req.Points, req.Box, err = in.prompt(); err != nil {
		return nil, err
	}
	mask, err := annotate.ImageMask(ctx, ds, req)
	if err != nil {
		return nil, err
	}
	row, err := schema.AppendRow([]byte(`{"mask":`), in.MaskTable, mask)
	return append(row, '}'), err
}

func runVideoMask(ctx context.Context, ds *dataset.Dataset, model annotate.Model, in *taskBody) ([]byte, error) {
	req := annotate.VideoMaskRequest{Model: model, Preview: in.Preview}
	for _, raw := range in.Video {
		frame, err := view(ctx, ds, raw)
		if err != nil {
			return nil, err
		}
		req.Frames = append(req.Frames, frame)
	}
	var err error
	if req.Points, req.Box, err = in.prompt(); err != nil {
		return nil, err
	}
	masks, err := annotate.VideoMask(ctx, ds, req)
	if err != nil {
		return nil, err
	}
	table := in.MaskTable
	if table == "" {
		table = "mask_table_name" // what the reference writes, and its web interface replaces
	}
	out := []byte(`{"masks":[`)
	for i := range masks {
		if i > 0 {
			out = append(out, ',')
		}
		if out, err = schema.AppendRow(out, table, &masks[i]); err != nil {
			return nil, err
		}
	}
	return append(out, ']', '}'), nil
}

func runDetect(ctx context.Context, ds *dataset.Dataset, model annotate.Model, in *taskBody) ([]byte, error) {
	req := annotate.DetectRequest{Model: model, Preview: in.Preview, BoxThreshold: 0.3, TextThreshold: 0.2}
	var err error
	if req.View, err = view(ctx, ds, in.Image); err != nil {
		return nil, err
	}
	if req.Entity, err = entity(in.Entity); err != nil {
		return nil, err
	}
	if json.Unmarshal(in.Classes, &req.Classes) != nil {
		req.Classes = make([]string, 1)
		if json.Unmarshal(in.Classes, &req.Classes[0]) != nil {
			return nil, badRequest("classes: want a list of texts, or a text")
		}
	}
	if in.BoxThreshold != nil {
		req.BoxThreshold = *in.BoxThreshold
	}
	if in.TextThreshold != nil {
		req.TextThreshold = *in.TextThreshold
	}
	found, err := annotate.Detect(ctx, ds, req)
	if err != nil {
		return nil, err
	}
	out := []byte{'['}
	for i, d := range found {
		if i > 0 {
			out = append(out, ',')
		}
		if out, err = schema.AppendRow(append(out, `{"bbox":`...), in.BoxTable, &d.BBox); err != nil {
			return nil, err
		}
		if out, err = schema.AppendRow(append(out, `,"classification":`...), in.ClassTable, &d.Classification); err != nil {
			return nil, err
		}
		out = append(out, '}')
	}
	return append(out, ']'), nil
}

func runAnswer(ctx context.Context, ds *dataset.Dataset, model annotate.Model, in *taskBody) ([]byte, error) {
	conversation, err := schema.ParseEnvelope(in.Conversation)
	if err != nil {
		return nil, badRequest("conversation: %v", err)
	}
	if conversation.Table.BaseSchema != "Conversation" {
		return nil, badRequest("conversation: rows of class %s are none", conversation.Table.BaseSchema)
	}
	req := annotate.AnswerRequest{Model: model, Conversation: features.Entity(conversation.Table.Name, conversation.ID),
		MaxNewTokens: in.MaxNewTokens, Temperature: inference.DefaultTemperature, RoleSystem: in.RoleSystem, RoleUser: in.RoleUser, RoleAssistant: in.RoleAssistant}
	if in.Temperature != nil {
		req.Temperature = *in.Temperature
	}
	for i, raw := range in.Messages {
		e, err := schema.ParseEnvelope(raw)
		if err != nil {
			return nil, badRequest("messages[%d]: %v", i, err)
		}
		if e.Table.BaseSchema != "Message" || req.Table != "" && e.Table.Name != req.Table {
			return nil, badRequest("messages[%d]: want messages of one table", i)
		}
		req.Table = e.Table.Name
		var m schema.Message
		if err := e.Decode(&m); err != nil {
			return nil, badRequest("messages[%d]: %v", i, err)
		}
		req.Messages = append(req.Messages, m)
	}
	if class, ok := ds.Schema().Class(req.Table); !ok || !slices.Contains(ds.Schema().TablesOf(schema.GroupAnnotations), req.Table) || !schema.IsA(class.Base, "Message") {
		return nil, badRequest("messages: want rows of a table of messages")
	}
	message, err := annotate.Answer(ctx, ds, req)
	if err != nil {
		return nil, err
	}
	return schema.MarshalRow(req.Table, message)
}
