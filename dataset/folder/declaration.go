package folder

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"pixano/dataset/exchange"
	"pixano/schema"
)

// ParseSchema reads the tables of a dataset from JSON: the content of a schema.json, or a declaration, which is shorter:
//
//	{"extends": "image",
//	 "item": {"weather": "str", "tags": "list[str]"},
//	 "tables": {"objects": {"base": "Entity", "many": true, "fields": {"category": "str"}},
//	            "vectors": {"base": "ViewEmbedding", "many": true, "dim": 512}}}
//
// extends is one of [Types], whose tables come first; a table of the declaration stands in the place of one of its name.
// Types of fields are str, int, float, bool, bytes, datetime and lists of them. "class" gives a class another name than
// that of the table.
func ParseSchema(data []byte) (*schema.DatasetSchema, error) {
	top, err := exchange.Members(data)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	if slices.ContainsFunc(top, func(m exchange.Member) bool { return m.Key == "schemas" }) {
		return schema.ParseDatasetSchema(data)
	}
	s, err := parseDeclaration(top)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return s, nil
}

func parseDeclaration(top []exchange.Member) (*schema.DatasetSchema, error) {
	var base *schema.DatasetSchema
	var item, tables []exchange.Member
	for _, m := range top {
		var err error
		switch m.Key {
		case "extends":
			var kind string
			if json.Unmarshal(m.Value, &kind) != nil || DefaultSchema(kind, false) == nil {
				return nil, fmt.Errorf("extends %s: want one of %s", m.Value, strings.Join(Types(), ", "))
			}
			base = DefaultSchema(kind, false)
		case "item":
			item, err = exchange.Members(m.Value)
		case "tables":
			tables, err = exchange.Members(m.Value)
		default:
			return nil, fmt.Errorf("the key %q is unknown: want extends, item or tables, or the content of a schema.json", m.Key)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Key, err)
		}
	}
	class, err := schema.ClassOf(schema.Item{})
	if err != nil {
		return nil, err
	}
	if class, err = withFields(class, class.Name, item); err != nil {
		return nil, fmt.Errorf("item: %w", err)
	}
	out, err := schema.NewDatasetSchema(class)
	if err != nil {
		return nil, err
	}
	declared := map[string]exchange.Member{}
	for _, t := range tables {
		declared[t.Key] = t
	}
	if base != nil {
		for _, name := range base.Tables() {
			if name == schema.ItemTable {
				continue
			}
			class, _ := base.Class(name)
			relation, _ := base.Relation(name, schema.ItemTable)
			if m, ok := declared[name]; ok {
				if class, relation, err = parseTable(name, m.Value, class.Base, relation); err != nil {
					return nil, fmt.Errorf("table %s: %w", name, err)
				}
				delete(declared, name)
			}
			if err := out.Add(name, class, relation); err != nil {
				return nil, err
			}
		}
	}
	for _, t := range tables {
		if _, ok := declared[t.Key]; !ok {
			continue
		}
		class, relation, err := parseTable(t.Key, t.Value, "", schema.OneToOne)
		if err == nil {
			err = out.Add(t.Key, class, relation)
		}
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", t.Key, err)
		}
	}
	return out, nil
}

// parseTable reads the declaration of a table. base and relation are what it has if it does not say.
func parseTable(name string, value json.RawMessage, base string, relation schema.SchemaRelation) (*schema.Class, schema.SchemaRelation, error) {
	members, err := exchange.Members(value)
	if err != nil {
		return nil, "", err
	}
	var fields []exchange.Member
	className, dim := "", 0
	for _, m := range members {
		switch m.Key {
		case "base":
			err = json.Unmarshal(m.Value, &base)
		case "class":
			err = json.Unmarshal(m.Value, &className)
		case "many":
			var many bool
			if err = json.Unmarshal(m.Value, &many); many {
				relation = schema.ManyToOne
			} else {
				relation = schema.OneToOne
			}
		case "dim":
			err = json.Unmarshal(m.Value, &dim)
		case "fields":
			fields, err = exchange.Members(m.Value)
		default:
			err = errors.New("unknown: want base, class, many, fields or dim")
		}
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w", m.Key, err)
		}
	}
	t, ok := schema.Lookup(base)
	if !ok || !slices.Contains(schema.Builtins(), base) {
		return nil, "", fmt.Errorf("base %q: want one of %s", base, strings.Join(schema.Builtins(), ", "))
	}
	class, err := schema.ClassOf(t)
	if err != nil {
		return nil, "", err
	}
	if dim > 0 {
		if class, err = class.WithDim(dim); err != nil {
			return nil, "", err
		}
	}
	if len(fields) > 0 || className != "" {
		if className == "" {
			for _, word := range strings.FieldsFunc(name, func(r rune) bool { return r == '_' || r == '-' || r == '.' }) {
				className += strings.ToUpper(word[:1]) + word[1:]
			}
			if slices.Contains(schema.Builtins(), className) {
				className += "Row"
			}
		}
		if class, err = withFields(class, className, fields); err != nil {
			return nil, "", err
		}
	}
	return class, relation, nil
}

// withFields returns a class of another name with further fields.
func withFields(class *schema.Class, name string, fields []exchange.Member) (*schema.Class, error) {
	out := &schema.Class{Name: name, Base: class.Base, Fields: slices.Clone(class.Fields)}
	for _, m := range fields {
		var text string
		if err := json.Unmarshal(m.Value, &text); err != nil {
			return nil, fmt.Errorf("field %s: want the name of a type, have %s", m.Key, exchange.Kind(m.Value))
		}
		t := schema.FieldType{Name: text}
		if inner, ok := strings.CutPrefix(text, "list["); ok && strings.HasSuffix(inner, "]") {
			t = schema.FieldType{Name: strings.TrimSuffix(inner, "]"), Collection: true}
		}
		if err := t.Validate(); err != nil {
			return nil, fmt.Errorf("field %s: %w", m.Key, err)
		}
		if _, _, ok := out.Field(m.Key); ok {
			return nil, fmt.Errorf("field %s: there is a column of this name", m.Key)
		}
		if err := schema.CheckColumnName(m.Key); err != nil {
			return nil, err
		}
		out.Fields = append(out.Fields, schema.Field{Name: m.Key, Type: t})
	}
	return out, out.Validate()
}
