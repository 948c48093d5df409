package load

import (
	"encoding/base64"
	"fmt"
	"sync"
	"testing"

	"github.com/penstock/penstock/balancer"
)

const ms = int64(1e6)

func take(t *testing.T, e *balancer.Endpoint, value string, now int64) {
	t.Helper()
	if err := TakeReport(e, []byte(value), false, now); err != nil {
		t.Fatalf("%s: %v", value, err)
	}
}

func TestReportsBecomeSignals(t *testing.T) {
	binary := base64.StdEncoding.EncodeToString(message(t, map[string]any{"cpu_utilization": 0.5, "named_metrics": map[string]float64{
		"num_requests_waiting": 3, "num_requests_running": 7, "kv_cache_usage_perc": 1.25}}))
	for _, value := range []string{
		"TEXT cpu_utilization=0.5, named_metrics.num_requests_waiting=3, named_metrics.num_requests_running=7, named_metrics.kv_cache_usage_perc=1.25",
		`JSON {"cpu_utilization":0.5,"named_metrics":{"num_requests_waiting":3,"num_requests_running":7,"kv_cache_usage_perc":1.25}}`,
		"BIN " + binary, binary,
	} {
		e := balancer.NewEndpoint("e", nil)
		old := balancer.Reading{Value: 12, At: 1}
		e.SetSignals(&balancer.Signals{BlockSize: old, PrefixHits: old, Waiting: old, Failure: "was down"})
		if err := TakeReport(e, []byte(value), value == binary, 50*ms); err != nil {
			t.Fatal(err)
		}
		at := func(v float64) balancer.Reading { return balancer.Reading{Value: v, At: 50 * ms} }
		want := balancer.Signals{BlockSize: old, PrefixHits: old, Waiting: at(3), Running: at(7), KVCache: at(1), Failure: "was down"}
		if got := *e.Signals(); got != want {
			t.Errorf("%s makes %+v, want %+v", value, got, want)
		}
	}
}

// What a report does not tell keeps its time, and one that tells nothing of use changes nothing.
func TestReportsThatTellLittle(t *testing.T) {
	e := balancer.NewEndpoint("e", nil)
	take(t, e, "TEXT cpu_utilization=0.5", 20*ms)
	if s := e.Signals(); s != nil {
		t.Errorf("a report of the CPU makes %+v", s)
	}
	take(t, e, "TEXT named_metrics.kv_cache_usage_perc=0.25", 20*ms)
	take(t, e, "TEXT named_metrics.num_requests_waiting=2", 40*ms)
	take(t, e, "TEXT", 60*ms)
	s := e.Signals()
	if s.KVCache != (balancer.Reading{Value: 0.25, At: 20 * ms}) || s.Waiting != (balancer.Reading{Value: 2, At: 40 * ms}) || s.Running.Known() {
		t.Errorf("two reports make %+v", s)
	}
}

// The requests in flight are those of the time when the running ones were told, as they are a part of these, and of the queue.
func TestInFlightIsThatOfTheReport(t *testing.T) {
	const runs, waits = "TEXT named_metrics.num_requests_running=", "TEXT named_metrics.num_requests_waiting="
	b := balancer.New(mustPolicy(t))
	e := balancer.NewEndpoint("e", nil)
	b.SetSnapshot(balancer.NewSnapshot([]*balancer.Endpoint{e}, balancer.Options{}))
	var underway []*balancer.Request
	for i, step := range []struct {
		own    int // in flight
		report string
		want   int64
	}{
		{2, waits + "0", 2}, // nothing is known of those that run
		{5, runs + "5", 5},
		{9, "TEXT named_metrics.kv_cache_usage_perc=0.5", 5},
		{9, waits + "0", 5}, // the 4 that were sent since run
		{9, waits + "3", 8}, // 3 of them wait
		{9, waits + "7", 9}, // no more can be
		{3, waits + "7", 9}, // 6 have ended that ran
		{3, waits + "5", 7}, // 2 of those that waited run
		{3, runs + "3", 3},
	} {
		for len(underway) < step.own {
			r := new(balancer.Request)
			if _, result := b.Acquire(r); result != balancer.Acquired {
				t.Fatal("no endpoint is to be had")
			}
			underway = append(underway, r)
		}
		for ; len(underway) > step.own; underway = underway[1:] {
			b.Release(e, underway[0], balancer.Done{})
		}
		take(t, e, step.report, int64(i+1)*20*ms)
		if n := e.Signals().InFlight; n != step.want {
			t.Errorf("step %d, %s: %d were in flight, want %d", i, step.report, n, step.want)
		}
	}
}

