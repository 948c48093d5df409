// Package kubetest is an API server for tests: it lists and watches Services and EndpointSlices, and fails on demand.
package kubetest

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/penstock/penstock/discovery/kube"
)

// object is what the server keeps: a kind of Kubernetes with its metadata.
type object interface {
	runtime.Object
	metav1.Object
}

// Server is the API server. Its methods may be called from any goroutine.
type Server struct {
	t       testing.TB
	address string

	mu       sync.Mutex
	server   *http.Server // nil while it is down
	version  int
	oldest   int               // watches from before this version are told that it has expired
	objects  map[string]object // by resource/namespace/name
	events   []event
	news     chan struct{} // closed at the next event, and when watches are to end
	epoch    int           // of the watches: those of an older one end
	refusals map[string]int
	held     map[string]bool // by resource and verb
}

type event struct {
	version  int
	resource string
	kind     string // ADDED, MODIFIED or DELETED
	object   object
}

// New starts a server. It is stopped at the end of the test.
func New(t testing.TB) *Server {
	s := &Server{t: t, version: 1, objects: make(map[string]object), news: make(chan struct{}), refusals: make(map[string]int), held: make(map[string]bool)}
	s.Up()
	t.Cleanup(s.Down)
	return s
}

// Client is a client of the server.
func (s *Server) Client() *kube.Client {
	s.t.Helper()
	c, err := kube.NewClient(&rest.Config{Host: "http://" + s.address})
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// SetKubeconfig makes the server the one that KUBECONFIG names until the end of the test.
func (s *Server) SetKubeconfig(t *testing.T) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\nclusters: [{name: test, cluster: {server: \"http://%s\"}}]\n"+
		"contexts: [{name: test, context: {cluster: test, user: \"\"}}]\ncurrent-context: test\n", s.address)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", path)
}

// Up has the server answer at its address.
func (s *Server) Up() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		return
	}
	if s.address == "" {
		s.address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.address = l.Addr().String()
	s.server = &http.Server{Handler: http.HandlerFunc(s.serve)}
	go s.server.Serve(l)
}

// Down cuts everything and refuses connections until Up.
func (s *Server) Down() {
	s.mu.Lock()
	server := s.server
	s.server = nil
	s.endWatches()
	s.mu.Unlock()
	if server != nil {
		server.Close()
	}
}

// Expire ends all watches and forgets what happened before, so that clients have to list anew.
func (s *Server) Expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	s.oldest = s.version
	s.events = nil
	s.endWatches()
}

// Refuse answers requests for a resource with a status, 0 with what they ask for; watches that are open end.
func (s *Server) Refuse(resource string, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusals[resource] = status
	s.endWatches()
}

// Hold has the server take calls of a verb, list or watch, for a resource and never answer those; watches that are open end.
func (s *Server) Hold(resource, verb string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[resource+" "+verb] = true
	s.endWatches()
}

// Release has later calls of a verb answered again.
func (s *Server) Release(resource, verb string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, resource+" "+verb)
}

// endWatches ends the watches that are open. The lock is held.
func (s *Server) endWatches() {
	s.epoch++
	close(s.news)
	s.news = make(chan struct{})
}

// Set makes or changes an object.
func (s *Server) Set(objects ...runtime.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range objects {
		s.put(o.DeepCopyObject().(object))
	}
}

func (s *Server) put(o object) {
	s.version++
	key, kind := keyOf(o), "ADDED"
	if s.objects[key] != nil {
		kind = "MODIFIED"
	}
	s.objects[key] = o
	s.add(kind, o)
}

// Delete deletes an object.
func (s *Server) Delete(o runtime.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := keyOf(o.(object))
	old := s.objects[key]
	if old == nil {
		s.t.Errorf("there is no %s to delete", key)
		return
	}
	s.version++
	delete(s.objects, key)
	s.add("DELETED", old.DeepCopyObject().(object))
}

