package coco

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"pixano/dataset"
	"pixano/dataset/exchange"
	"pixano/features"
	"pixano/schema"
)

// writer writes both forms.
type writer struct {
	out    *exchange.Output
	strict bool
	schema *schema.DatasetSchema
	masks  string // how masks of the strict form are written
	ids    func(name string) (int, bool)
	names  []string // of all categories, sorted
	tables struct{ images, texts, entities, boxes, masks, points []string }
	extra  map[string][]string // columns of items and entities that are attributes

	split    string
	number   int
	items    int
	f        *exchange.File
	head     []byte          // of the file
	rest     *exchange.Spool // the annotations, which stand after the images
	shown    *exchange.Spool // the images, for the file of captions; nil where there are no texts
	captions *exchange.Spool
	images   int64 // in the file
	written  int64 // annotations in the file
	texts    int64
	plain    bool  // an annotation in the file has no category
	imageIDs int64 // over all files, so that they can be put together
	annIDs   int64
	poses    map[string]pose             // of categories
	supers   map[string]string           // of categories
	known    []features.KeyPointTemplate // the dataset's own first
	buf      []byte
}

func newWriter(ctx context.Context, out *exchange.Output) (exchange.Writer, error) {
	o := out.Options()
	w := &writer{out: out, strict: o.Strict, schema: out.Dataset().Schema(), poses: map[string]pose{}, supers: map[string]string{}, extra: map[string][]string{}}
	w.masks = o.Params["segmentation"]
	if !slices.Contains([]string{"", "auto", "polygon", "rle"}, w.masks) {
		return nil, fmt.Errorf("segmentation %q: want auto, polygon or rle", w.masks)
	}
	out.MediaMode(exchange.MediaNone)
	t := &w.tables
	t.images, t.texts = exchange.TablesOf(w.schema, "Image"), exchange.TablesOf(w.schema, "Text")
	t.entities = w.schema.TablesOf(schema.GroupEntities)
	t.boxes, t.masks, t.points = exchange.TablesOf(w.schema, "BBox"), exchange.TablesOf(w.schema, "CompressedRLE"), exchange.TablesOf(w.schema, "KeyPoints")
	set := map[string]bool{}
	if err := out.EachCategory(ctx, func(name string) { set[name] = true }); err != nil {
		return nil, err
	}
	delete(set, "")
	w.names = slices.Sorted(maps.Keys(set))
	var err error
	if w.ids, err = categoryIDs(o.Params["categories"], w.strict, w.names); err != nil {
		return nil, err
	}
	if w.strict {
		for _, name := range w.names {
			if _, ok := w.ids(name); !ok {
				return nil, fmt.Errorf("the category %q has no id: want one for each category", name)
			}
		}
		for _, table := range append([]string{schema.ItemTable}, t.entities...) {
			w.extra[table] = attributes(w.schema, table)
		}
		w.renamed(ctx)
		if w.known, err = out.Dataset().KeyPointTemplates(); err != nil {
			return nil, err
		}
		w.known = append(w.known, features.KeyPointTemplates()...)
		if err := w.findPoses(ctx); err != nil {
			return nil, err
		}
	}
	if w.rest, err = out.NewSpool(); err == nil && w.strict && len(t.texts) > 0 {
		if w.shown, err = out.NewSpool(); err == nil {
			w.captions, err = out.NewSpool()
		}
	}
	if err != nil {
		return nil, errors.Join(err, w.remove())
	}
	return w, nil
}

func (w *writer) remove() error {
	var errs []error
	for _, s := range []*exchange.Spool{w.rest, w.shown, w.captions} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}

