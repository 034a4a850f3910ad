{{- /*
Uninstall. The command never fails: Argo CD being gone must not block helm uninstall. What the Job needs is deleted with
the Job (keep, and hook/cleanup.py): Argo CD 3.6 now and then applies the delete policies before the Job has started, and
then does not wait for it either, so that nobody but Kubernetes (ttl, seconds) deletes the Job.
*/ -}}
{{- define "gitops-runtime-auth.cleanup" -}}
command: cleanup
events: post-delete
log: hook-succeeded,hook-failed
retries: 1
keep: true
ttl: 120
{{- end -}}
