package evidence_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/audit/verify"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/evidence"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/report"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

var look = flag.String("look", "", "write the PDFs of the tests into this folder, to be looked at")

// keep writes a PDF where somebody wants to look at it.
func keep(t *testing.T, name string, pdf []byte) {
	t.Helper()
	if *look != "" {
		if err := os.WriteFile(filepath.Join(*look, name+".pdf"), pdf, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestQuestion: which devices had WhatsApp on 12 March, and a stranger can check the answer.
func TestQuestion(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.publish()
		asha, ben, cyd := w.phone("d1", "Asha Rao", "North"), w.phone("d2", "Ben Carter", "South"), w.phone("d3", "Cyd Dean", "North")
		for _, d := range w.past.devices {
			w.change(d, march(3), compliance.Compliant)
		}
		w.change(asha, march(10), compliance.NonCompliant, "whatsapp")
		w.change(asha, march(15), compliance.Compliant)
		w.change(ben, march(11), compliance.InGrace, "whatsapp")
		w.change(cyd, march(13), compliance.NonCompliant, "whatsapp")
		w.must(w.log.Record(w.as(), audit.Entry{Action: "device.refresh", Subject: "d2"}))

		req := evidence.Request{Pack: evidence.Question, App: "WhatsApp", AsOf: march(12)}
		has(t, w.text(req), "was on 2 of 3 (66.7 %) enrolled devices", "From 1 device it has gone since, on 1 it is still there", "It was blocked on 3 of 3", "Asha Rao’s iPhone", "Ben Carter’s iPhone", "!Cyd Dean’s iPhone", "it is not sealed yet", "device.refresh", "Version 1")
		bounded := w.as()
		a := ward.ActorFrom(bounded)
		a.Scope = ward.Scope{Sites: []string{"South"}}
		d, err := w.Make(ward.WithActor(w.Context(), a), req)
		w.must(err)
		if rows := d.Sections[3].Tables[0].Rows; len(rows) != 1 || !strings.Contains(rows[0][0].Text, "Ben Carter") {
			t.Errorf("who sees the South only sees %v", rows)
		}

		f, err := w.File(w.as(), req)
		w.must(err)
		pdf, signed := f.Parts[0].Body, part(t, f, ".json")
		keep(t, "question", pdf)
		got, err := verify.VerifyCase(bytes.NewReader(signed), verify.CaseOptions{PublicKey: w.key.Public(), PDF: pdf})
		w.must(err)
		if got.Kind != "report" || !got.PDF || len(got.Changes) != 3 {
			t.Fatalf("verified a %q with PDF %t and %d changes, want a report with its PDF and 3", got.Kind, got.PDF, len(got.Changes))
		}
		for i, want := range []struct {
			device string
			at     time.Time
			linked bool
		}{{"d1", march(10), true}, {"d1", march(15), false}, {"d2", march(11), false}} {
			if c := got.Changes[i]; c.Device != want.device || !c.At.Equal(want.at) || c.Linked != want.linked {
				t.Errorf("change %d = %s at %s, linked %t; want %+v", i, c.Device, c.At, c.Linked, want)
			}
		}
		bad := bytes.Replace(signed, []byte(`"payload": "`), []byte(`"payload": "AA`), 1)
		if _, err := verify.VerifyCase(bytes.NewReader(bad), verify.CaseOptions{PublicKey: w.key.Public()}); err == nil {
			t.Error("an altered file verifies")
		}
	})
}

func part(t *testing.T, f evidence.File, end string) []byte {
	t.Helper()
	p, err := f.Part(end)
	if err != nil {
		t.Fatal(err)
	}
	return p.Body
}

// TestSeal: every change is sealed once, the root stands in the audit log, and what is altered
// after it proves nothing any more.
func TestSeal(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		d := w.phone("d1", "Asha Rao", "North")
		for i := range 9 {
			w.change(d, march(3).Add(time.Duration(i)*time.Hour), compliance.NonCompliant, "whatsapp")
		}
		for _, want := range []int{9, 0} {
			if n, err := w.Seal(w.system()); n != want || err != nil {
				t.Fatalf("Seal() = %d, %v; want %d", n, err, want)
			}
		}
		w.change(d, march(5), compliance.Compliant)
		if n, err := w.Seal(w.system()); n != 1 || err != nil {
			t.Fatalf("Seal() after one more change = %d, %v", n, err)
		}
		entries, err := w.log.List(w.Context(), audit.Filter{Action: evidence.ActionSealed})
		w.must(err)
		if len(entries) != 2 || entries[1].Detail["changes"] != "9" || entries[0].Detail["changes"] != "1" {
			t.Errorf("the audit log has %+v", entries)
		}
		last, next, err := db.Evidence().Around(w.Context(), "d1", march(4))
		w.must(err)
		if last.Prev == 0 || next.Prev != last.Seq {
			t.Errorf("the change after names %d as the one before it, want %d", next.Prev, last.Seq)
		}
		over, err := db.Evidence().Sealed(w.Context(), 1)
		w.must(err)
		if _, err := db.Evidence().AddSeal(w.system(), evidence.Seal{Size: 9}, over); ward.KindOf(err) != ward.Conflict {
			t.Errorf("sealing the same again = %v, want a conflict", err)
		}
	})
}