// attributes lists the columns of a table that are written as attributes: those of its own with plain values.
func attributes(s *schema.DatasetSchema, table string) []string {
	class, _ := s.Class(table)
	base, _ := schema.Lookup(class.Base)
	builtin, err := schema.ClassOf(base)
	if err != nil {
		return nil
	}
	var names []string
	for _, f := range class.Fields {
		_, _, own := builtin.Field(f.Name)
		if own && (class.Base == "Entity" || class.Base == "Item") || f.Name == "category" || f.Name == "is_crowd" || strings.HasSuffix(f.Name, "_ref") ||
			slices.Contains([]string{"id", "created_at", "updated_at", "split"}, f.Name) {
			continue
		}
		switch f.Type.Name {
		case schema.TypeStr, schema.TypeInt, schema.TypeFloat, schema.TypeBool:
			names = append(names, f.Name)
		}
	}
	return names
}

// renamed notes tables whose rows come back under another name.
func (w *writer) renamed(ctx context.Context) {
	for _, t := range []struct {
		as     string
		tables []string
	}{{objectTable, w.tables.entities}, {boxTable, w.tables.boxes}, {maskTable, w.tables.masks}, {pointTable, w.tables.points}} {
		for _, table := range t.tables {
			if table == t.as {
				continue
			}
			if n, err := w.out.Dataset().Count(ctx, table, dataset.Query{}); err == nil {
				w.out.Lose(table, "", fmt.Sprintf("an import makes rows of the table %s of them", t.as), n)
			}
		}
	}
}

// Holds reports what is written of a table.
func (w *writer) Holds(table, column string) bool {
	class, ok := w.schema.Class(table)
	if !ok || class.Group() == schema.GroupSource || class.Group() == schema.GroupEmbeddings {
		return false
	}
	if column == "" {
		return slices.Contains(slices.Concat([]string{schema.ItemTable}, w.tables.images, w.tables.entities, w.tables.boxes, w.tables.masks), table) ||
			w.strict && slices.Contains(slices.Concat(w.tables.points, w.tables.texts), table)
	}
	if slices.Contains(w.extra[table], column) {
		return true
	}
	held := map[schema.Group]string{
		schema.GroupViews:    "id url width height timestamp frame_index",
		schema.GroupEntities: "id view_ref category",
	}[class.Group()]
	switch {
	case schema.IsA(class.Base, "BBox"):
		held = "id view_ref entity_ref coords format is_normalized confidence"
	case schema.IsA(class.Base, "CompressedRLE"):
		held = "id view_ref entity_ref"
	}
	if w.strict {
		held += map[schema.Group]string{
			schema.GroupItem:     "id split",
			schema.GroupViews:    " item_ref format content",
			schema.GroupEntities: " item_ref is_crowd",
		}[class.Group()]
		switch {
		case schema.IsA(class.Base, "BBox"):
			held += " item_ref"
		case schema.IsA(class.Base, "CompressedRLE"):
			held += " item_ref size counts"
		case schema.IsA(class.Base, "KeyPoints"):
			held = "id item_ref view_ref entity_ref template_id coords states"
		}
	}
	return slices.Contains(strings.Fields(held), column)
}

// pictured is an image of the item.
type pictured struct {
	row           *schema.Dynamic
	table, id     string
	number        int64
	width, height float64
}

// object is what the item has of one entity in one view.
type object struct {
	view, entity      string
	row               *schema.Dynamic // the entity, or nil
	table             string          // of the entity
	box, mask, points *schema.Dynamic
	category          *string
}

func (w *writer) Write(ctx context.Context, item *dataset.Item) error {
	split := exchange.Text(item.Item, "split")
	per := w.out.Options().ItemsPerFile
	if w.f != nil && (split != w.split || per > 0 && w.items == per) {
		if err := w.end(); err != nil {
			return err
		}
		w.number++
	}
	if split != w.split {
		w.split, w.number = split, 0
	}
	if w.f == nil {
		if err := w.begin(); err != nil {
			return err
		}
	}
	w.items++
	var images []pictured
	for _, table := range w.tables.images {
		for _, row := range exchange.Rows(item.Tables, table) {
			p := pictured{row: row, table: table, id: exchange.Text(row, "id")}
			p.width, p.height = float64(exchange.Int(row, "width")), float64(exchange.Int(row, "height"))
			w.imageIDs++
			p.number = w.imageIDs
			images = append(images, p)
			if err := w.image(item, p, len(images) == 1); err != nil {
				return err
			}
		}
	}
	objects := w.objects(item)
	for _, o := range objects {
		var err error
		if w.strict {
			err = w.strictAnnotation(item, images, o)
		} else {
			err = w.annotation(images, o)
		}
		if err != nil {
			return err
		}
	}
	if w.strict {
		return w.writeTexts(item, images)
	}
	return nil
}

