module tools/coredns

go 1.27

require github.com/coredns/coredns v1.15.0
