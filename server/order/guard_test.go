package order_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/order"
)

const eraseBody = "<string>EraseDevice</string>"

// put queues a command behind the engine's back, with the server's own seal: as a program
// would that has the key, or a part of Ward that is wrong.
func (w *world) put(e ward.Enrolment, requestType, body string, o ward.OrderID, c ward.CaseID) string {
	w.t.Helper()
	id, err := w.db.Commands().Enqueue(w.t.Context(), command.New{Enrolment: e.ID, RequestType: requestType, Body: []byte(body), Order: o, Case: c})
	must(w.t, err)
	return id
}

// TestGuardWithholds: what nobody ordered does not reach a device and is reported.
func TestGuardWithholds(t *testing.T) {
	t.Parallel()
	w := sqlite(t)
	tests := []struct {
		name string
		do   func(e ward.Enrolment, d ward.DeviceID)
		says string
	}{
		{"no order", func(e ward.Enrolment, _ ward.DeviceID) { w.put(e, "EraseDevice", eraseBody, "", "") }, "nobody ordered it"},
		{"a lock with a PIN", func(e ward.Enrolment, _ ward.DeviceID) {
			w.put(e, "DeviceLock", "<string>DeviceLock</string> PIN", "", "")
		}, "nobody ordered it"},
		{"another type", func(e ward.Enrolment, _ ward.DeviceID) { w.put(e, "DeviceInformation", eraseBody, "", "") }, "it was queued as a DeviceInformation"},
		{"no property list", func(e ward.Enrolment, _ ward.DeviceID) { w.put(e, "EraseDevice", "EraseDevice", "", "") }, "can't be read"},
		{"an unknown order", func(e ward.Enrolment, _ ward.DeviceID) { w.put(e, "EraseDevice", eraseBody, "o9", "") }, "no order o9"},
		{"an order that waits", func(e ward.Enrolment, d ward.DeviceID) { w.put(e, "EraseDevice", eraseBody, w.request(d).ID, "") }, "those of 0 people and needs 2"},
		{"an order issued by SQL", func(e ward.Enrolment, d ward.DeviceID) {
			o := w.request(d)
			uuid := w.put(e, "EraseDevice", eraseBody, o.ID, "")
			w.sql(`UPDATE orders SET state = 'issued' WHERE id = $1`, string(o.ID))
			w.sql(`UPDATE order_target SET outcome = 'waiting', command = $1 WHERE order_id = $2`, uuid, string(o.ID))
		}, "those of 0 people"},
		{"signatures by SQL", func(e ward.Enrolment, d ward.DeviceID) {
			o := w.request(d)
			uuid := w.put(e, "EraseDevice", eraseBody, o.ID, "")
			w.sql(`UPDATE orders SET state = 'issued' WHERE id = $1`, string(o.ID))
			w.sql(`UPDATE order_target SET outcome = 'waiting', command = $1 WHERE order_id = $2`, uuid, string(o.ID))
			for _, p := range []ward.PersonID{"ben", "cyd"} {
				w.sql(`INSERT INTO order_approval (order_id, hash, person, name, subject, approver, assertion, glass, at) VALUES ($1, $2, $3, '', $3, $4, '{"Purpose":"order"}', FALSE, 1)`,
					string(o.ID), o.Hash, string(p), w.people[p].ID)
			}
		}, "does not verify"},
		{"one signature twice", func(e ward.Enrolment, d ward.DeviceID) {
			o := w.request(d)
			_, err := w.sign("ben", o)
			must(t, err)
			uuid := w.put(e, "EraseDevice", eraseBody, o.ID, "")
			w.sql(`UPDATE orders SET state = 'issued' WHERE id = $1`, string(o.ID))
			w.sql(`UPDATE order_target SET outcome = 'waiting', command = $1 WHERE order_id = $2`, uuid, string(o.ID))
			w.sql(`INSERT INTO order_approval (order_id, hash, person, name, subject, approver, assertion, glass, at) SELECT order_id, hash, 'cyd', name, 'cyd', approver, assertion, glass, at FROM order_approval WHERE order_id = $1`, string(o.ID))
		}, "made by somebody else"},
		{"glass by SQL", func(e ward.Enrolment, d ward.DeviceID) {
			o := w.request(d)
			uuid := w.put(e, "EraseDevice", eraseBody, o.ID, "")
			w.sql(`UPDATE orders SET state = 'issued' WHERE id = $1`, string(o.ID))
			w.sql(`UPDATE order_target SET outcome = 'waiting', command = $1 WHERE order_id = $2`, uuid, string(o.ID))
			w.sql(`INSERT INTO order_approval (order_id, hash, person, name, subject, approver, assertion, glass, at) VALUES ($1, $2, 'x', '', '', '', '{"Signature":"AAAA"}', TRUE, 1)`, string(o.ID), o.Hash)
		}, "those of 0 people"},
		{"a second command of an order", func(e ward.Enrolment, d ward.DeviceID) {
			o := w.approve(w.request(d))
			w.put(e, "EraseDevice", eraseBody, o.ID, "") // only the first goes
		}, "not the command that the order"},
		{"a second command in its place", func(e ward.Enrolment, d ward.DeviceID) {
			o := w.approve(w.request(d))
			w.sql(`UPDATE order_target SET command = $1 WHERE order_id = $2`, w.put(e, "EraseDevice", eraseBody+" more", o.ID, ""), string(o.ID))
			w.sql(`DELETE FROM command WHERE uuid = $1`, o.Targets[0].Command)
		}, "journal does not know this command"},
		{"a target added by SQL", func(e ward.Enrolment, _ ward.DeviceID) {
			w.device("victim", ward.Corporate)
			o := w.approve(w.request("victim"))
			uuid := w.put(e, "EraseDevice", eraseBody, o.ID, "")
			w.sql(`INSERT INTO order_target (order_id, device_id, enrolment_id, name, outcome, command, issued_at, delivered_at, answered_at, error) VALUES ($1, $2, $3, '', 'waiting', $4, 1, 0, 0, '')`,
				string(o.ID), string(e.Device), string(e.ID), uuid)
		}, "altered since it was asked for"},
		{"another enrolment's order", func(e ward.Enrolment, _ ward.DeviceID) {
			w.device("other", ward.Corporate)
			w.put(e, "EraseDevice", eraseBody, w.approve(w.request("other")).ID, "")
		}, "does not name the enrolment"},
		{"a rehearsal", func(e ward.Enrolment, d ward.DeviceID) {
			r := erase(d)
			r.Options.Drill = true
			o := w.approve(w.ask(r))
			w.sql(`UPDATE order_target SET outcome = '', command = $1 WHERE order_id = $2`, w.put(e, "EraseDevice", eraseBody, o.ID, ""), string(o.ID))
		}, "is a rehearsal"},
	}
	for i, tt := range tests {
		d := ward.DeviceID(fmt.Sprintf("g%02d", i))
		e := w.device(d, ward.Corporate)
		tt.do(e, d)
		before := len(w.brakeEntries(brake.Erase))
		got, forged := w.connect(e)
		if len(forged) == 0 && len(got) == 0 {
			t.Errorf("%s: nothing was withheld", tt.name)
		}
		for _, r := range forged {
			if r.State != command.Withheld || !strings.Contains(r.Error, tt.says) {
				t.Errorf("%s: withheld for %q, want a word of %q", tt.name, r.Error, tt.says)
			}
		}
		if tt.name != "a second command of an order" && (len(got) != 0 || len(w.brakeEntries(brake.Erase)) != before) {
			t.Errorf("%s: delivered %v", tt.name, got)
		}
		if q := w.open(e); len(q) != 0 {
			t.Errorf("%s: %v is queued still", tt.name, q)
		}
		w.pass(2 * time.Hour) // so that the brake holds nothing
	}
}

