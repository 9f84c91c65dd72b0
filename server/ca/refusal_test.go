package ca_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/smallstep/scep"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store/storetest"
)

// TestRefusalsAreTold: whoever keeps the record is told by which protocol and for what a
// request was refused, without the secret; of what happens to honest clients nothing is told.
func TestRefusalsAreTold(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var told []string
	var fails error
	f := newACME(t, storetest.SQLite(t), func(o *ca.Options) {
		o.Refused = func(_ context.Context, r ca.Refusal) error {
			mu.Lock()
			defer mu.Unlock()
			if r.Challenge == "" || r.Reason == "" || len(r.Reason) > 300 || strings.Contains(r.Reason, r.Challenge) {
				t.Errorf("told %+v", r)
			}
			told = append(told, r.Protocol+" "+r.Problem+" "+r.Challenge)
			return fails
		}
	})
	saw := func(what string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("%s: told mismatch (-want +got):\n%s", what, diff)
		}
		told = nil
	}
	f.door.grant("by-acme", attested("S1"))
	f.door.grant("by-scep", ca.Grant{Invitation: "i", CommonName: "phone"})
	for _, challenge := range []string{"by-acme", "nobodys"} {
		d := newDevice(t, rsaKey(), challenge)
		if m := d.read(t, content(t, post(t, f.SCEP(), d.message(t, scep.PKCSReq, f.Issuer()))), f.Issuer()); m.PKIStatus != scep.FAILURE {
			t.Errorf("SCEP with %s: status %s", challenge, m.PKIStatus)
		}
	}
	saw("SCEP", "scep unauthorized by-acme", "scep unauthorized nobodys")
	visit(t, f.h, http.MethodGet, f.DirectoryURL("by-scep", "apple"), nil)
	saw("a challenge for SCEP by ACME", "acme unauthorized by-scep")
	visit(t, f.h, http.MethodGet, f.DirectoryURL("", "apple"), nil)
	visit(t, f.h, http.MethodPost, strings.Replace(f.DirectoryURL("by-acme", "apple"), "directory", "new-account", 1), []byte("{}"))
	saw("a message that is none")
	c := f.client(t, "by-acme")
	if _, _, err := c.order("S2"); problemOf(err) != "rejectedIdentifier" {
		t.Errorf("order of another name: %v", err)
	}
	saw("another name", "acme rejectedIdentifier by-acme")
	o, ch, err := c.order("S1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetOrder(t.Context(), o.URI); err != nil {
		t.Fatal(err)
	}
	saw("what is in order")
	fails = errors.New("the database is gone")
	if err := c.answer(ch, []byte("{}")); problemOf(err) != "badAttestationStatement" {
		t.Errorf("no attestation: %v", err)
	}
	saw("no attestation", "acme badAttestationStatement by-acme")
	if n := f.logs.FilterMessage("refusal of a certificate not recorded").Len(); n != 1 {
		t.Errorf("%d lines in the log about what was not recorded, want 1", n)
	}
}
