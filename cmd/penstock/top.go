package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/penstock/penstock/gateway/live"
)

// tokenVariable is where a token for the admin port is looked for without --token.
const tokenVariable = "PENSTOCK_ADMIN_TOKEN"

// topCommand shows a gateway in a terminal, or once where there is none.
func topCommand(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	t, code, ok := parseTop(args, stderr)
	if !ok {
		return code
	}
	ctx, stop := untilInterrupted(ctx)
	defer stop()
	screen := terminalOf(os.Stdin, stdout)
	var err error
	if t.once || screen == nil {
		err = t.printOnce(ctx, stdout)
	} else {
		err = t.show(ctx, screen)
	}
	if err != nil {
		return fail(stderr, "penstock top", errors.New(printable(err.Error()))) // which may hold words of whoever answers there
	}
	return exitOK
}

// topFlags is the command line of penstock top.
type topFlags struct {
	admin    *url.URL
	client   *http.Client
	token    string
	interval time.Duration
	once     bool
}

func parseTop(args []string, stderr io.Writer) (t *topFlags, code int, ok bool) {
	t = new(topFlags)
	f := newFlags("top", "Shows what a gateway does, in a terminal: pools, endpoints, requests underway and events, as the dashboard of its admin port does.", stderr)
	admin := f.String("admin", "http://127.0.0.1:8001", "The gateway's admin port is at `URL`.")
	file := f.String("token", "", "The admin token is in `FILE`; without it, the variable "+tokenVariable+" holds one if the gateway wants any.")
	var secure tlsFlags
	secure.add(f)
	f.DurationVar(&t.interval, "interval", time.Second, "The screen changes every `DURATION`, at most once a second.")
	f.BoolVar(&t.once, "once", false, "One snapshot is printed, as it is where the output is no terminal.")
	if code, ok := f.parse(args); !ok {
		return nil, code, false
	}
	var err error
	if t.admin, err = adminURL(*admin, secure.given() != ""); err != nil {
		return nil, f.wrong("--admin: %v", err), false
	}
	if err := secure.check(t.admin); err != nil {
		return nil, f.wrong("%v", err), false
	}
	if t.interval < time.Second {
		return nil, f.wrong("--interval is %v: want 1s or more", t.interval), false
	}
	if t.token, err = readToken(*file); err != nil {
		return nil, fail(stderr, "penstock top", err), false
	}
	if t.client, err = secure.client(); err != nil {
		return nil, fail(stderr, "penstock top", err), false
	}
	return t, exitOK, true
}

// adminURL reads where an admin port is. host:port will do, which is without TLS unless secure is set.
func adminURL(text string, secure bool) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		scheme := "http://"
		if secure {
			scheme = "https://"
		}
		text = scheme + text
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q is no address: want http://HOST:PORT or https://HOST:PORT", text)
	}
	return u, nil
}

func readToken(file string) (string, error) {
	if file == "" {
		return strings.TrimSpace(os.Getenv(tokenVariable)), nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("cannot read the admin token: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if token == "" {
		return "", fmt.Errorf("cannot read the admin token: %s is empty", file)
	}
	return token, nil
}

// printOnce prints the first snapshot that has rates.
func (t *topFlags) printOnce(ctx context.Context, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var view topView
	err := watch(ctx, t, func(m message) error {
		view.take(m)
		if m.snapshot != nil && m.snapshot.Total.Requests != nil {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		return err
	}
	_, err = io.WriteString(w, strings.Join(view.lines(0, 0, plain), "\n")+"\n")
	return err
}

// errEnough ends a stream whose reader has what it wants.
var errEnough = errors.New("that is enough")

// terminal is where top is shown and keys are pressed.
type terminal struct {
	in, out *os.File
	colours bool
}

// terminalOf returns the terminal that in and out are; nil if one of them is none.
func terminalOf(in *os.File, out io.Writer) *terminal {
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || !term.IsTerminal(int(in.Fd())) || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return &terminal{in, f, os.Getenv("NO_COLOR") == ""}
}

// message is one of what a gateway sends to those who watch.
type message struct {
	events   []live.Event
	snapshot *live.Snapshot
}
