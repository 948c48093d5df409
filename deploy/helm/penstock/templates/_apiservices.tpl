{{/* The APIServices that this release has, as JSON. */}}
{{- define "penstock.apiServices" -}}
{{- $names := list -}}
{{- if .Values.autoscale.externalMetrics -}}
{{- $names = append $names "v1beta1.external.metrics.k8s.io" -}}
{{- end -}}
{{- if .Values.autoscale.customMetrics -}}
{{- $names = append $names "v1beta2.custom.metrics.k8s.io" -}}
{{- end -}}
{{- $names | toJson -}}
{{- end }}

{{/* Fails if the cluster has the APIService name and it is another server's: taking it would break all that scales by that server. */}}
{{- define "penstock.apiServiceFree" -}}
{{- $own := printf "%s/%s-autoscale" .root.Release.Namespace (include "penstock.fullname" .root) -}}
{{- $found := lookup "apiregistration.k8s.io/v1" "APIService" "" .name -}}
{{- if $found -}}
{{- $service := default dict ($found.spec).service -}}
{{- $owner := printf "%s/%s" (toString (default "" $service.namespace)) (toString (default "" $service.name)) -}}
{{- if ne $owner $own -}}
{{- $value := ternary "autoscale.externalMetrics" "autoscale.customMetrics" (contains "external" .name) -}}
{{- fail (printf "cannot take the APIService %s: it belongs to the Service %s, and a cluster has one server for it; set %s to false and scale by autoscale.keda or Prometheus, or uninstall the other server first" .name $owner $value) -}}
{{- end -}}
{{- end -}}
{{- end }}
