package gateway

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/penstock/penstock/config"
)

// said returns what a request for a path gets, over a connection of its own.
func (r *running) said(path string) string {
	r.t.Helper()
	status, body := fetch(r.t, http.DefaultClient, r.url(path))
	return fmt.Sprintf("%d %s", status, body)
}

// expectSaid checks what a request gets.
func (r *running) expectSaid(step, want string) {
	r.t.Helper()
	if got := r.said("/"); got != want {
		r.t.Errorf("%s: a request got %q, want %q", step, got, want)
	}
}

func TestChangedFileIsApplied(t *testing.T) {
	old, latest := answering(t, "old"), answering(t, "new")
	r := start(t, pool(old))
	r.expectSaid("before", "200 old")
	if g := r.metric("penstock_config_generation"); g != "1" {
		t.Errorf("the first generation is %q", g)
	}
	r.configure(pool(latest))
	r.logs.await(t, "configuration applied", 1)
	r.expectSaid("after", "200 new")
	if g, n := r.metric("penstock_config_generation"), r.metric(`penstock_config_reloads_total{result="success"}`); g != "2" || n != "1" {
		t.Errorf("generation is %q and %q reloads succeeded, want 2 and 1", g, n)
	}
}

func TestReloadUnderLoadLosesNothing(t *testing.T) {
	a, b := answering(t, "a"), answering(t, "b")
	r := start(t, pool(a))
	stop := make(chan struct{})
	var clients sync.WaitGroup
	var sent, seenB atomic.Int64
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	defer transport.CloseIdleConnections()
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				request, _ := http.NewRequest(http.MethodPost, r.url("/"), strings.NewReader("{}"))
				response, err := transport.RoundTrip(request)
				if err != nil {
					t.Errorf("a request was lost: %v", err)
					return
				}
				body, err := io.ReadAll(response.Body)
				response.Body.Close()
				if text := string(body); err != nil || response.StatusCode != 200 || text != "a" && text != "b" {
					t.Errorf("a request got %d %q (%v)", response.StatusCode, text, err)
					return
				}
				sent.Add(1)
				if string(body) == "b" {
					seenB.Add(1)
				}
			}
		})
	}
	for i := range 20 {
		r.configure(pool([]string{b, a}[i%2]))
		r.logs.await(t, "configuration applied", i+1)
	}
	close(stop)
	clients.Wait()
	if sent.Load() == 0 || seenB.Load() == 0 || seenB.Load() == sent.Load() {
		t.Errorf("%d of %d requests went to b: the load and the reloads did not meet", seenB.Load(), sent.Load())
	}
}

func TestBadFileKeepsTheOldConfiguration(t *testing.T) {
	address := answering(t, "old")
	r := start(t, pool(address))
	r.configure(pool(address) + "clientHalfClose: maybe\ntimeouts: {write: fast}\n")
	r.logs.await(t, "cannot apply the configuration", 2)
	if r.logs.count("clientHalfClose") != 1 || r.logs.count("timeouts.write") != 1 {
		t.Error("not every error got a line of its own")
	}
	r.expectSaid("after two errors", "200 old")
	if g, n := r.metric("penstock_config_generation"), r.metric(`penstock_config_reloads_total{result="failure"}`); g != "1" || n != "1" {
		t.Errorf("generation is %q and %q reloads failed, want 1 and 1", g, n)
	}
	os.Remove(r.path)
	r.logs.await(t, "cannot read configuration", 1)
	r.expectSaid("without a file", "200 old")

	r.configure(pool(address) + "debugHeaders: true\n")
	r.logs.await(t, "configuration applied", 1)
	if !r.config.Load().DebugHeaders {
		t.Error("a good file after bad ones was not applied")
	}
}

// A file that parses but cannot be applied, here for want of its certificate authority, must leave nothing of itself behind.
func TestConfigurationIsNeverHalfApplied(t *testing.T) {
	old, latest := answering(t, "old"), answering(t, "new")
	r := start(t, pool(old))
	ca := filepath.Join(t.TempDir(), "ca.crt")
	writeFile(t, ca, newAuthority(t, "ca").pem)
	yaml := strings.Replace(pool(latest), "http://", "https://", 1) + "    tls: {ca: " + ca + "}\n" + "debugHeaders: true\n"
	c := parse(t, yaml)
	writeFile(t, ca, []byte("broken after the check"))
	if err := r.apply(c); err == nil {
		t.Fatal("a configuration with a broken authority was applied")
	}
	r.expectSaid("after a failure", "200 old")
	if r.config.Load().DebugHeaders {
		t.Error("part of a configuration that failed is in force")
	}
}

