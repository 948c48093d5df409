package deploy

import (
	"strings"
	"testing"
)

// TestSchema checks that values that are wrong are refused, with a message that names the place and says what is wrong.
func TestSchema(t *testing.T) {
	for _, test := range []struct{ values, want string }{
		{"{replica: 3}", "at '': additional properties 'replica' not allowed"},
		{"{replicas: two}", "at '/replicas': got string, want null or integer"},
		{"{replicas: -1}", "at '/replicas': minimum: got -1, want 0"},
		{"{replicas: 1.5}", "at '/replicas': got number, want null or integer"},
		{"{config: {pools: [llama]}}", "at '/config/pools': got array, want object"},
		{"{config: {pools: {llama: some}}}", "at '/config/pools/llama': got string, want object"},
		{"{config: {pools: {llama: {service: models/llama}}}}", "at '/config/pools/llama/service': got string, want object"},
		{"{config: {pools: {llama: {service: {name: llama}}}}}", "at '/config/pools/llama/service': missing property 'namespace'"},
		{"{config: {pools: {llama: {service: {namespace: Models, name: llama}}}}}",
			"at '/config/pools/llama/service/namespace': 'Models' does not match pattern"},
		{"{config: {routes: {a: b}}}", "at '/config/routes': got object, want array"},
		{"{image: {tag: 'a b'}}", "at '/image/tag': 'a b' does not match pattern"},
		{"{image: {tag: 1.2}}", "at '/image/tag': got number, want string"},
		{"{image: {digest: sha256:12}}", "at '/image/digest': 'sha256:12' does not match pattern"},
		{"{image: {pullPolicy: Sometimes}}", "at '/image/pullPolicy': value must be one of 'IfNotPresent', 'Always', 'Never'"},
		{"{image: {name: penstock}}", "at '/image': additional properties 'name' not allowed"},
		{"{imagePullSecrets: [registry]}", "at '/imagePullSecrets/0': got string, want object"},
		{"{fullnameOverride: Pen_Stock}", "at '/fullnameOverride': 'Pen_Stock' does not match pattern"},
		{"{commonLabels: {a: 1}}", "at '/commonLabels/a': got number, want string"},
		{"{shutdown: {drain: 10m}}", "at '/shutdown': additional properties 'drain' not allowed"},
		{"{shutdown: {drainSeconds: 10m}}", "at '/shutdown/drainSeconds': got string, want integer"},
		{"{shutdown: {drainSeconds: 86401}}", "at '/shutdown/drainSeconds': maximum: got 86,401, want 86,400"},
		{"{service: {type: ExternalName}}", "at '/service/type': value must be one of 'ClusterIP', 'NodePort', 'LoadBalancer'"},
		{"{service: {port: 0}}", "at '/service/port': minimum: got 0, want 1"},
		{"{service: {nodePort: none}}", "at '/service/nodePort': 'oneOf' failed"},
		{"{service: {trafficDistribution: Close}}", "at '/service/trafficDistribution': value must be one of"},
		{"{service: {ipFamilies: [IPv5]}}", "at '/service/ipFamilies/0': value must be one of 'IPv4', 'IPv6'"},
		{"{adminService: true}", "at '/adminService': got boolean, want object"},
		{"{resources: {limit: {}}}", "at '/resources': additional properties 'limit' not allowed"},
		{"{topologySpread: [a, a]}", "at '/topologySpread': items at 0 and 1 are equal"},
		{"{affinity: {podAntiAfinity: {}}}", "at '/affinity': additional properties 'podAntiAfinity' not allowed"},
		{"{podAnnotations: {scrape: true}}", "at '/podAnnotations/scrape': got boolean, want string"},
		{"{extraEnv: [{value: a}]}", "at '/extraEnv/0': missing property 'name'"},
		{"{extraVolumes: {name: a}}", "at '/extraVolumes': got object, want array"},
		{"{podDisruptionBudget: {enabled: 'yes'}}", "at '/podDisruptionBudget/enabled': got string, want boolean"},
		{"{networkPolicy: {admin: {from: monitoring}}}", "at '/networkPolicy/admin/from': got string, want array"},
		{"{networkPolicy: {metrics: {}}}", "at '/networkPolicy': additional properties 'metrics' not allowed"},
		{"{autoscale: true}", "at '/autoscale': got boolean, want object"},
		{"{autoscale: {keda: true}}", "at '/autoscale/keda': got boolean, want object"},
		{"{autoscale: {certManager: {issuerRef: {kind: ClusterIssuer}}}}",
			"at '/autoscale/certManager/issuerRef': properties 'name' required, if 'kind' exists"},
		{"{autoscalers: [{kind: vpa, namespace: a, target: b, pool: c, averageValue: 1, minReplicas: 1, maxReplicas: 2}]}",
			"at '/autoscalers/0/kind': value must be one of 'hpa', 'keda'"},
		{"{autoscalers: [{kind: hpa}]}",
			"at '/autoscalers/0': missing properties 'namespace', 'target', 'pool', 'averageValue', 'minReplicas', 'maxReplicas'"},
		{"{autoscalers: [{kind: hpa, namespace: a, target: b, pool: c, averageValue: 0, minReplicas: 1, maxReplicas: 2}]}",
			"at '/autoscalers/0/averageValue': minimum: got 0, want 1"},
		{"{autoscalers: [{kind: hpa, namespace: a, target: b, pool: c, averageValue: '80%', minReplicas: 1, maxReplicas: 2}]}",
			"at '/autoscalers/0/averageValue': '80%' does not match pattern"},
		{"{autoscalers: [{kind: hpa, namespace: a, target: b, pool: c, metric: queue, averageValue: 1, minReplicas: 1, maxReplicas: 2}]}",
			"at '/autoscalers/0/metric': value must be one of 'penstock_outstanding_requests'"},
		{"{podMonitor: {interval: often}}", "at '/podMonitor/interval': 'often' does not match pattern"},
		{"{prometheusRule: {labels: {a: 1}}}", "at '/prometheusRule/labels/a': got number, want string"},
		{"{grafanaDashboard: true}", "at '/grafanaDashboard': got boolean, want object"},
		{"{serviceMonitor: {namespace: monitoring}}", "at '/serviceMonitor': additional properties 'namespace' not allowed"},
	} {
		t.Run(test.values, func(t *testing.T) {
			v := values(t, []byte(test.values))
			if _, ok := v["config"]; !ok {
				v["config"] = values(t, []byte("pools: {llama: {service: {namespace: models, name: llama}}}"))
			}
			_, err := render(t, v, nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v\nwant %s", err, test.want)
			}
		})
	}
}
