package web_test

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/approver/approvertest"
	"github.com/wardmdm/ward/server/order"
)

// sign has a person sign an order on its page, as the script does with a passkey.
func (v *visitor) sign(p *approvertest.Person, o string) answer {
	v.w.t.Helper()
	page := v.post(o+"/sign", nil)
	ask, hash := page.attribute("data-ask"), page.attribute(`name="hash" value`)
	if ask == "" || hash == "" {
		return page
	}
	response, err := p.Passkey.Sign([]byte(ask))
	v.w.must(err)
	return v.post(o+"/approve", url.Values{"hash": {hash}, "response": {string(response)}})
}

// attribute is the value behind a name in the page, "" if there is none.
func (a answer) attribute(name string) string {
	m := regexp.MustCompile(regexp.QuoteMeta(name) + `="([^"]*)"`).FindStringSubmatch(a.body)
	if m == nil {
		return ""
	}
	return unescape(m[1])
}

func (w *world) ask(by access.Person, q order.Request) string {
	w.t.Helper()
	o, err := w.orders.Request(w.as(by), q)
	w.must(err)
	return "/orders/" + string(o.ID)
}

func TestErase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	maud := w.person("Maud Ellery", ward.RoleSupport)
	ada, ben := w.person("Ada Byron", ward.RoleApprover), w.person("Ben Carter", ward.RoleApprover)
	keys := w.seed(ada, ben)
	p := phone{Device: ward.Device{ID: "dev-1", Serial: "SER1", Name: "Asha’s iPhone", Ownership: ward.Corporate, Site: "North"}, supervised: true}
	e := w.enrol(p)
	w.report(maud, "dev-1") // else the order would cool
	w.enrol(phone{Device: ward.Device{ID: "dev-2", Name: "Own phone", Ownership: ward.Personal}})
	v := w.signedIn(maud)
	v.get("/orders/new?device=dev-1").want(t, 200, "Erase", "Clear the passcode", "!Lift the brake")
	v.get("/orders/new?kind=erase&device=dev-1").want(t, 200, "can’t be undone", "Keep the mobile data plan")
	v.get("/orders/new?kind=polish").want(t, 404)
	form := url.Values{"kind": {"erase"}, "devices": {"SER1\ndev-2"}, "keep_plan": {"yes"}}
	v.post("/orders/new", form).want(t, 400, "There is a problem", "needs a reason")
	form.Set("note", "Left on a train.")
	v.post("/orders/new", form).want(t, 200, "Before you ask", "1 device", "Asha’s iPhone", "North: 1", "In use within the hour 1", "Left out Own phone: personal", "The brake lets 3 more through now", "Ask for exactly this")
	bad := url.Values{"kind": {"erase"}, "devices": {"SER9"}, "note": {"x"}}
	v.post("/orders/new", bad).want(t, 400, "There is a problem", "SER9")
	bad.Set("devices", "dev-2")
	v.post("/orders/new", bad).want(t, 200, "No device is left", "!Ask for exactly this")
	form.Set("step", "ask")
	asked := v.post("/orders/new", form)
	if asked.status != 303 || !strings.HasPrefix(asked.location, "/orders/") {
		t.Fatalf("asking = %d to %q: %s", asked.status, asked.location, asked.text())
	}
	o := asked.location
	v.get(o).want(t, 200, "Signed 0 of 2", "Waits for two signatures", "Left on a train.", "Keep the mobile data plan", "You can’t sign it: you are not an approver", "2 approvers", "!Go on to sign", "Cancel this order")
	v.post(o+"/sign", nil).want(t, 403)
	v.post(o+"/approve", nil).want(t, 403)

	first, second := w.signedIn(ada), w.signedIn(ben)
	first.get("/devices").want(t, 200, "Orders 1 waiting for signatures")
	first.get(o).want(t, 200, "Who may sign Ada Byron, Ben Carter", "Go on to sign", "Refuse")
	first.post(o+"/sign", nil).want(t, 200, "You are about to sign", "Erase Asha’s iPhone", "1 device", "Left on a train.", "first signature", "This browser runs no scripts")
	first.post(o+"/approve", nil).want(t, 400, "No passkey signed")
	first.sign(keys[0], o).to(t, o)
	first.get(o).want(t, 200, "You have signed it.", "Signed 1 of 2", "Another person has to sign it too", "Who may sign Ben Carter", "!Go on to sign")
	first.post(o+"/sign", nil).want(t, 409, "There is a problem", "You have signed this order already")
	second.post(o+"/sign", nil).want(t, 200, "second signature")
	second.sign(keys[1], o).to(t, o)
	second.get(o).want(t, 200, "Approved", "Ada Byron", "Ben Carter", "Queued; the device has not fetched it yet", "queued for 1 device", "!Go on to sign")
	w.checkIn(e, p)
	second.get(o).want(t, 200, "accepted by 1 device", "Accepted by the device at")
	v.post(o+"/cancel", url.Values{"note": {"Too late?"}}).want(t, 409, "There is a problem")
	second.post("/orders/none/refuse", url.Values{"note": {"no"}}).want(t, 404)
	second.get("/orders").want(t, 200, "Erase Asha’s iPhone", "Maud Ellery")
	second.get("/orders?state=expired").want(t, 200, "No such order")
	second.get("/orders?state=purple").want(t, 404)
	second.get(o+"/file/pdf").want(t, 200, "%PDF")
	second.get(o+"/file/exe").want(t, 404)
}

