{{- /* What Pods have in common: security, scheduling, environment and mounted files; and the workloads that use the API key. */ -}}

{{- /*
(dict "root" . "values" {..} "own" true): returns security context, scheduling and pull secrets as fields of a Pod's spec. A value in `values` replaces the one
in `global` as a whole, unless it is empty. `own` means that the Pod runs the project's image, whose user has a fixed id.
*/ -}}
{{- define "gitops-runtime-auth.podSettings" -}}
{{- $global := .root.Values.global -}}
{{- $security := dict "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault") "runAsUser" 65532 "runAsGroup" 65532 "fsGroup" 65532 -}}
{{- if not .own }}{{ $security = omit $security "runAsUser" "runAsGroup" }}{{ end -}}
{{- /* OpenShift's restricted-v2 gives each namespace a range of ids, and refuses all others. */}}
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

{{- /* (dict "root" . "own" true): returns the security context of a container. */ -}}
{{- define "gitops-runtime-auth.securityContext" -}}
{{- $security := dict "allowPrivilegeEscalation" false "capabilities" (dict "drop" (list "ALL")) -}}
{{- if .own }}{{ $_ := set $security "readOnlyRootFilesystem" true }}{{ end -}}
{{- range $key, $value := .root.Values.securityContext -}}
{{- if kindIs "invalid" $value }}{{ $_ := unset $security $key }}{{ else }}{{ $_ := set $security $key $value }}{{ end -}}
{{- end -}}
{{- toYaml $security -}}
{{- end -}}

{{- /*
(dict "root" . "container" "ensure"): returns a Job's podFailurePolicy. An exit code of the program fails the Job at once, because the process has already
retried what can recover, and another Pod would send a refused password again. An evicted Pod does not count.
*/ -}}
{{- define "gitops-runtime-auth.podFailurePolicy" -}}
rules:
  - action: Ignore
    onPodConditions:
      - type: DisruptionTarget
        status: "True"
  - action: FailJob
    onExitCodes:
      containerName: {{ .container }}
      operator: In
      values: [64, 69, 75, 77, 78]
{{- end -}}

{{- /*
(dict "root" . "env" "- name: .." "extra" [..]): returns a container's variables. Of several with one name, the user's (`extra`) wins, then the first of `env`. `env`
is handled as text, because toYaml loses a value with a control character in it.
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

{{- /* (dict "root" .): returns the variables for a proxy. The Kubernetes API is always reached directly. */ -}}
{{- define "gitops-runtime-auth.env.proxy" -}}
{{- $global := .root.Values.global -}}
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

{{- /*
(dict "root" . "settings" "JSON"): returns the variables that the hooks and the keeper read. The hash ties the Pod to its settings: the process refuses others, so
that whoever can edit the ConfigMap can not have the password sent elsewhere.
*/ -}}
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
(dict "root" . "connection" {..} "settings" "ConfigMap's name" "credential" {name, key} "key" "Secret's name" "refused" true): returns the volumes that
files.mounts mounts under /var/run/gitops-runtime-auth, each in a folder of the volume's name. The user's Secrets are optional, so that the Pod starts
without them and the program can say what is missing.
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
{{- if ($server.caConfigMapKeyRef).name }}
- name: ca
  configMap:
    name: {{ quote $server.caConfigMapKeyRef.name }}
    optional: true
    items:
      - key: {{ quote $server.caConfigMapKeyRef.key }}
        path: ca.crt
{{- else if ($server.caSecretKeyRef).name }}
- name: ca
  secret:
    secretName: {{ quote $server.caSecretKeyRef.name }}
    optional: true
    defaultMode: 0440
    items:
      - key: {{ quote $server.caSecretKeyRef.key }}
        path: ca.crt
{{- end }}
{{- with ($server.headersSecretRef).name }}
- name: headers
  secret:
    secretName: {{ quote . }}
    optional: true
    defaultMode: 0440
{{- end }}
{{- with ($server.clientCertSecretRef).name }}
- name: client-cert
  secret:
    secretName: {{ quote . }}
    optional: true
    defaultMode: 0440
{{- end }}
{{- end -}}

{{- /* Takes the same as files.volumes: returns the mounts of those volumes. */ -}}
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
(dict "root" . "service" "event-reporter"): returns a Runtime Deployment's values as JSON: its own over runtimeDefaults; maps are merged key by key, one level deep.
"key-keeper" means the keeper's own Deployment. With runtime.enabled: false, what is below a service is left to the Runtime's own chart. `own` is true if it runs the project's image and command; any other image gets no arguments, probes or
rights from this chart.
*/ -}}
{{- define "gitops-runtime-auth.service" -}}
{{- $values := deepCopy .root.Values.runtimeDefaults -}}
{{- $given := dict -}}
{{- if eq .service "key-keeper" }}{{ $given = .root.Values.keeper.deployment }}{{ else if .root.Values.runtime.enabled }}{{ $given = index .root.Values .service }}{{ end -}}
{{- range $key, $value := $given -}}
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
{{- $_ := set $values "own" (not (or $values.command $values.args $values.image.repository)) -}}
{{- toJson $values -}}
{{- end -}}

{{- /*
(dict "root" .): returns the workloads that matter when the key changes, as JSON. `consumers` take the key by environment, so that they are restarted for a new
key, and the old key is revoked only when all of them run with the new one. `waitFor` are waited for, but not restarted. `further` are keeper.consumers. `keeper` is where the key keeper
runs: in app-proxy if that runs the project's image and command, else in the Deployment key-keeper.
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
{{- $further := list -}}
{{- range .root.Values.keeper.consumers -}}
{{- $further = append $further (contains "/" . | ternary . (printf "deployment/%s" .)) -}}
{{- end -}}
{{- if eq $keeper "key-keeper" -}}
{{- $waitFor = append $waitFor (printf "deployment/%s" (include "gitops-runtime-auth.fullname" (dict "root" .root "suffix" $keeper))) -}}
{{- end -}}
{{- dict "keeper" $keeper "consumers" (concat $consumers $further | uniq) "further" $further "waitFor" $waitFor | toJson -}}
{{- end -}}

{{- /* (dict "root" . "verbs" ["get"] "which" ["consumers"]): returns the rules of a Role for those workloads. Each is named, because a rule without resourceNames allows all. */ -}}
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

{{- /* (dict "root" .): returns port and probes of the project's long-running processes. */ -}}
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
