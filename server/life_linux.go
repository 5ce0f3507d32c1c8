package server

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// lifeOf tells a file from its copies, on this machine and others: as this run of the kernel knows it. Empty if that cannot
// be told.
func lifeOf(path string) string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	var st syscall.Stat_t
	if err != nil || syscall.Stat(path, &st) != nil {
		return ""
	}
	return fmt.Sprintf("%s/%d/%d", strings.TrimSpace(string(boot)), st.Dev, st.Ino)
}
