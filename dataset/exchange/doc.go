// Package exchange brings datasets in from the formats of other tools and writes them out again. It has what all formats
// share: the notion of a [Format], imports and exports with their plans and reports, and the way of media files.
//
// The formats themselves are packages beside this one, such as pixano/dataset/coco; package pixano/dataset/formats lists
// them. A program that wants one calls
//
//	report, err := exchange.Import(ctx, exchange.ImportOptions{Format: coco.Format, Source: "coco", Dataset: "data/library/coco", MediaDir: "data/media"})
//	report, err := exchange.Export(ctx, ds, exchange.ExportOptions{Format: coco.Format, Out: "out", Strict: true})
//
// # Plan, run, report
//
// [PlanImport] and [PlanExport] read everything and write nothing; they tell what a run would do. [Import] and [Export]
// do it, as a whole or not at all. Each returns a [Report]: what was made, what was doubtful with file and line, and
// what the other side cannot hold.
//
// # Interrupted imports
//
// An import that fails or is killed leaves no dataset, no row and no media file behind that anyone sees. What it had done
// lies in folders .pixano of the library and of the media directory; the next import of the same dataset goes on there
// with [ImportOptions.Resume], and otherwise removes it.
//
// # Media
//
// Source files are read below one directory, and no path or symbolic link leads out of it. They are copied, linked or
// kept where they are, see [MediaMode].
package exchange
