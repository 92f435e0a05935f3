// lookup NAME...: the addresses of each name, a line each, as Go's own resolver finds them; "none" where it finds none. For a
// static program (CGO_ENABLED=0), which has no name service switch.
package main

import (
	"fmt"
	"net"
	"os"
)

func main() {
	for _, name := range os.Args[1:] {
		addresses, err := net.LookupHost(name)
		if err != nil {
			fmt.Println("none")
		}
		for _, address := range addresses {
			fmt.Println(address)
		}
	}
}
