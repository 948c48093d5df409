package deploy

import (
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/fake"
)

// apiServices is a cluster that has the APIServices, by name, of the Services NAMESPACE/NAME.
type apiServices map[string]string

var _ engine.ClientProvider = apiServices(nil)

func (a apiServices) GetClientFor(_, _ string) (dynamic.NamespaceableResourceInterface, bool, error) {
	resource := schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}
	var there []runtime.Object
	for name, service := range a {
		spec := map[string]any{}
		if namespace, service, ok := strings.Cut(service, "/"); ok {
			spec["service"] = map[string]any{"namespace": namespace, "name": service}
		}
		there = append(there, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": map[string]any{"name": name}, "spec": spec,
		}})
	}
	lists := map[schema.GroupVersionResource]string{resource: "APIServiceList"}
	return fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), lists, there...).Resource(resource), false, nil
}

// TestForeignAPIService checks that an APIService of another server is not taken.
func TestForeignAPIService(t *testing.T) {
	const external, custom = "v1beta1.external.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io"
	for _, test := range []struct {
		name, values string
		cluster      apiServices
		want         string // a part of the error, or empty
	}{
		{"none there", "autoscale", apiServices{}, ""},
		{"own", "autoscale", apiServices{external: "penstock/penstock-autoscale", custom: "penstock/penstock-autoscale"}, ""},
		{"KEDA's", "autoscale", apiServices{external: "keda/keda-operator-metrics-apiserver"},
			"cannot take the APIService " + external + ": it belongs to the Service keda/keda-operator-metrics-apiserver, and a cluster has one server for it; " +
				"set autoscale.externalMetrics to false"},
		{"of another release", "autoscale", apiServices{external: "other/penstock-autoscale"}, "it belongs to the Service other/penstock-autoscale"},
		{"custom metrics of the adapter", "autoscale", apiServices{custom: "monitoring/prometheus-adapter"}, "set autoscale.customMetrics to false"},
		{"built in", "autoscale", apiServices{external: ""}, "cannot take the APIService " + external},
		{"KEDA's, which stays", "keda", apiServices{external: "keda/keda-operator-metrics-apiserver"}, ""},
		{"not wanted", "default", apiServices{external: "keda/keda-operator-metrics-apiserver"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := render(t, values(t, read(t, "testdata/values/"+test.values+".yaml")), test.cluster)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v\nwant %q", err, test.want)
			}
		})
	}
}
