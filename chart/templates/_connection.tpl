{{- /* Everything that is derived from the block global.external-arg-cd. values.schema.json says what is refused in it. */ -}}

{{- /*
Returns the block's defaults. They stand here and not in values.yaml for two reasons: a parent chart's `global` would lack them, and a block in another
spelling must not be mixed with them.
*/ -}}
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
(dict "root" .): returns the block that counts, as JSON, with the defaults under it. Of several spellings, the first that says more than auth.type counts, as a whole.
One that says only auth.type sets the type of the block that counts, so that `--set global.external-arg-cd.auth.type=token` works on top of any file.
name: the spelling that counts. losers: other spellings that are set. ignored: keys that only the Runtime's own chart reads. who: the losers that say how to
authenticate, where the block that counts does not.
*/ -}}
{{- define "gitops-runtime-auth.block" -}}
{{- $global := .root.Values.global -}}
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
{{- $auth := $spelling.block.auth -}}
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

{{- /* (dict "root" . "block" {..}): returns a sentence if the block lacks what its type needs. With a single spelling, values.schema.json has refused it before. */ -}}
{{- define "gitops-runtime-auth.judge" -}}
{{- $auth := .block.auth -}}
{{- $path := printf "%s.auth" .block.name -}}
{{- $message := "" -}}
{{- $ref := get $auth (printf "%sSecretKeyRef" $auth.type) | default dict -}}
{{- $plain := get $auth $auth.type -}}
{{- range .block.who -}}
{{- $message = printf "%s.auth says how to authenticate, but only %s is read, and it has no auth. Put auth there, or keep one of the two blocks." . $.block.name -}}
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
(dict "root" .): returns everything that is derived from the block, as JSON. block, losers, ignored, server, auth: as above. url; address: host, port and root path;
rootpath; port; argocdNamespace. inline: the credential, if it stands in the values as plain text. credential, key: name and key of the Secrets with the
credential and with the API key.
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
{{- $message := printf "%s.auth.tokenSecretKeyRef names Secret %s, into which this chart writes the key that it makes (keySecret.name), but with type token it makes none: who makes that key? Set global.external-arg-cd.auth to the account whose key this chart is to make, beside what the Runtime's own chart reads." $block.name $secret.name -}}
{{- include "gitops-runtime-auth.refuse" (dict "root" .root "message" $message) -}}
{{- end -}}
{{- if eq $auth.type "password" -}}
{{- $named := dict "auth.passwordSecretKeyRef" $credential -}}
{{- range list "caSecretKeyRef" "headersSecretRef" "clientCertSecretRef" }}{{ $_ := set $named (printf "server.%s" .) (get $server . | default dict) }}{{ end -}}
{{- range $path, $of := $named -}}
{{- if eq ($of.name | default "") $secret.name -}}
{{- $message := printf "keySecret.name and %s both name Secret %s: the API key would be written over what is in it. Choose another keySecret.name." $path $secret.name -}}
{{- include "gitops-runtime-auth.refuse" (dict "root" $.root "message" $message) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- dict
    "block" $block.name "losers" $block.losers "ignored" $block.ignored "server" $server "auth" $auth
    "url" (printf "%s://%s%s" $scheme $shown $rootpath) "address" (printf "%s%s" $address $rootpath) "rootpath" $rootpath "port" $port
    "argocdNamespace" ((.root.Values.hook).argocdNamespace | default $namespace | default .root.Release.Namespace)
    "inline" $inline "credential" $credential "key" (eq $auth.type "token" | ternary $credential $key)
  | toJson -}}
{{- end -}}

{{- /*
(dict "root" . "connection" {..}): returns settings.json, which the hooks and the keeper read: the values that they need, without any credential, and what the chart
derived from them, so that nothing is derived twice. The hook validates the values again (#/definitions/settings of the schema).
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
      "commonLabels" (.root.Values.commonLabels | default dict) "commonAnnotations" (.root.Values.commonAnnotations | default dict)
      "leftovers" (dict
        "jobs" (list (get $names "auth-ensure") (get $names "auth-ensure-rollback") (get $names "auth-rehearsal") (get $names "auth-retire"))
        "pods" (list (get $names "auth-verify"))
        "secrets" (list (get $names "auth-credential"))))
  | toJson -}}
{{- end -}}

{{- /* (dict "root" . "connection" {..}): returns the variables with Argo CD's address that sources-server and event-reporter read. */ -}}
{{- define "gitops-runtime-auth.env.address" -}}
- name: ARGO_CD_URL
  value: {{ quote .connection.url }}
- name: ARGOCD_SERVER
  value: {{ quote .connection.address }}
- name: ARGOCD_SERVER_ROOTPATH
  value: {{ quote .connection.rootpath }}
{{- end -}}

{{- /* (dict "root" . "connection" {..} "service" "event-reporter"): returns a Runtime Deployment's variables, the same as in the Runtime's own chart. */ -}}
{{- define "gitops-runtime-auth.env.service" -}}
{{- $password := and (eq .service "app-proxy") (eq .connection.auth.type "password") -}}
{{- if eq .service "app-proxy" -}}
- name: ARGO_CD_URL
  value: {{ quote .connection.url }}
- name: IS_EXTERNAL_ARGOCD
  value: "true"
{{- else if eq .service "gitops-operator" -}}
- name: ARGO_CD_URL
  {{- /* The vendor's operator fails with a URL that has a scheme. */}}
  value: {{ quote .connection.address }}
{{- else -}}
{{ include "gitops-runtime-auth.env.address" . }}
{{- end }}
{{- if $password }}
- name: ARGO_CD_USERNAME
  {{- /* Kubernetes expands $(...) in a value, and makes $ of $$. */}}
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

{{- /* (dict "root" . "connection" {..}): returns the volume with the API key as a file. It is optional, so that a Pod starts before the Secret exists. */ -}}
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

{{- /* (dict "root" .): returns the mount of that volume. */ -}}
{{- define "gitops-runtime-auth.token.mount" -}}
- name: argocd-token
  mountPath: /var/run/argocd
  readOnly: true
{{- end -}}

{{- /*
(dict "root" . "connection" {..}): returns an annotation's value that changes with an inline credential, so that Pods restart with a new one. Many people may read a
Deployment, so the value is made with scrypt (derivePassword): a plain hash would allow a weak password to be guessed. Scrypt takes 0.15 s, so the context keeps the
value for the next Deployment, under a key made of all that it depends on.
*/ -}}
{{- define "gitops-runtime-auth.credentialChecksum" -}}
{{- with .connection.inline -}}
{{- $kept := list "checksum" . $.root.Release.Name | toJson -}}
{{- if not (hasKey $.root $kept) }}{{ $_ := set $.root $kept (derivePassword 1 "maximum" . "gitops-runtime-auth" $.root.Release.Name | sha256sum) }}{{ end -}}
{{- get $.root $kept -}}
{{- end -}}
{{- end -}}
