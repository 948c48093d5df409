package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	// bin is where the Dockerfile has the binaries, too.
	bin = "usr/local/bin/"
	// user is distroless' nonroot. It is a number, as Kubernetes can tell only of numbers that they are not root.
	user   = "65532:65532"
	passwd = "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n"
	group  = "root:x:0:\nnonroot:x:65532:\n"
)

// layer returns the image's only layer, and the architecture of its binaries as Go names it.
func layer(binaries []string) (content []byte, arch string, err error) {
	files := []file{
		{name: "etc/", mode: 0o755},
		{name: "etc/group", mode: 0o644, data: []byte(group)},
		{name: "etc/passwd", mode: 0o644, data: []byte(passwd)},
		{name: "tmp/", mode: 0o1777},
		{name: "usr/", mode: 0o755},
		{name: "usr/local/", mode: 0o755},
		{name: bin, mode: 0o755},
	}
	taken := make(map[string]string)
	for _, b := range binaries {
		name := filepath.Base(b)
		if other, ok := taken[name]; ok {
			return nil, "", fmt.Errorf("cannot take both %s and %s: they would have the same name in the image", other, b)
		}
		taken[name] = b
		data, err := os.ReadFile(b)
		if err != nil {
			return nil, "", fmt.Errorf("cannot read a binary: %w", err)
		}
		is, err := architecture(data)
		if err != nil {
			return nil, "", fmt.Errorf("cannot take %s: %w", b, err)
		}
		if arch != "" && is != arch {
			return nil, "", fmt.Errorf("cannot take %s: it is for %s, and %s is for %s", b, is, binaries[0], arch)
		}
		arch = is
		files = append(files, file{name: bin + name, mode: 0o755, data: data})
	}
	content, err = archive(files)
	return content, arch, err
}

// architecture returns what a static Linux binary runs on, as Go names it.
func architecture(binary []byte) (string, error) {
	f, err := elf.NewFile(bytes.NewReader(binary))
	if err != nil {
		return "", fmt.Errorf("it is no Linux binary: %w", err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return "", fmt.Errorf("it is linked dynamically and would find no libraries in the image: build it with CGO_ENABLED=0")
		}
	}
	switch f.Machine {
	case elf.EM_X86_64:
		return "amd64", nil
	case elf.EM_AARCH64:
		return "arm64", nil
	}
	return "", fmt.Errorf("it is for %v, and must be for amd64 or arm64", f.Machine)
}

// file is a file of an archive, or a folder where the name ends with a slash.
type file struct {
	name string
	mode int64
	data []byte
}

// archive returns a tar of the files in their order. All belong to root and are as old as Unix, so that only their content decides its bytes.
func archive(files []file) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(f.data)), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
		if f.name[len(f.name)-1] == '/' {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("cannot archive %s: %w", f.name, err)
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, fmt.Errorf("cannot archive %s: %w", f.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("cannot end the archive: %w", err)
	}
	return out.Bytes(), nil
}
