package dataset

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"pixano/internal/lance"
	"pixano/internal/rowcodec"
	"pixano/schema"
)

// A change of columns is one commit of the table and then a new schema.json. Between them a note in columnsFile says what
// is being done. Whoever takes the dataset's lock next looks whether the table has the new columns: then the rest is
// made up for, else the note is dropped.

// columnsFile, in the private folder, is the note of a change of columns.
const columnsFile = "columns.json"

// NewColumn is a column to be added, see [Dataset.AddColumns].
type NewColumn struct {
	Name string
	Type schema.FieldType

	// Value is that of the rows that are there, converted as [schema.Dynamic.Set] does. Nil: null for vectors of fixed
	// length, else the zero value: "", 0, false, an empty list, the year 1.
	Value any

	// SQL, if not empty, computes the values instead, as "score * 100" or "upper(category)": an expression over the other
	// columns with question marks for Args, see [Query].Where. It is converted to the type as by CAST.
	SQL  string
	Args []any
}

// AddColumns adds columns after those that a table has, to the class of its rows in schema.json as well. A name that is
// taken or that Lance refuses, and values that do not fit the type, are ErrSchema; an expression that gives no value for
// a row is ErrQuery. Then nothing is changed.
//
// Where the engine can, only the new columns are written; references, and values that are computed and may be null, need
// the table to be written anew in the same commit; its indexes are then built again by the next upkeep. Rows keep
// their times, and the change is not among those of the history.
//
// Running reads of the table may end with an error. So do writes of rows that were made before: ErrConflict. Handles of
// other processes see the columns at their next call.
func (d *Dataset) AddColumns(ctx context.Context, table string, columns ...NewColumn) error {
	return d.changeColumns(ctx, "add columns to", table, func(c *columnChange) error {
		for _, column := range columns {
			if err := c.free(column.Name); err != nil {
				return err
			}
			if err := column.Type.Validate(); err != nil {
				return &Error{Field: column.Name, Err: err}
			}
			c.class.Fields = append(c.class.Fields, schema.Field{Name: column.Name, Type: column.Type, Required: true})
		}
		if len(columns) == 0 {
			return nil
		}
		return c.add(ctx, columns)
	})
}

// RenameColumn gives a column of one's own another name, in schema.json and in its value constraint as well. No data are
// written. See [Dataset.AddColumns]. A column of a built-in class, and one that an index is of, are ErrSchema, one that is
// not there ErrNotFound.
func (d *Dataset) RenameColumn(ctx context.Context, table, from, to string) error {
	return d.changeColumns(ctx, "rename a column of", table, func(c *columnChange) error {
		i, err := c.own(from)
		if err != nil || from == to {
			return err
		}
		if err := c.free(to); err != nil {
			return err
		}
		c.class.Fields[i].Name = to
		c.note.From, c.note.To = from, to
		c.commit = func() error {
			_, err := c.t.AlterColumns(ctx, lance.Alteration{Path: from, Rename: to})
			return err
		}
		return nil
	})
}

// DropColumns removes columns of one's own, from schema.json and with their value constraints as well. Their data go with
// the next compactions and with the removal of old versions, see [Dataset.Optimize]. See [Dataset.RenameColumn].
func (d *Dataset) DropColumns(ctx context.Context, table string, columns ...string) error {
	return d.changeColumns(ctx, "drop columns of", table, func(c *columnChange) error {
		for _, name := range columns {
			i, err := c.own(name)
			if err != nil {
				return err
			}
			c.class.Fields = slices.Delete(c.class.Fields, i, i+1)
		}
		if len(columns) == 0 {
			return nil
		}
		c.note.Drop = columns
		c.commit = func() error {
			_, err := c.t.DropColumns(ctx, columns...)
			return err
		}
		return nil
	})
}

