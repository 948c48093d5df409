package load

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"math"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// told is what a report tells.
func told(r Report) map[Metric]float64 {
	all := make(map[Metric]float64)
	for m := range Metric(metrics) {
		if v, ok := r.Value(m); ok {
			all[m] = v
		}
	}
	return all
}

func TestReports(t *testing.T) {
	all := map[Metric]float64{CPU: 0.3, Memory: 0.8, Application: 1.5, RequestRate: 10, ErrorRate: 1, KVCache: 0.4, Waiting: 7, Running: 20}
	binary := base64.StdEncoding.EncodeToString(message(t, map[string]any{
		"cpu_utilization": 0.3, "mem_utilization": 0.8, "application_utilization": 1.5, "rps_fractional": 10.0, "eps": 1.0,
		"named_metrics": map[string]float64{"num_requests_waiting": 7, "kv_cache_usage_perc": 0.4, "other": 5},
		"utilization":   map[string]float64{"num_requests_running": 20}, "request_cost": map[string]float64{"num_requests_waiting": 3},
	}))
	for _, test := range []struct {
		value string
		want  map[Metric]float64
	}{
		{"TEXT cpu_utilization=0.3, mem_utilization=0.8, application_utilization=1.5, rps_fractional=10.0, eps=1, " +
			"named_metrics.kv_cache_usage_perc=0.4, named_metrics.num_requests_waiting=7,utilization.num_requests_running = 20,named_metrics.x=1", all},
		{"TEXT cpu_utilization:0.3,mem_utilization:0.8", map[Metric]float64{CPU: 0.3, Memory: 0.8}},
		{"TEXT kv_cache_utilization=0.5, max_token_capacity=4096", map[Metric]float64{KVCache: 0.5}},
		{"TEXT request_cost.num_requests_waiting=1,other.eps=2,named_metrics.cpu_utilization=3", nil},
		{"TEXT", nil},
		{"TEXT ,, ", nil},
		{" TEXT  eps=1 ", map[Metric]float64{ErrorRate: 1}},
		{`JSON {"cpu_utilization": 0.3, "memUtilization": 0.8, "applicationUtilization":1.5,"rps_fractional":"10","eps":1e0,
			"named_metrics": {"kv_cache_usage_perc": 0.4, "x":{"y":[1,"}"]}, "num_requests_waiting":7},
			"utilization":{"num_running_reqs":20}, "requestCost":{"num_requests_waiting":3}, "z":[{"eps":4}], "w":null, "v":true}`, all},
		{`JSON {}`, nil},
		{`JSON {"named_metrics":{}}`, nil},
		{"BIN " + binary, all},
		{"BIN " + strings.TrimRight(binary, "="), all},
		{"BIN ", nil},
	} {
		r, err := ParseReport([]byte(test.value))
		if got := told(r); err != nil || !maps.Equal(got, test.want) {
			t.Errorf("%s: got %v, %v; want %v", test.value, got, err, test.want)
		}
	}
	r, err := ParseBinaryReport([]byte(binary))
	if got := told(r); err != nil || !maps.Equal(got, all) {
		t.Errorf("binary: got %v, %v; want %v", got, err, all)
	}
}

