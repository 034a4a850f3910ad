{{- /* (list . "suffix"): <release>-<suffix> within 63 characters. A cut name carries a hash, so that two long releases stay apart. */ -}}
{{- define "gitops-runtime-auth.fullname" -}}
{{- $release := (index . 0).Release.Name -}}
{{- $suffix := index . 1 -}}
{{- $room := int (sub 62 (len $suffix)) -}}
{{- if gt (len $release) $room -}}
{{- $release = printf "%s-%s" (trunc (int (sub $room 6)) $release | trimAll "-.") (sha256sum $release | trunc 5) -}}
{{- end -}}
{{- printf "%s-%s" $release $suffix -}}
{{- end -}}

{{- define "gitops-runtime-auth.chart" -}}
{{- printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- /* (list . "component"): what a Deployment selects its Pods by. */ -}}
{{- define "gitops-runtime-auth.selectorLabels" -}}
app.kubernetes.io/name: gitops-runtime-auth
app.kubernetes.io/instance: {{ (index . 0).Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- /* (list . "component"): the labels of every object. */ -}}
{{- define "gitops-runtime-auth.labels" -}}
{{- $root := index . 0 -}}
{{ include "gitops-runtime-auth.selectorLabels" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ include "gitops-runtime-auth.chart" $root }}
{{- end -}}

{{- /* (list . "component" "name"): the metadata of an object of the release. */ -}}
{{- define "gitops-runtime-auth.metadata" -}}
name: {{ index . 2 }}
namespace: {{ (index . 0).Release.Namespace | quote }}
labels:
  {{- include "gitops-runtime-auth.labels" . | nindent 2 }}
{{- end -}}

{{- /* (dict "root" . "image" map): repository:tag or repository@digest. The tag defaults to appVersion for the project's own image. */ -}}
{{- define "gitops-runtime-auth.image" -}}
{{- $own := .root.Values.image -}}
{{- $given := .image -}}
{{- $repository := $given.repository | default $own.repository -}}
{{- $tag := $given.tag -}}
{{- $digest := $given.digest -}}
{{- if not $given.repository -}}
{{- $tag = $tag | default $own.tag | default .root.Chart.AppVersion -}}
{{- if not $given.tag -}}{{- $digest = $digest | default $own.digest -}}{{- end -}}
{{- end -}}
{{- if $digest -}}
{{- printf "%s@%s" $repository $digest | quote -}}
{{- else if $tag -}}
{{- printf "%s:%s" $repository $tag | quote -}}
{{- else -}}
{{- quote $repository -}}
{{- end -}}
{{- end -}}
