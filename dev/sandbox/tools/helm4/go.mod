module tools/helm4

go 1.27

require helm.sh/helm/v4 v4.3.1
