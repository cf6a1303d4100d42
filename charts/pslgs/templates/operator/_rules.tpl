{{/* What the operator needs in each namespace with jobs. */}}
{{- define "pslgs.rules" -}}
- apiGroups: [pslgs.dev]
  resources: [splittrainingjobs]
  verbs: [get, list, watch, delete] # delete: when ttlSecondsAfterFinished is over
- apiGroups: [pslgs.dev]
  resources: [splittrainingjobs/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services, configmaps]
  verbs: [get, list, watch, create, patch, delete] # get: before a patch, and to see whose an object is
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, create, patch] # no delete: claims hold checkpoints
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete] # delete: what an earlier job of the same name left
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, patch, delete] # by name only: never list or watch
- apiGroups: [""]
  resources: [events]
  verbs: [create, list, patch] # list: when something does not start, they alone say why; patch: to count repetitions
{{- if include "pslgs.podMonitors" . }}
- apiGroups: [monitoring.coreos.com]
  resources: [podmonitors]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}
{{- end -}}

{{- define "pslgs.nodeRules" -}}
- apiGroups: [""]
  resources: [nodes]
  verbs: [list, watch]
{{- end -}}

{{- define "pslgs.subjects" -}}
- kind: ServiceAccount
  name: {{ include "pslgs.serviceAccount" . }}
  namespace: {{ include "pslgs.namespace" . }}
{{- end -}}
