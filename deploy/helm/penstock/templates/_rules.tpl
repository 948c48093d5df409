{{/* The recording rules and alerts of the file, with the objectives and durations of the values. */}}
{{- define "penstock.rules" -}}
{{- $values := .Values.prometheusRule -}}
{{- range $pool := keys $values.pools | sortAlpha -}}
{{- if not (hasKey $.Values.config.pools $pool) -}}
{{- fail (printf "prometheusRule.pools: there is no pool %q in config.pools, which has %s" $pool (keys $.Values.config.pools | sortAlpha | join ", ")) -}}
{{- end -}}
{{- end -}}
{{- $objectives := dict
  "pool:penstock_objective_time_to_first_token_seconds" "timeToFirstTokenSeconds"
  "pool:penstock_objective_error_ratio" "errorRatio" -}}
{{- $rules := .Files.Get "files/rules.yaml" | fromYaml -}}
{{- $alerts := list -}}
{{- range $group := $rules.groups -}}
{{- range $rule := $group.rules -}}
{{- if hasKey $objectives (toString $rule.record) -}}
{{- $_ := set $rule "expr" (include "penstock.objective" (dict "values" $values "field" (get $objectives $rule.record) "expr" $rule.expr)) -}}
{{- end -}}
{{- if $rule.alert -}}
{{- $alerts = append $alerts $rule.alert -}}
{{- end -}}
{{- if hasKey $values.for (toString $rule.alert) -}}
{{- $_ := set $rule "for" (get $values.for $rule.alert) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $alert := keys $values.for | sortAlpha -}}
{{- if not (has $alert $alerts) -}}
{{- fail (printf "prometheusRule.for: there is no alert %s; there are %s" $alert (join ", " $alerts)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $rules -}}
{{- end }}

{{/* An objective's expression, NUMBER * group by (...) (METRIC), with the number of the values, and before it those of single pools. */}}
{{- define "penstock.objective" -}}
{{- $of := regexReplaceAll "^[0-9.]+ \\* " .expr "" -}}
{{- range $pool := keys .values.pools | sortAlpha -}}
{{- with get (get $.values.pools $pool) $.field -}}
{{ . }} * {{ regexReplaceAll "\\)$" $of (printf "{pool=%q})" $pool) }} or {{ end -}}
{{- end -}}
{{ get .values.objectives .field }} * {{ $of }}
{{- end }}
