package http2

import (
	"encoding/binary"

	"github.com/penstock/penstock/gateway/grpc"
)

// renamer replaces a model's name in the messages of a call, of which a stream may have many. It holds a message until its model is found.
type renamer struct {
	field    grpc.Field
	from, to string
	most     int // bytes that are held; a message whose model has not come by then goes on as it is
	scan     grpc.ModelScan
	held     []byte // the message that has begun
	left     int64  // bytes of a message that are to come and go on as they are
	out      []byte
}

func newRenamer(f grpc.Field, from, to string, most int) *renamer {
	r := &renamer{field: f, from: from, to: to, most: most}
	r.scan.Reset(f)
	return r
}

// feed takes the next bytes of the call and returns what goes on in their place, which is good until the next call. ok is false if a
// message would get longer than a message can be.
func (r *renamer) feed(p []byte, ended bool) (out []byte, ok bool) {
	r.out = r.out[:0]
	for {
		n := int(min(r.left, int64(len(p))))
		r.out = append(r.out, p[:n]...)
		r.left -= int64(n)
		p = p[n:]
		if len(p) == 0 && (len(r.held) == 0 || !ended) {
			return r.out, true
		}
		r.held = append(r.held, p...)
		state := r.scan.Scan(r.held, ended)
		if !ended && (len(r.held) < messagePrefix || state == grpc.NeedMore && len(r.held) < r.most) {
			return r.out, true
		}
		rest, ok := r.pass(state)
		if !ok {
			return nil, false
		}
		p = rest
	}
}

// pass lets the message that is held go on, and returns what came behind it.
func (r *renamer) pass(state grpc.ScanState) (rest []byte, ok bool) {
	message, length := r.held, int64(len(r.held))
	if len(message) >= messagePrefix {
		length = messagePrefix + int64(binary.BigEndian.Uint32(message[1:]))
		message = message[:min(int64(len(message)), length)]
	}
	if state == grpc.Found && string(r.scan.Model(message)) == r.from {
		if r.out, ok = r.scan.Replace(r.out, message, r.to); !ok {
			return nil, false
		}
	} else {
		r.out = append(r.out, message...)
	}
	r.left = length - int64(len(message))
	rest = append([]byte(nil), r.held[len(message):]...)
	r.held = r.held[:0]
	r.scan.Reset(r.field)
	return rest, true
}
