package mock

import (
	"io"

	"google.golang.org/grpc/status"

	"github.com/penstock/penstock/bench/mock/inference"
)

// maxStreamed is how many requests of one stream run at once; the next ones are not read before one ends.
const maxStreamed = 256

// inferStream is one ModelStreamInfer. Its requests run at once, and all its responses are sent by one goroutine.
type inferStream struct {
	call   *call
	out    inference.InferStream
	more   chan struct{} // one of the generations has news
	live   []*streamed   // in the order in which they came
	chunks int           // responses with tokens that were sent
	unhurt int           // up to and without this many chunks, faults were applied
}

// streamed is one request of a stream.
type streamed struct {
	request    *inference.ModelInferRequest
	raw        bool
	generation *generation
	sent       int // tokens
}

// received is what came next on a stream: a request, or the error that ends them.
type received struct {
	request *inference.ModelInferRequest
	err     error
}

// ModelStreamInfer answers each request with a response for every token as soon as there is one, as the backends of language models do
// in Triton's decoupled mode, or with one response where the input stream is false. A request that cannot run gets a response with an
// error message. The headers go out when the first request was taken.
func (s kserveService) ModelStreamInfer(out inference.InferStream) error {
	c := callOf(out.Context())
	st := &inferStream{call: c, out: out, more: make(chan struct{}, 1)}
	requests, stop := st.receive()
	defer stop()
	defer st.end()
	for open, first := true, true; open || len(st.live) > 0; {
		next := requests
		if !open || len(st.live) == maxStreamed {
			next = nil
		}
		select {
		case r := <-next:
			switch {
			case r.err == io.EOF:
				open = false
				continue
			case r.err != nil:
				return r.err
			}
			if first && !st.begin() {
				return c.refused
			}
			first = false
			st.take(r.request)
		case <-st.more:
			st.send()
		case <-c.ctx.Done():
			panic(c.leave())
		}
	}
	return nil
}

// begin applies the faults that come before headers, and sends these.
func (st *inferStream) begin() bool {
	if !st.call.begin() {
		return false
	}
	if st.out.SendHeader(nil) != nil {
		st.call.gone()
	}
	return true
}

// receive reads requests in a goroutine, which ends with them or with stop.
func (st *inferStream) receive() (requests <-chan received, stop func()) {
	to, quit, done := make(chan received), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			r, err := st.out.Recv()
			select {
			case to <- received{r, err}:
			case <-quit:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return to, func() {
		close(quit)
		st.call.rpc.StopReading()
		<-done
	}
}

// take starts a request, or answers why it cannot run.
func (st *inferStream) take(r *inference.ModelInferRequest) {
	g, raw, err := st.submit(r)
	if err != nil {
		st.write(&inference.ModelStreamInferResponse{
			ErrorMessage: status.Convert(err).Message(), InferResponse: &inference.ModelInferResponse{ModelName: r.GetModelName(), Id: r.GetId()},
		})
		return
	}
	st.live = append(st.live, &streamed{request: r, raw: raw, generation: g})
}

func (st *inferStream) submit(r *inference.ModelInferRequest) (g *generation, raw bool, err error) {
	c := st.call
	if !c.knows(r.GetModelName()) {
		return nil, false, c.refused
	}
	ask, err := r.Ask()
	if err != nil {
		return nil, false, invalid(err)
	}
	output, ok := c.outputTokens(ask.MaxTokens)
	if !ok {
		return nil, false, c.refused
	}
	g, ok = c.submitTo(r.GetModelName(), &prompt{text: ask.Prompt}, output, !ask.Whole, st.more)
	if !ok {
		return nil, false, c.refused
	}
	return g, ask.Raw, nil
}

// send sends what the generations have, and forgets those that have ended.
func (st *inferStream) send() {
	live := st.live[:0]
	for _, r := range st.live {
		if st.sendTokens(r); r.sent < r.generation.want {
			live = append(live, r)
		}
	}
	clear(st.live[len(live):])
	st.live = live
}

func (st *inferStream) sendTokens(r *streamed) {
	g := r.generation
	if g.lost.Load() {
		st.call.lose()
	}
	have := int(g.tokens.Load())
	step := 1
	if !g.each {
		step = g.want
	}
	for ; r.sent+step <= have; r.sent += step {
		st.within()
		text := g.text[r.sent*tokenBytes : (r.sent+step)*tokenBytes]
		st.write(r.request.StreamAnswer(text, r.raw, r.sent+step == g.want))
		st.chunks++
	}
	if r.sent == g.want {
		st.within()
	}
}

// within applies the faults that come after the chunks that were sent, once.
func (st *inferStream) within() {
	if st.chunks >= st.unhurt {
		st.unhurt = st.chunks + 1
		st.call.within(st.chunks)
	}
}

func (st *inferStream) write(m *inference.ModelStreamInferResponse) {
	if st.out.Send(m) != nil {
		st.call.gone()
	}
}

// end gives up what has not ended.
func (st *inferStream) end() {
	for _, r := range st.live {
		st.call.end(r.generation)
	}
}
