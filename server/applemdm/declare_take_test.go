package applemdm_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/declare"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/reconcile"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// TestStatusReports: a report becomes facts beside those that commands told, changes what
// is known of the device, is kept as it came, and has the device planned where it told
// news.
func TestStatusReports(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, ctx := open(t, db, true), t.Context()
		s.want(wantedItems()...)
		d, e := s.enrolled(t, "UDID-1")
		asked := time.Now().Add(-time.Hour).UTC().Truncate(time.Microsecond)
		for kind, v := range map[fleet.FactKind]string{
			fleet.Information: `{"supervised":true,"lost_mode":true,"os_version":"18.6","battery":0.5}`,
			fleet.Security:    `{"passcode_present":true,"passcode_compliant":true,"encrypted":true}`,
		} {
			if err := db.Fleet().SetFact(ctx, e.ID, fleet.Fact{Kind: kind, Value: json.RawMessage(v), Observed: asked}); err != nil {
				t.Fatal(err)
			}
		}
		report, err := os.ReadFile("testdata/status/full.json")
		if err != nil {
			t.Fatal(err)
		}
		status := func(body string, replans int) declare.Told {
			t.Helper()
			if code, b := d.ask(t, "status", []byte(body)); code != http.StatusOK || len(b) != 0 { //nolint:contextcheck // the request carries the test's
				t.Fatalf("the report was answered %d %s", code, b)
			}
			if n := s.replanned(); n != replans {
				t.Errorf("the device was planned %d times, want %d", n, replans)
			}
			facts, err := db.Fleet().Facts(ctx, e.ID)
			if err != nil {
				t.Fatal(err)
			}
			told, err := declare.Read(facts)
			if err != nil {
				t.Fatal(err)
			}
			return told
		}
		first := status(string(report), 1)
		if len(first.Declarations) != 4 || len(first.Apps) != 1 || len(first.Items) != 7 {
			t.Errorf("the report told %d declarations, %d apps and %d items, want 4, 1 and 7", len(first.Declarations), len(first.Apps), len(first.Items))
		}
		if o := observed(t, db, e); !*o.Information.Value.LostMode || o.Information.Value.OSVersion != "18.7" || !o.Information.At.Equal(asked) ||
			*o.Security.Value.PasscodeCompliant || !*o.Security.Value.Encrypted || !o.Security.At.Equal(asked) || len(o.Declarations.Value) != 4 || o.Declarations.At.Before(asked) {
			t.Errorf("what commands told is now %+v and %+v", o.Information, o.Security)
		}
		if dev, err := db.Fleet().Device(ctx, e.Device); err != nil || dev.OSVersion != "18.7" || dev.Model != "iPhone15,4" {
			t.Errorf("the device is %+v, %v; want version 18.7", dev, err)
		}
		kept, err := db.Declarations().LastReport(ctx, e.ID)
		if err != nil || !kept.Full || kept.Size != len(report) || string(kept.Body) != string(report) {
			t.Errorf("the report was kept as %d of %d octets, full %t, %v", len(kept.Body), kept.Size, kept.Full, err)
		}
		status(string(report), 1) // the same again is no news
		status(`{"StatusItems":{"passcode":{"is-present":true}}}`, 1)
		last := status(`{"StatusItems":{"passcode":{"is-present":false}}}`, 2)
		if v, _ := last.Items.Bool(declare.ItemPasscodePresent); v || len(last.Items) != 7 {
			t.Errorf("after a part the items are %v", last.Items)
		}
		if o := observed(t, db, e); *o.Security.Value.PasscodePresent || *o.Security.Value.Encrypted {
			t.Errorf("without a passcode the security is %+v", o.Security.Value)
		}
		status(`{"Errors":[{"StatusItem":"x","Reasons":[{"Code":"Error.X"}]}],"StatusItems":{"unheard-of":{"a":[1]}}}`, 2)
		status(`{"FullReport":true,"Pad":"`+strings.Repeat("ä", declare.MaxRaw)+`"}`, 2)
		if kept, err = db.Declarations().LastReport(ctx, e.ID); err != nil || len(kept.Body) != declare.MaxRaw || kept.Size <= declare.MaxRaw {
			t.Errorf("a long report was kept as %d of %d octets, %v", len(kept.Body), kept.Size, err)
		}
	})
}

func observed(t *testing.T, db *store.DB, e ward.Enrolment) reconcile.Observed {
	t.Helper()
	facts, err := db.Fleet().Facts(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	o, err := reconcile.Observe(facts)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestStatusIsAllOrNothing: a report that can't be taken in whole changes nothing, and
// the device, told of an error, sends it again.
func TestStatusIsAllOrNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, ctx := open(t, db, true), t.Context()
		d, e := s.enrolled(t, "UDID-1")
		if err := db.Fleet().SetFact(ctx, e.ID, fleet.Fact{Kind: fleet.Security, Value: json.RawMessage(`"broken"`), Observed: time.Unix(1, 0)}); err != nil {
			t.Fatal(err)
		}
		before, err := db.Fleet().Facts(ctx, e.ID)
		if err != nil {
			t.Fatal(err)
		}
		if code, _ := d.ask(t, "status", []byte(`{"StatusItems":{"device":{"operating-system":{"version":"18.7"}}}}`)); code != http.StatusInternalServerError {
			t.Errorf("answered %d, want 500", code)
		}
		after, err := db.Fleet().Facts(ctx, e.ID)
		if diff := cmp.Diff(before, after); err != nil || diff != "" {
			t.Errorf("facts: %v, mismatch (-before +after):\n%s", err, diff)
		}
		if _, err := db.Declarations().LastReport(ctx, e.ID); ward.KindOf(err) != ward.NotFound {
			t.Errorf("the report was kept: %v", err)
		}
		s.fail(errors.New("boom"))
		if code, _ := d.ask(t, "status", []byte(`{}`)); code != http.StatusInternalServerError {
			t.Errorf("answered %d where what is wanted is not known, want 500", code)
		}
	})
}
