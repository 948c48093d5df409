package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// filler gives every text of a configuration a value of its own, and notes which of them are secret.
type filler struct {
	n              int
	secret, public []string
}

func (f *filler) text(secret bool) string {
	f.n++
	s := fmt.Sprintf("marker-%d-", f.n)
	if secret {
		f.secret = append(f.secret, s)
	} else {
		f.public = append(f.public, s)
	}
	return s
}

func (f *filler) fill(v reflect.Value, tag reflect.StructTag) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem(), tag)
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i), v.Type().Field(i).Tag)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			f.fill(v.Index(i), "")
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		if v.Type().Elem().Kind() == reflect.String {
			v.Set(reflect.ValueOf(map[string]string{
				"X-Api-Key": f.text(isSecret(tag)), "authorization": f.text(isSecret(tag)), "x-upstream": "Bearer " + f.text(isSecret(tag)),
				"x-tenant": f.text(isSecret(tag)), "Content-Type": f.text(false),
			}))
			return
		}
		elem := reflect.New(v.Type().Elem()).Elem()
		f.fill(elem, "")
		v.SetMapIndex(reflect.ValueOf(f.text(false)), elem)
	case reflect.String:
		v.SetString(f.text(isSecret(tag)))
	}
}

// TestSecretsAreNotShown fills every text there is: those that are secret are hidden, all others shown.
func TestSecretsAreNotShown(t *testing.T) {
	var c Config
	f := new(filler)
	f.fill(reflect.ValueOf(&c).Elem(), "")
	before, err := c.YAML()
	if err != nil {
		t.Fatal(err)
	}
	shown, err := c.Redacted().YAML()
	if err != nil {
		t.Fatal(err)
	}
	if len(f.secret) < 9 || len(f.public) < 50 {
		t.Fatalf("found %d secrets among %d texts: the search is broken", len(f.secret), len(f.secret)+len(f.public))
	}
	for _, s := range f.secret {
		if strings.Contains(string(shown), s) || !strings.Contains(string(before), s) {
			t.Errorf("the secret %s is shown, or was not there:\n%s", s, shown)
		}
	}
	for _, s := range f.public {
		if !strings.Contains(string(shown), s) {
			t.Errorf("%s, which is no secret, is not shown", s)
		}
	}
	if after, _ := c.YAML(); string(after) != string(before) {
		t.Error("Redacted changed the configuration itself")
	}
}

// TestValuesOfHeadersAreHidden unless both their name and what they are say that they may be shown.
func TestValuesOfHeadersAreHidden(t *testing.T) {
	for _, c := range []struct {
		name, value string
		shown       bool
	}{
		{"content-type", "text/html; charset=utf-8", true},
		{"Cache-Control", "no-store", true},
		{"access-control-allow-credentials", "true", true},
		{"x-canary", "yes", true},
		{"x-canary", "True", true},
		{"x-tenant", "acme-4711", false},
		{"x-upstream", "hunter2", false},
		{"x-api-key", "1", false},
		{"x-internal-auth", "on", false},
		{"user-agent", "Bearer abc", false},
		{"server", "sk-0123", false},
	} {
		r := Route{Match: Match{Headers: map[string]string{c.name: c.value}}, RequestHeaders: &HeaderEdit{Set: map[string]string{c.name: c.value}},
			ResponseHeaders: &HeaderEdit{Set: map[string]string{c.name: c.value}}}
		shown := (&Config{Routes: []Route{r}}).Redacted().Routes[0]
		for where, got := range map[string]string{
			"match": shown.Match.Headers[c.name], "requestHeaders": shown.RequestHeaders.Set[c.name], "responseHeaders": shown.ResponseHeaders.Set[c.name],
		} {
			if want := map[bool]string{true: c.value, false: redacted}[c.shown]; got != want {
				t.Errorf("%s: %s: %s is shown as %q, want %q", where, c.name, c.value, got, want)
			}
		}
	}
}

// knownPublic are the fields with a name as secrets have, or with values that anything can be, that hold none: files' names, and names of headers.
var knownPublic = []string{"AdminSecurity.TokenFile", "AdminSecurity.KeyFile", "Certificate.KeyFile", "Autoscale.KeyFile", "Autoscale.SecretName", "UpstreamTLS.KeyFile", "Key.Cookie"}

