//go:build unix

package server

import (
	"fmt"
	"syscall"
)

// diskSpace returns the bytes that are free to the server, and all there are, where a folder
// stands.
func diskSpace(dir string) (free, total uint64, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, 0, fmt.Errorf("space of %s: %w", dir, err)
	}
	block := uint64(st.Bsize)                                        //nolint:gosec // a size; its type is another on other systems
	return uint64(st.Bavail) * block, uint64(st.Blocks) * block, nil //nolint:unconvert // likewise
}
