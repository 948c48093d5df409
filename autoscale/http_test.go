package autoscale

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
	custommetrics "k8s.io/metrics/pkg/apis/custom_metrics/v1beta2"
	externalmetrics "k8s.io/metrics/pkg/apis/external_metrics/v1beta1"
)

// metricsClient asks the replica as the HPA controller's clients do, which would rather have protobuf, without an API server between.
func (r *replica) metricsClient(group schema.GroupVersion) *rest.RESTClient {
	r.t.Helper()
	key, err := pemKey(r.front.PrivateKey.(crypto.Signer))
	if err != nil {
		r.t.Fatal(err)
	}
	kinds := runtime.NewScheme()
	metav1.AddToGroupVersion(kinds, group)
	if err := errors.Join(externalmetrics.AddToScheme(kinds), custommetrics.AddToScheme(kinds)); err != nil {
		r.t.Fatal(err)
	}
	client, err := rest.RESTClientFor(&rest.Config{
		Host: "https://" + r.Addr().String(), APIPath: "/apis",
		ContentConfig: rest.ContentConfig{
			GroupVersion: &group, NegotiatedSerializer: serializer.NewCodecFactory(kinds).WithoutConversion(),
			AcceptContentTypes: "application/vnd.kubernetes.protobuf,application/json", ContentType: "application/vnd.kubernetes.protobuf",
		},
		TLSClientConfig: rest.TLSClientConfig{
			ServerName: "penstock-autoscale.penstock.svc", CAData: r.ids.Load().bundle, KeyData: key,
			CertData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.front.Certificate[0]}),
		},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { utilnet.CloseIdleConnectionsFor(client.Client.Transport) })
	return client
}

// TestExternalMetrics reads metrics as an HPA does that has a metric of type External.
func TestExternalMetrics(t *testing.T) {
	f := newFleet(t)
	a, b := f.start(3), f.start(4)
	a.awaitOutstanding("7")
	b.awaitOutstanding("7")
	client := a.metricsClient(externalmetrics.SchemeGroupVersion)
	for _, q := range []struct {
		namespace, metric, selector, want string
	}{
		{"models", "penstock_outstanding_requests", "", "llama=7 map[namespace:models pool:llama service:llama-8b]"},
		{"models", "penstock_queue_depth", "pool in (llama, other)", "llama=3 map[namespace:models pool:llama service:llama-8b]"},
		{"models", "penstock_outstanding_tokens", "service=llama-8b", "llama=7k map[namespace:models pool:llama service:llama-8b]"},
		{"models", "penstock_kv_cache_utilization", "pool=llama", "llama=1250m map[namespace:models pool:llama service:llama-8b]"},
		{"penstock", "penstock_outstanding_requests", "!service", "files=70 map[namespace:penstock pool:files]"},
	} {
		list := new(externalmetrics.ExternalMetricValueList)
		err := client.Get().Namespace(q.namespace).Resource(q.metric).Param("labelSelector", q.selector).Do(context.Background()).Into(list)
		if err != nil {
			t.Errorf("%+v: %v", q, err)
			continue
		}
		got := ""
		for _, i := range list.Items {
			got += fmt.Sprintf("%s=%s %v", i.MetricLabels["pool"], i.Value.String(), i.MetricLabels)
			if age := time.Since(i.Timestamp.Time); age < -time.Second || age > time.Minute || i.MetricName != q.metric {
				t.Errorf("%+v: %s of %v", q, i.MetricName, i.Timestamp)
			}
		}
		if got != q.want {
			t.Errorf("%+v: got %s", q, got)
		}
	}
	err := client.Get().Namespace("models").Resource("queue").Do(context.Background()).Error()
	if !apierrors.IsNotFound(err) || !strings.Contains(err.Error(), `there is no metric "queue"`) {
		t.Errorf("a metric that there is not: %v", err)
	}
}

