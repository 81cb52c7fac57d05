package server

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"pixano/dataset"
	"pixano/schema"
)

func (s *Server) routeDatasets() {
	s.refer("GET", "/datasets/info", s.listDatasets)
	s.refer("GET", "/datasets/info/{dataset}", s.datasetInfo)
	s.refer("GET", "/datasets/{dataset}", s.datasetSchema)
	s.refer("GET", "/datasets/{dataset}/stats", s.datasetStats)
	s.refer("GET", "/datasets/{dataset}/{table}/count", s.tableCount)
	s.refer("GET", "/items_info/{dataset}", s.itemsInfo)
	s.refer("GET", "/items_info/{dataset}/{id}", s.itemInfo)
	s.refer("GET", "/dataset_items/{dataset}", s.listItems)
	s.refer("GET", "/dataset_items/{dataset}/{id}", s.oneItem)
	s.refer("POST", "/dataset_items/{dataset}", s.postItems)
	s.refer("POST", "/dataset_items/{dataset}/{id}", s.postItems)
	s.refer("PUT", "/dataset_items/{dataset}", s.putItems)
	s.refer("PUT", "/dataset_items/{dataset}/{id}", s.putItems)
	s.refer("DELETE", "/dataset_items/{dataset}", s.deleteItems)
	s.refer("DELETE", "/dataset_items/{dataset}/{id}", s.deleteItem)
}

// datasetInfo is what a dataset says of itself and its number of items. The reference's web interface accepts no other key.
type datasetInfo struct {
	dataset.Info
	NumItems int64 `json:"num_items"`
}

func (s *Server) listDatasets(w http.ResponseWriter, r *http.Request) error {
	entries, err := s.library.Datasets(r.Context())
	if err != nil {
		return err
	}
	infos := []datasetInfo{}
	for _, e := range entries {
		if e.Err != nil {
			s.log.Warn("dataset left out of the list", "path", e.Path, "error", e.Err)
			continue
		}
		e.Info.Preview = s.previews.of(r.Context(), s, e.Path)
		infos = append(infos, datasetInfo{e.Info, e.Items})
	}
	if len(infos) == 0 {
		return notFound("the library %s has no datasets", s.library.Path())
	}
	writeJSON(w, http.StatusOK, infos)
	return nil
}

// previews keeps the previews of datasets as data URLs, by directory, as long as their files are the same.
type previews struct {
	mu   sync.Mutex
	kept map[string]preview
}

type preview struct {
	stamp stamp
	url   string
}

func (p *previews) of(ctx context.Context, s *Server, path string) string {
	at := stampOf(path)
	at[1], _ = os.Stat(filepath.Join(path, "previews", "dataset_preview.jpg"))
	p.mu.Lock()
	have, ok := p.kept[path]
	p.mu.Unlock()
	if ok && have.stamp.equal(at) {
		return have.url
	}
	ds, err := dataset.OpenTables(ctx, path, &dataset.Options{ReadOnly: true, MediaDir: s.opts.MediaDir, MediaRoots: s.opts.MediaRoots})
	if err != nil {
		return ""
	}
	defer ds.Close()
	url := ds.PreviewURL(ctx)
	if ctx.Err() == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.kept[path] = preview{at, url}
	}
	return url
}

func (s *Server) infoOf(r *http.Request, ds *dataset.Dataset) (datasetInfo, error) {
	n, err := ds.Count(r.Context(), ds.ItemTable(), dataset.Query{})
	return datasetInfo{ds.Info(), n}, err
}

func (s *Server) datasetInfo(w http.ResponseWriter, r *http.Request) error {
	ds, release, err := s.anyDataset(r)
	if err != nil {
		return err
	}
	defer release()
	info, err := s.infoOf(r, ds)
	if err != nil {
		return err
	}
	info.Preview = s.previews.of(r.Context(), s, ds.Path())
	writeJSON(w, http.StatusOK, info)
	return nil
}

// constraint is a value constraint as the reference writes it.
type constraint struct {
	Name       string `json:"name"`
	Restricted bool   `json:"restricted"`
	Values     []any  `json:"values"`
}