func TestBrokenReports(t *testing.T) {
	const cannot = "cannot read a load report: "
	truncated := base64.StdEncoding.EncodeToString(message(t, map[string]any{"cpu_utilization": 0.3})[:5])
	for value, want := range map[string]string{
		"":                    cannot + "it begins with neither TEXT, JSON nor BIN",
		"cpu_utilization=0.3": cannot + "it begins with neither TEXT, JSON nor BIN",
		"TEXT eps":            cannot + `a pair has no equals sign, at "eps"`,
		"TEXT eps=one":        cannot + `a value is no number, at "eps=one"`,
		"TEXT eps=-1":         cannot + "the rate of errors is -1, want a finite number that is not negative",
		"TEXT cpu_utilization=NaN": cannot +
			"the use of processors is NaN, want a finite number that is not negative",
		"JSON":                                   cannot + `the JSON is broken, at ""`,
		"JSON [1]":                               cannot + `the JSON is no object, at "[1]"`,
		`JSON {"eps":1`:                          cannot + `the JSON is broken, at "{\"eps\":1"`,
		`JSON {"eps":"many"}`:                    cannot + `a value is no number, at "many"`,
		`JSON {"eps":1e999}`:                     cannot + `a value is no number, at "1e999"`,
		`JSON {"eps":"Infinity"}`:                cannot + "the rate of errors is +Inf, want a finite number that is not negative",
		"BIN !":                                  cannot + "illegal base64 data at input byte 0",
		"BIN " + truncated:                       cannot + "it is no protobuf message",
		"TEXT " + strings.Repeat(",", maxReport): cannot + "it has more than 4 KiB",
	} {
		r, err := ParseReport([]byte(value))
		if err == nil || err.Error() != want || r != (Report{}) {
			t.Errorf("%.40q: got %v, %v; want %s", value, told(r), err, want)
		}
	}
	if _, err := ParseBinaryReport(make([]byte, maxReport+1)); err != errLongReport {
		t.Errorf("a long binary report: %v", err)
	}
}

