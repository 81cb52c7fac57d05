package annotate

import (
	"context"
	"image"

	"pixano/dataset"
	"pixano/features"
	"pixano/inference"
	"pixano/schema"
)

// Model is a model of a provider.
type Model struct {
	Provider inference.Provider
	Name     string
}

// newAnnotation returns the columns that all rows of an answer have.
func newAnnotation(v View, entity features.EntityRef, source features.SourceRef, metadata string) schema.Annotation {
	now := schema.Now()
	return schema.Annotation{ID: features.NewShortUUID(), CreatedAt: now, UpdatedAt: now, ItemRef: v.ItemRef, ViewRef: v.Ref(),
		EntityRef: entity, SourceRef: source, InferenceMetadata: metadata}
}

// sourceOf is the source of what a model answers; previews have none, since one that is not there yet would be stored.
func sourceOf(ctx context.Context, ds *dataset.Dataset, model Model, preview bool) (features.SourceRef, error) {
	if preview {
		return features.SourceRef{}, nil
	}
	return ModelSource(ctx, ds, model.Name)
}

// MaskRequest asks for the mask of an object in a view.
type MaskRequest struct {
	Model  Model
	View   View
	Entity features.EntityRef // that the mask is of; zero: none
	Points []inference.Point  // in pixels of the picture
	Box    *schema.BBox       // around the object: coords, format and is_normalized; nil: none

	// Preview asks for a mask that is only looked at: nothing is written, so it has no source.
	Preview bool

	// Quick asks only providers that keep what takes long to compute of a picture, see [inference.PictureKeeper]; others are
	// ErrTaskNotSupported. It is for previews under a moving pointer.
	Quick bool
}

func (r *MaskRequest) prompt(size image.Point) (p inference.Prompt, err error) {
	p.Points = r.Points
	if r.Box != nil {
		p.Box, err = Box(*r.Box, size)
	}
	return p, err
}

// ImageMask asks a model for the mask of an object. Of several masks the one with the highest score is taken.
func ImageMask(ctx context.Context, ds *dataset.Dataset, req MaskRequest) (*schema.CompressedRLE, error) {
	if err := checkViews(ds, req.View.Table); err != nil {
		return nil, err
	}
	if keeper, ok := req.Model.Provider.(inference.PictureKeeper); req.Quick && (!ok || !keeper.KeepsPictures(req.Model.Name)) {
		return nil, inference.Errorf(inference.ErrTaskNotSupported, "the model %q computes all of a picture for each mask", req.Model.Name)
	}
	img, err := Picture(ds, req.View)
	if err != nil {
		return nil, err
	}
	prompt, err := req.prompt(sizeOf(img, req.View))
	if err != nil {
		return nil, err
	}
	resp, err := inference.ImageMask(ctx, req.Model.Provider, &inference.ImageMaskRequest{Model: req.Model.Name, Image: img, Prompts: []inference.Prompt{prompt}})
	if err != nil {
		return nil, err
	}
	metadata, err := schema.JSONText(resp.InferenceMetadata())
	if err != nil {
		return nil, err
	}
	source, err := sourceOf(ctx, ds, req.Model, req.Preview)
	if err != nil {
		return nil, err
	}
	row := &schema.CompressedRLE{Annotation: newAnnotation(req.View, req.Entity, source, metadata)}
	row.SetMask(resp.Best()[0].RLE)
	return row, nil
}

// VideoMaskRequest asks for the masks of an object through frames of a video.
type VideoMaskRequest struct {
	Model  Model
	Frames []View
	Start  int // index into Frames of the one that Points and Box are about
	Points []inference.Point
	Box    *schema.BBox

	// Entity is what the masks are of. Zero: a new id without a table, which all masks share, so that a person can make a
	// track of them.
	Entity features.EntityRef

	Preview bool // nothing is written, so the masks have no source
}

