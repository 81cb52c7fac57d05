package schema

import (
	"reflect"
	"strconv"
	"strings"
	"sync"
	"unsafe"
)

// Field is one column of a class.
type Field struct {
	Name string // of the column
	Type FieldType
	// Required says that JSON and map forms of a row have to name the column. It is not stored: every column of a class
	// read from schema.json is required, but for those of the head (id, created_at, updated_at).
	Required bool
}

// Column is a column of a Go type: a field of a class and where its value lies.
type Column struct {
	Field
	Index  []int        // path for reflect.Value.FieldByIndex; no pointer is on the way
	GoType reflect.Type // of the Go field
}

// Plan says how the rows of one Go struct type are laid out as columns. Plans are made on first use, kept, shared and
// never changed.
type Plan struct {
	Type    reflect.Type
	Group   Group
	Base    string   // the nearest built-in class: "Entity" for struct{ schema.Entity; Category string }
	Columns []Column // in stored order: those of embedded types first; Columns[0..2] are id, created_at, updated_at

	fields    []Field
	baseIndex []int // where the built-in class lies within the type
	class     *Class
	validator bool // the type has a Validate method of its own

	// Where things lie in a row, for checks without reflection.
	checks     []columnCheck
	head       [3]uintptr // id, created_at, updated_at
	baseOffset uintptr
	rules      func(unsafe.Pointer) error // of the built-in class
}

type planResult struct {
	plan *Plan
	err  error
}

var plans, aggregates sync.Map // reflect.Type -> planResult, aggregateResult

// PlanOf returns the plan of a struct type, or of a pointer to one. The same type gives the same plan, or the same
// error: a type that embeds no group or two, a field that no column can hold, a column name that is taken or that Lance
// refuses. Error: [Error], naming the type and the field.
//
// [Dynamic] has no plan, its columns are those of its class; for the type of an aggregate see [AggregateOf].
func PlanOf(t reflect.Type) (*Plan, error) {
	if t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil {
		return nil, &Error{Rule: "want a struct that embeds one of the six groups, have nil"}
	}
	if r, ok := plans.Load(t); ok {
		return r.(planResult).plan, r.(planResult).err
	}
	p, _, err := buildPlan(t, false)
	r, _ := plans.LoadOrStore(t, planResult{p, err})
	return r.(planResult).plan, r.(planResult).err
}

// ColumnsOf returns the columns of a struct type in stored order, see [PlanOf]. The slice is shared: do not change it.
func ColumnsOf(t reflect.Type) ([]Column, error) {
	p, err := PlanOf(t)
	if err != nil {
		return nil, err
	}
	return p.Columns, nil
}

// index returns the place of a column, -1 if there is none.
func (p *Plan) index(name string) int { return fieldIndex(p.fields, name) }

func fieldIndex(fields []Field, name string) int {
	for i := range fields {
		if fields[i].Name == name {
			return i
		}
	}
	return -1
}

// planner builds one plan. It fails at the first field that cannot be a column.
type planner struct {
	plan      *Plan
	aggregate bool // fields that are records, or lists of them, are tables
	tables    []AggregateTable
	goNames   map[string]string // folded column or table name -> Go field it comes from
	path      []string          // Go names down to the struct walked now
}

func buildPlan(t reflect.Type, aggregate bool) (*Plan, []AggregateTable, error) {
	fail := func(err error) (*Plan, []AggregateTable, error) { return nil, nil, inType(typeName(t), err) }
	if t == dynamicType {
		return fail(broken("", nil, "the columns of a dynamic row are those of its class"))
	}
	if t.Kind() != reflect.Struct {
		return fail(broken("", nil, "want a struct that embeds one of the six groups"))
	}
	group, err := groupOf(t)
	if err != nil {
		return fail(err)
	}
	if group == "" {
		for i := range t.NumField() {
			if f := t.Field(i); f.Anonymous && f.Type.Kind() == reflect.Pointer {
				return fail(broken(f.Name, nil, "embeds the pointer %v, embed %v", f.Type, f.Type.Elem()))
			}
		}
		return fail(broken("", nil, "embeds none of schema.Item, View, Entity, Annotation, Embedding and Source"))
	}
	b := &planner{plan: &Plan{Type: t, Group: group}, aggregate: aggregate, goNames: map[string]string{}}
	if err := b.walk(t, nil, 0); err != nil {
		return fail(err)
	}
	p := b.plan
	for _, c := range p.Columns {
		p.fields = append(p.fields, c.Field)
	}
	_, p.validator = reflect.New(t).Interface().(Validator)
	p.class = &Class{Base: p.Base, Fields: p.fields}
	p.lay()
	return p, b.tables, nil
}

