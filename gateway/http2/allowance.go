package http2

import (
	"time"

	"github.com/penstock/penstock/gateway/dispatch"
)

// Frames that cost their receiver work and their sender next to nothing are bounded: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA,
// unknown ones (CVE-2019-9512, 9515, 9517, 9518), and streams that are reset before they were answered (CVE-2023-44487, CVE-2025-8671).
// Each connection has an allowance of them, which grows with time and with the frames that carry something: clients that ask for a sign of
// life with every message, to measure the bandwidth, never exhaust it.
const (
	controlBurst      = 2000
	controlsPerSecond = 200
	resetBurst        = 1000
	resetsPerSecond   = 200
)

// allowance is how many more events of a kind are allowed. It belongs to one goroutine.
type allowance struct {
	left, burst, perSecond int64
	filled                 int64 // when it was last filled, on dispatch.Now's scale; 0 is never
	useful                 int64 // useful frames that were accounted for
}

func newAllowance(burst, perSecond int64) allowance {
	return allowance{left: burst, burst: burst, perSecond: perSecond}
}

// spend takes one. useful is how many useful frames there have been; each allows four further events. It reports false if the allowance is
// used up.
func (a *allowance) spend(useful int64) bool {
	if a.left > 0 {
		a.left--
		return true
	}
	now := dispatch.Now()
	if a.filled == 0 {
		a.filled = now
	}
	more := (now - a.filled) * a.perSecond / int64(time.Second)
	if more > 0 {
		a.filled = now
	}
	a.left = min(more, a.burst) + 4*(useful-a.useful) - 1
	a.useful = useful
	if a.left < 0 {
		a.left = 0
		return false
	}
	return true
}
