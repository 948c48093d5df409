package main

import (
	"os/exec"
	"strings"
	"testing"
)

func TestDemo(t *testing.T) {
	p := launch(t, "demo", "--listen", "127.0.0.1:0", "--admin", ":0", "--replicas", "2")
	admin := p.stdout.await(t, `dashboard +http://(\S+)/\n`)[1]
	command := p.stdout.await(t, `(?m)^  (curl -N .*)$`)[1]
	p.stdout.await(t, `Ctrl-C ends it`)

	// The command that is printed works as it is, once the gateway takes connections.
	out, err := exec.CommandContext(t.Context(), "sh", "-c", command+" --silent --retry 10 --retry-connrefused").CombinedOutput()
	if _, missing := exec.LookPath("curl"); missing != nil {
		t.Log("curl is not installed: the command that the demo prints was not tried")
	} else if err != nil || !strings.Contains(string(out), "data: ") || !strings.HasSuffix(strings.TrimSpace(string(out)), "data: [DONE]") {
		t.Errorf("%s: %v, %.300q", command, err, out)
	}
	if status, page := get(t, "http://"+admin+"/debug/endpoints"); status != 200 || strings.Count(page, `"state": "ready"`) != 2 {
		t.Errorf("got %d %s", status, page)
	}
	p.cancel()
	if code := p.wait(t); code != exitOK || !strings.Contains(p.stdout.String(), "The demo has ended.") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, p.stdout, p.stderr)
	}
}
