package pixanoserver

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"pixano/inference"
	"pixano/inference/internal/httpjson"
)

// Kind is the name under which the reference implementation knows these servers.
const Kind = "pixano-inference"

// Generation is a generation of the protocol.
type Generation string

// The generations, see the package comment.
const (
	GenerationA Generation = "A"
	GenerationB Generation = "B"
	GenerationC Generation = "C"
	GenerationD Generation = "D"
)

// Options are the options of Connect. Nil and the zero value are the defaults.
type Options struct {
	// APIKey goes with every request as X-API-Key. It never appears in errors.
	APIKey string

	// Generation, if not empty, is what the server speaks; it is not asked.
	Generation Generation

	// Exclusive says that nobody else uses the server. Then a mask in the picture of the call before lets the model keep
	// what it computed of it. The server has one such memory for all its clients, and nothing tells whose picture is in it.
	Exclusive bool

	// PollInterval is how often a job is asked for. 0: a tenth of a second.
	PollInterval time.Duration

	// HTTPClient, if not nil, sends the requests. Redirects are not followed in any case. Nil: a client that connects to no
	// link-local address.
	HTTPClient *http.Client
}

// Client is a connection to a server. It implements [inference.Deployer].
type Client struct {
	http *httpjson.Client
	name string
	gen  Generation
	opts Options

	last struct { // with Options.Exclusive: the picture that the server has in mind
		sync.Mutex
		model, image string
	}
}

var _ inference.Deployer = (*Client)(nil)

// connectTimeout limits the detection of a server when the context has no deadline.
const connectTimeout = 10 * time.Second

// Connect connects to the server at a URL, "http://HOST:PORT", and finds out its generation. A server that does not
// answer, or is none of this kind, is ErrConnection.
func Connect(ctx context.Context, url string, opts *Options) (*Client, error) {
	if opts == nil {
		opts = &Options{}
	}
	c := &Client{opts: *opts}
	c.opts.PollInterval = cmp.Or(c.opts.PollInterval, 100*time.Millisecond)
	header := http.Header{}
	if opts.APIKey != "" {
		header.Set("X-API-Key", opts.APIKey)
	}
	var err error
	if c.http, err = httpjson.New(url, header, opts.APIKey, opts.HTTPClient); err != nil {
		return nil, inference.Located(err, Kind, "connect", "")
	}
	c.name = Kind + "@" + c.http.Host()
	if c.gen = opts.Generation; c.gen == "" {
		limited := ctx
		if _, ok := ctx.Deadline(); !ok {
			var cancel context.CancelFunc
			limited, cancel = context.WithTimeout(ctx, connectTimeout)
			defer cancel()
		}
		if c.gen, err = c.detect(limited); err != nil {
			if ctx.Err() == nil && limited.Err() != nil {
				err = inference.Errorf(inference.ErrTimeout, "no answer from %s within %v", c.http.URL(), connectTimeout)
			}
			return nil, inference.Located(err, c.name, "connect", "")
		}
	} else if !slices.Contains([]Generation{GenerationA, GenerationB, GenerationC, GenerationD}, c.gen) {
		return nil, inference.Located(inference.Errorf(inference.ErrInvalidRequest, "generation %q: want A, B, C or D", c.gen), c.name, "connect", "")
	}
	return c, nil
}

// Connector returns Connect with options, for [inference.Registry.Register].
func Connector(opts *Options) inference.Connector {
	return func(ctx context.Context, url string) (inference.Provider, error) { return Connect(ctx, url, opts) }
}

// detect finds out the generation. Only D answers under /v1. Of the others, C has the routes inference/…, and A can be told
// which models to load.
func (c *Client) detect(ctx context.Context) (Generation, error) {
	up, err := c.up(ctx, "v1/health", "v1/ready", "v1/info")
	if up || err != nil {
		return GenerationD, err
	}
	if up, err = c.up(ctx, "app/settings/", "ready", "health"); err != nil {
		return "", err
	}
	if !up {
		return "", inference.Errorf(inference.ErrConnection, "%s answers, and is no Pixano-Inference server", c.http.URL())
	}
	for _, probe := range []struct {
		path string
		gen  Generation
	}{{"inference/segmentation/", GenerationC}, {"providers/instantiate", GenerationA}} {
		// These take POST only. A server that has them refuses GET as a method and not as an unknown page.
		resp, err := c.http.Send(ctx, http.MethodGet, probe.path, nil)
		if err == nil {
			resp.Body.Close()
			continue // a page for whatever one asks
		}
		switch e, ok := errors.AsType[*inference.Error](err); {
		case !ok:
			return "", err
		case e.Status == http.StatusMethodNotAllowed || e.Status == http.StatusUnprocessableEntity:
			return probe.gen, nil
		}
	}
	return GenerationB, nil
}