// RetypeColumn converts a column of one's own to another type, in its place. using, if not empty, is an expression over
// the columns that computes the new values, see [NewColumn].SQL.
//
// Without it, values are converted where nothing is lost: numbers into each other, texts that are numbers, times or
// booleans, anything into texts, a value into a list of one, and the elements of lists. A value that cannot be converted
// is ErrSchema, naming the row, and nothing is changed. So are columns of structs, which have no other type. The
// table is written anew, in one commit. See [Dataset.AddColumns].
func (d *Dataset) RetypeColumn(ctx context.Context, table, column string, to schema.FieldType, using string, args ...any) error {
	return d.changeColumns(ctx, "change a column of", table, func(c *columnChange) error {
		i, err := c.own(column)
		if err != nil {
			return err
		}
		from := c.class.Fields[i].Type
		if err := to.Validate(); err != nil {
			return &Error{Field: column, Err: err}
		}
		if from == to && using == "" {
			return nil
		}
		if len(from.Fields()) > 0 && using == "" || len(to.Fields()) > 0 {
			return &Error{Field: column, Err: schemaError("the type is to be %s: from or to a %s there is no way", to,
				map[bool]schema.FieldType{true: from, false: to}[len(from.Fields()) > 0])}
		}
		c.class.Fields[i].Type = to
		c.retyped = true
		if using != "" {
			return c.add(ctx, []NewColumn{{Name: column, Type: to, SQL: using, Args: args}})
		}
		return c.rewrite(ctx, map[string]columnSource{column: c.convert(column, from, to)}, nil)
	})
}

// columnsNote is what columnsFile says.
type columnsNote struct {
	Table  string   `json:"table"`
	Schema string   `json:"schema"` // the new schema.json
	Drop   []string `json:"drop,omitempty"`
	From   string   `json:"from,omitempty"` // a column that gets another name
	To     string   `json:"to,omitempty"`
}

// columnChange is a change of the columns of a table while the dataset's lock is held.
type columnChange struct {
	d       *Dataset
	table   string
	class   *schema.Class // as it will be
	base    map[string]bool
	t       *lance.Table
	version uint64
	columns *arrow.Schema // as they are
	retyped bool          // the new columns take the place of those of their names
	note    columnsNote
	commit  func() error // nil: there is nothing to do
}

func (d *Dataset) changeColumns(ctx context.Context, op, table string, plan func(c *columnChange) error) error {
	if d.readOnly {
		return at(op, table, ErrReadOnly)
	}
	d.mu.Lock()
	closed := d.closed
	d.mu.Unlock()
	if closed {
		return at(op, table, ErrClosed)
	}
	if table == schema.SourceTable {
		return at(op, table, schemaError("the columns of sources are always the same"))
	}
	return wrap(op, table, d.locked(ctx, func() error {
		s := d.meta.Load().schema.Clone()
		old, ok := s.Class(table)
		if !ok {
			return d.meta.Load().noTable()
		}
		class := *old
		class.Fields = slices.Clone(old.Fields)
		c := &columnChange{d: d, table: table, class: &class, base: baseColumns(old)}
		var err error
		if c.t, err = d.writeTable(ctx, table); err != nil {
			return err
		}
		if c.version, err = c.t.CheckoutLatest(ctx); err != nil {
			return err
		}
		if c.columns, err = c.t.Schema(ctx); err != nil {
			return err
		}
		if err := sameAsClass(c.columns, old); err != nil {
			return err
		}
		if err := plan(c); err != nil || c.commit == nil {
			return err
		}
		if err := s.SetClass(table, c.class); err != nil {
			return err
		}
		if err := d.noteOutside(ctx); err != nil {
			return err
		}
		// Entries of the log hold rows with the old columns: none of them may have to be redone.
		if err := d.checkpoint(ctx); err != nil {
			return err
		}
		c.note.Table, c.note.Schema = table, string(s.Encode())
		note := filepath.Join(d.path, privateFolder, columnsFile)
		if err := writeFile(note, marshalJSON(c.note)); err != nil {
			return &Error{Field: privateFolder + "/" + columnsFile, Err: fileError(err)}
		}
		fault("columns noted")
		d.begin()
		err = c.commit()
		fault("columns committed")
		// Whether it landed, also after an error, the table itself says.
		done, finishErr := d.finishColumns(context.WithoutCancel(ctx))
		d.end(context.WithoutCancel(ctx), []string{table})
		switch {
		case done:
			return d.knowCommits(context.WithoutCancel(ctx), c.t)
		case finishErr != nil:
			return errors.Join(err, finishErr)
		}
		return cmp.Or(err, error(ErrConflict))
	}))
}

