package identity

import (
	"net/netip"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}

// backwards returns values from the last to the first.
func backwards(values ...string) func() ([]byte, bool) {
	return func() ([]byte, bool) {
		if len(values) == 0 {
			return nil, false
		}
		last := values[len(values)-1]
		values = values[:len(values)-1]
		return []byte(last), true
	}
}

func TestClientIP(t *testing.T) {
	for _, test := range []struct {
		remote string
		values []string
		want   string
	}{
		{"1.2.3.4", []string{"9.9.9.9"}, "1.2.3.4"},
		{"10.0.0.1", nil, "10.0.0.1"},
		{"10.0.0.1", []string{"9.9.9.9"}, "9.9.9.9"},
		{"10.0.0.1", []string{"8.8.8.8, 9.9.9.9"}, "9.9.9.9"},
		{"10.0.0.1", []string{"8.8.8.8, 10.0.0.2"}, "8.8.8.8"},
		{"10.0.0.1", []string{"8.8.8.8", "10.0.0.2,10.0.0.3"}, "8.8.8.8"},
		{"10.0.0.1", []string{"8.8.8.8", "9.9.9.9, 10.0.0.3"}, "9.9.9.9"},
		{"10.0.0.1", []string{"10.0.0.2, 10.0.0.3"}, "10.0.0.2"},
		{"10.0.0.1", []string{"8.8.8.8, nonsense, 10.0.0.3"}, "10.0.0.3"},
		{"10.0.0.1", []string{"8.8.8.8,"}, "10.0.0.1"},
		{"10.0.0.1", []string{""}, "10.0.0.1"},
		{"10.0.0.1", []string{"9.9.9.9:1234"}, "9.9.9.9"},
		{"10.0.0.1", []string{"[2001:db8::1]:1234"}, "2001:db8::1"},
		{"fd00::1", []string{"2001:db8::1"}, "2001:db8::1"},
		{"10.0.0.1", []string{"::ffff:9.9.9.9"}, "9.9.9.9"},
		{"10.0.0.1", []string{"fe80::1%eth0"}, "10.0.0.1"},
		{"10.0.0.1", []string{strings.Repeat("1", 65)}, "10.0.0.1"},
	} {
		if got := ClientIP(netip.MustParseAddr(test.remote), proxies, backwards(test.values...)); got.String() != test.want {
			t.Errorf("a peer at %s that forwards for %q is taken for %s, want %s", test.remote, test.values, got, test.want)
		}
	}
}

func TestStrangersAreNotAskedWhomTheyForwardFor(t *testing.T) {
	remote := netip.MustParseAddr("1.2.3.4")
	previous := func() ([]byte, bool) {
		t.Error("the fields of a peer that is not trusted are read")
		return nil, false
	}
	ClientIP(remote, proxies, previous)
	ClientIP(remote, nil, previous)
}

func TestClientIPDoesNotAllocate(t *testing.T) {
	remote, values := netip.MustParseAddr("10.0.0.1"), [][]byte{[]byte("8.8.8.8"), []byte("10.0.0.2, 10.0.0.3")}
	if n := testing.AllocsPerRun(10, func() {
		left := len(values)
		ClientIP(remote, proxies, func() ([]byte, bool) {
			left--
			return values[left], true
		})
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func TestAcceptableID(t *testing.T) {
	for id, want := range map[string]bool{
		"abc-123": true, strings.Repeat("x", 128): true, "~!": true,
		"": false, strings.Repeat("x", 129): false, "a b": false, "a\"b": false, `a\b`: false, "ü": false, "a\r\nb": false, "\x7f": false,
	} {
		if got := AcceptableID([]byte(id)); got != want {
			t.Errorf("AcceptableID(%q) = %v", id, got)
		}
	}
}

func TestNewIDsAreAcceptableAndDiffer(t *testing.T) {
	var a, b [32]byte
	NewID(&a)
	NewID(&b)
	if !AcceptableID(a[:]) || a == b {
		t.Errorf("made %q and %q, want two different ids", a, b)
	}
}

func FuzzClientIP(f *testing.F) {
	f.Add([]byte("8.8.8.8, 10.0.0.2"), []byte("10.0.0.3"))
	f.Add([]byte("[::1]:80"), []byte(",,"))
	remote := netip.MustParseAddr("10.0.0.1")
	f.Fuzz(func(t *testing.T, first, last []byte) {
		ip := ClientIP(remote, proxies, backwards(string(first), string(last)))
		if !ip.IsValid() || ip.Zone() != "" || ip.Is4In6() {
			t.Errorf("%q and %q are from %v", first, last, ip)
		}
	})
}
