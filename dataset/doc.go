// Package dataset reads, writes and searches multimodal datasets: a directory with an info.json, a schema.json and a
// LanceDB database of one table per group of records (items, views, entities, annotations, embeddings, sources).
//
// Start with [Open] or [Create], which give a [Dataset]; with [TableOf], which gives one of its tables with the Go type
// of its rows; and with [ItemsOf], which gives whole items:
//
//	ds, err := dataset.Open(ctx, "library/voc", nil)
//	if err != nil {
//		return err
//	}
//	defer ds.Close()
//	boxes, err := dataset.TableOf[schema.BBox](ds, "bboxes")
//	if err != nil {
//		return err
//	}
//	for b, err := range boxes.Where("confidence > ?", 0.5).OrderBy("confidence desc").Limit(10).All(ctx) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(b.ID, b.ItemRef.ID, b.Coords)
//	}
//	err = boxes.Add(ctx, b1, b2)
//
// The typed tier adds nothing but types to the plain one, methods of [Dataset] that take any and a [Query]: what
// notebooks and servers use. A plain read decodes into a slice of structs, of [schema.Dynamic] rows, which need no Go
// type, or of [Row], the columns as Arrow has them; [Dataset.Batches] gives Arrow record batches.
//
// # Changes
//
// [Dataset.Add], [Dataset.Update] and [Dataset.Delete] change rows of one table, [Dataset.AddItems] and its like whole
// items. [Dataset.Apply] stores a [ChangeSet] over several tables: all of it or nothing, with preconditions, and only
// once under one key. What was stored survives a crash of the process and of the machine: it is logged and synced, in
// the folder .pixano of the dataset, before the tables change, and completed when the dataset is next opened.
//
// Within one process, a read sees all of a change set or nothing of it. Other processes see its tables follow one
// another within milliseconds, parents first.
//
// Rows are checked before they are stored, see [Checks]; [Dataset.Check] checks what is there.
//
// # History
//
// What is logged is kept: [Dataset.History] lists who changed what, with each row before and after, [Dataset.Revert] undoes
// a change set, [Dataset.Snapshot] gives the present state a name that [Dataset.At], [Dataset.Diff] and [Dataset.Restore] take.
// Small files, old versions and the log are looked after in the background while a dataset that changes is open, see
// [Maintenance], and by [Dataset.Optimize].
//
// # Layouts
//
// The layout is that of Pixano 0.6. Datasets of the layout of 0.7 and 0.8 are recognised: [Open] refuses them, and
// [OpenTables] shows their tables.
//
// # Versions
//
// Each read sees the newest committed version of its table, also what another process wrote. A stream stays at the
// version at which it began.
//
// # Memory
//
// Rows belong to the caller and share the memory of the batch that they were read in. A dataset keeps an index of ids, 24
// bytes a row, of tables whose rows are looked up by id, up to 64 MiB of tables whose rows are often read so, and up to
// 256 MiB of vectors that are searched exactly.
//
// # Errors
//
// Errors are an [*Error] with the place, and match the kinds of this package with [errors.Is].
//
// # Concurrency
//
// A [Dataset] and a [Library] are safe for concurrent use, also by several processes at once.
package dataset
