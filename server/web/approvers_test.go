package web_test

import (
	"html"
	"net/url"
	"regexp"
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/approver/approvertest"
)

func unescape(s string) string { return html.UnescapeString(s) }

// invite has an administrator invite somebody, and returns the path of the link.
func (v *visitor) invite(p access.Person, subject string) string {
	v.w.t.Helper()
	page := v.post("/approvers", url.Values{"person": {string(p.ID)}, "subject": {subject}})
	link := regexp.MustCompile(`https://ward\.example\.nhs\.uk(/approver/[^"<]+)`).FindStringSubmatch(page.body)
	if link == nil {
		v.w.t.Fatalf("the page has no link: %d %s", page.status, page.text())
	}
	return link[1]
}

func TestApprovers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root := w.signedIn(w.person("Root", ward.RoleAdmin))
	ada, ben, cyd := w.person("Ada Byron", ward.RoleApprover), w.person("Ben Carter", ward.RoleApprover), w.person("Cyd Dean", ward.RoleSupport)
	root.get("/approvers").want(t, 200, "Nobody can sign an order yet", "ward approver trust", "A care home with one administrator", "from outside", "There is no sealed key")
	root.post("/approvers", nil).want(t, 400, "There is a problem", "Choose whom you invite")

	keys := w.seed(ada, ben)
	first, second := w.signedIn(ada), w.signedIn(ben)
	link := root.invite(cyd, "staff 77")
	first.get(link).want(t, 403, "This link does not work")
	w.visitor().get(link).to(t, "/signin?next="+url.QueryEscape(link))
	third := w.signedIn(cyd)
	page := third.get(link)
	page.want(t, 200, "Become an approver", "This browser runs no scripts")
	third.post(link, nil).want(t, 400, "No passkey was made")
	third.post(link, url.Values{"response": {"nonsense"}}).want(t, 400, "There is a problem")
	key, err := approvertest.New("localhost", w.url)
	w.must(err)
	made, err := key.Create([]byte(third.get(link).attribute("data-ask")))
	w.must(err)
	third.post(link, url.Values{"response": {string(made)}}).to(t, "/")
	third.get("/devices").want(t, 200, "Your passkey is registered")

	list, err := w.approvers.List(t.Context())
	w.must(err)
	id := list[len(list)-1].ID
	root.get("/approvers").want(t, 200, "Cyd Dean", "Waits for 2 vouches", "staff 77", "!Vouch for Cyd")
	vouch := func(v *visitor, p *approvertest.Person) answer {
		ask := v.post("/approvers/"+id+"/vouch", nil)
		ask.want(t, 200, "Vouch for", "Cyd Dean", "face to face")
		response, err := p.Passkey.Sign([]byte(ask.attribute("data-ask")))
		w.must(err)
		return v.post("/approvers/"+id+"/vouch", url.Values{"response": {string(response)}})
	}
	first.get("/approvers").want(t, 200, "Vouch for Cyd Dean")
	vouch(first, keys[0]).to(t, "/approvers")
	first.get("/approvers").want(t, 200, "You have vouched for Cyd Dean", "Waits for 1 vouch", "!Vouch for Cyd")
	second.post("/approvers/"+id+"/vouch", url.Values{"response": {"nonsense"}}).want(t, 400, "There is a problem")
	vouch(second, keys[1]).to(t, "/approvers")
	second.get("/approvers").want(t, 200, "Vouched for by Ada Byron and Ben Carter", "lacks the role")
	if s, err := w.approvers.ByPerson(t.Context(), cyd.ID); err != nil || s.ID != id {
		t.Errorf("ByPerson = %v, %v", s.ID, err)
	}
	root.post("/approvers/apr-none/vouch", nil).want(t, 404)
	root.post("/approvers/"+id+"/vouch", nil).want(t, 403)
	second.post("/approvers/"+id+"/end", url.Values{"note": {"x"}}).want(t, 403)
	root.post("/approvers/"+id+"/end", nil).want(t, 400, "There is a problem")
	root.post("/approvers/"+id+"/end", url.Values{"note": {"Left."}}).to(t, "/approvers")
	root.get("/approvers").want(t, 200, "Ended")
	if _, err := w.approvers.ByPerson(t.Context(), cyd.ID); ward.KindOf(err) != ward.NotFound {
		t.Errorf("ByPerson = %v, want NotFound", err)
	}
}
