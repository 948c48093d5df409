package report

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"
)

// result is the result of a run with one answer every 100 ms for 2 s.
func result(ttft, tpot int, o Objectives) *Result {
	m := &Measurement{Schedule: ms(2000), Endpoints: []string{"10.0.0.1:8000", "10.0.0.2:8000"}, Gaps: new(Histogram), CPU: &CPU{Of: "the target's process", Seconds: 0.5}}
	for at := 0; at <= 2000; at += 100 {
		s := answered(at, ttft+at/100, tpot)
		s.Endpoint = int32(at / 100 % 2)
		s.Sent = s.At
		m.Samples = append(m.Samples, s)
		m.Gaps.Record(ms(tpot))
	}
	m.Samples = append(m.Samples, failed(2000, Status, 500))
	return m.Result(o)
}

// sample is a report of two targets and the direct one, at two rates and in three rounds.
func sample() *Report {
	o := Objectives{TTFT: 0.2, TPOT: 0.05}
	r := &Report{Version: "v1", Command: []string{"penstock", "bench", "--header", `X: <script>alert("x")</script>`}, Started: time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC),
		Machine: "linux/amd64", Load: Load{Name: "independent", Requests: 21, Seconds: 2, MeanPromptTokens: 100, MeanOutputTokens: 10}, Objectives: o,
		Parameters: []Parameter{{"seed", "1"}}}
	for _, rate := range []float64{20, 10} {
		for round := 1; round <= 3; round++ {
			slow := 1
			if rate == 20 {
				slow = 4
			}
			add := func(target string, ttft, tpot int) {
				r.Runs = append(r.Runs, Run{Target: target, URL: "http://127.0.0.1:8000", Rate: rate, Round: round, Seed: uint64(round), Result: result(ttft*slow, tpot, o)})
			}
			add("a", 50+round, 10)
			add("b & c", 2*(50+round), 10)
			add(Direct, 40+round, 10)
		}
	}
	r.Finish()
	return r
}

func TestGroupsPairRounds(t *testing.T) {
	r := sample()
	if len(r.Groups) != 6 || r.Groups[0].Target != "a" || r.Groups[0].Rate != 20 || r.Groups[0].Rounds != 3 {
		t.Fatalf("groups %+v", r.Groups)
	}
	a, b, direct := &r.Groups[3], &r.Groups[4], &r.Groups[5]
	find := func(g *Group, name string) Figure {
		f, ok := g.Find(name)
		if !ok {
			t.Fatalf("%s has no %s", g.Target, name)
		}
		return f
	}
	f := find(a, "TTFT p50")
	if !near(f.Median, 0.062) || !near(f.Lowest, 0.061) || !near(f.Highest, 0.063) {
		t.Errorf("TTFT p50 of a is %+v", f)
	}
	if f.Ratio != nil || f.Added == nil || !near(f.Added.Lowest, 0.01) || !near(f.Added.Highest, 0.01) {
		t.Errorf("TTFT p50 of a has the ratio %v and added %v", f.Ratio, f.Added)
	}
	f = find(b, "TTFT p50")
	if f.Ratio == nil || !near(f.Ratio.Median, 114.0/62) || f.Added == nil || !near(f.Added.Median, 0.062) {
		t.Errorf("TTFT p50 of b has the ratio %+v and added %+v", f.Ratio, f.Added)
	}
	if f = find(direct, "TTFT p50"); f.Added != nil || f.Ratio == nil {
		t.Errorf("TTFT p50 of direct: %+v", f)
	}
	if f = find(b, "output tokens"); f.Added != nil || !near(f.Ratio.Median, b.median("output tokens")/a.median("output tokens")) {
		t.Errorf("output tokens of b: %+v", f)
	}
	if _, ok := a.Find("gap max"); !ok {
		t.Error("gaps are missing")
	}
	if _, ok := a.Find("TTFT p42"); ok {
		t.Error("found a figure that there is not")
	}
}

