package conformance

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/anypb"
)

// plan is what client and server do in one call. Both make it from the call's seed and number, which the request's metadata has, so that any
// call can be told from these alone.
type plan struct {
	id callID

	// What the client does.
	unary     bool // it makes the call as one of the unary kind
	lockstep  bool // it waits for a response after each request
	subtype   string
	metadata  metadata.MD
	requests  []int // sizes of its messages, in bytes
	zipped    bool  // they are compressed
	timeout   time.Duration
	cancelAt  int           // the response after which it cancels; -1 is never
	cancelsIn time.Duration // after which it cancels, whatever has come by then; 0 is never

	// What the server does.
	steps           []step
	header, trailer metadata.MD
	answersZipped   bool
	status          *spb.Status
}

// callID says which call of which run it is.
type callID struct {
	Seed, Number uint64
}

// callField is the metadata field that says which call it is, and through which relay it came.
const callField = "x-call"

func (c callID) via(way string) string { return fmt.Sprintf("%s %d %d", way, c.Seed, c.Number) }

// parseCall reads what via has written.
func parseCall(value string) (way string, id callID, err error) {
	if _, err := fmt.Sscanf(value, "%s %d %d", &way, &id.Seed, &id.Number); err != nil {
		return "", callID{}, fmt.Errorf("cannot read the call's number in %q: %w", value, err)
	}
	return way, id, nil
}

// step is something that the server does.
type step struct {
	do   action
	size int // of the message that is sent, in bytes
}

type action int

const (
	receive  action = iota // a message; none if the client has ended its side
	drain                  // all messages
	sendHead               // at once, without a message
	send
	hang // until the call is over
)

// outcomeClass says what can be compared of a call.
type outcomeClass int

const (
	exact     outcomeClass = iota // everything
	cancelled                     // all but how the end looks
	timed                         // the code alone: how far the call gets depends on time
	raced                         // the call ends as planned or is cancelled
)

func (p *plan) class() outcomeClass {
	switch {
	case p.cancelsIn > 0:
		return raced
	case p.timeout > 0 && p.hangs():
		return timed
	case p.cancelAt >= 0:
		return cancelled
	}
	return exact
}

func (p *plan) hangs() bool { return len(p.steps) > 0 && p.steps[len(p.steps)-1].do == hang }

func newPlan(id callID) *plan {
	r := rand.New(rand.NewPCG(id.Seed, id.Number))
	p := &plan{id: id, cancelAt: -1, subtype: oneOf(r, "", "", "proto", "json", "x-unheard.of+v1"), zipped: oneIn(r, 3), answersZipped: oneIn(r, 3)}
	p.metadata = someMetadata(r)
	p.header, p.trailer = someMetadata(r), someMetadata(r)
	p.status = someStatus(r)
	switch r.IntN(4) {
	case 0:
		p.planUnary(r)
	case 1:
		p.planClientStream(r)
	case 2:
		p.planServerStream(r)
	default:
		p.planBothWays(r)
	}
	p.planEnd(r)
	return p
}

func (p *plan) planUnary(r *rand.Rand) {
	p.unary = true
	p.requests = []int{someSize(r)}
	p.add(receive)
	answers := 1
	if oneIn(r, 10) {
		answers = r.IntN(3) // a mistake of the server that clients must notice alike
	}
	p.answer(r, answers)
}

func (p *plan) planClientStream(r *rand.Rand) {
	p.requests = someSizes(r, 12)
	if oneIn(r, 4) { // it answers without having read everything
		for range r.IntN(len(p.requests) + 1) {
			p.add(receive)
		}
	} else {
		p.add(drain)
	}
	p.answer(r, 1)
}

func (p *plan) planServerStream(r *rand.Rand) {
	p.requests = []int{someSize(r)}
	p.add(receive)
	p.answer(r, r.IntN(15))
}

func (p *plan) planBothWays(r *rand.Rand) {
	p.requests = someSizes(r, 10)
	p.lockstep = oneIn(r, 2)
	for range p.requests {
		p.add(receive)
		if p.lockstep || oneIn(r, 2) {
			p.steps = append(p.steps, step{send, someSize(r)})
		}
	}
	if oneIn(r, 2) {
		p.add(drain)
	}
}

// answer adds responses, and some of the time a head before them. A call that fails may have none.
func (p *plan) answer(r *rand.Rand, n int) {
	if oneIn(r, 3) {
		p.add(sendHead)
	}
	if p.status.Code != 0 && oneIn(r, 2) {
		n = 0
	}
	for range n {
		p.steps = append(p.steps, step{send, someSize(r)})
	}
}

