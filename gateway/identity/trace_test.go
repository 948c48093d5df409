package identity

import (
	"strings"
	"testing"
)

func TestSetTrace(t *testing.T) {
	const id, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for value, want := range map[string]string{
		"00-" + id + "-" + parent + "-01":                         id,
		"00-" + id + "-" + parent + "-ff":                         id,
		"cc-" + id + "-" + parent + "-01":                         id,
		"cc-" + id + "-" + parent + "-01-what-the-future-is-like": id,
		"":                                     "",
		"00":                                   "",
		id:                                     "",
		"00-" + id + "-" + parent:              "",
		"00-" + id + "-" + parent + "-0":       "",
		"00-" + id + "-" + parent + "-01-more": "",
		"00-" + id + "-" + parent + "-01 ":     "",
		"cc-" + id + "-" + parent + "-01more":  "",
		"ff-" + id + "-" + parent + "-01":      "",
		"0x-" + id + "-" + parent + "-01":      "",
		"00-" + strings.ToUpper(id) + "-" + parent + "-01":     "",
		"00-" + strings.Repeat("0", 32) + "-" + parent + "-01": "",
		"00-" + id + "-" + strings.Repeat("0", 16) + "-01":     "",
		"00-" + id[:31] + "g-" + parent + "-01":                "",
		"00-" + id[:31] + "\"-" + parent + "-01":               "",
		"00-" + id + "_" + parent + "-01":                      "",
		"00-" + id + "-" + parent + "-0g":                      "",
	} {
		var got [32]byte
		copy(got[:], "left from the request before this one")
		SetTrace(&got, []byte(value))
		if none := got == [32]byte{}; none != (want == "") || !none && string(got[:]) != want {
			t.Errorf("%q: got %q, want %q", value, got, want)
		}
	}
	var got [32]byte
	value := []byte("00-" + id + "-" + parent + "-01")
	if n := testing.AllocsPerRun(100, func() { SetTrace(&got, value) }); n != 0 {
		t.Errorf("reading one allocates %v times", n)
	}
}
