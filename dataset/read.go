package dataset

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"

	"pixano/features"
	"pixano/internal/lance"
	"pixano/internal/rowcodec"
	"pixano/schema"
)

// Get reads the rows of a query into dst, a pointer to a slice, in place of what is in it.
//
// The slice's elements are structs that embed a group, such as [schema.BBox] or a class of one's own, [schema.Dynamic],
// pointers to either, [Row], or any, which becomes *[schema.Dynamic]. A struct with fewer fields than the table has
// columns reads fewer columns; an aggregate reads the columns of the table "item", see [Dataset.Items]. An embedding
// whose shape is stored empty gets the length of its vector.
//
// Query.Columns goes with a slice of Row only. A type that does not fit the table is ErrSchema. After an error dst is
// what it was.
func (d *Dataset) Get(ctx context.Context, table string, dst any, q Query) error {
	return d.get(ctx, "get", table, dst, q)
}

func (d *Dataset) get(ctx context.Context, op, table string, dst any, q Query) error {
	slice, err := sliceOf(dst)
	if err != nil {
		return at(op, table, err)
	}
	rows, err := d.slice(ctx, op, table, slice.Type().Elem(), q)
	if err == nil {
		slice.Set(rows)
	}
	return err
}

// Each calls fn for each row of a query, as a *[schema.Dynamic], or as a [Row] in the record layout, and returns the
// first error of fn as it is. It reads as a stream; the rows belong to fn.
//
// It is [Dataset.Rows] for code that cannot range over functions, such as notebooks.
func (d *Dataset) Each(ctx context.Context, table string, q Query, fn func(row any) error) error {
	for rows, err := range d.slices(ctx, "read", table, anyType, q) {
		if err != nil {
			return err
		}
		for _, row := range rows.Interface().([]any) {
			if err := fn(row); err != nil {
				return err
			}
		}
	}
	return nil
}

// ByID reads the rows of the ids into dst, a pointer to a slice as in [Dataset.Get], in the order of the ids, and
// returns the ids that are not there. An id that is given twice is read, or returned, twice; of rows that share an id
// the first in storage order is read.
func (d *Dataset) ByID(ctx context.Context, table string, dst any, ids ...string) (missing []string, err error) {
	const op = "get by id"
	slice, err := sliceOf(dst)
	if err != nil {
		return nil, at(op, table, err)
	}
	rows, missing, err := d.byID(ctx, op, table, slice.Type().Elem(), ids)
	if err != nil {
		return nil, err
	}
	slice.Set(rows)
	return missing, nil
}

func (d *Dataset) byID(
	ctx context.Context, op, table string, elem reflect.Type, ids []string,
) (rows reflect.Value, missing []string, err error) {
	found, err := d.slice(ctx, op, table, elem, Query{IDs: append([]string{}, ids...)})
	if err != nil {
		return rows, nil, err
	}
	if rows, missing, err = inOrder(found, ids); err != nil {
		return rows, nil, at(op, table, err)
	}
	return rows, missing, nil
}

// inOrder puts the rows, or items, that were found into the order of the ids.
func inOrder(found reflect.Value, ids []string) (rows reflect.Value, missing []string, err error) {
	place := make(map[string]int, found.Len())
	for i := range found.Len() {
		id, err := idOf(found.Index(i))
		if err != nil {
			return rows, nil, err
		}
		if _, again := place[id]; !again {
			place[id] = i
		}
	}
	rows = reflect.MakeSlice(found.Type(), 0, len(ids))
	for _, id := range ids {
		if i, ok := place[id]; ok {
			rows = reflect.Append(rows, found.Index(i))
		} else {
			missing = append(missing, id)
		}
	}
	return rows, missing, nil
}

// idOf returns the id of a row, or item, of any type that they are read into.
func idOf(row reflect.Value) (string, error) {
	if row.Kind() == reflect.Struct && row.CanAddr() {
		row = row.Addr() // not copied
	}
	switch r := row.Interface().(type) {
	case *Row:
		return r.ID(), nil
	case Row:
		return r.ID(), nil
	case *Item:
		return r.ID, nil
	}
	return schema.ID(row.Interface())
}

