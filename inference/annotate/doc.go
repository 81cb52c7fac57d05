// Package annotate joins models and datasets: pictures of a dataset go to a model, its answers become rows.
//
// [ImageMask], [VideoMask], [Detect] and [Answer] run one task each and return rows that are not stored, for a person to
// look at; only the source that the rows refer to is stored at once, see [ModelSource]. [DetectViews] and [SegmentBoxes]
// run through a dataset and store what they find.
//
// # Rows
//
// Rows refer to the item, the view and the entity that they are about, and to the source of kind "model" that is named
// after the model. Their inference_metadata says when the answer was made, how long it took, and what else the provider
// tells. The times of rows are now.
package annotate
