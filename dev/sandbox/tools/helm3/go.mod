module tools/helm3

go 1.27

require helm.sh/helm/v3 v3.22.0
