package grpc

import (
	"math"
	"testing"
	"time"
)

func TestParseTimeout(t *testing.T) {
	for _, c := range []struct {
		s    string
		want time.Duration
		ok   bool
	}{
		{"1H", time.Hour, true},
		{"2M", 2 * time.Minute, true},
		{"3S", 3 * time.Second, true},
		{"4m", 4 * time.Millisecond, true},
		{"5u", 5 * time.Microsecond, true},
		{"6n", 6, true},
		{"0n", 0, true},
		{"00000001S", time.Second, true},
		{"99999999M", 99999999 * time.Minute, true},
		{"2562047H", 2562047 * time.Hour, true},
		{"2562048H", math.MaxInt64, true},
		{"99999999H", math.MaxInt64, true},
		{"100000000n", 0, false},
		{"000000001S", 0, false},
		{"", 0, false},
		{"S", 0, false},
		{"1", 0, false},
		{"1s", 0, false},
		{"1h", 0, false},
		{"-1S", 0, false},
		{"+1S", 0, false},
		{" 1S", 0, false},
		{"1S ", 0, false},
		{"1 S", 0, false},
		{"1.5S", 0, false},
		{"0x1S", 0, false},
		{"1_0S", 0, false},
		{"1S1m", 0, false},
	} {
		if d, ok := ParseTimeout(c.s); d != c.want || ok != c.ok {
			t.Errorf("ParseTimeout(%q) = %v, %v", c.s, d, ok)
		}
	}
}

func TestAppendTimeout(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		want string
	}{
		{math.MinInt64, "1n"},
		{-1, "1n"},
		{0, "1n"},
		{1, "1n"},
		{1001, "1001n"},
		{time.Microsecond, "1u"},
		{time.Millisecond, "1m"},
		{time.Second, "1S"},
		{90 * time.Second, "90S"},
		{time.Minute, "1M"},
		{time.Hour, "1H"},
		{25 * time.Hour, "25H"},
		{99_999_999, "99999999n"},
		{100_000_001, "100001u"},
		{1500 * time.Millisecond, "1500m"},
		{10*time.Second + 1, "10000001u"},
		{100*time.Second - 1, "100S"},
		{100*time.Second + 1, "100001m"},
		{99_999_999 * time.Second, "99999999S"},
		{99_999_999*time.Second + 1, "1666667M"},
		{math.MaxInt64, "2562048H"},
	} {
		if got := string(AppendTimeout([]byte("x"), c.d)); got != "x"+c.want {
			t.Errorf("AppendTimeout(%d) appends %s; want %s", c.d, got[1:], c.want)
		}
	}
}

// FuzzTimeout checks that what is written is read, comes no earlier than it was set, and hardly later.
func FuzzTimeout(f *testing.F) {
	for _, d := range []int64{0, 1, 99_999_999, 100_000_000, 1e9, 60e9, 3600e9, 99_999_999e9, math.MaxInt64} {
		f.Add(d, "1S")
	}
	f.Add(int64(1), "99999999H")
	f.Fuzz(func(t *testing.T, n int64, s string) {
		d := max(time.Duration(n), 1)
		written := string(AppendTimeout(nil, time.Duration(n)))
		got, ok := ParseTimeout(written)
		if !ok || got < d || got-d > d/100_000 {
			t.Errorf("%d is written as %q and read as %d, %v", d, written, got, ok)
		}
		if read, ok := ParseTimeout(s); ok {
			again, ok := ParseTimeout(string(AppendTimeout(nil, read)))
			if !ok || again < read {
				t.Errorf("%q is read as %d, and as %d once written again", s, read, again)
			}
		}
	})
}
