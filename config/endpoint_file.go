package config

import (
	"fmt"
	"io"
	"os"
	"reflect"
)

// endpointFile is what a file holds that a pool's field file names.
type endpointFile struct {
	// Endpoints lists replicas as a pool's endpoints do. An empty list is taken as meant.
	Endpoints []string `yaml:"endpoints"`
}

const wantEndpointFile = "want endpoints: [URL, ...], or endpoints: [] for none"

// ReadEndpointFile reads a file of endpoints, at most 4 MiB. Anything but a plain file is refused, as reading it might never end.
func ReadEndpointFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the endpoints in %s: %w; want a YAML file there: endpoints: [URL, ...]", path, bare(err))
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("cannot read the endpoints in %s: not a plain file; want a YAML file there: endpoints: [URL, ...]", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the endpoints in %s: %w; want a file that the gateway may read", path, bare(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1)) // ParseEndpointFile refuses what is longer
	if err != nil {
		return nil, fmt.Errorf("cannot read the endpoints in %s: %w; want a file that can be read", path, bare(err))
	}
	return data, nil
}

// ParseEndpointFile parses a file of endpoints; name is what its errors call the file. The error is Errors: everything that is wrong,
// unless the YAML itself is broken, which hides the rest. A file without the field endpoints is wrong; one with endpoints: [] is not.
func ParseEndpointFile(name string, data []byte) ([]Endpoint, error) {
	r := newReport(name)
	r.spots = make(map[string]spot)
	root := readDocument(r, data, wantEndpointFile, fmt.Sprintf("want at most %d endpoints", maxItems))
	if root == nil {
		return nil, r.err()
	}
	var file endpointFile
	d := &decoder{report: r}
	d.decode(root, "", reflect.ValueOf(&file).Elem(), "")
	if _, given := r.spots["endpoints"]; !given && !r.full {
		r.field("endpoints", "is missing", wantEndpointFile, "endpoints")
	}
	r.values(reflect.ValueOf(file), "", "")
	r.endpoints(file.Endpoints, "endpoints")
	if err := r.err(); err != nil {
		return nil, err
	}
	endpoints := make([]Endpoint, len(file.Endpoints))
	for i, s := range file.Endpoints {
		endpoints[i], _, _ = parseEndpoint(s) // found valid above
	}
	return endpoints, nil
}
