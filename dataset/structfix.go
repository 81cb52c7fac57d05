package dataset

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/apache/arrow-go/v18/arrow"

	"pixano/internal/lance"
)

// Old Python releases of Lance that wrote a part of a table in memory gave the columns inside of a struct the length of
// the whole: the struct has the 4 rows of the part, its column "id" has 20. They read the first 4 of them; newer releases
// refuse the file. What says how long a column is stands at the end of the file, behind all values: there it is set
// right, and not a byte of the values changes.

// lanceFooter are the last bytes of a data file: where the descriptions of the columns begin, where the tables of their
// places and of those of the global buffers, how many there are, the version, "LANC".
const lanceFooter = 40

// maxDescriptions bounds the descriptions of a file's columns, in bytes.
const maxDescriptions = 256 << 20

// columnNode is a column of a data file: those of a struct and of a list come before what is in them.
type columnNode struct {
	path   string
	within int  // the place of the struct that it is directly in, or -1
	plain  bool // it has nothing within
}

// columnNodes lists the columns of a data file for the columns of a table, in order.
func columnNodes(fields []arrow.Field) []columnNode {
	var nodes []columnNode
	var add func(path string, t arrow.DataType, within int)
	add = func(path string, t arrow.DataType, within int) {
		at := len(nodes)
		nodes = append(nodes, columnNode{path, within, false})
		switch t := t.(type) {
		case *arrow.StructType:
			for _, f := range t.Fields() {
				add(path+"."+f.Name, f.Type, at)
			}
		case *arrow.ListType:
			add(path+".item", t.Elem(), -1)
		default:
			nodes[at].plain = true
		}
	}
	for _, f := range fields {
		add(f.Name, f.Type, -1)
	}
	return nodes
}

var errNotLance = errors.New("not a data file of storage version 2.0")

// shortenStructs copies a data file, with the columns inside of structs cut to the lengths of the structs, and returns
// which were longer. The copy is as long as the file. With none it writes nothing.
func shortenStructs(in io.ReaderAt, size int64, out io.Writer, fields []arrow.Field) ([]string, error) {
	if size < lanceFooter {
		return nil, errNotLance
	}
	footer := make([]byte, lanceFooter)
	if _, err := in.ReadAt(footer, size-lanceFooter); err != nil {
		return nil, err
	}
	word := func(at int) uint64 { return binary.LittleEndian.Uint64(footer[at:]) }
	start, places, globals := word(0), word(8), word(16)
	n, columns := binary.LittleEndian.Uint32(footer[24:]), binary.LittleEndian.Uint32(footer[28:])
	end := uint64(size - lanceFooter)
	version := [2]uint16{binary.LittleEndian.Uint16(footer[32:]), binary.LittleEndian.Uint16(footer[34:])}
	if string(footer[36:]) != "LANC" || version != [2]uint16{0, 3} || start > places || places > globals || globals > end ||
		end-start > maxDescriptions || globals-places != 16*uint64(columns) || end-globals != 16*uint64(n) {
		return nil, errNotLance
	}
	nodes := columnNodes(fields)
	if len(nodes) != int(columns) {
		return nil, fmt.Errorf("the file has %d columns: want %d", columns, len(nodes))
	}
	tail := make([]byte, end-start)
	if _, err := in.ReadAt(tail, int64(start)); err != nil {
		return nil, err
	}
	// The global buffers stay where they are, among the values.
	for at := globals - start; at < uint64(len(tail)); at += 16 {
		if p, l := binary.LittleEndian.Uint64(tail[at:]), binary.LittleEndian.Uint64(tail[at+8:]); p > start || l > start-p {
			return nil, errNotLance
		}
	}
	described := make([][]byte, columns)
	lengths := make([]uint64, columns)
	for i := range described {
		at := places - start + 16*uint64(i)
		p, l := binary.LittleEndian.Uint64(tail[at:]), binary.LittleEndian.Uint64(tail[at+8:])
		if p < start || p > places || l > places-p {
			return nil, errNotLance
		}
		described[i] = tail[p-start : p-start+l]
		var err error
		if lengths[i], err = describedRows(described[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", nodes[i].path, err)
		}
	}
	var longer []string
	for i, node := range nodes {
		if node.within < 0 || lengths[i] == lengths[node.within] {
			continue
		}
		if rows := lengths[node.within]; lengths[i] < rows || !node.plain {
			return nil, fmt.Errorf("%s has %d rows, the struct that it is in %d: that cannot be set right", node.path, lengths[i], rows)
		}
		described[i] = describeRows(described[i], lengths[node.within])
		longer = append(longer, fmt.Sprintf("%s (%d rows, not %d)", node.path, lengths[node.within], lengths[i]))
	}
	if len(longer) == 0 {
		return nil, nil
	}
	var total uint64
	for _, d := range described {
		total += uint64(len(d))
	}
	at := places - total // shorter descriptions leave a gap before them
	if total > places-start {
		return nil, errNotLance
	}
	if _, err := io.Copy(out, io.NewSectionReader(in, 0, int64(start))); err != nil {
		return nil, err
	}
	written := make([]byte, at-start)
	var table []byte
	for _, d := range described {
		table = binary.LittleEndian.AppendUint64(table, at)
		table = binary.LittleEndian.AppendUint64(table, uint64(len(d)))
		written = append(written, d...)
		at += uint64(len(d))
	}
	written = append(written, table...)
	written = append(written, tail[globals-start:]...)
	binary.LittleEndian.PutUint64(footer, places-total)
	written = append(written, footer...)
	_, err := out.Write(written)
	return longer, err
}

// A description is a Protocol Buffers message; its fields 2 are pages, whose fields 3 are their numbers of rows.
const (
	pageField = 2
	rowsField = 3
)

// messageField is a field of a message with what it takes in it.
type messageField struct {
	number uint64
	raw    []byte // with its key
	value  []byte // of a field with a length
	varint uint64 // of a number
}

// messageFields splits a message.
func messageFields(b []byte) ([]messageField, error) {
	var fields []messageField
	for len(b) > 0 {
		key, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, errNotLance
		}
		f := messageField{number: key >> 3}
		size := 0
		switch key & 7 {
		case 0:
			v, m := binary.Uvarint(b[n:])
			if m <= 0 {
				return nil, errNotLance
			}
			f.varint, size = v, n+m
		case 1:
			size = n + 8
		case 2:
			l, m := binary.Uvarint(b[n:])
			if m <= 0 || l > uint64(len(b)-n-m) {
				return nil, errNotLance
			}
			size = n + m + int(l)
			f.value = b[n+m : size]
		case 5:
			size = n + 4
		default:
			return nil, errNotLance
		}
		if size > len(b) {
			return nil, errNotLance
		}
		f.raw, b = b[:size], b[size:]
		fields = append(fields, f)
	}
	return fields, nil
}

