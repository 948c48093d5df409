package config

import "testing"

func TestFormatSize(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 1: "1B", 1023: "1023B", 1024: "1KiB", 1536: "1536B", 64 << 10: "64KiB", 256 << 20: "256MiB", 3 << 30: "3GiB",
		1 << 40: "1024GiB", -1024: "-1KiB",
	} {
		got := formatSize(n)
		if got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
		if again, problem, _ := parseSize(got); again != n || problem != "" {
			t.Errorf("%s: reads back as %d (%s), want %d", got, again, problem, n)
		}
	}
}

func TestParseSizeLimits(t *testing.T) {
	for _, s := range []string{"9223372036854775808", "8796093022208MiB", "-8796093022209MiB", "99999999999999999999GiB"} {
		if n, problem, _ := parseSize(s); problem == "" {
			t.Errorf("%s: got %d, want an error", s, n)
		}
	}
	if n, problem, _ := parseSize("8796093022207MiB"); problem != "" || n != 8796093022207<<20 {
		t.Errorf("got %d (%s)", n, problem)
	}
}

func TestClosest(t *testing.T) {
	known := []string{"endpoints", "service", "engine", "balance", "maxInFlight", "tls", "size"}
	for word, want := range map[string]string{
		"endpoint":      "endpoints",
		"enpoints":      "endpoints",
		"endpionts":     "endpoints",
		"Endpoints":     "endpoints",
		"max-in-flight": "maxInFlight",
		"tsl":           "tls",
		"depth":         "",
		"x":             "",
		"":              "",
		"concurrency":   "",
	} {
		if got := closest(word, known); got != want {
			t.Errorf("%s: got %q, want %q", word, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "axc", 1}, {"abcd", "bcd", 1}, {"kitten", "sitting", 3}} {
		if got := distance(c.a, c.b, 9); got != c.want {
			t.Errorf("%s, %s: got %d, want %d", c.a, c.b, got, c.want)
		}
		if got := distance(c.b, c.a, 9); got != c.want {
			t.Errorf("%s, %s: got %d, want %d", c.b, c.a, got, c.want)
		}
	}
	if got := distance("kitten", "sitting", 2); got != 2 {
		t.Errorf("got %d, want the limit, 2", got)
	}
}

func TestPaths(t *testing.T) {
	path := under(item(under(under("", "pools"), "a.b"), 3), "x")
	if want := `pools["a.b"][3].x`; path != want {
		t.Errorf("got %s, want %s", path, want)
	}
	for outer, want := range map[string]bool{
		"": true, "pools": true, `pools["a.b"]`: true, path: true, "pool": false, "routes": false, path + ".y": false,
	} {
		if within(path, outer) != want {
			t.Errorf("within %q: got %v", outer, !want)
		}
	}
}

func TestErrorText(t *testing.T) {
	for want, e := range map[string]Error{
		"f.yaml:3:5: a.b: is bad; want good": {File: "f.yaml", Line: 3, Column: 5, Field: "a.b", Problem: "is bad", Want: "want good"},
		"f.yaml: is too large; split it":     {File: "f.yaml", Problem: "is too large", Want: "split it"},
		"--admin: is bad; want good":         {Field: "--admin", Problem: "is bad", Want: "want good"},
	} {
		if e.Error() != want {
			t.Errorf("got %s, want %s", e.Error(), want)
		}
	}
}
