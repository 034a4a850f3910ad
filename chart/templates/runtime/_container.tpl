{{- /* The part of a Runtime Deployment's container that depends on whose image it is. */ -}}
{{- define "gitops-runtime-auth.container" -}}
{{- $given := list -}}
{{- range .values.extraEnv }}{{ $given = append $given .name }}{{ end -}}
{{- with .values.command -}}
command:
  {{- toYaml . | nindent 2 }}
{{ end -}}
{{- with ternary .args .values.args (ne .own "") -}}
args:
  {{- toYaml . | nindent 2 }}
{{ end -}}
{{- if .own -}}
ports:
  - name: http
    containerPort: 8080
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 2
  timeoutSeconds: 5
livenessProbe:
  httpGet: {path: /healthz, port: http}
  initialDelaySeconds: 10
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{ end -}}
env:
  {{- .env | nindent 2 }}
  {{- range ternary (.ownEnv | fromYamlArray) list (ne .own "") }}
  {{- /* The user's own proxy wins. */}}
  {{- if not (has .name $given) }}
  {{- toYaml (list .) | nindent 2 }}
  {{- end }}
  {{- end }}
  {{- with .values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
resources:
  {{- toYaml .values.resources | nindent 2 }}
securityContext:
  {{- $security := include "gitops-runtime-auth.securityContext" . | fromYaml }}
  {{- if not .own }}{{ $security = omit $security "readOnlyRootFilesystem" }}{{ end }}
  {{- toYaml $security | nindent 2 }}
volumeMounts:
  {{- concat (.mounts | fromYamlArray) (.values.extraVolumeMounts | default list) | toYaml | nindent 2 }}
{{- end -}}
