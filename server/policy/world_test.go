package policy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micromdm/nanomdm/mdm"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/store"
)

// journal counts what was audited.
type journal struct {
	mu      sync.Mutex
	actions []string
}

// actionForm is what the audit log takes.
var actionForm = regexp.MustCompile(`^[a-z]+(?:[.-][a-z]+)*$`)

func (j *journal) Record(_ context.Context, action, subject string, _ map[string]string) error {
	if !actionForm.MatchString(action) {
		return fmt.Errorf("the audit log takes no action %q", action)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.actions = append(j.actions, action+" "+subject)
	return nil
}

func (j *journal) count(action string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for _, a := range j.actions {
		if strings.HasPrefix(a, action+" ") {
			n++
		}
	}
	return n
}

// world is the service on a database with devices in it.
type world struct {
	*policy.Service
	t     *testing.T
	db    *store.DB
	audit *journal
	moved int
	rows  map[ward.DeviceID]ward.Enrolment
}

func newWorld(t *testing.T, db *store.DB) *world {
	t.Helper()
	w := &world{t: t, db: db, audit: &journal{}, rows: map[ward.DeviceID]ward.Enrolment{}}
	w.Service = policy.New(db.Policies(), w.audit, now, func() { w.moved++ })
	return w
}

// device enrols a supervised phone of a group.
func (w *world) device(id ward.DeviceID, group string, supervised bool) {
	w.t.Helper()
	ctx, f := w.t.Context(), w.db.Fleet()
	d := ward.Device{ID: id, Serial: "S-" + string(id), Name: "Phone " + string(id), Platform: ward.IOS, Ownership: ward.Corporate, OSVersion: "18.6", Group: group, Site: "North", State: ward.Managed, Created: now()}
	if err := f.InsertDevice(ctx, d); err != nil {
		w.t.Fatal(err)
	}
	r := mdm.NewRequestWithContext(fleet.WithAdmission(ctx, fleet.Admission{Device: id, Rights: ward.RightsAll}), nil)
	r.EnrollID = &mdm.EnrollID{Type: mdm.Device, ID: "udid-" + string(id)}
	from := mdm.Enrollment{UDID: r.EnrollID.ID}
	if err := w.db.MDM().StoreAuthenticate(r, &mdm.Authenticate{Enrollment: from, Topic: "t", Raw: []byte("raw")}); err != nil {
		w.t.Fatal(err)
	}
	if err := w.db.MDM().StoreTokenUpdate(r, &mdm.TokenUpdate{Enrollment: from, Push: mdm.Push{Topic: "t", PushMagic: "m", Token: []byte{1}}, Raw: []byte("raw")}); err != nil {
		w.t.Fatal(err)
	}
	e, err := f.Current(ctx, id)
	if err != nil {
		w.t.Fatal(err)
	}
	s := ward.Unsupervised
	if supervised {
		s = ward.Supervised
	}
	if err := f.SetSupervised(ctx, e.ID, s); err != nil {
		w.t.Fatal(err)
	}
	w.rows[id] = e
}

func (w *world) has(id ward.DeviceID, apps string) {
	w.t.Helper()
	if err := w.db.Fleet().SetFact(w.t.Context(), w.rows[id].ID, fleet.Fact{Kind: fleet.Apps, Value: []byte(apps), Observed: now()}); err != nil {
		w.t.Fatal(err)
	}
}

// answers has a device answer every step of the policy that holds for it now, and say
// that it holds the declarations if it accepts.
func (w *world) answers(id ward.DeviceID, s command.State) {
	w.t.Helper()
	st := w.wanted(id)
	for _, key := range policy.Steps(&st) {
		w.answer(id, key, s)
	}
	if s == command.Accepted {
		w.declares(id, st.Declarations, "valid")
	}
}

// invalid has a device say that it holds the declarations of the policy that holds for
// it, and calls the last of them invalid.
func (w *world) invalid(id ward.DeviceID) {
	w.t.Helper()
	w.declares(id, w.wanted(id).Declarations, "invalid", "Error.Some: words")
}

// declares has a device say that it holds declarations, and what it makes of the last.
func (w *world) declares(id ward.DeviceID, all []profiles.Declaration, last string, reasons ...string) {
	w.t.Helper()
	var held []fleet.Declaration
	for _, d := range all {
		held = append(held, fleet.Declaration{Identifier: d.Identifier, Token: d.Token, Active: true, Valid: "valid"})
	}
	if len(held) > 0 {
		held[len(held)-1].Valid, held[len(held)-1].Reasons = last, reasons
	}
	raw, err := json.Marshal(held)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.db.Fleet().SetFact(w.t.Context(), w.rows[id].ID, fleet.Fact{Kind: fleet.Declarations, Value: raw, Observed: now()}); err != nil {
		w.t.Fatal(err)
	}
}

// wanted is what a device should have under the policy that holds for it now.
func (w *world) wanted(id ward.DeviceID) profiles.State {
	w.t.Helper()
	ctx := w.t.Context()
	d, err := w.db.Fleet().Device(ctx, id)
	if err != nil {
		w.t.Fatal(err)
	}
	p, _, err := w.For(ctx, d)
	if err != nil {
		w.t.Fatal(err)
	}
	e, err := w.db.Fleet().Enrolment(ctx, w.rows[id].ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return profiles.Desired(profiles.Subject{Device: d, Supervised: e.Supervised, Rights: e.Rights, Kind: e.Kind, OSVersion: d.OSVersion}, p, now())
}

func (w *world) answer(id ward.DeviceID, key string, s command.State) {
	w.t.Helper()
	ctx, e := w.t.Context(), w.rows[id]
	uuid, err := w.db.Commands().Enqueue(ctx, command.New{UUID: fmt.Sprintf("%s-%s-%d", id, key, time.Now().UnixNano()), Enrolment: e.ID, RequestType: "Any", Body: []byte("x"), StepKey: key})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, _, err := w.db.Commands().Report(ctx, e.ID, store.Answer{UUID: uuid, State: s, Reason: "because"}); err != nil {
		w.t.Fatal(err)
	}
}

// seen has a device heard from at a time.
func (w *world) seen(id ward.DeviceID, at time.Time) {
	w.t.Helper()
	w.db.Seen(w.rows[id].ID, at)
	if err := w.db.FlushSeen(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// as returns a context in which a person acts by a token.
func (w *world) as(p ward.PersonID, token string) context.Context {
	return ward.WithActor(w.t.Context(), ward.Actor{Person: p, Name: "Name of " + string(p), Via: ward.ViaToken, Token: token})
}

// version is the example policy with another note, and with more apps not blocked.
func version(note string, except ...string) []byte {
	text := strings.Replace(string(profiles.ExamplePolicy()), "First version", note, 1)
	if len(except) > 0 {
		text = strings.Replace(text, "  categories: [consumer-messaging]\n", "  categories: [consumer-messaging]\n  except: ["+strings.Join(except, ", ")+"]\n", 1)
	}
	return []byte(text)
}

// holding returns the generation that holds for each device.
func (w *world) holding() map[ward.DeviceID]int64 {
	w.t.Helper()
	out := map[ward.DeviceID]int64{}
	for id := range w.rows {
		d, err := w.db.Fleet().Device(w.t.Context(), id)
		if err != nil {
			w.t.Fatal(err)
		}
		_, generation, err := w.For(w.t.Context(), d)
		if err != nil {
			w.t.Fatal(err)
		}
		out[id] = generation
	}
	return out
}

// under returns the devices for which a generation holds, in order.
func (w *world) under(generation int64) (ids []ward.DeviceID) {
	for id, g := range w.holding() {
		if g == generation {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (w *world) epoch() int64 {
	w.t.Helper()
	n, err := w.Epoch(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *world) state(generation int64) policy.State {
	w.t.Helper()
	v, err := w.Version(w.t.Context(), generation)
	if err != nil {
		w.t.Fatal(err)
	}
	return v.State
}

func (w *world) advance(at time.Time) {
	w.t.Helper()
	if err := w.Advance(w.t.Context(), at); err != nil {
		w.t.Fatal(err)
	}
}

// wantKind checks the kind of an error; the empty kind is none.
func wantKind(t *testing.T, what string, err error, want ward.Kind) {
	t.Helper()
	if got := ward.KindOf(err); got != want {
		t.Errorf("%s: error %v of kind %q, want %q", what, err, got, want)
	}
}
