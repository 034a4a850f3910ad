{{- /*
Named templates for parent charts, which call them with their own context: {{ include "gitops-runtime-auth.env.consumer" . }}. README.md shows how. Their
names are part of the chart's interface: they do not change.
*/ -}}

{{- /*
(dict "context" . "found" dict): sets found.root to the context of this chart, which is the caller's own or that of a subchart, under whatever alias. Sets nothing
if neither has this chart's values.
*/ -}}
{{- define "gitops-runtime-auth.find" -}}
{{- if and (hasKey .context.Values "keySecret") (hasKey .context.Values "runtimeDefaults") -}}
{{- $_ := set .found "root" .context -}}
{{- end -}}
{{- range .context.Subcharts -}}
{{- if not $.found.root }}{{ include "gitops-runtime-auth.find" (dict "context" . "found" $.found) }}{{ end -}}
{{- end -}}
{{- end -}}

{{- /* (dict "context" . "call" "env.service" "service" "app-proxy"): calls a template of this chart with this chart's context. */ -}}
{{- define "gitops-runtime-auth.public" -}}
{{- $found := dict -}}
{{- include "gitops-runtime-auth.find" (dict "context" .context "found" $found) -}}
{{- $root := $found.root | default .context -}}
{{- $connection := include "gitops-runtime-auth.connection" (dict "root" $root) | fromJson -}}
{{- include (printf "gitops-runtime-auth.%s" .call) (dict "root" $root "connection" $connection "service" .service) -}}
{{- end -}}

{{- /* Returns app-proxy's variables: user name and password, or token. */ -}}
{{- define "gitops-runtime-auth.env.app-proxy" -}}
{{- include "gitops-runtime-auth.public" (dict "context" . "call" "env.service" "service" "app-proxy") -}}
{{- end -}}

{{- /* Returns the variables of sources-server and event-reporter: Argo CD's address, the API key, name and key of its Secret, and its file. */ -}}
{{- define "gitops-runtime-auth.env.consumer" -}}
{{- include "gitops-runtime-auth.public" (dict "context" . "call" "env.service" "service" "event-reporter") -}}
{{- end -}}

{{- /* Returns the variables of gitops-operator, whose ARGO_CD_URL has no scheme. */ -}}
{{- define "gitops-runtime-auth.env.gitops-operator" -}}
{{- include "gitops-runtime-auth.public" (dict "context" . "call" "env.service" "service" "gitops-operator") -}}
{{- end -}}

{{- /* Returns the variables with Argo CD's address only. */ -}}
{{- define "gitops-runtime-auth.env.server" -}}
{{- include "gitops-runtime-auth.public" (dict "context" . "call" "env.address") -}}
{{- end -}}

{{- /* Returns the volume with the API key, in the file that ARGO_CD_TOKEN_FILE names. */ -}}
{{- define "gitops-runtime-auth.volumes" -}}
{{- include "gitops-runtime-auth.public" (dict "context" . "call" "token.volume") -}}
{{- end -}}

{{- /* Returns the mount of that volume. */ -}}
{{- define "gitops-runtime-auth.volumeMounts" -}}
{{- include "gitops-runtime-auth.public" (dict "context" . "call" "token.mount") -}}
{{- end -}}

{{- /* Returns an annotation's value that changes with an inline credential. */ -}}
{{- define "gitops-runtime-auth.checksum" -}}
{{- include "gitops-runtime-auth.public" (dict "context" . "call" "credentialChecksum") -}}
{{- end -}}
