package dispatch

import "time"

// epoch lies well before the process's start, so that Now is positive even on the fake clock of testing/synctest, which starts
// in the year 2000. Add keeps the monotonic reading, which AddDate would drop.
var epoch = time.Now().Add(-50 * 365 * 24 * time.Hour)

// Now returns monotonic nanoseconds since a fixed instant before the process's start. It is the only clock of dispatch and of the
// protocol engines; it is always positive, so that zero can mean unknown.
func Now() int64 { return int64(time.Since(epoch)) }
