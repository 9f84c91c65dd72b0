package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of processor time in /proc: Linux shows user space 100 a second.
const tick = 10 * time.Millisecond

// process is what /proc/PID/stat tells of a process.
type process struct {
	parent         int
	own, inherited time.Duration // its processor time, and that of children it waited for
}

// readProcess reads /proc/PID/stat; see proc_pid_stat(5).
func readProcess(pid int) (process, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return process{}, err
	}
	_, rest, ok := bytes.Cut(b[bytes.LastIndexByte(b, ')'):], []byte(" ")) // a name may hold anything, but it ends here
	f := strings.Fields(string(rest))
	if !ok || len(f) < 15 {
		return process{}, fmt.Errorf("stat of process %d has too few fields", pid)
	}
	var n [5]int64
	for i, at := range [5]int{1, 11, 12, 13, 14} {
		if n[i], err = strconv.ParseInt(f[at], 10, 64); err != nil {
			return process{}, fmt.Errorf("stat of process %d: %w", pid, err)
		}
	}
	return process{parent: int(n[0]), own: time.Duration(n[1]+n[2]) * tick, inherited: time.Duration(n[3]+n[4]) * tick}, nil
}

// processorTime returns what a process has used, with that of its children if family
// is set. A pid of 0 has used none.
func processorTime(pid int, family bool) (time.Duration, error) {
	if pid == 0 {
		return 0, nil
	}
	p, err := readProcess(pid)
	if err != nil || !family {
		return p.own, err
	}
	sum := p.own + p.inherited
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	for _, path := range all {
		id, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			continue
		}
		c, err := readProcess(id)
		if err != nil || c.parent != pid { // one that ended while it was read is in its parent's time
			continue
		}
		sum += c.own + c.inherited
	}
	return sum, nil
}

// resident returns the memory of a process in bytes.
func resident(pid int) (int64, error) {
	f, err := os.Open(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if kb, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kb), "kB")), 10, 64)
			return n << 10, err
		}
	}
	return 0, errors.Join(fmt.Errorf("the memory of process %d is not told", pid), lines.Err())
}
