module tools/actionlint

go 1.27

require github.com/rhysd/actionlint v1.7.7
