package mock

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock/penstock/bench/engine"
)

// snapshot is what /metrics reports.
type snapshot struct {
	engine.Stats
	config  engine.Config
	model   string
	started int64 // requests
}

// metricWriters write the metrics of each model server that can be mimicked, under its names.
var metricWriters = map[string]func(*exposition, *snapshot){
	"vllm":         vllmMetrics,
	"sglang":       sglangMetrics,
	"triton":       tritonMetrics,
	"tensorrt-llm": tensorRTMetrics,
	"tgi":          tgiMetrics,
}

// EngineNames lists the model servers whose metrics a replica can have.
func EngineNames() []string {
	var names []string
	for name := range metricWriters {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// metrics answers GET /metrics.
func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", expositionType)
	w.Write(s.exposition())
}

const expositionType = "text/plain; version=0.0.4; charset=utf-8"

func (s *Server) exposition() []byte {
	n := &snapshot{model: s.options.Models[0]}
	if s.instant != nil {
		counts := s.instant.Counts()
		n.started = counts.Started
		n.Finished = counts.Finished
		n.Running = int(counts.Started - counts.Finished - counts.Cancelled)
		// The options were valid when the server was made.
		n.config, _ = s.options.engineConfig()
	} else {
		n.Stats = s.replica.stats()
		n.config = s.replica.config
		n.started = n.Finished + n.Cancelled + int64(n.Running+n.Waiting+n.Arriving)
	}
	var e exposition
	metricWriters[s.options.Engine](&e, n)
	return e.text
}

func vllmMetrics(e *exposition, n *snapshot) {
	l := []label{{"model_name", n.model}, {"engine", "0"}}
	e.family("vllm:num_requests_running", "gauge", "Number of requests in model execution batches.").add(l, float64(n.Running))
	e.family("vllm:num_requests_waiting", "gauge", "Number of requests waiting to be processed.").add(l, float64(n.Waiting))
	e.family("vllm:kv_cache_usage_perc", "gauge", "KV-cache usage. 1 means 100 percent usage.").add(l, n.KVUsage)
	e.family("vllm:prefix_cache_queries_total", "counter", "Prefix cache queries, in terms of number of queried tokens.").add(l, float64(n.PrefixQueries))
	e.family("vllm:prefix_cache_hits_total", "counter", "Prefix cache hits, in terms of number of cached tokens.").add(l, float64(n.PrefixHits))
	e.family("vllm:num_preemptions_total", "counter", "Cumulative number of preemptions from the engine.").add(l, float64(n.Preemptions))
	e.family("vllm:prompt_tokens_total", "counter", "Number of prefill tokens processed.").add(l, float64(n.PromptTokens))
	e.family("vllm:generation_tokens_total", "counter", "Number of generation tokens processed.").add(l, float64(n.GenerationTokens))
	success := e.family("vllm:request_success_total", "counter", "Count of successfully processed requests.")
	success.add(append(slices.Clone(l), label{"finished_reason", "length"}), float64(n.Finished))
	success.add(append(slices.Clone(l), label{"finished_reason", "abort"}), float64(n.Cancelled))
	blocks := n.config.KVTokens / n.config.BlockTokens
	e.family("vllm:cache_config_info", "gauge", "Information of the LLMEngine CacheConfig.").add([]label{
		{"block_size", strconv.Itoa(n.config.BlockTokens)}, {"num_gpu_blocks", strconv.Itoa(blocks)}, {"engine", "0"},
	}, 1)
	e.family("vllm:lora_requests_info", "gauge", "Running stats on lora requests.").add([]label{
		{"max_lora", "0"}, {"running_lora_adapters", ""}, {"waiting_lora_adapters", ""},
	}, 1)
}

func sglangMetrics(e *exposition, n *snapshot) {
	l := []label{{"model_name", n.model}}
	hitRate := 0.0
	if n.PrefixQueries > 0 {
		hitRate = float64(n.PrefixHits) / float64(n.PrefixQueries)
	}
	e.family("sglang:num_running_reqs", "gauge", "The number of running requests.").add(l, float64(n.Running))
	e.family("sglang:num_queue_reqs", "gauge", "The number of requests in the waiting queue.").add(l, float64(n.Waiting))
	e.family("sglang:token_usage", "gauge", "The token usage.").add(l, n.KVUsage)
	e.family("sglang:num_used_tokens", "gauge", "The number of used tokens.").add(l, n.KVUsage*float64(n.config.KVTokens))
	e.family("sglang:cache_hit_rate", "gauge", "The prefix cache hit rate.").add(l, hitRate)
	e.family("sglang:prompt_tokens_total", "counter", "Number of prefill tokens processed.").add(l, float64(n.PromptTokens))
	e.family("sglang:generation_tokens_total", "counter", "Number of generation tokens processed.").add(l, float64(n.GenerationTokens))
	e.family("sglang:num_requests_total", "counter", "Number of requests processed.").add(l, float64(n.Finished))
}

// tritonMetrics are those of Triton with its TensorRT-LLM backend.
func tritonMetrics(e *exposition, n *snapshot) {
	l := []label{{"model", n.model}, {"version", "1"}}
	e.family("nv_inference_request_success", "counter", "Number of successful inference requests, all batch sizes.").add(l, float64(n.Finished))
	e.family("nv_inference_request_failure", "counter", "Number of failed inference requests, all batch sizes.").add(l, float64(n.Cancelled))
	e.family("nv_inference_count", "counter", "Number of inferences performed (does not include cached requests).").add(l, float64(n.Finished))
	e.family("nv_inference_exec_count", "counter", "Number of model executions performed (does not include cached requests).").add(l, float64(n.Steps))
	e.family("nv_inference_pending_request_count", "gauge", "Instantaneous number of pending requests awaiting execution per-model.").add(l, float64(n.Waiting))
	requests := e.family("nv_trt_llm_request_metrics", "gauge", "TRT LLM request metrics")
	for _, m := range []struct {
		kind  string
		value int
	}{{"waiting", n.Waiting}, {"scheduled", n.Running}, {"active", n.Waiting + n.Running}, {"max", n.config.MaxSequences}} {
		requests.add(append(slices.Clone(l), label{"request_type", m.kind}), float64(m.value))
	}
	blocks := float64(n.config.KVTokens / n.config.BlockTokens)
	cache := e.family("nv_trt_llm_kv_cache_block_metrics", "gauge", "TRT LLM KV cache block metrics")
	for _, m := range []struct {
		kind  string
		value float64
	}{{"fraction", n.KVUsage}, {"used", n.KVUsage * blocks}, {"free", (1 - n.KVUsage) * blocks}, {"max", blocks}, {"tokens_per", float64(n.config.BlockTokens)}} {
		cache.add(append(slices.Clone(l), label{"kv_cache_block_type", m.kind}), m.value)
	}
}

func tensorRTMetrics(e *exposition, n *snapshot) {
	l := []label{{"model_name", n.model}, {"engine_type", "trtllm"}}
	e.family("trtllm_num_requests_waiting", "gauge", "Number of requests that wait.").add(l, float64(n.Waiting))
	e.family("trtllm_num_requests_running", "gauge", "Number of requests that run.").add(l, float64(n.Running))
	e.family("trtllm_kv_cache_utilization", "gauge", "Share of the KV cache in use.").add(l, n.KVUsage)
	e.family("trtllm_request_success_total", "counter", "Count of successfully processed requests.").
		add(append(slices.Clone(l), label{"finished_reason", "length"}), float64(n.Finished))
}

func tgiMetrics(e *exposition, n *snapshot) {
	e.family("tgi_queue_size", "gauge", "Number of requests in the queue.").add(nil, float64(n.Waiting))
	e.family("tgi_batch_current_size", "gauge", "Number of requests in the running batch.").add(nil, float64(n.Running))
	e.family("tgi_request_count", "counter", "Number of requests.").add(nil, float64(n.started))
	e.family("tgi_request_success", "counter", "Number of successful requests.").add(nil, float64(n.Finished))
}

// label is a metric's label.
type label struct{ name, value string }

// exposition builds Prometheus's text format, version 0.0.4.
type exposition struct {
	text []byte
	name string
}

// family starts a metric; add gives it values.
func (e *exposition) family(name, kind, help string) *exposition {
	e.name = name
	e.text = append(e.text, "# HELP "+name+" "+help+"\n# TYPE "+name+" "+kind+"\n"...)
	return e
}

var labelEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func (e *exposition) add(labels []label, value float64) {
	e.text = append(e.text, e.name...)
	for i, l := range labels {
		open := byte(',')
		if i == 0 {
			open = '{'
		}
		e.text = append(e.text, open)
		e.text = append(e.text, l.name+`="`+labelEscaper.Replace(l.value)+`"`...)
	}
	if len(labels) > 0 {
		e.text = append(e.text, '}')
	}
	e.text = append(e.text, ' ')
	e.text = strconv.AppendFloat(e.text, value, 'g', -1, 64)
	e.text = append(e.text, '\n')
}
