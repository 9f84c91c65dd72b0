package catalogue_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/catalogue"
)

func TestTeamsOfTheBuiltin(t *testing.T) {
	t.Parallel()
	known, blockable := 0, 0
	for _, a := range catalogue.Builtin().Apps() {
		for _, id := range a.MacOS {
			if id.Team == "" {
				continue
			}
			known++
			if id.Signer() != "" {
				blockable++
			}
			for source := range strings.SplitSeq(id.TeamSource, "; ") {
				if source != catalogue.Unrecorded && (strings.Contains(source, "://") || !strings.Contains(source, "/")) {
					t.Errorf("the team of %s has the source %q, want a repository and path, or the address of a page", id.ID, source)
				}
			}
			if strings.HasPrefix(id.TeamSource, catalogue.Unrecorded) {
				t.Errorf("the team of %s has no recorded source", id.ID)
			}
		}
	}
	// The counts only go up.
	if known < 35 || blockable < 35 {
		t.Errorf("%d Mac apps have a team and %d a signer to block by, want at least 35 of each", known, blockable)
	}
	for id, want := range map[string]string{
		"net.whatsapp.WhatsApp": "57T9237FN3", "com.tdesktop.Telegram": "C67CF9S4VU", "com.microsoft.teams2": "UBF8T346G9",
		"com.kakao.KakaoTalkMac": "", "com.apple.FaceTime": "", "NET.whatsapp.WhatsApp": "",
	} {
		if got := catalogue.Builtin().Signer(id); got != want {
			t.Errorf("Signer(%s) = %q, want %q", id, got, want)
		}
	}
}

// A doubtful team makes no block that is said to hold.
func TestSigner(t *testing.T) {
	t.Parallel()
	const team = "ABCDE12345"
	for _, tt := range []struct {
		grade, teamGrade catalogue.Grade
		want             string
	}{
		{catalogue.GradeA, catalogue.GradeA, team},
		{catalogue.GradeB, catalogue.GradeA, team},
		{catalogue.GradeA, catalogue.GradeL, team},
		{catalogue.GradeB, catalogue.GradeB, team},
		{catalogue.GradeA, catalogue.GradeB, ""},
		{catalogue.GradeL, catalogue.GradeB, ""},
	} {
		id := catalogue.Identifier{ID: "org.example.app", Grade: tt.grade, Team: team, TeamGrade: tt.teamGrade}
		if got := id.Signer(); got != tt.want {
			t.Errorf("an identifier of grade %s with a team of grade %s has the signer %q, want %q", tt.grade, tt.teamGrade, got, tt.want)
		}
	}
}

// A site gives an app that is known a signer, and corrects one, in every row of the app.
func TestExtendWithTeams(t *testing.T) {
	t.Parallel()
	first, err := catalogue.Extend(catalogue.Builtin(), "site.yaml", []byte(`
- slug: kakaotalk
  macos:
    - {id: com.kakao.KakaoTalkMac, grade: A, team: 1234567890, source: our Mac}
    - {id: org.example.kakao, team: ABCDE12345, source: our Mac}
- slug: wire
  macos:
    - {id: com.wearezeta.zclient.mac, team: WIRE567890, team_grade: A, team_source: our Mac, source: our Mac}
`))
	if err != nil {
		t.Fatal(err)
	}
	if got := first.Problems(); len(got) > 0 {
		t.Errorf("Problems() = %q", got)
	}
	for id, want := range map[string]string{
		"com.kakao.KakaoTalkMac": "1234567890", "org.example.kakao": "ABCDE12345", "com.wearezeta.zclient.mac": "WIRE567890",
	} {
		if got := first.Signer(id); got != want {
			t.Errorf("Signer(%s) = %q, want %q", id, got, want)
		}
	}
	kakao, _ := first.Lookup("kakaotalk")
	old, _ := catalogue.Builtin().Lookup("kakaotalk")
	want := old.MacOS[0]
	want.Team, want.TeamGrade, want.TeamSource = "1234567890", catalogue.GradeA, "our Mac"
	if diff := cmp.Diff(want, kakao.MacOS[0]); diff != "" || len(kakao.MacOS) != 2 {
		t.Errorf("KakaoTalk has %d identifiers, the first mismatches (-want +got):\n%s", len(kakao.MacOS), diff)
	}
	for _, slug := range []string{"wire", "clin-wire"} {
		if a, _ := first.Lookup(slug); len(a.MacOS) != 1 || a.MacOS[0].Team != "WIRE567890" {
			t.Errorf("%s has the Mac identifiers %+v", slug, a.MacOS)
		}
	}
	if catalogue.Builtin().Signer("com.wearezeta.zclient.mac") != "EDF3JCE8BC" {
		t.Error("Extend changed what it was given")
	}

	second, err := catalogue.Extend(first, "ward.yaml", []byte("- {slug: kakaotalk, macos: [{id: org.example.kakao, team: ZZZZZ12345, source: x}]}"))
	if err != nil {
		t.Fatal(err)
	}
	if got := second.Signer("org.example.kakao"); got != "ZZZZZ12345" {
		t.Errorf("a later file leaves the team %q", got)
	}
}

func TestProblemsOfTeams(t *testing.T) {
	t.Parallel()
	const head = "- {slug: a, name: A, category: sms, status: active, shares_with: [b], macos: [{id: org.example.a, grade: A, source: x/y"
	const tail = "}]}\n- {slug: b, name: B, category: sms, status: active, macos: [{id: org.example.a, grade: A, source: x/y, team: ABCDE12345, team_grade: A, team_source: x/y}]}"
	for _, tt := range []struct{ text, want string }{
		{"", ""},
		{", team: ABCDE12345, team_grade: A, team_source: x/y", ""},
		{", team: OTHER12345, team_grade: A, team_source: x/y", "a: macos org.example.a has the team OTHER12345, but also ABCDE12345: it has one"},
		{", team: ABCDE12345, team_source: x/y", `a: macos org.example.a has the team_grade "", which is none of A, L, B`},
		{", team: ABCDE12345, team_grade: A", "a: macos org.example.a has a team without a source: say where a stranger finds it"},
		{", team_source: x/y", "a: macos org.example.a says how well its team is known, but has no team"},
	} {
		c, err := catalogue.Parse([]byte(head + tt.text + tail))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(c.Problems(), "\n"); got != tt.want {
			t.Errorf("with %q the problems are\n%s\nwant\n%s", tt.text, got, tt.want)
		}
	}
	if a := catalogue.Builtin().ByIdentifier(ward.MacOS, "com.microsoft.teams2"); len(a) != 2 {
		t.Errorf("%d rows have com.microsoft.teams2, want 2 of which both name its signer", len(a))
	}
}
