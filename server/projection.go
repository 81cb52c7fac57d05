package server

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"pixano/dataset"
)

// projectionCache bounds the memory for projections, in bytes.
const projectionCache = 128 << 20

// projectionHead is what stands before the points of a projection.
type projectionHead struct {
	Items     []string   `json:"items"`
	Explained [2]float64 `json:"explained"`
}

func (s *Server) routeProjection() {
	op := operation("GET", "/projection/{dataset}/{table}", "projectVectors", "explorer", "The vectors of a table on a plane")
	op.Description = "The plane is that of the two principal components. Four bytes, little-endian, are the length of a JSON text, which follows: " +
		"an object with items, the ids of the items that the vectors belong to, and explained, the shares of the variance along x and y. It ends in as many " +
		"spaces as make what follows begin at a multiple of four bytes: x and y of each, as little-endian float32 from -1 to 1, not a number for a row without a vector."
	op.Responses = map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{
		"application/octet-stream": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}}}
	huma.Register(s.api, op, func(ctx context.Context, in *TablePath) (*huma.StreamResponse, error) {
		type packed = struct{ body []byte }
		out, err := with(s, ctx, in.DatasetPath, func(ds *dataset.Dataset) (*packed, error) {
			version, err := ds.Version(ctx, in.Table)
			if err != nil {
				return nil, err
			}
			body, err := s.projections.get(ctx, fmt.Sprintf("%q %q %d", ds.Path(), in.Table, version), func() ([]byte, error) {
				return s.project(ctx, ds, in.Table)
			})
			return &packed{body}, err
		})
		if err != nil {
			return nil, err
		}
		return &huma.StreamResponse{Body: func(c huma.Context) {
			w := c.BodyWriter().(http.ResponseWriter)
			writeBody(w, http.StatusOK, "application/octet-stream", out.body)
		}}, nil
	})
}

// project makes the answer of a projection.
func (s *Server) project(ctx context.Context, ds *dataset.Dataset, table string) ([]byte, error) {
	p, err := s.searcher(ds).Project(ctx, table)
	if err != nil {
		return nil, err
	}
	head, err := json.Marshal(projectionHead{append([]string{}, p.Items...), p.Explained})
	if err != nil {
		return nil, err
	}
	for len(head)%4 != 0 {
		head = append(head, ' ')
	}
	body := append(binary.LittleEndian.AppendUint32(make([]byte, 0, 4+len(head)+4*len(p.Points)), uint32(len(head))), head...)
	for _, x := range p.Points {
		body = binary.LittleEndian.AppendUint32(body, math.Float32bits(x))
	}
	return body, nil
}
