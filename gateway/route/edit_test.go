package route

import (
	"slices"
	"strings"
	"testing"
)

func TestHeaderEdit(t *testing.T) {
	long := strings.Repeat("long", 20)
	rt := mustTable(t, Rule{Targets: to("p"), RequestHeaders: Edit{
		Set:    map[string]string{"X-B": "2", "Authorization": "Bearer t"},
		Remove: []string{"Cookie", "x-b", long},
	}}).Routes()[0]
	e := &rt.RequestEdit
	if want := "Authorization: Bearer t\r\nX-B: 2\r\n"; string(e.Lines) != want {
		t.Errorf("got lines %q, want %q", e.Lines, want)
	}
	if want := []Field{{"authorization", "Bearer t"}, {"x-b", "2"}}; !slices.Equal(e.Fields, want) {
		t.Errorf("got fields %q, want %q", e.Fields, want)
	}
	for name, want := range map[string]bool{
		"cookie": true, "COOKIE": true, "x-B": true, "authorization": true, long: true,
		"": false, "x-c": false, "cookies": false, "x\x0db": false, long + "x": false,
	} {
		if e.Drops([]byte(name)) != want {
			t.Errorf("Drops(%q) is %v", name, !want)
		}
	}
	if e.Empty() || !rt.ResponseEdit.Empty() || rt.ResponseEdit.Drops([]byte("x")) {
		t.Error("Empty does not tell edits from none")
	}
}
