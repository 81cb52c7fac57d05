package server

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"pixano/dataset"
	"pixano/schema"
)

func (s *Server) routeBrowser() {
	s.refer("GET", "/browser/{dataset}", s.browse)
	s.refer("GET", "/browser/item_ids/{dataset}", s.browseIDs)
}

func (s *Server) browseIDs(w http.ResponseWriter, r *http.Request) error {
	ds, release, err := s.dataset(r)
	if err != nil {
		return err
	}
	defer release()
	ids, err := ds.IDs(r.Context(), schema.ItemTable, dataset.Query{})
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, append([]string{}, ids...))
	return nil
}

// pageColumn is a column of the explorer's table.
type pageColumn struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// page is a page of the explorer. The reference's web interface accepts no other key, and wants all of them.
type page struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	TableData struct {
		Columns []pageColumn      `json:"columns"`
		Rows    []json.RawMessage `json:"rows"`
	} `json:"table_data"`
	Pagination struct {
		CurrentPage int   `json:"current_page"`
		PageSize    int   `json:"page_size"`
		TotalSize   int64 `json:"total_size"`
	} `json:"pagination"`
	SemanticSearch []string `json:"semantic_search"`

	itemIDs []byte // "item_ids", all of the result as JSON; nil: they were not asked for
}

// json is a page's JSON. The ids are put in as they are: the encoder would read all of them again.
func (p *page) json() ([]byte, error) {
	b, err := marshal(p)
	if err != nil || p.itemIDs == nil {
		return b, err
	}
	return slices.Concat(b[:len(b)-1], []byte(`,"item_ids":`), p.itemIDs, []byte{'}'}), nil
}

func (s *Server) browse(w http.ResponseWriter, r *http.Request) error {
	q, err := queryOf(r)
	if err != nil {
		return err
	}
	limit, skip := q.atLeast("limit", 50, 1), q.atLeast("skip", 0, 0)
	if err := q.err(); err != nil {
		return err
	}
	if q.has("query") != q.has("embedding_table") {
		return badRequest("a search wants both query and embedding_table")
	}
	where, hasWhere := q.text("where")
	if hasWhere && where == "" {
		return badRequest("where is empty: want a condition")
	}
	ds, release, err := s.dataset(r)
	if err != nil {
		return err
	}
	defer release()
	out := page{ID: ds.Info().ID, Name: ds.Info().Name}
	out.Pagination.CurrentPage, out.Pagination.PageSize = skip, limit
	if out.Pagination.TotalSize, err = ds.Count(r.Context(), schema.ItemTable, dataset.Query{}); err != nil {
		return err
	}
	if int64(skip) >= max(out.Pagination.TotalSize, 1) {
		return badRequest("skip %d: there are %d items", skip, out.Pagination.TotalSize)
	}
	out.SemanticSearch = searchable(ds)
	all, distances, err := s.browsed(r, ds, q, dataset.Query{Where: where, OrderBy: orderOf(ds, q)}, skip, min(limit, int(out.Pagination.TotalSize)))
	if err != nil {
		return err
	}
	ids := all.page(skip, limit)
	if len(ids) == 0 && distances == nil {
		return noRows(r, schema.ItemTable)
	}
	if wanted, _ := q.text("item_ids"); wanted != "false" {
		out.itemIDs = all.json
	}
	if err := s.fillPage(r, ds, &out, ids, distances); err != nil {
		return err
	}
	body, err := out.json()
	if err != nil {
		return err
	}
	writeBody(w, http.StatusOK, "application/json", body)
	return nil
}

// browsed returns the items of a page's query or, where a text is searched, of that search, with the distances of those of
// the page.
func (s *Server) browsed(r *http.Request, ds *dataset.Dataset, q *query, sel dataset.Query, skip, limit int) (*idList, map[string]float64, error) {
	text, byText := q.text("query")
	if !byText {
		all, err := s.items(r.Context(), ds, sel)
		return all, nil, err
	}
	table, _ := q.text("embedding_table")
	if !slices.Contains(searchable(ds), table) {
		return nil, nil, badRequest("embedding_table %q: want one of %s", table, strings.Join(searchable(ds), ", "))
	}
	res, err := s.searcher(ds).Semantic(r.Context(), text, table, skip+limit)
	if err != nil {
		return nil, nil, badRequest("embedding_table %q: %v", table, err)
	}
	distances := map[string]float64{}
	for _, h := range res.Hits {
		distances[h.ItemID] = h.Distance
	}
	all, err := newIDList(res.Ranking)
	return all, distances, err
}

// searchable lists the tables of view embeddings, sorted.
func searchable(ds *dataset.Dataset) []string {
	names := []string{}
	for _, t := range ds.Tables() {
		if schema.IsA(t.BaseSchema, "ViewEmbedding") {
			names = append(names, t.Name)
		}
	}
	slices.Sort(names)
	return names
}

