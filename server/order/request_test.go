package order_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/order"
)

func TestRequestIsRefused(t *testing.T) {
	t.Parallel()
	w := sqlite(t)
	var eleven []ward.DeviceID
	for i := range 11 {
		id := ward.DeviceID(fmt.Sprintf("d%02d", i))
		w.device(id, ward.Corporate)
		eleven = append(eleven, id)
	}
	gone := w.device("gone", ward.Corporate)
	must(t, w.db.Fleet().EndEnrolment(t.Context(), gone.ID, "checked out"))
	w.platform("mac", ward.Corporate, ward.MacOS)
	w.platform("pc", ward.Corporate, ward.Windows)
	w.cases.report("c1", "d00")
	with := func(f func(*order.Request)) order.Request { r := erase("d00"); f(&r); return r }
	opt := func(f func(*order.Options), ids ...ward.DeviceID) order.Request {
		r := erase(ids...)
		f(&r.Options)
		return r
	}
	kind := func(k order.Kind, id ward.DeviceID, f func(*order.Options)) order.Request {
		r := order.Request{Kind: k, Devices: []ward.DeviceID{id}, Reason: "why"}
		f(&r.Options)
		return r
	}
	campaign := func(f func(*order.Request, *order.Campaign)) order.Request {
		c := &order.Campaign{Start: w.Now().Add(24 * time.Hour), PerHour: 5}
		r := erase("d01")
		r.Options.Campaign = c
		f(&r, c)
		return r
	}
	turn := func(k order.Kind, b *order.Brake, f func(*order.Request)) order.Request {
		r := order.Request{Kind: k, Reason: "why", Options: order.Options{Brake: b}}
		f(&r)
		return r
	}
	same := func(*order.Request) {}
	tests := []struct {
		name string
		r    order.Request
		want ward.Kind
		says string
	}{
		{"no reason", with(func(r *order.Request) { r.Reason = " \n" }), ward.Invalid, "reason"},
		{"a long reason", with(func(r *order.Request) { r.Reason = strings.Repeat("x", 3000) }), ward.Invalid, "too long"},
		{"no device", erase(), ward.Invalid, "at least one device"},
		{"a device twice", erase("d01", "d00", "d01"), ward.Invalid, "d01 is named twice"},
		{"no kind", with(func(r *order.Request) { r.Kind = "" }), ward.Invalid, "kind"},
		{"an option that does nothing", with(func(r *order.Request) { r.Kind = order.ClearPasscode }), ward.Invalid, "Only an erase"},
		{"a message on an erase", opt(func(o *order.Options) { o.Message = "hello" }, "d00"), ward.Invalid, "Only a lock"},
		{"a long message", kind(order.LockPIN, "mac", func(o *order.Options) { o.Message = strings.Repeat("x", 501) }), ward.Invalid, "500 bytes"},
		{"an unknown obliteration", opt(func(o *order.Options) { o.Obliteration = "Gently" }, "mac"), ward.Invalid, "Gently"},
		{"an option about the brake", opt(func(o *order.Options) { o.Brake = &order.Brake{Kind: brake.Erase} }, "d00"), ward.Invalid, "no option about the brake"},
		{"an unknown device", erase("d00", "nobody"), ward.NotFound, "nobody"},
		{"a device that left", erase("gone"), ward.Conflict, "not enrolled"},
		{"an unknown case", with(func(r *order.Request) { r.Case = "c9" }), ward.NotFound, "c9"},
		{"another's case", func() order.Request { r := erase("d01"); r.Case = "c1"; return r }(), ward.Invalid, "another device"},
		{"return to service in a case", with(func(r *order.Request) { r.Case, r.Options.ReturnToService = "c1", &order.ReturnToService{} }), ward.Invalid, "lost device"},
		{"return to service of a Mac", opt(func(o *order.Options) { o.ReturnToService = &order.ReturnToService{} }, "d00", "mac"), ward.Conflict, "iPhone or iPad"},
		{"a large profile", opt(func(o *order.Options) { o.ReturnToService = &order.ReturnToService{WiFiProfile: make([]byte, 300<<10)} }, "d00"), ward.Invalid, "bytes"},
		{"no proximity set-up of a Mac", opt(func(o *order.Options) { o.DisallowProximitySetup = true }, "mac"), ward.Conflict, "near it"},
		{"obliterate an iPhone", opt(func(o *order.Options) { o.Obliteration = "Always" }, "d00"), ward.Conflict, "only a Mac"},
		{"erase Windows", erase("pc"), ward.Conflict, "no such command"},
		{"clear the passcode of a Mac", kind(order.ClearPasscode, "mac", func(*order.Options) {}), ward.Conflict, "no such command"},
		{"lock an iPhone with a PIN", kind(order.LockPIN, "d00", func(*order.Options) {}), ward.Conflict, "no such command"},
		{"too many devices", erase(eleven...), ward.Conflict, "brake"},
		{"a campaign too soon", campaign(func(_ *order.Request, c *order.Campaign) { c.Start = c.Start.Add(-time.Second) }), ward.Invalid, "24 hours ahead"},
		{"a campaign too late", campaign(func(_ *order.Request, c *order.Campaign) { c.Start = c.Start.Add(366 * 24 * time.Hour) }), ward.Invalid, "within a year"},
		{"a fast campaign", campaign(func(_ *order.Request, c *order.Campaign) { c.PerHour = 501 }), ward.Invalid, "1 to 500"},
		{"a campaign that stands still", campaign(func(_ *order.Request, c *order.Campaign) { c.PerHour = 0 }), ward.Invalid, "1 to 500"},
		{"a campaign in a case", campaign(func(r *order.Request, _ *order.Campaign) { r.Devices, r.Case = []ward.DeviceID{"d00"}, "c1" }), ward.Invalid, "no case"},
		{"a campaign of passcodes", campaign(func(r *order.Request, _ *order.Campaign) {
			r.Kind, r.Options.PreserveDataPlan = order.ClearPasscode, false
		}), ward.Invalid, "Only an erase and a removal"},
		{"a campaign rehearsed", campaign(func(r *order.Request, _ *order.Campaign) { r.Options.Drill = true }), ward.Invalid, "rehearsed"},
		{"a release of nothing", turn(order.ReleaseBrake, nil, same), ward.Invalid, "Name the kind"},
		{"a release of what is not held", turn(order.ReleaseBrake, &order.Brake{Kind: brake.Erase}, same), ward.Conflict, "does not hold"},
		{"a release with hours", turn(order.ReleaseBrake, &order.Brake{Kind: brake.Erase, Hours: 1}, same), ward.Invalid, "no hours"},
		{"a release of devices", turn(order.ReleaseBrake, &order.Brake{Kind: brake.Erase}, func(r *order.Request) { r.Devices = []ward.DeviceID{"d00"} }), ward.Invalid, "no devices"},
		{"a release of an unknown kind", turn(order.ReleaseBrake, &order.Brake{Kind: "gravity"}, same), ward.Invalid, "Name the kind"},
		{"a lift for ever", turn(order.LiftBrake, &order.Brake{Kind: brake.Erase, Hours: 25}, same), ward.Invalid, "1 to 24"},
		{"a lift for nothing", turn(order.LiftBrake, &order.Brake{Kind: brake.Erase}, same), ward.Invalid, "1 to 24"},
		{"a lift rehearsed", turn(order.LiftBrake, &order.Brake{Kind: brake.Erase, Hours: 1}, func(r *order.Request) { r.Options.Drill = true }), ward.Invalid, "no other option"},
	}
	denied := 0
	for _, tt := range tests {
		_, err := w.Request(w.as("ada"), tt.r)
		wantKind(t, tt.name, err, tt.want)
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want a word of %q", tt.name, err, tt.says)
		}
		if tt.want == ward.Conflict || tt.want == ward.Forbidden {
			denied++
		}
	}
	for name, a := range map[string]ward.Actor{"nobody": {}, "a device": {Device: "d00", Via: ward.ViaDevice}, "a session of nobody": {Via: ward.ViaSession}} {
		_, err := w.Request(ward.WithActor(t.Context(), a), erase("d00"))
		wantKind(t, name, err, ward.Forbidden)
		denied++
	}
	if n := w.audit.count(order.ActionDenied); n != denied {
		t.Errorf("%d attempts are audited as denied, want %d", n, denied)
	}
	if os, err := w.List(t.Context(), order.Filter{}); err != nil || len(os) != 0 {
		t.Errorf("%d orders are kept (%v)", len(os), err)
	}
}

