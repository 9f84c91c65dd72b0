package api

import (
	"context"
	"net/http"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/httpd"
	"github.com/wardmdm/ward/server/lost"
)

type listCasesInput struct {
	Paging
	State  string `query:"state" enum:"open,rehearsal,found,closed"`
	Device string `query:"device" maxLength:"200" doc:"Id, serial number, UDID or exact name."`
	Drills string `query:"drills" enum:"only,none" doc:"Both real cases and drills if left out."`
}

// maxPage is the longest page of the lists of cases and of orders.
const maxPage = 100

func (s *server) listCases(ctx context.Context, in *listCasesInput) (*reply[List[Case]], error) {
	f := lost.Filter{State: lost.State(in.State), After: ward.CaseID(in.After), Limit: min(in.Limit, maxPage)}
	switch in.Drills {
	case "only":
		f.Which = lost.OnlyDrills
	case "none":
		f.Which = lost.OnlyReal
	}
	if in.Device != "" {
		d, err := s.Posture.Find(ctx, in.Device)
		if err != nil {
			return nil, err
		}
		f.Device = d.ID
	}
	cs, err := s.Lost.List(ctx, f)
	if err != nil {
		return nil, err
	}
	return answer(page(cs, f.Limit, func(c lost.Case) string { return string(c.ID) }, caseOf)), nil
}

// CasePath names a case in a path.
type CasePath struct {
	ID ward.CaseID `path:"id" maxLength:"100"`
}

func (s *server) showCase(ctx context.Context, in *CasePath) (*reply[CaseDetail], error) {
	c, err := s.Lost.Case(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	es, err := s.Lost.Timeline(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return answer(CaseDetail{Case: caseOf(c), Timeline: shapes(es, eventOf)}), nil
}

type reportInput struct {
	Body struct {
		Devices []string `json:"devices" minItems:"1" maxItems:"100" nullable:"false" doc:"Id, serial number, UDID or exact name of each."`
		LostReport
	} `nameHint:"CasesRequest"`
}

// reported is the answer to a report of several devices.
type reported struct {
	Status int
	Body   CasesReported
}

// CasesReported are the cases that a report opened, or found open, and what stood
// against the rest.
type CasesReported struct {
	Cases  []Case   `json:"cases" nullable:"false"`
	Errors []string `json:"errors,omitempty" nullable:"false"`
}

// reportDevices opens a case for each device. If some can't be reported the others are
// all the same: the status is then 207 and errors says why.
func (s *server) reportDevices(ctx context.Context, in *reportInput) (*reported, error) {
	ids, err := s.findAll(ctx, in.Body.Devices, "Nothing was reported, for not every device is known.")
	if err != nil {
		return nil, err
	}
	cs, err := s.Lost.Report(ctx, in.Body.report(ids...))
	if err != nil && len(cs) == 0 {
		return nil, err
	}
	out := &reported{Status: http.StatusCreated, Body: CasesReported{Cases: shapes(cs, caseOf)}}
	if err != nil {
		httpd.Note(ctx, err)
		p := httpd.ProblemOf(ctx, err)
		out.Status, out.Body.Errors = http.StatusMultiStatus, append([]string{p.Detail}, p.Details...)
	}
	return out, nil
}

type endCaseInput struct {
	CasePath
	Body *Note `required:"false"`
}

func (s *server) findCase(ctx context.Context, in *endCaseInput) (*reply[Case], error) {
	c, err := s.Lost.Found(ctx, in.ID, noteIn(in.Body))
	if err != nil {
		return nil, err
	}
	return answer(caseOf(c)), nil
}

func (s *server) closeCase(ctx context.Context, in *endCaseInput) (*reply[Case], error) {
	c, err := s.Lost.Close(ctx, in.ID, noteIn(in.Body))
	if err != nil {
		return nil, err
	}
	return answer(caseOf(c)), nil
}