// day is one day of a trend.
func day(d int, good, blocked int) estate.Day {
	return estate.Day{
		Day: march(d).Truncate(24 * time.Hour), Devices: 1204, States: map[compliance.State]int{compliance.Compliant: good, compliance.Unknown: 37, compliance.NonCompliant: 1204 - 37 - good},
		Blocked: blocked, AppWant: 1100, AppReady: 1000 + d, NotSeen7: 20, NotSeen30: 9, OldOS: 60 - d,
	}
}

// TestBoardIsTwoPages: whatever there is to tell, and even if there is nothing.
func TestBoardIsTwoPages(t *testing.T) {
	t.Parallel()
	april, err := evidence.ParsePeriod("2026-03", now)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		losses int
		days   int
		want   []string
	}{
		{"nothing", 0, 0, []string{"Nothing is recorded of the devices in March 2026"}},
		{"a month", 3, 31, []string{"1,131 of 1,204 (93.9 %) devices complied", "37 are unknown", "22 were removed, half of them within 36.0 h and 95 in a hundred within 6.0 days", "3 of 3 (100 %) accepted a lock, the slowest 2 min after the report", "3 devices were reported lost or stolen; no decision on telling the regulator is late"}},
		{"a very bad month", 60, 31, []string{"and 52 more"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, storetest.SQLite(t))
			w.publish()
			for d := range tt.days {
				w.past.days = append(w.past.days, day(d+1, 1100+d+1, 31-d/2))
			}
			w.past.removal = estate.Removal{Removed: 22, P50: 36 * time.Hour, P95: 144 * time.Hour, Present: 9, Oldest: march(20)}
			for i := range tt.losses {
				w.lose(fmt.Sprintf("case-%032d", i), march(1+i%28))
			}
			d, err := w.Make(w.as(), evidence.Request{Pack: evidence.Board, Period: april})
			w.must(err)
			pdf, err := d.PDF()
			w.must(err)
			keep(t, "board-"+strings.ReplaceAll(tt.name, " ", "-"), pdf)
			if n := report.Pages(pdf); n != 2 {
				t.Errorf("the board report has %d pages, want 2", n)
			}
			has(t, w.text(evidence.Request{Pack: evidence.Board, Period: april}), tt.want...)
		})
	}
}

