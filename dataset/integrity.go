package dataset

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"pixano/features"
	"pixano/schema"
)

// existsFunc tells which ids are in a table, in the state that rows are checked against.
type existsFunc func(ctx context.Context, table string, ids []string) (map[string]bool, error)

// refColumn is a column that refers to one row.
type refColumn struct {
	name  string
	group schema.Group // that it has to name a table of; "" for any
}

// refColumns returns the columns of a class that are single references, which are checked; lists of them are not.
func refColumns(class *schema.Class) []refColumn {
	var columns []refColumn
	for _, f := range class.Fields {
		group, ok := f.Type.RefGroup()
		if !ok || f.Type.Collection {
			continue
		}
		if group == schema.GroupItem || group == schema.GroupSource {
			group = "" // the reference implementation lets these name any table
		}
		columns = append(columns, refColumn{f.Name, group})
	}
	return columns
}

// ref is the value of a reference column.
type ref struct {
	table, id string
}

// rules are the integrity checks of the rows of one table. They belong to one goroutine.
type rules struct {
	s       *schema.DatasetSchema
	table   string
	on      map[Check]bool
	columns []refColumn
	known   map[string]schema.Group // by table; those met so far
}

func newRules(s *schema.DatasetSchema, table string, class *schema.Class, ignore []Check) *rules {
	r := &rules{s: s, table: table, on: map[Check]bool{}, columns: refColumns(class), known: map[string]schema.Group{}}
	for _, check := range allChecks {
		r.on[check] = !slices.Contains(ignore, check)
	}
	return r
}

// group returns the group of a table, and whether the dataset has it.
func (r *rules) group(table string) (schema.Group, bool) {
	group, ok := r.known[table]
	if !ok {
		if group, ok = r.s.Group(table); ok {
			r.known[strings.Clone(table)] = group
		}
	}
	return group, ok
}

// looksUp reports whether the id of a reference is looked for in the table that it names.
func (r *rules) looksUp(to ref) bool {
	if !r.on[RefID] || to.table == "" || to.id == "" {
		return false
	}
	_, known := r.group(to.table)
	return known
}

// check makes the checks of a row, each of all its references before the next one, until one fails. exists is asked for
// references that looksUp reports. The violation's Check is "" if the row passes.
func (r *rules) check(id string, repeated bool, refs []ref,
	exists func(column int, to ref) (bool, error)) (Violation, error) {
	switch {
	case id == "" && r.on[DefinedID]:
		return Violation{Check: DefinedID, Table: r.table, Field: "id"}, nil
	case repeated && r.on[UniqueID]:
		return Violation{Check: UniqueID, Table: r.table, ID: id, Field: "id", Value: id}, nil
	}
	broken := func(check Check, column int, value string) (Violation, error) {
		return Violation{check, r.table, id, r.columns[column].name, value, refs[column].table}, nil
	}
	for i, to := range refs {
		if _, known := r.group(to.table); to.table != "" && !known && r.on[RefName] {
			return broken(RefName, i, to.table)
		}
	}
	for i, to := range refs {
		want := r.columns[i].group
		if group, _ := r.group(to.table); to.table != "" && want != "" && group != want && r.on[RefType] {
			return broken(RefType, i, to.table)
		}
	}
	for i, to := range refs {
		if !r.looksUp(to) {
			continue
		}
		found, err := exists(i, to)
		if err != nil {
			return Violation{}, err
		}
		if !found {
			return broken(RefID, i, to.id)
		}
	}
	return Violation{}, nil
}

// rowRefs reads the ids and the references of rows: pointers to structs, or *schema.Dynamic.
type rowRefs struct {
	columns []refColumn
	of      reflect.Type // that the paths are of: rows come in one type, or nearly so
	id      []int
	paths   [][]int
}

