package load

import (
	"bytes"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/penstock/penstock/balancer"
)

const second = int64(1e9)

// read is what a page of an engine says.
func read(t *testing.T, engine, page string) *balancer.Signals {
	t.Helper()
	return readOver(t, engine, page, nil, new(history), 5*second)
}

func readOver(t *testing.T, engine, page string, known *balancer.Signals, h *history, now int64) *balancer.Signals {
	t.Helper()
	tally := new(tally)
	tally.reset(engines[engine])
	if err := tally.read(strings.NewReader(page)); err != nil {
		t.Fatal(err)
	}
	return tally.signals(known, h, now)
}

func now(v float64) balancer.Reading { return balancer.Reading{Value: v, At: 5 * second} }

func TestSignalsOfEngines(t *testing.T) {
	for _, test := range []struct {
		name, engine, page string
		want               balancer.Signals
	}{
		{"vLLM", "vllm", `
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="a"} 3.0
vllm:num_requests_running{engine="0",model_name="a"} 12.0
vllm:kv_cache_usage_perc{engine="0",model_name="a"} 0.25
vllm:num_requests_waiting_total{engine="0",model_name="a"} 99
vllm:cache_config_info{block_size="16",cache_dtype="auto",engine="0",num_gpu_blocks="27000"} 1.0
`, balancer.Signals{Waiting: now(3), Running: now(12), KVCache: now(0.25), BlockSize: now(16), Blocks: now(27000)}},
		{"vLLM with data parallelism: counts add up, and the fullest cache counts", "vllm", `
vllm:num_requests_waiting{engine="0"} 3
vllm:num_requests_waiting{engine="1"} 4
vllm:num_requests_running{engine="0"} 1
vllm:num_requests_running{engine="1"} 2
vllm:kv_cache_usage_perc{engine="0"} 0.9
vllm:kv_cache_usage_perc{engine="1"} 0.1
vllm:cache_config_info{block_size="16",engine="0",num_gpu_blocks="100"} 1
vllm:cache_config_info{block_size="16",engine="1",num_gpu_blocks="110"} 1
`, balancer.Signals{Waiting: now(7), Running: now(3), KVCache: now(0.9), BlockSize: now(16), Blocks: now(210)}},
		{"vLLM before version 1", "vllm", `
vllm:num_requests_waiting 0
vllm:num_requests_running 0
vllm:gpu_cache_usage_perc 0.5
vllm:cache_config_info{block_size="32",num_gpu_blocks="None"} 1
`, balancer.Signals{Waiting: now(0), Running: now(0), KVCache: now(0.5), BlockSize: now(32)}},
		{"both names of the cache: the newer one counts", "vllm",
			"vllm:gpu_cache_usage_perc 0.5\nvllm:kv_cache_usage_perc 0.25\n", balancer.Signals{KVCache: now(0.25)}},
		{"SGLang", "sglang", `
sglang:num_queue_reqs{model_name="a"} 2
sglang:num_running_reqs{model_name="a"} 5
sglang:token_usage{model_name="a"} 1.02
sglang:cache_config_info{page_size="1",num_pages="160000"} 1
`, balancer.Signals{Waiting: now(2), Running: now(5), KVCache: now(1), BlockSize: now(1), Blocks: now(160000)}},
		{"SGLang by its other prefix, whose workers of a rank count the same requests", "sglang", `
sglang_num_queue_reqs{dp_rank="0",tp_rank="0"} 2
sglang_num_queue_reqs{dp_rank="0",tp_rank="1"} 2
sglang_num_queue_reqs{dp_rank="1",tp_rank="2"} 7
sglang_num_queue_reqs{dp_rank="1",tp_rank="3"} 6
sglang_num_running_reqs{tp_rank="0"} 5
sglang_num_running_reqs{tp_rank="1"} 5
sglang_token_usage{dp_rank="0"} 0.3
sglang_token_usage{dp_rank="1"} 0.4
`, balancer.Signals{Waiting: now(9), Running: now(5), KVCache: now(0.4)}},
		{"TensorRT-LLM", "tensorrt-llm", `
trtllm_num_requests_waiting{engine_type="trtllm"} 1
trtllm_num_requests_running{engine_type="trtllm"} 2
trtllm_kv_cache_utilization{engine_type="trtllm"} 0.5
`, balancer.Signals{Waiting: now(1), Running: now(2), KVCache: now(0.5)}},
		{"Triton with TensorRT-LLM", "triton", `
nv_trt_llm_request_metrics{model="a",request_type="waiting",version="1"} 1
nv_trt_llm_request_metrics{model="a",request_type="scheduled",version="1"} 2
nv_trt_llm_request_metrics{model="b",request_type="scheduled",version="1"} 3
nv_trt_llm_request_metrics{model="a",request_type="max",version="1"} 512
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction",model="a"} 0.5
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="used",model="a"} 50
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="tokens_per",model="a"} 64
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="max",model="a"} 100
nv_inference_pending_request_count{model="a",version="1"} 9
`, balancer.Signals{Waiting: now(1), Running: now(5), KVCache: now(0.5), BlockSize: now(64), Blocks: now(100)}},
		{"Triton alone", "triton", `
nv_inference_pending_request_count{model="a",version="1"} 4
nv_inference_pending_request_count{model="b",version="2"} 5
nv_gpu_utilization{gpu_uuid="GPU-1"} 0.5
nv_gpu_utilization{gpu_uuid="GPU-2"} 1
nv_gpu_memory_used_bytes{gpu_uuid="GPU-1"} 100
nv_gpu_memory_used_bytes{gpu_uuid="GPU-2"} 200
nv_gpu_memory_total_bytes{gpu_uuid="GPU-1"} 500
nv_gpu_memory_total_bytes{gpu_uuid="GPU-2"} 500
`, balancer.Signals{Waiting: now(9), GPUUtilization: now(0.75), GPUMemoryUsed: now(300), GPUMemoryTotal: now(1000)}},
		{"TGI", "tgi", "tgi_queue_size 1\ntgi_batch_current_size 2\n", balancer.Signals{Waiting: now(1), Running: now(2)}},
		{"DCGM's exporter", "dcgm", `
DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-1",device="nvidia0",modelName="NVIDIA H100"} 50
DCGM_FI_DEV_GPU_UTIL{gpu="1",UUID="GPU-2",device="nvidia1",modelName="NVIDIA H100"} 100
DCGM_FI_DEV_FB_USED{gpu="0",UUID="GPU-1"} 1024
DCGM_FI_DEV_FB_FREE{gpu="0",UUID="GPU-1"} 3072
`, balancer.Signals{GPUUtilization: now(0.75), GPUMemoryUsed: now(1 << 30), GPUMemoryTotal: now(4 << 30)}},
		{"values that are none count as absent", "vllm", `
vllm:num_requests_waiting NaN
vllm:num_requests_running -1
vllm:kv_cache_usage_perc +Inf
vllm:cache_config_info{block_size="sixteen"} 1
`, balancer.Signals{}},
		{"NaN beside a value", "vllm", "vllm:kv_cache_usage_perc{engine=\"0\"} NaN\nvllm:kv_cache_usage_perc{engine=\"1\"} 0.5\n",
			balancer.Signals{KVCache: now(0.5)}},
		{"a sum that is too large", "tgi", "tgi_queue_size{a=\"1\"} 1e308\ntgi_queue_size{a=\"2\"} 1e308\n", balancer.Signals{}},
	} {
		if got := read(t, test.engine, test.page); !reflect.DeepEqual(*got, test.want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", test.name, *got, test.want)
		}
	}
}

