package field

import (
	"net/netip"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLookup(t *testing.T) {
	for id := Unknown + 1; id < ids; id++ {
		name := id.String()
		for _, n := range []string{name, strings.ToUpper(name)} {
			if got := Lookup(n); got != id {
				t.Errorf("Lookup(%q) = %d, want %d", n, got, id)
			}
		}
		// No other byte may stand for one of the name's, and no other length will do.
		for i := range name {
			for c := range 256 {
				b := []byte(name)
				b[i] = byte(c)
				if got := Of(b); (got == id) != strings.EqualFold(name, string(b)) {
					t.Errorf("Of(%q) = %d for %q", b, got, name)
				}
			}
			if got := Lookup(name[:i]); got == id {
				t.Errorf("Lookup(%q) = %d", name[:i], got)
			}
		}
		if got := Lookup(name + name[len(name)-1:]); got != Unknown {
			t.Errorf("Lookup(%q) = %d", name+name[len(name)-1:], got)
		}
	}
}

func TestLookalike(t *testing.T) {
	for name, want := range map[string]bool{
		"content_length": true, "Transfer_Encoding": true, "X_Forwarded-For": true, "x-real_ip": true,
		"content-length": false, "x_request_id": false, "user_agent": false, "content_lengths": false, "_": false,
		strings.Repeat("_", LongestKnown+1): false,
	} {
		if got := Lookalike([]byte(name)); got != want {
			t.Errorf("Lookalike(%q) = %v", name, got)
		}
	}
}

func TestMayTrail(t *testing.T) {
	for name, want := range map[string]bool{
		"grpc-status": true, "Server-Timing": true, "Date": true, "ETag": true,
		"Content-Length": false, "host": false, "Authorization": false, "content-type": false, "te": false, "x_forwarded_for": false, "Connection": false,
	} {
		if got := MayTrail([]byte(name)); got != want {
			t.Errorf("MayTrail(%q) = %v", name, got)
		}
	}
}

func TestIsHop(t *testing.T) {
	for name, want := range map[string]bool{
		"Connection": true, "te": true, "Transfer-Encoding": true, "proxy-authorization": true, "keep-alive": true, "upgrade": true,
		"host": false, "content-length": false, "trailer": false, "expect": false, "x-anything": false,
	} {
		if got := Lookup(name).IsHop(); got != want {
			t.Errorf("%s is a hop-by-hop field: %v", name, got)
		}
	}
}

func TestValidAuthority(t *testing.T) {
	for _, test := range []struct {
		authority   string
		valid, port bool
	}{
		{"example.com", true, false}, {"example.com:80", true, true}, {"example.com:", true, false}, {"[::1]", true, false},
		{"[::1]:443", true, true}, {"1.2.3.4:65535", true, true}, {"a_b~c", true, false},
		{"", false, false}, {":80", false, false}, {"a:65536", false, false}, {"a:1:2", false, false}, {"user@host", false, false},
		{"a%41", false, false}, {"[::1", false, false}, {"[fe80::1%25eth0]", false, false}, {"a b", false, false}, {"ü", false, false},
	} {
		if got := ValidAuthority([]byte(test.authority), false); got != test.valid {
			t.Errorf("ValidAuthority(%q, false) = %v", test.authority, got)
		}
		if got := ValidAuthority([]byte(test.authority), true); got != test.port {
			t.Errorf("ValidAuthority(%q, true) = %v", test.authority, got)
		}
	}
}

func TestValidPath(t *testing.T) {
	for path, want := range map[string]bool{
		"/": true, "/a%2f..%41//b?x=%&y=[1]": true, "/?%zz": true, "/\"<>": true,
		"": false, "a": false, "*": false, "/%": false, "/%4": false, "/%4g": false, "/%4?1": false, "/#": false, "/a b": false,
		"/a\tb": false, "/\x00": false, "/\x7f": false, "/ü": false,
	} {
		if got := ValidPath([]byte(path)); got != want {
			t.Errorf("ValidPath(%q) = %v", path, got)
		}
	}
}

func TestIsToken(t *testing.T) {
	for s, want := range map[string]bool{
		"a": true, "A-b_c": true, "!#$%&'*+-.^_`|~": true,
		"": false, "a b": false, "a:": false, "ü": false, "(a)": false, "a\x00": false,
	} {
		if got := IsToken([]byte(s)); got != want {
			t.Errorf("IsToken(%q) = %v", s, got)
		}
	}
}

func FuzzIPv6(f *testing.F) {
	for _, s := range []string{"::", "::1", "1::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "::1.2.3.4", "1:2:3:4:5:6:1.2.3.4",
		"1:2:3:4:5:6:7:1.2.3.4", ":::", "1::2::3", "::1.2.3", "::01.2.3.4", "12345::", "1.2.3.4", "", ":", "g::", "::1%eth0", "1:2:3:4::5:6:7:8", "1::2:3:4:5:6:1.2.3.4"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		addr, err := netip.ParseAddr(s)
		want := err == nil && addr.Is6() && addr.Zone() == ""
		if got := validIPv6([]byte(s)); got != want {
			t.Errorf("validIPv6(%q) = %v, but netip says %v, %v", s, got, addr, err)
		}
	})
}

// FuzzSkipText checks the scan by words against one by bytes.
func FuzzSkipText(f *testing.F) {
	f.Add([]byte("0123456789\x7f"), 0)
	f.Add([]byte("\t\xff\x80abcdefgh\x00\x1f"), 1)
	f.Fuzz(func(t *testing.T, b []byte, start int) {
		start = min(max(start, 0), len(b))
		want := start
		for want < len(b) && (b[want] >= 0x20 && b[want] != 0x7f || b[want] == '\t') {
			want++
		}
		if got := SkipText(b, start); got != want {
			t.Errorf("SkipText(%q, %d) = %d, want %d", b, start, got, want)
		}
		if got := ValidValue(b[start:]); got != (want == len(b)) {
			t.Errorf("ValidValue(%q) = %v", b[start:], got)
		}
	})
}
