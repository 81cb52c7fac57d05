package dataset

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"pixano/features"
)

// templatesFile holds the dataset's own templates of key points. Other programs do not know it.
const templatesFile = "keypoint_templates.json"

// KeyPointTemplates reads the dataset's own templates of key points, in the order of keypoint_templates.json. A missing
// file has none; one that cannot be understood is ErrSchema. They come before built-in ones of the same ID
// ([features.KeyPointTemplates]).
func (d *Dataset) KeyPointTemplates() ([]features.KeyPointTemplate, error) {
	list, err := readTemplates(d.files)
	if err != nil {
		return nil, &Error{Op: "read templates of key points", Field: templatesFile, Err: err}
	}
	return list, nil
}

func readTemplates(dir string) ([]features.KeyPointTemplate, error) {
	content, err := os.ReadFile(filepath.Join(dir, templatesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fileError(err)
	}
	return decodeTemplates(content)
}

// addTemplates adds templates to those that a dataset has in the directory from, and writes them all to the directory to.
func addTemplates(from, to string, list []features.KeyPointTemplate) error {
	if len(list) == 0 {
		return nil
	}
	fail := func(err error) error { return &Error{Field: templatesFile, Err: err} }
	own, err := readTemplates(from)
	if err != nil {
		return fail(err)
	}
	merged := mergeTemplates(own, list)
	if len(merged) == len(own) {
		return nil
	}
	content, err := json.Marshal(withEdges(merged))
	if err == nil {
		err = fileError(writeFile(filepath.Join(to, templatesFile), fileJSON(content)))
	}
	if err != nil {
		return fail(err)
	}
	return nil
}

// mergeTemplates adds templates to others, which stay as they are.
func mergeTemplates(own, list []features.KeyPointTemplate) []features.KeyPointTemplate {
	own = slices.Clip(own)
	for _, t := range list {
		if !slices.ContainsFunc(own, func(other features.KeyPointTemplate) bool { return other.ID == t.ID }) {
			own = append(own, t)
		}
	}
	return own
}

// SetKeyPointTemplates stores the dataset's own templates of key points in place of those that it has. A template that
// is not valid and an ID that occurs twice are ErrSchema, and change nothing.
func (d *Dataset) SetKeyPointTemplates(ctx context.Context, list []features.KeyPointTemplate) error {
	return d.exclusively(ctx, "set templates of key points", "", func(*meta) error {
		fail := func(err error) error { return &Error{Field: templatesFile, Err: err} }
		if err := checkTemplates(list); err != nil {
			return fail(err)
		}
		content, err := json.Marshal(withEdges(list))
		if err != nil {
			return fail(err)
		}
		if err := writeFile(filepath.Join(d.path, templatesFile), fileJSON(content)); err != nil {
			return fail(fileError(err))
		}
		return nil
	})
}

func decodeTemplates(content []byte) ([]features.KeyPointTemplate, error) {
	var list []features.KeyPointTemplate
	if bytes.Equal(bytes.TrimSpace(content), []byte("null")) {
		return nil, schemaError("the file is null: want a list of templates")
	}
	if err := decodeJSON(content, &list); err != nil {
		return nil, err
	}
	return withEdges(list), checkTemplates(list)
}

// withEdges copies a list, with empty lists of edges for missing ones.
func withEdges(list []features.KeyPointTemplate) []features.KeyPointTemplate {
	out := append([]features.KeyPointTemplate{}, list...)
	for i := range out {
		if out[i].Edges == nil {
			out[i].Edges = [][2]int{}
		}
	}
	return out
}

func checkTemplates(list []features.KeyPointTemplate) error {
	seen := map[string]bool{}
	for i, t := range list {
		if err := t.Validate(); err != nil {
			return schemaError("[%d]: %v", i, err)
		}
		if seen[t.ID] {
			return schemaError("[%d]: id %q: want an id that no other template has", i, t.ID)
		}
		seen[t.ID] = true
	}
	return nil
}
