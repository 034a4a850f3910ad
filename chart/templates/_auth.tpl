{{- /*
The auth block and what follows from it. A parent chart may call every template here with its own context;
README.md shows how. What can be wrong with the block is in values.schema.json and nowhere else.
*/ -}}

{{- /* The defaults of values.yaml once more: a parent chart's own `global` does not carry them. A test keeps both equal. */ -}}
{{- define "gitops-runtime-auth.defaults" -}}
server:
  svc: argocd-server
  port: 443
  rootpath: ""
  url: ""
  insecureSkipVerify: false
  caSecretKeyRef: {name: argocd-secret, key: tls.crt}
auth:
  type: password
  username: admin
  passwordSecretKeyRef: {name: argocd-initial-admin-secret, key: password}
{{- end -}}

{{- /* (list base over): base overlaid with over, as JSON, as Helm does it: maps merge, null deletes. */ -}}
{{- define "gitops-runtime-auth.overlay" -}}
{{- $merged := deepCopy (index . 0) -}}
{{- range $key, $value := index . 1 -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := unset $merged $key -}}
{{- else if and (kindIs "map" $value) (kindIs "map" (get $merged $key)) -}}
{{- $_ := set $merged $key (include "gitops-runtime-auth.overlay" (list (get $merged $key) $value) | fromJson) -}}
{{- else -}}
{{- $_ := set $merged $key $value -}}
{{- end -}}
{{- end -}}
{{- toJson $merged -}}
{{- end -}}

{{- /* The block that counts, as JSON. global.external-argo-cd counts when global.external-arg-cd says no more than the defaults. */ -}}
{{- define "gitops-runtime-auth.block" -}}
{{- $global := .Values.global | default dict -}}
{{- $defaults := include "gitops-runtime-auth.defaults" . | fromYaml -}}
{{- /* An alias renames .Chart, not the values; the schema demands these two of ours. */ -}}
{{- $own := and (hasKey .Values "keeper") (hasKey .Values "gitops-operator") -}}
{{- $given := index $global "external-arg-cd" | default dict -}}
{{- $block := include "gitops-runtime-auth.overlay" (list (ternary dict $defaults $own) $given) | fromJson -}}
{{- $alias := index $global "external-argo-cd" -}}
{{- if and $alias (eq (toJson $block) (toJson $defaults)) -}}
{{- $block = include "gitops-runtime-auth.overlay" (list $defaults $alias) | fromJson -}}
{{- end -}}
{{- toJson $block -}}
{{- end -}}

{{- /* Normalised: /argocd, or empty. */ -}}
{{- define "gitops-runtime-auth.rootpath" -}}
{{- $bare := trimAll "/" . -}}
{{- if $bare -}}/{{ $bare }}{{- end -}}
{{- end -}}

{{- /*
Everything derived from the block, as JSON: url, address (host:port), rootpath, type, username, inline (the plain-text
credential or ""), credential and key ({name, key}: the Secrets with the credential and with the API key).
*/ -}}
{{- define "gitops-runtime-auth.connection" -}}
{{- $block := include "gitops-runtime-auth.block" . | fromJson -}}
{{- $server := $block.server -}}
{{- $auth := $block.auth -}}
{{- $scheme := ternary "https" "http" (eq (int $server.port) 443) -}}
{{- $host := $server.svc -}}
{{- $port := $server.port | int | toString -}}
{{- $path := $server.rootpath | default "" -}}
{{- if $server.url -}}
{{- $parts := urlParse $server.url -}}
{{- $scheme = lower $parts.scheme -}}
{{- $path = $parts.path -}}
{{- $port = regexFind ":[0-9]+$" $parts.host | trimPrefix ":" | default (ternary "443" "80" (eq $scheme "https")) -}}
{{- $host = regexReplaceAll ":[0-9]+$" $parts.host "" -}}
{{- end -}}
{{- $rootpath := include "gitops-runtime-auth.rootpath" $path -}}
{{- $address := printf "%s:%s" $host $port -}}
{{- $shown := ternary $host $address (eq $port (ternary "443" "80" (eq $scheme "https"))) -}}
{{- $inline := index $auth $auth.type | default "" -}}
{{- $made := dict "name" (printf "gitops-runtime-argo-cd-%s" $auth.type) "key" $auth.type -}}
{{- $credential := ternary $made (index $auth (printf "%sSecretKeyRef" $auth.type)) (ne $inline "") -}}
{{- dict
    "url" (printf "%s://%s%s" $scheme $shown $rootpath) "address" $address "rootpath" $rootpath
    "type" $auth.type "username" ($auth.username | default "") "inline" $inline "credential" $credential
    "key" (eq $auth.type "token" | ternary $credential (dict "name" "argocd-token" "key" "token"))
    "server" $server
  | toJson -}}
{{- end -}}