func TestMoreRanksThanAreKept(t *testing.T) {
	var page strings.Builder
	for i := range maxRanks + 50 {
		page.WriteString(`sglang:num_queue_reqs{dp_rank="` + strings.Repeat("r", i) + `"} 1` + "\n")
	}
	if got := read(t, "sglang", page.String()).Waiting; got != now(maxRanks) {
		t.Errorf("got %v, want %d: further ranks must not count for themselves", got, maxRanks)
	}
}

func TestPrefixRates(t *testing.T) {
	page := func(hits, queries string) string {
		return "vllm:num_requests_waiting 0\nvllm:prefix_cache_hits_total " + hits + "\nvllm:prefix_cache_queries_total " + queries + "\n"
	}
	var h history
	s := readOver(t, "vllm", page("1000", "4000"), nil, &h, 10*second)
	if s.PrefixHits.Known() || s.PrefixQueries.Known() {
		t.Errorf("the first page has rates: %v, %v", s.PrefixHits, s.PrefixQueries)
	}
	s = readOver(t, "vllm", page("1050", "4200"), s, &h, 12*second)
	if want := (balancer.Reading{Value: 25, At: 12 * second}); s.PrefixHits != want || s.PrefixQueries.Value != 100 {
		t.Errorf("got %v and %v, want %v and 100", s.PrefixHits, s.PrefixQueries, want)
	}
	before := s.PrefixHits
	s = readOver(t, "vllm", page("0", "10"), s, &h, 14*second) // the server has started anew
	if s.PrefixHits != before {
		t.Errorf("after a restart got %v, want what was known, %v", s.PrefixHits, before)
	}
	s = readOver(t, "vllm", page("0", "30"), s, &h, 16*second)
	if s.PrefixHits.Value != 0 || s.PrefixHits.At != 16*second || s.PrefixQueries.Value != 10 {
		t.Errorf("got %v and %v, want 0 and 10", s.PrefixHits, s.PrefixQueries)
	}
}

