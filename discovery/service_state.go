package discovery

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/penstock/penstock/config"
)

// serviceState is what is known of a Service, and what follows from it for the pool. It has no clock and no goroutine.
//
// A pool is never emptied by a mistake: where there is a reason to think that one was made (the Service was deleted, lost its port, or selects
// other pods than before, none of which is ready), the endpoints that were there last stay until there are ready ones again. A Service whose
// pods went away, as they do when it is scaled to zero, is no mistake.
type serviceState struct {
	config config.Service
	place  place

	slicesKnown, serviceKnown bool
	slices                    map[string]*slice
	service                   *corev1.Service // nil: there is none, or nobody knows
	settings                  string          // of the Service, or of the last one that there was
	ordered                   []*slice        // slices by name; nil after a change of any
	merged                    *union          // of slices, if nothing has changed but what it was told of

	// changed is when the latest change of a slice happened that was not resolved yet.
	changed time.Time

	good    *found    // the last with an endpoint that serves
	emptied time.Time // when good was replaced by nothing, without a reason to think of a mistake; zero while good holds

	selector   map[string]string // the Service's that good was selected by
	reselected time.Time         // when the Service was first seen with another one; zero while it has selector
	kept       bool              // good stays for that
}

// reordering is how long after the last endpoint has gone the news of what explains it may come: the watches of a Service and of its slices
// are two streams.
const reordering = 5 * time.Second

// reselecting is how long Kubernetes may take at most to make the slices follow a changed selector.
const reselecting = time.Minute

// SettingsAnnotation is the annotation of a Service that holds settings of the pool, as YAML.
const SettingsAnnotation = "penstock.io/pool"

func (s *serviceState) replaceSlices(all map[string]*slice) {
	for name, next := range all {
		s.noteTrigger(s.slices[name], next)
		next.noteBefore(s.slices[name])
	}
	s.slices, s.slicesKnown, s.ordered, s.merged = all, true, nil, nil
}

func (s *serviceState) setSlice(next *slice, deleted bool) {
	old := s.slices[next.name]
	switch {
	case deleted:
		delete(s.slices, next.name)
		s.merged = nil
	default:
		if s.merged != nil {
			s.merged = s.merged.patched(old, next)
		}
		if s.slices == nil {
			s.slices = make(map[string]*slice)
		}
		s.noteTrigger(old, next)
		next.noteBefore(old)
		s.slices[next.name] = next
	}
	s.ordered = nil
}

// noteTrigger notes when the change of a slice happened. A slice keeps saying when its last change was: only news counts, and what is there
// at the start is none.
func (s *serviceState) noteTrigger(old, next *slice) {
	if s.slicesKnown && !next.changed.IsZero() && (old == nil || !old.changed.Equal(next.changed)) {
		s.changed = next.changed
	}
}

func (s *serviceState) setService(service *corev1.Service) {
	s.service, s.serviceKnown = service, true
	if service != nil {
		s.settings = service.Annotations[SettingsAnnotation]
	}
}

// resolve returns the endpoints that the pool is to have, nil while nobody knows, and what is wrong.
func (s *serviceState) resolve(now time.Time) (*found, error) {
	if !s.slicesKnown || !s.serviceKnown {
		return nil, nil
	}
	next, mistake, problem := s.read()
	s.noteSelector(next, now)
	if next.usable() {
		s.good, s.emptied, s.kept = next, time.Time{}, false
		return next, problem
	}
	if reselected := s.newSelector(now); problem == nil && reselected != nil {
		problem, mistake = reselected, true
	}
	switch {
	case s.good == nil:
		return next, s.explainEmpty(problem)
	case mistake && (s.emptied.IsZero() || now.Sub(s.emptied) < reordering):
		s.emptied = time.Time{}
		kept := *s.good
		kept.kept, kept.changed = true, time.Time{}
		kept.settings = next.settings
		return &kept,
			fmt.Errorf("%w; its last %d endpoints stay in use until there are ready ones again", problem, len(s.good.endpoints))
	case s.emptied.IsZero():
		s.emptied = now
	}
	return next, s.explainEmpty(problem)
}

// read puts together what the Service and its slices say, and what is wrong with it: a mistake if that may be why endpoints are missing.
func (s *serviceState) read() (next *found, mistake bool, problem error) {
	next = &found{settings: s.settings, changed: s.changed}
	s.changed = time.Time{}
	port, problem := s.port()
	if problem != nil && (s.service != nil || s.config.Port == "") {
		return next, true, problem // without the Service, a port's name may still be one of the slices'
	}
	u := s.union(wanted{port, s.scheme(), s.preferIPv6(), s.place})
	next.endpoints, next.conditions = u.endpoints, u.conditions
	switch {
	case problem != nil:
		mistake = true
	case u.portless && len(next.endpoints) == 0:
		problem = fmt.Errorf("the Service %s has endpoints, and none has port %s; the pods' containers must have the port that the Service's targetPort names",
			s.name(), quotePort(port))
		mistake = true
	default:
		mistake, problem = s.sliceProblem()
	}
	return next, mistake, problem
}

func (s *serviceState) union(want wanted) *union {
	if s.merged == nil || s.merged.of != want {
		s.merged = merge(s.inOrder(), want)
	}
	return s.merged
}

