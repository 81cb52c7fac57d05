package schema

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"pixano/features"
)

// The names of column types, as schema.json writes them.
const (
	TypeStr            = "str"      // utf8; Go string kinds
	TypeInt            = "int"      // int64; Go int, int64 and kinds of them
	TypeFloat          = "float"    // double; Go float64 kinds
	TypeBool           = "bool"     // bool; Go bool kinds
	TypeBytes          = "bytes"    // binary; Go []byte
	TypeDatetime       = "datetime" // timestamp[us] without zone; Go time.Time
	TypeItemRef        = "ItemRef"  // struct<name: utf8, id: utf8>; features.ItemRef, and so on
	TypeViewRef        = "ViewRef"
	TypeEntityRef      = "EntityRef"
	TypeAnnotationRef  = "AnnotationRef"
	TypeEmbeddingRef   = "EmbeddingRef"
	TypeSourceRef      = "SourceRef"
	TypeNDArrayFloat   = "NDArrayFloat"   // struct<values: list<double>, shape: list<int64>>
	TypeBaseIntrinsics = "BaseIntrinsics" // struct, see package features
	TypeIntrinsics     = "Intrinsics"     // struct, see package features
	TypeExtrinsics     = "Extrinsics"     // struct, see package features
	TypeFixedSizeList  = "FixedSizeList"  // fixed_size_list<value type>[dim]; Go arrays, or slices with a dim tag
)

// FieldType is the type of a column as schema.json writes it. The zero value is no type; FieldTypes compare with ==.
type FieldType struct {
	Name       string // one of the Type constants
	Collection bool   // a list of Name; no FixedSizeList is one
	Dim        int    // of a FixedSizeList: its length; 0 stands for the length that the table has
	ValueType  string // of a FixedSizeList: halffloat float double int8 … int64 uint8 … uint64 binary bool
}

// String gives "str", "list[str]" or "FixedSizeList[float, 16]".
func (t FieldType) String() string {
	switch {
	case t.Name == TypeFixedSizeList && t.Dim == 0:
		return fmt.Sprintf("FixedSizeList[%s]", t.ValueType)
	case t.Name == TypeFixedSizeList:
		return fmt.Sprintf("FixedSizeList[%s, %d]", t.ValueType, t.Dim)
	case t.Collection:
		return "list[" + t.Name + "]"
	}
	return t.Name
}

// Nullable reports whether columns of this type may hold null: fixed-size lists may, nothing else. The items of lists,
// fixed-size or not, are nullable in the stored schema and never null.
func (t FieldType) Nullable() bool { return t.Name == TypeFixedSizeList }

// RefGroup returns the group whose rows a reference column refers to, and whether t is a reference or a list of them.
func (t FieldType) RefGroup() (Group, bool) {
	switch t.Name {
	case TypeItemRef:
		return GroupItem, true
	case TypeViewRef:
		return GroupViews, true
	case TypeEntityRef:
		return GroupEntities, true
	case TypeAnnotationRef:
		return GroupAnnotations, true
	case TypeEmbeddingRef:
		return GroupEmbeddings, true
	case TypeSourceRef:
		return GroupSource, true
	}
	return "", false
}

// Fields returns the parts of a struct type (references, NDArrayFloat, the calibration types) in stored order, nil for
// the others. Their Index is relative to the value of that type; none is nullable.
func (t FieldType) Fields() []Column { return structFields[t.Name] }

// GoType returns the Go type in which [Dynamic] holds values of this type: string, int64, float64, bool, []byte,
// time.Time, a type of package features, or a slice of one; nil if t is not valid.
func (t FieldType) GoType() reflect.Type {
	if t.Name == TypeFixedSizeList {
		if v, ok := valueTypes[t.ValueType]; ok {
			return reflect.SliceOf(v)
		}
		return nil
	}
	g, ok := scalarTypes[t.Name]
	if ok && t.Collection {
		return reflect.SliceOf(g)
	}
	return g
}

// Validate checks that a column can have this type. Error: [Error].
func (t FieldType) Validate() error {
	if t.Name != TypeFixedSizeList {
		if _, ok := scalarTypes[t.Name]; !ok {
			return broken("type", t.Name, "want a column type")
		}
		if t.Dim != 0 || t.ValueType != "" {
			return broken("dim", t.Dim, "want a dim and a value_type on a FixedSizeList only")
		}
		return nil
	}
	if t.Collection {
		return broken("collection", true, "want no list of FixedSizeList")
	}
	if _, ok := valueTypes[t.ValueType]; !ok {
		return broken("value_type", t.ValueType, "want one of %s", strings.Join(valueTypeNames, " "))
	}
	if t.Dim < 0 || t.Dim > math.MaxInt32 {
		return broken("dim", t.Dim, "want a length from 1 to 2147483647")
	}
	return nil
}

