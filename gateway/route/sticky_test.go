package route

import (
	"net/netip"
	"testing"
)

func TestStickyKey(t *testing.T) {
	v4 := netip.MustParseAddr("192.0.2.1")
	tests := []struct {
		name   string
		key    *Key
		header HeaderSource
		ip     netip.Addr
		want   string // what is hashed; empty is no key
	}{
		{"none", nil, fields{"x-user", "alice"}, v4, ""},
		{"header", &Key{Header: "X-User"}, fields{"X-USER", "alice", "x-user", "bob"}, v4, "alice"},
		{"no header", &Key{Header: "x-user"}, fields{"x-users", "alice"}, v4, ""},
		{"empty header", &Key{Header: "x-user"}, fields{"x-user", ""}, v4, ""},
		{"no headers at all", &Key{Header: "x-user"}, nil, v4, ""},
		{"cookie", &Key{Cookie: "sid"}, fields{"Cookie", "a=b; sid=4711 ; sid=no; c"}, v4, "4711"},
		{"cookie first", &Key{Cookie: "sid"}, fields{"cookie", "sid=a=b"}, v4, "a=b"},
		{"cookie name case", &Key{Cookie: "sid"}, fields{"cookie", "SID=1;xsid=2;sid;sid=;=sid"}, v4, ""},
		{"cookie crumbs", &Key{Cookie: "sid"}, fields{"cookie", "a=b", "x", "y", "cookie", "sid=7"}, v4, "7"},
		{"no cookie", &Key{Cookie: "sid"}, fields{}, v4, ""},
		{"address", &Key{ClientIP: true}, nil, v4, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x01"},
		{"mapped address", &Key{ClientIP: true}, nil, netip.MustParseAddr("::ffff:192.0.2.1"), "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x01"},
		{"no address", &Key{ClientIP: true}, nil, netip.Addr{}, ""},
	}
	for _, tt := range tests {
		rt := mustTable(t, Rule{Targets: to("p"), Sticky: tt.key}).Routes()[0]
		key, ok := rt.StickyKey(&Request{Header: tt.header}, tt.ip)
		if ok != (tt.want != "") || ok && key != hash64(tt.want) {
			t.Errorf("%s: got key %#x, %v; want that of %q", tt.name, key, ok, tt.want)
		}
	}
}
