package autoscale

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// maxPeers bounds the replicas of a gateway that are asked, and so the goroutines and connections for it.
	maxPeers = 500
	// maxReport bounds a replica's answer, in bytes: 10,000 pools' numbers.
	maxReport = 2 << 20
	// peerTimeout is how long a replica may take to answer.
	peerTimeout = 2 * time.Second
)

// peers asks the other replicas of the gateway, each once a second, by a goroutine of its own.
type peers struct {
	ask    func(ctx context.Context, address string) (*report, error)
	every  time.Duration
	logger *slog.Logger

	mu      sync.Mutex
	ledger  *ledger
	changed chan struct{} // closed and replaced at each change
	asking  map[Peer]context.CancelFunc
	running sync.WaitGroup
}

func newPeers(self string, ask func(context.Context, string) (*report, error), every time.Duration, logger *slog.Logger) *peers {
	return &peers{ask: ask, every: every, logger: logger, ledger: newLedger(self), changed: make(chan struct{}), asking: make(map[Peer]context.CancelFunc)}
}

// set takes the replicas that there are. Of one with several addresses the first counts, and of too many none: what some of them say is less than
// what there is.
func (p *peers) set(ctx context.Context, all []Peer) error {
	all = oneAddressEach(all)
	if len(all) > maxPeers {
		return fmt.Errorf("the gateway has %d replicas, more than the %d that can be asked", len(all), maxPeers)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ledger.list(all)
	listed := make(map[Peer]bool, len(all))
	for _, peer := range all {
		key := peer.key()
		listed[key] = true
		if p.asking[key] == nil {
			ctx, cancel := context.WithCancel(ctx)
			p.asking[key] = cancel
			p.running.Go(func() { p.follow(ctx, key) })
		}
	}
	for key, cancel := range p.asking {
		if !listed[key] {
			cancel()
			delete(p.asking, key)
		}
	}
	p.tell()
	return nil
}

// oneAddressEach keeps the first address, in alphabetical order, of each replica that has an ID.
func oneAddressEach(all []Peer) []Peer {
	all = slices.SortedFunc(slices.Values(all), func(a, b Peer) int { return bytes.Compare([]byte(a.Address), []byte(b.Address)) })
	seen := make(map[string]bool, len(all))
	return slices.DeleteFunc(all, func(p Peer) bool {
		id := p.ID
		if id == "" {
			id = "at " + p.Address
		}
		again := seen[id]
		seen[id] = true
		return again
	})
}

// tell wakes those that wait for a change. The lock is held.
func (p *peers) tell() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// follow asks a replica until ctx ends.
func (p *peers) follow(ctx context.Context, peer Peer) {
	ticker := time.NewTicker(p.every)
	defer ticker.Stop()
	for {
		asked, cancel := context.WithTimeout(ctx, peerTimeout)
		r, err := p.ask(asked, peer.Address)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if !errors.Is(err, errNoCertificate) { // else it was not asked
			p.take(peer, r, err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// take notes what came of a question.
func (p *peers) take(peer Peer, r *report, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.ledger.answered(peer, r)
	} else if p.ledger.failed(peer) {
		p.logger.Warn("another replica of the gateway does not answer; if it did before, it counts as it did then", "replica", peer.Address, "error", err)
	}
	p.tell()
}

// shares returns what each replica has of a pool; see ledger.
func (p *peers) shares(pool string, own numbers) ([]share, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ledger.shares(pool, own)
}

// complete says what keeps the numbers of all replicas from being known.
func (p *peers) complete() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ledger.complete()
}

// count is the number of other replicas by state.
func (p *peers) count() map[State]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ledger.count()
}

// next is closed when something changes.
func (p *peers) next() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changed
}

// close ends all questions.
func (p *peers) close() {
	p.mu.Lock()
	for _, cancel := range p.asking {
		cancel()
	}
	p.mu.Unlock()
	p.running.Wait()
}

// loadPath is where replicas ask each other.
const loadPath = "/penstock/load"

// asker asks replicas over HTTP.
type asker struct {
	ids    *identities
	client *http.Client
}

func newAsker(ids *identities) *asker {
	return &asker{ids, &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:        ids.client(),
			TLSHandshakeTimeout:    peerTimeout,
			MaxIdleConnsPerHost:    1,
			MaxConnsPerHost:        2,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			DisableCompression:     true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// ask asks the replica at an address. The error is errNoCertificate if it cannot be asked, as this replica has nothing to show for itself.
func (a *asker) ask(ctx context.Context, address string) (*report, error) {
	if a.ids.Load() == nil {
		return nil, errNoCertificate
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+loadPath, nil)
	if err != nil {
		return nil, fmt.Errorf("cannot ask %s: %w", address, err)
	}
	response, err := a.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxReport+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot read its answer: %w", err)
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("it answers %s: %s", response.Status, clip(string(text)))
	case len(text) > maxReport:
		return nil, fmt.Errorf("its answer has more than %d bytes", maxReport)
	}
	return readReport(text)
}

// close closes the connections that are open.
func (a *asker) close() { a.client.CloseIdleConnections() }

func readReport(text []byte) (*report, error) {
	r := new(report)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("cannot read its answer: %w", err)
	}
	if r.Instance == "" {
		return nil, errors.New("its answer does not say which instance it is")
	}
	for _, pool := range slices.Sorted(maps.Keys(r.Pools)) {
		if err := r.Pools[pool].check(); err != nil {
			return nil, fmt.Errorf("its answer has, for pool %q, %w", clip(pool), err)
		}
	}
	return r, nil
}
