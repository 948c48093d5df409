package load

import (
	"io"
	"math"
	"sync"
)

const (
	// maxSeries is the most series that an engine has.
	maxSeries = 24
	// maxRanks is the most data-parallel ranks that are told apart; the others count as the last one. Large deployments have 72.
	maxRanks = 128
)

// tally is what a page says, by the engine's series. It is used for one page at a time.
type tally struct {
	engine *engine
	slots  [maxSeries]slot
	ranks  [running + 1]rankSet // by signal, of those that are counts of requests
	// adapters are the labels of the newest series about adapters.
	adapters []byte

	buf [maxLine]byte
}

// slot is one series over its label sets.
type slot struct {
	sum, highest float64
	n            int
}

// rankSet is the highest value of each data-parallel rank.
type rankSet struct {
	n       int
	hashes  [maxRanks]uint64
	highest [maxRanks]float64
}

var tallies = sync.Pool{New: func() any { return new(tally) }}

// reset makes t ready for a page of e.
func (t *tally) reset(e *engine) {
	t.engine = e
	clear(t.slots[:])
	for i := range t.ranks {
		t.ranks[i].n = 0
	}
	t.adapters = t.adapters[:0]
}

// read takes a page in.
func (t *tally) read(page io.Reader) error { return eachLine(page, &t.buf, t.line) }

func (t *tally) line(line []byte) {
	name, rest := cutName(line)
	if len(name) == 0 {
		return
	}
	places := t.engine.byName[string(name)]
	if places == nil {
		return
	}
	labels, rest, ok := cutLabels(rest)
	if !ok {
		return
	}
	value, ok := cutValue(rest)
	if !ok {
		return
	}
	for _, i := range places {
		t.add(i, labels, value)
	}
}

// add takes a sample in for the series at place i.
func (t *tally) add(i int, labels []byte, value float64) {
	s := &t.engine.series[i]
	if s.label != "" {
		if v, _ := labelOf(labels, s.label); string(v) != s.equals {
			return
		}
	}
	if s.from != "" {
		text, _ := labelOf(labels, s.from)
		var ok bool
		if value, ok = parseNumber(text); !ok {
			return
		}
	}
	if !(value >= 0) || math.IsInf(value, 0) {
		return
	}
	if s.scale != 0 {
		value *= s.scale
	}
	c := &t.slots[i]
	switch {
	case s.combine == sumOfRanks:
		rank, _ := labelOf(labels, dataParallelRank)
		t.ranks[s.signal].add(rank, value)
	case s.combine == newest && (c.n == 0 || value >= c.highest):
		t.adapters = append(t.adapters[:0], labels...)
	}
	c.n++
	c.sum += value
	c.highest = max(c.highest, value)
}

// add takes in a value of a rank.
func (r *rankSet) add(rank []byte, value float64) {
	hash := hashOf(rank)
	i := 0
	for i < r.n && r.hashes[i] != hash {
		i++
	}
	switch {
	case i == maxRanks:
		i--
	case i == r.n:
		r.hashes[i], r.highest[i] = hash, value
		r.n++
		return
	}
	r.highest[i] = max(r.highest[i], value)
}

func (r *rankSet) total() (total float64) {
	for _, v := range r.highest[:r.n] {
		total += v
	}
	return total
}

// hashOf is FNV-1a with 64 bits.
func hashOf(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}

// value is what the page says about a signal; false if it says nothing.
func (t *tally) value(about signal) (float64, bool) {
	for i, s := range t.engine.series {
		c := &t.slots[i]
		if s.signal != about || c.n == 0 {
			continue
		}
		var value float64
		switch s.combine {
		case sum:
			value = c.sum
		case highest:
			value = c.highest
		case mean:
			value = c.sum / float64(c.n)
		case sumOfRanks:
			value = t.ranks[about].total()
		}
		return value, !math.IsInf(value, 0)
	}
	return 0, false
}

// says reports whether the page has anything that the engine's pages have.
func (t *tally) says() bool {
	for i := range t.slots {
		if t.slots[i].n > 0 {
			return true
		}
	}
	return false
}
