package web_test

import (
	"net/url"
	"regexp"
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/lost"
)

func TestLostByCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish()
	w.enrol(phone{Device: ward.Device{ID: "dev-1", Name: "Asha’s iPhone", Owner: "Asha Rao", Email: "asha@example.org", Ownership: ward.Corporate}, supervised: true})
	w.enrol(phone{Device: ward.Device{ID: "dev-2", Name: "Asha’s iPad", Owner: "Asha Rao", Email: "asha@example.org", Ownership: ward.Corporate}, supervised: true})
	maud := w.signedIn(w.person("Maud Ellery", ward.RoleSupport))
	sheet := maud.post("/devices/dev-1/recovery-code", nil)
	sheet.want(t, 200, "Recovery code of Asha Rao", "https://ward.example.nhs.uk/lost", "shown this once", "The code that they had before is void")
	code := regexp.MustCompile(`<code>([2-9A-Z-]{24})</code>`).FindStringSubmatch(sheet.body)
	if code == nil {
		t.Fatalf("the sheet has no code: %s", sheet.text())
	}
	v := w.visitor()
	v.get("/signin").want(t, 200, "Lost your phone or had it stolen?")
	v.get("/lost").want(t, 200, "Your recovery code", "Call 020 7946 0000 at once", "!Which device is missing")
	v.post("/lost", url.Values{"code": {"ABCD-EFGH"}}).want(t, 404, "There is a problem", "This recovery code is not known")
	form := url.Values{"code": {code[1]}}
	v.post("/lost", form).want(t, 200, "Which device is missing?", "Asha’s iPhone", "Asha’s iPad", "the device is locked as soon as it is reached", "!How do you know who reports it")
	form.Set("step", "report")
	v.post("/lost", form).want(t, 400, "Tick which device is missing")
	form.Set("device", "dev-1")
	form.Set("kind", "stolen")
	form.Set("unlocked", "yes")
	form.Set("when", "tomorrow")
	v.post("/lost", form).want(t, 400, "Give the date and the time")
	form.Del("when")
	told := v.post("/lost", form)
	c, err := w.lost.OpenCase(t.Context(), "dev-1")
	w.must(err)
	told.want(t, 200, "You have reported it", "Asha’s iPhone", "its access to the work apps is revoked", "nobody can say that it is", "Reference")
	if c.Identified != lost.ByCode || c.Kind != lost.Stolen || c.WasUnlocked != lost.Yes || c.ReportedName != "Asha Rao" {
		t.Errorf("case = %+v", c)
	}
	form.Set("device", "dev-9")
	v.post("/lost", form).want(t, 403, "There is a problem")
	for range 30 {
		v.post("/lost", url.Values{"code": {"ABCD-EFGH"}})
	}
	v.post("/lost", url.Values{"code": {"ABCD-EFGH"}}).want(t, 503, "There is a problem", "Too many recovery codes")
}

func TestRecoveryByLink(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol(phone{Device: ward.Device{ID: "dev-1", Name: "Asha’s iPhone", Owner: "Asha Rao", Ownership: ward.Corporate}})
	w.files.device = "dev-1"
	v := w.visitor()
	v.get("/recovery/other").want(t, 410, "This link gives no recovery code")
	for range 2 { // whoever previews the link burns nothing
		v.get("/recovery/used-link").want(t, 200, "Get your recovery code", "Asha’s iPhone")
	}
	v.post("/recovery/used-link", nil).want(t, 200, "Recovery code of Asha Rao", "Print this page now", "!The code that they had before")
	v.post("/recovery/used-link", nil).want(t, 410, "This link gives no recovery code")
}

func TestSeveralAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish()
	maud := w.person("Maud Ellery", ward.RoleSupport)
	for _, id := range []ward.DeviceID{"dev-1", "dev-2"} {
		w.enrol(phone{Device: ward.Device{ID: id, Name: "Phone " + string(id), Ownership: ward.Corporate}, supervised: true})
	}
	v := w.signedIn(maud)
	v.get("/devices").want(t, 200, "Report the ticked lost")
	v.get("/lost/new").want(t, 400, "Tick the devices that are missing first")
	v.get("/lost/new?device=dev-1&device=dev-2").want(t, 200, "Report 2 devices lost", "Phone dev-1", "Phone dev-2", "How do you know who reports it")
	v.post("/lost/new", url.Values{"device": {"dev-1", "dev-2"}, "kind": {"stolen"}, "identified": {"showed her badge"}}).to(t, "/cases")
	v.get("/cases").want(t, 200, "2 devices reported", "Phone dev-1", "Phone dev-2", "Stolen")
	v.get("/cases?state=closed").want(t, 200, "No such case")
	v.get("/cases?state=purple").want(t, 404)
	w.signedIn(w.person("Ada", ward.RoleApprover)).get("/devices").want(t, 200, "!Report the ticked ones")
}

