package route

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// validate reports everything that is wrong with the rule.
func (r *Rule) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if err := checkHost(r.Host); err != nil {
		errs = append(errs, err)
	}
	if err := checkPath("path", r.Path); err != nil {
		errs = append(errs, err)
	}
	if r.RewritePrefix != nil {
		if err := checkPath("rewrite prefix", *r.RewritePrefix); err != nil {
			errs = append(errs, err)
		}
	}
	if r.Method != "" && !isToken(r.Method) {
		bad("method %q is not an HTTP method; write one such as POST", r.Method)
	}
	if r.GRPCMethod != "" && r.GRPCService == "" {
		bad("gRPC method %q has no gRPC service; name the service too", r.GRPCMethod)
	}
	for name, value := range r.Headers {
		if err := checkField(name, value); err != nil {
			errs = append(errs, err)
		}
	}
	errs = append(errs, r.validateTargets(), r.validateSticky(), r.validateMirror(),
		r.RequestHeaders.validate(), r.ResponseHeaders.validate())
	return errors.Join(errs...)
}

func (r *Rule) validateTargets() error {
	if len(r.Targets) == 0 {
		return errors.New("it has no target; name at least one pool")
	}
	var errs []error
	seen := make(map[string]bool, len(r.Targets))
	total := 0
	for _, t := range r.Targets {
		if t.Pool == "" {
			errs = append(errs, errors.New("a target has no pool; name one"))
		}
		if t.Weight < 0 || t.Weight > MaxWeight {
			errs = append(errs, fmt.Errorf("weight %d of pool %q is out of range; it must be 0 to %d", t.Weight, t.Pool, MaxWeight))
			continue
		}
		total += t.Weight
		if strings.ContainsFunc(t.Model, isControl) {
			errs = append(errs, fmt.Errorf("model %q of pool %q has a control character; remove it", t.Model, t.Pool))
		}
		if id := t.identity(); seen[id] {
			errs = append(errs, fmt.Errorf("pool %q stands twice in the split; add its weights up in one target", t.Pool))
		} else {
			seen[id] = true
		}
	}
	if len(errs) == 0 && total == 0 && len(r.Targets) > 1 {
		errs = append(errs, errors.New("every weight is 0, so no pool can be chosen; give at least one a weight"))
	}
	return errors.Join(errs...)
}

func (r *Rule) validateSticky() error {
	k := r.Sticky
	if k == nil {
		return nil
	}
	set := 0
	for _, is := range []bool{k.Header != "", k.Cookie != "", k.ClientIP} {
		if is {
			set++
		}
	}
	if set != 1 {
		return errors.New("sticky needs exactly one of header, cookie and client IP")
	}
	for _, name := range []string{k.Header, k.Cookie} {
		if name != "" && !isToken(name) {
			return fmt.Errorf("sticky %q is not a header or cookie name; use letters, digits and - or _", name)
		}
	}
	return nil
}

func (r *Rule) validateMirror() error {
	m := r.Mirror
	if m == nil {
		return nil
	}
	if m.Pool == "" {
		return errors.New("mirror has no pool; name one")
	}
	if math.IsNaN(m.Percent) || m.Percent < 0 || m.Percent > 100 {
		return fmt.Errorf("mirror percent %v is out of range; it must be 0 to 100", m.Percent)
	}
	if m.MaxBodyBytes < 0 {
		return fmt.Errorf("mirror body limit %d is negative; it must be 0 or more bytes", m.MaxBodyBytes)
	}
	return nil
}

// checkField checks a header field's name and value (RFC 9110, sections 5.1 and 5.5).
func checkField(name, value string) error {
	if !isToken(name) {
		return fmt.Errorf("header name %q is not a token; use letters, digits and - or _", name)
	}
	if strings.ContainsFunc(value, isControl) {
		return fmt.Errorf("header %s has a value with a control character; remove it", name)
	}
	if strings.Trim(value, " \t") != value {
		return fmt.Errorf("header %s has a value with surrounding whitespace, which is never sent; remove it", name)
	}
	return nil
}

// isControl reports what a field value must not contain: control characters but for the tab.
func isControl(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }

// isToken reports whether s is a token (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		digit := '0' <= c && c <= '9'
		if !letter && !digit && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}