// lose adds a lost device that was locked in two minutes and decided on within a day.
func (w *world) lose(id string, at time.Time) {
	ms := (2 * time.Minute).Milliseconds()
	c := lost.Case{ID: ward.CaseID(id), Device: "d1", Kind: lost.Lost, State: lost.Closed, Reported: at, Aware: at, Found: at.Add(40 * time.Hour), Closed: at.Add(41 * time.Hour)}
	w.office.cases = append([]lost.Case{c}, w.office.cases...)
	w.office.files[c.ID] = lost.File{
		Case: lost.FileCase{ID: c.ID, Deadline: at.Add(72 * time.Hour)}, Device: lost.FileDevice{Name: "Asha Rao’s iPhone", Owner: "Asha Rao"},
		Commands: []lost.FileCommand{{RequestType: "EnableLostMode", AcceptedAfter: &ms}}, Decisions: []lost.Decision{{At: at.Add(20 * time.Hour), Name: "Maud Ellery", Reasoning: "Asha Rao had it in her bag."}},
	}
}

// TestFOIHoldsNoPersonalData: no name of anybody, and no number that points at one.
func TestFOIHoldsNoPersonalData(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	w.publish()
	w.phone("d1", "Asha Rao", "North")
	w.past.days = []estate.Day{day(31, 1100, 3)}
	for i := range 3 {
		w.lose(fmt.Sprint("case-", i), march(5+i))
	}
	p, err := evidence.ParsePeriod("2026-03", now)
	w.must(err)
	text := w.text(evidence.Request{Pack: evidence.FOI, Period: p})
	has(t, text, "Impact assessment", "WhatsApp", "Devices lost or stolen fewer than 5", "Devices with a blocked app fewer than 5", "!Asha", "!Maud", "!Rao", "!@example.org", "!case-", "!d1", "!F2LX")
	policy, err := w.policy.Published(w.Context())
	w.must(err)
	read, err := policy.Read()
	w.must(err)
	for _, a := range read.Register {
		has(t, text, a.Name, a.DPIA, "!"+a.Owner)
	}
	for _, e := range read.Exceptions {
		has(t, text, "!"+e.Reason, "!"+e.Approver, "!"+e.Who)
	}
}

// TestEveryPack makes every report, as a page, a PDF and a signed file.
func TestEveryPack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	w.publish()
	d := w.phone("d1", "Asha Rao", "North")
	w.change(d, march(3), compliance.NonCompliant, "whatsapp")
	_, err := w.access.CreatePerson(w.system(), access.NewPerson{Name: "Ada Byron", Roles: []ward.Role{ward.RoleAdmin, ward.RoleApprover}})
	w.must(err)
	want := map[string]string{
		evidence.Board: "Figures", evidence.DSPT: "B3.d Mobile data", evidence.CyberEssentials: "Security update management", evidence.FOI: "Which apps are blocked?", evidence.Register: "Impact assessment",
		evidence.AccessReview: "never signed in; has the role of an approver and no passkey for it", evidence.SubjectAccess: "asha.rao@example.org", evidence.Question: "How far this can be trusted",
	}
	for _, p := range evidence.Packs() {
		r := evidence.Request{Pack: p.ID, Period: evidence.Month(march(1)), App: "whatsapp", Person: "Asha Rao"}
		has(t, w.text(r), want[p.ID])
		f, err := w.File(w.as(), r)
		if err != nil {
			t.Errorf("%s: %v", p.ID, err)
			continue
		}
		keep(t, p.ID, f.Parts[0].Body)
		if _, err := f.Zip(); err != nil {
			t.Error(err)
		}
		if _, err := verify.VerifyCase(bytes.NewReader(part(t, f, ".json")), verify.CaseOptions{PublicKey: w.key.Public(), PDF: f.Parts[0].Body}); err != nil {
			t.Errorf("%s does not verify: %v", p.ID, err)
		}
		made, err := w.log.List(w.Context(), audit.Filter{Action: evidence.ActionMade, Limit: 1})
		if err != nil || len(made) != 1 || made[0].Detail["pack"] != p.ID {
			t.Errorf("the audit log says of %s: %+v, %v", p.ID, made, err)
		}
		bounded := ward.Actor{Person: "p", Via: ward.ViaSession, Roles: []ward.Role{ward.RoleGovern}, Scope: ward.Scope{Sites: []string{"South"}}}
		if _, err := w.Make(ward.WithActor(w.Context(), bounded), r); p.Whole != (ward.KindOf(err) == ward.Forbidden) {
			t.Errorf("%s for somebody who sees a part: %v", p.ID, err)
		}
	}
	if _, err := w.Make(context.Background(), evidence.Request{Pack: evidence.Board}); ward.KindOf(err) != ward.Unauthenticated {
		t.Errorf("nobody makes a report: %v", err)
	}
}

