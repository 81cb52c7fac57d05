package exchange

import (
	"strings"

	"pixano/schema"
)

// TypeOf returns the type of column that a JSON value fits; "" for null and what fits none.
func TypeOf(v any) string {
	switch v := v.(type) {
	case string:
		return schema.TypeStr
	case bool:
		return schema.TypeBool
	case int64:
		return schema.TypeInt
	case float64:
		return schema.TypeFloat
	case []any:
		t := ""
		for _, e := range v {
			t = WiderType(t, TypeOf(e))
		}
		return t + "[]"
	}
	return ""
}

// WiderType returns the type that holds values of both.
func WiderType(a, b string) string {
	switch {
	case a == "" || a == b:
		return b
	case b == "":
		return a
	}
	x, xl := strings.CutSuffix(a, "[]")
	y, yl := strings.CutSuffix(b, "[]")
	list := ""
	if xl || yl {
		list = "[]"
	}
	number := func(t string) bool { return t == schema.TypeInt || t == schema.TypeFloat }
	switch {
	case x == "" || x == y:
		return y + list
	case y == "":
		return x + list
	case number(x) && number(y):
		return schema.TypeFloat + list
	}
	return schema.TypeStr + list
}