// TestCustomMetrics reads metrics as an HPA does that has a metric of type Object.
func TestCustomMetrics(t *testing.T) {
	f := newFleet(t)
	a := f.start(7)
	a.awaitOutstanding("7")
	client := a.metricsClient(custommetrics.SchemeGroupVersion)
	get := func(service, metric, selector string) (*custommetrics.MetricValueList, error) {
		list := new(custommetrics.MetricValueList)
		return list, client.Get().Namespace("models").Resource("services").Name(service).SubResource(metric).
			Param("metricLabelSelector", selector).Do(context.Background()).Into(list)
	}
	llama := corev1.ObjectReference{Kind: "Service", APIVersion: "v1", Namespace: "models", Name: "llama-8b"}
	list, err := get("llama-8b", "penstock_outstanding_requests", "")
	if err != nil || len(list.Items) != 1 || list.Items[0].Value.String() != "7" || list.Items[0].DescribedObject != llama {
		t.Errorf("of one Service: %+v %v", list, err)
	}
	list, err = get("llama-8b", "penstock_outstanding_requests", "pool=llama")
	if err != nil || len(list.Items) != 1 || list.Items[0].Metric.Selector == nil || list.Items[0].Metric.Selector.MatchLabels["pool"] != "llama" {
		t.Errorf("with a selector: %+v %v", list, err)
	}
	list, err = get("*", "penstock_queue_depth", "")
	if err != nil || len(list.Items) != 1 || list.Items[0].Value.String() != "3" || list.Items[0].Metric.Name != "penstock_queue_depth" {
		t.Errorf("of all Services: %+v %v", list, err)
	}
}

// TestServiceOfSeveralPools has two pools with the ports of one Service: their requests add up, and their KV caches are the same ones.
func TestServiceOfSeveralPools(t *testing.T) {
	f := newFleet(t)
	a := f.start(3)
	a.awaitOutstanding("3")
	a.mu.Lock()
	second := a.loads[0]
	second.Pool, second.Outstanding = "llama-grpc", 5
	a.loads = append(a.loads, second)
	a.mu.Unlock()
	for path, want := range map[string]string{
		"penstock_outstanding_requests":                                           "8",
		"penstock_outstanding_requests?metricLabelSelector=pool%3Dllama-grpc":     "5",
		"penstock_kv_cache_utilization":                                           "1250m",
		"penstock_outstanding_requests?metricLabelSelector=pool+in+(llama,other)": "3",
	} {
		code, body := a.get(customPath + "/namespaces/models/services/llama-8b/" + path)
		if list := new(custommetrics.MetricValueList); code != 200 || json.Unmarshal([]byte(body), list) != nil || len(list.Items) != 1 || list.Items[0].Value.String() != want {
			t.Errorf("%s: %d %s, want %s", path, code, body, want)
		}
	}
}

func TestDiscovery(t *testing.T) {
	f := newFleet(t)
	a := f.start(1)
	a.awaitOutstanding("1")
	for path, want := range map[string][]string{
		"/apis":                         {`"kind":"APIGroupList"`, `"name":"external.metrics.k8s.io"`, `"name":"custom.metrics.k8s.io"`},
		"/openapi/v2":                   {`"swagger":"2.0"`, `"paths":{}`},
		"/openapi/v3":                   {`{"paths":{}}`},
		"/apis/external.metrics.k8s.io": {`"kind":"APIGroup"`, `"groupVersion":"external.metrics.k8s.io/v1beta1"`, `"preferredVersion":{`},
		"/apis/custom.metrics.k8s.io":   {`"kind":"APIGroup"`, `"groupVersion":"custom.metrics.k8s.io/v1beta2"`},
		"/apis/custom.metrics.k8s.io/" + customVersion: {`"kind":"APIResourceList"`, `"name":"services/penstock_queue_depth"`, `"kind":"MetricValueList"`, `"namespaced":true`},
		externalPath: {`"kind":"APIResourceList"`, `{"name":"penstock_outstanding_requests","singularName":"","namespaced":true,"kind":"ExternalMetricValueList","verbs":["get"]}`},
	} {
		code, body := a.get(path)
		if code != 200 || !json.Valid([]byte(body)) {
			t.Errorf("%s: %d %s", path, code, body)
		}
		for _, w := range want {
			if !strings.Contains(body, w) {
				t.Errorf("%s: no %s in %s", path, w, body)
			}
		}
	}
}

