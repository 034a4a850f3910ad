{{- /* Names, labels and annotations. Every template of this chart takes (dict "root" . ...). */ -}}

{{- /* (dict "root" . "suffix" "auth-ensure"): <release>-<suffix> within 63 characters. A name that is cut carries a hash, so that two long releases stay apart. */ -}}
{{- define "gitops-runtime-auth.fullname" -}}
{{- $release := .root.Release.Name -}}
{{- $room := int (sub 62 (len .suffix)) -}}
{{- if gt (len $release) $room -}}
{{- $release = printf "%s-%s" (trunc (int (sub $room 6)) $release | trimAll "-.") (sha256sum $release | trunc 5) -}}
{{- end -}}
{{- printf "%s-%s" $release .suffix -}}
{{- end -}}

{{- /* (dict "root" .): name and version of the chart, as a label holds it. */ -}}
{{- define "gitops-runtime-auth.chart" -}}
{{- printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- /* (dict "root" . "component" "ensure"): what a Deployment selects its Pods by. */ -}}
{{- define "gitops-runtime-auth.selectorLabels" -}}
app.kubernetes.io/name: gitops-runtime-auth
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- /* (dict "root" . "component" "ensure" "more" {..}): labels of an object or Pod: commonLabels, over them more, over both the chart's own. */ -}}
{{- define "gitops-runtime-auth.labels" -}}
{{- $own := include "gitops-runtime-auth.selectorLabels" . | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/version" .root.Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- $_ := set $own "helm.sh/chart" (include "gitops-runtime-auth.chart" .) -}}
{{- $all := dict -}}
{{- range $labels := list .root.Values.commonLabels .more $own -}}
{{- range $name, $value := $labels }}{{ $_ := set $all $name $value }}{{ end -}}
{{- end -}}
{{- toYaml $all -}}
{{- end -}}

{{- /* (dict "root" . "more" {..} "own" {..}): annotations in the same order, with their key; nothing where there are none. */ -}}
{{- define "gitops-runtime-auth.annotations" -}}
{{- $all := dict -}}
{{- range $annotations := list .root.Values.commonAnnotations .more .own -}}
{{- range $name, $value := $annotations }}{{ $_ := set $all $name $value }}{{ end -}}
{{- end -}}
{{- with $all -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{- /* (dict "root" . "image" {..}): a container's image; an empty map means the project's own. */ -}}
{{- define "gitops-runtime-auth.image" -}}
{{- $own := .root.Values.image -}}
{{- $repository := .image.repository | default $own.repository -}}
{{- $tag := .image.tag -}}
{{- $digest := .image.digest -}}
{{- if not .image.repository -}}
{{- $tag = $tag | default $own.tag | default .root.Chart.AppVersion -}}
{{- if not .image.tag -}}{{- $digest = $digest | default $own.digest -}}{{- end -}}
{{- end -}}
{{- $registry := (.root.Values.global | default dict).imageRegistry -}}
{{- if and $registry (hasPrefix "ghcr.io/gitops-runtime-auth/" $repository) -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" $registry) (trimPrefix "ghcr.io/" $repository) -}}
{{- end -}}
{{- if $digest -}}
{{- printf "%s@%s" $repository $digest | quote -}}
{{- else if $tag -}}
{{- printf "%s:%s" $repository $tag | quote -}}
{{- else -}}
{{- quote $repository -}}
{{- end -}}
{{- end -}}

{{- /* (dict "root" . "service" "app-proxy"): name of a Runtime Deployment, refused where the Runtime's own chart has a Deployment of that fixed name. */ -}}
{{- define "gitops-runtime-auth.vacantName" -}}
{{- $name := include "gitops-runtime-auth.fullname" (dict "root" .root "suffix" .service) -}}
{{- if has $name (list "cap-app-proxy" "runtime-event-reporter" "cluster-event-reporter") -}}
{{- $message := printf "Release name %s would make Deployment %s, which is a name that the GitOps Runtime's own chart gives: choose another release name, or leave the Deployments to that chart (runtime.enabled: false)." .root.Release.Name $name -}}
{{- include "gitops-runtime-auth.refuse" (dict "root" .root "message" $message) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{- /* (dict "root" . "message" "A sentence."): refuses. helm lint only notes what fails, so for its sake the sentence is also the name of a template that does not exist. */ -}}
{{- define "gitops-runtime-auth.refuse" -}}
{{- fail .message -}}
{{- include .message . -}}
{{- end -}}
