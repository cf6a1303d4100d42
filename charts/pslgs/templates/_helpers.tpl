{{- define "pslgs.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- $full | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "pslgs.namespace" -}}
{{ .Values.namespaceOverride | default .Release.Namespace }}
{{- end -}}

{{- define "pslgs.operator" -}}
{{ include "pslgs.fullname" . }}-operator
{{- end -}}

{{/* Names in the cluster carry the namespace, so that two releases of one name do not collide. */}}
{{- define "pslgs.clusterWide" -}}
{{ include "pslgs.namespace" . }}:{{ include "pslgs.operator" . }}
{{- end -}}

{{- define "pslgs.serviceAccount" -}}
{{- $values := .Values.serviceAccount | default dict -}}
{{ $values.name | default (ternary (include "pslgs.operator" .) "default" ($values.create | default false)) }}
{{- end -}}

{{/* Never change these: a Deployment's selector is immutable. */}}
{{- define "pslgs.selector" -}}
app.kubernetes.io/name: pslgs-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "pslgs.testSelector" -}}
app.kubernetes.io/name: pslgs-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: test
{{- end -}}

{{/* labels and annotations of (dict "root" $ "labels" … "annotations" …), the latter two are optional */}}
{{- define "pslgs.metadata" -}}
{{- $own := dict
  "app.kubernetes.io/name" "pslgs-operator"
  "app.kubernetes.io/instance" .root.Release.Name
  "app.kubernetes.io/version" .root.Chart.AppVersion
  "app.kubernetes.io/component" "operator"
  "app.kubernetes.io/part-of" "pslgs"
  "app.kubernetes.io/managed-by" .root.Release.Service
  "helm.sh/chart" (printf "%s-%s" .root.Chart.Name (.root.Chart.Version | replace "+" "_"))
-}}
labels:
  {{- merge dict (.labels | default dict) $own (.root.Values.commonLabels | default dict) | toYaml | nindent 2 }}
{{- with merge dict (.annotations | default dict) (.root.Values.commonAnnotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* the image of (dict "root" $ "image" .Values.…) */}}
{{- define "pslgs.image" -}}
{{- with .root.Values.imageRegistry }}{{ trimSuffix "/" . }}/{{ end -}}
{{ .image.repository }}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ .image.tag | default .root.Chart.AppVersion }}{{ end -}}
{{- end -}}

{{/* "true" if the cluster knows a kind of the Prometheus Operator: (dict "root" $ "kind" "PodMonitor") */}}
{{- define "pslgs.knows" -}}
{{- if .root.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" .kind) }}true{{ end -}}
{{- end -}}

{{/* "true" if Kueue admits jobs as a whole: it was asked for, and the cluster knows the kind */}}
{{- define "pslgs.kueue" -}}
{{- if and (.Values.kueue).enabled (.Capabilities.APIVersions.Has "kueue.x-k8s.io/v1beta2/Workload") }}true{{ end -}}
{{- end -}}

{{- define "pslgs.podMonitors" -}}
{{- if ((.Values.monitoring).podMonitors).enabled }}{{ include "pslgs.knows" (dict "root" . "kind" "PodMonitor") }}{{ end -}}
{{- end -}}