// TestRefusals asks for what there is not, and as somebody who may not.
func TestRefusals(t *testing.T) {
	f := newFleet(t)
	a := f.start(1)
	a.awaitOutstanding("1")
	stranger := newTestCA(t)
	own := a.ids.Load().certificate
	const metric = externalPath + "/namespaces/models/penstock_queue_depth"
	none, front, wrongName, wrongCA, replicas := "none", "front", "wrong name", "wrong CA", "replica"
	ask := func(who, path string) (int, string, error) {
		switch who {
		case none:
			return a.tryGet(nil, path)
		case wrongName:
			return a.tryGet(f.ca.client(t, "somebody"), path)
		case wrongCA:
			return a.tryGet(stranger.client(t, "front-proxy-client"), path)
		case replicas:
			return a.tryGet(&own, path)
		}
		return a.tryGet(f.front, path)
	}
	for _, c := range []struct {
		who, path string
		code      int
		message   string
	}{
		{none, metric, 401, "only the cluster's API server is answered, by the client certificate of its front proxy, and there is no client certificate"},
		{wrongCA, metric, 401, "only the cluster's API server is answered, by the client certificate of its front proxy: x509: certificate signed by unknown authority"},
		{wrongName, metric, 403, `the client certificate is for "somebody", which requestheader-allowed-names does not list: front-proxy-client`},
		{replicas, metric, 401, "only the cluster's API server is answered"},
		{none, "/apis", 401, "no client certificate"},
		{none, "/", 401, "no client certificate"},
		{none, loadPath, 401, "only replicas of the gateway are answered, by the certificate that they all have: it shows no certificate"},
		{front, loadPath, 401, "only replicas of the gateway are answered, by the certificate that they all have: x509: "},
		{replicas, loadPath, 200, ""},
		{front, "/version", 404, "there is nothing here but /apis/external.metrics.k8s.io/v1beta1 and /apis/custom.metrics.k8s.io/v1beta2"},
		{front, customPath + "/namespaces/models/pods/x/penstock_queue_depth", 404, "there are only metrics of Services here: "},
		{front, externalPath + "/namespaces/models/queue", 404, `there is no metric "queue"; there are penstock_outstanding_requests, penstock_queue_depth, `},
		{front, externalPath + "/namespaces/other/penstock_queue_depth", 404, `no pool of namespace other is selected by ""; its pools are none. A pool is of its Service's namespace, or else of the gateway's`},
		{front, metric + "?labelSelector=pool%3Dlama", 404, `no pool of namespace models is selected by "pool=lama"; its pools are llama (service llama-8b).`},
		{front, metric + "?labelSelector=pool%3D%3D%3D", 400, "cannot read the label selector: "},
		{front, customPath + "/namespaces/models/services/lama/penstock_queue_depth", 404, `no pool has the Service models/lama and is selected by ""; the pools of the namespace are llama (service llama-8b)`},
		{front, customPath + "/namespaces/penstock/services/*/penstock_queue_depth", 404, "no pool has the Service penstock/*"},
		{front, customPath + "/namespaces/models/services/*/penstock_queue_depth?labelSelector=app%3Dx", 400, "Services are not selected by their labels here"},
		{front, customPath + "/namespaces/models/services/*/queue", 404, `there is no metric "queue"`},
		{front, customPath + "/namespaces/models/services/*/penstock_queue_depth?metricLabelSelector=(", 400, "cannot read the metric's label selector"},
	} {
		code, body, err := ask(c.who, c.path)
		if err != nil {
			t.Fatal(err)
		}
		if c.code == 200 {
			if code != 200 {
				t.Errorf("%s as %s: %d %s", c.path, c.who, code, body)
			}
			continue
		}
		s := new(metav1.Status)
		if err := json.Unmarshal([]byte(body), s); err != nil || s.Kind != "Status" || s.APIVersion != "v1" || s.Status != metav1.StatusFailure || s.Reason == "" {
			t.Errorf("%s as %s: %s is no Status", c.path, c.who, body)
		}
		if code != c.code || int(s.Code) != code || !strings.HasPrefix(s.Message, c.message) && !strings.HasSuffix(s.Message, c.message) {
			t.Errorf("%s as %s: got %d %s, want %d %s", c.path, c.who, code, s.Message, c.code, c.message)
		}
	}
	if a.count("external 401") != 3 || a.count("external 403") != 1 || a.count("other 404") < 2 || a.count("custom 400") != 2 {
		t.Errorf("answers are counted as %v", a.counted)
	}
	request, _ := http.NewRequestWithContext(context.Background(), http.MethodPost, metric, nil)
	w := recorded(a, request)
	if w.code != 401 { // who may not ask is not told more
		t.Errorf("POST: %d", w.code)
	}
}

type recording struct {
	header http.Header
	code   int
	body   []byte
}

func (r *recording) Header() http.Header         { return r.header }
func (r *recording) WriteHeader(code int)        { r.code = code }
func (r *recording) Write(p []byte) (int, error) { r.body = append(r.body, p...); return len(p), nil }

func recorded(a *replica, request *http.Request) *recording {
	w := &recording{header: make(http.Header), code: 200}
	a.http.Handler.ServeHTTP(w, request)
	return w
}

