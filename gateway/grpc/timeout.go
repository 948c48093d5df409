package grpc

import (
	"math"
	"strconv"
	"time"
)

// maxTimeoutDigits is the specification's: a TimeoutValue is a "positive integer as ASCII string of at most 8 digits".
const (
	maxTimeoutDigits = 8
	maxTimeoutValue  = 99_999_999
)

// timeoutUnits are the specification's TimeoutUnits, finest first. Each is a multiple of the one before it.
var timeoutUnits = [...]struct {
	letter byte
	length time.Duration
}{
	{'n', time.Nanosecond},
	{'u', time.Microsecond},
	{'m', time.Millisecond},
	{'S', time.Second},
	{'M', time.Minute},
	{'H', time.Hour},
}

// ParseTimeout reads the value of a grpc-timeout field: 1 to 8 digits and a unit. What is longer than a Duration can be, about 292
// years, becomes the longest one. A timeout of 0 is taken, though the specification has positive ones only: clients that are out of
// time send it. ok is false if s is malformed.
func ParseTimeout(s string) (d time.Duration, ok bool) {
	digits := len(s) - 1
	if digits < 1 || digits > maxTimeoutDigits {
		return 0, false
	}
	value := int64(0)
	for i := range digits {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		value = 10*value + int64(s[i]-'0')
	}
	for _, unit := range timeoutUnits {
		if unit.letter != s[digits] {
			continue
		}
		if value > math.MaxInt64/int64(unit.length) {
			return math.MaxInt64, true
		}
		return time.Duration(value) * unit.length, true
	}
	return 0, false
}

// AppendTimeout appends d as the value of a grpc-timeout field. It takes the finest unit in which 8 digits suffice, rounded up, as a
// deadline must not come earlier than it was set; and of the ways to write the same the shortest, so a second is "1S" and not
// "1000000u". Where no time is left, d <= 0, it appends "1n" and not "0n": the specification asks for a positive integer, and a
// nanosecond is over as soon.
func AppendTimeout(dst []byte, d time.Duration) []byte {
	d = max(d, 1)
	unit, value := 0, int64(d)
	for value > maxTimeoutValue {
		unit++
		length := timeoutUnits[unit].length
		value = int64(d / length)
		if d%length > 0 {
			value++
		}
	}
	for unit+1 < len(timeoutUnits) {
		ratio := int64(timeoutUnits[unit+1].length / timeoutUnits[unit].length)
		if value%ratio != 0 {
			break
		}
		value /= ratio
		unit++
	}
	dst = strconv.AppendInt(dst, value, 10)
	return append(dst, timeoutUnits[unit].letter)
}
