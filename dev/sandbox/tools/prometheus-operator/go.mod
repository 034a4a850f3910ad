module tools/prometheus-operator

go 1.25.0

// For the definitions of its resources alone: nobody runs the program here.
require github.com/prometheus-operator/prometheus-operator v0.85.0