func (s *serviceState) inOrder() []*slice {
	if s.ordered == nil {
		s.ordered = make([]*slice, 0, len(s.slices))
		for _, name := range slices.Sorted(maps.Keys(s.slices)) {
			s.ordered = append(s.ordered, s.slices[name])
		}
	}
	return s.ordered
}

// port returns the name of the Service's port whose endpoints are the pool's, or what is wrong.
func (s *serviceState) port() (name string, err error) {
	if s.service == nil {
		return s.config.Port, fmt.Errorf("there is no Service %s; create it, or correct the pool's service", s.name())
	}
	if s.service.Spec.Type == corev1.ServiceTypeExternalName {
		return "", fmt.Errorf("the Service %s is of type ExternalName, which has no endpoints; use dns: {name: %s, port: PORT} instead", s.name(), s.service.Spec.ExternalName)
	}
	ports := make([]corev1.ServicePort, 0, len(s.service.Spec.Ports))
	for _, p := range s.service.Spec.Ports {
		if p.Protocol == "" || p.Protocol == corev1.ProtocolTCP {
			ports = append(ports, p)
		}
	}
	number, _ := strconv.Atoi(s.config.Port)
	for _, p := range ports {
		if s.config.Port == "" && len(ports) == 1 || s.config.Port != "" && p.Name == s.config.Port || number != 0 && int(p.Port) == number {
			return p.Name, nil
		}
	}
	switch {
	case len(ports) == 0:
		return "", fmt.Errorf("the Service %s has no TCP port; give it the one at which its pods serve", s.name())
	case s.config.Port == "":
		return "", fmt.Errorf("the Service %s has more than one port: %s; say which one is meant, as port: NAME", s.name(), names(ports))
	}
	return "", fmt.Errorf("the Service %s has no port %s; it has %s", s.name(), s.config.Port, names(ports))
}

// scheme is how endpoints are spoken to where the configuration says it; empty where the Service's port does.
func (s *serviceState) scheme() string {
	if s.config.Scheme == "auto" {
		return ""
	}
	return s.config.Scheme
}

func (s *serviceState) preferIPv6() bool {
	return s.service != nil && len(s.service.Spec.IPFamilies) > 0 && s.service.Spec.IPFamilies[0] == corev1.IPv6Protocol
}

// sliceProblem is what is wrong with the slices: a mistake if one of them was right before. One that never was has taken nothing away.
func (s *serviceState) sliceProblem() (mistake bool, problem error) {
	var problems []string
	for _, one := range s.inOrder() {
		if one.problem != "" {
			problems = append(problems, one.problem)
			mistake = mistake || one.spoiled
		}
	}
	if len(problems) == 0 {
		return false, nil
	}
	const most = 3
	if len(problems) > most {
		problems = append(problems[:most], fmt.Sprintf("and %d more", len(problems)-most))
	}
	return mistake, errors.New(strings.Join(problems, "; "))
}

// noteSelector takes note of a Service's changed selector. The slices follow some time later: when they have an endpoint that was not there
// before, or when they had the time to.
func (s *serviceState) noteSelector(next *found, now time.Time) {
	switch {
	case s.service == nil:
	case maps.Equal(s.selector, s.service.Spec.Selector):
		s.reselected = time.Time{}
	case s.reselected.IsZero() && s.good != nil:
		s.reselected = now
		fallthrough
	default:
		if next.usable() && (s.good == nil || s.expired(now) || next.addsUsable(s.good)) {
			s.selector, s.reselected = s.service.Spec.Selector, time.Time{}
		}
	}
}

func (s *serviceState) expired(now time.Time) bool { return now.Sub(s.reselected) >= reselecting }

// addsUsable reports whether one of the endpoints that requests could go to was not there before.
func (f *found) addsUsable(before *found) bool {
	known := make(map[config.Endpoint]string, len(before.endpoints))
	for _, e := range before.endpoints {
		known[e.Endpoint] = e.ID
	}
	for i, e := range f.endpoints {
		if id, ok := known[e.Endpoint]; isUsable(conditionAt(f.conditions, i)) && (!ok || id != e.ID) {
			return true
		}
	}
	return false
}

// newSelector says that the Service selects other pods than those that were found last, if it does.
func (s *serviceState) newSelector(now time.Time) error {
	if s.good == nil || s.service == nil || s.reselected.IsZero() || s.expired(now) && !s.kept {
		return nil
	}
	s.kept = true
	return fmt.Errorf("the Service %s now selects pods by %s, and none of them is ready", s.name(), labels(s.service.Spec.Selector))
}

// explainEmpty says why nothing serves, where that is worth saying: a Service without any endpoint at the start may be waiting for one.
func (s *serviceState) explainEmpty(problem error) error {
	if problem != nil || s.service == nil || len(s.service.Spec.Selector) > 0 {
		return problem
	}
	for _, one := range s.slices {
		if len(one.endpoints) > 0 {
			return nil
		}
	}
	return fmt.Errorf("the Service %s has no selector, and nobody has given it endpoints", s.name())
}

func (s *serviceState) name() string { return s.config.Namespace + "/" + s.config.Name }

func labels(selector map[string]string) string {
	if len(selector) == 0 {
		return "nothing"
	}
	var list []string
	for _, key := range slices.Sorted(maps.Keys(selector)) {
		list = append(list, key+"="+selector[key])
	}
	return strings.Join(list, ",")
}

func quotePort(name string) string {
	if name == "" {
		return "without a name"
	}
	return name
}