// brakeEntries lists what was delivered of a kind.
func (w *world) brakeEntries(k brake.Kind) (out []brake.Entry) {
	w.t.Helper()
	all, err := w.db.Journal().Since(w.t.Context(), 0, 10000)
	must(w.t, err)
	for _, e := range all {
		if e.Kind == k && e.Event == brake.Delivered {
			out = append(out, e)
		}
	}
	return out
}

// TestReplay: whoever put back a command that was taken back or answered, row and seal and
// all, gets nothing.
func TestReplay(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		for i, answered := range []bool{false, true} {
			d := ward.DeviceID(fmt.Sprint("d", i))
			e := w.device(d, ward.Corporate)
			o := w.approve(w.request(d))
			w.sql(fmt.Sprintf(`CREATE TABLE copy_%d AS SELECT * FROM command WHERE order_id = '%s'`, i, o.ID))
			if answered {
				w.connect(e)
			} else {
				_, err := w.Cancel(w.as("eve"), o.ID, "found")
				must(t, err)
			}
			uuid := o.Targets[0].Command
			w.sql(fmt.Sprintf(`UPDATE command SET state = 'waiting', pending = TRUE, deferred = FALSE, deliveries = 0, answered_at = 0, sealed = (SELECT c.sealed FROM copy_%d c) WHERE uuid = $1`, i), uuid)
			w.sql(`UPDATE orders SET state = 'issued' WHERE id = $1`, string(o.ID))
			w.sql(`UPDATE order_target SET outcome = 'waiting', answered_at = 0 WHERE order_id = $1`, string(o.ID))
			got, forged := w.connect(e)
			if len(got) != 0 || len(forged) != 1 {
				t.Errorf("answered %t: delivered %v, withheld %+v", answered, got, forged)
			}
		}
	})
}

