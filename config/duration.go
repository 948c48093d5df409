package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a span of time, written with its unit: 500ms, 30s, 10m, 1h30m. A bare number other than 0 is refused, as nobody
// can tell which unit was meant.
type Duration time.Duration

// Std returns the duration as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String writes the duration as a configuration file would: 10m rather than 10m0s, and 0s for none.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText writes the duration as String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a duration as a configuration file does, so that flags take the same words.
func (d *Duration) UnmarshalText(text []byte) error {
	v, problem, want := parseDuration(string(text))
	if problem != "" {
		return fmt.Errorf("cannot read the duration: %s; %s", problem, want)
	}
	*d = v
	return nil
}

const wantDuration = "want a number with its unit (ms, s, m or h), such as 30s"

// parseDuration reads a duration. If it cannot, problem says what is wrong with s and want what would be right.
func parseDuration(s string) (d Duration, problem, want string) {
	if s == "0" {
		return 0, "", ""
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
		return 0, fmt.Sprintf("is the bare number %s, without a unit", clip(s)), fmt.Sprintf("write %ss", clip(s))
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Sprintf("%s is not a duration", quote(s)), wantDuration
	}
	if v < 0 {
		return 0, fmt.Sprintf("is negative: %s", clip(s)), "want 0s or more"
	}
	return Duration(v), "", ""
}
