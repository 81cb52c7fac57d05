package features

import "unicode/utf8"

// ItemRef points to a row of the table "item". It is a pair of strings and compares with ==.
//
// Name is the table, always "item", and ID the id of the row in it. The zero value is none.
//
// Stored, like all references, as struct<name: string, id: string>.
type ItemRef struct {
	Name string `json:"name" pixano:"name"`
	ID   string `json:"id" pixano:"id"`
}

// ViewRef points to a row of a table of views, such as an image: Name is the table, ID the id of the row in it. The
// zero value is none.
type ViewRef struct {
	Name string `json:"name" pixano:"name"`
	ID   string `json:"id" pixano:"id"`
}

// EntityRef points to a row of a table of entities, such as an object: Name is the table, ID the id of the row in it.
// The zero value is none.
type EntityRef struct {
	Name string `json:"name" pixano:"name"`
	ID   string `json:"id" pixano:"id"`
}

// AnnotationRef points to a row of a table of annotations, such as a box: Name is the table, ID the id of the row in
// it. The zero value is none.
type AnnotationRef struct {
	Name string `json:"name" pixano:"name"`
	ID   string `json:"id" pixano:"id"`
}

// EmbeddingRef points to a row of a table of embeddings: Name is the table, ID the id of the row in it. The zero value
// is none.
type EmbeddingRef struct {
	Name string `json:"name" pixano:"name"`
	ID   string `json:"id" pixano:"id"`
}

// SourceRef points to a row of the table "source": Name is the table, always "source", and ID the id of the row in it.
// The zero value is none.
type SourceRef struct {
	Name string `json:"name" pixano:"name"`
	ID   string `json:"id" pixano:"id"`
}

// The tables that every dataset has, and the only ones of their kind.
const (
	ItemTable   = "item"   // holds the items
	SourceTable = "source" // holds the sources
)

// Item refers to an item by its id.
func Item(id string) ItemRef { return ItemRef{Name: ItemTable, ID: id} }

// View refers to the row id of a table of views.
func View(table, id string) ViewRef { return ViewRef{Name: table, ID: id} }

// Entity refers to the row id of a table of entities.
func Entity(table, id string) EntityRef { return EntityRef{Name: table, ID: id} }

// Annotation refers to the row id of a table of annotations.
func Annotation(table, id string) AnnotationRef { return AnnotationRef{Name: table, ID: id} }

// Embedding refers to the row id of a table of embeddings.
func Embedding(table, id string) EmbeddingRef { return EmbeddingRef{Name: table, ID: id} }

// Source refers to a source by its id.
func Source(id string) SourceRef { return SourceRef{Name: SourceTable, ID: id} }

// IsZero reports whether r is the zero reference, none.
func (r ItemRef) IsZero() bool { return r == ItemRef{} }

// IsZero reports whether r is the zero reference, none.
func (r ViewRef) IsZero() bool { return r == ViewRef{} }

// IsZero reports whether r is the zero reference, none.
func (r EntityRef) IsZero() bool { return r == EntityRef{} }

// IsZero reports whether r is the zero reference, none.
func (r AnnotationRef) IsZero() bool { return r == AnnotationRef{} }

// IsZero reports whether r is the zero reference, none.
func (r EmbeddingRef) IsZero() bool { return r == EmbeddingRef{} }

// IsZero reports whether r is the zero reference, none.
func (r SourceRef) IsZero() bool { return r == SourceRef{} }

// Validate checks that Name is "item", or that r is none, and that both texts are UTF-8. Whether the row exists is the
// dataset's question.
func (r ItemRef) Validate() error { return checkFixedRef("ItemRef", r.Name, r.ID, ItemTable) }

// Validate checks that Name and ID are UTF-8, and nothing else: a table without a row and, although it leads nowhere, a
// row without a table are accepted, as by the reference implementation, so that its rows stay writable. Whether table
// and row exist is the dataset's question.
func (r ViewRef) Validate() error { return checkRef("ViewRef", r.Name, r.ID) }

// Validate checks that Name and ID are UTF-8, and nothing else, see [ViewRef.Validate].
func (r EntityRef) Validate() error { return checkRef("EntityRef", r.Name, r.ID) }

// Validate checks that Name and ID are UTF-8, and nothing else, see [ViewRef.Validate].
func (r AnnotationRef) Validate() error { return checkRef("AnnotationRef", r.Name, r.ID) }

// Validate checks that Name and ID are UTF-8, and nothing else, see [ViewRef.Validate].
func (r EmbeddingRef) Validate() error { return checkRef("EmbeddingRef", r.Name, r.ID) }

// Validate checks that Name is "source", or that r is none, and that both texts are UTF-8. Whether the row exists is the
// dataset's question.
func (r SourceRef) Validate() error { return checkFixedRef("SourceRef", r.Name, r.ID, SourceTable) }

func checkRef(typ, name, id string) error {
	if !utf8.ValidString(name) {
		return invalid(typ, "name", name, "want valid UTF-8")
	}
	if !utf8.ValidString(id) {
		return invalid(typ, "id", id, "want valid UTF-8")
	}
	return nil
}

// checkFixedRef wants the one table there is.
func checkFixedRef(typ, name, id, table string) error {
	if err := checkRef(typ, name, id); err != nil {
		return err
	}
	if name != table && (name != "" || id != "") {
		return invalid(typ, "name", name, "want %q", table)
	}
	return nil
}
