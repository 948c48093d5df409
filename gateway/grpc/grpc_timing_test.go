package grpc

import (
	"strings"
	"testing"
	"time"
)

// TestNothingAllocates holds for everything that may be done for a call.
func TestNothingAllocates(t *testing.T) {
	dst := make([]byte, 0, 4096)
	body := []byte(frame(text(2, strings.Repeat("tensor", 100)), text(1, text(1, "resnet"))))
	long := strings.Repeat("é\n", 1000)
	var s ModelScan
	var m MessageScan
	for _, c := range []struct {
		name string
		f    func()
	}{
		{"IsGRPC", func() { IsGRPC("application/grpc+proto; x=y") }},
		{"SplitPath and ModelField", func() {
			service, method, _ := SplitPath("/tensorflow.serving.PredictionService/Predict")
			ModelField(service, method)
		}},
		{"timeouts", func() {
			d, _ := ParseTimeout("1500m")
			dst = AppendTimeout(dst[:0], d)
		}},
		{"codes", func() {
			c, _ := ParseCode("14")
			_ = c.String()
			_ = Code(99).String()
		}},
		{"AppendMessage", func() { dst = AppendMessage(dst[:0], long) }},
		{"AppendDetailsBin", func() { dst = AppendDetailsBin(dst[:0], Unavailable, long, "no_endpoint", 90*time.Second) }},
		{"ModelScan", func() {
			s.Reset(Field{1, 1})
			s.Scan(body[:50], false)
			s.Scan(body, false)
			_ = s.Model(body)
			dst, _ = s.Replace(dst[:0], body, "mobilenet")
		}},
		{"MessageScan", func() { m.Feed(body) }},
	} {
		if n := testing.AllocsPerRun(50, c.f); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

func modelBodies() []struct {
	name  string
	field Field
	body  []byte
} {
	tensor := strings.Repeat("t", 1<<20)
	return []struct {
		name  string
		field Field
		body  []byte
	}{
		{"name first, then 1 MiB", Field{1}, []byte(frame(text(1, "llama-3-8b"), text(5, "input"), text(7, tensor)))},
		{"1 MiB first", Field{1}, []byte(frame(text(7, tensor), text(1, "llama-3-8b")))},
		{"nested", Field{1, 1}, []byte(frame(text(1, text(1, "resnet"), text(3, "serving")), text(2, tensor)))},
		{"10,000 fields first", Field{1}, []byte(frame(strings.Repeat(text(6, "output"), 10_000), text(1, "llama-3-8b")))},
	}
}

func BenchmarkModelScan(b *testing.B) {
	for _, c := range modelBodies() {
		b.Run(c.name, func(b *testing.B) {
			var s ModelScan
			b.ReportAllocs()
			for b.Loop() {
				s.Reset(c.field)
				if s.Scan(c.body, false) != Found {
					b.Fatal("no model was found")
				}
			}
		})
	}
}

func BenchmarkModelScanInPieces(b *testing.B) {
	for _, c := range modelBodies() {
		b.Run(c.name, func(b *testing.B) {
			var s ModelScan
			b.ReportAllocs()
			for b.Loop() {
				s.Reset(c.field)
				for n := 1400; s.Scan(c.body[:min(n, len(c.body))], false) == NeedMore; n += 1400 {
				}
			}
		})
	}
}

func BenchmarkReplace(b *testing.B) {
	body := []byte(frame(text(1, text(1, "resnet"), text(3, "serving")), text(2, strings.Repeat("t", 4096))))
	dst := make([]byte, 0, len(body)+100)
	var s ModelScan
	s.Reset(Field{1, 1})
	if s.Scan(body, false) != Found {
		b.Fatal("no model was found")
	}
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = s.Replace(dst[:0], body, "mobilenet")
	}
}

func BenchmarkMessageScan(b *testing.B) {
	stream := []byte(strings.Repeat(frame(strings.Repeat("m", 256)), 64))
	var s MessageScan
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		s.Feed(stream)
	}
}

func BenchmarkModelField(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		service, method, _ := SplitPath("/inference.GRPCInferenceService/ModelInfer")
		if _, ok := ModelField(service, method); !ok {
			b.Fatal("the method is not listed")
		}
	}
}

func BenchmarkTimeout(b *testing.B) {
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		d, _ := ParseTimeout("29999876u")
		dst = AppendTimeout(dst[:0], d)
	}
}

func BenchmarkAppendDetailsBin(b *testing.B) {
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendDetailsBin(dst[:0], Unavailable, "pool llama has no endpoint that is ready", "no_endpoint", 5*time.Second)
	}
}
