package dataset

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"pixano/features"
	"pixano/internal/lance"
	"pixano/internal/rowcodec"
	"pixano/schema"
)

// primaryKey is the field metadata that marks a column as the key of its table. Without it, merges that insert one new
// row at the same time would each insert it.
const primaryKey = "lance-schema:unenforced-primary-key"

var storageVersions = []string{"2.0", "2.1", "2.2"}

// check reports options that make no sense.
func (o *Options) check() error {
	if o.StorageVersion != "" && !slices.Contains(storageVersions, o.StorageVersion) {
		return &kindError{ErrUnsupported, fmt.Sprintf("storage version %q: want one of %s", o.StorageVersion,
			strings.Join(storageVersions, ", ")), nil}
	}
	for name := range o.MediaRoots {
		if err := checkFolderName(name); err != nil {
			return &Error{Field: "media root " + strconv.Quote(name), Err: err}
		}
	}
	return nil
}

// SchemaOf returns the schema of the dataset whose items are the aggregate: a struct that embeds [schema.Item], a pointer
// to one, or its reflect.Type. See [schema.DatasetSchemaOf].
func SchemaOf(aggregate any) (*schema.DatasetSchema, error) { return schema.DatasetSchemaOf(aggregate) }

// Create makes a dataset without rows in a directory of its own and opens it.
//
// tables says which tables it has: an aggregate, as [SchemaOf] takes it, or a *[schema.DatasetSchema]. The table "source"
// comes with every dataset. Of info, an empty ID becomes a new random one, an empty Name the name of the directory, an
// empty Size "Unknown" and an empty Workspace undefined.
//
// The parent directory must exist. The directory itself may exist if it is empty; anything else there is ErrExists. The
// dataset appears as a whole, safe from a power cut, or not at all; it is made in .pixano/staging beside it, and what a
// crash left there is removed by a later Create. When several processes create the same directory, one of them wins.
func Create(ctx context.Context, path string, tables any, info Info, opts *Options) (*Dataset, error) {
	op := "create " + path
	if opts == nil {
		opts = &Options{}
	}
	if opts.ReadOnly {
		return nil, at(op, "", ErrReadOnly)
	}
	if err := create(ctx, path, tables, info, opts); err != nil {
		table := ""
		if e, ok := errors.AsType[*Error](err); ok {
			table = e.Table
		}
		return nil, at(op, table, err)
	}
	return Open(ctx, path, opts)
}

func create(ctx context.Context, path string, tables any, info Info, opts *Options) error {
	if err := opts.check(); err != nil {
		return err
	}
	s, ok := tables.(*schema.DatasetSchema)
	switch {
	case !ok:
		var err error
		if s, err = SchemaOf(tables); err != nil {
			return err
		}
	case s == nil:
		return schemaError("the schema is nil: want an aggregate or a *schema.DatasetSchema")
	}
	target, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	info.ID = cmp.Or(info.ID, features.NewShortUUID())
	info.Name = cmp.Or(info.Name, filepath.Base(target))
	if info, err = info.stored(); err != nil {
		return &Error{Field: "info.json", Err: err}
	}
	if err := checkFree(target); err != nil {
		return err
	}
	parent := filepath.Dir(target)
	if st, err := os.Stat(parent); errors.Is(err, fs.ErrNotExist) || err == nil && !st.IsDir() {
		return &kindError{ErrNotFound, "no directory " + parent + " to make it in", fs.ErrNotExist}
	}
	stage, err := newStage(ctx, parent)
	if err != nil {
		return err
	}
	defer stage.close()
	if err := writeEmpty(ctx, stage.path("dataset"), s, info, opts.StorageVersion); err != nil {
		return err
	}
	if err := stage.publish("dataset", target); err != nil {
		return fileError(err)
	}
	return nil
}

// writeEmpty writes all files of a dataset without rows into a new directory.
func writeEmpty(ctx context.Context, path string, s *schema.DatasetSchema, info Info, version string) error {
	db := filepath.Join(path, "db")
	if err := os.MkdirAll(db, 0o755); err != nil {
		return fileError(err)
	}
	if err := writeMeta(path, s, info); err != nil {
		return err
	}
	conn, err := lance.Connect(ctx, db, nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, name := range append(s.Tables(), schema.SourceTable) {
		class, _ := s.Class(name)
		if err := createTable(ctx, conn, name, class, version); err != nil {
			return err
		}
	}
	return nil
}

// writeMeta writes info.json, schema.json and an empty features_values.json.
func writeMeta(path string, s *schema.DatasetSchema, info Info) error {
	for _, file := range []struct {
		name    string
		content []byte
	}{
		{"info.json", fileJSON(marshalJSON(info))},
		{constraintsFile, fileJSON(emptyConstraints().raw())},
		{"schema.json", s.Encode()},
	} {
		if err := writeFile(filepath.Join(path, file.name), file.content); err != nil {
			return &Error{Field: file.name, Err: fileError(err)}
		}
	}
	return nil
}

// createTable creates the table of a class without rows, in a storage version, "" for 2.0.
func createTable(ctx context.Context, db *lance.Connection, name string, class *schema.Class, version string) error {
	columns, err := tableColumns(class)
	if err != nil {
		return &Error{Table: name, Err: err}
	}
	t, err := db.CreateTable(ctx, name, columns, nil, &lance.CreateOptions{StorageVersion: version})
	if err != nil {
		return &Error{Table: name, Err: err}
	}
	return t.Close()
}

// tableColumns returns the columns of a new table of a class, its key marked.
func tableColumns(class *schema.Class) (*arrow.Schema, error) {
	codec, err := rowcodec.ForClass(class)
	if err != nil {
		return nil, err
	}
	s, err := codec.Schema()
	if err != nil {
		return nil, err
	}
	fields := slices.Clone(s.Fields())
	for i := range fields {
		if fields[i].Name == "id" {
			fields[i].Metadata = arrow.NewMetadata([]string{primaryKey}, []string{"true"})
		}
	}
	metadata := s.Metadata()
	return arrow.NewSchema(fields, &metadata), nil
}
