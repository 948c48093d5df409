package engine

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// published is one published measurement beside what the model gives for it.
type published struct {
	what     string
	measured float64
	model    float64
	note     string  // how the comparison is to be read
	errorNow float64 // the error in percent when the row was written; the test holds it to within one point
}

const (
	olderEngine = "not fitted: an older vLLM"
	eightA100   = "not fitted: measured on eight GPUs with an older vLLM, the profile is of four"
	defaults    = "not fitted: the source's batch limit and prompt sharing are not known"
	inferred    = "conditions chosen because they bring the three figures together, so not a test"
)

// TestPublishedMeasurements prints the model's error against every published point with -v. It fails when an error is no longer
// what it was, so that a change of the model or a profile shows.
func TestPublishedMeasurements(t *testing.T) {
	rows := []published{
		{"8B H100, 204/63 tokens, 440 connections, low, requests/s", 102, saturation(t, 1024, 0), defaults, 26.1},
		{"8B H100, 204/63 tokens, 440 connections, middle, requests/s", 113.5, saturation(t, 1024, 0), defaults, 13.4},
		{"8B H100, 204/63 tokens, 440 connections, high, requests/s", 172, saturation(t, 1024, 0), defaults, -25.2},
		{"the same, 128 sequences, no prompt block shared", 102, saturation(t, 128, 0), inferred, -2.2},
		{"the same, 128 sequences, 3 of 12 prompt blocks shared", 113.5, saturation(t, 128, 3), inferred, -2.5},
		{"the same, 128 sequences, all prompt blocks shared", 172, saturation(t, 128, 12), inferred, -2.1},

		{"70B 8xH100, TTFT of 512 tokens, ms", 53, timeToFirst(t, "llama3-70b-tp8-h100", 512), olderEngine, -22.9},
		{"70B 8xH100, TTFT of 2048 tokens, ms", 137, timeToFirst(t, "llama3-70b-tp8-h100", 2048), olderEngine, -36.3},
		{"70B 8xH100, TTFT of 8192 tokens, ms", 845, timeToFirst(t, "llama3-70b-tp8-h100", 8192), olderEngine, -65.0},
		{"70B 8xH100, between tokens at batch 1, ms", 29.8, betweenTokens(t, "llama3-70b-tp8-h100", 1), olderEngine, -64.3},
		{"70B 8xH100, between tokens at batch 64, ms", 50.2, betweenTokens(t, "llama3-70b-tp8-h100", 64), olderEngine, -74.1},

		{"70B 8xA100, TTFT of 512 tokens, ms", 94, timeToFirst(t, "llama3-70b-tp4-a100", 512), eightA100, 18.7},
		{"70B 8xA100, TTFT of 2048 tokens, ms", 274, timeToFirst(t, "llama3-70b-tp4-a100", 2048), eightA100, 35.2},
		{"70B 8xA100, TTFT of 8192 tokens, ms", 1550, timeToFirst(t, "llama3-70b-tp4-a100", 8192), eightA100, -0.9},
		{"70B 8xA100, between tokens at batch 1, ms", 44.9, betweenTokens(t, "llama3-70b-tp4-a100", 1), eightA100, -38.6},
		{"70B 8xA100, between tokens at batch 64, ms", 71.6, betweenTokens(t, "llama3-70b-tp4-a100", 64), eightA100, -52.3},
	}
	var table strings.Builder
	for _, r := range rows {
		off := 100 * (r.model - r.measured) / r.measured
		fmt.Fprintf(&table, "%-62s measured %7.1f  model %7.1f  error %+6.1f %%  %s\n", r.what, r.measured, r.model, off, r.note)
		if math.Abs(off-r.errorNow) > 1 {
			t.Errorf("%s: the error is %+.1f %%, it was %+.1f %%", r.what, off, r.errorNow)
		}
	}
	t.Logf("published measurements and the model:\n%s", table.String())
}

// saturation is the throughput of llama3-8b-h100 in requests a second with 440 connections that always have a request of 204
// prompt tokens and 63 to generate, where the first so many prompt blocks are the same for all.
func saturation(t *testing.T, sequences, shared int) float64 {
	t.Helper()
	e := newEngine(t, func(c *Config) { c.MaxSequences, c.EveryToken = sequences, false })
	var id uint64
	send := func(now int64) {
		id++
		blocks := make([]uint64, 204/16)
		for i := range blocks {
			blocks[i] = uint64(i)
			if i >= shared {
				blocks[i] = id<<8 | uint64(i)
			}
		}
		submit(t, e, now, Request{ID: id, PromptTokens: 204, MaxTokens: 63, Blocks: blocks})
	}
	for range 440 {
		send(0)
	}
	const warm, total = 2000, 8000
	done := 0
	var start int64
	for {
		_, events := e.Step(e.Next())
		for _, ev := range events {
			if !ev.Last {
				continue
			}
			send(ev.At)
			switch done++; done {
			case warm:
				start = ev.At
			case total:
				return (total - warm) / time.Duration(ev.At-start).Seconds()
			}
		}
	}
}

// timeToFirst is the time to first token of a prompt on an idle replica, in milliseconds.
func timeToFirst(t *testing.T, profile string, prompt int) float64 {
	t.Helper()
	p, err := LookupProfile(profile)
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(Config{Profile: p})
	if err != nil {
		t.Fatal(err)
	}
	submit(t, e, 0, Request{ID: 1, PromptTokens: prompt, MaxTokens: 1})
	return float64(drain(t, e)[0].At) / 1e6
}

// betweenTokens is the length of a decode step in milliseconds; the source gives no context length, so it is taken as 1,024.
func betweenTokens(t *testing.T, profile string, batch int) float64 {
	t.Helper()
	p, err := LookupProfile(profile)
	if err != nil {
		t.Fatal(err)
	}
	context := int64(batch) * 1024
	return float64(p.StepTime(Load{Tokens: batch, Sequences: batch, DecodeContext: context, HalfPairs: 2*context + int64(batch)})) / 1e6
}

// A profile must not promise more than its GPUs can do: dense bf16 peak, memory bandwidth and memory as NVIDIA gives them for the
// SXM variants, 2 operations and 2 bytes a parameter.
func TestProfilesStayBelowTheHardware(t *testing.T) {
	type gpu struct{ teraflops, terabytes, gigabytes float64 }
	gpus := map[string]gpu{"a100": {312, 2.04, 80}, "h100": {989, 3.35, 80}, "h200": {989, 4.8, 141}}
	for _, p := range Profiles() {
		chip := gpus[p.Name[strings.LastIndexByte(p.Name, '-')+1:]]
		parameters, count := 8e9, 1.0
		if strings.Contains(p.Name, "70b") {
			parameters = 70e9
			if _, err := fmt.Sscanf(p.Name, "llama3-70b-tp%f", &count); err != nil {
				t.Fatal(err)
			}
		}
		if used := p.ComputeRate * 1e3 * 2 * parameters / (count * chip.teraflops * 1e12); used > .8 || used < .4 {
			t.Errorf("%s computes at %.0f %% of peak", p.Name, 100*used)
		}
		if used := 2 * parameters / (p.WeightTime / 1e3) / (count * chip.terabytes * 1e12); used > .9 || used < .5 {
			t.Errorf("%s reads weights at %.0f %% of the memory bandwidth", p.Name, 100*used)
		}
		left := count*chip.gigabytes*1e9 - 2*parameters
		if kv := float64(p.KVTokens) * float64(p.KVBytesPerToken); kv > left {
			t.Errorf("%s has a KV cache of %.0f GB with %.0f GB left", p.Name, kv/1e9, left/1e9)
		}
	}
}
