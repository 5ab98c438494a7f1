module github.com/hashicorp/go-metrics/compat

go 1.26.0

require github.com/hashicorp/go-metrics v0.7.0
