package web_test

import (
	"net/url"
	"strings"
	"time"

	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/policy"
)

// ruleSights are the pages of policies, apps, the register and exceptions, as p sees them.
// The version in force is the second then, and a third is being rolled out.
func (w *world) ruleSights(p access.Person) []sight {
	_, err := w.policies.Submit(w.as(p), policy.Draft{Text: w.excepted(), Reason: "Exceptions of palliative care"})
	w.must(err)
	first := string(profiles.ExamplePolicy())
	other := strings.Replace(string(w.excepted()), "no_backup: true", "no_backup: false", 1)
	_, err = w.policies.Submit(w.as(p), policy.Draft{Text: []byte(other), Reason: "Backups again", Rings: policy.Rings{Percent: []int{10, 100}, Pause: time.Hour}})
	w.must(err)
	fewer := strings.Replace(first, "categories: [consumer-messaging]", "apps: [viber]", 1)
	then := url.QueryEscape(w.now().Format(time.RFC3339Nano))
	return []sight{
		{name: "apps", url: "/apps"},
		{name: "apps-none", url: "/apps?name=nothing"},
		{name: "app", url: "/apps/whatsapp?days=90"},
		{name: "app-nowhere", url: "/apps/signal?group=Nowhere"},
		{name: "register", url: "/register"},
		{name: "registered", url: "/register/" + url.PathEscape("Ward Messenger") + "?ready=no"},
		{name: "exceptions", url: "/exceptions"},
		{name: "exception", url: "/exceptions/EX-1"},
		{name: "exception-new", url: "/exceptions/new"},
		{name: "exception-wrong", url: "/exceptions/new", form: url.Values{"id": {"EX-4"}}},
		{name: "policies", url: "/policies"},
		{name: "policy", url: "/policies/2"},
		{name: "policy-plan", url: "/policies/plan"},
		{name: "policy-planned", url: "/policies/plan", form: url.Values{"text": {fewer}}},
		{name: "policy-wrong", url: "/policies/plan", form: url.Values{"text": {"nonsense: true\n"}}},
		{name: "explain", url: "/policies/explain?device=dev-01"},
		{name: "rollouts", url: "/rollouts"},
		{name: "drift", url: "/policies/drift?all=yes"},
		{name: "device-line", url: "/devices/dev-02?kind=commands"},
		{name: "device-past", url: "/devices/dev-01?as_of=" + then},
	}
}
