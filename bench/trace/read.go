package trace

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Read reads the trace in a file, in one of the formats of ReadAzure and ReadMooncake, which it tells apart by how the file begins. The
// trace is named after the file. Errors name the path.
func Read(path string) (*Trace, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read a trace: %w", err)
	}
	defer file.Close()
	t, err := readAny(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the trace %s: %w", path, err)
	}
	name := filepath.Base(path)
	t.Name = strings.TrimSuffix(name, filepath.Ext(name))
	return t, nil
}

func readAny(r io.Reader) (*Trace, error) {
	b := bufio.NewReaderSize(r, 4096)
	head, err := b.Peek(4096)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	head = bytes.TrimSpace(head)
	switch {
	case len(head) == 0:
		return nil, errors.New("it is empty")
	case head[0] == '{':
		return ReadMooncake(b)
	case bytes.HasPrefix(head, []byte(azureHeader)):
		return ReadAzure(b)
	}
	line, _, _ := bytes.Cut(head, []byte("\n"))
	return nil, fmt.Errorf("it begins with %s, want a JSON object (Mooncake) or the header %s (Azure)", excerpt(line), azureHeader)
}
