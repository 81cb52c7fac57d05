package schema

import (
	"reflect"
)

// itemGroups are the groups whose tables a dataset item shows, in the order of its JSON form.
var itemGroups = []Group{GroupEntities, GroupAnnotations, GroupViews}

// MarshalItem writes a whole dataset item in the form in which items travel over REST:
//
//	{"id": "i1", "item": ROW, "entities": {"objects": [ROW, …]}, "annotations": {"bboxes": []}, "views": {"image": ROW}}
//
// with the rows as [MarshalRow] writes them. Every table of the schema but those of embeddings is there: a list if the
// item has several rows of it, else a row or null.
//
// item is a row of the table "item". tables holds the rows of the others by table, as a row, a slice of rows, or nil; it
// may be nil itself if item is an aggregate, whose own tables are taken then, a row with an empty id standing for none.
// Of several rows of a table that has one per item, the last is taken. Error: [Error].
func MarshalItem(s *DatasetSchema, item any, tables map[string]any) ([]byte, error) {
	if tables == nil {
		tables = tablesOf(item)
	}
	id, err := ID(item)
	if err != nil {
		return nil, err
	}
	dst := compactStyle.appendString([]byte(`{"id":`), id)
	dst = append(dst, `,"item":`...)
	if dst, err = AppendRow(dst, ItemTable, item); err != nil {
		return nil, err
	}
	for _, g := range itemGroups {
		dst = append(dst, `,"`+string(g)+`":{`...)
		for i, name := range s.TablesOf(g) {
			dst = appendKey(dst, name, i == 0)
			if dst, err = appendRows(dst, name, tables[name], s.Many(name)); err != nil {
				return nil, inField(name, err)
			}
		}
		dst = append(dst, '}')
	}
	return append(dst, '}'), nil
}

// tablesOf returns the rows of an aggregate by table, an empty map for other types.
func tablesOf(item any) map[string]any {
	tables := map[string]any{}
	v := reflect.ValueOf(item)
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if !v.IsValid() || v.Kind() != reflect.Struct {
		return tables
	}
	a, err := AggregateOf(v.Type())
	if err != nil {
		return tables
	}
	for _, t := range a.Tables {
		rows := v.FieldByIndex(t.Index)
		if t.Many || rows.FieldByIndex(t.Row.Columns[0].Index).String() != "" {
			tables[t.Name] = rows.Interface()
		}
	}
	return tables
}

// appendRows writes the rows of one table of an item.
func appendRows(dst []byte, table string, rows any, many bool) ([]byte, error) {
	var list []any
	if v := reflect.ValueOf(rows); v.IsValid() {
		if v.Kind() != reflect.Slice {
			list = []any{rows}
		} else {
			for i := range v.Len() {
				list = append(list, v.Index(i).Interface())
			}
		}
	}
	var err error
	if !many {
		if len(list) == 0 {
			return append(dst, "null"...), nil
		}
		return AppendRow(dst, table, list[len(list)-1])
	}
	dst = append(dst, '[')
	for i, row := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = AppendRow(dst, table, row); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

// ItemEnvelope is a parsed dataset item whose rows have not been looked at, see [Envelope].
type ItemEnvelope struct {
	ID     string
	Item   *Envelope
	Tables []TableEnvelopes // those of the item that are there, in the order of the text
}

// TableEnvelopes are the rows of one table of a dataset item.
type TableEnvelopes struct {
	Name string
	Rows []*Envelope // several, one, or none for null
}

// ParseItem reads the REST form of a whole dataset item up to the columns of its rows. Groups and tables that are left
// out are empty. A row has to name the group and the table that it stands under. Error: [Error], whose Field is the
// path: "annotations.bboxes[2].id".
func ParseItem(data []byte) (*ItemEnvelope, error) {
	v, err := parseJSON(data)
	if err != nil {
		return nil, err
	}
	root, ok := v.(*object)
	if !ok {
		return nil, broken("", show(v), "want an object, a dataset item")
	}
	e := &ItemEnvelope{}
	if e.ID, err = textAt(root, "id"); err != nil {
		return nil, err
	}
	item, ok := root.get("item")
	if !ok {
		return nil, broken("item", nil, RuleRequired)
	}
	if e.Item, err = readItemRow(item, GroupItem, ItemTable); err != nil {
		return nil, inField("item", err)
	}
	for _, g := range itemGroups {
		if _, ok := root.get(string(g)); !ok {
			continue
		}
		group, err := objectAt(root, string(g))
		if err != nil {
			return nil, err
		}
		for i, name := range group.keys {
			rows, err := readItemRows(group.values[i], g, name)
			if err != nil {
				return nil, inField(string(g), inField(name, err))
			}
			e.Tables = append(e.Tables, TableEnvelopes{name, rows})
		}
	}
	return e, nil
}

func readItemRows(v any, g Group, table string) ([]*Envelope, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []any:
		rows := make([]*Envelope, len(v))
		for i, row := range v {
			var err error
			if rows[i], err = readItemRow(row, g, table); err != nil {
				return nil, inField(subscript(i), err)
			}
		}
		return rows, nil
	}
	row, err := readItemRow(v, g, table)
	if err != nil {
		return nil, err
	}
	return []*Envelope{row}, nil
}

func readItemRow(v any, g Group, table string) (*Envelope, error) {
	e, err := readEnvelope(v)
	switch {
	case err != nil:
		return nil, err
	case e.Table.Group != g:
		return nil, broken("table_info.group", string(e.Table.Group), "want %s", g)
	case e.Table.Name != table:
		return nil, broken("table_info.name", e.Table.Name, "want %s", table)
	}
	return e, nil
}