// planEnd makes some calls end before the server ends them.
func (p *plan) planEnd(r *rand.Rand) {
	responses := 0
	for _, s := range p.steps {
		if s.do == send {
			responses++
		}
	}
	switch r.IntN(12) {
	case 0:
		if p.unary && responses > 1 {
			return // whether the client sees the second one before the time is over is chance
		}
		p.timeout = time.Duration(50+r.IntN(150)) * time.Millisecond
		p.add(hang)
	case 1:
		p.timeout = time.Hour // which it does not come to
	case 2:
		if responses > 0 && !p.unary {
			p.hangAfterLastSend()
			p.cancelAt = responses
		}
	case 3:
		p.cancelsIn = time.Duration(1+r.IntN(20_000)) * time.Microsecond
	}
}

// hangAfterLastSend makes the server wait for the end of the call once it has sent its last response.
func (p *plan) hangAfterLastSend() {
	for p.steps[len(p.steps)-1].do != send {
		p.steps = p.steps[:len(p.steps)-1]
	}
	p.add(hang)
}

func (p *plan) add(a action) { p.steps = append(p.steps, step{do: a}) }

// String says what is unusual about a plan, for those who look into a difference.
func (p *plan) String() string {
	client := fmt.Sprintf("unary %v, lockstep %v, subtype %q, requests %v zipped %v, timeout %v, cancel at %d or in %v",
		p.unary, p.lockstep, p.subtype, p.requests, p.zipped, p.timeout, p.cancelAt, p.cancelsIn)
	return fmt.Sprintf("call %d of seed %d (%s; server: %v, zipped %v, status %v)",
		p.id.Number, p.id.Seed, client, p.steps, p.answersZipped, p.status)
}

func oneIn(r *rand.Rand, n int) bool { return r.IntN(n) == 0 }

func oneOf(r *rand.Rand, values ...string) string { return values[r.IntN(len(values))] }

// someSize is a message's size: mostly small, and now and then more than a stream's window.
func someSize(r *rand.Rand) int {
	switch r.IntN(10) {
	case 0:
		return 0
	case 1:
		return r.IntN(500 << 10)
	case 2, 3:
		return r.IntN(40 << 10)
	}
	return r.IntN(300)
}

func someSizes(r *rand.Rand, most int) []int {
	sizes := make([]int, r.IntN(most))
	for i := range sizes {
		sizes[i] = someSize(r)
	}
	return sizes
}

// someMetadata has a few fields, some several times, binary ones among them, and now and then a large one.
func someMetadata(r *rand.Rand) metadata.MD {
	md := metadata.MD{}
	for range r.IntN(5) {
		key := oneOf(r, "x-plain", "x_under", "x.dot", "9-digit", "x-bin-not", "authorization", "cookie", "traceparent", "blob-bin", "x.y_z-9-bin")
		for range 1 + r.IntN(2) {
			value := someText(r, r.IntN(30))
			if strings.HasSuffix(key, "-bin") {
				value = someBytes(r, r.IntN(60))
			}
			md.Append(key, value)
		}
	}
	if oneIn(r, 15) {
		md.Append("x-large", someText(r, r.IntN(16<<10)))
	}
	return md
}

// someText is of characters that values of metadata may have, without space at its ends, which HTTP/2 allows no field.
func someText(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(' ' + r.IntN('~'-' '+1))
	}
	return strings.TrimSpace(string(b))
}

func someBytes(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

// someStatus is a success most of the time. Some failures have details.
func someStatus(r *rand.Rand) *spb.Status {
	if !oneIn(r, 3) {
		return &spb.Status{}
	}
	s := &spb.Status{
		Code: int32(1 + r.IntN(int(codes.Unauthenticated))),
		Message: oneOf(r, "", "not found", "größer als 日本語 ☺ 😈", "\t\nlines\r\n", "100% of %41 and \"quotes\"", "sp ace", " at both ends ",
			strings.Repeat("long ", 500)),
	}
	for range r.IntN(3) {
		s.Details = append(s.Details, &anypb.Any{TypeUrl: "type.example/" + strconv.Itoa(r.IntN(9)), Value: []byte(someBytes(r, r.IntN(200)))})
	}
	return s
}

// message makes the message that is sent as the i-th in a direction. It can be compressed, though not to nothing.
func (p *plan) message(direction uint64, i, size int) []byte {
	r := rand.New(rand.NewPCG(p.id.Seed<<8|direction, p.id.Number<<16|uint64(i)))
	b := make([]byte, size)
	for j := range b {
		b[j] = "abcdefgh"[r.Uint32()&7]
	}
	return b
}

// The directions of messages.
const (
	request  = 0
	response = 1
)
