package web_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/order"
)

// desk is a browser with a passkey in software, at which people sign in in turn.
type desk struct {
	*world
	ctx context.Context
}

func newDesk(t *testing.T, w *world) *desk {
	t.Helper()
	d := &desk{w, chromium(t)}
	d.run(webauthn.Enable(), chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := webauthn.AddVirtualAuthenticator(&webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true, HasUserVerification: true,
			IsUserVerified: true, AutomaticPresenceSimulation: true,
		}).Do(ctx)
		return err
	}))
	return d
}

func (d *desk) run(actions ...chromedp.Action) {
	d.t.Helper()
	d.must(chromedp.Run(d.ctx, actions...))
}

// as has somebody sit down and open a page.
func (d *desk) as(v *visitor, path string) {
	d.t.Helper()
	d.must(visit(d.ctx, network.ClearBrowserCookies(), d.cookies(v, sight{}), device(390, 800, "light"), chromedp.Navigate(d.url+path), loaded()))
}

// press clicks the button that carries the words, and waits for the page with the others.
func (d *desk) press(button, then string) {
	d.t.Helper()
	click := `[...document.querySelectorAll("button")].find((b) => b.textContent.trim().startsWith(` + quote(button) + `)).click()`
	d.run(chromedp.Evaluate(click, nil))
	d.sees(then)
}

func (d *desk) sees(words string) {
	d.t.Helper()
	if err := chromedp.Run(d.ctx, until(`document.readyState === "complete" && document.body.innerText.includes(`+quote(words)+`)`)); err != nil {
		var text string
		d.run(chromedp.Evaluate(`document.body.innerText`, &text))
		d.t.Fatalf("the page lacks %q: %s", words, text)
	}
}

// tab presses the tabulator until what the selector names has the focus.
func (d *desk) tab(selector string) {
	d.t.Helper()
	for range 60 {
		var there bool
		d.run(chromedp.KeyEvent(kb.Tab), chromedp.Evaluate(`document.activeElement.matches(`+quote(selector)+`)`, &there))
		if there {
			return
		}
	}
	d.t.Fatalf("the tabulator does not lead to %s", selector)
}

// TestPasskeys has a browser with real WebAuthn register, vouch and approve.
func TestPasskeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := newDesk(t, w)
	root := w.signedIn(w.person("Root", ward.RoleAdmin))
	people, seats := map[string]access.Person{}, map[string]*visitor{}
	for _, name := range []string{"Ada", "Ben", "Cyd"} {
		people[name] = w.person(name, ward.RoleApprover)
		seats[name] = w.signedIn(people[name])
		d.as(seats[name], root.invite(people[name], name+"@example.org"))
		d.press("Register my passkey", "Your passkey is registered")
	}
	list, err := w.approvers.List(t.Context())
	w.must(err)
	if len(list) != 3 || list[0].State != approver.Pending {
		t.Fatalf("approvers = %+v", list)
	}
	w.must(w.approvers.Trust(ward.WithActor(t.Context(), ward.Actor{Name: "Operator", Via: ward.ViaConsole}), list[0].ID, list[1].ID))
	for _, name := range []string{"Ada", "Ben"} {
		d.as(seats[name], "/approvers")
		d.press("Vouch for Cyd", "You are about to vouch for")
		d.press("Vouch with my passkey", "You have vouched for Cyd.")
	}
	if _, err := w.approvers.ByPerson(t.Context(), people["Cyd"].ID); err != nil {
		t.Errorf("after two vouches: %v", err)
	}

	maud := w.person("Maud", ward.RoleSupport)
	w.enrol(phone{Device: ward.Device{ID: "dev-1", Name: "Asha’s iPhone", Ownership: ward.Corporate}})
	ask := func(why string) string {
		return w.ask(maud, order.Request{Kind: order.ClearPasscode, Devices: []ward.DeviceID{"dev-1"}, Reason: why})
	}
	o := ask("Forgotten.")
	d.as(seats["Cyd"], o)
	d.press("Go on to sign", "You are about to sign")
	d.press("Sign with my passkey", "You have signed it. Waits for one more signature")
	d.press("Sign out", "Name")
	d.as(seats["Ada"], o)
	d.press("Go on to sign", "Yours is the second signature")
	d.press("Sign with my passkey", "Signed by two people: queued for 1 device.")

	// What the passkey signed is not what is sent.
	one, other := ask("One."), ask("Another.")
	kept, err := w.orders.Order(t.Context(), ward.OrderID(strings.TrimPrefix(other, "/orders/")))
	w.must(err)
	d.as(seats["Ben"], one)
	d.press("Go on to sign", "You are about to sign")
	d.run(chromedp.Evaluate(fmt.Sprintf(`(() => { const form = document.querySelector("[data-passkey]"); form.action = %s; form.elements.hash.value = %s; })()`, quote(other+"/approve"), quote(kept.Hash)), nil))
	d.press("Sign with my passkey", "There is a problem")
	kept, err = w.orders.Order(t.Context(), kept.ID)
	w.must(err)
	if len(kept.Approvals) != 0 {
		t.Errorf("approvals = %+v, want none", kept.Approvals)
	}

	// A passkey that is not there is told in words.
	d.as(seats["Ben"], one)
	d.press("Go on to sign", "You are about to sign")
	d.run(chromedp.Evaluate(`navigator.credentials.get = () => Promise.reject(new DOMException("", "NotAllowedError"))`, nil))
	d.press("Sign with my passkey", "Your passkey did not answer")
}

