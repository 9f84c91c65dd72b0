package evidence_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/evidence"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// now is when everything is asked.
var now = time.Date(2026, 4, 20, 12, 0, 0, 0, time.UTC)

func march(day int) time.Time { return time.Date(2026, 3, day, 9, 0, 0, 0, time.UTC) }

// past is a small estate: what is there now, and what changed.
type past struct {
	devices []*estate.Device
	changes map[ward.DeviceID][]estate.Change // the oldest first
	days    []estate.Day
	removal estate.Removal
}

func (p *past) Current(context.Context) (*estate.Snapshot, error) {
	return &estate.Snapshot{At: now, Now: true, Devices: p.devices}, nil
}

func (p *past) At(_ context.Context, t time.Time) (*estate.Snapshot, error) {
	out := &estate.Snapshot{At: t}
	for _, d := range p.devices {
		then := *d
		then.State, then.Apps, then.Findings = compliance.Unknown, nil, nil
		for _, c := range p.changes[d.ID] {
			if !c.At.After(t) {
				then.State, then.Apps, then.Findings = c.Device.State, c.Device.Apps, c.Device.Findings
			}
		}
		out.Devices = append(out.Devices, &then)
	}
	return out, nil
}

func (p *past) Trend(context.Context, estate.Cut, int) ([]estate.Day, error) { return p.days, nil }

func (p *past) Removals(context.Context, string, estate.Dimension, time.Time, time.Time) (map[string]estate.Removal, error) {
	return map[string]estate.Removal{"": p.removal}, nil
}

func (p *past) Recorded(context.Context) (time.Time, error) { return march(1), nil }

func (p *past) Changes(_ context.Context, id ward.DeviceID, before int64, limit int) (out []estate.Change, err error) {
	all := p.changes[id]
	for i := len(all) - 1; i >= 0 && len(out) < limit; i-- {
		if before == 0 || all[i].Seq < before {
			out = append(out, all[i])
		}
	}
	return out, nil
}

// office is the rest that reports stand on.
type office struct {
	cases   []lost.Case
	files   map[ward.CaseID]lost.File
	orders  []order.Order
	notices []notify.Delivery
	invited []enrollment.Invitation
}

func (o *office) File(_ context.Context, id ward.CaseID) (lost.File, error) { return o.files[id], nil }

func (o *office) Drills(context.Context, lost.Filter) ([]lost.Rehearsed, error) { return nil, nil }

func (o *office) List(_ context.Context, f lost.Filter) (out []lost.Case, err error) {
	for _, c := range o.cases {
		if (f.Device == "" || c.Device == f.Device) && (f.Which != lost.OnlyDrills) == (c.Drill == "") {
			out = append(out, c)
		}
	}
	return out, nil
}

type orders struct{ *office }

func (o orders) List(context.Context, order.Filter) ([]order.Order, error) {
	return o.office.orders, nil
}

type notices struct{ *office }

func (n notices) Log(context.Context, string, int) ([]notify.Delivery, error) {
	return n.office.notices, nil
}

type invitations struct{ *office }

func (i invitations) List(_ context.Context, before string, _ int) ([]enrollment.Invitation, error) {
	if before != "" {
		return nil, nil
	}
	return i.invited, nil
}

type noBrake struct{}

func (noBrake) Holds(context.Context) ([]brake.Hold, error) { return nil, nil }

type approvers struct{}

func (approvers) List(context.Context) ([]approver.Standing, error) { return nil, nil }

// log lets parts record deeds.
type log struct{ *audit.Service }

func (l log) Record(ctx context.Context, action, subject string, detail map[string]string) error {
	return l.Service.Record(ctx, audit.Entry{Action: action, Subject: subject, Detail: detail})
}

// eraser erases for real in the database.
type eraser struct {
	store.Evidence
	access *access.Service
	log    *audit.Service
}

func (e eraser) ErasePerson(ctx context.Context, id ward.PersonID) error {
	return e.access.ErasePerson(ctx, id)
}

func (e eraser) ForgetPerson(ctx context.Context, id ward.PersonID) (int64, error) {
	return e.log.ForgetPerson(ctx, id)
}

// world is reports on a real database, with a past that is made up.
type world struct {
	*testing.T
	*evidence.Service
	db     *store.DB
	log    *audit.Service
	key    *audit.Key
	access *access.Service
	policy *policy.Service
	past   *past
	office *office
}

