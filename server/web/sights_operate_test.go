package web_test

import (
	"net/url"
	"strconv"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/health"
)

// operateSights are the pages of enrolment, set-up, health and the audit log, as p sees them.
func (w *world) operateSights(access.Person) []sight {
	w.t.Helper()
	o := w.operate
	o.facts.Disk = health.Disk{Free: 9 << 30, Total: 100 << 30}
	o.facts.Expiries = []health.Expiry{{Name: "com.apple.mgmt.External.1", Ends: w.now().Add(20 * 24 * time.Hour), Cure: "Renew it with the Apple Account that made it: ward apns request."}}
	o.facts.Approvers = 2
	in, err := w.invitations.Create(w.system(), enrollment.Request{Name: "Ada Byron", Email: "ada@example.org", Ownership: ward.Personal, Group: "Ward 7", Site: "North"})
	w.must(err)
	_, err = w.invitations.Create(w.system(), enrollment.Request{Name: "Théodora Featherstonehaugh-Cholmondeley", Ownership: ward.Corporate, Group: "Theatres", Site: "Royal Infirmary"})
	w.must(err)
	_, err = w.audit.Sequence(w.system())
	w.must(err)
	_, err = o.watch.Verify(w.system())
	w.must(err)
	list, err := w.audit.List(w.t.Context(), audit.Filter{Action: "device.lost", Limit: 1})
	w.must(err)
	entry := "/audit/" + strconv.FormatInt(list[0].ID, 10)
	table := "name,ownership,email\nAda Byron,corporate,ada@example.org\nBen,rented,ben@example.org\nCleo,personal,no address\n"
	return []sight{
		{name: "enrolment", url: "/enrolment"},
		{name: "enrolment-none", url: "/enrolment?q=nobody"},
		{name: "enrolment-new", url: "/enrolment/new"},
		{name: "enrolment-new-wrong", url: "/enrolment/new", form: url.Values{"name": {""}, "email": {"nonsense"}, "platform": {"ios"}, "hours": {"168"}}},
		{name: "enrolment-made", url: "/enrolment/new", form: url.Values{"name": {"Efua Mensah"}, "ownership": {"corporate"}, "platform": {"ios"}, "hours": {"168"}}},
		{name: "enrolment-import", url: "/enrolment/import"},
		{name: "enrolment-import-wrong", url: "/enrolment/import", form: url.Values{"table": {table}}},
		{name: "enrolment-sheet", url: "/enrolment/sheets", form: url.Values{"token": {in.Token}}},
		{name: "enrolment-one", url: "/enrolment/" + in.ID},
		{name: "enrolment-print", url: "/enrolment/" + in.ID + "/print"},
		{name: "setup", url: "/setup"},
		{name: "health", url: "/health"},
		{name: "audit", url: "/audit"},
		{name: "audit-none", url: "/audit?from=2001-01-01&until=2001-01-02"},
		{name: "audit-entry", url: entry},
		{name: "audit-verify", url: "/audit/verify"},
		{name: "texts", url: "/settings/templates"},
		{name: "routing", url: "/settings/notifications"},
		{name: "mine", url: "/mine"},
		{name: "mine-lost", url: "/mine/dev-03/lost"},
	}
}
