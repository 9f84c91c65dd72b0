//go:build !unix

package server

// diskSpace tells nothing where the system has no such question.
func diskSpace(string) (free, total uint64, err error) { return 0, 0, nil }
