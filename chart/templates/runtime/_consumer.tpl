{{- /* (list . "event-reporter"): a Deployment that takes the API key; by default the connection agent. */ -}}
{{- define "gitops-runtime-auth.consumer" -}}
{{- $root := index . 0 -}}
{{- $service := index . 1 -}}
{{- if (index $root.Values $service).enabled -}}
{{- $connection := include "gitops-runtime-auth.connection" $root | fromJson -}}
{{- $own := include "gitops-runtime-auth.own" . -}}
{{- $volumes := include "gitops-runtime-auth.volumes" $root -}}
{{- $mounts := include "gitops-runtime-auth.volumeMounts" $root -}}
{{- if $own -}}
{{- $files := dict "root" $root -}}
{{- $volumes = printf "%s\n%s" $volumes (include "gitops-runtime-auth.files.volumes" $files) -}}
{{- $mounts = printf "%s\n%s" $mounts (include "gitops-runtime-auth.files.mounts" $files) -}}
{{- end -}}
{{- /* Another account or server brings another key: what takes it by environment must restart. */ -}}
{{- $checksums := dict "checksum/connection" (list $connection.type $connection.username $connection.url | toJson | sha256sum | trunc 16) -}}
{{- if eq $connection.type "token" -}}
{{- with include "gitops-runtime-auth.checksum" $root }}{{ $_ := set $checksums "checksum/credential" . }}{{ end -}}
{{- end -}}
{{ include "gitops-runtime-auth.deployment" (dict
    "root" $root "service" $service "volumes" $volumes "mounts" $mounts "checksums" $checksums
    "env" (include "gitops-runtime-auth.env.consumer" $root)
    "ownEnv" (include "gitops-runtime-auth.env.proxy" $root)
    "args" (include "gitops-runtime-auth.agentArgs" $root | fromYamlArray)
) }}
{{- end }}
{{- end -}}

{{- define "gitops-runtime-auth.agentArgs" -}}
- agent
- --ca-file=/var/run/gitops-runtime-auth/ca/ca.crt
{{- if (include "gitops-runtime-auth.connection" . | fromJson).server.insecureSkipVerify }}
- --insecure-skip-verify
{{- end }}
{{- end -}}