func TestReportsAllocateNothing(t *testing.T) {
	for _, value := range []string{
		"TEXT cpu_utilization=0.3, named_metrics.kv_cache_usage_perc=0.4",
		`JSON {"cpu_utilization": 0.3, "named_metrics": {"kv_cache_usage_perc": 0.4}}`,
		"BIN " + base64.StdEncoding.EncodeToString(message(t, map[string]any{"named_metrics": map[string]float64{"kv_cache_usage_perc": 0.4}})),
	} {
		b := []byte(value)
		if n := testing.AllocsPerRun(100, func() {
			if _, err := ParseReport(b); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", value, n)
		}
	}
}

// reportType is xds.data.orca.v3.OrcaLoadReport, whose definition is at github.com/cncf/xds.
var reportType = func() protoreflect.MessageDescriptor {
	field := func(name string, number int32, kind descriptorpb.FieldDescriptorProto_Type) *descriptorpb.FieldDescriptorProto {
		return &descriptorpb.FieldDescriptorProto{Name: &name, Number: &number, Type: &kind, Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()}
	}
	const double, text = descriptorpb.FieldDescriptorProto_TYPE_DOUBLE, descriptorpb.FieldDescriptorProto_TYPE_STRING
	m := &descriptorpb.DescriptorProto{Name: proto.String("OrcaLoadReport"), Field: []*descriptorpb.FieldDescriptorProto{
		field("cpu_utilization", 1, double), field("mem_utilization", 2, double),
		field("rps", 3, descriptorpb.FieldDescriptorProto_TYPE_UINT64), field("rps_fractional", 6, double), field("eps", 7, double),
		field("application_utilization", 9, double),
	}}
	for _, group := range []struct {
		number      int32
		name, entry string
	}{{4, "request_cost", "RequestCostEntry"}, {5, "utilization", "UtilizationEntry"}, {8, "named_metrics", "NamedMetricsEntry"}} {
		f := field(group.name, group.number, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE)
		f.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
		f.TypeName = proto.String(".xds.data.orca.v3.OrcaLoadReport." + group.entry)
		m.Field = append(m.Field, f)
		m.NestedType = append(m.NestedType, &descriptorpb.DescriptorProto{
			Name: &group.entry, Field: []*descriptorpb.FieldDescriptorProto{field("key", 1, text), field("value", 2, double)},
			Options: &descriptorpb.MessageOptions{MapEntry: proto.Bool(true)},
		})
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("xds/data/orca/v3/orca_load_report.proto"), Package: proto.String("xds.data.orca.v3"), Syntax: proto.String("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{m},
	}, nil)
	if err != nil {
		panic(err)
	}
	return file.Messages().Get(0)
}()

// message encodes a report.
func message(t *testing.T, fields map[string]any) []byte {
	t.Helper()
	m := dynamicpb.NewMessage(reportType)
	for name, value := range fields {
		f := reportType.Fields().ByName(protoreflect.Name(name))
		entries, ok := value.(map[string]float64)
		if !ok {
			m.Set(f, protoreflect.ValueOf(value))
			continue
		}
		for k, v := range entries {
			m.Mutable(f).Map().Set(protoreflect.ValueOfString(k).MapKey(), protoreflect.ValueOfFloat64(v))
		}
	}
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// decode decodes a report as protobuf does. Messages that are built at run time panic where the key of a map has a wrong type.
func decode(b []byte) (m *dynamicpb.Message, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	m = dynamicpb.NewMessage(reportType)
	return m, proto.Unmarshal(b, m) == nil
}

// isMetric reports whether a value is one that a report may tell.
func isMetric(v float64) bool { return v >= 0 && !math.IsInf(v, 0) }

// FuzzBinaryReport holds the reader against protobuf's.
func FuzzBinaryReport(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x09\x33\x33\x33\x33\x33\x33\xd3\x3f"))
	f.Add([]byte("\x42\x1e\x0a\x13kv_cache_usage_perc\x11\x9a\x99\x99\x99\x99\x99\xd9\x3f"))
	f.Add([]byte("\x2a\x18\x0a\x0dnum_queue_reqs\x11\x00\x00\x00\x00\x00\x00\x1c\x40\x18\x05\x08\x01\x4a\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Report
		err := r.readBinary(b)
		want, ok := decode(b)
		if !ok {
			return // names that are not UTF-8 are fine here
		}
		if err == errBrokenMessage {
			t.Fatalf("%x is a message", b)
		}
		if err != nil {
			return // a value that no metric has
		}
		for m, name := range map[Metric]protoreflect.Name{
			CPU: "cpu_utilization", Memory: "mem_utilization", Application: "application_utilization", RequestRate: "rps_fractional", ErrorRate: "eps",
		} {
			if got, w := told(r)[m], want.Get(reportType.Fields().ByName(name)).Float(); got != w {
				t.Fatalf("%v is %v, want %v, of %x", m, got, w, b)
			}
		}
		value := want.Get(reportType.Fields().ByName("named_metrics")).Map().Get(protoreflect.ValueOfString("kv_cache_usage_perc").MapKey())
		if _, ok := r.Value(KVCache); value.IsValid() && !ok {
			t.Fatalf("the use of the cache is not told, of %x", b)
		}
	})
}

// FuzzReport holds the reader of JSON against encoding/json, and the others against what must hold of any report.
func FuzzReport(f *testing.F) {
	for _, value := range []string{
		"TEXT cpu_utilization=0.3, named_metrics.kv_cache_usage_perc:0.4",
		`JSON {"cpu_utilization": 0.3, "named_metrics": {"kv_cache_usage_perc": 0.4}, "a":[{"b":"}"}], "c" : "\"", "eps":"2"}`,
		"BIN CTMzMzMzM9M/", "TEXT =", "JSON {\"\":{}}", "JSON  { } ",
	} {
		f.Add([]byte(value))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		r, err := ParseReport(value)
		for m, v := range told(r) {
			if !isMetric(v) {
				t.Fatalf("%v is %v, of %q", m, v, value)
			}
		}
		if err != nil && r != (Report{}) {
			t.Fatalf("an error, and yet %v, of %q", told(r), value)
		}
		text, ok := strings.CutPrefix(string(value), "JSON ")
		if !ok || len(value) > maxReport {
			return
		}
		var fields map[string]json.RawMessage
		if isObject := json.Unmarshal([]byte(text), &fields) == nil && fields != nil; !isObject && err == nil {
			t.Fatalf("%q is no object, and yet no error", text)
		}
		if eps, err2 := strconv.ParseFloat(string(fields["eps"]), 64); err2 == nil && err == nil && strings.Count(text, "eps") == 1 {
			if got, ok := r.Value(ErrorRate); !ok || got != eps {
				t.Fatalf("the rate of errors is %v, %v, want %v, of %q", got, ok, eps, text)
			}
		}
	})
}