// TestFrontProxyRotation gives the API server a certificate of another authority, which is taken as soon as the ConfigMap has it.
func TestFrontProxyRotation(t *testing.T) {
	f := newFleet(t)
	a := f.start(1)
	a.awaitOutstanding("1")
	next := newTestCA(t)
	certificate := next.client(t, "aggregator")
	if code, _ := a.getAs(certificate, externalPath); code != 401 {
		t.Errorf("a stranger got %d", code)
	}
	f.do(func() { f.cluster.front = frontProxyMap(next) })
	await(t, func() bool { code, _ := a.getAs(certificate, externalPath); return code == 200 }, func() string { return "the new authority is not known" })
	if code, _ := a.get(externalPath); code != 401 {
		t.Errorf("the old authority got %d", code)
	}
	f.do(func() { f.cluster.front = nil })
	a.logs.await(t, "cannot read ConfigMap kube-system/extension-apiserver-authentication")
	if code, _ := a.getAs(certificate, externalPath); code != 200 {
		t.Errorf("what was known is forgotten: %d", code)
	}
}

// TestRotationOnAnOpenConnection has a client that keeps its connection, by either version of HTTP, while its certificate ends to be good: the
// refusal closes the connection, so that the next one shows the client's new certificate.
func TestRotationOnAnOpenConnection(t *testing.T) {
	f := newFleet(t)
	a := f.start(1)
	a.awaitOutstanding("1")
	certificate := f.front
	for _, isHTTP2 := range []bool{false, true} {
		transport := &http.Transport{ForceAttemptHTTP2: isHTTP2, TLSClientConfig: &tls.Config{
			RootCAs: a.ids.Load().authorities, ServerName: "penstock-autoscale.penstock.svc",
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil },
		}}
		get := func() int {
			t.Helper()
			response, err := (&http.Client{Transport: transport, Timeout: patience}).Get("https://" + a.Addr().String() + externalPath)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if (response.ProtoMajor == 2) != isHTTP2 {
				t.Errorf("got HTTP/%d", response.ProtoMajor)
			}
			io.Copy(io.Discard, response.Body)
			return response.StatusCode
		}
		if code := get(); code != 200 {
			t.Errorf("before: %d", code)
		}
		next := newTestCA(t)
		f.do(func() { f.cluster.front = frontProxyMap(next) })
		await(t, func() bool { return get() == 401 }, func() string { return "the old authority is still good" })
		certificate = next.client(t, "aggregator")
		await(t, func() bool { return get() == 200 }, func() string { return "the new certificate is not seen" })
		transport.CloseIdleConnections()
	}
}

func TestFrontProxyThatCannotBeRead(t *testing.T) {
	ca := newTestCA(t)
	for text, data := range map[string]map[string]string{
		"it has no certificate in requestheader-client-ca-file": {},
		"cannot read requestheader-allowed-names":               {proxyAuthorities: ca.pem(), proxyNames: "front-proxy-client"},
	} {
		if _, err := newFrontProxy(&corev1.ConfigMap{Data: data}); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("got %v, want %s", err, text)
		}
	}
	if p, err := newFrontProxy(&corev1.ConfigMap{Data: map[string]string{proxyAuthorities: ca.pem()}}); err != nil || len(p.names) != 0 {
		t.Errorf("any name: %+v %v", p, err)
	}
}

func TestQuantities(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 3: "3", 0.7: "700m", 1.23456: "1235m", 7000: "7k"} {
		if q := quantity(v); q.String() != want {
			t.Errorf("%v is %s, want %s", v, q.String(), want)
		}
	}
	if q := quantity(1e300); q.Sign() < 0 {
		t.Errorf("a number that is too large is %s", q.String())
	}
}

// FuzzPaths asks for anything as the API server: the answer is JSON, and a status that says what is wrong.
func FuzzPaths(f *testing.F) {
	for _, path := range []string{externalPath + "/namespaces/models/penstock_queue_depth", customPath + "/namespaces/models/services/*/penstock_queue_depth", "/apis", "/openapi/v2"} {
		f.Add(path, "labelSelector=pool%3Dllama&metricLabelSelector=pool+in+(a)")
	}
	fleet := newFleet(f)
	a := fleet.startUnlisted(1)
	a.awaitOutstanding("1")
	front, err := x509.ParseCertificate(fleet.front.Certificate[0])
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path, query string) {
		request, err := http.NewRequest(http.MethodGet, "https://x/", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.URL.Path, request.URL.RawQuery = "/"+strings.TrimPrefix(path, "/"), query
		w := &recording{header: make(http.Header), code: 200}
		request.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{front}}
		a.http.Handler.ServeHTTP(w, request)
		switch {
		case w.code/100 == 3: // the path is cleaned
		case request.URL.Path == "/healthz" || request.URL.Path == "/readyz" || request.URL.Path == loadPath:
		case w.code != 200 && w.code != 400 && w.code != 404 || !json.Valid(w.body):
			t.Errorf("%d %s", w.code, w.body)
		}
	})
}
