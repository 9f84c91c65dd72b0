package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the "pgx" driver
)

// cluster is a PostgreSQL of this measurement's own, on a unix socket. Its commits
// reach the disk, for a record of deeds that can be lost is not what is measured.
type cluster struct {
	dir, url string
	cmd      *exec.Cmd
	log      bytes.Buffer
}

func startCluster(ctx context.Context) (_ *cluster, err error) {
	programs, err := postgresPrograms()
	if err != nil {
		return nil, err
	}
	attr, uid, err := postgresUser()
	if err != nil {
		return nil, err
	}
	c := &cluster{}
	if c.dir, err = os.MkdirTemp("", "wardpg"); err != nil { // short: a socket's name has 107 bytes at most
		return nil, err
	}
	if uid >= 0 {
		if err := os.Chown(c.dir, uid, -1); err != nil {
			return nil, errors.Join(err, os.RemoveAll(c.dir))
		}
	}
	data := filepath.Join(c.dir, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(programs, "initdb"), "-D", data, "-A", "trust", "-U", "ward", "-E", "UTF8", "--locale=C") //nolint:gosec // where PostgreSQL is installed
	initdb.SysProcAttr, initdb.Dir = attr, c.dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("initdb: %w\n%s", err, out), os.RemoveAll(c.dir))
	}
	c.cmd = exec.CommandContext(context.WithoutCancel(ctx), filepath.Join(programs, "postgres"), //nolint:gosec // where PostgreSQL is installed
		"-D", data, "-k", c.dir, "-c", "listen_addresses=", "-c", "fsync=on", "-c", "synchronous_commit=on")
	c.cmd.SysProcAttr, c.cmd.Dir, c.cmd.Stderr = attr, c.dir, &c.log
	if err := c.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(c.dir))
	}
	c.url = "postgres:///postgres?host=" + c.dir + "&user=ward&sslmode=disable"
	if err := c.await(ctx); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

// await waits until the database answers.
func (c *cluster) await(ctx context.Context) error {
	db, err := sql.Open("pgx", c.url)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // it was only asked whether it answers
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		if err = db.PingContext(ctx); err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL does not answer: %w", err)
		}
	}
}

func (c *cluster) pid() int {
	if c == nil {
		return 0
	}
	return c.cmd.Process.Pid
}

// stop ends the cluster at once and deletes it.
func (c *cluster) stop() error {
	err := c.cmd.Process.Signal(syscall.SIGQUIT)
	var exit *exec.ExitError
	if werr := c.cmd.Wait(); werr != nil && !errors.As(werr, &exit) {
		err = errors.Join(err, werr)
	}
	return errors.Join(err, os.RemoveAll(c.dir))
}

// postgresPrograms returns the folder of the newest PostgreSQL's programs.
func postgresPrograms() (string, error) {
	all, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	slices.SortFunc(all, func(a, b string) int { return version(b) - version(a) })
	if len(all) > 0 {
		return filepath.Dir(all[0]), nil
	}
	p, err := exec.LookPath("initdb")
	if err != nil {
		return "", fmt.Errorf("PostgreSQL is not installed (the package postgresql): %w", err)
	}
	return filepath.Dir(p), nil
}

// version reads the version in /usr/lib/postgresql/VERSION/bin/initdb, 0 if there is none.
func version(path string) int {
	n, err := strconv.Atoi(filepath.Base(strings.TrimSuffix(path, "/bin/initdb")))
	if err != nil {
		return 0
	}
	return n
}

// postgresUser returns whom PostgreSQL runs as, for it refuses to run as root; uid is
// -1 where that is ourselves.
func postgresUser() (_ *syscall.SysProcAttr, uid int, err error) {
	if os.Geteuid() != 0 {
		return nil, -1, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, 0, fmt.Errorf("PostgreSQL does not run as root: %w", err)
	}
	uid, err = strconv.Atoi(u.Uid)
	if err != nil {
		return nil, 0, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, 0, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, uid, nil //nolint:gosec // an id of the system's own
}
