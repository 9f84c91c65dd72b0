package api_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/approver"
)

// erase is a request to erase devices.
func erase(devices ...string) map[string]any {
	return map[string]any{"kind": "erase", "devices": devices, "reason": "returned to the lender"}
}

func TestOrders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, ada := w.person("Ada", ward.RoleSupport)
	_, ben := w.person("Ben", ward.RoleApprover)
	w.phone("dev_1")
	var one, two api.Order
	w.ok(202, ada, post, "/orders", erase("dev_1"), &one)
	w.ok(202, ada, post, "/orders", erase("S-dev_1"), &two)
	if sum := sha256.Sum256([]byte(one.Statement)); hex.EncodeToString(sum[:]) != one.Hash {
		t.Errorf("the hash %s is not of the statement %s", one.Hash, one.Statement)
	}
	if one.Needs != 2 || one.ApproveAt != publicURL+"/orders/"+string(one.ID) || one.Waiting == "" {
		t.Errorf("order = %+v, want that it needs two signatures, and where", one)
	}
	w.ok(200, ben, post, "/orders/"+string(one.ID)+"/refuse", map[string]string{"reason": "not returned yet"}, &one)
	w.ok(200, ada, post, "/orders/"+string(two.ID)+"/cancel", map[string]string{"reason": "it is needed again"}, &two)
	if one.State != "refused" || one.Closing == nil || one.Closing.Reason == "" || two.State != "cancelled" || one.ApproveAt != "" {
		t.Errorf("orders = %+v, %+v; want refused and cancelled", one, two)
	}
	var l api.List[api.Order]
	w.ok(200, ben, get, "/orders?limit=1", nil, &l)
	if len(l.Items) != 1 || l.Items[0].ID != two.ID || l.Next == "" {
		t.Errorf("orders = %+v, want the newest and a next page", l)
	}
	w.ok(200, ben, get, "/orders?device=dev_1&state=refused", nil, &l)
	if len(l.Items) != 1 || l.Items[0].ID != one.ID || l.Items[0].Statement != "" {
		t.Errorf("refused orders = %+v, want the first, without its statement", l)
	}
	var seen api.Order
	w.ok(200, ben, get, "/orders/"+string(one.ID), nil, &seen)
	if seen.Statement != "" {
		t.Error("the statement, which may hold a Wi-Fi password, is told to somebody who can't ask for orders")
	}
}

// TestOrderOptions: every option arrives, what is left out is safe, and a Wi-Fi profile is
// not shown again.
func TestOrderOptions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, ada := w.person("Ada", ward.RoleSupport)
	w.phone("dev_1")
	w.mac("mac_1")
	wifi := sha256.Sum256([]byte("<plist>secret</plist>"))
	at := start.Add(48 * time.Hour)
	for _, tt := range []struct {
		name    string
		kind    string
		device  string
		options map[string]any
		want    api.OrderOptions
	}{
		{"nothing chosen", "erase", "dev_1", nil, api.OrderOptions{PreserveDataPlan: true}},
		{"nothing but a drill", "erase", "dev_1", map[string]any{"drill": true}, api.OrderOptions{PreserveDataPlan: true, Drill: true}},
		{"the data plan too", "erase", "dev_1", map[string]any{"preserve_data_plan": false, "disallow_proximity_setup": true}, api.OrderOptions{DisallowProximitySetup: true}},
		{"back to service", "erase", "dev_1", map[string]any{"return_to_service": map[string]any{"wifi_profile": []byte("<plist>secret</plist>")}}, api.OrderOptions{PreserveDataPlan: true, ReturnToService: &api.ReturnToService{WiFiProfileSHA256: hex.EncodeToString(wifi[:])}}},
		{"campaign", "erase", "dev_1", map[string]any{"campaign": map[string]any{"start": at, "per_hour": 20}}, api.OrderOptions{PreserveDataPlan: true, Campaign: &api.Campaign{Start: at, PerHour: 20}}},
		{"a Mac", "erase", "mac_1", map[string]any{"obliteration": "DoNotObliterate"}, api.OrderOptions{PreserveDataPlan: true, Obliteration: "DoNotObliterate"}},
		{"a Mac's PIN", "lock_pin", "mac_1", map[string]any{"message": "Call IT", "phone": "0113 496 0000"}, api.OrderOptions{Message: "Call IT", Phone: "0113 496 0000"}},
		{"passcode", "clear_passcode", "dev_1", nil, api.OrderOptions{}},
		{"management", "remove_management", "dev_1", nil, api.OrderOptions{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var o api.Order
			r := map[string]any{"kind": tt.kind, "devices": []string{tt.device}, "reason": "test"}
			if tt.options != nil {
				r["options"] = tt.options
			}
			text := w.ok(202, ada, post, "/orders", r, &o)
			if diff := cmp.Diff(tt.want, o.Options); diff != "" {
				t.Errorf("options mismatch (-want +got):\n%s", diff)
			}
			if strings.Contains(text, `"wifi_profile":`) {
				t.Error("the Wi-Fi profile stands outside the statement")
			}
		})
	}
}

