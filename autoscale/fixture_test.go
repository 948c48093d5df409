package autoscale

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/penstock/penstock/config"
)

func TestMain(m *testing.M) {
	// After a refusal net/http's server holds a connection that it has closed for half a second, which is longer than goleak looks.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// patience bounds how long a test waits for something that should happen soon.
const patience = 20 * time.Second

// fast is how often a server in a test does things.
var fast = times{
	poll: 10 * time.Millisecond, keep: 10 * time.Millisecond, files: 10 * time.Millisecond,
	register: 10 * time.Millisecond, frontProxy: 10 * time.Millisecond, active: 10 * time.Millisecond,
}

// testCA is an authority of a test, and makes client certificates.
type testCA struct{ signer }

func newTestCA(t testing.TB) testCA {
	t.Helper()
	s, err := newSigner(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return testCA{s}
}

// client is a certificate for a client of that name.
func (ca testCA) client(t testing.TB, name string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c, err := sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, ca.certificate, key.Public(), ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: key}
}

func (ca testCA) pem() string { return string(pemCertificate(ca.certificate)) }

// frontProxyMap is the ConfigMap of a cluster whose front proxy has a certificate of ca with one of the names; none are any.
func frontProxyMap(ca testCA, names ...string) *corev1.ConfigMap {
	list, _ := json.Marshal(append([]string{}, names...))
	return &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{Name: authenticationConfigMap, Namespace: authenticationNamespace},
		Data:       map[string]string{proxyAuthorities: ca.pem(), proxyNames: string(list)}}
}

// replica is a server in a test, and what its gateway would tell it.
type replica struct {
	*Server
	t       testing.TB
	cluster *cluster
	front   *tls.Certificate
	logs    *logRecorder

	mu       sync.Mutex
	loads    []Load
	unsynced bool
	counted  map[string]int // answers, by API and status
}

// fleet is a cluster and who may ask in it.
type fleet struct {
	*cluster
	ca    testCA
	front *tls.Certificate
}

func newFleet(t testing.TB) *fleet {
	ca := newTestCA(t)
	return &fleet{newCluster(t, frontProxyMap(ca, "front-proxy-client")), ca, ca.client(t, "front-proxy-client")}
}

// start starts a replica and lists it as one that serves. It has the pool llama of Service models/llama-8b and the pool files without a
// Service, each with so many outstanding requests.
func (f *fleet) start(outstanding int64) *replica {
	f.t.Helper()
	r := f.startUnlisted(outstanding)
	f.list(r, true)
	return r
}

func (f *fleet) startUnlisted(outstanding int64, change ...func(*Options)) *replica {
	f.t.Helper()
	r := &replica{t: f.t, cluster: f.cluster, front: f.front, logs: newLogRecorder(), counted: make(map[string]int)}
	r.set(outstanding)
	o := Options{
		Config: config.Autoscale{Listen: "127.0.0.1:0", Namespace: "penstock", ServiceName: "penstock-autoscale", PeersName: "penstock-replicas",
			SecretName: "penstock-autoscale", KEDA: "127.0.0.1:0"},
		Kube: f.client(), Version: "test", Logger: slog.New(r.logs), times: fast,
		Loads:  func() []Load { r.mu.Lock(); defer r.mu.Unlock(); return append([]Load(nil), r.loads...) },
		Synced: func() bool { r.mu.Lock(); defer r.mu.Unlock(); return !r.unsynced },
		Requested: func(api, code string) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.counted[api+" "+code]++
		},
	}
	for _, c := range change {
		c(&o)
	}
	s, err := Start(o)
	if err != nil {
		f.t.Fatal(err)
	}
	r.Server = s
	f.t.Cleanup(s.Close)
	return r
}

// list lists a replica.
func (f *fleet) list(r *replica, serving bool) {
	f.slices.Set(sliceOf(r, serving))
}

func (f *fleet) delist(r *replica) { f.slices.Delete(sliceOf(r, true)) }

func (r *replica) set(outstanding int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loads = []Load{
		{Pool: "llama", Namespace: "models", Service: "llama-8b", Outstanding: outstanding, Queued: outstanding / 2, Tokens: outstanding * 1000, KVCache: 1.25, KVCacheKnown: true},
		{Pool: "files", Outstanding: outstanding * 10},
	}
}

// get asks as the API server.
func (r *replica) get(path string) (int, string) {
	r.t.Helper()
	return r.getAs(r.front, path)
}

// getAs asks with a client certificate, or without.
func (r *replica) getAs(certificate *tls.Certificate, path string) (int, string) {
	r.t.Helper()
	code, body, err := r.tryGet(certificate, path)
	if err != nil {
		r.t.Fatal(err)
	}
	return code, body
}

func (r *replica) tryGet(certificate *tls.Certificate, path string) (int, string, error) {
	id := r.ids.Load()
	if id == nil {
		return 0, "", errNoCertificate
	}
	c := &tls.Config{RootCAs: id.authorities, ServerName: "penstock-autoscale.penstock.svc"}
	if certificate != nil {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	transport := &http.Transport{TLSClientConfig: c, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport, Timeout: patience}).Get("https://" + r.Addr().String() + path)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// outstanding is the metric of the pool llama as the API server gets it: the value, or the status and the message.
func (r *replica) outstanding() string {
	code, body, err := r.tryGet(r.front, externalPath+"/namespaces/models/penstock_outstanding_requests?labelSelector=pool%3Dllama")
	if err != nil {
		return err.Error()
	}
	var answer struct {
		Message string
		Items   []struct{ Value string }
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return err.Error() + ": " + body
	}
	if code != http.StatusOK || len(answer.Items) != 1 {
		return fmt.Sprintf("%d %s", code, answer.Message)
	}
	return answer.Items[0].Value
}

// awaitOutstanding waits until the metric, or the message, has the text in it.
func (r *replica) awaitOutstanding(want string) {
	r.t.Helper()
	got := ""
	await(r.t, func() bool { got = r.outstanding(); return got == want || len(want) > 4 && strings.Contains(got, want) },
		func() string { return "the metric is " + got + ", want " + want })
}

// count is how many answers of an API had the status.
func (r *replica) count(what string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counted[what]
}

// await waits until something is so that no event tells of: that somebody else has seen a change.
func await(t testing.TB, is func() bool, otherwise func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for !is() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatal(otherwise())
		}
	}
}

// logRecorder keeps what is logged.
type logRecorder struct {
	mu    sync.Mutex
	lines []string
}

func newLogRecorder() *logRecorder { return new(logRecorder) }

func (r *logRecorder) Enabled(context.Context, slog.Level) bool { return true }
func (r *logRecorder) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *logRecorder) WithGroup(string) slog.Handler            { return r }

func (r *logRecorder) Handle(_ context.Context, record slog.Record) error {
	line := record.Message
	record.Attrs(func(a slog.Attr) bool { line += fmt.Sprintf(" %s=%v", a.Key, a.Value); return true })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
	return nil
}

func (r *logRecorder) count(text string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.lines {
		if strings.Contains(l, text) {
			n++
		}
	}
	return n
}

func (r *logRecorder) await(t testing.TB, text string) {
	t.Helper()
	await(t, func() bool { return r.count(text) > 0 }, func() string {
		r.mu.Lock()
		defer r.mu.Unlock()
		return "not logged: " + text + "; the log is:\n" + strings.Join(r.lines, "\n")
	})
}
