package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// show shows a gateway on a terminal until q is pressed or ctx ends, and leaves the terminal as it was.
func (t *topFlags) show(ctx context.Context, screen *terminal) error {
	before, err := term.MakeRaw(int(screen.in.Fd()))
	if err != nil {
		return fmt.Errorf("cannot use the terminal: %w", err)
	}
	// The other screen, without a cursor, and without a new line where one is too long, as wide characters make it; and back.
	io.WriteString(screen.out, "\x1b[?1049h\x1b[?25l\x1b[?7l")
	defer func() {
		io.WriteString(screen.out, "\x1b[?7h\x1b[?25h\x1b[?1049l")
		term.Restore(int(screen.in.Fd()), before)
	}()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	messages, troubles := t.keepWatching(ctx)
	keys := readKeys(ctx, screen.in)
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	defer signal.Stop(resized)
	tick := time.NewTicker(t.interval)
	defer tick.Stop()
	var view topView
	shown := false
	screen.draw(&view)
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-messages:
			view.take(m)
			if shown || m.snapshot == nil {
				continue // the next tick shows it
			}
			shown = true
		case view.trouble = <-troubles:
		case k, open := <-keys:
			if !open || !view.press(k) {
				return nil
			}
		case <-resized:
		case <-tick.C:
		}
		screen.draw(&view)
	}
}

// keepWatching reads what the gateway sends, and tries again when that ends, until ctx does.
func (t *topFlags) keepWatching(ctx context.Context) (<-chan message, <-chan string) {
	messages, troubles := make(chan message), make(chan string)
	go func() {
		for ctx.Err() == nil {
			err := watch(ctx, t, func(m message) error {
				select {
				case messages <- m:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
			select {
			case troubles <- printable(err.Error()):
			case <-ctx.Done():
				return
			}
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return
			}
		}
	}()
	return messages, troubles
}

// readKeys sends what is typed, a key or a sequence for one at a time. Its goroutine ends with the next key after ctx, or with the process.
func readKeys(ctx context.Context, in io.Reader) <-chan string {
	keys := make(chan string)
	go func() {
		defer close(keys)
		buffer := make([]byte, 64)
		for {
			n, err := in.Read(buffer)
			if err != nil {
				return
			}
			for _, k := range splitKeys(string(buffer[:n])) {
				select {
				case keys <- k:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return keys
}

// splitKeys splits what was typed at once. A sequence is ESC [ and what follows up to a letter or ~.
func splitKeys(typed string) (keys []string) {
	for typed != "" {
		_, n := utf8.DecodeRuneInString(typed)
		if strings.HasPrefix(typed, "\x1b[") || strings.HasPrefix(typed, "\x1bO") {
			n = len(typed)
			if end := strings.IndexFunc(typed[2:], func(r rune) bool { return r >= '@' && r <= '~' }); end >= 0 {
				n = end + 3
			}
		}
		keys = append(keys, typed[:n])
		typed = typed[n:]
	}
	return keys
}

// press does what a key says. It is false for the keys that end all.
func (v *topView) press(key string) bool {
	const page = 20
	switch {
	case key == "\x03":
		return false
	case v.typing:
		v.write(key)
		return true
	}
	switch key {
	case "q", "Q", "\x04":
		return false
	case "\t", "\x1b[C":
		v.section, v.first = (v.section+1)%len(sections), 0
	case "\x1b[Z", "\x1b[D":
		v.section, v.first = (v.section+len(sections)-1)%len(sections), 0
	case "1", "2", "3", "4", "5":
		v.section, v.first = int(key[0]-'1'), 0
	case "s":
		v.sort, v.first = (v.sort+1)%len(sorts), 0
	case "r":
		v.reversed = !v.reversed
	case "/":
		v.typing, v.first = true, 0
	case "\x1b":
		v.filter = ""
	case "\x1b[A", "k":
		v.first = max(0, v.first-1)
	case "\x1b[B", "j":
		v.first++
	case "\x1b[5~":
		v.first = max(0, v.first-page)
	case "\x1b[6~", " ":
		v.first += page
	case "\x1b[H", "g":
		v.first = 0
	}
	return true
}

// write adds a key to the filter.
func (v *topView) write(key string) {
	switch key {
	case "\r", "\n":
		v.typing = false
	case "\x1b":
		v.typing, v.filter = false, ""
	case "\x7f", "\b":
		_, last := utf8.DecodeLastRuneInString(v.filter)
		v.filter = v.filter[:len(v.filter)-last]
	default:
		const most = 60
		if utf8.RuneCountInString(key) == 1 && utf8.ValidString(key) && printable(key) == key && len(v.filter) < most {
			v.filter += key
		}
	}
}

// draw writes the view over what was there, in one write, so that nothing flickers.
func (s *terminal) draw(v *topView) {
	width, height, err := term.GetSize(int(s.out.Fd()))
	if err != nil || width < 1 || height < 2 {
		width, height = 80, 24
	}
	paint := style(plain)
	if s.colours {
		paint = painted
	}
	var b strings.Builder
	b.WriteString("\x1b[H")
	for i, line := range v.lines(width, height, paint) {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(line + "\x1b[K")
	}
	b.WriteString("\x1b[J")
	io.WriteString(s.out, b.String())
}
