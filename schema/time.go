package schema

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Naive returns the wall clock of t in its own location as a floating time: the form in which times are stored and read.
// It is in time.UTC, without a monotonic reading, cut to microseconds.
func Naive(t time.Time) time.Time {
	if t.Location() == time.UTC && t.Nanosecond()%1000 == 0 {
		return t.Round(0)
	}
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond()/1000*1000, time.UTC)
}

// Now returns the local wall clock as a floating time, see [Naive]. The reference implementation stamps rows with it.
func Now() time.Time { return Naive(time.Now()) }

// FormatTime writes a floating time in ISO 8601, with six digits of fraction unless it is zero:
// "2024-01-02T03:04:05.678901". It is the form of all JSON rows.
func FormatTime(t time.Time) string { return string(appendTime(nil, t)) }

func appendTime(dst []byte, t time.Time) []byte {
	if t.Nanosecond()/1000 == 0 {
		return t.AppendFormat(dst, "2006-01-02T15:04:05")
	}
	return t.AppendFormat(dst, "2006-01-02T15:04:05.000000")
}

// checkTime wants a year that both ISO 8601 with four digits and Python's datetime can express.
func checkTime(t time.Time) error {
	if y := t.Year(); y < 1 || y > 9999 {
		return broken("", t, "want a year from 1 to 9999")
	}
	return nil
}

var isoTime = regexp.MustCompile(
	`^(\d{4}-\d\d-\d\d)(?:[Tt _](\d\d:\d\d)(:\d\d(?:[.,]\d+)?)?(?:([Zz])|([+-]\d\d):?(\d\d))?)?$`)

// ParseTime reads an ISO 8601 date, or a date and time, with or without zone. A zoned time is converted to UTC; what
// comes back is a floating time. Digits of the fraction beyond the sixth are dropped.
func ParseTime(s string) (time.Time, error) {
	bad := broken("", s, "want an ISO 8601 time such as 2024-01-02T03:04:05.678901")
	m := isoTime.FindStringSubmatch(s)
	if m == nil {
		return time.Time{}, bad
	}
	clock, seconds := m[2], m[3]
	if clock == "" {
		clock = "00:00"
	}
	if seconds == "" {
		seconds = ":00"
	}
	if i := strings.IndexAny(seconds, ".,"); i >= 0 && len(seconds) > i+7 {
		seconds = seconds[:i+7]
	}
	t, err := time.Parse("2006-01-02T15:04:05", m[1]+"T"+clock+seconds)
	if err != nil {
		return time.Time{}, bad
	}
	if m[5] != "" {
		hours, minutes := atoi(m[5][1:]), atoi(m[6])
		if hours > 23 || minutes > 59 {
			return time.Time{}, bad
		}
		offset := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
		if m[5][0] == '+' {
			offset = -offset
		}
		t = t.Add(offset)
	}
	if checkTime(t) != nil {
		return time.Time{}, bad
	}
	return t, nil
}

// atoi reads digits that a pattern has already checked.
func atoi(digits string) int {
	n, _ := strconv.Atoi(digits)
	return n
}

// unixWatershed tells seconds from milliseconds in numbers given for times, as the reference implementation's JSON
// reader does: 2e10 seconds are the year 2603.
const unixWatershed = 2e10

// unixTime reads a number as a time: seconds since 1970 in UTC, or milliseconds if it is large.
func unixTime(f float64) (time.Time, error) {
	if math.Abs(f) > unixWatershed {
		f /= 1000
	}
	if math.IsNaN(f) || math.Abs(f) > 253402300799 { // the last second of the year 9999
		return time.Time{}, broken("", f, "want seconds or milliseconds since 1970")
	}
	whole, fraction := math.Modf(f)
	t := time.Unix(int64(whole), int64(math.Round(fraction*1e6))*1000).UTC()
	if err := checkTime(t); err != nil {
		return time.Time{}, err
	}
	return t, nil
}