// TestSecretFieldsAreMarked finds fields that look as if they held secrets and say nothing of it.
func TestSecretFieldsAreMarked(t *testing.T) {
	seen := make(map[reflect.Type]bool)
	var look func(reflect.Type)
	look = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			look(typ.Elem())
		case reflect.Struct:
			if seen[typ] {
				return
			}
			seen[typ] = true
			for i := range typ.NumField() {
				f := typ.Field(i)
				look(f.Type)
				textual := f.Type.Kind() == reflect.String && isCredentialName(f.Name) || f.Type == reflect.TypeFor[map[string]string]()
				if name := typ.Name() + "." + f.Name; textual && !isSecret(f.Tag) && !slices.Contains(knownPublic, name) {
					t.Errorf(`%s may hold secrets: give it the tag secret:"true", or list it as public`, name)
				}
			}
		}
	}
	look(reflect.TypeFor[Config]())
	if len(seen) < 20 {
		t.Fatalf("looked at %d types: the search is broken", len(seen))
	}
}

// TestErrorsHoldNoSecrets makes every mistake that a secret can be part of.
func TestErrorsHoldNoSecrets(t *testing.T) {
	for name, text := range map[string]string{
		"a number":               `routes: [{split: [{pool: llama}], requestHeaders: {set: {x-api-key: 271828}}}]`,
		"a mapping":              `routes: [{split: [{pool: llama}], requestHeaders: {set: {x-api-key: {a: 271828}}}}]`,
		"a tag":                  `routes: [{split: [{pool: llama}], requestHeaders: {set: {x-api-key: !s271828 x}}}]`,
		"an alias":               `routes: [{split: [{pool: llama}], requestHeaders: {set: {x-api-key: *s271828 }}}]`,
		"blanks around it":       `routes: [{split: [{pool: llama}], requestHeaders: {set: {authorization: "Bearer 271828 "}}}]`,
		"a control character":    `routes: [{split: [{pool: llama}], responseHeaders: {set: {set-cookie: "271828\r"}}}]`,
		"in what is matched":     `routes: [{split: [{pool: llama}], match: {headers: {authorization: "Bearer 271828\n"}}}]`,
		"a text for a mapping":   `routes: [{split: [{pool: llama}], requestHeaders: {set: "authorization: Bearer 271828"}}]`,
		"a text for a section":   `routes: [{split: [{pool: llama}], requestHeaders: "authorization: Bearer 271828"}]`,
		"a text for a match":     `routes: [{split: [{pool: llama}], match: "authorization: Bearer 271828"}]`,
		"a text for a route":     `routes: ["authorization: Bearer 271828"]`,
		"a text for all routes":  `routes: "authorization: Bearer 271828"`,
		"a merge of a text":      `routes: [{split: [{pool: llama}], requestHeaders: {set: {<<: "Bearer 271828"}}}]`,
		"given twice":            `routes: [{split: [{pool: llama}], requestHeaders: {set: {x-api-key: "271828", x-api-key: "2718281"}}}]`,
		"of an unreachable one":  `routes: [{split: [{pool: llama}]}, {split: [{pool: llama}], match: {headers: {x-api-key: "271828"}}}]`,
		"a quote left open":      `routes: [{split: [{pool: llama}], requestHeaders: {set: {x-api-key: "271828}}}]`,
		"in an endpoint":         `pools: {llama: {endpoints: ["http://user:271828@10.1.2.3:8000"]}}`,
		"in one without scheme":  `pools: {llama: {endpoints: ["user:271828@10.1.2.3:8000"]}}`,
		"in one of gRPC":         `pools: {llama: {endpoints: ["grpc://user:271828@10.1.2.3:8000"]}}`,
		"in an endpoint's query": `pools: {llama: {endpoints: ["http://10.1.2.3:8000?key=271828"]}}`,
		"in a probe's path":      `pools: {llama: {endpoints: ["http://10.1.2.3:8000"], probe: {path: "/health?key=271828"}}}`,
		"in metrics' path":       `pools: {llama: {endpoints: ["http://10.1.2.3:8000"], engine: vllm, metrics: {path: "metrics?key=271828"}}}`,
		"the token itself":       `adminSecurity: {token: "271828"}`,
	} {
		if !strings.HasPrefix(text, "pools") {
			text = minimal + "\n" + text
		}
		_, err := Parse("test.yaml", []byte(text))
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "271828") {
			t.Errorf("%s: the error holds it: %v", name, err)
		}
	}
}
