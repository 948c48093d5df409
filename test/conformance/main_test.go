// Package conformance tests the gateway with what others wrote to find out whether a program speaks HTTP/2 and gRPC: gRPC's interop client and
// server, h2spec, grpc_health_probe, and grpc-go itself as the reference that the gateway is compared with. It is a module of its own, so
// that what these bring along is no dependency of the gateway.
package conformance

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience bounds how long a test waits for something that should happen at once.
const patience = 20 * time.Second

// builtAt is the folder of the programs that the tests run.
var builtAt string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "conformance-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot make a folder for the programs under test:", err)
		os.Exit(1)
	}
	builtAt = dir
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// tell says how much was tested, whether or not all of it passed, and without -v too.
func tell(t testing.TB, format string, args ...any) {
	fmt.Printf("%s: %s\n", t.Name(), fmt.Sprintf(format, args...))
}
