package config

import (
	"reflect"
	"slices"
	"strings"
)

// redacted stands in for the values that Redacted hides.
const redacted = "REDACTED"

// Redacted is a copy of the configuration to be shown to people: values of fields with the tag secret are replaced, of headers all but those that are known
// to be harmless. It shares everything else with c, so neither may be changed afterwards.
func (c *Config) Redacted() *Config {
	shown := redact(reflect.ValueOf(*c), "").Interface().(Config)
	return &shown
}

// redact is v, or a copy of it without secrets where it may have some. tag is the struct tag of the field that v is.
func redact(v reflect.Value, tag reflect.StructTag) reflect.Value {
	switch {
	case isSecret(tag):
		return hide(v)
	case !holdsSecrets(v.Type()) || v.IsZero():
		return v
	}
	shown := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.Pointer:
		shown.Set(reflect.New(v.Type().Elem()))
		shown.Elem().Set(redact(v.Elem(), ""))
	case reflect.Struct:
		for i := range v.NumField() {
			shown.Field(i).Set(redact(v.Field(i), v.Type().Field(i).Tag))
		}
	case reflect.Slice:
		shown.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		for i := range v.Len() {
			shown.Index(i).Set(redact(v.Index(i), ""))
		}
	case reflect.Map:
		shown.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
		for _, key := range v.MapKeys() {
			shown.SetMapIndex(key, redact(v.MapIndex(key), ""))
		}
	}
	return shown
}

// hide replaces a secret: a text, or those values of headers that may be one.
func hide(v reflect.Value) reflect.Value {
	switch of := v.Interface().(type) {
	case string:
		if of == "" {
			return v
		}
		return reflect.ValueOf(redacted)
	case map[string]string:
		if of == nil {
			return v
		}
		shown := make(map[string]string, len(of))
		for name, value := range of {
			if !isHarmless(name, value) {
				value = redacted
			}
			shown[name] = value
		}
		return reflect.ValueOf(shown)
	}
	panic("BUG: the tag secret is on a " + v.Type().String())
}

// isSecret says whether the field with a tag may hold secrets.
func isSecret(tag reflect.StructTag) bool { return tag.Get("secret") == "true" }

// secretOf is the tag of what a field with the given tag consists of.
func secretOf(tag reflect.StructTag) reflect.StructTag {
	if isSecret(tag) {
		return `secret:"true"`
	}
	return ""
}

// holdsSecrets says whether anything within a type has the tag secret. No type of a configuration contains itself.
func holdsSecrets(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return holdsSecrets(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); isSecret(f.Tag) || holdsSecrets(f.Type) {
				return true
			}
		}
	}
	return false
}

// harmless are headers whose values are written down in public anyway. What else a header is for nobody knows but who configures it.
var harmless = []string{
	"accept", "accept-charset", "accept-encoding", "accept-language", "access-control-allow-credentials", "access-control-allow-headers",
	"access-control-allow-methods", "access-control-allow-origin", "access-control-expose-headers", "access-control-max-age", "alt-svc", "cache-control",
	"content-disposition", "content-encoding", "content-language", "content-type", "cross-origin-embedder-policy", "cross-origin-opener-policy",
	"cross-origin-resource-policy", "expires", "permissions-policy", "pragma", "priority", "referrer-policy", "retry-after", "server",
	"strict-transport-security", "timing-allow-origin", "user-agent", "vary", "via", "x-content-type-options", "x-frame-options", "x-powered-by", "x-robots-tag",
}

// switches are values that can be no secret, under whatever name.
var switches = []string{"", "0", "1", "false", "no", "off", "on", "true", "yes"}

// isHarmless says whether the value of a header can be shown to everybody.
func isHarmless(name, value string) bool {
	name, value = strings.ToLower(name), strings.ToLower(value)
	return (slices.Contains(harmless, name) || slices.Contains(switches, value) && !isCredentialName(name)) && !isCredentialValue(value)
}

// isCredentialName says whether a name is that of a secret. There is no register of those, so that parts of names are looked for (x-api-key,
// x-goog-iam-authorization-token, x-client-secret).
func isCredentialName(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{"auth", "cookie", "key", "token", "secret", "passw", "pwd", "credential", "session", "signature", "jwt", "bearer"},
		func(part string) bool { return strings.Contains(name, part) })
}

// isCredentialValue says whether a header's value, in lower case, begins as secrets do: with a scheme of RFC 9110, section 11.1, as keys of OpenAI's API do,
// or as a JSON Web Token's header.
func isCredentialValue(value string) bool {
	value = strings.TrimLeft(value, " \t")
	return slices.ContainsFunc([]string{"bearer ", "basic ", "digest ", "negotiate ", "token ", "apikey ", "aws4-hmac", "sk-", "eyj"},
		func(beginning string) bool { return strings.HasPrefix(value, beginning) })
}
