{{/*
Environment variables with the operator's settings: texts as they are, everything else as JSON.
A value that is absent, because a user has set it to null or `helm upgrade --reuse-values` does not have it yet,
leaves its variable out; the operator then uses its own default.
*/}}
{{- define "pslgs.settings" -}}
{{- $secrets := list }}
{{- range .Values.jobs.imagePullSecrets }}{{ $secrets = append $secrets .name }}{{ end }}
{{- $monitoring := .Values.monitoring | default dict }}
{{- $podMonitors := $monitoring.podMonitors | default dict }}
{{- $endpoint := dict }}
{{- range $field := list "interval" "scrapeTimeout" "relabelings" "metricRelabelings" }}
{{- with index $podMonitors $field }}{{ $_ := set $endpoint $field . }}{{ end }}
{{- end }}
{{- $settings := dict
  "CERTIFICATE_LIFETIME" (include "pslgs.seconds" (dict "days" .Values.jobs.certificateLifetimeDays))
  "CLIENT_IMAGE" (include "pslgs.image" (dict "root" . "image" .Values.jobs.clientImage))
  "CLIENT_RESOURCES" (.Values.jobs.defaultResources | default dict).clients
  "CLIENT_SERIES" .Values.jobs.clientSeries
  "CLUSTER_DOMAIN" .Values.clusterDomain
  "IMAGE_PULL_POLICY" .Values.imagePullPolicy
  "IMAGE_PULL_SECRETS" $secrets
  "JSON_LOGS" .Values.jsonLogs
  "KUEUE" (eq (include "pslgs.kueue" .) "true")
  "LEASE_NAME" (include "pslgs.operator" .)
  "LIVENESS_PORT" .Values.healthPort
  "LOG_LEVEL" .Values.logLevel
  "METRICS_PORT" .Values.metricsPort
  "MONITORING_NAMESPACES" $monitoring.namespaces
  "MONITORING_POD_LABELS" $monitoring.podSelector
  "OPERATOR_LABELS" (include "pslgs.selector" . | fromYaml)
  "POD_MONITORS" (eq (include "pslgs.podMonitors" .) "true")
  "POD_MONITOR_ENDPOINT" (ternary "" $endpoint (empty $endpoint))
  "POD_MONITOR_LABELS" $podMonitors.labels
  "POD_SECURITY_CONTEXT" .Values.jobs.podSecurityContext
  "POLL_INTERVAL" .Values.jobs.pollIntervalSeconds
  "SERVER_IMAGE" (include "pslgs.image" (dict "root" . "image" .Values.jobs.serverImage))
  "SERVER_RESOURCES" (.Values.jobs.defaultResources | default dict).server
  "SILENCE_BOUND" .Values.jobs.silenceBoundSeconds
  "STATUS_INTERVAL" .Values.jobs.statusIntervalSeconds
  "WATCH_NAMESPACES" .Values.watchNamespaces
}}
{{- range $name, $value := $settings }}
{{- if not (or (kindIs "invalid" $value) (eq (toString $value) "")) }}
- name: PSLGS_{{ $name }}
  value: {{ ternary $value (toJson $value) (kindIs "string" $value) | quote }}
{{- end }}
{{- end }}
- name: PSLGS_INSTANCE
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- range $name := list "LEASE_NAMESPACE" "NAMESPACE" }}
- name: PSLGS_{{ $name }}
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- end }}
{{- end -}}

{{/* Seconds of (dict "days" …); empty without days. */}}
{{- define "pslgs.seconds" -}}
{{- with .days }}{{ mul . 86400 }}{{ end -}}
{{- end -}}
