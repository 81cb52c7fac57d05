package dataset

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"pixano/schema"
)

// Info is what a dataset says of itself, in info.json. All keys are optional there.
type Info struct {
	ID          string `json:"id"` // independent of the directory's name; without spaces
	Name        string `json:"name"`
	Description string `json:"description"`
	Size        string `json:"size"`      // in words; "Unknown" when absent
	Preview     string `json:"preview"`   // path or data URL of a thumbnail, as stored
	Workspace   string `json:"workspace"` // image, video, image_vqa, image_text_entity_linking or undefined (when absent)
}

var workspaces = []string{"image", "video", "image_vqa", "image_text_entity_linking", "undefined"}

// Layout is how a dataset arranges its tables.
type Layout string

const (
	// ItemLayout is the layout of Pixano 0.6: schema.json declares the tables, which refer to rows of "item".
	ItemLayout Layout = "item"
	// RecordLayout is the layout of Pixano 0.7 and 0.8: tables of fixed names, which refer to rows of "records".
	RecordLayout Layout = "record"
)

// ReadInfo reads the info.json of a dataset directory and recognises the dataset's layout.
func ReadInfo(path string) (Info, Layout, error) {
	info, layout, err := readInfo(path)
	if err != nil {
		return Info{}, "", at("open "+path, "", err)
	}
	return info, layout, nil
}

func readInfo(path string) (Info, Layout, error) {
	if st, err := os.Stat(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return Info{}, "", &kindError{ErrNotFound, "no such directory", fs.ErrNotExist}
		}
		return Info{}, "", fileError(err)
	} else if !st.IsDir() {
		return Info{}, "", &kindError{ErrNotFound, "not a directory: want a dataset directory", nil}
	}
	info := Info{Size: "Unknown", Workspace: "undefined"}
	raw, err := os.ReadFile(filepath.Join(path, "info.json"))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return Info{}, "", &kindError{ErrNotFound, "not a dataset: no info.json", fs.ErrNotExist}
		}
		return Info{}, "", &Error{Field: "info.json", Err: fileError(err)}
	}
	var keys map[string]json.RawMessage
	if err := decodeJSON(raw, &keys); err != nil {
		return Info{}, "", &Error{Field: "info.json", Err: err}
	}
	for name, value := range keys {
		if string(value) == "null" && slices.Contains([]string{"id", "name", "description", "size", "preview", "workspace"}, name) {
			return Info{}, "", &Error{Field: "info.json", Err: schemaError("%s is null: want a string", name)}
		}
	}
	if err := decodeJSON(raw, &info); err != nil {
		return Info{}, "", &Error{Field: "info.json", Err: err}
	}
	if err := info.check(); err != nil {
		return Info{}, "", &Error{Field: "info.json", Err: err}
	}
	if exists(path, "schema.json") {
		return info, ItemLayout, nil
	}
	if _, versioned := keys["spec_version"]; versioned || exists(path, "db", "records.lance") {
		return info, RecordLayout, nil
	}
	return info, ItemLayout, nil
}

func (info Info) check() error {
	switch {
	case strings.Contains(info.ID, " "):
		return schemaError("id %q has a space", info.ID)
	case !slices.Contains(workspaces, info.Workspace):
		return schemaError("workspace %q: want one of %s", info.Workspace, strings.Join(workspaces, ", "))
	}
	return nil
}

// stored returns the info as info.json holds it, with what stands for an absent size and workspace filled in.
func (info Info) stored() (Info, error) {
	info.Size = cmp.Or(info.Size, "Unknown")
	info.Workspace = cmp.Or(info.Workspace, "undefined")
	for key, value := range info.pairs() {
		if !utf8.ValidString(value) {
			return info, schemaError("%s %q is not UTF-8", key, value)
		}
	}
	return info, info.check()
}

