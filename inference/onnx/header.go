package onnx

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"unicode/utf8"
)

// header is what a model file says of itself: enough to tell what it is for without loading it.
type header struct {
	inputs, outputs []port
	metadata        map[string]string
	opset           int64 // of the standard operators
}

// port is an input or an output of a model.
type port struct {
	name  string
	kind  elementType
	shape []int64 // -1: any size
}

func (p port) String() string { return fmt.Sprintf("%s %v", p.name, p.shape) }

// elementType is the type of a tensor's elements, numbered as in ONNX.
type elementType int64

const (
	float32Type elementType = 1
	uint8Type   elementType = 2
	int32Type   elementType = 6
	int64Type   elementType = 7
)

func (h *header) input(names ...string) *port  { return find(h.inputs, names) }
func (h *header) output(names ...string) *port { return find(h.outputs, names) }

// find returns the first port that has one of the names, in the order of the names, or nil.
func find(ports []port, names []string) *port {
	for _, name := range names {
		if i := slices.IndexFunc(ports, func(p port) bool { return p.name == name }); i >= 0 {
			return &ports[i]
		}
	}
	return nil
}

// The largest parts of a header that are believed.
const (
	maxName  = 1 << 12
	maxText  = 1 << 22 // a value of the metadata
	maxPorts = 1 << 10
)

var errNoModel = errors.New("no ONNX model")

