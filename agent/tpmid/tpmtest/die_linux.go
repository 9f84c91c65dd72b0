package tpmtest

import (
	"os/exec"
	"syscall"
)

// dieWithParent ends the TPM when the test is killed.
func dieWithParent(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
