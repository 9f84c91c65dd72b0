package applemdm

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jessepeterson/kmfddm/ddm"
	"github.com/micromdm/nanohub/ddmadapter"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/server/declare"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/reconcile"
)

// readStatus reads a report as a request does.
func readStatus(t testing.TB, raw []byte) (declare.Report, error) {
	t.Helper()
	ctx, err := withStatus(t.Context(), raw)
	if err != nil {
		return declare.Report{}, err
	}
	ctx, mux := ddmadapter.ContextJSONMux(ctx)
	_, status := ddmadapter.ContextStatusReport(ctx, raw)
	ddm.RegisterStatusHandlers(mux, status)
	if _, err := ddm.ParseStatusUsingMux(raw, mux); err != nil {
		return declare.Report{}, err
	}
	return ctx.Value(statusKey{}).(*statusReader).report(status), nil
}

func statusFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "status", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReadStatus(t *testing.T) {
	t.Parallel()
	full := statusFile(t, "full.json")
	configuration := func(id string, active bool, valid string, reasons ...string) declare.Declaration {
		return declare.Declaration{Kind: "configuration", Declaration: fleet.Declaration{Identifier: id, Token: "t-" + id, Active: active, Valid: valid, Reasons: reasons}}
	}
	for _, tc := range []struct {
		name string
		raw  []byte
		want declare.Report
	}{
		{"nothing", []byte(`{}`), declare.Report{Items: map[string]json.RawMessage{}}},
		{"a full report", full, declare.Report{
			Full: true, Raw: full,
			Declarations: []declare.Declaration{
				{Kind: "activation", Declaration: fleet.Declaration{Identifier: "always", Token: "t-always", Active: true, Valid: "valid"}},
				configuration("restrictions", true, "invalid", `Error.ConfigurationCannotBeApplied: Configuration cannot be applied {"Error":"Profile Installation Failed"}`),
				configuration("passcode", true, "valid"),
				configuration("wifi", false, "unknown", "Info.Predicate"),
			},
			Items: map[string]json.RawMessage{
				"device.operating-system.version": json.RawMessage(`"18.7"`), "device.model.identifier": json.RawMessage(`"iPhone15,4"`), "device.identifier.serial-number": json.RawMessage(`"SN1"`),
				"passcode.is-present": json.RawMessage(`true`), "passcode.is-compliant": json.RawMessage(`false`), "softwareupdate.install-state": json.RawMessage(`"downloading"`),
				"softwareupdate.pending-version": json.RawMessage(`{"os-version":"19.0","build-version":"23A1"}`),
			},
			DeclaredApps: []declare.App{{BundleID: "org.example.m", Declaration: "app", Name: "Messenger", Version: "2.1", State: "failed", Reasons: []string{"Error.X"}}, {BundleID: "org.example.old", Removed: true}},
			CommandApps:  []declare.App{{BundleID: "org.example.n", Version: "7", State: "managed-but-uninstalled"}},
		}},
		{"a list that is none counts as not told", []byte(`{"StatusItems":{"mdm":{"app":{"a":1}},"app":{"managed":{"list":"x"}},"passcode":7}}`), declare.Report{Items: map[string]json.RawMessage{}}},
		{"there are none", []byte(`{"StatusItems":{"management":{"declarations":{}},"mdm":{"app":[]}}}`), declare.Report{
			Declarations: []declare.Declaration{}, CommandApps: []declare.App{}, Items: map[string]json.RawMessage{},
		}},
		{"a word that Apple has not", []byte(`{"FullReport":1,"StatusItems":{"management":{"declarations":{"assets":[{"identifier":"a","valid":"perhaps","reasons":7},{"valid":"valid"}]}}}}`), declare.Report{
			Declarations: []declare.Declaration{{Kind: "asset", Declaration: fleet.Declaration{Identifier: "a", Valid: "unknown", Reasons: []string{"the device gave reasons that can't be read"}}}},
			Items:        map[string]json.RawMessage{},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := readStatus(t, tc.raw)
			if err != nil {
				t.Fatal(err)
			}
			tc.want.Raw = tc.raw
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("report mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGuardStatus(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, raw string
		good      bool
	}{
		{"an object", `{"a":[1,"]]]]\"}{{{{"]}`, true},
		{"as deep as is allowed", strings.Repeat("[", maxStatusDepth) + strings.Repeat("]", maxStatusDepth), true},
		{"one deeper", strings.Repeat("[", maxStatusDepth+1) + strings.Repeat("]", maxStatusDepth+1), false},
		{"brackets in a text are not deep", `"` + strings.Repeat("[", 1000) + `"`, true},
		{"nothing", "", false},
		{"no end", "{", false},
		{"another encoding", "{\"a\":\"\xff\"}", false},
		{"a raw control character", "{\"a\":\"\x00\"}", false},
		{"two values", "{}{}", false},
		{"too large", strings.Repeat(" ", maxStatus) + "{}", false},
	} {
		if err := guardStatus([]byte(tc.raw)); (err == nil) != tc.good {
			t.Errorf("%s: guardStatus() = %v, want good %t", tc.name, err, tc.good)
		}
	}
}

// FuzzStatus: whatever a device reports, reading it ends, and what is kept of it is
// bounded and can be read again.
func FuzzStatus(f *testing.F) {
	f.Add(statusFile(f, "full.json"))
	for _, s := range []string{
		`{}`, `null`, `[]`, `{"StatusItems":null}`, `{"StatusItems":{"management":{"declarations":{"activations":{"a":1}}}}}`, `{"StatusItems":{"management":7}}`,
		`{"StatusItems":{"mdm":{"app":[{"identifier":"a","_removed":true},7]}},"Errors":[{}],"FullReport":"yes"}`, `{"Errors":7}`, `{"":{"":{"":[]}}}`,
		`{"StatusItems":{"device":{"operating-system":{"version":{"a":"\u0000"}}}}}`, `{"StatusItems":{"app":{"managed":{"list":[{"identifier":"x","reasons":[{"code":"a","details":{"b":1e999}}]}]}}}}`,
	} {
		f.Add([]byte(s))
	}
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := readStatus(t, raw)
		if err != nil {
			return
		}
		facts, _, err := declare.Merge([]fleet.Fact{{Kind: fleet.Information, Value: json.RawMessage(`{"supervised":true}`)}, {Kind: fleet.Security, Value: json.RawMessage(`{"passcode_present":true,"encrypted":true}`)}, {Kind: fleet.ManagedApps, Value: json.RawMessage(`[]`)}}, r, declare.Set{}, now)
		if err != nil {
			t.Fatalf("Merge() = %v", err)
		}
		if _, err := declare.Read(facts); err != nil {
			t.Fatalf("Read() = %v", err)
		}
		if _, err := reconcile.Observe(facts); err != nil {
			t.Fatalf("Observe() = %v", err)
		}
	})
}

// TestDeclareCommand: the command carries the token of its set, and none where nobody
// knows the time or nothing is wanted.
func TestDeclareCommand(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 999, time.UTC)
	clock := func() time.Time { return now }
	for _, tc := range []struct {
		name string
		now  func() time.Time
		key  string
		want map[string]any
	}{
		{"with a token", clock, "declarations:abc", map[string]any{"RequestType": "DeclarativeManagement", "Data": []byte(`{"SyncTokens":{"DeclarationsToken":"abc","Timestamp":"2026-11-21T12:00:00Z"}}`)}},
		{"without a clock", nil, "declarations:abc", map[string]any{"RequestType": "DeclarativeManagement"}},
		{"with nothing wanted", clock, "declarations:", map[string]any{"RequestType": "DeclarativeManagement"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := &Compiler{Now: tc.now}
			requestType, body, err := c.Compile(t.Context(), reconcile.Step{Key: tc.key, Deed: reconcile.Declare}, ward.Device{}, ward.Enrolment{}, "U")
			if err != nil || requestType != "DeclarativeManagement" {
				t.Fatalf("Compile() = %s, %v", requestType, err)
			}
			got, err := agent.ParseCommand(body)
			if err != nil || got.UUID != "U" {
				t.Fatalf("command %s, %v", got.UUID, err)
			}
			if diff := cmp.Diff(tc.want, got.Payload); diff != "" {
				t.Errorf("command mismatch (-want +got):\n%s", diff)
			}
			_, token, _ := strings.Cut(tc.key, ":")
			if _, alone, err := c.Declare("U", token); err != nil || string(alone) != string(body) {
				t.Errorf("Declare() = %s, %v; want the same", alone, err)
			}
		})
	}
}
