package deploy

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/penstock/penstock/config"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"k8s.io/utils/ptr"
)

type podTemplate corev1.PodTemplateSpec

func gatewayDeployment(t *testing.T, objects []object) *appsv1.Deployment {
	t.Helper()
	return find(t, objects, "Deployment", "penstock").typed.(*appsv1.Deployment)
}

func gatewayPod(t *testing.T, objects []object) podTemplate {
	t.Helper()
	return podTemplate(gatewayDeployment(t, objects).Spec.Template)
}

// pods are the pods that objects make, by the name of what makes them.
func pods(objects []object) map[string]podTemplate {
	found := make(map[string]podTemplate)
	for _, d := range all[*appsv1.Deployment](objects) {
		found[d.Name] = podTemplate(d.Spec.Template)
	}
	for _, p := range all[*corev1.Pod](objects) {
		found[p.Name] = podTemplate{ObjectMeta: p.ObjectMeta, Spec: p.Spec}
	}
	return found
}

func containerPort(t *testing.T, pod podTemplate, name string) string {
	t.Helper()
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			if p.Name == name {
				return strconv.Itoa(int(p.ContainerPort))
			}
		}
	}
	t.Fatalf("pod %s has no port %s", pod.Name, name)
	return ""
}

// checkSecurity checks pods against the restricted level of Kubernetes' pod security standards.
func checkSecurity(t *testing.T, objects []object) {
	t.Helper()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range pods(objects) {
		level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
		result := policy.AggregateCheckResults(evaluator.EvaluatePod(level, &p.ObjectMeta, &p.Spec))
		if !result.Allowed {
			t.Errorf("%s is not restricted: %s", name, result.ForbiddenDetail())
		}
	}
}

func TestSecurity(t *testing.T) {
	forEachValues(t, func(t *testing.T, objects []object) {
		checkSecurity(t, objects)
		for name, p := range pods(objects) {
			for _, c := range p.Spec.Containers {
				if c.SecurityContext.ReadOnlyRootFilesystem == nil || !*c.SecurityContext.ReadOnlyRootFilesystem {
					t.Errorf("%s: container %s may write to its image", name, c.Name)
				}
				if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() {
					t.Errorf("%s: container %s asks for no CPU or no memory", name, c.Name)
				}
			}
		}
	})
}

// TestSelectors checks that what selects gateway pods selects them, and not the pod of helm test.
func TestSelectors(t *testing.T) {
	forEachValues(t, func(t *testing.T, objects []object) {
		for what, selector := range selectors(t, objects) {
			if !selector.Matches(labels.Set(gatewayPod(t, objects).Labels)) {
				t.Errorf("%s selects %s, gateway pods are %v", what, selector, gatewayPod(t, objects).Labels)
			}
			for _, p := range all[*corev1.Pod](objects) {
				if selector.Matches(labels.Set(p.Labels)) {
					t.Errorf("%s selects pod %s", what, p.Name)
				}
			}
		}
	})
}

func selectors(t *testing.T, objects []object) map[string]labels.Selector {
	t.Helper()
	found := make(map[string]labels.Selector)
	add := func(what string, s *metav1.LabelSelector) {
		selector, err := metav1.LabelSelectorAsSelector(s)
		if err != nil || selector.Empty() {
			t.Fatalf("%s selects %v: %v", what, selector, err)
		}
		found[what] = selector
	}
	for _, o := range objects {
		switch typed := o.typed.(type) {
		case *appsv1.Deployment:
			add(o.id(), typed.Spec.Selector)
			for _, c := range typed.Spec.Template.Spec.TopologySpreadConstraints {
				add(o.id()+" "+c.TopologyKey, c.LabelSelector)
			}
		case *corev1.Service:
			add(o.id(), &metav1.LabelSelector{MatchLabels: typed.Spec.Selector})
		case *policyv1.PodDisruptionBudget:
			add(o.id(), typed.Spec.Selector)
		case *networkingv1.NetworkPolicy:
			add(o.id(), &typed.Spec.PodSelector)
		case *monitoringv1.PodMonitor:
			add(o.id(), &typed.Spec.Selector)
		}
	}
	if len(found) < 3 {
		t.Fatalf("found %d selectors: the walk is broken", len(found))
	}
	return found
}

// TestServiceMonitor checks that it selects one Service, which has the port.
func TestServiceMonitor(t *testing.T) {
	objects := renderObjects(t, "testdata/values/everything.yaml")
	monitor := all[*monitoringv1.ServiceMonitor](objects)[0]
	var selected []string
	for _, s := range all[*corev1.Service](objects) {
		if labels.SelectorFromSet(monitor.Spec.Selector.MatchLabels).Matches(labels.Set(s.Labels)) {
			selected = append(selected, s.Name+":"+s.Spec.Ports[0].Name)
		}
	}
	if want := []string{"penstock-admin:" + monitor.Spec.Endpoints[0].Port}; !slices.Equal(selected, want) {
		t.Errorf("it selects %v, want %v", selected, want)
	}
}

