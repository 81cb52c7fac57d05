package inference

import "context"

// Model is a model that a provider has, and one thing that it can do: a model of several tasks is listed once for each.
type Model struct {
	Name  string `json:"name"`
	Task  Task   `json:"task"`
	Path  string `json:"model_path,omitempty"`  // file or repository of its weights; "" if the provider does not tell
	Class string `json:"model_class,omitempty"` // its family, such as "Sam2ImageModel"; "" if the provider does not tell
}

// Info is what a provider says of itself. All fields are optional.
type Info struct {
	AppName        string          `json:"app_name"`
	AppVersion     string          `json:"app_version"`
	AppDescription string          `json:"app_description"`
	NumCPUs        int             `json:"num_cpus"`
	NumGPUs        int             `json:"num_gpus"`
	NumNodes       int             `json:"num_nodes"`
	GPUsUsed       []any           `json:"gpus_used"`
	GPUToModel     map[string]any  `json:"gpu_to_model"`
	Models         []string        `json:"models"`
	ModelsToTask   map[string]Task `json:"models_to_task"`
	Extra          map[string]any  `json:"-"` // what else it says
}

// Provider is where models run. It is safe for concurrent use.
//
// Requests that it gets from the functions of this package are complete: defaults are filled in, and what can be checked
// without the model has been. Its errors match the kinds of this package; what it does not support is ErrTaskNotSupported.
// Requests and the pictures in them are not to be changed. Every method returns soon after its context has ended.
type Provider interface {
	// Name names the provider among others: "local", "pixano-inference@gpu:7463".
	Name() string
	// Tasks returns what the provider's models may be able to do. Which of them it has now is the business of Models.
	Tasks() []Task
	// Models lists the models that can be used now.
	Models(ctx context.Context) ([]Model, error)
	// Info describes the provider.
	Info(ctx context.Context) (*Info, error)

	ImageMask(ctx context.Context, req *ImageMaskRequest) (*ImageMaskResponse, error)
	VideoMask(ctx context.Context, req *VideoMaskRequest) (*VideoMaskResponse, error)
	Detect(ctx context.Context, req *DetectionRequest) (*DetectionResponse, error)
	Generate(ctx context.Context, req *GenerationRequest) (*GenerationResponse, error)
	Embed(ctx context.Context, req *EmbeddingRequest) (*EmbeddingResponse, error)

	// Close frees what the provider holds. It may be repeated; calls that run may fail.
	Close() error
}

// DeployRequest asks a server to load a model.
type DeployRequest struct {
	Name            string         // how it is to be called
	Task            Task           // what it is to do
	Provider        string         // the server's library that runs it: "sam2", "transformers", "vllm"
	Path            string         // file or repository of the weights; "": that of the library
	Config          map[string]any // settings of the model
	ProcessorConfig map[string]any // settings of its preprocessing
}

// Deployer is a Provider that can be told which models to have.
type Deployer interface {
	Provider
	// Deploy loads a model and returns when it can be used.
	Deploy(ctx context.Context, req DeployRequest) error
	// Undeploy removes a model. One that is not there is ErrModelNotFound.
	Undeploy(ctx context.Context, model string) error
}

// PictureKeeper is a Provider that keeps what takes long to compute of a picture, such as an embedding, so that more masks
// in a picture that was asked for come at once. Previews under a moving pointer are asked of such providers alone.
type PictureKeeper interface {
	Provider
	// KeepsPictures reports whether a model does so.
	KeepsPictures(model string) bool
}

// Unsupported is embedded by providers for the tasks that they do not have: each is ErrTaskNotSupported.
type Unsupported struct{}

// ImageMask is not supported.
func (Unsupported) ImageMask(context.Context, *ImageMaskRequest) (*ImageMaskResponse, error) {
	return nil, ErrTaskNotSupported
}

// VideoMask is not supported.
func (Unsupported) VideoMask(context.Context, *VideoMaskRequest) (*VideoMaskResponse, error) {
	return nil, ErrTaskNotSupported
}

// Detect is not supported.
func (Unsupported) Detect(context.Context, *DetectionRequest) (*DetectionResponse, error) {
	return nil, ErrTaskNotSupported
}

// Generate is not supported.
func (Unsupported) Generate(context.Context, *GenerationRequest) (*GenerationResponse, error) {
	return nil, ErrTaskNotSupported
}

// Embed is not supported.
func (Unsupported) Embed(context.Context, *EmbeddingRequest) (*EmbeddingResponse, error) {
	return nil, ErrTaskNotSupported
}

// Close does nothing.
func (Unsupported) Close() error { return nil }
