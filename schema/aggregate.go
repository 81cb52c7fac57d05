package schema

import (
	"errors"
	"reflect"
)

// Aggregate says how the fields of one Go struct map to a whole dataset item: its item columns, and a table for each
// field that is a record or a list of records. It is made on first use, shared and never changed.
type Aggregate struct {
	Type   reflect.Type
	Item   *Plan            // columns of the table "item"; their Index leads into Type
	Tables []AggregateTable // in the order of the fields
}

// AggregateTable is a field of an aggregate that is a table.
type AggregateTable struct {
	Name  string // of the table
	Index []int  // path for reflect.Value.FieldByIndex
	Many  bool   // the field is a slice: several rows per item; else one, whose empty ID stands for none
	Row   *Plan  // of the field's type, or of its slice's
	Dim   int    // length of an embedding's vector that the field's tag gives, else 0
}

// Class returns the class of the table, with the vector's length that the tag gives. Error: [Error].
func (t AggregateTable) Class() (*Class, error) {
	c, err := t.Row.Class()
	if err != nil || t.Dim == 0 {
		return c, err
	}
	return c.WithDim(t.Dim)
}

type aggregateResult struct {
	aggregate *Aggregate
	err       error
}

// AggregateOf returns the mapping of an aggregate's type, a struct that embeds [Item], or of a pointer to one:
//
//	type VOC struct {
//		schema.Item
//		Difficulty int64           // a column of the items
//		Image      schema.Image    // table "image", one row per item
//		Objects    []DetectedObject // table "objects", several rows per item
//		BBoxes     []schema.BBox   `pixano:"bboxes"`
//		Vectors    []schema.ViewEmbedding `pixano:",dim=512"`
//	}
//
// The same type gives the same result. Error: [Error], naming the type and the field.
func AggregateOf(t reflect.Type) (*Aggregate, error) {
	if t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil {
		return nil, &Error{Rule: "want a struct that embeds schema.Item, have nil"}
	}
	if r, ok := aggregates.Load(t); ok {
		return r.(aggregateResult).aggregate, r.(aggregateResult).err
	}
	a, err := buildAggregate(t)
	r, _ := aggregates.LoadOrStore(t, aggregateResult{a, err})
	return r.(aggregateResult).aggregate, r.(aggregateResult).err
}

func buildAggregate(t reflect.Type) (*Aggregate, error) {
	plan, tables, err := buildPlan(t, true)
	if err != nil {
		return nil, err
	}
	if plan.Group != GroupItem {
		return nil, &Error{Type: typeName(t), Rule: "want an aggregate that embeds schema.Item, it embeds a record of " + string(plan.Group)}
	}
	return &Aggregate{Type: t, Item: plan, Tables: tables}, nil
}

// addTable adds the table of a field whose type is a record or a list of records; ok is false for other fields.
func (b *planner) addTable(name string, tag fieldTag, f reflect.StructField, index []int) (ok bool, err error) {
	row, many := f.Type, false
	if row.Kind() == reflect.Slice {
		row, many = row.Elem(), true
	}
	if row.Kind() == reflect.Pointer && row.Elem().Kind() == reflect.Struct && carriesGroup(row.Elem()) {
		return true, broken("", nil, "want rows by value, []%v or %v, have %v", row.Elem(), row.Elem(), f.Type)
	}
	if row == dynamicType {
		return true, broken("", nil, "a dynamic row has no class of its own: want a struct")
	}
	if row.Kind() != reflect.Struct || !carriesGroup(row) {
		return false, nil
	}
	plan, err := PlanOf(row)
	if err != nil {
		e, _ := errors.AsType[*Error](err)
		return true, broken(e.Field, e.Value, "%s", e.Rule)
	}
	switch {
	case plan.Group == GroupItem:
		return true, broken("", nil, "want schema.Item embedded once, not as a table: an aggregate is one item")
	case plan.Group == GroupSource:
		return true, broken("", nil, "want no table of sources: every dataset has one")
	case tag.dim != 0 && plan.Group != GroupEmbeddings:
		return true, broken("", nil, "dim is for tables of embeddings")
	case tag.optional:
		return true, broken("", nil, "optional is for columns")
	}
	if tag.dim != 0 {
		if v := plan.fields[plan.index(vectorColumn)].Type.Dim; v != 0 && v != tag.dim {
			return true, broken("", nil, "dim=%d contradicts the vector's length %d", tag.dim, v)
		}
	}
	if err := CheckTableName(name); err != nil {
		return true, err
	}
	if name == ItemTable {
		return true, broken("", name, "want another table name: the items have this one")
	}
	if err := b.take(name, f.Name); err != nil {
		return true, err
	}
	b.tables = append(b.tables, AggregateTable{Name: name, Index: index, Many: many, Row: plan, Dim: tag.dim})
	return true, nil
}

