package lance

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
)

const changeColumns = "change the columns of"

// AddColumns adds columns computed from the others, in one commit, and returns the new version.
func (t *Table) AddColumns(ctx context.Context, columns []Expr) (uint64, error) {
	pairs := make([][2]string, len(columns))
	for i, c := range columns {
		pairs[i] = [2]string{c.Name, c.SQL}
	}
	return t.version(ctx, changeColumns, fnColumns, struct {
		Op      string      `json:"op"`
		Columns [][2]string `json:"columns"`
	}{"add", pairs})
}

// AddNullColumns adds the columns of a schema, null in every row, without writing data, and returns the new
// version.
func (t *Table) AddNullColumns(ctx context.Context, columns *arrow.Schema) (uint64, error) {
	return t.columns(ctx, opRequest{Op: "add_schema"}, columns)
}

// Alteration changes one column.
type Alteration struct {
	Path     string         // the column; "a.b" is a field of a struct
	Rename   string         // its new name; "": as it is
	Nullable *bool          // nil: as it is; a column that was nullable cannot be made not null
	Type     arrow.DataType // the type to convert it to; nil: as it is
}

// AlterColumns renames columns and changes their types in one commit, and returns the new version.
func (t *Table) AlterColumns(ctx context.Context, alterations ...Alteration) (uint64, error) {
	type alteration struct {
		Path     string  `json:"path"`
		Rename   *string `json:"rename"`
		Nullable *bool   `json:"nullable"`
		DataType *int    `json:"data_type"`
	}
	request := struct {
		Op          string       `json:"op"`
		Alterations []alteration `json:"alterations"`
	}{"alter", []alteration{}}
	var types []arrow.Field
	for _, a := range alterations {
		j := alteration{Path: a.Path, Rename: optional(a.Rename), Nullable: a.Nullable}
		if a.Type != nil {
			j.DataType = new(len(types))
			types = append(types, arrow.Field{Name: a.Path, Type: a.Type, Nullable: true})
		}
		request.Alterations = append(request.Alterations, j)
	}
	return t.columns(ctx, request, arrow.NewSchema(types, nil))
}

// DropColumns removes columns in one commit and returns the new version. The data goes with the next
// compaction.
func (t *Table) DropColumns(ctx context.Context, columns ...string) (uint64, error) {
	return t.version(ctx, changeColumns, fnColumns, struct {
		Op      string   `json:"op"`
		Columns []string `json:"columns"`
	}{"drop", nonNil(columns)})
}

// columns makes a request that comes with a schema.
func (t *Table) columns(ctx context.Context, request any, schema *arrow.Schema) (uint64, error) {
	a := t.args(changeColumns, request)
	body, err := encodeSchema(schema)
	if err != nil {
		return 0, dataError(a, err)
	}
	a.body = body
	var answer struct {
		Version uint64 `json:"version"`
	}
	err = t.h.json(ctx, fnColumns, a, &answer)
	return answer.Version, err
}
