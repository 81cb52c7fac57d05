package schema

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// form says how a JSON row is written.
type form int

const (
	constructorForm form = iota // metadata columns are texts, and what JSON cannot express is marked: see flat.go
	restForm                    // metadata columns are the JSON values of their texts, and what JSON cannot express is null
	shownForm                   // as restForm, with NaN and infinity in words: no JSON, for people
)

// TableInfo is where a JSON row comes from.
type TableInfo struct {
	Name       string `json:"name"`        // of the table
	Group      Group  `json:"group"`       // of the table
	BaseSchema string `json:"base_schema"` // the nearest built-in class
}

// MarshalRow writes a row in the form in which rows travel over REST:
//
//	{"id": "b1", "created_at": "2024-01-02T03:04:05.678901", "updated_at": "…",
//	 "table_info": {"name": "bboxes", "group": "annotations", "base_schema": "BBox"},
//	 "data": {"item_ref": {"name": "item", "id": "i1"}, …, "inference_metadata": {}, "coords": [0.5, 0.5, 0.25, 0.25], …}}
//
// data has the other columns in order. Doubles keep a fraction (1.0); NaN and infinity are null. Metadata columns are
// JSON values, or a text if theirs is not JSON. Bytes are text, or {"__bytes__": BASE64} if they are not UTF-8. A null
// vector is null. row is a struct, a [Dynamic], or a pointer to one; it is not validated. Error: [Error].
func MarshalRow(table string, row any) ([]byte, error) { return AppendRow(nil, table, row) }

// AppendRow is [MarshalRow] into a buffer.
func AppendRow(dst []byte, table string, row any) ([]byte, error) {
	r, err := openView(row)
	if err != nil {
		return dst, err
	}
	dst = append(dst, `{"id":`...)
	dst = compactStyle.appendString(dst, r.id())
	dst = append(dst, `,"created_at":"`...)
	dst = appendTime(dst, Naive(r.created()))
	dst = append(dst, `","updated_at":"`...)
	dst = appendTime(dst, Naive(r.updated()))
	dst = append(dst, `","table_info":{"name":`...)
	dst = compactStyle.appendString(dst, table)
	dst = append(dst, `,"group":"`+string(r.group())+`","base_schema":"`+r.base()+`"},"data":{`...)
	first := true
	for i, f := range r.fields() {
		if isHead(f.Name) {
			continue
		}
		dst = appendKey(dst, f.Name, first)
		first = false
		if isMetadata(r.group(), f) {
			dst = appendMetadata(dst, r.group(), r.at(i).String())
			continue
		}
		dst = appendValue(dst, restForm, f.Type, r.at(i))
	}
	return append(dst, '}', '}'), nil
}

func appendKey(dst []byte, key string, first bool) []byte {
	if !first {
		dst = append(dst, ',')
	}
	dst = compactStyle.appendString(dst, key)
	return append(dst, ':')
}

// isMetadata reports whether a column's text is a JSON value on the wire.
func isMetadata(g Group, f Field) bool {
	if f.Type != (FieldType{Name: TypeStr}) {
		return false
	}
	return g == GroupAnnotations && f.Name == "inference_metadata" || g == GroupSource && f.Name == "metadata"
}

func appendMetadata(dst []byte, g Group, text string) []byte {
	if text == "" {
		return append(dst, '{', '}')
	}
	// A text in an annotation's metadata is read back as the column's text, so the text of a JSON text stays one.
	if !json.Valid([]byte(text)) || g == GroupAnnotations && strings.TrimLeft(text, " \t\r\n")[0] == '"' {
		return compactStyle.appendString(dst, text)
	}
	buf := bytes.NewBuffer(dst)
	_ = json.Compact(buf, []byte(text)) // fails on invalid JSON only
	return buf.Bytes()
}

// appendValue writes the value of a column, of whatever Go type holds it.
func appendValue(dst []byte, as form, t FieldType, v reflect.Value) []byte {
	if t.Nullable() && isNull(v) {
		return append(dst, "null"...)
	}
	if t.Name == TypeFixedSizeList || t.Collection {
		item := FieldType{Name: t.Name}
		dst = append(dst, '[')
		for i := range v.Len() {
			if i > 0 {
				dst = append(dst, ',')
			}
			if t.Collection {
				dst = appendValue(dst, as, item, v.Index(i))
			} else {
				dst = appendVectorValue(dst, as, v.Index(i))
			}
		}
		return append(dst, ']')
	}
	switch t.Name {
	case TypeStr:
		if s := v.String(); as == constructorForm && !utf8.ValidString(s) {
			return appendMark(dst, bytesKey, base64.StdEncoding.EncodeToString([]byte(s)))
		}
		return compactStyle.appendString(dst, v.String())
	case TypeInt:
		return strconv.AppendInt(dst, v.Int(), 10)
	case TypeFloat:
		return appendNumberOf(dst, as, v)
	case TypeBool:
		return strconv.AppendBool(dst, v.Bool())
	case TypeBytes:
		return appendBytes(dst, v.Bytes())
	case TypeDatetime:
		at := Naive(v.Interface().(time.Time))
		if as == constructorForm && checkTime(at) != nil {
			return appendMark(dst, timeKey, strconv.FormatInt(at.UnixMicro(), 10))
		}
		dst = append(dst, '"')
		dst = appendTime(dst, at)
		return append(dst, '"')
	}
	dst = append(dst, '{')
	for i, part := range t.Fields() {
		dst = appendKey(dst, part.Name, i == 0)
		dst = appendValue(dst, as, part.Type, v.FieldByIndex(part.Index))
	}
	return append(dst, '}')
}

