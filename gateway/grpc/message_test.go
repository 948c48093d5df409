package grpc

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAppendMessage(t *testing.T) {
	for _, c := range []struct{ msg, want string }{
		{"", ""},
		{"no endpoint is ready", "no endpoint is ready"},
		{"100%", "100%25"},
		{"a~ \x7f\x1f", "a~ %7F%1F"},
		{"line\r\nend", "line%0D%0Aend"},
		{"é😀", "%C3%A9%F0%9F%98%80"},
		{" both ends ", "%20both ends%20"},
		{" ", "%20"},
		{"a\xffb\xc3", "a%EF%BF%BDb%EF%BF%BD"},
		{strings.Repeat("a", 2000), strings.Repeat("a", 1024)},
		{strings.Repeat("a", 1023) + " b", strings.Repeat("a", 1023) + "%20"},
		{strings.Repeat("a", 1023) + "é", strings.Repeat("a", 1023)},
		{strings.Repeat("a", 1021) + "😀", strings.Repeat("a", 1021)},
		{strings.Repeat("a", 1022) + "éa", strings.Repeat("a", 1022) + "%C3%A9"},
	} {
		if got := string(AppendMessage([]byte("x"), c.msg)); got != "x"+c.want {
			t.Errorf("AppendMessage(%q) appends %q", c.msg, got[1:])
		}
	}
}

func FuzzAppendMessage(f *testing.F) {
	f.Add("a% \xff é😀\r\n")
	f.Add(strings.Repeat("\x80", 1030))
	f.Fuzz(func(t *testing.T, msg string) {
		got := string(AppendMessage(nil, msg))
		for _, c := range []byte(got) {
			if c < 0x20 || c > 0x7e {
				t.Fatalf("%q is written with byte %#x", msg, c)
			}
		}
		if strings.TrimSpace(got) != got || len(got) > 9*maxMessage {
			t.Errorf("%q is written as %q", msg, got)
		}
		read, err := url.PathUnescape(got)
		if err != nil || !utf8.ValidString(read) {
			t.Fatalf("%q is written as %q, which reads as %q, %v", msg, got, read, err)
		}
		if want := string([]rune(msg)); !strings.HasPrefix(want, read) || len(msg) <= maxMessage && read != want {
			t.Errorf("%q reads as %q", msg, read)
		}
	})
}
