package approver_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/approver/approvertest"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// TestAlteredRows: a row that was changed by SQL, in any field, proves nothing at once, and
// neither does what was vouched for by it.
func TestAlteredRows(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	ada, bob, cy := w.seed()
	signed := map[*approvertest.Person]approver.Assertion{}
	for _, p := range []*approvertest.Person{ada, bob, cy} {
		signed[p] = w.assert(p, approver.ForOrder, hash)
	}
	verify := func(p *approvertest.Person) error {
		_, err := w.Verify(t.Context(), signed[p], approver.ForOrder, hash)
		return err
	}
	for _, c := range []struct {
		table, column string
		value         any
	}{
		{"approver", "person", "eve"},
		{"approver", "subject", "staff 9"},
		{"approver", "subject", "Staff 1"}, // not folded
		{"approver", "name", "Eve"},
		{"approver", "name", "Ada\xff"},
		{"approver", "name", ""},
		{"approver", "outside", nil}, // its opposite
		{"approver", "key_id", []byte{1}},
		{"approver", "key_id", []byte{}},
		{"approver", "public_key", []byte{1}},
		{"approver", "public_key", []byte{}},
		{"approver", "counter", 1},
		{"approver", "registered_at", 1},
		{"approver", "hash", other},
		{"approver", "hash", ""},
		{"approver", "ended_at", 1},
	} {
		for _, p := range []*approvertest.Person{ada, cy} {
			name := fmt.Sprintf("%s of %s", c.column, p.Person)
			var was any
			if err := w.raw.QueryRowContext(t.Context(), `SELECT `+c.column+` FROM approver WHERE id = $1`, p.ID).Scan(&was); err != nil {
				t.Fatal(err)
			}
			if c.value == nil {
				w.sql(`UPDATE approver SET outside = NOT outside WHERE id = $1`, p.ID)
			} else {
				w.sql(`UPDATE approver SET `+c.column+` = $1 WHERE id = $2`, c.value, p.ID)
			}
			wantKind(t, name, verify(p), ward.Forbidden)
			if p == ada && c.column != "ended_at" { // an end does not undo what was signed before it, but this one is before all
				wantKind(t, name+": what ada vouched for", verify(cy), ward.Forbidden)
			}
			wantKind(t, name+": bob, of whom nothing was changed", verify(bob), "")
			if got, err := w.ByPerson(t.Context(), p.Person); err == nil {
				t.Errorf("%s: ByPerson() = %+v, want none", name, got)
			}
			if got := w.states()[string(p.Person)]; got == string(approver.Stands) {
				t.Errorf("%s: state = %s", name, got)
			}
			w.sql(`UPDATE approver SET `+c.column+` = $1 WHERE id = $2`, was, p.ID)
			wantKind(t, name+" put back", verify(p), "")
		}
	}
	for _, c := range []struct {
		column string
		value  any
	}{
		{"voucher_id", bob.ID + "x"},
		{"voucher_id", cy.ID},
		{"purpose", "order"},
		{"hash", other},
		{"nonce", []byte{1}},
		{"client_data", []byte("{}")},
		{"authenticator_data", []byte{1}},
		{"signature", []byte{1}},
		{"at", 1},
		{"at", start.Add(time.Hour).UnixMicro()},
	} {
		var was any
		if err := w.raw.QueryRowContext(t.Context(), `SELECT `+c.column+` FROM approver_vouch WHERE voucher_id = $1`, bob.ID).Scan(&was); err != nil {
			t.Fatal(err)
		}
		w.sql(`UPDATE approver_vouch SET `+c.column+` = $1 WHERE voucher_id = $2`, c.value, bob.ID)
		wantKind(t, "vouch's "+c.column, verify(cy), ward.Forbidden)
		if got := w.states()["cy"]; got != "unproven" {
			t.Errorf("vouch's %s: state = %s, want unproven", c.column, got)
		}
		w.sql(`UPDATE approver_vouch SET `+c.column+` = $1 WHERE voucher_id <> $2`, was, ada.ID)
		wantKind(t, "vouch's "+c.column+" put back", verify(cy), "")
	}
	w.sql(`DELETE FROM approver_vouch WHERE voucher_id = $1`, ada.ID)
	wantKind(t, "a vouch deleted", verify(cy), ward.Forbidden)
}

