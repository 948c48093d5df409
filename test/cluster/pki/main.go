// Command pki writes the keys, certificates and kubeconfigs of a test cluster. Its authority signs nothing else and is thrown away with the
// cluster.
package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// validity is longer than a test cluster should live.
const validity = 30 * 24 * time.Hour

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "pki:", err)
		os.Exit(1)
	}
}

func run(args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("pki", flag.ContinueOnError)
	flags.SetOutput(stderr)
	node := flags.String("node", "", "The node, and the API server on port 6443, have the address `IP`.")
	service := flags.String("service", "", "Pods reach the API server at the service address `IP`.")
	flags.Usage = func() {
		fmt.Fprint(stderr, "Usage: pki -node IP -service IP FOLDER\n\n")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return fmt.Errorf("cannot write certificates: there are %d arguments and there must be one, the folder to write to", flags.NArg())
	}
	addresses := make(map[string]net.IP)
	for flagName, value := range map[string]string{"-node": *node, "-service": *service} {
		if addresses[flagName] = net.ParseIP(value); addresses[flagName] == nil {
			return fmt.Errorf("cannot write certificates: %s is %q and must be an IP address", flagName, value)
		}
	}
	return writeAll(flags.Arg(0), identities(addresses["-node"], addresses["-service"]), "https://"+net.JoinHostPort(*node, "6443"), time.Now())
}

// identity is who a component is to the others.
type identity struct {
	file string
	// user and group are the certificate's common name and organization, which is how Kubernetes reads client certificates.
	user, group string
	// addresses and names are those that it serves at.
	addresses []net.IP
	names     []string
	// kubeconfig says that it calls the API server.
	kubeconfig bool
}

// identities have the names that Kubernetes' own roles are bound to.
func identities(node, service net.IP) []identity {
	local := net.IPv4(127, 0, 0, 1)
	return []identity{
		{file: "apiserver", user: "kube-apiserver", addresses: []net.IP{node, service, local},
			names: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}},
		{file: "front-proxy", user: "front-proxy-client"},
		{file: "kubelet", user: "system:node:node0", group: "system:nodes", addresses: []net.IP{node}, names: []string{"node0"}, kubeconfig: true},
		{file: "controller-manager", user: "system:kube-controller-manager", kubeconfig: true},
		{file: "scheduler", user: "system:kube-scheduler", kubeconfig: true},
		{file: "proxy", user: "system:kube-proxy", kubeconfig: true},
		// Kubernetes has no role for its DNS from the start.
		{file: "dns", user: "dns", group: "system:masters", kubeconfig: true},
		{file: "admin", user: "admin", group: "system:masters", kubeconfig: true},
	}
}
