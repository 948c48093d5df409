package http2

// beginMirror begins the copy of a request that is to be mirrored: what has come of its body is in the copy.
func (s *stream) beginMirror() {
	held := s.up.held[s.up.start:]
	s.copied = make([]byte, 0, max(len(held), 1))
	s.copyForMirror(held)
	s.endMirror()
}

// copyForMirror adds to the copy. One that gets too long is dropped.
func (s *stream) copyForMirror(p []byte) {
	if s.copied == nil {
		return // it is not known yet where the request goes
	}
	if len(s.copied)+len(p) > s.x.Route.Mirror.MaxBodyBytes {
		s.c.srv.dispatcher.MirrorDropped(s.x.Mirror, "body_too_large")
		s.x.Mirror, s.copied = nil, nil
		return
	}
	s.copied = append(s.copied, p...)
}

// endMirror sends the copy on its way once the request is complete. The original goes its own.
func (s *stream) endMirror() {
	if s.x.Mirror == nil || s.copied == nil || !s.up.ended {
		return
	}
	pool, body := s.x.Mirror, s.copied
	s.x.Mirror, s.copied = nil, nil
	r := s.bridgedLocked(true)
	r.Length, r.Fresh = int64(len(body)), true
	r.Retrace(s.x.MirrorTraceContext())
	s.c.srv.mirrors.Submit(pool, r, body, s.head.grpc)
}