// TestRootDecides: without their statements in the root of trust founders are nobody, and
// neither are those that they vouched for.
func TestRootDecides(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	ada, _, cy := w.seed()
	byAda, byCy := w.assert(ada, approver.ForOrder, hash), w.assert(cy, approver.ForOrder, hash)
	empty := w.copy(&approvertest.Root{})
	for _, a := range []approver.Assertion{byAda, byCy} {
		_, err := empty.Verify(t.Context(), a, approver.ForOrder, hash)
		wantKind(t, "an empty root", err, ward.Forbidden)
	}
	if err := w.root.Change(t.Context(), func(tr *approver.Trusted) error { delete(tr.Founders, ada.Hash); return nil }); err != nil {
		t.Fatal(err)
	}
	for _, a := range []approver.Assertion{byAda, byCy} {
		_, err := w.Verify(t.Context(), a, approver.ForOrder, hash)
		wantKind(t, "one founder missing", err, ward.Forbidden)
	}
	if diff := cmp.Diff(map[string]string{"ada": "pending", "bob": "standing", "cy": "unproven"}, w.states()); diff != "" {
		t.Errorf("states mismatch (-want +got):\n%s", diff)
	}
	boom := errBroken
	failing := w.copy(brokenRoot{boom})
	if _, err := failing.Verify(t.Context(), byAda, approver.ForOrder, hash); !errors.Is(err, boom) || ward.KindOf(err) == ward.Forbidden {
		t.Errorf("Verify() with a broken root = %v, want %v", err, boom)
	}
}

var errBroken = errors.New("the disk is gone")

type brokenRoot struct{ err error }

func (b brokenRoot) Read(context.Context) (approver.Trusted, error)              { return approver.Trusted{}, b.err }
func (b brokenRoot) Change(context.Context, func(*approver.Trusted) error) error { return b.err }