// TestNoTokenApproves: not even of somebody who may, by their passkey.
func TestNoTokenApproves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, ada := w.person("Ada", ward.RoleSupport)
	_, tokens := w.signers("Ben", "Cyd")
	_, all := w.person("All", ward.Roles...)
	w.phone("dev_1")
	var o api.Order
	w.ok(202, ada, post, "/orders", erase("dev_1"), &o)
	for _, token := range append(tokens, ada, all) {
		for _, body := range []any{nil, map[string]string{"hash": o.Hash}, "nonsense"} {
			p := w.problem(403, token, post, "/orders/"+string(o.ID)+"/approve", body)
			if !strings.Contains(p.Detail, "No token") || !strings.Contains(p.Detail, o.ApproveAt) {
				t.Errorf("detail = %q, want why not, and where", p.Detail)
			}
		}
	}
	w.problem(401, "", post, "/orders/"+string(o.ID)+"/approve", nil)
	w.problem(404, ada, post, "/orders/none/approve", nil)
	w.ok(200, ada, get, "/orders/"+string(o.ID), nil, &o)
	if o.State != "requested" || len(o.Approvals) != 0 {
		t.Errorf("order = %+v, want it to wait for two", o)
	}
}

// TestOrderOfADeviceInUseCoolsOff: the API tells why it waits and until when.
func TestOrderOfADeviceInUseCoolsOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, ada := w.person("Ada", ward.RoleSupport)
	people, _ := w.signers("Ben", "Cyd")
	w.phone("dev_1")
	var o api.Order
	w.ok(202, ada, post, "/orders", erase("dev_1"), &o)
	w.sign(o, people[0])
	w.ok(200, ada, get, "/orders/"+string(o.ID), nil, &o)
	if o.Needs != 1 || len(o.Approvals) != 1 || o.ApproveAt == "" {
		t.Errorf("order = %+v, want one signature and one more needed", o)
	}
	w.sign(o, people[1])
	var l api.List[api.Order]
	w.ok(200, ada, get, "/orders?state=approved", nil, &l)
	if len(l.Items) != 1 || l.Items[0].Due == nil || !l.Items[0].Due.Equal(start.Add(10*time.Minute)) || l.Items[0].Waiting == "" || l.Items[0].Needs != 0 {
		t.Errorf("orders = %+v, want one that waits for ten minutes, and says so", l.Items)
	}
	var n api.CancelledAll
	_, root := w.person("Root", ward.RoleAdmin)
	w.problem(403, ada, post, "/orders/cancel-all", map[string]string{"reason": "an attack"})
	w.problem(400, root, post, "/orders/cancel-all", map[string]string{"reason": " "})
	w.ok(200, root, post, "/orders/cancel-all", map[string]string{"reason": "an attack"}, &n)
	if diff := cmp.Diff(api.CancelledAll{Orders: 1}, n); diff != "" {
		t.Errorf("cancelled mismatch (-want +got):\n%s", diff)
	}
}

