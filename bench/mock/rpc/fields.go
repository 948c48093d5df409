package rpc

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// units are those of grpc-timeout.
var units = map[byte]time.Duration{
	'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
}

// timeoutOf reads grpc-timeout; ok is false if there is none.
func timeoutOf(r *http.Request) (d time.Duration, ok bool, err error) {
	v := r.Header.Get("Grpc-Timeout")
	if v == "" {
		return 0, false, nil
	}
	if d, ok = parseTimeout(v); !ok {
		return 0, false, status.Errorf(codes.Internal, "cannot read grpc-timeout %q: it must be at most 8 digits and one of H, M, S, m, u and n", v)
	}
	return d, true, nil
}

func parseTimeout(v string) (time.Duration, bool) {
	const digits = 8
	if len(v) < 2 || len(v) > digits+1 {
		return 0, false
	}
	unit, known := units[v[len(v)-1]]
	n, err := strconv.ParseUint(v[:len(v)-1], 10, 63)
	if !known || err != nil || v[0] == '+' {
		return 0, false
	}
	const longest = 100 * 365 * 24 * time.Hour // more hours than that would overflow
	if n > uint64(longest/unit) {
		return longest, true
	}
	return time.Duration(n) * unit, true
}

// escape makes a grpc-message: what is not printable ASCII, and the percent sign, as %XX.
func escape(m string) string {
	var b strings.Builder
	for i := range len(m) {
		if c := m[i]; c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
