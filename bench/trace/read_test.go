package trace

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// reader is one of the two formats' readers.
type reader func(io.Reader) (*Trace, error)

// badInput is a file and the exact error that reading it gives.
type badInput struct {
	name, input, want string
}

func checkErrors(t *testing.T, read reader, cases []badInput) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := read(strings.NewReader(c.input))
			if err == nil || err.Error() != c.want {
				t.Errorf("error is\n%v\nwant\n%s", err, c.want)
			}
		})
	}
}

func mustRead(t *testing.T, read reader, input string) *Trace {
	t.Helper()
	tr, err := read(strings.NewReader(input))
	if err != nil {
		t.Fatal(err)
	}
	mustValidate(t, tr)
	return tr
}

func mustValidate(t testing.TB, tr *Trace) {
	t.Helper()
	if err := tr.Validate(); err != nil {
		t.Fatal(err)
	}
}

// times are the requests' times in milliseconds.
func times(tr *Trace) []int {
	var ms []int
	for _, r := range tr.Requests {
		ms = append(ms, int(r.At/time.Millisecond))
	}
	return ms
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, c := range []struct {
		name, content string
		blockTokens   int
	}{
		{"a.csv", azureHeader + "\r\n2023-11-16 18:15:46.6805900,374,44\r\n", 16},
		{"b.jsonl", "\n \t{\"timestamp\": 0, \"input_length\": 10, \"output_length\": 1, \"hash_ids\": [0]}\n", 512},
		{"c", "\n\n" + azureHeader + "\n2023-11-16 18:15:46,374,44", 16},
	} {
		tr, err := Read(file(c.name, c.content))
		if err != nil {
			t.Fatal(err)
		}
		if want := c.name[:1]; tr.Name != want || tr.BlockTokens != c.blockTokens || len(tr.Requests) != 1 {
			t.Errorf("%s gives %+v", c.name, tr)
		}
	}
	for _, c := range []struct{ name, content, want string }{
		{"empty", " \n", "it is empty"},
		{"text", "hello\nworld",
			`it begins with "hello", want a JSON object (Mooncake) or the header TIMESTAMP,ContextTokens,GeneratedTokens (Azure)`},
		{"bad.csv", "\n" + azureHeader + "\n1,2\n", "cannot read line 3: it has 2 columns, want 3: TIMESTAMP,ContextTokens,GeneratedTokens"},
	} {
		path := file(c.name, c.content)
		_, err := Read(path)
		if want := fmt.Sprintf("cannot read the trace %s: %s", path, c.want); err == nil || err.Error() != want {
			t.Errorf("error is\n%v\nwant\n%s", err, want)
		}
	}
	if _, err := Read(filepath.Join(dir, "missing")); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "missing")) {
		t.Errorf("the error does not name the path: %v", err)
	}
}

func TestReadersAreBounded(t *testing.T) {
	row := "2023-11-16 18:15:46,1,1\n"
	if _, err := readAzure(newLines(strings.NewReader(azureHeader+"\n"+row+row), 2)); err == nil ||
		err.Error() != "cannot read line 3: a trace has at most 2 rows" {
		t.Errorf("with a row too many: %v", err)
	}
	long := strings.Repeat(" ", maxLine)
	for _, read := range []reader{ReadAzure, ReadMooncake} {
		for _, input := range []string{"\n" + long + " \n", "\n" + long + " \r\n", "\n" + long + long} {
			if _, err := read(strings.NewReader(input)); err == nil || err.Error() != "cannot read line 2: it is longer than 1048576 bytes" {
				t.Errorf("with a line that is too long: %v", err)
			}
		}
		// The longest line that is read is blank, so it is skipped.
		if _, err := read(strings.NewReader(long + "\r\n")); err == nil || !strings.HasPrefix(err.Error(), "cannot read an empty trace") {
			t.Errorf("with the longest line: %v", err)
		}
		if _, err := read(iotest.ErrReader(io.ErrUnexpectedEOF)); err == nil || err.Error() != "cannot read line 1: unexpected EOF" {
			t.Errorf("with a failing reader: %v", err)
		}
	}
}
