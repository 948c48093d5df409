package kube

import (
	"testing"
	"time"
)

// SetPatience has calls given up after so long, until the end of the test.
func SetPatience(t *testing.T, list, open, life time.Duration) {
	old := [...]time.Duration{listTime, openTime, lifeTime}
	listTime, openTime, lifeTime = list, open, life
	t.Cleanup(func() { listTime, openTime, lifeTime = old[0], old[1], old[2] })
}
