package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/gateway/live"
)

// topSnapshot is a gateway with two pools.
func topSnapshot() *live.Snapshot {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := &live.Snapshot{Time: start.Add(90 * time.Second), Window: 60, Status: live.Status{State: "serving", Version: "v1", Started: start, Generation: 7, Connections: 12}}
	s.Total = live.Figures{Queued: 2, InFlight: 5, Requests: new(7.25), Errors: new(.5), OutputTokens: new(1234.), TTFT: &live.Latency{Count: 9, P50: 5.25, P95: 120, P99: 340}}
	s.Pools = []live.Pool{
		{Name: "main", Policy: "auto", Ready: 1, Figures: s.Total, Endpoints: []live.Endpoint{
			{Address: "10.0.0.1:8000", State: "ready", InFlight: 5, Requests: 70, Waiting: new(3.), KVCache: new(.425), SignalAge: new(.3), Recent: new(1.), Share: new(.7)},
			{Address: "10.0.0.2:8000", State: "ejected", Cause: "connect_failed", Requests: 30, Recent: new(0.), Share: new(.3)},
		}},
		{Name: "next", Policy: "round-robin", Endpoints: []live.Endpoint{{Address: "10.1.0.1:8000", State: "draining"}}},
	}
	s.Routes = []live.Route{{Name: "chat", Match: "model llama", Targets: []live.Target{
		{Pool: "main", Configured: .9, Measured: new(.875), Overall: new(.9), Requests: 90}, {Pool: "next", Configured: .1, Requests: 10}}}}
	s.Requests = []live.Request{{ID: "evil\x1b[2Jid", Route: "chat", Pool: "main", Endpoint: "10.0.0.1:8000", Model: "llama", Phase: "streaming", Age: 12.3, Tokens: 456}}
	s.Unlisted = 4
	return s
}

var topEvent = live.Event{Number: 1, Time: time.Date(2026, 1, 2, 3, 5, 0, 0, time.UTC), Kind: "ejection", Level: "warn", Text: "endpoint is ejected", Pool: "main", Detail: "endpoint 10.0.0.2:8000"}

// adminServer is an admin port that sends a snapshot without rates and then one with them, over and over, to those who have the token.
func adminServer(t *testing.T, token string) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/debug/live" {
			http.NotFound(w, r)
			return
		}
		if token != "" && r.Header.Get("Authorization") != "Bearer "+token {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		sendSnapshots(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// sendSnapshots sends what an admin port sends to those who watch, until they leave.
func sendSnapshots(w http.ResponseWriter, r *http.Request) {
	send := func(name string, data any) {
		text, _ := json.Marshal(data)
		fmt.Fprintf(w, "event: %s\ndata: %s\n\n", name, text)
		w.(http.Flusher).Flush()
	}
	send("history", []live.Point{})
	send("events", []live.Event{topEvent})
	first := topSnapshot()
	first.Window, first.Total.Requests = 0, nil
	send("snapshot", first)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
			send("snapshot", topSnapshot())
		}
	}
}

func TestTopPrintsOnceWhereThereIsNoTerminal(t *testing.T) {
	url := adminServer(t, "")
	for _, args := range [][]string{{"top", "--admin", url, "--once"}, {"top", "--admin", strings.TrimPrefix(url, "http://")}} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), args, &out, &errs); code != exitOK {
			t.Fatalf("%v: exit code %d: %s", args, code, errs.String())
		}
		for _, want := range []string{
			"penstock serving, version v1, up 1m30s, configuration 7, 12 client connections\n",
			"7.2 requests/s, 0.5 errors/s, 1234 output tokens/s, 5 in flight, 2 queued\nTTFT 5.2/120/340 ms, TPOT - (p50/p95/p99 of 60s)\n",
			"10.0.0.1:8000  main  ready             5        3     42.5%  0.3s     100.0%  70.0%        70\n",
			"10.0.0.2:8000  main  ejected           0        -         -     -       0.0%  30.0%        30  connect_failed\n",
			"evil.[2Jid  streaming  12.3s     456  10.0.0.1:8000  main  chat   llama\nand 4 more\n",
			"chat   model llama  main       90.0%        87.5%        90.0%        90\n",
			"warn   ejection  main  endpoint is ejected  endpoint 10.0.0.2:8000\n",
		} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%v: %q is missing in\n%s", args, want, out.String())
			}
		}
		if strings.Contains(out.String(), "\x1b") {
			t.Errorf("%v: there are escape sequences in what is no terminal", args)
		}
	}
}

func TestTopSendsTheToken(t *testing.T) {
	url := adminServer(t, "secret")
	file := t.TempDir() + "/token"
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"top", "--once", "--admin", url, "--token", file}, &out, &errs); code != exitOK {
		t.Errorf("with --token: %d %s", code, errs.String())
	}
	t.Setenv(tokenVariable, "secret")
	if code := run(t.Context(), []string{"top", "--once", "--admin", url}, &out, &errs); code != exitOK {
		t.Errorf("with %s: %d %s", tokenVariable, code, errs.String())
	}
	t.Setenv(tokenVariable, "wrong")
	errs.Reset()
	code := run(t.Context(), []string{"top", "--once", "--admin", url}, &out, &errs)
	if want := "it wants other credentials: an admin token, which --token FILE or PENSTOCK_ADMIN_TOKEN gives, or a client certificate (--cert, --key); it says: no\n"; code != exitFailure || !strings.Contains(errs.String(), want) {
		t.Errorf("with a wrong token: %d %q, want %q", code, errs.String(), want)
	}
}