// VideoMask asks a model for the masks of an object: one for each frame in which it is seen, in the order of frames.
func VideoMask(ctx context.Context, ds *dataset.Dataset, req VideoMaskRequest) ([]schema.CompressedRLE, error) {
	if req.Start < 0 || req.Start >= len(req.Frames) {
		return nil, inference.Errorf(inference.ErrInvalidRequest, "prompts in frame %d of %d", req.Start, len(req.Frames))
	}
	ask := &inference.VideoMaskRequest{Model: req.Model.Name}
	for _, v := range req.Frames {
		class, err := classOf(ds, v.Table)
		if err != nil {
			return nil, err
		}
		if !schema.IsA(class.Base, "SequenceFrame") {
			return nil, inference.Errorf(inference.ErrInvalidRequest, "table %s holds %s: want SequenceFrame", v.Table, class.Base)
		}
		img, err := Picture(ds, v)
		if err != nil {
			return nil, err
		}
		ask.Frames = append(ask.Frames, img)
	}
	mask := MaskRequest{Points: req.Points, Box: req.Box}
	prompt, err := mask.prompt(sizeOf(ask.Frames[req.Start], req.Frames[req.Start]))
	if err != nil {
		return nil, err
	}
	ask.Prompts = []inference.VideoPrompt{{Frame: req.Start, Prompt: prompt}}
	resp, err := inference.VideoMask(ctx, req.Model.Provider, ask)
	if err != nil {
		return nil, err
	}
	metadata, err := schema.JSONText(resp.InferenceMetadata())
	if err != nil {
		return nil, err
	}
	source, err := sourceOf(ctx, ds, req.Model, req.Preview)
	if err != nil {
		return nil, err
	}
	if req.Entity.IsZero() {
		req.Entity = features.EntityRef{ID: features.NewShortUUID()}
	}
	rows := make([]schema.CompressedRLE, len(resp.Masks))
	for i, m := range resp.Masks {
		rows[i].Annotation = newAnnotation(req.Frames[m.Frame], req.Entity, source, metadata)
		rows[i].SetMask(m.RLE)
	}
	return rows, nil
}

// DetectRequest asks for objects in a view.
type DetectRequest struct {
	Model         Model
	View          View
	Entity        features.EntityRef // that the rows are of; zero: none
	Classes       []string
	BoxThreshold  float64 // see [inference.DetectionRequest]
	TextThreshold float64
	Preview       bool // nothing is written, so the rows have no source
}

// Detected is an object found: its box, in pixels, and its class, both with the model's score.
type Detected struct {
	BBox           schema.BBox
	Classification schema.Classification
	Mask           *schema.CompressedRLE // nil for models that find boxes only
}

// Detect asks a model for objects.
func Detect(ctx context.Context, ds *dataset.Dataset, req DetectRequest) ([]Detected, error) {
	if err := checkViews(ds, req.View.Table); err != nil {
		return nil, err
	}
	img, err := Picture(ds, req.View)
	if err != nil {
		return nil, err
	}
	resp, err := inference.Detect(ctx, req.Model.Provider, &inference.DetectionRequest{Model: req.Model.Name, Image: img, Classes: req.Classes,
		BoxThreshold: req.BoxThreshold, TextThreshold: req.TextThreshold})
	if err != nil {
		return nil, err
	}
	source, err := sourceOf(ctx, ds, req.Model, req.Preview)
	if err != nil {
		return nil, err
	}
	return detected(resp, req.View, req.Entity, source)
}

// detected makes rows of an answer.
func detected(resp *inference.DetectionResponse, v View, entity features.EntityRef, source features.SourceRef) ([]Detected, error) {
	metadata, err := schema.JSONText(resp.InferenceMetadata())
	if err != nil {
		return nil, err
	}
	rows := make([]Detected, len(resp.Detections))
	for i, d := range resp.Detections {
		rows[i].BBox = schema.BBox{Annotation: newAnnotation(v, entity, source, metadata), Format: features.FormatXYXY, Confidence: d.Score,
			Coords: []float64{float64(d.Box.Min.X), float64(d.Box.Min.Y), float64(d.Box.Max.X), float64(d.Box.Max.Y)}}
		rows[i].Classification = schema.Classification{Annotation: newAnnotation(v, entity, source, metadata), Labels: []string{d.Class}, Confidences: []float64{d.Score}}
		if d.Mask != nil {
			rows[i].Mask = &schema.CompressedRLE{Annotation: newAnnotation(v, entity, source, metadata)}
			rows[i].Mask.SetMask(*d.Mask)
		}
	}
	return rows, nil
}