// walk adds the columns of t: those of the group it embeds first, then of other embedded structs, then its own fields.
func (b *planner) walk(t reflect.Type, index []int, dim int) error {
	if class, ok := builtinsByType[t]; ok && b.plan.Base == "" {
		b.plan.Base, b.plan.baseIndex = class.name, index
	}
	const groups, mixins, own = 0, 1, 2
	for pass := groups; pass <= own; pass++ {
		for i := range t.NumField() {
			f := t.Field(i)
			at := own
			if isEmbedded(t, i) && isMixin(f.Type) {
				at = mixins
				if carriesGroup(f.Type) {
					at = groups
				}
			}
			if at != pass {
				continue
			}
			fieldIndex := append(index[:len(index):len(index)], i)
			var err error
			if at == own {
				err = b.addField(t, f, fieldIndex)
			} else {
				err = b.embed(f, fieldIndex, at == groups)
			}
			if err != nil {
				return inField(f.Name, err)
			}
		}
	}
	if dim != 0 {
		return b.setVectorDim(dim)
	}
	return nil
}

func (b *planner) embed(f reflect.StructField, index []int, carries bool) error {
	tag, err := parseTag(f)
	switch {
	case err != nil:
		return err
	case tag.skip && carries:
		return broken("", nil, "the embedded group cannot be skipped")
	case tag.skip:
		return nil
	case tag.name != "" || tag.optional:
		return broken("", nil, "an embedded struct has no column of its own to name: want no tag, or dim for the vector")
	case tag.dim != 0 && !carries:
		return broken("", nil, "dim is for the vector of an embedded embedding")
	}
	b.path = append(b.path, f.Name)
	defer func() { b.path = b.path[:len(b.path)-1] }()
	return b.walk(f.Type, index, tag.dim)
}

// addField adds the column of one field that is not embedded, or its table.
func (b *planner) addField(t reflect.Type, f reflect.StructField, index []int) error {
	tag, err := parseTag(f)
	if err != nil {
		return err
	}
	if tag.skip {
		return nil
	}
	if f.PkgPath != "" || strings.HasPrefix(f.Name, notebookPrivate) {
		if tag != (fieldTag{}) {
			return broken("", nil, "an unexported field is no column")
		}
		return nil
	}
	if isEmbedded(t, index[len(index)-1]) {
		if f.Type.Kind() == reflect.Pointer {
			return broken("", nil, "embeds the pointer %v, embed %v", f.Type, f.Type.Elem())
		}
		if tag.name == "" && f.Type.Kind() == reflect.Struct {
			return broken("", nil, "%v is one value: give it a field name to make it a column", f.Type)
		}
	}
	name := tag.name
	if name == "" {
		name = SnakeCase(f.Name)
	}
	if b.aggregate {
		if ok, err := b.addTable(name, tag, f, index); ok || err != nil {
			return err
		}
	}
	ft, err := b.columnType(t, f, tag.dim)
	if err != nil {
		return err
	}
	if err := CheckColumnName(name); err != nil {
		return err
	}
	col := Column{Field: Field{Name: name, Type: ft, Required: !tag.optional}, Index: index, GoType: f.Type}
	if i := b.vector(); i >= 0 && name == vectorColumn && ft.Name == TypeFixedSizeList {
		b.plan.Columns[i] = col // a class of its own declares the vector that the built-in leaves open
		return nil
	}
	if err := b.take(name, f.Name); err != nil {
		return err
	}
	b.plan.Columns = append(b.plan.Columns, col)
	return nil
}

func (b *planner) columnType(t reflect.Type, f reflect.StructField, dim int) (FieldType, error) {
	if t == reflect.TypeFor[Embedding]() && f.Name == "Vector" {
		return FieldType{Name: TypeFixedSizeList, ValueType: "float"}, nil // the length is the table's
	}
	return fieldTypeOf(f.Type, dim)
}

// take notes a name. DataFusion and DuckDB do not tell capitals from small letters, so columns have to differ in more.
func (b *planner) take(name, goName string) error {
	folded := strings.ToLower(name)
	goName = strings.Join(append(b.path[:len(b.path):len(b.path)], goName), ".")
	if other, ok := b.goNames[folded]; ok {
		return broken("", name, "want a name that %s has not taken", other)
	}
	b.goNames[folded] = goName
	return nil
}

