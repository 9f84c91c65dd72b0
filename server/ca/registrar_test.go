package ca_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// office is a registrar with what it stands on.
type office struct {
	*ca.Registrar
	lives   map[string]bool
	retired []string
	audit   []string
	remade  int
	braked  error
}

func (o *office) Lives(_ context.Context, c ca.Certificate) (bool, error) {
	return o.lives[c.Serial], nil
}

func (o *office) Retire(_ context.Context, c ca.Certificate, why string) error {
	o.retired = append(o.retired, string(c.Device)+": "+why)
	return nil
}

func (o *office) Record(_ context.Context, action, subject string, detail map[string]string) error {
	o.audit = append(o.audit, fmt.Sprintf("%s %s %s %s", action, subject, detail["reason"], detail["why"]))
	return nil
}

func newOffice(f *fixture) *office {
	o := &office{lives: map[string]bool{}}
	o.Registrar = &ca.Registrar{
		Authority: f.Authority, Holders: o, Audit: o, AfterRevoke: func() { o.remade++ },
		Brake: func(ctx context.Context, _ ward.DeviceID, fn func(ctx context.Context) error) error {
			if o.braked != nil {
				return o.braked
			}
			return f.db.Do(ctx, fn)
		},
	}
	return o
}

func TestRegistrarRevoke(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		o := newOffice(f)
		ctx := ward.WithActor(t.Context(), ward.Actor{Person: "p1", Name: "Alex"})
		one, two, three := issueApp(t, f, appGrant), issueApp(t, f, appGrant), issueApp(t, f, appGrant)
		serial := one.SerialNumber.String()
		c, err := o.Revoke(ctx, ca.Withdrawal{Serial: "0x" + one.SerialNumber.Text(16), Reason: ca.KeyCompromise, Why: "seen elsewhere"})
		if err != nil || c.Serial != serial || !c.Revoked() || c.RevokedBy != "p1" || c.Reason != ca.KeyCompromise {
			t.Fatalf("Revoke = %+v, %v", c, err)
		}
		if _, err := f.Check(ctx, one); !errors.Is(err, ca.ErrRevoked) {
			t.Errorf("Check afterwards = %v", err)
		}
		if _, err := o.Revoke(ctx, ca.Withdrawal{Serial: serial}); ward.KindOf(err) != ward.Conflict {
			t.Errorf("a second time = %v, want a Conflict", err)
		}
		o.lives[two.SerialNumber.String()] = true
		for name, tt := range map[string]struct {
			w    ca.Withdrawal
			want ward.Kind
		}{
			"a live identity":  {ca.Withdrawal{Serial: two.SerialNumber.String(), Why: "tidy up"}, ward.Conflict},
			"without a why":    {ca.Withdrawal{Serial: two.SerialNumber.String(), Retire: true, Why: " "}, ward.Invalid},
			"unknown":          {ca.Withdrawal{Serial: "4711"}, ward.NotFound},
			"no number":        {ca.Withdrawal{Serial: "; DROP TABLE"}, ward.Invalid},
			"a negative":       {ca.Withdrawal{Serial: "-1"}, ward.Invalid},
			"far too long":     {ca.Withdrawal{Serial: "0x" + string(slices.Repeat([]byte("f"), 41))}, ward.Invalid},
			"an empty one":     {ca.Withdrawal{}, ward.Invalid},
			"colons and a gap": {ca.Withdrawal{Serial: "0a:0b:zz"}, ward.Invalid},
		} {
			if _, err := o.Revoke(ctx, tt.w); ward.KindOf(err) != tt.want {
				t.Errorf("%s: %v, want %s", name, err, tt.want)
			}
		}
		if _, err := f.Check(ctx, two); err != nil {
			t.Errorf("a refused revocation revoked: %v", err)
		}
		if _, err := o.Revoke(ctx, ca.Withdrawal{Serial: two.SerialNumber.String(), Reason: ca.Ceased, Retire: true, Why: "found in a river"}); err != nil {
			t.Fatal(err)
		}
		o.braked = ward.Errorf(ward.Conflict, "The brake holds this.")
		if _, err := o.Revoke(ctx, ca.Withdrawal{Serial: three.SerialNumber.String()}); !errors.Is(err, o.braked) {
			t.Errorf("braked = %v", err)
		}
		want := []string{
			"certificate.revoked " + serial + " key-compromise seen elsewhere",
			"certificate.revoked " + two.SerialNumber.String() + " ceased found in a river", "device.retired d1  found in a river",
		}
		if diff := cmp.Diff(want, o.audit); diff != "" {
			t.Errorf("audit mismatch (-want +got)\n%s", diff)
		}
		if diff := cmp.Diff([]string{"d1: found in a river"}, o.retired); diff != "" || o.remade != 2 {
			t.Errorf("retired mismatch (-want +got), lists remade %d times\n%s", o.remade, diff)
		}
		lists, err := o.RemakeLists(ctx)
		if err != nil || len(lists) != 1 || lists[0].Entries != 2 || lists[0].Number != 2 || len(o.audit) != 4 {
			t.Errorf("RemakeLists = %+v, %v", lists, err)
		}
	})
}
