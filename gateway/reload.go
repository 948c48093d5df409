package gateway

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/discovery"
	"github.com/penstock/penstock/gateway/http1"
	"github.com/penstock/penstock/gateway/http2"
)

// contentSum tells whether a file has changed, however it was replaced: a ConfigMap is a symbolic link to a directory that is
// swapped, so neither the file's time nor its inode has to move.
type contentSum [sha256.Size]byte

// apply puts c in force. Everything that can fail comes first; after the dispatcher has taken c nothing can, so c is in force whole
// or not at all.
func (g *Gateway) apply(c *config.Config) error {
	trusted, err := trustedProxies(c.TrustedProxies)
	if err != nil {
		return err
	}
	found, err := g.finder.Sources(c)
	if err != nil {
		return err
	}
	certificates, err := loadTLS(c)
	if err != nil {
		return err
	}
	credentials, err := loadAdminCredentials(c.AdminSecurity)
	if err != nil {
		return fmt.Errorf("cannot secure the admin port: %w", err)
	}
	g.metrics.widen(c)
	if err := g.sources.handOver(found, func() error { return g.dispatcher.Apply(c) }); err != nil {
		g.metrics.narrow(g.config.Load())
		return err
	}
	g.metrics.narrow(c)
	g.http1.SetOptions(&http1.Options{
		Limits:         c.Limits,
		Timeouts:       c.Timeouts,
		TrustedProxies: trusted,
		DebugHeaders:   c.DebugHeaders,
		AllowHalfClose: c.ClientHalfClose == "allow",
	})
	g.http2.SetOptions(&http2.Options{
		Limits:         c.Limits,
		Timeouts:       c.Timeouts,
		TrustedProxies: trusted,
		DebugHeaders:   c.DebugHeaders,
	})
	g.mirrors.SetSilence(max(c.Timeouts.ResponseHeader.Std(), c.Timeouts.StreamIdle.Std()))
	g.slots.setMost(c.Limits.Connections)
	g.log.set(c.AccessLog)
	g.useCertificates(certificates)
	g.useAdminCredentials(credentials)
	g.config.Store(c)
	g.probes.update()
	g.polls.update()
	g.sources.set(found)
	g.metrics.generation.Set(float64(g.generation.Add(1)))
	g.metrics.reloadSuccess.SetToCurrentTime()
	return nil
}

func trustedProxies(texts []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if a, e := netip.ParseAddr(text); e == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read trusted proxy: %w", err)
		}
		all = append(all, p)
	}
	return all, nil
}

// reloadIfChanged looks at the configuration file and applies it if its content is new.
func (g *Gateway) reloadIfChanged() {
	content, sum, err := readContent(g.options.ConfigPath)
	if sum == g.fileSum {
		return
	}
	g.fileSum = sum
	if err == nil {
		err = g.takeFile(content, false)
	}
	g.tellFile(err)
}

// reload applies the configuration file and reads certificates again, changed or not. Without a file there are only certificates.
func (g *Gateway) reload() {
	g.refreshCertificates()
	g.refreshAdminCredentials()
	if g.options.ConfigPath == "" {
		return
	}
	content, sum, err := readContent(g.options.ConfigPath)
	g.fileSum = sum
	if err == nil {
		err = g.takeFile(content, true)
	}
	g.tellFile(err)
}

// errLater says that a file holds a configuration that takes effect later.
var errLater = errors.New("the configuration takes effect later")

// later is a file's content that takes effect at a time of the wall clock, as all replicas of a gateway go by that.
type later struct {
	content []byte
	at      time.Time
}

// takeFile is take for what was read from the file. What is to take effect later waits; the next file that is sound takes its place.
func (g *Gateway) takeFile(content []byte, force bool) error {
	c, _, err := g.parse(content)
	if err != nil {
		return err
	}
	if at := c.Activation(); time.Until(at) > 0 && (force || !same(c, g.config.Load())) {
		g.later = &later{content, at}
		g.activation.Reset(0)
		g.logger.Info("configuration is sound and takes effect later", "file", g.options.ConfigPath, "at", at)
		return errLater
	}
	g.later = nil
	return g.take(content, force)
}

