{{- /*
Templates for parent charts, which call them with their own context: {{ include "gitops-runtime-auth.env.consumer" . }}. They find this
chart's values in .Subcharts, under whatever alias. README.md shows how they are used; their names stay as they are.
*/ -}}

{{- /* (dict "context" . "found" dict): sets found.root to this chart's context: the caller's own, a subchart's, or the caller's when neither has this chart's values. */ -}}
{{- define "gitops-runtime-auth.find" -}}
{{- if and (hasKey .context.Values "keySecret") (hasKey .context.Values "runtimeDefaults") -}}
{{- $_ := set .found "root" .context -}}
{{- end -}}
{{- range .context.Subcharts -}}
{{- if not $.found.root }}{{ include "gitops-runtime-auth.find" (dict "context" . "found" $.found) }}{{ end -}}
{{- end -}}
{{- end -}}

{{- /* (dict "context" . "call" "env.token" "service" ""): a template of this chart with its own context and connection. */ -}}
{{- define "gitops-runtime-auth.public" -}}
{{- $found := dict -}}
{{- include "gitops-runtime-auth.find" (dict "context" .context "found" $found) -}}
{{- $root := $found.root | default .context -}}
{{- $connection := include "gitops-runtime-auth.connection" (dict "root" $root) | fromJson -}}
{{- include (printf "gitops-runtime-auth.%s" .call) (dict "root" $root "connection" $connection "service" .service) -}}
{{- end -}}

{{- /* app-proxy's variables: user name and password, or token. */ -}}
{{- define "gitops-runtime-auth.env.app-proxy" -}}
{{- include "gitops-runtime-auth.public" (dict "context" . "call" "env.service" "service" "app-proxy") -}}
{{- end -}}

{{- /* The variables of sources-server and event-reporter: the API key, its Secret's name and key, its file. */ -}}
{{- define "gitops-runtime-auth.env.consumer" -}}
{{- include "gitops-runtime-auth.public" (dict "context" . "call" "env.service" "service" "event-reporter") -}}
{{- end -}}

{{- /* The same for gitops-operator, whose ARGO_CD_URL has no scheme. */ -}}
{{- define "gitops-runtime-auth.env.gitops-operator" -}}
{{- include "gitops-runtime-auth.public" (dict "context" . "call" "env.service" "service" "gitops-operator") -}}
{{- end -}}

{{- /* Argo CD's address alone. */ -}}
{{- define "gitops-runtime-auth.env.server" -}}
{{- include "gitops-runtime-auth.public" (dict "context" . "call" "env.address") -}}
{{- end -}}

{{- /* The mounted API key that ARGO_CD_TOKEN_FILE names: the volume. */ -}}
{{- define "gitops-runtime-auth.volumes" -}}
{{- include "gitops-runtime-auth.public" (dict "context" . "call" "token.volume") -}}
{{- end -}}

{{- /* Its mount. */ -}}
{{- define "gitops-runtime-auth.volumeMounts" -}}
{{- include "gitops-runtime-auth.public" (dict "context" . "call" "token.mount") -}}
{{- end -}}

{{- /* An annotation's value that changes with an inline credential. */ -}}
{{- define "gitops-runtime-auth.checksum" -}}
{{- include "gitops-runtime-auth.public" (dict "context" . "call" "credentialChecksum") -}}
{{- end -}}
