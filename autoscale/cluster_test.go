package autoscale

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/penstock/penstock/discovery/kube"
	"github.com/penstock/penstock/discovery/kube/kubetest"
)

// cluster is an API server for the few kinds that are read and written here, with resource versions that are checked.
type cluster struct {
	t      testing.TB
	server *httptest.Server
	slices *kubetest.Server // has the EndpointSlices

	mu          sync.Mutex
	down        bool
	version     int
	secret      *corev1.Secret
	front       *corev1.ConfigMap
	apiServices map[string]map[string]any // spec by name
	versions    map[string]string         // of APIServices
	writes      []string                  // what was written, in order
	beforeWrite func(*cluster)            // called once, before the next write of the Secret, with the lock held
}

// newCluster has a Service of all replicas, an empty Secret, both APIServices of the gateway's Service, and a front proxy.
func newCluster(t testing.TB, front *corev1.ConfigMap) *cluster {
	c := &cluster{
		t:      t,
		front:  front,
		slices: kubetest.New(t),
		secret: &corev1.Secret{TypeMeta: metav1.TypeMeta{Kind: "Secret", APIVersion: "v1"},
			ObjectMeta: metav1.ObjectMeta{Name: "penstock-autoscale", Namespace: "penstock", ResourceVersion: "1"}},
		apiServices: make(map[string]map[string]any),
		versions:    make(map[string]string),
		version:     1,
	}
	c.register("v1beta1.external.metrics.k8s.io", "penstock", "penstock-autoscale")
	c.register("v1beta2.custom.metrics.k8s.io", "penstock", "penstock-autoscale")
	c.slices.Set(sliceOfService())
	c.server = httptest.NewServer(c)
	t.Cleanup(c.server.Close)
	return c
}

func (c *cluster) client() *kube.Client {
	c.t.Helper()
	client, err := kube.NewClient(&rest.Config{Host: c.server.URL, QPS: -1})
	if err != nil {
		c.t.Fatal(err)
	}
	client.Discovery = c.slices.Client().Discovery
	return client
}

// setDown has the API server answer with errors, or as it should.
func (c *cluster) setDown(down bool) {
	c.do(func() { c.down = down })
	status := 0
	if down {
		status = http.StatusInternalServerError
	}
	c.slices.Refuse("endpointslices", status)
}

func (c *cluster) do(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

func (c *cluster) next() string {
	c.version++
	return strconv.Itoa(c.version)
}

// register makes an APIService; without a service it is one of the API server itself.
func (c *cluster) register(name, namespace, service string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.versions[name] = c.next()
	c.apiServices[name] = map[string]any{}
	if service != "" {
		c.apiServices[name]["service"] = map[string]any{"namespace": namespace, "name": service}
	}
}

func (c *cluster) caBundle(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text, _ := c.apiServices[name]["caBundle"].(string)
	return text
}

func (c *cluster) written(what string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.writes {
		if strings.HasPrefix(w, what) {
			n++
		}
	}
	return n
}

var codecs = func() serializer.CodecFactory {
	s := runtime.NewScheme()
	if corev1.AddToScheme(s) != nil {
		panic("BUG: no scheme")
	}
	return serializer.NewCodecFactory(s)
}()

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down {
		c.refuse(w, http.StatusInternalServerError, "InternalError", "etcd is away")
		return
	}
	apiService, isAPIService := strings.CutPrefix(r.URL.Path, "/apis/apiregistration.k8s.io/v1/apiservices/")
	switch {
	case isAPIService:
		c.serveAPIService(w, r, apiService, body)
	case r.URL.Path == "/api/v1/namespaces/penstock/secrets/penstock-autoscale" && c.secret != nil:
		c.serveSecret(w, r, body)
	case r.URL.Path == "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication" && c.front != nil:
		c.write(w, c.front)
	default:
		c.refuse(w, http.StatusNotFound, "NotFound", "there is no "+r.URL.Path)
	}
}

// sliceNamed is an EndpointSlice of the Service of all replicas.
func sliceNamed(name string) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4, ObjectMeta: metav1.ObjectMeta{
		Namespace: "penstock", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: "penstock-replicas"},
	}}
}

// sliceOfService is the one that every Service has, be it without pods.
func sliceOfService() *discoveryv1.EndpointSlice { return sliceNamed("penstock-replicas") }

// sliceOf is the one of a replica.
func sliceOf(r *replica, serving bool) *discoveryv1.EndpointSlice {
	host, text, _ := net.SplitHostPort(r.Addr().String())
	n, _ := strconv.Atoi(text)
	s := sliceNamed("penstock-replicas-" + text)
	s.Ports = []discoveryv1.EndpointPort{{Name: new(portName), Port: new(int32(n))}}
	s.Endpoints = []discoveryv1.Endpoint{{
		Addresses:  []string{host},
		Conditions: discoveryv1.EndpointConditions{Ready: new(true), Serving: &serving}, // as the Service publishes addresses that are not ready
		TargetRef:  &corev1.ObjectReference{Kind: "Pod", UID: types.UID("uid-" + r.instance)},
	}}
	return s
}

func (c *cluster) serveSecret(w http.ResponseWriter, r *http.Request, body []byte) {
	if r.Method == http.MethodGet {
		c.write(w, c.secret)
		return
	}
	if before := c.beforeWrite; before != nil {
		c.beforeWrite = nil
		before(c)
	}
	s := new(corev1.Secret)
	if _, _, err := codecs.UniversalDeserializer().Decode(body, nil, s); err != nil {
		c.t.Errorf("a Secret that cannot be read is written: %v", err)
	}
	if s.ResourceVersion != c.secret.ResourceVersion {
		c.refuse(w, http.StatusConflict, "Conflict", "the object has been modified")
		return
	}
	s.TypeMeta, s.ResourceVersion = c.secret.TypeMeta, c.next()
	c.secret = s
	c.writes = append(c.writes, "secret")
	c.write(w, s)
}

func (c *cluster) serveAPIService(w http.ResponseWriter, r *http.Request, name string, body []byte) {
	spec := c.apiServices[name]
	if spec == nil {
		c.refuse(w, http.StatusNotFound, "NotFound", "there is no APIService "+name)
		return
	}
	if r.Method == http.MethodPatch {
		var patch struct {
			Metadata struct {
				ResourceVersion string `json:"resourceVersion"`
			} `json:"metadata"`
			Spec map[string]any `json:"spec"`
		}
		d := json.NewDecoder(bytes.NewReader(body))
		if err := d.Decode(&patch); err != nil || r.Header.Get("Content-Type") != "application/merge-patch+json" {
			c.t.Errorf("an APIService is patched by %s (%s): %v", body, r.Header.Get("Content-Type"), err)
		}
		if patch.Metadata.ResourceVersion != c.versions[name] {
			c.refuse(w, http.StatusConflict, "Conflict", "the object has been modified")
			return
		}
		for k, v := range patch.Spec {
			spec[k] = v
		}
		c.versions[name] = c.next()
		c.writes = append(c.writes, "apiservice "+name)
	}
	c.write(w, map[string]any{"kind": "APIService", "apiVersion": "apiregistration.k8s.io/v1",
		"metadata": map[string]any{"name": name, "resourceVersion": c.versions[name]}, "spec": spec})
}

func (c *cluster) write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		c.t.Errorf("cannot write %T: %v", v, err)
	}
}

func (c *cluster) refuse(w http.ResponseWriter, code int, reason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"message":%q,"code":%d}`, reason, message, code)
}
