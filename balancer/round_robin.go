package balancer

import "sync/atomic"

// roundRobin goes through the endpoints by one atomic counter and passes over those that are full, were tried, or whose turn
// it is not.
//
// Where weights differ, an endpoint with the share u of the largest capacity has its turn in u of all rounds, at even distances:
// in round g if g*u, counted modulo 1 from an offset of its own, is below u (the idea of gRPC's static stride scheduler for
// weighted round robin). So there is no state beside the counter, and nothing to lock. The counter is one cache line that all
// cores write: of all policies this one scales worst over cores.
type roundRobin struct {
	_    [64]byte
	next atomic.Uint64
	_    [56]byte
}

// fullTurns is how many endpoints without room are passed over before the rest is searched without touching the counter.
const fullTurns = 16

func (*roundRobin) Done(*Endpoint, *Request, Done) {}

func (p *roundRobin) Pick(s *Snapshot, r *Request) *Endpoint {
	n := uint64(len(s.endpoints))
	if n == 0 {
		return nil
	}
	weighted := s.weighted(r.Now)
	full := 0
	// Within two rounds the endpoint with the largest capacity has its turn unless a slow start reduces it. Ten rounds are one
	// turn of an endpoint at the beginning of its slow start.
	for range 12 * n {
		turn := p.next.Add(1) - 1
		i := turn % n
		if weighted && !s.hasTurn(int(i), turn/n, r.Now) {
			continue
		}
		if e := s.endpoints[i]; s.hasRoom(e) && !r.tried(e) {
			return e
		}
		if full++; full == fullTurns {
			break
		}
	}
	return s.anyWithRoom(r)
}

// hasTurn reports whether endpoint i is to be chosen in that round. Shares are counted in 1/65536.
func (s *Snapshot) hasTurn(i int, round uint64, now int64) bool {
	const whole = 1 << 16
	share := max(uint64(s.Weight(i, now)/s.maxCapacity*whole), 1)
	offset := s.hashes[i] >> 48
	return (round*share+offset)%whole < share
}
