package declare

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/wardmdm/ward/server/fleet"
)

var (
	then = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	now  = time.Date(2026, 11, 21, 12, 0, 0, 5000, time.UTC)
)

func fact(kind fleet.FactKind, value string) fleet.Fact {
	return fleet.Fact{Kind: kind, Value: json.RawMessage(value), Observed: then}
}

func said(id, token, valid string, active bool, reasons ...string) Declaration {
	return Declaration{Kind: "configuration", Declaration: fleet.Declaration{Identifier: id, Token: token, Valid: valid, Active: active, Reasons: reasons}}
}

func raw(kv ...string) map[string]json.RawMessage {
	m := map[string]json.RawMessage{}
	for pair := range slices.Chunk(kv, 2) {
		m[pair[0]] = json.RawMessage(pair[1])
	}
	return m
}

const (
	aThen = `{"identifier":"a","token":"1","active":true,"valid":"valid","kind":"configuration","at":"2026-11-20T09:00:00Z"}`
	aNow  = `{"identifier":"a","token":"1","active":true,"valid":"valid","kind":"configuration","at":"2026-11-21T12:00:00.000005Z"}`
	bThen = `{"identifier":"b","token":"1","active":true,"valid":"valid","kind":"configuration","at":"2026-11-20T09:00:00Z"}`
	info  = `{"supervised":true,"lost_mode":false,"os_version":"18.6","model":"iPhone15,4","serial":"SN1","name":"Ada's","battery":0.5}`
)