type fieldTypeJSON struct {
	Type       string `json:"type"`
	Collection bool   `json:"collection"`
	Dim        int    `json:"dim,omitempty"`
	ValueType  string `json:"value_type,omitempty"`
}

// MarshalJSON writes the form of schema.json, {"type": "FixedSizeList", "collection": false, "dim": 16, "value_type": "float"}.
func (t FieldType) MarshalJSON() ([]byte, error) {
	return json.Marshal(fieldTypeJSON{t.Name, t.Collection, t.Dim, t.ValueType})
}

// UnmarshalJSON reads the form of schema.json and validates it. A missing "collection" is false.
func (t *FieldType) UnmarshalJSON(data []byte) error {
	v, err := parseJSON(data)
	if err != nil {
		return err
	}
	ft, err := fieldTypeFromJSON(v)
	if err != nil {
		return err
	}
	*t = ft
	return nil
}

// fieldTypeFromJSON reads one entry of "fields".
func fieldTypeFromJSON(v any) (FieldType, error) {
	var t FieldType
	obj, ok := v.(*object)
	if !ok {
		return t, broken("", show(v), "want an object with type and collection")
	}
	name, ok := obj.get("type")
	if !ok {
		return t, broken("type", nil, RuleRequired)
	}
	if t.Name, ok = name.(string); !ok {
		return t, broken("type", show(name), "want the name of a column type")
	}
	if c, ok := obj.get("collection"); ok {
		if t.Collection, ok = c.(bool); !ok {
			return t, broken("collection", show(c), "want true or false")
		}
	}
	if t.Name != TypeFixedSizeList {
		return t, t.Validate()
	}
	dim, ok := obj.get("dim")
	if !ok {
		return t, broken("dim", nil, RuleRequired)
	}
	n, ok := dim.(json.Number)
	if !ok {
		return t, broken("dim", show(dim), "want a whole number")
	}
	d, err := strconv.Atoi(n.String())
	if err != nil || d < 1 {
		return t, broken("dim", show(dim), "want a length from 1 to 2147483647")
	}
	t.Dim = d
	vt, ok := obj.get("value_type")
	if !ok {
		return t, broken("value_type", nil, RuleRequired)
	}
	if t.ValueType, ok = vt.(string); !ok {
		return t, broken("value_type", show(vt), "want the name of a value type")
	}
	return t, t.Validate()
}

var (
	timeType    = reflect.TypeFor[time.Time]()
	bytesType   = reflect.TypeFor[[]byte]()
	float16Type = reflect.TypeFor[Float16]()
	dynamicType = reflect.TypeFor[Dynamic]()
)

// scalarTypes maps the names of column types to Go types, fixed-size lists aside.
var scalarTypes = map[string]reflect.Type{
	TypeStr:            reflect.TypeFor[string](),
	TypeInt:            reflect.TypeFor[int64](),
	TypeFloat:          reflect.TypeFor[float64](),
	TypeBool:           reflect.TypeFor[bool](),
	TypeBytes:          bytesType,
	TypeDatetime:       timeType,
	TypeItemRef:        reflect.TypeFor[features.ItemRef](),
	TypeViewRef:        reflect.TypeFor[features.ViewRef](),
	TypeEntityRef:      reflect.TypeFor[features.EntityRef](),
	TypeAnnotationRef:  reflect.TypeFor[features.AnnotationRef](),
	TypeEmbeddingRef:   reflect.TypeFor[features.EmbeddingRef](),
	TypeSourceRef:      reflect.TypeFor[features.SourceRef](),
	TypeNDArrayFloat:   reflect.TypeFor[features.NDArrayFloat](),
	TypeBaseIntrinsics: reflect.TypeFor[features.BaseIntrinsics](),
	TypeIntrinsics:     reflect.TypeFor[features.Intrinsics](),
	TypeExtrinsics:     reflect.TypeFor[features.Extrinsics](),
}

// valueTypeNames lists the value types of fixed-size lists.
var valueTypeNames = []string{"halffloat", "float", "double", "int8", "int16", "int32", "int64",
	"uint8", "uint16", "uint32", "uint64", "binary", "bool"}

// valueTypes maps the value types of fixed-size lists to Go types.
var valueTypes = map[string]reflect.Type{
	"halffloat": float16Type,
	"float":     reflect.TypeFor[float32](),
	"double":    reflect.TypeFor[float64](),
	"int8":      reflect.TypeFor[int8](),
	"int16":     reflect.TypeFor[int16](),
	"int32":     reflect.TypeFor[int32](),
	"int64":     reflect.TypeFor[int64](),
	"uint8":     reflect.TypeFor[uint8](),
	"uint16":    reflect.TypeFor[uint16](),
	"uint32":    reflect.TypeFor[uint32](),
	"uint64":    reflect.TypeFor[uint64](),
	"binary":    bytesType,
	"bool":      reflect.TypeFor[bool](),
}

