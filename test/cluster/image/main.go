// Command image packs static binaries into a container image without a container engine: the test cluster loads it, and so do Docker and
// Podman. The same binaries give the same bytes, wherever and whenever they are packed.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	flags.SetOutput(stderr)
	out := flags.String("o", "", "The archive is written to `FILE`; without it, to standard output.")
	flags.Usage = func() {
		fmt.Fprint(stderr, "Usage: image [-o FILE] NAME:TAG BINARY...\n\nThe first binary is the image's entrypoint.\n\n")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() < 2 {
		return fmt.Errorf("cannot pack an image: there are %d arguments and there must be a NAME:TAG and a binary, or several", flags.NArg())
	}
	archive, err := pack(flags.Arg(0), flags.Args()[1:])
	if err != nil {
		return fmt.Errorf("cannot pack %s: %w", flags.Arg(0), err)
	}
	if *out == "" {
		_, err = stdout.Write(archive)
	} else {
		err = os.WriteFile(*out, archive, 0o644)
	}
	if err != nil {
		return fmt.Errorf("cannot write the archive of %s: %w", flags.Arg(0), err)
	}
	return nil
}