// TestMerge: what a report changes, what it leaves as others told it, and whether that
// is news.
func TestMerge(t *testing.T) {
	t.Parallel()
	at := `,"at":"2026-11-21T12:00:00.000005Z"}`
	for _, tc := range []struct {
		name   string
		facts  []fleet.Fact
		report Report
		wanted Set
		want   map[fleet.FactKind]string // values; their time is now, or then for a fact that commands told
		news   bool
	}{
		{"nothing told", []fleet.Fact{fact(fleet.Information, info)}, Report{}, Set{}, nil, false},
		{"the first word on declarations", nil, Report{Declarations: []Declaration{said("a", "1", Valid, true)}}, Set{}, map[fleet.FactKind]string{fleet.Declarations: `[` + aNow + `]`}, true},
		{"the first word is that there are none", nil, Report{Declarations: []Declaration{}}, Set{}, map[fleet.FactKind]string{fleet.Declarations: `[]`}, true},
		{
			"the same again is no news",
			[]fleet.Fact{fact(fleet.Declarations, `[`+aThen+`]`)},
			Report{Declarations: []Declaration{said("a", "1", Valid, true)}},
			Set{},
			map[fleet.FactKind]string{fleet.Declarations: `[` + aNow + `]`},
			false,
		},
		{
			"a part leaves the rest of what is wanted as it was",
			[]fleet.Fact{fact(fleet.Declarations, `[`+aThen+`,`+bThen+`]`)},
			Report{Declarations: []Declaration{said("a", "1", Invalid, false, "Error.X: no")}},
			NewSet([]Item{item("a", "1"), item("b", "1")}),
			map[fleet.FactKind]string{fleet.Declarations: `[{"identifier":"a","token":"1","active":false,"valid":"invalid","reasons":["Error.X: no"],"kind":"configuration"` + at + `,` + bThen + `]`},
			true,
		},
		{
			"what is neither told nor wanted goes",
			[]fleet.Fact{fact(fleet.Declarations, `[`+aThen+`,`+bThen+`]`)},
			Report{Declarations: []Declaration{said("a", "1", Valid, true)}},
			NewSet([]Item{item("a", "1")}),
			map[fleet.FactKind]string{fleet.Declarations: `[` + aNow + `]`},
			true,
		},
		{
			"a full report replaces all",
			[]fleet.Fact{fact(fleet.Declarations, `[`+aThen+`,`+bThen+`]`)},
			Report{Full: true, Declarations: []Declaration{said("a", "1", Valid, true)}},
			NewSet([]Item{item("a", "1"), item("b", "1")}),
			map[fleet.FactKind]string{fleet.Declarations: `[` + aNow + `]`},
			true,
		},
		{
			"items are kept each with its time",
			[]fleet.Fact{fact(StatusItems, `{"passcode.is-present":{"value":true,"at":"2026-11-20T09:00:00Z"}}`)},
			Report{Items: raw(ItemOSVersion, `"18.7"`)},
			Set{},
			map[fleet.FactKind]string{StatusItems: `{"device.operating-system.version":{"value":"18.7"` + at + `,"passcode.is-present":{"value":true,"at":"2026-11-20T09:00:00Z"}}`},
			true,
		},
		{
			"a full report drops items",
			[]fleet.Fact{fact(StatusItems, `{"passcode.is-present":{"value":true,"at":"2026-11-20T09:00:00Z"}}`)},
			Report{Full: true, Items: raw(ItemOSVersion, `"18.7"`)},
			Set{},
			map[fleet.FactKind]string{StatusItems: `{"device.operating-system.version":{"value":"18.7"` + at + `}`},
			true,
		},
		{
			"the same item again is no news",
			[]fleet.Fact{fact(StatusItems, `{"device.operating-system.version":{"value":"18.7","at":"2026-11-20T09:00:00Z"}}`), fact(fleet.Information, `{"os_version":"18.7"}`)},
			Report{Items: raw(ItemOSVersion, `"18.7"`)},
			Set{},
			map[fleet.FactKind]string{StatusItems: `{"device.operating-system.version":{"value":"18.7"` + at + `}`},
			false,
		},
		{
			"what commands told keeps the rest and its time",
			[]fleet.Fact{fact(fleet.Information, info)},
			Report{Items: raw(ItemOSVersion, `"18.7"`, ItemModel, `7`, ItemSerial, `null`)},
			Set{},
			map[fleet.FactKind]string{
				StatusItems:       `{"device.identifier.serial-number":{"value":null` + at + `,"device.model.identifier":{"value":7` + at + `,"device.operating-system.version":{"value":"18.7"` + at + `}`,
				fleet.Information: `{"supervised":true,"lost_mode":false,"os_version":"18.7","model":"iPhone15,4","serial":"SN1","name":"Ada's","battery":0.5}`,
			},
			true,
		},
		{
			"a passcode that is gone",
			[]fleet.Fact{fact(fleet.Security, `{"passcode_present":true,"passcode_compliant":true,"encrypted":true}`)},
			Report{Items: raw(ItemPasscodePresent, `false`)},
			Set{},
			map[fleet.FactKind]string{StatusItems: `{"passcode.is-present":{"value":false` + at + `}`, fleet.Security: `{"passcode_present":false,"passcode_compliant":true,"encrypted":false}`},
			true,
		},
		{
			"a passcode that is set leaves encryption unknown",
			[]fleet.Fact{fact(fleet.Security, `{"passcode_present":false,"encrypted":false}`)},
			Report{Items: raw(ItemPasscodePresent, `true`, ItemPasscodeCompliant, `true`)},
			Set{},
			map[fleet.FactKind]string{
				StatusItems:    `{"passcode.is-compliant":{"value":true` + at + `,"passcode.is-present":{"value":true` + at + `}`,
				fleet.Security: `{"passcode_present":true,"passcode_compliant":true}`,
			},
			true,
		},
		{
			"FileVault",
			[]fleet.Fact{fact(fleet.Security, `{"passcode_present":true}`)},
			Report{Items: raw(ItemFileVault, `true`)},
			Set{},
			map[fleet.FactKind]string{StatusItems: `{"diskmanagement.filevault.enabled":{"value":true` + at + `}`, fleet.Security: `{"passcode_present":true,"encrypted":true}`},
			true,
		},
		{
			"declared apps",
			[]fleet.Fact{fact(Apps, `[{"bundle_id":"x","state":"managed","at":"2026-11-20T09:00:00Z"},{"bundle_id":"y","state":"managed","at":"2026-11-20T09:00:00Z"}]`)},
			Report{DeclaredApps: []App{{BundleID: "y", Removed: true}, {BundleID: "a", State: "failed", Reasons: []string{"Error.X"}}}},
			Set{},
			map[fleet.FactKind]string{Apps: `[{"bundle_id":"a","state":"failed","reasons":["Error.X"]` + at + `,{"bundle_id":"x","state":"managed","at":"2026-11-20T09:00:00Z"}]`},
			true,
		},
		{
			"apps of commands",
			[]fleet.Fact{fact(fleet.ManagedApps, `[{"bundle_id":"z","status":"Installing","has_configuration":true},{"bundle_id":"y","status":"Managed"}]`)},
			Report{CommandApps: []App{{BundleID: "z", State: "managed-but-uninstalled"}, {BundleID: "y", Removed: true}, {BundleID: "n", State: "queued"}}},
			Set{},
			map[fleet.FactKind]string{fleet.ManagedApps: `[{"bundle_id":"n","status":"Queued"},{"bundle_id":"z","status":"ManagedButUninstalled","has_configuration":true}]`},
			true,
		},
		{
			"a full list of them",
			[]fleet.Fact{fact(fleet.ManagedApps, `[{"bundle_id":"z","status":"Managed","has_configuration":true},{"bundle_id":"y","status":"Managed"}]`)},
			Report{Full: true, CommandApps: []App{{BundleID: "z", State: "managed"}}},
			Set{},
			map[fleet.FactKind]string{fleet.ManagedApps: `[{"bundle_id":"z","status":"Managed","has_configuration":true}]`},
			true,
		},
		{
			"the same list in another order",
			[]fleet.Fact{fact(fleet.ManagedApps, `[{"bundle_id":"z","status":"Managed"},{"bundle_id":"y","status":"Managed"}]`)},
			Report{CommandApps: []App{{BundleID: "y", State: "managed"}}},
			Set{},
			nil, false,
		},
		{"where no command told anything yet", nil, Report{Items: raw(ItemPasscodePresent, `true`), CommandApps: []App{{BundleID: "y", State: "managed"}}}, Set{}, map[fleet.FactKind]string{StatusItems: `{"passcode.is-present":{"value":true` + at + `}`}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			set, news, err := Merge(tc.facts, tc.report, tc.wanted, now)
			if err != nil {
				t.Fatal(err)
			}
			got := map[fleet.FactKind]any{}
			for _, f := range set {
				got[f.Kind] = value(t, string(f.Value))
				ofCommands := f.Kind == fleet.Information || f.Kind == fleet.Security || f.Kind == fleet.ManagedApps
				if ofCommands && !f.Observed.Equal(then) || !ofCommands && !f.Observed.Equal(now) {
					t.Errorf("the fact %s is of %s", f.Kind, f.Observed)
				}
			}
			want := map[fleet.FactKind]any{}
			for kind, v := range tc.want {
				want[kind] = value(t, v)
			}
			if diff := cmp.Diff(want, got); diff != "" || news != tc.news {
				t.Errorf("Merge(): news %t, want %t; facts mismatch (-want +got):\n%s", news, tc.news, diff)
			}
		})
	}
}

