package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/openai"
)

const (
	modelsPath = "/v1/models"
	// modelsTimeout is how long all pools together may take to say which models they serve.
	modelsTimeout = 2 * time.Second
	// modelsFresh is how long an answer is good for.
	modelsFresh = 5 * time.Second
)

// modelLister answers GET /v1/models with the models of all pools that routes lead to, and with the models that routes name.
type modelLister struct {
	pools  func() []*dispatch.Pool
	config func() *config.Config
	ask    func(ctx context.Context, p *dispatch.Pool) ([]byte, error) // a pool's own answer to GET /v1/models
	logger *slog.Logger

	ctx   context.Context // ends with the gateway
	close context.CancelFunc
	group singleflight.Group

	mu     sync.Mutex
	list   []byte    // the last answer
	listed time.Time // when it was made
	of     *config.Config
	last   map[string][]byte // the last good answer of each pool
}

func newModelLister(pools func() []*dispatch.Pool, current func() *config.Config, ask func(context.Context, *dispatch.Pool) ([]byte, error), logger *slog.Logger) *modelLister {
	m := &modelLister{pools: pools, config: current, ask: ask, logger: logger, last: make(map[string][]byte)}
	m.ctx, m.close = context.WithCancel(context.Background())
	return m
}

// reply answers GET /v1/models and GET /v1/models/ID.
func (m *modelLister) reply(x *dispatch.Exchange) *dispatch.Reply {
	path, _, _ := bytes.Cut(x.Request.Path, question)
	list := m.current()
	id, one := bytes.CutPrefix(path, []byte(modelsPath+"/"))
	if !one || len(id) == 0 {
		return jsonReply(list)
	}
	name, err := url.PathUnescape(string(id))
	if err != nil {
		name = string(id)
	}
	if entry := findModel(list, name); entry != nil {
		return jsonReply(entry)
	}
	return unknownModel(name)
}

func jsonReply(body []byte) *dispatch.Reply {
	return &dispatch.Reply{Status: http.StatusOK, ContentType: "application/json", Body: body}
}

func unknownModel(name string) *dispatch.Reply {
	const most = 128 // of a name, in bytes: the answer shall not be as long as anybody likes
	message := fmt.Sprintf("the model %.*q does not exist here; GET /v1/models lists the models", most, name)
	return dispatch.NewReply(http.StatusNotFound, "model_not_found", message, "model", 0)
}

// current returns a list that is no older than modelsFresh. Requests that come at the same time share one round of questions.
func (m *modelLister) current() []byte {
	c := m.config()
	m.mu.Lock()
	list, fresh := m.list, m.of == c && time.Since(m.listed) < modelsFresh
	m.mu.Unlock()
	if fresh {
		return list
	}
	answer, _, _ := m.group.Do(fmt.Sprintf("%p", c), func() (any, error) { return m.renew(c), nil })
	return answer.([]byte)
}

// renew asks every pool that takes requests. The last good answer of a pool stands in for one that does not come.
func (m *modelLister) renew(c *config.Config) []byte {
	routed := newRoutedModels(c)
	answers := m.askPools(routed)
	m.mu.Lock()
	defer m.mu.Unlock()
	last := make(map[string][]byte)
	var documents [][]byte
	for _, a := range answers {
		if a.err != nil {
			m.logger.Debug("cannot get the models of a pool", "pool", a.pool, "error", a.err)
			a.document = m.last[a.pool]
		}
		if a.document != nil {
			last[a.pool] = a.document
			documents = append(documents, routed.visible(a.pool, a.document))
		}
	}
	list, err := openai.MergeModels(documents, routed.names)
	if err != nil {
		m.logger.Debug("left models out of the list", "error", err)
	}
	m.list, m.listed, m.of, m.last = list, time.Now(), c, last
	return list
}

type poolAnswer struct {
	pool     string
	document []byte
	err      error
}

func (m *modelLister) askPools(routed *routedModels) []poolAnswer {
	ctx, cancel := context.WithTimeout(m.ctx, modelsTimeout)
	defer cancel()
	var answers []poolAnswer
	var pools []*dispatch.Pool
	for _, p := range m.pools() {
		if routed.takesRequests(p.Name) {
			pools = append(pools, p)
			answers = append(answers, poolAnswer{pool: p.Name})
		}
	}
	var round sync.WaitGroup
	for i, p := range pools {
		round.Go(func() { answers[i].document, answers[i].err = m.ask(ctx, p) })
	}
	round.Wait()
	return answers
}

// routedModels is what routes make of the models that pools serve: clients may ask for the models that routes name, and for those
// of pools that a route leads to whatever the model.
type routedModels struct {
	names  []string                   // of routes, in their order
	byName map[string]map[string]bool // by pool, the models that routes to it name
	all    map[string]bool            // by pool, whether a route leads to it whatever the model
}

func newRoutedModels(c *config.Config) *routedModels {
	r := &routedModels{byName: make(map[string]map[string]bool), all: make(map[string]bool)}
	for i := range c.Routes {
		route := &c.Routes[i]
		if route.Match.Model != "" {
			r.names = append(r.names, route.Match.Model)
		}
		for _, target := range route.Split {
			r.add(target.Pool, route.Match.Model)
		}
	}
	if len(c.Routes) == 0 {
		for name := range c.Pools {
			r.add(name, "")
		}
	}
	return r
}

func (r *routedModels) add(pool, model string) {
	if r.byName[pool] == nil {
		r.byName[pool] = make(map[string]bool)
	}
	if model == "" {
		r.all[pool] = true
	} else {
		r.byName[pool][model] = true
	}
}

func (r *routedModels) takesRequests(pool string) bool { return r.byName[pool] != nil }

// modelsDocument is a list of models, as far as the gateway looks into it.
type modelsDocument struct {
	Data []json.RawMessage `json:"data"`
}

// visible leaves of a pool's list the models that clients can reach under the name that stands there.
func (r *routedModels) visible(pool string, document []byte) []byte {
	if r.all[pool] {
		return document
	}
	var list modelsDocument
	if json.Unmarshal(document, &list) != nil {
		return document // MergeModels says what is wrong with it
	}
	kept := modelsDocument{Data: []json.RawMessage{}}
	for _, entry := range list.Data {
		if r.byName[pool][modelID(entry)] {
			kept.Data = append(kept.Data, entry)
		}
	}
	filtered, err := json.Marshal(kept)
	if err != nil {
		panic("BUG: a model list that was decoded cannot be encoded: " + err.Error())
	}
	return filtered
}

func findModel(document []byte, id string) json.RawMessage {
	var list modelsDocument
	json.Unmarshal(document, &list)
	for _, entry := range list.Data {
		if modelID(entry) == id {
			return entry
		}
	}
	return nil
}

func modelID(entry json.RawMessage) string {
	var e struct {
		ID string `json:"id"`
	}
	json.Unmarshal(entry, &e)
	return e.ID
}
