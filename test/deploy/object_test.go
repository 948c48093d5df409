package deploy

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	yamlstream "k8s.io/apimachinery/pkg/util/yaml"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/yaml"
)

// object is one Kubernetes object: its fields as they were written, and as the type of its kind.
type object struct {
	source string // the file that it is from
	fields map[string]any
	typed  metav1.Object
}

func (o object) kind() string { return o.fields["kind"].(string) }

func (o object) id() string {
	return o.kind() + " " + strings.TrimPrefix(o.typed.GetNamespace()+"/"+o.typed.GetName(), "/")
}

// kinds are all that deploy/ may have, custom resources too: their types are those of the programs that read them.
var kinds = map[string]func() metav1.Object{
	"v1/ConfigMap":                                    func() metav1.Object { return &corev1.ConfigMap{} },
	"v1/Namespace":                                    func() metav1.Object { return &corev1.Namespace{} },
	"v1/Pod":                                          func() metav1.Object { return &corev1.Pod{} },
	"v1/Secret":                                       func() metav1.Object { return &corev1.Secret{} },
	"v1/Service":                                      func() metav1.Object { return &corev1.Service{} },
	"v1/ServiceAccount":                               func() metav1.Object { return &corev1.ServiceAccount{} },
	"v1/PersistentVolumeClaim":                        func() metav1.Object { return &corev1.PersistentVolumeClaim{} },
	"apps/v1/Deployment":                              func() metav1.Object { return &appsv1.Deployment{} },
	"autoscaling/v2/HorizontalPodAutoscaler":          func() metav1.Object { return &autoscalingv2.HorizontalPodAutoscaler{} },
	"networking.k8s.io/v1/NetworkPolicy":              func() metav1.Object { return &networkingv1.NetworkPolicy{} },
	"policy/v1/PodDisruptionBudget":                   func() metav1.Object { return &policyv1.PodDisruptionBudget{} },
	"rbac.authorization.k8s.io/v1/Role":               func() metav1.Object { return &rbacv1.Role{} },
	"rbac.authorization.k8s.io/v1/RoleBinding":        func() metav1.Object { return &rbacv1.RoleBinding{} },
	"rbac.authorization.k8s.io/v1/ClusterRole":        func() metav1.Object { return &rbacv1.ClusterRole{} },
	"rbac.authorization.k8s.io/v1/ClusterRoleBinding": func() metav1.Object { return &rbacv1.ClusterRoleBinding{} },
	"apiregistration.k8s.io/v1/APIService":            func() metav1.Object { return &apiregistrationv1.APIService{} },
	"monitoring.coreos.com/v1/ServiceMonitor":         func() metav1.Object { return &monitoringv1.ServiceMonitor{} },
	"monitoring.coreos.com/v1/PodMonitor":             func() metav1.Object { return &monitoringv1.PodMonitor{} },
	"monitoring.coreos.com/v1/PrometheusRule":         func() metav1.Object { return &monitoringv1.PrometheusRule{} },
	"keda.sh/v1alpha1/ScaledObject":                   func() metav1.Object { return &kedav1alpha1.ScaledObject{} },
	"cert-manager.io/v1/Certificate":                  func() metav1.Object { return &certmanagerv1.Certificate{} },
}

// parseObjects reads a stream of YAML documents strictly: unknown and repeated fields are errors.
func parseObjects(t *testing.T, source string, data []byte) []object {
	t.Helper()
	var objects []object
	docs := yamlstream.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		var fields map[string]any
		if err := yaml.UnmarshalStrict(doc, &fields); err != nil {
			t.Fatalf("%s: %v\n%s", source, err, doc)
		}
		if len(fields) > 0 { // a template may have left nothing but comments
			objects = append(objects, object{source, fields, parseTyped(t, source, doc, fields)})
		}
	}
}

func parseTyped(t *testing.T, source string, doc []byte, fields map[string]any) metav1.Object {
	t.Helper()
	apiVersion, _ := fields["apiVersion"].(string)
	kind, _ := fields["kind"].(string)
	make, ok := kinds[apiVersion+"/"+kind]
	if !ok {
		t.Fatalf("%s: no kind is known as %s/%s", source, apiVersion, kind)
	}
	o := make()
	if err := yaml.UnmarshalStrict(doc, o); err != nil {
		t.Fatalf("%s: this is no %s: %v\n%s", source, kind, err, doc)
	}
	return o
}

func sortObjects(objects []object) {
	slices.SortFunc(objects, func(a, b object) int { return cmp.Compare(a.id(), b.id()) })
}

func find(t *testing.T, objects []object, kind, name string) object {
	t.Helper()
	for _, o := range objects {
		if o.kind() == kind && o.typed.GetName() == name {
			return o
		}
	}
	t.Fatalf("there is no %s %s", kind, name)
	return object{}
}

// all returns the objects of one type.
func all[T metav1.Object](objects []object) []T {
	var list []T
	for _, o := range objects {
		if typed, ok := o.typed.(T); ok {
			list = append(list, typed)
		}
	}
	return list
}
