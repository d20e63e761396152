{{- define "freshet.name" -}}
{{- if contains "freshet" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-freshet" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "freshet.select" -}}
app.kubernetes.io/name: freshet
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "freshet.labels" -}}
{{ include "freshet.select" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "freshet.account" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "freshet.name" .) }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

{{- define "freshet.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "freshet.worker" -}}
{{ .Values.worker.image.repository }}:{{ .Values.worker.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "freshet.bucket" -}}
{{- if contains "://" .Values.workspace.url }}yes{{ end }}
{{- end }}

{{/* What all pods have in common: nobody's root, no token, nothing writable but the workspace and /tmp. */}}
{{- define "freshet.pod" -}}
serviceAccountName: {{ include "freshet.account" . }}
automountServiceAccountToken: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: tmp
    emptyDir: {}
  {{- if not (include "freshet.bucket" .) }}
  - name: workspace
    persistentVolumeClaim:
      claimName: {{ .Values.workspace.existingClaim | default (include "freshet.name" .) }}
  {{- end }}
  {{- if .Values.settings }}
  - name: settings
    configMap:
      name: {{ include "freshet.name" . }}
  {{- end }}
{{- end }}

{{- define "freshet.container" -}}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
env:
  - name: NUMBA_CACHE_DIR
    value: /tmp/numba
  {{- range $name, $value := .Values.env }}
  - name: {{ $name }}
    value: {{ $value | quote }}
  {{- end }}
{{- if or .Values.envFromSecrets .Values.envFromConfigMaps }}
envFrom:
  {{- range .Values.envFromConfigMaps }}
  - configMapRef:
      name: {{ . }}
  {{- end }}
  {{- range .Values.envFromSecrets }}
  - secretRef:
      name: {{ . }}
  {{- end }}
{{- end }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
  {{- if not (include "freshet.bucket" .) }}
  - name: workspace
    mountPath: {{ .Values.workspace.url }}
  {{- end }}
  {{- if .Values.settings }}
  - name: settings
    mountPath: {{ .Values.workspace.url }}/freshet.toml
    subPath: freshet.toml
    readOnly: true
  {{- end }}
{{- end }}

{{/* A path of the pipeline: one at a time; what a person has to look at is not tried again. */}}
{{- define "freshet.cronjob" -}}
{{- $path := index .Values .path -}}
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {{ include "freshet.name" . }}-{{ .path }}
  labels:
    {{- include "freshet.labels" . | nindent 4 }}
    app.kubernetes.io/component: {{ .path }}
spec:
  schedule: {{ $path.schedule | quote }}
  timeZone: {{ .Values.timeZone }}
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 3600
  successfulJobsHistoryLimit: 3
  failedJobsHistoryLimit: 3
  jobTemplate:
    spec:
      backoffLimit: 2
      activeDeadlineSeconds: {{ $path.deadlineSeconds }}
      ttlSecondsAfterFinished: 604800
      podFailurePolicy:
        rules:
          # wrong input, a gate that waits for a person, a table that failed its checks, answers that come later
          - action: FailJob
            onExitCodes:
              containerName: {{ .path }}
              operator: In
              values: [2, 3, 4, 8]
          - action: Ignore
            onPodConditions:
              - type: DisruptionTarget
                status: "True"
      template:
        metadata:
          labels:
            {{- include "freshet.select" . | nindent 12 }}
            app.kubernetes.io/component: {{ .path }}
        spec:
          restartPolicy: Never
          terminationGracePeriodSeconds: 60
          {{- include "freshet.pod" . | nindent 10 }}
          {{- with $path.nodeSelector }}
          nodeSelector:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          {{- with $path.tolerations }}
          tolerations:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          containers:
            - name: {{ .path }}
              image: {{ include "freshet.worker" . }}
              args: {{ concat (list (first $path.args) "-w" .Values.workspace.url) (rest $path.args) | toJson }}
              {{- include "freshet.container" . | nindent 14 }}
              resources:
                {{- toYaml $path.resources | nindent 16 }}
{{- end }}
