package load

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
)

// Load reports are ORCA's (message xds.data.orca.v3.OrcaLoadReport, gRPC proposal A51). Over HTTP they come in the response header or
// trailer endpoint-load-metrics, in three forms:
//
//	TEXT cpu_utilization=0.3, named_metrics.kv_cache_usage_perc=0.4
//	JSON {"cpu_utilization": 0.3, "named_metrics": {"kv_cache_usage_perc": 0.4}}
//	BIN  the message in protobuf, in base64
//
// and over gRPC in the trailer endpoint-load-metrics-bin, which is the third form without its name. vLLM and Triton send one to requests that
// have endpoint-load-metrics-format: TEXT or JSON.
const (
	// ReportHeader has a report that begins with the name of its form: see ParseReport.
	ReportHeader = "endpoint-load-metrics"
	// BinaryReportHeader has a report in base64: see ParseBinaryReport.
	BinaryReportHeader = "endpoint-load-metrics-bin"
	// ReportRequestHeader asks a model server for reports, by TEXT or JSON.
	ReportRequestHeader = "endpoint-load-metrics-format"
)

// Metric is what a load report may tell.
type Metric uint8

const (
	// CPU is the share of the processors in use; beyond 1 the server is past what it was meant to do.
	CPU Metric = iota
	// Memory is the share of the memory in use, 0 to 1.
	Memory
	// Application is the share of its capacity that the server itself thinks is in use; beyond 1 as with CPU.
	Application
	// RequestRate is requests per second.
	RequestRate
	// ErrorRate is failed requests per second.
	ErrorRate
	// KVCache is the share of the KV cache in use, 0 to 1.
	KVCache
	// Waiting is requests that wait.
	Waiting
	// Running is requests that run.
	Running

	metrics = int(Running) + 1
)

var metricNames = [metrics]string{
	CPU: "use of processors", Memory: "use of memory", Application: "use of capacity", RequestRate: "rate of requests", ErrorRate: "rate of errors",
	KVCache: "use of the KV cache", Waiting: "number of waiting requests", Running: "number of running requests",
}

// String returns what m is, in words.
func (m Metric) String() string { return metricNames[m] }

// Report is a load report. The zero value tells nothing.
type Report struct {
	values [metrics]float64
	told   uint16 // a bit for each Metric
}

// Value returns what a report tells of m, which is finite and not negative; false if it tells nothing.
func (r *Report) Value(m Metric) (float64, bool) { return r.values[m], r.told&(1<<m) != 0 }

// maxReport is the longest report that is read, in bytes.
const maxReport = 4 << 10

var (
	errLongReport   = errors.New("cannot read a load report: it has more than 4 KiB")
	errReportFormat = errors.New("cannot read a load report: it begins with neither TEXT, JSON nor BIN")
)

// ParseReport reads the value of the header endpoint-load-metrics. What a report tells beyond the known metrics is passed over. It
// allocates nothing unless it returns an error.
func ParseReport(value []byte) (Report, error) {
	var r Report
	if len(value) > maxReport {
		return r, errLongReport
	}
	form, rest, _ := bytes.Cut(bytes.Trim(value, " \t"), []byte{' '})
	var err error
	switch rest = bytes.Trim(rest, " \t"); string(form) {
	case "TEXT":
		err = r.readText(rest)
	case "JSON":
		err = r.readJSON(rest)
	case "BIN":
		return ParseBinaryReport(rest)
	default:
		err = errReportFormat
	}
	if err != nil {
		return Report{}, err
	}
	return r, nil
}

// ParseBinaryReport reads the value of the header endpoint-load-metrics-bin as it is on the wire: in base64, with or without padding. It
// allocates nothing unless it returns an error.
func ParseBinaryReport(value []byte) (Report, error) {
	var r Report
	if len(value) > maxReport {
		return r, errLongReport
	}
	var message [maxReport]byte
	value = bytes.TrimRight(value, "=")
	n, err := base64.RawStdEncoding.Decode(message[:], value)
	if err != nil {
		return r, fmt.Errorf("cannot read a load report: %w", err)
	}
	if err := r.readBinary(message[:n]); err != nil {
		return Report{}, err
	}
	return r, nil
}

// group is a part of a report that has metrics by name.
type group uint8

const (
	top    group = iota
	named        // named_metrics
	usage        // utilization
	others       // request_cost, and what is not known
)

// groupOf knows the names that protobuf and its JSON have for the fields.
func groupOf(name []byte) group {
	switch string(name) {
	case "named_metrics", "namedMetrics":
		return named
	case "utilization":
		return usage
	}
	return others
}

// metricOf returns the metric of a name. Triton writes named metrics at the top.
func metricOf(g group, name []byte) (m Metric, ok bool) {
	if g == top {
		switch string(name) {
		case "cpu_utilization", "cpuUtilization":
			return CPU, true
		case "mem_utilization", "memUtilization":
			return Memory, true
		case "application_utilization", "applicationUtilization":
			return Application, true
		case "rps_fractional", "rpsFractional":
			return RequestRate, true
		case "eps":
			return ErrorRate, true
		}
	}
	if g == others {
		return 0, false
	}
	switch string(name) {
	case "kv_cache_usage_perc", "kv_cache_utilization", "gpu_cache_usage_perc", "token_usage":
		return KVCache, true
	case "num_requests_waiting", "num_queue_reqs":
		return Waiting, true
	case "num_requests_running", "num_running_reqs":
		return Running, true
	}
	return 0, false
}

// set notes the metric of a name, if it is one.
func (r *Report) set(g group, name []byte, value float64) error {
	if m, ok := metricOf(g, name); ok {
		return r.note(m, value)
	}
	return nil
}

// note notes a metric. The error is for values that no metric has.
func (r *Report) note(m Metric, value float64) error {
	if !(value >= 0) || math.IsInf(value, 0) {
		return fmt.Errorf("cannot read a load report: the %v is %v, want a finite number that is not negative", m, value)
	}
	r.values[m] = value
	r.told |= 1 << m
	return nil
}

func malformed(what string, at []byte) error {
	return fmt.Errorf("cannot read a load report: %s, at %q", what, at[:min(len(at), 32)])
}