// TestAdminScheme checks that who asks the admin port speaks what it does: probes, which need no credentials, and monitors, which send them.
func TestAdminScheme(t *testing.T) {
	forEachValues(t, func(t *testing.T, objects []object) {
		text, _ := configOf(t, objects)
		c, err := config.Parse("penstock.yaml", withCertificates(t, text))
		if err != nil {
			t.Fatal(err)
		}
		scheme, scrapes := corev1.URIScheme(""), monitoringv1.Scheme("") // of probes and monitors, whose default is HTTP
		if c.AdminSecurity.TLS() {
			scheme, scrapes = corev1.URISchemeHTTPS, monitoringv1.SchemeHTTPS
		}
		container := gatewayPod(t, objects).Spec.Containers[0]
		for name, p := range map[string]*corev1.Probe{"startup": container.StartupProbe, "readiness": container.ReadinessProbe, "liveness": container.LivenessProbe} {
			if p.HTTPGet.Scheme != scheme {
				t.Errorf("the %s probe asks by %q, want %q", name, p.HTTPGet.Scheme, scheme)
			}
		}
		for _, m := range all[*monitoringv1.PodMonitor](objects) {
			s := m.Spec.PodMetricsEndpoints[0]
			if by := ptr.Deref(s.Scheme, ""); !strings.EqualFold(string(by), string(scrapes)) || (c.AdminSecurity.TokenFile != "") != (s.Authorization != nil && s.Authorization.Credentials.Key == "token") {
				t.Errorf("the monitor asks by %q with %v", by, s.Authorization)
			}
		}
	})
}

// TestPorts checks that ports that are called by a name are ports of the pod, and that the traffic Service has no other port than traffic's.
func TestPorts(t *testing.T) {
	forEachValues(t, func(t *testing.T, objects []object) {
		pod := gatewayPod(t, objects)
		for name, port := range map[string]string{"http": "8000", "admin": "8001"} {
			if got := containerPort(t, pod, name); got != port {
				t.Errorf("port %s is %s, want %s", name, got, port)
			}
		}
		for what, port := range namedPorts(objects) {
			if port.Type == intstr.String {
				containerPort(t, pod, port.StrVal)
			} else {
				t.Errorf("%s calls a port by its number, %d", what, port.IntVal)
			}
		}
		traffic := find(t, objects, "Service", "penstock").typed.(*corev1.Service)
		if p := traffic.Spec.Ports; len(p) != 1 || p[0].Name != "http" || p[0].TargetPort.StrVal != "http" || p[0].AppProtocol != nil {
			t.Errorf("the traffic Service has the ports %v", p)
		}
	})
}

// namedPorts are the references to ports of gateway pods, by what makes them.
func namedPorts(objects []object) map[string]intstr.IntOrString {
	found := make(map[string]intstr.IntOrString)
	for _, s := range all[*corev1.Service](objects) {
		for _, p := range s.Spec.Ports {
			found["Service "+s.Name+" "+p.Name] = p.TargetPort
		}
	}
	for _, n := range all[*networkingv1.NetworkPolicy](objects) {
		for i, rule := range n.Spec.Ingress {
			found["NetworkPolicy "+strconv.Itoa(i)] = *rule.Ports[0].Port
		}
	}
	for _, d := range all[*appsv1.Deployment](objects) {
		c := d.Spec.Template.Spec.Containers[0]
		for name, p := range map[string]*corev1.Probe{"startup": c.StartupProbe, "readiness": c.ReadinessProbe, "liveness": c.LivenessProbe} {
			found["probe "+name] = p.HTTPGet.Port
		}
	}
	for _, m := range all[*monitoringv1.PodMonitor](objects) {
		found["PodMonitor"] = intstr.FromString(ptr.Deref(m.Spec.PodMetricsEndpoints[0].Port, ""))
	}
	return found
}

// TestNetworkPolicy checks that nobody reaches the admin port unless they were named.
func TestNetworkPolicy(t *testing.T) {
	open := map[string]string{"foreign-account": "http", "everything": "http admin", "autoscale": "http autoscale", "keda": "http autoscale keda"}
	for file, want := range open {
		n := all[*networkingv1.NetworkPolicy](renderObjects(t, "testdata/values/"+file+".yaml"))[0]
		got := ""
		for _, rule := range n.Spec.Ingress {
			name := rule.Ports[0].Port.StrVal
			got += " " + name
			if name == "admin" && len(rule.From) == 0 {
				t.Errorf("%s: everybody reaches the admin port", file)
			}
		}
		if got != " "+want {
			t.Errorf("%s: open are%s, want %s", file, got, want)
		}
		if egress := slices.Contains(n.Spec.PolicyTypes, networkingv1.PolicyTypeEgress); egress != (file == "everything") {
			t.Errorf("%s: egress is limited: %v", file, egress)
		}
	}
}
