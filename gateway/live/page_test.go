package live

import (
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// lightness is a colour's relative luminance by WCAG 2.2.
func lightness(t *testing.T, colour string) float64 {
	t.Helper()
	hex := strings.TrimPrefix(colour, "#")
	if len(hex) == 3 {
		hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
	}
	n, err := strconv.ParseUint(hex, 16, 32)
	if err != nil || len(hex) != 6 {
		t.Fatalf("%q is no colour", colour)
	}
	linear := func(shift uint) float64 {
		v := float64(n>>shift&255) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(16) + 0.7152*linear(8) + 0.0722*linear(0)
}

// TestColoursStandOut holds every colour against whatever can be behind it: a browser's test sees only the states that it meets.
func TestColoursStandOut(t *testing.T) {
	css, err := files.ReadFile("page/dashboard.css")
	if err != nil {
		t.Fatal(err)
	}
	sets := regexp.MustCompile(`:root \{([^}]*)\}`).FindAllSubmatch(css, -1)
	if len(sets) != 2 {
		t.Fatalf("found %d sets of colours, want 2", len(sets))
	}
	for i, scheme := range []string{"light", "dark"} {
		colours := make(map[string]float64)
		for _, c := range regexp.MustCompile(`--([a-z]+): (#[0-9a-f]+);`).FindAllSubmatch(sets[i][1], -1) {
			colours[string(c[1])] = lightness(t, string(c[2]))
		}
		for _, c := range []struct {
			least         float64
			fronts, backs string
		}{
			{4.5, "text faint accent good warn bad", "page card zebra"},
			{3, "edge accent good warn bad faint", "page card"}, // of fields, buttons, badges and the focus
			{3, "accent", "area card"},                          // lines of charts
		} {
			for _, front := range strings.Fields(c.fronts) {
				for _, back := range strings.Fields(c.backs) {
					a, okA := colours[front]
					b, okB := colours[back]
					if !okA || !okB {
						t.Fatalf("%s has no colour %s or %s", scheme, front, back)
					}
					if ratio := (max(a, b) + .05) / (min(a, b) + .05); ratio < c.least {
						t.Errorf("in %s, %s on %s has a contrast of %.2f, want %v", scheme, front, back, ratio, c.least)
					}
				}
			}
		}
	}
}

// TestModulesImportEachOther holds the page's modules against each other: a browser runs none where one is missing, or a name that another imports of it.
// They come in an order, so that each can be read and changed without those that use it.
func TestModulesImportEachOther(t *testing.T) {
	imported := regexp.MustCompile(`(?m)^import \{ (.+) \} from '\./(.+)';$`)
	exported := regexp.MustCompile(`(?m)^export (?:async )?(?:function|class|const|let) (\w+)`)
	read := make(map[string]bool) // false while what it imports is read
	var visit func(name, by string)
	visit = func(name, by string) {
		if done, found := read[name]; found {
			if !done {
				t.Errorf("%s imports %s, which needs it itself", by, name)
			}
			return
		}
		read[name] = false
		text, err := files.ReadFile("page/" + name)
		if err != nil {
			t.Fatalf("%s imports %v", by, err)
		}
		if found, all := len(imported.FindAll(text, -1)), strings.Count("\n"+string(text), "\nimport "); found != all {
			t.Errorf("%s has %d imports, of which %d are of the form of others", name, all, found)
		}
		for _, i := range imported.FindAllSubmatch(text, -1) {
			visit(string(i[2]), name)
			of, _ := files.ReadFile("page/" + string(i[2]))
			var has []string
			for _, e := range exported.FindAllSubmatch(of, -1) {
				has = append(has, string(e[1]))
			}
			for _, wanted := range strings.Split(string(i[1]), ", ") {
				if !slices.Contains(has, wanted) {
					t.Errorf("%s imports %s of %s, which has %q", name, wanted, i[2], has)
				}
			}
		}
		read[name] = true
	}
	visit("main.js", "index.html")
	for _, pattern := range PagePaths {
		if name := strings.TrimPrefix(pattern, "/"); path.Ext(name) == ".js" && !read[name] {
			t.Errorf("nothing imports %s", name)
		}
	}
}
