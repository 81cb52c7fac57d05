package onnx

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"

	"pixano/inference"
	"pixano/internal/tokenize"
)

// embedBatch is how many texts or pictures go through a model at once. Larger batches are no faster on a processor.
const embedBatch = 32

// sentence computes vectors of texts.
type sentence struct {
	*session
	vocabulary *tokenize.WordPiece
	limit      int
	cls        bool // the vector of the first token counts, not the mean
}

// The longest text of a sentence model in tokens, unless models.json says otherwise: that of MiniLM.
const sentenceTokens = 256

func newSentence(m *Model, threads int) (*sentence, error) {
	h := m.headers[roleModel]
	path := m.beside("vocab.txt", "tokenizer.json")
	if m.config.Vocab != "" {
		path = m.relative(m.config.Vocab)
	}
	if path == "" {
		return nil, fmt.Errorf("%s: no vocab.txt or tokenizer.json beside it", m.Path())
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	vocabulary, err := tokenize.NewWordPiece(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	switch m.config.Pooling {
	case "", "mean", "cls":
	default:
		return nil, fmt.Errorf("pooling %q: want mean or cls", m.config.Pooling)
	}
	for _, p := range h.inputs {
		if !slices.Contains([]string{"input_ids", "attention_mask", "token_type_ids"}, p.name) {
			return nil, fmt.Errorf("%s: unknown input %v", m.Path(), p)
		}
	}
	s, err := m.open(roleModel, threads, h.sentenceOutput().name)
	if err != nil {
		return nil, err
	}
	return &sentence{session: s, vocabulary: vocabulary, limit: cmp.Or(m.config.MaxTokens, sentenceTokens), cls: m.config.Pooling == "cls"}, nil
}

// embed returns the vectors of texts, of length 1. Texts of like length go through the model together, since each is
// filled up to the longest of its batch.
func (s *sentence) embed(ctx context.Context, texts []string) ([][]float32, error) {
	ids := make([][]int64, len(texts))
	order := make([]int, len(texts))
	for i, text := range texts {
		ids[i], order[i] = s.vocabulary.Encode(text, s.limit), i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(len(ids[a]), len(ids[b])) })
	vectors := make([][]float32, len(texts))
	for batch := range slices.Chunk(order, embedBatch) {
		length := len(ids[batch[len(batch)-1]])
		n := len(batch) * length
		tokens, mask := make([]int64, n), make([]int64, n)
		for i, at := range batch {
			copy(tokens[i*length:], ids[at])
			for k := range ids[at] {
				mask[i*length+k] = 1
			}
		}
		in := map[string]tensor{}
		for _, p := range s.inputs {
			values := map[string][]int64{"input_ids": tokens, "attention_mask": mask}[p.name]
			if values == nil {
				values = make([]int64, n)
			}
			t, err := integers(p, values, int64(len(batch)), int64(length))
			if err != nil {
				return nil, err
			}
			in[p.name] = t
		}
		out, err := s.run(ctx, in)
		if err != nil {
			return nil, err
		}
		pooled, err := s.pool(out[0], len(batch), length, mask)
		if err != nil {
			return nil, err
		}
		for i, at := range batch {
			vectors[at] = pooled[i]
		}
	}
	return vectors, nil
}

// pool makes one vector of those of a text's tokens.
func (s *sentence) pool(out tensor, texts, length int, mask []int64) ([][]float32, error) {
	dim := int(out.shape[len(out.shape)-1])
	whole := fits(out.shape, int64(texts), -1)
	if !whole && !fits(out.shape, int64(texts), int64(length), -1) || out.float32 == nil || dim == 0 {
		return nil, inference.Errorf(inference.ErrInvalidResponse, "output of the shape %v: want [%d, %d, n]", out.shape, texts, length)
	}
	vectors := make([][]float32, texts)
	for i := range vectors {
		v := make([]float32, dim)
		switch {
		case whole:
			copy(v, out.float32[i*dim:])
		case s.cls:
			copy(v, out.float32[i*length*dim:])
		default:
			for k := range length {
				if mask[i*length+k] == 0 {
					break // padding follows
				}
				for x, f := range out.float32[(i*length+k)*dim:][:dim] {
					v[x] += f
				}
			}
		}
		normalize(v)
		vectors[i] = v
	}
	return vectors, nil
}

// normalize makes the vector's length 1; a vector of zeros stays.
func normalize(v []float32) {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if sum == 0 {
		return
	}
	factor := float32(1 / math.Sqrt(sum))
	for i := range v {
		v[i] *= factor
	}
}

// clip computes vectors of pictures and of texts in one space.
type clip struct {
	vision, text *session
	prep         preparation
	vocabulary   *tokenize.CLIP
	length       int   // of a text in tokens
	pad          int64 // that fills it up
	both         bool  // one model for both, which wants a picture with each text and the other way round
}

func newCLIP(m *Model, threads int) (c *clip, err error) {
	c = &clip{both: m.Files[roleModel] != "", vocabulary: tokenize.DefaultCLIP()}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	if err := c.openText(m, threads); err != nil {
		return nil, err
	}
	return c, c.openVision(m, threads)
}

func (c *clip) openVision(m *Model, threads int) (err error) {
	role := roleVision
	if c.both {
		role = roleModel
	}
	h := m.headers[role]
	if h == nil {
		return nil
	}
	input := h.input("pixel_values", "IMAGE", "image", "images", "x", "input_image")
	if !fits(input.shape, -1, 3, -1, -1) || input.kind != float32Type {
		return fmt.Errorf("%s: input %v: want [n, 3, height, width] of float", m.Files[role], *input)
	}
	if c.prep, err = m.clipPreparation(*input); err != nil {
		return err
	}
	output := h.output("image_embeds")
	if output == nil {
		output = &h.outputs[0]
	}
	c.vision, err = m.open(role, threads, output.name)
	return err
}

func (c *clip) openText(m *Model, threads int) (err error) {
	role := roleText
	if c.both {
		role = roleModel
	}
	h := m.headers[role]
	if h == nil {
		return nil
	}
	path := m.beside("merges.txt")
	if m.config.Vocab != "" {
		path = m.relative(m.config.Vocab)
	}
	if path != "" {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if c.vocabulary, err = tokenize.NewCLIP(f); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	input := h.input("input_ids", "TEXT", "text")
	c.length = 77
	if len(input.shape) == 2 && input.shape[1] > 0 {
		c.length = int(input.shape[1])
	}
	if m.config.MaxTokens > 0 {
		c.length = m.config.MaxTokens
	}
	if m.config.Pad != nil {
		c.pad = *m.config.Pad
	}
	output := h.output("text_embeds")
	if output == nil {
		output = &h.outputs[0]
	}
	c.text, err = m.open(role, threads, output.name)
	return err
}

// run computes vectors, in batches, of the n inputs that fill writes; other inputs get what the model takes without them.
func (c *clip) run(ctx context.Context, s *session, n int, fill func(p port, from, to int) (tensor, bool, error)) ([][]float32, error) {
	var vectors [][]float32
	for from := 0; from < n; from += embedBatch {
		to := min(n, from+embedBatch)
		in := map[string]tensor{}
		for _, p := range s.inputs {
			t, ok, err := fill(p, from, to)
			if err != nil {
				return nil, err
			}
			if !ok {
				if t, err = c.filler(p); err != nil {
					return nil, err
				}
			}
			in[p.name] = t
		}
		out, err := s.run(ctx, in)
		if err != nil {
			return nil, err
		}
		if !fits(out[0].shape, int64(to-from), -1) || out[0].float32 == nil {
			return nil, inference.Errorf(inference.ErrInvalidResponse, "output of the shape %v: want [%d, n]", out[0].shape, to-from)
		}
		dim := int(out[0].shape[1])
		for i := range to - from {
			vectors = append(vectors, slices.Clone(out[0].float32[i*dim:][:dim]))
		}
	}
	return vectors, nil
}

// filler is an input of a model for both that is not asked about: an empty text, a grey picture.
func (c *clip) filler(p port) (tensor, error) {
	if len(p.shape) == 4 {
		return floats(make([]float32, 3*c.prep.width*c.prep.height), 1, 3, int64(c.prep.height), int64(c.prep.width)), nil
	}
	ids := make([]int64, c.length)
	if p.name == "attention_mask" {
		ids[0], ids[1] = 1, 1
	} else {
		for i := range ids {
			ids[i] = c.pad
		}
		copy(ids, c.vocabulary.Encode("", c.length))
	}
	return integers(p, ids, 1, int64(c.length))
}

func (c *clip) embedTexts(ctx context.Context, texts []string) ([][]float32, error) {
	if c.text == nil {
		return nil, inference.Errorf(inference.ErrTaskNotSupported, "the model has no file for texts")
	}
	return c.run(ctx, c.text, len(texts), func(p port, from, to int) (tensor, bool, error) {
		if len(p.shape) == 4 {
			return tensor{}, false, nil
		}
		ids := make([]int64, (to-from)*c.length)
		for i, text := range texts[from:to] {
			row := ids[i*c.length:][:c.length]
			tokens := c.vocabulary.Encode(text, c.length)
			switch p.name {
			case "attention_mask":
				for k := range tokens {
					row[k] = 1
				}
			default:
				for k := range row {
					row[k] = c.pad
				}
				copy(row, tokens)
			}
		}
		t, err := integers(p, ids, int64(to-from), int64(c.length))
		return t, true, err
	})
}

func (c *clip) embedImages(ctx context.Context, images []*inference.Image) ([][]float32, error) {
	if c.vision == nil {
		return nil, inference.Errorf(inference.ErrTaskNotSupported, "the model has no file for pictures")
	}
	size := 3 * c.prep.width * c.prep.height
	return c.run(ctx, c.vision, len(images), func(p port, from, to int) (tensor, bool, error) {
		if len(p.shape) != 4 {
			return tensor{}, false, nil
		}
		pixels, err := prepareAll(&c.prep, images[from:to], size)
		return floats(pixels, int64(to-from), 3, int64(c.prep.height), int64(c.prep.width)), true, err
	})
}

func (c *clip) close() error {
	var errs []error
	for _, s := range []*session{c.vision, c.text} {
		if s != nil {
			errs = append(errs, s.close())
		}
	}
	return errors.Join(errs...)
}
