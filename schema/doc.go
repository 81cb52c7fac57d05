// Package schema has the types of a dataset's rows, and the schema that says which tables a dataset has.
//
// Start with the built-in row types, such as [Image], [Entity] and [BBox]; with [DatasetSchemaOf], which turns one
// struct into the schema of a dataset; and with [DatasetSchema], which is the file schema.json. The package reads and
// writes no tables: see package dataset for that.
//
// # Groups and classes
//
// A table belongs to one of six groups and its rows are of one class. Each group has a base class, which the others
// extend by embedding it:
//
//	group        base class   built-in classes
//	item         Item         -
//	views        View         Image, SequenceFrame, Video, Text, PointCloud
//	entities     Entity       NamedEntity, Track, MultiModalEntity, Conversation
//	annotations  Annotation   BBox, BBox3D, KeyPoints, KeyPoints3D, CompressedRLE, Classification,
//	                          TextSpan, Relation, Tracklet, Message, CamCalibration
//	embeddings   Embedding    ViewEmbedding
//	source       Source       -
//
// Every row begins with an id and two times. Rows point to each other by references, a table and an id, which are the
// types of package features: an annotation to the item, the view, the entity and the source it is about.
//
// # Custom classes
//
// A class of one's own embeds a built-in one, or another class of one's own, and adds fields:
//
//	type DetectedObject struct {
//		schema.Entity
//		Category string
//		Tags     []string
//		Score    float64 `pixano:"detection_score"`
//	}
//
// Its class name is the name of the Go type, its base class the nearest built-in one. The columns are those of the
// embedded group, then those of other embedded structs, then the fields in order. Tags:
//
//	`pixano:"name"`      the column (or table) name; without it, the field's name in snake case, see [SnakeCase]
//	`pixano:",dim=512"`  on a slice: a vector of 512 values, stored as a fixed-size list; on an embedded [Embedding], or on
//	                     a field that is a table of embeddings: the length of their vectors
//	`pixano:",optional"` [Decode] and the JSON forms may leave the column out; schema.json does not keep that
//	`pixano:"-"`         no column
//
// Go types and what they are stored as:
//
//	string             str       utf8            features.…Ref           struct<name, id>
//	int, int64         int       int64           features.NDArrayFloat   struct<values, shape>
//	float64            float     double          features.BaseIntrinsics,
//	bool               bool      bool              Intrinsics, Extrinsics  struct
//	[]byte             bytes     binary          []T of any of these     list<item: T>
//	time.Time          datetime  timestamp[us]   [N]T, []T with dim=N    fixed_size_list<item: T>[N]
//
// where T of a fixed-size list is a number of any size, [Float16], bool or []byte. Named types of these kinds do as well.
// Nothing else is a column: no pointers, maps, interfaces, smaller integers or structs. Such a field, a struct without
// a group or with two, and a column name that is taken or that Lance refuses are an error at the first use of the type,
// which names the type and the field; nothing panics.
//
// # Types and tables that differ
//
// A type is compared with a table once, when it is first used with it, and before any row is read or written. Columns
// are found by their names, whatever their order, and no value is converted:
//
//   - A table with columns that the type lacks can be read: those columns are left out. It cannot be written, since the
//     rows would be incomplete.
//   - A type with a column that the table lacks is refused, for reading too: a zero would look like a stored value.
//   - A column of another type is refused. A vector whose length the type leaves open takes the table's.
//   - A type of another group is refused, and for writing one whose built-in class is no relative of the table's.
//
// The error names the Go type, the column and, where they differ, both types. [Plan.CheckRead] and [Plan.CheckWrite] are
// these rules.
//
// # Aggregates
//
// One struct that embeds [Item] describes a dataset: fields that are records become tables with one row per item, lists
// of records tables with several, and the others columns of the table "item". See [DatasetSchemaOf]; the other way
// round, [DatasetSchema.GoSource] writes the struct for a dataset that exists. Functions that take a row take an aggregate
// as the row of the table "item" that is in it; the rows of its tables are rows of their own.
//
// # Classes without a Go type
//
// A [Class] read from schema.json needs no Go type. Its rows are [Dynamic]: the same values, rules and JSON forms.
// [Register] gives a class of a file its Go type.
//
// # Validation
//
// [Normalize] brings a row into its stored form and checks the rules of its class, [Validate] only checks, [Warnings]
// lists what is accepted and doubtful. The rules are those of the reference implementation, so that each side accepts
// the other's rows. A type's own rules go into a method Validate() error. Errors are an [*Error] with class, field, value
// and rule, and match [ErrSchema].
//
// # JSON
//
// There are three forms: the one in which rows travel over REST ([MarshalRow], [UnmarshalRow]); a whole dataset item
// ([MarshalItem], [ParseItem]); and a flat object of columns ([EncodeJSON], [DecodeJSON]). Reading converts what can be
// converted without loss ("1.5" to 1.5, 3.0 to 3, "yes" to true), gives columns that are left out their default where
// the class allows it, and normalises.
//
// [EncodeJSON] keeps every bit of a row, NaN and bytes included, and [DecodeStoredJSON] restores it without asking for
// rules: the pair is for logs and copies. The REST form has no NaN or infinity and writes null.
//
// # Times
//
// Stored times are wall clocks without zone, in microseconds. A time.Time is written as the wall clock of its own
// location and read back in time.UTC, see [Naive].
//
// # Notebooks
//
// Functions that take a row take any, since an interpreter's struct types have no methods. A struct type from a cell is
// unnamed and its embedded field an ordinary one: in an unnamed struct type the first field counts as embedded if it is
// a record, and [RegisterName] gives the class its name.
//
// [Show] makes a table to look at: of one row, a slice of rows, a [Class] or a [DatasetSchema]. A [CompressedRLE], or what
// embeds one, and a mask of package features show their picture by a PNG method.
//
// # Concurrency
//
// All functions may be called concurrently. Rows, and a [DatasetSchema] that is being changed, belong to one goroutine
// at a time.
package schema
