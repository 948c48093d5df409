{{/* Up at once, as requests wait; down after five quiet minutes and one replica a minute, as loading a model takes minutes. */}}
{{- define "penstock.behavior" -}}
scaleUp:
  stabilizationWindowSeconds: 0
  policies: [{type: Percent, value: 100, periodSeconds: 15}, {type: Pods, value: 4, periodSeconds: 15}]
scaleDown:
  stabilizationWindowSeconds: 300
  policies: [{type: Pods, value: 1, periodSeconds: 60}]
{{- end }}

{{/* Fails for an autoscaler that would ask for something that nobody answers. */}}
{{- define "penstock.autoscalerCheck" -}}
{{- $scale := .root.Values.autoscale -}}
{{- with .autoscaler -}}
{{- if not (hasKey $.root.Values.config.pools .pool) -}}
{{- fail (printf "autoscalers: there is no pool %q in config.pools, which has %s" .pool (keys $.root.Values.config.pools | sortAlpha | join ", ")) -}}
{{- end -}}
{{- $pool := get $.root.Values.config.pools .pool -}}
{{- $namespace := ($pool.service).namespace | default $.root.Release.Namespace -}}
{{- if ne .namespace $namespace -}}
{{- fail (printf "autoscalers: %s is in namespace %s and pool %s in %s, where its metrics are; an autoscaler asks in its own namespace" .target .namespace .pool $namespace) -}}
{{- end -}}
{{- if and (eq .kind "hpa") (not (and $scale.enabled $scale.externalMetrics)) -}}
{{- fail (printf "autoscalers: the HPA of %s reads external metrics, which nobody here serves; set autoscale.enabled and autoscale.externalMetrics" .target) -}}
{{- end -}}
{{- if and (eq .kind "keda") (not (and $scale.enabled $scale.keda.enabled)) -}}
{{- fail (printf "autoscalers: the ScaledObject of %s asks KEDA's external scaler, which nobody here serves; set autoscale.enabled and autoscale.keda.enabled" .target) -}}
{{- end -}}
{{- if gt (int .minReplicas) (int .maxReplicas) -}}
{{- fail (printf "autoscalers: minReplicas of %s is %d, which is more than maxReplicas, %d" .target (int .minReplicas) (int .maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- end }}
