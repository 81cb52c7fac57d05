package features

import (
	"encoding/json"
	"errors"
	"testing"
)

// reference is what all references have in common.
type reference interface {
	IsZero() bool
	Validate() error
}

func TestReferences(t *testing.T) {
	for _, test := range []struct {
		name  string
		ref   reference
		zero  bool
		valid bool
		json  string
	}{
		{"no item", ItemRef{}, true, true, `{"name":"","id":""}`},
		{"item", Item("i1"), false, true, `{"name":"item","id":"i1"}`},
		{"item without id", Item(""), false, true, `{"name":"item","id":""}`},
		{"item of another table", ItemRef{"image", ""}, false, false, `{"name":"image","id":""}`},
		{"item of no table", ItemRef{"", "q"}, false, false, `{"name":"","id":"q"}`},
		{"no source", SourceRef{}, true, true, `{"name":"","id":""}`},
		{"source", Source("s"), false, true, `{"name":"source","id":"s"}`},
		{"source of another table", SourceRef{"sources", "s"}, false, false, `{"name":"sources","id":"s"}`},
		{"source of no table", SourceRef{"", "s"}, false, false, `{"name":"","id":"s"}`},
		{"no view", ViewRef{}, true, true, `{"name":"","id":""}`},
		{"view", View("image", "v1"), false, true, `{"name":"image","id":"v1"}`},
		{"view without id", View("image", ""), false, true, `{"name":"image","id":""}`},
		{"view of no table", ViewRef{"", "v1"}, false, true, `{"name":"","id":"v1"}`},
		{"no entity", EntityRef{}, true, true, `{"name":"","id":""}`},
		{"entity", Entity("objects", "e1"), false, true, `{"name":"objects","id":"e1"}`},
		{"entity of no table", EntityRef{"", "e1"}, false, true, `{"name":"","id":"e1"}`},
		{"no annotation", AnnotationRef{}, true, true, `{"name":"","id":""}`},
		{"annotation", Annotation("bboxes", "b1"), false, true, `{"name":"bboxes","id":"b1"}`},
		{"annotation of no table", AnnotationRef{"", "b1"}, false, true, `{"name":"","id":"b1"}`},
		{"no embedding", EmbeddingRef{}, true, true, `{"name":"","id":""}`},
		{"embedding", Embedding("clip", "v1"), false, true, `{"name":"clip","id":"v1"}`},
		{"embedding of no table", EmbeddingRef{"", "v1"}, false, true, `{"name":"","id":"v1"}`},
		{"view that is no text", View("\xff", "v1"), false, false, `{"name":"\ufffd","id":"v1"}`},
		{"entity that is no text", Entity("objects", "\xff"), false, false, `{"name":"objects","id":"\ufffd"}`},
		{"item that is no text", Item("\xff"), false, false, `{"name":"item","id":"\ufffd"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.ref.IsZero(); got != test.zero {
				t.Errorf("IsZero() = %v, want %v", got, test.zero)
			}
			checkValid(t, test.ref.Validate(), test.valid)
			got, err := json.Marshal(test.ref)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != test.json {
				t.Errorf("JSON = %s, want %s", got, test.json)
			}
		})
	}
}

// checkValid checks that an error is there if want is false, and is one of this package.
func checkValid(t *testing.T, err error, want bool) {
	t.Helper()
	if (err == nil) != want {
		t.Errorf("error = %v, want valid: %v", err, want)
	}
	if err == nil {
		return
	}
	if _, ok := errors.AsType[*Error](err); !ok || !errors.Is(err, ErrInvalid) {
		t.Errorf("%v: want an *Error that matches ErrInvalid, have a %T", err, err)
	}
}
