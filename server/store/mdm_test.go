package store_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/micromdm/nanomdm/mdm"
	"github.com/micromdm/nanomdm/service"
	"github.com/micromdm/nanomdm/service/nanomdm"
	"github.com/micromdm/nanomdm/test/e2e"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// TestNanoMDMSuite runs nanomdm's own end-to-end suite. It reads its fixtures
// relative to a folder of its module, so the test changes directory, which forbids
// t.Parallel.
func TestNanoMDMSuite(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/micromdm/nanomdm").Output()
	if err != nil {
		t.Fatalf("find nanomdm's module: %v", err)
	}
	run := func(name string, open func(*testing.T) *store.DB) {
		t.Run(name, func(t *testing.T) {
			db := open(t)
			t.Chdir(strings.TrimSpace(string(out)) + "/test/e2e")
			e2e.TestE2E(t, t.Context(), db.MDM())
		})
	}
	run("sqlite", func(t *testing.T) *store.DB { return storetest.SQLite(t) })
	run("postgres", func(t *testing.T) *store.DB { return storetest.Postgres(t) })
}

// phone drives the store through nanomdm's service, as a device would.
type phone struct {
	t   *testing.T
	id  string
	svc *nanomdm.Service
	db  *store.DB
}

func enrolled(t *testing.T, db *store.DB) *phone {
	t.Helper()
	p := &phone{t: t, id: strings.ToUpper(uuid.NewString()), svc: nanomdm.New(db.MDM()), db: db}
	p.authenticate()
	if err := p.tokenUpdate(); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *phone) request() *mdm.Request {
	return mdm.NewRequestWithContext(p.t.Context(), &x509.Certificate{Raw: []byte(p.id)})
}

func (p *phone) checkin(kind, more string) any {
	p.t.Helper()
	msg, err := mdm.DecodeCheckin([]byte(`<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict><key>MessageType</key><string>` + kind + `</string><key>UDID</key><string>` + p.id + `</string><key>Topic</key><string>com.apple.mgmt.test</string>` + more + `</dict></plist>`))
	if err != nil {
		p.t.Fatal(err)
	}
	return msg
}

