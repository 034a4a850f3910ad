{{- /* Uninstall. The command never fails: Argo CD being gone must not block helm uninstall. */ -}}
{{- define "gitops-runtime-auth.cleanup" -}}
command: cleanup
events: post-delete
log: hook-succeeded,hook-failed
retries: 1
{{- end -}}