// describedRows returns the number of rows of a column, of all its pages.
func describedRows(column []byte) (uint64, error) {
	fields, err := messageFields(column)
	if err != nil {
		return 0, err
	}
	var rows uint64
	for _, f := range fields {
		if f.number != pageField {
			continue
		}
		page, err := messageFields(f.value)
		if err != nil {
			return 0, err
		}
		rows += pageRows(page)
	}
	return rows, nil
}

// pageRows returns the number of rows of a page; of a field that is there twice, the last counts.
func pageRows(page []messageField) (rows uint64) {
	for _, p := range page {
		if p.number == rowsField {
			rows = p.varint
		}
	}
	return rows
}

// describeRows cuts a column that was described to a number of rows.
func describeRows(column []byte, rows uint64) []byte {
	fields, _ := messageFields(column)
	var out []byte
	for _, f := range fields {
		if f.number != pageField {
			out = append(out, f.raw...)
			continue
		}
		page, _ := messageFields(f.value)
		has := min(pageRows(page), rows)
		cut := binary.AppendUvarint(nil, rowsField<<3)
		cut = binary.AppendUvarint(cut, has)
		for _, p := range page {
			if p.number != rowsField {
				cut = append(cut, p.raw...)
			}
		}
		if rows -= has; has == 0 {
			continue
		}
		out = binary.AppendUvarint(out, pageField<<3|2)
		out = binary.AppendUvarint(out, uint64(len(cut)))
		out = append(out, cut...)
	}
	return out
}

// repairStructs sets the lengths of columns inside of structs right in all data files of a table, and returns the files
// with what was longer. The files as they were stay in .pixano/torn. The dataset's lock is held. With dry it only looks.
func (s *state) repairStructs(ctx context.Context, table string, dry bool) (map[string][]string, error) {
	db, err := lance.Connect(ctx, filepath.Join(s.path, "db"), nil)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	t, err := db.OpenTable(ctx, table, nil)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	columns, err := t.Schema(ctx)
	if err != nil {
		return nil, err
	}
	info, err := t.Info(ctx, true)
	if err != nil {
		return nil, err
	}
	done := map[string][]string{}
	for _, name := range info.Files {
		longer, err := s.repairFile(table, name, columns.Fields(), dry)
		if err != nil {
			return done, &Error{Table: table, Field: name, Err: err}
		}
		if len(longer) > 0 {
			done[name] = longer
		}
	}
	if !dry && len(done) > 0 {
		return done, s.renew(ctx, table)
	}
	return done, nil
}

// renew has a table opened anew by a connection that has cached nothing of its files.
func (s *state) renew(ctx context.Context, table string) error {
	db, err := s.connect(ctx)
	if err != nil {
		return err
	}
	if old, ok := s.renewed.Swap(table, db); ok {
		old.(*lance.Connection).Close()
	}
	if t := s.write.tables[table]; t != nil {
		t.Close()
		delete(s.write.tables, table)
	}
	s.view.Lock()
	defer s.view.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.open[table]; t != nil {
		delete(s.open, table)
		return t.Close()
	}
	return nil
}

func (s *state) repairFile(table, name string, fields []arrow.Field, dry bool) ([]string, error) {
	path := filepath.Join(s.path, "db", table+".lance", filepath.FromSlash(name))
	in, err := os.Open(path)
	if err != nil {
		return nil, fileError(err)
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return nil, err
	}
	if dry {
		return shortenStructs(in, st.Size(), io.Discard, fields)
	}
	torn := filepath.Join(s.path, filepath.FromSlash(tornFolder))
	if err := os.MkdirAll(torn, 0o755); err != nil {
		return nil, fileError(err)
	}
	out, err := os.CreateTemp(torn, "repaired-*")
	if err != nil {
		return nil, fileError(err)
	}
	defer os.Remove(out.Name())
	defer out.Close()
	longer, err := shortenStructs(in, st.Size(), out, fields)
	if err != nil || len(longer) == 0 {
		return nil, err
	}
	if err := errors.Join(out.Chmod(st.Mode().Perm()), out.Sync()); err != nil {
		return nil, fileError(err)
	}
	kept := filepath.Join(torn, table+"-"+filepath.Base(path))
	if err := os.Link(path, kept); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fileError(err)
	}
	if err := syncDir(torn); err != nil {
		return nil, fileError(err)
	}
	if err := os.Rename(out.Name(), path); err != nil {
		return nil, fileError(err)
	}
	return longer, fileError(syncDir(filepath.Dir(path)))
}
