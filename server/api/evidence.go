package api

import (
	"context"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/evidence"
)

// Reports makes the reports that are handed out as evidence. *evidence.Service meets it.
type Reports interface {
	File(ctx context.Context, r evidence.Request) (evidence.File, error)
}

// Pack is a kind of report.
type Pack struct {
	ID    string      `json:"id"`
	Title string      `json:"title"`
	For   string      `json:"for" doc:"Whom it is for and what it answers."`
	Of    evidence.Of `json:"of" enum:"month,moment,person,app" doc:"What it needs: a period, a moment (or now), a person, or an app and a moment."`
	Whole bool        `json:"whole" doc:"It is about the whole organisation: a person who is bounded to sites or groups may not have it."`
}

// PackRequest says which report is wanted. It stands in a body and in no address, as it may
// name a person.
type PackRequest struct {
	Body struct {
		Pack   string     `json:"pack" minLength:"1" maxLength:"40" doc:"The id of a kind of report."`
		Period string     `json:"period,omitempty" maxLength:"7" doc:"A month, such as 2026-10; the last one that is over if left out."`
		AsOf   *time.Time `json:"as_of,omitempty" doc:"A moment in the past; now if left out."`
		App    string     `json:"app,omitempty" maxLength:"100" doc:"The slug of an app of the catalogue."`
		Person string     `json:"person,omitempty" maxLength:"200" doc:"An e-mail address, a name, or the id of a person."`
	}
}

// evidenceRoutes: whoever may read evidence may see what there is; to take one away needs
// the permission to export as well, which the service asks for. That one was made is audited.
func (s *server) evidenceRoutes() {
	handle(s, operation{method: get, path: "/evidence", permission: access.EvidenceRead, id: "list-reports", summary: "List the kinds of report"}, s.listReports)
	handle(s, operation{method: post, path: "/evidence", permission: access.EvidenceRead, id: "make-report", summary: "Make a report: a signed archive with the PDF, the tables and the proofs", status: 200, produces: zipType}, s.makeReport)
}

func (s *server) listReports(context.Context, *struct{}) (*reply[List[Pack]], error) {
	out := List[Pack]{Items: []Pack{}}
	for _, p := range evidence.Packs() {
		out.Items = append(out.Items, Pack(p))
	}
	return answer(out), nil
}

func (s *server) makeReport(ctx context.Context, in *PackRequest) (*download, error) {
	p, err := evidence.Find(in.Body.Pack)
	if err != nil {
		return nil, ward.Errorf(ward.Invalid, "There is no report %q. GET /evidence lists those that there are.", in.Body.Pack)
	}
	r := evidence.Request{Pack: p.ID, App: in.Body.App, Person: in.Body.Person}
	if p.Of == evidence.OfMonth {
		if r.Period, err = evidence.ParsePeriod(in.Body.Period, s.Now()); err != nil {
			return nil, err
		}
	}
	if in.Body.AsOf != nil {
		r.AsOf = *in.Body.AsOf
	}
	f, err := s.Reports.File(ctx, r)
	if err != nil {
		return nil, err
	}
	b, err := f.Zip()
	if err != nil {
		return nil, err
	}
	return saved(zipType, f.ID+".zip", b), nil
}
