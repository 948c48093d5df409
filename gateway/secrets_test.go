package gateway

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// secretMark is in everything that must not be shown.
const secretMark = "s3cr3t-mark"

// withSecrets is a configuration that has a secret wherever it can; id tells two such configurations apart.
func withSecrets(address, tokenFile, id string) string {
	mark := secretMark + "-" + id
	return pool(address) + fmt.Sprintf(`adminSecurity: {tokenFile: %s}
routes:
- match: {headers: {x-api-key: %q}}
  split: [{pool: main}]
  requestHeaders: {set: {Authorization: "Bearer %s", x-upstream: "Bearer %s", x-tenant: %q, x-goog-iam-authorization-token: %q}}
  responseHeaders: {set: {Set-Cookie: "session=%s"}}
- split: [{pool: main}]
`, tokenFile, mark, mark, mark, mark, mark, mark)
}

// TestSecretsAreShownNowhere looks for secrets in the log, after reloads that went well and others, in the access log and on every page of the admin port.
func TestSecretsAreShownNowhere(t *testing.T) {
	token := secretMark + "-of-the-admin-port"
	file := tokenFile(t, token)
	address := answering(t, "hello")
	r := start(t, withSecrets(address, file, "a"))
	r.configure(withSecrets(address, file, "b"))
	r.logs.await(t, "configuration applied", 1)
	good := withSecrets(address, file, "c")
	for i, bad := range []string{
		strings.Replace(good, `Bearer `+secretMark, `Bearer \x00`+secretMark, 1),
		strings.Replace(good, secretMark+"-c\"}}", secretMark+"-c \"}}", 1),
		strings.Replace(good, "requestHeaders: {set: {", "requestHeaders: {set: \""+secretMark+"\", remove: {", 1),
		strings.Replace(good, "http://", "http://user:"+secretMark+"@", 1),
		strings.Replace(good, "\"Bearer "+secretMark, "*"+secretMark+" \"", 1),
		strings.Replace(good, file, file+".missing", 1),
	} {
		if bad == good {
			t.Fatalf("mistake %d is none", i)
		}
		before := r.logs.count("cannot apply the configuration")
		r.configure(bad)
		r.logs.await(t, "cannot apply the configuration", before+1)
	}
	request, _ := http.NewRequest(http.MethodGet, r.url("/v1/x?key="+secretMark), nil)
	request.Header.Set("X-Api-Key", secretMark+"-b")
	request.Header.Set("Authorization", "Bearer "+secretMark)
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if got := response.Header.Get("Set-Cookie"); !strings.Contains(got, secretMark) {
		t.Errorf("Set-Cookie is %q: the configuration is not in force", got)
	}
	for _, line := range r.access.await(t, 1) {
		if strings.Contains(line, secretMark) {
			t.Errorf("the access log has a secret: %s", line)
		}
	}
	r.ask(http.DefaultClient, "/"+secretMark[:6], "Authorization", "Bearer "+secretMark+"-wrong-token")
	for _, path := range []string{"/", "/metrics", "/debug/endpoints", "/debug/config", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2", "/nothing"} {
		got := r.ask(http.DefaultClient, path, "Authorization", "Bearer "+token)
		if got.status == 401 || strings.Contains(got.body, secretMark) {
			t.Errorf("%s has a secret, or did not let us in: %d %s", path, got.status, got.body)
		}
	}
	if got := r.ask(http.DefaultClient, "/debug/config", "Authorization", "Bearer "+token).body; strings.Count(got, "REDACTED") != 6 {
		t.Errorf("/debug/config hides other than 6 values:\n%s", got)
	}
	r.logs.mu.Lock()
	defer r.logs.mu.Unlock()
	for _, line := range r.logs.lines {
		if strings.Contains(line, secretMark) {
			t.Errorf("the log has a secret: %s", line)
		}
	}
}
