package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// comments are the doc comments of a package's structs.
type comments struct {
	types  map[string]string            // by type
	fields map[string]map[string]string // by type and field
}

// readComments reads the doc comments of the structs in a folder's Go files.
func readComments(folder string) (*comments, error) {
	c := &comments{types: map[string]string{}, fields: map[string]map[string]string{}}
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, fmt.Errorf("cannot list %s: %w", folder, err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("cannot parse %s: %w", name, err)
		}
		for _, d := range file.Decls {
			if g, ok := d.(*ast.GenDecl); ok {
				c.add(g)
			}
		}
	}
	return c, nil
}

func (c *comments) add(g *ast.GenDecl) {
	for _, s := range g.Specs {
		t, ok := s.(*ast.TypeSpec)
		if !ok {
			continue
		}
		st, ok := t.Type.(*ast.StructType)
		if !ok {
			continue
		}
		c.types[t.Name.Name] = oneLine(g.Doc)
		fields := map[string]string{}
		for _, f := range st.Fields.List {
			for _, n := range f.Names {
				fields[n.Name] = oneLine(f.Doc)
			}
		}
		c.fields[t.Name.Name] = fields
	}
}

func oneLine(c *ast.CommentGroup) string { return strings.Join(strings.Fields(c.Text()), " ") }

// sentence is a Go doc comment for readers of YAML: "Listen is the address" begins with the name of what it says something about,
// which stands beside it anyway.
func sentence(comment, name string) string {
	s := strings.TrimPrefix(comment, name+" ")
	s = strings.TrimPrefix(s, "is ")
	s = strings.TrimPrefix(s, "are ")
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[size:]
}

var identifier = regexp.MustCompile(`\b[A-Z][A-Za-z]*(\.[A-Z][A-Za-z]*)?\b`)

// inYAML replaces the Go names of fields in a comment by the names that they have in a file. A field is told from a word by its
// case, so the first word of a sentence is left alone. names has fields by their Go name, and by TYPE.FIELD those of other types.
func inYAML(s string, names map[string]string) string {
	var b strings.Builder
	last := 0
	for _, at := range identifier.FindAllStringIndex(s, -1) {
		name, ok := names[s[at[0]:at[1]]]
		if !ok || at[0] == 0 || strings.HasSuffix(s[:at[0]], ". ") {
			continue
		}
		b.WriteString(s[last:at[0]] + "`" + name + "`")
		last = at[1]
	}
	return b.String() + s[last:]
}
