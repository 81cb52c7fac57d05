package schema

import (
	"encoding/json"
	"time"

	"pixano/features"
)

// Group is one of the six kinds of table. Its values are the names used in schema.json, in features_values.json and in
// REST routes.
type Group string

const (
	GroupItem        Group = "item"        // one row per dataset item; always the one table "item"
	GroupViews       Group = "views"       // what is looked at: images, frames, videos, texts, point clouds
	GroupEntities    Group = "entities"    // the things seen in views: objects, tracks, conversations
	GroupAnnotations Group = "annotations" // what is said about entities and views: boxes, masks, messages
	GroupEmbeddings  Group = "embeddings"  // vectors for similarity search
	GroupSource      Group = "source"      // who or what made annotations; always the one table "source"
)

// Groups lists the six groups in the order in which references point: a row refers to rows of earlier groups only, or
// to its own group.
func Groups() []Group {
	return []Group{GroupSource, GroupItem, GroupViews, GroupEntities, GroupAnnotations, GroupEmbeddings}
}

// Valid reports whether g is one of the six groups.
func (g Group) Valid() bool {
	switch g {
	case GroupItem, GroupViews, GroupEntities, GroupAnnotations, GroupEmbeddings, GroupSource:
		return true
	}
	return false
}

const (
	// ItemTable is the name of the table that holds the items of every dataset.
	ItemTable = features.ItemTable
	// SourceTable is the name of the table that holds the sources. Every dataset has it; schema.json does not list it.
	SourceTable = features.SourceTable
)

// Row is implemented by every type that embeds one of [Item], [View], [Entity], [Annotation], [Embedding] or [Source]
// (directly, or through a built-in class such as [BBox]), by pointers to them, and by [Dynamic]. It is the constraint
// of typed tables: a type that embeds none, or two at the same depth, does not compile there.
type Row interface {
	group() Group
}

// Item is one entry of a dataset: what the other tables' rows belong to. A dataset's own item columns are the fields
// added to it in an aggregate, see [DatasetSchemaOf].
//
// Split names the part of the dataset the item is in, by custom "train", "val" or "test". [NewItem] sets "default";
// the zero value is an empty name, which is allowed.
//
// Stored as string, timestamp[us], timestamp[us], string.
type Item struct {
	// ID names the row within its table. It has no space (U+0020) and is not empty once stored.
	ID string
	// CreatedAt is when the row was first stored, as a wall clock without zone, in microseconds. The zero value is
	// filled in with [Now] when the row is normalised.
	CreatedAt time.Time
	// UpdatedAt is when the row was last stored, not before CreatedAt. The zero value becomes CreatedAt.
	UpdatedAt time.Time
	Split     string `pixano:",optional"`
}

// NewItem returns an item of the split "default", as the reference implementation makes it.
func NewItem(id string) Item { return Item{ID: id, Split: "default"} }

// View is something to look at: the base of [Image], [SequenceFrame], [Video], [Text] and [PointCloud].
//
// ItemRef names the item it belongs to. ParentRef names the view that it is a part of, such as the video of a frame;
// the zero reference is none.
//
// Stored as the head (id, created_at, updated_at) and two struct<name: string, id: string>.
type View struct {
	ID        string    // see [Item]
	CreatedAt time.Time // see [Item]
	UpdatedAt time.Time // see [Item]

	ItemRef   features.ItemRef `pixano:",optional"`
	ParentRef features.ViewRef `pixano:",optional"`
}

// Entity is a thing that views show and annotations describe: the base of [NamedEntity], [Track], [MultiModalEntity]
// and [Conversation], and of most custom classes. One entity may have several annotations: a box and a mask of the
// same dog refer to the same entity.
//
// ViewRef names the view it is seen in, ParentRef the entity it is a part of; the zero reference is none.
//
// Stored as the head and three struct<name: string, id: string>.
type Entity struct {
	ID        string    // see [Item]
	CreatedAt time.Time // see [Item]
	UpdatedAt time.Time // see [Item]

	ItemRef   features.ItemRef   `pixano:",optional"`
	ViewRef   features.ViewRef   `pixano:",optional"`
	ParentRef features.EntityRef `pixano:",optional"`
}

