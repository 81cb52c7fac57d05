package search

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"math"
	"reflect"
	"regexp"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"pixano/dataset"
)

// Embedder turns texts and pictures into vectors that can be compared: a text lies near the pictures that it describes. It
// is safe for concurrent use.
type Embedder interface {
	// Name is the name of the model's kind, as the metadata of embedding tables has it: "open-clip",
	// "sentence-transformers".
	Name() string

	// Metadata are the arguments that tell models of one kind apart, as the metadata of tables has them: {"name":
	// "ViT-B-32"}. Nil or empty: those by default. Values are what encoding/json reads.
	Metadata() map[string]any

	// Dim is the number of values of a vector.
	Dim() int

	// EmbedTexts and EmbedImages return one vector of Dim values for each text or picture, in order. A model that has no
	// vectors for one of the two gives an error that matches [errors.ErrUnsupported].
	EmbedTexts(ctx context.Context, texts []string) ([][]float32, error)
	EmbedImages(ctx context.Context, images []image.Image) ([][]float32, error)
}

// Function is what an embedding table's metadata says of the function that computed its vectors.
type Function struct {
	Name         string         // the name of the model's kind: "open-clip"
	Model        map[string]any // the arguments that the model was made with
	SourceColumn string         // of what was embedded: "view_ref"
	VectorColumn string         // of the vectors: "vector"
	Dim          int            // values of a vector
}

// functionsKey is the key of schema metadata, and functionJSON what one entry of its list holds.
const functionsKey = "embedding_functions"

type functionJSON struct {
	Name         string         `json:"name"`
	Model        map[string]any `json:"model"`
	SourceColumn string         `json:"source_column"`
	VectorColumn string         `json:"vector_column"`
}

// SetFunction names an embedder as the function that computes the vectors of a table, as the reference implementation
// does, so that texts can be searched for. The embedder's dimension must be that of the table's vectors.
func SetFunction(ctx context.Context, ds *dataset.Dataset, table string, e Embedder) error {
	const op = "set function of"
	fail := func(err error) error { return &dataset.Error{Op: op, Table: table, Err: err} }
	t, err := ds.Search(ctx, op, table, dataset.Query{})
	if err != nil {
		return err
	}
	column, dim, err := vectorColumn(t.Columns)
	if err != nil {
		return fail(err)
	}
	if e.Dim() != dim {
		return fail(queryError("vectors of %q have %d values, those of the table %d", e.Name(), e.Dim(), dim))
	}
	model := e.Metadata()
	if model == nil {
		model = map[string]any{}
	}
	raw, err := json.MarshalIndent([]functionJSON{{
		Name: "pixano_" + ds.Info().ID + "_" + table + "_" + e.Name(), Model: model, SourceColumn: "view_ref", VectorColumn: column,
	}}, "", "  ")
	if err != nil {
		return fail(err)
	}
	return ds.SetTableMetadata(ctx, table, map[string]string{functionsKey: string(raw)})
}

// FunctionOf returns the function that a table's schema names, and false if it names none. Metadata that cannot be
// understood, or that names several functions, is dataset.ErrSchema.
func FunctionOf(table string, columns *arrow.Schema) (Function, bool, error) {
	metadata := columns.Metadata()
	raw, ok := metadata.GetValue(functionsKey)
	if !ok || strings.TrimSpace(raw) == "" {
		return Function{}, false, nil
	}
	bad := func(format string, v ...any) (Function, bool, error) {
		return Function{}, false, kindErrorf(dataset.ErrSchema, functionsKey+": "+format, v...)
	}
	var list []functionJSON
	if err := json.Unmarshal([]byte(raw), &list); err != nil {
		return bad("want a list with one function: %v", err)
	}
	switch {
	case len(list) == 0:
		return Function{}, false, nil
	case len(list) > 1:
		return bad("the table names %d functions: want one", len(list))
	case list[0].Name == "":
		return bad("the function has no name")
	}
	f := Function{Name: list[0].Name, Model: list[0].Model, SourceColumn: list[0].SourceColumn, VectorColumn: list[0].VectorColumn}
	// The dataset's id is in the name, and may be another one by now.
	if m := regexp.MustCompile(`^pixano_.*?_` + regexp.QuoteMeta(table) + `_(.+)$`).FindStringSubmatch(f.Name); m != nil {
		f.Name = m[1]
	}
	if fields, ok := columns.FieldsByName(f.VectorColumn); ok {
		if t, ok := fields[0].Type.(*arrow.FixedSizeListType); ok {
			f.Dim = int(t.Len())
		}
	}
	return f, true, nil
}