// appendVectorValue writes one value of a fixed-size list.
func appendVectorValue(dst []byte, as form, v reflect.Value) []byte {
	switch {
	case v.Type() == float16Type, v.CanFloat():
		return appendNumberOf(dst, as, v)
	case v.CanInt():
		return strconv.AppendInt(dst, v.Int(), 10)
	case v.CanUint():
		return strconv.AppendUint(dst, v.Uint(), 10)
	case v.Kind() == reflect.Bool:
		return strconv.AppendBool(dst, v.Bool())
	}
	return appendBytes(dst, v.Bytes())
}

// appendNumberOf writes a float of any precision. Single and half precision are widened, as the reference does.
func appendNumberOf(dst []byte, as form, v reflect.Value) []byte {
	f := widened(v)
	if math.IsNaN(f) || math.IsInf(f, 0) {
		switch as {
		case constructorForm:
			return appendMark(dst, floatKey, floatText(v))
		case shownForm:
			return strconv.AppendFloat(dst, f, 'g', -1, 64)
		}
	}
	return appendFloat(dst, f)
}

func widened(v reflect.Value) float64 {
	if v.Type() == float16Type {
		return float64(Float16(v.Uint()).Float32())
	}
	return v.Float()
}

func appendBytes(dst, b []byte) []byte {
	if utf8.Valid(b) {
		return compactStyle.appendString(dst, string(b))
	}
	return appendMark(dst, bytesKey, base64.StdEncoding.EncodeToString(b))
}

// Envelope is a parsed row of the REST form whose columns have not been looked at: enough to find the table and its
// class.
type Envelope struct {
	ID        string
	CreatedAt time.Time // zero if the row has no times
	UpdatedAt time.Time
	Table     TableInfo

	hasTimes bool
	data     *object
}

// ParseEnvelope reads the REST form of a row up to its columns. It wants an id without spaces, a table_info with a known
// group and base_schema, data, and either both times, created_at alone, or none; other keys are ignored. Zoned times
// are converted to UTC. Error: [Error], whose Field is the path: "id", "table_info.group".
func ParseEnvelope(data []byte) (*Envelope, error) {
	v, err := parseJSON(data)
	if err != nil {
		return nil, err
	}
	return readEnvelope(v)
}

func readEnvelope(v any) (*Envelope, error) {
	root, ok := v.(*object)
	if !ok {
		return nil, broken("", show(v), "want an object, a row")
	}
	e := &Envelope{}
	var err error
	if e.ID, err = textAt(root, "id"); err != nil {
		return nil, err
	}
	if err := CheckID(e.ID); err != nil {
		return nil, inField("id", err)
	}
	if err := e.readTimes(root); err != nil {
		return nil, err
	}
	info, err := objectAt(root, "table_info")
	if err != nil {
		return nil, err
	}
	if e.Table, err = readTableInfo(info); err != nil {
		return nil, inField("table_info", err)
	}
	if e.data, err = objectAt(root, "data"); err != nil {
		return nil, err
	}
	return e, nil
}

// CheckID wants an id that rows may have: no space (U+0020) in it. An empty one passes here, as it does in the reference
// implementation; storing it is refused by the dataset's integrity check.
func CheckID(id string) error {
	for _, r := range id {
		if r == ' ' {
			return broken("", id, "want an id without spaces")
		}
	}
	return nil
}

func readTableInfo(info *object) (TableInfo, error) {
	var t TableInfo
	var err error
	if t.Name, err = textAt(info, "name"); err != nil {
		return t, err
	}
	group, err := textAt(info, "group")
	if err != nil {
		return t, err
	}
	if t.Group = Group(group); !t.Group.Valid() {
		return t, broken("group", group, "want one of item, views, entities, annotations, embeddings, source")
	}
	if t.BaseSchema, err = textAt(info, "base_schema"); err != nil {
		return t, err
	}
	if _, ok := GroupOfClass(t.BaseSchema); !ok {
		return t, broken("base_schema", t.BaseSchema, "want a built-in class")
	}
	return t, nil
}

func (e *Envelope) readTimes(root *object) error {
	created, hasCreated := root.get("created_at")
	updated, hasUpdated := root.get("updated_at")
	if !hasCreated {
		if hasUpdated {
			return broken("updated_at", show(updated), "want a created_at with it")
		}
		return nil
	}
	e.hasTimes = true
	if !hasUpdated {
		updated = created
	}
	for _, read := range []struct {
		key string
		in  any
		out *time.Time
	}{{"created_at", created, &e.CreatedAt}, {"updated_at", updated, &e.UpdatedAt}} {
		t, err := coerce(FieldType{Name: TypeDatetime}, read.in)
		if err != nil {
			return inField(read.key, err)
		}
		*read.out = t.(time.Time)
	}
	if e.UpdatedAt.Before(e.CreatedAt) {
		return broken("updated_at", FormatTime(e.UpdatedAt), "want a time not before created_at")
	}
	return nil
}