// free wants the name of a new column.
func (c *columnChange) free(name string) error {
	fail := func(err error) error { return &Error{Field: name, Err: err} }
	if err := schema.CheckColumnName(name); err != nil {
		return fail(err)
	}
	if i := slices.IndexFunc(c.class.Fields, func(f schema.Field) bool { return strings.EqualFold(f.Name, name) }); i >= 0 {
		return fail(schemaError("the table has a column %s: want a name that is not taken", c.class.Fields[i].Name))
	}
	return nil
}

// own returns the place of a column that is not of the built-in class.
func (c *columnChange) own(name string) (int, error) {
	_, i, ok := c.class.Field(name)
	switch {
	case !ok:
		return 0, &Error{Field: name, Err: &kindError{ErrNotFound, "no such column: want one of " + strings.Join(classColumns(c.class), ", "), nil}}
	case c.base[name]:
		return 0, &Error{Field: name, Err: schemaError("the column belongs to the built-in class %s: want a column of one's own", c.class.Base)}
	}
	indexes, err := readIndexes(c.d.path)
	if err != nil {
		return 0, err
	}
	for _, index := range indexes {
		if column, _, _ := strings.Cut(index.Column, "."); index.Table == c.table && column == name {
			return 0, &Error{Field: name, Err: schemaError("the index %q is of the column: drop it first", index.Name)}
		}
	}
	return i, nil
}

// sameAsClass wants a table with exactly the columns of a class.
func sameAsClass(columns *arrow.Schema, class *schema.Class) error {
	var names []string
	for _, f := range columns.Fields() {
		names = append(names, f.Name)
	}
	if want := classColumns(class); !slices.Equal(names, want) {
		return schemaError("the table has the columns %s, and schema.json says %s", strings.Join(names, ", "), strings.Join(want, ", "))
	}
	codec, err := rowcodec.ForClass(class)
	if err != nil {
		return err
	}
	if _, err := codec.Decoder(columns); err != nil {
		return schemaError("%v", err)
	}
	return nil
}

// target returns the table's columns as they will be.
func (c *columnChange) target() (*arrow.Schema, error) {
	made, err := tableColumns(c.class)
	if err != nil {
		return nil, err
	}
	fields := slices.Clone(made.Fields())
	for i, f := range fields {
		if at := c.columns.FieldIndices(f.Name); len(at) == 1 {
			have := c.columns.Field(at[0])
			fields[i].Metadata = have.Metadata
			if !c.retyped || c.base[f.Name] {
				fields[i] = have
			}
		}
	}
	metadata := c.columns.Metadata()
	return arrow.NewSchema(fields, &metadata), nil
}