func (s *Server) datasetSchema(w http.ResponseWriter, r *http.Request) error {
	ds, release, err := s.dataset(r)
	if err != nil {
		return err
	}
	defer release()
	info, err := s.infoOf(r, ds)
	if err != nil {
		return err
	}
	info.Preview = ""
	values := map[schema.Group]map[string][]constraint{}
	for _, g := range []schema.Group{schema.GroupItem, schema.GroupViews, schema.GroupEntities, schema.GroupAnnotations} {
		values[g] = map[string][]constraint{}
		for _, table := range ds.Schema().TablesOf(g) {
			for _, c := range ds.Constraints(table) {
				values[g][table] = append(values[g][table], constraint(c))
			}
		}
	}
	path := ds.Path()
	writeJSON(w, http.StatusOK, struct {
		ID            string                                   `json:"id"`
		Path          string                                   `json:"path"`
		PreviewsPath  string                                   `json:"previews_path"`
		MediaDir      string                                   `json:"media_dir"`
		Thumbnail     string                                   `json:"thumbnail"`
		DatasetSchema *schema.DatasetSchema                    `json:"dataset_schema"`
		FeatureValues map[schema.Group]map[string][]constraint `json:"feature_values"`
		Info          datasetInfo                              `json:"info"`
	}{info.ID, path, filepath.Join(path, "previews"), ds.MediaDir(), filepath.Join(path, "preview.png"), ds.Schema(), values, info})
	return nil
}

func (s *Server) datasetStats(w http.ResponseWriter, r *http.Request) error {
	ds, release, err := s.dataset(r)
	if err != nil {
		return err
	}
	defer release()
	counts := map[schema.Group]map[string]int64{}
	for _, g := range []schema.Group{schema.GroupAnnotations, schema.GroupEmbeddings, schema.GroupEntities, schema.GroupViews} {
		counts[g] = map[string]int64{}
		for _, table := range ds.Schema().TablesOf(g) {
			if counts[g][table], err = ds.Count(r.Context(), table, dataset.Query{}); err != nil {
				return err
			}
		}
	}
	writeJSON(w, http.StatusOK, counts)
	return nil
}

func (s *Server) tableCount(w http.ResponseWriter, r *http.Request) error {
	ds, release, err := s.dataset(r)
	if err != nil {
		return err
	}
	defer release()
	n, err := ds.Count(r.Context(), r.PathValue("table"), dataset.Query{})
	if err != nil {
		return err
	}
	writeBody(w, http.StatusOK, "application/json", strconv.AppendInt(nil, n, 10))
	return nil
}

// infoGroups are the groups whose rows are counted for each item.
var infoGroups = []schema.Group{schema.GroupAnnotations, schema.GroupEntities, schema.GroupViews}

// infoTables are the tables whose rows are counted for each item.
func infoTables(ds *dataset.Dataset) []string {
	var tables []string
	for _, g := range infoGroups {
		tables = append(tables, ds.Schema().TablesOf(g)...)
	}
	return tables
}

// appendItemInfo writes the row of the item at a place of a list with its counts.
func appendItemInfo(b []byte, ds *dataset.Dataset, row any, place int, counts map[string][]int64) ([]byte, error) {
	b, err := schema.AppendRow(b, schema.ItemTable, row)
	if err != nil {
		return b, err
	}
	b = append(b[:len(b)-1], `,"info":{`...)
	for i, g := range infoGroups {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(strconv.AppendQuote(b, string(g)), ':'), '{')
		for j, table := range ds.Schema().TablesOf(g) {
			if j > 0 {
				b = append(b, ',')
			}
			b = append(strconv.AppendQuote(b, table), `:{"count":`...)
			b = append(strconv.AppendInt(b, counts[table][place], 10), '}')
		}
		b = append(b, '}')
	}
	return append(b, '}', '}'), nil
}

func (s *Server) itemsInfo(w http.ResponseWriter, r *http.Request) error {
	q, err := queryOf(r)
	if err != nil {
		return err
	}
	sel, err := q.selection(false)
	if err != nil {
		return err
	}
	ds, release, err := s.dataset(r)
	if err != nil {
		return err
	}
	defer release()
	var rows []*schema.Dynamic
	if err := ds.Get(r.Context(), schema.ItemTable, &rows, sel); err != nil {
		return err
	}
	return s.writeItemsInfo(w, r, ds, rows, func(w http.ResponseWriter, b []byte) { writeBody(w, http.StatusOK, "application/json", b) })
}

func (s *Server) writeItemsInfo(w http.ResponseWriter, r *http.Request, ds *dataset.Dataset, rows []*schema.Dynamic, write func(http.ResponseWriter, []byte)) error {
	if len(rows) == 0 {
		return noRows(r, schema.ItemTable)
	}
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i], _ = schema.ID(row)
	}
	counts := map[string][]int64{}
	if tables := infoTables(ds); len(tables) > 0 {
		var err error
		if counts, err = ds.ItemCounts(r.Context(), ids, tables...); err != nil {
			return err
		}
	}
	b := []byte{'['}
	for i, row := range rows {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendItemInfo(b, ds, row, i, counts); err != nil {
			return err
		}
	}
	write(w, append(b, ']'))
	return nil
}