// TestCooling: an erase of a device in use, outside a case, waits after the second signature.
func TestCooling(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	maud := w.person("Maud Ellery", ward.RoleSupport)
	ada, ben := w.person("Ada Byron", ward.RoleApprover), w.person("Ben Carter", ward.RoleApprover)
	keys := w.seed(ada, ben)
	w.enrol(phone{Device: ward.Device{ID: "dev-1", Name: "Asha’s iPhone", Ownership: ward.Corporate}})
	o := w.ask(maud, order.Request{Kind: order.Erase, Devices: []ward.DeviceID{"dev-1"}, Reason: "Sold."})
	w.signedIn(ada).sign(keys[0], o).to(t, o)
	v := w.signedIn(ben)
	v.sign(keys[1], o).to(t, o)
	v.get(o).want(t, 200, "Cooling", "it cools until", "Nothing sent")
	mine := w.signedIn(maud)
	mine.post(o+"/cancel", url.Values{"note": {"Not that one."}}).to(t, o)
	mine.get(o).want(t, 200, "Cancelled", "Maud Ellery: Not that one.")
}

// TestOwnSignature: who asked may be one of the two.
func TestOwnSignature(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	maud, ben := w.person("Maud Ellery", ward.RoleSupport, ward.RoleApprover), w.person("Ben Carter", ward.RoleApprover)
	keys := w.seed(maud, ben)
	w.enrol(phone{Device: ward.Device{ID: "dev-1", Name: "Asha’s iPhone", Ownership: ward.Corporate}})
	o := w.ask(maud, order.Request{Kind: order.ClearPasscode, Devices: []ward.DeviceID{"dev-1"}, Reason: "Forgotten."})
	v := w.signedIn(maud)
	v.sign(keys[0], o).to(t, o)
	v.get(o).want(t, 200, "Signed 1 of 2")
	// Another order's signature is not this one's.
	other := w.ask(maud, order.Request{Kind: order.ClearPasscode, Devices: []ward.DeviceID{"dev-1"}, Reason: "Again."})
	page := w.signedIn(ben)
	ask := page.post(o+"/sign", nil)
	response, err := keys[1].Passkey.Sign([]byte(ask.attribute("data-ask")))
	w.must(err)
	kept, err := w.orders.Order(t.Context(), ward.OrderID(strings.TrimPrefix(other, "/orders/")))
	w.must(err)
	page.post(other+"/approve", url.Values{"hash": {kept.Hash}, "response": {string(response)}}).want(t, 403, "There is a problem")
	page.get(other).want(t, 200, "Signed 0 of 2")
}

