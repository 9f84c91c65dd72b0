package workstation

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/profiles/intent"
)

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
	if some("no web") {
		w.Block.Web = nil
	}
	if some("no network") {
		w.Block.Network = nil
	}
	w.Block.Stores, w.Block.AllowOnly, w.Encryption = some("stores"), some("allow only"), some("encryption")
	w.Apps, w.WiFi = w.Apps[:pick(2, "approved")], w.WiFi[:pick(1, "wifi")]
	w.VPN, w.Relays, w.WebClips, w.Own = w.VPN[:pick(1, "vpn")], w.Relays[:pick(1, "relay")], w.WebClips[:pick(1, "clips")], w.Own[:pick(1, "own")]
	if some("no staff page") {
		w.StaffPage = ""
	}
	switch pick(3, "resolver") {
	case 0:
		w.DNS = intent.DNS{}
	case 1:
		w.DNS = intent.DNS{Name: "TLS", ServerName: "dns.example.org"}
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

// expected lists what must be answered, by intent and subject.
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

// unfounded returns a word of an outcome's mechanism that stands in no document.
func unfounded(o intent.Outcome, docs []intent.Artifact) string {
	var all strings.Builder
	for _, d := range docs {
		all.Write(d.Data)
	}
	switch {
	case o.Mechanism == "Ward's agent":
		return "" // it needs no more than the agent's own document
	case strings.HasPrefix(o.Mechanism, "fanotify"):
		if !strings.Contains(all.String(), `"act": "prevent"`) {
			return "act"
		}
		return ""
	}
	for _, word := range strings.FieldsFunc(o.Mechanism, func(r rune) bool { return r == ' ' || r == ',' }) {
		switch word {
		case "and", "Chrome", "Edge", "Firefox":
		case "Exe", "Appx":
			word = `Type="` + word + `"`
			fallthrough
		default:
			if !strings.Contains(all.String(), word) {
				return word
			}
		}
	}
	return ""
}

// TestEverythingIsAnswered draws policies and computers: each intent has an outcome, each
// blocked identifier stands in one, nothing unwanted is answered, and no approved
// program is blocked.
func TestEverythingIsAnswered(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := wanted(t)
		p := rapid.SampledFrom(platforms).Draw(t, "platform")
		r, err := Compile(w, target(p, rapid.SampledFrom([]ward.Ownership{ward.Corporate, ward.Personal, ""}).Draw(t, "ownership")))
		if err != nil {
			t.Fatal(err)
		}
		want, covered := expected(w), map[string]bool{}
		for _, o := range r.Outcomes {
			if o.Intent == "" || o.Verdict == "" || o.Why == "" {
				t.Fatalf("outcome %+v lacks words", o)
			}
			if !slices.IsSorted(o.Covers) {
				t.Fatalf("Covers of %s are not sorted: %v", o.ID, o.Covers)
			}
			if word := unfounded(o, r.Documents); word != "" {
				t.Fatalf("%s is told to be carried by %q, but no document holds %s", o.ID, o.Mechanism, word)
			}
			if o.ID == intent.BlockApps {
				for _, id := range o.Covers {
					covered[id] = true
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
		doc, err := Decode(r.Documents[0].Data)
		if err != nil {
			t.Fatal(err)
		}
		blocked := map[Identity]bool{}
		for _, rule := range doc.Block {
			blocked[rule.Identity.key(p)] = true
		}
		for _, a := range w.Block.Apps {
			for _, id := range identifiers(p, a) {
				if !covered[id.ID] {
					t.Fatalf("no outcome covers %s", id.ID)
				}
			}
		}
		for _, a := range w.Apps {
			for _, i := range approved(p, a) {
				if blocked[i.key(p)] {
					t.Fatalf("approved %s is blocked", i.text())
				}
			}
		}
	})
}

func BenchmarkCompile(b *testing.B) {
	w, to := everything(), target(ward.Windows, ward.Corporate)
	for b.Loop() {
		if _, err := Compile(w, to); err != nil {
			b.Fatal(err)
		}
	}
}

// TestCatalogueIsUnderstood: what the catalogue calls a program must have a form here, or
// a block would pass it over.
func TestCatalogueIsUnderstood(t *testing.T) {
	t.Parallel()
	for _, a := range catalogue.Builtin().Apps() {
		for _, p := range platforms {
			for _, id := range identifiers(p, a) {
				if identity(p, id.ID) == (Identity{}) {
					t.Errorf("%s: %s identifier %q has no form that an agent can look for", a.Slug, p, id.ID)
				}
			}
		}
	}
}
