package server

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"sync"
)

//go:embed docs.html
var docsPage string

// docs is the page at /docs: the routes of the description, without any script and without a request to elsewhere.
type docs struct {
	Title, Description string
	Tags               []docsTag
	Schemas            []docsSchema
}

type docsTag struct {
	Name       string
	Operations []docsOperation
}

type docsOperation struct {
	Method, Path, ID, Summary, Description string
	Params                                 []docsParam
	Body                                   string
	Answers                                []docsAnswer
}

type docsParam struct {
	Name, In, Type, Description string
	Required                    bool
}

type docsAnswer struct{ Code, Description, Body string }

type docsSchema struct{ Name, JSON string }

func (s *Server) routeDocs() {
	page := sync.OnceValues(func() ([]byte, error) {
		content, err := s.OpenAPI()
		if err != nil {
			return nil, err
		}
		return renderDocs(content)
	})
	s.both("/docs", func(w http.ResponseWriter, _ *http.Request) error {
		body, err := page()
		if err != nil {
			return err
		}
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		writeBody(w, http.StatusOK, "text/html; charset=utf-8", body)
		return nil
	})
}

// renderDocs makes the page of a description.
func renderDocs(description []byte) ([]byte, error) {
	type media map[string]struct {
		Schema map[string]any `json:"schema"`
	}
	var doc struct {
		Info  struct{ Title, Description string }
		Paths map[string]map[string]struct {
			OperationID          string `json:"operationId"`
			Summary, Description string
			Tags                 []string
			Parameters           []struct {
				Name, In, Description string
				Required              bool
				Schema                map[string]any
			}
			RequestBody struct{ Content media } `json:"requestBody"`
			Responses   map[string]struct {
				Description string
				Content     media
			}
		}
		Components struct{ Schemas map[string]json.RawMessage }
	}
	if err := json.Unmarshal(description, &doc); err != nil {
		return nil, err
	}
	shape := func(m media) string {
		for _, kind := range m {
			return typeName(kind.Schema)
		}
		return ""
	}
	out := docs{Title: doc.Info.Title, Description: doc.Info.Description}
	tags := map[string][]docsOperation{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			o := docsOperation{Method: strings.ToUpper(method), Path: path, ID: op.OperationID, Summary: op.Summary, Description: op.Description, Body: shape(op.RequestBody.Content)}
			for _, p := range op.Parameters {
				o.Params = append(o.Params, docsParam{p.Name, p.In, typeName(p.Schema), p.Description, p.Required})
			}
			for code, answer := range op.Responses {
				o.Answers = append(o.Answers, docsAnswer{code, answer.Description, shape(answer.Content)})
			}
			slices.SortFunc(o.Answers, func(a, b docsAnswer) int { return strings.Compare(a.Code, b.Code) })
			tag := "other"
			if len(op.Tags) > 0 {
				tag = op.Tags[0]
			}
			tags[tag] = append(tags[tag], o)
		}
	}
	for name, ops := range tags {
		slices.SortFunc(ops, func(a, b docsOperation) int { return strings.Compare(a.Path+a.Method, b.Path+b.Method) })
		out.Tags = append(out.Tags, docsTag{name, ops})
	}
	slices.SortFunc(out.Tags, func(a, b docsTag) int { return strings.Compare(a.Name, b.Name) })
	for name, schema := range doc.Components.Schemas {
		var b bytes.Buffer
		if err := json.Indent(&b, schema, "", "  "); err != nil {
			return nil, err
		}
		out.Schemas = append(out.Schemas, docsSchema{name, b.String()})
	}
	slices.SortFunc(out.Schemas, func(a, b docsSchema) int { return strings.Compare(a.Name, b.Name) })
	t, err := template.New("docs").Parse(docsPage)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, out)
	return b.Bytes(), err
}

// typeName says in a word what a JSON Schema describes.
func typeName(s map[string]any) string {
	if ref, ok := s["$ref"].(string); ok {
		return ref[strings.LastIndexByte(ref, '/')+1:]
	}
	switch t := s["type"].(type) {
	case string:
		if items, ok := s["items"].(map[string]any); ok && t == "array" {
			return "list of " + typeName(items)
		}
		if t == "" {
			break
		}
		return t
	case []any:
		if len(t) > 0 {
			name, _ := t[0].(string)
			return typeName(map[string]any{"type": name, "items": s["items"]})
		}
	}
	return ""
}