// IDs returns the ids of the rows of a query in its order. Query.Columns makes no difference.
func (d *Dataset) IDs(ctx context.Context, table string, q Query) ([]string, error) {
	q.Columns = nil
	return d.texts(ctx, "ids of", table, q, "id")
}

// texts reads one column of texts.
func (d *Dataset) texts(ctx context.Context, op, table string, q Query, column string) ([]string, error) {
	texts := []string{}
	for batch, err := range d.scan(ctx, op, table, q, []string{column}) {
		if err != nil {
			return nil, err
		}
		if texts, err = appendTexts(texts, batch); err != nil {
			return nil, at(op, table, err)
		}
	}
	return texts, nil
}

// appendTexts appends the texts of a batch's first column, which share its memory.
func appendTexts(texts []string, batch arrow.RecordBatch) ([]string, error) {
	column, ok := batch.Column(0).(interface{ Value(int) string })
	if !ok {
		return nil, schemaError("column %s is %s: want texts", batch.ColumnName(0), batch.Column(0).DataType())
	}
	texts = slices.Grow(texts, int(batch.NumRows()))
	for i := range int(batch.NumRows()) {
		texts = append(texts, column.Value(i))
	}
	return texts, nil
}

// Exist reports for each of the ids whether the table has a row of it.
func (d *Dataset) Exist(ctx context.Context, table string, ids ...string) (map[string]bool, error) {
	found, err := d.texts(ctx, "look up ids in", table, Query{IDs: append([]string{}, ids...)}, "id")
	if err != nil {
		return nil, err
	}
	exist := make(map[string]bool, len(ids))
	for _, id := range ids {
		exist[id] = false
	}
	for _, id := range found {
		exist[id] = true
	}
	return exist, nil
}

// Resolve reads the row that a reference points to into dst, a pointer to what [Dataset.Get] takes a slice of. ref is a
// reference of package features, a pointer to one, or the [Row] of a reference column.
//
// A reference without table or id is ErrQuery, an unknown table or id ErrNotFound.
func (d *Dataset) Resolve(ctx context.Context, ref any, dst any) error {
	const op = "resolve"
	table, id, err := refParts(ref)
	if err != nil {
		return at(op, "", queryError(err))
	}
	p := reflect.ValueOf(dst)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return at(op, table, queryError(fmt.Errorf("read into %T: want a pointer to a row", dst)))
	}
	rows, missing, err := d.byID(ctx, op, table, p.Type().Elem(), []string{id})
	switch {
	case err != nil:
		return err
	case missing != nil:
		return &Error{Op: op, Table: table, ID: id, Err: noRow}
	}
	p.Elem().Set(rows.Index(0))
	return nil
}

var noRow = &kindError{ErrNotFound, "no such row", nil}

// refParts returns table and id of a reference of any type.
func refParts(ref any) (table, id string, err error) {
	if row, ok := ref.(Row); ok {
		name, _ := row.Value("name").(string)
		ref = features.ViewRef{Name: name, ID: row.ID()}
	}
	v := reflect.Indirect(reflect.ValueOf(ref))
	t := reflect.TypeFor[features.ViewRef]() // references differ in nothing but their names
	if !v.IsValid() || !v.CanConvert(t) {
		return "", "", fmt.Errorf("%T: want a reference, such as features.ItemRef", ref)
	}
	r := v.Convert(t).Interface().(features.ViewRef)
	if r.Name == "" || r.ID == "" {
		return "", "", fmt.Errorf("the reference to the row %q of the table %q is empty: want both", r.ID, r.Name)
	}
	return r.Name, r.ID, nil
}

// sliceOf returns the slice that dst points to.
func sliceOf(dst any) (reflect.Value, error) {
	p := reflect.ValueOf(dst)
	if p.Kind() != reflect.Pointer || p.IsNil() || p.Elem().Kind() != reflect.Slice {
		return reflect.Value{}, queryError(fmt.Errorf("read into %T: want a pointer to a slice of rows", dst))
	}
	return p.Elem(), nil
}

