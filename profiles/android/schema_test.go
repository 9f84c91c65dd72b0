package android

import (
	"bytes"
	"encoding/json"
	"go/build"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/api/androidmanagement/v1"
	"pgregory.net/rapid"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/profiles/intent"
)

// strict decodes a document into Google's own type: no field may be invented.
func strict(doc []byte) error {
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.DisallowUnknownFields()
	var p androidmanagement.Policy
	return dec.Decode(&p)
}

// schema is the part of Google's discovery document that the check reads.
type schema struct {
	Ref        string            `json:"$ref"`
	Type       string            `json:"type"`
	Enum       []string          `json:"enum"`
	Items      *schema           `json:"items"`
	Properties map[string]schema `json:"properties"`
}

// discovery reads the API's description from Google's own module.
func discovery(t *testing.T) map[string]schema {
	t.Helper()
	pkg, err := build.Import("google.golang.org/api/androidmanagement/v1", ".", build.FindOnly)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(pkg.Dir, "androidmanagement-api.json"))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Schemas map[string]schema `json:"schemas"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	return doc.Schemas
}

// check holds a value against the description and reports what is wrong with it.
func check(all map[string]schema, s schema, path string, v any) []string {
	if s.Ref != "" {
		s = all[s.Ref]
	}
	switch v := v.(type) {
	case map[string]any:
		if s.Type != "object" {
			return []string{path + " is an object, want " + s.Type}
		}
		var wrong []string
		for k, x := range v {
			p, known := s.Properties[k]
			if !known && len(s.Properties) > 0 {
				wrong = append(wrong, path+"."+k+" is unknown")
			} else if known {
				wrong = append(wrong, check(all, p, path+"."+k, x)...)
			}
		}
		return wrong
	case []any:
		if s.Type != "array" || s.Items == nil {
			return []string{path + " is a list, want " + s.Type}
		}
		items := *s.Items
		if len(items.Enum) == 0 {
			items.Enum = s.Enum
		}
		var wrong []string
		for _, x := range v {
			wrong = append(wrong, check(all, items, path+"[]", x)...)
		}
		return wrong
	case string:
		if s.Type != "string" || len(s.Enum) > 0 && !slices.Contains(s.Enum, v) {
			return []string{path + " is " + v + ", which the API does not know"}
		}
	case bool:
		if s.Type != "boolean" {
			return []string{path + " is a boolean, want " + s.Type}
		}
	case float64:
		if s.Type != "integer" && s.Type != "number" {
			return []string{path + " is a number, want " + s.Type}
		}
	}
	return nil
}

func valid(all map[string]schema, doc []byte) ([]string, error) {
	if err := strict(doc); err != nil {
		return nil, err
	}
	var tree any
	if err := json.Unmarshal(doc, &tree); err != nil {
		return nil, err
	}
	return check(all, schema{Ref: "Policy"}, "policy", tree), nil
}

func TestPolicyIsGooglesOwn(t *testing.T) {
	t.Parallel()
	all := discovery(t)
	for _, w := range []intent.Wanted{everything(), allowList(), {}} {
		for _, e := range enrolments {
			for _, b := range Bands(ward.Android) {
				to := target(e, 0)
				to.OS = b
				wrong, err := valid(all, compile(t, w, to).Document)
				if err != nil || len(wrong) > 0 {
					t.Errorf("%s %v: %v %v", e, b, wrong, err)
				}
			}
		}
	}
}

// TestCheckerCatches breaks documents and expects the check to say so.
func TestCheckerCatches(t *testing.T) {
	t.Parallel()
	all := discovery(t)
	for _, doc := range []string{
		`{"playStoreMod": "WHITELIST"}`,
		`{"playStoreMode": "WHITE"}`,
		`{"playStoreMode": true}`,
		`{"keyguardDisabledFeatures": ["NOTES"]}`,
		`{"applications": [{"packageName": "a", "installType": "NEVER"}]}`,
		`{"applications": [{"package": "a"}]}`,
		`{"maximumTimeToLock": 5}`,
		`{"screenCaptureDisabled": "true"}`,
		`{"personalUsagePolicies": {"personalApplications": [{"packageName": "a", "installType": "FORCE_INSTALLED"}]}}`,
	} {
		if wrong, err := valid(all, []byte(doc)); err == nil && len(wrong) == 0 {
			t.Errorf("the check takes %s", doc)
		}
	}
}

// wanted draws a policy.
func wanted(t *rapid.T) intent.Wanted {
	w := everything()
	w.On = map[intent.ID]bool{}
	for _, s := range intent.Switches() {
		w.On[s.ID] = rapid.Bool().Draw(t, string(s.ID))
	}
	some := func(name string) bool { return rapid.Bool().Draw(t, name) }
	pick := func(most int, name string) int { return rapid.IntRange(0, most).Draw(t, name) }
	w.Block.Apps = w.Block.Apps[:pick(len(w.Block.Apps), "apps")]
	w.Block.Apps = append([]catalogue.App(nil), w.Block.Apps...)
	if some("chrome blocked") {
		w.Block.Apps = append(w.Block.Apps, catalogue.App{Name: "Chrome", Android: id(catalogue.GradeA, chrome)})
	}
	if some("no web") {
		w.Block.Web = nil
	}
	if some("no network") {
		w.Block.Network = nil
	}
	w.Block.Stores, w.Block.AllowOnly, w.Encryption = some("stores"), some("allow only"), some("encryption")
	w.Block.Allow = map[ward.Platform][]string{ward.Android: []string{"com.whatsapp", "uk.example.bnf"}[:pick(2, "allow")]}
	w.Apps, w.WiFi = w.Apps[:pick(3, "approved")], w.WiFi[:pick(2, "wifi")]
	w.VPN, w.Relays, w.WebClips, w.Own = w.VPN[:pick(1, "vpn")], w.Relays[:pick(1, "relay")], w.WebClips[:pick(1, "clips")], w.Own[:pick(1, "own")]
	if some("no staff page") {
		w.StaffPage = ""
	}
	switch pick(3, "resolver") {
	case 0:
		w.DNS = intent.DNS{}
	case 1:
		w.DNS.ServerName = ""
	case 2:
		w.DNS.Only = []string{"example.org"}
	}
	if some("no passcode") {
		w.Passcode = intent.PasscodeRule{}
	}
	if some("no update") {
		w.Update = intent.Update{}
	}
	return w
}

// expected lists what must be answered: an intent and a subject, or an intent alone.
func expected(w intent.Wanted) map[intent.ID][]string {
	want := map[intent.ID][]string{intent.LoseDevice: {""}}
	add := func(when bool, id intent.ID, subject string) {
		if when {
			want[id] = append(want[id], subject)
		}
	}
	for _, s := range intent.Switches() {
		add(w.On[s.ID], s.ID, "")
	}
	add(w.Block.AllowOnly, intent.AllowOnly, "")
	add(len(w.Block.Web) > 0, intent.BlockWeb, "")
	add(len(w.Block.Network) > 0, intent.BlockNetwork, "")
	add(w.Block.Stores, intent.BlockStores, "")
	add(w.Passcode != intent.PasscodeRule{}, intent.Passcode, "")
	add(w.Encryption, intent.Encryption, "")
	add(w.Update.Version != "", intent.UpdateOS, "")
	add(w.StaffPage != "", intent.StaffPage, "")
	add(w.DNS.Wanted(), intent.UseDNS, "")
	for _, a := range w.Apps {
		add(true, intent.InstallApp, a.Name)
	}
	for _, n := range w.WiFi {
		add(true, intent.JoinWiFi, n.SSID)
	}
	for _, n := range w.VPN {
		add(true, intent.ConnectVPN, n.Name)
	}
	for _, n := range w.Relays {
		add(true, intent.UseRelay, n.Name)
	}
	for _, n := range w.WebClips {
		add(true, intent.WebClips, n.Label)
	}
	for _, n := range w.Own {
		add(true, intent.OwnProfile, n.Name)
	}
	return want
}

// blockedEverywhere are the packages that the policy blocks on each side that it governs.
func blockedEverywhere(t *rapid.T, r Result, to intent.Target) map[string]bool {
	var p policy
	if err := json.Unmarshal(r.Document, &p); err != nil {
		t.Fatal(err)
	}
	blocked := map[string]bool{}
	for _, a := range p.Applications {
		blocked[a.PackageName] = a.InstallType == "BLOCKED"
	}
	if to.Enrolment == intent.CompanyOwned {
		personal := map[string]bool{}
		for _, a := range p.PersonalUsage.PersonalApplications {
			personal[a.PackageName] = a.InstallType == "BLOCKED"
		}
		for id := range blocked {
			blocked[id] = blocked[id] && personal[id]
		}
	}
	return blocked
}

// unfounded returns a word of an outcome's mechanism that does not stand in the policy.
func unfounded(o intent.Outcome, doc string) string {
	if o.ID == intent.LoseDevice {
		return "" // a command, no part of the policy
	}
	for _, word := range strings.FieldsFunc(o.Mechanism, func(r rune) bool { return strings.ContainsRune(" ,.", r) }) {
		if word != "and" && word != "EAP-TLS" && !strings.Contains(doc, `"`+word+`"`) && !strings.Contains(chrome, word) {
			return word
		}
	}
	return ""
}

// TestEverythingIsAnswered draws policies and devices: each intent has an outcome, each
// blocked identifier stands in one, nothing unwanted is answered, verdicts and words
// agree, and the document is Google's own.
func TestEverythingIsAnswered(t *testing.T) {
	t.Parallel()
	all := discovery(t)
	rapid.Check(t, func(t *rapid.T) {
		w := wanted(t)
		to := target(rapid.SampledFrom(enrolments).Draw(t, "enrolment"), rapid.IntRange(0, 18).Draw(t, "version"))
		r, err := Compile(w, to)
		if err != nil {
			t.Fatal(err)
		}
		wrong, err := valid(all, r.Document)
		if err != nil || len(wrong) > 0 {
			t.Fatalf("document: %v %v", wrong, err)
		}
		want := expected(w)
		covered, blocked := map[string]bool{}, blockedEverywhere(t, r, to)
		for _, o := range r.Outcomes {
			if o.Intent == "" || o.Verdict == "" || o.Why == "" {
				t.Fatalf("outcome %+v lacks words", o)
			}
			if !slices.IsSorted(o.Covers) {
				t.Fatalf("Covers of %s are not sorted: %v", o.ID, o.Covers)
			}
			if word := unfounded(o, string(r.Document)); word != "" {
				t.Fatalf("%s is told to be carried by %q, but the policy holds no %s", o.ID, o.Mechanism, word)
			}
			if o.ID == intent.BlockApps {
				for _, id := range o.Covers {
					covered[id] = true
					if held := blocked[id]; held != (o.Verdict != intent.NotEnforced) {
						t.Fatalf("%s is %s, but blocked: %t", id, o.Verdict, held)
					}
				}
				continue
			}
			i := slices.Index(want[o.ID], o.Subject)
			if i < 0 {
				t.Fatalf("outcome for %s %q, which is not wanted or told twice", o.ID, o.Subject)
			}
			want[o.ID] = slices.Delete(slices.Clone(want[o.ID]), i, i+1)
		}
		for id, subjects := range want {
			if len(subjects) > 0 {
				t.Fatalf("no outcome for %s %q", id, subjects)
			}
		}
		for _, a := range w.Block.Apps {
			for _, id := range a.Android {
				if !covered[id.ID] {
					t.Fatalf("no outcome covers %s", id.ID)
				}
			}
		}
	})
}

func BenchmarkCompile(b *testing.B) {
	w, to := everything(), target(intent.CompanyOwned, 15)
	for b.Loop() {
		if _, err := Compile(w, to); err != nil {
			b.Fatal(err)
		}
	}
}
