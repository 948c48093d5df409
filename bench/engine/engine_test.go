package engine

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

const ms = int64(time.Millisecond)

func testConfig(t testing.TB, change func(*Config)) Config {
	t.Helper()
	p, err := LookupProfile(DefaultProfile)
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Profile: p, EveryToken: true}
	if change != nil {
		change(&c)
	}
	return c
}

func newEngine(t testing.TB, change func(*Config)) *Engine {
	t.Helper()
	e, err := New(testConfig(t, change))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func submit(t testing.TB, e *Engine, now int64, r Request) {
	t.Helper()
	if err := e.Submit(now, r); err != nil {
		t.Fatal(err)
	}
}

// drain steps until the engine is idle and returns all events.
func drain(t testing.TB, e *Engine) []Event {
	t.Helper()
	var all []Event
	for next := e.Next(); next != Never; {
		var events []Event
		next, events = e.Step(next)
		all = append(all, events...)
		checkInvariants(t, e)
	}
	return all
}

// checkInvariants recounts everything that the engine keeps as a sum.
func checkInvariants(t testing.TB, e *Engine) {
	t.Helper()
	referenced, idle := 0, 0
	references := make(map[int32]int32)
	for _, s := range e.byID {
		for _, slot := range e.sequences[s].held {
			references[slot]++
		}
	}
	named := len(e.cache.slots) - len(e.cache.freeSlots)
	for i, s := range e.cache.slots {
		if slices.Contains(e.cache.freeSlots, int32(i)) {
			continue
		}
		if s.references != references[int32(i)] {
			t.Fatalf("slot %d counts %d references, %d sequences hold it", i, s.references, references[int32(i)])
		}
		if s.references > 0 {
			referenced++
		} else {
			idle++
		}
		if e.cache.find(s.name) != int32(i) {
			t.Fatalf("block %d is not found under its name", i)
		}
	}
	if idle != e.cache.idle || referenced+idle != named {
		t.Fatalf("%d idle blocks of %d, the cache counts %d", idle, named, e.cache.idle)
	}
	if got := e.cache.free + e.cache.private + named; got != e.cache.total || e.cache.free < 0 {
		t.Fatalf("%d free + %d private + %d named blocks, want %d in all", e.cache.free, e.cache.private, named, e.cache.total)
	}
	listed := 0
	for i, previous := e.cache.oldest, none; i != none; i = e.cache.slots[i].next {
		if e.cache.slots[i].prev != previous {
			t.Fatalf("idle list is broken at slot %d", i)
		}
		previous = i
		listed++
	}
	if listed != idle {
		t.Fatalf("the idle list has %d blocks, want %d", listed, idle)
	}
	decoders, context, private, phases := 0, int64(0), 0, make([]int32, e.config.BlockTokens)
	for i := e.running.head; i != none; i = e.sequences[i].next {
		s := &e.sequences[i]
		slots := s.base
		if s.state == stateDecode {
			decoders++
			slots = s.contextAt(e.decoded)
			context += int64(slots)
			phases[e.phase(s)]++
			if e.busy {
				slots++
			}
		}
		private += e.blocks(slots) - len(s.held)
	}
	if decoders != e.decoders || context != e.context || !slices.Equal(phases, e.phases) {
		t.Fatalf("batch has %d decoders, context %d, phases %v; counted %d, %d, %v", decoders, context, phases, e.decoders, e.context, e.phases)
	}
	if private != e.cache.private {
		t.Fatalf("sequences hold %d private blocks, the cache counts %d", private, e.cache.private)
	}
	if n := e.arriving.len + e.waiting.len + e.running.len; n != len(e.byID) {
		t.Fatalf("%d sequences in lists, %d known", n, len(e.byID))
	}
}

func TestSingleRequestFollowsTheEquation(t *testing.T) {
	for _, p := range Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			e, err := New(Config{Profile: p, EveryToken: true})
			if err != nil {
				t.Fatal(err)
			}
			submit(t, e, 5*ms, Request{ID: 1, PromptTokens: 1000, MaxTokens: 40})
			events := drain(t, e)
			if len(events) != 40 {
				t.Fatalf("%d events, want 40", len(events))
			}
			at := 5*ms + int64(p.Overhead)
			for i, ev := range events {
				l := Load{Tokens: 1000, Sequences: 1, HalfPairs: 1000 * 1000}
				if i > 0 {
					c := int64(1000 + i - 1)
					l = Load{Tokens: 1, Sequences: 1, DecodeContext: c, HalfPairs: 2*c + 1}
				}
				at += int64(p.StepTime(l))
				want := Event{At: at, ID: 1, Tokens: i + 1, First: i == 0, Last: i == 39}
				if ev != want {
					t.Fatalf("event %d is %+v, want %+v", i, ev, want)
				}
			}
			s := e.Stats()
			want := Stats{PrefixQueries: 1000, PromptTokens: 1000, GenerationTokens: 40, Steps: 40, Finished: 1}
			if s != want {
				t.Errorf("stats are %+v, want %+v", s, want)
			}
		})
	}
}

