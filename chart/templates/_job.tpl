{{- /* What the hooks' objects have in common. */ -}}

{{- /*
(dict "root" . "events" "pre-install,pre-upgrade" "weight" -20 "log" "hook-failed" "keep" false "more" {..}): annotations of a hook's object. Weights: what a Job needs
comes before it. A Job's log is left out for Flux: its helm-controller, like every program that embeds Helm, crashes over it when the hook
fails (github.com/fluxcd/helm-controller/issues/1562).
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

{{- /* (dict "root" .): "true" where Helm is to print a failed Job's log. */ -}}
{{- define "gitops-runtime-auth.logs" -}}
{{- $policy := .root.Values.hook.outputLogPolicy -}}
{{- $flux := false -}}
{{- range .root.Capabilities.APIVersions }}{{ if hasPrefix "helm.toolkit.fluxcd.io/" . }}{{ $flux = true }}{{ end }}{{ end -}}
{{- or (eq $policy "always") (and (eq $policy "auto") (not $flux)) -}}
{{- end -}}

{{- /* (dict "root" . "container" "ensure"): what a failed Pod means for its Job. */ -}}
{{- define "gitops-runtime-auth.podFailurePolicy" -}}
rules:
  - action: Ignore
    onPodConditions:
      - type: DisruptionTarget
        status: "True"
  # The process has itself retried what can heal; a refused password must not be sent again.
  - action: FailJob
    onExitCodes:
      containerName: {{ .container }}
      operator: In
      values: [64, 69, 75, 77, 78]
{{- end -}}

{{- /*
(dict "root" . "connection" {..}): settings.json, which hooks and keeper read: the values that concern them, without any credential, with the defaults laid
under (validated once more, by #/definitions/settings of the schema), and what the chart derived, so that nothing is derived twice.
*/ -}}
{{- define "gitops-runtime-auth.settings" -}}
{{- $connection := .connection -}}
{{- $type := $connection.auth.type -}}
{{- $auth := merge (dict (printf "%sSecretKeyRef" $type) $connection.credential) (pick $connection.auth "type" (eq $type "password" | ternary "username" "acceptExpiring")) -}}
{{- $secret := deepCopy .root.Values.keySecret -}}
{{- $_ := set $secret "labels" (merge (dict) ($secret.labels | default dict) (.root.Values.commonLabels | default dict)) -}}
{{- $_ := set $secret "annotations" (merge (dict) ($secret.annotations | default dict) (.root.Values.commonAnnotations | default dict)) -}}
{{- $names := dict -}}
{{- range $suffix := list "auth-refused" "auth-ensure" "auth-ensure-rollback" "auth-rehearsal" "auth-retire" "auth-verify" "auth-credential" -}}
{{- $_ := set $names $suffix (include "gitops-runtime-auth.fullname" (dict "root" $.root "suffix" $suffix)) -}}
{{- end -}}
{{- $workloads := include "gitops-runtime-auth.workloads" . | fromJson -}}
{{- dict
    "values" (dict
      "global" (dict "external-arg-cd" (dict "server" $connection.server "auth" $auth))
      "hook" (pick .root.Values.hook "timeout" "waitForSecrets" "enableApiKey" "argocdNamespace" "logLevel")
      "keeper" (pick .root.Values.keeper "interval" "maxAge" "gracePeriod" "restartConsumers" "consumers")
      "keySecret" $secret)
    "derived" (dict
      "block" $connection.block "url" $connection.url "argocdNamespace" $connection.argocdNamespace
      "credential" (dict "name" $connection.credential.name "key" $connection.credential.key "inline" (ne $connection.inline ""))
      "key" $connection.key "consumers" $workloads.consumers "waitFor" $workloads.waitFor "refused" (get $names "auth-refused")
      "leftovers" (dict
        "jobs" (list (get $names "auth-ensure") (get $names "auth-ensure-rollback") (get $names "auth-rehearsal") (get $names "auth-retire"))
        "pods" (list (get $names "auth-verify"))
        "secrets" (list (get $names "auth-credential"))))
  | toJson -}}
{{- end -}}

{{- /* (dict "root" . "verbs" ["get"] "which" ["consumers"]): rules for those workloads, by name: without resourceNames a rule would mean every workload. */ -}}
{{- define "gitops-runtime-auth.rules.workloads" -}}
{{- $workloads := include "gitops-runtime-auth.workloads" . | fromJson -}}
{{- $names := dict -}}
{{- range $which := .which -}}
{{- range get $workloads $which -}}
{{- $kind := printf "%ss" (dir .) -}}
{{- $_ := set $names $kind (append (get $names $kind | default list) (base .)) -}}
{{- end -}}
{{- end -}}
{{- range $kind, $of := $names }}
- apiGroups: [apps]
  resources: [{{ $kind }}]
  verbs: {{ toJson $.verbs }}
  resourceNames: {{ toJson $of }}
{{- end }}
{{- end -}}
