// Package search finds the items of a dataset: by meaning, by example and by words.
//
//	s := search.New(ds, clip)
//	res, err := s.Search(ctx, search.Query{Table: "image_embedding", Text: "car on road", Limit: 50})
//
// A [Query] says what to look for: a text or a picture, whose vector an [Embedder] computes; an example, which is a row
// that is there; a vector; words in columns of texts; or vectors and words together. Hits are items, each at the row
// that is nearest, or rows. [Searcher.Semantic] is the search of the reference implementation.
//
// # Exact and indexed
//
// Searches compare with every vector and are exact, unless the dataset opted in to an index with [Searcher.CreateIndex].
// Then they use it wherever it serves: for the first pages of a ranking, with the metric that it was built for, and where
// a filter does not leave so few rows that comparing with each is quicker. Rows that were written after the index was
// built are always found. [Searcher.Recall] measures what an index misses, [Searcher.Explain] shows what a search does.
//
// Words need no index either: without one for each column the texts are scanned, for whole words in any case. A full text
// index is quicker, finds other forms of a word too, and allows for typing errors.
//
// No search ever makes an index, for Python programs of older releases can no longer write to a table that has one.
//
// # Concurrency
//
// A [Searcher] is safe for concurrent use. A search sees one version of each table.
package search
