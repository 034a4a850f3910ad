module tools/ct

go 1.27

require github.com/helm/chart-testing/v3 v3.14.0