// readHeader reads the header of a model file. Weights are passed over, so it takes a few reads however large it is.
func readHeader(path string) (*header, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	h, err := decodeHeader(f, st.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return h, nil
}

// decodeHeader reads a ModelProto of size bytes, see onnx.proto of the ONNX project.
func decodeHeader(r io.ReadSeeker, size int64) (*header, error) {
	d := &decoder{src: r, buf: bufio.NewReaderSize(r, 1<<14), size: size}
	h := &header{metadata: map[string]string{}}
	weights := map[string]bool{}
	graphs := 0
	err := d.message(size, func(f field) error {
		switch f.id {
		case 7: // graph
			graphs++
			return d.message(f.end, func(f field) error {
				switch f.id {
				case 5: // initializer
					return d.message(f.end, func(f field) error {
						if f.id == 8 {
							name, err := d.text(f, maxName)
							weights[name] = true
							return err
						}
						return nil
					})
				case 11:
					return d.port(&h.inputs, f)
				case 12:
					return d.port(&h.outputs, f)
				}
				return nil
			})
		case 8: // opset_import
			var domain string
			var version int64
			err := d.message(f.end, func(f field) (err error) {
				switch f.id {
				case 1:
					domain, err = d.text(f, maxName)
				case 2:
					version = f.number
				}
				return err
			})
			if domain == "" || domain == "ai.onnx" {
				h.opset = version
			}
			return err
		case 14: // metadata_props
			var key, value string
			err := d.message(f.end, func(f field) (err error) {
				switch f.id {
				case 1:
					key, err = d.text(f, maxName)
				case 2:
					value, err = d.text(f, maxText)
				}
				return err
			})
			h.metadata[key] = value
			return err
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	// Old files list their weights among the inputs.
	h.inputs = slices.DeleteFunc(h.inputs, func(p port) bool { return weights[p.name] })
	if graphs != 1 || len(h.inputs) == 0 || len(h.outputs) == 0 {
		return nil, fmt.Errorf("%w: %d graphs, %d inputs and %d outputs", errNoModel, graphs, len(h.inputs), len(h.outputs))
	}
	return h, nil
}

// port reads a ValueInfoProto.
func (d *decoder) port(list *[]port, f field) error {
	if len(*list) >= maxPorts {
		return fmt.Errorf("%w: more than %d inputs or outputs", errNoModel, maxPorts)
	}
	var p port
	err := d.message(f.end, func(f field) (err error) {
		switch f.id {
		case 1:
			p.name, err = d.text(f, maxName)
		case 2: // type
			err = d.message(f.end, func(f field) error {
				if f.id != 1 { // of a tensor
					return nil
				}
				return d.message(f.end, func(f field) error {
					switch f.id {
					case 1:
						p.kind = elementType(f.number)
					case 2:
						return d.message(f.end, func(f field) error {
							if f.id != 1 || len(p.shape) >= 16 {
								return nil
							}
							size := int64(-1) // a name or nothing
							err := d.message(f.end, func(f field) error {
								if f.id == 1 && f.number > 0 {
									size = f.number
								}
								return nil
							})
							p.shape = append(p.shape, size)
							return err
						})
					}
					return nil
				})
			})
		}
		return err
	})
	*list = append(*list, p)
	return err
}

// decoder reads the wire format of protocol buffers.
type decoder struct {
	src  io.ReadSeeker
	buf  *bufio.Reader
	at   int64 // bytes read or skipped
	size int64
}

// field is a field of a message: a number, or content up to the place end.
type field struct {
	id     int64
	number int64
	end    int64
}

// message calls f for each field of a message that ends at end. What f does not read is skipped.
func (d *decoder) message(end int64, f func(field) error) error {
	for d.at < end {
		tag, err := binary.ReadUvarint(d)
		if err != nil {
			return d.cut(err)
		}
		v := field{id: int64(tag >> 3), end: d.at}
		switch wire := tag & 7; wire {
		case 0:
			n, err := binary.ReadUvarint(d)
			if err != nil {
				return d.cut(err)
			}
			v.number, v.end = int64(n), d.at
		case 1:
			v.end += 8
		case 5:
			v.end += 4
		case 2:
			n, err := binary.ReadUvarint(d)
			if err != nil {
				return d.cut(err)
			}
			if n > uint64(d.size-d.at) {
				return d.cut(io.ErrUnexpectedEOF)
			}
			v.end = d.at + int64(n)
		default:
			return fmt.Errorf("%w: a field of the unknown type %d", errNoModel, wire)
		}
		if v.id == 0 || v.end > end {
			return fmt.Errorf("%w: field %d is longer than what it is in", errNoModel, v.id)
		}
		if err := f(v); err != nil {
			return err
		}
		if err := d.skipTo(v.end); err != nil {
			return err
		}
	}
	return nil
}

// text reads a field that holds a text of at most limit bytes.
func (d *decoder) text(f field, limit int64) (string, error) {
	n := f.end - d.at
	if n > limit {
		return "", fmt.Errorf("%w: a text of %d bytes: want at most %d", errNoModel, n, limit)
	}
	b := make([]byte, n)
	read, err := io.ReadFull(d.buf, b)
	d.at += int64(read)
	if err != nil {
		return "", d.cut(err)
	}
	if !utf8.Valid(b) {
		return "", fmt.Errorf("%w: a text that is no UTF-8", errNoModel)
	}
	return string(b), nil
}

// skipTo goes on to a place in the file.
func (d *decoder) skipTo(at int64) error {
	n := at - d.at
	switch {
	case n <= 0:
	case at > d.size:
		return d.cut(io.ErrUnexpectedEOF)
	case n <= int64(d.buf.Buffered()):
		if _, err := d.buf.Discard(int(n)); err != nil {
			return d.cut(err)
		}
	default:
		if _, err := d.src.Seek(at, io.SeekStart); err != nil {
			return err
		}
		d.buf.Reset(d.src)
	}
	d.at = max(d.at, at)
	return nil
}

// ReadByte reads a byte, for package binary.
func (d *decoder) ReadByte() (byte, error) {
	b, err := d.buf.ReadByte()
	if err == nil {
		d.at++
	}
	return b, err
}

// cut puts an end of the file that came too early into words.
func (d *decoder) cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the file of %d bytes ends in the middle of one", errNoModel, d.size)
	}
	return err
}