func TestConfigMapSwapIsSeen(t *testing.T) {
	old, latest := answering(t, "old"), answering(t, "new")
	// As the kubelet lays a ConfigMap out: FILE -> ..data/FILE, ..data -> a folder for each version.
	dir := t.TempDir()
	for version, address := range map[string]string{"..1": old, "..2": latest} {
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, version, "penstock.yaml"), []byte(onLoopback(pool(address))))
	}
	link := func(target, name string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(dir, name+".new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, name+".new"), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("..1", "..data")
	link("..data/penstock.yaml", "penstock.yaml")
	path := filepath.Join(dir, "penstock.yaml")
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	r := startWith(t, c, path)
	r.expectSaid("before", "200 old")
	link("..2", "..data")
	r.logs.await(t, "configuration applied", 1)
	r.expectSaid("after", "200 new")
}

func TestCommentsAreNoChange(t *testing.T) {
	address := answering(t, "hello")
	r := start(t, pool(address))
	r.configure("# nothing new\n" + pool(address))
	r.configure(pool(address) + "debugHeaders: true\n")
	r.logs.await(t, "configuration applied", 1)
	if g := r.generation.Load(); g != 2 {
		t.Errorf("the generation is %d, want 2: a comment is no change", g)
	}
}

func TestHangUpAppliesAnUnchangedFile(t *testing.T) {
	r := start(t, pool(answering(t, "hello")))
	r.signals <- syscall.SIGHUP
	r.logs.await(t, "configuration applied", 1)
	if g := r.generation.Load(); g != 2 {
		t.Errorf("the generation is %d, want 2", g)
	}
}

func TestWhatNeedsARestartIsTold(t *testing.T) {
	ca := newAuthority(t, "ca")
	pair := ca.files(t, "server", "server.test")
	address := answering(t, "hello")
	r := start(t, pool(address))
	before := r.Addr().String()
	writeFile(t, r.path, []byte("listen: \"127.0.0.1:1\"\nadmin: \"127.0.0.1:2\"\n"+pool(address)+"debugHeaders: true\n"+
		fmt.Sprintf("tls: {certificates: [{certFile: %s, keyFile: %s}]}\n", pair.CertFile, pair.KeyFile)))
	r.logs.await(t, "configuration applied", 1)
	for _, field := range []string{"field=listen running=127.0.0.1:0 configured=127.0.0.1:1", "field=admin", "field=tls running=off configured=on"} {
		line := r.logs.await(t, field, 1)
		if !strings.Contains(line, "restart the gateway to apply it") {
			t.Errorf("%q does not say what to do", line)
		}
	}
	if r.Addr().String() != before || !r.config.Load().DebugHeaders {
		t.Error("the rest of the configuration was not applied, or the port has moved")
	}
	r.expectSaid("after", "200 hello")
}

func TestServicesAreRefused(t *testing.T) {
	c := parse(t, "pools:\n  main:\n    service: {namespace: models, name: llama}\n")
	_, err := New(c, Options{})
	if err == nil || !strings.Contains(err.Error(), "models/llama of pool main") {
		t.Errorf("New returned %v, want an error that names the Service", err)
	}
}

func TestOverridesOutliveReloads(t *testing.T) {
	address := answering(t, "hello")
	path := filepath.Join(t.TempDir(), "penstock.yaml")
	writeFile(t, path, []byte("listen: \":1\"\n"+pool(address)))
	override := func(c *config.Config) { c.Listen, c.Admin = "127.0.0.1:0", "127.0.0.1:0" }
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	override(c)
	r := newRunning(t, c, path)
	r.options.Override = override
	r.run()
	writeFile(t, path, []byte("listen: \":1\"\ndebugHeaders: true\n"+pool(address)))
	r.logs.await(t, "configuration applied", 1)
	if n := r.logs.count("restart the gateway"); n != 0 {
		t.Errorf("%d warnings about ports that flags had set", n)
	}
}
