package dataset

import (
	"context"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"sync"

	"pixano/features"
	"pixano/internal/lance"
	"pixano/schema"
)

// Item is a whole dataset item without a Go type of its own: its row of the table of items, and its rows of the other
// tables. [schema.MarshalItem] of its Item and Tables writes the form in which items travel over REST.
type Item struct {
	ID   string
	Item *schema.Dynamic

	// Tables holds, for every table but those of embeddings, a []*[schema.Dynamic] in storage order, empty if there are
	// none; or, for a table that has one row per item, a *[schema.Dynamic], a nil any if there is none.
	Tables map[string]any
}

// Items reads whole items into dst, a pointer to a slice, in place of what is in it, in the order of the query, whose
// conditions are on the table of items.
//
// The slice's elements are aggregates, see [schema.AggregateOf], or pointers to them, whose tables are read, or [Item],
// with all tables but those of embeddings. A list has an item's rows in storage order. Where a table has one row per
// item, several rows give the last one, and none the zero value. All tables are seen in one state.
//
// An aggregate that does not fit the dataset is ErrSchema. Query.Columns makes no sense here and is ErrQuery.
func (d *Dataset) Items(ctx context.Context, dst any, q Query) error {
	const op = "get items"
	slice, err := sliceOf(dst)
	if err != nil {
		return at(op, "", err)
	}
	items, err := d.items(ctx, op, slice.Type().Elem(), q)
	if err == nil {
		slice.Set(items)
	}
	return err
}

// ItemsByID reads the whole items of the ids into dst as [Dataset.Items] does, in the order of the ids, and returns the
// ids that are not there; see [Dataset.ByID].
func (d *Dataset) ItemsByID(ctx context.Context, dst any, ids ...string) (missing []string, err error) {
	const op = "get items by id"
	slice, err := sliceOf(dst)
	if err != nil {
		return nil, at(op, "", err)
	}
	found, err := d.items(ctx, op, slice.Type().Elem(), Query{IDs: append([]string{}, ids...)})
	if err != nil {
		return nil, err
	}
	rows, missing, err := inOrder(found, ids)
	if err != nil {
		return nil, at(op, "", err)
	}
	slice.Set(rows)
	return missing, nil
}

// items reads whole items as a slice of a type.
func (d *Dataset) items(ctx context.Context, op string, elem reflect.Type, q Query) (reflect.Value, error) {
	r, err := d.itemReader(op, elem)
	if err != nil {
		return reflect.Value{}, at(op, "", err)
	}
	return r.read(ctx, q)
}

// itemChunk is how many items a stream of items reads together: each such part looks through all tables once.
const itemChunk = 8192

// eachItems reads the whole items of a query as slices of a type, some together. Those of a slice are of one state.
func (d *Dataset) eachItems(ctx context.Context, op string, elem reflect.Type, q Query, together int) iter.Seq2[reflect.Value, error] {
	return func(yield func(reflect.Value, error) bool) {
		r, err := d.itemReader(op, elem)
		if err != nil {
			yield(reflect.Value{}, at(op, "", err))
			return
		}
		if q.Limit > 0 && q.Limit <= together {
			yield(r.read(ctx, q))
			return
		}
		ids, err := d.texts(ctx, op, d.ItemTable(), q, "id")
		if err != nil {
			yield(reflect.Value{}, err)
			return
		}
		for part := range slices.Chunk(ids, together) {
			items, err := r.read(ctx, Query{IDs: part})
			if err == nil {
				items, _, err = inOrder(items, part) // some may be gone by now
			}
			if !yield(items, err) || err != nil {
				return
			}
		}
	}
}

// itemReader reads whole items of one type.
type itemReader struct {
	d       *Dataset
	op      string
	elem    reflect.Type // of the slices read
	item    *form
	idOf    func(item reflect.Value) string // of a decoded row of the table of items
	tables  []itemTable
	compose func(elem, row reflect.Value) // puts an item's own row in
}

// itemTable is a table whose rows are parts of items.
type itemTable struct {
	name string
	many bool
	form *form
	ref  func(row reflect.Value) string // the id of a row's item

	// put gives an item its rows, a slice of the form's elements.
	put func(elem, rows reflect.Value)
}

