package source_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/apple"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/profiles/source"
)

// macChat is a policy whose approved app runs on Macs; team is the rest of its macos.
func macChat(team, block string) string {
	return strings.Replace(record, "    purpose: p", "    macos: {bundle_id: org.example.chat, app_store_id: 123456789"+team+"}\n    purpose: p", 1) + block
}

func TestTeams(t *testing.T) {
	t.Parallel()
	files := map[string][]byte{"site.yaml": []byte(`
- slug: kakaotalk
  macos:
    - {id: com.kakao.KakaoTalkMac, team: SITE567890, source: a Mac that was handed in}
- slug: doubtful
  name: Doubtful
  category: consumer-messaging
  macos:
    - {id: org.example.doubtful, grade: A, source: our Mac, team: DOUBT12345, team_grade: B, team_source: a list}
- slug: unsigned
  name: Unsigned
  category: consumer-messaging
  macos:
    - {id: org.example.unsigned, grade: A, source: our Mac}
`)}
	whatsApp := map[string]string{"net.whatsapp.WhatsApp": "57T9237FN3", "desktop.WhatsApp": "57T9237FN3"}
	tests := []struct {
		name, text string
		platform   ward.Platform
		want       map[string]string
	}{
		{"of apps that are kept off", record + "block: {apps: [whatsapp]}", ward.MacOS, whatsApp},
		{"none for a phone", record + "block: {apps: [whatsapp]}", ward.IOS, nil},
		{"none for Windows", record + "block: {apps: [whatsapp]}", ward.Windows, nil},
		{"none of what is excepted", record + "block: {apps: [whatsapp, viber], except: [viber]}", ward.MacOS, whatsApp},
		{"of an approved app", macChat(", team_id: CHAT123456", "block: {apps: [wire]}"), ward.MacOS, map[string]string{
			"org.example.chat": "CHAT123456", "com.wearezeta.zclient.mac": "EDF3JCE8BC",
		}},
		{"an approved app without one", macChat("", ""), ward.MacOS, nil},
		{"an approved app that the catalogue knows", strings.Replace(macChat("", ""), "org.example.chat, app_store_id: 123456789}\n    purpose", "com.wearezeta.zclient.mac, app_store_id: 123456789}\n    purpose", 1), ward.MacOS, map[string]string{
			"com.wearezeta.zclient.mac": "EDF3JCE8BC",
		}},
		{"the register's word counts first", strings.Replace(macChat(", team_id: OTHER12345", ""), "macos: {bundle_id: org.example.chat", "macos: {bundle_id: com.wearezeta.zclient.mac", 1), ward.MacOS, map[string]string{
			"com.wearezeta.zclient.mac": "OTHER12345",
		}},
		{"of what alone may run", record + "block: {mode: allow-list, allow: [slack, com.apple.Safari, us.zoom.xos]}", ward.MacOS, map[string]string{
			"com.tinyspeck.slackmacgap": "BQR82RBBHL", "us.zoom.xos": "BJ4HAAB9B3",
		}},
		{"a site's own, and none that is only heard of", record + "catalogue: site.yaml\nblock: {apps: [kakaotalk, doubtful, unsigned]}", ward.MacOS, map[string]string{
			"com.kakao.KakaoTalkMac": "SITE567890",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, err := source.Parse([]byte(tt.text), source.Inputs{Files: files})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, p.Base(tt.platform).Wanted.Block.Teams); diff != "" {
				t.Errorf("Teams mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

// A work Mac of macOS 27 is told to block every app of the policy whose signer is known,
// and says of the others that it only watches for them.
func TestWorkMacBlocksSignedApps(t *testing.T) {
	t.Parallel()
	settled := parse(t, record+"block: {categories: [consumer-messaging, multi-messenger]}").Settle(
		ward.Device{ID: "M1", Platform: ward.MacOS, Ownership: ward.Corporate}, now)
	r, err := apple.Compile(settled.Wanted, intent.Target{
		Platform: ward.MacOS, OS: intent.ParseVersion("27.0"), Supervised: true, Ownership: ward.Corporate, Enrolment: intent.ByAutomation,
	})
	if err != nil {
		t.Fatal(err)
	}
	type binary struct{ SigningID, TeamID string }
	var settings struct {
		Allowed struct{ DeniedBinaries []binary }
	}
	for _, d := range r.Declarations {
		if d.Type == "com.apple.configuration.app.settings" {
			if err := json.Unmarshal(d.Payload, &settings); err != nil {
				t.Fatal(err)
			}
		}
	}
	denied := map[string]string{}
	for _, b := range settings.Allowed.DeniedBinaries {
		denied[b.SigningID] = b.TeamID
	}
	verdicts := map[string]intent.Verdict{}
	for _, o := range r.Outcomes {
		if o.ID != intent.BlockApps || o.Subject == "unconfirmed" {
			continue
		}
		for _, id := range o.Covers {
			verdicts[id] = o.Verdict
		}
	}
	blocked, watched := 0, 0
	for _, a := range settled.Wanted.Block.Apps {
		for _, id := range a.MacOS {
			if strings.HasPrefix(id.ID, "com.apple.") {
				continue // a Mac knows Apple's own without a team
			}
			want := intent.DetectOnly
			if id.Signer() != "" {
				want = intent.Enforced
				blocked++
			} else {
				watched++
			}
			if denied[id.ID] != id.Signer() || verdicts[id.ID] != want {
				t.Errorf("%s of the team %q is denied by %q and said to be %q, want %q", id.ID, id.Signer(), denied[id.ID], verdicts[id.ID], want)
			}
		}
	}
	if blocked < 24 || watched == 0 {
		t.Errorf("%d apps are blocked and %d watched, want at least 24 and some", blocked, watched)
	}
	for id, team := range map[string]string{
		"net.whatsapp.WhatsApp": "57T9237FN3", "ru.keepcoder.Telegram": "6N38VWS5BX", "org.whispersystems.signal-desktop": "U68MSDN6DR",
	} {
		if denied[id] != team {
			t.Errorf("%s is denied by the team %q, want %s", id, denied[id], team)
		}
	}
}
