package conformance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// program is a Go program that is built when the first test needs it.
type program struct {
	name     string
	module   string // the folder of the module that knows its version
	pkg      string
	flags    []string
	prebuilt string // names the environment variable that says where it has been built already
	build    func() error
}

const gatewayModule = "../.."

var (
	penstock = newProgram(program{name: "gateway", module: gatewayModule, pkg: "./cmd/penstock", prebuilt: "PENSTOCK"})
	// penstockRace is the gateway with the race detector, which makes it end with a code other than 0 where it finds a race.
	penstockRace  = newProgram(program{name: "gateway-race", module: gatewayModule, pkg: "./cmd/penstock", flags: []string{"-race"}})
	healthProbe   = newProgram(program{name: "grpc_health_probe", module: gatewayModule, pkg: "github.com/grpc-ecosystem/grpc-health-probe"})
	interopClient = newProgram(program{name: "interop_client", module: ".", pkg: "google.golang.org/grpc/interop/client"})
	interopServer = newProgram(program{name: "interop_server", module: ".", pkg: "google.golang.org/grpc/interop/server"})
	h2spec        = newProgram(program{name: "h2spec", module: ".", pkg: "github.com/summerwind/h2spec/cmd/h2spec"})
)

func newProgram(p program) *program {
	p.build = sync.OnceValue(p.compile)
	return &p
}

// path returns where the program is, and builds it if that was not done.
func (p *program) path(t testing.TB) string {
	t.Helper()
	if built := os.Getenv(p.prebuilt); p.prebuilt != "" && built != "" {
		return built
	}
	if err := p.build(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(builtAt, p.name)
}

func (p *program) compile() error {
	args := append([]string{"build", "-C", p.module, "-o", filepath.Join(builtAt, p.name)}, p.flags...)
	out, err := exec.Command("go", append(args, p.pkg)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("cannot build %s: %w\n%s", p.pkg, err, out)
	}
	return nil
}