// fits reports how an embedder differs from the function of a table; nil if it does not.
func (f Function) fits(e Embedder) error {
	if e.Name() != f.Name {
		return fmt.Errorf("its vectors are of the function %q, not of %q", f.Name, e.Name())
	}
	for key, value := range e.Metadata() {
		// As the table's, it is compared in the form that JSON gives it.
		raw, err := json.Marshal(value)
		var mine any
		if err == nil {
			err = json.Unmarshal(raw, &mine)
		}
		if theirs, ok := f.Model[key]; err != nil || ok && !reflect.DeepEqual(mine, theirs) {
			return fmt.Errorf("its vectors are of the function %q with %s %v, not %v", f.Name, key, theirs, value)
		}
	}
	return nil
}

// embedder returns what computes the vectors of queries for a table. named wants the table to name its function.
func (s *Searcher) embedder(ctx context.Context, t *dataset.Searched, table string, named bool) (Embedder, error) {
	f, ok, err := FunctionOf(table, t.Columns)
	switch {
	case err != nil:
		return nil, err
	case !ok && named:
		return nil, queryError("the table names no function that computes its vectors: search it by a vector")
	case !ok && s.embed == nil:
		return nil, queryError("the table names no function that computes its vectors, and no embedder was given: search it by a vector")
	case ok && s.embed != nil:
		if err := f.fits(s.embed); err == nil {
			return s.embed, nil
		} else if s.models == nil {
			return nil, queryError("%v: search it by a vector", err)
		}
	case !ok:
		return s.embed, nil
	case s.models == nil:
		return nil, queryError("its vectors are of the function %q, and no embedder was given: search it by a vector", f.Name)
	}
	e, err := s.models(ctx, f)
	if err != nil {
		return nil, &kindError{dataset.ErrQuery, fmt.Sprintf("function %q: %v: search by a vector needs none", f.Name, err), err}
	}
	return e, nil
}

// ImageVector returns the vector of a picture by the model that computes those of a table, so that pages of the same search need
// it only once. A table without a function, and one whose model is not there or has no vectors for pictures, are
// dataset.ErrQuery.
func (s *Searcher) ImageVector(ctx context.Context, table string, picture image.Image) ([]float32, error) {
	t, err := s.ds.Search(ctx, op, table, dataset.Query{})
	if err != nil {
		return nil, at(table, "", err)
	}
	e, err := s.embedder(ctx, t, table, false)
	if err != nil {
		return nil, at(table, "image", err)
	}
	vector, err := embedImage(ctx, e, picture)
	return vector, at(table, "image", err)
}

// embedText returns the vector of a text.
func embedText(ctx context.Context, e Embedder, text string) ([]float32, error) {
	vectors, err := e.EmbedTexts(ctx, []string{text})
	return oneVector(e, "texts", vectors, err)
}

// embedImage returns the vector of a picture.
func embedImage(ctx context.Context, e Embedder, picture image.Image) ([]float32, error) {
	vectors, err := e.EmbedImages(ctx, []image.Image{picture})
	return oneVector(e, "pictures", vectors, err)
}

func oneVector(e Embedder, what string, vectors [][]float32, err error) ([]float32, error) {
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return nil, &kindError{dataset.ErrQuery, fmt.Sprintf("%s has no vectors for %s: %v", e.Name(), what, err), err}
	case err != nil:
		return nil, fmt.Errorf("%s: %w", e.Name(), err)
	case len(vectors) != 1:
		return nil, fmt.Errorf("%s gave %d vectors: want 1", e.Name(), len(vectors))
	}
	return vectors[0], nil
}

// finite finds what cannot be searched for in a vector.
func finite(vector []float32) error {
	for i, x := range vector {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return fmt.Errorf("value %d is %v: want finite numbers", i, x)
		}
	}
	return nil
}
