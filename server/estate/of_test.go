package estate_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/declare"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/reconcile"
)

func known[T any](v T, at time.Time) *reconcile.Known[T] {
	return &reconcile.Known[T]{Value: v, At: at}
}

// TestOf: a posture is what was judged and what the device told, with names and times.
func TestOf(t *testing.T) {
	t.Parallel()
	supervised := true
	device := ward.Device{ID: "d1", Serial: "SN", Owner: "Ada", Email: "ada@example", Model: "iPhone15,4", Role: "nurse", Site: "Royal", Group: "Ward 7", Platform: ward.IOS, OSVersion: "26.1", Ownership: ward.Corporate, State: ward.Managed}
	active := ward.Enrolment{ID: "e1", State: ward.EnrolmentActive, Supervised: ward.Unsupervised, Enrolled: start.AddDate(0, -1, 0), LastSeen: start.Add(-time.Hour)}
	base := estate.Device{
		ID: "d1", Name: "SN", Serial: "SN", Owner: "Ada", Email: "ada@example", Model: "iPhone15,4", Role: "nurse", Site: "Royal", Group: "Ward 7", Platform: ward.IOS, OSVersion: "26.1",
		Ownership: ward.Corporate, Supervised: ward.Unsupervised, Managed: true, State: compliance.Compliant, Since: start, LastSeen: active.LastSeen, Enrolled: active.Enrolled,
	}
	apps := known([]fleet.App{{BundleID: "net.whatsapp.WhatsApp"}, {BundleID: "com.example.notes"}, {BundleID: "NET.WHATSAPP.WHATSAPP"}}, start.Add(-3*time.Hour))
	tests := []struct {
		name string
		view func(*reconcile.View)
		says compliance.Assessment
		want func(*estate.Device)
	}{
		{name: "a device that told nothing", says: compliance.Assessment{State: compliance.Compliant}, want: func(*estate.Device) {}},
		{
			name: "apps of the catalogue, by whatever told of them",
			view: func(v *reconcile.View) {
				v.Got.Apps = apps
				v.Got.Managed = known([]fleet.ManagedApp{{BundleID: "ph.telegra.Telegraph", Status: "Managed"}, {BundleID: "com.facebook.Messenger", Status: "ManagedButUninstalled"}}, start)
				v.Got.DeclaredApps = known([]declare.App{{BundleID: "org.whispersystems.signal", State: "managed"}}, start)
				v.Got.Information = known(reconcile.Information{Supervised: &supervised}, start.Add(-2*time.Hour))
			},
			says: compliance.Assessment{State: compliance.Compliant},
			want: func(d *estate.Device) {
				d.Apps, d.Supervised, d.Told = []string{"signal", "telegram", "whatsapp"}, ward.Supervised, start.Add(-2*time.Hour)
			},
		},
		{
			name: "the oldest fact that was asked for counts",
			view: func(v *reconcile.View) {
				v.Want.WatchApps, v.Got.Apps = []string{"x"}, apps
				v.Got.Security, v.Got.Information = known(reconcile.Security{}, start.Add(-time.Hour)), known(reconcile.Information{}, start)
			},
			says: compliance.Assessment{State: compliance.Compliant},
			want: func(d *estate.Device) {
				d.Apps, d.Supervised, d.Told = []string{"whatsapp"}, ward.Unsupervised, start.Add(-3*time.Hour)
			},
		},
		{
			name: "approved apps, with their certificates",
			view: func(v *reconcile.View) {
				v.Want.Apps = []profiles.App{{BundleID: "c", Remove: true}, {BundleID: "b", NeedsCertificate: true}, {BundleID: "a"}, {BundleID: "d", NeedsCertificate: true}}
				v.Got.Managed = known([]fleet.ManagedApp{{BundleID: "b", Status: "Managed"}, {BundleID: "d", Status: "Managed"}}, start)
				v.Got.Credentials = map[string]reconcile.Credential{"b": {ValidUntil: start.Add(time.Hour)}, "d": {ValidUntil: start}}
			},
			says: compliance.Assessment{State: compliance.Compliant},
			want: func(d *estate.Device) {
				d.Approved = []estate.AppStanding{{Bundle: "a", Certificate: true}, {Bundle: "b", Installed: true, Certificate: true}, {Bundle: "d", Installed: true}}
			},
		},
		{
			name: "findings, the worst first, since they are known",
			says: compliance.Assessment{State: compliance.NonCompliant, Findings: []compliance.Finding{
				{State: compliance.Pending, Code: "app-missing", Subject: "b", Text: "t", Cure: "c"},
				{State: compliance.NonCompliant, Code: "no-passcode", Since: start.Add(-time.Hour)},
				{State: compliance.InGrace, Code: "old-system", Since: start.Add(time.Minute), Until: start.Add(time.Hour)},
			}},
			want: func(d *estate.Device) {
				d.State = compliance.NonCompliant
				d.Findings = []estate.Finding{
					{State: compliance.NonCompliant, Code: "no-passcode", Since: start.Add(-time.Hour)},
					{State: compliance.InGrace, Code: "old-system", Since: start, Until: start.Add(time.Hour)},
					{State: compliance.Pending, Code: "app-missing", Subject: "b", Text: "t", Cure: "c", Since: start},
				}
			},
		},
		{
			name: "one that is not managed any more has nothing on it that counts",
			view: func(v *reconcile.View) {
				v.Enrolment.State, v.Got.Apps = ward.EnrolmentEnded, apps
				v.Want.Apps = []profiles.App{{BundleID: "a"}}
			},
			says: compliance.Assessment{State: compliance.Retired},
			want: func(d *estate.Device) { d.Managed, d.State = false, compliance.Retired },
		},
	}
	for _, tt := range tests {
		v := reconcile.View{Device: device, Enrolment: active}
		if tt.view != nil {
			tt.view(&v)
		}
		want := base
		tt.want(&want)
		if diff := cmp.Diff(want, estate.Of(v, tt.says, start)); diff != "" {
			t.Errorf("%s: Of() mismatch (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestNext: a posture is judged anew when time alone changes it.
func TestNext(t *testing.T) {
	t.Parallel()
	const instant = time.Microsecond
	active := ward.Enrolment{State: ward.EnrolmentActive}
	tests := []struct {
		name string
		view reconcile.View
		says compliance.Assessment
		want time.Time
	}{
		{name: "nothing passes", view: reconcile.View{Enrolment: active}},
		{name: "a grace ends", view: reconcile.View{Enrolment: active}, says: compliance.Assessment{Findings: []compliance.Finding{{Until: start.Add(time.Hour)}, {Until: start.Add(-time.Hour)}}}, want: start.Add(time.Hour)},
		{
			name: "it is not seen", want: start.Add(71*time.Hour + instant),
			view: reconcile.View{Enrolment: ward.Enrolment{State: ward.EnrolmentActive, LastSeen: start.Add(-time.Hour)}},
		},
		{
			name: "its apps are told too long ago", want: start.Add(70*time.Hour + instant),
			view: reconcile.View{Enrolment: active, Want: profiles.State{WatchApps: []string{"x"}}, Got: reconcile.Observed{Apps: known([]fleet.App{}, start.Add(-2*time.Hour))}},
		},
		{
			name: "a certificate ends", want: start.Add(time.Minute),
			view: reconcile.View{Enrolment: active, Want: profiles.State{Apps: []profiles.App{{BundleID: "a", NeedsCertificate: true}}}, Got: reconcile.Observed{Credentials: map[string]reconcile.Credential{"a": {ValidUntil: start.Add(time.Minute)}}}},
		},
		{name: "it is not managed", view: reconcile.View{Enrolment: ward.Enrolment{State: ward.EnrolmentEnded, LastSeen: start}}},
	}
	for _, tt := range tests {
		if got := estate.Next(tt.view, tt.says, start); !got.Equal(tt.want) {
			t.Errorf("%s: Next() = %s, want %s", tt.name, got, tt.want)
		}
	}
}
