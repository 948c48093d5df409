// Command reference writes docs/configuration.md from the types, the comments, the defaults and the example of package config. It
// runs in the package's folder: go generate ./config.
package main

import (
	"fmt"
	"os"
)

const (
	sourceFolder = "."
	documentFile = "../docs/configuration.md"
)

func main() {
	document, err := build(sourceFolder)
	if err == nil {
		err = os.WriteFile(documentFile, document, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot write the configuration reference:", err)
		os.Exit(1)
	}
}