func (d *Dataset) itemReader(op string, elem reflect.Type) (*itemReader, error) {
	s := d.Schema()
	if s == nil {
		return nil, &kindError{ErrUnsupported, "the record layout has no whole items", nil}
	}
	r := &itemReader{d: d, op: op, elem: elem}
	if elem == reflect.TypeFor[Item]() {
		return r, r.dynamic(s)
	}
	return r, r.aggregate(s)
}

// dynamic completes a reader of [Item].
func (r *itemReader) dynamic(s *schema.DatasetSchema) (err error) {
	if r.item, err = r.d.form(schema.ItemTable, dynamicPtrType); err != nil {
		return err
	}
	r.idOf = func(row reflect.Value) string { return dynamicText(row, "id") }
	for _, name := range s.Tables() {
		if group, _ := s.Group(name); group == schema.GroupEmbeddings || group == schema.GroupItem {
			continue
		}
		t := itemTable{name: name, many: s.Many(name)}
		if t.form, err = r.d.form(name, dynamicPtrType); err != nil {
			return fmt.Errorf("table %s: %w", name, err)
		}
		t.ref = func(row reflect.Value) string {
			v, _ := row.Interface().(*schema.Dynamic).Get("item_ref")
			ref, _ := v.(features.ItemRef)
			return ref.ID
		}
		t.put = func(elem, rows reflect.Value) {
			tables := elem.Field(2).Interface().(map[string]any)
			switch {
			case t.many:
				tables[name] = rows.Interface()
			case rows.Len() > 0:
				tables[name] = rows.Index(rows.Len() - 1).Interface()
			default:
				tables[name] = nil
			}
		}
		r.tables = append(r.tables, t)
	}
	r.compose = func(elem, row reflect.Value) {
		elem.Set(reflect.ValueOf(Item{r.idOf(row), row.Interface().(*schema.Dynamic), make(map[string]any, len(r.tables))}))
	}
	return nil
}

func dynamicText(row reflect.Value, column string) string {
	v, _ := row.Interface().(*schema.Dynamic).Get(column)
	text, _ := v.(string)
	return text
}

// aggregate completes a reader of aggregates, or of pointers to them.
func (r *itemReader) aggregate(s *schema.DatasetSchema) error {
	a, err := schema.AggregateOf(r.elem)
	if err != nil {
		return err
	}
	if err := a.Check(s); err != nil {
		return err
	}
	if r.item, err = r.d.form(schema.ItemTable, r.elem); err != nil {
		return err
	}
	r.idOf = func(row reflect.Value) string {
		return reflect.Indirect(row).FieldByIndex(a.Item.Columns[0].Index).String()
	}
	r.compose = func(elem, row reflect.Value) { elem.Set(row) }
	for _, at := range a.Tables {
		t := itemTable{name: at.Name, many: at.Many}
		if t.form, err = r.d.form(at.Name, at.Row.Type); err != nil {
			return fmt.Errorf("table %s: %w", at.Name, err)
		}
		i := slices.IndexFunc(at.Row.Columns, func(c schema.Column) bool { return c.Name == "item_ref" })
		if i < 0 {
			return schemaError("table %s: %s has no item_ref: want rows that belong to an item", at.Name, at.Row.Type)
		}
		ref := append(slices.Clone(at.Row.Columns[i].Index), 1) // the id of the reference
		t.ref = func(row reflect.Value) string { return row.FieldByIndex(ref).String() }
		t.put = func(elem, rows reflect.Value) {
			field := reflect.Indirect(elem).FieldByIndex(at.Index)
			switch {
			case t.many:
				field.Set(rows.Convert(field.Type()))
			case rows.Len() > 0:
				field.Set(rows.Index(rows.Len() - 1))
			}
		}
		r.tables = append(r.tables, t)
	}
	return nil
}

