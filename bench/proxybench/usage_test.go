package main

import (
	"strings"
	"testing"
)

func TestParseStat(t *testing.T) {
	// A name with blanks and parentheses must not shift the fields.
	stat := "4242 (a) b (c) S 1 4242 4242 0 -1 4194560 1 2 3 4 571 329 7 8 20 0 1 0 100 200 300"
	user, system, err := parseStat([]byte(stat))
	if err != nil || user != 571 || system != 329 {
		t.Errorf("parseStat = %d, %d, %v, want 571, 329", user, system, err)
	}
	for _, bad := range []string{"", "1 (a) S 1", strings.Replace(stat, "571", "x", 1)} {
		if _, _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("parseStat(%q) has no error", bad)
		}
	}
}

func TestParseCoreTime(t *testing.T) {
	stat := []byte("cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 3 4 5 6 7 8 100 100\ncpu10 10 0 0 20 0 0 0 0 0 0\nintr 1\n")
	for core, want := range map[int]coreTime{0: {Busy: 27, Total: 36}, 10: {Busy: 10, Total: 30}} {
		if got, err := parseCoreTime(stat, core); err != nil || got != want {
			t.Errorf("parseCoreTime of core %d = %+v, %v, want %+v", core, got, err, want)
		}
	}
	for core, text := range map[int]string{1: string(stat), 0: "\ncpu0 1 2 3\n", 2: "\ncpu2 1 2 3 4 x 6 7 8\n"} {
		if _, err := parseCoreTime([]byte(text), core); err == nil {
			t.Errorf("parseCoreTime of core %d in %q has no error", core, text)
		}
	}
}

func TestNumberAfter(t *testing.T) {
	rollup := []byte("addr [rollup]\nRss:              123 kB\nPss:   45 kB\n")
	for label, want := range map[string]int64{"\nRss:": 123, "\nPss:": 45, "\nUss:": 0} {
		if got := numberAfter(rollup, label); got != want {
			t.Errorf("numberAfter %q = %d, want %d", label, got, want)
		}
	}
}

func TestUserShare(t *testing.T) {
	if got := (usage{User: 1, System: 3}).userShare(); got != 0.25 {
		t.Errorf("share of 1 in 4 ticks is %v", got)
	}
	if got := (usage{}).userShare(); got != 0 {
		t.Errorf("share of no ticks is %v", got)
	}
}
