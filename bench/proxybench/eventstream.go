package main

import (
	"bytes"
	"errors"
	"fmt"
)

// eventDecoder checks the body of a streamed response as its bytes come: chunked framing (RFC 9112 section 7.1), whatever the
// proxy made of the chunk borders, and every byte of every event.
type eventDecoder struct {
	state  decoderState
	left   int    // payload bytes that the current chunk still has
	digits int    // hex digits of the current chunk size
	offset int    // place in the current event
	stamp  uint64 // digits of the current event's stamp so far
	events int    // whole events so far
	done   bool   // the last chunk was read to its end
}

type decoderState uint8

const (
	inSize decoderState = iota
	inSizeEnd
	inData
	inDataCR
	inDataLF
	inLastCR
	inLastLF
)

var errAfterEnd = errors.New("bytes after the end of the stream")

// feed takes the next bytes of the body. now is the time of arrival in nanoseconds since 1970; delays takes the age of each
// stamped event and may be nil.
func (d *eventDecoder) feed(b []byte, now int64, delays *samples) error {
	for len(b) > 0 {
		if d.done {
			return errAfterEnd
		}
		if d.state == inData {
			n := min(len(b), d.left)
			if err := d.payload(b[:n], now, delays); err != nil {
				return err
			}
			b = b[n:]
			if d.left -= n; d.left == 0 {
				d.state = inDataCR
			}
			continue
		}
		if err := d.framing(b[0]); err != nil {
			return err
		}
		b = b[1:]
	}
	return nil
}

// framing takes one byte that is not payload.
func (d *eventDecoder) framing(c byte) error {
	switch {
	case d.state == inSize && c != '\r':
		return d.sizeDigit(c)
	case d.state == inSize && d.digits > 0:
		d.state = inSizeEnd
	case d.state == inSizeEnd && c == '\n' && d.left > 0:
		d.state = inData
	case d.state == inSizeEnd && c == '\n':
		d.state = inLastCR
	case d.state == inDataCR && c == '\r':
		d.state = inDataLF
	case d.state == inDataLF && c == '\n':
		d.state, d.digits = inSize, 0
	case d.state == inLastCR && c == '\r':
		d.state = inLastLF
	case d.state == inLastLF && c == '\n':
		d.done = true
		if d.offset != 0 {
			return fmt.Errorf("the stream ended %d bytes into an event", d.offset)
		}
	default:
		return fmt.Errorf("byte %q breaks the chunked framing", c)
	}
	return nil
}

func (d *eventDecoder) sizeDigit(c byte) error {
	digit := bytes.IndexByte([]byte(hexDigits), c|0x20)
	if digit < 0 || d.digits == 7 {
		return fmt.Errorf("byte %q is not part of a chunk size", c)
	}
	d.left = d.left<<4 | digit
	d.digits++
	return nil
}

// payload takes event bytes and compares them with what the backend sends.
func (d *eventDecoder) payload(b []byte, now int64, delays *samples) error {
	for len(b) > 0 {
		n := 0
		switch {
		case d.offset < stampOffset:
			n = min(len(b), stampOffset-d.offset)
		case d.offset < stampOffset+stampDigits:
			if err := d.stampDigit(b[0], now, delays); err != nil {
				return err
			}
			b = b[1:]
			continue
		default:
			n = min(len(b), eventSize-d.offset)
		}
		if !bytes.Equal(b[:n], eventData[d.offset:d.offset+n]) {
			return fmt.Errorf("event %d differs from what was sent, near byte %d of %d", d.events, d.offset, eventSize)
		}
		b = b[n:]
		if d.offset += n; d.offset == eventSize {
			d.offset = 0
			d.events++
		}
	}
	return nil
}

func (d *eventDecoder) stampDigit(c byte, now int64, delays *samples) error {
	var digit byte
	switch {
	case c >= '0' && c <= '9':
		digit = c - '0'
	case c >= 'a' && c <= 'f':
		digit = c - 'a' + 10
	default:
		return fmt.Errorf("byte %q of event %d is not part of its time stamp", c, d.events)
	}
	if d.offset == stampOffset {
		d.stamp = 0
	}
	d.stamp = d.stamp<<4 | uint64(digit)
	if d.offset++; d.offset == stampOffset+stampDigits && d.stamp != 0 && delays != nil {
		delays.add(now - int64(d.stamp))
	}
	return nil
}