func (s *Server) itemInfo(w http.ResponseWriter, r *http.Request) error {
	ds, release, err := s.dataset(r)
	if err != nil {
		return err
	}
	defer release()
	var rows []*schema.Dynamic
	if _, err := ds.ByID(r.Context(), schema.ItemTable, &rows, r.PathValue("id")); err != nil {
		return err
	}
	return s.writeItemsInfo(w, r, ds, rows, func(w http.ResponseWriter, b []byte) {
		writeBody(w, http.StatusOK, "application/json", b[1:len(b)-1])
	})
}

func (s *Server) listItems(w http.ResponseWriter, r *http.Request) error {
	q, err := queryOf(r)
	if err != nil {
		return err
	}
	sel, err := q.selection(false)
	if err == nil && sel.IDs == nil && sel.Limit == 0 {
		err = badRequest("want ids or a limit")
	}
	if err != nil {
		return err
	}
	sel.Where = ""
	ds, release, err := s.dataset(r)
	if err != nil {
		return err
	}
	defer release()
	out := newList(w)
	if max(sel.Limit, len(sel.IDs)) <= itemsPart {
		var items []dataset.Item
		if err := ds.Items(r.Context(), &items, sel); err != nil {
			return err
		}
		if len(items) == 0 {
			return noRows(r, schema.ItemTable)
		}
		return out.end(addItems(out, ds, items))
	}
	ids, err := ds.IDs(r.Context(), schema.ItemTable, sel)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(ids, itemsPart) {
		var items []dataset.Item
		if _, err := ds.ItemsByID(r.Context(), &items, part...); err != nil {
			return out.end(err)
		}
		if err := addItems(out, ds, items); err != nil {
			return out.end(err)
		}
	}
	if out.n == 0 {
		return noRows(r, schema.ItemTable)
	}
	return out.end(nil)
}

// itemsPart is how many whole items are in memory at a time. Each part costs a scan of the tables.
var itemsPart = 5000

