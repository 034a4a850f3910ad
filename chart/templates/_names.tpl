{{- /*
Names, labels, annotations and images: what every object has. Every named template of this chart takes (dict "root" . ...), and says first what else it takes;
only those for parent charts (_public.tpl) take the caller's context.
*/ -}}

{{- /*
(dict "root" . "suffix" "auth-ensure"): returns <release>-<suffix>, at most 63 characters long. A release name that has to be cut gets a hash of the whole,
so that two long names stay different.
*/ -}}
{{- define "gitops-runtime-auth.fullname" -}}
{{- $release := .root.Release.Name -}}
{{- $room := int (sub 62 (len .suffix)) -}}
{{- if gt (len $release) $room -}}
{{- $release = printf "%s-%s" (trunc (int (sub $room 6)) $release | trimAll "-.") (sha256sum $release | trunc 5) -}}
{{- end -}}
{{- printf "%s-%s" $release .suffix -}}
{{- end -}}

{{- /* (dict "root" .): returns name and version of the chart in the characters that a label may have. */ -}}
{{- define "gitops-runtime-auth.chart" -}}
{{- printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- /* (dict "root" . "component" "ensure"): returns the labels by which a Deployment selects its Pods. */ -}}
{{- define "gitops-runtime-auth.selectorLabels" -}}
app.kubernetes.io/name: gitops-runtime-auth
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- /*
(dict "root" . "component" "ensure" "more" {..}): returns the labels of an object or Pod. Of several with one name, the chart's own wins over `more`, and `more`
over commonLabels.
*/ -}}
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

{{- /*
(dict "root" . "more" {..} "own" {..}): returns the field `annotations`, or nothing if there are none. Of several with one name, `own` wins over `more`, and `more`
over commonAnnotations.
*/ -}}
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

{{- /*
(dict "root" . "events" "pre-install,pre-upgrade" "weight" -20 "log" "hook-failed" "keep" false "more" {..}): returns the annotations of a hook's object. Helm
creates objects in the order of their weights, so that a Job's weight is above those of what it needs. `log` says when Helm prints the Job's log, where
it may at all; `keep` leaves the object in place after a success.
*/ -}}
{{- define "gitops-runtime-auth.hookAnnotations" -}}
{{- $own := dict
    "helm.sh/hook" .events "helm.sh/hook-weight" (toString .weight)
    "helm.sh/hook-delete-policy" (ternary "before-hook-creation" "before-hook-creation,hook-succeeded" (.keep | default false))
-}}
{{- if and .log (eq (include "gitops-runtime-auth.logs" .) "true") -}}
{{- $_ := set $own "helm.sh/hook-output-log-policy" .log -}}
{{- end -}}
{{- include "gitops-runtime-auth.annotations" (dict "root" .root "own" $own "more" .more) -}}
{{- end -}}

{{- /*
(dict "root" .): returns "true" if Helm may print a Job's log. Flux' helm-controller crashes when a hook with this annotation fails, because it embeds Helm
without the function that prints (github.com/fluxcd/helm-controller/issues/1562). Fleet's agent embeds it in the same way.
*/ -}}
{{- define "gitops-runtime-auth.logs" -}}
{{- $policy := .root.Values.hook.outputLogPolicy -}}
{{- $crashes := false -}}
{{- range .root.Capabilities.APIVersions }}{{ if or (hasPrefix "helm.toolkit.fluxcd.io/" .) (hasPrefix "fleet.cattle.io/" .) }}{{ $crashes = true }}{{ end }}{{ end -}}
{{- or (eq $policy "always") (and (eq $policy "auto") (not $crashes)) -}}
{{- end -}}

{{- /* (dict "root" . "image" {..}): returns a container's image. Without a repository it is the project's own. */ -}}
{{- define "gitops-runtime-auth.image" -}}
{{- $own := .root.Values.image -}}
{{- $repository := .image.repository | default $own.repository -}}
{{- $tag := .image.tag -}}
{{- $digest := .image.digest -}}
{{- if not .image.repository -}}
{{- $tag = $tag | default $own.tag | default .root.Chart.AppVersion -}}
{{- if not .image.tag -}}{{- $digest = $digest | default $own.digest -}}{{- end -}}
{{- end -}}
{{- $registry := (.root.Values.global).imageRegistry -}}
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

{{- /* (dict "root" . "service" "app-proxy"): returns the name of a Runtime Deployment. Refuses the fixed names of the Runtime's own chart, because both could not be installed. */ -}}
{{- define "gitops-runtime-auth.vacantName" -}}
{{- $name := include "gitops-runtime-auth.fullname" (dict "root" .root "suffix" .service) -}}
{{- if has $name (list "cap-app-proxy" "runtime-event-reporter" "cluster-event-reporter") -}}
{{- $message := printf "Release name %s would make Deployment %s, which is a name that the GitOps Runtime's own chart gives: choose another release name, or leave the Deployments to that chart (runtime.enabled: false)." .root.Release.Name $name -}}
{{- include "gitops-runtime-auth.refuse" (dict "root" .root "message" $message) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{- /*
(dict "root" . "message" "A sentence."): refuses the values. helm lint passes over `fail`, but not over a template that does not exist, so the sentence is also
used as the name of one.
*/ -}}
{{- define "gitops-runtime-auth.refuse" -}}
{{- fail .message -}}
{{- include .message . -}}
{{- end -}}
