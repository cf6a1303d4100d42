{{/* The comment behind verbs gives the reason for them: `# REASON; VERB, VERB: ANOTHER REASON`. docs/reference/rbac.md is generated from it. */}}
{{/* What the operator needs in each namespace with jobs. */}}
{{- define "pslgs.rules" -}}
- apiGroups: [pslgs.dev]
  resources: [splittrainingjobs]
  verbs: [get, list, watch, delete] # to reconcile jobs; delete: when ttlSecondsAfterFinished is over
- apiGroups: [pslgs.dev]
  resources: [splittrainingjobs/status]
  verbs: [patch] # to write conditions and figures
- apiGroups: [pslgs.dev]
  resources: [splittrainingjobs/finalizers]
  verbs: [update] # to create children that a deletion in the foreground waits for; no finalizer is set
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, delete] # to see why pods do not start and how their containers ended; delete: failed pods of clients, except the newest three of each
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete] # the Jobs of server and clients; get: to see which job owns an object before it is changed; delete: when the job is suspended or a node no longer matches
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete] # the server's Service; get: to see which job owns an object before it is changed; delete: a Service cannot change to or from a headless one
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch, delete] # the job's manifest; get: to see which job owns an object before it is changed; delete: one that an earlier job of the same name left
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, create, patch] # the claim of checkpoints and model, which the operator never deletes; get: to see which job owns an object before it is changed
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete] # the policies that admit connections to the pods of a job; get: to see which job owns an object before it is changed; delete: one that an earlier job of the same name left
- apiGroups: [""]
  resources: [secrets]
  verbs: [list, watch, create, patch, delete] # the certificates of server and clients; list, watch: the operator asks the API server for metadata only
- apiGroups: [""]
  resources: [events]
  verbs: [create, list, patch] # to report what happens to a job; list: Events alone say why a pod is not created or started; patch: to count repetitions
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create] # the Lease of the namespace, which one of the releases that watch it holds
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [splittrainingjobs.pslgs.dev]
  verbs: [get, update] # to take, renew and release it
{{- if include "pslgs.kueue" . }}
- apiGroups: [kueue.x-k8s.io]
  resources: [workloads]
  verbs: [get, list, watch, create, patch, delete] # only with kueue.enabled, the Workload by which Kueue admits a job; delete: when the job is suspended or asks for something else
- apiGroups: [kueue.x-k8s.io]
  resources: [workloads/status]
  verbs: [patch] # only with kueue.enabled, to give quota back after an eviction and at the end of a job
{{- end }}
{{- if include "pslgs.podMonitors" . }}
- apiGroups: [monitoring.coreos.com]
  resources: [podmonitors]
  verbs: [get, list, watch, create, patch, delete] # only with monitoring.podMonitors.enabled, the PodMonitor of a job
{{- else }}
- apiGroups: [monitoring.coreos.com]
  resources: [podmonitors]
  verbs: [list, delete] # without monitoring.podMonitors.enabled, to delete the PodMonitors that were created with it
{{- end }}
{{- end -}}

{{/* What the operator needs in its own namespace. */}}
{{- define "pslgs.ownRules" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, update, delete] # the private keys of the certificate authorities of jobs; delete: when the job is gone
{{- end -}}

{{- define "pslgs.nodeRules" -}}
- apiGroups: [""]
  resources: [nodes]
  verbs: [list, watch] # to find the nodes of spec.clients.nodeSelector
{{- if include "pslgs.kueue" . }}
- apiGroups: [kueue.x-k8s.io]
  resources: [resourceflavors, workloadpriorityclasses]
  verbs: [get] # only with kueue.enabled, the nodes that an admitted job may use, and its priority
- apiGroups: [scheduling.k8s.io]
  resources: [priorityclasses]
  verbs: [get] # only with kueue.enabled, the priority of a job without a WorkloadPriorityClass
{{- end }}
{{- end -}}

{{- define "pslgs.subjects" -}}
- kind: ServiceAccount
  name: {{ include "pslgs.serviceAccount" . }}
  namespace: {{ include "pslgs.namespace" . }}
{{- end -}}
