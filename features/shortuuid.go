package features

import (
	"crypto/rand"
	"math/bits"
	"strings"
)

// The digits of short uuids, without those that look alike. Their order is part of the format.
const (
	shortDigits = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	shortBase   = uint64(len(shortDigits))
	shortLength = 22 // digits for 128 bits
	chunkDigits = 10 // as many as fit a word
	chunkBase   = 362033331456891249
)

// NewShortUUID returns a new random id: a version 4 UUID as 22 letters and digits, see [ShortUUID]. It is what rows get
// as id where none is given. It is safe for concurrent use.
func NewShortUUID() string {
	var id [16]byte
	rand.Read(id[:])             // never returns an error
	id[6] = id[6]&0x0f | 4<<4    // version, RFC 9562 section 5.4
	id[8] = id[8]&0x3f | 0b10<<6 // variant
	return ShortUUID(id)
}

// ShortUUID writes a UUID as the Python package shortuuid does: the number in base 57, its most significant digit first,
// padded to 22 digits with '2', the zero of the alphabet.
func ShortUUID(id [16]byte) string {
	hi, lo := word(id[:8]), word(id[8:])
	var text [shortLength]byte
	for end := shortLength; end > 0; {
		// Two divisions of 128 bits for ten digits of 64.
		var chunk uint64
		hi, chunk = hi/chunkBase, hi%chunkBase
		lo, chunk = bits.Div64(chunk, lo, chunkBase)
		for start := max(0, end-chunkDigits); end > start; {
			end--
			text[end] = shortDigits[chunk%shortBase]
			chunk /= shortBase
		}
	}
	return string(text[:])
}

// ParseShortUUID is the inverse of [ShortUUID]. The error matches [ErrInvalid] for anything but 22 digits of the
// alphabet that make a number below 2^128.
func ParseShortUUID(text string) ([16]byte, error) {
	if len(text) != shortLength {
		return [16]byte{}, invalid("short uuid", "", text, "want %d characters", shortLength)
	}
	var hi, lo uint64
	for i := range len(text) {
		digit := strings.IndexByte(shortDigits, text[i])
		if digit < 0 {
			return [16]byte{}, invalid("short uuid", "", text, "want characters of %s", shortDigits)
		}
		carry, low := bits.Mul64(lo, shortBase)
		over, high := bits.Mul64(hi, shortBase)
		var c uint64
		lo, c = bits.Add64(low, uint64(digit), 0)
		hi, c = bits.Add64(high, carry, c)
		if over != 0 || c != 0 {
			return [16]byte{}, invalid("short uuid", "", text, "want a number of 128 bits")
		}
	}
	var id [16]byte
	for i := range 8 {
		id[i] = byte(hi >> (56 - 8*i))
		id[8+i] = byte(lo >> (56 - 8*i))
	}
	return id, nil
}

func word(b []byte) uint64 {
	var n uint64
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n
}