var (
	anyType        = reflect.TypeFor[any]()
	rowType        = reflect.TypeFor[Row]()
	dynamicType    = reflect.TypeFor[schema.Dynamic]()
	dynamicPtrType = reflect.TypeFor[*schema.Dynamic]()
)

// form is how the rows of a table are read into a Go type.
type form struct {
	elem    reflect.Type // the type asked for
	decoded reflect.Type // the type that is decoded into: a struct, *schema.Dynamic or Row
	codec   *rowcodec.Codec
	columns []string // to read; nil: all
	shapes  bool     // the rows are embeddings, whose shape may be stored empty

	// convert makes an element of what was decoded. Nil: it is one.
	convert func(elem, decoded reflect.Value)
}

// form returns how a table's rows are read into slices of a type. Error: that of a type that does not fit.
func (d *Dataset) form(table string, elem reflect.Type) (*form, error) {
	d.follow()
	var class *schema.Class
	if m := d.meta.Load(); m.schema != nil {
		var ok bool
		if class, ok = m.schema.Class(table); !ok {
			return nil, m.noTable()
		}
	}
	f := &form{elem: elem, decoded: elem}
	var err error
	switch {
	case elem == rowType:
		return f, nil
	case elem == dynamicType, elem == dynamicPtrType, elem.Kind() == reflect.Interface:
		if class == nil && elem == anyType {
			f.decoded, f.convert = rowType, func(elem, row reflect.Value) { elem.Set(row) }
			return f, nil
		}
		if class == nil {
			return nil, &kindError{ErrUnsupported, "tables of the record layout have no class: read them into dataset.Row", nil}
		}
		if !dynamicPtrType.AssignableTo(elem) && elem != dynamicType {
			return nil, schemaError("rows of type %s: want a struct, schema.Dynamic, dataset.Row or any", elem)
		}
		f.decoded = dynamicPtrType
		switch elem {
		case dynamicPtrType:
		case dynamicType:
			f.convert = func(elem, row reflect.Value) { elem.Set(row.Elem()) }
		default:
			f.convert = func(elem, row reflect.Value) { elem.Set(row) }
		}
		f.codec, err = rowcodec.ForClass(class)
		f.shapes = class.Group() == schema.GroupEmbeddings
	default:
		if elem.Kind() == reflect.Pointer {
			f.decoded = elem.Elem()
			f.convert = func(elem, row reflect.Value) { elem.Set(row.Addr()) }
		}
		err = f.ofStruct(table, class)
	}
	if err != nil {
		return nil, err
	}
	f.columns = f.codec.Columns()
	return f, nil
}

// ofStruct completes the form of rows of a struct type, which are decoded as they are, or of an aggregate. class is nil
// in the record layout.
func (f *form) ofStruct(table string, class *schema.Class) error {
	plan, err := schema.PlanOf(f.decoded)
	if err != nil {
		a, aggregateErr := schema.AggregateOf(f.decoded)
		if aggregateErr != nil || len(a.Tables) == 0 {
			return err
		}
		if table != schema.ItemTable {
			return schemaError("%s is a whole item: want rows of %s", f.decoded, table)
		}
		if plan, err = f.ofAggregate(a); err != nil {
			return err
		}
	}
	f.shapes = plan.Group == schema.GroupEmbeddings
	if f.codec, err = rowcodec.For(f.decoded); err != nil || class == nil {
		return err
	}
	return plan.CheckRead(class)
}

