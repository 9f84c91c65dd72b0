// Package storetest opens real databases for tests: SQLite always, PostgreSQL where
// its programs are installed. It is for tests only.
package storetest

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
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/wardmdm/ward/server/seal"
	"github.com/wardmdm/ward/server/store"
)

// cluster is a throw-away PostgreSQL on a unix socket, shared by a test binary.
type cluster struct {
	once sync.Once
	err  error
	dir  string
	cmd  *exec.Cmd
	n    atomic.Int64
}

var shared cluster

// Main runs the tests and stops the shared PostgreSQL afterwards. Call it from
// TestMain: os.Exit(storetest.Main(m)).
func Main(m *testing.M) int {
	code := m.Run()
	if err := shared.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stop PostgreSQL:", err)
		return max(code, 1)
	}
	return code
}

// Master is the sealing key of every test database.
func Master() *seal.Master { return seal.NewMaster([32]byte{1, 2, 3}) }

// Each runs f once on each engine, each time with an empty database.
func Each(t *testing.T, f func(t *testing.T, db *store.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		f(t, SQLite(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		f(t, Postgres(t))
	})
}

// SQLite opens an empty SQLite database that is closed when the test ends.
func SQLite(t testing.TB) *store.DB {
	t.Helper()
	return open(t, filepath.Join(t.TempDir(), "ward.db"))
}

// Postgres opens an empty PostgreSQL database; see PostgresURL.
func Postgres(t testing.TB) *store.DB {
	t.Helper()
	return open(t, PostgresURL(t))
}

func open(t testing.TB, url string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{URL: url, Master: Master(), Now: func() time.Time { return time.Now().UTC() }})
	if err != nil {
		t.Fatalf("open %s: %v", url, err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close database: %v", err)
		}
	})
	return db
}

// PostgresURL returns the URL of an empty PostgreSQL database. Without PostgreSQL it
// skips the test loudly; with CI=true that is a failure.
func PostgresURL(t testing.TB) string {
	t.Helper()
	shared.once.Do(func() { shared.err = shared.start() })
	if errors.Is(shared.err, errMissing) {
		if os.Getenv("CI") == "true" {
			t.Fatal("PostgreSQL is not installed, and CI must not skip: install the package postgresql")
		}
		t.Skip("SKIPPED: PostgreSQL is not installed, so nothing here was tested on it (install the package postgresql)")
	}
	if shared.err != nil {
		t.Fatalf("start PostgreSQL: %v", shared.err)
	}
	name := fmt.Sprintf("t%d_%d", os.Getpid(), shared.n.Add(1))
	admin, err := sql.Open("pgx", shared.url("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if _, err := admin.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatalf("create database: %v", err)
	}
	return shared.url(name)
}

var errMissing = errors.New("no PostgreSQL")

func (c *cluster) url(name string) string {
	return "postgres:///" + name + "?host=" + c.dir + "&user=ward&sslmode=disable"
}

// bin returns the folder of PostgreSQL's server programs.
func bin() (string, error) {
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	slices.Sort(dirs)
	slices.Reverse(dirs)
	for _, d := range dirs {
		if _, err := os.Stat(filepath.Join(d, "initdb")); err == nil {
			return d, nil
		}
	}
	if p, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(p), nil
	}
	return "", errMissing
}

// credential returns whom PostgreSQL runs as: it refuses to run as root.
func credential() (*syscall.SysProcAttr, int, error) {
	if os.Geteuid() != 0 {
		return nil, -1, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, 0, fmt.Errorf("tests run as root, and PostgreSQL needs the user postgres: %w", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, 0, err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, 0, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, uid, nil
}

func (c *cluster) start() error {
	programs, err := bin()
	if err != nil {
		return err
	}
	attr, uid, err := credential()
	if err != nil {
		return err
	}
	if c.dir, err = os.MkdirTemp("", "wardpg"); err != nil { // a short path: a socket's name has 107 bytes at most
		return err
	}
	if uid >= 0 {
		if err := os.Chown(c.dir, uid, -1); err != nil {
			return err
		}
	}
	data := filepath.Join(c.dir, "data")
	initdb := exec.Command(filepath.Join(programs, "initdb"), "-D", data, "-A", "trust", "-U", "ward", "--no-sync", "-E", "UTF8", "--locale=C")
	initdb.SysProcAttr, initdb.Dir = attr, c.dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	args := []string{"-D", data, "-k", c.dir, "-c", "listen_addresses=", "-c", "max_connections=200"}
	if os.Getenv("WARD_PG_DURABLE") == "" { // benchmarks set it: there a commit must reach the disk
		args = append(args, "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off")
	}
	var log bytes.Buffer
	c.cmd = exec.Command(filepath.Join(programs, "postgres"), args...)
	c.cmd.SysProcAttr, c.cmd.Dir, c.cmd.Stderr = attr, c.dir, &log
	if err := c.cmd.Start(); err != nil {
		return err
	}
	return c.await(&log)
}

// await waits until the server answers.
func (c *cluster) await(log *bytes.Buffer) error {
	db, err := sql.Open("pgx", c.url("postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if err = db.PingContext(ctx); err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w\n%s", err, strings.TrimSpace(log.String()))
		}
	}
}

// Process returns the process id of the shared server, 0 when none runs; benchmarks
// count its processor time.
func Process() int {
	if shared.cmd == nil || shared.cmd.Process == nil {
		return 0
	}
	return shared.cmd.Process.Pid
}

func (c *cluster) stop() error {
	if c.cmd == nil || c.cmd.Process == nil {
		return nil
	}
	if err := c.cmd.Process.Signal(syscall.SIGQUIT); err != nil { // at once: the data is thrown away
		return err
	}
	var exit *exec.ExitError
	if err := c.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return os.RemoveAll(c.dir)
}
