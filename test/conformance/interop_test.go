package conformance

import (
	"net"
	"testing"
)

// interopCases are the test cases of grpc-go's interop client that need neither an account of a cloud nor an environment of one. What they do is
// written in gRPC's doc/interop-test-descriptions.md. pick_first_unary is not among them: it asks for the server's name, which the Go server
// never says.
var interopCases = []struct {
	name string
	args []string
}{
	{name: "empty_unary"},
	{name: "large_unary"},
	{name: "client_streaming"},
	{name: "server_streaming"},
	{name: "ping_pong"},
	{name: "empty_stream"},
	{name: "timeout_on_sleeping_server"},
	{name: "cancel_after_begin"},
	{name: "cancel_after_first_response"},
	{name: "status_code_and_message"},
	{name: "special_status_message"},
	{name: "custom_metadata"},
	{name: "unimplemented_method"},
	{name: "unimplemented_service"},
	{name: "orca_per_rpc", args: withLoadReports},
	{name: "orca_oob", args: withLoadReports},
	{name: "rpc_soak", args: soak},
	{name: "channel_soak", args: soak},
}

var (
	// withLoadReports makes the client use the balancing policy that takes the servers' load reports to where the test case finds them.
	withLoadReports = []string{`--service_config_json={"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}`}
	soak            = []string{
		"--soak_iterations=40", "--soak_num_threads=4", "--soak_overall_timeout_seconds=20",
		"--soak_per_iteration_max_acceptable_latency_ms=5000",
	}
)

func TestInterop(t *testing.T) {
	t.Run("cleartext", func(t *testing.T) {
		g := startGateway(t, penstock, quickStop+"pools: {interop: {endpoints: ['h2c://127.0.0.1:"+interopPort(t)+"']}}")
		runInterop(t, g)
	})
	t.Run("TLS", func(t *testing.T) {
		c := newCertificate(t)
		port := interopPort(t, "--use_tls", "--tls_cert_file", c.cert, "--tls_key_file", c.key)
		g := startGateway(t, penstock, quickStop+c.onListener()+"pools: {interop: {endpoints: ['https://127.0.0.1:"+port+"'], "+c.ofEndpoints()+"}}")
		runInterop(t, g, "--use_tls", "--use_test_ca", "--ca_file", c.cert, "--server_host_override", "localhost")
	})
}

// interopPort starts an interop server and returns its port.
func interopPort(t *testing.T, args ...string) string {
	t.Helper()
	p := start(t, interopServer, []string{"GRPC_GO_LOG_SEVERITY_LEVEL=info"}, append(args, "--port", "0")...)
	return p.said.await(t, `interop server listening on \S+:(\d+)`)[1]
}

func runInterop(t *testing.T, g *gateway, args ...string) {
	host, port, err := net.SplitHostPort(g.addr)
	if err != nil {
		t.Fatal(err)
	}
	args = append(args, "--server_host", host, "--server_port", port)
	passed := 0
	for _, c := range interopCases {
		t.Run(c.name, func(t *testing.T) {
			code, said := run(t, interopClient, append(append([]string{"--test_case", c.name}, c.args...), args...)...)
			if code != 0 {
				t.Fatalf("the interop client ended with code %d and said:\n%s", code, said)
			}
			passed++
		})
	}
	tell(t, "interop: %d of %d", passed, len(interopCases))
}
