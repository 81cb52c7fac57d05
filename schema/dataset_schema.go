package schema

import (
	"slices"
	"sync"
)

// SchemaRelation says how many rows of one table go with how many of another. (A [Relation] is an annotation.)
type SchemaRelation string

const (
	OneToOne   SchemaRelation = "one_to_one"
	OneToMany  SchemaRelation = "one_to_many"
	ManyToOne  SchemaRelation = "many_to_one"
	ManyToMany SchemaRelation = "many_to_many"
)

// Inverse returns the relation read the other way round; "" for a relation that is not one of the four.
func (r SchemaRelation) Inverse() SchemaRelation {
	switch r {
	case OneToOne, ManyToMany:
		return r
	case OneToMany:
		return ManyToOne
	case ManyToOne:
		return OneToMany
	}
	return ""
}

// DatasetSchema is the content of a dataset's schema.json: its tables with their classes, how they relate, and the
// groups they belong to. Tables keep the order in which they were declared. The table "source" is in every dataset and
// not listed; [DatasetSchema.Class] knows it all the same.
//
// A DatasetSchema is safe for concurrent use as long as nobody calls [DatasetSchema.Add],
// [DatasetSchema.Remove], [DatasetSchema.SetClass] or UnmarshalJSON.
type DatasetSchema struct {
	tables    []table
	relations []link
	groups    []groupList
}

type table struct {
	name  string
	class *Class
}

type link struct {
	from, to string
	relation SchemaRelation
}

type groupList struct {
	group  Group
	tables []string
}

// writtenGroups are the groups of schema.json, in the order in which the reference implementation wrote those we know.
var writtenGroups = []Group{GroupAnnotations, GroupEmbeddings, GroupItem, GroupEntities, GroupViews}

// NewDatasetSchema returns the schema of a dataset with the table "item" alone, of the given class. Error: [Error].
func NewDatasetSchema(item *Class) (*DatasetSchema, error) {
	if item.Group() != GroupItem {
		return nil, inType(fileName, broken("schemas.item", item.Base, "want a class of the group item"))
	}
	if err := item.Validate(); err != nil {
		return nil, inTable(ItemTable, err)
	}
	s := &DatasetSchema{tables: []table{{ItemTable, item}}}
	s.regroup()
	return s, nil
}

// fileName stands for the type in errors about the file as a whole.
const fileName = "schema.json"

func inTable(name string, err error) error {
	return inType(fileName, inField("schemas", inField(name, err)))
}

// Tables returns the names of the tables in the order of their declaration, the item table included.
func (s *DatasetSchema) Tables() []string {
	names := make([]string, len(s.tables))
	for i, t := range s.tables {
		names[i] = t.name
	}
	return names
}

// Class returns the class of a table, also of "source", or false.
func (s *DatasetSchema) Class(table string) (*Class, bool) {
	if table == SourceTable {
		return sourceClass(), true
	}
	if i := s.tableIndex(table); i >= 0 {
		return s.tables[i].class, true
	}
	return nil, false
}

// sourceClass returns the class of the table "source".
var sourceClass = sync.OnceValue(func() *Class {
	c, _ := ClassOf(Source{}) // a built-in class always has a plan; a test goes through them
	return c
})

func (s *DatasetSchema) tableIndex(name string) int {
	return slices.IndexFunc(s.tables, func(t table) bool { return t.name == name })
}

// Group returns the group of a table, also of "source", or false.
func (s *DatasetSchema) Group(table string) (Group, bool) {
	c, ok := s.Class(table)
	if !ok {
		return "", false
	}
	return c.Group(), true
}

// TablesOf returns the tables of a group in the order of their declaration. [GroupSource] has the one table "source".
func (s *DatasetSchema) TablesOf(g Group) []string {
	if g == GroupSource {
		return []string{SourceTable}
	}
	var names []string
	for _, t := range s.tables {
		if t.class.Group() == g {
			names = append(names, t.name)
		}
	}
	return names
}

// Relation returns how from relates to to, or false if the schema relates them not.
func (s *DatasetSchema) Relation(from, to string) (SchemaRelation, bool) {
	for _, l := range s.relations {
		if l.from == from && l.to == to {
			return l.relation, true
		}
	}
	return "", false
}

// Many reports whether a dataset item holds a list of the table's rows: if "item" relates to it one to many. Of other
// tables it holds one row.
func (s *DatasetSchema) Many(table string) bool {
	r, _ := s.Relation(ItemTable, table)
	return r == OneToMany
}

// Add adds a table. relation is read from the table to the items: [ManyToOne] for several rows per item. The schema is
// unchanged if that is refused: a name that Lance refuses or that is taken, a class of the groups item or source, an
// invalid class. Error: [Error].
func (s *DatasetSchema) Add(name string, class *Class, relation SchemaRelation) error {
	if err := CheckTableName(name); err != nil {
		return inType(fileName, inField("schemas", err))
	}
	if s.tableIndex(name) >= 0 {
		return inTable(name, broken("", nil, "want a table name that is not taken"))
	}
	if err := checkTableClass(class); err != nil {
		return inTable(name, err)
	}
	if relation.Inverse() == "" {
		return inTable(name, broken("", string(relation), "want one of the four relations"))
	}
	s.tables = append(s.tables, table{name, class})
	// item's relations are written together: the new one goes behind the last of them.
	at := 0
	for i, l := range s.relations {
		if l.from == ItemTable {
			at = i + 1
		}
	}
	s.relations = slices.Insert(s.relations, at, link{ItemTable, name, relation.Inverse()})
	s.relations = append(s.relations, link{name, ItemTable, relation})
	s.regroup()
	return nil
}

