//go:build !linux

package loadgen

func newAlarm() (alarm, error) { return newTimerAlarm(), nil }
