// Package browser tests the dashboard in a headless Chromium.
package browser

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// page is a dashboard in a browser of its own.
type page struct {
	t   testing.TB
	ctx context.Context

	mu       sync.Mutex
	problems []string
	// offline says that the gateway may be away, which the browser complains of.
	offline bool
}

// chromium is where Debian's package has the browser.
func chromium(t testing.TB) string {
	path := os.Getenv("CHROMIUM")
	if path == "" {
		path = "/usr/bin/chromium"
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("there is no browser at %s: make browser-test installs it", path)
	}
	return path
}

// open opens the dashboard of an admin port, before which a user and password may stand as in a URL, in a window of a size.
func open(t testing.TB, admin string, width, height int64) *page {
	t.Helper()
	flags := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(chromium(t)), chromedp.UserDataDir(t.TempDir()), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
	}
	for _, name := range []string{"disable-quic", "disable-background-networking", "disable-component-update", "disable-sync", "no-proxy-server"} {
		flags = append(flags, chromedp.Flag(name, true))
	}
	allocator, endAllocator := chromedp.NewExecAllocator(context.Background(), flags...)
	ctx, end := chromedp.NewContext(allocator)
	p := &page{t: t, ctx: ctx}
	t.Cleanup(func() {
		chromedp.Cancel(ctx)
		end()
		endAllocator()
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, problem := range p.problems {
			t.Error(problem)
		}
	})
	if err := chromedp.Listen(ctx, func(event any) { p.note(admin, event) }); err != nil {
		t.Fatal(err)
	}
	command(p, network.Enable, network.EnableParams{})
	command(p, log.Enable, cdp.Empty{})
	command(p, runtime.Enable, cdp.Empty{})
	p.resize(width, height)
	p.do(chromedp.Navigate("http://" + admin + "/"))
	return p
}

// note keeps what must not happen: errors, warnings, and requests to anybody but the admin port.
func (p *page) note(admin string, event any) {
	admin = admin[strings.LastIndex(admin, "@")+1:]
	p.mu.Lock()
	defer p.mu.Unlock()
	bad := func(format string, args ...any) { p.problems = append(p.problems, fmt.Sprintf(format, args...)) }
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		bad("the page has thrown an exception: %s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception)
	case *runtime.EventConsoleAPICalled:
		bad("the page writes to the console: %s", e.Type)
	case *log.EventEntryAdded:
		if e.Entry.Level != log.EntryLevelVerbose && e.Entry.Level != log.EntryLevelInfo && !p.offline {
			bad("the browser complains of %s: %s", e.Entry.URL, e.Entry.Text)
		}
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err != nil || u.Host != admin {
			bad("the page asks for %s", e.Request.URL)
		}
	}
}

func (p *page) expectOffline(offline bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.offline = offline
}

// do does actions one after the other.
func (p *page) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ask(p, func(ctx context.Context) (chromedp.Void, error) { return chromedp.Void{}, chromedp.Do(ctx, actions...) })
}

// command gives the browser a command of its protocol.
func command[P, R any](p *page, c cdp.Command[P, R], params P) {
	p.t.Helper()
	ask(p, func(ctx context.Context) (R, error) { return chromedp.Call(ctx, c, params) })
}

// eval returns the value of an expression, which may be a promise.
func eval[T any](p *page, expression string) (value T) {
	p.t.Helper()
	return ask(p, func(ctx context.Context) (T, error) {
		return chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	})
}

// ask asks something of the browser, which must answer in time.
func ask[T any](p *page, question func(context.Context) (T, error)) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	answer, err := question(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer
}

// resize makes the window that large, in CSS pixels.
func (p *page) resize(width, height int64) {
	p.t.Helper()
	command(p, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 600})
}

// press presses a key.
func (p *page) press(key string) {
	p.t.Helper()
	p.do(chromedp.KeyEvent(key))
}

// run evaluates an expression for what it does.
func (p *page) run(expression string) {
	p.t.Helper()
	p.do(chromedp.Evaluate[chromedp.Void](expression))
}

// until waits until an expression is true, which it looks for whenever the page changes, and returns when that was.
func (p *page) until(expression string) time.Time {
	p.t.Helper()
	at := eval[float64](p, fmt.Sprintf(`new Promise((resolve) => {
		const look = () => { if (%s) { observer.disconnect(); resolve(performance.timeOrigin + performance.now()); } };
		const observer = new MutationObserver(look);
		observer.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
		look();
	})`, expression))
	return time.UnixMicro(int64(at * 1e3))
}

// shot makes a picture of the page, whole if full is set, and keeps it where BROWSER_OUT says.
func (p *page) shot(name string, full bool) {
	p.t.Helper()
	take := chromedp.CaptureScreenshot()
	if full {
		take = chromedp.FullScreenshot(100)
	}
	picture := ask(p, func(ctx context.Context) ([]byte, error) { return chromedp.Run(ctx, take) })
	if dir := os.Getenv("BROWSER_OUT"); dir != "" {
		if err := os.WriteFile(dir+"/"+name+".png", picture, 0o644); err != nil {
			p.t.Fatal(err)
		}
	}
}

// scheme makes the page dark or light.
func (p *page) scheme(name string) {
	command(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}})
}

// rowOf is the row of an endpoint, as an expression.
func rowOf(address string) string {
	return fmt.Sprintf(`[...document.querySelectorAll('#endpoints tbody tr')].find((r) => r.firstChild.textContent === %q)`, address)
}

func lines(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i/250, i%250+1)
	}
	return b.String()
}