func (p *phone) authenticate() {
	p.t.Helper()
	if err := p.svc.Authenticate(p.request(), p.checkin("Authenticate", "").(*mdm.Authenticate)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *phone) tokenUpdate() error {
	p.t.Helper()
	return p.svc.TokenUpdate(p.request(), p.checkin("TokenUpdate", `<key>PushMagic</key><string>magic</string><key>Token</key><data>AAECAw==</data>`).(*mdm.TokenUpdate))
}

func (p *phone) checkOut() {
	p.t.Helper()
	if err := p.svc.CheckOut(p.request(), p.checkin("CheckOut", "").(*mdm.CheckOut)); err != nil {
		p.t.Fatal(err)
	}
}

// report sends a status for a command and returns the next one's UUID, or "".
func (p *phone) report(status, uuid string) string {
	p.t.Helper()
	cmd, err := p.svc.CommandAndReportResults(p.request(), &mdm.CommandResults{Enrollment: mdm.Enrollment{UDID: p.id}, Status: status, CommandUUID: uuid, Raw: []byte("<plist/>")})
	if err != nil {
		p.t.Fatalf("report %s %s: %v", status, uuid, err)
	}
	if cmd == nil {
		return ""
	}
	return cmd.CommandUUID
}

func (p *phone) enqueue(uuids ...string) {
	p.t.Helper()
	for _, u := range uuids {
		if err := p.tryEnqueue(u); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *phone) tryEnqueue(uuid string) error {
	cmd := &mdm.Command{CommandUUID: uuid}
	cmd.Command.RequestType = "ProfileList"
	failed, err := p.db.MDM().EnqueueCommand(p.t.Context(), []string{p.id}, cmd)
	return errors.Join(err, failed[p.id])
}

func (p *phone) enrolment() ward.Enrolment {
	p.t.Helper()
	e, err := p.db.Fleet().Latest(p.t.Context(), p.id)
	if err != nil {
		p.t.Fatal(err)
	}
	return e
}

// TestQueueOrder plays conversations: what a device reports and what it must be given
// next. Upstream's stores lose or repeat commands in several of these.
func TestQueueOrder(t *testing.T) {
	t.Parallel()
	type turn struct{ status, uuid, next string }
	tests := []struct {
		name    string
		enqueue []string
		turns   []turn
	}{
		{"in order", []string{"A", "B"}, []turn{{"Idle", "", "A"}, {"Acknowledged", "A", "B"}, {"Acknowledged", "B", ""}, {"Idle", "", ""}}},
		{"unanswered is given again", []string{"A"}, []turn{{"Idle", "", "A"}, {"Idle", "", "A"}, {"Acknowledged", "A", ""}}},
		{"acknowledgement repeated", []string{"A", "B", "C"}, []turn{{"Idle", "", "A"}, {"Acknowledged", "A", "B"}, {"Acknowledged", "A", "B"}, {"Idle", "", "B"}, {"Acknowledged", "B", "C"}, {"Acknowledged", "B", "C"}, {"Acknowledged", "C", ""}}},
		{"acknowledgement of the last repeated", []string{"A", "B"}, []turn{{"Idle", "", "A"}, {"Acknowledged", "A", "B"}, {"Acknowledged", "B", ""}, {"Acknowledged", "B", ""}, {"Idle", "", ""}}},
		{"acknowledgement of an unknown command", []string{"A"}, []turn{{"Acknowledged", "NEVER", "A"}, {"Idle", "", "A"}, {"Acknowledged", "A", ""}}},
		{"error is final", []string{"A", "B"}, []turn{{"Idle", "", "A"}, {"Error", "A", "B"}, {"CommandFormatError", "B", ""}, {"Idle", "", ""}}},
		{"NotNow skips to the next and comes back at Idle", []string{"A", "B", "C"}, []turn{{"Idle", "", "A"}, {"NotNow", "A", "B"}, {"Acknowledged", "B", "C"}, {"Acknowledged", "C", ""}, {"Idle", "", "A"}, {"Acknowledged", "A", ""}}},
		{"NotNow to all", []string{"A", "B"}, []turn{{"Idle", "", "A"}, {"NotNow", "A", "B"}, {"NotNow", "B", ""}, {"Idle", "", "A"}, {"NotNow", "A", "B"}, {"Acknowledged", "B", ""}, {"Idle", "", "A"}}},
		{"NotNow after acknowledgement changes nothing", []string{"A", "B"}, []turn{{"Idle", "", "A"}, {"Acknowledged", "A", "B"}, {"NotNow", "A", "B"}, {"Acknowledged", "B", ""}, {"Idle", "", ""}}},
		{"NotNow then acknowledged late", []string{"A", "B"}, []turn{{"Idle", "", "A"}, {"NotNow", "A", "B"}, {"Acknowledged", "A", "B"}, {"Acknowledged", "B", ""}, {"Idle", "", ""}}},
		{"error after acknowledgement changes nothing", []string{"A"}, []turn{{"Idle", "", "A"}, {"Acknowledged", "A", ""}, {"Error", "A", ""}, {"Idle", "", ""}}},
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for _, tt := range tests {
			p := enrolled(t, db)
			p.enqueue(tt.enqueue...)
			for i, turn := range tt.turns {
				if got := p.report(turn.status, turn.uuid); got != turn.next {
					t.Errorf("%s, turn %d: %s %s was answered with %q, want %q", tt.name, i, turn.status, turn.uuid, got, turn.next)
				}
			}
		}
	})
}

// TestConcurrentEnqueue: 8 goroutines queue 200 commands to one device; upstream's
// key-value stores deliver 7 to 14 of them.
func TestConcurrentEnqueue(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := enrolled(t, db)
		var wg sync.WaitGroup
		var want []string
		for w := range 8 {
			for i := range 25 {
				want = append(want, fmt.Sprintf("%d-%02d", w, i))
			}
			wg.Go(func() {
				for i := range 25 {
					if err := p.tryEnqueue(fmt.Sprintf("%d-%02d", w, i)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		var got []string
		for next := p.report("Idle", ""); next != ""; next = p.report("Acknowledged", next) {
			got = append(got, next)
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("delivered mismatch (-want +got):\n%s", diff)
		}
	})
}

// TestEpochs: what was queued for one enrolment never reaches the next, and nothing
// is queued for one that has ended.
func TestEpochs(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := enrolled(t, db)
		p.enqueue("OLD")
		first := p.enrolment()
		p.authenticate()
		if got := p.report("Idle", ""); got != "" {
			t.Errorf("a pending enrolment was given %s", got)
		}
		if err := p.tokenUpdate(); err != nil {
			t.Fatal(err)
		}
		second := p.enrolment()
		if second.Epoch != first.Epoch+1 || second.ID == first.ID {
			t.Errorf("re-enrolled as %s epoch %d after %s epoch %d", second.ID, second.Epoch, first.ID, first.Epoch)
		}
		if got := p.report("Idle", ""); got != "" {
			t.Errorf("the new enrolment was given %s of the old one", got)
		}
		old, err := db.Commands().Command(t.Context(), "OLD", first.ID)
		if err != nil || old.State != command.Cancelled {
			t.Errorf("the old command is %q (%v), want cancelled", old.State, err)
		}
		p.enqueue("A")
		p.checkOut()
		if got := p.report("Idle", ""); got != "" {
			t.Errorf("after CheckOut the device was given %s", got)
		}
		if err := p.tryEnqueue("B"); ward.KindOf(err) != ward.NotFound {
			t.Errorf("enqueue after CheckOut: %v, want NotFound", err)
		}
		var status *service.HTTPStatusError
		if err := p.tokenUpdate(); !errors.As(err, &status) || status.Status != 403 {
			t.Errorf("a replayed TokenUpdate: %v, want HTTP 403", err)
		}
		if e := p.enrolment(); e.State != ward.EnrolmentEnded {
			t.Errorf("the replayed TokenUpdate made the enrolment %s", e.State)
		}
	})
}

// TestEnqueueErrors: an id that can't take a command does not keep it from others.
func TestEnqueueErrors(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := enrolled(t, db)
		cmd := &mdm.Command{CommandUUID: "X"}
		cmd.Command.RequestType = "ProfileList"
		failed, err := db.MDM().EnqueueCommand(t.Context(), []string{"UNKNOWN", p.id}, cmd)
		if err != nil || len(failed) != 1 || ward.KindOf(failed["UNKNOWN"]) != ward.NotFound {
			t.Errorf("enqueue to an unknown and a known id: %v, %v", failed, err)
		}
		if err := p.tryEnqueue("X"); ward.KindOf(err) != ward.Conflict {
			t.Errorf("the same CommandUUID again: %v, want Conflict", err)
		}
		if got := p.report("Idle", ""); got != "X" {
			t.Errorf("given %q, want X", got)
		}
	})
}