// orderOf reads sortcol and order. As in the reference, one without the other and unknown columns are ignored.
func orderOf(ds *dataset.Dataset, q *query) string {
	column, _ := q.text("sortcol")
	order, ok := q.text("order")
	if !ok || column == "" {
		return ""
	}
	direction := " asc"
	if order == "desc" {
		direction = " desc"
	}
	if table, counts := strings.CutPrefix(column, "#"); counts {
		if _, ok := ds.Schema().Group(table); !ok {
			return ""
		}
		return "#" + quoteName(table) + direction
	}
	class, _ := ds.Schema().Class(schema.ItemTable)
	f, _, ok := class.Field(column)
	if !ok || f.Type.Collection || f.Type.Name == schema.TypeFixedSizeList || f.Type.Fields() != nil {
		return ""
	}
	return quoteName(column) + direction
}

func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// pythonType is the name of a column's type in the explorer.
func pythonType(t schema.FieldType) string {
	if t.Collection || t.Name == schema.TypeFixedSizeList {
		return "list"
	}
	return t.Name
}

// fillPage reads columns and rows of a page.
func (s *Server) fillPage(r *http.Request, ds *dataset.Dataset, out *page, ids []string, distances map[string]float64) error {
	views := slices.Sorted(slices.Values(ds.Schema().TablesOf(schema.GroupViews)))
	class, _ := ds.Schema().Class(schema.ItemTable)
	out.TableData.Columns = []pageColumn{}
	for _, view := range views {
		out.TableData.Columns = append(out.TableData.Columns, pageColumn{view, "image"})
	}
	for _, f := range class.Fields {
		out.TableData.Columns = append(out.TableData.Columns, pageColumn{f.Name, pythonType(f.Type)})
	}
	if distances != nil {
		out.TableData.Columns = append(out.TableData.Columns, pageColumn{"distance", "float"})
	}
	var rows []*schema.Dynamic
	if _, err := ds.ByID(r.Context(), schema.ItemTable, &rows, ids...); err != nil {
		return err
	}
	cells := make([]map[string]string, len(views))
	for i, view := range views {
		var err error
		if cells[i], err = s.viewCells(r, ds, view, ids); err != nil {
			return err
		}
	}
	out.TableData.Rows = make([]json.RawMessage, len(rows))
	for i, row := range rows {
		id, err := schema.ID(row)
		if err != nil {
			return err
		}
		b := []byte{'{'}
		for j, view := range views {
			if cell, ok := cells[j][id]; ok {
				key, _ := marshal(view)
				value, _ := marshal(cell)
				b = append(append(append(append(b, key...), ':'), value...), ',')
			}
		}
		if distances != nil {
			d, _ := json.Marshal(distances[id])
			b = append(append(append(b, `"distance":`...), d...), ',')
		}
		flat, err := schema.EncodeJSON(row)
		if err != nil {
			return err
		}
		out.TableData.Rows[i] = append(b, flat[1:]...)
	}
	return nil
}

// viewCells returns what the explorer shows of a view for each of the items that has one: the address of a thumbnail,
// "" if the file is missing, or a picture of a text.
func (s *Server) viewCells(r *http.Request, ds *dataset.Dataset, view string, ids []string) (map[string]string, error) {
	class, _ := ds.Schema().Class(view)
	column, shows := "url", schema.IsA(class.Base, "Image")
	isText := schema.IsA(class.Base, "Text")
	if isText {
		column, shows = "content", true
	}
	columns := []string{"item_ref.id"}
	if shows {
		columns = append(columns, column)
	}
	cells := map[string]string{}
	for row, err := range ds.Rows(r.Context(), view, dataset.Query{ItemIDs: append([]string{}, ids...), Columns: columns}) {
		if err != nil {
			return nil, err
		}
		id, _ := row.At(0).(string)
		if _, again := cells[id]; again {
			continue
		}
		var value string
		if shows {
			value, _ = row.At(1).(string)
		}
		switch {
		case !shows:
			cells[id] = ""
		case isText:
			cells[id] = textPicture(value)
		default:
			cells[id] = s.thumbnailURL(r, ds, value)
		}
	}
	return cells, nil
}

// thumbnailURL returns the address of the thumbnail of a file, or "" if it cannot be opened.
func (s *Server) thumbnailURL(r *http.Request, ds *dataset.Dataset, name string) string {
	file, err := ds.OpenMedia(name)
	if err != nil {
		return ""
	}
	file.Close()
	address := origin(r) + s.prefix() + "/thumbnail/" + base64.URLEncoding.EncodeToString([]byte(name))
	if s.opts.MediaDir == "" { // each dataset has a directory of its own
		address += "?dataset=" + url.QueryEscape(ds.Info().ID)
	}
	return address
}

// origin is scheme and host of a request.
func origin(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return cmp.Or(r.Header.Get("X-Forwarded-Proto"), scheme) + "://" + r.Host
}
