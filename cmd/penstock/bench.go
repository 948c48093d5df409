package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/penstock/penstock/bench/loadgen"
	"github.com/penstock/penstock/bench/report"
	"github.com/penstock/penstock/bench/trace"
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/gateway"
)

// benchCommand sends load and reports what came of it. An interrupt ends the run early; what was measured is reported all the same.
func benchCommand(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	const who = "penstock bench"
	b, code, ok := parseBench(args, stderr)
	if !ok {
		return code
	}
	ctx, stop := untilInterrupted(ctx)
	defer stop()
	outputs, err := openReports(b.json, (*report.Report).WriteJSON, b.html, (*report.Report).WriteHTML)
	if err != nil {
		return fail(stderr, who, err)
	}
	r, err := b.measure(ctx, stderr)
	if err != nil {
		outputs.discard()
		return fail(stderr, who, err)
	}
	if err := errors.Join(r.WriteText(stdout), outputs.write(r)); err != nil {
		return fail(stderr, who, err)
	}
	for _, run := range r.Runs {
		if run.Result.Sent > run.Result.Cancelled && run.Result.Completed == 0 {
			return fail(stderr, who, fmt.Errorf("no request to %s was answered: see the errors", run.URL))
		}
	}
	return exitOK
}

// measure does all runs: each rate, each round, each target.
func (b *benchFlags) measure(ctx context.Context, stderr io.Writer) (*report.Report, error) {
	if err := b.load.read(); err != nil {
		return nil, err
	}
	version, _ := gateway.Version()
	r := &report.Report{Version: version, Command: append([]string{"penstock", "bench"}, b.args...), Started: time.Now(), Machine: machine(),
		Objectives: b.objectives(), Parameters: b.parameters()}
	targets := b.startTargets(slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	progress := newProgressLine(stderr)
	for _, rate := range b.rates {
		for round := 1; round <= b.rounds; round++ {
			seed := b.load.seed + uint64(round-1)
			t, err := b.load.make(rate, seed)
			if err != nil {
				return nil, err
			}
			if b.options.Warmup > 0 && b.options.Warmup >= t.Duration() {
				return nil, fmt.Errorf("--warmup of %v leaves nothing to measure: the last request is due at %v", b.options.Warmup, t.Duration().Round(time.Millisecond))
			}
			if r.Load.Name == "" {
				r.Load = describe(t)
			}
			for i := range targets {
				if ctx.Err() != nil {
					r.CutShort = true
					break
				}
				run := report.Run{Target: targets[i].name, Rate: rate, Round: round, Seed: seed}
				progress.begin(runLabel(&run, b.rounds))
				if err := b.run(ctx, t, &targets[i], &run, len(r.Runs), progress); err != nil {
					return nil, err
				}
				r.CutShort = r.CutShort || run.Result.CutShort
				r.Runs = append(r.Runs, run)
			}
		}
	}
	r.Finish()
	return r, nil
}

// run does one run, the n-th of all.
func (b *benchFlags) run(ctx context.Context, t *trace.Trace, target *benchTarget, run *report.Run, n int, progress *progressLine) error {
	url, stop, err := target.start()
	if err != nil {
		return err
	}
	defer stop()
	o := b.options
	o.URL, o.Salt = url, run.Seed
	if !target.fresh {
		// Texts that nobody sent before, or caches would be warm from the run before.
		o.Salt += uint64(n) << 32
	}
	o.Progress, o.ProgressEvery = progress.show, progress.every()
	runtime.GC() // what earlier runs left is not this one's
	before, known := cpuTime(target.pid)
	m, err := loadgen.Run(ctx, t, o)
	progress.end()
	if err != nil {
		return err
	}
	if after, ok := cpuTime(target.pid); known && ok {
		m.CPU = &report.CPU{Of: target.cpuOf, Seconds: after - before}
	}
	run.URL, run.Result = url, m.Result(b.objectives())
	return nil
}

func runLabel(run *report.Run, rounds int) string {
	label := run.Target
	if run.Rate > 0 {
		label += fmt.Sprintf(" at %g/s", run.Rate)
	}
	if rounds > 1 {
		label += fmt.Sprintf(", round %d of %d", run.Round, rounds)
	}
	return label
}

func describe(t *trace.Trace) report.Load {
	s := t.Summary()
	return report.Load{Name: t.Name, Requests: s.Requests, Seconds: s.Duration.Seconds(), MeanPromptTokens: s.Prompt.Mean, MeanOutputTokens: s.Output.Mean}
}

func machine() string {
	return fmt.Sprintf("%s/%s, %s, %s", runtime.GOOS, runtime.GOARCH, count(runtime.GOMAXPROCS(0), "core"), runtime.Version())
}

// parameters are the settings that readers of a report should know.
func (b *benchFlags) parameters() []report.Parameter {
	o := &b.options
	list := []report.Parameter{
		{Name: "seed", Value: strconv.FormatUint(b.load.seed, 10)}, {Name: "rounds", Value: strconv.Itoa(b.rounds)}, {Name: "warmup", Value: o.Warmup.String()},
		{Name: "API", Value: string(o.API)}, {Name: "model", Value: o.Model}, {Name: "streamed", Value: strconv.FormatBool(!o.Whole)},
		{Name: "workers", Value: strconv.Itoa(o.Workers)}, {Name: "requests in flight, at most", Value: strconv.Itoa(o.MaxInFlight)}, {Name: "timeout", Value: o.Timeout.String()},
	}
	if len(b.policies) > 0 {
		list = append(list,
			report.Parameter{Name: "mock replicas", Value: fmt.Sprintf("%d of the profile %s, %g times as fast", b.replicas, b.profile, b.engineSpeed)},
			report.Parameter{Name: "gateways", Value: "1 at a time, which polls the replicas' metrics every " + config.DefaultMetrics.Interval.String()})
	}
	return list
}

// reportFiles are the files that a report goes to. They are opened before the runs, which would be lost otherwise.
type reportFiles[R any] []reportFile[R]

type reportFile[R any] struct {
	file  *os.File
	write func(R, io.Writer) error
}

// openReports opens the files of --json and --html; an empty path is none.
func openReports[R any](json string, writeJSON func(R, io.Writer) error, html string, writeHTML func(R, io.Writer) error) (list reportFiles[R], err error) {
	for _, o := range []struct {
		flag, path string
		write      func(R, io.Writer) error
	}{{"json", json, writeJSON}, {"html", html, writeHTML}} {
		if o.path == "" {
			continue
		}
		f, err := os.Create(o.path)
		if err != nil {
			list.discard()
			return nil, fmt.Errorf("--%s: %w", o.flag, err)
		}
		list = append(list, reportFile[R]{f, o.write})
	}
	return list, nil
}

func (list reportFiles[R]) write(r R) error {
	var errs []error
	for _, o := range list {
		if err := errors.Join(o.write(r, o.file), o.file.Close()); err != nil {
			errs = append(errs, fmt.Errorf("cannot write %s: %w", o.file.Name(), err))
		}
	}
	return errors.Join(errs...)
}

// discard closes files that nothing will be written to.
func (list reportFiles[R]) discard() {
	for _, o := range list {
		o.file.Close()
	}
}
