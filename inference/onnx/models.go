package onnx

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pixano/inference"
)

// Family is what a model is for and how it wants to be called.
type Family string

// The families. Each is recognised by the names and shapes of a file's inputs and outputs.
const (
	Sentence  Family = "sentence" // vectors of texts: BERT and its kin, such as MiniLM
	CLIP      Family = "clip"     // vectors of pictures and texts in one space, in two files or one
	SAM       Family = "sam"      // masks from clicks and boxes: SAM, MobileSAM; encoder and decoder
	SAM2      Family = "sam2"     // the same of SAM 2 and 2.1
	YOLO      Family = "yolo"     // boxes of the classes of a list: YOLOv8, YOLO11
	YOLOBoxes Family = "yolo-v3"  // the same, with boxes and scores apart: what darknet-to-onnx writes
)

// The roles of a model's files.
const (
	roleModel   = "model" // the only one
	roleVision  = "vision"
	roleText    = "text"
	roleEncoder = "encoder"
	roleDecoder = "decoder"
)

// Function is the embedding function that a table's metadata names for the vectors of a model, so that Python's LanceDB
// knows the model too.
type Function struct {
	Name  string         `json:"name"`            // such as "sentence-transformers"
	Model map[string]any `json:"model,omitempty"` // its arguments, such as {"name": "all-MiniLM-L6-v2"}
}

// Model is a model found in a directory. Whether it really runs, [Provider.Check] tells.
type Model struct {
	Name     string
	Family   Family
	Tasks    []inference.Task
	Files    map[string]string // by role: "model", "encoder" and "decoder", "vision" and "text"
	Labels   []string          // of a detector, in the order of its classes
	Function *Function         // of a model that embeds; nil for others

	headers map[string]*header
	config  modelConfig
	stamp   string // tells whether the files were replaced
}

// unchanged reports whether the model's files are those that were found.
func (m *Model) unchanged() bool { return m.stampNow() == m.stamp }

// stampNow makes a text of sizes and times of the files.
func (m *Model) stampNow() string {
	var b strings.Builder
	for _, role := range slices.Sorted(maps.Keys(m.Files)) {
		st, err := os.Stat(m.Files[role])
		if err != nil {
			return "missing"
		}
		fmt.Fprintf(&b, "%s %d %d\n", role, st.Size(), st.ModTime().UnixNano())
	}
	return b.String()
}

// Path returns the file that the model is known by: that of its encoder where there are two.
func (m *Model) Path() string {
	for _, role := range []string{roleModel, roleEncoder, roleVision, roleText} {
		if path := m.Files[role]; path != "" {
			return path
		}
	}
	return ""
}

// Has reports whether the model has a task.
func (m *Model) Has(task inference.Task) bool { return slices.Contains(m.Tasks, task) }

// modelConfig is an entry of models.json. All but the name may be left out where the files say it.
type modelConfig struct {
	Name      string            `json:"name"`
	Family    Family            `json:"family"`
	Files     map[string]string `json:"files"`      // by role, relative to models.json
	Labels    []string          `json:"labels"`     // of a detector; or
	LabelFile string            `json:"label_file"` // a file with one a line
	Vocab     string            `json:"vocabulary"` // vocab.txt, tokenizer.json or merges.txt
	Function  *Function         `json:"function"`

	MaxTokens int       `json:"max_tokens"` // of a text. 0: 256, for CLIP what its input says or 77
	Pad       *int64    `json:"pad_token"`  // that fills a text of CLIP up. Nil: 0
	Pooling   string    `json:"pooling"`    // of a sentence model: "mean" or "cls". "": mean
	ImageSize int       `json:"image_size"` // of a square input that is open. 0: 224, 640 or 1024 by family
	Mean      []float32 `json:"mean"`       // of red, green and blue in 0..1
	Std       []float32 `json:"std"`
	Resize    string    `json:"resize"` // of CLIP's pictures: "crop" or "stretch". "": crop

	// Boxes false tells of a SAM decoder that knows no boxes: the middle of a box is then given as a point, and the mask
	// is cut off at the box.
	Boxes *bool `json:"boxes"`
}

// ConfigFile is the file of a directory of models that names those whose files do not tell enough.
const ConfigFile = "models.json"

