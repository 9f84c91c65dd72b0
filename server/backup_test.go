package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/server/audit/verify"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/store/storetest"
)

const passphrase = "correct horse battery staple"

// TestBackup: what is restored, into a new folder or from one database into another, is
// the same server to its devices and to its people.
func TestBackup(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		l := listen(t)
		c := trialConfig(t, l, url)
		w := run(t, l, c)
		keeper := &agent.MemoryKeeper{}
		p := w.phone(t, "1", func(o *virtual.Options) { o.Keeper = keeper })
		id := w.enrol(t, p, ward.Corporate)
		if err := p.CheckIn(t.Context()); err != nil {
			t.Fatal(err)
		}
		raw := encode(t, map[string]any{"CommandUUID": "KEPT", "Command": map[string]any{"RequestType": "CertificateList"}})
		if _, err := w.queue.Enqueue(w.ctx, command.New{UUID: "KEPT", Enrolment: w.show(t, string(id)).Enrolment.ID, RequestType: "CertificateList", Body: raw}); err != nil {
			t.Fatal(err)
		}
		var backup bytes.Buffer
		if err := Backup(t.Context(), c, &backup, passphrase); err != nil { // while it runs
			t.Fatal(err)
		}
		if bytes.Contains(backup.Bytes(), []byte("SN1")) {
			t.Error("the backup can be read without the passphrase")
		}
		w.stop()
		if err := Restore(t.Context(), c, bytes.NewReader(backup.Bytes()), passphrase); ward.KindOf(err) != ward.Conflict {
			t.Errorf("restoring over a server: %v, want a conflict", err)
		}

		// Restored into the other engine, at the same address.
		into := c
		into.Data, into.DatabaseURL = filepath.Join(t.TempDir(), "new"), ""
		if url == "" {
			into.DatabaseURL = storetest.PostgresURL(t)
		}
		if err := Restore(t.Context(), into, bytes.NewReader(backup.Bytes()), passphrase); err != nil {
			t.Fatal(err)
		}
		again, err := reopen(t, c.Listen)
		if err != nil {
			t.Skipf("SKIPPED: another program took the port meanwhile: %v", err)
		}
		r := run(t, again, into)
		p = r.phone(t, "1", func(o *virtual.Options) { o.Keeper = keeper })
		if err := p.CheckIn(t.Context()); err != nil {
			t.Fatalf("the phone at the restored server: %v", err)
		}
		if asked(p, "CertificateList") != 1 {
			t.Errorf("what was queued was not delivered: %s", deeds(p))
		}
		if d := r.show(t, p.Serial()); d.Device.ID != id || d.Enrolment.Epoch != 1 {
			t.Errorf("device %s epoch %d, want %s epoch 1", d.Device.ID, d.Enrolment.Epoch, id)
		}
		r.token = w.token
		if got := r.call(t, http.MethodGet, "/devices/"+string(id), nil, nil); got != http.StatusOK {
			t.Errorf("the person's token was answered %d, want 200", got)
		}
		// New rows must not collide with the restored ones, and the audit log must go on.
		second := r.phone(t, "2", nil)
		r.enrol(t, second, ward.Corporate)
		r.verifies(t)
	})
}

func (w *world) verifies(t *testing.T) {
	t.Helper()
	if _, err := w.Audit.Sequence(ward.WithActor(t.Context(), ward.System)); err != nil {
		t.Fatal(err)
	}
	var export bytes.Buffer
	if err := w.Audit.Export(w.ctx, &export); err != nil {
		t.Fatal(err)
	}
	report, err := verify.Verify(&export, verify.Options{PublicKey: w.Audit.PublicKey()})
	if err != nil || report.Size == 0 {
		t.Errorf("the audit log: %d entries, %v; want it to verify", report.Size, err)
	}
}

// TestRestoreRefuses: what can't be restored leaves nothing behind.
func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	c := trialConfig(t, listen(t), "")
	s, err := New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	// Large enough that the keys are read before a mistake near the end shows.
	if err := firstOf(s.db.SetSetting(t.Context(), "filler", strings.Repeat(rand.Text(), 20_000)), s.Close()); err != nil {
		t.Fatal(err)
	}
	var good bytes.Buffer
	if err := Backup(t.Context(), c, &good, passphrase); err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(good.Bytes())
	damaged[len(damaged)-100] ^= 1
	for _, tc := range []struct {
		name, passphrase string
		data             []byte
	}{
		{"a wrong passphrase", "another", good.Bytes()},
		{"a damaged file", passphrase, damaged},
		{"half a file", passphrase, good.Bytes()[:good.Len()/2]},
	} {
		into := c
		into.Data = filepath.Join(t.TempDir(), "new")
		if err := Restore(t.Context(), into, bytes.NewReader(tc.data), tc.passphrase); ward.KindOf(err) != ward.Invalid {
			t.Errorf("%s: %v, want invalid", tc.name, err)
		}
		if _, err := os.Stat(into.Data); !os.IsNotExist(err) {
			t.Errorf("%s left a folder behind: %v", tc.name, err)
		}
	}
	existing := c // a folder that was there keeps nothing of a try that failed
	existing.Data = t.TempDir()
	if err := Restore(t.Context(), existing, bytes.NewReader(damaged), passphrase); ward.KindOf(err) != ward.Invalid {
		t.Errorf("a damaged file into a folder that was there: %v, want invalid", err)
	}
	if err := Restore(t.Context(), existing, bytes.NewReader(good.Bytes()), passphrase); err != nil {
		t.Errorf("the good backup after the damaged one: %v", err)
	}
	for _, e := range mustReadDir(t, c.Data) {
		if strings.HasPrefix(e.Name(), "backup-") {
			t.Errorf("Backup left %s behind", e.Name())
		}
	}
	missing := c
	missing.Data = t.TempDir()
	if err := Backup(context.WithoutCancel(t.Context()), missing, &good, passphrase); ward.KindOf(err) != ward.NotFound {
		t.Errorf("a backup of a folder that is no server's: %v, want not found", err)
	}
}

func mustReadDir(t *testing.T, dir string) []os.DirEntry {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return es
}