// add plans the commit that adds columns, or that computes columns anew.
func (c *columnChange) add(ctx context.Context, columns []NewColumn) error {
	to, err := c.target()
	if err != nil {
		return err
	}
	sources := map[string]columnSource{}
	computed := map[string]string{}
	var exprs []lance.Expr
	var nulls []arrow.Field
	exact := !c.retyped
	for _, column := range columns {
		at := to.FieldIndices(column.Name)[0]
		want := to.Field(at)
		if column.SQL != "" {
			sql, notNull, err := c.compute(ctx, column, want)
			if err != nil {
				return &Error{Field: column.Name, Err: queryError(err)}
			}
			computed[column.Name] = sql
			exprs = append(exprs, lance.Expr{Name: column.Name, SQL: sql})
			exact = exact && notNull
			continue
		}
		value, err := c.constant(column)
		if err != nil {
			return err
		}
		sources[column.Name] = constantSource(value)
		if value.IsNull(0) {
			nulls = append(nulls, want)
			continue
		}
		sql, ok := literal(column.Type, value)
		exact = exact && ok
		exprs = append(exprs, lance.Expr{Name: column.Name, SQL: sql})
	}
	if exact && (len(nulls) == 0 || len(exprs) == 0) && c.gives(ctx, exprs, to) {
		c.commit = func() (err error) {
			if len(exprs) > 0 {
				_, err = c.t.AddColumns(ctx, exprs)
			} else {
				_, err = c.t.AddNullColumns(ctx, arrow.NewSchema(nulls, nil))
			}
			return inColumns(columns, err)
		}
		return nil
	}
	if err := c.rewrite(ctx, sources, computed); err != nil {
		return err
	}
	write := c.commit
	c.commit = func() error { return inColumns(columns, write()) }
	return nil
}

// inColumns names the columns in an error of the commit that adds them, such as one of a conversion.
func inColumns(columns []NewColumn, err error) error {
	if err == nil {
		return nil
	}
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
		if c.SQL != "" && errors.Is(err, lance.ErrInternal) {
			err = queryError(err) // a value that the expression fails on
		}
	}
	return &Error{Field: strings.Join(names, ", "), Err: err}
}

// gives reports whether expressions give columns of exactly the types wanted.
func (c *columnChange) gives(ctx context.Context, exprs []lance.Expr, to *arrow.Schema) bool {
	if len(exprs) == 0 {
		return true
	}
	parts := make([]string, len(exprs))
	for i, e := range exprs {
		parts[i] = e.SQL + " AS " + column{path: []string{e.Name}}.sql()
	}
	r, err := lance.SQL(ctx, "SELECT "+strings.Join(parts, ", ")+" FROM t LIMIT 1", map[string]*lance.Table{"t": c.t}, nil)
	if err != nil {
		return false
	}
	defer r.Close()
	for i, e := range exprs {
		f, want := r.Schema().Field(i), to.Field(to.FieldIndices(e.Name)[0])
		if f.Nullable != want.Nullable || !arrow.TypeEqual(f.Type, want.Type) {
			return false
		}
	}
	return true
}

// compute returns the expression of a column in its type. It wants a value for each row.
func (c *columnChange) compute(ctx context.Context, n NewColumn, want arrow.Field) (sql string, exact bool, err error) {
	bound, err := bindFilter(n.SQL, n.Args, c.columns)
	if err != nil {
		return "", false, err
	}
	if bound == "" {
		return "", false, errors.New("the expression is empty")
	}
	typ, ok := castTypes[n.Type.Name]
	if !ok {
		return "", false, fmt.Errorf("type %s: want one of numbers, texts, booleans, bytes or times, or a list of them, where values are computed", n.Type)
	}
	if n.Type.Collection {
		typ = "List(" + typ + ")"
	}
	sql = "arrow_cast((" + bound + "), '" + typ + "')"
	rows, err := c.t.Count(ctx, "("+sql+") IS NULL")
	if err != nil {
		return "", false, err
	}
	if rows > 0 {
		example := ""
		for batch, err := range c.t.Batches(ctx, lance.Query{Where: "(" + sql + ") IS NULL", Columns: []string{"id"}, Limit: 1}) {
			if err != nil {
				return "", false, err
			}
			if ids, err := stringColumn(batch, "id"); err == nil && ids.Len() > 0 {
				example = textAt(ids, 0)
			}
		}
		return "", false, fmt.Errorf("the expression gives no value for %d rows, such as %q: want one for each, for example by coalesce(…, 0)", rows, example)
	}
	if !want.Nullable && !n.Type.Collection {
		if zero, ok := zeroLiterals[n.Type.Name]; ok {
			sql = "coalesce(" + sql + ", " + zero + ")" // never so, but the engine sees that it is not null
		}
	}
	return sql, true, nil
}