func TestTopSaysWhatIsWrong(t *testing.T) {
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	full := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "32 watch already, which is the most: close a dashboard", http.StatusServiceUnavailable)
	}))
	defer full.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved/debug/live" {
			http.Redirect(w, r, other.URL, http.StatusFound)
			return
		}
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, "\x1b]0;title\x07\u202e")
	}))
	defer evil.Close()
	empty := t.TempDir() + "/empty"
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--admin", other.URL}, exitFailure, "it has no /debug/live; --admin must be the admin port of a gateway"},
		{[]string{"--admin", full.URL}, exitFailure, "it answers 503 Service Unavailable: 32 watch already, which is the most: close a dashboard"},
		{[]string{"--admin", evil.URL}, exitFailure, "it answers 418 I'm a teapot: .]0;title..\n"},
		{[]string{"--admin", evil.URL + "/moved"}, exitFailure, "it answers 302 Found: "},
		{[]string{"--admin", "http://user:secret@" + strings.TrimPrefix(evil.URL, "http://")}, exitFailure, "cannot watch http://user:xxxxx@"},
		{[]string{"--admin", gone.URL}, exitFailure, "cannot reach the gateway's admin port: "},
		{[]string{"--admin", "ftp://x"}, exitUsage, `--admin: "ftp://x" is no address: want http://HOST:PORT or https://HOST:PORT`},
		{[]string{"--interval", "10ms"}, exitUsage, "--interval is 10ms: want 1s or more"},
		{[]string{"--token", empty}, exitFailure, "cannot read the admin token: " + empty + " is empty"},
		{[]string{"--token", empty + "x"}, exitFailure, "cannot read the admin token: open "},
		{[]string{"more"}, exitUsage, `"more" is not a flag`},
	} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), append([]string{"top"}, c.args...), &out, &errs); code != c.code || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%v: got %d %q, want %d %q", c.args, code, errs.String(), c.code, c.want)
		}
	}
}

// view is a screen after some keys.
func viewAfter(keys ...string) *topView {
	v := new(topView)
	v.take(message{snapshot: topSnapshot()})
	v.take(message{events: []live.Event{topEvent}})
	for _, k := range keys {
		v.press(k)
	}
	return v
}

