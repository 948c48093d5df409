package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// program returns the smallest thing that is a Linux binary: a header, and a program header where it is linked dynamically.
func program(t *testing.T, machine elf.Machine, dynamic bool) []byte {
	t.Helper()
	header := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT), Ehsize: 64, Phoff: 64, Phentsize: 56}
	copy(header.Ident[:], elf.ELFMAG)
	header.Ident[elf.EI_CLASS], header.Ident[elf.EI_DATA], header.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	parts := []any{&header}
	if dynamic {
		header.Phnum = 1
		parts = append(parts, elf.Prog64{Type: uint32(elf.PT_INTERP)})
	}
	var b bytes.Buffer
	for _, p := range parts {
		if err := binary.Write(&b, binary.LittleEndian, p); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func write(t *testing.T, path string, content []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// untar returns an archive's headers in their order, and its files' content.
func untar(t *testing.T, archive []byte) (headers []*tar.Header, content map[string][]byte) {
	t.Helper()
	content = make(map[string][]byte)
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return headers, content
		}
		if err != nil {
			t.Fatal(err)
		}
		headers = append(headers, h)
		if content[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func decode[T any](t *testing.T, content []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(content, &v); err != nil {
		t.Fatalf("%v in %q", err, content)
	}
	return v
}

func TestSameBinariesGiveTheSameBytes(t *testing.T) {
	dir := t.TempDir()
	content := program(t, elf.EM_X86_64, false)
	first, err := pack("penstock:test", []string{write(t, filepath.Join(dir, "a", "penstock"), content)})
	if err != nil {
		t.Fatal(err)
	}
	other := write(t, filepath.Join(dir, "elsewhere", "penstock"), content)
	if err := os.Chmod(other, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(other, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	second, err := pack("penstock:test", []string{other})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("the same binary gave different images from another folder with another time and mode")
	}
	third, err := pack("penstock:test", []string{write(t, other, append(content, 0))})
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(first, third) {
		t.Error("different binaries gave the same image")
	}
}

func TestImage(t *testing.T) {
	dir := t.TempDir()
	main := write(t, filepath.Join(dir, "penstock"), program(t, elf.EM_AARCH64, false))
	probe := write(t, filepath.Join(dir, "a-probe"), append(program(t, elf.EM_AARCH64, false), 'x'))
	var archive bytes.Buffer
	if err := run([]string{"penstock:test", main, probe}, &archive, io.Discard); err != nil {
		t.Fatal(err)
	}
	_, files := untar(t, archive.Bytes())

	top := decode[index](t, files["index.json"])
	if got := top.Manifests[0].Annotations["io.containerd.image.name"]; got != "docker.io/library/penstock:test" {
		t.Errorf("containerd would call the image %q", got)
	}
	m := decode[manifest](t, files[blobName(top.Manifests[0].Digest)])
	config := decode[imageConfig](t, files[blobName(m.Config.Digest)])
	if config.Architecture != "arm64" || config.OS != "linux" {
		t.Errorf("the image is for %s/%s", config.OS, config.Architecture)
	}
	if config.Config.User != "65532:65532" || !slices.Equal(config.Config.Entrypoint, []string{"/usr/local/bin/penstock"}) {
		t.Errorf("the image runs %q as %q", config.Config.Entrypoint, config.Config.User)
	}
	docker := decode[[]dockerImage](t, files["manifest.json"])[0]
	if docker.Config != blobName(m.Config.Digest) || !slices.Equal(docker.Layers, []string{blobName(m.Layers[0].Digest)}) ||
		!slices.Equal(docker.RepoTags, []string{"penstock:test"}) {
		t.Errorf("docker's manifest names other files: %+v", docker)
	}
	if !slices.Equal(config.RootFS.DiffIDs, []string{m.Layers[0].Digest}) {
		t.Errorf("the configuration names another layer: %q", config.RootFS.DiffIDs)
	}
	checkLayer(t, files[blobName(m.Layers[0].Digest)])
}

func checkLayer(t *testing.T, content []byte) {
	t.Helper()
	headers, _ := untar(t, content)
	var got []string
	for _, h := range headers {
		got = append(got, h.FileInfo().Mode().String()+" "+h.Name)
		if h.Uid != 0 || h.Gid != 0 || !h.ModTime.Equal(time.Unix(0, 0)) {
			t.Errorf("%s belongs to %d:%d and is of %v; it must be root's, of the beginning of 1970", h.Name, h.Uid, h.Gid, h.ModTime)
		}
	}
	want := []string{"drwxr-xr-x etc/", "-rw-r--r-- etc/group", "-rw-r--r-- etc/passwd", "dtrwxrwxrwx tmp/", "drwxr-xr-x usr/",
		"drwxr-xr-x usr/local/", "drwxr-xr-x usr/local/bin/", "-rwxr-xr-x usr/local/bin/penstock", "-rwxr-xr-x usr/local/bin/a-probe"}
	if !slices.Equal(got, want) {
		t.Errorf("the layer holds\n%q\nand should hold\n%q", got, want)
	}
}

func TestWhatCannotBePacked(t *testing.T) {
	dir := t.TempDir()
	static := write(t, filepath.Join(dir, "static"), program(t, elf.EM_X86_64, false))
	dynamic := write(t, filepath.Join(dir, "dynamic"), program(t, elf.EM_X86_64, true))
	arm := write(t, filepath.Join(dir, "arm"), program(t, elf.EM_AARCH64, false))
	riscv := write(t, filepath.Join(dir, "riscv"), program(t, elf.EM_RISCV, false))
	script := write(t, filepath.Join(dir, "script"), []byte("#!/bin/sh\n"))
	double := write(t, filepath.Join(dir, "sub", "static"), program(t, elf.EM_X86_64, false))
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"nothing", nil, "there are 0 arguments and there must be a NAME:TAG and a binary"},
		{"no binary", []string{"a:b"}, "there are 1 arguments"},
		{"no tag", []string{"penstock", static}, `the image's name "penstock" must have the form NAME:TAG`},
		{"a port is no tag", []string{"host:5000/penstock", static}, "must have the form NAME:TAG"},
		{"a digest is no tag", []string{"penstock@sha256:00", static}, "must have the form NAME:TAG"},
		{"no such file", []string{"a:b", filepath.Join(dir, "none")}, "cannot read a binary"},
		{"dynamic", []string{"a:b", dynamic}, "cannot take " + dynamic + ": it is linked dynamically and would find no libraries in the image: " +
			"build it with CGO_ENABLED=0"},
		{"a script", []string{"a:b", script}, "it is no Linux binary"},
		{"an architecture without name", []string{"a:b", riscv}, "it is for EM_RISCV, and must be for amd64 or arm64"},
		{"two architectures", []string{"a:b", static, arm}, "it is for arm64, and " + static + " is for amd64"},
		{"two of a name", []string{"a:b", static, double}, "they would have the same name in the image"},
		{"nowhere to write to", []string{"-o", filepath.Join(dir, "none", "x.tar"), "a:b", static}, "cannot write the archive of a:b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := run(tt.args, io.Discard, io.Discard)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("the error is %v and should say %q", err, tt.want)
			}
		})
	}
}

func TestReferences(t *testing.T) {
	tests := []struct{ ref, name, tag string }{
		{"penstock:test", "docker.io/library/penstock", "test"},
		{"team/penstock:1", "docker.io/team/penstock", "1"},
		{"localhost/pause:1", "localhost/pause", "1"},
		{"example.com/a/b:2", "example.com/a/b", "2"},
		{"host:5000/penstock:3", "host:5000/penstock", "3"},
	}
	for _, tt := range tests {
		if name, tag, err := parseReference(tt.ref); name != tt.name || tag != tt.tag || err != nil {
			t.Errorf("%s means %q with the tag %q (%v); it should mean %q with %q", tt.ref, name, tag, err, tt.name, tt.tag)
		}
	}
}
