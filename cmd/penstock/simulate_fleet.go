package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/bench/engine"
	"github.com/penstock/penstock/bench/simulate"
)

// checkFleet makes the fleet of --fleet, or of --replicas and --profile.
func (s *simulateFlags) checkFleet(f *flagSet) error {
	for _, n := range []struct {
		flag  string
		value int
	}{{"kv-tokens", s.kvTokens}, {"max-num-batched-tokens", s.batchedTokens}, {"max-num-seqs", s.maxSequences}} {
		if n.value < 0 {
			return fmt.Errorf("--%s is %d: want at least 1, or 0 for what the profile says", n.flag, n.value)
		}
	}
	if !f.isSet("fleet") {
		if s.replicas < 1 {
			return fmt.Errorf("--replicas is %d: want at least 1", s.replicas)
		}
		return s.addGroup("profile", s.replicas, s.profile)
	}
	for _, name := range []string{"replicas", "profile"} {
		if f.isSet(name) {
			return fmt.Errorf("--%s cannot be combined with --fleet, which lists all replicas", name)
		}
	}
	for _, group := range strings.Split(s.fleet, ",") {
		group = strings.TrimSpace(group)
		count, profile, ok := strings.Cut(group, "x")
		n, err := strconv.Atoi(count)
		if !ok || err != nil || n < 1 {
			return fmt.Errorf("--fleet has %q: want COUNTxPROFILE, such as 8x%s or 8x%s*0.7", group, engine.DefaultProfile, engine.DefaultProfile)
		}
		if err := s.addGroup("fleet", n, profile); err != nil {
			return err
		}
	}
	return nil
}

// addGroup adds replicas of PROFILE[*FACTOR], which the flag of that name has.
func (s *simulateFlags) addGroup(flag string, replicas int, profile string) error {
	name, factorText, hasFactor := strings.Cut(profile, "*")
	p, err := engine.LookupProfile(name)
	if err != nil {
		return fmt.Errorf("--%s: %w", flag, err)
	}
	if hasFactor {
		factor, err := strconv.ParseFloat(factorText, 64)
		if err != nil || !isPositive(factor) {
			return fmt.Errorf("--%s has %q: want a factor above 0 behind the asterisk, such as %s*0.7", flag, profile, name)
		}
		p = faster(p, factor)
	}
	if s.kvTokens > 0 {
		p.KVTokens = s.kvTokens
	}
	if s.batchedTokens > 0 {
		p.MaxBatchedTokens = s.batchedTokens
	}
	if s.maxSequences > 0 {
		p.MaxSequences = s.maxSequences
	}
	s.options.Fleet = append(s.options.Fleet, simulate.Group{Engine: engine.Config{Profile: p}, Replicas: replicas})
	return nil
}

// faster is the profile with all its times divided by the factor.
func faster(p engine.Profile, factor float64) engine.Profile {
	p.Name = fmt.Sprintf("%s*%g", p.Name, factor)
	for _, ms := range []*float64{&p.StepBase, &p.WeightTime, &p.PerSequence, &p.PerContextToken, &p.PerPair, &p.PerToken} {
		*ms /= factor
	}
	p.ComputeRate *= factor
	p.Overhead = time.Duration(float64(p.Overhead) / factor)
	return p
}

// checkChanges reads TIME:KIND:NUMBER.
func (s *simulateFlags) checkChanges(*flagSet) error {
	for _, text := range s.changes {
		c, err := parseChange(text)
		if err != nil {
			return err
		}
		if s.plan && c.Replica > 0 {
			return fmt.Errorf("--change is %q: --plan tries a single replica, too, so it can %s replica 0 only", text, c.Kind)
		}
		s.options.Changes = append(s.options.Changes, c)
	}
	return nil
}

func parseChange(text string) (c simulate.Change, err error) {
	bad := fmt.Errorf("--change is %q: want TIME:KIND:NUMBER, such as 60s:kill:3, 60s:drain:3, 300s:add:4 or 600s:roll:2", text)
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return c, bad
	}
	if c.At, err = time.ParseDuration(parts[0]); err != nil || c.At < 0 {
		return c, bad
	}
	n, err := strconv.Atoi(parts[2])
	if err != nil {
		return c, bad
	}
	switch c.Kind = simulate.ChangeKind(parts[1]); c.Kind {
	case simulate.Kill, simulate.Drain:
		c.Replica = n
	case simulate.Add, simulate.Roll:
		c.Count = n
	default:
		return c, bad
	}
	return c, nil
}

// checkAutoscale reads METRIC:TARGET, and what belongs to it.
func (s *simulateFlags) checkAutoscale(f *flagSet) error {
	if s.autoscale == "" && !s.plan {
		if f.isSet("autoscale") {
			return errors.New("--autoscale is empty: want METRIC:TARGET, such as requests:20 or tokens:8000")
		}
		return withoutIts(f, "--autoscale or --plan", "min-replicas", "max-replicas", "stabilization")
	}
	switch {
	case s.minReplicas < 1:
		return fmt.Errorf("--min-replicas is %d: want at least 1", s.minReplicas)
	case s.maxReplicas < s.minReplicas:
		return fmt.Errorf("--max-replicas is %d: want at least %d, which is --min-replicas", s.maxReplicas, s.minReplicas)
	case s.stabilization < 0:
		return fmt.Errorf("--stabilization is %v: it must not be negative", s.stabilization)
	}
	if s.plan {
		return nil
	}
	metric, text, _ := strings.Cut(s.autoscale, ":")
	target, err := strconv.ParseFloat(text, 64)
	m := simulate.ScaleMetric(metric)
	if err != nil || !isPositive(target) || m != simulate.OutstandingRequests && m != simulate.OutstandingTokens {
		return fmt.Errorf("--autoscale is %q: want METRIC:TARGET, such as requests:20 or tokens:8000", s.autoscale)
	}
	if n := s.fleetSize(); n > s.maxReplicas {
		return fmt.Errorf("--max-replicas is %d: the fleet begins with %d", s.maxReplicas, n)
	}
	s.options.Autoscale = &simulate.Autoscale{Metric: m, Target: target, Min: s.minReplicas, Max: s.maxReplicas, Stabilization: s.stabilization}
	return nil
}

func (s *simulateFlags) fleetSize() (n int) {
	for _, g := range s.options.Fleet {
		n += g.Replicas
	}
	return n
}

// fleetText is the fleet in a few words.
func (s *simulateFlags) fleetText() string {
	var list []string
	for _, g := range s.options.Fleet {
		list = append(list, fmt.Sprintf("%d × %s", g.Replicas, g.Engine.Name))
	}
	return strings.Join(list, ", ")
}
