package live

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"time"
)

//go:embed page
var files embed.FS

// PagePaths are where the admin port serves the dashboard: patterns of an http.ServeMux. Its files hold nothing of the gateway that serves them, so that
// they may be given to anybody; what they show comes from a Hub.
var PagePaths = pagePaths()

// pagePaths has a path for each file of the page, so that none of its modules can be forgotten.
func pagePaths() []string {
	all, err := files.ReadDir("page")
	if err != nil {
		panic("BUG: the dashboard is not in the binary: " + err.Error())
	}
	paths := make([]string, len(all))
	for i, file := range all {
		paths[i] = "/" + file.Name()
		if file.Name() == "index.html" {
			paths[i] = "/{$}"
		}
	}
	return paths
}

// policy lets the page load and run what comes from the admin port, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// ServePage serves the files of the dashboard.
func ServePage(w http.ResponseWriter, r *http.Request) {
	name := path.Base(r.URL.Path)
	if r.URL.Path == "/" {
		name = "index.html"
	}
	content, err := files.ReadFile("page/" + name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	sum := sha256.Sum256(content)
	header := w.Header()
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
}
