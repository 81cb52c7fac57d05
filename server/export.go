package server

import (
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/danielgtaylor/huma/v2"

	"pixano/dataset"
	"pixano/schema"
)

// The forms of rows.
const (
	jsonType  = "application/json"
	linesType = "application/x-ndjson"
	arrowType = "application/vnd.apache.arrow.stream"
)

// RowsParams are a query of rows in the address.
type RowsParams struct {
	TablePath
	Accept  string   `header:"Accept"`
	Format  string   `query:"format" enum:"json,jsonl,arrow" doc:"instead of the header Accept"`
	IDs     []string `query:"ids,explode"`
	ItemIDs []string `query:"item_ids,explode" doc:"rows of these items only"`
	Where   string   `query:"where" doc:"a condition in SQL over the columns"`
	OrderBy string   `query:"order_by" doc:"columns, each with asc or desc"`
	Limit   int      `query:"limit" minimum:"0" doc:"0: all rows"`
	Offset  int      `query:"offset" minimum:"0"`
	Columns []string `query:"columns,explode" doc:"not with JSON, whose rows have all"`
}

func (p RowsParams) query() dataset.Query {
	return dataset.Query{IDs: p.IDs, ItemIDs: p.ItemIDs, Where: p.Where, OrderBy: p.OrderBy, Limit: p.Limit, Offset: p.Offset, Columns: p.Columns}
}

func (s *Server) routeRowsOut() {
	const doc = "The header Accept, or format, chooses the form: JSON (a list of rows), JSON lines (an object of the columns each, which loses nothing) " +
		"or an Arrow IPC stream. The answer is a stream: memory does not grow with it."
	content := map[string]*huma.MediaType{
		jsonType:  {Schema: listOf(ref("Row"))},
		linesType: {Schema: &huma.Schema{Type: huma.TypeString}},
		arrowType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
	}
	get := operation("GET", "/rows/{dataset}/{table}", "readRows", "rows", "Rows of a query, in one of three forms")
	get.Description = doc
	get.Responses = map[string]*huma.Response{"200": {Description: "OK", Content: content}}
	huma.Register(s.api, get, func(ctx context.Context, in *RowsParams) (*huma.StreamResponse, error) {
		return s.streamRows(ctx, in.TablePath, in.query(), in.Format, in.Accept)
	})
	post := operation("POST", "/rows/{dataset}/{table}", "queryRows", "rows", "Rows of a query in the body, in one of three forms")
	post.Description = doc
	post.Responses = map[string]*huma.Response{"200": {Description: "OK", Content: content}}
	huma.Register(s.api, post, func(ctx context.Context, in *struct {
		TablePath
		Accept string `header:"Accept"`
		Format string `query:"format" enum:"json,jsonl,arrow" doc:"instead of the header Accept"`
		Body   dataset.Query
	}) (*huma.StreamResponse, error) {
		return s.streamRows(ctx, in.TablePath, in.Body, in.Format, in.Accept)
	})
}

// formOf chooses the form of rows.
func formOf(format, accept string) string {
	switch format {
	case "json":
		return jsonType
	case "jsonl":
		return linesType
	case "arrow":
		return arrowType
	}
	for part := range strings.SplitSeq(accept, ",") {
		switch kind, _, _ := mime.ParseMediaType(part); kind {
		case jsonType, linesType, arrowType:
			return kind
		}
	}
	return jsonType
}

// streamRows writes the rows of a query as they are read. Errors before the first rows have a status of their own, later
// ones break the answer off.
func (s *Server) streamRows(ctx context.Context, in TablePath, q dataset.Query, format, accept string) (*huma.StreamResponse, error) {
	ds, release, err := s.pool.get(ctx, in.Dataset)
	if err != nil {
		return nil, s.problem(err)
	}
	stream := func(write func(w http.ResponseWriter) error) *huma.StreamResponse {
		return &huma.StreamResponse{Body: func(c huma.Context) {
			defer release()
			w := c.BodyWriter().(http.ResponseWriter)
			if err := write(w); err != nil {
				if w.Header().Get("Content-Type") != "" {
					panic(http.ErrAbortHandler)
				}
				s.writeProblem(w, err)
			}
		}}
	}
	switch form := formOf(format, accept); form {
	case arrowType:
		return stream(func(w http.ResponseWriter) error { return writeArrow(ctx, w, ds, in.Table, q) }), nil
	case linesType:
		return stream(func(w http.ResponseWriter) error { return writeLines(ctx, w, ds, in.Table, q) }), nil
	}
	return stream(func(w http.ResponseWriter) error {
		if len(q.Columns) > 0 {
			return badRequest("columns: rows in JSON have all of them; want jsonl or arrow")
		}
		out := newList(w)
		return out.end(ds.Each(ctx, in.Table, q, func(row any) error {
			return out.add(func(b []byte) ([]byte, error) {
				if flat, ok := row.(dataset.Row); ok { // of the record layout
					return flat.AppendJSON(b), nil
				}
				return schema.AppendRow(b, in.Table, row)
			})
		}))
	}), nil
}

// writeProblem answers an error as the additive routes do.
func (s *Server) writeProblem(w http.ResponseWriter, err error) {
	problem := s.problem(err)
	body, _ := json.Marshal(problem)
	writeBody(w, statusOf(err), "application/problem+json", body)
}

func writeArrow(ctx context.Context, w http.ResponseWriter, ds *dataset.Dataset, table string, q dataset.Query) error {
	var out *ipc.Writer
	for batch, err := range ds.Batches(ctx, table, q) {
		if err != nil {
			return err
		}
		if out == nil {
			w.Header().Set("Content-Type", arrowType)
			out = ipc.NewWriter(w, ipc.WithSchema(batch.Schema()))
		}
		if err := out.Write(batch); err != nil {
			return err
		}
	}
	if out == nil { // no rows, and so no batch that knows the columns
		columns, err := ds.Columns(ctx, table)
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", arrowType)
		out = ipc.NewWriter(w, ipc.WithSchema(columns))
	}
	return out.Close()
}

func writeLines(ctx context.Context, w http.ResponseWriter, ds *dataset.Dataset, table string, q dataset.Query) error {
	var buf []byte
	flush := func() error {
		w.Header().Set("Content-Type", linesType)
		_, err := w.Write(buf)
		buf = buf[:0]
		return err
	}
	for row, err := range ds.Rows(ctx, table, q) {
		if err != nil {
			return err
		}
		if buf = append(row.AppendJSON(buf), '\n'); len(buf) >= listBuffer {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}
