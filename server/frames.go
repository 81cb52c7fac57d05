package server

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"pixano/dataset"
	"pixano/internal/imaging"
	"pixano/schema"
)

// maxFrames bounds the frames of one answer.
const maxFrames = 1000

// FrameWindow names some frames of a video.
type FrameWindow struct {
	DatasetPath
	Item string `path:"item" doc:"id of the item"`
	View string `query:"view" required:"true" doc:"a table of frames"`
	From int    `query:"from" minimum:"0" doc:"the first frame_index"`
	To   int    `query:"to" default:"999" minimum:"0" doc:"the last frame_index; at most 1000 frames"`
}

// FrameRows are the frames of a window and what is said of them.
type FrameRows struct {
	Body struct {
		Total       int64            `json:"total" doc:"frames that the item has in the view"`
		Frames      []Row            `json:"frames" doc:"by frame_index"`
		Annotations map[string][]Row `json:"annotations" doc:"by table, those of these frames; of tracklets those that overlap"`
	}
}

func (s *Server) routeFrames() {
	huma.Register(s.api, operation("GET", "/frames/{dataset}/{item}", "readFrames", "media", "Frames of a video with their annotations"), func(ctx context.Context, in *FrameWindow) (*FrameRows, error) {
		return with(s, ctx, in.DatasetPath, func(ds *dataset.Dataset) (*FrameRows, error) { return frames(ctx, ds, in) })
	})
	pack := operation("GET", "/frame_pack/{dataset}/{item}", "packFrames", "media", "Reduced frames of a video in one answer")
	pack.Description = "Four bytes, little-endian, are the length of a JSON text, which follows: a list with, for each frame, frame_index, id, type and size. " +
		"The images follow in this order, size bytes each. A frame that cannot be read has size 0 and an error."
	pack.Responses = map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{
		"application/octet-stream": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}}}
	huma.Register(s.api, pack, func(ctx context.Context, in *struct {
		FrameWindow
		W int `query:"w" default:"640" minimum:"1" doc:"the width of the frames, about, in pixels"`
	}) (*huma.StreamResponse, error) {
		ds, release, err := s.pool.get(ctx, in.Dataset)
		if err != nil {
			return nil, s.problem(err)
		}
		rows, err := in.frames(ctx, ds)
		if err != nil {
			release()
			return nil, s.problem(err)
		}
		return &huma.StreamResponse{Body: func(c huma.Context) {
			defer release()
			s.packFrames(ctx, c.BodyWriter().(http.ResponseWriter), ds, rows, reduceTo(in.W))
		}}, nil
	})
}

// frames reads the rows of the frames of a window.
func (in *FrameWindow) frames(ctx context.Context, ds *dataset.Dataset) ([]*schema.Dynamic, error) {
	if err := wantFrames(ds, in.View); err != nil {
		return nil, err
	}
	if in.To < in.From || in.To-in.From >= maxFrames {
		return nil, badRequest("from %d to %d: want 1 to %d frames", in.From, in.To, maxFrames)
	}
	var rows []*schema.Dynamic
	err := ds.Get(ctx, in.View, &rows, dataset.Query{
		ItemIDs: []string{in.Item}, Where: "frame_index BETWEEN ? AND ?", Args: []any{in.From, in.To}, OrderBy: "frame_index"})
	return rows, err
}

// wantFrames refuses a table that does not hold frames.
func wantFrames(ds *dataset.Dataset, view string) error {
	for _, t := range ds.Tables() {
		if t.Name == view && schema.IsA(t.BaseSchema, "SequenceFrame") {
			return nil
		}
	}
	return badRequest("view %q: want a table of frames", view)
}

