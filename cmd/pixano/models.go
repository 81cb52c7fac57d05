package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pixano/inference"
	"pixano/inference/grabcut"
	"pixano/inference/onnx"
	"pixano/inference/openai"
	"pixano/inference/pixanoserver"
	"pixano/inference/toyclip"
	"pixano/search"
)

// modelOptions say where models run.
type modelOptions struct {
	dirs    []string
	library string
	servers []string
	openai  []string
}

func (o *modelOptions) add(flags *pflag.FlagSet) {
	flags.StringArrayVar(&o.dirs, "models-dir", nil, "a directory of ONNX models; may be repeated")
	flags.StringVar(&o.library, "onnxruntime", "", "the shared library of ONNX Runtime")
	flags.StringArrayVar(&o.servers, "inference-url", nil, "a pixano-inference server; may be repeated")
	flags.StringArrayVar(&o.openai, "openai-url", nil, "a server with OpenAI's HTTP interface; may be repeated")
}

const modelPlaces = "ONNX models are looked for in --models-dir, in the directory that MODELS_DIR or PIXANO_MODELS_DIR names, in the directory\n" +
	"models beside the library of a dataset, and in pixano/models of the user's cache, where scripts/models puts them. The\n" +
	"API key of inference servers is taken from PIXANO_INFERENCE_API_KEY, that of --openai-url from OPENAI_API_KEY."

// providers returns where models run: in this process, the built-in ones, and servers. path is a dataset, or "".
func (o *modelOptions) providers(ctx context.Context, path string) (*inference.Registry, *onnx.Provider, error) {
	dirs := append(slices.Clone(o.dirs), setting("MODELS_DIR"))
	for _, dir := range o.dirs {
		if err := mustExist(dir); err != nil {
			return nil, nil, err
		}
	}
	if abs, err := filepath.Abs(path); err == nil && path != "" && filepath.Base(filepath.Dir(abs)) == "library" {
		dirs = append(dirs, filepath.Join(filepath.Dir(filepath.Dir(abs)), "models"))
	}
	local := onnx.New(&onnx.Options{Dirs: dirs, Library: o.library})
	r := &inference.Registry{}
	for _, p := range []inference.Provider{local, grabcut.New(), inference.ProviderOf(toyclip.Embedder{})} {
		if err := r.Add(p); err != nil {
			return nil, nil, err
		}
	}
	r.Register(pixanoserver.Kind, pixanoserver.Connector(&pixanoserver.Options{APIKey: os.Getenv("PIXANO_INFERENCE_API_KEY")}))
	r.Register(openai.Kind, openai.Connector(&openai.Options{APIKey: os.Getenv("OPENAI_API_KEY")}))
	for _, servers := range []struct {
		kind string
		urls []string
	}{{pixanoserver.Kind, o.servers}, {openai.Kind, o.openai}} {
		for _, url := range servers.urls {
			if _, _, err := r.Connect(ctx, servers.kind, url); err != nil {
				return nil, nil, errors.Join(err, r.Close())
			}
		}
	}
	return r, local, nil
}

func modelsCommand() *cobra.Command {
	return group("models", "List and check models", modelsListCommand(), modelsCheckCommand())
}

// modelLine is a model as it is listed.
type modelLine struct {
	Name     string           `json:"name"`
	Provider string           `json:"provider"`
	Tasks    []inference.Task `json:"tasks"`
	Family   string           `json:"family"`
	Path     string           `json:"path"`
	Function string           `json:"function,omitempty"` // of embeddings, as tables name it
}

func modelsListCommand() *cobra.Command {
	var o modelOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the models that can be used",
		Long: "List the models that can be used: ONNX models in this process, built-in ones, and those of inference servers.\n\n" + modelPlaces + "\n\n" +
			"ONNX models are listed even where they cannot run: without ONNX Runtime, or in a program built without cgo. Files that\n" +
			"are no models are named on standard error.",
		Args: arguments(),
	}
	o.add(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "write a JSON list")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		r, local, err := o.providers(ctx, "")
		if err != nil {
			return err
		}
		defer r.Close()
		found, broken := local.Found()
		lines := []modelLine{}
		for _, m := range found {
			line := modelLine{Name: m.Name, Provider: local.Name(), Tasks: m.Tasks, Family: string(m.Family), Path: m.Path()}
			if m.Function != nil {
				line.Function = m.Function.Name
				if name, ok := m.Function.Model["name"].(string); ok {
					line.Function += " " + name
				}
			}
			lines = append(lines, line)
		}
		for _, p := range r.Providers() {
			if p == inference.Provider(local) {
				continue
			}
			models, err := p.Models(ctx)
			if err != nil {
				broken = errors.Join(broken, inference.Located(err, p.Name(), "list models", ""))
			}
			for _, m := range models {
				if i := slices.IndexFunc(lines, func(l modelLine) bool { return l.Name == m.Name && l.Provider == p.Name() }); i >= 0 {
					lines[i].Tasks = append(lines[i].Tasks, m.Task)
					continue
				}
				lines = append(lines, modelLine{Name: m.Name, Provider: p.Name(), Tasks: []inference.Task{m.Task}, Family: m.Class, Path: m.Path})
			}
		}
		if broken != nil {
			fmt.Fprintln(cmd.ErrOrStderr(), broken)
		}
		if asJSON {
			return writeJSON(cmd.OutOrStdout(), lines)
		}
		out := newPrinter(cmd.OutOrStdout())
		t := table{header: []string{"NAME", "PROVIDER", "TASKS", "FAMILY", "FUNCTION", "FILE"}}
		for _, l := range lines {
			var tasks []string
			for _, task := range l.Tasks {
				tasks = append(tasks, string(task))
			}
			t.add(l.Name, l.Provider, strings.Join(tasks, " "), l.Family, l.Function, l.Path)
		}
		out.table(t)
		if runtime, err := local.Runtime(); err == nil {
			out.dim("ONNX Runtime " + runtime.Version + " from " + runtime.Library)
		} else {
			fmt.Fprintf(cmd.ErrOrStderr(), "ONNX models cannot run here: %v\n", err)
		}
		return out.flush()
	}
	return cmd
}

