package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/store/storetest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"ward-verify": main})
}

// TestScripts runs the program on the export of a real log.
func TestScripts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeLog(t, dir)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"replace": replace,
			"usage":   usageStatus,
		},
		Setup: func(e *testscript.Env) error {
			return os.CopyFS(e.WorkDir, os.DirFS(dir))
		},
	})
}

// replace OLD NEW FILE changes a file.
func replace(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[2])
	if !strings.Contains(text, args[0]) {
		ts.Fatalf("%s is not in %s", args[0], args[2])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(strings.ReplaceAll(text, args[0], args[1])), 0o600))
}

// usageStatus runs a program and wants the exit status 2.
func usageStatus(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[0], args[1:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != exitUsage {
		ts.Fatalf("exit %v, want status %d", err, exitUsage)
	}
}

// writeLog writes a log with a key, two checkpoints and its export.
func writeLog(t *testing.T, dir string) {
	t.Helper()
	minute := 0
	now := func() time.Time {
		minute++
		return time.Date(2026, 3, 12, 9, minute, 0, 0, time.UTC)
	}
	key, err := audit.LoadKey(filepath.Join(t.TempDir(), "audit.key"), "ward.example")
	if err != nil {
		t.Fatal(err)
	}
	s, err := audit.New(audit.Config{Store: storetest.SQLite(t).Audit(), Master: storetest.Master(), Key: key, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	maud := ward.WithActor(t.Context(), ward.Actor{Person: "person-maud", Name: "Maud", Via: ward.ViaSession})
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	export := func(name string) {
		var b strings.Builder
		if err := s.Export(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		write(name, b.String())
	}
	for i, action := range []string{"device.enrolled", "device.enrolled", "device.lost"} {
		if err := s.Record(maud, audit.Entry{Action: action, Subject: "device-7"}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Sequence(t.Context()); err != nil {
			t.Fatal(err)
		}
		c, err := s.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		write(fmt.Sprintf("checkpoint%d", i+1), string(c.Note))
		export(fmt.Sprintf("audit%d.jsonl", i+1))
	}
	write("key", s.PublicKey()+"\n")
}