// TestCycle: two approvers that SQL made, who vouch for each other with real signatures and
// even with the key of the nonces, prove nothing.
func TestCycle(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	_, _, _ = w.seed()
	eve, mal, sam := w.register(approvertest.Who{Person: "eve"}), w.register(approvertest.Who{Person: "mal"}), w.register(approvertest.Who{Person: "sam"})
	w.pass(time.Minute)
	trusted, err := w.root.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := w.Now()
	forge := func(by *approvertest.Person, p approver.Purpose, hash string) approver.Assertion {
		nonce, err := approver.ForgeNonce(trusted.Key, by.ID, p, hash, at)
		if err != nil {
			t.Fatal(err)
		}
		return assertion(t, by, p, hash, nonce, at)
	}
	gang := []*approvertest.Person{eve, mal, sam}
	for _, by := range gang {
		for _, of := range gang {
			if by == of {
				continue
			}
			if err := w.db.Approvers().AddVouch(t.Context(), of.ID, forge(by, approver.ForApprover, of.Hash)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, by := range gang {
		_, err := w.Verify(t.Context(), forge(by, approver.ForOrder, hash), approver.ForOrder, hash)
		wantKind(t, "signed by "+string(by.Person), err, ward.Forbidden)
		if got := w.states()[string(by.Person)]; got != "unproven" {
			t.Errorf("%s is %s, want unproven", by.Person, got)
		}
		_, err = w.Begin(by.As(t.Context()), approver.ForOrder, hash)
		wantKind(t, "Begin", err, ward.Forbidden)
	}
}

// assertion signs what no server asked.
func assertion(t *testing.T, by *approvertest.Person, p approver.Purpose, hash string, nonce []byte, at time.Time) approver.Assertion {
	t.Helper()
	a := approver.Assertion{Approver: by.ID, Purpose: p, Hash: hash, Nonce: nonce, At: at}
	answer := parse(t, by.Passkey.SignChallenge(approver.Challenge(p, hash, nonce)))
	a.ClientData, a.AuthenticatorData, a.Signature = answer.ClientDataJSON, answer.AuthenticatorData, answer.Signature
	return a
}

// TestLongChain: a chain of approvers holds over many generations, and a cut in the middle
// is a cut for all that hang on it.
func TestLongChain(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	ada, bob, _ := w.seed()
	before := []*approvertest.Person{ada, bob}
	all := before
	for i := range 8 {
		p := w.register(approvertest.Who{Person: ward.PersonID(fmt.Sprintf("p%d", i))})
		for _, v := range before {
			if _, err := v.VouchFor(t.Context(), w.Service, p.Approver); err != nil {
				t.Fatal(err)
			}
		}
		before, all = []*approvertest.Person{before[1], p}, append(all, p) // all within one moment
	}
	last := all[len(all)-1]
	a := w.assert(last, approver.ForOrder, hash)
	if _, err := w.copy(w.root).Verify(t.Context(), a, approver.ForOrder, hash); err != nil {
		t.Errorf("Verify() = %v", err)
	}
	w.sql(`UPDATE approver SET name = 'x' WHERE id = $1`, all[3].ID)
	_, err := w.Verify(t.Context(), a, approver.ForOrder, hash)
	wantKind(t, "with the chain cut", err, ward.Forbidden)
}

// TestVouchRules: two different people, neither of them the candidate.
func TestVouchRules(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	ada, bob, cy := w.seed()
	// Ada's second account, with a passkey of its own, stands too.
	twin := w.register(approvertest.Who{Person: "ada-admin", Subject: "STAFF  1"})
	for _, v := range []*approvertest.Person{bob, cy} {
		if _, err := v.VouchFor(t.Context(), w.Service, twin.Approver); err != nil {
			t.Fatal(err)
		}
	}
	if !approver.Same(ada.Approver, twin.Approver) || approver.Same(ada.Approver, bob.Approver) {
		t.Error("Same() does not see one person, or sees one in two")
	}
	dee := w.register(approvertest.Who{Person: "dee"})
	third := w.register(approvertest.Who{Person: "ada-third", Subject: "staff 1"})
	vouch := func(by *approvertest.Person, of *approvertest.Person) error {
		_, err := by.VouchFor(t.Context(), w.Service, of.Approver)
		return err
	}
	wantKind(t, "a pending one for themselves", vouch(dee, dee), ward.Forbidden)
	wantKind(t, "by a pending one", vouch(third, dee), ward.Forbidden)
	wantKind(t, "for one's own other account", vouch(ada, third), ward.Forbidden)
	wantKind(t, "for one who stands", vouch(ada, cy), ward.Conflict)
	wantKind(t, "for nobody", vouch(ada, &approvertest.Person{Approver: approver.Approver{ID: "apr-none", Hash: hash}}), ward.NotFound)
	wantKind(t, "the first", vouch(ada, dee), "")
	wantKind(t, "the same again", vouch(ada, dee), ward.Conflict)
	wantKind(t, "by the same person's other account", vouch(twin, dee), ward.Conflict)
	if got := w.states()["dee"]; got != "pending" {
		t.Errorf("after one person's word dee is %s", got)
	}
	all, err := w.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if want := map[string]int{dee.ID: 1, third.ID: 2}[s.ID]; s.Needs != want {
			t.Errorf("%s needs %d, want %d", s.Person, s.Needs, want)
		}
	}
	// The same beneath the rules: the row of a second account's word does not count.
	options, err := w.Begin(twin.As(t.Context()), approver.ForApprover, dee.Hash)
	if err != nil {
		t.Fatal(err)
	}
	response, err := twin.Passkey.Sign(options)
	if err != nil {
		t.Fatal(err)
	}
	_, a, err := w.Finish(twin.As(t.Context()), approver.ForApprover, dee.Hash, response)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.db.Approvers().AddVouch(t.Context(), dee.ID, a); err != nil {
		t.Fatal(err)
	}
	_, err = w.ByPerson(t.Context(), "dee")
	wantKind(t, "ByPerson with two words of one person", err, ward.NotFound)
	// An order's signature is no word for an approver.
	order := w.assert(bob, approver.ForOrder, dee.Hash)
	if err := w.db.Approvers().AddVouch(t.Context(), dee.ID, order); err != nil {
		t.Fatal(err)
	}
	_, err = w.ByPerson(t.Context(), "dee")
	wantKind(t, "ByPerson with a word for something else", err, ward.NotFound)
	w.sql(`DELETE FROM approver_vouch WHERE approver_id = $1 AND voucher_id <> $2`, dee.ID, ada.ID)
	wantKind(t, "the second person", vouch(bob, dee), "")
	if got := w.states()["dee"]; got != "standing" {
		t.Errorf("after two words dee is %s", got)
	}
	// Beneath the rules again: one's own word for one's other account is not one of two.
	for _, by := range []*approvertest.Person{ada, bob} {
		if err := w.db.Approvers().AddVouch(t.Context(), third.ID, w.assert(by, approver.ForApprover, third.Hash)); err != nil {
			t.Fatal(err)
		}
	}
	_, err = w.ByPerson(t.Context(), "ada-third")
	wantKind(t, "ByPerson with one's own word and one more", err, ward.NotFound)
}

// TestEnded: what an approver signed before their end stays good, nothing after, and a row
// can't be brought back to life.
func TestEnded(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	ada, bob, cy := w.seed()
	before := w.assert(ada, approver.ForOrder, hash)
	opened, err := ada.Sign(t.Context(), w.Service, approver.ForOrder, other)
	if err != nil {
		t.Fatal(err)
	}
	w.pass(time.Minute)
	for _, c := range []struct {
		name   string
		who    ward.Actor
		id     string
		reason string
		want   ward.Kind
	}{
		{"nobody", ward.Actor{}, ada.ID, "left", ward.Forbidden},
		{"a device", ward.Actor{Via: ward.ViaDevice, Device: "d"}, ada.ID, "left", ward.Forbidden},
		{"no reason", bob.Actor, ada.ID, " ", ward.Invalid},
		{"no approver", bob.Actor, "apr-none", "left", ward.NotFound},
		{"as it should be", bob.Actor, ada.ID, "left", ""},
		{"again", bob.Actor, ada.ID, "left", ward.Conflict},
	} {
		wantKind(t, c.name, w.End(ward.WithActor(t.Context(), c.who), c.id, c.reason), c.want)
	}
	verify := func(a approver.Assertion) error {
		_, err := w.Verify(t.Context(), a, approver.ForOrder, hash)
		return err
	}
	check := func(when string) {
		wantKind(t, when+": signed before", verify(before), "")
		later := before
		later.At = w.Now()
		wantKind(t, when+": the time set on", verify(later), ward.Forbidden)
		_, err := w.Begin(ada.As(t.Context()), approver.ForOrder, hash)
		wantKind(t, when+": Begin", err, ward.Forbidden)
		if diff := cmp.Diff(map[string]string{"ada": "ended", "bob": "standing", "cy": "standing"}, w.states()); diff != "" {
			t.Errorf("%s: states mismatch (-want +got):\n%s", when, diff)
		}
	}
	_, _, err = w.Finish(ada.As(t.Context()), approver.ForOrder, other, opened)
	wantKind(t, "answered after the end", err, ward.Forbidden)
	check("ended")
	w.sql(`UPDATE approver SET ended_at = 0, ended_by = '' WHERE id = $1`, ada.ID)
	check("brought back by SQL")
	w.sql(`UPDATE approver SET ended_at = $1 WHERE id = $2`, w.Now().Add(time.Hour).UnixMicro(), ada.ID)
	check("put off by SQL")

	// A thief of the passkey who writes the database signs after the end, with a nonce of an
	// earlier time that Ward did not make.
	forged, err := approver.ForgeNonce(make([]byte, 32), ada.ID, approver.ForOrder, hash, before.At)
	if err != nil {
		t.Fatal(err)
	}
	wantKind(t, "set back", verify(assertion(t, ada, approver.ForOrder, hash, forged, before.At)), ward.Forbidden)
	wantKind(t, "cy signs", verify(w.assert(cy, approver.ForOrder, hash)), "")
}

// TestLostPasskey: who lost theirs registers anew and is vouched for anew; the old record
// ends when the new one stands, and not before.
func TestLostPasskey(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	ada, bob, cy := w.seed()
	before := w.assert(ada, approver.ForOrder, hash)
	first := w.register(people[0])
	w.pass(time.Minute)
	second := w.register(people[0]) // she tried twice
	if diff := cmp.Diff("standing ended pending", w.states()["ada"]); diff != "" {
		t.Errorf("states mismatch (-want +got):\n%s", diff)
	}
	_, err := bob.VouchFor(t.Context(), w.Service, first.Approver)
	wantKind(t, "for the first try", err, ward.Conflict)
	_, err = ada.VouchFor(t.Context(), w.Service, second.Approver)
	wantKind(t, "by her own old passkey", err, ward.Forbidden)
	w.pass(time.Minute)
	if _, err := bob.VouchFor(t.Context(), w.Service, second.Approver); err != nil {
		t.Fatal(err)
	}
	w.assert(ada, approver.ForOrder, other) // the old one is still good
	if got, err := cy.VouchFor(t.Context(), w.Service, second.Approver); err != nil || len(got.Vouches) != 2 {
		t.Fatalf("VouchFor() = %+v, %v", got, err)
	}
	if diff := cmp.Diff("ended ended standing", w.states()["ada"]); diff != "" {
		t.Errorf("states mismatch (-want +got):\n%s", diff)
	}
	_, err = ada.Assert(t.Context(), w.Service, approver.ForOrder, hash)
	if err == nil {
		t.Error("the lost passkey still signs")
	}
	w.assert(second, approver.ForOrder, hash)
	if _, err := w.Verify(t.Context(), before, approver.ForOrder, hash); err != nil {
		t.Errorf("what the lost one signed before: %v", err)
	}
	if got := w.added[len(w.added)-1]; got != "ada" || len(w.added) != 4 {
		t.Errorf("told of %v", w.added)
	}
}

// TestVouchesAtOnce: of two words that come at once, one sees that it is the second.
func TestVouchesAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ada, bob, _ := w.seed()
		dee := w.register(approvertest.Who{Person: "dee"})
		copies := []*approver.Service{w.Service, w.copy(w.root)}
		errs := make(chan error)
		for i, by := range []*approvertest.Person{ada, bob} {
			go func() {
				_, err := by.VouchFor(t.Context(), copies[i], dee.Approver)
				errs <- err
			}()
		}
		for range 2 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if got := w.states()["dee"]; got != "standing" || len(w.added) != 4 {
			t.Errorf("dee is %s, told of %v", got, w.added)
		}
	})
}
