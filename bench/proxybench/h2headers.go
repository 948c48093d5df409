package main

import (
	"bytes"
	"fmt"
	"slices"

	"golang.org/x/net/http2/hpack"
)

// headerTable is the size of HPACK's dynamic table, in bytes, that every peer has without being asked.
const headerTable = 4096

// mostBlocks is how many header blocks a decoder remembers.
const mostBlocks = 64

// headerList is a list of header fields that is sent again and again.
type headerList []hpack.HeaderField

// headerEncoder encodes header lists for one connection as gRPC's libraries do: fields go into the dynamic table when they are first
// sent, and are references to it from then on. A list whose block left the table alone has the same block until the table changes.
type headerEncoder struct {
	hpack  *hpack.Encoder
	buffer bytes.Buffer
	blocks map[*headerList][]byte
}

func newHeaderEncoder() *headerEncoder {
	e := &headerEncoder{blocks: map[*headerList][]byte{}}
	e.hpack = hpack.NewEncoder(&e.buffer)
	return e
}

// block is the list's header block; it is valid until the next call.
func (e *headerEncoder) block(list *headerList) []byte {
	if block, ok := e.blocks[list]; ok {
		return block
	}
	e.buffer.Reset()
	for _, field := range *list {
		// Writing to a buffer cannot fail.
		_ = e.hpack.WriteField(field)
	}
	block := e.buffer.Bytes()
	if leavesTableAlone(block) {
		e.blocks[list] = bytes.Clone(block)
	} else {
		clear(e.blocks)
	}
	return block
}

// limit bounds the table to what the peer allows.
func (e *headerEncoder) limit(size uint32) {
	e.hpack.SetMaxDynamicTableSizeLimit(min(size, headerTable))
	e.hpack.SetMaxDynamicTableSize(min(size, headerTable))
	clear(e.blocks)
}

// headerDecoder decodes the header blocks of one connection. A block that leaves the dynamic table alone means the same until the
// table changes, so that blocks that come again need not be decoded again: otherwise decoding would be most of the benchmark's own cost.
type headerDecoder struct {
	hpack  *hpack.Decoder
	fields []hpack.HeaderField
	known  map[string][]hpack.HeaderField
}

func newHeaderDecoder() *headerDecoder {
	d := &headerDecoder{known: map[string][]hpack.HeaderField{}}
	d.hpack = hpack.NewDecoder(headerTable, func(f hpack.HeaderField) { d.fields = append(d.fields, f) })
	return d
}

// decode returns a block's fields; they are valid until the next call.
func (d *headerDecoder) decode(block []byte) ([]hpack.HeaderField, error) {
	if fields, ok := d.known[string(block)]; ok {
		return fields, nil
	}
	d.fields = d.fields[:0]
	_, err := d.hpack.Write(block)
	if err == nil {
		err = d.hpack.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot decode a header block: %w", err)
	}
	if !leavesTableAlone(block) {
		clear(d.known)
	} else if len(d.known) < mostBlocks {
		d.known[string(block)] = slices.Clone(d.fields)
	}
	return d.fields, nil
}

// leavesTableAlone reports whether a well-formed header block neither puts a field into the dynamic table (RFC 7541 section 6.2.1) nor
// changes the table's size (section 6.3).
func leavesTableAlone(block []byte) bool {
	for len(block) > 0 {
		switch first := block[0]; {
		case first&0x80 != 0:
			_, block = cutInteger(block, 7)
		case first&0x40 != 0 || first&0x20 != 0:
			return false
		default:
			var name int
			if name, block = cutInteger(block, 4); name == 0 {
				block = skipString(block)
			}
			block = skipString(block)
		}
	}
	return true
}

// cutInteger takes an integer (RFC 7541 section 5.1) off b.
func cutInteger(b []byte, prefix uint) (int, []byte) {
	most := 1<<prefix - 1
	n := int(b[0]) & most
	if b = b[1:]; n < most {
		return n, b
	}
	for shift := 0; len(b) > 0 && shift < 28; shift += 7 {
		digit := b[0]
		n += int(digit&0x7f) << shift
		if b = b[1:]; digit&0x80 == 0 {
			break
		}
	}
	return n, b
}

// skipString drops a string (RFC 7541 section 5.2) from b.
func skipString(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	size, b := cutInteger(b, 7)
	return b[min(size, len(b)):]
}
