package autoscale

import (
	"fmt"
	"log"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	custommetrics "k8s.io/metrics/pkg/apis/custom_metrics/v1beta2"
	externalmetrics "k8s.io/metrics/pkg/apis/external_metrics/v1beta1"
)

const (
	// requestTimeout bounds a request and an answer, both of which are small.
	requestTimeout = 10 * time.Second
	// idleTimeout is longer than the time between two questions of an HPA.
	idleTimeout = 2 * time.Minute
)

func (s *Server) newHTTPServer() *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &http.Server{
		Handler:           s.paths(),
		ConnContext:       withCaller,
		TLSConfig:         s.ids.server(),
		Protocols:         protocols,
		ReadHeaderTimeout: requestTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      requestTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log.New(debugLines{s.logger}, "", 0),
	}
}

// debugLines takes the lines that the standard library logs: of handshakes that fail, mostly, which is somebody else's trouble.
type debugLines struct{ logger *slog.Logger }

// Write logs a line.
func (l debugLines) Write(line []byte) (int, error) {
	l.logger.Debug("metrics APIs: " + strings.TrimSpace(string(line)))
	return len(line), nil
}

const (
	externalPath = "/apis/" + externalGroup + "/" + externalVersion
	customPath   = "/apis/" + customGroup + "/" + customVersion
)

// paths are the paths of the port.
func (s *Server) paths() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", s.serveLive)
	mux.HandleFunc("/readyz", s.serveReady)
	mux.Handle(loadPath, s.json("load", s.fromReplica, s.serveLoad))
	mux.Handle("/apis", s.json("discovery", s.fromAPIServer, serveGroups))
	mux.Handle("/apis/"+externalGroup, s.json("discovery", s.fromAPIServer, serveGroup(externalGroup, externalVersion)))
	mux.Handle("/apis/"+customGroup, s.json("discovery", s.fromAPIServer, serveGroup(customGroup, customVersion)))
	mux.Handle(externalPath, s.json("discovery", s.fromAPIServer, serveExternalResources))
	mux.Handle(customPath, s.json("discovery", s.fromAPIServer, serveCustomResources))
	mux.Handle("/openapi/v2", s.json("discovery", s.fromAPIServer, serveOpenAPI2))
	mux.Handle("/openapi/v3", s.json("discovery", s.fromAPIServer, serveOpenAPI3))
	mux.Handle(externalPath+"/namespaces/{namespace}/{metric}", s.json("external", s.fromAPIServer, s.serveExternal))
	mux.Handle(customPath+"/namespaces/{namespace}/services/{service}/{metric}", s.json("custom", s.fromAPIServer, s.serveCustom))
	mux.Handle("/", s.json("other", s.fromAPIServer, serveNothing))
	return mux
}

// APIs are the values of the label api of answers that are counted; that of KEDA's port is counted by gRPC's codes.
var APIs = []string{"external", "custom", "discovery", "load", "other", "keda"}

// json answers what may be asked, and counts the answer.
func (s *Server) json(api string, may func(*http.Request) error, answer func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var value any
		err := may(r)
		if err != nil {
			// Who asks may have another certificate by now, which takes another connection to be seen.
			w.Header().Set("Connection", "close")
		} else {
			recognise(r.Context())
		}
		if err == nil && r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			err = &refusal{http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "only GET is answered here"}
		}
		if err == nil {
			value, err = answer(r)
		}
		s.options.Requested(api, strconv.Itoa(writeJSON(w, value, err)))
	})
}

func (s *Server) fromAPIServer(r *http.Request) error { return s.frontProxies.check(r.TLS) }

func (s *Server) fromReplica(r *http.Request) error {
	if err := s.ids.checkPeer(r.TLS); err != nil {
		return &refusal{http.StatusUnauthorized, metav1.StatusReasonUnauthorized,
			"only replicas of the gateway are answered, by the certificate that they all have: " + err.Error()}
	}
	return nil
}

func (s *Server) serveLive(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }

// serveReady says whether the API server can be answered with numbers, and if not what is missing.
func (s *Server) serveReady(w http.ResponseWriter, _ *http.Request) {
	if err := s.Ready(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func serveNothing(r *http.Request) (any, error) {
	if strings.HasPrefix(r.URL.Path, customPath+"/") {
		return nil, notFound("there are only metrics of Services here: " + customPath + "/namespaces/NAMESPACE/services/NAME/METRIC")
	}
	return nil, notFound("there is nothing here but " + externalPath + " and " + customPath)
}

// The descriptions of the API are empty, as those of other metrics APIs are. Without them the API server logs an error every minute.

func serveOpenAPI2(*http.Request) (any, error) {
	return map[string]any{"swagger": "2.0", "info": map[string]any{"title": "penstock", "version": "v1"}, "paths": map[string]any{}}, nil
}

func serveOpenAPI3(*http.Request) (any, error) { return map[string]any{"paths": map[string]any{}}, nil }

func serveGroups(*http.Request) (any, error) {
	list := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
	list.Groups = []metav1.APIGroup{apiGroup(externalGroup, externalVersion), apiGroup(customGroup, customVersion)}
	return list, nil
}

func serveGroup(name, version string) func(*http.Request) (any, error) {
	return func(*http.Request) (any, error) {
		g := apiGroup(name, version)
		g.TypeMeta = metav1.TypeMeta{Kind: "APIGroup", APIVersion: "v1"}
		return g, nil
	}
}

func apiGroup(name, version string) metav1.APIGroup {
	v := metav1.GroupVersionForDiscovery{GroupVersion: name + "/" + version, Version: version}
	return metav1.APIGroup{Name: name, Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v}
}

func serveExternalResources(*http.Request) (any, error) {
	return resources(externalGroup+"/"+externalVersion, "", "ExternalMetricValueList"), nil
}

func serveCustomResources(*http.Request) (any, error) {
	return resources(customGroup+"/"+customVersion, "services/", "MetricValueList"), nil
}

func resources(groupVersion, prefix, kind string) metav1.APIResourceList {
	list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: groupVersion}
	for _, name := range Metrics {
		list.APIResources = append(list.APIResources, metav1.APIResource{Name: prefix + name, Namespaced: true, Kind: kind, Verbs: metav1.Verbs{"get"}})
	}
	return list
}

// serveExternal answers with an item for each pool. An HPA adds them up.
func (s *Server) serveExternal(r *http.Request) (any, error) {
	all, err := s.answers.external(r.PathValue("namespace"), r.PathValue("metric"), r.URL.Query().Get("labelSelector"))
	if err != nil {
		return nil, err
	}
	now := metav1.NewTime(s.now())
	list := externalmetrics.ExternalMetricValueList{TypeMeta: metav1.TypeMeta{Kind: "ExternalMetricValueList", APIVersion: externalGroup + "/" + externalVersion}}
	for _, v := range all {
		list.Items = append(list.Items, externalmetrics.ExternalMetricValue{
			MetricName: r.PathValue("metric"), MetricLabels: v.labels(), Timestamp: now, Value: quantity(v.value),
		})
	}
	return list, nil
}

// serveCustom answers with an item for each Service. Which labels Services have is not known here.
func (s *Server) serveCustom(r *http.Request) (any, error) {
	query := r.URL.Query()
	if query.Get("labelSelector") != "" {
		return nil, badRequest("Services are not selected by their labels here: name the Service; metricLabelSelector chooses one of several pools of it")
	}
	selector := query.Get("metricLabelSelector")
	all, err := s.answers.custom(r.PathValue("namespace"), r.PathValue("service"), r.PathValue("metric"), selector)
	if err != nil {
		return nil, err
	}
	identifier := custommetrics.MetricIdentifier{Name: r.PathValue("metric")}
	if selector != "" {
		identifier.Selector, err = metav1.ParseToLabelSelector(selector)
		if err != nil {
			return nil, badRequest(fmt.Sprintf("cannot read the metric's label selector: %s", clip(err.Error())))
		}
	}
	now := metav1.NewTime(s.now())
	list := custommetrics.MetricValueList{TypeMeta: metav1.TypeMeta{Kind: "MetricValueList", APIVersion: customGroup + "/" + customVersion}}
	for _, v := range all {
		list.Items = append(list.Items, custommetrics.MetricValue{
			DescribedObject: corev1.ObjectReference{Kind: "Service", APIVersion: "v1", Namespace: v.Namespace, Name: v.Service},
			Metric:          identifier, Timestamp: now, Value: quantity(v.value),
		})
	}
	return list, nil
}

// quantity writes a value to the thousandth.
func quantity(v float64) resource.Quantity {
	return *resource.NewMilliQuantity(int64(math.Round(min(v, math.MaxInt64/2048)*1000)), resource.DecimalSI)
}

// serveLoad answers another replica with the numbers of this one alone.
func (s *Server) serveLoad(*http.Request) (any, error) {
	own := s.answers.own()
	r := report{Instance: s.instance, Version: s.options.Version, Synced: s.options.Synced(), Pools: make(map[string]numbers, len(own))}
	for i := range own {
		r.Pools[own[i].Pool] = own[i].numbers()
	}
	return r, nil
}