func TestBreakGlass(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, ada := w.person("Ada", ward.RoleSupport)
	w.signers("Ben", "Cyd")
	parts := must(w.engine.approvers.MakeGlass(ward.WithActor(t.Context(), ward.Actor{Name: "operator", Via: ward.ViaConsole})))(t)
	w.phone("dev_1")
	var o api.Order
	w.ok(202, ada, post, "/orders", erase("dev_1"), &o)
	path := "/orders/" + string(o.ID) + "/break-glass"
	other := must(approver.SignGlass(parts[0], parts[1], strings.Repeat("0", 64)))(t)
	w.problem(403, ada, post, path, map[string]any{"hash": o.Hash, "signature": other})
	w.problem(400, ada, post, path, map[string]any{"hash": o.Hash, "signature": "not base64!"})
	sig := must(approver.SignGlass(parts[0], parts[1], o.Hash))(t)
	w.ok(200, ada, post, path, map[string]any{"hash": o.Hash, "signature": sig}, &o)
	want := []api.Approval{{Person: api.Someone{Name: "Ada"}, Hash: o.Hash, Glass: true, At: start}}
	if diff := cmp.Diff(want, o.Approvals, cmpopts.EquateApproxTime(time.Minute)); diff != "" || o.Needs != 0 {
		t.Errorf("approvals mismatch (-want +got):\n%s", diff)
	}
}

// TestBrakeHoldsAndIsReleased: the fourth erase of an hour holds, the API says so, and asks
// for the release.
func TestBrakeHoldsAndIsReleased(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, ada := w.person("Ada", ward.RoleSupport)
	people, _ := w.signers("Ben", "Cyd", "Dan")
	w.pass(25 * time.Hour) // who releases has been an approver for a day
	var b api.BrakeStatus
	w.ok(200, ada, get, "/brake", nil, &b)
	if len(b.Windows) == 0 || b.Windows[0].Most == 0 || b.Windows[0].Words == "" || len(b.Holds) != 0 {
		t.Fatalf("brake = %+v, want windows and no hold", b)
	}
	turn := func(kind string, options map[string]any) map[string]any {
		return map[string]any{"kind": kind, "reason": "we looked at each", "options": map[string]any{"brake": options}}
	}
	w.problem(409, ada, post, "/orders", turn("release_brake", map[string]any{"kind": "erase"}))
	for i := range 4 {
		id := fmt.Sprintf("dev_%d", i)
		e := w.phone(ward.DeviceID(id))
		w.pass(2 * time.Minute)
		var c api.Case
		w.ok(201, ada, post, "/devices/"+id+"/lost", nil, &c)
		var o api.Order
		w.ok(202, ada, post, "/devices/"+id+"/wipe", map[string]any{"reason": "not found"}, &o)
		w.sign(o, people[:2]...)
		if i < 3 {
			w.accept(e, "EraseDevice")
			continue
		}
		if got := w.drain(e); slices.Contains(got, "EraseDevice") {
			t.Fatalf("delivered = %q, want the fourth erase held", got)
		}
	}
	w.ok(200, ada, get, "/brake", nil, &b)
	if len(b.Holds) != 1 || b.Holds[0].Kind != "erase" || len(b.Holds[0].Involved) < 3 || b.Holds[0].Words == "" {
		t.Fatalf("holds = %+v, want that erasures hold, and who was involved", b.Holds)
	}
	for _, who := range b.Holds[0].Involved {
		if who.Name != "Ada" && who.Name != "Ben" && who.Name != "Cyd" {
			t.Errorf("involved = %+v, want Ada, Ben and Cyd", who)
		}
	}
	if i := b.Windows[0]; i.Kind != "erase" || i.Count != 3 || i.Seconds != 3600 {
		t.Errorf("window = %+v, want three erasures in an hour", i)
	}
	var o api.Order
	w.ok(202, ada, post, "/orders", turn("release_brake", map[string]any{"kind": "erase"}), &o)
	if o.Options.Brake == nil || o.Options.Brake.Kind != "erase" || len(o.Targets) != 0 {
		t.Errorf("order = %+v, want one about the brake", o)
	}
	w.sign(o, people[1:]...)
	w.ok(202, ada, post, "/orders", turn("lift_brake", map[string]any{"kind": "lock", "hours": 2}), &o)
	w.sign(o, people[1:]...)
	w.ok(200, ada, get, "/orders/"+string(o.ID), nil, &o)
	if o.State != "approved" || o.Due == nil || o.Waiting == "" {
		t.Errorf("order = %+v, want it announced a day ahead", o)
	}
	w.pass(24 * time.Hour)
	must(w.engine.orders.Advance(ward.WithActor(t.Context(), ward.System)))(t)
	w.ok(200, ada, get, "/brake", nil, &b)
	if len(b.Holds) != 0 || len(b.Lifted) != 1 || b.Lifted[0].Kind != "lock" || !b.Lifted[0].Until.Equal(w.clock().Add(2*time.Hour)) {
		t.Errorf("brake = %+v, want nothing held and locks lifted for two hours", b)
	}
}