// up reports whether one of the pages answers with a JSON object. An error is one that asking further makes no better.
func (c *Client) up(ctx context.Context, paths ...string) (bool, error) {
	for _, path := range paths {
		var answer map[string]json.RawMessage
		err := c.http.Do(ctx, http.MethodGet, path, nil, &answer)
		if err == nil && answer != nil {
			return true, nil
		}
		_, answered := errors.AsType[*inference.Error](err)
		if err != nil && !errors.Is(err, inference.ErrInvalidResponse) && (!answered || errors.Is(err, fs.ErrPermission)) {
			return false, err
		}
	}
	return false, nil
}

// Name returns "pixano-inference@HOST:PORT".
func (c *Client) Name() string { return c.name }

// URL returns the server's URL.
func (c *Client) URL() string { return c.http.URL() }

// Generation returns what the server speaks.
func (c *Client) Generation() Generation { return c.gen }

// Tasks returns the tasks that the generation has.
func (c *Client) Tasks() []inference.Task {
	tasks := inference.Tasks()
	if c.gen != GenerationD {
		tasks = slices.DeleteFunc(tasks, func(t inference.Task) bool { return t == inference.TaskEmbedding })
	}
	return tasks
}

// Close closes idle connections.
func (c *Client) Close() error {
	c.http.Close()
	return nil
}

// capabilities are the names of tasks in generations C and D.
var capabilities = map[string]inference.Task{
	"segmentation": inference.TaskImageMask,
	"tracking":     inference.TaskVideoMask,
	"detection":    inference.TaskDetection,
	"vlm":          inference.TaskGeneration,
	"embedding":    inference.TaskEmbedding,
}

// taskNamed returns a task by the name that a server has for it. One that is not known keeps its name.
func taskNamed(name string) inference.Task {
	if t, ok := capabilities[name]; ok {
		return t
	}
	return inference.Task(name)
}

func (c *Client) capability(task inference.Task) string {
	for name, t := range capabilities {
		if t == task {
			return name
		}
	}
	return string(task)
}

// Models lists the models that the server has.
func (c *Client) Models(ctx context.Context) ([]inference.Model, error) {
	path := "app/models/"
	if c.gen == GenerationD {
		path = "v1/models"
	}
	models, err := c.models(ctx, path)
	if err != nil {
		return nil, inference.Located(err, c.name, "list models", "")
	}
	return models, nil
}

func (c *Client) models(ctx context.Context, path string) ([]inference.Model, error) {
	var raw json.RawMessage
	if err := c.http.Do(ctx, http.MethodGet, path, nil, &raw); err != nil {
		return nil, err
	}
	var list []object
	if json.Unmarshal(raw, &list) != nil {
		// Some wrap the list.
		var o object
		if err := json.Unmarshal(raw, &o); err != nil {
			return nil, nonsense("want a list of models")
		}
		if err := errors.Join(o.read("data", &list), o.read("models", &list)); err != nil {
			return nil, err
		}
	}
	models := []inference.Model{}
	for _, o := range list {
		var m inference.Model
		var tasks names
		for key, dst := range map[string]any{"name": &m.Name, "model_path": &m.Path, "model_class": &m.Class, "task": &tasks, "capability": &tasks, "capabilities": &tasks} {
			if err := o.read(key, dst); err != nil {
				return nil, err
			}
		}
		if m.Name == "" {
			return nil, nonsense("a model without a name")
		}
		for _, t := range tasks {
			m.Task = taskNamed(t)
			models = append(models, m)
		}
		if len(tasks) == 0 {
			models = append(models, m)
		}
	}
	return models, nil
}

// names is a text, or a list of texts.
type names []string

func (n *names) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*n = names{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(n))
}