func TestAdapters(t *testing.T) {
	page := `
vllm:lora_requests_info{max_lora="4",running_lora_adapters="old",waiting_lora_adapters=""} 1.7e9
vllm:lora_requests_info{max_lora="4",running_lora_adapters="sql, chat\"x",waiting_lora_adapters="sum"} 1.8e9
vllm:lora_requests_info{max_lora="4",running_lora_adapters="older",waiting_lora_adapters=""} 1.6e9
`
	var h history
	s := readOver(t, "vllm", page, nil, &h, 5*second)
	want := balancer.NewAdapters([]string{"sql", `chat"x`}, []string{"sum"}, 4, 5*second)
	if !reflect.DeepEqual(s.Adapters, want) {
		t.Fatalf("got %+v, want %+v", s.Adapters, want)
	}
	again := readOver(t, "vllm", page, s, &h, 6*second)
	if again.Adapters.At != 6*second || &again.Adapters.Running[0] != &s.Adapters.Running[0] {
		t.Errorf("lists that have not changed: got %+v, want the same ones, read later", again.Adapters)
	}
	none := readOver(t, "vllm", `vllm:lora_requests_info{max_lora="0",running_lora_adapters="",waiting_lora_adapters=""} 1`, again, &h, 7*second)
	if want := (balancer.Adapters{At: 7 * second}); !reflect.DeepEqual(*none.Adapters, want) {
		t.Errorf("got %+v, want %+v", none.Adapters, want)
	}
	many := read(t, "vllm", `vllm:lora_requests_info{running_lora_adapters="`+strings.Repeat("a,", maxAdapters+10)+`"} 1`)
	if n := len(many.Adapters.Running); n != maxAdapters {
		t.Errorf("kept %d names, want %d", n, maxAdapters)
	}
}

