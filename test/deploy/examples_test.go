package deploy

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/penstock/penstock/config"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// examples are the objects of all examples but the steps of the canary, which replace each other.
func examples(t *testing.T) []object {
	t.Helper()
	var objects []object
	for _, file := range glob(t, examplesDir+"/*.yaml", 10) {
		if data := read(t, file); !strings.HasPrefix(string(data), "# ") {
			t.Errorf("%s does not say what it is for", file)
		} else {
			objects = append(objects, parseObjects(t, file, data)...)
		}
	}
	return objects
}

// TestModelServers checks what makes a model server lose no request when it comes and goes.
func TestModelServers(t *testing.T) {
	objects := examples(t)
	servers := all[*appsv1.Deployment](objects)
	if len(servers) < 5 {
		t.Fatalf("there are %d model servers", len(servers))
	}
	for _, d := range servers {
		t.Run(d.Name, func(t *testing.T) {
			pod := d.Spec.Template
			c := pod.Spec.Containers[0]
			if !labels.SelectorFromSet(d.Spec.Selector.MatchLabels).Matches(labels.Set(pod.Labels)) {
				t.Errorf("it selects %v, its pods are %v", d.Spec.Selector.MatchLabels, pod.Labels)
			}
			for _, p := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
				checkProbe(t, podTemplate(pod), p)
			}
			if load := c.StartupProbe.PeriodSeconds * c.StartupProbe.FailureThreshold; load < 600 {
				t.Errorf("a model has %d s to load", load)
			}
			checkStop(t, podTemplate(pod))
			checkServed(t, objects, podTemplate(pod))
		})
	}
}

func checkProbe(t *testing.T, pod podTemplate, p *corev1.Probe) {
	t.Helper()
	switch {
	case p == nil:
		t.Error("a probe is missing")
	case p.HTTPGet != nil && p.HTTPGet.Port.Type == intstr.String:
		containerPort(t, pod, p.HTTPGet.Port.StrVal)
	case p.GRPC != nil:
		if want := containerPort(t, pod, "grpc"); want != strconv.Itoa(int(p.GRPC.Port)) {
			t.Errorf("a probe asks port %d, gRPC is at %s", p.GRPC.Port, want)
		}
	case p.Exec != nil:
		mount := "/" + strings.Split(p.Exec.Command[0], "/")[1]
		checkMounted(t, pod, mount+"/grpc_health_probe")
	default:
		t.Errorf("a probe is %v", p.ProbeHandler)
	}
}

// checkStop checks that the grace period holds the sleep, and what the server takes after it.
func checkStop(t *testing.T, pod podTemplate) {
	t.Helper()
	c := pod.Spec.Containers[0]
	if c.Lifecycle == nil || c.Lifecycle.PreStop == nil || c.Lifecycle.PreStop.Sleep == nil || c.Lifecycle.PreStop.Sleep.Seconds < 5 {
		t.Fatal("there is no preStop sleep of at least 5 s")
	}
	needed := c.Lifecycle.PreStop.Sleep.Seconds
	for _, arg := range c.Args {
		name, value, _ := strings.Cut(arg, "=")
		if name == "--shutdown-timeout" || name == "--exit-timeout-secs" {
			seconds, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			needed += seconds
		}
	}
	if grace := *pod.Spec.TerminationGracePeriodSeconds; grace < 300 || grace <= needed {
		t.Errorf("it has %d s to stop and takes %d s", grace, needed)
	}
}

// checkServed checks that one Service selects the pod, and calls ports that it has.
func checkServed(t *testing.T, objects []object, pod podTemplate) {
	t.Helper()
	found := 0
	for _, s := range all[*corev1.Service](objects) {
		if !labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(pod.Labels)) {
			continue
		}
		found++
		if s.Spec.PublishNotReadyAddresses {
			t.Error("its Service publishes addresses that are not ready: loading models would get requests")
		}
		for _, p := range s.Spec.Ports {
			containerPort(t, pod, p.TargetPort.StrVal)
		}
	}
	if found != 1 {
		t.Errorf("%d Services select it", found)
	}
}

