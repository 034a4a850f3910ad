{{- /* The three ways in which the vendor's programs take address and API key where auth.type is token. Their URL has http for every port. */ -}}

{{- define "stand-in.server" -}}
{{- .Values.global.integrations | dig "argo-cd" "server" dict | toJson -}}
{{- end -}}

{{- define "stand-in.address" -}}
{{- $server := include "stand-in.server" . | fromJson -}}
{{- printf "%s:%v%s" $server.svc $server.port ($server.rootpath | default "") -}}
{{- end -}}

{{- define "stand-in.key" -}}
- name: ARGO_CD_TOKEN
  valueFrom:
    secretKeyRef: {{ (include "stand-in.server" . | fromJson).auth.tokenSecretKeyRef | toJson }}
{{- end -}}

{{- /* Environment from a ConfigMap and a Secret. */ -}}
{{- define "stand-in.by-configmap" -}}
- name: ARGO_CD_URL
  valueFrom:
    configMapKeyRef: {name: cap-app-proxy-cm, key: argoCdUrl}
{{ include "stand-in.key" . }}
{{- end -}}

{{- /* The Secret's name: the program reads it through the Kubernetes API. */ -}}
{{- define "stand-in.by-name" -}}
{{- $ref := (include "stand-in.server" . | fromJson).auth.tokenSecretKeyRef -}}
- name: ARGOCD_SERVER
  value: {{ include "stand-in.address" . | quote }}
- name: ARGO_CD_TOKEN_SECRET_NAME
  value: {{ $ref.name }}
- name: ARGO_CD_TOKEN_SECRET_KEY
  value: {{ $ref.key }}
{{- end -}}

{{- /* Environment. */ -}}
{{- define "stand-in.by-value" -}}
- name: ARGO_CD_URL
  value: {{ include "stand-in.address" . | quote }}
{{ include "stand-in.key" . }}
{{- end -}}