// objects puts together what the item has of each entity in each view. In the strict form nothing is put over another:
// further boxes of one entity are objects of their own.
func (w *writer) objects(item *dataset.Item) []*object {
	var list []*object
	byKey := map[[2]string]*object{}
	get := func(view, entity string) *object {
		key := [2]string{view, entity}
		o := byKey[key]
		if o == nil {
			o = &object{view: view, entity: entity}
			byKey[key] = o
			list = append(list, o)
		}
		return o
	}
	entities := map[string]*object{}
	for _, table := range w.tables.entities {
		for _, row := range exchange.Rows(item.Tables, table) {
			id := exchange.Text(row, "id")
			entities[id] = &object{row: row, table: table}
			if v, ok := row.Get("category"); ok {
				name, _ := v.(string)
				entities[id].category = &name
				o := get(exchange.ViewOf(row).ID, id)
				o.row, o.table, o.category = row, table, &name
			}
		}
	}
	put := func(tables []string, slot func(*object) **schema.Dynamic) {
		for _, table := range tables {
			for _, row := range exchange.Rows(item.Tables, table) {
				view, entity := exchange.ViewOf(row).ID, exchange.EntityOf(row).ID
				o := get(view, entity)
				if place := slot(o); *place == nil || !w.strict {
					if *place != nil {
						w.out.Lose(table, "", "another of the same entity in the same view takes its place", 1)
					}
					*place = row
					continue
				}
				again := &object{view: view, entity: entity}
				*slot(again) = row
				list = append(list, again)
			}
		}
	}
	put(w.tables.boxes, func(o *object) **schema.Dynamic { return &o.box })
	put(w.tables.masks, func(o *object) **schema.Dynamic { return &o.mask })
	if w.strict {
		put(w.tables.points, func(o *object) **schema.Dynamic { return &o.points })
	}
	for _, o := range list {
		if e := entities[o.entity]; e != nil && w.strict {
			o.row, o.table, o.category = e.row, e.table, e.category
		}
	}
	w.loseEntities(entities, list)
	return list
}

// loseEntities notes entities that no annotation stands for, and those that an import puts in another view.
func (w *writer) loseEntities(entities map[string]*object, list []*object) {
	first := map[string]string{}
	for _, o := range list {
		empty := o.box == nil && o.mask == nil && o.points == nil
		if _, there := first[o.entity]; !there && o.view != "" && !(empty && w.strict) {
			first[o.entity] = o.view
		}
	}
	for id, e := range entities {
		view, ok := first[id]
		switch {
		case !ok && w.strict:
			w.out.Lose(e.table, "", "an entity without box, mask or key points has no place", 1)
		case !ok:
			w.out.Lose(e.table, "", "an entity without category and annotations, or in no view, has no place", 1)
		case view != exchange.ViewOf(e.row).ID:
			w.out.Lose(e.table, "view_ref", "an import sets it to the view of the first annotation", 1)
		}
	}
}

