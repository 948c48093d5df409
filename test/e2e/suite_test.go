// Package e2e tests the whole in a real cluster: the chart as Helm installs it, mock model servers behind readiness probes, and steady load that
// counts every request. README.md says how to run it.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// Namespaces of the suite. They are made by it and deleted at its end.
const (
	gatewayNamespace = "penstock-e2e"
	modelsNamespace  = "penstock-e2e-models"
	loadNamespace    = "penstock-e2e-load"
)

// patience bounds every wait for something that the cluster should do within seconds.
const patience = 3 * time.Minute

// suite is the cluster that KUBECONFIG names, with a gateway in it.
type suite struct {
	image string // holds penstock, trafficd and grpc_health_probe
	api   string // the API server without credentials, as kubectl proxy gives it
}

var (
	installed   sync.Once
	theSuite    *suite
	uninstalled []func()
)

func TestMain(m *testing.M) {
	code := m.Run()
	for i := len(uninstalled) - 1; i >= 0; i-- {
		uninstalled[i]()
	}
	os.Exit(code)
}

// setUp returns the suite, which it makes when it is first asked for. Without PENSTOCK_E2E the test is skipped.
func setUp(t *testing.T) *suite {
	t.Helper()
	if os.Getenv("PENSTOCK_E2E") == "" {
		t.Skip("needs a Kubernetes cluster: make e2e, or see test/e2e/README.md")
	}
	installed.Do(func() {
		s := &suite{image: environment("PENSTOCK_E2E_IMAGE", "penstock:e2e")}
		s.proxy(t)
		s.install(t)
		theSuite = s
	})
	if theSuite == nil {
		t.Fatal("the suite could not be set up: see the first test")
	}
	return theSuite
}

func environment(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

// proxy has kubectl give access to the API server.
func (s *suite) proxy(t *testing.T) {
	t.Helper()
	command := exec.Command(environment("KUBECTL", "kubectl"), "proxy", "--port=0")
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	uninstalled = append(uninstalled, func() {
		command.Process.Kill()
		command.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	at := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(line)
	if at == "" {
		t.Fatalf("kubectl proxy says %q", line)
	}
	s.api = "http://" + at
}

// run runs a command with standard input and returns what it printed.
func run(t testing.TB, stdin string, name string, args ...string) string {
	t.Helper()
	out, err := attempt(stdin, name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func attempt(stdin string, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, name, args...)
	command.Stdin = strings.NewReader(stdin)
	var out, problems bytes.Buffer
	command.Stdout, command.Stderr = &out, &problems
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, problems.String())
	}
	return out.String(), nil
}

// kubectl runs kubectl, with its arguments in one text.
func kubectl(t testing.TB, line string, more ...string) string {
	t.Helper()
	return run(t, "", environment("KUBECTL", "kubectl"), append(strings.Fields(line), more...)...)
}

func apply(t testing.TB, yaml string) {
	t.Helper()
	run(t, yaml, environment("KUBECTL", "kubectl"), "apply", "-f", "-")
}

// pods returns the names of the pods with a label that run and are not being deleted.
func pods(t testing.TB, namespace, label string) []string {
	t.Helper()
	template := `{{range .items}}{{if and (eq .status.phase "Running") (not .metadata.deletionTimestamp)}}{{.metadata.name}} {{end}}{{end}}`
	return strings.Fields(kubectl(t, "get pods -n "+namespace+" -l "+label, "-o", "go-template="+template))
}

// pod is the URL of a pod's port, through the API server.
func (s *suite) pod(namespace, name string, port int) string {
	return fmt.Sprintf("%s/api/v1/namespaces/%s/pods/%s:%d/proxy", s.api, namespace, name, port)
}

// get returns a page.
func get(url string) (string, error) {
	response, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: status %d: %s", url, response.StatusCode, body)
	}
	return string(body), err
}

// post sends JSON.
func post(t testing.TB, url, body string) {
	t.Helper()
	response, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if answer, _ := io.ReadAll(response.Body); response.StatusCode/100 != 2 {
		t.Fatalf("POST %s: status %d: %s", url, response.StatusCode, answer)
	}
}

// eventually asks again and again until is reports true; it is for what has no event to wait for, such as a metric of a pod.
func eventually(t testing.TB, what string, is func() (bool, string)) {
	t.Helper()
	last := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		ok, seen := is()
		if ok {
			return
		}
		last = seen
	}
	t.Fatalf("waited in vain until %s; last seen: %s", what, last)
}
