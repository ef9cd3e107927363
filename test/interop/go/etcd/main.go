// The real etcd server, the reference that interop tests and benchmarks compare Portal with.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
