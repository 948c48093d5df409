package deploy

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"github.com/penstock/penstock/config"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
)

// forEachValues runs test for every values file of testdata/values with what the chart makes of it.
func forEachValues(t *testing.T, test func(t *testing.T, objects []object)) {
	t.Helper()
	for _, file := range glob(t, "testdata/values/*.yaml", 8) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) { test(t, renderObjects(t, file)) })
	}
}

// TestLint is helm lint --strict.
func TestLint(t *testing.T) {
	for _, file := range glob(t, "testdata/values/*.yaml", 8) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			for _, m := range lint.RunAll(chartDir, values(t, read(t, file)), "penstock").Messages {
				// An icon is recommended, which the project does not have.
				if m.Severity > support.InfoSev {
					t.Error(m)
				}
			}
		})
	}
}

// TestObjects checks of every object that it has a namespace where it must, the common labels, and a name of its own.
func TestObjects(t *testing.T) {
	forEachValues(t, func(t *testing.T, objects []object) {
		seen := make(map[string]bool)
		for _, o := range objects {
			if seen[o.id()] {
				t.Errorf("%s is there twice", o.id())
			}
			seen[o.id()] = true
			clusterWide := strings.HasPrefix(o.kind(), "ClusterRole") || o.kind() == "APIService"
			if (o.typed.GetNamespace() == "") != clusterWide {
				t.Errorf("%s: namespace %q", o.id(), o.typed.GetNamespace())
			}
			for _, l := range []string{"name", "instance", "component", "part-of", "version", "managed-by"} {
				if o.typed.GetLabels()["app.kubernetes.io/"+l] == "" {
					t.Errorf("%s has no label app.kubernetes.io/%s", o.id(), l)
				}
			}
		}
	})
}