func TestTopKeys(t *testing.T) {
	for _, c := range []struct {
		name string
		keys []string
		want []string // what the rows begin with
	}{
		{"at first", nil, []string{"10.0.0.1:8000", "10.0.0.2:8000", "10.1.0.1:8000"}},
		{"reversed", []string{"r"}, []string{"10.1.0.1:8000", "10.0.0.2:8000", "10.0.0.1:8000"}},
		{"by state", []string{"s"}, []string{"10.1.0.1:8000", "10.0.0.2:8000", "10.0.0.1:8000"}},
		{"by requests in flight", []string{"s", "s"}, []string{"10.0.0.1:8000", "10.0.0.2:8000", "10.1.0.1:8000"}},
		{"a filter", []string{"/", "e", "J", "\x7f", "j", "e", "c", "\r"}, []string{"10.0.0.2:8000"}},
		{"a filter that is dropped", []string{"/", "e", "j", "\x1b"}, []string{"10.0.0.1:8000", "10.0.0.2:8000", "10.1.0.1:8000"}},
		{"keys within a filter", []string{"/", "n", "e", "x", "t", "q"}, nil},
		{"scrolled", []string{"\x1b[B"}, []string{"10.0.0.2:8000", "10.1.0.1:8000"}},
		{"the end", []string{" "}, []string{"10.0.0.2:8000", "10.1.0.1:8000"}},
		{"and back", []string{" ", "\x1b[A"}, []string{"10.0.0.1:8000", "10.0.0.2:8000"}},
		{"routes", []string{"\t", "\t"}, []string{"chat", "chat"}},
		{"events", []string{"\x1b[Z", "\x1b[Z"}, []string{topEvent.Time.Local().Format("15:04:05")}},
		{"requests", []string{"2"}, []string{"evil.[2Jid", "and 4 more"}},
		{"pools", []string{"5"}, []string{"main", "next"}},
		{"a filter of more than ASCII", []string{"/", "j", "ä", "ü", "\x7f", "\x7f", "\r"}, []string{"10.0.0.2:8000"}},
	} {
		v := viewAfter()
		height := 15
		if strings.HasPrefix(strings.Join(c.keys, ""), "\x1b[B") || slices.Contains(c.keys, " ") {
			height = 13 // for two rows
		}
		for _, k := range c.keys {
			v.lines(80, height, plain) // as it is drawn between keys
			v.press(k)
		}
		all := v.lines(80, height, plain)
		if len(all) != height {
			t.Errorf("%s: %d lines are shown, want %d", c.name, len(all), height)
		}
		var got []string
		for _, line := range all[10 : height-1] {
			if line != "" {
				word, _, _ := strings.Cut(line, "  ")
				got = append(got, word)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: the rows are %q, want %q; all is\n%s", c.name, got, c.want, strings.Join(all, "\n"))
		}
	}
	for _, k := range []string{"q", "\x03", "\x04"} {
		if viewAfter().press(k) {
			t.Errorf("%q does not end it", k)
		}
	}
}

func TestTopFitsTheScreen(t *testing.T) {
	for _, size := range [][2]int{{20, 5}, {80, 24}, {200, 60}} {
		all := viewAfter().lines(size[0], size[1], painted)
		for _, line := range all {
			bare := line
			for code, text := range map[string]string{"\x1b[0m": "", "\x1b[1m": "", "\x1b[2m": "", "\x1b[32m": "", "\x1b[33m": "", "\x1b[1;31m": "", "\x1b[7m": ""} {
				bare = strings.ReplaceAll(bare, code, text)
			}
			if len([]rune(bare)) > size[0] || strings.Contains(bare, "\x1b") {
				t.Errorf("%q does not fit into %d columns", bare, size[0])
			}
		}
		if len(all) > size[1] {
			t.Errorf("%d lines do not fit into %d", len(all), size[1])
		}
	}
}

func TestTopTellsKeysApart(t *testing.T) {
	got := splitKeys("q\x1b[A\x1b[5~\x1bjü\x1b[Z\x1bOB\xff")
	if want := []string{"q", "\x1b[A", "\x1b[5~", "\x1b", "j", "ü", "\x1b[Z", "\x1bOB", "\xff"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestTopTakesWhatEndpointsAndClientsChoose shows numbers beyond reason, models that turn the direction of writing, and words of a gateway that is none.
func TestTopTakesWhatEndpointsAndClientsChoose(t *testing.T) {
	v := viewAfter("2")
	s := v.snapshot
	s.State, s.Version, s.Requests[0].Model = "\x1b[31mserving", "v1\x1b]0;x\x07", ">llama\u202e\u200b\u2028"
	s.Pools[0].Endpoints[0].Waiting, s.Pools[0].Endpoints[0].KVCache = new(1e300), new(1e300)
	s.Total.Requests = nil
	all := strings.Join(v.lines(0, 0, plain), "\n")
	for _, want := range []string{"penstock .[31mserving, version v1.]0;x.,", "- requests/s", "chat   >llama...\n", "1.0e+300", ">1000%"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is missing in\n%s", want, all)
		}
	}
	if strings.ContainsAny(all, "\x1b\x07\u202e\u200b\u2028") {
		t.Errorf("what a terminal may take for a command is left in %q", all)
	}
}

// TestTopLeavesRoomBesideManyPools has more pools than lines.
func TestTopLeavesRoomBesideManyPools(t *testing.T) {
	v := viewAfter()
	for i := range 40 {
		v.snapshot.Pools = append(v.snapshot.Pools, live.Pool{Name: fmt.Sprintf("pool-%d", i)})
	}
	all := strings.Join(v.lines(100, 24, plain), "\n")
	for _, want := range []string{"and 36 more pools: 5 shows them", "[endpoints]", "10.0.0.1:8000", "1 to 3 of 3"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is missing in\n%s", want, all)
		}
	}
	for _, k := range []string{"5", "/", "-", "3", "9", "\r"} {
		v.press(k)
	}
	if all := strings.Join(v.lines(100, 24, plain), "\n"); !strings.Contains(all, "\npool-39 ") {
		t.Errorf("the last pool is not found in\n%s", all)
	}
}

// TestTopSaysThatAGatewayIsSilent reaches one that takes connections and says nothing.
func TestTopSaysThatAGatewayIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		flags, _, ok := parseTop(nil, io.Discard)
		if !ok {
			t.Fatal("no flags are wrong")
		}
		flags.client = &http.Client{Transport: silent{}}
		err := watch(t.Context(), flags, func(message) error { return nil })
		if want := "cannot watch http://127.0.0.1:8001: it has said nothing for 5s"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	})
}

// silent is a server that never answers.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestTopFlagsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/dashboard.md")
	if err != nil {
		t.Fatal(err)
	}
	var help bytes.Buffer
	parseTop([]string{"--help"}, &help)
	flags := names(regexp.MustCompile(`(?m)^  --([a-z0-9-]+)`), help.Bytes())
	var rows []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`--[^|]*)\\|").FindAllSubmatch(doc, -1) {
		rows = append(rows, names(regexp.MustCompile("`--([a-z0-9-]+)"), row[1])...)
	}
	slices.Sort(rows)
	if len(flags) < 5 || !slices.Equal(flags, rows) {
		t.Errorf("docs/dashboard.md has rows for the flags %q, and there are %q", rows, flags)
	}
}