// read returns the id of a row, and sets refs.
func (r *rowRefs) read(row any, refs []ref) (string, error) {
	if d, ok := row.(*schema.Dynamic); ok {
		for i, column := range r.columns {
			value, _ := d.Get(column.name)
			refs[i] = refOf(value)
		}
		return schema.ID(d)
	}
	v := reflect.ValueOf(row).Elem()
	if v.Type() != r.of {
		if err := r.follow(v.Type()); err != nil {
			return "", err
		}
	}
	for i, path := range r.paths {
		value := v.FieldByIndex(path)
		refs[i] = ref{value.Field(0).String(), value.Field(1).String()} // as all references of package features
	}
	return v.FieldByIndex(r.id).String(), nil
}

// follow finds the columns in a struct type.
func (r *rowRefs) follow(t reflect.Type) error {
	plan, err := schema.PlanOf(t)
	if err != nil {
		return err
	}
	path := func(name string) ([]int, error) {
		i := slices.IndexFunc(plan.Columns, func(c schema.Column) bool { return c.Name == name })
		if i < 0 {
			return nil, schemaError("%s has no column %s", t, name)
		}
		return plan.Columns[i].Index, nil
	}
	if r.id, err = path("id"); err != nil {
		return err
	}
	r.paths = make([][]int, len(r.columns))
	for i, column := range r.columns {
		if r.paths[i], err = path(column.name); err != nil {
			return err
		}
	}
	r.of = t
	return nil
}

// refOf returns the reference that a value is, the empty one if it is none.
func refOf(value any) ref {
	switch r := value.(type) {
	case features.ItemRef:
		return ref{r.Name, r.ID}
	case features.ViewRef:
		return ref{r.Name, r.ID}
	case features.EntityRef:
		return ref{r.Name, r.ID}
	case features.AnnotationRef:
		return ref{r.Name, r.ID}
	case features.EmbeddingRef:
		return ref{r.Name, r.ID}
	case features.SourceRef:
		return ref{r.Name, r.ID}
	}
	return ref{}
}

// idSet is a set of ids in the order of their first mention.
type idSet struct {
	list []string
	have map[string]bool // whether it was mentioned more than once
}

func (s *idSet) add(id string) {
	again, ok := s.have[id]
	if !ok {
		if s.have == nil {
			s.have = map[string]bool{}
		}
		s.list = append(s.list, id)
	}
	if !again {
		s.have[id] = ok
	}
}

// checkRows makes the integrity checks of rows of a table that are about to be stored: pointers to structs, or
// *schema.Dynamic. Rows that are added must not be in the table yet. It returns at most one violation for each row, in
// the order of the rows.
func (m *meta) checkRows(ctx context.Context, c Checks, table string, rows []any, adding bool,
	exists existsFunc) ([]Violation, error) {
	class, ok := m.schema.Class(table)
	if !ok {
		return nil, m.noTable()
	}
	r := newRules(m.schema, table, class, c.Ignore)
	read := rowRefs{columns: r.columns}
	refs := make([]ref, len(r.columns))
	var given idSet
	wanted := map[string]*idSet{}
	var names []string // of wanted
	for _, row := range rows {
		id, err := read.read(row, refs)
		if err != nil {
			return nil, err
		}
		given.add(id)
		for _, to := range refs {
			if !r.looksUp(to) {
				continue
			}
			if wanted[to.table] == nil {
				wanted[to.table] = &idSet{}
				names = append(names, to.table)
			}
			wanted[to.table].add(to.id)
		}
	}
	var stored map[string]bool
	if adding && r.on[UniqueID] {
		var err error
		if stored, err = exists(ctx, table, given.list); err != nil {
			return nil, err
		}
	}
	found := map[string]map[string]bool{}
	for _, name := range names {
		var err error
		if found[name], err = exists(ctx, name, wanted[name].list); err != nil {
			return nil, fmt.Errorf("look for references in %s: %w", name, err)
		}
	}
	var violations []Violation
	for _, row := range rows {
		id, err := read.read(row, refs)
		if err != nil {
			return nil, err
		}
		v, err := r.check(id, given.have[id] || stored[id], refs, func(_ int, to ref) (bool, error) {
			return found[to.table][to.id], nil
		})
		if err != nil {
			return nil, err
		}
		if v.Check != "" {
			violations = append(violations, v)
		}
	}
	return violations, nil
}