// activate applies the configuration that waits, if its time has come. The wall clock may jump: it is looked at every second, and when the time
// should have come.
func (g *Gateway) activate() {
	if g.later == nil {
		return
	}
	if left := time.Until(g.later.at); left > 0 {
		g.activation.Reset(min(left, time.Second))
		return
	}
	content := g.later.content
	g.later = nil
	g.tellFile(g.take(content, false))
}

// readContent reads a file. The sum of a file that cannot be read is that of its error, so that the same fault is told once.
func readContent(path string) ([]byte, contentSum, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, sha256.Sum256([]byte(err.Error())), fmt.Errorf("cannot read configuration: %w", err)
	}
	return content, sha256.Sum256(content), nil
}

// errUnchanged says that a file holds the configuration that is in force, as it does at the first look and after a change of comments.
var errUnchanged = errors.New("the configuration is the one in force")

// take parses, checks and applies a configuration. Unless force is set, one that says what is in force already is left alone.
func (g *Gateway) take(content []byte, force bool) error {
	c, used, err := g.parse(content)
	if err != nil {
		return err
	}
	g.keepWhatNeedsRestart(c)
	if !force && same(c, g.config.Load()) {
		g.content, g.used = content, used
		return errUnchanged
	}
	err = g.apply(c)
	if err == nil {
		g.content, g.used = content, used
	}
	return err
}

// parse makes a configuration of content and of what pools' Services say, and returns what it has used of that. Where a pool's settings do not go
// with the configuration it is those that were used last which count, or none: who owns a Service must not keep the gateway from being configured.
func (g *Gateway) parse(content []byte) (c *config.Config, used map[string]*config.Pool, err error) {
	used = maps.Clone(g.settings)
	c, refused := g.parseOver(content, used)
	for err = refused; err != nil; c, err = g.parseOver(content, used) {
		wrong := config.PoolsOf(err, slices.Collect(maps.Keys(used)))
		if len(wrong) == 0 {
			return nil, nil, err
		}
		for _, pool := range wrong {
			if last := g.used[pool]; last != nil && last != used[pool] {
				used[pool] = last
			} else {
				delete(used, pool)
			}
		}
	}
	if refused != nil {
		for _, e := range split(refused) {
			g.logger.Error("cannot use the settings of a pool's Service beside the configuration: the last ones stay, or none", "error", e)
		}
	}
	return c, used, nil
}

// parseOver makes a configuration of the file's content, or without a file of what the gateway was started with.
func (g *Gateway) parseOver(content []byte, settings map[string]*config.Pool) (*config.Config, error) {
	if g.options.ConfigPath == "" {
		return g.options.Configure(settings)
	}
	c, err := config.ParseOver(g.options.ConfigPath, content, settings)
	if err == nil && g.options.Override != nil {
		g.options.Override(c)
	}
	return c, err
}

// applySettings puts in force what Services' annotations say of pools. What of it is wrong is told, and what was last said of that pool stays.
func (g *Gateway) applySettings() {
	next := make(map[string]*config.Pool)
	for pool, text := range g.sources.poolSettings() {
		settings, err := config.ParseSettings("the annotation "+discovery.SettingsAnnotation, []byte(text))
		if err != nil {
			for _, e := range split(err) {
				g.logger.Error("cannot use the settings of a pool's Service: the last ones stay", "pool", pool, "error", e)
			}
			settings = g.settings[pool]
		}
		if settings != nil {
			next[pool] = settings
		}
	}
	g.settings = next
	if err := g.retake(); err != nil {
		g.tellReload(err)
	}
}

