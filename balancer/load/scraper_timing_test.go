package load

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/balancer"
)

// vllmSizedPage is as long as that of a vLLM server with one model, 60 KiB: gauges and counters among histograms.
func vllmSizedPage() []byte {
	const labels = `engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"`
	var b strings.Builder
	for i := range 22 {
		name := fmt.Sprintf("vllm:request_stage_%02d_seconds", i)
		fmt.Fprintf(&b, "# HELP %s Histogram of the time that a request spends in a stage.\n# TYPE %s histogram\n", name, name)
		for le := range 22 {
			fmt.Fprintf(&b, "%s_bucket{%s,le=\"%g\"} %d.0\n", name, labels, float64(le)*0.25, 1000*le)
		}
		fmt.Fprintf(&b, "%s_count{%s} 22000.0\n%s_sum{%s} 12345.678\n", name, labels, name, labels)
	}
	for _, g := range []string{"num_requests_waiting", "num_requests_running", "kv_cache_usage_perc", "prefix_cache_hits_total", "prefix_cache_queries_total"} {
		fmt.Fprintf(&b, "# HELP vllm:%s A gauge.\n# TYPE vllm:%s gauge\nvllm:%s{%s} 0.5\n", g, g, g, labels)
	}
	fmt.Fprintf(&b, "vllm:cache_config_info{block_size=\"16\",num_gpu_blocks=\"27000\",%s} 1.0\n", labels)
	return []byte(b.String())
}

// BenchmarkPage is what reading a page costs that has arrived.
func BenchmarkPage(b *testing.B) {
	page := vllmSizedPage()
	t := new(tally)
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	for b.Loop() {
		t.reset(engines["vllm"])
		if err := t.read(bytes.NewReader(page)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReport is what reading a load report costs.
func BenchmarkReport(b *testing.B) {
	for _, value := range []string{
		"TEXT named_metrics.kv_cache_usage_perc=0.4, named_metrics.num_requests_waiting=3",
		`JSON {"named_metrics": {"kv_cache_usage_perc": 0.4, "num_requests_waiting": 3}}`,
		"BIN Qh4KE2t2X2NhY2hlX3VzYWdlX3BlcmMRmpmZmZmZ2T8=",
	} {
		b.Run(value[:4], func(b *testing.B) {
			text := []byte(value)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseReport(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// serveCanned answers every request on every connection with a page, by two system calls and nothing else.
func serveCanned(b *testing.B, page []byte) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	answer := append([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: "+strconv.Itoa(len(page))+"\r\n\r\n"), page...)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for in := bufio.NewReaderSize(c, 1024); ; {
					for line := []byte("-"); len(line) > 2 || line[0] == '-'; {
						if line, err = in.ReadSlice('\n'); err != nil {
							return
						}
					}
					if _, err := c.Write(answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// used is the processor time that this process has had.
func used() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkThousandEndpoints polls a thousand endpoints every two seconds, which is the default, for ten seconds, and tells the processors that
// this takes together with the servers, which are in this process. It is run with -benchtime=1x.
func BenchmarkThousandEndpoints(b *testing.B) {
	const n, runs = 1000, 10 * time.Second
	address := serveCanned(b, vllmSizedPage())
	for b.Loop() {
		s, err := NewScraper(Config{Engine: "vllm", Interval: 2 * time.Second, Timeout: time.Second, Now: clock},
			func(_ *balancer.Endpoint, err error) {
				if err != nil {
					b.Error(err)
				}
			})
		if err != nil {
			b.Fatal(err)
		}
		polls := 0
		var targets []Target
		for i := range n {
			targets = append(targets, Target{Endpoint: balancer.NewEndpoint(strconv.Itoa(i), nil), URL: "http://" + address + "/metrics"})
		}
		done := make(chan struct{}, n)
		s.polled = func(*balancer.Endpoint, error) { done <- struct{}{} }
		s.SetTargets(targets)
		for range 2 * n { // connecting is not counted
			<-done
		}
		before, ends := used(), time.After(runs)
		for counting := true; counting; {
			select {
			case <-done:
				polls++
			case <-ends:
				counting = false
			}
		}
		cpu := used() - before
		s.Close()
		b.ReportMetric(float64(cpu)/float64(runs), "cores")
		b.ReportMetric(float64(cpu.Microseconds())/float64(polls), "cpu-us/poll")
		b.ReportMetric(float64(polls)/runs.Seconds(), "polls/s")
	}
}
