package report

import (
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// writeParquet writes rows in one row group: text as UTF-8, numbers as doubles that may be
// null.
func writeParquet(out io.Writer, list rows) (err error) {
	var fields schema.FieldList
	for _, name := range columns {
		var node schema.Node
		if numbers[name] == nil {
			node, err = schema.NewPrimitiveNodeLogical(name, parquet.Repetitions.Required, schema.StringLogicalType{}, parquet.Types.ByteArray, 0, -1)
			if err != nil {
				return fmt.Errorf("report: parquet: %w", err)
			}
		} else {
			node = schema.NewFloat64Node(name, parquet.Repetitions.Optional, -1)
		}
		fields = append(fields, node)
	}
	root, err := schema.NewGroupNode("figures", parquet.Repetitions.Required, fields, -1)
	if err != nil {
		return fmt.Errorf("report: parquet: %w", err)
	}
	w := file.NewParquetWriter(out, root, file.WithWriterProps(parquet.NewWriterProperties(
		parquet.WithCreatedBy("trialmesh"), parquet.WithCompression(compress.Codecs.Snappy))))
	group, err := w.AppendRowGroupChecked()
	if err != nil {
		return fmt.Errorf("report: parquet: %w", err)
	}
	for _, name := range columns {
		column, err := group.NextColumn()
		if err == nil {
			err = fill(column, name, list)
		}
		if err != nil {
			return fmt.Errorf("report: parquet: %s: %w", name, err)
		}
		if err := column.Close(); err != nil {
			return fmt.Errorf("report: parquet: %s: %w", name, err)
		}
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("report: parquet: %w", err)
	}
	return nil
}

// numbers and texts are a row's cells by column.
var (
	numbers = map[string]func(Row) *float64{
		"at": func(r Row) *float64 { return r.At }, "value": func(r Row) *float64 { return r.Value },
		"low": func(r Row) *float64 { return r.Low }, "high": func(r Row) *float64 { return r.High },
	}
	texts = map[string]func(Row) string{
		"section": func(r Row) string { return r.Section }, "name": func(r Row) string { return r.Name },
		"group": func(r Row) string { return r.Group }, "figure": func(r Row) string { return r.Figure },
		"state": func(r Row) string { return r.State }, "text": func(r Row) string { return r.Text },
	}
)

func fill(column file.ColumnChunkWriter, name string, list rows) error {
	switch w := column.(type) {
	case *file.Float64ColumnChunkWriter:
		var values []float64
		levels := make([]int16, len(list)) // 1 where there is one
		for i, r := range list {
			if v := numbers[name](r); v != nil {
				values, levels[i] = append(values, *v), 1
			}
		}
		_, err := w.WriteBatch(values, levels, nil)
		return err
	case *file.ByteArrayColumnChunkWriter:
		values := make([]parquet.ByteArray, len(list))
		for i, r := range list {
			values[i] = parquet.ByteArray(utf8Text(texts[name](r)))
		}
		_, err := w.WriteBatch(values, nil, nil)
		return err
	}
	return fmt.Errorf("no writer for %T", column)
}