func TestApprovers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, root := w.person("Root", ward.RoleAdmin)
	people, tokens := w.signers("Ben", "Cyd")
	w.person("Dan", ward.RoleApprover)
	var l api.ApproverList
	w.ok(200, tokens[0], get, "/approvers", nil, &l)
	slices.SortFunc(l.Items, func(a, b api.Approver) int { return strings.Compare(a.Person.Name, b.Person.Name) })
	if len(l.Items) != 2 || l.Items[0].State != "standing" || !l.Items[0].Founder || l.Items[0].Person.Name != "Ben" || l.Items[0].Subject != "ben@trust.example" || len(l.Items[0].Key) != 64 || l.Items[0].Since == nil {
		t.Errorf("approvers = %+v, want Ben and Cyd, who stand", l.Items)
	}
	var i api.ApproverInvitation
	w.ok(201, root, post, "/approvers/invitations", map[string]any{"person": "dan", "subject": "dan@supplier.example", "outside": true}, &i)
	if secret, ok := strings.CutPrefix(i.URL, publicURL+"/approver/"); !ok || secret == "" || i.Person.Name != "Dan" {
		t.Errorf("invitation = %+v, want a link for Dan", i)
	}
	w.problem(403, tokens[0], post, "/approvers/invitations", map[string]any{"person": "dan", "subject": "d"})
	w.problem(404, root, post, "/approvers/invitations", map[string]any{"person": "nobody", "subject": "d"})
	w.ok(200, root, post, "/people/Dan/disable", nil, nil)
	w.problem(409, root, post, "/approvers/invitations", map[string]any{"person": "dan", "subject": "d"})
	w.problem(404, root, post, "/approvers/"+people[1].ID+"/end", map[string]any{"reason": "no token ends one"})
}

func TestNotifications(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, root := w.person("Root", ward.RoleAdmin)
	_, ada := w.person("Ada", ward.RoleSupport)
	w.phone("dev_1")
	w.problem(403, ada, get, "/notifications", nil)
	w.ok(204, root, post, "/notifications/test", nil, nil)
	w.pass(time.Second)
	var o api.Order
	w.ok(202, ada, post, "/orders", erase("dev_1"), &o)
	var l, next api.List[api.Notification]
	w.ok(200, root, get, "/notifications?limit=1", nil, &l)
	w.ok(200, root, get, "/notifications?limit=1&after="+l.Next, nil, &next)
	if len(l.Items) != 1 || l.Items[0].Topic != "order.waiting" || l.Items[0].Order != o.ID || l.Items[0].Link != o.ApproveAt || l.Items[0].State != "waiting" || l.Items[0].Due == nil {
		t.Errorf("notifications = %+v, want that the order waits, with the link to it", l.Items)
	}
	if len(next.Items) != 1 || next.Items[0].Topic != "test" || next.Items[0].To != "oncall@trust.example" {
		t.Errorf("notifications = %+v, want the test after it", next.Items)
	}
	if err := w.engine.notify.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.ok(200, root, get, "/notifications", nil, &l)
	if l.Items[0].State != "delivered" || l.Items[0].Delivered == nil || l.Items[0].Due != nil || l.Items[0].Attempts != 1 {
		t.Errorf("notification = %+v, want it delivered", l.Items[0])
	}
	w.ok(204, root, post, "/notifications/"+l.Items[0].ID+"/replay", nil, nil)
	w.ok(200, root, get, "/notifications", nil, &l)
	if l.Items[0].State != "waiting" {
		t.Errorf("notification = %+v, want it to wait again", l.Items[0])
	}
	w.problem(404, root, post, "/notifications/ntf-none/replay", nil)
}