// rewrite plans the commit that writes the table anew, some of its columns from elsewhere.
func (c *columnChange) rewrite(ctx context.Context, sources map[string]columnSource, computed map[string]string) error {
	to, err := c.target()
	if err != nil {
		return err
	}
	q := lance.Query{BatchRows: 4096}
	if len(computed) > 0 {
		for _, f := range c.columns.Fields() {
			q.Exprs = append(q.Exprs, lance.Expr{Name: f.Name, SQL: column{path: []string{f.Name}}.sql()})
		}
		for name, sql := range computed {
			q.Exprs = append(q.Exprs, lance.Expr{Name: computedName(name), SQL: sql})
		}
	}
	c.commit = func() error {
		rows, err := c.t.Query(ctx, q)
		if err != nil {
			return err
		}
		defer rows.Close()
		var failed error
		data := &stepReader{columns: to, next: func() (arrow.RecordBatch, error) {
			batch, err := rows.Next(ctx)
			if err != nil {
				if err == io.EOF {
					return nil, nil
				}
				failed = err
				return nil, err
			}
			arrays := make([]arrow.Array, to.NumFields())
			for i, f := range to.Fields() {
				name := f.Name
				if source, ok := sources[name]; ok {
					arrays[i], err = source(batch)
				} else {
					if _, ok := computed[name]; ok {
						name = computedName(name)
					}
					arrays[i] = batch.Column(batch.Schema().FieldIndices(name)[0])
				}
				if err == nil {
					arrays[i], err = as(f.Type, arrays[i])
				}
				if err == nil && !f.Nullable && arrays[i].NullN() > 0 {
					err = &Error{Field: f.Name, Err: &kindError{ErrCorrupt, "a null in a column without", nil}}
				}
				if err != nil {
					failed = err
					return nil, err
				}
			}
			return array.NewRecordBatch(to, arrays, batch.NumRows()), nil
		}}
		_, err = c.t.Overwrite(ctx, data, &lance.WriteOptions{ExpectedVersion: c.version, ConflictRetries: -1})
		return cmp.Or(failed, err)
	}
	return nil
}

// computedName is the name of a computed column among those that are there.
func computedName(name string) string { return "computed:" + name }

// as gives an array the nullability of a type that is otherwise its own.
func as(t arrow.DataType, a arrow.Array) (arrow.Array, error) {
	if arrow.TypeEqual(t, a.DataType(), arrow.CheckMetadata()) {
		return a, nil
	}
	data, err := retyped(t, a.Data())
	if err != nil {
		return nil, err
	}
	return array.MakeFromData(data), nil
}

func retyped(t arrow.DataType, data arrow.ArrayData) (arrow.ArrayData, error) {
	if t.ID() != data.DataType().ID() {
		return nil, schemaError("values of type %s: want %s", data.DataType(), t)
	}
	var inner []arrow.DataType
	switch t := t.(type) {
	case *arrow.StructType:
		for _, f := range t.Fields() {
			inner = append(inner, f.Type)
		}
	case arrow.ListLikeType:
		inner = append(inner, t.Elem())
	default:
		if !arrow.TypeEqual(t, data.DataType()) {
			return nil, schemaError("values of type %s: want %s", data.DataType(), t)
		}
	}
	if len(inner) != len(data.Children()) {
		return nil, schemaError("values of type %s: want %s", data.DataType(), t)
	}
	children := make([]arrow.ArrayData, len(inner))
	for i, child := range data.Children() {
		var err error
		if children[i], err = retyped(inner[i], child); err != nil {
			return nil, err
		}
	}
	return array.NewData(t, data.Len(), data.Buffers(), children, data.NullN(), data.Offset()), nil
}