// What a page no longer says keeps its value and its old time.
func TestSignalsThatVanishGrowOld(t *testing.T) {
	var h history
	first := readOver(t, "vllm", "vllm:num_requests_waiting 3\nvllm:kv_cache_usage_perc 0.5\n", nil, &h, 5*second)
	first.Failure = "it was away"
	second := readOver(t, "vllm", "vllm:num_requests_waiting 4\n", first, &h, 9e9)
	if second.Waiting != (balancer.Reading{Value: 4, At: 9e9}) || second.KVCache != now(0.5) || second.Failure != "" {
		t.Errorf("got %+v", second)
	}
	if first.Waiting != now(3) {
		t.Error("what was published has changed")
	}
}

func TestEngines(t *testing.T) {
	if want := []string{"dcgm", "sglang", "tensorrt-llm", "tgi", "triton", "vllm"}; !slices.Equal(Engines(), want) {
		t.Errorf("got %v, want %v", Engines(), want)
	}
}

// FuzzSignals reads any page as each engine's, and holds a sum and a maximum against what Prometheus's parser makes of it.
func FuzzSignals(f *testing.F) {
	for _, page := range []string{
		"vllm:num_requests_waiting{engine=\"0\"} 1\nvllm:num_requests_waiting{engine=\"1\"} 2\nvllm:kv_cache_usage_perc 0.5\n",
		"vllm:lora_requests_info{max_lora=\"1\",running_lora_adapters=\"a,b\"} 1\nvllm:cache_config_info{block_size=\"16\"} 1\n",
		"sglang:num_queue_reqs{dp_rank=\"1\"} 1\nsglang_num_queue_reqs{dp_rank=\"2\"} 1\n",
		"nv_trt_llm_request_metrics{request_type=\"waiting\"} 1\nDCGM_FI_DEV_GPU_UTIL 5\nDCGM_FI_DEV_FB_USED 1\nDCGM_FI_DEV_FB_FREE 1e300\n",
		"tgi_queue_size 1e308\ntgi_queue_size{a=\"\"} 1e308\ntrtllm_num_requests_waiting -1\n",
	} {
		f.Add([]byte(page))
	}
	f.Fuzz(func(t *testing.T, page []byte) {
		for name, e := range engines {
			tally := new(tally)
			tally.reset(e)
			if err := tally.read(bytes.NewReader(page)); err != nil {
				return
			}
			s := tally.signals(nil, new(history), second)
			for _, r := range []balancer.Reading{s.Waiting, s.Running, s.KVCache, s.PrefixHits, s.PrefixQueries, s.BlockSize, s.Blocks,
				s.GPUUtilization, s.GPUMemoryUsed, s.GPUMemoryTotal} {
				if !(r.Value >= 0) || math.IsInf(r.Value, 0) || !r.Known() && r.Value != 0 {
					t.Fatalf("%s: reading %v of %q", name, r, page)
				}
			}
			if s.KVCache.Value > 1 {
				t.Fatalf("%s: the cache is used by %v, of %q", name, s.KVCache, page)
			}
			if name == "vllm" {
				compareSignals(t, s, page)
			}
		}
	})
}

func compareSignals(t *testing.T, s *balancer.Signals, page []byte) {
	t.Helper()
	families, ok := oracle(page)
	if !ok || len(page) >= maxLine || bytes.ContainsRune(page, '\r') {
		return
	}
	total, most, waits, caches := 0.0, 0.0, 0, 0
	for _, m := range families["vllm:num_requests_waiting"] {
		if v := valueOf(m); v >= 0 && !math.IsInf(v, 0) {
			total, waits = total+v, waits+1
		}
	}
	for _, m := range families["vllm:kv_cache_usage_perc"] {
		if v := valueOf(m); v >= 0 && !math.IsInf(v, 0) {
			most, caches = max(most, v), caches+1
		}
	}
	if waits > 0 && !math.IsInf(total, 0) && s.Waiting.Value != total || caches > 0 && s.KVCache.Value != min(most, 1) {
		t.Fatalf("got %v and %v, want %v and %v, of %q", s.Waiting, s.KVCache, total, most, page)
	}
}