// TestForgedRow: a row changed or moved in the database is withheld, and what stands
// behind it is delivered.
func TestForgedRow(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		victim, other := enrolled(t, db), enrolled(t, db)
		other.enqueue("ERASE")
		victim.enqueue("GOOD")
		if err := db.Tamper(t.Context(), `UPDATE command SET enrolment_id = $1, urgent = 0 WHERE uuid = 'ERASE'`, string(victim.enrolment().ID)); err != nil {
			t.Fatal(err)
		}
		var told []command.Record
		m := db.MDM()
		m.OnForged = func(_ context.Context, rows []command.Record) { told = append(told, rows...) }
		victim.svc = nanomdm.New(m)
		if got := victim.report("Idle", ""); got != "GOOD" {
			t.Errorf("given %q, want GOOD", got)
		}
		if len(told) != 1 || told[0].UUID != "ERASE" || told[0].State != command.Withheld {
			t.Errorf("reported %+v, want ERASE withheld", told)
		}
	})
}

// TestSpentRow: a command that was taken back or answered can't be brought back by a
// change in the database.
func TestSpentRow(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := enrolled(t, db)
		p.enqueue("CANCELLED", "ANSWERED")
		if n, err := db.Commands().CancelOpen(t.Context(), p.enrolment().ID, "second thoughts", func(r command.Record) bool { return r.UUID == "CANCELLED" }); n != 1 || err != nil {
			t.Fatalf("cancelled %d, %v", n, err)
		}
		if got := p.report("Idle", ""); got != "ANSWERED" {
			t.Fatalf("given %q, want ANSWERED", got)
		}
		p.report("Acknowledged", "ANSWERED")
		if err := db.Tamper(t.Context(), `UPDATE command SET pending = TRUE, state = 'waiting'`); err != nil {
			t.Fatal(err)
		}
		var told []command.Record
		m := db.MDM()
		m.OnForged = func(_ context.Context, rows []command.Record) { told = append(told, rows...) }
		p.svc = nanomdm.New(m)
		if got := p.report("Idle", ""); got != "" {
			t.Errorf("a command that had ended was given again: %s", got)
		}
		if len(told) != 2 {
			t.Errorf("%d rows were reported, want both", len(told))
		}
	})
}

