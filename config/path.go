package config

import (
	"regexp"
	"strconv"
	"strings"
)

// A path names a field as a reader would: pools.llama.endpoints[0]. Map keys that would blur it are quoted: pools["a.b"].

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// under is the path of a field or of a map's key.
func under(path, key string) string {
	switch {
	case !plainKey.MatchString(key):
		return path + "[" + quote(key) + "]"
	case path == "":
		return key
	}
	return path + "." + key
}

// item is the path of a list's item.
func item(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// parent is the path that path is directly under; the parent of a field at the top is the empty path. Dots and brackets within a
// quoted key give parents that no field has, which is harmless to those who look a parent up.
func parent(path string) string { return path[:max(0, strings.LastIndexAny(path, ".["))] }

// within says whether path is outer or lies under it.
func within(path, outer string) bool {
	rest, ok := strings.CutPrefix(path, outer)
	return ok && (outer == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}
