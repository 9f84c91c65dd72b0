package web_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/web"
)

// rich is a policy with something of everything that the page for staff tells, and names
// of people that it must not tell.
const rich = `
name: Messaging at St Example’s
notice:
  en: |
    Messages about patients go through Ward Messenger and the rota through Rota, because the hospital must be able to protect what is written there and to keep it. In other apps it can do neither: whoever finds the phone may read them, and what was agreed about a patient never reaches the record.

    What to do:
    – write to colleagues in Ward Messenger;
    – move what you decide about a patient into the record the same day;
    – never send a picture of a patient by any other app.

    Patients and families may write to you by text message. Answer with what is needed to arrange a call, and nothing that says why. If they send pictures, thank them, move the picture to the record and delete it from the phone.

    Pictures of wounds, scans and charts go by the camera of Ward Messenger and no other: it keeps them off the phone’s own photos and out of its backups.

    Questions: the information governance team on extension 4411, weekdays from eight to six. At night the site manager decides.
  cy: |
    Mae negeseuon am gleifion yn mynd trwy Ward Messenger, oherwydd rhaid i’r ysbyty allu eu diogelu a’u cadw.

    Cwestiynau: y tîm llywodraethu gwybodaeth.
  pl: Wiadomości o pacjentach wysyłamy przez Ward Messenger.
approved:
  - name: Ward Messenger
    ios: {bundle_id: org.example.wardmessenger, app_store_id: 1234567890}
    android: {package: org.example.wardmessenger}
    windows: {executable: wardmessenger.exe}
    purpose: Messages between clinical staff about patients in their care
    owner: Ophelia Owner
    dpia: DPIA-2026-014
    retention: 30 days on the phone; what matters is copied to the record
    review_by: 2099-11-30
    required: true
  - name: Rota
    web: [rota.example.org]
    purpose: Shifts and swaps
    owner: Ophelia Owner
    dpia: DPIA-2026-020
    retention: Nothing
    review_by: 2099-11-30
  - name: Ward Mac Messenger
    macos: {bundle_id: org.example.wardmac, manifest_url: "{{server.url}}/app/v1/mac.plist"}
    linux: {executable: wardmessenger}
    android: {package: org.example.wardtablet}
    purpose: The same on computers
    owner: Ophelia Owner
    dpia: DPIA-2026-021
    retention: Nothing
    review_by: 2099-11-30
block:
  categories: [consumer-messaging, social-with-dm]
exceptions:
  - id: EX-SECRET
    app: whatsapp
    for: {owner: patricia@example.org}
    who: Patricia Private
    reason: A family abroad
    approver: Aldous Approver
    from: FROM
    expires: TO
    review: Rhoda Reviewer
staff_page: true
lost: {phone: 020 7946 0000}
`

// bare is a policy that approves nothing and keeps nothing off.
const bare = "name: Bare\ncontainment: {no_screenshots: true}\n"

// dated puts days into rich, so that its exception holds today.
func dated(text string) string {
	today := time.Now().UTC()
	return strings.NewReplacer("FROM", today.AddDate(0, 0, -2).Format(time.DateOnly), "TO", today.AddDate(0, 0, 20).Format(time.DateOnly)).Replace(text)
}

// staffWorld is a server with a policy in force, or with none where text is empty.
func staffWorld(t *testing.T, text string) *world {
	t.Helper()
	w := newWorld(t)
	if text != "" {
		_, err := w.policies.Publish(w.system(), []byte(dated(text)))
		w.must(err)
	}
	return w
}

// staffURL is the address of the page of such a server.
func staffURL(t *testing.T, text string) string {
	t.Helper()
	return staffWorld(t, text).url + "/staff"
}

// in asks for a page as a browser that prefers languages.
func (v *visitor) in(path, languages string) answer {
	v.w.t.Helper()
	r, err := http.NewRequestWithContext(v.w.t.Context(), http.MethodGet, v.w.url+path, nil)
	v.w.must(err)
	r.Header.Set("Accept-Language", languages)
	return v.do(r)
}

