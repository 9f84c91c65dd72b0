package server

import (
	"errors"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/order"
)

// journalAttempts change the brake's journal. Before each, a passcode was cleared by rights
// and an erase, which two people signed, waits for its phone; journal_old is the journal as
// it was before both. What lies deep a running server remembers as it was: it is found when
// the whole journal is checked, each hour and at every start.
var journalAttempts = []struct {
	name string
	deep bool
	do   func(x intruder, order string)
}{
	{"the last entry deleted", false, func(x intruder, _ string) {
		x.do(`DELETE FROM brake_journal WHERE seq = (SELECT MAX(seq) FROM brake_journal)`)
	}},
	{"every entry deleted", false, func(x intruder, _ string) { x.do(`DELETE FROM brake_journal`) }},
	{"what was delivered deleted, to make room", true, func(x intruder, _ string) { x.do(`DELETE FROM brake_journal WHERE event = 'delivered'`) }},
	{"what was delivered called something else", true, func(x intruder, _ string) {
		x.do(`UPDATE brake_journal SET kind = 'lock_pin' WHERE event = 'delivered'`)
	}},
	{"what was delivered moved into the past", true, func(x intruder, _ string) {
		x.do(`UPDATE brake_journal SET at = at - 86400000000 WHERE event = 'delivered'`)
	}},
	{"a number left out", false, func(x intruder, _ string) {
		x.do(`UPDATE brake_journal SET seq = seq + 7 WHERE seq = (SELECT MAX(seq) FROM brake_journal)`)
	}},
	{"an older copy put back", false, func(x intruder, _ string) {
		x.do(`DELETE FROM brake_journal`)
		x.do(`INSERT INTO brake_journal SELECT * FROM journal_old`)
	}},
	{"a release forged", false, func(x intruder, _ string) { x.entry("released", "") }},
	{"a lift forged", false, func(x intruder, _ string) { x.entry("lifted", "") }},
	{"a new beginning forged", false, func(x intruder, _ string) { x.entry("reset", "") }},
	{"an approval forged", false, func(x intruder, order string) { x.entry("approved", order) }},
	{"the gate deleted", false, func(x intruder, _ string) { x.do(`DELETE FROM brake_gate`) }},
}

// entry appends a copy of the last entry as another event, under its MAC.
func (x intruder) entry(event, order string) {
	x.t.Helper()
	x.do(`INSERT INTO brake_journal (seq, event, kind, at, order_id, device_id, enrolment_id, site, person, campaign, hash, until_at, note, mac)
		SELECT seq + 1, $1, 'erase', at, $2, '', '', '', person, campaign, hash, at + 3600000000, note, mac FROM brake_journal WHERE seq = (SELECT MAX(seq) FROM brake_journal)`, event, order)
}

// keeps copies the journal to another table.
func (x intruder) keeps(as string) {
	x.t.Helper()
	for _, q := range []string{`DROP TABLE IF EXISTS ` + as, `CREATE TABLE ` + as + ` AS SELECT * FROM brake_journal`} {
		if _, err := x.ExecContext(x.t.Context(), q); err != nil {
			x.t.Fatal(err)
		}
	}
}

// restores puts the journal back.
func (x intruder) restores(from string) {
	x.t.Helper()
	for _, q := range []string{
		`DELETE FROM brake_journal`, `INSERT INTO brake_journal SELECT * FROM ` + from, `INSERT INTO brake_gate (id, used_at) VALUES (1, 0) ON CONFLICT (id) DO NOTHING`, `DROP TABLE ` + from,
	} {
		if _, err := x.ExecContext(x.t.Context(), q); err != nil {
			x.t.Fatal(err)
		}
	}
}

// TestThiefJournal: while the journal of dangerous deeds is not as it was written, nothing
// destructive is delivered, not even what two people ordered, and people are told; the
// brake works again when it is put back.
func TestThiefJournal(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		r := newRobbery(t, url, len(journalAttempts)+1)
		for _, a := range journalAttempts {
			v := r.victim()
			r.clock.forward(61 * time.Minute) // past the windows of the one before
			r.x.keeps("journal_old")
			passcode := r.orders(t, r.by, order.Request{Kind: order.ClearPasscode, Devices: []ward.DeviceID{v.id}})
			r.connects(v)
			o := r.signed(order.Erase, v)
			if got := v.sent(); len(got) != 1 || got[0] != "ClearPasscode "+passcode.Targets[0].Command {
				t.Fatalf("%s: before it %s was given %v", a.name, v.Serial(), got)
			}
			r.x.keeps("journal_kept")
			audited, told := r.entries(t, "brake.tampered"), r.told(t, notify.Tampered)
			a.do(r.x, string(o.ID))
			if a.deep {
				if err := r.Brake.Check(r.ctx); !errors.Is(err, brake.ErrTampered) {
					t.Errorf("%s: the check says %v", a.name, err)
				}
			}
			r.connects(v)
			r.connects(v)
			if n := v.Erasures(); n > 0 {
				t.Errorf("%s: the phone was erased", a.name)
			}
			if _, err := r.Brake.Room(r.ctx, brake.Erase, ""); a.name != "the gate deleted" && !errors.Is(err, brake.ErrTampered) {
				t.Errorf("%s: the brake says %v", a.name, err)
			}
			eventually(t, a.name+": being told", func() bool {
				return r.entries(t, "brake.tampered") > audited && r.told(t, notify.Tampered) > told
			})
			r.x.restores("journal_kept")
			if err := r.Brake.Check(r.ctx); err != nil {
				t.Fatalf("%s: put back as it was, the journal is called %v", a.name, err)
			}
			r.cancel(o)
			r.connects(v)
			if n := v.Erasures(); n > 0 {
				t.Errorf("%s: a cancelled erase was delivered once the journal was put back", a.name)
			}
		}
		r.alarms(t, tamperedAlarm)
	})
}

// TestThiefCases: cases that somebody writes into the tables for a whole fleet of phones,
// called personal, have no phone let go that nobody reported.
func TestThiefCases(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		const n = 12
		w := start(t, url, nil)
		herd := w.herd(t, n, func(int, *virtual.Options) (ward.Ownership, ward.Platform) { return ward.Corporate, ward.IOS })
		x := w.intruder(t)
		for _, v := range herd {
			x.do(`INSERT INTO lost_case (id, device_id, kind, state, reported_by, reported_name, reported_at, seen_where, seen_at, was_unlocked, note, message, phone, footnote, found_at, closed_at)
				VALUES ($1, $2, 'stolen', 'open', 'x', 'x', 1, '', 0, '', '', 'Lost', '', '', 0, 0)`, "case-"+string(v.id), string(v.id))
		}
		x.do(`UPDATE device SET ownership = 'personal', state = 'lost', check_at = 1`)
		for range 3 {
			for _, v := range herd {
				if err := w.Loop.Replan(ward.WithActor(w.ctx, ward.System), v.id); err != nil {
					t.Fatal(err)
				}
				if err := v.CheckIn(t.Context()); err != nil && v.Enrolled() {
					t.Fatal(err)
				}
			}
		}
		gone := 0
		for _, v := range herd {
			gone += len(v.sent())
		}
		t.Logf("%d of %d phones were let go", gone, n)
		if gone > 0 {
			t.Errorf("%d phones were given %v", gone, herd[0].sent())
		}
		w.alarms(t, withheldAlarm)
	})
}
