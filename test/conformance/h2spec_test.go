package conformance

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// h2specCases is how many cases h2spec 2.2.1 has, its strict ones included.
const h2specCases = 146

// notInCleartext is the case that a port cannot pass that speaks HTTP/1.1 too: what does not begin like HTTP/2 is an HTTP/1.1 request there. It is
// refused as one (TestNoPreface), which h2spec takes for a malformed frame.
const notInCleartext = "http2/3.5: Sends invalid connection preface"

func TestH2spec(t *testing.T) {
	c := newCertificate(t)
	for _, backend := range []string{"h2c", "http"} {
		endpoint := startBackend(t, backend)
		for _, secure := range []bool{false, true} {
			name, options := "cleartext", quickStop
			args := []string{"--strict", "--timeout", "5"}
			if secure {
				name, options = "TLS", options+c.onListener()
				args = append(args, "--tls", "--insecure")
			}
			t.Run(name+" to "+backend, func(t *testing.T) {
				g := startGateway(t, penstock, options+"pools: {only: {endpoints: ['"+endpoint+"']}}")
				runH2spec(t, g, args, !secure)
			})
		}
	}
}

// startBackend starts a server that reads requests whole and answers them, and returns its URL. scheme says which version it speaks.
func startBackend(t *testing.T, scheme string) string {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, strings.Repeat("hello ", 10))
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(scheme == "http")
	s.Config.Protocols.SetUnencryptedHTTP2(scheme == "h2c")
	s.Start()
	t.Cleanup(s.Close)
	return scheme + "://" + s.Listener.Addr().String()
}

// runH2spec runs every case, and each is a subtest. excuse leaves out notInCleartext.
func runH2spec(t *testing.T, g *gateway, args []string, excuse bool) {
	host, port, err := net.SplitHostPort(g.addr)
	if err != nil {
		t.Fatal(err)
	}
	report := filepath.Join(t.TempDir(), "report.xml")
	_, said := run(t, h2spec, append(args, "--host", host, "--port", port, "--junit-report", report)...)
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatalf("h2spec wrote no report: %v; it said:\n%s", err, said)
	}
	cases, err := readReport(text)
	if err != nil {
		t.Fatalf("%v; h2spec said:\n%s", err, said)
	}
	if len(cases) != h2specCases {
		t.Errorf("h2spec ran %d cases, want %d; it said:\n%s", len(cases), h2specCases, said)
	}
	wanted, passed := 0, 0
	for _, c := range cases {
		if excuse && c.name() == notInCleartext {
			continue
		}
		wanted++
		t.Run(c.name(), func(t *testing.T) {
			if why := c.fault(); why != "" {
				t.Fatal(why)
			}
			passed++
		})
	}
	tell(t, "h2spec: %d of %d", passed, wanted)
}

// h2specCase is a case in h2spec's JUnit report.
type h2specCase struct {
	Section string  `xml:"package,attr"`
	Title   string  `xml:"classname,attr"`
	Failure *string `xml:"failure"`
	Error   *string `xml:"error"`
	Skipped *string `xml:"skipped"`
}

func (c *h2specCase) name() string { return c.Section + ": " + c.Title }

// fault says why a case did not pass, or is empty.
func (c *h2specCase) fault() string {
	switch {
	case c.Failure != nil:
		return "it failed: " + *c.Failure
	case c.Error != nil:
		return "it ended with an error: " + *c.Error // which is how the report puts failures
	case c.Skipped != nil:
		return "it was skipped"
	}
	return ""
}

// readReport returns the cases of a report, which has empty ones between them.
func readReport(text []byte) (cases []h2specCase, err error) {
	var report struct {
		Suites []struct {
			Cases []h2specCase `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &report); err != nil {
		return nil, fmt.Errorf("cannot read h2spec's report: %w", err)
	}
	for _, s := range report.Suites {
		for _, c := range s.Cases {
			if c.Title != "" {
				cases = append(cases, c)
			}
		}
	}
	return cases, nil
}

// What does not begin as HTTP/2 does is taken for HTTP/1.1, refused, and the connection closed.
func TestNoPreface(t *testing.T) {
	g := startGateway(t, penstock, quickStop+"pools: {only: {endpoints: ['"+startBackend(t, "h2c")+"']}}")
	c, err := net.DialTimeout("tcp", g.addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, "INVALID CONNECTION PREFACE\r\n\r\n")
	r := bufio.NewReader(c)
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
	if rest, err := io.ReadAll(r); answer.StatusCode != http.StatusBadRequest || len(rest) > 0 || err != nil {
		t.Errorf("got %s, then %s and %v; want 400 and the connection's end", answer.Status, strconv.Quote(string(rest)), err)
	}
}
