package web_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/order"
)

// fill has the brake count deeds until it holds the kind.
func (w *world) fill(k brake.Kind, by access.Person) {
	w.t.Helper()
	for i := range 100 {
		id := fmt.Sprintf("x-%d", i)
		var held *brake.Hold
		w.must(w.db.Do(w.system(), func(ctx context.Context) (err error) {
			held, err = w.brake.Take(ctx, brake.Entry{Event: brake.Delivered, Kind: k, Order: ward.OrderID(id), Device: ward.DeviceID(id), Enrolment: ward.EnrolmentID(id), Person: string(by.ID)})
			return err
		}))
		if held != nil {
			return
		}
	}
	w.t.Fatal("the brake holds nothing")
}

func TestBrake(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	boss, maud := w.person("Root", ward.RoleAdmin), w.person("Maud Ellery", ward.RoleSupport)
	ada, ben := w.person("Ada Byron", ward.RoleApprover), w.person("Ben Carter", ward.RoleApprover)
	keys := w.seed(ada, ben)
	for i := range 12 {
		w.enrol(phone{Device: ward.Device{ID: ward.DeviceID(fmt.Sprintf("dev-%d", i)), Name: "Phone", Ownership: ward.Corporate}})
	}
	root, v := w.signedIn(boss), w.signedIn(maud)
	v.get("/brake").want(t, 200, "Erasures Free", "0 of 3 within an hour", "0 of 10 within a day", "One person may do 10 within an hour", "!Cancel every order", "!are held")
	w.fill(brake.Erase, maud)
	v.get("/devices").want(t, 200, "The brake holds erasures since", "See the brake")
	v.get("/brake").want(t, 200, "Erasures are held", "Maud Ellery", "Ask for a release", "Erasures Held")
	w.visitor().get("/signin").want(t, 200, "!The brake holds")

	form := url.Values{"kind": {"release_brake"}, "brake": {"erase"}}
	v.get("/orders/new?kind=release_brake&brake=erase").want(t, 200, "Release the brake", "erasures")
	v.post("/orders/new", form).want(t, 400, "needs a reason")
	form.Set("note", "Meant: the old phones.")
	asked := v.post("/orders/new", form)
	w.signedIn(ada).sign(keys[0], asked.location).to(t, asked.location)
	w.signedIn(ben).sign(keys[1], asked.location).to(t, asked.location)
	v.get(asked.location).want(t, 200, "Release the brake for erasures", "Signed by two people, and done")
	v.get("/devices").want(t, 200, "!The brake holds")
	v.post("/orders/new", url.Values{"kind": {"lift_brake"}, "brake": {"lock"}, "hours": {"many"}, "note": {"Move."}}).want(t, 400, "for how many hours")
	lift := v.post("/orders/new", url.Values{"kind": {"lift_brake"}, "brake": {"lock"}, "hours": {"2"}, "note": {"Move."}})
	v.get(lift.location).want(t, 200, "Lift the brake for locks for 2 hours", "Waits for two signatures")

	w.ask(maud, order.Request{Kind: order.Erase, Devices: []ward.DeviceID{"dev-1"}, Reason: "Sold."})
	v.get("/brake/cancel-all").want(t, 403)
	root.get("/brake/cancel-all").want(t, 200, "2 orders", "0 queued commands")
	root.post("/brake/cancel-all", nil).want(t, 400, "There is a problem")
	root.post("/brake/cancel-all", url.Values{"note": {"An attack."}}).to(t, "/brake")
	root.get("/brake").want(t, 200, "2 orders taken back")
	v.get(lift.location).want(t, 200, "Cancelled", "An attack.")
}

// TestTampered changes the anchor, so that the journal ends before it.
func TestTampered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	maud := w.person("Maud Ellery", ward.RoleSupport)
	w.enrol(phone{Device: ward.Device{ID: "dev-1", Name: "Asha’s iPhone", Ownership: ward.Corporate}})
	w.ask(maud, order.Request{Kind: order.Erase, Devices: []ward.DeviceID{"dev-1"}, Reason: "Sold."})
	w.must(os.WriteFile(w.anchor, []byte("this is no anchor\n"), 0o600))
	if err := w.brake.Check(t.Context()); err == nil {
		t.Fatal("the journal verifies")
	}
	v := w.signedIn(maud)
	v.get("/devices").want(t, 200, "The journal of dangerous deeds is not as it was written")
	v.get("/brake").want(t, 200, "ward brake reset", "!within an hour")
}

func TestNotifications(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root, gov := w.signedIn(w.person("Root", ward.RoleAdmin)), w.signedIn(w.person("Gov", ward.RoleGovern))
	root.get("/notifications").want(t, 200, "Nothing was told yet", "Send a test")
	w.must(w.db.Do(w.system(), func(ctx context.Context) error {
		return w.notify.Tell(ctx, notify.Message{Topic: notify.BrakeHeld, Subject: "The brake holds erasures", Body: "It does.", Link: "/brake", Urgent: true})
	}))
	gov.get("/notifications").want(t, 200, "The brake holds erasures", "urgent", "On its way", "oncall@example.org", "!Send again")
	w.must(w.notify.Do(w.system()))
	page := root.get("/notifications")
	page.want(t, 200, "Handed on", "Send again")
	gov.post("/notifications/test", nil).want(t, 403)
	root.post("/notifications/test", nil).to(t, "/notifications")
	list, err := w.notify.Log(w.system(), "", 10)
	w.must(err)
	root.post("/notifications/"+list[len(list)-1].ID+"/again", nil).to(t, "/notifications")
	root.get("/notifications").want(t, 200, "It is sent again")
	root.post("/notifications/none/again", nil).want(t, 404)
	w.signedIn(w.person("Maud", ward.RoleSupport)).get("/notifications").want(t, 403)
}

// TestGlassStandsAboveEveryPage: the use of the sealed key is told for a day.
func TestGlassStandsAboveEveryPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	maud := w.person("Maud Ellery", ward.RoleSupport)
	parts, err := w.approvers.MakeGlass(ward.WithActor(t.Context(), ward.Actor{Name: "Operator", Via: ward.ViaConsole}))
	w.must(err)
	w.enrol(phone{Device: ward.Device{ID: "dev-1", Name: "Asha’s iPhone", Ownership: ward.Corporate}})
	o, err := w.orders.Request(w.as(maud), order.Request{Kind: order.ClearPasscode, Devices: []ward.DeviceID{"dev-1"}, Reason: "A night."})
	w.must(err)
	sig, err := approver.SignGlass(parts[0], parts[1], o.Hash)
	w.must(err)
	v := w.signedIn(maud)
	v.get("/devices").want(t, 200, "!The sealed key was used")
	_, err = w.orders.BreakGlass(w.as(maud), o.ID, o.Hash, sig)
	w.must(err)
	v.get("/devices").want(t, 200, "The sealed key was used: Clear the passcode of Asha’s iPhone", "See the order")
	v.get("/orders/"+string(o.ID)).want(t, 200, "Sealed key", "queued for 1 device")
}
