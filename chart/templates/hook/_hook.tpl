{{- define "gitops-runtime-auth.ensure" -}}
command: ensure
events: pre-install,pre-upgrade,pre-rollback
log: hook-failed
retries: 3
{{- end -}}
