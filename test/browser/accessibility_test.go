package browser

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp"
)

// heard is something that a screen reader tells of the page: what it is, and what it is called.
type heard struct {
	role, name string
	parent     *heard
}

// within reports whether it is part of something of a role, and of a name unless that is empty.
func (h *heard) within(role, name string) bool {
	for at := h.parent; at != nil; at = at.parent {
		if at.role == role && (name == "" || at.name == name) {
			return true
		}
	}
	return false
}

// listen returns what the browser gives to screen readers, in the order of the page, by its computed accessibility tree.
func (p *page) listen() []*heard {
	p.t.Helper()
	tree := ask(p, func(ctx context.Context) (accessibility.GetFullAXTreeResult, error) {
		return chromedp.Call(ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	})
	text := func(v *accessibility.Value) string {
		if v == nil {
			return ""
		}
		return strings.Trim(string(v.Value), `"`)
	}
	byID := make(map[accessibility.NodeID]*accessibility.Node)
	for _, n := range tree.Nodes {
		byID[n.NodeID] = n
	}
	var all []*heard
	var walk func(n *accessibility.Node, parent *heard)
	walk = func(n *accessibility.Node, parent *heard) {
		if !n.Ignored {
			parent = &heard{text(n.Role), text(n.Name), parent}
			all = append(all, parent)
		}
		for _, id := range n.ChildIDs {
			if child := byID[id]; child != nil {
				walk(child, parent)
			}
		}
	}
	walk(tree.Nodes[0], nil)
	return all
}

// TestWhatScreenReadersAreGiven goes through the page as screen readers do: by landmarks, headings, tables and what can be used.
func TestWhatScreenReadersAreGiven(t *testing.T) {
	chromium(t)
	g := fleet(t)
	p := open(t, g.admin, 1280, 900)
	p.until(`document.querySelector('#requests tbody th') && document.getElementById('events').children.length > 0 &&
		document.getElementById('endpoints').textContent.includes('ejected')`)
	p.do(chromedp.Click("#pause"))
	all := p.listen()
	named := func(role string) (names []string) {
		for _, h := range all {
			if h.role == role {
				names = append(names, h.name)
			}
		}
		return names
	}
	sections := []string{"Pools", "Endpoints", "Routes", "Requests underway", "Events"}
	if headings := named("heading"); !slices.Equal(headings, append([]string{"Penstock", "Now"}, sections...)) {
		t.Errorf("headings %q", headings)
	}
	for _, role := range []string{"banner", "main", "contentinfo", "search"} {
		if n := len(named(role)); n != 1 {
			t.Errorf("%d landmarks of role %s", n, role)
		}
	}
	for _, name := range sections {
		if !slices.Contains(named("region"), name) {
			t.Errorf("there is no region %s among %q", name, named("region"))
		}
	}
	// Tables say what they show, their cells stand under titles, and a row begins with what it is of.
	for _, section := range sections[:4] {
		cells, titles, rows := 0, 0, 0
		for _, h := range all {
			if h.within("region", section) {
				switch h.role {
				case "cell":
					cells++
				case "columnheader":
					titles++
				case "rowheader":
					rows++
				case "table":
					if h.name == "" {
						t.Errorf("the table of %s has no name", section)
					}
				}
			}
		}
		if titles < 3 || rows == 0 || cells != rows*(titles-1) {
			t.Errorf("%s: %d column headers, %d row headers, %d other cells", section, titles, rows, cells)
		}
	}
	// What can be used has a name, as it is told without what is around it.
	used := 0
	for _, h := range all {
		switch h.role {
		case "button", "link", "textbox", "searchbox", "combobox":
			used++
			if h.name == "" {
				t.Errorf("a %s has no name", h.role)
			}
		case "image":
			if h.name == "" {
				t.Error("a picture has no name")
			}
		}
	}
	if used < 20 {
		t.Errorf("only %d things can be used", used)
	}
	// A state is told in words.
	for _, state := range []string{"ready", "ejected"} {
		if !slices.ContainsFunc(all, func(h *heard) bool {
			return strings.HasPrefix(h.name, state) && h.within("region", "Endpoints") && h.within("row", "")
		}) {
			t.Errorf("no endpoint is told to be %s", state)
		}
	}
	if t.Failed() {
		var b strings.Builder
		for _, h := range all {
			fmt.Fprintf(&b, "%s %q\n", h.role, h.name)
		}
		t.Log(b.String())
	}
}
