package lance

import (
	"context"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
)

// Table is an open table. It sees one version: the one it was opened at, and those it writes itself; see
// [Table.CheckoutLatest] and [ConnectOptions.ReadConsistency] for those of others.
//
// It is safe for concurrent use.
type Table struct {
	h    *handle
	name string
}

func newTable(name string, answer reply) *Table {
	return &Table{h: newHandle(answer.handle), name: name}
}

func (t *Table) args(op string, request any) args {
	return args{op: op, table: t.name, request: request}
}

// Name returns the table's name.
func (t *Table) Name() string { return t.name }

// Schema returns the columns of the version seen, with schema and field metadata.
func (t *Table) Schema(ctx context.Context) (*arrow.Schema, error) {
	a := t.args("schema of", nil)
	answer, err := t.h.call(ctx, fnSchema, a)
	if err != nil {
		return nil, err
	}
	return decodeSchema(a, answer.data)
}

// Version returns the version that reads of this handle see.
func (t *Table) Version(ctx context.Context) (uint64, error) {
	return t.version(ctx, "version of", fnVersions, opRequest{Op: "current"})
}

type opRequest struct {
	Op string `json:"op"`
}

// version makes a call that answers with a version.
func (t *Table) version(ctx context.Context, op string, fn function, request any) (uint64, error) {
	var answer struct {
		Version uint64 `json:"version"`
	}
	err := t.h.json(ctx, fn, t.args(op, request), &answer)
	return answer.Version, err
}

// TableInfo is what is known of a table without reading its rows.
type TableInfo struct {
	Name           string
	URI            string
	Version        uint64 // the version seen
	LatestVersion  uint64 // the newest version there is
	Timestamp      time.Time
	StorageVersion string // format of the data files: "2.0"
	V2Manifests    bool   // manifests are named so that the newest is found at once
	Rows           int64
	DeletedRows    int64 // still in the files, until compaction
	Fragments      int
	DataFiles      int
	SmallFiles     int               // fragments that compaction would join
	Bytes          int64             // size of the data files; -1 without stats
	Files          []string          // paths of the data files, relative to the table; nil without stats
	Config         map[string]string // the table's configuration
	Metadata       map[string]string // the table's metadata
	SchemaMetadata map[string]string
	PrimaryKey     []string // columns marked as the unenforced primary key
	Columns        []ColumnInfo
}

// ColumnInfo describes a column.
type ColumnInfo struct {
	Name     string
	Type     string // in the engine's words
	Nullable bool
}

// Info returns what is known of the version seen. With stats it also measures the files, which asks the
// storage for each.
func (t *Table) Info(ctx context.Context, stats bool) (TableInfo, error) {
	var answer struct {
		Name           string            `json:"name"`
		URI            string            `json:"uri"`
		Version        uint64            `json:"version"`
		LatestVersion  uint64            `json:"latest_version"`
		StorageVersion string            `json:"storage_version"`
		V2Manifests    bool              `json:"manifest_paths_v2"`
		Rows           int64             `json:"rows"`
		DeletedRows    int64             `json:"deleted_rows"`
		Fragments      int               `json:"fragments"`
		DataFiles      int               `json:"data_files"`
		Bytes          *int64            `json:"bytes"`
		Files          []string          `json:"files"`
		Config         map[string]string `json:"config"`
		Metadata       map[string]string `json:"metadata"`
		SchemaMetadata map[string]string `json:"schema_metadata"`
		TimestampMS    int64             `json:"timestamp_ms"`
		SmallFiles     int               `json:"small_files"`
		PrimaryKey     []string          `json:"unenforced_primary_key"`
		Columns        []struct {
			Name     string `json:"name"`
			Nullable bool   `json:"nullable"`
			Type     string `json:"type"`
		} `json:"columns"`
	}
	request := struct {
		Stats bool `json:"stats"`
	}{stats}
	if err := t.h.json(ctx, fnTableInfo, t.args("info of", request), &answer); err != nil {
		return TableInfo{}, err
	}
	info := TableInfo{
		Name: answer.Name, URI: answer.URI, Version: answer.Version, LatestVersion: answer.LatestVersion,
		Timestamp: fromMillis(answer.TimestampMS), StorageVersion: answer.StorageVersion, V2Manifests: answer.V2Manifests,
		Rows: answer.Rows, DeletedRows: answer.DeletedRows, Fragments: answer.Fragments, DataFiles: answer.DataFiles,
		SmallFiles: answer.SmallFiles, Bytes: -1, Files: answer.Files, Config: answer.Config, Metadata: answer.Metadata,
		SchemaMetadata: answer.SchemaMetadata, PrimaryKey: answer.PrimaryKey,
	}
	if answer.Bytes != nil {
		info.Bytes = *answer.Bytes
	}
	for _, c := range answer.Columns {
		info.Columns = append(info.Columns, ColumnInfo{Name: c.Name, Type: c.Type, Nullable: c.Nullable})
	}
	return info, nil
}

// Metadata is what [Table.SetMetadata] changes; nil parts stay as they are.
type Metadata struct {
	Schema map[string]string            // replaces the schema's metadata
	Fields map[string]map[string]string // replaces the metadata of the columns named
	Config map[string]*string           // merged into the configuration; nil removes a key
}

// SetMetadata changes schema metadata, field metadata and configuration in one commit and returns the new
// version.
func (t *Table) SetMetadata(ctx context.Context, m Metadata, opts *WriteOptions) (uint64, error) {
	return t.version(ctx, "set metadata of", fnSetMetadata, struct {
		Schema map[string]string            `json:"schema"`
		Fields map[string]map[string]string `json:"fields,omitempty"`
		Config map[string]*string           `json:"config,omitempty"`
		Opts   commitJSON                   `json:"opts"`
	}{m.Schema, m.Fields, m.Config, opts.commit(0)})
}

// Close closes the table. Readers made from it go on. It may be repeated.
func (t *Table) Close() error { return t.h.close() }
