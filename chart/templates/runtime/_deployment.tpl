{{- /* "true" while a Runtime Deployment runs the project's own image and command; a vendor's gets none of our arguments and probes. */ -}}
{{- define "gitops-runtime-auth.own" -}}
{{- $values := index (index . 0).Values (index . 1) -}}
{{- if and $values.enabled (not (or $values.command $values.args $values.image.repository)) -}}true{{- end -}}
{{- end -}}

{{- /* "true" while app-proxy runs the key keeper. */ -}}
{{- define "gitops-runtime-auth.keeper" -}}
{{- include "gitops-runtime-auth.own" (list . "app-proxy") -}}
{{- end -}}

{{- /*
(dict "root" . "service" "event-reporter" "env" "..." "args" [..] "volumes" "..." "mounts" "..." "serviceAccount" "..."
"checksums" {..}): a Runtime Deployment; everything but root and service is as YAML text or empty.
*/ -}}
{{- define "gitops-runtime-auth.deployment" -}}
{{- $root := .root -}}
{{- $values := index .root.Values .service -}}
{{- $own := include "gitops-runtime-auth.own" (list .root .service) -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "gitops-runtime-auth.metadata" (list $root .service (include "gitops-runtime-auth.fullname" (list $root .service))) | nindent 2 }}
spec:
  replicas: {{ $values.replicas }}
  selector:
    matchLabels:
      {{- include "gitops-runtime-auth.selectorLabels" (list $root .service) | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "gitops-runtime-auth.labels" (list $root .service) | nindent 8 }}
        {{- with $values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with merge (dict) ($values.podAnnotations | default dict) .checksums }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      {{- $account := $values.serviceAccountName | default .serviceAccount }}
      {{- with $account }}
      serviceAccountName: {{ quote . }}
      {{- end }}
      automountServiceAccountToken: {{ not (empty $account) }}
      {{- with include "gitops-runtime-auth.imagePullSecrets" $root }}{{ . | nindent 6 }}{{ end }}
      securityContext:
        {{- $security := include "gitops-runtime-auth.podSecurityContext" $root | fromYaml }}
        {{- if not $own }}{{ $security = omit $security "runAsUser" "runAsGroup" }}{{ end }}
        {{- toYaml $security | nindent 8 }}
      {{- with include "gitops-runtime-auth.scheduling" $values }}{{ . | nindent 6 }}{{ end }}
      containers:
        - name: {{ .service }}
          image: {{ include "gitops-runtime-auth.image" (dict "root" $root "image" $values.image) }}
          imagePullPolicy: {{ $values.image.pullPolicy | default $root.Values.image.pullPolicy }}
          {{- include "gitops-runtime-auth.container" (merge (dict "values" $values "own" $own) .) | nindent 10 }}
      volumes:
        {{- concat (.volumes | fromYamlArray) ($values.extraVolumes | default list) | toYaml | nindent 8 }}
{{- end -}}
