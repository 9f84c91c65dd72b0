package api

import (
	"context"
	"net/http"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/httpd"
	"github.com/wardmdm/ward/server/lost"
)

// Case is a device that is missing, or was.
type Case struct {
	ID         ward.CaseID   `json:"id"`
	Device     ward.DeviceID `json:"device"`
	Kind       lost.Kind     `json:"kind" enum:"lost,stolen"`
	State      lost.State    `json:"state" enum:"open,found,closed"`
	ReportedBy Someone       `json:"reported_by"`
	Reported   time.Time     `json:"reported"`
	Where      string        `json:"where,omitempty"`
	When       *time.Time    `json:"when,omitempty" doc:"When a person last saw it."`
	Unlocked   lost.Answer   `json:"unlocked,omitempty" enum:"yes,no"`
	Note       string        `json:"note,omitempty"`
	Found      *time.Time    `json:"found,omitempty"`
	Closed     *time.Time    `json:"closed,omitempty"`
	Message    string        `json:"message" doc:"What the device shows."`
	Phone      string        `json:"phone,omitempty"`
	Footnote   string        `json:"footnote,omitempty"`
	Located    *time.Time    `json:"located,omitempty" doc:"When a location was last received; it is read by itself, and each look is audited."`
}

// Someone is a person in a record, as they were called then.
type Someone struct {
	ID   ward.PersonID `json:"id,omitempty" doc:"Left out for Ward itself."`
	Name string        `json:"name"`
}

func caseOf(c lost.Case) Case {
	return Case{
		ID: c.ID, Device: c.Device, Kind: c.Kind, State: c.State, ReportedBy: Someone{ID: c.ReportedBy, Name: c.ReportedName},
		Reported: c.Reported.UTC(), Where: c.LastSeenWhere, When: when(c.LastSeenAt), Unlocked: c.WasUnlocked, Note: c.Note,
		Found: when(c.Found), Closed: when(c.Closed), Message: c.Message, Phone: c.Phone, Footnote: c.Footnote, Located: when(c.Located),
	}
}

// Event is an entry of a case's timeline.
type Event struct {
	At          time.Time      `json:"at"`
	Kind        lost.EventKind `json:"kind"`
	Text        string         `json:"text"`
	By          *Someone       `json:"by,omitempty"`
	Command     string         `json:"command,omitempty"`
	RequestType string         `json:"request_type,omitempty"`
	State       command.State  `json:"state,omitempty"`
	Answered    *time.Time     `json:"answered,omitempty"`
}

func eventOf(e lost.Event) Event {
	out := Event{At: e.At.UTC(), Kind: e.Kind, Text: e.Text, Command: e.Command, RequestType: e.RequestType, State: e.State, Answered: when(e.Answered)}
	if e.Person != "" || e.Name != "" {
		out.By = &Someone{ID: e.Person, Name: e.Name}
	}
	return out
}

// CaseDetail is a case with what happened in it.
type CaseDetail struct {
	Case
	Timeline []Event `json:"timeline" nullable:"false"`
}

type listCasesInput struct {
	Paging
	State  string `query:"state" enum:"open,found,closed"`
	Device string `query:"device" maxLength:"200" doc:"Id, serial number, UDID or exact name."`
}

// maxPage is the longest page of the lists of cases and of orders.
const maxPage = 100

func (s *server) listCases(ctx context.Context, in *listCasesInput) (*reply[List[Case]], error) {
	f := lost.Filter{State: lost.State(in.State), After: ward.CaseID(in.After), Limit: min(in.Limit, maxPage)}
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
	ids := make([]ward.DeviceID, 0, len(in.Body.Devices))
	unknown := &ward.Error{Kind: ward.NotFound, Message: "Nothing was reported, for not every device is known."}
	for _, word := range in.Body.Devices {
		d, err := s.Posture.Find(ctx, word)
		if k := ward.KindOf(err); k == ward.NotFound || k == ward.Conflict {
			unknown.Details = append(unknown.Details, httpd.ProblemOf(ctx, err).Detail)
			continue
		}
		if err != nil {
			return nil, err
		}
		ids = append(ids, d.ID)
	}
	if len(unknown.Details) > 0 {
		return nil, unknown
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

// Location is where a lost device said it was.
type Location struct {
	Latitude  float64   `json:"latitude" doc:"Degrees north."`
	Longitude float64   `json:"longitude" doc:"Degrees east."`
	Accuracy  float64   `json:"accuracy" doc:"Metres; negative if the device could not tell."`
	At        time.Time `json:"at"`
	Received  time.Time `json:"received"`
}

func (s *server) locate(ctx context.Context, in *CasePath) (*reply[Location], error) {
	l, err := s.Lost.ViewLocation(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return answer(Location{Latitude: l.Lat, Longitude: l.Lon, Accuracy: l.Accuracy, At: l.At.UTC(), Received: l.Received.UTC()}), nil
}