// frames reads a window of a video with its annotations.
func frames(ctx context.Context, ds *dataset.Dataset, in *FrameWindow) (*FrameRows, error) {
	rows, err := in.frames(ctx, ds)
	if err != nil {
		return nil, err
	}
	out := &FrameRows{}
	if out.Body.Total, err = ds.Count(ctx, in.View, dataset.Query{ItemIDs: []string{in.Item}}); err != nil {
		return nil, err
	}
	if out.Body.Frames, err = marshalRows(in.View, rows); err != nil {
		return nil, err
	}
	ids := make([]string, len(rows))
	first, last := 0.0, 0.0
	for i, row := range rows {
		at, _ := row.Get("timestamp")
		t, _ := at.(float64)
		if ids[i], err = schema.ID(row); err != nil {
			return nil, err
		}
		if i == 0 {
			first, last = t, t
		}
		first, last = min(first, t), max(last, t)
	}
	out.Body.Annotations = map[string][]Row{}
	for _, table := range ds.Schema().TablesOf(schema.GroupAnnotations) {
		if len(ids) == 0 {
			break
		}
		q := dataset.Query{ItemIDs: []string{in.Item}, Where: "view_ref.name = ? AND view_ref.id IN ?", Args: []any{in.View, ids}}
		if class, _ := ds.Schema().Class(table); schema.IsA(class.Base, "Tracklet") {
			q.Where = "view_ref.name IN (?, '') AND (start_timestep <= ? AND end_timestep >= ? AND start_timestep >= 0 " +
				"OR start_timestamp <= ? AND end_timestamp >= ? AND start_timestamp >= 0)"
			q.Args = []any{in.View, in.To, in.From, last, first}
		}
		var found []*schema.Dynamic
		if err := ds.Get(ctx, table, &found, q); err != nil {
			return nil, err
		}
		if out.Body.Annotations[table], err = marshalRows(table, found); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func marshalRows(table string, rows []*schema.Dynamic) ([]Row, error) {
	out := make([]Row, len(rows))
	for i, row := range rows {
		b, err := schema.MarshalRow(table, row)
		if err != nil {
			return nil, err
		}
		out[i] = b
	}
	return out, nil
}

// packedFrame is the head of a frame in a pack.
type packedFrame struct {
	FrameIndex int64  `json:"frame_index"`
	ID         string `json:"id"`
	Type       string `json:"type,omitempty"`
	Size       int    `json:"size"`
	Error      string `json:"error,omitempty"`
}

// packFrames writes reduced frames.
func (s *Server) packFrames(ctx context.Context, w http.ResponseWriter, ds *dataset.Dataset, rows []*schema.Dynamic, width int) {
	heads := make([]packedFrame, len(rows))
	contents := make([][]byte, len(rows))
	var wait sync.WaitGroup
	for i, row := range rows {
		index, _ := row.Get("frame_index")
		url, _ := row.Get("url")
		heads[i].FrameIndex, _ = index.(int64)
		heads[i].ID, _ = schema.ID(row)
		name, _ := url.(string)
		wait.Go(func() {
			img, err := s.reducedFrame(ctx, ds, name, width)
			if err != nil {
				heads[i].Error = err.Error()
				return
			}
			contents[i], heads[i].Type, heads[i].Size = img.content, img.contentType, len(img.content)
		})
	}
	wait.Wait()
	if ctx.Err() != nil {
		return
	}
	head, err := json.Marshal(heads)
	if err != nil {
		s.writeProblem(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if _, err := w.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(head))), head...)); err != nil {
		return
	}
	for _, content := range contents {
		if _, err := w.Write(content); err != nil {
			return
		}
	}
}

// reducedFrame returns an image of a dataset made to fit into a width.
func (s *Server) reducedFrame(ctx context.Context, ds *dataset.Dataset, url string, width int) (p picture, err error) {
	defer caught(s.log, &err)
	file, err := ds.OpenMedia(url)
	if err != nil {
		return picture{}, err
	}
	defer file.Close()
	return s.reduce(ctx, place(ds.Info().ID, url), file, width, maxEdge)
}

// reduce returns an image made to fit into a frame.
func (s *Server) reduce(ctx context.Context, place string, file *dataset.Media, width, height int) (picture, error) {
	return s.images.get(ctx, etag(place, file, fmt.Sprintf("%dx%d", width, height)), func() (picture, error) {
		// Names are those of this library: servers of others may share the directory.
		sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %s", s.library.Path(), s.opts.MediaDir, etag(place, file, fmt.Sprintf("%dx%d", width, height))))
		key := hex.EncodeToString(sum[:16])
		if p, ok := s.disk.get(key); ok {
			return p, nil
		}
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return picture{}, err
		}
		content, contentType, err := imaging.Reduce(file, width, height)
		if err != nil {
			return picture{}, notFound("no image that can be decoded: %v", err)
		}
		p := picture{contentType, content}
		s.disk.put(key, p)
		return p, nil
	})
}