// vector returns the place of an embedding's vector column, -1 if there is none.
func (b *planner) vector() int {
	if b.plan.Group != GroupEmbeddings {
		return -1
	}
	for i, c := range b.plan.Columns {
		if c.Name == vectorColumn {
			return i
		}
	}
	return -1
}

// setVectorDim applies a dim tag of an embedded embedding.
func (b *planner) setVectorDim(dim int) error {
	i := b.vector()
	if i < 0 {
		return broken("", nil, "dim is for the vector of an embedded embedding")
	}
	have := &b.plan.Columns[i].Type.Dim
	if *have != 0 && *have != dim {
		return broken("", nil, "dim=%d contradicts the vector's length %d", dim, *have)
	}
	*have = dim
	return nil
}

// Interpreters that cannot build struct types with embedded or unexported fields name the fields like this instead (see
// gomacro's xreflect/gensym.go). Exported embedded fields keep their names, which is what isEmbedded looks at.
const (
	notebookPrivate  = "\U00012038"
	notebookEmbedded = "\U00012039"
)

// isEmbedded reports whether field i of the struct t is embedded. A struct type declared in a notebook cell arrives
// unnamed and with its embedded field as an ordinary one: there the first field counts as embedded if it has the name
// of its type, or an unnamed type, and is a record.
func isEmbedded(t reflect.Type, i int) bool {
	f := t.Field(i)
	if f.Anonymous || t.Name() != "" {
		return f.Anonymous
	}
	if strings.HasPrefix(f.Name, notebookEmbedded) {
		return true
	}
	return i == 0 && f.Type.Kind() == reflect.Struct && (f.Type.Name() == "" || f.Type.Name() == f.Name) &&
		carriesGroup(f.Type)
}

// isMixin reports whether an embedded type gives its fields away: structs do, but for those that are one value.
func isMixin(t reflect.Type) bool {
	_, isValue := structNames[t]
	return t.Kind() == reflect.Struct && t != timeType && !isValue
}

func carriesGroup(t reflect.Type) bool {
	g, err := groupOf(t)
	return g != "" || err != nil
}

// groupOf returns the group that a struct type embeds, at any depth, "" if it embeds none. Embedding by value cannot
// be recursive, and pointers are not followed.
func groupOf(t reflect.Type) (Group, error) {
	if b, ok := builtinsByType[t]; ok {
		return b.group, nil
	}
	if t == dynamicType || t.Kind() != reflect.Struct {
		return "", nil
	}
	var group Group
	var from string
	for i := range t.NumField() {
		f := t.Field(i)
		if !isEmbedded(t, i) || !isMixin(f.Type) {
			continue
		}
		g, err := groupOf(f.Type)
		if err != nil {
			return "", inField(f.Name, err)
		}
		if g == "" {
			continue
		}
		if group != "" {
			return "", broken(f.Name, nil, "embeds two records, %s and %s: a row has one group", from, f.Name)
		}
		group, from = g, f.Name
	}
	return group, nil
}

// fieldTag is a parsed `pixano:"name,option,..."`.
type fieldTag struct {
	name     string
	dim      int
	optional bool
	skip     bool
}

func parseTag(f reflect.StructField) (fieldTag, error) {
	var tag fieldTag
	text, ok := f.Tag.Lookup("pixano")
	if !ok {
		return tag, nil
	}
	parts := strings.Split(text, ",")
	if text == "-" {
		return fieldTag{skip: true}, nil
	}
	tag.name = parts[0]
	for _, option := range parts[1:] {
		key, value, _ := strings.Cut(option, "=")
		switch key {
		case "dim":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 || n > 1<<31-1 {
				return tag, broken("", option, "want dim=N with a length from 1 to 2147483647 in the pixano tag")
			}
			tag.dim = n
		case "optional":
			if value != "" {
				return tag, broken("", option, "want optional without a value in the pixano tag")
			}
			tag.optional = true
		default:
			return tag, broken("", option, "want dim=N or optional in the pixano tag")
		}
	}
	return tag, nil
}

// typeName names a Go type in errors.
func typeName(t reflect.Type) string {
	s := t.String()
	if t.Name() == "" && len(s) > maxShownBytes {
		return strings.ToValidUTF8(s[:maxShownBytes], "") + "…"
	}
	return s
}