func textAt(o *object, key string) (string, error) {
	v, ok := o.get(key)
	if !ok {
		return "", broken(key, nil, RuleRequired)
	}
	s, ok := v.(string)
	if !ok {
		return "", broken(key, show(v), "want a text")
	}
	return s, nil
}

func objectAt(o *object, key string) (*object, error) {
	v, ok := o.get(key)
	if !ok {
		return nil, broken(key, nil, RuleRequired)
	}
	child, ok := v.(*object)
	if !ok {
		return nil, broken(key, show(v), "want an object")
	}
	return child, nil
}

// Decode sets every column of row, a pointer to a struct or a *[Dynamic], from the envelope, and normalises it. Columns
// that the row's class requires have to be there; others get their default, unknown ones are ignored, values are
// converted where nothing is lost. The group of the table is not compared with the row's. Error: [Error], whose Field
// is the column.
func (e *Envelope) Decode(row any) error {
	r, err := open(row)
	if err != nil {
		return err
	}
	values := newObject()
	for i, k := range e.data.keys {
		if !isHead(k) {
			values.set(k, e.data.values[i])
		}
	}
	values.set("id", e.ID)
	if e.hasTimes {
		values.set("created_at", e.CreatedAt)
		values.set("updated_at", e.UpdatedAt)
	}
	return r.fill(values, restForm)
}

// UnmarshalRow reads the REST form of a row into row, see [ParseEnvelope] and [Envelope.Decode].
func UnmarshalRow(data []byte, row any) (TableInfo, error) {
	e, err := ParseEnvelope(data)
	if err != nil {
		return TableInfo{}, err
	}
	return e.Table, e.Decode(row)
}

// Decode sets every column of row, a pointer to a struct or a *[Dynamic], from lax JSON-like values, as the constructor
// of the class in the reference implementation does, and normalises it:
//
//   - columns the class requires have to be there, others get their default; unknown keys are ignored;
//   - nil is the null of a fixed-size list and refused elsewhere;
//   - whole numbers, fractions, booleans and texts that are numbers are converted into each other where nothing is lost;
//   - times are time.Time, ISO 8601 texts or seconds since 1970; zoned texts are converted to UTC;
//   - references and other structs are maps or values of package features; a reference to an item or a source needs
//     its id only;
//   - inference_metadata and metadata are texts, or maps that become their JSON text;
//   - bytes are []byte or text.
//
// Error: [Error] with the column, its value and what was wanted.
func Decode(values map[string]any, row any) error {
	r, err := open(row)
	if err != nil {
		return err
	}
	o := newObject()
	for k, v := range values {
		o.set(k, v)
	}
	return r.fill(o, constructorForm)
}

// fill sets the row from values and normalises it.
func (r record) fill(values *object, as form) error {
	r.reset()
	for i, f := range r.fields() {
		v, ok := values.get(f.Name)
		if !ok {
			if f.Required && !isHead(f.Name) {
				return inType(r.name(), broken(f.Name, nil, RuleRequired))
			}
			continue
		}
		c, err := coerceColumn(r.group(), f, v, as)
		if err == nil {
			err = r.set(i, c)
		}
		if err != nil {
			return inType(r.name(), inField(f.Name, err))
		}
	}
	_, hasCreated := values.get("created_at")
	_, hasUpdated := values.get("updated_at")
	switch {
	case hasUpdated && !hasCreated:
		return inType(r.name(), broken("updated_at", nil, "want a created_at with it"))
	case !hasCreated:
		return r.normalize(Now)
	case !hasUpdated:
		if err := r.setTimes(r.created(), r.created()); err != nil {
			return err
		}
	}
	return r.normalize(nil)
}

// coerceColumn is coerce with the metadata columns' own rules: an object becomes its text.
func coerceColumn(g Group, f Field, v any, as form) (any, error) {
	if v == nil && f.Type.Nullable() {
		return nil, nil
	}
	if !isMetadata(g, f) {
		return coerce(f.Type, v)
	}
	if text, ok := v.(string); ok {
		if as == restForm && g == GroupSource {
			return JSONText(text) // a JSON text of a text, not the text of a JSON value
		}
		if g == GroupSource && !json.Valid([]byte(text)) {
			return nil, broken("", text, "want valid JSON text")
		}
		return text, nil
	}
	if raw, ok := v.(json.RawMessage); ok {
		return coerceColumn(g, f, string(raw), constructorForm)
	}
	if k := reflect.ValueOf(v).Kind(); k != reflect.Map && k != reflect.Struct && k != reflect.Pointer {
		return nil, broken("", show(v), "want a JSON object")
	}
	text, err := JSONText(v)
	if err == nil && text[0] != '{' {
		err = broken("", nil, "want a JSON object")
	}
	if err != nil {
		return nil, err
	}
	return text, nil
}
