package load

import (
	"errors"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of xds.data.orca.v3.OrcaLoadReport that are read. Field 3, rps, is an older form of 6 in whole numbers; 4 is request_cost.
const (
	fieldCPU         protowire.Number = 1
	fieldMemory      protowire.Number = 2
	fieldUtilization protowire.Number = 5
	fieldRequestRate protowire.Number = 6
	fieldErrorRate   protowire.Number = 7
	fieldNamed       protowire.Number = 8
	fieldApplication protowire.Number = 9

	// A map's entries are messages of these two.
	fieldKey   protowire.Number = 1
	fieldValue protowire.Number = 2
)

var errBrokenMessage = errors.New("cannot read a load report: it is no protobuf message")

// metricOfField returns the metric that a field of type double is.
func metricOfField(number protowire.Number) (m Metric, ok bool) {
	switch number {
	case fieldCPU:
		return CPU, true
	case fieldMemory:
		return Memory, true
	case fieldRequestRate:
		return RequestRate, true
	case fieldErrorRate:
		return ErrorRate, true
	case fieldApplication:
		return Application, true
	}
	return 0, false
}

// readBinary reads a message. Fields of an unexpected type are passed over, as protobuf does.
func (r *Report) readBinary(message []byte) error {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return errBrokenMessage
		}
		message = message[n:]
		m, isDouble := metricOfField(number)
		var err error
		switch {
		case kind == protowire.Fixed64Type && isDouble:
			n, err = r.readDouble(m, message)
		case kind == protowire.BytesType && (number == fieldNamed || number == fieldUtilization):
			n, err = r.readEntry(number, message)
		default:
			n = protowire.ConsumeFieldValue(number, kind, message)
		}
		if err != nil {
			return err
		}
		if n < 0 {
			return errBrokenMessage
		}
		message = message[n:]
	}
	return nil
}

// readDouble reads the value of a metric.
func (r *Report) readDouble(m Metric, message []byte) (n int, err error) {
	bits, n := protowire.ConsumeFixed64(message)
	if n < 0 {
		return n, nil
	}
	return n, r.note(m, math.Float64frombits(bits))
}

// readEntry reads an entry of a map of names to doubles.
func (r *Report) readEntry(number protowire.Number, message []byte) (n int, err error) {
	entry, n := protowire.ConsumeBytes(message)
	if n < 0 {
		return n, nil
	}
	g := named
	if number == fieldUtilization {
		g = usage
	}
	var name []byte
	var value float64
	for len(entry) > 0 {
		number, kind, m := protowire.ConsumeTag(entry)
		if m < 0 {
			return 0, errBrokenMessage
		}
		entry = entry[m:]
		switch {
		case number == fieldKey && kind == protowire.BytesType:
			name, m = protowire.ConsumeBytes(entry)
		case number == fieldValue && kind == protowire.Fixed64Type:
			var bits uint64
			bits, m = protowire.ConsumeFixed64(entry)
			value = math.Float64frombits(bits)
		default:
			m = protowire.ConsumeFieldValue(number, kind, entry)
		}
		if m < 0 {
			return 0, errBrokenMessage
		}
		entry = entry[m:]
	}
	return n, r.set(g, name, value)
}