func newWorld(t *testing.T, db *store.DB) *world {
	t.Helper()
	w := &world{T: t, db: db, past: &past{changes: map[ward.DeviceID][]estate.Change{}}, office: &office{files: map[ward.CaseID]lost.File{}}}
	clock := func() time.Time { return now }
	var err error
	w.key, err = audit.LoadKey(filepath.Join(t.TempDir(), "audit.key"), "ward.example/audit")
	w.must(err)
	w.log, err = audit.New(audit.Config{Store: db.Audit(), Master: storetest.Master(), Key: w.key, Now: clock})
	w.must(err)
	w.access, err = access.New(access.Config{Store: db.Access(), Audit: w.log, Now: clock, Forget: w.log.ForgetPerson})
	w.must(err)
	w.policy = policy.New(db.Policies(), log{w.log}, func() time.Time { return march(2) }, func() {})
	w.Service, err = evidence.New(evidence.Config{
		Estate: w.past, Policies: w.policy, Cases: w.office, Orders: orders{w.office}, Brake: noBrake{}, Approvers: approvers{}, People: w.access, Notices: notices{w.office}, Invitations: invitations{w.office},
		Seals: db.Evidence(), Audit: w.log, Now: clock, Organisation: "St Example’s Hospital", Eraser: eraser{db.Evidence(), w.access, w.log},
	})
	w.must(err)
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// as is a governance lead who sees everything.
func (w *world) as() context.Context {
	return ward.WithActor(w.Context(), ward.Actor{Person: "person-maud", Name: "Maud Ellery", Via: ward.ViaSession, Roles: []ward.Role{ward.RoleGovern}})
}

func (w *world) system() context.Context { return ward.WithActor(w.Context(), ward.System) }

func (w *world) publish() {
	w.Helper()
	_, err := w.policy.Publish(w.system(), profiles.ExamplePolicy())
	w.must(err)
}

// phone adds a device of somebody.
func (w *world) phone(id, owner, site string) *estate.Device {
	w.Helper()
	email := strings.ToLower(strings.ReplaceAll(owner, " ", ".")) + "@example.org"
	d := &estate.Device{
		ID: ward.DeviceID(id), Name: owner + "’s iPhone", Serial: "F2LX" + id, Owner: owner, Email: email, Site: site, Group: "Ward 7", Platform: ward.IOS, OSVersion: "26.1",
		Ownership: ward.Corporate, Supervised: ward.Supervised, Managed: true, State: compliance.Compliant, Enrolled: march(1), LastSeen: now,
	}
	w.past.devices = append(w.past.devices, d)
	w.must(w.db.Fleet().InsertDevice(w.Context(), ward.Device{ID: d.ID, Name: d.Name, Serial: d.Serial, Owner: owner, Email: email, Platform: ward.IOS, Ownership: ward.Corporate, State: ward.Managed, Created: march(1)}))
	return d
}

// change has the posture of a device change, in the record and in the made-up past alike.
func (w *world) change(d *estate.Device, at time.Time, st compliance.State, apps ...string) {
	w.Helper()
	body := `{"t":"` + string(st) + `","a":["` + strings.Join(apps, `","`) + `"]}`
	w.must(w.db.Estate().AddChange(w.Context(), d.ID, at, body))
	kept, err := w.db.Estate().Changes(w.Context(), d.ID, 0, 1)
	w.must(err)
	then := *d
	then.State, then.Apps, then.Findings = st, apps, nil
	for _, a := range apps {
		then.Findings = append(then.Findings, estate.Finding{State: st, Code: "blocked-app-present", Subject: a, Since: at})
	}
	w.past.changes[d.ID] = append(w.past.changes[d.ID], estate.Change{Seq: kept[0].Seq, At: at, Device: then})
	d.State, d.Apps, d.Findings = st, apps, then.Findings
}

// text is everything that a reader of a report sees.
func (w *world) text(r evidence.Request) string {
	w.Helper()
	d, err := w.Make(w.as(), r)
	w.must(err)
	var b strings.Builder
	add := func(s ...string) { b.WriteString(strings.Join(s, " ") + "\n") }
	add(d.Title, d.By, strings.Join(d.Says, " "))
	for _, x := range d.Sections {
		add(x.Heading)
		add(x.Text...)
		for _, f := range x.Facts {
			add(f.Label, f.Value)
		}
		add(x.Notes...)
	}
	for _, t := range d.Tables() {
		for _, c := range t.Columns {
			add(c.Head)
		}
		for _, r := range t.Rows {
			for _, c := range r {
				add(c.Text)
			}
		}
	}
	return b.String()
}

func has(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, x := range want {
		if not, ok := strings.CutPrefix(x, "!"); ok {
			if strings.Contains(text, not) {
				t.Errorf("the report holds %q, which it should not:\n%s", not, text)
			}
		} else if !strings.Contains(text, x) {
			t.Errorf("the report lacks %q:\n%s", x, text)
		}
	}
}