// TestExamplePool checks that the pool of the plain manifests watches a Service of the examples.
func TestExamplePool(t *testing.T) {
	text, _ := configOf(t, manifests(t, "base"))
	c, err := config.Parse("penstock.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	pool := c.Pools["llama"].Service
	s := find(t, examples(t), "Service", pool.Name).typed.(*corev1.Service)
	if s.Namespace != pool.Namespace || s.Spec.Ports[0].Name != pool.Port {
		t.Errorf("the pool watches %+v, the Service is %s/%s with the port %s", *pool, s.Namespace, s.Name, s.Spec.Ports[0].Name)
	}
}

func TestExampleHPAs(t *testing.T) {
	objects := examples(t)
	hpas := all[*autoscalingv2.HorizontalPodAutoscaler](objects)
	if len(hpas) != 2 {
		t.Fatalf("there are %d HPAs", len(hpas))
	}
	for _, h := range hpas {
		find(t, objects, h.Spec.ScaleTargetRef.Kind, h.Spec.ScaleTargetRef.Name)
		checkBehavior(t, h.Name, h.Spec.Behavior)
		var target autoscalingv2.MetricTarget
		switch m := h.Spec.Metrics[0]; m.Type {
		case autoscalingv2.ExternalMetricSourceType:
			target = m.External.Target
			if m.External.Metric.Selector.MatchLabels["pool"] == "" {
				t.Errorf("%s selects no pool, and would sum all", h.Name)
			}
		case autoscalingv2.ObjectMetricSourceType:
			target = m.Object.Target
			find(t, objects, m.Object.DescribedObject.Kind, m.Object.DescribedObject.Name)
		}
		if target.Type != autoscalingv2.AverageValueMetricType || target.AverageValue == nil {
			t.Errorf("%s has the target %v, which goes by ready pods", h.Name, target.Type)
		}
	}
}

func checkBehavior(t *testing.T, name string, b *autoscalingv2.HorizontalPodAutoscalerBehavior) {
	t.Helper()
	if b.ScaleDown == nil || b.ScaleDown.StabilizationWindowSeconds == nil || *b.ScaleDown.StabilizationWindowSeconds < 300 {
		t.Errorf("%s takes replicas away within less than 5 minutes", name)
	}
}

func TestExampleScaledObjects(t *testing.T) {
	objects := examples(t)
	service := find(t, manifests(t, "keda"), "Service", "penstock-autoscale").typed.(*corev1.Service)
	scaler := ""
	for _, p := range service.Spec.Ports {
		if p.Name == "keda" {
			scaler = service.Name + "." + service.Namespace + ".svc:" + strconv.Itoa(int(p.Port))
		}
	}
	for _, s := range all[*kedav1alpha1.ScaledObject](objects) {
		find(t, objects, "Deployment", s.Spec.ScaleTargetRef.Name)
		checkBehavior(t, s.Name, s.Spec.Advanced.HorizontalPodAutoscalerConfig.Behavior)
		if s.Spec.Fallback == nil || s.Spec.Fallback.Behavior != kedav1alpha1.FallbackBehaviorCurrentReplicasIfHigher {
			t.Errorf("%s has the fallback %+v, by which KEDA takes replicas away when nobody knows the load", s.Name, s.Spec.Fallback)
		}
		checkTrigger(t, s.Spec.Triggers[0], scaler)
	}
	for _, s := range all[*kedav1alpha1.ScaledObject](renderObjects(t, "testdata/values/keda.yaml")) {
		if c := s.Spec.CooldownPeriod; c == nil || *c != 900 {
			t.Errorf("KEDA takes all replicas away after %v s, which is by default as soon as the HPA begins to", c)
		}
		checkTrigger(t, s.Spec.Triggers[0], scaler)
	}
}

func checkTrigger(t *testing.T, got kedav1alpha1.ScaleTriggers, scaler string) {
	t.Helper()
	needed := map[string][]string{
		"external-push": {"scalerAddress", "pool", "metric", "target"},
		"prometheus":    {"serverAddress", "query", "threshold"},
	}
	for _, key := range needed[got.Type] {
		if got.Metadata[key] == "" {
			t.Errorf("trigger %s has no %s", got.Type, key)
		}
	}
	if got.MetricType != autoscalingv2.AverageValueMetricType {
		t.Errorf("trigger %s goes by %s", got.Type, got.MetricType)
	}
	if a := got.Metadata["scalerAddress"]; got.Type == "external-push" && a != scaler {
		t.Errorf("the trigger asks %s, the chart's Service is %s", a, scaler)
	}
}

// TestCanary checks that the steps are good, that each moves users to the new version and none back, and that they fit the pods of the manifests.
func TestCanary(t *testing.T) {
	base := manifests(t, "base")
	last := -1
	for _, file := range glob(t, examplesDir+"/canary/*.yaml", 4) {
		objects := parseObjects(t, file, read(t, file))
		text, _ := configOf(t, objects)
		c, err := config.Parse(filepath.Base(file), text)
		if err != nil {
			t.Fatal(err)
		}
		if m := find(t, base, "ConfigMap", "penstock").typed; objects[0].typed.GetNamespace() != m.GetNamespace() {
			t.Errorf("%s is in namespace %s, the gateway in %s", file, objects[0].typed.GetNamespace(), m.GetNamespace())
		}
		baseText, _ := configOf(t, base)
		b, err := config.Parse("base", baseText)
		if err != nil {
			t.Fatal(err)
		}
		if c.Listen != b.Listen || c.Admin != b.Admin || c.Shutdown != b.Shutdown {
			t.Errorf("%s changes what needs a restart, or no longer fits the pods' grace period", file)
		}
		next := weight(&c.Routes[1], "llama-next")
		if next <= last || next+weight(&c.Routes[1], "llama") != 100 {
			t.Errorf("%s gives the new version %d %% after %d %%", file, next, last)
		}
		if next > 0 && c.Routes[1].Sticky == nil {
			t.Errorf("%s gives one user now this version and now that one", file)
		}
		last = next
	}
	if last != 100 {
		t.Errorf("the last step gives the new version %d %%", last)
	}
}

// weight is the share of a pool in a split, in percent; without weights the one pool has all.
func weight(r *config.Route, pool string) int {
	for _, target := range r.Split {
		if target.Pool == pool && target.Weight == nil && len(r.Split) == 1 {
			return 100
		} else if target.Pool == pool && target.Weight != nil {
			return *target.Weight
		}
	}
	return 0
}

// TestExamplesAreListed checks that the README names every example.
func TestExamplesAreListed(t *testing.T) {
	readme := string(read(t, examplesDir+"/README.md"))
	entries, err := os.ReadDir(examplesDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "README.md" && !strings.Contains(readme, "`"+e.Name()) {
			t.Errorf("README.md does not say what %s is", e.Name())
		}
	}
}
