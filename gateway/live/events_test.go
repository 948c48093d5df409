package live

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestKindsAreOfMessagesThatAreLogged finds the words of every kind in the code that logs them, so that who changes them there changes them here.
func TestKindsAreOfMessagesThatAreLogged(t *testing.T) {
	var code strings.Builder
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && name == filepath.Join("..", "live") {
			return fs.SkipDir
		}
		if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			code.Write(text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for message := range kinds {
		if !strings.Contains(code.String(), "("+strconv.Quote(message)) {
			t.Errorf("nobody logs %q", message)
		}
	}
}

// levels is a log that takes some levels and counts what it gets.
type levels struct {
	slog.Handler
	least slog.Level
	got   *int
}

func (l levels) Enabled(_ context.Context, level slog.Level) bool { return level >= l.least }
func (l levels) Handle(context.Context, slog.Record) error        { *l.got++; return nil }
func (l levels) WithAttrs([]slog.Attr) slog.Handler               { return l }
func (l levels) WithGroup(string) slog.Handler                    { return l }

func TestEventsAreMadeOfTheLog(t *testing.T) {
	logged := 0
	r := NewEvents()
	log := slog.New(r.Handler(levels{least: slog.LevelWarn, got: &logged})).With("pool", "main")
	log.Debug("endpoint is ejected")
	log.Info("something that nobody needs to see")
	log.Info("endpoints drain", "endpoints", "10.0.0.1:8000")
	log.Warn("nobody knows this one", "error", strings.Repeat("x", 1000))
	log.Error("cannot apply the configuration: the old one stays in force", "error", "pools: is empty")
	var got []string
	for _, e := range r.since(0) {
		got = append(got, strings.Join([]string{e.Kind, e.Level, e.Pool, e.Text, e.Detail[:min(len(e.Detail), 25)]}, "|"))
	}
	want := []string{
		"drain|info|main|endpoints drain|endpoints 10.0.0.1:8000",
		"other|warn|main|nobody knows this one|error xxxxxxxxxxxxxxxxxxx",
		"reload|error|main|cannot apply the configuration: the old one stays in force|error pools: is empty",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if logged != 2 {
		t.Errorf("%d records went to a log that takes warnings, want 2", logged)
	}
	if log.Enabled(t.Context(), slog.LevelDebug) {
		t.Error("records are made for a level that nobody takes")
	}
	if n := len(r.since(0)[1].Detail); n > 310 {
		t.Errorf("a detail has %d bytes", n)
	}
}

func TestEventsAreBounded(t *testing.T) {
	r := NewEvents()
	for range eventsMost + 50 {
		r.add(Event{})
	}
	all := r.since(0)
	if len(all) != eventsMost || all[0].Number != 51 || all[eventsMost-1].Number != eventsMost+50 {
		t.Errorf("%d events are kept, from %d on", len(all), all[0].Number)
	}
	if n := len(r.since(eventsMost + 48)); n != 2 {
		t.Errorf("%d events are new, want 2", n)
	}
	if n := len(r.since(eventsMost + 50)); n != 0 {
		t.Errorf("%d events are new, want none", n)
	}
}