func TestSweepsSayWhereTargetsSaturate(t *testing.T) {
	r := sample()
	want := []Sweep{
		{Target: "a", HoldsUpTo: 10, SaturatesAt: 20, BestGoodput: 10.5, BestRate: 10},
		{Target: "b & c", HoldsUpTo: 10, SaturatesAt: 20, BestGoodput: 10.5, BestRate: 10},
		{Target: Direct, HoldsUpTo: 20, BestGoodput: 10.5, BestRate: 10},
	}
	if len(r.Sweeps) != 3 || r.Sweeps[0] != want[0] || r.Sweeps[1] != want[1] || r.Sweeps[2] != want[2] {
		t.Errorf("sweeps %+v", r.Sweeps)
	}
	for s, want := range map[Sweep]string{
		want[0]: "a holds up to 10/s and saturates at 20/s; its goodput is highest at 10/s, with 10.5 requests a second.",
		want[2]: "direct holds up to 20/s, the highest rate that was tried; its goodput is highest at 10/s, with 10.5 requests a second.",
		{Target: "x", SaturatesAt: 5, BestRate: 5, BestGoodput: 1}: "x does not hold 5/s, the lowest rate that was tried; its goodput is highest at 5/s, with 1.00 requests a second.",
	} {
		if got := s.sentence(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestWarnings(t *testing.T) {
	late := answered(0, 10, 1)
	late.Sent = ms(8)
	unknown := answered(0, 10, 1)
	unknown.OutputTokens = -1
	for name, c := range map[string]struct {
		m    Measurement
		want string
	}{
		"late":      {Measurement{Samples: []Sample{late}}, "a at 5/s, round 1: the generator was the bottleneck: it sent up to 8.00 ms late at p99."},
		"dropped":   {Measurement{Samples: []Sample{answered(0, 10, 1), {Outcome: Dropped}}}, "the generator dropped 1 of 2 arrivals"},
		"usage":     {Measurement{Samples: []Sample{unknown}}, "1 answers told no usage"},
		"nothing":   {Measurement{}, "nothing was measured"},
		"no answer": {Measurement{Samples: []Sample{failed(0, Reset, 0)}}, "no request was answered completely"},
		"cut":       {Measurement{Samples: []Sample{answered(0, 10, 1), failed(0, Cancelled, 0)}, CutShort: true}, "cut short; 1 requests in flight were given up"},
	} {
		c.m.Endpoints = []string{"x"}
		c.m.Schedule = ms(10)
		r := &Report{Runs: []Run{{Target: "a", Rate: 5, Round: 1, Result: c.m.Result(Objectives{})}}}
		r.Finish()
		if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], c.want) {
			t.Errorf("%s: warnings %q, want one with %q", name, r.Warnings, c.want)
		}
	}
	if r := sample(); len(r.Warnings) != 0 {
		t.Errorf("a good report warns %q", r.Warnings)
	}
}

func TestJSONRoundTrip(t *testing.T) {
	r := sample()
	var b bytes.Buffer
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"format": 1`, `"ttftSeconds": {`, `"median": `, `"offeredRate": `, `"status-500": 1`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the JSON has no %s", want)
		}
	}
	back, err := ReadJSON(&b)
	if err != nil || !reflect.DeepEqual(back, r) {
		t.Errorf("read %+v, %v; wrote %+v", back, err, r)
	}
	if _, err := ReadJSON(strings.NewReader(`{"format": 7}`)); err == nil || !strings.Contains(err.Error(), "format 7: this program reads format 1") {
		t.Errorf("another format: %v", err)
	}
	if _, err := ReadJSON(strings.NewReader(`{`)); err == nil || !strings.Contains(err.Error(), "cannot read a report") {
		t.Errorf("half a report: %v", err)
	}
}

func TestText(t *testing.T) {
	var b strings.Builder
	r := sample()
	r.CutShort = true
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"independent: 21 requests over 2.00 s, prompts of 100 and answers of 10.0 tokens", "CUT SHORT", "objectives: TTFT up to 200 ms, TPOT up to 50.0 ms",
		"10 requests a second: medians of 3 rounds", "b & c", "/ a", "− direct", "62.0 ms (61.0 ms–63.0 ms)", "a holds up to 10/s", "1 status-500",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the text has no %q:\n%s", want, &b)
		}
	}
	one := &Report{Runs: r.Runs[:1], Objectives: r.Objectives}
	one.Finish()
	b.Reset()
	if err := one.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a (http://127.0.0.1:8000)", "22 due, 22 sent, 0 dropped; 21 complete, 1 failed", "errors", "TTFT", "p99.9", "goodput", "2 answered; the busiest had 1.05 times", "of the target's process"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the text of one run has no %q:\n%s", want, &b)
		}
	}
}

func TestValuesHaveThreeDigits(t *testing.T) {
	for _, c := range []struct {
		x          float64
		unit, want string
	}{
		{0, "s", "0"}, {0.00000123, "s", "1.23 µs"}, {0.0123, "s", "12.3 ms"}, {0.9999, "s", "1.00 s"}, {0.0009999, "s", "1.00 ms"}, {123.4, "s", "123 s"},
		{4000, "s", "1h6m40s"}, {-0.002, "s", "-2.00 ms"}, {0.123, "share", "12.3 %"}, {1, "share", "100 %"}, {1234.5, "/s", "1234 /s"}, {0.00123, "", "0.0012"},
	} {
		if got := FormatValue(c.x, c.unit); got != c.want {
			t.Errorf("%v %q is %q, want %q", c.x, c.unit, got, c.want)
		}
	}
}