// The equation by hand, so that a slip in a unit does not hide behind StepTime being used on both sides.
func TestStepTimeByHand(t *testing.T) {
	p, err := LookupProfile("llama3-70b-tp4-h100")
	if err != nil {
		t.Fatal(err)
	}
	// 100 decoding sequences of 500 tokens each, and a chunk of 2,000 tokens after 1,000 of context.
	got := p.StepTime(Load{Tokens: 2100, Sequences: 101, DecodeContext: 50_000, HalfPairs: 100*(2*500+1) + 2000*(2*1000+2000)})
	want := 2 + math.Hypot(14.5, 2100/18.4) + .02*101 + 26.6e-6*50_000 + 1.46e-6*(100*500.5+2000*2000) + .003*2100
	if diff := math.Abs(float64(got)/1e6 - want); diff > 1e-5 {
		t.Errorf("step takes %v, want %.6f ms", got, want)
	}
}

func TestChunkedPrefill(t *testing.T) {
	e := newEngine(t, func(c *Config) { c.MaxBatchedTokens, c.MaxSequences, c.Overhead = 2048, 64, 0 })
	submit(t, e, 0, Request{ID: 1, PromptTokens: 100, MaxTokens: 10})
	e.Step(0)
	submit(t, e, 0, Request{ID: 2, PromptTokens: 5000, MaxTokens: 2})
	var at int64
	step := func(l Load) {
		t.Helper()
		at += int64(e.config.StepTime(l))
		if got := e.Next(); got != at {
			t.Fatalf("step ends at %d, want %d", got, at)
		}
		e.Step(at)
		checkInvariants(t, e)
	}
	step(Load{Tokens: 100, Sequences: 1, HalfPairs: 100 * 100})
	// One decode token of the first request leaves 2,047 for a chunk of the second.
	step(Load{Tokens: 2048, Sequences: 2, DecodeContext: 100, HalfPairs: 201 + 2047*2047})
	step(Load{Tokens: 2048, Sequences: 2, DecodeContext: 101, HalfPairs: 203 + 2047*(2*2047+2047)})
	step(Load{Tokens: 907, Sequences: 2, DecodeContext: 102, HalfPairs: 205 + 906*(2*4094+906)})
	if got := e.Stats().PromptTokens; got != 5100 {
		t.Errorf("%d prompt tokens computed, want 5100", got)
	}
}

func TestAdmissionStopsAtMaxSequences(t *testing.T) {
	e := newEngine(t, func(c *Config) { c.MaxSequences, c.Overhead = 3, 0 })
	for id := range uint64(5) {
		submit(t, e, 0, Request{ID: id, PromptTokens: 10, MaxTokens: 2 + int(id)})
	}
	e.Step(0)
	if s := e.Stats(); s.Running != 3 || s.Waiting != 2 {
		t.Fatalf("%d running and %d waiting, want 3 and 2", s.Running, s.Waiting)
	}
	var order []uint64
	for _, ev := range drain(t, e) {
		if ev.First {
			order = append(order, ev.ID)
		}
	}
	if !slices.Equal(order, []uint64{0, 1, 2, 3, 4}) {
		t.Errorf("admitted in order %v", order)
	}
}