func (w *writer) begin() (err error) {
	if w.f, err = w.out.Create(w.out.FileName(w.split, w.number, "json")); err != nil {
		return err
	}
	info := w.out.Dataset().Info()
	now := w.out.Now()
	pairs := []pair{{"id", info.ID}, {"name", info.Name}, {"year", now.Year()}, {"version", now.Format("02/01/2006 15:04:05")},
		{"description", info.Description}, {"contributor", ""}, {"url", ""}, {"date_created", schema.FormatTime(now)}}
	if w.strict {
		pairs = append(pairs, pair{"split", w.split}) // which the reference does not say
	}
	if w.head, err = appendObject([]byte(`{"info": `), pairs); err != nil {
		return err
	}
	w.head = append(w.head, `, "licenses": [{"id": 0, "name": "Exported from Pixano", "url": ""}], "images": [`...)
	_, err = w.f.Write(w.head)
	return err
}

// writeTexts writes the texts of an item as captions of its first image.
func (w *writer) writeTexts(item *dataset.Item, images []pictured) error {
	for _, table := range w.tables.texts {
		for _, row := range exchange.Rows(item.Tables, table) {
			if len(images) == 0 {
				w.out.Lose(table, "", "a caption without an image has no place", 1)
				continue
			}
			b := w.buf[:0]
			if w.texts > 0 {
				b = append(b, ", "...)
			}
			w.texts++
			w.annIDs++
			var err error
			w.buf, err = appendObject(b, []pair{{"id", w.annIDs}, {"image_id", images[0].number}, {"caption", exchange.Text(row, "content")},
				{"view", table}, {"pixano_view_id", exchange.Text(row, "id")}})
			if err == nil {
				_, err = w.captions.Write(w.buf)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// end finishes the files of some items.
func (w *writer) end() error {
	f := w.f
	w.f, w.items, w.images, w.written = nil, 0, 0, 0
	_, err := f.WriteString(`], "annotations": [`)
	if err == nil {
		err = w.rest.Drain(f)
	}
	if err == nil {
		_, err = f.WriteString(`], "categories": [`)
	}
	if err == nil && w.strict {
		err = w.categories(f)
	}
	if err == nil {
		_, err = f.WriteString("]}")
	}
	err = errors.Join(err, f.Close())
	if err == nil && w.texts > 0 {
		err = w.endCaptions()
	}
	return err
}

// endCaptions writes the file of captions, which has the images too, as COCO's does.
func (w *writer) endCaptions() error {
	w.texts = 0
	f, err := w.out.Create("captions_" + w.out.FileName(w.split, w.number, "json"))
	if err != nil {
		return err
	}
	_, err = f.Write(w.head)
	if err == nil {
		err = w.shown.Drain(f)
	}
	if err == nil {
		_, err = f.WriteString(`], "annotations": [`)
	}
	if err == nil {
		err = w.captions.Drain(f)
	}
	if err == nil {
		_, err = f.WriteString("]}")
	}
	return errors.Join(err, f.Close())
}

func (w *writer) categories(f *exchange.File) error {
	names := slices.Clone(w.names)
	if w.plain {
		names = append(names, "")
	}
	w.plain = false
	for i, name := range names {
		id, shown := 0, name
		if name == "" {
			if _, ok := w.ids(unlabelled); ok {
				continue
			}
			id, shown = w.unlabelledID(), unlabelled
		} else {
			id, _ = w.ids(name)
		}
		pairs := []pair{{"id", id}, {"name", shown}, {"supercategory", w.supers[name]}}
		if pose, ok := w.poses[name]; ok {
			template := w.template(pose)
			points := []string{}
			for _, p := range template.Points {
				points = append(points, p.Name)
			}
			skeleton := [][2]int{}
			for _, e := range template.Edges {
				skeleton = append(skeleton, [2]int{e[0] + 1, e[1] + 1})
			}
			pairs = append(pairs, pair{"keypoints", points}, pair{"skeleton", skeleton})
		}
		b := w.buf[:0]
		if i > 0 {
			b = append(b, ", "...)
		}
		var err error
		if w.buf, err = appendObject(b, pairs); err != nil {
			return err
		}
		if _, err := f.Write(w.buf); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) Close() error {
	var err error
	if w.f != nil {
		err = w.end()
	}
	return errors.Join(err, w.remove())
}
