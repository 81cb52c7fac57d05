package schema

import (
	"fmt"
	"go/format"
	"go/token"
	"slices"
	"strings"
	"unicode"
)

// GoSource writes a Go file that declares the aggregate of the dataset, and a row type for every class that is not
// built in: what one would write by hand to use the dataset with types. [DatasetSchemaOf] of the aggregate gives the
// schema back, except for relations other than one to one and one to many with "item".
//
// pkg is the package's name, aggregate the type's. Error: [Error], if a class redeclares a column of its base with
// another type, has a column name that no field can have, or if two classes of one name differ: no Go type says that.
func (s *DatasetSchema) GoSource(pkg, aggregate string) ([]byte, error) {
	g := &goWriter{declared: map[string]*Class{}}
	item, _ := s.Class(ItemTable)
	var types, fields strings.Builder
	names := map[string]bool{"Item": true}
	itemFields, err := g.ownFields(item, names)
	if err != nil {
		return nil, inTable(ItemTable, err)
	}
	fields.WriteString(itemFields)
	for _, t := range s.tables {
		if t.name == ItemTable {
			continue
		}
		typ, declaration, err := g.rowType(t.class)
		if err != nil {
			return nil, inTable(t.name, withoutType(err))
		}
		if typ == aggregate {
			return nil, inTable(t.name, broken("schema", typ, "want a class name that is not the aggregate's"))
		}
		types.WriteString(declaration)
		many := ""
		if s.Many(t.name) {
			many = "[]"
		}
		dim := 0
		if i := fieldIndex(t.class.Fields, vectorColumn); i >= 0 && strings.HasPrefix(typ, "schema.") {
			dim = t.class.Fields[i].Type.Dim // of an embedding without a class of its own
		}
		name := goName(t.name, names)
		fmt.Fprintf(&fields, "\t%s %s%s%s\n", name, many, typ, goTag(name, t.name, dim))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "package %s\n\nimport (\n", pkg)
	body := types.String() + fields.String()
	if strings.Contains(body, "time.Time") {
		b.WriteString("\t\"time\"\n\n")
	}
	if strings.Contains(body, "features.") {
		b.WriteString("\t\"pixano/features\"\n")
	}
	fmt.Fprintf(&b, "\t\"pixano/schema\"\n)\n\n// %s is one item of the dataset.\ntype %s struct {\n\tschema.Item\n%s}\n",
		aggregate, aggregate, fields.String())
	b.WriteString(types.String())
	src, err := format.Source([]byte(b.String()))
	if err != nil {
		return nil, inType(fileName, broken("", nil, "want class names that Go can declare: %v", err))
	}
	return src, nil
}

type goWriter struct {
	declared map[string]*Class
}

// rowType returns the Go type of a table's rows, and its declaration if it is not built in and not declared yet.
func (g *goWriter) rowType(c *Class) (name, declaration string, err error) {
	names := map[string]bool{c.Base: true}
	fields, err := g.ownFields(c, names)
	if err != nil {
		return "", "", err
	}
	if c.Name == c.Base && fields == "" {
		return "schema." + c.Base, "", nil
	}
	if other, ok := g.declared[c.Name]; ok {
		if !other.equal(c) {
			return "", "", broken("schema", c.Name, "want one set of columns per class name")
		}
		return c.Name, "", nil
	}
	g.declared[c.Name] = c
	dim := ""
	if i := fieldIndex(c.Fields, vectorColumn); i >= 0 && c.Group() == GroupEmbeddings && c.Fields[i].Type.ValueType == "float" {
		dim = goTag("", "", c.Fields[i].Type.Dim)
	}
	return c.Name, fmt.Sprintf("\n// %s is a class of the dataset.\ntype %s struct {\n\tschema.%s%s\n%s}\n", c.Name, c.Name, c.Base, dim, fields), nil
}

// ownFields returns the Go fields of the columns that a class adds to its base.
func (g *goWriter) ownFields(c *Class, names map[string]bool) (string, error) {
	p, err := PlanOf(builtinsByName[c.Base].typ)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, f := range c.Fields {
		if i := p.index(f.Name); i >= 0 {
			switch base := p.fields[i].Type; {
			case base == f.Type:
				continue
			case base.Name == TypeFixedSizeList && f.Type.Name == TypeFixedSizeList && f.Type.ValueType == base.ValueType:
				continue // its length goes into a tag
			case base.Name == TypeFixedSizeList && f.Type.Name == TypeFixedSizeList:
			default:
				return "", broken(f.Name, nil, "is %s in the class and %s in its base", f.Type, base)
			}
		}
		if err := CheckColumnName(f.Name); err != nil {
			return "", err // read from a file, where more is allowed
		}
		name := goName(f.Name, names)
		fmt.Fprintf(&b, "\t%s %s%s\n", name, goTypeName(f.Type), goTag(name, f.Name, 0))
	}
	return b.String(), nil
}

func goTypeName(t FieldType) string {
	if t.Name == TypeFixedSizeList {
		return fmt.Sprintf("[%d]%s", t.Dim, strings.ReplaceAll(t.GoType().Elem().String(), "[]uint8", "[]byte"))
	}
	return strings.ReplaceAll(t.GoType().String(), "[]uint8", "[]byte")
}

// goTag writes the tag of a field whose name does not say its column or table, or that has a length to say.
func goTag(field, name string, dim int) string {
	if SnakeCase(field) == name {
		name = ""
	}
	switch {
	case name == "" && dim == 0:
		return ""
	case dim == 0:
		return fmt.Sprintf(" `pixano:%q`", name)
	}
	return fmt.Sprintf(" `pixano:\"%s,dim=%d\"`", name, dim)
}

// goName makes an exported field name of a column or table name, and notes it.
func goName(name string, taken map[string]bool) string {
	initialisms := []string{"id", "url", "fps"}
	var b strings.Builder
	for _, word := range strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if slices.Contains(initialisms, word) {
			b.WriteString(strings.ToUpper(word))
			continue
		}
		runes := []rune(word)
		runes[0] = unicode.ToUpper(runes[0])
		b.WriteString(string(runes))
	}
	field := b.String()
	if !token.IsExported(field) || !token.IsIdentifier(field) {
		field = "X" + field // a name that begins with a digit, or with a letter that has no capital
	}
	for taken[field] {
		field += "_"
	}
	taken[field] = true
	return field
}
