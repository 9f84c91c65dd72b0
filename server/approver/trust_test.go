package approver_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/approver/approvertest"
)

// TestTrust: the operator alone, two different people, and no third.
func TestTrust(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	ada := w.register(people[0])
	twin := w.register(approvertest.Who{Person: "ada-admin", Subject: "staff 1"})
	bob, cy := w.register(people[1]), w.register(people[2])
	for _, via := range []ward.Via{"", ward.ViaSession, ward.ViaToken, ward.ViaSystem, ward.ViaDevice} {
		ctx := ward.WithActor(t.Context(), ward.Actor{Person: "ada", Via: via})
		wantKind(t, "by "+string(via), w.Trust(ctx, ada.ID, bob.ID), ward.Forbidden)
	}
	wantKind(t, "nobody", w.Trust(w.console()), ward.Invalid)
	wantKind(t, "no approver", w.Trust(w.console(), "apr-none"), ward.NotFound)
	wantKind(t, "one person twice", w.Trust(w.console(), ada.ID, twin.ID), ward.Conflict)
	wantKind(t, "one record twice", w.Trust(w.console(), ada.ID, ada.ID), ward.Conflict)
	wantKind(t, "three", w.Trust(w.console(), ada.ID, bob.ID, cy.ID), ward.Forbidden)
	w.sql(`UPDATE approver SET name = 'Eve' WHERE id = $1`, ada.ID)
	wantKind(t, "an altered record", w.Trust(w.console(), ada.ID), ward.Conflict)
	w.sql(`UPDATE approver SET name = 'Ada' WHERE id = $1`, ada.ID)
	if len(w.added) != 0 || w.audit.count(approver.ActionTrusted) != 0 {
		t.Errorf("told of %v, want nobody yet", w.added)
	}
	wantKind(t, "the first", w.Trust(w.console(), ada.ID), "")
	wantKind(t, "her other account", w.Trust(w.console(), twin.ID), ward.Conflict)
	wantKind(t, "two more", w.Trust(w.console(), bob.ID, cy.ID), ward.Forbidden)
	wantKind(t, "the second", w.Trust(w.console(), bob.ID), "")
	wantKind(t, "a third", w.Trust(w.console(), cy.ID), ward.Forbidden)
	if diff := cmp.Diff([]string{"ada", "bob"}, w.added); diff != "" {
		t.Errorf("told of mismatch (-want +got):\n%s", diff)
	}

	// When fewer than two stand, the operator is the last resort.
	w.pass(time.Minute)
	if err := w.End(w.console(), bob.ID, "left"); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "one who ended", w.Trust(w.console(), bob.ID), ward.Conflict)
	wantKind(t, "cy for bob", w.Trust(w.console(), cy.ID), "")
	if diff := cmp.Diff(map[string]string{"ada": "standing", "ada-admin": "pending", "bob": "ended", "cy": "standing"}, w.states()); diff != "" {
		t.Errorf("states mismatch (-want +got):\n%s", diff)
	}
}

// TestTrustIsAudited: nobody becomes a founder without a record of it.
func TestTrustIsAudited(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	ada := w.register(people[0])
	w.audit.fail = approver.ActionTrusted
	wantKind(t, "Trust with the audit log full", w.Trust(w.console(), ada.ID), ward.Internal)
	if got := w.states()["ada"]; got != "pending" {
		t.Errorf("ada is %s", got)
	}
}

// TestRegisterRefuses: an invitation is for one person, once, for a week.
func TestRegisterRefuses(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	dee := ward.WithActor(t.Context(), ward.Actor{Person: "dee", Name: "Dee", Via: ward.ViaSession})
	eve := ward.WithActor(t.Context(), ward.Actor{Person: "eve", Name: "Eve", Via: ward.ViaSession})
	token := ward.WithActor(t.Context(), ward.Actor{Person: "dee", Name: "Dee", Via: ward.ViaToken})
	invite := func() string {
		t.Helper()
		secret, err := w.Invite(w.console(), "dee", "Dee@H.example", false)
		if err != nil {
			t.Fatal(err)
		}
		return secret
	}
	key, err := approvertest.New(rpID, origin)
	if err != nil {
		t.Fatal(err)
	}
	begin := func(secret string) []byte {
		t.Helper()
		options, err := w.BeginRegister(dee, secret)
		if err != nil {
			t.Fatal(err)
		}
		return options
	}
	finish := func(secret string, change func(*approvertest.Passkey)) error {
		t.Helper()
		k := *key
		if change != nil {
			change(&k)
		}
		response, err := k.Create(begin(secret))
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.FinishRegister(dee, secret, response)
		return err
	}
	for _, subject := range []string{"", " \t", "a\x00b", "\xff"} {
		_, err := w.Invite(w.console(), "dee", subject, false)
		wantKind(t, "the subject "+subject, err, ward.Invalid)
	}
	old := invite()
	secret := invite()
	for name, f := range map[string]func() error{
		"the older one": func() error { _, err := w.BeginRegister(dee, old); return err },
		"a made-up one": func() error { _, err := w.BeginRegister(dee, "x"); return err },
		"someone else":  func() error { _, err := w.BeginRegister(eve, secret); return err },
		"a token":       func() error { _, err := w.BeginRegister(token, secret); return err },
		"not verified":  func() error { return finish(secret, func(p *approvertest.Passkey) { p.Unverified = true }) },
		"not present":   func() error { return finish(secret, func(p *approvertest.Passkey) { p.Absent = true }) },
		"origin": func() error {
			return finish(secret, func(p *approvertest.Passkey) { p.Origin = "https://evil.example" })
		},
		"relying party": func() error { return finish(secret, func(p *approvertest.Passkey) { p.RPID = "evil.example" }) },
	} {
		wantKind(t, name, f(), ward.Forbidden)
	}
	response, err := key.Create(begin(secret))
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.FinishRegister(eve, secret, response)
	wantKind(t, "finished by someone else", err, ward.Forbidden)
	response, err = key.Create(begin(secret))
	if err != nil {
		t.Fatal(err)
	}
	w.pass(5 * time.Minute)
	_, err = w.FinishRegister(dee, secret, response)
	wantKind(t, "finished too late", err, ward.Forbidden)
	response, err = key.Create(begin(secret))
	if err != nil {
		t.Fatal(err)
	}
	a, err := w.FinishRegister(dee, secret, response)
	if err != nil || a.Subject != "dee@h.example" || a.Name != "Dee" || a.Hash != approver.StatementHash(a) {
		t.Errorf("FinishRegister() = %+v, %v", a, err)
	}
	_, err = w.FinishRegister(dee, secret, response)
	wantKind(t, "finished again", err, ward.Forbidden)
	_, err = w.BeginRegister(dee, secret)
	wantKind(t, "begun again", err, ward.Forbidden)

	if err := w.End(w.console(), a.ID, "a mistake"); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "the same passkey", finish(invite(), nil), ward.Conflict)
	secret = invite()
	w.pass(7 * 24 * time.Hour)
	_, err = w.BeginRegister(dee, secret)
	wantKind(t, "after a week", err, ward.Forbidden)
}

// TestUnreadable: what is no answer of a passkey is told so.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	dee := ward.WithActor(t.Context(), ward.Actor{Person: "dee", Name: "Dee", Via: ward.ViaSession})
	for _, response := range [][]byte{nil, []byte("{"), []byte("{}"), []byte(`{"id":"AA","rawId":"AA","type":"public-key","response":{}}`), make([]byte, 65<<10)} {
		_, err := w.FinishRegister(dee, "secret", response)
		wantKind(t, string(response[:min(len(response), 20)]), err, ward.Invalid)
	}
}
