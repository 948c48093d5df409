package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
)

// The media types are those of the OCI image specification, https://github.com/opencontainers/image-spec.
const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar"
)

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

type imageConfig struct {
	Created      string     `json:"created"`
	Architecture string     `json:"architecture"`
	OS           string     `json:"os"`
	Config       execConfig `json:"config"`
	RootFS       rootFS     `json:"rootfs"`
}

type execConfig struct {
	User       string
	Env        []string
	Entrypoint []string
	WorkingDir string
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

// dockerImage is what `docker load` of engines that know no OCI layouts reads.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// pack returns an archive that is an OCI layout and a `docker save` at once.
func pack(reference string, binaries []string) ([]byte, error) {
	name, tag, err := parseReference(reference)
	if err != nil {
		return nil, err
	}
	content, arch, err := layer(binaries)
	if err != nil {
		return nil, err
	}
	var blobs blobs
	layer := blobs.add(typeLayer, content)
	config, err := blobs.addJSON(typeConfig, imageConfig{
		Created: "1970-01-01T00:00:00Z", Architecture: arch, OS: "linux",
		Config: execConfig{User: user, Env: []string{"PATH=/" + strings.TrimSuffix(bin, "/")},
			Entrypoint: []string{"/" + bin + filepath.Base(binaries[0])}, WorkingDir: "/"},
		RootFS: rootFS{Type: "layers", DiffIDs: []string{layer.Digest}},
	})
	if err != nil {
		return nil, err
	}
	image, err := blobs.addJSON(typeManifest, manifest{SchemaVersion: 2, MediaType: typeManifest, Config: config, Layers: []descriptor{layer}})
	if err != nil {
		return nil, err
	}
	// containerd takes the whole name from its own annotation; the specification has one for the tag alone.
	image.Annotations = map[string]string{"io.containerd.image.name": name + ":" + tag, "org.opencontainers.image.ref.name": tag}
	root, err := json.Marshal(index{SchemaVersion: 2, MediaType: typeIndex, Manifests: []descriptor{image}})
	if err != nil {
		return nil, err
	}
	docker, err := json.Marshal([]dockerImage{{Config: blobName(config.Digest), RepoTags: []string{reference}, Layers: []string{blobName(layer.Digest)}}})
	if err != nil {
		return nil, err
	}
	return archive(append(blobs,
		file{name: "index.json", mode: 0o644, data: root},
		file{name: "manifest.json", mode: 0o644, data: docker},
		file{name: "oci-layout", mode: 0o644, data: []byte(`{"imageLayoutVersion":"1.0.0"}`)}))
}

// blobs are files that are named after their content.
type blobs []file

func (b *blobs) add(mediaType string, content []byte) descriptor {
	sum := sha256.Sum256(content)
	d := descriptor{MediaType: mediaType, Digest: "sha256:" + hex.EncodeToString(sum[:]), Size: len(content)}
	*b = append(*b, file{name: blobName(d.Digest), mode: 0o644, data: content})
	return d
}

func (b *blobs) addJSON(mediaType string, v any) (descriptor, error) {
	content, err := json.Marshal(v)
	if err != nil {
		return descriptor{}, err
	}
	return b.add(mediaType, content), nil
}

func blobName(digest string) string { return "blobs/" + strings.Replace(digest, ":", "/", 1) }

// parseReference splits an image's reference and completes the name as Docker and Kubernetes do: they mean docker.io/library/penstock where
// they say penstock.
func parseReference(ref string) (name, tag string, err error) {
	host, path, ok := strings.Cut(ref, "/")
	if !ok {
		host, path = "", ref
	}
	rest, tag, tagged := strings.Cut(path, ":")
	if !tagged || rest == "" || tag == "" || strings.ContainsAny(ref, "@ \t") {
		return "", "", fmt.Errorf("the image's name %q must have the form NAME:TAG, such as penstock:test", ref)
	}
	switch {
	case host == "":
		return "docker.io/library/" + rest, tag, nil
	case host == "localhost" || strings.ContainsAny(host, ".:"):
		return host + "/" + rest, tag, nil
	}
	return "docker.io/" + host + "/" + rest, tag, nil
}
