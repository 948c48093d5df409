package balancer

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unsafe"
)

// The simulator runs this package as it is, so it may have neither clock nor goroutines nor randomness of its own, and nothing
// but the standard library.
func TestPackageIsPure(t *testing.T) {
	files := token.NewFileSet()
	names, err := filepath.Glob("*.go")
	if err != nil || len(names) == 0 {
		t.Fatalf("found no files: %v", err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			first, _, _ := strings.Cut(path, "/")
			switch {
			case strings.Contains(first, "."):
				t.Errorf("%s imports %s: only the standard library is allowed", name, path)
			case path == "time", path == "os", path == "net", path == "context", strings.HasPrefix(path, "math/rand"), path == "crypto/rand", path == "hash/maphash":
				t.Errorf("%s imports %s: clock, randomness and the outside world are passed in", name, path)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				t.Errorf("%s starts a goroutine", files.Position(g.Pos()))
			}
			return true
		})
	}
}

// What cores write must not share a cache line with what others read.
func TestCacheLines(t *testing.T) {
	const line = 64
	var e Endpoint
	if unsafe.Sizeof(e) != 3*line || unsafe.Offsetof(e.inFlight) != line || unsafe.Offsetof(e.learned) != 2*line {
		t.Errorf("Endpoint has %d bytes, its counters start at %d and what was learned at %d, want %d, %d and %d",
			unsafe.Sizeof(e), unsafe.Offsetof(e.inFlight), unsafe.Offsetof(e.learned), 3*line, line, 2*line)
	}
	for _, e := range pool(100) {
		if uintptr(unsafe.Pointer(e))%line != 0 {
			t.Fatal("an endpoint does not start at a cache line")
		}
	}
	var b Balancer
	if end := unsafe.Offsetof(b.waiting) + unsafe.Sizeof(b.waiting); unsafe.Offsetof(b.mu) < end+line {
		t.Errorf("the lock is at %d, less than a line after what picks read, which ends at %d", unsafe.Offsetof(b.mu), end)
	}
}
