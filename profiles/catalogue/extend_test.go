package catalogue_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/catalogue"
)

var update = flag.Bool("update", false, "write the golden files")

func TestExtend(t *testing.T) {
	t.Parallel()
	base := catalogue.Builtin()
	before := fmt.Sprintf("%+v", base.Apps())
	c, err := catalogue.Extend(base, "site.yaml", []byte(`# Ours
- slug: wecom
  name: WeCom
  category: collaboration
  aliases: [wechat-work]
  ios:
    - {id: com.tencent.ww, source: our app inventory, grade: A}
  network:
    - {id: work.weixin.qq.com, source: our proxy's log}
- slug: telegram-forks
  aliases: [our-fork]
  android:
    - {id: org.example.Fork, source: a phone that was handed in}
- slug: our-whatsapp-portal
  name: Portal
  category: multi-messenger
  forks_of: whatsapp
  web:
    - {id: web.whatsapp.com, source: the portal's manual}
`))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Problems(); len(got) > 0 {
		t.Errorf("Problems() = %q", got)
	}
	wecom, ok := c.Lookup("wechat-work")
	want := []catalogue.Identifier{{ID: "com.tencent.ww", Grade: catalogue.GradeA, Source: "our app inventory", File: "site.yaml"}}
	if diff := cmp.Diff(want, wecom.IOS); !ok || diff != "" || wecom.Status != catalogue.Active {
		t.Errorf("wecom mismatch, status %s (-want +got):\n%s", wecom.Status, diff)
	}
	if !wecom.Network[0].Unconfirmed() {
		t.Error("a grade that is not given is not unconfirmed")
	}
	if got := slugs(c.ByIdentifier(ward.Android, "org.example.Fork")); len(got) != 1 || got[0] != "telegram-forks" {
		t.Errorf("ByIdentifier finds %q", got)
	}
	if a, ok := c.Lookup("our-fork"); !ok || a.Slug != "telegram-forks" {
		t.Errorf("Lookup(our-fork) = %s, %v", a.Slug, ok)
	}
	if _, ok := base.Lookup("wecom"); ok || fmt.Sprintf("%+v", base.Apps()) != before {
		t.Error("Extend changed what it was given")
	}
}

func TestExtendWithNothing(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# nothing yet\n", "---\n", "[]\n", "null\n"} {
		c, err := catalogue.Extend(catalogue.Builtin(), "site.yaml", []byte(text))
		if err != nil {
			t.Errorf("Extend(%q): %v", text, err)
			continue
		}
		if diff := cmp.Diff(catalogue.Builtin().Names(), c.Names()); diff != "" {
			t.Errorf("Extend(%q) changed the names (-want +got):\n%s", text, diff)
		}
	}
}

// The golden file is what people read about a file that is wrong in every way.
func TestExtendTellsEveryMistake(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/wrong.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, err = catalogue.Extend(catalogue.Builtin(), "wrong.yaml", text)
	e, ok := errors.AsType[*ward.Error](err)
	if !ok || e.Kind != ward.Invalid {
		t.Fatalf("Extend returns %v, want a *ward.Error of the kind invalid", err)
	}
	got := e.Message + "\n" + strings.Join(e.Details, "\n") + "\n"
	const golden = "testdata/wrong.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("mistakes mismatch (-want +got):\n%s", diff)
	}
}

func TestExtendRefusesWholeFiles(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"slug: a":                   "site.yaml line 1, column 1: the site's catalogue must be a list",
		"- {slug: [":                "site.yaml line 1",
		"[]\n---\n[]\n":             "one document",
		"- a\n":                     "an app must be a list of fields",
		"- &a {slug: signal}\n- *a": "an app must be a list of fields",
		strings.Repeat("#", catalogue.MaxSiteSize+1): "larger than",
	} {
		_, err := catalogue.Extend(catalogue.Builtin(), "site.yaml", []byte(text))
		if ward.KindOf(err) != ward.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("Extend(%.40q) returns %v, want %q", text, err, want)
		}
	}
}

// Problems and Extend must agree: what one accepts the other finds sound.
func FuzzExtend(f *testing.F) {
	wrong, err := os.ReadFile("testdata/wrong.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(wrong)
	f.Add([]byte("- {slug: a, name: A, category: sms, ios: [{id: a.b, source: x}]}"))
	f.Add([]byte("- {slug: a, name: A, category: sms, macos: [{id: a.b, source: x, team: ABCDE12345}], shares_with: [signal]}\n- {slug: signal, macos: [{id: a.b, source: x, team: OTHER12345}]}"))
	f.Add([]byte("- {slug: signal, web: [{id: signal.example.org, source: x, shared: true}]}"))
	small, err := catalogue.Parse([]byte("- {slug: signal, name: Signal, category: sms, status: active, android: [{id: a.B, grade: A, source: x/y}]}"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := catalogue.Extend(small, "site.yaml", text)
		if err != nil {
			if ward.KindOf(err) != ward.Invalid {
				t.Errorf("Extend(%q) returns %v, which is no mistake of the file", text, err)
			}
			return
		}
		if got := c.Problems(); len(got) > 0 {
			t.Errorf("Extend(%q) is accepted with the problems %q", text, got)
		}
	})
}

func BenchmarkExtend(b *testing.B) {
	base := catalogue.Builtin()
	for b.Loop() {
		if _, err := catalogue.Extend(base, "site.yaml", []byte("- {slug: signal, aliases: [our-signal]}")); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	text, err := os.ReadFile("apps.yaml")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := catalogue.Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}
