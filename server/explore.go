package server

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"pixano/dataset"
	"pixano/internal/imaging"
	"pixano/schema"
	"pixano/search"
)

// maxPage bounds the pages of the additive routes, in items or rows.
const maxPage = 1000

// textShownInList is how many characters of a text a list of items has.
const textShownInList = 300

// ViewCell is what a list of items shows of a view.
type ViewCell struct {
	ID     string `json:"id" doc:"of the first row of the view"`
	URL    string `json:"url,omitempty" doc:"of the file, for /dataset_media/{dataset}/{url}?w="`
	Width  int64  `json:"width,omitempty"`
	Height int64  `json:"height,omitempty"`
	Text   string `json:"text,omitempty" doc:"the beginning of a text"`
}

// ItemCell is an item in a list.
type ItemCell struct {
	Row      Row                 `json:"row"`
	Views    map[string]ViewCell `json:"views,omitempty" doc:"by table; a view that the item does not have is left out"`
	Counts   map[string]int64    `json:"counts,omitempty" doc:"rows by table"`
	Distance *float64            `json:"distance,omitempty" doc:"of a search; smaller is nearer"`
}

// ItemsPage is some of the items of a query.
type ItemsPage struct {
	Body struct {
		Items  []ItemCell `json:"items"`
		Offset int        `json:"offset" doc:"of the first one"`
		Total  *int64     `json:"total,omitempty" doc:"of the query, if asked for"`
	}
}

// Search orders items by how well they fit: by vectors, by words, or by both.
type Search struct {
	Table  string         `json:"table" doc:"of embeddings; of words alone, of texts"`
	Text   string         `json:"text,omitempty" doc:"what to look for, in words, by the model that the table names"`
	Like   string         `json:"like,omitempty" doc:"id of a row of the table, of a view or of an item: what is like it"`
	Vector []float32      `json:"vector,omitempty" doc:"of the length of the table's vectors"`
	Words  *search.Words  `json:"words,omitempty" doc:"words to look for in texts"`
	Metric dataset.Metric `json:"metric,omitempty" enum:"l2,cosine,dot"`
	Exact  bool           `json:"exact,omitempty" doc:"compare with every vector even where there is an index"`
}

// query makes a search among the items of a query.
func (f Search) query(items dataset.Query) search.Query {
	q := search.Query{Table: f.Table, Text: f.Text, Like: f.Like, Vector: f.Vector, Words: f.Words, Metric: f.Metric, Exact: f.Exact}
	q.Filter = dataset.Query{ItemIDs: items.ItemIDs, Has: items.Has}
	if items.IDs != nil {
		q.Filter.ItemIDs = items.IDs
	}
	if items.Where != "" {
		q.Filter.Has = append(slices.Clip(q.Filter.Has), dataset.Has{Table: schema.ItemTable, Where: items.Where, Args: items.Args})
	}
	return q
}

// searcher returns the searches of a dataset.
func (s *Server) searcher(ds *dataset.Dataset) *search.Searcher {
	searcher := search.New(ds, nil)
	if s.opts.Models != nil {
		searcher = searcher.WithModels(s.opts.Models)
	}
	return searcher
}

func (s *Server) routePictures() {
	op := operation("POST", "/picture_vector/{dataset}/{table}", "embedPicture", "explorer", "The vector of a picture, to search for what is like it")
	op.Description = "The body is the file: JPEG, PNG, GIF, WebP, BMP or TIFF. Its vector is by the model that the table names, and goes as vector into a search."
	huma.Register(s.api, op, func(ctx context.Context, in *struct {
		TablePath
		RawBody []byte `contentType:"image/*" required:"true"`
	}) (*struct {
		Body struct {
			Vector []float32 `json:"vector"`
		}
	}, error) {
		type out = struct {
			Body struct {
				Vector []float32 `json:"vector"`
			}
		}
		return with(s, ctx, in.DatasetPath, func(ds *dataset.Dataset) (*out, error) {
			if _, err := ds.Version(ctx, in.Table); err != nil {
				return nil, err
			}
			picture, _, err := imaging.Decode(bytes.NewReader(in.RawBody))
			if err != nil {
				return nil, badRequest("the body is no picture that can be read: %v", err)
			}
			vector, err := s.searcher(ds).ImageVector(ctx, in.Table, picture)
			o := &out{}
			o.Body.Vector = vector
			return o, err
		})
	})
}

