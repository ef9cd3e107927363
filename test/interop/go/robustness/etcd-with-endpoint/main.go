// The real etcd, which also answers where the robustness suite looks for failpoints: with an empty list.
// Without an answer the suite skips; it is how the suite is tried on etcd before it judges Portal.
package main

import (
	"net/http"
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	if address := os.Getenv("GOFAIL_HTTP"); address != "" {
		empty := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
		go func() { _ = http.ListenAndServe(address, empty) }()
	}
	etcdmain.Main(os.Args)
}
