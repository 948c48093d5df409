{{/* The namespaces of the pools: those of their Services, and the gateway's for pools that have none. As JSON. */}}
{{- define "penstock.poolNamespaces" -}}
{{- $namespaces := list -}}
{{- range $pool := .Values.config.pools -}}
{{- $namespaces = append $namespaces (($pool.service).namespace | default $.Release.Namespace) -}}
{{- end -}}
{{- $namespaces | uniq | sortAlpha | toJson -}}
{{- end }}

{{/* The namespaces that the gateway watches: those of the pools' Services. As JSON. */}}
{{- define "penstock.watchedNamespaces" -}}
{{- $namespaces := list -}}
{{- range $pool := .Values.config.pools -}}
{{- with $pool.service -}}
{{- $namespaces = append $namespaces .namespace -}}
{{- end -}}
{{- end -}}
{{- $namespaces | uniq | sortAlpha | toJson -}}
{{- end }}

{{/* What would be wrong only at run time, or against the user's intent. */}}
{{- define "penstock.check" -}}
{{- if not .Values.config.pools -}}
{{- fail "config.pools is empty: the gateway has nowhere to send requests to; write pools: {llama: {service: {namespace: models, name: llama}}} below config" -}}
{{- end -}}
{{- range $field, $instead := dict
  "listen" "the pods listen on :8000, and service.port says what clients use"
  "admin" "the pods have it on :8001, and adminService.enabled makes a Service for it"
  "shutdown" "set shutdown.lameDuckSeconds and shutdown.drainSeconds, by which the pods' grace period goes, too"
  "autoscale" "set autoscale.enabled" -}}
{{- if hasKey $.Values.config $field -}}
{{- fail (printf "config.%s is set by the chart: %s" $field $instead) -}}
{{- end -}}
{{- end -}}
{{- if not (regexMatch "^[a-z]" (include "penstock.fullname" .)) -}}
{{- fail (printf "not every Kubernetes takes a Service that is called %s: set fullnameOverride to a name that begins with a letter" (include "penstock.fullname" .)) -}}
{{- end -}}
{{- include "penstock.serviceCheck" . -}}
{{- if and .Values.rbac.create (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) -}}
{{- fail "serviceAccount.create is false and serviceAccount.name empty, so rights would go to the account default, as which other pods run, too: set serviceAccount.name, or rbac.create to false" -}}
{{- end -}}
{{- if and (not .Values.autoscale.enabled) (or .Values.autoscale.keda.enabled .Values.autoscale.customMetrics) -}}
{{- fail "autoscale.keda.enabled and autoscale.customMetrics do nothing by themselves: set autoscale.enabled, too" -}}
{{- end -}}
{{- if and .Values.autoscale.enabled .Values.autoscale.keda.enabled .Values.autoscale.externalMetrics -}}
{{- fail "autoscale.keda.enabled and autoscale.externalMetrics exclude each other: KEDA itself serves external.metrics.k8s.io, and a cluster has one server for it; set autoscale.externalMetrics to false" -}}
{{- end -}}
{{- if and (or .Values.serviceMonitor.enabled .Values.podMonitor.enabled) .Values.networkPolicy.enabled (not .Values.networkPolicy.admin.from) -}}
{{- fail "networkPolicy keeps everybody from the admin port, Prometheus included: set networkPolicy.admin.from to where it is, such as [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]" -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled -}}
{{- fail "serviceMonitor.enabled and podMonitor.enabled would scrape every pod twice; enable one" -}}
{{- end -}}
{{- range $name := list "serviceMonitor" "podMonitor" -}}
{{- $monitor := get $.Values $name -}}
{{- with $.Values.config.adminSecurity -}}
{{- if and $monitor.enabled (or .tokenFile .clientCA) (not (or $monitor.authorization $monitor.tlsConfig)) -}}
{{- fail (printf "config.adminSecurity asks who reads metrics for a token or a certificate, and %s has none: set %s.authorization or %s.tlsConfig" $name $name $name) -}}
{{- end -}}
{{- if and $monitor.enabled .certFile (not $monitor.tlsConfig) -}}
{{- fail (printf "config.adminSecurity serves metrics by TLS, and %s does not know whom to trust: set %s.tlsConfig, with ca and serverName" $name $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Values of the Service that the API server would refuse together, or by which clients would not reach the pods. */}}
{{- define "penstock.serviceCheck" -}}
{{- with .Values.service -}}
{{- $type := default "ClusterIP" .type -}}
{{- range $field := list "nodePort" "externalTrafficPolicy" -}}
{{- if and (get $.Values.service $field) (eq $type "ClusterIP") -}}
{{- fail (printf "service.%s is of no use with service.type ClusterIP, which has none: set service.type to NodePort or LoadBalancer" $field) -}}
{{- end -}}
{{- end -}}
{{- range $field := list "loadBalancerClass" "loadBalancerSourceRanges" -}}
{{- if and (get $.Values.service $field) (ne $type "LoadBalancer") -}}
{{- fail (printf "service.%s is of no use with service.type %s: set service.type to LoadBalancer" $field $type) -}}
{{- end -}}
{{- end -}}
{{- if eq (toString .clusterIP) "None" -}}
{{- if ne $type "ClusterIP" -}}
{{- fail (printf "service.clusterIP None is a headless Service, which cannot be a %s: set service.type to ClusterIP" $type) -}}
{{- end -}}
{{- if ne (int .port) 8000 -}}
{{- fail "service.clusterIP None has clients go to the pods themselves, which listen on 8000: set service.port to 8000" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The section autoscale of the configuration. With cert-manager the files of its Secret stand for a Secret that the gateway keeps itself. */}}
{{- define "penstock.autoscaleConfig" -}}
{{- $name := include "penstock.fullname" . -}}
listen: ":8443"
namespace: {{ .Release.Namespace }}
service: {{ $name }}-autoscale
peers: {{ $name }}-replicas
{{- if .Values.autoscale.certManager.issuerRef }}
certFile: /etc/penstock-autoscale/tls.crt
keyFile: /etc/penstock-autoscale/tls.key
caFile: /etc/penstock-autoscale/ca.crt
{{- else }}
secret: {{ include "penstock.autoscaleSecret" . }}
{{- end }}
{{- if .Values.autoscale.keda.enabled }}
keda: ":8002"
{{- end }}
{{- end }}

{{- define "penstock.config" -}}
{{- $own := dict "listen" ":8000" "admin" ":8001" -}}
{{- with .Values.shutdown -}}
{{- $_ := set $own "shutdown" (dict "lameDuck" (printf "%ds" (int .lameDuckSeconds)) "drain" (printf "%ds" (int .drainSeconds))) -}}
{{- end -}}
{{- if .Values.autoscale.enabled -}}
{{- $_ := set $own "autoscale" (include "penstock.autoscaleConfig" . | fromYaml) -}}
{{- end -}}
{{- toYaml (merge $own .Values.config) -}}
{{- end }}
