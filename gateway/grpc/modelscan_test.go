package grpc

import (
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// frame puts the prefix of an uncompressed message before what the pieces make together.
func frame(pieces ...string) string {
	message := strings.Join(pieces, "")
	return string(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))) + message
}

// text is a length-delimited field, a string or a submessage.
func text(number protowire.Number, pieces ...string) string {
	return string(protowire.AppendString(protowire.AppendTag(nil, number, protowire.BytesType), strings.Join(pieces, "")))
}

func number(number protowire.Number, v uint64) string {
	return string(protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), v))
}

var scanTests = []struct {
	name  string
	field Field
	body  string
	state ScanState
	model string
}{
	{"first", Field{1}, frame(text(1, "llama"), text(5, "tensor")), Found, "llama"},
	{"last", Field{1}, frame(text(5, "tensor"), number(3, 1<<63), text(1, "llama")), Found, "llama"},
	{"after every wire type", Field{2},
		frame("\x09\x01\x02\x03\x04\x05\x06\x07\x08", "\x1d\x01\x02\x03\x04", number(1, 0), text(3), text(2, "m")), Found, "m"},
	{"first of two", Field{1}, frame(text(1, "a"), text(1, "b")), Found, "a"},
	{"first with a character", Field{1}, frame(text(1), text(1, "b")), Found, "b"},
	{"empty", Field{1}, frame(text(1)), Absent, ""},
	{"as a number", Field{1}, frame(number(1, 5), text(1, "b")), Found, "b"},
	{"as a number only", Field{1}, frame(number(1, 5)), Absent, ""},
	{"nested", Field{1, 1}, frame(text(1, text(1, "resnet"), text(3, "serving"))), Found, "resnet"},
	{"nested last", Field{1, 1}, frame(text(2, text(1, "x")), text(1, text(3, "serving"), text(1, "resnet"))), Found, "resnet"},
	{"nested in the second of two", Field{1, 1}, frame(text(1, text(3, "serving")), text(1, text(1, "resnet"))), Found, "resnet"},
	{"nested after an empty one", Field{1, 1}, frame(text(1), text(1, text(1)), text(1, text(1, "resnet"))), Found, "resnet"},
	{"nested thrice", Field{1, 1, 1}, frame(text(1, text(2, "predict"), text(1, text(2, "v"), text(1, "m"))), text(2, "input")), Found, "m"},
	{"nested in the second task", Field{1, 1, 1}, frame(text(1, text(1, text(2, "v"))), text(1, text(1, text(1, "m")))), Found, "m"},
	{"at another depth", Field{1, 1}, frame(text(2, text(1, "x")), text(3, "y")), Absent, ""},
	{"two ends at once", Field{1, 1, 1}, frame(text(1, text(1, text(2, "v")))), Absent, ""},
	{"greatest number", Field{maxFieldNumber}, frame(text(maxFieldNumber, "m")), Found, "m"},
	{"long varints", Field{1}, frame("\x8a\x80\x80\x00", "\x83\x80\x00", "abc"), Found, "abc"},
	{"no UTF-8", Field{1}, frame(text(1, "\xff")), Found, "\xff"},
	{"second message", Field{1}, frame() + frame(text(1, "m")), Absent, ""},
	{"no path", Field{}, frame(text(1, "m")), Absent, ""},
	{"empty message", Field{1}, frame(), Absent, ""},
	{"no message", Field{1}, "", Absent, ""},
	{"a name and then no protobuf", Field{1}, frame(text(1, "m"), "\xff"), Found, "m"},
	{"a name, then the body is cut", Field{1}, frame(text(1, "m"), text(2, "tensor"))[:10], Found, "m"},
	{"a last field without a name is cut", Field{1}, frame(text(2, "tensor"))[:8], Absent, ""},

	{"compressed", Field{1}, "\x01\x00\x00\x00\x03abc", Compressed, ""},
	{"compressed, cut", Field{1}, "\x01", Compressed, ""},
	{"unknown flag", Field{1}, "\x02\x00\x00\x00\x03abc", Malformed, ""},
	{"gRPC-Web's trailers", Field{1}, "\x80\x00\x00\x00\x03abc", Malformed, ""},
	{"cut in the prefix", Field{1}, "\x00\x00", Malformed, ""},
	{"cut after the prefix", Field{1}, "\x00\x00\x00\x00\x03", Malformed, ""},
	{"cut in a tag", Field{1}, "\x00\x00\x00\x00\x03\x80", Malformed, ""},
	{"cut in a length", Field{1}, "\x00\x00\x00\x00\x03\x0a\x80", Malformed, ""},
	{"cut in a name", Field{1}, frame(text(1, "llama"))[:10], Malformed, ""},
	{"cut in a field", Field{1}, frame(text(2, "tensor"), text(1, "m"))[:10], Malformed, ""},
	{"cut before a field", Field{1}, frame(number(2, 1), text(1, "m"))[:7], Malformed, ""},
	{"field number 0", Field{1}, frame("\x02\x01a"), Malformed, ""},
	{"field number too great", Field{1}, frame(string(protowire.AppendVarint(nil, (maxFieldNumber+1)<<3)), "\x00"), Malformed, ""},
	{"field number of 64 bits", Field{1}, frame("\xfa\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00"), Malformed, ""},
	{"start of a group", Field{1}, frame("\x0b\x0c"), Malformed, ""},
	{"end of a group", Field{1}, frame("\x0c"), Malformed, ""},
	{"wire type 6", Field{1}, frame("\x0e\x00"), Malformed, ""},
	{"wire type 7", Field{1}, frame("\x0f\x00"), Malformed, ""},
	{"tag crosses the end", Field{1}, frame("\x80") + "\x01", Malformed, ""},
	{"number crosses the end", Field{1}, frame("\x10\x80") + "\x01", Malformed, ""},
	{"no number", Field{1}, frame("\x10") + "\x01", Malformed, ""},
	{"length crosses the end", Field{1}, frame("\x12\x80") + "\x01", Malformed, ""},
	{"field crosses the end", Field{1}, frame("\x12\x02a") + "bc", Malformed, ""},
	{"name crosses the end", Field{1}, frame("\x0a\x02a") + "bc", Malformed, ""},
	{"fixed64 crosses the end", Field{1}, frame("\x11\x01\x02\x03\x04\x05\x06\x07") + "\x08" + frame(), Malformed, ""},
	{"fixed32 crosses the end", Field{1}, frame("\x15\x01\x02\x03") + "\x04" + frame(), Malformed, ""},
	{"length beyond 63 bits", Field{1}, frame("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), Malformed, ""},
	{"varint of 65 bits", Field{1}, frame("\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), Malformed, ""},
	{"varint of 11 bytes", Field{1}, frame("\x10\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"), Malformed, ""},
	{"submessage crosses its parent's end", Field{1, 1}, frame("\x0a\x03\x0a\x02a", text(2, "b")), Malformed, ""},
	{"submessage is cut by its own end", Field{1, 1}, frame("\x0a\x02\x10\x80", text(2, "b")), Malformed, ""},
	{"JSON", Field{1}, `{"model_name":"llama"}`, Malformed, ""},
}

func TestModelScan(t *testing.T) {
	for _, c := range scanTests {
		for step := 1; step <= len(c.body)+1; step++ {
			s, state, _ := scanSplit(c.field, c.body, func() int { return step })
			if state != c.state {
				t.Errorf("%s, %d bytes at a time: state %d; want %d", c.name, step, state, c.state)
			} else if got := string(s.Model([]byte(c.body))); state == Found && got != c.model {
				t.Errorf("%s, %d bytes at a time: found %q; want %q", c.name, step, got, c.model)
			}
		}
	}
}

// scanSplit scans a body that arrives in pieces of as many bytes as step returns, each time at another address. It returns how much had
// arrived when the scan was over.
func scanSplit(f Field, body string, step func() int) (s ModelScan, state ScanState, arrived int) {
	s.Reset(f)
	for n := step(); n < len(body); n += step() {
		if state = s.Scan([]byte(body[:n]), false); state != NeedMore {
			return s, state, n
		}
	}
	if state = s.Scan([]byte(body), false); state == NeedMore {
		state = s.Scan([]byte(body), true)
	}
	return s, state, len(body)
}

func TestModelScanNeedsNoMoreThanTheName(t *testing.T) {
	body := frame(number(9, 1), text(1, text(1, "resnet"), text(3, "serving")), text(2, "tensor"))
	end := strings.Index(body, "resnet") + len("resnet")
	var s ModelScan
	s.Reset(Field{1, 1})
	for n := range len(body) {
		want := NeedMore
		if n >= end {
			want = Found
		}
		if got := s.Scan([]byte(body[:n]), false); got != want {
			t.Fatalf("state %d after %d bytes; want %d", got, n, want)
		}
	}
}

// TestModelScanWaitsForNothing: what the message's end cuts will not be whole with anything that follows.
func TestModelScanWaitsForNothing(t *testing.T) {
	for _, message := range []string{"\x80", "\x10", "\x10\x80", "\x12", "\x12\x80", "\x12\x01", "\x0a\x01", "\x15\x01"} {
		var s ModelScan
		s.Reset(Field{1})
		if got := s.Scan([]byte(frame(message)), false); got != Malformed {
			t.Errorf("state %d for %x; want Malformed", got, message)
		}
	}
}

func TestModelScanKeepsItsState(t *testing.T) {
	var s ModelScan
	s.Reset(Field{1})
	s.Scan(nil, true)
	if got := s.Scan([]byte(frame(text(1, "m"))), true); got != Absent {
		t.Errorf("state %d after the body had ended; want Absent", got)
	}
	s.Reset(Field{2})
	if got := s.Scan([]byte(frame(text(1, "m"), text(2, "n"))), false); got != Found {
		t.Errorf("state %d after Reset; want Found", got)
	}
}

// TestModelScanIsLinear would not end if a scan began anew with every byte.
func TestModelScanIsLinear(t *testing.T) {
	inner := strings.Repeat(number(2, 1), 500_000)
	body := []byte(frame(text(1, inner), text(1, text(1, "m"))))
	var s ModelScan
	s.Reset(Field{1, 1})
	for n := range len(body) {
		if got := s.Scan(body[:n], false); got != NeedMore {
			t.Fatalf("state %d after %d bytes", got, n)
		}
	}
	if got := s.Scan(body, true); got != Found {
		t.Errorf("state %d; want Found", got)
	}
}

// findModel is ModelScan for a message that is there as a whole, written with protowire.
func findModel(message []byte, path []protowire.Number) (ScanState, []byte) {
	for len(message) > 0 {
		number, wireType, n := protowire.ConsumeTag(message)
		if n < 0 || number > protowire.MaxValidNumber || wireType == protowire.StartGroupType || wireType == protowire.EndGroupType {
			return Malformed, nil
		}
		m := protowire.ConsumeFieldValue(number, wireType, message[n:])
		if m < 0 {
			return Malformed, nil
		}
		if number == path[0] && wireType == protowire.BytesType {
			content, _ := protowire.ConsumeBytes(message[n:])
			if len(path) > 1 {
				if state, name := findModel(content, path[1:]); state != Absent {
					return state, name
				}
			} else if len(content) > 0 {
				return Found, content
			}
		}
		message = message[n+m:]
	}
	return Absent, nil
}

func pathOf(f Field) (path []protowire.Number) {
	for _, number := range f {
		if number > 0 {
			path = append(path, protowire.Number(number))
		}
	}
	return path
}

var fuzzFields = []Field{{1}, {2}, {1, 1}, {1, 1, 1}, {3, 1}}

// FuzzModelScan compares the scan with protowire, and that of a body in pieces with that of the whole; and what Replace writes with what
// protowire does.
func FuzzModelScan(f *testing.F) {
	for i, c := range scanTests {
		for which := range fuzzFields {
			f.Add([]byte(c.body[min(prefixSize, len(c.body)):]), []byte(frame()), uint8(which), uint64(i), "other")
		}
	}
	f.Add([]byte(text(1, strings.Repeat("m", 127))), []byte{}, uint8(0), uint64(1), strings.Repeat("n", 128))
	f.Fuzz(func(t *testing.T, message, rest []byte, which uint8, seed uint64, model string) {
		field := fuzzFields[int(which)%len(fuzzFields)]
		body := frame(string(message)) + string(rest)
		var s ModelScan
		s.Reset(field)
		state := s.Scan([]byte(body), true)
		wantState, wantName := findModel(message, pathOf(field))
		if state != wantState {
			t.Fatalf("state %d for %x; want %d", state, message, wantState)
		}
		if state == Found && string(s.Model([]byte(body))) != string(wantName) {
			t.Fatalf("found %q in %x; want %q", s.Model([]byte(body)), message, wantName)
		}
		split, splitState, arrived := checkSplit(t, field, body, state, &s, seed)
		if splitState == Found {
			checkReplace(t, &split, message, rest, body, arrived, pathOf(field), model)
		}
	})
}

// checkSplit scans the body in pieces and wants what a scan of the whole said.
func checkSplit(t *testing.T, field Field, body string, state ScanState, whole *ModelScan, seed uint64) (ModelScan, ScanState, int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	split, splitState, arrived := scanSplit(field, body, func() int { return 1 + rng.IntN(12) })
	if splitState != state || state == Found && split.levels != whole.levels {
		t.Fatalf("in pieces, state %d and %v; as a whole, state %d and %v", splitState, split.levels, state, whole.levels)
	}
	return split, splitState, arrived
}

// FuzzModelScanOfAnything is FuzzModelScan for bodies whose prefix may be wrong, or that are cut.
func FuzzModelScanOfAnything(f *testing.F) {
	for i, c := range scanTests {
		f.Add([]byte(c.body), uint8(i), uint64(i))
		f.Add([]byte(c.body[:len(c.body)/2]), uint8(i), uint64(i))
	}
	f.Add([]byte("\x00\xff\xff\xff\xff\x0a\x01a"), uint8(0), uint64(1))
	f.Fuzz(func(t *testing.T, raw []byte, which uint8, seed uint64) {
		field := fuzzFields[int(which)%len(fuzzFields)]
		var s ModelScan
		s.Reset(field)
		state := s.Scan(raw, true)
		if state == NeedMore {
			t.Fatalf("state NeedMore at the end of %x", raw)
		}
		split, splitState, arrived := checkSplit(t, field, string(raw), state, &s, seed)
		if splitState == Found {
			out, ok := split.Replace(nil, raw[:arrived], "other")
			if delta, fits := split.Delta("other"); ok != fits || ok && len(out) != arrived+delta {
				t.Fatalf("%x becomes %x, %v; Delta = %d, %v", raw[:arrived], out, ok, delta, fits)
			}
		}
	})
}