// read reads the items of a query: their own rows, then their rows of all tables at once, as they were at that time.
func (r *itemReader) read(ctx context.Context, q Query) (reflect.Value, error) {
	fail := func(err error) (reflect.Value, error) { return reflect.Value{}, placed(r.op, "", err) }
	item := r.d.ItemTable()
	var scanItems *scan
	var all int64
	versions := make([]uint64, len(r.tables))
	err := r.d.read(ctx, r.op, func(v *view) (err error) {
		itemTable, err := v.table(ctx, item)
		if err != nil {
			return err
		}
		if all, err = itemTable.Count(ctx, ""); err != nil {
			return at(v.op, item, err)
		}
		for i, t := range r.tables {
			var table *lance.Table
			if table, err = v.table(ctx, t.name); err != nil {
				return err
			}
			if versions[i], err = table.Version(ctx); err != nil {
				return at(v.op, t.name, err)
			}
		}
		scanItems, err = v.scanAs(ctx, item, r.item, q)
		return err
	})
	if err != nil {
		return fail(err)
	}
	rows, err := scanItems.slice(ctx, r.item, 0)
	if err != nil {
		return fail(err)
	}
	items := reflect.MakeSlice(reflect.SliceOf(r.elem), rows.Len(), rows.Len())
	place := make(map[string]int, rows.Len())
	ids := make([]string, rows.Len())
	for i := range rows.Len() {
		r.compose(items.Index(i), rows.Index(i))
		ids[i] = r.idOf(rows.Index(i))
		if _, again := place[ids[i]]; !again {
			place[ids[i]] = i
		}
	}
	if len(ids) == 0 {
		return items, nil
	}
	scans := make([]*scan, len(r.tables))
	expected := make([]int64, len(r.tables)) // numbers of rows, where known
	err = r.d.read(ctx, r.op, func(v *view) error {
		for i, t := range r.tables {
			table, done, err := v.tableAt(ctx, t.name, versions[i])
			if err != nil {
				return err
			}
			err = v.pinned(ctx, table, versions[i], func(table *lance.Table) (err error) {
				if scans[i] != nil { // of another version
					scans[i].close()
				}
				v.fresh[t.name] = table
				if scans[i], err = v.scanAs(ctx, t.name, t.form, partsOf(ids, all)); err == nil {
					expected[i], err = v.expect(ctx, scans[i])
				}
				return err
			})
			done()
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		for _, s := range scans {
			if s != nil {
				s.close()
			}
		}
		return fail(err)
	}
	parts := make([][]reflect.Value, len(r.tables)) // per table and item its rows
	errs := make([]error, len(r.tables))
	var wait sync.WaitGroup
	for i, t := range r.tables {
		wait.Go(func() {
			rows, err := scans[i].slice(ctx, t.form, int(expected[i]))
			if err != nil {
				errs[i] = placed(r.op, t.name, err)
				return
			}
			parts[i] = t.split(rows, ids, place)
		})
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return fail(err)
		}
	}
	for i, t := range r.tables {
		for j := range ids {
			t.put(items.Index(j), parts[i][j])
		}
	}
	return items, nil
}

// partsOf selects the rows that belong to some of all items. Of most items all rows are read: comparing with a list
// takes 10 µs for each of its ids, reading all rows of an item as long.
func partsOf(ids []string, all int64) Query {
	if int64(len(ids)) > all/2 {
		return Query{}
	}
	return Query{ItemIDs: ids}
}

// split sorts the rows of a table by item. Items with the same id get the same rows.
func (t itemTable) split(rows reflect.Value, ids []string, place map[string]int) []reflect.Value {
	owners := make([]int, rows.Len())
	ends := make([]int, len(ids)+1) // first the numbers of rows, shifted by one; then where the next row goes
	total := 0
	for i := range owners {
		owner, ok := place[t.ref(rows.Index(i))]
		if !ok {
			owner = -1
		} else {
			ends[owner+1]++
			total++
		}
		owners[i] = owner
	}
	for i := range ids {
		ends[i+1] += ends[i]
	}
	starts := slices.Clone(ends)
	sorted := reflect.MakeSlice(rows.Type(), total, total)
	for i, owner := range owners {
		if owner >= 0 {
			sorted.Index(ends[owner]).Set(rows.Index(i))
			ends[owner]++
		}
	}
	parts := make([]reflect.Value, len(ids))
	for i, id := range ids {
		p := place[id]
		parts[i] = sorted.Slice3(starts[p], ends[p], ends[p]) // appending to one item's rows leaves the next one's alone
		if p != i {
			parts[i] = reflect.AppendSlice(reflect.MakeSlice(rows.Type(), 0, parts[i].Len()), parts[i])
		}
	}
	return parts
}
