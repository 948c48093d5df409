package instant

import (
	"bytes"
	"testing"
	"time"

	"github.com/penstock/penstock/bench/mock/inference"
)

func BenchmarkExchange(b *testing.B) {
	long := `{"messages":[{"role":"user","content":"` + string(bytes.Repeat([]byte("word "), 44_000)) + `"}],"max_tokens":5}`
	for name, text := range map[string]string{
		"whole": post(chat, "Accept: */*\r\n", whole5), "whole/220KB": post(chat, "", long),
		"stream/200": post(chat, "", `{"stream":true,"max_tokens":200}`),
	} {
		b.Run(name, func(b *testing.B) {
			s := tapeServer()
			client := &tape{piece: 1 << 20}
			c := newConn(s, client)
			input := make([]byte, len(text))
			b.ReportAllocs()
			for b.Loop() {
				copy(input, text)
				client.in, client.out = input, client.out[:0]
				if _, err := c.exchange(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLoopback(b *testing.B) {
	_, address := start(b)
	w := dial(b, address)
	w.SetDeadline(time.Time{})
	text := []byte(post(chat, "", whole5))
	answer := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		w.Write(text)
		if _, err := w.Read(answer); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGRPC(b *testing.B) {
	_, address := start(b)
	c, _ := dialGRPC(b, address)
	in := infer(64)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Invoke(b.Context(), inference.ModelInferMethod, in, new(inference.ModelInferResponse)); err != nil {
			b.Fatal(err)
		}
	}
}
