package schema

import (
	"maps"
	"reflect"
	"slices"
	"unsafe"
)

// builtin is one of the classes that schema.json can name as base_schema.
type builtin struct {
	name   string
	parent string // empty for a group's base class
	group  Group
	typ    reflect.Type
	zero   any                        // the class's defaults
	rules  func(unsafe.Pointer) error // brings the row at a place into its stored form, or returns the first rule that it breaks
}

func builtinOf[T Row](name, parent string, zero T) builtin {
	rules := func(p unsafe.Pointer) error { return any((*T)(p)).(ruler).rules() }
	return builtin{name: name, parent: parent, group: zero.group(), typ: reflect.TypeFor[T](), zero: zero, rules: rules}
}

// builtins lists the built-in classes, parents first.
var builtins = []builtin{
	builtinOf("Item", "", NewItem("")),
	builtinOf("View", "", View{}),
	builtinOf("Image", "View", Image{}),
	builtinOf("SequenceFrame", "Image", SequenceFrame{}),
	builtinOf("Video", "View", Video{}),
	builtinOf("Text", "View", Text{}),
	builtinOf("PointCloud", "View", PointCloud{}),
	builtinOf("Entity", "", Entity{}),
	builtinOf("NamedEntity", "Entity", NamedEntity{}),
	builtinOf("Track", "NamedEntity", Track{}),
	builtinOf("MultiModalEntity", "NamedEntity", MultiModalEntity{}),
	builtinOf("Conversation", "Entity", Conversation{}),
	builtinOf("Annotation", "", Annotation{}),
	builtinOf("BBox", "Annotation", NewBBox("")),
	builtinOf("BBox3D", "Annotation", NewBBox3D("")),
	builtinOf("KeyPoints", "Annotation", KeyPoints{}),
	builtinOf("KeyPoints3D", "Annotation", KeyPoints3D{}),
	builtinOf("CompressedRLE", "Annotation", CompressedRLE{}),
	builtinOf("Classification", "Annotation", Classification{}),
	builtinOf("TextSpan", "Annotation", TextSpan{}),
	builtinOf("Relation", "Annotation", Relation{}),
	builtinOf("Tracklet", "Annotation", NewTracklet("")),
	builtinOf("Message", "Annotation", Message{QuestionType: QuestionOpen}),
	builtinOf("CamCalibration", "Annotation", CamCalibration{}),
	builtinOf("Embedding", "", Embedding{}),
	builtinOf("ViewEmbedding", "Embedding", ViewEmbedding{}),
	builtinOf("Source", "", Source{}),
}

var (
	builtinsByName = indexBuiltins(func(b *builtin) string { return b.name })
	builtinsByType = indexBuiltins(func(b *builtin) reflect.Type { return b.typ })
)

func indexBuiltins[K comparable](key func(*builtin) K) map[K]*builtin {
	m := make(map[K]*builtin, len(builtins))
	for i := range builtins {
		m[key(&builtins[i])] = &builtins[i]
	}
	return m
}

// Builtins returns the names of the built-in classes, sorted. A table's base_schema is one of them.
func Builtins() []string { return slices.Sorted(maps.Keys(builtinsByName)) }

// GroupOfClass returns the group of a built-in class, and whether there is such a class.
func GroupOfClass(builtinName string) (Group, bool) {
	b, ok := builtinsByName[builtinName]
	if !ok {
		return "", false
	}
	return b.group, true
}

// IsA reports whether the built-in class name is ancestor or one of its descendants: IsA("SequenceFrame", "Image") and
// IsA("Image", "Image") are true.
func IsA(name, ancestor string) bool {
	for name != "" {
		if name == ancestor {
			return builtinsByName[name] != nil
		}
		b := builtinsByName[name]
		if b == nil {
			return false
		}
		name = b.parent
	}
	return false
}
