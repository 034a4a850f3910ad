{{- /* What the project's own Pods have in common: security, environment, mounted files. */ -}}

{{- define "gitops-runtime-auth.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "gitops-runtime-auth.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "gitops-runtime-auth.imagePullSecrets" -}}
{{- with .Values.imagePullSecrets -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* (dict "nodeSelector" .. "tolerations" .. "affinity" .. "priorityClassName" ..) */ -}}
{{- define "gitops-runtime-auth.scheduling" -}}
{{- $set := pick . "nodeSelector" "tolerations" "affinity" "priorityClassName" -}}
{{- range $name, $value := $set -}}
{{- if not $value }}{{ $_ := unset $set $name }}{{ end -}}
{{- end -}}
{{- if $set }}{{ toYaml $set }}{{ end -}}
{{- end -}}

{{- define "gitops-runtime-auth.consumers" -}}
{{- $names := list -}}
{{- range $service := list "sources-server" "event-reporter" "gitops-operator" -}}
{{- if (index $.Values $service).enabled -}}
{{- $names = append $names (include "gitops-runtime-auth.fullname" (list $ $service)) -}}
{{- end -}}
{{- end -}}
{{- join "," $names -}}
{{- end -}}

{{- define "gitops-runtime-auth.env.proxy" -}}
{{- $proxy := .Values.proxy -}}
{{- if or $proxy.httpProxy $proxy.httpsProxy -}}
{{- with $proxy.httpProxy -}}
- name: HTTP_PROXY
  value: {{ . | replace "$" "$$" | quote }}
{{ end -}}
{{- with $proxy.httpsProxy -}}
- name: HTTPS_PROXY
  value: {{ . | replace "$" "$$" | quote }}
{{ end -}}
- name: NO_PROXY
  {{- $always := "localhost,127.0.0.1,$(KUBERNETES_SERVICE_HOST)" }}
  value: {{ list ($proxy.noProxy | default "" | replace "$" "$$") $always | join "," | trimPrefix "," | quote }}
{{- end }}
{{- end -}}

{{- define "gitops-runtime-auth.env.own" -}}
- name: RELEASE_NAME
  value: {{ .Release.Name | quote }}
- name: RELEASE_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_UID
  valueFrom:
    fieldRef:
      fieldPath: metadata.uid
- name: CHART
  value: {{ include "gitops-runtime-auth.chart" . }}
- name: CONSUMERS
  value: {{ include "gitops-runtime-auth.consumers" . | quote }}
{{- with include "gitops-runtime-auth.env.proxy" . }}
{{ . }}
{{- end }}
{{- end -}}