// addItems writes whole items to a list.
func addItems(out *jsonList, ds *dataset.Dataset, items []dataset.Item) error {
	for _, item := range items {
		err := out.add(func(b []byte) ([]byte, error) {
			one, err := schema.MarshalItem(ds.Schema(), item.Item, item.Tables)
			return append(b, one...), err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func writeItems(w http.ResponseWriter, ds *dataset.Dataset, items []dataset.Item) error {
	out := newList(w)
	return out.end(addItems(out, ds, items))
}

func (s *Server) oneItem(w http.ResponseWriter, r *http.Request) error {
	ds, release, err := s.dataset(r)
	if err != nil {
		return err
	}
	defer release()
	var items []dataset.Item
	if _, err := ds.ItemsByID(r.Context(), &items, r.PathValue("id")); err != nil {
		return err
	}
	if len(items) == 0 {
		return noRows(r, schema.ItemTable)
	}
	return writeItem(w, ds, items[0])
}

func writeItem(w http.ResponseWriter, ds *dataset.Dataset, item dataset.Item) error {
	body, err := schema.MarshalItem(ds.Schema(), item.Item, item.Tables)
	if err != nil {
		return err
	}
	writeBody(w, http.StatusOK, "application/json", body)
	return nil
}

// readItems reads the body of a request as whole items.
func readItems(r *http.Request, single bool) ([]*schema.ItemEnvelope, error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	parts, err := listBody(body, single)
	if err != nil {
		return nil, err
	}
	items := make([]*schema.ItemEnvelope, len(parts))
	c := &checker{}
	for i, part := range parts {
		loc := []any{"body"}
		if !single {
			loc = append(loc, i)
		}
		if c.item(part, loc); len(c.mistakes) > 0 {
			continue
		}
		if items[i], err = schema.ParseItem(part); err != nil {
			c.mistakes = append(c.mistakes, valueError(loc, part, err))
		}
	}
	if len(c.mistakes) > 0 {
		return nil, c.mistakes
	}
	return items, nil
}

// item looks at the shape of a whole item.
func (c *checker) item(raw json.RawMessage, loc []any) {
	m, ok := object(raw)
	if !ok {
		c.add("model_attributes_type", "want an object, an item", raw, loc, nil)
		return
	}
	c.text(m, "id", raw, loc)
	if row, ok := m["item"]; !ok {
		c.add("missing", "want the item's row", raw, below(loc, "item"), nil)
	} else {
		c.row(row, below(loc, "item"), schema.GroupItem)
	}
	for _, g := range []schema.Group{schema.GroupEntities, schema.GroupAnnotations, schema.GroupViews} {
		tables, ok := m[string(g)]
		if !ok {
			continue
		}
		at := below(loc, string(g))
		byTable, ok := object(tables)
		if !ok {
			c.add("dict_type", "want an object of tables", tables, at, nil)
			continue
		}
		for _, table := range slices.Sorted(maps.Keys(byTable)) {
			rows := bytes.TrimSpace(byTable[table])
			switch {
			case string(rows) == "null":
			case rows[0] == '[':
				var list []json.RawMessage
				_ = json.Unmarshal(rows, &list) // it is JSON
				for i, row := range list {
					c.row(row, below(at, table, i), g)
				}
			default:
				c.row(rows, below(at, table), g)
			}
		}
	}
}

// decodeItem makes the rows of an item.
func decodeItem(ds *dataset.Dataset, e *schema.ItemEnvelope) (dataset.Item, error) {
	row, err := decodeRow(ds, schema.ItemTable, e.Item)
	if err != nil {
		return dataset.Item{}, err
	}
	item := dataset.Item{ID: e.Item.ID, Item: row, Tables: map[string]any{}}
	for _, t := range e.Tables {
		rows := make([]*schema.Dynamic, len(t.Rows))
		for i, env := range t.Rows {
			if rows[i], err = decodeRow(ds, t.Name, env); err != nil {
				return item, err
			}
		}
		item.Tables[t.Name] = rows
	}
	return item, nil
}

func (s *Server) postItems(w http.ResponseWriter, r *http.Request) error {
	return s.storeItems(w, r, dataset.Insert)
}

func (s *Server) putItems(w http.ResponseWriter, r *http.Request) error {
	return s.storeItems(w, r, dataset.Put)
}

// storeItems stores whole items. As in the reference, references are not checked.
func (s *Server) storeItems(w http.ResponseWriter, r *http.Request, change func(table string, rows any) dataset.Change) error {
	id := r.PathValue("id")
	envelopes, err := readItems(r, id != "")
	if err != nil {
		return err
	}
	if id != "" && envelopes[0].ID != id {
		return badRequest("the id in the path is %q, that in the body %q", id, envelopes[0].ID)
	}
	ds, release, err := s.dataset(r)
	if err != nil {
		return err
	}
	defer release()
	cs := dataset.ChangeSet{Author: r.Header.Get(authorHeader)}
	var ids []string
	for _, e := range envelopes {
		item, err := decodeItem(ds, e)
		if err != nil {
			return err
		}
		ids = append(ids, item.ID)
		cs.Changes = append(cs.Changes, change(schema.ItemTable, item.Item))
		for _, table := range slices.Sorted(maps.Keys(item.Tables)) {
			cs.Changes = append(cs.Changes, change(table, item.Tables[table]))
		}
	}
	if _, err := s.apply(r.Context(), ds.WithChecks(dataset.Checks{Mode: dataset.CheckNone}), cs); err != nil {
		return err
	}
	var items []dataset.Item
	if _, err := ds.ItemsByID(r.Context(), &items, ids...); err != nil {
		return err
	}
	if id != "" && len(items) == 1 {
		return writeItem(w, ds, items[0])
	}
	return writeItems(w, ds, items)
}

func (s *Server) deleteItems(w http.ResponseWriter, r *http.Request) error {
	q, err := queryOf(r)
	if err != nil {
		return err
	}
	ids := q.required("ids")
	if err := q.err(); err != nil {
		return err
	}
	return s.deleteItemIDs(w, r, ids)
}

func (s *Server) deleteItem(w http.ResponseWriter, r *http.Request) error {
	return s.deleteItemIDs(w, r, []string{r.PathValue("id")})
}

func (s *Server) deleteItemIDs(w http.ResponseWriter, r *http.Request, ids []string) error {
	ds, release, err := s.dataset(r)
	if err != nil {
		return err
	}
	defer release()
	if _, err := ds.DeleteItems(r.Context(), ids...); err != nil {
		return err
	}
	s.events.reread(ds)
	writeBody(w, http.StatusOK, "application/json", []byte("null"))
	return nil
}
