{{/* How a monitor asks the admin port, beyond what is the default. */}}
{{- define "penstock.scrape" -}}
{{- if eq (include "penstock.adminScheme" .root) "https" }}
scheme: https
{{- end }}
{{- with .monitor.authorization }}
authorization:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .monitor.tlsConfig }}
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