// Scan lists the models of a directory, sorted by name. It reads the beginnings of the files only and needs no runtime.
//
// A model is a file NAME.onnx, or a folder NAME with a model.onnx in it or in its folder "onnx". Two files that belong
// together are named alike except for what they do: NAME-encoder.onnx and NAME-decoder.onnx, NAME.vision.onnx and
// NAME.text.onnx, vision_model.onnx and text_model.onnx in a folder NAME. A models.json says what else is to be known:
//
//	{"models": [{"name": "clip", "family": "clip", "files": {"vision": "v.onnx", "text": "t.onnx"},
//	  "function": {"name": "open-clip", "model": {"name": "ViT-B-32"}}}]}
//
// Files that are no model, and models of no known family, are left out; the error lists them, beside the models.
func Scan(dir string) ([]*Model, error) {
	s := &scan{dir: dir, models: map[string]*Model{}, used: map[string]bool{}}
	if err := s.configured(); err != nil {
		return nil, err
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if path == dir {
				return err
			}
			s.errs = append(s.errs, err)
			return nil
		}
		rel, _ := filepath.Rel(dir, path)
		if d.IsDir() {
			if strings.Count(rel, string(filepath.Separator)) > 2 || rel != "." && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			return nil
		}
		if strings.EqualFold(filepath.Ext(path), ".onnx") && !s.used[path] {
			s.file(path, rel)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var models []*Model
	for _, name := range slices.Sorted(maps.Keys(s.models)) {
		m := s.models[name]
		if err := m.complete(); err != nil {
			s.errs = append(s.errs, fmt.Errorf("model %q: %w", name, err))
			continue
		}
		models = append(models, m)
	}
	return models, errors.Join(s.errs...)
}

type scan struct {
	dir    string
	models map[string]*Model
	used   map[string]bool // files that models.json names
	errs   []error
}

// configured reads models.json.
func (s *scan) configured() error {
	path := filepath.Join(s.dir, ConfigFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var file struct {
		Models []modelConfig `json:"models"`
	}
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&file); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, c := range file.Models {
		if c.Name == "" || len(c.Files) == 0 {
			return fmt.Errorf("%s: model %q: want a name and files", path, c.Name)
		}
		if s.models[c.Name] != nil {
			return fmt.Errorf("%s: two models %q", path, c.Name)
		}
		m := &Model{Name: c.Name, Family: c.Family, Files: map[string]string{}, headers: map[string]*header{}, config: c}
		for role, name := range c.Files {
			if !filepath.IsLocal(name) {
				return fmt.Errorf("%s: model %q: file %q: want one in the directory of models", path, c.Name, name)
			}
			file := filepath.Join(s.dir, filepath.FromSlash(name))
			h, err := readHeader(file)
			s.used[file] = true
			if err != nil {
				s.errs = append(s.errs, fmt.Errorf("model %q: %w", c.Name, err))
				m = nil
				break
			}
			m.Files[role], m.headers[role] = file, h
		}
		if m != nil {
			s.models[c.Name] = m
		}
	}
	return nil
}

// file takes a model file into the model that it belongs to.
func (s *scan) file(path, rel string) {
	h, err := readHeader(path)
	if err != nil {
		s.errs = append(s.errs, err)
		return
	}
	family, role := h.family()
	if family == "" {
		s.errs = append(s.errs, fmt.Errorf("%s: a model of no known family, with the inputs %v and the outputs %v", path, h.inputs, h.outputs))
		return
	}
	// The name: that of the file without what it does, or of its folder if nothing is left.
	stem := strings.TrimSuffix(filepath.Base(rel), filepath.Ext(rel))
	name := withoutRole(stem)
	if role == roleModel {
		name = stem
	}
	folder := filepath.ToSlash(filepath.Dir(rel))
	if base := filepath.Base(folder); base == "onnx" {
		folder = filepath.ToSlash(filepath.Dir(folder))
	}
	switch {
	case name == "" || name == "model":
		if name = folder; folder == "." {
			name = stem
		}
	case folder != ".":
		name = folder + "/" + name
	}
	m := s.models[name]
	if m == nil {
		m = &Model{Name: name, Family: family, Files: map[string]string{}, headers: map[string]*header{}}
		s.models[name] = m
	}
	if other, taken := m.Files[role]; taken || m.Family != family {
		// Such as model.onnx and model_quantized.onnx in one folder: the first stays, the other gets its own name.
		if m.Family == family && role == roleModel || len(m.Files) == 0 {
			s.errs = append(s.errs, fmt.Errorf("%s: the model %q is in %s already", path, name, other))
			return
		}
		name = strings.TrimSuffix(filepath.ToSlash(rel), filepath.Ext(rel))
		m = &Model{Name: name, Family: family, Files: map[string]string{}, headers: map[string]*header{}}
		s.models[name] = m
	}
	m.Files[role], m.headers[role] = path, h
}

// withoutRole takes from a file's name the words that say what part of a model it is.
func withoutRole(stem string) string {
	for _, word := range []string{"vision_model", "text_model", "image_encoder", "text_encoder", "prompt_encoder_mask_decoder", "mask_decoder",
		"encoder", "decoder", "vision", "visual", "textual", "text", "image"} {
		lower := strings.ToLower(stem)
		if i := strings.LastIndex(lower, word); i >= 0 {
			before, after := strings.TrimRight(stem[:i], "-_."), strings.TrimLeft(stem[i+len(word):], "-_.")
			if before == "" || after == "" {
				return before + after
			}
			return before + "-" + after
		}
	}
	return stem
}

// family recognises a file by its inputs and outputs.
func (h *header) family() (Family, string) {
	ids, pixels := h.input("input_ids", "TEXT", "text"), h.input("pixel_values", "IMAGE", "image", "images", "x", "input_image")
	first := h.outputs[0]
	switch {
	case h.input("point_coords") != nil && h.input("image_embed") != nil && h.input("high_res_feats_0") != nil:
		return SAM2, roleDecoder
	case h.input("point_coords") != nil && h.input("image_embeddings") != nil && h.input("mask_input") != nil:
		return SAM, roleDecoder
	case h.output("image_embed") != nil && h.output("high_res_feats_0") != nil && h.output("high_res_feats_1") != nil && len(h.inputs) == 1:
		return SAM2, roleEncoder
	case len(h.inputs) == 1 && len(h.outputs) == 1 && fits(first.shape, 1, 256, 64, 64):
		return SAM, roleEncoder
	case ids != nil && h.input("pixel_values") != nil && h.output("text_embeds") != nil && h.output("image_embeds") != nil && h.output("pred_boxes") == nil:
		return CLIP, roleModel
	case ids == nil && pixels != nil && len(pixels.shape) == 4 && (h.output("image_embeds") != nil || len(h.inputs) == 1 && len(first.shape) == 2):
		return CLIP, roleVision
	case ids != nil && (h.output("text_embeds") != nil || h.input("TEXT", "text") != nil && len(first.shape) == 2):
		return CLIP, roleText
	case ids != nil && h.input("attention_mask") != nil && h.sentenceOutput() != nil:
		return Sentence, roleModel
	case h.output("boxes") != nil && h.output("scores") != nil && len(h.inputs) == 1 && fits(h.output("boxes").shape, -1, -1, 4) && len(h.output("scores").shape) == 3:
		return YOLOBoxes, roleModel
	case len(h.inputs) == 1 && len(h.inputs[0].shape) == 4 && len(h.outputs) == 1 && len(first.shape) == 3 && first.kind == float32Type:
		return YOLO, roleModel
	}
	return "", ""
}

// sentenceOutput is the output with the vectors of tokens or, where the model has it, of whole texts.
func (h *header) sentenceOutput() *port {
	if p := h.output("sentence_embedding"); p != nil {
		return p
	}
	return h.output("last_hidden_state", "token_embeddings")
}

// complete checks that all files of the model are there and fills in what follows from its family.
func (m *Model) complete() error {
	m.stamp = m.stampNow()
	for role, h := range m.headers {
		family, has := h.family()
		if m.Family == "" {
			m.Family = family
		}
		if family != m.Family || has != role {
			return fmt.Errorf("%s is not the %s of a model of the family %q: it has the inputs %v and the outputs %v",
				m.Files[role], role, m.Family, h.inputs, h.outputs)
		}
	}
	need := map[Family][]string{Sentence: {roleModel}, YOLO: {roleModel}, YOLOBoxes: {roleModel}, SAM: {roleEncoder, roleDecoder}, SAM2: {roleEncoder, roleDecoder}}
	for _, role := range need[m.Family] {
		if m.Files[role] == "" {
			return fmt.Errorf("no %s beside %s", role, m.Path())
		}
	}
	switch m.Family {
	case Sentence, CLIP:
		m.Tasks = []inference.Task{inference.TaskEmbedding}
		m.Function = m.function()
	case SAM, SAM2:
		m.Tasks = []inference.Task{inference.TaskImageMask, inference.TaskVideoMask, inference.TaskEmbedding}
	case YOLO, YOLOBoxes:
		m.Tasks = []inference.Task{inference.TaskDetection}
		return m.labels()
	}
	return nil
}

// function is the embedding function that stands for the model in a table's metadata.
func (m *Model) function() *Function {
	switch {
	case m.config.Function != nil:
		return m.config.Function
	case m.Family == Sentence:
		return &Function{Name: "sentence-transformers", Model: map[string]any{"name": m.Name}}
	}
	return &Function{Name: m.Name}
}

// labels finds the names of a detector's classes: in models.json, in a file, or in the model's metadata.
func (m *Model) labels() error {
	m.Labels = m.config.Labels
	path := m.config.LabelFile
	if path != "" {
		path = filepath.Join(filepath.Dir(m.Path()), filepath.FromSlash(path))
	} else if beside := filepath.Join(filepath.Dir(m.Path()), "labels.txt"); len(m.Labels) == 0 {
		if _, err := os.Stat(beside); err == nil {
			path = beside
		}
	}
	if path != "" {
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		m.Labels = strings.FieldsFunc(string(raw), func(r rune) bool { return r == '\n' || r == '\r' })
	}
	h := m.headers[roleModel]
	if len(m.Labels) == 0 {
		m.Labels = parseNames(h.metadata["names"])
	}
	classes := int64(-1)
	if m.Family == YOLOBoxes {
		classes = h.output("scores").shape[2]
	} else if n := h.outputs[0].shape[1]; n > 4 {
		classes = n - 4
	}
	switch {
	case len(m.Labels) == 0 && classes < 0:
		return errors.New("nothing tells its classes: want labels in " + ConfigFile)
	case len(m.Labels) == 0:
		for i := range classes {
			m.Labels = append(m.Labels, fmt.Sprintf("class %d", i))
		}
	case classes >= 0 && int64(len(m.Labels)) != classes:
		return fmt.Errorf("%d labels for %d classes", len(m.Labels), classes)
	}
	return nil
}

// parseNames reads the names of classes as Ultralytics writes them into a model: {0: 'person', 1: "driver's seat"}.
func parseNames(text string) (names []string) {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "{") || !strings.HasSuffix(text, "}") {
		return nil
	}
	text = text[1 : len(text)-1]
	for len(text) > 0 {
		key, rest, ok := strings.Cut(text, ":")
		if !ok || strings.TrimSpace(key) != fmt.Sprint(len(names)) {
			return nil
		}
		rest = strings.TrimSpace(rest)
		if rest == "" || rest[0] != '\'' && rest[0] != '"' {
			return nil
		}
		quote, rest := rest[0], rest[1:]
		var name strings.Builder
		i := 0
		for ; i < len(rest) && rest[i] != quote; i++ {
			if rest[i] == '\\' && i+1 < len(rest) {
				i++
			}
			name.WriteByte(rest[i])
		}
		if i >= len(rest) {
			return nil
		}
		names = append(names, name.String())
		text = strings.TrimLeft(rest[i+1:], ", ")
	}
	return names
}

// beside returns the first of the files that is there in the model's folder or, for a folder "onnx", the one above; "" if
// there is none.
func (m *Model) beside(names ...string) string {
	dir := filepath.Dir(cmp.Or(m.Files[roleText], m.Path()))
	stem := filepath.Join(dir, strings.TrimSuffix(filepath.Base(m.Path()), filepath.Ext(m.Path())))
	for _, name := range names {
		for _, path := range []string{stem + "." + name, filepath.Join(dir, name), filepath.Join(filepath.Dir(dir), name)} {
			if filepath.Dir(path) != dir && filepath.Base(dir) != "onnx" {
				continue
			}
			if _, err := os.Stat(path); err == nil {
				return path
			}
		}
	}
	return ""
}
