package health

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

func sentence(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// count says how many there are of something.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// capital begins a sentence.
func capital(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

func date(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }

// span says how long something takes, in the unit that people would use.
func span(d time.Duration) string {
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%d days", d/day)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	}
	return count(int(max(d, time.Minute)/time.Minute), "minute", "minutes")
}

// size writes a number of bytes.
func size(n uint64) string {
	const unit = 1024
	units := strings.Fields("KiB MiB GiB TiB")
	if n < unit {
		return fmt.Sprintf("%d bytes", n)
	}
	v, i := float64(n)/unit, 0
	for v >= unit && i < len(units)-1 {
		v /= unit
		i++
	}
	return fmt.Sprintf("%.1f %s", v, units[i])
}