// DatasetSchemaOf returns the schema of the dataset whose items are the aggregate: tables in the order of its fields,
// "item" last, related one to one or one to many. aggregate is a struct, a pointer to one, or a reflect.Type, see
// [AggregateOf].
//
// Every row class needs a name, see [ClassOf], and every embedding a length. Error: [Error].
func DatasetSchemaOf(aggregate any) (*DatasetSchema, error) {
	t, ok := aggregate.(reflect.Type)
	if !ok {
		t = reflect.TypeOf(aggregate)
	}
	a, err := AggregateOf(t)
	if err != nil {
		return nil, err
	}
	return a.DatasetSchema()
}

// DatasetSchema returns the schema of the dataset whose items are the aggregate, see [DatasetSchemaOf].
func (a *Aggregate) DatasetSchema() (*DatasetSchema, error) {
	item, err := a.Item.Class()
	if err != nil {
		return nil, err
	}
	s, err := NewDatasetSchema(item)
	if err != nil {
		return nil, err
	}
	s.tables = nil // the reference implementation writes "item" last
	types := map[string]reflect.Type{}
	for _, t := range a.Tables {
		class, err := t.Class()
		if err == nil {
			err = checkTableClass(class)
		}
		if err != nil {
			return nil, inAggregate(a, t, err)
		}
		if other, ok := types[class.Name]; ok && other != t.Row.Type {
			return nil, inAggregate(a, t, broken("schema", class.Name, "want one Go type per class name, have %v and %v", other, t.Row.Type))
		}
		types[class.Name] = t.Row.Type
		relation := OneToOne
		if t.Many {
			relation = ManyToOne
		}
		if err := s.Add(t.Name, class, relation); err != nil {
			return nil, inAggregate(a, t, err)
		}
	}
	s.tables = append(s.tables, table{ItemTable, item})
	s.regroup()
	return s, nil
}

// inAggregate moves an error about a table's class to the aggregate's field.
func inAggregate(a *Aggregate, t AggregateTable, err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	c := *e
	c.Type = ""
	return inType(typeName(a.Type), inField(a.Type.FieldByIndex(t.Index).Name, &c))
}

// Check reports whether items of a dataset can be read into the aggregate: each of its tables is in the schema, with
// the same columns ([Plan.CheckRead]) and the same number of rows per item, and so are its item columns. The dataset may
// have more of both. Error: [Error].
func (a *Aggregate) Check(s *DatasetSchema) error {
	item, _ := s.Class(ItemTable)
	if err := a.Item.CheckRead(item); err != nil {
		return err
	}
	for _, t := range a.Tables {
		class, ok := s.Class(t.Name)
		if !ok {
			return inAggregate(a, t, broken("", t.Name, "want the name of a table of the dataset"))
		}
		if err := t.Row.CheckRead(class); err != nil {
			return inAggregate(a, t, err)
		}
		if many := s.Many(t.Name); many != t.Many {
			if many {
				return inAggregate(a, t, broken("", nil, "want a slice: the dataset has several rows of %s per item", t.Name))
			}
			return inAggregate(a, t, broken("", nil, "want no slice: the dataset has one row of %s per item", t.Name))
		}
	}
	return nil
}
