// Package rowcodec converts rows, Go structs or [schema.Dynamic], to Arrow record batches and back.
//
// A [Codec] is made once per struct type from its [schema.Plan]; [ForClass] makes one for a class without a Go type.
// A [Decoder] binds a codec to the schema of one table, finding its columns by name, so that a type with fewer fields
// reads fewer columns. Types are compared there, once:
//
//   - Columns that the codec lacks are left alone by [Codec.Decoder], and refused by [Codec.Encode], whose rows would be
//     incomplete.
//   - Columns that the table lacks, or has twice, are refused by both.
//   - Columns of another type are refused by both. Nothing is converted; a vector without a length takes the table's.
//   - The order of columns does not matter, nor do the names and nullability of list items.
//
// # Hostile data
//
// Batches come from files. One of another schema than the decoder's, nulls where the format has none, and arrays that
// contradict themselves (offsets out of range, too few values, parts of another type) are an [Error]. Buffers are
// checked before memory is taken for rows.
//
// # Memory
//
// Decoded texts, byte slices and lists of numbers share the batch's memory. A batch must therefore not be reused for
// others after decoding; left to the garbage collector it lives as long as one of its rows. Rows may be changed: a
// list that is appended to is copied first, one whose values are set changes only that batch.
//
// Rows are decoded column by column in blocks that stay in the processor's cache, without reflection.
package rowcodec
