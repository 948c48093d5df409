package mock

import (
	"net/http"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// scrape parses /metrics and returns every value under its name and labels, as NAME{a="b"}.
func (f *fixture) scrape() map[string]float64 {
	f.t.Helper()
	status, header, body := f.do("GET", "/metrics", "")
	if status != http.StatusOK || !strings.HasPrefix(header.Get("Content-Type"), "text/plain; version=0.0.4") {
		f.t.Fatalf("status %d, %v", status, header)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		f.t.Fatalf("cannot parse %s: %v", body, err)
	}
	values := make(map[string]float64)
	for name, family := range families {
		for _, m := range family.Metric {
			key := name
			for i, l := range m.Label {
				key += map[bool]string{true: "{", false: ","}[i == 0] + l.GetName() + "=\"" + l.GetValue() + "\""
			}
			if len(m.Label) > 0 {
				key += "}"
			}
			if family.GetType() == dto.MetricType_COUNTER {
				values[key] = m.Counter.GetValue()
			} else {
				values[key] = m.Gauge.GetValue()
			}
		}
	}
	return values
}

func TestMetricsUnderTheEnginesNames(t *testing.T) {
	for engine, c := range map[string]struct{ waiting, running, cache, finished string }{
		"vllm": {
			`vllm:num_requests_waiting{model_name="a\"b",engine="0"}`, `vllm:num_requests_running{model_name="a\"b",engine="0"}`,
			`vllm:kv_cache_usage_perc{model_name="a\"b",engine="0"}`, `vllm:request_success_total{model_name="a\"b",engine="0",finished_reason="length"}`,
		},
		"sglang": {
			`sglang:num_queue_reqs{model_name="a\"b"}`, `sglang:num_running_reqs{model_name="a\"b"}`,
			`sglang:token_usage{model_name="a\"b"}`, `sglang:num_requests_total{model_name="a\"b"}`,
		},
		"tensorrt-llm": {
			`trtllm_num_requests_waiting{model_name="a\"b",engine_type="trtllm"}`, `trtllm_num_requests_running{model_name="a\"b",engine_type="trtllm"}`,
			`trtllm_kv_cache_utilization{model_name="a\"b",engine_type="trtllm"}`, `trtllm_request_success_total{model_name="a\"b",engine_type="trtllm",finished_reason="length"}`,
		},
		"triton": {
			`nv_trt_llm_request_metrics{model="a\"b",version="1",request_type="waiting"}`, `nv_trt_llm_request_metrics{model="a\"b",version="1",request_type="scheduled"}`,
			`nv_trt_llm_kv_cache_block_metrics{model="a\"b",version="1",kv_cache_block_type="fraction"}`, `nv_inference_request_success{model="a\"b",version="1"}`,
		},
		"tgi": {`tgi_queue_size`, `tgi_batch_current_size`, "", `tgi_request_success`},
	} {
		t.Run(engine, func(t *testing.T) {
			f := start(t, Options{Engine: engine, Models: []string{`a"b`}, Speed: 1, MaxSequences: 1})
			f.post("/v1/completions", `{"model":"a\"b","prompt":"x","max_tokens":1}`, new(completionJSON))
			long := `{"model":"a\"b","prompt":"x","max_tokens":20000,"stream":true}`
			running, waiting := f.dial(), f.dial()
			running.request("/v1/completions", long)
			running.until("data: ")
			waiting.request("/v1/completions", long)
			f.await("one waits", func(s State) bool { return s.Engine.Waiting == 1 })
			unescaped := func(name string) string { return strings.ReplaceAll(name, `\"`, `"`) }
			values := f.scrape()
			for name, want := range map[string]float64{c.waiting: 1, c.running: 1, c.finished: 1} {
				if got, ok := values[unescaped(name)]; !ok || got != want {
					t.Errorf("%s is %v, want %v; there is %v", name, got, want, values)
				}
			}
			if c.cache != "" {
				if got := values[unescaped(c.cache)]; got <= 0 || got > 1 {
					t.Errorf("%s is %v", c.cache, got)
				}
			}
		})
	}
}

func TestVLLMCounters(t *testing.T) {
	f := start(t, Options{})
	prompt := strings.Repeat("1234", 100)
	for range 2 {
		f.post("/v1/completions", `{"model":"llama-3-8b","prompt":"`+prompt+`","max_tokens":5}`, new(completionJSON))
	}
	values := f.scrape()
	for name, want := range map[string]float64{
		"prompt_tokens_total": 200, "generation_tokens_total": 10, "prefix_cache_queries_total": 200, "prefix_cache_hits_total": 96,
		"num_preemptions_total": 0, "kv_cache_usage_perc": 0,
	} {
		if got, ok := values[`vllm:`+name+`{model_name="llama-3-8b",engine="0"}`]; !ok || got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if values[`vllm:cache_config_info{block_size="16",num_gpu_blocks="26250",engine="0"}`] != 1 {
		t.Errorf("no cache_config_info in %v", values)
	}
}

// TestMetricsAtBothPaths asks where TensorRT-LLM has its metrics too, of a replica with an engine and of one without.
func TestMetricsAtBothPaths(t *testing.T) {
	for _, instant := range []bool{false, true} {
		f := start(t, Options{Engine: "tensorrt-llm", Instant: instant})
		for _, path := range []string{"/metrics", "/prometheus/metrics"} {
			if status, _, body := f.do("GET", path, ""); status != http.StatusOK || !strings.Contains(body, "\ntrtllm_num_requests_waiting{") {
				t.Errorf("instant %v, %s: status %d, %s", instant, path, status, body)
			}
		}
	}
}
