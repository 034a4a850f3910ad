{{- /* The environment and volumes of DESIGN's table. A parent chart may call them with its own context. */ -}}

{{- define "gitops-runtime-auth.env.server" -}}
{{- $connection := include "gitops-runtime-auth.connection" . | fromJson -}}
- name: ARGO_CD_URL
  value: {{ quote $connection.url }}
- name: ARGOCD_SERVER
  value: {{ quote $connection.address }}
{{- with $connection.rootpath }}
- name: ARGOCD_SERVER_ROOTPATH
  value: {{ quote . }}
{{- end }}
{{- end -}}

{{- define "gitops-runtime-auth.env.login" -}}
{{- $connection := include "gitops-runtime-auth.connection" . | fromJson -}}
- name: ARGO_CD_USERNAME
  {{- /* Kubernetes expands $(...) in a value and turns $$ into $. */}}
  value: {{ $connection.username | replace "$" "$$" | quote }}
- name: ARGO_CD_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ quote $connection.credential.name }}
      key: {{ quote $connection.credential.key }}
{{- end -}}

{{- define "gitops-runtime-auth.env.token" -}}
{{- $key := (include "gitops-runtime-auth.connection" . | fromJson).key -}}
- name: ARGO_CD_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ quote $key.name }}
      key: {{ quote $key.key }}
{{- end -}}

{{- define "gitops-runtime-auth.env.tokenPlaces" -}}
{{- $key := (include "gitops-runtime-auth.connection" . | fromJson).key -}}
- name: ARGO_CD_TOKEN_SECRET_NAME
  value: {{ quote $key.name }}
- name: ARGO_CD_TOKEN_SECRET_KEY
  value: {{ quote $key.key }}
- name: ARGO_CD_TOKEN_FILE
  value: /var/run/argocd/token
{{- end -}}

{{- /* app-proxy: the user name and password, or the token. */ -}}
{{- define "gitops-runtime-auth.env.app-proxy" -}}
{{- $type := (include "gitops-runtime-auth.connection" . | fromJson).type -}}
{{ include "gitops-runtime-auth.env.server" . }}
{{ include (printf "gitops-runtime-auth.env.%s" (ternary "login" "token" (eq $type "password"))) . }}
{{- end -}}

{{- /* sources-server, event-reporter, gitops-operator: the API key, by environment and as a file that follows a new key. */ -}}
{{- define "gitops-runtime-auth.env.consumer" -}}
{{ include "gitops-runtime-auth.env.server" . }}
{{ include "gitops-runtime-auth.env.tokenPlaces" . }}
{{ include "gitops-runtime-auth.env.token" . }}
{{- end -}}

{{- define "gitops-runtime-auth.volumes" -}}
{{- $key := (include "gitops-runtime-auth.connection" . | fromJson).key -}}
- name: argocd-token
  secret:
    secretName: {{ quote $key.name }}
    optional: true
    defaultMode: 0440
    items:
      - key: {{ quote $key.key }}
        path: token
{{- end -}}

{{- define "gitops-runtime-auth.volumeMounts" -}}
- name: argocd-token
  mountPath: /var/run/argocd
  readOnly: true
{{- end -}}

{{- /*
Annotation value that changes with an inline credential, so that Pods restart with a new one. Deployments are read by
many: scrypt (derivePassword), not a bare hash, stands between the annotation and a weak password.
*/ -}}
{{- define "gitops-runtime-auth.checksum" -}}
{{- with (include "gitops-runtime-auth.connection" . | fromJson).inline -}}
{{- derivePassword 1 "maximum" . "gitops-runtime-auth" $.Release.Name | sha256sum -}}
{{- end -}}
{{- end -}}