// TestRequestIsKept: everybody who may ask does, and the order comes back as it was asked.
func TestRequestIsKept(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.device("d1", ward.Corporate)
		w.platform("mac", ward.Corporate, ward.MacOS)
		actors := map[ward.PersonID]ward.Actor{
			"eve": {Person: "eve", Via: ward.ViaToken}, "ada": {Person: "ada", Via: ward.ViaSession}, "via console": {Via: ward.ViaConsole}, "via system": ward.System,
		}
		requests := []order.Request{
			erase("d1"),
			{Kind: order.Erase, Devices: []ward.DeviceID{"d1"}, Reason: "new owner", Options: order.Options{ReturnToService: &order.ReturnToService{WiFiProfile: []byte{0, 255}}}},
			{Kind: order.Erase, Devices: []ward.DeviceID{"mac"}, Reason: "scrapped", Options: order.Options{Obliteration: "Always"}},
			{Kind: order.LockPIN, Devices: []ward.DeviceID{"mac"}, Reason: "gone", Options: order.Options{Message: `"Bring it back" <please>`, Phone: "1"}},
			{Kind: order.RemoveManagement, Devices: []ward.DeviceID{"mac", "d1"}, Reason: "sold", Options: order.Options{Campaign: &order.Campaign{Start: w.Now().Add(25*time.Hour + time.Nanosecond), PerHour: 1}}},
			{Kind: order.LiftBrake, Reason: "move", Options: order.Options{Brake: &order.Brake{Kind: brake.Lock, Hours: 24}}},
		}
		for by, a := range actors {
			for i, r := range requests {
				want, err := w.Request(ward.WithActor(t.Context(), a), r)
				if err != nil {
					t.Fatalf("request %d by %s: %v", i, by, err)
				}
				got := w.look(want.ID)
				if diff := cmp.Diff(want, got); diff != "" || got.RequestedBy != by {
					t.Errorf("request %d by %s mismatch (-want +got)\n%s", i, got.RequestedBy, diff)
				}
				if d, err := got.Digest(); d != want.Hash || err != nil {
					t.Errorf("digest after reading is %s, %v, want %s", d, err, want.Hash)
				}
			}
		}
		if n := len(w.pager.about("order.waiting")); n != len(actors)*len(requests) {
			t.Errorf("people were told of %d orders", n)
		}
	})
}

