package gateway

import (
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/penstock/penstock/config"
)

// guarded lets those requests through to the pages of the admin port that may read them.
func (g *Gateway) guarded(pages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		access := g.adminAccess.Load()
		if why := access.judge(r); why != denyNothing {
			g.deny(r, why)
			refuseStranger(w, r, access, why)
			return
		}
		pages.ServeHTTP(w, r)
	})
}

// refuseStranger answers a request without credentials, or with wrong ones. Browsers then ask their user for a password, but for the dashboard's stream: the
// page asks itself, and says what for.
func refuseStranger(w http.ResponseWriter, r *http.Request, access *adminAccess, why denial) {
	w.Header().Add("WWW-Authenticate", `Bearer realm="penstock admin port"`)
	if access.wantsToken && r.Header.Get("Accept") != "text/event-stream" {
		w.Header().Add("WWW-Authenticate", `Basic realm="penstock admin port", charset="UTF-8"`)
	}
	w.Header().Set("Connection", "close") // strangers hold no connections
	message := "the admin port wants credentials"
	if why == denyWrong {
		message = "the admin port does not know these credentials"
	}
	switch {
	case access.wantsToken && access.clients != nil:
		message += ": send Authorization: Bearer TOKEN (browsers: as the password, with any user name), or show a client certificate"
	case access.wantsToken:
		message += ": send Authorization: Bearer TOKEN (browsers: as the password, with any user name)"
	default:
		message += ": show a client certificate"
	}
	http.Error(w, message, http.StatusUnauthorized)
}

// sheltered keeps pages of other sites from reading the admin port by way of a browser that reaches it, and from showing it within theirs. Nothing of it is
// kept in caches, as all of it is about this moment and some of it for few.
func (g *Gateway) sheltered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Frame-Options", "DENY")
		h.Set("Content-Security-Policy", "frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		if isForeignFetch(r) {
			g.deny(r, denyForeignFetch)
			http.Error(w, "the admin port does not answer pages of other sites", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isForeignFetch says whether a browser asks on behalf of another site's page, by the fetch metadata that it sends (W3C, "Fetch Metadata Request Headers").
// Links to the dashboard work: who follows one sees the page, and the site that has it does not. An origin on another port of the same host is the same site,
// and somebody else's nevertheless.
func isForeignFetch(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site":
	default:
		return false
	}
	return r.URL.Path != "/" || r.Header.Get("Sec-Fetch-Mode") != "navigate" || r.Header.Get("Sec-Fetch-Dest") != "document"
}

// newAdminDenied is the counter of refused requests, with every reason at 0.
func newAdminDenied() *prometheus.CounterVec {
	c := counters("admin_denied_total", "Requests to the admin port that were refused, by reason: no_credentials, wrong_credentials, or cross_site (a browser asked for "+
		"another site's page).", "reason")
	for _, why := range []denial{denyMissing, denyWrong, denyForeignFetch} {
		c.WithLabelValues(string(why))
	}
	return c
}

// deny counts and logs a request that is refused.
func (g *Gateway) deny(r *http.Request, why denial) {
	g.metrics.adminDenied.WithLabelValues(string(why)).Inc()
	if ok, more := g.denials.allow(time.Now()); ok {
		path := r.URL.Path
		g.logger.Warn("admin port: a request was denied", "client", r.RemoteAddr, "path", path[:min(len(path), maxLoggedPath)], "reason", string(why), "more", more)
	}
}

// maxLoggedPath bounds what strangers can write to the log, in bytes.
const maxLoggedPath = 128

// whereProfiled answers with a profile unless they are turned off.
func (g *Gateway) whereProfiled(profile http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !g.adminAccess.Load().pprof {
			http.Error(w, "profiles are turned off: set adminSecurity.pprof to take them", http.StatusNotFound)
			return
		}
		profile(w, r)
	}
}

// keepAdminTLS leaves TLS on or off on the admin port, as its listener is open. The whole section stays as it is, since who may read the port is safe only as
// a whole: without TLS, client certificates let nobody in.
func keepAdminTLS(c, old *config.Config, warn func(field string, running, wanted any)) {
	if now, wanted := old.AdminSecurity.TLS(), c.AdminSecurity.TLS(); now != wanted {
		warn("adminSecurity", fmt.Sprintf("TLS %s", onOff(now)), fmt.Sprintf("TLS %s", onOff(wanted)))
		c.AdminSecurity = old.AdminSecurity
	}
}
