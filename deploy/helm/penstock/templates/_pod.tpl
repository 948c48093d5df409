{{- define "penstock.podSpec" -}}
serviceAccountName: {{ include "penstock.serviceAccountName" . }}
# Only who asks the API server needs a token.
automountServiceAccountToken: {{ or .Values.autoscale.enabled (ne (include "penstock.watchedNamespaces" .) "[]") }}
# Lame duck, drain, and ten seconds for what neither foresaw.
terminationGracePeriodSeconds: {{ add (int .Values.shutdown.lameDuckSeconds) (int .Values.shutdown.drainSeconds) 10 }}
securityContext:
  {{- include "penstock.podSecurity" . | nindent 2 }}
{{- include "penstock.scheduling" . }}
containers:
  - {{- include "penstock.container" . | nindent 4 }}
volumes:
  - name: config
    configMap: {name: {{ include "penstock.fullname" . }}}
  {{- if and .Values.autoscale.enabled .Values.autoscale.certManager.issuerRef }}
  - name: autoscale
    secret: {secretName: {{ include "penstock.autoscaleSecret" . }}}
  {{- end }}
  {{- with .Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* Whether there is a pod of helm test: it has no certificate to show where clients need one. */}}
{{- define "penstock.hasTest" -}}
{{- if and .Values.tests.enabled (not (.Values.config.tls).clientCA) }}true{{ end -}}
{{- end }}

{{- define "penstock.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "penstock.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "penstock.scheduling" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.topologySpread }}
topologySpreadConstraints:
  {{- range . }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "penstock.selectorLabels" $ | nindent 8 }}
    # Pods of the revision that goes do not count against the one that comes.
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}
{{- end }}

{{- define "penstock.container" -}}
name: penstock
image: {{ include "penstock.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [serve, --config, /etc/penstock/penstock.yaml]
env:
  - name: PENSTOCK_NODE
    valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
  # Empty where the cluster does not copy nodes' topology to pods, as it does from 1.35 on.
  - name: PENSTOCK_ZONE
    valueFrom: {fieldRef: {fieldPath: "metadata.labels['topology.kubernetes.io/zone']"}}
  {{- if (.Values.resources.limits).memory }}
  # As many millions of bytes as the limit has MiB: 95 % of it, as buffers of the kernel count, too.
  - name: MEMORY_LIMIT_MIB
    valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}
  - name: GOMEMLIMIT
    value: $(MEMORY_LIMIT_MIB)000000
  {{- end }}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
ports:
  - {name: http, containerPort: 8000, protocol: TCP}
  - {name: admin, containerPort: 8001, protocol: TCP}
  {{- if .Values.autoscale.enabled }}
  - {name: autoscale, containerPort: 8443, protocol: TCP}
  {{- if .Values.autoscale.keda.enabled }}
  - {name: keda, containerPort: 8002, protocol: TCP}
  {{- end }}
  {{- end }}
# Until it lives, a minute at the most; only then the others count.
{{- $scheme := ternary ", scheme: HTTPS" "" (eq (include "penstock.adminScheme" .) "https") }}
startupProbe:
  httpGet: {path: /healthz, port: admin{{ $scheme }}}
  periodSeconds: 1
  failureThreshold: 60
readinessProbe:
  httpGet: {path: /readyz, port: admin{{ $scheme }}}
  periodSeconds: 5
  timeoutSeconds: 2
  failureThreshold: 2
livenessProbe:
  httpGet: {path: /healthz, port: admin{{ $scheme }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
securityContext:
  {{- include "penstock.containerSecurity" . | nindent 2 }}
{{- with .Values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  # The whole folder: with subPath, changes of the ConfigMap would never arrive.
  - {name: config, mountPath: /etc/penstock, readOnly: true}
  {{- if and .Values.autoscale.enabled .Values.autoscale.certManager.issuerRef }}
  - {name: autoscale, mountPath: /etc/penstock-autoscale, readOnly: true}
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