func modelsCheckCommand() *cobra.Command {
	var o modelOptions
	cmd := &cobra.Command{
		Use:   "check [MODEL...]",
		Short: "Load ONNX models and run each of their tasks once",
		Long: "Load ONNX models, all of them or those named, and run each of their tasks once on a small picture or text. What does not\n" +
			"run, and files that are no models, are named; the exit code is then 1.\n\n" + modelPlaces,
	}
	o.add(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		r, local, err := o.providers(ctx, "")
		if err != nil {
			return err
		}
		defer r.Close()
		if _, err := local.Runtime(); err != nil {
			return err
		}
		found, broken := local.Found()
		if len(args) == 0 {
			for _, m := range found {
				args = append(args, m.Name)
			}
		} else {
			broken = nil // about other files
		}
		out := newPrinter(cmd.OutOrStdout())
		t := table{header: []string{"MODEL", "TASK", "LOADED AND RUN", "AGAIN", "RESULT"}, right: []int{2, 3}}
		for _, name := range args {
			m, err := local.Find(name)
			if err != nil {
				broken = errors.Join(broken, err)
				continue
			}
			for _, task := range m.Tasks {
				began := time.Now()
				_, err := probe(ctx, local, name, task)
				first := time.Since(began)
				if err != nil {
					broken = errors.Join(broken, err)
					t.add(name, string(task), none, none, "failed")
					continue
				}
				began = time.Now()
				result, err := probe(ctx, local, name, task)
				broken = errors.Join(broken, err)
				t.add(name, string(task), first.Round(time.Millisecond).String(), time.Since(began).Round(100*time.Microsecond).String(), result)
			}
		}
		out.table(t)
		return errors.Join(out.flush(), broken)
	}
	return cmd
}

// probe runs a task of a model once and says what came out.
func probe(ctx context.Context, p inference.Provider, model string, task inference.Task) (string, error) {
	canvas := image.NewNRGBA(image.Rect(0, 0, 320, 240))
	for y := 60; y < 180; y++ {
		for x := 80; x < 240; x++ {
			canvas.SetNRGBA(x, y, color.NRGBA{200, 30, 30, 255})
		}
	}
	picture, err := inference.ImageOf(canvas)
	if err != nil {
		return "", err
	}
	prompt := inference.Prompt{Points: []inference.Point{{X: 160, Y: 120}}}
	switch task {
	case inference.TaskEmbedding:
		var parts []string
		texts, err := inference.Embed(ctx, p, &inference.EmbeddingRequest{Model: model, Texts: []string{"a red car"}})
		if err == nil {
			parts = append(parts, fmt.Sprintf("texts of %d values", len(texts.Vectors[0])))
		} else if !errors.Is(err, inference.ErrTaskNotSupported) {
			return "", err
		}
		pictures, err := inference.Embed(ctx, p, &inference.EmbeddingRequest{Model: model, Images: []*inference.Image{picture}})
		if err == nil {
			parts = append(parts, fmt.Sprintf("pictures of %d values", len(pictures.Vectors[0])))
		} else if !errors.Is(err, inference.ErrTaskNotSupported) || len(parts) == 0 {
			return "", err
		}
		return strings.Join(parts, ", "), nil
	case inference.TaskImageMask:
		r, err := inference.ImageMask(ctx, p, &inference.ImageMaskRequest{Model: model, Image: picture, Prompts: []inference.Prompt{prompt}})
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("a mask of %d pixels", r.Masks[0][0].Area()), nil
	case inference.TaskVideoMask:
		r, err := inference.VideoMask(ctx, p, &inference.VideoMaskRequest{Model: model, Frames: []*inference.Image{picture, picture}, Prompts: []inference.VideoPrompt{{Prompt: prompt}}})
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("masks in %d frames", len(r.Masks)), nil
	case inference.TaskDetection:
		r, err := inference.Detect(ctx, p, &inference.DetectionRequest{Model: model, Image: picture})
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%d objects", len(r.Detections)), nil
	}
	return "", inference.Errorf(inference.ErrTaskNotSupported, "nothing to try for %s", task)
}

// queryModel returns the embedder of a model that is named for queries, or nil for "": the table then names its own.
func queryModel(ctx context.Context, r *inference.Registry, model string) (search.Embedder, error) {
	if model == "" {
		return nil, nil
	}
	p, err := r.Find(ctx, "", model, inference.TaskEmbedding)
	if err != nil {
		return nil, err
	}
	return inference.NewEmbedder(ctx, p, model)
}
