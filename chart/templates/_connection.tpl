{{- /* What follows from the block external-arg-cd. What can be wrong with the block is in values.schema.json. */ -}}

{{- /* The defaults of the block. They stand here, not in values.yaml, because a parent chart's `global` would not carry them, and because a block in another spelling must not be mixed with them. */ -}}
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

{{- /*
(dict "root" .): the block that counts, as JSON: name (the spelling in which the user gave it), server, auth, losers (other spellings that are set too) and ignored
(its keys that only the Runtime's own chart reads). The first spelling that says more than auth.type counts, as a whole; the first that says only
auth.type sets the type: that is how `--set global.external-arg-cd.auth.type=token` works on top of any file.
*/ -}}
{{- define "gitops-runtime-auth.block" -}}
{{- $global := .root.Values.global | default dict -}}
{{- $vendor := get (get ($global.integrations | default dict) "argo-cd" | default dict) "server" | default dict -}}
{{- $spellings := list
    (dict "name" "global.external-arg-cd" "block" (get $global "external-arg-cd" | default dict))
    (dict "name" "global.external-argo-cd" "block" (get $global "external-argo-cd" | default dict))
    (dict "name" "global.integrations.argo-cd.server" "block" (dict "server" (omit $vendor "auth") "auth" $vendor.auth))
-}}
{{- $counts := dict -}}
{{- $type := "" -}}
{{- $losers := list -}}
{{- $who := list -}}
{{- range $spelling := $spellings -}}
{{- $auth := $spelling.block.auth | default dict -}}
{{- $says := omit $auth "type" -}}
{{- range omit $spelling.block "auth" }}{{ if . }}{{ $says = dict "more" . }}{{ end }}{{ end -}}
{{- if and $says (not $counts) -}}
{{- $counts = dict "name" $spelling.name "server" ($spelling.block.server | default dict) "auth" $auth "others" (omit $spelling.block "server" "auth") -}}
{{- else if $says -}}
{{- $losers = append $losers $spelling.name -}}
{{- if omit $auth "type" }}{{ $who = append $who $spelling.name }}{{ end -}}
{{- else if not $type -}}
{{- $type = $auth.type -}}
{{- end -}}
{{- end -}}
{{- $block := dict "name" ($counts.name | default "global.external-arg-cd") "losers" $losers -}}
{{- if not (omit ($counts.auth | default dict) "type") }}{{ $_ := set $block "who" $who }}{{ end -}}
{{- range $half, $defaults := include "gitops-runtime-auth.defaults" . | fromYaml -}}
{{- $laid := $defaults -}}
{{- range $key, $value := get $counts $half | default dict -}}
{{- if kindIs "map" $value -}}
{{- $value = deepCopy $value -}}
{{- range $name, $inner := get $defaults $key | default dict }}{{ if not (hasKey $value $name) }}{{ $_ := set $value $name $inner }}{{ end }}{{ end -}}
{{- end -}}
{{- if kindIs "invalid" $value }}{{ $_ := unset $laid $key }}{{ else }}{{ $_ := set $laid $key $value }}{{ end -}}
{{- end -}}
{{- $_ := set $block $half $laid -}}
{{- end -}}
{{- if $type }}{{ $_ := set $block.auth "type" $type }}{{ end -}}
{{- $_ := set $block "ignored" (concat (keys ($counts.others | default dict) | sortAlpha) (keys (pick $block.server "image" "protocol") | sortAlpha)) -}}
{{- $_ := set $block "server" (omit $block.server "image" "protocol") -}}
{{- toJson $block -}}
{{- end -}}

