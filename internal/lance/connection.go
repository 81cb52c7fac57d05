package lance

import (
	"context"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// Connection is an open database: a directory or object-store prefix with one table per NAME.lance folder.
// The tables opened through it share its caches, and stay usable when it is closed.
//
// It is safe for concurrent use.
type Connection struct {
	h   *handle
	uri string
}

// EveryRead as [ConnectOptions.ReadConsistency] makes each read look for a newer version first.
const EveryRead time.Duration = -1

// ConnectOptions are the options of [Connect]. Nil and the zero value are the defaults.
type ConnectOptions struct {
	// StorageOptions are settings and credentials of the object store, named as the engine names them
	// ("aws_access_key_id", "aws_endpoint", "allow_http" …). Nil for local directories.
	StorageOptions map[string]string

	// ReadConsistency says when a table handle looks for versions that others wrote. 0: only when asked, by
	// [Table.CheckoutLatest]. Positive: before a read when the last look is at least this long ago.
	// [EveryRead]: before each read.
	ReadConsistency time.Duration

	// IndexCacheBytes bounds the memory for decoded indexes. 0: 512 MiB.
	IndexCacheBytes int64

	// MetadataCacheBytes bounds the memory for manifests, file footers and page tables. 0: 256 MiB.
	MetadataCacheBytes int64
}

// Connect opens the database at a path, or at a URI of the schemes file, s3, gs and az. It loads the engine
// when nothing has done so before, so its error may be a [LoadError].
//
// A local directory that does not exist is no error: it has no tables, and is made when one is created.
// An object store is contacted, so that wrong credentials show here.
func Connect(ctx context.Context, uri string, opts *ConnectOptions) (*Connection, error) {
	if err := Load(nil); err != nil {
		return nil, err
	}
	if opts == nil {
		opts = &ConnectOptions{}
	}
	request := struct {
		URI               string            `json:"uri"`
		StorageOptions    map[string]string `json:"storage_options,omitempty"`
		ReadConsistency   *int64            `json:"read_consistency_ms"`
		IndexCacheBytes   int64             `json:"index_cache_bytes"`
		MetadataCacheByte int64             `json:"metadata_cache_bytes"`
	}{uri, opts.StorageOptions, nil, opts.IndexCacheBytes, opts.MetadataCacheBytes}
	switch interval := opts.ReadConsistency; {
	case interval < 0:
		request.ReadConsistency = new(int64(0))
	case interval > 0:
		// Rounded up: 0 would mean before each read.
		request.ReadConsistency = new(int64((interval + time.Millisecond - 1) / time.Millisecond))
	}
	answer, err := call(ctx, fnConnect, args{op: "connect", request: request})
	if err != nil {
		return nil, err
	}
	return &Connection{h: newHandle(answer.handle), uri: uri}, nil
}

// URI returns the path or URI that was given to [Connect].
func (c *Connection) URI() string { return c.uri }

// TableNames lists the tables, sorted.
func (c *Connection) TableNames(ctx context.Context) ([]string, error) {
	var answer struct {
		Names []string `json:"names"`
	}
	err := c.h.json(ctx, fnTableNames, args{op: "list tables"}, &answer)
	return answer.Names, err
}

// CreateMode says what [Connection.CreateTable] does when the table exists.
type CreateMode string

const (
	// CreateNew fails with [ErrExists]. It is the default.
	CreateNew CreateMode = "create"
	// CreateOverwrite replaces schema and rows by a new version; the old ones remain as older versions.
	CreateOverwrite CreateMode = "overwrite"
	// CreateExistOK opens the table as it is and leaves the data unread.
	CreateExistOK CreateMode = "exist_ok"
)

// CreateOptions are the options of [Connection.CreateTable]. Nil and the zero value are the defaults.
type CreateOptions struct {
	Mode CreateMode // "": CreateNew

	// StorageVersion is the format of the table's data files for its whole life: "2.0", "2.1" or "2.2".
	// "": "2.0", the newest that older Python releases of LanceDB read and write.
	StorageVersion string

	// V2ManifestPaths names manifests so that the newest is found without listing them all. Older releases
	// do not read such tables.
	V2ManifestPaths bool

	// Properties are kept in the transaction of the first version; see [Table.Transactions].
	Properties map[string]string

	MaxRowsPerFile  int64 // 0: the engine's choice
	MaxBytesPerFile int64 // 0: the engine's choice

	// BufferBytes is as in [WriteOptions].
	BufferBytes int64
}

// CreateTable creates a table with a schema, whose metadata and field metadata are kept, and the rows of
// data, which may be nil. One commit makes the table and all its rows, or nothing. The caller keeps data and
// releases it.
func (c *Connection) CreateTable(ctx context.Context, name string, schema *arrow.Schema, data array.RecordReader, opts *CreateOptions) (*Table, error) {
	if opts == nil {
		opts = &CreateOptions{}
	}
	a := args{op: "create table", table: name}
	if schema == nil {
		if data == nil {
			return nil, newError(a.op, name, CodeInvalid, "neither a schema nor data")
		}
		schema = data.Schema()
	}
	if data == nil {
		data = FromBatches(schema)
	}
	answer, err := c.h.write(ctx, fnCreateTable, a, schema, data, opts.BufferBytes, func(stream uint64) any {
		return struct {
			Name            string            `json:"name"`
			Mode            CreateMode        `json:"mode,omitempty"`
			StorageVersion  string            `json:"storage_version,omitempty"`
			V2ManifestPaths bool              `json:"v2_manifest_paths"`
			Stream          uint64            `json:"stream"`
			Properties      map[string]string `json:"properties,omitempty"`
			MaxRowsPerFile  int64             `json:"max_rows_per_file"`
			MaxBytesPerFile int64             `json:"max_bytes_per_file"`
		}{name, opts.Mode, opts.StorageVersion, opts.V2ManifestPaths, stream, opts.Properties, opts.MaxRowsPerFile, opts.MaxBytesPerFile}
	})
	if err != nil {
		return nil, err
	}
	return newTable(name, answer), nil
}

// OpenOptions are the options of [Connection.OpenTable]. Nil and the zero value open the newest version.
type OpenOptions struct {
	Version uint64 // stay at this version; 0: the newest
	Tag     string // stay at the version of this tag; excludes Version
}

// OpenTable opens a table. Without one of this name the error matches [ErrNotFound]. A handle opened at a
// version or tag reads that one until [Table.CheckoutLatest], and refuses writes.
func (c *Connection) OpenTable(ctx context.Context, name string, opts *OpenOptions) (*Table, error) {
	if opts == nil {
		opts = &OpenOptions{}
	}
	request := struct {
		Name    string  `json:"name"`
		Version *uint64 `json:"version"`
		Tag     *string `json:"tag"`
	}{name, optional(opts.Version), optional(opts.Tag)}
	answer, err := c.h.call(ctx, fnOpenTable, args{op: "open table", table: name, request: request})
	if err != nil {
		return nil, err
	}
	return newTable(name, answer), nil
}

// DropOptions are the options of [Connection.DropTable].
type DropOptions struct {
	IgnoreMissing bool // a table that does not exist is no error
}

// DropTable removes a table with all its versions. Without one of this name the error matches [ErrNotFound].
func (c *Connection) DropTable(ctx context.Context, name string, opts *DropOptions) error {
	request := struct {
		Name          string `json:"name"`
		IgnoreMissing bool   `json:"ignore_missing"`
	}{name, opts != nil && opts.IgnoreMissing}
	_, err := c.h.call(ctx, fnDropTable, args{op: "drop table", table: name, request: request})
	return err
}

// Objects gives access to the plain objects under the connection's URI.
func (c *Connection) Objects() *Objects { return &Objects{c} }

// Close closes the connection. Tables opened through it stay open. It may be repeated.
func (c *Connection) Close() error { return c.h.close() }

// optional is nil for a zero value, which JSON writes as null.
func optional[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
