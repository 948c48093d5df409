package config

import (
	"encoding"
	"flag"
	"io"
	"testing"
	"time"
)

var (
	_ encoding.TextMarshaler   = Duration(0)
	_ encoding.TextUnmarshaler = (*Duration)(nil)
)

func TestDurationText(t *testing.T) {
	for text, want := range map[string]struct {
		d    time.Duration
		text string
	}{
		"0":      {0, "0s"},
		"0s":     {0, "0s"},
		"500ms":  {500 * time.Millisecond, "500ms"},
		"1500ms": {1500 * time.Millisecond, "1.5s"},
		"30s":    {30 * time.Second, "30s"},
		"90s":    {90 * time.Second, "1m30s"},
		"10m":    {10 * time.Minute, "10m"},
		"60m":    {time.Hour, "1h"},
		"1h30m":  {90 * time.Minute, "1h30m"},
		"1h0m5s": {time.Hour + 5*time.Second, "1h0m5s"},
		"20h":    {20 * time.Hour, "20h"},
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if d.Std() != want.d || d.String() != want.text {
			t.Errorf("%s: got %v, written %s, want %v, written %s", text, d.Std(), d, want.d, want.text)
		}
		var again Duration
		if written, _ := d.MarshalText(); again.UnmarshalText(written) != nil || again != d {
			t.Errorf("%s: reads back as %v from %s", text, again, written)
		}
	}
}

func TestDurationErrors(t *testing.T) {
	for text, want := range map[string]string{
		"30":   "cannot read the duration: is the bare number 30, without a unit; write 30s",
		"1.5":  "cannot read the duration: is the bare number 1.5, without a unit; write 1.5s",
		"":     `cannot read the duration: "" is not a duration; want a number with its unit (ms, s, m or h), such as 30s`,
		"1d":   `cannot read the duration: "1d" is not a duration; want a number with its unit (ms, s, m or h), such as 30s`,
		"inf":  `cannot read the duration: "inf" is not a duration; want a number with its unit (ms, s, m or h), such as 30s`,
		"-1s":  "cannot read the duration: is negative: -1s; want 0s or more",
		"1e9h": `cannot read the duration: "1e9h" is not a duration; want a number with its unit (ms, s, m or h), such as 30s`,
	} {
		d := Duration(7)
		err := d.UnmarshalText([]byte(text))
		if err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
		if d != 7 {
			t.Errorf("%q: changed the duration to %v despite the error", text, d)
		}
	}
}

// TestDurationAsFlag shows that a flag reads a duration as a file does.
func TestDurationAsFlag(t *testing.T) {
	var d Duration
	flags := flag.NewFlagSet("test", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.TextVar(&d, "drain", 10*minute, "")
	if err := flags.Parse([]string{"-drain", "90s"}); err != nil || d != 90*second {
		t.Errorf("got %v and %v", d, err)
	}
	if err := flags.Parse([]string{"-drain", "90"}); err == nil {
		t.Error("a bare number was taken")
	}
}
