package main

import (
	"errors"
	"fmt"
	"time"
)

// connectAll opens the load's connections for one kind of answer.
func (g *generator) connectAll() error {
	for range g.spec.Conns {
		if _, err := g.connect(plan{Kind: kindJSON}); err != nil {
			return err
		}
	}
	return nil
}

// closedLoop keeps one request in each slot until the window ends.
func (g *generator) closedLoop() error {
	if err := g.connectAll(); err != nil {
		return err
	}
	at := now()
	for _, s := range g.slots {
		s.scheduled = at
		g.send(s)
	}
	g.open()
	for !g.window.ended && g.result.Failures < g.spec.Conns {
		events, err := g.wait(pollTime)
		if err != nil {
			return err
		}
		at := now()
		if err := g.tick(at); err != nil {
			return err
		}
		for i := range events {
			for _, s := range g.conns[events[i].Fd].receive(at) {
				g.samples.add(at - s.scheduled)
				s.scheduled = at
				g.send(s)
			}
		}
	}
	return g.finish()
}

// openLoop sends requests at fixed times. One whose time comes while all slots wait is sent late, and its latency counts
// from when it was due.
func (g *generator) openLoop() error {
	if err := g.connectAll(); err != nil {
		return err
	}
	free := interleaved(g.slots, g.spec.Conns)
	g.open()
	period := int64(time.Second) / int64(g.spec.Rate)
	due := now() + period
	for !g.window.ended && g.result.Failures < g.spec.Conns {
		at := now()
		if err := g.tick(at); err != nil {
			return err
		}
		for ; due <= at && len(free) > 0; due += period {
			// The longest idle slot is next, so that all of them are used.
			s := free[0]
			free = append(free[:0], free[1:]...)
			s.scheduled = due
			g.send(s)
		}
		patience := pollTime
		if len(free) > 0 {
			patience = min(patience, time.Duration(due-now()))
		}
		events, err := g.wait(patience)
		if err != nil {
			return err
		}
		for i := range events {
			for _, s := range g.conns[events[i].Fd].receive(now()) {
				g.samples.add(now() - s.scheduled)
				free = append(free, s)
			}
		}
	}
	return g.finish()
}

// interleaved orders the slots of some connections, which all have the same number, so that neighbours are of different connections.
func interleaved(slots []*slot, conns int) []*slot {
	each := len(slots) / conns
	ordered := make([]*slot, 0, len(slots))
	for i := range each {
		for c := range conns {
			ordered = append(ordered, slots[c*each+i])
		}
	}
	return ordered
}

// startSlack is how long connecting all paced streams may take before the first of them ends within the window, which makes the
// measurement invalid.
const startSlack = 500 * time.Millisecond

// streams runs one stream on each connection. Bursts begin anew until the window ends; a paced stream lasts past it.
func (g *generator) streams() error {
	p := plan{Kind: g.spec.Kind, Interval: int(g.spec.Interval / time.Microsecond), Events: g.spec.Events, Streams: g.spec.Conns}
	if p.Kind == kindPaced {
		// The first stream starts before the last connection is there, and the window only after it.
		p.Events = int((g.spec.WarmUp + g.spec.Window + startSlack) / g.spec.Interval)
	}
	for p.Index = range g.spec.Conns {
		slots, err := g.connect(p)
		if err != nil {
			return err
		}
		g.send(slots[0])
	}
	g.open()
	deadline := g.window.end + drainTime.Nanoseconds()
	for g.ended < g.spec.Conns && g.result.Failures == 0 {
		events, err := g.wait(pollTime)
		if err != nil {
			return err
		}
		at := now()
		if err := g.tick(at); err != nil {
			return err
		}
		for i := range events {
			for _, s := range g.conns[events[i].Fd].receive(at) {
				g.streamEnded(s)
			}
		}
		if at > deadline {
			g.result.fail(fmt.Errorf("%d of %d streams had not ended %v after the window", g.spec.Conns-g.ended, g.spec.Conns, drainTime))
		}
	}
	g.settle()
	return nil
}

func (g *generator) streamEnded(s *slot) {
	switch {
	case g.window.ended:
		g.ended++
	case g.spec.Kind == kindPaced:
		s.conn.fail(errNoWindow)
	default:
		g.send(s)
	}
}

// holdAtOnce is how many streams of shape hold are opened at the same time; it stays below any listener's backlog.
const holdAtOnce = 128

// hold opens streams until each has its first event, and reads the proxy's memory with all of them open.
func (g *generator) hold() error {
	var err error
	if g.result.Before, err = memoryOf(g.spec.Proxy); err != nil {
		return err
	}
	deadline := now() + (g.spec.WarmUp + g.spec.Window + time.Minute).Nanoseconds()
	for len(g.conns) < g.spec.Conns && g.result.Failures == 0 {
		for range min(holdAtOnce, g.spec.Conns-len(g.conns)) {
			slots, err := g.connect(plan{Kind: kindHold, Events: 1})
			if err != nil {
				return err
			}
			g.send(slots[0])
		}
		if err := g.awaitEvents(len(g.conns), deadline); err != nil {
			return err
		}
	}
	g.open()
	for !g.window.ended && g.result.Failures == 0 {
		if err := g.drain(); err != nil {
			return err
		}
		if err := g.tick(now()); err != nil {
			return err
		}
	}
	g.settle()
	g.result.Requests, g.result.Streams = 0, int(g.events)
	g.result.Open, err = memoryOf(g.spec.Proxy)
	return err
}

var errHoldSlow = errors.New("not all streams had their first event within a minute")

func (g *generator) awaitEvents(want int, deadline int64) error {
	for g.events < int64(want) && g.result.Failures == 0 {
		if err := g.drain(); err != nil {
			return err
		}
		if now() > deadline {
			g.result.fail(errHoldSlow)
		}
	}
	return nil
}

// drain takes what has come on any connection.
func (g *generator) drain() error {
	events, err := g.wait(pollTime)
	if err != nil {
		return err
	}
	at := now()
	for i := range events {
		g.conns[events[i].Fd].receive(at)
	}
	return nil
}
