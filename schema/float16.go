package schema

import "math"

// Float16 is a number of the IEEE 754 half precision format (binary16), the value type "halffloat" of fixed-size lists.
// A vector of them is a field like
//
//	Vector [512]schema.Float16
type Float16 uint16

// NewFloat16 rounds f to the nearest half precision number, to the even one of two. Numbers of 65520 and more become
// infinite.
func NewFloat16(f float32) Float16 {
	bits := math.Float32bits(f)
	sign := uint16(bits >> 16 & 0x8000)
	abs := bits & 0x7fffffff
	switch {
	case abs > 0x7f800000: // NaN: keep it one, quiet
		return Float16(sign | 0x7e00)
	case abs >= 0x47800000: // 65536 and more, infinity
		return Float16(sign | 0x7c00)
	case abs < 0x38800000: // below 2^-14: a multiple of 2^-24
		// Adding 0.5, whose last bit stands for 2^-24, makes the processor round to that multiple.
		return Float16(sign | uint16(math.Float32bits(math.Float32frombits(abs)+0.5)-math.Float32bits(0.5)))
	}
	// Drop 13 bits of the fraction, rounding half to even; a carry out of the fraction is the next exponent.
	rounded := abs - 0x38000000 + 0xfff + abs>>13&1
	return Float16(sign | uint16(rounded>>13))
}

// Float32 returns the same number in single precision. It is exact.
func (h Float16) Float32() float32 {
	sign := uint32(h&0x8000) << 16
	exponent, fraction := uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch exponent {
	case 0: // zero, or a multiple of 2^-24
		f := float32(fraction) * 0x1p-24
		return math.Float32frombits(sign | math.Float32bits(f))
	case 0x1f: // infinity, NaN
		return math.Float32frombits(sign | 0x7f800000 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
}

// IsNaN reports whether h is not a number.
func (h Float16) IsNaN() bool { return h&0x7c00 == 0x7c00 && h&0x3ff != 0 }