func TestArrivalsWaitForTheStepInProgress(t *testing.T) {
	e := newEngine(t, nil)
	submit(t, e, 0, Request{ID: 1, PromptTokens: 4000, MaxTokens: 1})
	if s := e.Stats(); s.Arriving != 1 || s.Waiting != 0 {
		t.Fatalf("before the overhead has passed: %+v", s)
	}
	next, _ := e.Step(int64(e.config.Overhead))
	submit(t, e, int64(e.config.Overhead)+1, Request{ID: 2, PromptTokens: 10, MaxTokens: 1})
	if got := e.Next(); got != next {
		t.Errorf("a submission moved the end of the step in progress from %d to %d", next, got)
	}
	if n, _ := e.Step(next - 1); n != next {
		t.Errorf("step before its time says %d, want %d", n, next)
	}
	events := drain(t, e)
	if len(events) != 2 || events[0].ID != 1 || events[0].At != next || events[1].At <= next {
		t.Errorf("events %+v", events)
	}
}

func TestLateStepCatchesUp(t *testing.T) {
	punctual, late := newEngine(t, nil), newEngine(t, nil)
	for _, e := range []*Engine{punctual, late} {
		for id := range uint64(20) {
			submit(t, e, int64(id)*ms, Request{ID: id, PromptTokens: 300, MaxTokens: 30})
		}
	}
	want := drain(t, punctual)
	next, got := late.Step(int64(time.Hour))
	if next != Never || !slices.Equal(got, want) {
		t.Errorf("one late call gives %d events and next %d, punctual ones %d events", len(got), next, len(want))
	}
}

func TestCancelFreesEverythingAtOnce(t *testing.T) {
	blocks := []uint64{1, 2, 3, 4, 5, 6}
	for name, steps := range map[string]int{"arriving": -1, "prefill": 0, "decode": 3} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, func(c *Config) { c.Overhead = 1 })
			submit(t, e, 0, Request{ID: 7, PromptTokens: 100, MaxTokens: 100, Blocks: blocks})
			for i := 0; i <= steps; i++ {
				e.Step(e.Next())
			}
			if !e.Cancel(7) {
				t.Fatal("the request was not known")
			}
			checkInvariants(t, e)
			s := e.Stats()
			if s.KVUsage != 0 || s.Running+s.Waiting+s.Arriving != 0 || s.Cancelled != 1 {
				t.Errorf("after the cancel: %+v", s)
			}
			if e.Cancel(7) {
				t.Error("cancelled twice")
			}
			if events := drain(t, e); len(events) != 0 {
				t.Errorf("cancelled request got %+v", events)
			}
		})
	}
	t.Run("waiting", func(t *testing.T) {
		e := newEngine(t, func(c *Config) { c.MaxSequences, c.Overhead = 1, 0 })
		submit(t, e, 0, Request{ID: 1, PromptTokens: 10, MaxTokens: 3})
		submit(t, e, 0, Request{ID: 2, PromptTokens: 10, MaxTokens: 3})
		e.Step(0)
		if !e.Cancel(2) || e.Stats().Waiting != 0 {
			t.Errorf("after the cancel: %+v", e.Stats())
		}
		if events := drain(t, e); len(events) != 3 || !events[2].Last || events[2].ID != 1 {
			t.Errorf("the other request got %+v", events)
		}
	})
}

func TestIDsAreReusableAfterTheEnd(t *testing.T) {
	e := newEngine(t, nil)
	r := Request{ID: 1, PromptTokens: 10, MaxTokens: 2}
	submit(t, e, 0, r)
	if err := e.Submit(0, r); err == nil {
		t.Error("an id was taken twice")
	}
	drain(t, e)
	submit(t, e, 0, r)
}