func TestRefuseAndCancel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	maud, ada := w.person("Maud Ellery", ward.RoleSupport), w.person("Ada Byron", ward.RoleApprover)
	w.enrol(phone{Device: ward.Device{ID: "dev-1", Name: "Asha’s iPhone", Ownership: ward.Corporate}, supervised: true})
	ask := func() string {
		return w.ask(maud, order.Request{Kind: order.Erase, Devices: []ward.DeviceID{"dev-1"}, Reason: "Left on a train."})
	}
	v, second := w.signedIn(maud), w.signedIn(ada)
	first := ask()
	second.get(first).want(t, 200, "you are not an approver", "Nobody: there is no approver who could")
	second.post(first+"/refuse", nil).want(t, 400, "There is a problem")
	second.post(first+"/refuse", url.Values{"note": {"It is in my drawer."}}).to(t, first)
	v.get(first).want(t, 200, "Refused", "Ada Byron: It is in my drawer.")
	other := ask()
	v.post(other+"/cancel", url.Values{"note": {"Found it."}}).to(t, other)
	v.get(other).want(t, 200, "Cancelled", "Maud Ellery: Found it.")
}

// TestReturnToService sends a profile with the form, which the preview keeps.
func TestReturnToService(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	maud := w.person("Maud Ellery", ward.RoleSupport)
	w.enrol(phone{Device: ward.Device{ID: "dev-1", Name: "Asha’s iPhone", Ownership: ward.Corporate}, supervised: true})
	v := w.signedIn(maud)
	send := func(profile []byte) answer {
		var b bytes.Buffer
		m := multipart.NewWriter(&b)
		for k, x := range map[string]string{"kind": "erase", "devices": "dev-1", "note": "For the next ward.", "return": "yes", "keep_plan": "yes"} {
			w.must(m.WriteField(k, x))
		}
		f, err := m.CreateFormFile("wifi", "wifi.mobileconfig")
		w.must(err)
		_, err = f.Write(profile)
		w.must(err)
		w.must(m.Close())
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/orders/new", &b)
		w.must(err)
		r.Header.Set("Content-Type", m.FormDataContentType())
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		return v.do(r)
	}
	send(make([]byte, 70<<10)).want(t, 400, "There is a problem", "64 kilobytes")
	page := send([]byte("<plist>wifi</plist>"))
	page.want(t, 200, "Before you ask")
	asked := v.post("/orders/new", url.Values{"kind": {"erase"}, "devices": {"dev-1"}, "note": {"For the next ward."}, "return": {"yes"}, "wifi_kept": {page.attribute(`name="wifi_kept" value`)}, "step": {"ask"}})
	o, err := w.orders.Order(t.Context(), ward.OrderID(strings.TrimPrefix(asked.location, "/orders/")))
	w.must(err)
	if r := o.Options.ReturnToService; r == nil || string(r.WiFiProfile) != "<plist>wifi</plist>" || o.Options.PreserveDataPlan {
		t.Errorf("options = %+v", o.Options)
	}
	v.get(asked.location).want(t, 200, "It sets itself up again, by the Wi-Fi profile", "plan of the eSIM goes too")
}

func TestCampaign(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	maud := w.person("Maud Ellery", ward.RoleSupport)
	var words []string
	for _, id := range []ward.DeviceID{"d1", "d2", "d3", "d4", "d5", "d6", "d7", "d8", "d9", "d10", "d11"} {
		w.enrol(phone{Device: ward.Device{ID: id, Name: "Phone " + string(id), Ownership: ward.Corporate}})
		words = append(words, string(id))
	}
	v := w.signedIn(maud)
	form := url.Values{"kind": {"erase"}, "devices": {strings.Join(words, ", ")}, "note": {"Refresh."}}
	v.post("/orders/new", form).want(t, 200, "11 devices", "One order may name 10 devices at most", "!Ask for exactly this")
	form.Set("planned", "yes")
	form.Set("start", "soon")
	form.Set("per_hour", "5")
	v.post("/orders/new", form).want(t, 400, "Say when the campaign begins")
	form.Set("start", w.now().AddDate(0, 0, 3).Format("2006-01-02T15:04"))
	v.post("/orders/new", form).want(t, 200, "11 devices", "Ask for exactly this")
	form.Set("step", "ask")
	o := v.post("/orders/new", form)
	v.get(o.location).want(t, 200, "Erase 11 devices", "at most 5 devices in any hour")
	form.Set("step", "back")
	v.post("/orders/new", form).want(t, 200, "This is a campaign")
}
