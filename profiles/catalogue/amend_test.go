package catalogue_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/catalogue"
)

const siteFile = `# Apps of our own.
# Kept by the service desk.

# found in March
- slug: wecom # the work one
  name: WeCom
  category: collaboration
  ios:
    - {id: com.tencent.ww, source: our app inventory} # read twice
# seen once
- slug: signal
  android:
    - id: org.example.fork
      source: a phone
# the end
`

func TestAmend(t *testing.T) {
	t.Parallel()
	spaced := strings.NewReplacer("# seen once", "\n# seen once", "# the end", "\n# the end").Replace(siteFile)
	ids := func(id string) []catalogue.Identifier {
		return []catalogue.Identifier{{ID: id, Grade: catalogue.GradeA, Source: "a phone: ward 7"}}
	}
	for _, tt := range []struct {
		name, before string
		add          catalogue.App
		want         string
	}{
		{
			"a new file", "",
			catalogue.App{Slug: "max", Name: "MAX", Category: "consumer-messaging", Aliases: []string{"max-messenger"}, AppStore: []catalogue.Identifier{{ID: "6499251573", Source: "the App Store"}}},
			`- slug: max
  name: MAX
  category: consumer-messaging
  aliases: [max-messenger]
  app_store:
    - {id: "6499251573", source: the App Store}
`,
		},
		{
			"a file of comments", "# ours\n",
			catalogue.App{Slug: "telegram", Web: []catalogue.Identifier{{ID: "telegram.example.org", Source: "a log", Shared: true}}},
			`# ours

- slug: telegram
  web:
    - {id: telegram.example.org, source: a log, shared: true}
`,
		},
		{
			"another app", siteFile,
			catalogue.App{Slug: "whatsapp", Windows: ids("WhatsApp.Beta.exe")},
			strings.Replace(spaced, "\n# the end\n", `
- slug: whatsapp
  windows:
    - {id: WhatsApp.Beta.exe, grade: A, source: 'a phone: ward 7'}

# the end
`, 1),
		},
		{
			"more of an app of the file", siteFile,
			catalogue.App{Slug: "wecom", Aliases: []string{"wechat-work"}, IOS: ids("com.tencent.ww2"), Android: ids("com.tencent.wework")},
			strings.Replace(spaced, "  ios:\n    - {id: com.tencent.ww, source: our app inventory} # read twice\n", `  aliases: [wechat-work]
  ios:
    - {id: com.tencent.ww, source: our app inventory} # read twice
    - {id: com.tencent.ww2, grade: A, source: 'a phone: ward 7'}
  android:
    - {id: com.tencent.wework, grade: A, source: 'a phone: ward 7'}
`, 1),
		},
		{
			"who signs a Mac app", "",
			catalogue.App{Slug: "kakaotalk", MacOS: []catalogue.Identifier{
				{ID: "com.kakao.KakaoTalkMac", Source: "a Mac", Team: "1234567890"},
				{ID: "org.example.kakao", Grade: catalogue.GradeA, Source: "a Mac", Team: "ABCDE12345", TeamGrade: catalogue.GradeB, TeamSource: "a list"},
			}},
			`- slug: kakaotalk
  macos:
    - {id: com.kakao.KakaoTalkMac, source: a Mac, team: "1234567890"}
    - {id: org.example.kakao, grade: A, source: a Mac, team: ABCDE12345, team_grade: B, team_source: a list}
`,
		},
	} {
		got, err := catalogue.Amend(catalogue.Builtin(), "site.yaml", []byte(tt.before), tt.add)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, string(got)); diff != "" {
			t.Errorf("%s mismatch (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestAmendRefuses(t *testing.T) {
	t.Parallel()
	id := func(id string) []catalogue.Identifier {
		return []catalogue.Identifier{{ID: id, Source: "a list"}}
	}
	for _, tt := range []struct {
		name, before string
		add          catalogue.App
		want         string
	}{
		{"a wrong id", "", catalogue.App{Slug: "slack", Android: id("com.slack")}, "Nothing was added to site.yaml.\n  - android com.slack is known to be wrong: package names keep their case, and this one has a capital S; right is com.Slack"},
		{"a host that must stay reachable", "", catalogue.App{Slug: "facebook", Network: id("facebook.com")}, "may not be blocked: facebook.com must stay reachable"},
		{"an unknown app", "", catalogue.App{Slug: "whatsap", IOS: id("a.b")}, `did you mean "whatsapp"?`},
		{"no source", "", catalogue.App{Slug: "signal", IOS: []catalogue.Identifier{{ID: "a.b"}}}, "has no source"},
		{"a name that is there", siteFile, catalogue.App{Slug: "wecom", Name: "WeCom"}, `has the field "name" twice`},
		{"a file that is wrong", "- {slug: signal, nmae: x}", catalogue.App{Slug: "signal", IOS: id("a.b")}, "site.yaml line 1, column 18"},
		{"no slug", "", catalogue.App{Name: "x", Category: "sms"}, "Nothing was added"},
	} {
		got, err := catalogue.Amend(catalogue.Builtin(), "site.yaml", []byte(tt.before), tt.add)
		if ward.KindOf(err) != ward.Invalid || !strings.Contains(err.Error(), tt.want) || got != nil {
			t.Errorf("%s: Amend returns %q, %v; want an error with %q", tt.name, got, err, tt.want)
		}
	}
}
