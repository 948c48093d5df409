package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/openai"
	"github.com/penstock/penstock/health"
)

// modelsPatience is how long one endpoint may keep a pool's answer waiting before the next one is asked as well.
const modelsPatience = 500 * time.Millisecond

// askModels asks a ready endpoint of a pool for its models, and the next one whenever one fails or keeps it waiting; the first good
// answer counts. An endpoint that is dead or hangs costs some time but not the answer.
func askModels(ctx context.Context, p *dispatch.Pool) ([]byte, error) {
	var ready []*dispatch.EndpointConfig
	for _, e := range p.Endpoints() {
		if e.State() == dispatch.Ready {
			ready = append(ready, &e.Config)
		}
	}
	if len(ready) == 0 {
		return nil, errors.New("cannot ask for models: the pool has no ready endpoint")
	}
	rand.Shuffle(len(ready), func(i, j int) { ready[i], ready[j] = ready[j], ready[i] })
	return firstAnswer(ctx, ready)
}

// modelAnswer is what one endpoint said.
type modelAnswer struct {
	document []byte
	err      error
}

// firstAnswer asks endpoints in order, which must not be none. What is underway when it returns is cut.
func firstAnswer(ctx context.Context, endpoints []*dispatch.EndpointConfig) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan modelAnswer, len(endpoints))
	var errs []error
	for asked := 0; len(errs) < len(endpoints); {
		var patience <-chan time.Time
		if asked < len(endpoints) {
			e := endpoints[asked]
			asked++
			go func() {
				document, err := models(ctx, e)
				answers <- modelAnswer{document, err}
			}()
			patience = time.After(modelsPatience)
		}
		select {
		case a := <-answers:
			if a.err == nil {
				return a.document, nil
			}
			errs = append(errs, a.err)
		case <-patience:
		}
	}
	return nil, errors.Join(errs...)
}

// models fetches an endpoint's own list of models. It makes a connection of its own, as probes do: this
// happens every few seconds at most.
func models(ctx context.Context, e *dispatch.EndpointConfig) ([]byte, error) {
	scheme := e.Scheme
	if scheme == "h2c" {
		scheme = "http"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+e.Address+modelsPath, nil)
	if err != nil {
		return nil, fmt.Errorf("cannot ask %s for its models: %w", e.Address, err)
	}
	response, err := health.Transports(e.TLS)(e.Scheme).RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("cannot ask %s for its models: %w", e.Address, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("cannot ask %s for its models: it answered with status %d", e.Address, response.StatusCode)
	}
	document, err := io.ReadAll(io.LimitReader(response.Body, openai.MaxModelsDocument+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the models of %s: %w", e.Address, err)
	}
	if len(document) > openai.MaxModelsDocument {
		return nil, fmt.Errorf("cannot read the models of %s: the list is longer than %d bytes", e.Address, openai.MaxModelsDocument)
	}
	var list modelsDocument
	if err := json.Unmarshal(document, &list); err != nil || list.Data == nil {
		return nil, fmt.Errorf("cannot read the models of %s: it answered with something other than a list of models", e.Address)
	}
	return document, nil
}
