package main

import (
	"errors"
	"fmt"
	"time"
)

// closedLoop keeps one request on each connection until the window ends.
func (g *generator) closedLoop() error {
	for range g.spec.Conns {
		c, err := g.connect(plan{Kind: kindJSON})
		if err != nil {
			return err
		}
		g.send(c)
	}
	g.open()
	for !g.window.ended && g.result.Failures < g.spec.Conns {
		events, err := g.poll.wait(pollTime)
		if err != nil {
			return err
		}
		if err := g.tick(now()); err != nil {
			return err
		}
		for i := range events {
			if c := g.conns[events[i].Fd]; g.readReply(c) {
				g.send(c)
			}
		}
	}
	return g.finish()
}

// openLoop sends requests at fixed times. One whose time comes while all connections wait is sent late, and its latency counts
// from when it was due.
func (g *generator) openLoop() error {
	var free []*client
	for range g.spec.Conns {
		c, err := g.connect(plan{Kind: kindJSON})
		if err != nil {
			return err
		}
		free = append(free, c)
	}
	g.open()
	period := int64(time.Second) / int64(g.spec.Rate)
	due := now() + period
	for !g.window.ended && g.result.Failures < g.spec.Conns {
		at := now()
		if err := g.tick(at); err != nil {
			return err
		}
		for ; due <= at && len(free) > 0; due += period {
			// The longest idle connection is next, so that all of them are used.
			c := free[0]
			free = append(free[:0], free[1:]...)
			c.scheduled = due
			g.send(c)
		}
		patience := pollTime
		if len(free) > 0 {
			patience = min(patience, time.Duration(due-now()))
		}
		events, err := g.poll.wait(patience)
		if err != nil {
			return err
		}
		for i := range events {
			if c := g.conns[events[i].Fd]; g.readReply(c) {
				g.samples.add(now() - c.scheduled)
				free = append(free, c)
			}
		}
	}
	return g.finish()
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
		c, err := g.connect(p)
		if err != nil {
			return err
		}
		g.send(c)
	}
	g.open()
	deadline := g.window.end + drainTime.Nanoseconds()
	for g.ended < g.spec.Conns && g.result.Failures == 0 {
		events, err := g.poll.wait(pollTime)
		if err != nil {
			return err
		}
		at := now()
		if err := g.tick(at); err != nil {
			return err
		}
		for i := range events {
			g.readStream(g.conns[events[i].Fd], at)
		}
		if at > deadline {
			g.result.fail(fmt.Errorf("%d of %d streams had not ended %v after the window", g.spec.Conns-g.ended, g.spec.Conns, drainTime))
		}
	}
	g.settle()
	return nil
}

// readStream takes what has come of a stream.
func (g *generator) readStream(c *client, at int64) {
	got := g.receive(c)
	if got == nil {
		return
	}
	if !c.inBody {
		start := g.head(c)
		if start == 0 {
			return
		}
		c.inBody = true
		got = c.in[start:c.held]
	}
	c.held = 0
	before := c.decoder.events
	if err := c.decoder.feed(got, at, g.samples); err != nil {
		g.fail(c, err)
		return
	}
	g.events += int64(c.decoder.events - before)
	if c.decoder.done {
		g.streamEnded(c)
	}
}

func (g *generator) streamEnded(c *client) {
	if c.decoder.events != c.want {
		g.fail(c, fmt.Errorf("a stream ended after %d of %d events", c.decoder.events, c.want))
		return
	}
	if g.spec.Kind == kindPaced && !g.window.ended {
		g.fail(c, errNoWindow)
		return
	}
	g.requests++
	g.answered(c)
	c.decoder, c.inBody = eventDecoder{}, false
	if g.spec.Kind == kindBurst && !g.window.ended {
		g.send(c)
		return
	}
	g.ended++
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
			c, err := g.connect(plan{Kind: kindHold, Events: 1})
			if err != nil {
				return err
			}
			g.send(c)
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

// drain reads what has come on any stream.
func (g *generator) drain() error {
	events, err := g.poll.wait(pollTime)
	if err != nil {
		return err
	}
	at := now()
	for i := range events {
		g.readStream(g.conns[events[i].Fd], at)
	}
	return nil
}
