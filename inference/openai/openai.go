// Package openai is a provider for servers with OpenAI's HTTP interface, such as vLLM, llama.cpp, Ollama and OpenAI itself:
// answers about pictures and text by chat completions, with streaming, and embeddings of texts.
package openai

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"pixano/inference"
	"pixano/inference/internal/httpjson"
	"pixano/schema"
)

// Kind is the name of this kind of provider.
const Kind = "openai"

const (
	maxLine = 4 << 20  // bytes of one event of a stream
	maxText = 64 << 20 // bytes of an answer
)

// Options are the options of New and Connect. Nil and the zero value are the defaults.
type Options struct {
	// APIKey goes with every request as a bearer token. It never appears in errors.
	APIKey string

	// HTTPClient, if not nil, sends the requests. Redirects are not followed in any case. Nil: a client that connects to no
	// link-local address.
	HTTPClient *http.Client
}

// Client is a connection to a server. It implements [inference.Provider].
type Client struct {
	inference.Unsupported
	http *httpjson.Client
	name string
}

var _ inference.Provider = (*Client)(nil)

// New makes a client for the server at a base URL, such as "http://gpu:8000/v1", without contacting it.
func New(url string, opts *Options) (*Client, error) {
	if opts == nil {
		opts = &Options{}
	}
	header := http.Header{}
	if opts.APIKey != "" {
		header.Set("Authorization", "Bearer "+opts.APIKey)
	}
	c, err := httpjson.New(url, header, opts.APIKey, opts.HTTPClient)
	if err != nil {
		return nil, inference.Located(err, Kind, "connect", "")
	}
	return &Client{http: c, name: Kind + "@" + c.Host()}, nil
}

// connectTimeout limits Connect when the context has no deadline.
const connectTimeout = 10 * time.Second

// Connect makes a client and asks the server for its models, so that one that does not answer is found out.
func Connect(ctx context.Context, url string, opts *Options) (*Client, error) {
	c, err := New(url, opts)
	if err != nil {
		return nil, err
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, connectTimeout)
		defer cancel()
	}
	if _, err := c.models(ctx); err != nil {
		return nil, inference.Located(err, c.name, "connect", "")
	}
	return c, nil
}

// Connector returns Connect with options, for [inference.Registry.Register].
func Connector(opts *Options) inference.Connector {
	return func(ctx context.Context, url string) (inference.Provider, error) { return Connect(ctx, url, opts) }
}

// Name returns "openai@HOST:PORT".
func (c *Client) Name() string { return c.name }

// URL returns the base URL.
func (c *Client) URL() string { return c.http.URL() }

// Tasks returns generation and embedding.
func (c *Client) Tasks() []inference.Task {
	return []inference.Task{inference.TaskGeneration, inference.TaskEmbedding}
}

// Close closes idle connections.
func (c *Client) Close() error {
	c.http.Close()
	return nil
}

// Models lists the models of the server. It does not tell what they do: those with "embed" in their name are taken for
// models of embeddings, the others for such that talk.
func (c *Client) Models(ctx context.Context) ([]inference.Model, error) {
	models, err := c.models(ctx)
	if err != nil {
		return nil, inference.Located(err, c.name, "list models", "")
	}
	return models, nil
}

func (c *Client) models(ctx context.Context) ([]inference.Model, error) {
	var answer struct {
		Data *[]struct{ ID string } `json:"data"`
	}
	if err := c.http.Do(ctx, http.MethodGet, "models", nil, &answer); err != nil {
		return nil, modelError(err)
	}
	if answer.Data == nil {
		return nil, nonsense("want a list of models")
	}
	models := make([]inference.Model, len(*answer.Data))
	for i, m := range *answer.Data {
		models[i] = inference.Model{Name: m.ID, Task: inference.TaskGeneration}
		if strings.Contains(strings.ToLower(m.ID), "embed") {
			models[i].Task = inference.TaskEmbedding
		}
	}
	return models, nil
}

// Info names the models.
func (c *Client) Info(ctx context.Context) (*inference.Info, error) {
	models, err := c.Models(ctx)
	if err != nil {
		return nil, err
	}
	info := &inference.Info{AppName: c.name, ModelsToTask: map[string]inference.Task{}}
	for _, m := range models {
		info.Models = append(info.Models, m.Name)
		info.ModelsToTask[m.Name] = m.Task
	}
	return info, nil
}

