{{- /* Once the new Deployments run, what the upgrade replaced is revoked. */ -}}
{{- define "gitops-runtime-auth.retire" -}}
command: retire
events: post-upgrade,post-rollback
log: hook-failed
retries: 3
{{- end -}}
