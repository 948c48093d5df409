package config

import (
	"errors"
	"reflect"
	"slices"
)

// notSettings are the fields of a pool that say where its endpoints are or what files are read. They are the operator's of the gateway to set,
// not those's who own the model servers.
var notSettings = []string{"endpoints", "service", "dns", "file", "tls"}

// ParseSettings parses and validates settings of a pool that come from elsewhere than the configuration file, such as an annotation of the pool's
// Service: the fields of a pool, but for those that say where its endpoints are. What is not set has its default. name is what errors call
// the text. The error is Errors.
func ParseSettings(name string, data []byte) (*Pool, error) {
	r := newReport(name)
	r.spots = make(map[string]spot)
	root := readDocument(r, data, "want settings of a pool, such as maxInFlight: 64", "want the settings of one pool")
	if root == nil {
		return nil, r.err()
	}
	p := new(Pool)
	d := &decoder{report: r}
	d.decode(root, "", reflect.ValueOf(p).Elem(), "")
	refuseFields(r)
	if !r.full {
		r.values(reflect.ValueOf(p).Elem(), "", "")
		r.settings(p)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// settings checks what a pool's settings say of each other.
func (r *report) settings(p *Pool) {
	complete := *p
	complete.Endpoints, complete.Service, complete.TLS = []string{"http://placeholder:1"}, nil, nil
	r.pool(&complete, "")
}

// refuseFields refuses what is not to be set by settings, be it that it came by a merge key.
func refuseFields(r *report) {
	for _, name := range notSettings {
		if s, given := r.spots[name]; given {
			r.at(s, name, "cannot be set here", "set it in the gateway's configuration")
			r.broken[name] = struct{}{}
		}
	}
}

// PoolsOf returns those of the named pools that err, from ParseOver, finds something wrong with.
func PoolsOf(err error, names []string) []string {
	var all Errors
	errors.As(err, &all)
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return !slices.ContainsFunc(all, func(e Error) bool { return within(e.Field, under("pools", name)) })
	})
}