func TestReportsAreReadOnceInAWhile(t *testing.T) {
	e := balancer.NewEndpoint("e", nil)
	take(t, e, "TEXT named_metrics.num_requests_waiting=1", 100*ms)
	first := e.Signals()
	// Not even one that could not be read is looked at. One that took another thread's time comes from before.
	for _, at := range []int64{90 * ms, 100 * ms, 110*ms - 1} {
		take(t, e, "nonsense", at)
	}
	if e.Signals() != first {
		t.Error("a report within 10 ms of another one was taken")
	}
	take(t, e, "TEXT named_metrics.num_requests_waiting=2", 110*ms)
	if s := e.Signals(); s.Waiting.Value != 2 {
		t.Errorf("a report after 10 ms was not taken: %+v", s)
	}
	// A poll counts like a report.
	e.SetSignals(&balancer.Signals{KVCache: balancer.Reading{Value: 0.5, At: 200 * ms}})
	take(t, e, "TEXT named_metrics.num_requests_waiting=3", 205*ms)
	if e.Signals().Waiting.Known() {
		t.Error("a report within 10 ms of a poll was taken")
	}
}

// A page is as old as its beginning. What a response has told since stays, and what none has told is read.
func TestAPageDoesNotReplaceANewerReport(t *testing.T) {
	newer := balancer.Reading{Value: 9, At: 6 * second}
	s := readOver(t, "vllm", "vllm:num_requests_waiting 3\nvllm:num_requests_running 4\n", &balancer.Signals{Waiting: newer}, new(history), 5*second)
	if s.Waiting != newer || s.Running != now(4) {
		t.Errorf("got %+v", s)
	}
}

func TestBrokenReportsChangeNothing(t *testing.T) {
	e := balancer.NewEndpoint("e", nil)
	known := &balancer.Signals{Waiting: balancer.Reading{Value: 1, At: 1}}
	e.SetSignals(known)
	for _, value := range []string{"", "nonsense", "JSON {", "TEXT named_metrics.num_requests_waiting=-1", "BIN !", "TEXT named_metrics.num_requests_waiting=2, x"} {
		if err := TakeReport(e, []byte(value), false, 50*ms); err == nil {
			t.Errorf("%q is taken for a report", value)
		}
	}
	if err := TakeReport(e, []byte("TEXT named_metrics.num_requests_waiting=2"), true, 50*ms); err == nil {
		t.Error("text is taken for a binary report")
	}
	if e.Signals() != known {
		t.Errorf("broken reports have made %+v", e.Signals())
	}
}

// Reports that come at once, beside polls, bring nothing back that was read anew meanwhile.
func TestReportsAndPollsAtOnce(t *testing.T) {
	e := balancer.NewEndpoint("e", nil)
	const steps = 2000
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for i := int64(1); i <= steps; i++ {
				TakeReport(e, fmt.Appendf(nil, "TEXT named_metrics.num_requests_waiting=%d", i), false, i*reportInterval)
			}
		})
	}
	all.Go(func() {
		for i := int64(1); i <= steps; i++ {
			read := balancer.Reading{Value: 1, At: i}
			s := balancer.Signals{BlockSize: read}
			if known := e.Signals(); known != nil {
				s = *known
				s.BlockSize = read
			}
			e.SetSignals(&s)
			if at := e.Signals().BlockSize.At; at < i {
				t.Errorf("what was read at %d replaced what was at %d", at, i)
			}
		}
	})
	all.Wait()
	if at := e.Signals().BlockSize.At; at != steps {
		t.Errorf("the last poll was at %d, want %d", at, steps)
	}
}

func TestReportsThatAreNotDueAllocateNothing(t *testing.T) {
	e := balancer.NewEndpoint("e", nil)
	value := []byte("TEXT named_metrics.num_requests_waiting=1, named_metrics.kv_cache_usage_perc=0.5")
	now := 100 * ms
	if n := testing.AllocsPerRun(100, func() {
		now += reportInterval
		TakeReport(e, value, false, now)
	}); n > 1 {
		t.Errorf("a report that is taken allocates %v times, want 1 at most", n)
	}
	if n := testing.AllocsPerRun(100, func() { TakeReport(e, value, false, now) }); n != 0 {
		t.Errorf("a report that is not due allocates %v times", n)
	}
	nothing := []byte("TEXT cpu_utilization=0.5")
	if n := testing.AllocsPerRun(100, func() { TakeReport(e, nothing, false, now+reportInterval) }); n != 0 {
		t.Errorf("a report that tells nothing of use allocates %v times", n)
	}
}
