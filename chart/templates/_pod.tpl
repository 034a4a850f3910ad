{{- /* What Pods have in common: security, scheduling, environment, mounted files, and what a Deployment's values come to. */ -}}

{{- /*
(dict "root" . "values" {..} "own" true): security context, scheduling and pull secrets of a Pod, as fields of its spec. Closer values win as a
whole where they are not empty. own: it runs the project's image, whose user has a fixed id.
*/ -}}
{{- define "gitops-runtime-auth.podSettings" -}}
{{- $global := .root.Values.global | default dict -}}
{{- $security := dict "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault") "runAsUser" 65532 "runAsGroup" 65532 "fsGroup" 65532 -}}
{{- if not .own }}{{ $security = omit $security "runAsUser" "runAsGroup" }}{{ end -}}
{{- /* restricted-v2 gives each namespace its own range of ids and refuses all others. */}}
{{- if .root.Capabilities.APIVersions.Has "security.openshift.io/v1" }}{{ $security = omit $security "runAsUser" "runAsGroup" "fsGroup" }}{{ end -}}
{{- range $key, $value := .root.Values.podSecurityContext -}}
{{- if kindIs "invalid" $value }}{{ $_ := unset $security $key }}{{ else }}{{ $_ := set $security $key $value }}{{ end -}}
{{- end -}}
{{- $secrets := list -}}
{{- range .root.Values.imagePullSecrets | default $global.imagePullSecrets -}}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) -}}
{{- end -}}
{{- $settings := dict
    "securityContext" $security "imagePullSecrets" $secrets
    "nodeSelector" (.values.nodeSelector | default $global.nodeSelector) "tolerations" (.values.tolerations | default $global.tolerations)
-}}
{{- $settings = merge $settings (pick .values "affinity" "priorityClassName" "runtimeClassName" "dnsConfig" "hostAliases") -}}
{{- range $key, $value := $settings }}{{ if not $value }}{{ $settings = omit $settings $key }}{{ end }}{{ end -}}
{{- toYaml $settings -}}
{{- end -}}

{{- /* (dict "root" . "own" true): security context of a container. */ -}}
{{- define "gitops-runtime-auth.securityContext" -}}
{{- $security := dict "allowPrivilegeEscalation" false "capabilities" (dict "drop" (list "ALL")) -}}
{{- if .own }}{{ $_ := set $security "readOnlyRootFilesystem" true }}{{ end -}}
{{- range $key, $value := .root.Values.securityContext -}}
{{- if kindIs "invalid" $value }}{{ $_ := unset $security $key }}{{ else }}{{ $_ := set $security $key $value }}{{ end -}}
{{- end -}}
{{- toYaml $security -}}
{{- end -}}

{{- /*
(dict "root" . "env" "- name: .." "extra" [..]): a container's variables. Of several of one name the first counts, and the user's own before all. They stay the text
that they are, because toYaml loses a value with a control character in it.
*/ -}}
{{- define "gitops-runtime-auth.env" -}}
{{- $given := list -}}
{{- range .extra }}{{ $given = append $given .name }}{{ end -}}
{{- range $variable := splitList "\n- name: " (printf "\n%s" (trim .env)) -}}
{{- $name := splitList "\n" $variable | first -}}
{{- if and $name (not (has $name $given)) }}
- name: {{ $variable }}
{{- $given = append $given $name -}}
{{- end -}}
{{- end -}}
{{- with .extra }}
{{ toYaml . }}
{{- end -}}
{{- end -}}

{{- /* (dict "root" .): the proxy's variables. Kubernetes' own API is always reached directly. */ -}}
{{- define "gitops-runtime-auth.env.proxy" -}}
{{- $global := .root.Values.global | default dict -}}
{{- $proxy := .root.Values.proxy -}}
{{- $http := $proxy.httpProxy | default $global.httpProxy -}}
{{- $https := $proxy.httpsProxy | default $global.httpsProxy -}}
{{- if or $http $https -}}
{{- with $http -}}
- name: HTTP_PROXY
  value: {{ quote . }}
{{ end -}}
{{- with $https -}}
- name: HTTPS_PROXY
  value: {{ quote . }}
{{ end -}}
- name: NO_PROXY
  {{- $direct := $proxy.noProxy | default $global.noProxy | default "" | replace "$" "$$" }}
  value: {{ list $direct "localhost,127.0.0.1,$(KUBERNETES_SERVICE_HOST)" | join "," | trimPrefix "," | quote }}
{{- end -}}
{{- end -}}

{{- /* (dict "root" . "settings" "JSON"): variables of the hook's and the keeper's process. It refuses other settings than those of the hash. */ -}}
{{- define "gitops-runtime-auth.env.own" -}}
- name: RELEASE_NAME
  value: {{ .root.Release.Name | quote }}
- name: RELEASE_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_UID
  valueFrom:
    fieldRef:
      fieldPath: metadata.uid
- name: CHART
  value: {{ include "gitops-runtime-auth.chart" . }}
- name: SETTINGS_SHA256
  value: {{ sha256sum .settings }}
{{- with include "gitops-runtime-auth.env.proxy" . }}
{{ . }}
{{- end }}
{{- end -}}