// TestUrgentFirst: an urgent command goes before older ones.
func TestUrgentFirst(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := enrolled(t, db)
		p.enqueue("A", "B")
		if _, err := db.Commands().Enqueue(t.Context(), command.New{UUID: "LOST", Enrolment: p.enrolment().ID, RequestType: "EnableLostMode", Body: []byte("x"), Urgent: true}); err != nil {
			t.Fatal(err)
		}
		var got []string
		for next := p.report("Idle", ""); next != ""; next = p.report("Acknowledged", next) {
			got = append(got, next)
		}
		if diff := cmp.Diff([]string{"LOST", "A", "B"}, got); diff != "" {
			t.Errorf("order mismatch (-want +got):\n%s", diff)
		}
	})
}

// TestUnlockToken: a work phone's unlock token is kept sealed; a personal phone's is
// kept nowhere, for its passcode is not the organisation's to remove.
func TestUnlockToken(t *testing.T) {
	t.Parallel()
	const token = "c2VjcmV0IHVubG9jayB0b2tlbg=="
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for _, rights := range []ward.AccessRights{ward.RightsAll, ward.RightsPersonal} {
			p := &phone{t: t, id: strings.ToUpper(uuid.NewString()), svc: nanomdm.New(db.MDM()), db: db}
			r := p.request()
			r = r.WithContext(fleet.WithAdmission(r.Context(), fleet.Admission{Rights: rights}))
			if err := p.svc.Authenticate(r, p.checkin("Authenticate", "").(*mdm.Authenticate)); err != nil {
				t.Fatal(err)
			}
			msg := p.checkin("TokenUpdate", `<key>PushMagic</key><string>magic</string><key>Token</key><data>AAECAw==</data><key>UnlockToken</key><data>`+token+`</data>`)
			if err := p.svc.TokenUpdate(p.request(), msg.(*mdm.TokenUpdate)); err != nil {
				t.Fatal(err)
			}
			got, err := db.MDM().UnlockToken(t.Context(), p.enrolment().ID)
			if rights == ward.RightsAll && (err != nil || string(got) != "secret unlock token") {
				t.Errorf("a work phone's token is %q, %v", got, err)
			}
			if rights == ward.RightsPersonal && ward.KindOf(err) != ward.NotFound {
				t.Errorf("a personal phone's token is %q, %v; want none kept", got, err)
			}
			checkins := make(chan any, 100)
			if err := db.MDM().RetrieveMigrationCheckins(t.Context(), checkins); err != nil {
				t.Fatal(err)
			}
			close(checkins)
			for c := range checkins {
				if m, ok := c.(*mdm.TokenUpdate); ok && m.UDID == p.id && (len(m.UnlockToken) > 0) != (rights == ward.RightsAll) {
					t.Errorf("with rights %d the kept TokenUpdate holds a token of %d bytes", rights, len(m.UnlockToken))
				}
			}
		}
	})
}