// Remove takes a table out of the schema, with all of its relations. It refuses "item" and "source", which every dataset
// has, and a name that is no table; then the schema is unchanged. Rows of other tables may go on referring to it: that is
// a question for the dataset. Error: [Error].
func (s *DatasetSchema) Remove(name string) error {
	if name == ItemTable || name == SourceTable {
		return inTable(name, broken("", nil, "every dataset has this table"))
	}
	i := s.tableIndex(name)
	if i < 0 {
		return inTable(name, broken("", nil, "want the name of a table"))
	}
	s.tables = slices.Delete(s.tables, i, i+1)
	s.relations = slices.DeleteFunc(s.relations, func(l link) bool { return l.from == name || l.to == name })
	s.regroup()
	return nil
}

// SetClass gives a table, which may be "item", another class of the same base, as a table has whose own columns changed.
// It refuses a name that is no table and "source"; then the schema is unchanged. Error: [Error].
func (s *DatasetSchema) SetClass(name string, class *Class) error {
	i := s.tableIndex(name)
	if i < 0 {
		return inTable(name, broken("", nil, "want the name of a table"))
	}
	if err := class.Validate(); err != nil {
		return inTable(name, err)
	}
	if base := s.tables[i].class.Base; class.Base != base {
		return inTable(name, broken("base_schema", class.Base, "want %s, as it was", base))
	}
	s.tables[i].class = class
	return nil
}

// checkTableClass wants a class that a table other than "item" can have.
func checkTableClass(class *Class) error {
	if err := class.Validate(); err != nil {
		return err
	}
	switch class.Group() {
	case GroupItem:
		return broken("base_schema", class.Base, "want one table of the group item, named item")
	case GroupSource:
		return broken("base_schema", class.Base, "want no table of sources: every dataset has one")
	}
	return nil
}

// Clone returns an independent copy. Classes are shared.
func (s *DatasetSchema) Clone() *DatasetSchema {
	c := &DatasetSchema{tables: slices.Clone(s.tables), relations: slices.Clone(s.relations)}
	for _, g := range s.groups {
		c.groups = append(c.groups, groupList{g.group, slices.Clone(g.tables)})
	}
	return c
}

// Equal reports whether two schemas mean the same: the same tables in the same order with the same columns, the same
// relations and groups. The order of relations and within groups has no meaning.
func (s *DatasetSchema) Equal(o *DatasetSchema) bool {
	if len(s.tables) != len(o.tables) || len(s.relations) != len(o.relations) {
		return false
	}
	for i, t := range s.tables {
		if t.name != o.tables[i].name || !t.class.equal(o.tables[i].class) {
			return false
		}
	}
	for _, l := range s.relations {
		if r, ok := o.Relation(l.from, l.to); !ok || r != l.relation {
			return false
		}
	}
	return true
}