// TestKeyboard signs an order, and reports a loss by its code, without a mouse.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := newDesk(t, w)
	root := w.signedIn(w.person("Root", ward.RoleAdmin))
	var seat *visitor
	for _, name := range []string{"Ada", "Ben"} {
		p := w.person(name, ward.RoleApprover)
		seat = w.signedIn(p)
		d.as(seat, root.invite(p, name+"@example.org"))
		d.tab(`form[data-passkey] button`)
		d.run(chromedp.KeyEvent(kb.Enter))
		d.sees("Your passkey is registered")
	}
	list, err := w.approvers.List(t.Context())
	w.must(err)
	w.must(w.approvers.Trust(ward.WithActor(t.Context(), ward.Actor{Name: "Operator", Via: ward.ViaConsole}), list[0].ID, list[1].ID))
	maud := w.person("Maud", ward.RoleSupport)
	w.enrol(phone{Device: ward.Device{ID: "dev-1", Name: "Asha’s iPhone", Owner: "Asha Rao", Ownership: ward.Corporate}, supervised: true})
	o := w.ask(maud, order.Request{Kind: order.ClearPasscode, Devices: []ward.DeviceID{"dev-1"}, Reason: "Forgotten."})
	d.as(seat, o)
	d.tab(`form[action$="/sign"] button`)
	d.run(chromedp.KeyEvent(kb.Enter))
	d.sees("You are about to sign")
	d.tab(`form[data-passkey] button`)
	d.run(chromedp.KeyEvent(kb.Enter))
	d.sees("You have signed it.")

	code, err := w.lost.MakeCode(w.as(maud), "dev-1")
	w.must(err)
	d.as(w.visitor(), "/lost")
	d.tab("#code")
	d.run(chromedp.KeyEvent(strings.ToLower(code) + kb.Enter))
	d.sees("Which device is missing?")
	d.tab(`input[name="kind"]`)
	d.run(chromedp.KeyEvent(kb.ArrowDown))
	d.tab("#where")
	d.run(chromedp.KeyEvent("Bus 72"))
	d.tab(`button[type="submit"]`)
	d.run(chromedp.KeyEvent(kb.Enter))
	d.sees("You have reported it")
	c, err := w.lost.OpenCase(t.Context(), "dev-1")
	w.must(err)
	if c.Kind != lost.Stolen || c.LastSeenWhere != "Bus 72" || c.Identified != lost.ByCode {
		t.Errorf("case = %+v", c)
	}
	var text string
	d.run(chromedp.Evaluate(`document.body.innerText`, &text))
	if !regexp.MustCompile(`Reference [A-Z2-7]{6}`).MatchString(text) {
		t.Errorf("the page lacks the reference: %s", text)
	}
}
