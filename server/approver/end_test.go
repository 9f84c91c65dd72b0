package approver_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/approver/approvertest"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// TestWhoEnds: no token ends an approver, whoever is none leaves two who stand, and everybody is
// told.
func TestWhoEnds(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ada, bob, cy := w.seed()
		dee := w.register(approvertest.Who{Person: "dee"})
		admin := ward.Actor{Person: "root", Name: "Root", Via: ward.ViaSession, Roles: []ward.Role{ward.RoleAdmin}}
		end := func(who ward.Actor, p *approvertest.Person, reason string) error {
			return w.End(ward.WithActor(t.Context(), who), p.ID, reason)
		}
		with := func(via ward.Via, p *approvertest.Person) ward.Actor {
			return ward.Actor{Person: p.Person, Name: p.Name, Via: via, Roles: ward.Roles}
		}
		if err := end(with(ward.ViaToken, ada), bob, "stolen"); ward.KindOf(err) != ward.Forbidden || !strings.Contains(err.Error(), "token") {
			t.Errorf("by an approver's token: %v", err)
		}
		wantKind(t, "by Ward", end(ward.System, bob, "x"), ward.Forbidden)
		wantKind(t, "by a session of nobody", end(ward.Actor{Via: ward.ViaSession}, bob, "x"), ward.Forbidden)
		wantKind(t, "when nobody can be told", end(admin, cy, "nobody can be told"), ward.Internal)
		wantKind(t, "one who waits, by an administrator", end(admin, dee, "a mistake"), "")
		wantKind(t, "the third, by an administrator", end(admin, cy, "left"), "")
		w.pass(time.Minute)
		if err := end(admin, bob, "left"); ward.KindOf(err) != ward.Conflict || !strings.Contains(err.Error(), "only 1 would be left") || !strings.Contains(err.Error(), "console") {
			t.Errorf("the second, by an administrator: %v", err)
		}
		wantKind(t, "by one who stood", end(cy.Actor, bob, "left"), ward.Conflict)
		wantKind(t, "by an approver", end(ada.Actor, bob, "left"), "")
		w.pass(time.Minute)
		wantKind(t, "the last, by an administrator", end(admin, ada, "left"), ward.Conflict)
		wantKind(t, "the last, by the operator", end(ward.Actor{Name: "Operator", Via: ward.ViaConsole}, ada, "gone"), "")
		want := []string{"dee by root: a mistake", "cy by root: left", "bob by ada: left", "ada by Operator: gone"}
		if diff := cmp.Diff(want, w.ended); diff != "" || w.audit.count(approver.ActionEnded) != 4 {
			t.Errorf("audited %d; told mismatch (-want +got):\n%s", w.audit.count(approver.ActionEnded), diff)
		}
	})
}

// TestEndTwin: two accounts of one human being are one of those who have to be left.
func TestEndTwin(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	ada, bob, cy := w.seed()
	twin := w.register(approvertest.Who{Person: "ada-admin", Subject: "staff 1"})
	for _, v := range []*approvertest.Person{bob, cy} {
		if _, err := v.VouchFor(t.Context(), w.Service, twin.Approver); err != nil {
			t.Fatal(err)
		}
	}
	admin := ward.WithActor(t.Context(), ward.Actor{Person: "root", Name: "Root", Via: ward.ViaSession})
	w.pass(time.Minute)
	wantKind(t, "cy, of three", w.End(admin, cy.ID, "left"), "")
	wantKind(t, "bob, after whom ada is left twice", w.End(admin, bob.ID, "left"), ward.Conflict)
	wantKind(t, "ada's other account", w.End(admin, twin.ID, "left"), "")
	wantKind(t, "ada", w.End(admin, ada.ID, "left"), ward.Conflict)
}

// TestOneHumanBeing: nobody is invited who is an approver already by another account, under
// their staff number or their e-mail address.
func TestOneHumanBeing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.email = map[ward.PersonID]string{
			"bob": "Bob@H.example", "bob-2": "bob@h.EXAMPLE ", "cy-2": "CY@care.example", "dee": "", "eve": "eve@h.example", "eve-2": "eve@h.example",
		}
		w.seed() // ada is staff 1, bob staff 2 and cy cy@care.example
		w.register(approvertest.Who{Person: "fay", Subject: "staff 6"})
		late, err := w.Invite(w.console(), "eve-2", "staff 7", false)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name    string
			person  ward.PersonID
			subject string
			want    ward.Kind
		}{
			{"the subject of one who stands", "x", " STAFF  1", ward.Conflict},
			{"the subject of one who waits", "x", "staff 6", ward.Conflict},
			{"an account whose address is a subject", "cy-2", "staff 9", ward.Conflict},
			{"a subject that is an approver's address", "x", "BOB@h.example", ward.Conflict},
			{"an account with an approver's address", "bob-2", "staff 9", ward.Conflict},
			{"the same person, who lost their passkey", "bob", "staff 2", ""},
			{"the same person by their address", "bob", "bob@h.example", ""},
			{"one without an address", "dee", "staff 9", ""},
			{"one without an account", "gus", "staff 10", ""},
			{"one who is invited twice", "eve", "staff 8", ""},
		} {
			_, err := w.Invite(w.console(), c.person, c.subject, false)
			wantKind(t, c.name, err, c.want)
			if c.want == ward.Conflict && err != nil && !strings.Contains(err.Error(), "another account") {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		// Both were invited before either had registered.
		w.register(approvertest.Who{Person: "eve", Subject: "staff 8"})
		actor := ward.WithActor(t.Context(), ward.Actor{Person: "eve-2", Name: "Eve", Via: ward.ViaSession})
		options, err := w.BeginRegister(actor, late)
		if err != nil {
			t.Fatal(err)
		}
		key, err := approvertest.New(rpID, origin)
		if err != nil {
			t.Fatal(err)
		}
		response, err := key.Create(options)
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.FinishRegister(actor, late, response)
		wantKind(t, "the second account to register", err, ward.Conflict)
		// Once one account has ended, the other may come.
		all, err := w.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range all {
			if s.Person == "eve" {
				if err := w.End(w.console(), s.ID, "the other account"); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := w.Invite(w.console(), "eve-2", "staff 8", false); err != nil {
			t.Errorf("after the first has ended: %v", err)
		}
	})
}