// pairs yields keys and values in the order of info.json.
func (info Info) pairs() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		_ = yield("id", info.ID) && yield("name", info.Name) && yield("description", info.Description) &&
			yield("size", info.Size) && yield("preview", info.Preview) && yield("workspace", info.Workspace)
	}
}

// SetInfo replaces what info.json says, and keeps the keys there that [Info] has not. An empty ID keeps the id, an empty
// Size stands for "Unknown" and an empty Workspace for undefined. An id with a space and an unknown workspace are
// ErrSchema. The directory keeps its name, see [Library.Rename].
func (d *Dataset) SetInfo(ctx context.Context, info Info) error {
	return d.exclusively(ctx, "set info", "", func(m *meta) error {
		fail := func(err error) error { return &Error{Field: "info.json", Err: err} }
		info.ID = cmp.Or(info.ID, m.info.ID)
		info, err := info.stored()
		if err != nil {
			return fail(err)
		}
		if err := replaceInfo(d.path, info); err != nil {
			return fail(err)
		}
		m.info = info
		d.meta.Store(m)
		return nil
	})
}

// replaceInfo replaces the known keys of a dataset's info.json.
func replaceInfo(path string, info Info) error {
	path = filepath.Join(path, "info.json")
	raw, err := os.ReadFile(path)
	if err != nil {
		return fileError(err)
	}
	var whole json.RawMessage
	if err := decodeJSON(raw, &whole); err != nil {
		return err
	}
	object, err := parseObject("the file", whole)
	if err != nil {
		return err
	}
	for key, value := range info.pairs() {
		object.set(key, marshalJSON(value))
	}
	return fileError(writeFile(path, fileJSON(object.raw())))
}

func exists(parts ...string) bool {
	_, err := os.Stat(filepath.Join(parts...))
	return err == nil
}

func schemaError(format string, args ...any) error {
	return &kindError{ErrSchema, fmt.Sprintf(format, args...), nil}
}

// decodeJSON decodes one JSON value and says where it is wrong.
func decodeJSON(raw []byte, v any) error {
	err := json.Unmarshal(raw, v)
	if err == nil {
		return nil
	}
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return schemaError("line %d: not JSON: %v", 1+bytes.Count(raw[:syntax.Offset], []byte("\n")), err)
	case errors.As(err, &mismatch):
		return schemaError("line %d: %s is a JSON %s: want a %s", 1+bytes.Count(raw[:mismatch.Offset], []byte("\n")), cmp.Or(mismatch.Field, "the file"), mismatch.Value, mismatch.Type.Kind())
	}
	return schemaError("not JSON: %v", err)
}

// TableInfo describes a table as the dataset declares it.
type TableInfo struct {
	Name       string
	Group      schema.Group // "" in the record layout
	Schema     string       // name of the rows' class, maybe the user's own; "" in the record layout
	BaseSchema string       // the built-in class that it extends; "" in the record layout
}

// groups are in the order in which their rows refer to each other, and tables are listed.
var groups = []schema.Group{
	schema.GroupItem, schema.GroupViews, schema.GroupEntities, schema.GroupAnnotations, schema.GroupEmbeddings, schema.GroupSource,
}

// readSchema reads schema.json.
func readSchema(path string) (*schema.DatasetSchema, error) {
	raw, err := os.ReadFile(filepath.Join(path, "schema.json"))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &kindError{ErrNotFound, "not a dataset: no schema.json", fs.ErrNotExist}
		}
		return nil, &Error{Field: "schema.json", Err: fileError(err)}
	}
	return schema.ParseDatasetSchema(raw)
}

// declaredTables lists the tables of a schema: by group, and in a group as declared.
func declaredTables(s *schema.DatasetSchema) []TableInfo {
	var tables []TableInfo
	for _, group := range groups {
		for _, name := range s.TablesOf(group) {
			class, _ := s.Class(name)
			tables = append(tables, TableInfo{Name: name, Group: group, Schema: class.Name, BaseSchema: class.Base})
		}
	}
	return tables
}