// structNames maps the struct types that are columns to their names.
var structNames = func() map[reflect.Type]string {
	m := map[reflect.Type]string{}
	for name, t := range scalarTypes {
		if t.Kind() == reflect.Struct && t != timeType {
			m[t] = name
		}
	}
	return m
}()

// structFields holds the columns of each struct type. Package features gives the names of the parts as json tags, since
// they are the keys of JSON rows too.
var structFields = func() map[string][]Column {
	m := map[string][]Column{}
	for t, name := range structNames {
		for i := range t.NumField() {
			f := t.Field(i)
			key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if key == "" {
				key = SnakeCase(f.Name)
			}
			ft, _ := fieldTypeOf(f.Type, 0) // the types of features are fixed; a test goes through them
			m[name] = append(m[name], Column{
				Field: Field{Name: key, Type: ft, Required: true}, Index: f.Index, GoType: f.Type})
		}
	}
	return m
}()

// fieldTypeOf maps a Go type to a column type; dim is the tag's dimension, 0 if it has none.
func fieldTypeOf(t reflect.Type, dim int) (FieldType, error) {
	switch {
	case t.Kind() == reflect.Array:
		if dim != 0 && dim != t.Len() {
			return FieldType{}, broken("", nil, "the tag's dim=%d contradicts the array %v", dim, t)
		}
		if t.Len() == 0 {
			return FieldType{}, broken("", nil, "%v has no values: a fixed-size list has a length of at least 1", t)
		}
		return fixedSizeListOf(t, t.Len())
	case dim != 0 && t.Kind() == reflect.Slice:
		return fixedSizeListOf(t, dim)
	case dim != 0:
		return FieldType{}, broken("", nil, "dim=%d is for slices, not for %v", dim, t)
	}
	if name, ok := scalarName(t); ok {
		return FieldType{Name: name}, nil
	}
	if t.Kind() == reflect.Slice {
		if name, ok := scalarName(t.Elem()); ok {
			return FieldType{Name: name, Collection: true}, nil
		}
		if _, ok := valueName(t.Elem()); ok {
			return FieldType{}, broken("", nil, "%v needs a length: tag it `pixano:\",dim=N\"`", t)
		}
	}
	return FieldType{}, broken("", nil, "%s", whyNoColumn(t))
}

func fixedSizeListOf(t reflect.Type, dim int) (FieldType, error) {
	v, ok := valueName(t.Elem())
	if !ok {
		return FieldType{}, broken("", nil, "%v cannot be a fixed-size list: want numbers, bools or []byte in it", t)
	}
	return FieldType{Name: TypeFixedSizeList, Dim: dim, ValueType: v}, nil
}

// scalarName returns the column type of one value of t.
func scalarName(t reflect.Type) (string, bool) {
	if t == timeType {
		return TypeDatetime, true
	}
	if name, ok := structNames[t]; ok {
		return name, true
	}
	switch t.Kind() {
	case reflect.String:
		return TypeStr, true
	case reflect.Bool:
		return TypeBool, true
	case reflect.Int, reflect.Int64:
		return TypeInt, true
	case reflect.Float64:
		return TypeFloat, true
	case reflect.Slice:
		return TypeBytes, t.Elem().Kind() == reflect.Uint8
	}
	return "", false
}

// valueName returns the value type of fixed-size lists of t.
func valueName(t reflect.Type) (string, bool) {
	if t == float16Type {
		return "halffloat", true
	}
	switch t.Kind() {
	case reflect.Float32:
		return "float", true
	case reflect.Float64:
		return "double", true
	case reflect.Int:
		return "int64", true
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Bool:
		return t.Kind().String(), true
	case reflect.Slice:
		return "binary", t.Elem().Kind() == reflect.Uint8
	}
	return "", false
}

// whyNoColumn says why t is no column, and what to use instead where there is an answer.
func whyNoColumn(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32,
		reflect.Uint64, reflect.Uintptr:
		return fmt.Sprintf("%v is no column type: columns hold 64-bit integers, use int64", t)
	case reflect.Float32:
		return fmt.Sprintf("%v is no column type: columns hold doubles, use float64", t)
	case reflect.Pointer:
		return fmt.Sprintf("%v is no column type: columns hold no pointers and no null, use %v", t, t.Elem())
	case reflect.Struct:
		if group, err := groupOf(t); err == nil && group != "" {
			return fmt.Sprintf("%v is a record and no column type: embed it to extend it, or name its table in an aggregate", t)
		}
		return fmt.Sprintf("%v is no column type: of structs, columns hold time.Time and the types of package features", t)
	case reflect.Slice:
		return fmt.Sprintf("%v is no column type: lists hold strings, int64, float64, bools, []byte, times or references", t)
	}
	return fmt.Sprintf("%v is no column type", t)
}