func value(t *testing.T, s string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return v
}

// TestMergeBroken: a fact that Ward wrote and can't read is an error, never lost.
func TestMergeBroken(t *testing.T) {
	t.Parallel()
	r := Report{Items: raw(ItemOSVersion, `"1"`), CommandApps: []App{}}
	for _, kind := range []fleet.FactKind{fleet.Declarations, StatusItems, Apps, fleet.Information, fleet.Security, fleet.ManagedApps} {
		if _, _, err := Merge([]fleet.Fact{fact(kind, `7`)}, r, Set{}, now); err == nil {
			t.Errorf("a broken fact %s was passed over", kind)
		}
	}
}

// TestRead: what Merge writes Read reads, and package fleet's word for it does, too.
func TestRead(t *testing.T) {
	t.Parallel()
	r := Report{Declarations: []Declaration{said("a", "1", Invalid, false, "Error.X")}, Items: raw(ItemOSVersion, `"18.7"`, ItemPasscodePresent, `true`), DeclaredApps: []App{{BundleID: "x", State: "managed"}}}
	facts, _, err := Merge(nil, r, Set{}, now)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Read(facts)
	if err != nil {
		t.Fatal(err)
	}
	want := Told{Declarations: r.Declarations, Reported: now, Apps: []App{{BundleID: "x", State: "managed"}}}
	want.Declarations[0].At, want.Apps[0].At = now, now
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Told{}, "Items")); diff != "" {
		t.Errorf("Read() mismatch (-want +got):\n%s", diff)
	}
	if v, at := got.Items.Text(ItemOSVersion); v != "18.7" || !at.Equal(now) {
		t.Errorf("Text() = %q at %s", v, at)
	}
	if v, at := got.Items.Bool(ItemPasscodePresent); !v || !at.Equal(now) {
		t.Errorf("Bool() = %t at %s", v, at)
	}
	if v, at := got.Items.Bool(ItemOSVersion); v || !at.IsZero() {
		t.Errorf("Bool() of a text = %t at %s, want not told", v, at)
	}
	if v, at := got.Items.Text(ItemModel); v != "" || !at.IsZero() {
		t.Errorf("Text() of what was not told = %q at %s", v, at)
	}
	for _, f := range facts {
		if f.Kind != fleet.Declarations {
			continue
		}
		var list []fleet.Declaration
		if err := json.Unmarshal(f.Value, &list); err != nil || len(list) != 1 || list[0].Identifier != "a" || list[0].Reasons[0] != "Error.X" {
			t.Errorf("as fleet.Declaration the fact reads %+v, %v", list, err)
		}
	}
}