func TestSubmitRefusesWhatCannotRun(t *testing.T) {
	e := newEngine(t, func(c *Config) { c.KVTokens = 1000 })
	for _, r := range []Request{{ID: 1, PromptTokens: 0, MaxTokens: 1}, {ID: 1, PromptTokens: 1, MaxTokens: 0}, {ID: 1, PromptTokens: -5, MaxTokens: 5}} {
		if err := e.Submit(0, r); err == nil {
			t.Errorf("%+v was taken", r)
		}
	}
	for _, r := range []Request{
		{ID: 1, PromptTokens: 900, MaxTokens: 93},
		{ID: 1, PromptTokens: math.MaxInt, MaxTokens: 1},
		{ID: 1, PromptTokens: 1, MaxTokens: math.MaxInt},
	} {
		var tooLong *TooLongError
		if err := e.Submit(0, r); !errors.As(err, &tooLong) || tooLong.Limit != 992 {
			t.Errorf("%+v: %v, want a TooLongError with limit 992", r, err)
		}
	}
	submit(t, e, 0, Request{ID: 1, PromptTokens: 900, MaxTokens: 92})
	if events := drain(t, e); len(events) != 92 {
		t.Errorf("the longest request that fits got %d tokens", len(events))
	}
}

func TestWithoutEveryTokenOnlyEndsAreReported(t *testing.T) {
	run := func(every bool) []Event {
		e := newEngine(t, func(c *Config) { c.EveryToken = every })
		for id := range uint64(30) {
			submit(t, e, int64(id)*3*ms, Request{ID: id, PromptTokens: 50 * int(id+1), MaxTokens: 1 + int(id%7)*13})
		}
		return drain(t, e)
	}
	var want []Event
	for _, ev := range run(true) {
		if ev.First || ev.Last {
			want = append(want, ev)
		}
	}
	if got := run(false); !slices.Equal(got, want) {
		t.Errorf("reported\n%v\nwant\n%v", got, want)
	}
}

// Little's law: over a long closed loop, sequences in the system = throughput x time in the system.
func TestLittlesLaw(t *testing.T) {
	e := newEngine(t, func(c *Config) { c.MaxSequences = 48 })
	const connections = 64
	sent := make(map[uint64]int64)
	var id uint64
	send := func(now int64) {
		id++
		sent[id] = now
		submit(t, e, now, Request{ID: id, PromptTokens: 100 + int(id%5)*60, MaxTokens: 20 + int(id%11)*9})
	}
	for range connections {
		send(0)
	}
	var done int
	var residence, end int64
	for done < 5000 {
		_, events := e.Step(e.Next())
		for _, ev := range events {
			if ev.Last {
				done++
				residence += ev.At - sent[ev.ID]
				end = ev.At
				delete(sent, ev.ID)
				send(ev.At)
			}
		}
	}
	inSystem := float64(residence) / float64(end)
	if math.Abs(inSystem-connections) > 0.02*connections {
		t.Errorf("throughput x residence = %.2f, want %d", inSystem, connections)
	}
}

func TestValidateNamesTheField(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"block size":       func(c *Config) { c.BlockTokens = -1 },
		"sequences":        func(c *Config) { c.MaxSequences = 0 },
		"budget":           func(c *Config) { c.MaxBatchedTokens = 5 },
		"KV cache":         func(c *Config) { c.KVTokens = 15 },
		"serving overhead": func(c *Config) { c.Overhead = -1 },
		"PerPair":          func(c *Config) { c.PerPair = math.NaN() },
		"WeightTime":       func(c *Config) { c.WeightTime = math.Inf(1) },
		"ComputeRate":      func(c *Config) { c.ComputeRate = 0 },
	} {
		_, err := New(testConfig(t, change))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want one about the %s", err, want)
		}
	}
	if _, err := LookupProfile("gpt-9"); err == nil || !strings.Contains(err.Error(), "llama3-8b-h100") {
		t.Errorf("error %v does not list the profiles", err)
	}
}