func TestList(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.device("d1", ward.Corporate)
		w.device("d2", ward.Corporate)
		var all []ward.OrderID
		for i := range 5 {
			all = append(all, w.request([]ward.DeviceID{"d1", "d2"}[i%2]).ID)
		}
		slices.Reverse(all)
		if _, err := w.Cancel(w.as("eve"), all[4], "done"); err != nil {
			t.Fatal(err)
		}
		tests := []struct {
			name string
			f    order.Filter
			want []ward.OrderID
		}{
			{"all", order.Filter{}, all},
			{"first page", order.Filter{Limit: 2}, all[:2]},
			{"next page", order.Filter{Limit: 2, After: all[1]}, all[2:4]},
			{"last page", order.Filter{Limit: 2, After: all[3]}, all[4:]},
			{"of a device", order.Filter{Device: "d2"}, []ward.OrderID{all[1], all[3]}},
			{"by state", order.Filter{State: order.Cancelled}, all[4:]},
			{"of a case", order.Filter{Case: "none"}, nil},
		}
		for _, tt := range tests {
			os, err := w.List(t.Context(), tt.f)
			must(t, err)
			var got []ward.OrderID
			for _, o := range os {
				got = append(got, o.ID)
				if len(o.Targets) != 1 {
					t.Errorf("%s: order %s has %d targets", tt.name, o.ID, len(o.Targets))
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s: List mismatch (-want +got)\n%s", tt.name, diff)
			}
		}
	})
}