func TestDrills(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish()
	maud := w.person("Maud Ellery", ward.RoleSupport)
	w.enrol(phone{Device: ward.Device{ID: "dev-1", Serial: "SER1", Name: "Asha’s iPhone", Ownership: ward.Corporate}, supervised: true})
	v := w.signedIn(maud)
	v.get("/drills").want(t, 200, "A rehearsal is due now", "There was none so far")
	v.post("/drills", url.Values{"word": {"SER9"}}).want(t, 400, "There is a problem")
	v.post("/drills", url.Values{"word": {"SER1"}}).to(t, "/lost/new?drill=1&device=dev-1")
	v.get("/lost/new?drill=1&device=dev-1").want(t, 200, "Rehearse the loss of Asha’s iPhone", "Nothing is sent to the device")
	done := v.post("/lost/new", url.Values{"device": {"dev-1"}, "drill": {"dry"}})
	v.get(done.location).want(t, 200, "Rehearsed. Nothing was sent", "A rehearsal.", "!Cases 1 open")
	v.get("/drills").want(t, 200, "Asha’s iPhone", "What would have been done", "!is due now")
	if _, err := w.lost.OpenCase(t.Context(), "dev-1"); ward.KindOf(err) != ward.NotFound {
		t.Errorf("OpenCase = %v, want NotFound", err)
	}
}

func TestCase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish()
	maud, gov := w.person("Maud Ellery", ward.RoleSupport), w.signedIn(w.person("Gwen Ito", ward.RoleGovern))
	w.enrol(phone{Device: ward.Device{ID: "dev-1", Name: "Asha’s iPhone", Ownership: ward.Corporate}, supervised: true})
	c := w.report(maud, "dev-1")
	k := "/cases/" + string(c.ID)
	v := w.signedIn(maud)
	v.get("/cases/none").want(t, 404)
	gov.get(k).want(t, 200, "72 hours", "risk suggested", "Your decision", "!Play a sound", "!Show where it was")
	v.post(k+"/decide", url.Values{"reportable": {"no"}, "reasoning": {"x"}}).want(t, 403)
	gov.post(k+"/decide", url.Values{"reasoning": {"Encrypted."}}).want(t, 400, "Say whether the loss is to be reported", "Encrypted.")
	gov.post(k+"/decide", url.Values{"reportable": {"no"}}).want(t, 400, "Give your reasons")
	gov.post(k+"/aware", url.Values{"at": {"then"}, "why": {"x"}}).want(t, 400, "Give the date and the time")
	gov.post(k+"/aware", url.Values{"at": {w.now().AddDate(0, 0, -1).Format("2006-01-02T15:04")}, "why": {"The ward knew."}}).to(t, k)
	gov.get(k).want(t, 200, "47 hours left")
	gov.post(k+"/decide", url.Values{"reportable": {"no"}, "reasoning": {"Encrypted, locked."}, "reference": {"INC-7"}}).to(t, k)
	gov.get(k).want(t, 200, "Your decision is kept", "Encrypted, locked.", "INC-7", "Gwen Ito", "Decided: see")

	v.get("/orders/new?kind=erase&case="+string(c.ID)).want(t, 200, "dev-1", "stolen, not found", "!Return to Service", "!A campaign")
	form := url.Values{"kind": {"erase"}, "case": {string(c.ID)}, "devices": {"dev-1"}, "note": {"Stolen."}, "step": {"ask"}}
	o := v.post("/orders/new", form)
	v.get(k).want(t, 200, "See the erase that waits", "Erase Asha’s iPhone")
	v.get(o.location).want(t, 200, "The device was reported lost")
	pdf := v.get(k + "/file/pdf")
	pdf.want(t, 200, "%PDF")
	if got, want := pdf.header.Get("Content-Disposition"), `attachment; filename="ward-`+string(c.ID)+`.pdf"`; got != want {
		t.Errorf("Content-Disposition = %q, want %q", got, want)
	}
	v.get(k+"/file/json").want(t, 200)
	v.get(k+"/file/p7s").want(t, 404)
	v.post(k+"/close", url.Values{"note": {"Give up."}}).want(t, 409, "There is a problem")
	v.post(k+"/found", url.Values{"note": {"In the laundry."}}).to(t, k)
	v.get(o.location).want(t, 200, "Cancelled")
	v.post(k+"/close", url.Values{"note": {"Done."}}).to(t, k)
	v.get(k).want(t, 200, "Closed", "In the laundry", "!End the case")
}

func TestMacPIN(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add(ward.Device{ID: "mac-1", Name: "Ward Mac", Ownership: ward.Corporate})
	v := w.signedIn(w.person("Maud Ellery", ward.RoleSupport))
	v.post("/devices/mac-1/pin", nil).want(t, 200, "042137", "That you looked is recorded")
	v.post("/devices/dev-1/pin", nil).want(t, 404)
	w.signedIn(w.person("Ada", ward.RoleApprover)).post("/devices/mac-1/pin", nil).want(t, 403)
	if w.files.looks != 1 {
		t.Errorf("looks = %d, want 1", w.files.looks)
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol(phone{Device: ward.Device{ID: "dev-1", Name: "Asha’s iPhone", Ownership: ward.Corporate}})
	w.enrol(phone{Device: ward.Device{ID: "dev-2", Name: "Ben’s iPhone", Ownership: ward.Corporate}, supervised: true})
	v := w.signedIn(w.person("Maud Ellery", ward.RoleSupport))
	v.get("/devices/dev-1/restart").want(t, 200, "Restart now")
	v.post("/devices/dev-1/restart", nil).want(t, 409, "There is a problem", "not supervised")
	v.post("/devices/dev-2/restart", nil).to(t, "/devices/dev-2")
	v.get("/devices/dev-2").want(t, 200, "The restart is queued")
}
