// Package lance is the storage engine: LanceDB behind a narrow C interface, with Apache Arrow on both sides.
//
// Start with [Connect], which opens a directory or an object-store prefix holding one table per NAME.lance
// folder; [Connection.OpenTable] and [Connection.CreateTable] give a [Table], and [Table.Batches] reads it:
//
//	conn, err := lance.Connect(ctx, "library/voc/db", nil)
//	if err != nil {
//		return err
//	}
//	defer conn.Close()
//	boxes, err := conn.OpenTable(ctx, "bboxes", nil)
//	if err != nil {
//		return err
//	}
//	defer boxes.Close()
//	for batch, err := range boxes.Batches(ctx, lance.Query{Where: "confidence > 0.5", Columns: []string{"id", "coords"}}) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(batch.NumRows())
//	}
//
// Names follow those of the Go binding that LanceDB itself publishes. This is the only package that knows
// the C interface; its native half lies in the folder native beside it.
//
// # The library
//
// The engine is a shared library, loaded at run time without cgo by the first call that needs it, or by
// [Load]. It is looked for in this order: [LoadOptions.Path], the environment variable PIXANO_ENGINE, the
// library embedded in the program (linux/amd64; the build tag pixano_noembed leaves it out), a library
// built from the sources by
//
//	go run pixano/internal/lance/build
//
// A path that was named explicitly is final: when it does not load, nothing else is tried. A [LoadError]
// lists every place that was.
//
// The embedded library is unpacked once to os.UserCacheDir()/pixano, or, where that cannot be written or run
// from, to a private folder below os.TempDir(), or to memory. Its checksum is verified when it is unpacked,
// and again at a later start when its size, times or inode are not those of the verified file.
//
// The library for linux/amd64 wants glibc and a processor of the x86-64-v3 level (2013 and later); another
// one is refused with a [LoadError].
//
// # Memory
//
// Rows cross as Arrow IPC streams. A batch that comes out is copied once, into Go memory of its own that is
// never reused: it stays valid after the next step, strings and slices taken from it stay good for as long
// as they are referenced, and releasing it is optional. A query holds one batch at the caller and one that
// was prepared ahead, however many rows it yields.
//
// What goes in belongs to the caller throughout; nothing of it is kept after a call has returned.
//
// # Concurrency
//
// Connections, tables, objects and readers may be used by many goroutines at once, also while another one
// closes them: a call that runs then ends as usual or with [ErrClosed], and every later one gives
// [ErrClosed]. Close may be repeated. What was never closed is closed when it is collected.
//
// # Versions
//
// Every write makes one commit, which is a version. A table handle sees the version it was opened at and
// those it wrote itself; [Table.CheckoutLatest], or [ConnectOptions.ReadConsistency], brings it to what
// others wrote.
//
// # Cancellation
//
// Each call ends soon after its context does, with an error that matches ctx.Err(). Nothing of the call runs
// on after the return. A write that was cancelled has either not happened or happened as a whole; it may
// have landed when the cancellation met it during its commit, and [Table.Transactions] tells.
//
// # Errors
//
// Every error from the engine is an [*Error] and matches one of the sentinels, such as [ErrNotFound].
package lance