// TestErase: what is held of somebody goes, the log still verifies, and what has to be done
// first is said.
func TestErase(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		d := w.phone("d1", "Asha Rao", "North")
		person, err := w.access.CreatePerson(w.system(), access.NewPerson{Name: "Asha Rao", Email: "asha.rao@example.org", Roles: []ward.Role{ward.RoleSupport}})
		w.must(err)
		_, err = w.access.CreatePerson(w.system(), access.NewPerson{Name: "Ada Byron", Roles: []ward.Role{ward.RoleAdmin}})
		w.must(err)
		w.office.invited = []enrollment.Invitation{{ID: "inv-1", Name: "Asha Rao", Email: "asha.rao@example.org", DeviceName: "Asha’s iPhone"}}
		w.must(db.Invitations().InsertInvitation(w.Context(), w.office.invited[0], "hash"))
		w.must(w.log.Record(w.system(), audit.Entry{Action: "device.lost", Subject: "d1", Person: evidence.OwnerKey("asha.rao@example.org"), Detail: map[string]string{"note": "on the bus"}}))
		admin := ward.WithActor(w.Context(), ward.Actor{Person: "person-root", Name: "Root", Via: ward.ViaSession, Roles: []ward.Role{ward.RoleAdmin}})

		has(t, w.text(evidence.Request{Pack: evidence.SubjectAccess, Person: "asha.rao@EXAMPLE.org"}), "Asha Rao’s iPhone", "inv-1"[:0]+"Asha’s iPhone", "device.lost", "person.created", "Help desk")
		if _, err := w.Erase(admin, "asha.rao@example.org"); ward.KindOf(err) != ward.Conflict || !strings.Contains(err.Error(), "still managed") {
			t.Fatalf("erasing somebody who has a device = %v", err)
		}
		d.Managed, d.State = false, compliance.Retired
		if _, err := w.Erase(w.as(), "nobody@example.org"); ward.KindOf(err) != ward.NotFound {
			t.Errorf("erasing nobody = %v", err)
		}
		_, err = w.Erase(admin, "Asha Rao")
		w.must(err)
		is, err := db.Fleet().Device(w.Context(), "d1")
		w.must(err)
		if is.Owner != "" || is.Email != "" || is.Name != "Device F2LXd1" {
			t.Errorf("the device is still of somebody: %+v", is)
		}
		inv, err := db.Invitations().Invitation(w.Context(), "inv-1")
		w.must(err)
		if inv.Email != "" || strings.Contains(inv.Name+inv.DeviceName, "Asha") {
			t.Errorf("the invitation still names somebody: %+v", inv)
		}
		if p, err := w.access.Person(w.Context(), person.ID); err != nil || strings.Contains(p.Name+p.Email, "Asha") {
			t.Errorf("the account still names somebody: %+v, %v", p, err)
		}
		var export bytes.Buffer
		_, err = w.log.Evidence(w.Context(), audit.About{Subject: "d1"})
		w.must(err)
		w.must(w.log.Export(w.Context(), &export))
		if strings.Contains(strings.ToLower(export.String()), "asha") || strings.Contains(export.String(), "on the bus") {
			t.Error("the audit log can still be read")
		}
		if _, err := verify.Verify(&export, verify.Options{PublicKey: w.key.Public()}); err != nil {
			t.Errorf("the audit log does not verify any more: %v", err)
		}
	})
}