func TestStaffPage(t *testing.T) {
	t.Parallel()
	w := staffWorld(t, rich)
	a := w.visitor().get("/staff")
	a.want(t, 200, "Messaging apps at work – St Example’s Hospital",
		"Messages about patients go through Ward Messenger and the rota through Rota", "Read the rest Patients and families",
		"Ward Messenger For: Messages between clinical staff about patients in their care Kept: 30 days on the phone",
		"iPhone, iPad Comes by itself once the phone is set up for work. Press Install if the phone asks. Ward Messenger in the App Store",
		"Android Comes by itself once the phone is set up for work. Ward Messenger on Google Play", "Windows Ask IT support.",
		"Android Open the Play store on the work side of the phone and install it.", "Mac Comes by itself once the Mac is set up for work.", "Linux Ask IT support.",
		"In a browser rota.example.org", "These are kept off work phones and computers: WhatsApp", "others", "Their web versions are kept off too, where the device allows it.",
		"On your own phone they are not for work either", "may lose its access to the work apps", "90 days at most", "Ask information governance before you use it",
		"Report it at once. Call 020 7946 0000 .", "From the policy “Messaging at St Example’s”, version 1.", "!St Example’s Hospital has no policy", "!The rest of this page is in English")
	for _, want := range []string{
		`href="https://apps.apple.com/app/id1234567890"`, `href="https://play.google.com/store/apps/details?id=org.example.wardmessenger"`,
		`href="https://rota.example.org/"`, `href="tel:02079460000"`, `<div lang="en">`,
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if n := strings.Count(a.body, "<li>WhatsApp</li>"); n != 1 {
		t.Errorf("WhatsApp is named %d times, want once", n)
	}
	if n := strings.Count(a.body, "in the App Store</a>"); n != 1 {
		t.Errorf("%d links lead to the App Store, want one: an app without a number has no page there", n)
	}
}

// TestStaffPageNamesNobody: neither who asked for an exception, approved it or answers
// for an app, nor who looks.
func TestStaffPageNamesNobody(t *testing.T) {
	t.Parallel()
	w := staffWorld(t, rich)
	v := w.signedIn(w.person("Maud Ellery", ward.RoleSupport, ward.RoleApprover))
	v.get("/devices").want(t, 200, "Maud Ellery")
	for name, a := range map[string]answer{"a visitor's": w.visitor().get("/staff"), "a person's": v.get("/staff")} {
		for _, secret := range []string{"Patricia", "patricia", "Aldous", "Rhoda", "Ophelia", "EX-SECRET", "DPIA-", "A family abroad", "Maud", "/devices", "Sign out"} {
			if strings.Contains(a.body, secret) {
				t.Errorf("%s page has %q", name, secret)
			}
		}
		if got := a.header.Values("Cache-Control"); len(got) == 0 || got[0] != "private, max-age=60" {
			t.Errorf("%s page has Cache-Control %q, want a minute and no shared cache", name, got)
		}
		if vary := strings.Join(a.header.Values("Vary"), ", "); !strings.Contains(vary, "Accept-Language") {
			t.Errorf("%s page varies by %q, want the language among it", name, vary)
		}
	}
	if got := w.visitor().get("/staff").header.Get("Set-Cookie"); got != "" {
		t.Errorf("a visitor gets the cookie %q, want none", got)
	}
	v.get("/devices").want(t, 200, "Maud Ellery") // the session goes on
}

func TestStaffPageLanguages(t *testing.T) {
	t.Parallel()
	w := staffWorld(t, rich)
	const en, cy, pl = "Messages about patients go through", "Mae negeseuon am gleifion", "Wiadomości o pacjentach"
	for _, tt := range []struct{ name, path, accept, lang, words string }{
		{"nothing said", "/staff", "", "en", en},
		{"Welsh first", "/staff", "cy-GB,cy;q=0.9,en;q=0.8", "cy", cy},
		{"English first", "/staff", "en-GB,en;q=0.9,cy;q=0.8", "en", en},
		{"one that is not there", "/staff", "de-DE,pl;q=0.5,en;q=0.2", "pl", pl},
		{"none that is there", "/staff", "de-DE,de", "en", en},
		{"asked for", "/staff?lang=cy", "en-GB", "cy", cy},
		{"English asked for", "/staff?lang=en", "cy", "en", en},
		{"one that nobody wrote asked for", "/staff?lang=tlh", "pl", "pl", pl},
		{"an injection asked for", "/staff?lang=%22%3E%3Cscript%3E", "", "en", en},
		{"a header that is none", "/staff?x", "x;;;q=", "en", en},
	} {
		a := w.visitor().in(tt.path, tt.accept)
		a.want(t, 200, "English Cymraeg polski "+tt.words)
		notice := ""
		if m := regexp.MustCompile(`<div lang="([^"]*)">\s*<p>` + regexp.QuoteMeta(tt.words)).FindStringSubmatch(html.UnescapeString(a.body)); m != nil {
			notice = m[1]
		}
		if notice != tt.lang {
			t.Errorf("%s: the notice is marked as %q, want %q", tt.name, notice, tt.lang)
		}
		if !strings.Contains(a.body, `<html lang="en-GB">`) || !strings.Contains(a.body, `hreflang="`+tt.lang+`" aria-current="true"`) {
			t.Errorf("%s: the page is not marked as English with %s chosen", tt.name, tt.lang)
		}
		if foreign := strings.Contains(a.text(), "The rest of this page is in English."); foreign != (tt.lang != "en") {
			t.Errorf("%s: the page says that the rest is in English: %v", tt.name, foreign)
		}
	}
}

// TestStaffPageStates: no policy, one that says little, an allow list, and groups that
// tell work phones and people's own apart.
func TestStaffPageStates(t *testing.T) {
	t.Parallel()
	const groups = `
name: Two kinds
notice: Ask before you write.
approved: [{name: Chat, ios: {bundle_id: org.example.chat, app_store_id: 5}, purpose: p, owner: o, dpia: d, retention: r, review_by: 2099-01-01}]
block: {mode: allow-list, apps: [whatsapp, signal, telegram], web: true}
groups:
  - name: Own
    match: {ownership: personal}
    notice: {en: Your own phone stays your own., cy: Eich ffôn chi yw eich ffôn chi.}
    block: {mode: deny-list, except: [signal]}
    posture: {blocked_app: {severity: none}}
  - name: Ward 7
    match: {ward: Ward 7}
    notice: Only for ward 7.
    block: {apps: [viber]}
lost: {phone: 020 7946 0000 ext 5}
`
	for _, tt := range []struct {
		name, policy string
		words        []string
	}{
		{"no policy", "", []string{
			"St Example’s Hospital has no policy in force yet", "ask IT support", "Report it at once. Tell IT support.", "What St Example’s Hospital can see on your own phone",
			"!What to use", "!kept off work phones", "!From the policy",
		}},
		{"little", bare, []string{
			"No app is approved yet.", "Nothing is kept off work phones.", "Nothing is kept off your own phone.", "Tell IT support.", "!can’t do without", "!The notice at the top", "!no policy in force",
		}},
		{"groups", groups, []string{
			"On a work phone Ask before you write. On your own phone Your own phone stays your own.", "English Cymraeg",
			"only the approved apps open, and those that the device needs. Everything else is kept off, and these above all: WhatsApp Telegram Signal",
			"On your own phone these are not for work. What you install for yourself is not switched off. WhatsApp Telegram If you",
			"Call 020 7946 0000 ext 5.", "!Viber", "!ward 7", "!may lose its access", "!others",
		}},
	} {
		a := staffWorld(t, tt.policy).visitor().get("/staff")
		a.want(t, 200, tt.words...)
		if tt.name == "groups" && strings.Contains(a.body, "tel:") {
			t.Error("a number with words in it can't be tapped, and the page has a link")
		}
	}
}

// TestStaffPageTracksPublication: the page tells the version that is in force.
func TestStaffPageTracksPublication(t *testing.T) {
	t.Parallel()
	w := staffWorld(t, "")
	v := w.visitor()
	v.get("/staff").want(t, 200, "no policy in force yet")
	_, err := w.policies.Publish(w.system(), []byte(strings.Replace(bare, "Bare", "First", 1)))
	w.must(err)
	v.get("/staff").want(t, 200, "From the policy “First”, version 1.")
	_, err = w.policies.Publish(w.system(), []byte(strings.Replace(bare, "Bare", "Second", 1)))
	w.must(err)
	v.get("/staff").want(t, 200, "From the policy “Second”, version 2.", "!First")
}

// TestStaffPageEscapes: a policy's words are words.
func TestStaffPageEscapes(t *testing.T) {
	t.Parallel()
	a := staffWorld(t, `{name: "<b>N</b>", notice: "<script>alert(1)</script>", containment: {no_screenshots: true}, lost: {phone: "<i>5</i>"}}`).visitor().get("/staff")
	for _, bad := range []string{"<b>N", "<script>alert", "<i>5"} {
		if strings.Contains(a.body, bad) {
			t.Errorf("the page has %s", bad)
		}
	}
}

// TestStaffPageSaysWhatEnrolmentSaid: what staff were told when they enrolled stands on
// the page word for word.
func TestStaffPageSaysWhatEnrolmentSaid(t *testing.T) {
	t.Parallel()
	w := staffWorld(t, rich)
	items := regexp.MustCompile(`(?s)<li>(.*?)</li>`)
	list := func(body, from, to string) (out []string) {
		_, body, _ = strings.Cut(body, from)
		body, _, _ = strings.Cut(body, to)
		for _, m := range items.FindAllStringSubmatch(body, -1) {
			out = append(out, html.UnescapeString(m[1]))
		}
		return out
	}
	page := w.visitor().get("/staff").body
	for _, tt := range []struct {
		id        string
		ownership ward.Ownership
	}{{"workphone-h", ward.Corporate}, {"ownphone-h", ward.Personal}} {
		i := enrollment.Invitation{ID: "inv-1", Name: "Asha", Ownership: tt.ownership, Supervised: tt.ownership == ward.Corporate, Created: w.now(), Expires: w.now().Add(time.Hour)}
		rec := httptest.NewRecorder()
		w.web.EnrolPage(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/invite/x", nil), web.EnrolView{Invitation: i, URL: "https://ward.example.nhs.uk/invite/x"})
		want := list(rec.Body.String(), `id="sees-h"`, "</html>")
		if len(want) < 9 {
			t.Fatalf("the enrolment page has %d promises, want at least 9", len(want))
		}
		if diff := cmp.Diff(want, list(page, `id="`+tt.id+`"`, "</section>")); diff != "" {
			t.Errorf("what the page for staff says of %s phones mismatches the enrolment page (-enrolment +staff):\n%s", tt.ownership, diff)
		}
	}
}
