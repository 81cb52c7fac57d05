package coco

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"pixano/dataset/exchange"
)

// member appends a key and its value.
func member(b []byte, key string, value any) ([]byte, error) {
	b = append(appendText(b, key), ": "...)
	switch v := value.(type) {
	case string:
		return appendText(b, v), nil
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case float64:
		return appendFloat(b, v), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case nil:
		return append(b, "null"...), nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		return b, fmt.Errorf("%s: %w", key, err)
	}
	return exchange.AppendJSON(b, text, exchange.JSONStyle{}), nil
}

// appendText appends a JSON text in ASCII.
func appendText(b []byte, s string) []byte {
	plain := true
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf || c == 0x7f {
			plain = false
			break
		}
	}
	if plain {
		return append(append(append(b, '"'), s...), '"')
	}
	text, err := json.Marshal(s)
	if err != nil {
		return append(b, `""`...)
	}
	return exchange.AppendJSON(b, text, exchange.JSONStyle{})
}

// appendFloat appends a number as Python writes it, which always has a fraction or an exponent.
func appendFloat(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(b, "null"...)
	}
	start := len(b)
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.AppendFloat(b, f, 'e', -1, 64)
	}
	b = strconv.AppendFloat(b, f, 'f', -1, 64)
	if !strings.Contains(string(b[start:]), ".") {
		b = append(b, ".0"...)
	}
	return b
}

func appendFloats(b []byte, list []float64) []byte {
	b = append(b, '[')
	for i, f := range list {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = appendFloat(b, f)
	}
	return append(b, ']')
}

// pair is a key and its value.
type pair struct {
	key   string
	value any
}

// appendObject appends keys and values as an object.
func appendObject(b []byte, pairs []pair) ([]byte, error) {
	b = append(b, '{')
	for i, p := range pairs {
		if i > 0 {
			b = append(b, ", "...)
		}
		var err error
		if b, err = member(b, p.key, p.value); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}