func (s *Server) add(kind string, o object) {
	o.GetObjectKind().SetGroupVersionKind(kinds[resourceOf(o)])
	o.SetResourceVersion(strconv.Itoa(s.version))
	s.events = append(s.events, event{s.version, resourceOf(o), kind, o})
	close(s.news)
	s.news = make(chan struct{})
}

var kinds = map[string]schema.GroupVersionKind{
	"services":       corev1.SchemeGroupVersion.WithKind("Service"),
	"endpointslices": discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice"),
}

func resourceOf(o runtime.Object) string {
	switch o.(type) {
	case *corev1.Service:
		return "services"
	case *discoveryv1.EndpointSlice:
		return "endpointslices"
	}
	panic(fmt.Sprintf("BUG: no resource for %T", o))
}

func keyOf(o object) string { return resourceOf(o) + "/" + o.GetNamespace() + "/" + o.GetName() }

// serve answers .../namespaces/NAMESPACE/RESOURCE.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	at := slices.Index(parts, "namespaces")
	if at < 0 || at+3 != len(parts) {
		http.NotFound(w, r)
		return
	}
	q := query{resource: parts[at+2], namespace: parts[at+1], labels: r.FormValue("labelSelector"), fields: r.FormValue("fieldSelector")}
	verb := "list"
	if r.FormValue("watch") != "" {
		verb = "watch"
	}
	s.mu.Lock()
	status, held := s.refusals[q.resource], s.held[q.resource+" "+verb]
	s.mu.Unlock()
	switch {
	case held:
		<-r.Context().Done()
	case status != 0:
		refuse(w, status, fmt.Sprintf("%s.%s is forbidden: User \"penstock\" cannot %s resource %q", q.resource, parts[1], verb, q.resource))
	case verb == "watch":
		s.watch(w, r, q)
	default:
		s.list(w, q)
	}
}

func refuse(w http.ResponseWriter, status int, message string) {
	reasons := map[int]metav1.StatusReason{403: metav1.StatusReasonForbidden, 401: metav1.StatusReasonUnauthorized, 410: metav1.StatusReasonExpired, 404: metav1.StatusReasonNotFound}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: "Failure", Message: message, Reason: reasons[status], Code: int32(status),
	})
}

// query is what a request asks for.
type query struct{ resource, namespace, labels, fields string }

func (q query) selects(o object) bool {
	if resourceOf(o) != q.resource || o.GetNamespace() != q.namespace {
		return false
	}
	if key, value, ok := strings.Cut(q.labels, "="); ok && o.GetLabels()[key] != value {
		return false
	}
	name, ok := strings.CutPrefix(q.fields, "metadata.name=")
	return !ok || name == o.GetName()
}

func (s *Server) list(w http.ResponseWriter, q query) {
	s.mu.Lock()
	items := []object{}
	for _, o := range s.objects {
		if q.selects(o) {
			items = append(items, o)
		}
	}
	version := strconv.Itoa(s.version)
	s.mu.Unlock()
	kind := kinds[q.resource]
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"apiVersion": kind.GroupVersion().String(), "kind": kind.Kind + "List", "metadata": map[string]string{"resourceVersion": version}, "items": items})
}

func (s *Server) watch(w http.ResponseWriter, r *http.Request, q query) {
	from, err := strconv.Atoi(r.FormValue("resourceVersion"))
	s.mu.Lock()
	epoch, expired := s.epoch, from < s.oldest
	s.mu.Unlock()
	if err != nil || expired {
		refuse(w, http.StatusGone, "too old resource version")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	for {
		s.mu.Lock()
		var pending []event
		for _, e := range s.events {
			if e.version > from && q.selects(e.object) {
				pending = append(pending, e)
			}
		}
		from = max(from, s.version)
		news, over := s.news, s.epoch != epoch
		s.mu.Unlock()
		for _, e := range pending {
			json.NewEncoder(w).Encode(map[string]any{"type": e.kind, "object": e.object})
		}
		w.(http.Flusher).Flush()
		if over {
			return
		}
		select {
		case <-news:
		case <-r.Context().Done():
			return
		}
	}
}
