package grpc

import (
	"encoding/binary"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// replaced is what Replace makes of a message whose name findModel finds, written with protowire. done says that a name was replaced.
func replaced(message []byte, path []protowire.Number, model string) (out []byte, done bool) {
	for rest := message; len(rest) > 0; {
		number, wireType, n := protowire.ConsumeTag(rest)
		m := protowire.ConsumeFieldValue(number, wireType, rest[n:])
		if number == path[0] && wireType == protowire.BytesType {
			content, _ := protowire.ConsumeBytes(rest[n:])
			inner, in := []byte(model), len(path) == 1 && len(content) > 0
			if len(path) > 1 {
				inner, in = replaced(content, path[1:], model)
			}
			if in {
				out = protowire.AppendBytes(append(out, rest[:n]...), inner)
				return append(out, rest[n+m:]...), true
			}
		}
		out = append(out, rest[:n+m]...)
		rest = rest[n+m:]
	}
	return out, false
}

// checkReplace wants Replace of what had arrived, followed by what had not, to be the body with another name.
func checkReplace(t *testing.T, s *ModelScan, message, rest []byte, body string, arrived int, path []protowire.Number, model string) {
	t.Helper()
	want, _ := replaced(message, path, model)
	out, ok := s.Replace([]byte("x"), []byte(body[:arrived]), model)
	out = append(out, body[arrived:]...)[1:]
	if !ok || string(out) != frame(string(want))+string(rest) {
		t.Fatalf("replaced by %q, %x becomes %x", model, body, out)
	}
	if delta, ok := s.Delta(model); !ok || delta != len(out)-len(body) {
		t.Fatalf("Delta = %d, %v; the body grew by %d", delta, ok, len(out)-len(body))
	}
}

func TestReplace(t *testing.T) {
	long := strings.Repeat("n", 200)
	for _, c := range []struct {
		name     string
		field    Field
		body     string
		model    string
		want     string
		wantGrow int
	}{
		{"longer", Field{1}, frame(text(1, "a"), text(2, "b")), "abc", frame(text(1, "abc"), text(2, "b")), 2},
		{"shorter", Field{1}, frame(text(2, "b"), text(1, "abc")), "a", frame(text(2, "b"), text(1, "a")), -2},
		{"empty", Field{1}, frame(text(1, "abc")), "", frame(text(1, "")), -3},
		{"a longer length", Field{1}, frame(text(1, "a")), long, frame(text(1, long)), 200},
		{"a shorter length", Field{1}, frame(text(1, long)), "a", frame(text(1, "a")), -200},
		{"longer lengths at each level", Field{1, 1, 1},
			frame(number(9, 1), text(1, number(8, 1), text(1, text(1, "a"), text(2, "v")), "\x10\x01"), text(2, "i")), long,
			frame(number(9, 1), text(1, number(8, 1), text(1, text(1, long), text(2, "v")), "\x10\x01"), text(2, "i")), 202},
		{"the second submessage", Field{1, 1}, frame(text(1, text(2, "a")), text(1, text(1, "b"))), "cd",
			frame(text(1, text(2, "a")), text(1, text(1, "cd"))), 1},
		{"a length in more bytes than it needs", Field{1}, frame("\x0a\x83\x80\x00abc"), "abc", frame(text(1, "abc")), -2},
		{"only the first message", Field{1}, frame(text(1, "a")) + frame(text(1, "a")), "bc", frame(text(1, "bc")) + frame(text(1, "a")), 1},
	} {
		var s ModelScan
		s.Reset(c.field)
		if s.Scan([]byte(c.body), true) != Found {
			t.Fatalf("%s: no model was found", c.name)
		}
		if got, ok := s.Replace(nil, []byte(c.body), c.model); string(got) != c.want || !ok {
			t.Errorf("%s: %x, %v; want %x", c.name, got, ok, c.want)
		}
		if grow, ok := s.Delta(c.model); grow != c.wantGrow || !ok {
			t.Errorf("%s: Delta = %d, %v; want %d", c.name, grow, ok, c.wantGrow)
		}
	}
}

// TestReplaceIsReadByGeneratedTypes takes a Status for the request and the type of its first detail for the model's name.
func TestReplaceIsReadByGeneratedTypes(t *testing.T) {
	request := &status.Status{Code: 5, Message: "m", Details: []*anypb.Any{{Value: []byte("v")}, {TypeUrl: "llama", Value: []byte("w")}}}
	message, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	body := []byte(frame(string(message)))
	var s ModelScan
	s.Reset(Field{3, 1})
	if state := s.Scan(body, true); state != Found || string(s.Model(body)) != "llama" {
		t.Fatalf("state %d, model %q", state, s.Model(body))
	}
	request.Details[1].TypeUrl = strings.Repeat("mistral", 100)
	out, _ := s.Replace(nil, body, request.Details[1].TypeUrl)
	var got status.Status
	if err := proto.Unmarshal(out[prefixSize:], &got); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(&got, request) {
		t.Errorf("with the name replaced, the request is %v", &got)
	}
}

// TestReplaceInTheLongestMessage has a prefix that promises 4 GiB less a byte, of which nothing but the beginning is there.
func TestReplaceInTheLongestMessage(t *testing.T) {
	b := append(binary.BigEndian.AppendUint32([]byte{0}, 1<<32-1), text(1, "llama")...)
	var s ModelScan
	s.Reset(Field{1})
	if s.Scan(b, false) != Found {
		t.Fatal("no model was found")
	}
	if _, ok := s.Delta("llama-3"); ok {
		t.Error("a message of 4 GiB and a byte is said to fit")
	}
	if n, ok := s.Delta("other"); n != 0 || !ok {
		t.Errorf("Delta of a name as long = %d, %v", n, ok)
	}
	if out, ok := s.Replace([]byte("x"), b, "llama-3"); string(out) != "x" || ok {
		t.Errorf("Replace wrote %x, though the length has more than 32 bits", out)
	}
	if out, ok := s.Replace(nil, b, "other"); string(out[:prefixSize]) != string(b[:prefixSize]) || !ok {
		t.Errorf("Replace by a name as long wrote %x, %v", out, ok)
	}
}
