package schema

import (
	"strings"
	"unicode"
)

// SnakeCase turns a Go field name into the column name it has without a tag: "ItemRef" is "item_ref", "URL" is "url",
// "NumFrames" is "num_frames", "Boxes3D" is "boxes3d". A run of capitals is one word whose last capital begins the
// next word if a small letter follows.
func SnakeCase(name string) string {
	runes := []rune(name)
	var b strings.Builder
	for i, r := range runes {
		if unicode.IsUpper(r) && i > 0 && runes[i-1] != '_' {
			afterSmall := unicode.IsLower(runes[i-1])
			beforeSmall := i+1 < len(runes) && unicode.IsLower(runes[i+1])
			if afterSmall || beforeSmall {
				b.WriteByte('_')
			}
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// CheckColumnName checks a column name that Go code gives: letters, digits and underscores, a letter first. Lance
// refuses dots; names that begin with an underscore are its own (_rowid, _distance) and no fields in Python. Files
// written by others may hold more, see [ParseDatasetSchema].
func CheckColumnName(name string) error {
	for i, r := range name {
		if !(unicode.IsLetter(r) || i > 0 && (r == '_' || unicode.IsDigit(r))) {
			return broken("", name, "want a column name of letters, digits and underscores that begins with a letter")
		}
	}
	if name == "" || len(name) > maxNameLength {
		return broken("", name, "want a column name of 1 to %d bytes", maxNameLength)
	}
	return nil
}

const (
	maxNameLength      = 249 // bytes of a column or class name; neither format nor engine has a bound
	maxTableNameLength = 128 // bytes of a table name, the engine's bound
)

// CheckTableName checks the name of a table: 1 to 128 bytes, lower case, of the characters that Lance allows,
// [a-z0-9_.-], and no dot first, which would hide its directory. "source" is refused: it is in every dataset and in no schema.
func CheckTableName(name string) error {
	for _, r := range name {
		if !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' || r == '-' || r == '.') {
			return broken("", name, "want a table name of a-z, 0-9, _, - and .")
		}
	}
	switch {
	case name == "" || len(name) > maxTableNameLength:
		return broken("", name, "want a table name of 1 to %d bytes", maxTableNameLength)
	case name[0] == '.':
		return broken("", name, "want a table name that does not begin with a dot")
	case name == SourceTable:
		return broken("", name, "want another table name: every dataset has this table already")
	}
	return nil
}

// checkClassName wants an identifier, which is a class name in Go and in Python.
func checkClassName(name string) error {
	for i, r := range name {
		if !(unicode.IsLetter(r) || r == '_' || i > 0 && unicode.IsDigit(r)) {
			return broken("schema", name, "want a class name of letters, digits and underscores")
		}
	}
	if name == "" || len(name) > maxNameLength {
		return broken("schema", name, "want a class name of 1 to %d bytes", maxNameLength)
	}
	return nil
}
