package simulate

import (
	"fmt"
	"time"
)

// Change is something that happens to the fleet.
type Change struct {
	// At is when.
	At time.Duration
	// Kind is what.
	Kind ChangeKind
	// Replica is the number of the one that Kill and Drain mean, from 0 on.
	Replica int
	// Count is how many replicas Add adds, and how many Roll replaces at a time.
	Count int
}

// ChangeKind says what a Change does.
type ChangeKind string

const (
	// Kill ends a replica without warning; another one starts in its place.
	Kill ChangeKind = "kill"
	// Drain takes a replica away when its requests have ended.
	Drain ChangeKind = "drain"
	// Add starts replicas of the fleet's first group.
	Add ChangeKind = "add"
	// Roll replaces all replicas that are ready by new ones, some at a time: a rolling update.
	Roll ChangeKind = "roll"
)

func (o *Options) validateChanges(replicas int) error {
	for _, c := range o.Changes {
		switch {
		case c.At < 0 || c.At > longest:
			return fmt.Errorf("cannot let a change happen at %v: want 0 to %v", c.At, longest)
		case c.Kind == Kill || c.Kind == Drain:
			if c.Replica < 0 || c.Replica >= replicas {
				return fmt.Errorf("cannot %s replica %d: the fleet has replicas 0 to %d", c.Kind, c.Replica, replicas-1)
			}
		case c.Kind == Add || c.Kind == Roll:
			if c.Count < 1 || c.Count > maxReplicas {
				return fmt.Errorf("cannot %s %d replicas: want 1 to %d", c.Kind, c.Count, maxReplicas)
			}
		default:
			return fmt.Errorf("cannot make the change %q: want kill, drain, add or roll", c.Kind)
		}
	}
	return nil
}

func (w *world) scheduleChanges() {
	for _, c := range w.o.Changes {
		w.events.push(int64(c.At), func(w *world) { w.change(c) })
	}
}

func (w *world) change(c Change) {
	switch c.Kind {
	case Kill:
		w.kill(w.replicas[c.Replica])
	case Drain:
		w.drain(w.replicas[c.Replica], false)
	case Add:
		for range c.Count {
			w.start(&w.o.Fleet[0], w.o.StartTime)
		}
	case Roll:
		w.roll(c.Count)
	}
}

// roll replaces the replicas that are ready now. As there are no GPUs to spare, each drains before its successor starts, and it waits to drain
// while count others of the fleet are not ready.
func (w *world) roll(count int) {
	var old []*replica
	for _, r := range w.replicas {
		if r.state == replicaReady {
			old = append(old, r)
		}
	}
	var advance func(w *world)
	advance = func(w *world) {
		for len(old) > 0 && w.ready() > w.size()-count {
			w.drain(old[0], true)
			old = old[1:]
		}
		if len(old) > 0 {
			w.events.push(w.now+int64(time.Second), advance) // as often as a controller looks
		}
	}
	advance(w)
}

// ready is how many replicas take picks.
func (w *world) ready() int {
	n := 0
	for _, r := range w.replicas {
		if r.state == replicaReady {
			n++
		}
	}
	return n
}

// size is how many replicas are ready or will be, those included that are about to be replaced.
func (w *world) size() int {
	n := 0
	for _, r := range w.replicas {
		if r.state == replicaReady || r.state == replicaStarting || r.state == replicaDraining && r.successor {
			n++
		}
	}
	return n
}