// ofAggregate has the columns of an aggregate's items decoded into a struct type that has no others.
func (f *form) ofAggregate(a *schema.Aggregate) (*schema.Plan, error) {
	head, err := schema.ColumnsOf(reflect.TypeFor[schema.Item]())
	if err != nil {
		return nil, err
	}
	fields := []reflect.StructField{{Name: "Item", Type: reflect.TypeFor[schema.Item]()}}
	for i, c := range a.Item.Columns[len(head):] {
		tag := c.Name
		if c.Type.Dim > 0 && c.GoType.Kind() == reflect.Slice {
			tag += ",dim=" + strconv.Itoa(c.Type.Dim)
		}
		fields = append(fields, reflect.StructField{
			Name: "C" + strconv.Itoa(i), Type: c.GoType, Tag: reflect.StructTag(`pixano:` + strconv.Quote(tag)),
		})
	}
	plan, err := schema.PlanOf(reflect.StructOf(fields))
	if err != nil {
		return nil, err
	}
	pointer := f.elem.Kind() == reflect.Pointer
	f.decoded = plan.Type
	f.convert = func(elem, row reflect.Value) {
		if pointer {
			elem.Set(reflect.New(a.Type))
			elem = elem.Elem()
		}
		for i, c := range a.Item.Columns {
			elem.FieldByIndex(c.Index).Set(row.FieldByIndex(plan.Columns[i].Index))
		}
	}
	return plan, nil
}

// decoder returns a function that appends the rows of a batch of the given columns to a slice.
func (f *form) decoder(columns *arrow.Schema) (func(slice reflect.Value, batch arrow.RecordBatch) error, error) {
	var decode func(slice reflect.Value, batch arrow.RecordBatch) error
	if f.codec == nil {
		names := newRowColumns(columns.Fields())
		decode = func(slice reflect.Value, batch arrow.RecordBatch) error {
			rows, err := decodeRows(batch, names)
			slice.Set(reflect.AppendSlice(slice, reflect.ValueOf(rows)))
			return err
		}
	} else {
		decoder, err := f.codec.Decoder(columns)
		if err != nil {
			return nil, schemaError("%v", err)
		}
		decode = func(slice reflect.Value, batch arrow.RecordBatch) error {
			before := slice.Len()
			if err := decoder.AppendTo(slice.Addr().Interface(), batch); err != nil {
				return &kindError{ErrCorrupt, err.Error(), err}
			}
			for i := before; f.shapes && i < slice.Len(); i++ {
				row := slice.Index(i)
				if row.Kind() == reflect.Struct {
					row = row.Addr()
				}
				if err := schema.FillShape(row.Interface()); err != nil {
					return err
				}
			}
			return nil
		}
	}
	if f.convert == nil {
		return decode, nil
	}
	return func(slice reflect.Value, batch arrow.RecordBatch) error {
		decoded := reflect.New(reflect.SliceOf(f.decoded)).Elem()
		if err := decode(decoded, batch); err != nil {
			return err
		}
		before := slice.Len()
		slice.Grow(decoded.Len())
		slice.SetLen(before + decoded.Len())
		for i := range decoded.Len() {
			f.convert(slice.Index(before+i), decoded.Index(i))
		}
		return nil
	}, nil
}

// scanAs starts to read a query's rows in a form.
func (v *view) scanAs(ctx context.Context, table string, f *form, q Query) (*scan, error) {
	if f.codec == nil {
		return v.scan(ctx, table, q, nil)
	}
	if len(q.Columns) > 0 {
		return nil, &Error{Op: v.op, Table: table, Field: "columns",
			Err: queryError(fmt.Errorf("the columns read are those of %s: want none, or rows of dataset.Row", f.elem))}
	}
	t, plan, err := v.plan(ctx, table, q)
	if err != nil {
		return nil, err
	}
	if plan.table == nil {
		if plan.table, err = v.columns(ctx, table); err != nil {
			return nil, err
		}
	}
	if _, err := f.codec.Decoder(plan.table); err != nil { // before the engine finds a column missing
		return nil, at(v.op, table, schemaError("%v", err))
	}
	plan.query.Columns = f.columns
	return v.start(ctx, t, table, q, plan)
}

