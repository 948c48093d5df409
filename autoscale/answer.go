package autoscale

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
)

// answers knows the pools' numbers over all replicas of the gateway.
type answers struct {
	namespace string // the gateway's
	loads     func() []Load
	synced    func() bool
	peers     *peers
}

// own returns the pools of this replica, by name. A pool without a Service is seen from the gateway's namespace.
func (a *answers) own() []Load {
	all := slices.SortedFunc(slices.Values(a.loads()), func(x, y Load) int { return cmp.Compare(x.Pool, y.Pool) })
	for i := range all {
		if all[i].Service == "" {
			all[i].Namespace = a.namespace
		}
	}
	return all
}

// in returns the pools that are seen from a namespace.
func (a *answers) in(namespace string) []Load {
	return slices.DeleteFunc(a.own(), func(l Load) bool { return l.Namespace != namespace })
}

// value is a metric of a pool over all replicas. The error, a notKnown, says what is missing.
func (a *answers) value(m *metric, l *Load) (float64, error) {
	if !a.synced() {
		return 0, notKnown("this replica of the gateway has not found the endpoints of all its pools yet")
	}
	shares, err := a.peers.shares(l.Pool, l.numbers())
	if err != nil {
		return 0, err
	}
	v, err := m.total(shares)
	if err != nil {
		return 0, notKnown(fmt.Sprintf("%s of pool %s is not known: %s", m.name, l.Pool, err))
	}
	return v, nil
}

// labels are what pools are selected by.
func (l *Load) labels() labels.Set {
	s := labels.Set{"pool": l.Pool, "namespace": l.Namespace}
	if l.Service != "" {
		s["service"] = l.Service
	}
	return s
}

// metric returns the metric of that name.
func (a *answers) metric(name string) (*metric, error) {
	if m := findMetric(name); m != nil {
		return m, nil
	}
	return nil, notFound(fmt.Sprintf("there is no metric %q; there are %s", clip(name), strings.Join(Metrics, ", ")))
}

// selected is a pool that a selector has chosen, and the metric of it.
type selected struct {
	Load
	value float64
}

// external returns a metric of each pool that is seen from a namespace and that selector chooses. The error is a refusal or a notKnown.
func (a *answers) external(namespace, name, selector string) ([]selected, error) {
	m, err := a.metric(name)
	if err != nil {
		return nil, err
	}
	chooses, err := labels.Parse(selector)
	if err != nil {
		return nil, badRequest(fmt.Sprintf("cannot read the label selector: %s; want one such as pool=NAME", clip(err.Error())))
	}
	seen := a.in(namespace)
	var all []selected
	for _, l := range seen {
		if !chooses.Matches(l.labels()) {
			continue
		}
		v, err := a.value(m, &l)
		if err != nil {
			return nil, err
		}
		all = append(all, selected{l, v})
	}
	if len(all) == 0 {
		return nil, notFound(fmt.Sprintf("no pool of namespace %s is selected by %q; its pools are %s. "+
			"A pool is of its Service's namespace, or else of the gateway's", clip(namespace), clip(selector), describe(seen)))
	}
	return all, nil
}

// custom returns a metric of a namespace's Services that are pools': of the one of that name, or of all where it is "*". Of several pools of a
// Service selector, which may be empty, chooses some.
func (a *answers) custom(namespace, service, name, selector string) ([]selected, error) {
	m, err := a.metric(name)
	if err != nil {
		return nil, err
	}
	chooses, err := labels.Parse(selector)
	if err != nil {
		return nil, badRequest(fmt.Sprintf("cannot read the metric's label selector: %s; want one such as pool=NAME", clip(err.Error())))
	}
	values := make(map[string][]float64)
	seen := a.in(namespace)
	for _, l := range seen {
		if l.Service == "" || service != "*" && l.Service != service || !chooses.Matches(l.labels()) {
			continue
		}
		v, err := a.value(m, &l)
		if err != nil {
			return nil, err
		}
		values[l.Service] = append(values[l.Service], v)
	}
	var all []selected
	for s, v := range values {
		all = append(all, selected{Load{Service: s, Namespace: namespace}, m.perService(v)})
	}
	if len(all) == 0 {
		return nil, notFound(fmt.Sprintf("no pool has the Service %s/%s and is selected by %q; the pools of the namespace are %s",
			clip(namespace), clip(service), clip(selector), describe(seen)))
	}
	slices.SortFunc(all, func(x, y selected) int { return cmp.Compare(x.Service, y.Service) })
	return all, nil
}

// describe names pools for people, each with its Service.
func describe(pools []Load) string {
	names := make([]string, len(pools))
	for i, l := range pools {
		names[i] = l.Pool
		if l.Service != "" {
			names[i] += " (service " + l.Service + ")"
		}
	}
	return someOf(names)
}

// clip shortens what somebody else has written, for a message.
func clip(s string) string {
	const most = 200
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
