module tools/flux-source

go 1.25.0

// For the definitions of its resources alone: the program does not build, because one of its modules is not served.
require github.com/fluxcd/source-controller v1.7.0
