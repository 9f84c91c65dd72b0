package estate

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
)

func finding(code, subject string) Finding {
	return Finding{State: compliance.NonCompliant, Code: code, Subject: subject}
}

// TestEnding: a blocked app counts as gone only where the device told so.
func TestEnding(t *testing.T) {
	t.Parallel()
	phone := func(s compliance.State, apps []string, fs ...Finding) *Device {
		return &Device{ID: "d1", Site: "Infirmary", Group: "Ward 7", Platform: ward.IOS, Managed: true, State: s, Apps: apps, Findings: fs}
	}
	whatsApp := finding(codeBlocked, "whatsapp")
	was := phone(compliance.NonCompliant, []string{"whatsapp"}, whatsApp)
	left := phone(compliance.Retired, nil, finding("unenrolled", ""))
	left.Managed = false
	for _, tc := range []struct {
		name string
		is   *Device
		want Ending
	}{
		{"it is gone", phone(compliance.Compliant, nil), Cured},
		{"it is gone, and another came", phone(compliance.NonCompliant, []string{"telegram"}, finding(codeBlocked, "telegram")), Cured},
		{"it is gone, and something else is wrong", phone(compliance.NonCompliant, nil, finding("no-passcode", "")), Cured},
		{"it is gone, and whether there is a passcode is not known", phone(compliance.Unknown, nil, finding("passcode-unknown", "")), Cured},
		{"its apps are not known any more", phone(compliance.Unknown, []string{"whatsapp"}, finding("apps-unknown", "")), Forgotten},
		{"it enrols anew and told nothing", phone(compliance.Unknown, nil, finding("never-told", "")), Forgotten},
		{"it is in quarantine", phone(compliance.Unknown, nil, finding("quarantined", "")), Forgotten},
		{"it was reported lost", phone(compliance.Lost, nil, finding("lost", "")), Overtaken},
		{"it left management", left, Left},
		{"it was erased", phone(compliance.Retired, nil, finding("erased", "")), Left},
		{"the policy allows it", phone(compliance.Compliant, []string{"whatsapp"}), Allowed},
		{"it is excepted", phone(compliance.Compliant, []string{"whatsapp"}, finding("exception", "whatsapp")), Allowed},
		{"it was deleted", &Device{ID: "d1", State: compliance.Retired}, Left},
	} {
		got := turnOf(was, tc.is, noon)
		if got.end[spanKey{codeBlocked, "whatsapp"}] != tc.want {
			t.Errorf("%s: it ended as %q, want %q", tc.name, got.end[spanKey{codeBlocked, "whatsapp"}], tc.want)
		}
	}
	if got := turnOf(was, phone(compliance.InGrace, []string{"whatsapp"}, whatsApp), noon); len(got.end)+len(got.begin) != 0 || got.moved {
		t.Errorf("the same finding in another state is %+v, want no turn", got)
	}
	moved := phone(compliance.NonCompliant, []string{"whatsapp"}, whatsApp)
	moved.Group = "Ward 8"
	if got := turnOf(was, moved, noon); len(got.end)+len(got.begin) != 0 || !got.moved {
		t.Errorf("a move is %+v, want the span to go on elsewhere", got)
	}
}

// TestBegin: a span begins when the finding says it did, and never after it was noticed.
func TestBegin(t *testing.T) {
	t.Parallel()
	since := noon.Add(-time.Hour)
	f := func(at time.Time) *Device {
		x := finding(codeBlocked, "whatsapp")
		x.Since = at
		return &Device{ID: "d1", Site: "S", Group: "G", Platform: ward.IOS, Ownership: ward.Personal, Managed: true, State: compliance.NonCompliant, Findings: []Finding{x, x}}
	}
	span := Span{Device: "d1", Code: codeBlocked, Subject: "whatsapp", Site: "S", Group: "G", Platform: ward.IOS, Ownership: ward.Personal}
	for _, tc := range []struct {
		name string
		is   *Device
		from time.Time
	}{
		{"recorded before", f(since), since},
		{"not recorded", f(time.Time{}), noon},
		{"a clock that is ahead", f(noon.Add(time.Hour)), noon},
	} {
		want := span
		want.From = tc.from
		if diff := cmp.Diff([]Span{want}, turnOf(nil, tc.is, noon).begin); diff != "" {
			t.Errorf("%s: spans begun mismatch (-want +got):\n%s", tc.name, diff)
		}
	}
}

// TestDayOf: what counts, and to which day an instant belongs.
func TestDayOf(t *testing.T) {
	t.Parallel()
	midnight := noon.Truncate(24 * time.Hour)
	ago := func(days int) time.Time { return midnight.AddDate(0, 0, -days) }
	on := AppStanding{Bundle: "a", Installed: true, Certificate: true}
	ds := []*Device{
		{Enrolled: ago(90), State: compliance.Compliant, LastSeen: ago(0), Approved: []AppStanding{on}},
		{Enrolled: ago(90), State: compliance.NonCompliant, LastSeen: ago(7), Findings: []Finding{finding(codeBlocked, "whatsapp"), finding(codeBlocked, "telegram")}, Approved: []AppStanding{on, {Bundle: "b"}}},
		{Enrolled: ago(90), State: compliance.Unknown, LastSeen: ago(30), Findings: []Finding{finding(codeOldSystem, "")}},
		{Enrolled: ago(90), State: compliance.Retired, LastSeen: ago(80), Findings: []Finding{finding(codeBlocked, "whatsapp")}},
		{State: compliance.Unknown}, // never enrolled
	}
	want := Day{
		Day: ago(1), Devices: 3, States: map[compliance.State]int{compliance.Compliant: 1, compliance.NonCompliant: 1, compliance.Unknown: 1},
		Blocked: 1, AppReady: 1, AppWant: 2, NotSeen7: 2, NotSeen30: 1, OldOS: 1,
	}
	if diff := cmp.Diff(want, DayOf(ds, midnight)); diff != "" {
		t.Errorf("the day that ends at a midnight mismatch (-want +got):\n%s", diff)
	}
	if got := DayOf(nil, noon); !got.Day.Equal(midnight) || got.Devices != 0 {
		t.Errorf("DayOf(nil, noon) = %+v, want today, empty", got)
	}
	all := daysOf(ds, midnight)
	if diff := cmp.Diff(want, all[Cut{}]); diff != "" {
		t.Errorf("the day of everything mismatch (-want +got):\n%s", diff)
	}
	if n := all[Cut{ByApp, "telegram"}].Blocked; n != 1 {
		t.Errorf("telegram is on %d devices, want 1", n)
	}
}
