//go:build linux || darwin || freebsd

package operator

import "golang.org/x/sys/unix"

// disk is the free and the whole space of dir's file system, in bytes; 0 where it is not known.
func disk(dir string) (free, total uint64) {
	var s unix.Statfs_t
	if dir == "" || unix.Statfs(dir, &s) != nil {
		return 0, 0
	}
	return uint64(s.Bavail) * uint64(s.Bsize), uint64(s.Blocks) * uint64(s.Bsize)
}
