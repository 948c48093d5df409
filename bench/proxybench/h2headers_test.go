package main

import (
	"bytes"
	"slices"
	"testing"

	"golang.org/x/net/http2/hpack"
)

func TestLeavesTableAlone(t *testing.T) {
	for block, want := range map[string]bool{
		"":                             true,
		"\x82\x87":                     true,  // indexed
		"\xff\x80\x01":                 true,  // indexed, with a long index
		"\x00\x01a\x02bc\x82":          true,  // literal that is not indexed, new name
		"\x10\x01a\x02bc":              true,  // never indexed
		"\x0f\x10\x02bc\x40\x01a\x01b": false, // an indexed literal after one with a long name index
		"\x40\x01a\x02bc":              false,
		"\x44\x01a":                    false,
		"\x20":                         false, // size update
		"\x3f\xe1\x1f":                 false,
	} {
		if got := leavesTableAlone([]byte(block)); got != want {
			t.Errorf("leavesTableAlone(%q) = %v", block, got)
		}
	}
}

// TestKnownBlocksAreForgottenWithTheTable decodes a reference, changes the table, and decodes the same reference.
func TestKnownBlocksAreForgottenWithTheTable(t *testing.T) {
	d := newHeaderDecoder()
	for _, step := range []struct{ block, name string }{
		{"\x40\x01a\x01b", "a"}, {"\xbe", "a"}, {"\xbe", "a"}, {"\x40\x01c\x01d", "c"}, {"\xbe", "c"},
	} {
		fields, err := d.decode([]byte(step.block))
		if err != nil || len(fields) != 1 || fields[0].Name != step.name {
			t.Errorf("%q is %v, %v, want the name %q", step.block, fields, err, step.name)
		}
	}
}

func TestEncoderObeysTableSize(t *testing.T) {
	for _, size := range []uint32{0, 100, headerTable, 1 << 20} {
		e, d := newHeaderEncoder(), hpack.NewDecoder(min(size, headerTable), nil)
		lists := []*headerList{&rpcs[kindUnary].fields, &responseHeaders, &rpcs[kindFlushed].fields}
		for round := range 5 {
			if round == 1 {
				e.limit(size)
			}
			if round == 0 {
				d.SetAllowedMaxDynamicTableSize(headerTable)
				d.SetMaxDynamicTableSize(headerTable)
			} else {
				d.SetAllowedMaxDynamicTableSize(min(size, headerTable))
			}
			for _, list := range lists {
				if fields, err := d.DecodeFull(e.block(list)); err != nil || !slices.Equal(fields, *list) {
					t.Fatalf("table of %d, round %d: %v, %v", size, round, fields, err)
				}
			}
		}
	}
}

// FuzzHeaderDecoder decodes two blocks in turn and compares with a decoder that remembers nothing.
func FuzzHeaderDecoder(f *testing.F) {
	f.Add([]byte("\x40\x01a\x01b\xbe"), []byte("\xbe"))
	f.Add(requestHead(), []byte("\x20\x82"))
	f.Add([]byte("\x3f\xe1\x1f\x40\x01a\x01b"), []byte("\x0f\x2f\x01c"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		ours, plain := newHeaderDecoder(), hpack.NewDecoder(headerTable, nil)
		for _, block := range [][]byte{a, b, a, b, b, a} {
			got, err := ours.decode(block)
			want, wantErr := plain.DecodeFull(block)
			if (err != nil) != (wantErr != nil) {
				t.Fatalf("%q gives %v, want %v", block, err, wantErr)
			}
			if err != nil {
				return
			}
			if !slices.Equal(got, want) {
				t.Errorf("%q is %v, want %v", block, got, want)
			}
		}
	})
}

func TestDecoderRemembersFewBlocks(t *testing.T) {
	d := newHeaderDecoder()
	for i := range 2 * mostBlocks {
		if _, err := d.decode(append([]byte("\x00\x01a\x02"), byte(i), 'x')); err != nil {
			t.Fatal(err)
		}
	}
	if len(d.known) != mostBlocks {
		t.Errorf("%d blocks are remembered, want %d", len(d.known), mostBlocks)
	}
}

func BenchmarkHeaderDecoder(b *testing.B) {
	block := requestHead()
	b.Run("known", func(b *testing.B) {
		d := newHeaderDecoder()
		for b.Loop() {
			_, _ = d.decode(block)
		}
	})
	b.Run("plain", func(b *testing.B) {
		d := hpack.NewDecoder(headerTable, func(hpack.HeaderField) {})
		for b.Loop() {
			_, _ = d.Write(bytes.Clone(block))
			_ = d.Close()
		}
	})
}

// requestHead is a block of the unary method's request fields, which leaves the dynamic table alone.
func requestHead() []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for _, f := range rpcs[kindUnary].fields {
		f.Sensitive = true
		_ = e.WriteField(f)
	}
	return b.Bytes()
}
