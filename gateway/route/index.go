package route

import "bytes"

// index finds the first candidate that matches a request without trying them all: each is filed under one exact thing that it
// asks for (a model, a host, a path), and only those filed under what the request has are tried.
type index struct {
	rest    []*candidate // those that ask for nothing exact
	model   map[string][]*candidate
	service map[string][]*candidate
	host    map[string][]*candidate
	path    map[string][]*candidate
	suffix  map[string][]*candidate
	headers []headerIndex

	pathDepth   int // most segments of a path in path
	suffixDepth int // most labels of a host in suffix
}

type headerIndex struct {
	name   string
	values map[string][]*candidate
}

// candidate is a rule in an index. Lists of candidates are in the rules' order.
type candidate struct {
	condition
	order int    // place of the rule in the table
	route *Route // nil where the rule's model has to be known first
}

// crowd is how many candidates may share a key before a rarer one is worth a dearer lookup.
const crowd = 8

func newIndex(candidates []*candidate) *index {
	count := make(map[key]int)
	for _, c := range candidates {
		for _, k := range c.keys() {
			count[k]++
		}
	}
	x := &index{
		model:   make(map[string][]*candidate),
		service: make(map[string][]*candidate),
		host:    make(map[string][]*candidate),
		path:    make(map[string][]*candidate),
		suffix:  make(map[string][]*candidate),
	}
	for _, c := range candidates {
		x.file(c, chooseKey(c.keys(), count))
	}
	return x
}

// chooseKey returns the first key that few share, or else the rarest; nil if there is none.
func chooseKey(keys []key, count map[key]int) *key {
	var best *key
	for i := range keys {
		if count[keys[i]] <= crowd {
			return &keys[i]
		}
		if best == nil || count[keys[i]] < count[*best] {
			best = &keys[i]
		}
	}
	return best
}

func (x *index) file(c *candidate, k *key) {
	if k == nil {
		x.rest = append(x.rest, c)
		return
	}
	var m map[string][]*candidate
	switch k.kind {
	case byModel:
		m = x.model
	case byService:
		m = x.service
	case byHost:
		m = x.host
	case byPath:
		m = x.path
		x.pathDepth = max(x.pathDepth, bytes.Count([]byte(k.value), []byte{'/'}))
	case bySuffix:
		m = x.suffix
		x.suffixDepth = max(x.suffixDepth, bytes.Count([]byte(k.value), []byte{'.'}))
	case byHeader:
		m = x.header(k.name)
	}
	m[k.value] = append(m[k.value], c)
}

func (x *index) header(name string) map[string][]*candidate {
	for i := range x.headers {
		if x.headers[i].name == name {
			return x.headers[i].values
		}
	}
	values := make(map[string][]*candidate)
	x.headers = append(x.headers, headerIndex{name, values})
	return values
}

// first returns the matching candidate that comes first in the table, nil if none matches.
func (x *index) first(v *view) *candidate {
	var best *candidate
	if len(x.model) > 0 && len(v.Model) > 0 {
		best = earlier(best, x.model[string(v.Model)], v)
	}
	if len(x.service) > 0 && len(v.GRPCService) > 0 {
		best = earlier(best, x.service[string(v.GRPCService)], v)
	}
	if len(x.host) > 0 {
		best = earlier(best, x.host[string(v.host)], v)
	}
	if x.pathDepth > 0 {
		best = x.earlierByPath(best, v)
	}
	if x.suffixDepth > 0 {
		best = x.earlierBySuffix(best, v)
	}
	if len(x.headers) > 0 && v.Header != nil {
		best = x.earlierByHeader(best, v)
	}
	return earlier(best, x.rest, v)
}

// earlier returns the first of list that matches, if it comes before best, and best otherwise.
func earlier(best *candidate, list []*candidate, v *view) *candidate {
	for _, c := range list {
		if best != nil && c.order > best.order {
			break
		}
		if c.matches(v) {
			return c
		}
	}
	return best
}

// earlierByPath looks up every prefix of the path that ends with a segment.
func (x *index) earlierByPath(best *candidate, v *view) *candidate {
	depth := 0
	for i := 1; i <= len(v.path) && depth < x.pathDepth; i++ {
		if i == len(v.path) || v.path[i] == '/' {
			best = earlier(best, x.path[string(v.path[:i])], v)
			depth++
		}
	}
	return best
}

// earlierBySuffix looks up every suffix of the host that begins with a dot, the shortest first.
func (x *index) earlierBySuffix(best *candidate, v *view) *candidate {
	depth := 0
	for i := len(v.host) - 1; i > 0 && depth < x.suffixDepth; i-- {
		if v.host[i] == '.' {
			best = earlier(best, x.suffix[string(v.host[i:])], v)
			depth++
		}
	}
	return best
}

// earlierByHeader looks up every value of the headers that candidates are filed under.
func (x *index) earlierByHeader(best *candidate, v *view) *candidate {
	for i := range x.headers {
		h := &x.headers[i]
		for from := 0; ; {
			value, next, ok := v.Header.Next(h.name, from)
			if !ok {
				break
			}
			best = earlier(best, h.values[string(value)], v)
			from = next
		}
	}
	return best
}