// Annotation is a statement about an entity in a view, made by a source: the base of [BBox], [CompressedRLE],
// [KeyPoints], [Message] and the other annotation classes.
//
// SourceRef names who made it: a row of the table "source". InferenceMetadata is JSON text about how a model made it;
// the zero value is stored as "{}". Text that is not JSON is kept as it is. [JSONText] makes such text from a value.
//
// Stored as the head, four struct<name: string, id: string> and a string.
type Annotation struct {
	ID        string    // see [Item]
	CreatedAt time.Time // see [Item]
	UpdatedAt time.Time // see [Item]

	ItemRef           features.ItemRef   `pixano:",optional"`
	ViewRef           features.ViewRef   `pixano:",optional"`
	EntityRef         features.EntityRef `pixano:",optional"`
	SourceRef         features.SourceRef `pixano:",optional"`
	InferenceMetadata string             `pixano:",optional"`
}

// Embedding is a vector that stands for something of an item in similarity search: the base of [ViewEmbedding].
//
// Vector has as many values as its table's dimension, which is a property of the table: as a plain Embedding it comes
// from schema.json, in a class of its own from a tag or from a redeclared field:
//
//	type CLIPVector struct {
//		schema.ViewEmbedding `pixano:",dim=512"`
//	}
//	type TextVector struct {
//		schema.Embedding
//		Vector [6]float64 // other value types and arrays: redeclare the field
//	}
//
// A nil Vector is a null, legal only until a function has computed it. NaN is refused. Shape is the shape of the array
// that Vector is the flattened form of, row-major; the zero value stands for one dimension, [len(Vector)]. The product
// of Shape is len(Vector).
//
// Stored as the head, struct<name: string, id: string>, fixed_size_list<float>[dim] (nullable) and list<int64>.
type Embedding struct {
	ID        string    // see [Item]
	CreatedAt time.Time // see [Item]
	UpdatedAt time.Time // see [Item]

	ItemRef features.ItemRef `pixano:",optional"`
	Vector  []float32
	Shape   []int64 `pixano:",optional"`
}

// The kinds of [Source].
const (
	SourceModel       = "model"        // a program predicted it
	SourceHuman       = "human"        // a person drew or wrote it
	SourceGroundTruth = "ground_truth" // it came with the dataset and is held to be right
	SourceOther       = "other"
)

// The one source of kind [SourceGroundTruth] has this id and this name.
const (
	GroundTruthID   = "ground_truth"
	GroundTruthName = "Ground Truth"
)

// Source is who or what made annotations: a model, a person, the dataset's ground truth.
//
// Kind is "model", "human", "ground_truth" or "other"; for "ground_truth" the id is "ground_truth" and the name
// "Ground Truth". Metadata is JSON text about it; the zero value is stored as "{}", other text has to be valid JSON.
//
// Stored as the head and three strings, always in the table "source".
type Source struct {
	ID        string    // see [Item]
	CreatedAt time.Time // see [Item]
	UpdatedAt time.Time // see [Item]

	Name     string
	Kind     string
	Metadata string `pixano:",optional"`
}

func (Item) group() Group       { return GroupItem }
func (View) group() Group       { return GroupViews }
func (Entity) group() Group     { return GroupEntities }
func (Annotation) group() Group { return GroupAnnotations }
func (Embedding) group() Group  { return GroupEmbeddings }
func (Source) group() Group     { return GroupSource }

func (*Item) rules() error      { return nil }
func (*View) rules() error      { return nil }
func (*Entity) rules() error    { return nil }
func (*Embedding) rules() error { return nil } // shape and vector: see checkEmbedding, which also knows redeclared vectors

func (a *Annotation) rules() error {
	if a.InferenceMetadata == "" {
		a.InferenceMetadata = "{}"
	}
	return nil
}

func (s *Source) rules() error {
	switch s.Kind {
	case SourceModel, SourceHuman, SourceOther:
	case SourceGroundTruth:
		if s.ID != GroundTruthID {
			return broken("id", s.ID, "want %q for the kind %q", GroundTruthID, SourceGroundTruth)
		}
		if s.Name != GroundTruthName {
			return broken("name", s.Name, "want %q for the kind %q", GroundTruthName, SourceGroundTruth)
		}
	default:
		return broken("kind", s.Kind, "want one of model, human, ground_truth, other")
	}
	if s.Metadata == "" {
		s.Metadata = "{}"
	}
	if !json.Valid([]byte(s.Metadata)) {
		return broken("metadata", s.Metadata, "want valid JSON text")
	}
	return nil
}
