package config

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// sizeUnits are the units of a size, largest first, so that the first that divides a number is the shortest way to write it.
var sizeUnits = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

var (
	sizePattern     = regexp.MustCompile(`^(-?[0-9]+)(B|KiB|MiB|GiB)?$`)
	looseSizeFormat = regexp.MustCompile(`(?i)^([0-9]+) *([kmg])(i?b?)$`)
)

const wantSize = "want a number of bytes or a size such as 64KiB, 16MiB or 1GiB"

// formatSize writes a number of bytes with the largest unit that divides it.
func formatSize(n int64) string {
	if n == 0 {
		return "0"
	}
	for _, u := range sizeUnits {
		if n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	panic("BUG: every number is a multiple of 1")
}

// parseSize reads a number of bytes with or without a unit. If it cannot, problem says what is wrong with s and want what would be
// right.
func parseSize(s string) (n int64, problem, want string) {
	m := sizePattern.FindStringSubmatch(s)
	if m == nil {
		want = wantSize
		if loose := looseSizeFormat.FindStringSubmatch(s); loose != nil {
			want = "write " + loose[1] + strings.ToUpper(loose[2]) + "iB (units of 1024)"
		}
		return 0, quote(s) + " is not a size", want
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	for _, u := range sizeUnits {
		if u.name == m[2] {
			if err == nil && (n > math.MaxInt64/u.bytes || n < math.MinInt64/u.bytes) {
				err = strconv.ErrRange
			}
			n *= u.bytes
		}
	}
	if err != nil {
		return 0, fmt.Sprintf("is too large: %s", clip(s)), wantSize
	}
	return n, "", ""
}
