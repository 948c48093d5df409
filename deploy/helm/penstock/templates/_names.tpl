{{/* Names leave room for the longest suffix of a Service, -autoscale, within the 63 characters of a DNS label. */}}
{{- define "penstock.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimAll "-" -}}
{{- end }}

{{/* A release that is called as the chart, or contains its name, needs not say it twice. Releases may have dots in their names, Services may not. */}}
{{- define "penstock.fullname" -}}
{{- $name := include "penstock.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimAll "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | replace "." "-" | trunc 52 | trimAll "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | replace "." "-" | trunc 52 | trimAll "-" -}}
{{- end -}}
{{- end }}

{{/* For objects outside the release's namespace, which another release may have under the same name elsewhere. Neither part can have a dot. */}}
{{- define "penstock.clusterName" -}}
{{- printf "%s.%s" .Release.Namespace (include "penstock.fullname" .) -}}
{{- end }}

{{/* Where the certificate for autoscale is. cert-manager's Secret is another one than the gateway's, as neither Helm nor cert-manager takes over the other's. */}}
{{- define "penstock.autoscaleSecret" -}}
{{- printf "%s-autoscale%s" (include "penstock.fullname" .) (ternary "-tls" "" (not (empty .Values.autoscale.certManager.issuerRef))) -}}
{{- end }}

{{- define "penstock.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "penstock.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{- define "penstock.selectorLabels" -}}
app.kubernetes.io/name: {{ include "penstock.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: gateway
{{- end }}

{{/* All labels of an object. Call with (dict "root" $ "component" "gateway"). */}}
{{- define "penstock.labels" -}}
{{- $own := dict
  "app.kubernetes.io/name" (include "penstock.name" .root)
  "app.kubernetes.io/instance" .root.Release.Name
  "app.kubernetes.io/component" .component
  "app.kubernetes.io/part-of" "penstock"
  "app.kubernetes.io/version" .root.Chart.AppVersion
  "app.kubernetes.io/managed-by" .root.Release.Service
  "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_") -}}
{{- toYaml (merge $own .root.Values.commonLabels) -}}
{{- end }}

{{- define "penstock.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* How the admin port is asked. */}}
{{- define "penstock.adminScheme" -}}
{{- if (.Values.config.adminSecurity).certFile }}https{{ else }}http{{ end -}}
{{- end }}
