package main

import (
	"context"

	"pixano/dataset"
	"pixano/schema"
)

// build makes the dataset of Go values, a thousand items at a time.
func (s *settings) build(ctx context.Context, in *inputs, target string) error {
	generate := func(ctx context.Context, b *dataset.BuildContext, yield func(dataset.Batch) error) error {
		truth := schema.Source{ID: schema.GroundTruthID, Name: schema.GroundTruthName, Kind: schema.SourceGroundTruth}
		if err := yield(dataset.Batch{"source": truth}); err != nil {
			return err
		}
		for from := 0; from < s.items; from += 1000 {
			t := s.rows(in, from, min(from+1000, s.items))
			err := yield(dataset.Batch{"item": t.items, "image": t.images, "objects": t.objects, "bboxes": t.boxes})
			if err != nil {
				return err
			}
		}
		return nil
	}
	info := dataset.Info{ID: "bench", Name: "bench", Description: "bench"}
	ds, err := dataset.Build(ctx, target, benchItem{}, info, dataset.BuilderFunc(generate),
		&dataset.BuildOptions{Checks: dataset.Checks{Mode: dataset.CheckNone}})
	if err != nil {
		return err
	}
	return ds.Close()
}
