package gateway

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const (
	firstToken  = "first-token-of-the-admin-port"
	secondToken = "second-token-of-the-admin-port"
)

// asked is what a request to the admin port got.
type asked struct {
	status int
	header http.Header
	body   string
}

// ask sends a request to the admin port over a connection of its own, with the given header fields: name, value, name, value.
func (r *running) ask(client *http.Client, path string, fields ...string) asked {
	r.t.Helper()
	scheme := "http://"
	if r.adminAccess.Load().tls != nil {
		scheme = "https://"
	}
	request, err := http.NewRequest(http.MethodGet, scheme+r.AdminAddr().String()+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	request.Close = true
	for i := 0; i < len(fields); i += 2 {
		request.Header.Set(fields[i], fields[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return asked{response.StatusCode, response.Header, string(body)}
}

func tokenFile(t *testing.T, token string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	writeFile(t, file, []byte(" \n"+token+"\r\n"))
	return file
}

// denied is how often requests to the admin port were refused for a reason. It does not ask the admin port.
func (r *running) denied(reason denial) float64 {
	r.t.Helper()
	families, err := r.metrics.registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() == "penstock_admin_denied_total" && m.Label[0].GetValue() == string(reason) {
				return m.Counter.GetValue()
			}
		}
	}
	r.t.Fatalf("there is no series for %s", reason)
	return 0
}

func TestAdminPortAsksForTheToken(t *testing.T) {
	r := start(t, pool("127.0.0.1:1")+fmt.Sprintf("adminSecurity: {tokenFile: %s}\n", tokenFile(t, firstToken)))
	protected := []string{"/", "/main.js", "/metrics", "/debug/endpoints", "/debug/config", "/debug/pprof/", "/debug/pprof/cmdline", "/nothing", "/healthz/", "/readyz/x"}
	for _, c := range []struct {
		name   string
		fields []string
		status int
		says   string
	}{
		{"nothing", nil, 401, "the admin port wants credentials: send Authorization: Bearer TOKEN"},
		{"an empty token", []string{"Authorization", "Bearer "}, 401, "does not know these credentials"},
		{"a wrong token", []string{"Authorization", "Bearer " + secondToken}, 401, "does not know these credentials"},
		{"the beginning of the token", []string{"Authorization", "Bearer " + firstToken[:20]}, 401, "does not know these credentials"},
		{"the token twice", []string{"Authorization", "Bearer " + firstToken + firstToken}, 401, "does not know these credentials"},
		{"the token without a scheme", []string{"Authorization", firstToken}, 401, "wants credentials"},
		{"the token as a user's name", []string{"Authorization", basic(firstToken, "")}, 401, "does not know these credentials"},
		{"the token", []string{"Authorization", "Bearer " + firstToken}, 200, ""},
		{"the token, with the scheme in lower case", []string{"Authorization", "bearer  " + firstToken}, 200, ""},
		{"the token as a browser sends it", []string{"Authorization", basic("anybody", firstToken)}, 200, ""},
	} {
		for _, path := range protected {
			got := r.ask(http.DefaultClient, path, c.fields...)
			want := c.status
			if want == 200 && (path == "/nothing" || strings.HasPrefix(path, "/healthz") || strings.HasPrefix(path, "/readyz")) {
				want = 404
			}
			if got.status != want || c.status == 401 && !strings.Contains(got.body, c.says) {
				t.Errorf("%s with %s: got %d %q, want %d %q", path, c.name, got.status, got.body, want, c.says)
			}
			if schemes := got.header.Values("WWW-Authenticate"); (got.status == 401) != (len(schemes) == 2 && strings.HasPrefix(schemes[0], "Bearer ")) {
				t.Errorf("%s with %s: got %d and WWW-Authenticate %q", path, c.name, got.status, schemes)
			}
		}
		for _, path := range []string{"/healthz", "/readyz"} {
			if got := r.ask(http.DefaultClient, path, c.fields...); got.status != 200 {
				t.Errorf("%s with %s: got %d %q, want 200", path, c.name, got.status, got.body)
			}
		}
	}
	// The page asks for the token itself, where browsers would come before it.
	if got := r.ask(http.DefaultClient, "/debug/live", "Accept", "text/event-stream").header.Values("WWW-Authenticate"); len(got) != 1 || !strings.HasPrefix(got[0], "Bearer ") {
		t.Errorf("the dashboard's stream is refused with WWW-Authenticate %q, want Bearer alone", got)
	}
	if missing, wrong, n := r.denied(denyMissing), r.denied(denyWrong), float64(len(protected)); missing != 2*n+1 || wrong != 5*n {
		t.Errorf("counted %v requests without and %v with wrong credentials, want %v and %v", missing, wrong, 2*n+1, 5*n)
	}
	if n := r.logs.count("a request was denied"); n == 0 || n > 5 {
		t.Errorf("logged %d lines of %d refusals, want few", n, 7*len(protected))
	}
	if r.logs.count(firstToken) > 0 || r.logs.count(secondToken) > 0 {
		t.Error("the log holds tokens")
	}
}

func basic(user, password string) string {
	r := &http.Request{Header: make(http.Header)}
	r.SetBasicAuth(user, password)
	return r.Header.Get("Authorization")
}

func TestAdminTokenIsReadAgain(t *testing.T) {
	file := tokenFile(t, firstToken)
	config := fmt.Sprintf("adminSecurity: {tokenFile: %s}\n", file)
	r := start(t, pool("127.0.0.1:1")+config)
	expect := func(step string, first, second int) {
		t.Helper()
		for token, want := range map[string]int{firstToken: first, secondToken: second} {
			if got := r.ask(http.DefaultClient, "/metrics", "Authorization", "Bearer "+token); got.status != want {
				t.Errorf("%s: %s got %d, want %d", step, token, got.status, want)
			}
		}
	}
	expect("at first", 200, 401)
	writeFile(t, file, []byte(secondToken))
	r.logs.await(t, "credentials of the admin port read again", 1)
	expect("with another token in the file", 401, 200)
	writeFile(t, file, []byte("secret-7"))
	line := r.logs.await(t, "cannot use changed credentials of the admin port: the old ones stay in use", 1)
	if !strings.Contains(line, "has a token of 8 characters") || strings.Contains(line, "secret-7") {
		t.Errorf("the log says %q", line)
	}
	expect("with a file that is no use", 401, 200)

	other := tokenFile(t, firstToken)
	r.configure(pool("127.0.0.1:1") + fmt.Sprintf("adminSecurity: {tokenFile: %s}\n", other))
	r.logs.await(t, "configuration applied", 1)
	expect("with another file", 200, 401)
	r.configure(pool("127.0.0.1:1"))
	r.logs.await(t, "configuration applied", 2)
	expect("without a file", 200, 200)
}

// Who watches has asked long ago, and may have asked with a token that was changed since because others got to know it.
func TestStreamsEndWithTheirToken(t *testing.T) {
	file := tokenFile(t, firstToken)
	r := start(t, pool("127.0.0.1:1")+fmt.Sprintf("adminSecurity: {tokenFile: %s}\n", file))
	watch := func(token string) *bufio.Scanner {
		t.Helper()
		request, _ := http.NewRequest(http.MethodGet, "http://"+r.AdminAddr().String()+"/debug/live", nil)
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(request)
		if err != nil || response.StatusCode != 200 {
			t.Fatalf("who watches got %v, %v", response, err)
		}
		t.Cleanup(func() { response.Body.Close() })
		lines := bufio.NewScanner(response.Body)
		lines.Buffer(nil, 1<<20)
		if !lines.Scan() {
			t.Fatal(lines.Err())
		}
		return lines
	}
	old := watch(firstToken)
	writeFile(t, file, []byte(secondToken))
	r.logs.await(t, "credentials of the admin port read again", 1)
	current := watch(secondToken)
	ended := make(chan int, 1)
	go func() {
		snapshots := 0
		for old.Scan() {
			if old.Text() == "event: snapshot" {
				snapshots++
			}
		}
		ended <- snapshots
	}()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("a stream goes on whose token was changed")
	}
	for n := 0; n < 2; {
		if !current.Scan() {
			t.Fatalf("the stream with the token in force has ended: %v", current.Err())
		}
		if current.Text() == "event: snapshot" {
			n++
		}
	}
}

// adminTLS is a section that turns TLS on, with what else it is to have.
func adminTLS(t *testing.T, ca *authority, more string) string {
	pair := ca.files(t, "admin", "127.0.0.1")
	return fmt.Sprintf("adminSecurity: {certFile: %s, keyFile: %s%s}\n", pair.CertFile, pair.KeyFile, more)
}

func TestClientCertificatesOpenTheAdminPort(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	clients := filepath.Join(t.TempDir(), "clients.crt")
	writeFile(t, clients, ca.pem)
	with := func(c ...tls.Certificate) *http.Client {
		return httpsClient(t, &tls.Config{RootCAs: ca.pool(), Certificates: c})
	}
	mine, stranger := with(ca.clientCertificate(t, "client")), with(other.clientCertificate(t, "client"))
	for _, c := range []struct {
		name, more string
		token      int // what the token gets without a certificate
	}{
		{"certificates only", ", clientCA: " + clients, 401},
		{"certificates or the token", fmt.Sprintf(", clientCA: %s, tokenFile: %s", clients, tokenFile(t, firstToken)), 200},
	} {
		r := start(t, pool("127.0.0.1:1")+adminTLS(t, ca, c.more))
		if got := r.ask(mine, "/metrics"); got.status != 200 {
			t.Errorf("%s: a client of the authority got %d %q", c.name, got.status, got.body)
		}
		if got := r.ask(with(), "/metrics"); got.status != 401 || !strings.Contains(got.body, "show a client certificate") {
			t.Errorf("%s: a client without a certificate got %d %q", c.name, got.status, got.body)
		}
		if got := r.ask(with(), "/metrics", "Authorization", "Bearer "+firstToken); got.status != c.token {
			t.Errorf("%s: the token got %d, want %d", c.name, got.status, c.token)
		}
		for _, path := range []string{"/healthz", "/readyz"} {
			if got := r.ask(with(), path); got.status != 200 {
				t.Errorf("%s: a probe of %s got %d %q", c.name, path, got.status, got.body)
			}
		}
		// It keeps its certificate to itself, as the server says whose it wants.
		if got := r.ask(stranger, "/metrics"); got.status != 401 {
			t.Errorf("%s: a client of another authority got %d", c.name, got.status)
		}
		r.stop()
	}
}

// A connection outlives its handshake, and may outlive what was trusted then.
func TestAuthoritiesOfTheAdminPortAreReadAgain(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	clients := filepath.Join(t.TempDir(), "clients.crt")
	writeFile(t, clients, ca.pem)
	r := start(t, pool("127.0.0.1:1")+adminTLS(t, ca, ", clientCA: "+clients))
	client := httpsClient(t, &tls.Config{RootCAs: ca.pool(), Certificates: []tls.Certificate{ca.clientCertificate(t, "client")}})
	get := func() int {
		t.Helper()
		response, err := client.Get("https://" + r.AdminAddr().String() + "/debug/config")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		io.Copy(io.Discard, response.Body)
		if response.ProtoMajor != 1 {
			t.Errorf("the admin port speaks %s", response.Proto)
		}
		return response.StatusCode
	}
	if status := get(); status != 200 {
		t.Fatalf("at first the client gets %d", status)
	}
	writeFile(t, clients, other.pem)
	r.logs.await(t, "credentials of the admin port read again", 1)
	if status := get(); status != 401 {
		t.Errorf("on a connection from before, a client that is not trusted any more gets %d", status)
	}
}

func TestCertificateOfTheAdminPortIsReadAgain(t *testing.T) {
	ca := newAuthority(t, "ca")
	pair := ca.files(t, "old", "127.0.0.1")
	r := start(t, pool("127.0.0.1:1")+fmt.Sprintf("adminSecurity: {certFile: %s, keyFile: %s}\n", pair.CertFile, pair.KeyFile))
	shown := func() string {
		t.Helper()
		c, err := tls.Dial("tcp", r.AdminAddr().String(), &tls.Config{RootCAs: ca.pool()})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if got := shown(); got != "old" {
		t.Fatalf("at first a client gets %s", got)
	}
	before := r.logs.count("credentials of the admin port read again")
	ca.replace(t, pair, "new", "127.0.0.1") // two files, one after the other: the first alone does not go with its key
	r.logs.await(t, "credentials of the admin port read again", before+1)
	if got := shown(); got != "new" {
		t.Errorf("after the renewal a client gets %s", got)
	}
	if status, body := fetch(t, http.DefaultClient, "http://"+r.AdminAddr().String()+"/healthz"); status != 400 || !strings.Contains(body, "HTTPS") {
		t.Errorf("without TLS a client gets %d %q", status, body)
	}
}

// A section that needs a restart for one half and not for the other must not come into force by half: here it would leave the port open.
func TestTLSOfTheAdminPortNeedsARestart(t *testing.T) {
	ca := newAuthority(t, "ca")
	clients := filepath.Join(t.TempDir(), "clients.crt")
	writeFile(t, clients, ca.pem)
	r := start(t, pool("127.0.0.1:1")+fmt.Sprintf("adminSecurity: {tokenFile: %s}\n", tokenFile(t, firstToken)))
	r.configure(pool("127.0.0.1:1") + "debugHeaders: true\n" + adminTLS(t, ca, ", clientCA: "+clients))
	line := r.logs.await(t, "field=adminSecurity running=TLS off configured=TLS on", 1)
	r.logs.await(t, "configuration applied", 1)
	if !strings.Contains(line, "restart the gateway to apply it") || !r.config.Load().DebugHeaders {
		t.Errorf("%q does not say what to do, or the rest was not applied", line)
	}
	if got := r.ask(http.DefaultClient, "/metrics"); got.status != 401 {
		t.Errorf("without a token a client gets %d", got.status)
	}
	if got := r.ask(http.DefaultClient, "/metrics", "Authorization", "Bearer "+firstToken); got.status != 200 {
		t.Errorf("with the token of before a client gets %d", got.status)
	}
}

func TestProfilesCanBeTurnedOff(t *testing.T) {
	r := start(t, pool("127.0.0.1:1")+"adminSecurity: {pprof: false}\n")
	paths := []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/pprof/profile", "/debug/pprof/symbol", "/debug/pprof/trace"}
	for _, path := range paths {
		if got := r.ask(http.DefaultClient, path); got.status != 404 || !strings.Contains(got.body, "adminSecurity.pprof") {
			t.Errorf("%s: got %d %q, want 404", path, got.status, got.body)
		}
	}
	r.configure(pool("127.0.0.1:1"))
	r.logs.await(t, "configuration applied", 1)
	if got := r.ask(http.DefaultClient, "/debug/pprof/heap"); got.status != 200 {
		t.Errorf("turned on, profiles got %d", got.status)
	}
}

func TestBrowsersDoNotLendTheAdminPortToOtherSites(t *testing.T) {
	r := start(t, pool("127.0.0.1:1"))
	for _, c := range []struct {
		path, site, mode, dest string
		status                 int
	}{
		{"/metrics", "", "", "", 200},
		{"/metrics", "none", "navigate", "document", 200},
		{"/metrics", "same-origin", "cors", "empty", 200},
		{"/metrics", "cross-site", "no-cors", "empty", 403},
		{"/metrics", "cross-site", "navigate", "document", 403},
		{"/metrics", "same-site", "cors", "empty", 403},
		{"/debug/pprof/profile?seconds=30", "cross-site", "navigate", "document", 403},
		{"/", "cross-site", "navigate", "document", 200},
		{"/", "cross-site", "navigate", "iframe", 403},
		{"/", "cross-site", "cors", "empty", 403},
	} {
		got := r.ask(http.DefaultClient, c.path, "Sec-Fetch-Site", c.site, "Sec-Fetch-Mode", c.mode, "Sec-Fetch-Dest", c.dest)
		if got.status != c.status {
			t.Errorf("%s for %s, %s, %s: got %d, want %d", c.path, c.site, c.mode, c.dest, got.status, c.status)
		}
	}
	if n := r.denied(denyForeignFetch); n != 6 {
		t.Errorf("counted %v, want 6", n)
	}
}

func TestAnswersOfTheAdminPortStayWhereTheyAre(t *testing.T) {
	r := start(t, pool("127.0.0.1:1")+fmt.Sprintf("adminSecurity: {tokenFile: %s}\n", tokenFile(t, firstToken)))
	for _, path := range []string{"/healthz", "/readyz", "/", "/metrics", "/debug/endpoints", "/debug/config", "/debug/pprof/", "/debug/pprof/heap", "/nothing"} {
		for _, token := range []string{firstToken, secondToken} {
			h := r.ask(http.DefaultClient, path, "Authorization", "Bearer "+token).header
			for name, want := range map[string]string{"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} {
				if got := h.Get(name); got != want {
					t.Errorf("%s: %s is %q, want %q", path, name, got, want)
				}
			}
			if !slices.ContainsFunc(h.Values("Content-Security-Policy"), func(p string) bool { return strings.Contains(p, "frame-ancestors 'none'") }) {
				t.Errorf("%s: may be framed: %q", path, h.Values("Content-Security-Policy"))
			}
		}
	}
}

func TestLongHeadsAreRefusedOnTheAdminPort(t *testing.T) {
	r := start(t, pool("127.0.0.1:1"))
	if got := r.ask(http.DefaultClient, "/healthz", "X-Long", strings.Repeat("x", 24<<10)); got.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %d, want 431", got.status)
	}
}

// Who opens connections and says nothing does not keep probes out: they take the place of the one that has been silent for longest.
func TestSilentConnectionsGiveWayOnTheAdminPort(t *testing.T) {
	r := start(t, pool("127.0.0.1:1"))
	var silent []net.Conn
	for range maxAdminConns + 3 {
		c, err := net.Dial("tcp", r.AdminAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		silent = append(silent, c)
	}
	if status, body := r.admin("/healthz"); status != 200 {
		t.Errorf("a probe got %d %q", status, body)
	}
	silent[0].SetReadDeadline(time.Now().Add(patience))
	if _, err := silent[0].Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("the connection that was silent for longest is open: %v", err)
	}
	last := silent[len(silent)-1]
	fmt.Fprint(last, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(last), nil)
	if err != nil || response.StatusCode != 200 {
		t.Errorf("the connection that came last is cut: %v", err)
	}
}

// closeRecorder is a connection that notes that it was closed.
type closeRecorder struct {
	net.Conn
	closed bool
}

func (c *closeRecorder) Close() error { c.closed = true; return nil }

func TestBusyConnectionsAreNotCut(t *testing.T) {
	a := newAdminConns(2)
	busy, idle, more, last := &closeRecorder{}, &closeRecorder{}, &closeRecorder{}, &closeRecorder{}
	a.changed(busy, http.StateNew)
	a.changed(busy, http.StateActive)
	a.changed(idle, http.StateNew)
	a.changed(idle, http.StateActive)
	a.changed(idle, http.StateIdle)
	a.changed(more, http.StateNew)
	if !idle.closed || busy.closed || more.closed {
		t.Errorf("with one too many, closed are: idle %v, busy %v, new %v", idle.closed, busy.closed, more.closed)
	}
	a.changed(idle, http.StateClosed)
	a.changed(more, http.StateActive)
	a.changed(last, http.StateNew)
	if !last.closed || busy.closed || more.closed {
		t.Errorf("with all busy, closed are: new %v, busy %v and %v", last.closed, busy.closed, more.closed)
	}
	for _, c := range []*closeRecorder{busy, more, last} {
		a.changed(c, http.StateClosed)
	}
	if len(a.open) != 0 || a.quiet.Len() != 0 {
		t.Errorf("%d connections and %d silent ones are left", len(a.open), a.quiet.Len())
	}
}

func TestLogLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l logLimit
		for i, c := range []struct {
			after   time.Duration
			ok      bool
			skipped int
		}{{0, true, 0}, {0, false, 0}, {logPause - 1, false, 0}, {1, true, 2}, {logPause, true, 0}} {
			time.Sleep(c.after)
			if ok, skipped := l.allow(time.Now()); ok != c.ok || skipped != c.skipped {
				t.Errorf("line %d: got %v and %d, want %v and %d", i, ok, skipped, c.ok, c.skipped)
			}
		}
	})
}