// retake applies the configuration as it was last read.
func (g *Gateway) retake() (err error) {
	content := g.content
	switch {
	case g.options.ConfigPath == "" && g.options.Configure == nil:
		return errUnchanged
	case g.options.ConfigPath != "" && content == nil:
		if content, _, err = readContent(g.options.ConfigPath); err != nil {
			return err
		}
	}
	if err = g.take(content, false); err == nil {
		g.logger.Info("settings of pools' Services applied", "generation", g.generation.Load())
	}
	return err
}

func same(a, b *config.Config) bool {
	x, errX := a.YAML()
	y, errY := b.YAML()
	return errX == nil && errY == nil && string(x) == string(y)
}

// keepWhatNeedsRestart leaves the ports, and whether they speak TLS, as they are: their sockets are open.
func (g *Gateway) keepWhatNeedsRestart(c *config.Config) {
	old := g.config.Load()
	warn := func(field string, running, wanted any) {
		g.logger.Warn("cannot apply a change while running: restart the gateway to apply it; the rest of the configuration is applied",
			"field", field, "running", running, "configured", wanted)
	}
	if c.Listen != old.Listen {
		warn("listen", old.Listen, c.Listen)
		c.Listen = old.Listen
	}
	if c.Admin != old.Admin {
		warn("admin", old.Admin, c.Admin)
		c.Admin = old.Admin
	}
	keepAdminTLS(c, old, warn)
	if (c.TLS == nil) != (old.TLS == nil) {
		warn("tls", onOff(old.TLS != nil), onOff(c.TLS != nil))
		c.TLS = old.TLS
	}
	if !reflect.DeepEqual(c.Autoscale, old.Autoscale) {
		warn("autoscale", autoscaleText(old.Autoscale), autoscaleText(c.Autoscale))
		c.Autoscale = old.Autoscale
	}
}

func autoscaleText(c *config.Autoscale) string {
	if c == nil {
		return "off"
	}
	return fmt.Sprintf("%+v", *c)
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// tellFile tells what came of reading the configuration file. Settings of Services do not count for what it notes, as they are read by themselves.
func (g *Gateway) tellFile(err error) {
	g.metrics.lastReload.Set(oneIf(err == nil || err == errUnchanged || err == errLater))
	g.tellReload(err)
}

// tellReload counts and logs what came of a reload. Every error gets a line of its own.
func (g *Gateway) tellReload(err error) {
	if err == errUnchanged || err == errLater {
		return
	}
	g.metrics.reloads.WithLabelValues(result(err)).Inc()
	if err == nil {
		g.logger.Info("configuration applied", "file", g.options.ConfigPath, "generation", g.generation.Load())
		return
	}
	for _, e := range split(err) {
		g.logger.Error("cannot apply the configuration: the old one stays in force", "error", e)
	}
}

// split returns the errors that err is made of.
func split(err error) []error {
	var list config.Errors
	if errors.As(err, &list) {
		all := make([]error, len(list))
		for i := range list {
			all[i] = list[i]
		}
		return all
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func result(err error) string {
	if err != nil {
		return resultFailure
	}
	return resultSuccess
}

func (g *Gateway) useCertificates(cs *certificates) {
	g.certificates = cs
	if cs == nil {
		g.tls.Store(nil)
		return
	}
	g.tls.Store(cs.tlsSettings())
}

// refreshCertificates reads changed certificates and client authorities. Those that cannot be used are logged, and the old ones stay.
func (g *Gateway) refreshCertificates() {
	if g.certificates == nil {
		return
	}
	changed, err := g.certificates.refresh()
	if changed {
		g.tls.Store(g.certificates.tlsSettings())
		g.metrics.certReloads.WithLabelValues(resultSuccess).Inc()
		g.logger.Info("certificates read again")
	}
	if err != nil {
		g.metrics.certReloads.WithLabelValues(resultFailure).Inc()
		g.logger.Error("cannot use changed certificates: the old ones stay in use", "error", err)
	}
}