func (s *Server) routeExplore() {
	s.routePictures()
	op := operation("POST", "/explore/{dataset}", "exploreItems", "explorer", "A page of items under any filter and order, or of a search")
	op.Description = "The limit is at most 1000; 0 stands for 100. A search takes the place of an order, and its items are those of the query."
	huma.Register(s.api, op, func(ctx context.Context, in *struct {
		DatasetPath
		Body struct {
			Query  dataset.Query `json:"query,omitempty"`
			Search *Search       `json:"search,omitempty"`
			With   []string      `json:"with,omitempty" enum:"views,counts,total" doc:"what else to tell"`
		}
	}) (*ItemsPage, error) {
		return with(s, ctx, in.DatasetPath, func(ds *dataset.Dataset) (*ItemsPage, error) {
			return s.explore(ctx, ds, in.Body.Query, in.Body.Search, in.Body.With)
		})
	})
	huma.Register(s.api, operation("POST", "/count/{dataset}/{table}", "countRows", "explorer", "How many rows a query selects"), func(ctx context.Context, in *struct {
		TablePath
		Body dataset.Query
	}) (*struct {
		Body struct {
			Count int64 `json:"count"`
		}
	}, error) {
		type out = struct {
			Body struct {
				Count int64 `json:"count"`
			}
		}
		return with(s, ctx, in.DatasetPath, func(ds *dataset.Dataset) (*out, error) {
			n, err := ds.Count(ctx, in.Table, in.Body)
			o := &out{}
			o.Body.Count = n
			return o, err
		})
	})
	huma.Register(s.api, operation("POST", "/neighbours/{dataset}", "findNeighbours", "explorer", "The items before and after one in the order of a query"), func(ctx context.Context, in *struct {
		DatasetPath
		Body struct {
			ID     string        `json:"id" doc:"of the item"`
			Query  dataset.Query `json:"query,omitempty"`
			Search *Search       `json:"search,omitempty"`
			Before int           `json:"before,omitempty" default:"20" minimum:"0" maximum:"1000"`
			After  int           `json:"after,omitempty" default:"20" minimum:"0" maximum:"1000"`
		}
	}) (*Neighbours, error) {
		return with(s, ctx, in.DatasetPath, func(ds *dataset.Dataset) (*Neighbours, error) {
			all, _, err := s.found(ctx, ds, in.Body.Query, in.Body.Search)
			if err != nil {
				return nil, err
			}
			out := &Neighbours{}
			out.Body.Total = len(all.ids)
			out.Body.Before, out.Body.After = []string{}, []string{}
			i, ok := all.place[in.Body.ID]
			if out.Body.Index = i; !ok {
				out.Body.Index = -1
				return out, nil
			}
			out.Body.Before = all.ids[max(0, i-in.Body.Before):i]
			out.Body.After = all.ids[i+1 : min(len(all.ids), i+1+in.Body.After)]
			return out, nil
		})
	})
	huma.Register(s.api, operation("POST", "/facets/{dataset}/{table}", "countFacets", "explorer", "How the values of fields are spread over the rows of a query"), func(ctx context.Context, in *struct {
		TablePath
		Body struct {
			Fields  []string             `json:"fields" minItems:"1" maxItems:"100"`
			Query   dataset.Query        `json:"query,omitempty"`
			Options dataset.FacetOptions `json:"options,omitempty"`
		}
	}) (*FacetList, error) {
		return with(s, ctx, in.DatasetPath, func(ds *dataset.Dataset) (*FacetList, error) {
			facets, err := ds.Facets(ctx, in.Table, in.Body.Fields, in.Body.Query, &in.Body.Options)
			out := &FacetList{}
			out.Body.Facets = facets
			return out, err
		})
	})
	similar := operation("POST", "/similar/{dataset}", "findSimilar", "explorer", "Rows, or items, that fit a text, a vector, an example or words, best first")
	huma.Register(s.api, similar, func(ctx context.Context, in *struct {
		DatasetPath
		Body struct {
			Search
			Filter dataset.Query `json:"filter,omitempty" doc:"of the items to search among; its order, limit and offset make no difference"`
			ByItem bool          `json:"by_item,omitempty" doc:"one hit for each item: its nearest row"`
			Limit  int           `json:"limit,omitempty" default:"50" minimum:"1" maximum:"1000"`
			Offset int           `json:"offset,omitempty" minimum:"0"`
		}
	}) (*HitList, error) {
		return with(s, ctx, in.DatasetPath, func(ds *dataset.Dataset) (*HitList, error) {
			ask := in.Body.Search.query(in.Body.Filter)
			ask.ByRow, ask.Limit, ask.Offset = !in.Body.ByItem, in.Body.Limit, in.Body.Offset
			res, err := s.searcher(ds).Search(ctx, ask)
			out := &HitList{}
			out.Body.Hits, out.Body.Index = append([]search.Hit{}, res.Hits...), res.Index
			return out, err
		})
	})
}

// TablePath names a table of a dataset in a path.
type TablePath struct {
	DatasetPath
	Table string `path:"table"`
}

// Neighbours are the items around one in the order of a query.
type Neighbours struct {
	Body struct {
		Index  int      `json:"index" doc:"of the item, from 0; -1: the query does not select it"`
		Total  int      `json:"total"`
		Before []string `json:"before" doc:"ids, the nearest last"`
		After  []string `json:"after" doc:"ids, the nearest first"`
	}
}

// FacetList is facets in the order of the fields asked for.
type FacetList struct {
	Body struct {
		Facets []dataset.Facet `json:"facets"`
	}
}