// TestTampered: while the journal does not verify, nothing destructive is handed out, and
// locks go on.
func TestTampered(t *testing.T) {
	t.Parallel()
	w := sqlite(t)
	e := w.device("d1", ward.Corporate)
	o := w.approve(w.request("d1"))
	w.put(e, "DeviceLock", "<string>DeviceLock</string>", "", "")
	w.sql(`UPDATE brake_journal SET person = 'nobody' WHERE event = 'approved'`)
	w.Service, w.brake = w.copy(t.TempDir()+"/brake.head", w.db.Orders()) // it has not read the journal yet
	got, forged := w.connect(e)
	if !slices.Equal(got, []string{"DeviceLock"}) || len(forged) != 0 {
		t.Errorf("delivered %v, withheld %+v", got, forged)
	}
	if x := w.look(o.ID); x.Targets[0].Outcome != order.Held || !strings.Contains(x.Why, "journal") {
		t.Errorf("%+v", x)
	}
	_, err := w.Request(w.as("ada"), erase("d1"))
	wantKind(t, "a request", err, ward.Unavailable)
	if o, err = w.Cancel(w.as("eve"), o.ID, "found"); err != nil || o.Targets[0].Outcome != order.TakenBack {
		t.Errorf("what is held can be taken back: %+v, %v", o, err)
	}
}

