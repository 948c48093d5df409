package main

import (
	"fmt"

	"github.com/penstock/penstock/gateway/live"
)

// Numbers, as people read them. What is not known is a dash.

func number(v *float64) string {
	switch {
	case v == nil:
		return "-"
	case *v == 0:
		return "0"
	case *v >= 100:
		return whole(v)
	}
	return fmt.Sprintf("%.1f", *v)
}

func latency(l *live.Latency) string {
	if l == nil {
		return "-"
	}
	return fmt.Sprintf("%s/%s/%s ms", milli(l.P50), milli(l.P95), milli(l.P99))
}

func milli(v float64) string {
	if v < 10 {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

func whole(v *float64) string {
	if v == nil {
		return "-"
	}
	if *v >= 1e12 {
		return fmt.Sprintf("%.1e", *v) // endpoints may say any number
	}
	return fmt.Sprintf("%.0f", *v)
}

func shareText(v *float64) string {
	if v == nil {
		return "-"
	}
	if *v > 10 {
		return ">1000%"
	}
	return fmt.Sprintf("%.1f%%", *v*100)
}

func age(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.1fs", *v)
}
