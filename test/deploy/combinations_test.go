package deploy

import (
	"slices"
	"strings"
	"testing"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"
)

// somePool is a configuration with which everything renders.
const somePool = "pools: {llama: {service: {namespace: models, name: llama}}}"

// combined renders the chart with values over those of somePool.
func combined(t *testing.T, more string) []object {
	t.Helper()
	return renderObjects(t, written(t, "{config: {"+somePool+"}, "+more+"}"))
}

// TestNames checks that the API server takes all names and labels, whatever the release is called and wherever it is.
func TestNames(t *testing.T) {
	everything := "{config: {" + somePool + "}, autoscale: {enabled: true}, serviceMonitor: {enabled: true}, grafanaDashboard: {enabled: true}}"
	long := strings.Repeat("x", 53)
	for _, release := range []string{"penstock", long, strings.Repeat("a-", 26) + "a", "a.b", "a." + strings.Repeat("b", 51), "p-penstock.eu"} {
		t.Run(release, func(t *testing.T) {
			for _, o := range renderAs(t, release, strings.Repeat("n", 63), everything) {
				wrong := validation.IsDNS1123Subdomain(o.typed.GetName())
				switch o.kind() {
				case "Service":
					wrong = validation.IsDNS1035Label(o.typed.GetName())
				case "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding":
					wrong = nil // any segment of a path
				}
				if len(wrong) > 0 {
					t.Errorf("%s cannot have that name: %v", o.id(), wrong)
				}
				for _, value := range o.typed.GetLabels() {
					if wrong := validation.IsValidLabelValue(value); len(wrong) > 0 {
						t.Errorf("%s has the label %s: %v", o.id(), value, wrong)
					}
				}
			}
		})
	}
}

// TestClusterNamesDiffer checks that releases whose namespace and name differ share no object of the cluster or of a namespace of models.
func TestClusterNamesDiffer(t *testing.T) {
	const everything = "{config: {" + somePool + "}, autoscale: {enabled: true, externalMetrics: false}}"
	seen := make(map[string]string)
	for _, where := range [][2]string{{"ml", "prod-penstock"}, {"ml-prod", "penstock"}} {
		for _, o := range renderAs(t, where[1], where[0], everything) {
			if other := seen[o.id()]; other != "" {
				t.Errorf("%s is of the release %s and of %s", o.id(), other, where)
			}
			seen[o.id()] = where[0] + "/" + where[1]
		}
	}
}

// TestHelmTestReachesTheGateway checks that the pod of helm test is let in, calls a port that there is, and is left out where it has no certificate to show.
func TestHelmTestReachesTheGateway(t *testing.T) {
	objects := combined(t, "networkPolicy: {enabled: true, traffic: {from: [{podSelector: {matchLabels: {app: chat}}}]}}")
	pod := find(t, objects, "Pod", "penstock-test").typed.(*corev1.Pod)
	policy := find(t, objects, "NetworkPolicy", "penstock").typed.(*networkingv1.NetworkPolicy)
	let := slices.ContainsFunc(policy.Spec.Ingress[0].From, func(p networkingv1.NetworkPolicyPeer) bool {
		return p.PodSelector != nil && p.NamespaceSelector == nil && labels.SelectorFromSet(p.PodSelector.MatchLabels).Matches(labels.Set(pod.Labels))
	})
	if !let {
		t.Errorf("the network policy keeps the pod of helm test out: %v", policy.Spec.Ingress[0].From)
	}
	headless := combined(t, "service: {clusterIP: None, port: 8000}")
	if args := find(t, headless, "Pod", "penstock-test").typed.(*corev1.Pod).Spec.Containers[0].Args; args[0] != "-addr=penstock:8000" {
		t.Errorf("the pod of helm test calls %s", args[0])
	}
	for _, o := range renderObjects(t, written(t, "config: {tls: {certFile: /c, keyFile: /k, clientCA: /a}, "+somePool+"}")) {
		if o.kind() == "Pod" {
			t.Error("there is a pod of helm test, which has no certificate to show")
		}
	}
}

// TestPeersMayBeReached checks that limits for where gateway pods go leave them the way to each other, without which autoscalers get no numbers.
func TestPeersMayBeReached(t *testing.T) {
	for _, test := range []struct {
		autoscale string
		want      int
	}{{"false", 1}, {"true", 2}} {
		objects := combined(t, "autoscale: {enabled: "+test.autoscale+"}, networkPolicy: {enabled: true, egress: [{ports: [{port: 53, protocol: UDP}]}]}")
		egress := find(t, objects, "NetworkPolicy", "penstock").typed.(*networkingv1.NetworkPolicy).Spec.Egress
		if len(egress) != test.want {
			t.Fatalf("autoscale %s: there are the rules %v", test.autoscale, egress)
		}
		if test.want == 1 {
			continue
		}
		rule := egress[1]
		if !labels.SelectorFromSet(rule.To[0].PodSelector.MatchLabels).Matches(labels.Set(gatewayPod(t, objects).Labels)) || rule.Ports[0].Port.String() != "autoscale" {
			t.Errorf("the rule is %v", rule)
		}
	}
}