{{- /* (dict "root" . "block" {..}): what the block lacks for its type, in a sentence. values.schema.json says it first where there is one spelling only. */ -}}
{{- define "gitops-runtime-auth.judge" -}}
{{- $auth := .block.auth -}}
{{- $path := printf "%s.auth" .block.name -}}
{{- $message := "" -}}
{{- $ref := get $auth (printf "%sSecretKeyRef" $auth.type) | default dict -}}
{{- $plain := get $auth $auth.type | default "" -}}
{{- range .block.who -}}
{{- $message = printf "%s.auth says how to authenticate, but %s counts as a whole and has no auth. Put auth there, or all of it into one of the two." . $.block.name -}}
{{- end -}}
{{- if not (kindIs "map" $ref) -}}
{{- $message = printf "%s.%sSecretKeyRef is not a map of name and key." $path $auth.type -}}
{{- else if omit $ref "name" "key" -}}
{{- $message = printf "%s.%sSecretKeyRef has keys other than name and key: %s." $path $auth.type (omit $ref "name" "key" | keys | sortAlpha | join ", ") -}}
{{- else if not (kindIs "string" $plain) -}}
{{- $message = printf "%s.%s is not a string: put it in quotes (on the command line: --set-string)." $path $auth.type -}}
{{- else if not (or $plain (and $ref.name $ref.key)) -}}
{{- $message = printf "%s.type is %s, but neither %s.%s nor %s.%sSecretKeyRef.name and .key are set." $path $auth.type $path $auth.type $path $auth.type -}}
{{- else if and (eq $auth.type "password") (not (and (kindIs "string" $auth.username) $auth.username)) -}}
{{- $message = printf "%s.username is not the account's name, a string in quotes." $path -}}
{{- end -}}
{{- $message -}}
{{- end -}}

{{- /*
(dict "root" .): everything derived from the block, as JSON: block, server and auth; url; address (host:port and root path); rootpath; argocdNamespace;
inline (the plain-text credential or ""); credential and key ({name, key}: the Secrets with the credential and with the API key).
*/ -}}
{{- define "gitops-runtime-auth.connection" -}}
{{- $block := include "gitops-runtime-auth.block" . | fromJson -}}
{{- with include "gitops-runtime-auth.judge" (dict "root" .root "block" $block) }}{{ include "gitops-runtime-auth.refuse" (dict "root" $.root "message" .) }}{{ end -}}
{{- $server := $block.server -}}
{{- $auth := $block.auth -}}
{{- $scheme := ternary "https" "http" (eq (int $server.port) 443) -}}
{{- $host := $server.svc -}}
{{- $port := $server.port | int | toString -}}
{{- $path := $server.rootpath | default "" -}}
{{- $namespace := regexFind "\\.[^.]+" ($server.svc | default "") | trimPrefix "." -}}
{{- if $server.url -}}
{{- $parts := urlParse $server.url -}}
{{- $scheme = lower $parts.scheme -}}
{{- $path = $parts.path -}}
{{- $port = regexFind ":[0-9]+$" $parts.host | trimPrefix ":" | default (ternary "443" "80" (eq $scheme "https")) -}}
{{- $host = regexReplaceAll ":[0-9]+$" $parts.host "" -}}
{{- $namespace = "" -}}
{{- end -}}
{{- $rootpath := trimAll "/" $path -}}
{{- if $rootpath }}{{ $rootpath = printf "/%s" $rootpath }}{{ end -}}
{{- $address := printf "%s:%s" $host $port -}}
{{- $shown := ternary $host $address (eq $port (ternary "443" "80" (eq $scheme "https"))) -}}
{{- $inline := index $auth $auth.type | default "" -}}
{{- $made := dict "name" (printf "gitops-runtime-argo-cd-%s" $auth.type) "key" $auth.type -}}
{{- $credential := ternary $made (pick (index $auth (printf "%sSecretKeyRef" $auth.type) | default dict) "name" "key") (ne $inline "") -}}
{{- $secret := .root.Values.keySecret | default (dict "name" "argocd-token" "data" (dict "token" "token")) -}}
{{- $keys := list -}}
{{- range $key, $what := $secret.data }}{{ if eq $what "token" }}{{ $keys = append $keys $key }}{{ end }}{{ end -}}
{{- $key := dict "name" $secret.name "key" (has "token" $keys | ternary "token" (first $keys)) -}}
{{- if and (eq $block.name "global.integrations.argo-cd.server") (eq $auth.type "token") (eq $credential.name $secret.name) -}}
{{- $message := printf "%s.auth.tokenSecretKeyRef names Secret %s, which this chart is to make (keySecret.name), and nothing says how: who makes that key? Set global.external-arg-cd.auth to the account whose key this chart is to make, beside what the Runtime's own chart reads." $block.name $secret.name -}}
{{- include "gitops-runtime-auth.refuse" (dict "root" .root "message" $message) -}}
{{- end -}}
{{- dict
    "block" $block.name "losers" $block.losers "ignored" $block.ignored "server" $server "auth" $auth
    "url" (printf "%s://%s%s" $scheme $shown $rootpath) "address" (printf "%s%s" $address $rootpath) "rootpath" $rootpath "port" $port
    "argocdNamespace" ((.root.Values.hook | default dict).argocdNamespace | default $namespace | default .root.Release.Namespace)
    "inline" $inline "credential" $credential "key" (eq $auth.type "token" | ternary $credential $key)
  | toJson -}}
{{- end -}}

