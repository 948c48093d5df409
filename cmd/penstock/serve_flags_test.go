package main

import (
	"testing"

	"github.com/penstock/penstock/config"
)

// TestSettingsBesideFlags has a Service's annotation that does not go with the flags.
func TestSettingsBesideFlags(t *testing.T) {
	settings, err := config.ParseSettings("annotation", []byte("balance: session\nsession: {header: x-user}"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*config.Pool{"default": settings}
	flags := serveFlags{service: "models/llama", balance: "random"}
	const want = "the annotation penstock.io/pool: pools.default.session: has no meaning for balance: random; leave it out, or want balance: session or auto"
	if c, err := flags.configure(all); err == nil || err.Error() != want {
		t.Errorf("got %v and %v, want %s", c, err, want)
	}
	flags.balance = ""
	c, err := flags.configure(all)
	if err != nil || c.Pools["default"].Balance != "session" || c.Pools["default"].Session.Header != "x-user" {
		t.Errorf("without the flag: %v and %v", c, err)
	}
	flags.balance = "sesion"
	if _, err := flags.configure(all); err == nil || err.Error()[:len("--balance: ")] != "--balance: " {
		t.Errorf("a fault of a flag: %v", err)
	}
}