// TestCertificateOfTheOtherKeeper checks that cert-manager writes to another Secret than the gateway, so that neither finds the other's after a change.
func TestCertificateOfTheOtherKeeper(t *testing.T) {
	objects := renderObjects(t, "testdata/values/autoscale-cert-manager.yaml")
	kept := find(t, objects, "Certificate", "penstock-autoscale").typed.(*certmanagerv1.Certificate).Spec.SecretName
	own := find(t, renderObjects(t, "testdata/values/autoscale.yaml"), "Secret", "penstock-autoscale").typed.GetName()
	if kept == own {
		t.Errorf("both write to the Secret %s: Helm cannot take over what cert-manager made", kept)
	}
	for _, v := range gatewayPod(t, objects).Spec.Volumes {
		if v.Name == "autoscale" && v.Secret.SecretName != kept {
			t.Errorf("pods mount the Secret %s, the certificate is in %s", v.Secret.SecretName, kept)
		}
	}
}

// TestMemoryLimit checks that Go's memory stays below the container's limit, which holds buffers of the kernel, too.
func TestMemoryLimit(t *testing.T) {
	env := make(map[string]corev1.EnvVar)
	for _, e := range gatewayPod(t, combined(t, "resources: {limits: {memory: 1Gi}}")).Spec.Containers[0].Env {
		env[e.Name] = e
	}
	mebibytes := env["MEMORY_LIMIT_MIB"]
	if r := mebibytes.ValueFrom.ResourceFieldRef; r.Resource != "limits.memory" || r.Divisor.Value() != 1<<20 {
		t.Errorf("MEMORY_LIMIT_MIB is %v", r)
	}
	// As many millions of bytes as the limit has MiB: 95 % of it.
	if got := env["GOMEMLIMIT"].Value; got != "$(MEMORY_LIMIT_MIB)000000" {
		t.Errorf("GOMEMLIMIT is %q", got)
	}
	for _, e := range gatewayPod(t, combined(t, "resources: {limits: {memory: null}}")).Spec.Containers[0].Env {
		if e.Name == "GOMEMLIMIT" {
			t.Error("without a limit there is a GOMEMLIMIT")
		}
	}
}

// TestUnknownFieldsAreFound keeps the check of custom resources honest: a field that their programs do not know is an error, however deep it is.
func TestUnknownFieldsAreFound(t *testing.T) {
	for kind, doc := range map[string]string{
		"monitoring.coreos.com/v1/ServiceMonitor": "spec: {selector: {}, endpoints: [{port: admin, honourLabels: true}]}",
		"monitoring.coreos.com/v1/PodMonitor":     "spec: {selector: {}, podMetricsEndpoints: [{port: admin, tlsConfig: {serverNames: a}}]}",
		"monitoring.coreos.com/v1/PrometheusRule": "spec: {groups: [{name: a, rules: [{alert: A, expr: b, for: 1m, severity: c}]}]}",
		"keda.sh/v1alpha1/ScaledObject":           "spec: {scaleTargetRef: {name: a}, triggers: [{type: external-push, metricsType: AverageValue, metadata: {}}]}",
		"cert-manager.io/v1/Certificate":          "spec: {secretName: a, issuerRef: {name: b}, privateKey: {rotation: Always}}",
	} {
		if err := yaml.UnmarshalStrict([]byte(doc), kinds[kind]()); err == nil || !strings.Contains(err.Error(), "unknown field") {
			t.Errorf("%s: %s is taken: %v", kind, doc, err)
		}
	}
}

// TestSubjects checks that every binding of a release elsewhere names the account of that release.
func TestSubjects(t *testing.T) {
	for _, o := range renderAs(t, "edge", "gateways", "{config: {"+somePool+"}, autoscale: {enabled: true}}") {
		if b, ok := o.typed.(*rbacv1.RoleBinding); ok && b.Subjects[0] != (rbacv1.Subject{Kind: "ServiceAccount", Name: "edge-penstock", Namespace: "gateways"}) {
			t.Errorf("%s gives rights to %v", o.id(), b.Subjects)
		}
	}
}