// regroup brings the written groups in line with the tables' classes. Names that were in the right place keep it.
func (s *DatasetSchema) regroup() {
	for _, g := range writtenGroups {
		i := slices.IndexFunc(s.groups, func(l groupList) bool { return l.group == g })
		if i < 0 {
			i = len(s.groups)
			s.groups = append(s.groups, groupList{group: g})
		}
		want := s.TablesOf(g)
		var names []string
		for _, name := range s.groups[i].tables {
			if slices.Contains(want, name) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		for _, name := range want {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		s.groups[i].tables = names
	}
}

// ParseDatasetSchema reads schema.json. Classes need no Go type in the process: unknown ones keep all of their columns
// and are written back as they were.
//
// Refused are broken JSON; unknown column types and base classes; a table name that is not lower case or that Lance
// refuses; a table of sources; not exactly one table of items, named "item"; a relation with a name that is no table,
// without its inverse, or missing between "item" and a table; a name that occurs twice in one object. Tolerated are
// missing or wrong groups, which follow from the classes, columns of the base that are not listed, and unknown keys.
// Error: [Error] with the place, such as "schemas.bboxes.fields.coords.type".
func ParseDatasetSchema(data []byte) (*DatasetSchema, error) {
	v, err := parseJSON(data)
	if err != nil {
		return nil, inType(fileName, err)
	}
	s := &DatasetSchema{}
	for _, read := range []func(*object) error{s.readSchemas, s.readRelations, s.readGroups} {
		root, ok := v.(*object)
		if !ok {
			return nil, inType(fileName, broken("", show(v), "want an object with relations, schemas and groups"))
		}
		if err := read(root); err != nil {
			return nil, inType(fileName, err)
		}
	}
	s.regroup()
	return s, nil
}

// section returns an object of the root, nil if it is missing and may be.
func section(root *object, key string, required bool) (*object, error) {
	v, ok := root.get(key)
	if !ok {
		if required {
			return nil, broken(key, nil, RuleRequired)
		}
		return newObject(), nil
	}
	o, ok := v.(*object)
	if !ok {
		return nil, broken(key, show(v), "want an object")
	}
	return o, nil
}

func (s *DatasetSchema) readSchemas(root *object) error {
	schemas, err := section(root, "schemas", true)
	if err != nil {
		return err
	}
	for _, name := range schemas.keys {
		if err := CheckTableName(name); err != nil {
			return inField("schemas", err)
		}
		entry, _ := schemas.get(name)
		class, err := classFromJSON(entry)
		if err == nil && (name != ItemTable) {
			err = checkTableClass(class)
		}
		if err == nil && name == ItemTable && class.Group() != GroupItem {
			err = broken("base_schema", class.Base, "want a class of the group item")
		}
		if err != nil {
			return inTable(name, withoutType(err))
		}
		s.tables = append(s.tables, table{name, class})
	}
	if s.tableIndex(ItemTable) < 0 {
		return broken("schemas.item", nil, RuleRequired)
	}
	return nil
}

// withoutType drops the class from an error that is about to get the place in the file instead.
func withoutType(err error) error {
	if e, ok := err.(*Error); ok {
		c := *e
		c.Type = ""
		return &c
	}
	return err
}

func (s *DatasetSchema) readRelations(root *object) error {
	relations, err := section(root, "relations", len(s.tables) > 1)
	if err != nil {
		return err
	}
	for _, from := range relations.keys {
		entry, _ := relations.get(from)
		targets, ok := entry.(*object)
		if !ok {
			return inField("relations", broken(from, show(entry), "want an object"))
		}
		if s.tableIndex(from) < 0 {
			return inField("relations", broken(from, nil, "want the name of a table"))
		}
		for _, to := range targets.keys {
			v, _ := targets.get(to)
			text, _ := v.(string)
			place := "relations." + from + "." + to
			if s.tableIndex(to) < 0 {
				return broken(place, nil, "want the name of a table")
			}
			if SchemaRelation(text).Inverse() == "" {
				return broken(place, show(v), "want one_to_one, one_to_many, many_to_one or many_to_many")
			}
			s.relations = append(s.relations, link{from, to, SchemaRelation(text)})
		}
	}
	for _, l := range s.relations {
		if back, ok := s.Relation(l.to, l.from); !ok || back != l.relation.Inverse() {
			return broken("relations."+l.to+"."+l.from, string(back), "want %s, the inverse of relations.%s.%s",
				l.relation.Inverse(), l.from, l.to)
		}
	}
	for _, t := range s.tables {
		if _, ok := s.Relation(ItemTable, t.name); !ok && t.name != ItemTable {
			return broken("relations.item."+t.name, nil, RuleRequired)
		}
	}
	return nil
}

// readGroups keeps the order of what is written; regroup mends what is wrong.
func (s *DatasetSchema) readGroups(root *object) error {
	groups, err := section(root, "groups", false)
	if err != nil {
		return err
	}
	for _, key := range groups.keys {
		v, _ := groups.get(key)
		names, ok := v.([]any)
		if !ok {
			return broken("groups."+key, show(v), "want a list of table names")
		}
		list := groupList{group: Group(key)}
		for _, n := range names {
			name, ok := n.(string)
			if !ok {
				return broken("groups."+key, show(n), "want a list of table names")
			}
			list.tables = append(list.tables, name)
		}
		if slices.Contains(writtenGroups, list.group) {
			s.groups = append(s.groups, list)
		}
	}
	return nil
}

// Encode writes schema.json as the reference implementation does: relations, schemas, groups; indented by 4; non-ASCII
// characters as \uXXXX; no newline at the end.
func (s *DatasetSchema) Encode() []byte {
	return s.object().appendIndented(nil, 4)
}

// MarshalJSON writes the content of schema.json in one line.
func (s DatasetSchema) MarshalJSON() ([]byte, error) { return s.object().appendJSON(nil), nil }

// UnmarshalJSON reads schema.json, see [ParseDatasetSchema].
func (s *DatasetSchema) UnmarshalJSON(data []byte) error {
	parsed, err := ParseDatasetSchema(data)
	if err != nil {
		return err
	}
	*s = *parsed
	return nil
}

func (s *DatasetSchema) object() *object {
	relations, schemas, groups := newObject(), newObject(), newObject()
	for _, l := range s.relations {
		targets, ok := relations.get(l.from)
		if !ok {
			targets = newObject()
			relations.set(l.from, targets)
		}
		targets.(*object).set(l.to, string(l.relation))
	}
	for _, t := range s.tables {
		schemas.set(t.name, t.class.object())
	}
	for _, g := range s.groups {
		names := make([]any, len(g.tables))
		for i, name := range g.tables {
			names[i] = name
		}
		groups.set(string(g.group), names)
	}
	root := newObject()
	root.set("relations", relations)
	root.set("schemas", schemas)
	root.set("groups", groups)
	return root
}
