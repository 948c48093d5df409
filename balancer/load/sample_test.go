package load

import (
	"bytes"
	"math"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	dto "github.com/prometheus/client_model/go"
)

// sampleOf takes a line apart as a tally does.
func sampleOf(line string) (name, labels string, value float64, ok bool) {
	n, rest := cutName([]byte(line))
	if len(n) == 0 {
		return "", "", 0, false
	}
	l, rest, ok := cutLabels(rest)
	if !ok {
		return string(n), "", 0, false
	}
	value, ok = cutValue(rest)
	return string(n), string(l), value, ok
}

func TestSamples(t *testing.T) {
	for _, test := range []struct {
		line, name, labels string
		value              float64
		ok                 bool
	}{
		{`a 1`, "a", "", 1, true},
		{"\t a \t 1.5e3 ", "a", "", 1500, true},
		{`a{} 1`, "a", "", 1, true},
		{`a{b="c"} 1`, "a", `b="c"`, 1, true},
		{`a {b="c"}1`, "a", `b="c"`, 1, true},
		{`a{b="}\"{",} 1`, "a", `b="}\"{",`, 1, true},
		{`a{b="\\"} 2`, "a", `b="\\"`, 2, true},
		{`a 1 1700000000000`, "a", "", 1, true},
		{`a{b="c"} 1 1700000000000 # {trace="x"} 0.5`, "a", `b="c"`, 1, true},
		{`a +Inf`, "a", "", math.Inf(1), true},
		{`a -Inf`, "a", "", math.Inf(-1), true},
		{"a 1\r", "a", "", 1, true},
		{`{"a"} 1`, "a", "", 1, true},
		{`{ "a" , b="c"} 1`, "a", ` b="c"`, 1, true},
		{`# HELP a 1`, "", "", 0, false},
		{`#a 1`, "", "", 0, false},
		{``, "", "", 0, false},
		{`a`, "", "", 0, false},
		{`{b="c"} 1`, "", "", 0, false},
		{`{"a`, "", "", 0, false},
		{`a{b="c" 1`, "a", "", 0, false},
		{`a{b="c} 1`, "a", "", 0, false},
		{`a{b="c\`, "a", "", 0, false},
		{`a x`, "a", "", 0, false},
		{`a 0x1p3`, "a", "", 0, false},
		{`a 1_000`, "a", "", 0, false},
		{`a `, "a", "", 0, false},
	} {
		name, labels, value, ok := sampleOf(test.line)
		if name != test.name || ok != test.ok || ok && (labels != test.labels || value != test.value) {
			t.Errorf("%q: got %q, %q, %v, %v; want %q, %q, %v, %v", test.line, name, labels, value, ok, test.name, test.labels, test.value, test.ok)
		}
	}
	if _, _, value, ok := sampleOf("a NaN"); !ok || !math.IsNaN(value) {
		t.Errorf("NaN: got %v, %v", value, ok)
	}
}

func TestLabels(t *testing.T) {
	const labels = ` a="1", b ="two\n\"\\" , "c=d" = "}{,=" ,e="",f="last",`
	for name, want := range map[string]string{"a": "1", "b": "two\n\"\\", "c=d": "}{,=", "e": "", "f": "last"} {
		value, ok := labelOf([]byte(labels), name)
		if got := unescaped(value); !ok || got != want {
			t.Errorf("%s: got %q, %v; want %q", name, got, ok, want)
		}
	}
	for _, broken := range []string{`a`, `a=`, `a=b`, `a="b`, `"a`, `"a"`, `x="1" a`, ``, `b="a"`} {
		if value, ok := labelOf([]byte(broken), "a"); ok {
			t.Errorf("%q: a is %q", broken, value)
		}
	}
}

// TestSamplesAllocateNothing holds for lines that are wanted and for those that are not.
func TestSamplesAllocateNothing(t *testing.T) {
	var tally tally
	tally.reset(engines["triton"])
	lines := [][]byte{
		[]byte(`nv_trt_llm_request_metrics{model="a",request_type="waiting",version="1"} 3`),
		[]byte(`nv_inference_pending_request_count{model="a",version="1"} 12345.678`),
		[]byte(`nv_inference_request_duration_us{model="a",version="1"} 3`),
		[]byte(`# HELP nv_inference_request_duration_us Cumulative`),
	}
	if n := testing.AllocsPerRun(100, func() {
		for _, l := range lines {
			tally.line(l)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// properName matches blank lines, comments, and samples whose name stands where the format wants it.
var properName = regexp.MustCompile(`^[ \t]*($|\n|#|[^ \t\n#{"]+[ \t{]|\{[ \t]*"([^"\\]|\\.)*"[ \t]*[,}])`)

// oracle parses a page as Prometheus does, and gives the samples of families of a single value.
func oracle(page []byte) (samples map[string][]*dto.Metric, ok bool) {
	for line := range bytes.Lines(page) {
		if !properName.Match(line) {
			return nil, false // Prometheus's parser also takes what no server writes: names in quotes before the braces, or without within them
		}
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(page))
	if err != nil {
		return nil, false
	}
	samples = make(map[string][]*dto.Metric)
	for name, f := range families {
		switch f.GetType() {
		case dto.MetricType_GAUGE, dto.MetricType_COUNTER, dto.MetricType_UNTYPED:
			samples[name] = f.Metric
		default:
			return nil, false // histograms and summaries have samples by other names
		}
	}
	return samples, true
}

func valueOf(m *dto.Metric) float64 {
	switch {
	case m.Gauge != nil:
		return m.Gauge.GetValue()
	case m.Counter != nil:
		return m.Counter.GetValue()
	}
	return m.Untyped.GetValue()
}

// FuzzPage holds the parser against Prometheus's own: wherever that takes a page, both find the same samples.
func FuzzPage(f *testing.F) {
	for _, page := range []string{
		"# HELP a help\n# TYPE a gauge\na{b=\"c\",d=\"e\\\"f\\n\\\\\"} 1.5 1700000000000\na{b=\"\"} NaN\n",
		"a 1\nb{} +Inf\nc{x=\"}\",} -3e-4",
		"{\"a.b\",c=\"d\"} 1\n{\"e\"} 2\n",
		"a{\"b c\"=\"d\"} 1\n",
		" a\t{ b = \"c\" , } 1\t2\n\n#\n# TYPE b untyped\nb 0x\n",
		"a{b=\"\xc3\xa4\"} 1\n",
		"a{b\"\"=\"\"} 1\n\"c\" 1\n",
		"{a} 1\n",
	} {
		f.Add([]byte(page), "b")
	}
	f.Fuzz(func(t *testing.T, page []byte, label string) {
		type found struct {
			labels string
			value  float64
		}
		got := make(map[string][]found)
		err := eachLine(bytes.NewReader(bytes.Clone(page)), new([maxLine]byte), func(line []byte) {
			if name, labels, value, ok := sampleOf(string(line)); ok {
				got[name] = append(got[name], found{labels, value})
			}
		})
		want, ok := oracle(page)
		if err != nil || !ok || len(page) >= maxLine || bytes.ContainsRune(page, '\r') {
			return
		}
		for name, metrics := range want {
			escaped := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(name)
			samples := got[escaped]
			if len(samples) != len(metrics) {
				t.Fatalf("%q: got %d samples, want %d, of %q", name, len(samples), len(metrics), page)
			}
			for i, m := range metrics {
				s, want := samples[i], valueOf(m)
				if s.value != want && !(math.IsNaN(s.value) && math.IsNaN(want)) {
					t.Fatalf("%q: sample %d is %v, want %v, of %q", name, i, s.value, want, page)
				}
				compareLabels(t, s.labels, m, label)
			}
		}
	})
}

func compareLabels(t *testing.T, labels string, m *dto.Metric, other string) {
	t.Helper()
	for rest := []byte(labels); len(rest) > 0; {
		var name []byte
		ok := false
		if name, _, rest, ok = cutLabel(rest); !ok || bytes.IndexByte(name, '"') >= 0 {
			return // Prometheus's parser also takes names that are pieced together, such as a"b"
		}
	}
	present := false
	for _, l := range m.Label {
		present = present || l.GetName() == other
		if strings.ContainsAny(l.GetName(), "\\\"\n") {
			continue // names that would have to be unescaped are none that is asked for
		}
		value, ok := labelOf([]byte(labels), l.GetName())
		if got := unescaped(value); !ok || got != l.GetValue() {
			t.Fatalf("label %q is %q, %v; want %q, of %q", l.GetName(), got, ok, l.GetValue(), labels)
		}
	}
	if value, ok := labelOf([]byte(labels), other); ok && !present && utf8.ValidString(other) && !strings.ContainsRune(other, '\\') {
		t.Fatalf("label %q is %q, which is not there, in %q", other, value, labels)
	}
}