// Info asks the server to describe itself.
func (c *Client) Info(ctx context.Context) (*inference.Info, error) {
	path := "app/settings/"
	if c.gen == GenerationD {
		path = "v1/info"
	}
	var o object
	if err := c.http.Do(ctx, http.MethodGet, path, nil, &o); err != nil {
		return nil, inference.Located(err, c.name, "describe the server", "")
	}
	var info inference.Info
	var tasks map[string]names
	for key, dst := range map[string]any{"app_name": &info.AppName, "app_version": &info.AppVersion, "app_description": &info.AppDescription,
		"num_cpus": &info.NumCPUs, "num_gpus": &info.NumGPUs, "num_nodes": &info.NumNodes, "gpus_used": &info.GPUsUsed,
		"gpu_to_model": &info.GPUToModel, "models": &info.Models, "models_to_task": &tasks} {
		if err := o.read(key, dst); err != nil {
			return nil, inference.Located(err, c.name, "describe the server", "")
		}
		o.forget(key)
	}
	if info.AppVersion == "" {
		if err := o.read("version", &info.AppVersion); err != nil {
			return nil, inference.Located(err, c.name, "describe the server", "")
		}
	}
	info.ModelsToTask = map[string]inference.Task{}
	for model, t := range tasks {
		if len(t) > 0 {
			info.ModelsToTask[model] = taskNamed(t[0])
		}
	}
	info.Extra = map[string]any{}
	for key, raw := range o {
		var v any
		if json.Unmarshal(raw, &v) == nil {
			info.Extra[key] = v
		}
	}
	return &info, nil
}

// Deploy asks the server to load a model. Generations B and C leave that to who runs the server.
func (c *Client) Deploy(ctx context.Context, req inference.DeployRequest) error {
	config := map[string]any{"name": req.Name, "task": req.Task, "path": nil, "config": req.Config, "processor_config": req.ProcessorConfig}
	if req.Path != "" {
		config["path"] = req.Path
	}
	for _, key := range []string{"config", "processor_config"} {
		if m, _ := config[key].(map[string]any); m == nil {
			config[key] = map[string]any{}
		}
	}
	var err error
	switch c.gen {
	case GenerationA:
		const path = "providers/instantiate"
		var o object
		if err = c.http.Do(ctx, http.MethodPost, path, map[string]any{"provider": req.Provider, "config": config}, &o); err == nil {
			_, err = c.await(ctx, o, path+"/")
		}
	case GenerationD:
		err = c.http.Do(ctx, http.MethodPost, "v1/models", map[string]any{"name": req.Name, "capability": c.capability(req.Task),
			"provider": req.Provider, "modelPath": config["path"], "config": config["config"], "processorConfig": config["processor_config"]}, nil)
	default:
		err = inference.Errorf(inference.ErrTaskNotSupported, "who runs the server decides which models it has")
	}
	if err != nil {
		return inference.Located(modelError(err), c.name, "load a model", req.Name)
	}
	return nil
}

// Undeploy asks the server to remove a model.
func (c *Client) Undeploy(ctx context.Context, model string) error {
	err := error(inference.Errorf(inference.ErrTaskNotSupported, "who runs the server decides which models it has"))
	switch c.gen {
	case GenerationA:
		err = c.http.Do(ctx, http.MethodDelete, "providers/model/"+escape(model), nil, nil)
	case GenerationD:
		err = c.http.Do(ctx, http.MethodDelete, "v1/models/"+escape(model), nil, nil)
	}
	if e, ok := errors.AsType[*inference.Error](err); ok && e.Status == http.StatusNotFound {
		e.Err = inference.ErrModelNotFound
	}
	if err != nil {
		return inference.Located(err, c.name, "remove a model", model)
	}
	return nil
}

// modelError gives the error of a task its kind by what the server says: the status is the same for an unknown model and
// for an unknown page.
func modelError(err error) error {
	e, ok := errors.AsType[*inference.Error](err)
	if !ok {
		return err
	}
	switch text := strings.ToLower(e.Detail); {
	case strings.Contains(text, "does not support"):
		e.Err = inference.ErrTaskNotSupported
	case strings.Contains(text, "not registered"), strings.Contains(text, "model") && strings.Contains(text, "not found"):
		e.Err = inference.ErrModelNotFound
	}
	return err
}
