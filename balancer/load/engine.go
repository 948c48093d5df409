package load

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// signal is what a series says something about.
type signal uint8

const (
	waiting signal = iota
	running
	kvCache
	prefixHits    // a counter
	prefixQueries // a counter
	blockSize
	blocks
	gpuUtilization
	gpuMemoryUsed
	gpuMemoryFree
	gpuMemoryTotal
	adapters
)

// combination says what becomes of the series that differ in labels only.
type combination uint8

const (
	// sum is right for what adds up over models, engines and GPUs.
	sum combination = iota
	// highest is right for shares of caches: a request may meet the fullest one.
	highest
	// mean is for display.
	mean
	// sumOfRanks takes the highest of each data-parallel rank and adds these up, as the workers of a rank, which are told apart by
	// other labels, all count the same requests.
	sumOfRanks
	// newest is for series whose value is when they were last set, and whose labels are what they say.
	newest
)

// series is one that an engine has. Only values that are finite and not negative count.
type series struct {
	name    string
	signal  signal
	combine combination
	// scale is what values are multiplied with; 0 is as they are.
	scale float64
	// label and equals choose among the series of a name; an empty label takes all.
	label, equals string
	// from names a label whose value is taken in place of the series' own.
	from string
}

// engine is the series of a model server. Where several say the same the first one counts that the page has: newer names stand first.
type engine struct {
	series []series
	// byName lists the places of series by their name.
	byName map[string][]int
}

// dataParallelRank is the label by which sumOfRanks groups.
const dataParallelRank = "dp_rank"

// gpus are the series of NVIDIA's DCGM exporter, wherever somebody joins them to a page. It knows percents and MiB.
var gpus = []series{
	{name: "DCGM_FI_DEV_GPU_UTIL", signal: gpuUtilization, combine: mean, scale: 0.01},
	{name: "DCGM_FI_DEV_FB_USED", signal: gpuMemoryUsed, scale: 1 << 20},
	{name: "DCGM_FI_DEV_FB_FREE", signal: gpuMemoryFree, scale: 1 << 20},
}

// engines are the model servers by the names that the configuration has for them.
var engines = map[string]*engine{
	"vllm": newEngine(
		series{name: "vllm:num_requests_waiting", signal: waiting},
		series{name: "vllm:num_requests_running", signal: running},
		series{name: "vllm:kv_cache_usage_perc", signal: kvCache, combine: highest},
		series{name: "vllm:gpu_cache_usage_perc", signal: kvCache, combine: highest},
		series{name: "vllm:prefix_cache_hits_total", signal: prefixHits},
		series{name: "vllm:prefix_cache_queries_total", signal: prefixQueries},
		series{name: "vllm:gpu_prefix_cache_hits_total", signal: prefixHits},
		series{name: "vllm:gpu_prefix_cache_queries_total", signal: prefixQueries},
		series{name: "vllm:cache_config_info", signal: blockSize, combine: highest, from: "block_size"},
		series{name: "vllm:cache_config_info", signal: blocks, from: "num_gpu_blocks"},
		series{name: "vllm:lora_requests_info", signal: adapters, combine: newest},
	),
	// Since 0.5.4 the prefix may be sglang_ as well.
	"sglang": newEngine(slices.Concat(sglang("sglang:"), sglang("sglang_"))...),
	"tensorrt-llm": newEngine(
		series{name: "trtllm_num_requests_waiting", signal: waiting},
		series{name: "trtllm_num_requests_running", signal: running},
		series{name: "trtllm_kv_cache_utilization", signal: kvCache, combine: highest},
	),
	// Models of the TensorRT-LLM backend say more than Triton itself does.
	"triton": newEngine(
		series{name: "nv_trt_llm_request_metrics", signal: waiting, label: "request_type", equals: "waiting"},
		series{name: "nv_trt_llm_request_metrics", signal: running, label: "request_type", equals: "scheduled"},
		series{name: "nv_trt_llm_kv_cache_block_metrics", signal: kvCache, combine: highest, label: "kv_cache_block_type", equals: "fraction"},
		series{name: "nv_trt_llm_kv_cache_block_metrics", signal: blockSize, combine: highest, label: "kv_cache_block_type", equals: "tokens_per"},
		series{name: "nv_trt_llm_kv_cache_block_metrics", signal: blocks, label: "kv_cache_block_type", equals: "max"},
		series{name: "nv_inference_pending_request_count", signal: waiting},
		series{name: "nv_gpu_utilization", signal: gpuUtilization, combine: mean},
		series{name: "nv_gpu_memory_used_bytes", signal: gpuMemoryUsed},
		series{name: "nv_gpu_memory_total_bytes", signal: gpuMemoryTotal},
	),
	"tgi": newEngine(
		series{name: "tgi_queue_size", signal: waiting},
		series{name: "tgi_batch_current_size", signal: running},
	),
	"dcgm": newEngine(),
}

func sglang(prefix string) []series {
	return []series{
		{name: prefix + "num_queue_reqs", signal: waiting, combine: sumOfRanks},
		{name: prefix + "num_running_reqs", signal: running, combine: sumOfRanks},
		{name: prefix + "token_usage", signal: kvCache, combine: highest},
		{name: prefix + "cached_tokens_total", signal: prefixHits},
		{name: prefix + "prompt_tokens_total", signal: prefixQueries},
		{name: prefix + "cache_config_info", signal: blockSize, combine: highest, from: "page_size"},
		{name: prefix + "cache_config_info", signal: blocks, from: "num_pages"},
	}
}

func newEngine(own ...series) *engine {
	e := &engine{series: slices.Concat(own, gpus), byName: make(map[string][]int)}
	if len(e.series) > maxSeries {
		panic(fmt.Sprintf("BUG: an engine has %d series, more than %d", len(e.series), maxSeries))
	}
	for i, s := range e.series {
		e.byName[s.name] = append(e.byName[s.name], i)
	}
	return e
}

// Engines returns the names of the model servers whose metrics are known, sorted.
func Engines() []string { return slices.Sorted(maps.Keys(engines)) }

// names lists, for messages, the series that say how busy an endpoint is; those of GPUs where the engine has no others.
func (e *engine) names() string {
	var all []string
	for _, s := range e.series {
		telling := s.signal == waiting || s.signal == running || s.signal == kvCache || len(e.series) == len(gpus)
		if telling && !slices.Contains(all, s.name) {
			all = append(all, s.name)
		}
	}
	return strings.Join(all, ", ")
}