// TestShortenedWait: a row that says that the time to cool off is over does not end it.
func TestShortenedWait(t *testing.T) {
	t.Parallel()
	w := sqlite(t)
	w.SeenWithin = time.Hour
	e := w.device("d1", ward.Corporate)
	o := w.approve(w.request("d1"))
	w.sql(`UPDATE orders SET due_at = 1`)
	if _, err := w.Advance(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.look(o.ID); got.State != order.Approved || !got.Due.Equal(o.Due) || len(w.open(e)) != 0 {
		t.Errorf("%+v", got)
	}
	w.sql(`DELETE FROM order_approval WHERE person = 'ben'`)
	w.pass(time.Hour)
	if _, err := w.Advance(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.look(o.ID); got.State != order.Cancelled || len(w.open(e)) != 0 || len(w.pager.about("command.forged")) != 1 {
		t.Errorf("without its signatures: %+v", got)
	}
}

// TestPersonalCase: what Ward put on a lost personal device may be removed without an
// order, while its case is open.
func TestPersonalCase(t *testing.T) {
	t.Parallel()
	w := sqlite(t)
	const body = "<string>RemoveProfile</string> management"
	mine, work := w.device("mine", ward.Personal), w.device("work", ward.Corporate)
	w.reported("c1", "mine")
	w.reported("c2", "work")
	for _, tt := range []struct {
		name string
		e    ward.Enrolment
		c    ward.CaseID
		want bool
	}{
		{"its own case", mine, "c1", true},
		{"no case", mine, "", false},
		{"another's case", mine, "c2", false},
		{"an unknown case", mine, "c9", false},
		{"a corporate device", work, "c2", false},
		{"a corporate device in a personal one's case", work, "c1", false},
	} {
		w.put(tt.e, "RemoveProfile", body, "", tt.c)
		if got, forged := w.connect(tt.e); (len(got) == 1) != tt.want || (len(forged) == 0) != tt.want {
			t.Errorf("%s: delivered %v, withheld %+v", tt.name, got, forged)
		}
	}
	delete(w.cases.open, "mine")
	w.put(mine, "RemoveProfile", body, "", "c1")
	if got, _ := w.connect(mine); len(got) != 0 {
		t.Errorf("after the case: delivered %v", got)
	}
	w.put(mine, "RemoveProfile", "<string>RemoveProfile</string> wifi", "", "")
	if got, _ := w.connect(mine); len(got) != 1 {
		t.Error("an ordinary profile was kept back")
	}
}

// TestMacCase: the organisation's own Mac is locked by a PIN without an order while its case is
// open, and waits while the brake holds reports.
func TestMacCase(t *testing.T) {
	t.Parallel()
	w := sqlite(t)
	const body = "<string>DeviceLock</string> PIN"
	mac, mine, phone := w.platform("mac", ward.Corporate, ward.MacOS), w.platform("mine", ward.Personal, ward.MacOS), w.device("phone", ward.Corporate)
	w.reported("c1", "mac")
	w.reported("c2", "mine")
	w.reported("c3", "phone")
	mac2 := w.platform("mac2", ward.Corporate, ward.MacOS)
	w.cases.report("c4", "mac2") // as a row that nobody reported would
	for _, tt := range []struct {
		name string
		e    ward.Enrolment
		c    ward.CaseID
		want bool
	}{
		{"its own case", mac, "c1", true},
		{"no case", mac, "", false},
		{"another's case", mac, "c2", false},
		{"a personal Mac", mine, "c2", false},
		{"a phone", phone, "c3", false},
		{"a case that nobody reported", mac2, "c4", false},
	} {
		w.put(tt.e, "DeviceLock", body, "", tt.c)
		if got, forged := w.connect(tt.e); (len(got) == 1) != tt.want || (len(forged) == 0) != tt.want {
			t.Errorf("%s: delivered %v, withheld %+v", tt.name, got, forged)
		}
	}
	for i := range 51 {
		_, err := w.brake.Take(t.Context(), brake.Entry{Event: brake.Used, Kind: brake.Report, Person: fmt.Sprint("p", i), Device: "mac"})
		must(t, err)
	}
	w.put(mac, "DeviceLock", body, "", "c1")
	if got, forged := w.connect(mac); len(got)+len(forged) != 0 {
		t.Errorf("while reports are held: delivered %v, withheld %+v", got, forged)
	}
}

// TestLocksHold: locks that one person asked for wait while their kind is held.
func TestLocksHold(t *testing.T) {
	t.Parallel()
	w := sqlite(t)
	e := w.device("d1", ward.Corporate)
	for _, k := range []brake.Kind{brake.Lock, brake.Report} {
		for i := range 51 {
			h, err := w.brake.Take(t.Context(), brake.Entry{Event: brake.Used, Kind: k, Person: fmt.Sprint("p", i), Device: "d1", Hash: fmt.Sprint("c", i)})
			must(t, err)
			if (h != nil) != (i == 50) {
				t.Fatalf("use %d of %s: %+v", i, k, h)
			}
		}
		c := ward.CaseID("")
		if k == brake.Report {
			c = "c1"
			w.cases.report(c, "d1")
		}
		w.put(e, "EnableLostMode", "<string>EnableLostMode</string>", "", c)
		got, forged := w.connect(e)
		if len(got)+len(forged) != 0 {
			t.Errorf("%s: delivered %v, withheld %+v", k, got, forged)
		}
		if q := w.open(e); !slices.Equal(q, []string{"EnableLostMode held"}) {
			t.Errorf("%s: queue %v", k, q)
		}
		r := order.Request{Kind: order.ReleaseBrake, Reason: "a drill of the whole site", Options: order.Options{Brake: &order.Brake{Kind: k}}}
		if o := w.approve(w.ask(r)); o.State != order.Issued {
			t.Fatalf("release: %+v", o)
		}
		if got, _ := w.connect(e); !slices.Equal(got, []string{"EnableLostMode"}) {
			t.Errorf("%s: after the release %v", k, got)
		}
	}
}
