package web_test

import (
	"net/url"

	"github.com/wardmdm/ward/server/access"
)

// evidenceSights are the pages of reports and packs, as p sees them.
func (w *world) evidenceSights(access.Person) []sight {
	return []sight{
		{name: "evidence", url: "/evidence"},
		{name: "evidence-board", url: "/evidence/board"},
		{name: "evidence-dspt", url: "/evidence/dspt"},
		{name: "evidence-cyber-essentials", url: "/evidence/cyber-essentials"},
		{name: "evidence-foi", url: "/evidence/foi?period=" + month(w.now())},
		{name: "evidence-register", url: "/evidence/register"},
		{name: "evidence-access-review", url: "/evidence/access-review"},
		{name: "evidence-ask", url: "/evidence/question"},
		{name: "evidence-question", url: "/evidence/question?app=whatsapp"},
		{name: "evidence-subject", url: "/evidence/subject-access"},
		{name: "evidence-held", url: "/evidence/subject-access", form: url.Values{"person": {"grace@example.org"}}},
		{name: "evidence-erasure", url: "/evidence/erasure"},
		{name: "evidence-erase", url: "/evidence/erasure", form: url.Values{"person": {"grace@example.org"}}},
	}
}
