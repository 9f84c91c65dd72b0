package server

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/approver/approvertest"
	"github.com/wardmdm/ward/server/audit/verify"
	"github.com/wardmdm/ward/server/casefile"
	"github.com/wardmdm/ward/server/order"
)

// orderOf returns the only order of a file, and what a stranger finds out about its
// approvals.
func (w *world) orderOf(t *testing.T, id ward.OrderID) (casefile.Order, []verify.CaseApproval) {
	t.Helper()
	pack, err := w.OrderFile(w.ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct{ Payload []byte }
	var p struct{ Orders []casefile.Order }
	if err := json.Unmarshal(pack.JSON, &doc); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(doc.Payload, &p); err != nil || len(p.Orders) != 1 {
		t.Fatalf("%d orders, %v; want one", len(p.Orders), err)
	}
	report, err := verify.VerifyCase(strings.NewReader(string(pack.JSON)), verify.CaseOptions{PublicKey: w.Audit.PublicKey(), PDF: pack.PDF})
	if err != nil {
		t.Fatal(err)
	}
	return p.Orders[0], report.Approvals
}

// TestForgedApprovalInFile: whoever writes approvals into the database, with keys of their
// own even, has the server sign a file that says that they prove nothing.
func TestForgedApprovalInFile(t *testing.T) {
	t.Parallel()
	w := start(t, "", brisk)
	by := w.approvers(t, 2)
	id := w.enrol(t, w.phone(t, "X0", nil), ward.Corporate)
	o := w.orders(t, by, order.Request{Kind: order.Erase, Devices: []ward.DeviceID{id}})
	if len(o.Approvals) != 2 {
		t.Fatalf("%d approvals, want 2", len(o.Approvals))
	}
	// One who registered a passkey and for whom nobody vouched signs past the server.
	fake, err := approvertest.Register(w.ctx, w.Approvers, approvertest.Who{Person: "person-false", Name: "Professor Innocent", Subject: "innocent", Roles: ward.Roles})
	if err != nil {
		t.Fatal(err)
	}
	nonce := []byte("0123456789abcdef")
	var signed struct {
		Response struct{ ClientDataJSON, AuthenticatorData, Signature protocol.URLEncodedBase64 }
	}
	if err := json.Unmarshal(fake.Passkey.SignChallenge(approver.Challenge(approver.ForOrder, o.Hash, nonce)), &signed); err != nil {
		t.Fatal(err)
	}
	forged := order.Approval{Order: o.ID, Hash: o.Hash, Person: fake.Person, Name: fake.Name, Subject: fake.Subject, Approver: fake.ID, At: w.now(), Assertion: approver.Assertion{
		Approver: fake.ID, Purpose: approver.ForOrder, Hash: o.Hash, Nonce: nonce, At: w.now(),
		ClientData: signed.Response.ClientDataJSON, AuthenticatorData: signed.Response.AuthenticatorData, Signature: signed.Response.Signature,
	}}
	nobody := order.Approval{Order: o.ID, Hash: o.Hash, Person: "p9", Name: "Nobody", Subject: "nobody", Approver: "apr-none", At: o.Approvals[0].At}
	for _, a := range []order.Approval{forged, nobody, {Order: o.ID, Hash: o.Hash, Person: "p8", Name: "The keepers", Subject: "keepers", At: nobody.At, Glass: true}} {
		if err := w.db.Orders().AddApproval(w.ctx, a); err != nil {
			t.Fatal(err)
		}
	}
	w.intruder(t).do(`UPDATE order_approval SET name = 'Doctor Blameless' WHERE approver = $1`, by[1].ID)

	got, checked := w.orderOf(t, o.ID)
	type said struct {
		Name        string
		Proven, Key bool
		Why         bool
	}
	var all []said
	for _, a := range got.Approvals {
		all = append(all, said{a.Name, a.Proven, len(a.PublicKey) > 0, a.Unproven != ""})
	}
	slices.SortFunc(all, func(a, b said) int { return strings.Compare(a.Name, b.Name) })
	want := []said{{"Approver 1", true, true, false}, {"Approver 2", true, true, false}, {"Nobody", false, false, true}, {"Professor Innocent", false, false, true}, {"The keepers", false, false, true}}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("approvals in the file mismatch (-want +got)\n%s", diff)
	}
	holds := 0
	for _, a := range checked {
		if a.Holds {
			holds++
		}
		if genuine := strings.HasPrefix(a.Name, "Approver "); a.Holds != genuine || (a.Unproven == "") != genuine {
			t.Errorf("a stranger finds %+v", a)
		}
	}
	if len(checked) != 5 || holds != 2 {
		t.Errorf("%d of %d approvals hold, want 2 of 5", holds, len(checked))
	}
}

// TestReplacedGlassInFile: an approval by the sealed key is proven as long as that is the
// one that is kept, and the file says why not afterwards.
func TestReplacedGlassInFile(t *testing.T) {
	t.Parallel()
	w := start(t, "", brisk)
	by := w.approvers(t, 2)
	console := ward.WithActor(w.ctx, ward.Actor{Name: "console", Via: ward.ViaConsole})
	parts, err := w.Approvers.MakeGlass(console)
	if err != nil {
		t.Fatal(err)
	}
	id := w.enrol(t, w.phone(t, "X1", nil), ward.Corporate)
	o, err := w.Orders.Request(by[0].As(w.ctx), order.Request{Kind: order.Erase, Devices: []ward.DeviceID{id}, Reason: "night"})
	if err != nil {
		t.Fatal(err)
	}
	sig, err := approver.SignGlass(parts[0], parts[1], o.Hash)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Orders.BreakGlass(w.ctx, o.ID, o.Hash, sig); err != nil {
		t.Fatal(err)
	}
	if got, checked := w.orderOf(t, o.ID); len(checked) != 1 || !checked[0].Holds || !checked[0].Glass || !got.Approvals[0].Proven {
		t.Errorf("by the sealed key: %+v, checked as %+v; want it to hold", got.Approvals, checked)
	}
	if _, err := w.Approvers.MakeGlass(console); err != nil {
		t.Fatal(err)
	}
	got, checked := w.orderOf(t, o.ID)
	if len(checked) != 1 || checked[0].Holds || !strings.Contains(checked[0].Unproven, "was replaced at") || len(got.Approvals[0].PublicKey) != 0 {
		t.Errorf("by a sealed key that was replaced: %+v; want it not proven", checked)
	}
}
