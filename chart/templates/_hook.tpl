{{- /* (dict "events" "pre-install,..." "weight" 0 "log" "hook-failed" "keep" false): the annotations of a hook object. */ -}}
{{- define "gitops-runtime-auth.hookAnnotations" -}}
helm.sh/hook: {{ .events }}
helm.sh/hook-weight: {{ .weight | quote }}
helm.sh/hook-delete-policy: before-hook-creation{{ if not .keep }},hook-succeeded{{ end }}
{{- with .log }}
helm.sh/hook-output-log-policy: {{ . }}
{{- end }}
{{- end -}}

{{- /*
(dict "root" . "command" "ensure" "credential" {name, key} "env" [..] "retries" 3): a Job of the project's image, named
<release>-auth-<command>, as are its ServiceAccount and its ConfigMap. Weights: what the Job needs comes before it.
*/ -}}
{{- define "gitops-runtime-auth.job" -}}
{{- $root := .root -}}
{{- $hook := .root.Values.hook -}}
{{- $name := include "gitops-runtime-auth.fullname" (list $root (printf "auth-%s" .command)) -}}
{{- $files := dict "root" $root "settings" $name "credential" .credential "key" true -}}
apiVersion: batch/v1
kind: Job
metadata:
  {{- include "gitops-runtime-auth.metadata" (list $root .command $name) | nindent 2 }}
  annotations:
    {{- include "gitops-runtime-auth.hookAnnotations" (dict "events" .events "weight" 0 "log" .log) | nindent 4 }}
spec:
  backoffLimit: {{ .retries }}
  # Later than the process' own deadline (hook.timeout), so that it ends with a message.
  activeDeadlineSeconds: {{ add $hook.timeout 60 }}
  podFailurePolicy:
    rules:
      - action: Ignore
        onPodConditions:
          - type: DisruptionTarget
            status: "True"
      # The process has itself retried what can heal; a refused password must not be sent again.
      - action: FailJob
        onExitCodes:
          containerName: {{ .command }}
          operator: In
          values: [64, 69, 75, 77, 78]
  template:
    metadata:
      labels:
        {{- include "gitops-runtime-auth.labels" (list $root .command) | nindent 8 }}
        {{- with $hook.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with $hook.podAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      restartPolicy: Never
      serviceAccountName: {{ $name }}
      automountServiceAccountToken: true
      {{- with include "gitops-runtime-auth.imagePullSecrets" $root }}{{ . | nindent 6 }}{{ end }}
      securityContext:
        {{- include "gitops-runtime-auth.podSecurityContext" $root | nindent 8 }}
      {{- with include "gitops-runtime-auth.scheduling" $hook }}{{ . | nindent 6 }}{{ end }}
      containers:
        - name: {{ .command }}
          image: {{ include "gitops-runtime-auth.image" (dict "root" $root "image" dict) }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: [{{ .command }}]
          env:
            {{- include "gitops-runtime-auth.env.own" $root | nindent 12 }}
            {{- with .env }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          resources:
            {{- toYaml $hook.resources | nindent 12 }}
          securityContext:
            {{- include "gitops-runtime-auth.securityContext" $root | nindent 12 }}
          volumeMounts:
            {{- include "gitops-runtime-auth.files.mounts" $files | nindent 12 }}
      volumes:
        {{- include "gitops-runtime-auth.files.volumes" $files | nindent 8 }}
{{- end -}}