func sha(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func TestDigest(t *testing.T) {
	t.Parallel()
	o := order.Order{
		ID: "o1", Kind: order.Erase, Reason: `5 > 4 & "so"`, Case: "c1", RequestedBy: "ada", Options: order.Options{PreserveDataPlan: true},
		Targets: []order.Target{{Device: "d1", Enrolment: "e1", Name: "Ward 7"}},
	}
	list := `[{"device":"d1","enrolment":"e1","name":"Ward 7"}]`
	want := sha(`{"v":2,"id":"o1","kind":"erase","targets_sha256":"` + sha(list) + `","targets":` + list +
		`,"options":{"preserve_data_plan":true,"disallow_proximity_setup":false},"reason":"5 > 4 & \"so\"","case":"c1","requested_by":"ada"}`)
	if got, err := o.Digest(); got != want || err != nil {
		t.Errorf("Digest = %s, %v, want %s", got, err, want)
	}
	after := o // what happens to an order is not part of it
	after.State, after.Due = order.Issued, start
	after.Targets = []order.Target{o.Targets[0]}
	after.Targets[0].Outcome = order.Waiting
	if got, err := after.Digest(); got != want || err != nil {
		t.Errorf("Digest changes with the state: %s, %v", got, err)
	}
	changes := map[string]func(*order.Order){
		"id": func(o *order.Order) { o.ID = "o2" }, "kind": func(o *order.Order) { o.Kind = order.ClearPasscode },
		"device": func(o *order.Order) { o.Targets = []order.Target{{Device: "d2", Enrolment: "e1", Name: "Ward 7"}} },
		"epoch":  func(o *order.Order) { o.Targets = []order.Target{{Device: "d1", Enrolment: "e2", Name: "Ward 7"}} },
		"more":   func(o *order.Order) { o.Targets = append(slices.Clone(o.Targets), o.Targets[0]) },
		"reason": func(o *order.Order) { o.Reason = "" }, "case": func(o *order.Order) { o.Case = "" }, "requester": func(o *order.Order) { o.RequestedBy = "ben" },
		"data plan": func(o *order.Order) { o.Options.PreserveDataPlan = false }, "proximity": func(o *order.Order) { o.Options.DisallowProximitySetup = true },
		"return": func(o *order.Order) { o.Options.ReturnToService = &order.ReturnToService{} }, "profile": func(o *order.Order) { o.Options.ReturnToService = &order.ReturnToService{WiFiProfile: []byte{1}} },
		"obliteration": func(o *order.Order) { o.Options.Obliteration = "Always" }, "message": func(o *order.Order) { o.Options.Message = "x" },
		"phone": func(o *order.Order) { o.Options.Phone = "x" }, "campaign": func(o *order.Order) { o.Options.Campaign = &order.Campaign{} },
		"pace": func(o *order.Order) { o.Options.Campaign = &order.Campaign{PerHour: 1} }, "brake": func(o *order.Order) { o.Options.Brake = &order.Brake{} },
		"hours": func(o *order.Order) { o.Options.Brake = &order.Brake{Hours: 1} }, "drill": func(o *order.Order) { o.Options.Drill = true },
	}
	seen := map[string]string{want: "nothing"}
	for name, change := range changes {
		c := o
		change(&c)
		got, err := c.Digest()
		if twin, ok := seen[got]; ok || err != nil {
			t.Errorf("Digest with another %s is as with another %s (%v)", name, twin, err)
		}
		seen[got] = name
	}
}
