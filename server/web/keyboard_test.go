package web_test

import (
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/wardmdm/ward"
)

// at has somebody sit down at a wide screen and open a page.
func (d *desk) at(v *visitor, path string) {
	d.t.Helper()
	d.must(visit(d.ctx, network.ClearBrowserCookies(), d.cookies(v, sight{}), device(1280, 800, "light"), chromedp.Navigate(d.url+path), loaded()))
}

// focused tells what has the focus: the words by which it is announced, and whether one sees
// that it has.
const focused = `(() => {
	const e = document.activeElement, style = getComputedStyle(e);
	const words = e.getAttribute("aria-label") || (e.labels && e.labels.length ? e.labels[0].textContent : "") || e.textContent || e.value || "";
	return {words: words.replace(/\s+/g, " ").trim(), seen: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0 || style.boxShadow !== "none"};
})()`

// reach presses the tabulator until what begins with the words has the focus, which one must see
// wherever it goes.
func (d *desk) reach(words string) {
	d.t.Helper()
	var all []string
	for range 150 {
		var f struct {
			Words string `json:"words"`
			Seen  bool   `json:"seen"`
		}
		d.run(chromedp.KeyEvent(kb.Tab), chromedp.Evaluate(focused, &f))
		if !f.Seen {
			d.t.Errorf("one does not see that %q has the focus", f.Words)
		}
		if strings.HasPrefix(f.Words, words) {
			return
		}
		all = append(all, f.Words)
	}
	d.t.Fatalf("the tabulator does not lead to %q, but to %q", words, all)
}

// follow reaches what begins with the words, presses Enter, and waits for the page with the
// others.
func (d *desk) follow(words, then string) {
	d.t.Helper()
	d.reach(words)
	d.run(chromedp.KeyEvent(kb.Enter))
	d.sees(then)
}

// fill reaches a field and types into it.
func (d *desk) fill(label, text string) {
	d.t.Helper()
	d.reach(label)
	d.run(chromedp.KeyEvent(text))
}

// TestKeyboardTasks does the main tasks of the help desk and of the information-governance lead
// at a wide screen without a mouse: find why a phone is red and lock it, report another lost,
// invite somebody, ask who had an app, take a list away. That orders are signed so is in
// TestKeyboard.
func TestKeyboardTasks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := newDesk(t, w)
	maud := w.person("Maud Ellery", ward.RoleAdmin, ward.RoleSupport, ward.RoleGovern)
	w.fleet(maud)
	v := w.signedIn(maud)

	d.at(v, "/")
	d.follow("Skip to main content", "Overview")
	d.at(v, "/devices")
	d.follow("Non-compliant", "Non-compliant")
	d.follow("Ben’s iPhone", "Has WhatsApp")
	d.follow("Lock", "The screen locks as soon as the device is reached")
	d.fill("Message on the screen", "Ring extension 4000")
	d.follow("Lock now", "The lock is queued")
	var sent int
	list, err := w.posture.Show(w.system(), "dev-01")
	w.must(err)
	for _, c := range list.Commands {
		if c.RequestType == "DeviceLock" {
			sent++
		}
	}
	if sent != 1 {
		t.Errorf("%d locks were queued, want one", sent)
	}

	d.at(v, "/devices/dev-03")
	d.follow("Report lost", "What happened?")
	d.fill("Where was it last?", "Bus 38")
	d.follow("Report lost and lock now", "Its app certificates are revoked")
	c, err := w.lost.OpenCase(t.Context(), "dev-03")
	w.must(err)
	if c.LastSeenWhere != "Bus 38" {
		t.Errorf("the report says it was last at %q", c.LastSeenWhere)
	}

	d.at(v, "/enrolment")
	d.follow("Invite", "They get a link")
	d.fill("Name", "Efua Mensah")
	d.follow("Make the invitation", "once")

	d.at(v, "/evidence/question")
	d.fill("App", "WhatsApp")
	d.follow("Answer", "WhatsApp")
}
