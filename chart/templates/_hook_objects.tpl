{{- /* The objects beside a hook's Job; each is a hook itself. (dict "root" . "command" "ensure" "events" "..") */ -}}

{{- define "gitops-runtime-auth.hookMetadata" -}}
{{- $name := include "gitops-runtime-auth.fullname" (list .root (printf "auth-%s" .command)) -}}
{{ include "gitops-runtime-auth.metadata" (list .root .command $name) }}
annotations:
  {{- include "gitops-runtime-auth.hookAnnotations" (omit . "log") | nindent 2 }}
  {{- with .annotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "gitops-runtime-auth.hookServiceAccount" -}}
{{- $annotations := .root.Values.hook.serviceAccount.annotations -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "gitops-runtime-auth.hookMetadata" (merge (dict "weight" -30 "annotations" $annotations) .) | nindent 2 }}
automountServiceAccountToken: false
{{- end -}}

{{- define "gitops-runtime-auth.hookSettings" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "gitops-runtime-auth.hookMetadata" (merge (dict "weight" -30) .) | nindent 2 }}
data:
  settings.json: {{ include "gitops-runtime-auth.settings" .root | quote }}
{{- end -}}

{{- define "gitops-runtime-auth.hookRoleBinding" -}}
{{- $name := include "gitops-runtime-auth.fullname" (list .root (printf "auth-%s" .command)) -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  {{- include "gitops-runtime-auth.hookMetadata" (merge (dict "weight" -10) .) | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ $name }}
subjects:
  - kind: ServiceAccount
    name: {{ $name }}
    namespace: {{ .root.Release.Namespace | quote }}
{{- end -}}

{{- /* Events need `create` alone; `create` can't be limited by name, so it stands apart from the rest. */ -}}
{{- define "gitops-runtime-auth.rules.events" -}}
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end -}}

{{- /* (list "get" ...): what may be done with the one Secret. */ -}}
{{- define "gitops-runtime-auth.rules.secret" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [{{ join ", " . }}]
  resourceNames: [argocd-token]
{{- end -}}
