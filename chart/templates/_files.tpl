{{- /* The files under /var/run/gitops-runtime-auth. Secrets are optional, so that our program can say what is missing. */ -}}

{{- /* Values without any credential, in the form of values.schema.json: the block that counts, the chosen type's keys only. */ -}}
{{- define "gitops-runtime-auth.settings" -}}
{{- $connection := include "gitops-runtime-auth.connection" . | fromJson -}}
{{- $auth := dict "type" $connection.type (printf "%sSecretKeyRef" $connection.type) $connection.credential -}}
{{- if eq $connection.type "password" -}}
{{- $_ := set $auth "username" $connection.username -}}
{{- end -}}
{{- dict
    "global" (dict "external-arg-cd" (dict "server" $connection.server "auth" $auth))
    "hook" .Values.hook "keeper" .Values.keeper
  | toJson -}}
{{- end -}}

{{- /* (dict "root" . "settings" "ConfigMap name" "credential" {name, key} or nil "key" bool) */ -}}
{{- define "gitops-runtime-auth.files.volumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: 16Mi
{{- with .settings }}
- name: settings
  configMap:
    name: {{ . }}
{{- end }}
{{- with .credential }}
- name: credential
  secret:
    secretName: {{ quote .name }}
    optional: true
    defaultMode: 0440
    items:
      - key: {{ quote .key }}
        path: value
{{- end }}
{{- if .key }}
- name: key
  secret:
    secretName: argocd-token
    optional: true
    defaultMode: 0440
{{- end }}
{{- with (include "gitops-runtime-auth.connection" .root | fromJson).server.caSecretKeyRef }}
{{- if and .name .key }}
- name: ca
  secret:
    secretName: {{ quote .name }}
    optional: true
    defaultMode: 0440
    items:
      - key: {{ quote .key }}
        path: ca.crt
{{- end }}
{{- end }}
{{- end -}}

{{- define "gitops-runtime-auth.files.mounts" -}}
{{- $base := "/var/run/gitops-runtime-auth" -}}
- name: tmp
  mountPath: /tmp
{{- range $volume := include "gitops-runtime-auth.files.volumes" . | fromYamlArray }}
{{- if ne $volume.name "tmp" }}
- name: {{ $volume.name }}
  mountPath: {{ $base }}/{{ $volume.name }}
  readOnly: true
{{- end }}
{{- end }}
{{- end -}}