// HitList is hits, nearest first.
type HitList struct {
	Body struct {
		Hits  []search.Hit `json:"hits"`
		Index string       `json:"index,omitempty" doc:"the index that was used; empty: every vector was compared"`
	}
}

// found returns the ids of all items of a query or a search, the latter with the distances of those of a page.
func (s *Server) found(ctx context.Context, ds *dataset.Dataset, q dataset.Query, by *Search) (*idList, map[string]float64, error) {
	if by == nil {
		all, err := s.items(ctx, ds, q)
		return all, nil, err
	}
	ask := by.query(q)
	ask.Ranking, ask.Limit, ask.Offset = true, q.Limit, q.Offset
	res, err := s.searcher(ds).Search(ctx, ask)
	if err != nil {
		return nil, nil, err
	}
	distances := map[string]float64{}
	for _, h := range res.Hits {
		if h.VectorRank != 0 {
			distances[h.ItemID] = h.Distance
		}
	}
	all, err := newIDList(res.Ranking)
	return all, distances, err
}

// explore reads a page of items.
func (s *Server) explore(ctx context.Context, ds *dataset.Dataset, q dataset.Query, by *Search, extra []string) (*ItemsPage, error) {
	q.Limit = cmp.Or(q.Limit, 100)
	if q.Limit < 0 || q.Limit > maxPage || q.Offset < 0 {
		return nil, badRequest("limit %d, offset %d: want a limit from 1 to %d and an offset of at least 0", q.Limit, q.Offset, maxPage)
	}
	if len(q.Columns) > 0 {
		return nil, badRequest("columns: items are told with all of them")
	}
	out := &ItemsPage{}
	out.Body.Offset = q.Offset
	var rows []*schema.Dynamic
	var distances map[string]float64
	if by != nil {
		all, found, err := s.found(ctx, ds, q, by)
		if err != nil {
			return nil, err
		}
		if _, err := ds.ByID(ctx, schema.ItemTable, &rows, all.page(q.Offset, q.Limit)...); err != nil {
			return nil, err
		}
		distances = found
		if total := int64(len(all.ids)); slices.Contains(extra, "total") {
			out.Body.Total = &total
		}
	} else {
		if err := ds.Get(ctx, schema.ItemTable, &rows, q); err != nil {
			return nil, err
		}
		if slices.Contains(extra, "total") {
			total, err := ds.Count(ctx, schema.ItemTable, q)
			if err != nil {
				return nil, err
			}
			out.Body.Total = &total
		}
	}
	ids := make([]string, len(rows))
	out.Body.Items = make([]ItemCell, len(rows))
	for i, row := range rows {
		var err error
		if ids[i], err = schema.ID(row); err != nil {
			return nil, err
		}
		cell := &out.Body.Items[i]
		if cell.Row, err = schema.MarshalRow(schema.ItemTable, row); err != nil {
			return nil, err
		}
		if d, ok := distances[ids[i]]; ok {
			cell.Distance = &d
		}
	}
	if tables := infoTables(ds); len(tables) > 0 && len(ids) > 0 && slices.Contains(extra, "counts") {
		counts, err := ds.ItemCounts(ctx, ids, tables...)
		if err != nil {
			return nil, err
		}
		for i := range ids {
			out.Body.Items[i].Counts = make(map[string]int64, len(tables))
			for _, table := range tables {
				out.Body.Items[i].Counts[table] = counts[table][i]
			}
		}
	}
	if len(ids) > 0 && slices.Contains(extra, "views") {
		for _, view := range ds.Schema().TablesOf(schema.GroupViews) {
			cells, err := viewsOf(ctx, ds, view, ids)
			if err != nil {
				return nil, err
			}
			for i, id := range ids {
				if cell, ok := cells[id]; ok {
					if out.Body.Items[i].Views == nil {
						out.Body.Items[i].Views = map[string]ViewCell{}
					}
					out.Body.Items[i].Views[view] = cell
				}
			}
		}
	}
	return out, nil
}

// viewsOf returns the first row of a view of each of the items that has one.
func viewsOf(ctx context.Context, ds *dataset.Dataset, view string, ids []string) (map[string]ViewCell, error) {
	class, _ := ds.Schema().Class(view)
	columns := []string{"id", "item_ref.id"}
	for _, name := range []string{"url", "width", "height", "content"} {
		if _, _, ok := class.Field(name); ok {
			columns = append(columns, name)
		}
	}
	cells := map[string]ViewCell{}
	for row, err := range ds.Rows(ctx, view, dataset.Query{ItemIDs: ids, Columns: columns}) {
		if err != nil {
			return nil, err
		}
		item, _ := row.At(1).(string)
		if _, again := cells[item]; again {
			continue
		}
		cell := ViewCell{ID: row.ID()}
		cell.URL, _ = row.Value("url").(string)
		cell.Width, _ = row.Value("width").(int64)
		cell.Height, _ = row.Value("height").(int64)
		if text, ok := row.Value("content").(string); ok {
			cell.Text = string([]rune(text)[:min(textShownInList, len([]rune(text)))])
		}
		cells[item] = cell
	}
	return cells, nil
}