{{- /* (dict "root" . "connection" {..}): variables with Argo CD's address, as sources-server and event-reporter read them. */ -}}
{{- define "gitops-runtime-auth.env.address" -}}
- name: ARGO_CD_URL
  value: {{ quote .connection.url }}
- name: ARGOCD_SERVER
  value: {{ quote .connection.address }}
- name: ARGOCD_SERVER_ROOTPATH
  value: {{ quote .connection.rootpath }}
{{- end -}}

{{- /* (dict "root" . "connection" {..} "service" "event-reporter"): a Runtime Deployment's variables, as the Runtime's own chart gives them. */ -}}
{{- define "gitops-runtime-auth.env.service" -}}
{{- $password := and (eq .service "app-proxy") (eq .connection.auth.type "password") -}}
{{- if eq .service "app-proxy" -}}
- name: ARGO_CD_URL
  value: {{ quote .connection.url }}
- name: IS_EXTERNAL_ARGOCD
  value: "true"
{{- else if eq .service "gitops-operator" -}}
- name: ARGO_CD_URL
  {{- /* Without a scheme: with one the vendor's operator fails. */}}
  value: {{ quote .connection.address }}
{{- else -}}
{{ include "gitops-runtime-auth.env.address" . }}
{{- end }}
{{- if $password }}
- name: ARGO_CD_USERNAME
  {{- /* Kubernetes expands $(...) in a value and turns $$ into $. */}}
  value: {{ .connection.auth.username | replace "$" "$$" | quote }}
- name: ARGO_CD_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ quote .connection.credential.name }}
      key: {{ quote .connection.credential.key }}
{{- else }}
{{- if ne .service "app-proxy" }}
- name: ARGO_CD_TOKEN_SECRET_NAME
  value: {{ quote .connection.key.name }}
- name: ARGO_CD_TOKEN_SECRET_KEY
  value: {{ quote .connection.key.key }}
- name: ARGO_CD_TOKEN_FILE
  value: /var/run/argocd/token
{{- end }}
- name: ARGO_CD_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ quote .connection.key.name }}
      key: {{ quote .connection.key.key }}
{{- end }}
{{- end -}}

{{- /* (dict "root" . "connection" {..}): the volume with the API key as a file. Optional, so that a Pod starts before its Secret is there. */ -}}
{{- define "gitops-runtime-auth.token.volume" -}}
- name: argocd-token
  secret:
    secretName: {{ quote .connection.key.name }}
    optional: true
    defaultMode: 0440
    items:
      - key: {{ quote .connection.key.key }}
        path: token
{{- end -}}

{{- /* (dict "root" .): its mount. */ -}}
{{- define "gitops-runtime-auth.token.mount" -}}
- name: argocd-token
  mountPath: /var/run/argocd
  readOnly: true
{{- end -}}

{{- /*
(dict "root" . "connection" {..}): annotation value that changes with an inline credential, so that Pods restart with a new one. Deployments are read by
many: scrypt (derivePassword), not a bare hash, stands between the annotation and a weak password.
*/ -}}
{{- define "gitops-runtime-auth.credentialChecksum" -}}
{{- with .connection.inline -}}
{{- derivePassword 1 "maximum" . "gitops-runtime-auth" $.root.Release.Name | sha256sum -}}
{{- end -}}
{{- end -}}