// slices reads a query's rows as slices of a type, one for each batch.
func (d *Dataset) slices(ctx context.Context, op, table string, elem reflect.Type, q Query) iter.Seq2[reflect.Value, error] {
	return func(yield func(reflect.Value, error) bool) {
		f, err := d.form(table, elem)
		if err != nil {
			yield(reflect.Value{}, at(op, table, err))
			return
		}
		var s *scan
		err = d.read(ctx, op, func(v *view) (err error) {
			s, err = v.scanAs(ctx, table, f, q)
			return err
		})
		if err != nil {
			yield(reflect.Value{}, err)
			return
		}
		var decode func(reflect.Value, arrow.RecordBatch) error
		for batch, err := range s.all(ctx) {
			rows := reflect.New(reflect.SliceOf(elem)).Elem()
			if err == nil && decode == nil {
				decode, err = f.decoder(batch.Schema())
			}
			if err == nil {
				err = decode(rows, batch)
			}
			if err != nil {
				yield(reflect.Value{}, placed(op, table, err))
				return
			}
			if !yield(rows, nil) {
				return
			}
		}
	}
}

// placed is at for errors that may have their place already.
func placed(op, table string, err error) error {
	if e, ok := errors.AsType[*Error](err); ok && e.Op != "" {
		return err
	}
	return at(op, table, err)
}

// slice reads a query's rows as a slice of a type.
func (d *Dataset) slice(ctx context.Context, op, table string, elem reflect.Type, q Query) (reflect.Value, error) {
	f, err := d.form(table, elem)
	if err != nil {
		return reflect.Value{}, at(op, table, err)
	}
	var s *scan
	var n int64
	err = d.read(ctx, op, func(v *view) (err error) {
		if s, err = v.scanAs(ctx, table, f, q); err == nil {
			n, err = v.expect(ctx, s)
		}
		return err
	})
	if err != nil {
		if s != nil {
			s.close()
		}
		return reflect.Value{}, err
	}
	rows, err := s.slice(ctx, f, int(n))
	if err != nil {
		return reflect.Value{}, placed(op, table, err)
	}
	return rows, nil
}

// slice reads the rows of a scan, about n of them.
func (s *scan) slice(ctx context.Context, f *form, n int) (reflect.Value, error) {
	typ := reflect.SliceOf(f.elem)
	rows := reflect.New(typ).Elem() // addressable, as decoders want it
	rows.Set(reflect.MakeSlice(typ, 0, n))
	var decode func(reflect.Value, arrow.RecordBatch) error
	for batch, err := range s.all(ctx) {
		if err == nil && decode == nil {
			decode, err = f.decoder(batch.Schema())
		}
		if err == nil {
			err = decode(rows, batch)
		}
		if err != nil {
			return reflect.Value{}, err
		}
	}
	return rows, nil
}

// expect returns the number of rows that a scan gives where that is known without reading, else 0.
func (v *view) expect(ctx context.Context, s *scan) (int64, error) {
	q := s.plan.query
	if s.plan.empty || q.Where != "" || s.owners != nil {
		return 0, nil
	}
	const few = 128
	if q.Limit > 0 && q.Limit <= few {
		return int64(q.Limit), nil
	}
	t, err := v.table(ctx, s.table)
	if err != nil {
		return 0, err
	}
	n, err := t.Count(ctx, "")
	if err != nil {
		return 0, at(v.op, s.table, err)
	}
	n = max(n-int64(q.Offset), 0)
	if q.Limit > 0 {
		n = min(n, int64(q.Limit))
	}
	return n, nil
}

// tableAt returns a handle of a table that sees a version: the shared one if it is still there, else one of its own.
// done releases it once a query of it has begun.
func (v *view) tableAt(ctx context.Context, name string, version uint64) (t *lance.Table, done func(), err error) {
	t, _, err = v.d.handle(ctx, v.op, name)
	if err != nil {
		return nil, nil, err
	}
	if now, err := t.Version(ctx); err != nil || now == version {
		return t, func() {}, wrap(v.op, name, err)
	}
	if t, err = v.ownTable(ctx, name, version); err != nil {
		return nil, nil, err
	}
	return t, func() { t.Close() }, nil
}

// ownTable returns a handle of a table that sees a version, and that nothing else uses.
func (v *view) ownTable(ctx context.Context, name string, version uint64) (*lance.Table, error) {
	t, err := v.d.openTable(ctx, v.op, name)
	if err != nil {
		return nil, err
	}
	if err := t.Checkout(ctx, version); err != nil {
		t.Close()
		return nil, at(v.op, name, err)
	}
	return t, nil
}
