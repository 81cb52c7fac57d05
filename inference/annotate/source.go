package annotate

import (
	"context"
	"crypto/sha256"
	"errors"

	"pixano/dataset"
	"pixano/features"
	"pixano/inference"
	"pixano/schema"
)

// ModelSource returns the source that rows of a model refer to: the row of the table "source" with the model's name and
// the kind "model". If there is none it is stored. Several are ErrInvalidRequest.
func ModelSource(ctx context.Context, ds *dataset.Dataset, model string) (features.SourceRef, error) {
	const only = 3
	// The id is made of the name, so that of several processes that store the source at once one does.
	id := nameID("source", schema.SourceModel, model)
	for range only {
		var there []schema.Source
		err := ds.Get(ctx, schema.SourceTable, &there, dataset.Query{Where: "name = ? AND kind = ?", Args: []any{model, schema.SourceModel}, Limit: 2})
		switch {
		case err != nil:
			return features.SourceRef{}, err
		case len(there) == 1:
			return features.Source(there[0].ID), nil
		case len(there) > 1:
			return features.SourceRef{}, inference.Errorf(inference.ErrInvalidRequest, "several sources are named %q and of kind model: want one", model)
		}
		_, err = ds.Apply(ctx, dataset.ChangeSet{Author: model, Changes: []dataset.Change{
			dataset.Insert(schema.SourceTable, schema.Source{ID: id, Name: model, Kind: schema.SourceModel})}})
		switch {
		case err == nil:
			return features.Source(id), nil
		case !errors.Is(err, dataset.ErrExists):
			return features.SourceRef{}, err
		}
		// Somebody else stored it just now, or it has got another name since it was stored; then another id will do.
		if named, err := ds.Count(ctx, schema.SourceTable, dataset.Query{IDs: []string{id}, Where: "name <> ? OR kind <> ?", Args: []any{model, schema.SourceModel}}); err != nil {
			return features.SourceRef{}, err
		} else if named > 0 {
			id = features.NewShortUUID()
		}
	}
	return features.SourceRef{}, &dataset.Error{Op: "add the source of a model", Table: schema.SourceTable, ID: id, Err: dataset.ErrConflict}
}

// nameID makes an id of names: the same ones give the same id.
func nameID(names ...string) string {
	h := sha256.New()
	for _, n := range names {
		// Lengths keep "a", "bc" and "ab", "c" apart.
		h.Write([]byte{byte(len(n) >> 24), byte(len(n) >> 16), byte(len(n) >> 8), byte(len(n))})
		h.Write([]byte(n))
	}
	var id [16]byte
	copy(id[:], h.Sum(nil))
	id[6] = id[6]&0x0f | 8<<4    // version 8, RFC 9562 section 5.8
	id[8] = id[8]&0x3f | 0b10<<6 // variant
	return features.ShortUUID(id)
}