func nonsense(format string, args ...any) error {
	return inference.Errorf(inference.ErrInvalidResponse, "the answer makes no sense: "+format, args...)
}

// modelError gives an error its kind by what the server says.
func modelError(err error) error {
	if e, ok := errors.AsType[*inference.Error](err); ok {
		text := strings.ToLower(e.Detail)
		if strings.Contains(text, "model") && (strings.Contains(text, "not found") || strings.Contains(text, "does not exist")) {
			e.Err = inference.ErrModelNotFound
		}
	}
	return err
}

type (
	message struct {
		Role    string `json:"role"`
		Content any    `json:"content"` // a string, or a list of parts
	}
	part struct {
		Type     string    `json:"type"`
		Text     string    `json:"text,omitempty"`
		ImageURL *imageURL `json:"image_url,omitempty"`
	}
	imageURL struct {
		URL string `json:"url"`
	}
	completion struct {
		Choices []struct {
			Message struct {
				Content *string `json:"content"`
				Refusal *string `json:"refusal"`
			} `json:"message"`
			Delta struct {
				Content string `json:"content"`
			} `json:"delta"`
			FinishReason string `json:"finish_reason"`
		} `json:"choices"`
		Usage *inference.Usage `json:"usage"`
		Model string           `json:"model"`
		Error json.RawMessage  `json:"error"`
	}
)

// messages writes a conversation. A single text is written as such: some servers take parts of users only.
func messages(list []inference.ChatMessage) ([]message, error) {
	out := make([]message, len(list))
	for i, m := range list {
		out[i].Role = m.Role
		if len(m.Parts) == 1 && m.Parts[0].Image == nil {
			out[i].Content = m.Parts[0].Text
			continue
		}
		parts := make([]part, len(m.Parts))
		for j, p := range m.Parts {
			if p.Image == nil {
				parts[j] = part{Type: "text", Text: p.Text}
				continue
			}
			source, err := p.Image.Source()
			if err != nil {
				return nil, err
			}
			parts[j] = part{Type: "image_url", ImageURL: &imageURL{source}}
		}
		out[i].Content = parts
	}
	return out, nil
}

// Generate asks for the next turn of a conversation, as a stream if req.OnText is set.
func (c *Client) Generate(ctx context.Context, req *inference.GenerationRequest) (*inference.GenerationResponse, error) {
	list, err := messages(req.Messages)
	if err != nil {
		return nil, err
	}
	body := map[string]any{"model": req.Model, "messages": list, "max_tokens": req.MaxNewTokens, "temperature": req.Temperature}
	if req.OnText != nil {
		body["stream"] = true
		body["stream_options"] = map[string]any{"include_usage": true}
	}
	start := time.Now()
	resp, err := c.http.Send(ctx, http.MethodPost, "chat/completions", body)
	if e, ok := errors.AsType[*inference.Error](err); ok && e.Status == http.StatusBadRequest && strings.Contains(e.Detail, "max_completion_tokens") {
		// Newer models of OpenAI know the limit by another name only, which other servers do not know.
		delete(body, "max_tokens")
		body["max_completion_tokens"] = req.MaxNewTokens
		resp, err = c.http.Send(ctx, http.MethodPost, "chat/completions", body)
	}
	if err != nil {
		return nil, modelError(err)
	}
	defer resp.Body.Close()
	out := &inference.GenerationResponse{Config: map[string]any{"max_new_tokens": req.MaxNewTokens, "temperature": req.Temperature}}
	model := ""
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		model, err = readStream(resp.Body, out, req.OnText)
	} else if model, err = readWhole(resp.Body, out); err == nil && req.OnText != nil {
		err = req.OnText(out.Text) // a server that does not stream
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	out.Meta = inference.Meta{Timestamp: schema.Now(), ProcessingTime: time.Since(start), Metadata: map[string]any{"name": model, "provider": Kind}}
	if model == "" {
		out.Metadata["name"] = req.Model
	}
	return out, nil
}

