package http2

import (
	"slices"

	"github.com/penstock/penstock/gateway/grpc"
	"github.com/penstock/penstock/gateway/openai"
)

// findModel looks for the model's name in what has come of the request. It reports whether the answer is known; if not, more has to come,
// or the request was refused.
func (s *stream) findModel(b *batch) (known bool) {
	if s.head.grpc {
		return s.findCallModel(b)
	}
	r := &s.x.Request
	if !s.scanning {
		if model, ok := openai.ModelFromPath(r.Path); ok {
			r.Model, r.ModelKnown = slices.Clone(model), true
			return true
		}
		if s.head.encoded {
			s.refuse(b, replyEncodedBody)
			return false
		}
		s.scanning, s.json = true, new(openai.ModelScan)
		s.json.Reset(bytesOf(s.head.contentType))
	}
	body := s.up.held[s.up.start:]
	state := s.json.Scan(body)
	if state == openai.NeedMore && !s.up.ended {
		s.needMore(b)
		return false
	}
	if state == openai.NeedMore {
		state = s.json.Finish(body)
	}
	if state == openai.Found {
		s.hasModel = true
		r.Model = slices.Clone(s.json.Model(body, nil))
	}
	r.ModelKnown = true
	return true
}

// findCallModel is findModel for gRPC.
func (s *stream) findCallModel(b *batch) (known bool) {
	r := &s.x.Request
	if !s.scanning {
		f, ok := grpc.ModelField(s.service, s.method)
		if !ok {
			r.ModelKnown = true
			return true
		}
		s.scanning = true
		s.model.Reset(f)
	}
	body := s.up.held[s.up.start:]
	switch s.model.Scan(body, s.up.ended) {
	case grpc.NeedMore:
		s.needMore(b)
		return false
	case grpc.Compressed:
		s.refuse(b, replyEncodedBody)
		return false
	case grpc.Malformed:
		s.refuse(b, replyBadMessage)
		return false
	case grpc.Found:
		s.hasModel = true
		r.Model = slices.Clone(s.model.Model(body))
	}
	r.ModelKnown = true
	return true
}

// needMore lets the client send more of a request in which the model has not appeared yet.
func (s *stream) needMore(b *batch) {
	if s.up.heldLen() >= s.opts.Limits.HeldBodyBytes {
		s.refuse(b, replyModelTooDeep)
		return
	}
	s.sendContinue(b)
	s.up.creditHeld(b)
	s.await(s.opts.times.body, true)
}

// replaceModel replaces the model's name, and nothing else, in what has come of the body; in the messages of a call that are still to come,
// too. It reports false if the request was refused.
func (s *stream) replaceModel(b *batch) bool {
	body, name := s.up.held[s.up.start:], s.x.Target.Model
	var out []byte
	if s.head.grpc {
		f, _ := grpc.ModelField(s.service, s.method)
		s.rename = newRenamer(f, string(s.x.Request.Model), name, s.opts.Limits.HeldBodyBytes)
		var ok bool
		if out, ok = s.rename.feed(body, s.up.ended); !ok {
			s.refuse(b, replyModelTooLong)
			return false
		}
	} else {
		out = s.json.AppendReplaced(nil, body, name)
	}
	s.grown = len(out) - len(body)
	s.up.replaceHeld(b, out)
	if !s.replay.lost {
		s.replay.begin(int64(len(out)))
		s.replay.add(out, false, false)
	}
	return true
}