// TestConfig checks that the gateway takes the configuration that its pods get.
func TestConfig(t *testing.T) {
	forEachValues(t, func(t *testing.T, objects []object) {
		text, fields := configOf(t, objects)
		if _, ok := fields["autoscale"]; ok {
			checkAutoscaleConfig(t, objects, fields)
			if _, ok := reflect.TypeFor[config.Config]().FieldByName("Autoscale"); !ok {
				return // this gateway has no such section
			}
		}
		c, err := config.Parse("penstock.yaml", withCertificates(t, text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		pod := gatewayPod(t, objects)
		grace := time.Duration(*pod.Spec.TerminationGracePeriodSeconds) * time.Second
		if want := time.Duration(c.Shutdown.LameDuck+c.Shutdown.Drain) + 10*time.Second; grace != want {
			t.Errorf("pods have %v to end, want %v", grace, want)
		}
	})
}

// withCertificates returns the configuration with files that are there in place of those that are mounted, as they are read, too.
func withCertificates(t *testing.T, text []byte) []byte {
	t.Helper()
	dir := t.TempDir()
	for name, from := range map[string]string{"tls.crt": "server.crt", "tls.key": "server.key", "ca.crt": "server.crt"} {
		if err := os.WriteFile(filepath.Join(dir, name), read(t, "../../config/testdata/tls/"+from), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("a-token-for-the-admin-port"), 0o600); err != nil {
		t.Fatal(err)
	}
	text = bytes.ReplaceAll(text, []byte("/etc/penstock-admin"), []byte(dir))
	return bytes.ReplaceAll(text, []byte("/etc/penstock-autoscale"), []byte(dir))
}

// TestConfigIsWhole compares what the gateway reads with what the values said.
func TestConfigIsWhole(t *testing.T) {
	text, _ := configOf(t, renderObjects(t, "testdata/values/namespaces.yaml"))
	got, err := config.Parse("penstock.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	if n := got.Pools["a"].MaxInFlight; n != 1000000 {
		t.Errorf("maxInFlight is %d", n)
	}
	if n := got.Limits.BodyBytes; n != 1<<30 {
		t.Errorf("bodyBytes is %d", n)
	}
	if n := *got.Routes[0].Split[0].Weight; n != 999999 {
		t.Errorf("weight is %d", n)
	}
	if m := got.Routes[0].Match; m.Model != "2024-08-06" || m.Headers["x-canary"] != "yes" {
		t.Errorf("match is %+v", m)
	}
	if s := got.AccessLog.Sample; s != 0.1 {
		t.Errorf("sample is %v", s)
	}
}

// checkAutoscaleConfig checks that the section autoscale names Services, ports and files that are there.
func checkAutoscaleConfig(t *testing.T, objects []object, fields map[string]any) {
	t.Helper()
	section := fields["autoscale"].(map[string]any)
	service := find(t, objects, "Service", section["service"].(string)).typed.(*corev1.Service)
	peers := find(t, objects, "Service", section["peers"].(string)).typed.(*corev1.Service)
	if service.Namespace != section["namespace"] || peers.Namespace != section["namespace"] {
		t.Errorf("namespace is %v, Services are in %s and %s", section["namespace"], service.Namespace, peers.Namespace)
	}
	if peers.Spec.ClusterIP != corev1.ClusterIPNone || !peers.Spec.PublishNotReadyAddresses {
		t.Error("the Service of the replicas is not headless, or hides those that are not ready")
	}
	if secret, ok := section["secret"]; ok {
		if s := find(t, objects, "Secret", secret.(string)).typed.(*corev1.Secret); len(s.Data)+len(s.StringData) > 0 {
			t.Error("the Secret is not empty: upgrades would overwrite what the gateway wrote")
		}
	} else {
		c := find(t, objects, "Certificate", service.Name).typed.(*certmanagerv1.Certificate)
		if want := service.Name + "." + service.Namespace + ".svc"; c.Spec.DNSNames[0] != want {
			t.Errorf("the certificate is for %v, want %s", c.Spec.DNSNames, want)
		}
		for _, f := range []string{"certFile", "keyFile", "caFile"} {
			checkMounted(t, gatewayPod(t, objects), section[f].(string))
		}
	}
	ports := map[string]string{":8443": "autoscale"}
	if keda, ok := section["keda"]; ok {
		ports[keda.(string)] = "keda"
	}
	for address, name := range ports {
		if p := containerPort(t, gatewayPod(t, objects), name); ":"+p != address {
			t.Errorf("port %s is %s, the gateway listens at %s", name, p, address)
		}
	}
}

// checkMounted checks that a volume is mounted where the file is to be.
func checkMounted(t *testing.T, pod podTemplate, file string) {
	t.Helper()
	for _, m := range pod.Spec.Containers[0].VolumeMounts {
		if filepath.Dir(file) == m.MountPath {
			return
		}
	}
	t.Errorf("no volume is mounted for %s", file)
}

// TestRefusals checks what the templates refuse that a schema cannot see.
func TestRefusals(t *testing.T) {
	const pool = somePool
	autoscaler := func(autoscale, fields string) string {
		return "{config: {" + pool + "}, autoscale: {" + autoscale + "}, autoscalers: [{target: b, averageValue: 1, maxReplicas: 2, " + fields + "}]}"
	}
	for _, test := range []struct{ name, values, want string }{
		{"nothing set", "{}", "config.pools is empty"},
		{"no pools", "config: {pools: {}}", "config.pools is empty: the gateway has nowhere to send requests to"},
		{"listen", "config: {listen: ':80', " + pool + "}", "config.listen is set by the chart"},
		{"admin", "config: {admin: ':80', " + pool + "}", "config.admin is set by the chart"},
		{"shutdown", "config: {shutdown: {drain: 1m}, " + pool + "}", "set shutdown.lameDuckSeconds and shutdown.drainSeconds"},
		{"autoscale", "config: {autoscale: {}, " + pool + "}", "set autoscale.enabled"},
		{"KEDA and external metrics", "{config: {" + pool + "}, autoscale: {enabled: true, keda: {enabled: true}}}",
			"autoscale.keda.enabled and autoscale.externalMetrics exclude each other"},
		{"two monitors", "{config: {" + pool + "}, podMonitor: {enabled: true}, serviceMonitor: {enabled: true}}", "would scrape every pod twice"},
		{"a PodMonitor without credentials", "{config: {adminSecurity: {tokenFile: /t}, " + pool + "}, podMonitor: {enabled: true}}",
			"podMonitor has none: set podMonitor.authorization or podMonitor.tlsConfig"},
		{"a ServiceMonitor without credentials", "{config: {adminSecurity: {clientCA: /t}, " + pool + "}, serviceMonitor: {enabled: true}}",
			"serviceMonitor has none: set serviceMonitor.authorization or serviceMonitor.tlsConfig"},
		{"HPA without metrics", autoscaler("enabled: false", "kind: hpa, namespace: models, pool: llama, minReplicas: 1"),
			"the HPA of b reads external metrics, which nobody here serves"},
		{"ScaledObject without scaler", autoscaler("enabled: true", "kind: keda, namespace: models, pool: llama, minReplicas: 1"),
			"the ScaledObject of b asks KEDA's external scaler, which nobody here serves"},
		{"autoscaler of no pool", autoscaler("enabled: true", "kind: hpa, namespace: models, pool: lama, minReplicas: 1"),
			`there is no pool "lama" in config.pools, which has llama`},
		{"autoscaler elsewhere", autoscaler("enabled: true", "kind: hpa, namespace: a, pool: llama, minReplicas: 1"),
			"b is in namespace a and pool llama in models, where its metrics are"},
		{"minimum above maximum", autoscaler("enabled: true", "kind: hpa, namespace: models, pool: llama, minReplicas: 3"),
			"minReplicas of b is 3, which is more than maxReplicas, 2"},
		{"two autoscalers of one Deployment", "{config: {" + pool + "}, autoscale: {enabled: true}, autoscalers: [" +
			"{kind: hpa, namespace: models, target: b, pool: llama, averageValue: 1, minReplicas: 1, maxReplicas: 2}, " +
			"{kind: hpa, namespace: models, target: b, pool: llama, averageValue: 1, minReplicas: 1, maxReplicas: 2}]}",
			"b in namespace models has two, and a Deployment takes one"},
		{"KEDA without autoscale", "{config: {" + pool + "}, autoscale: {externalMetrics: false, keda: {enabled: true}}}", "set autoscale.enabled"},
		{"custom metrics without autoscale", "{config: {" + pool + "}, autoscale: {customMetrics: true}}", "set autoscale.enabled"},
		{"a node port of no node", "{config: {" + pool + "}, service: {nodePort: 30080}}",
			"service.nodePort is of no use with service.type ClusterIP, which has none: set service.type to NodePort or LoadBalancer"},
		{"external traffic of none", "{config: {" + pool + "}, service: {externalTrafficPolicy: Local}}",
			"service.externalTrafficPolicy is of no use with service.type ClusterIP"},
		{"a load balancer of none", "{config: {" + pool + "}, service: {type: NodePort, loadBalancerSourceRanges: [10.0.0.0/8]}}",
			"service.loadBalancerSourceRanges is of no use with service.type NodePort: set service.type to LoadBalancer"},
		{"a class of none", "{config: {" + pool + "}, service: {loadBalancerClass: a/b}}", "service.loadBalancerClass is of no use with service.type ClusterIP"},
		{"headless with a load balancer", "{config: {" + pool + "}, service: {type: LoadBalancer, clusterIP: None, port: 8000}}",
			"service.clusterIP None is a headless Service, which cannot be a LoadBalancer"},
		{"headless on another port", "{config: {" + pool + "}, service: {clusterIP: None}}",
			"service.clusterIP None has clients go to the pods themselves, which listen on 8000: set service.port to 8000"},
		{"a name that begins with a digit", "{config: {" + pool + "}, fullnameOverride: 1st}", "not every Kubernetes takes a Service that is called 1st: set fullnameOverride to a name that begins with a letter"},
		{"a monitor that is kept out", "{config: {" + pool + "}, podMonitor: {enabled: true}, networkPolicy: {enabled: true}}",
			"networkPolicy keeps everybody from the admin port, Prometheus included: set networkPolicy.admin.from to where it is"},
		{"a monitor without an authority", "{config: {adminSecurity: {certFile: /c, keyFile: /k, tokenFile: /t}, " + pool + "}, podMonitor: {enabled: true, " +
			"authorization: {credentials: {name: a, key: b}}}}", "podMonitor does not know whom to trust: set podMonitor.tlsConfig, with ca and serverName"},
		{"rights for every pod", "{config: {" + pool + "}, serviceAccount: {create: false}}",
			"rights would go to the account default, as which other pods run, too: set serviceAccount.name, or rbac.create to false"},
		{"an unknown alert", "{config: {" + pool + "}, prometheusRule: {enabled: true, for: {PenstockDown: 5m}}}",
			"prometheusRule.for: there is no alert PenstockDown"},
		{"an objective of no pool", "{config: {" + pool + "}, prometheusRule: {enabled: true, pools: {lama: {errorRatio: 0.1}}}}",
			`prometheusRule.pools: there is no pool "lama" in config.pools, which has llama`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := render(t, values(t, []byte(test.values)), nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v\nwant %s", err, test.want)
			}
		})
	}
}

// TestAccount checks that rights are given to the account that the pods run as, and a token only where it is of use.
func TestAccount(t *testing.T) {
	forEachValues(t, func(t *testing.T, objects []object) {
		pod := gatewayPod(t, objects)
		bindings := 0
		check := func(name string, subjects []rbacv1.Subject) {
			bindings++
			want := rbacv1.Subject{Kind: "ServiceAccount", Name: pod.Spec.ServiceAccountName, Namespace: "penstock"}
			if len(subjects) != 1 || subjects[0] != want {
				t.Errorf("%s gives rights to %v, pods run as %s", name, subjects, pod.Spec.ServiceAccountName)
			}
		}
		for _, b := range all[*rbacv1.RoleBinding](objects) {
			check(b.Name, b.Subjects)
		}
		for _, b := range all[*rbacv1.ClusterRoleBinding](objects) {
			check(b.Name, b.Subjects)
		}
		if token := *pod.Spec.AutomountServiceAccountToken; bindings > 0 && !token {
			t.Error("pods have rights and no token")
		}
	})
	if pod := gatewayPod(t, renderObjects(t, "testdata/values/endpoints.yaml")); *pod.Spec.AutomountServiceAccountToken {
		t.Error("pods that watch nothing have a token")
	}
}

// TestRollout checks what lets a configuration or a version change without a loss.
func TestRollout(t *testing.T) {
	forEachValues(t, func(t *testing.T, objects []object) {
		d := gatewayDeployment(t, objects)
		if u := d.Spec.Strategy.RollingUpdate; u.MaxUnavailable.IntValue() != 0 || u.MaxSurge.IntValue() != 1 {
			t.Errorf("rolling update is %v", u)
		}
		for a := range d.Spec.Template.Annotations {
			if strings.Contains(a, "checksum") {
				t.Errorf("annotation %s would replace pods for a change that they take up themselves", a)
			}
		}
		for _, m := range d.Spec.Template.Spec.Containers[0].VolumeMounts {
			if m.SubPath != "" || m.SubPathExpr != "" {
				t.Errorf("mount %s has a subPath, so changes would not arrive", m.Name)
			}
		}
		checkMounted(t, podTemplate(d.Spec.Template), d.Spec.Template.Spec.Containers[0].Args[2])
		if d.Spec.Template.Spec.Containers[0].Lifecycle != nil {
			t.Error("lame duck is built in: no preStop hook is needed")
		}
	})
}
