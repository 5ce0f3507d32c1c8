package keys_test

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"tutti/server/keys"
)

func Example() {
	dir, err := os.MkdirTemp("", "keys")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	key, err := keys.Load(filepath.Join(dir, "operator.pem")) // made on the first run
	if err != nil {
		fmt.Println(err)
		return
	}
	files, err := keys.DevCerts(filepath.Join(dir, "tls"), time.Now())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(key), filepath.Base(files.CA), filepath.Base(files.Cert), filepath.Base(files.Key))
	// Output: 64 ca.pem server.pem server.key
}
