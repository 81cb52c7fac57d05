package lance_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"pixano/internal/lance"
)

func Example() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// version 2, 3 rows
	// [["x" "z"]]
}

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "lance")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	conn, err := lance.Connect(ctx, dir, nil)
	if err != nil {
		return err
	}
	defer conn.Close()

	schema := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.BinaryTypes.String}, {Name: "score", Type: arrow.PrimitiveTypes.Float64},
	}, nil)
	table, err := conn.CreateTable(ctx, "hits", schema, nil, nil)
	if err != nil {
		return err
	}
	defer table.Close()

	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	b.Field(0).(*array.StringBuilder).AppendValues([]string{"x", "y", "z"}, nil)
	b.Field(1).(*array.Float64Builder).AppendValues([]float64{0.9, 0.1, 0.7}, nil)
	result, err := table.Append(ctx, lance.FromBatches(schema, b.NewRecordBatch()), nil)
	if err != nil {
		return err
	}
	fmt.Printf("version %d, %d rows\n", result.Version, result.Rows)

	for batch, err := range table.Batches(ctx, lance.Query{Where: "score > 0.5", Columns: []string{"id"}}) {
		if err != nil {
			return err
		}
		fmt.Println(batch.Columns())
	}
	return nil
}
