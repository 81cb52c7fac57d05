package features

import (
	"encoding/hex"
	"strings"
	"testing"
)

// The texts were made by the Python package shortuuid 1.0.11.
func TestShortUUID(t *testing.T) {
	for _, test := range []struct{ id, want string }{
		{"00000000-0000-0000-0000-000000000000", "2222222222222222222222"},
		{"00000000-0000-0000-0000-000000000001", "2222222222222222222223"},
		{"ffffffff-ffff-ffff-ffff-ffffffffffff", "oZEq7ovRbLq6UnGMPwc8B5"},
		{"3b1f8b40-222c-4a6e-b77e-779d5a94e21c", "CXc85b4rqinB7s5J52TRYb"},
		{"a9e5f9d8-47a4-4c65-8b0a-5d2f3c1e9b77", "YF3RMy8jPgD4yAbc4RVRjX"},
	} {
		raw, err := hex.DecodeString(strings.ReplaceAll(test.id, "-", ""))
		if err != nil {
			t.Fatal(err)
		}
		if got := ShortUUID([16]byte(raw)); got != test.want {
			t.Errorf("ShortUUID(%s) = %s, want %s", test.id, got, test.want)
		}
		got, err := ParseShortUUID(test.want)
		if err != nil || got != [16]byte(raw) {
			t.Errorf("ParseShortUUID(%s) = %x, %v, want %x", test.want, got, err, raw)
		}
	}
	for _, bad := range []string{"", "2", "22222222222222222222222", "222222222222222222222l", "oZEq7ovRbLq6UnGMPwc8B6",
		"zzzzzzzzzzzzzzzzzzzzzz", "é22222222222222222222"} {
		_, err := ParseShortUUID(bad)
		checkValid(t, err, false)
	}
}

func TestNewShortUUID(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		text := NewShortUUID()
		if seen[text] {
			t.Fatalf("%s twice", text)
		}
		seen[text] = true
		id, err := ParseShortUUID(text)
		if err != nil {
			t.Fatal(err)
		}
		if version, variant := id[6]>>4, id[8]>>6; version != 4 || variant != 0b10 {
			t.Errorf("%s: version %d and variant %b, want 4 and 10", text, version, variant)
		}
	}
}