{{- /*
(dict "root" . "connection" {..} "settings" "ConfigMap's name" "credential" {name, key} "key" "Secret's name" "refused" true): the files under
/var/run/gitops-runtime-auth, each in a volume of its folder's name. What is the user's is optional, so that our program can say what is missing.
*/ -}}
{{- define "gitops-runtime-auth.files.volumes" -}}
{{- $server := .connection.server -}}
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
{{- with .key }}
- name: key
  secret:
    secretName: {{ quote . }}
    optional: true
    defaultMode: 0440
{{- end }}
{{- if .refused }}
- name: refused
  configMap:
    name: {{ include "gitops-runtime-auth.fullname" (dict "root" .root "suffix" "auth-refused") }}
    optional: true
    items:
      - key: record
        path: record
{{- end }}
{{- if ($server.caConfigMapKeyRef | default dict).name }}
- name: ca
  configMap:
    name: {{ quote $server.caConfigMapKeyRef.name }}
    optional: true
    items:
      - key: {{ quote $server.caConfigMapKeyRef.key }}
        path: ca.crt
{{- else if ($server.caSecretKeyRef | default dict).name }}
- name: ca
  secret:
    secretName: {{ quote $server.caSecretKeyRef.name }}
    optional: true
    defaultMode: 0440
    items:
      - key: {{ quote $server.caSecretKeyRef.key }}
        path: ca.crt
{{- end }}
{{- with ($server.headersSecretRef | default dict).name }}
- name: headers
  secret:
    secretName: {{ quote . }}
    optional: true
    defaultMode: 0440
{{- end }}
{{- with ($server.clientCertSecretRef | default dict).name }}
- name: client-cert
  secret:
    secretName: {{ quote . }}
    optional: true
    defaultMode: 0440
{{- end }}
{{- end -}}

{{- /* The same: their mounts. */ -}}
{{- define "gitops-runtime-auth.files.mounts" -}}
- name: tmp
  mountPath: /tmp
{{- range $volume := include "gitops-runtime-auth.files.volumes" . | fromYamlArray }}
{{- if ne $volume.name "tmp" }}
- name: {{ $volume.name }}
  mountPath: /var/run/gitops-runtime-auth/{{ $volume.name }}
  readOnly: true
{{- end }}
{{- end }}
{{- end -}}

{{- /*
(dict "root" . "service" "event-reporter"): a Runtime Deployment's values, as JSON: its own laid over runtimeDefaults, maps key by key, two deep; and own, which is
true while it runs the project's image and command. A vendor's gets none of our arguments, probes and rights. "key-keeper" means the keeper's Deployment.
*/ -}}
{{- define "gitops-runtime-auth.service" -}}
{{- $values := deepCopy .root.Values.runtimeDefaults -}}
{{- range $key, $value := eq .service "key-keeper" | ternary .root.Values.keeper.deployment (index .root.Values .service) -}}
{{- $under := get $values $key -}}
{{- if and (kindIs "map" $value) (kindIs "map" $under) -}}
{{- range $name, $inner := $value -}}
{{- if kindIs "invalid" $inner }}{{ $_ := unset $under $name }}{{ else }}{{ $_ := set $under $name $inner }}{{ end -}}
{{- end -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $_ := set $values $key $value -}}
{{- end -}}
{{- end -}}
{{- if not .root.Values.runtime.enabled }}{{ $_ := set $values "enabled" false }}{{ end -}}
{{- $_ := set $values "own" (not (or $values.command $values.args ($values.image | default dict).repository)) -}}
{{- toJson $values -}}
{{- end -}}

{{- /*
(dict "root" .): the workloads that matter when the key changes, as JSON: consumers take the key by environment, so they are restarted for a new one, and waited for
before an old one is revoked; waitFor are waited for only. keeper says where the key keeper runs: in app-proxy while that runs the project's image and
command, else in a Deployment of its own, key-keeper.
*/ -}}
{{- define "gitops-runtime-auth.workloads" -}}
{{- $consumers := list -}}
{{- $waitFor := list -}}
{{- $keeper := "key-keeper" -}}
{{- range $service := list "app-proxy" "sources-server" "event-reporter" "gitops-operator" -}}
{{- $values := include "gitops-runtime-auth.service" (dict "root" $.root "service" $service) | fromJson -}}
{{- if $values.enabled -}}
{{- $workload := printf "deployment/%s" (include "gitops-runtime-auth.fullname" (dict "root" $.root "suffix" $service)) -}}
{{- if eq $service "app-proxy" }}{{ $waitFor = append $waitFor $workload }}{{ else }}{{ $consumers = append $consumers $workload }}{{ end -}}
{{- if and (eq $service "app-proxy") $values.own }}{{ $keeper = $service }}{{ end -}}
{{- end -}}
{{- end -}}
{{- range .root.Values.keeper.consumers -}}
{{- $consumers = append $consumers (contains "/" . | ternary . (printf "deployment/%s" .)) -}}
{{- end -}}
{{- if eq $keeper "key-keeper" -}}
{{- $waitFor = append $waitFor (printf "deployment/%s" (include "gitops-runtime-auth.fullname" (dict "root" .root "suffix" $keeper))) -}}
{{- end -}}
{{- dict "keeper" $keeper "consumers" (uniq $consumers) "waitFor" $waitFor | toJson -}}
{{- end -}}

{{- /* (dict "root" .): port and probes of the project's own long-running processes. */ -}}
{{- define "gitops-runtime-auth.probes" -}}
ports:
  - name: http
    containerPort: 8080
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 2
  timeoutSeconds: 5
livenessProbe:
  httpGet: {path: /healthz, port: http}
  initialDelaySeconds: 10
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end -}}