// readWhole reads an answer that is not a stream and returns the model that the server names.
func readWhole(r io.Reader, out *inference.GenerationResponse) (model string, err error) {
	data, err := io.ReadAll(io.LimitReader(r, maxText+1))
	if err != nil {
		return "", broken(err)
	}
	var c completion
	if err := json.Unmarshal(data, &c); err != nil || len(data) > maxText {
		return "", nonsense("want a chat completion in JSON of at most %d bytes", maxText)
	}
	if err := c.failure(); err != nil {
		return "", err
	}
	if len(c.Choices) == 0 {
		return "", nonsense("no choices")
	}
	m := c.Choices[0].Message
	switch {
	case m.Content != nil:
		out.Text = *m.Content
	case m.Refusal != nil:
		return "", inference.Errorf(inference.ErrFailed, "the model refuses: %.200s", *m.Refusal)
	default:
		return "", nonsense("no content")
	}
	if c.Usage != nil {
		out.Usage = *c.Usage
	}
	return c.Model, nil
}

func broken(err error) error {
	return inference.Errorf(inference.ErrConnection, "the answer ended too soon: %v", err)
}

// failure is the error that an answer carries in place of content.
func (c *completion) failure() error {
	if len(c.Error) == 0 || string(c.Error) == "null" {
		return nil
	}
	var e struct{ Message string }
	text := string(c.Error)
	if json.Unmarshal(c.Error, &e) == nil && e.Message != "" {
		text = e.Message
	}
	return inference.Errorf(inference.ErrFailed, "%.500s", text)
}

// readStream reads server-sent events: each a JSON of what is new, the last one the word [DONE].
func readStream(r io.Reader, out *inference.GenerationResponse, onText func(string) error) (model string, err error) {
	var text strings.Builder
	finished := false
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data:"))
		if !ok {
			continue // comments, names of events and the empty lines between them
		}
		data = bytes.TrimSpace(data)
		if string(data) == "[DONE]" {
			finished = true
			break
		}
		var c completion
		if err := json.Unmarshal(data, &c); err != nil {
			return "", nonsense("want events in JSON")
		}
		if err := c.failure(); err != nil {
			return "", err
		}
		if c.Model != "" {
			model = c.Model
		}
		if c.Usage != nil {
			out.Usage = *c.Usage
		}
		if len(c.Choices) == 0 {
			continue
		}
		finished = finished || c.Choices[0].FinishReason != ""
		piece := c.Choices[0].Delta.Content
		if piece == "" {
			continue
		}
		if text.WriteString(piece); text.Len() > maxText {
			return "", nonsense("more than %d bytes of text", maxText)
		}
		if onText != nil {
			if err := onText(piece); err != nil {
				return "", err
			}
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return "", nonsense("an event of more than %d bytes", maxLine)
	case err != nil && !finished:
		return "", broken(err)
	case !finished:
		return "", broken(io.ErrUnexpectedEOF)
	}
	out.Text = text.String()
	return model, nil
}

// Embed asks for vectors of texts.
func (c *Client) Embed(ctx context.Context, req *inference.EmbeddingRequest) (*inference.EmbeddingResponse, error) {
	if len(req.Images) > 0 {
		return nil, inference.Errorf(inference.ErrTaskNotSupported, "servers of this kind compute embeddings of texts only")
	}
	var answer struct {
		Model string `json:"model"`
		Data  []struct {
			Index     int       `json:"index"`
			Embedding []float32 `json:"embedding"`
		} `json:"data"`
	}
	start := time.Now()
	err := c.http.Do(ctx, http.MethodPost, "embeddings", map[string]any{"model": req.Model, "input": req.Texts, "encoding_format": "float"}, &answer)
	if err != nil {
		return nil, modelError(err)
	}
	vectors := make([][]float32, len(req.Texts))
	for _, d := range answer.Data {
		if d.Index < 0 || d.Index >= len(vectors) || vectors[d.Index] != nil {
			return nil, nonsense("a vector for text %d of %d", d.Index, len(vectors))
		}
		vectors[d.Index] = d.Embedding
		if req.Normalize {
			normalize(d.Embedding)
		}
	}
	if i := slices.IndexFunc(vectors, func(v []float32) bool { return v == nil }); i >= 0 {
		return nil, nonsense("no vector for text %d of %d", i, len(vectors))
	}
	return &inference.EmbeddingResponse{Vectors: vectors, Meta: inference.Meta{Timestamp: schema.Now(), ProcessingTime: time.Since(start),
		Metadata: map[string]any{"name": req.Model, "provider": Kind}}}, nil
}

// normalize brings a vector to the length 1.
func normalize(v []float32) {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if sum == 0 {
		return
	}
	for i := range v {
		v[i] = float32(float64(v[i]) / math.Sqrt(sum))
	}
}
