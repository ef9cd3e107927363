//go:build suite

// Package suite names what go.mod pins: etcd's own robustness tests.
package suite

import _ "go.etcd.io/etcd/tests/v3/robustness"
