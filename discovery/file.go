package discovery

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/penstock/penstock/config"
)

// fileInterval is the time between two looks at a file. A look reads the file, as neither the time nor the inode of a path has to move when
// a symbolic link above it is swapped, which is how ConfigMaps change.
const fileInterval = time.Second

// file finds a pool's endpoints in a file.
type file struct{ pool, path string }

// NewFile returns the source of a pool whose endpoints stand in the YAML file at path.
func NewFile(pool, path string) Source { return &file{pool, path} }

func (f *file) Pool() string { return f.pool }

func (f *file) Key() string { return "file " + f.path }

func (f *file) Run(ctx context.Context, sink Sink) error {
	r := fileReader{path: f.path}
	poll(ctx, f.pool, fileInterval, r.look, sink)
	return nil
}

// fileReader reads a file again and parses it only when its content has changed.
type fileReader struct {
	path      string
	parsed    bool
	sum       [sha256.Size]byte // of what was parsed last, which gave what follows
	endpoints []Endpoint
	err       error
}

func (r *fileReader) look(context.Context) ([]Endpoint, error) {
	data, err := config.ReadEndpointFile(r.path)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(data); !r.parsed || r.sum != sum {
		r.parsed, r.sum = true, sum
		r.endpoints, r.err = parseFile(r.path, data)
	}
	return r.endpoints, r.err
}

func parseFile(path string, data []byte) ([]Endpoint, error) {
	parsed, err := config.ParseEndpointFile(path, data)
	if err != nil {
		return nil, firstOf(err)
	}
	endpoints := make([]Endpoint, len(parsed))
	for i, e := range parsed {
		endpoints[i].Endpoint = e
	}
	return endpoints, nil
}

// firstOf is the first error of a file, and how many there are besides, so that it fits a line.
func firstOf(err error) error {
	var all config.Errors
	if !errors.As(err, &all) || len(all) == 1 {
		return fmt.Errorf("cannot use a file of endpoints: %w", err)
	}
	return fmt.Errorf("cannot use a file of endpoints: %w (and %d more)", all[0], len(all)-1)
}
