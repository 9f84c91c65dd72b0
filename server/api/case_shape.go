package api

import (
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/lost"
)

// Case is a device that is missing, or was.
type Case struct {
	ID         ward.CaseID   `json:"id"`
	Device     ward.DeviceID `json:"device"`
	Kind       lost.Kind     `json:"kind" enum:"lost,stolen"`
	State      lost.State    `json:"state" enum:"open,rehearsal,found,closed" doc:"rehearsal: of a dry drill, which sends and revokes nothing."`
	Drill      lost.Drill    `json:"drill,omitempty" enum:"dry,live" doc:"Left out for a real case."`
	ReportedBy Someone       `json:"reported_by"`
	Identified string        `json:"identified,omitempty" doc:"How the reporter was known."`
	Reported   time.Time     `json:"reported"`
	Where      string        `json:"where,omitempty"`
	When       *time.Time    `json:"when,omitempty" doc:"When a person last saw it."`
	Unlocked   lost.Answer   `json:"unlocked,omitempty" enum:"yes,no"`
	DataOpen   lost.Answer   `json:"data_open,omitempty" enum:"yes,no" doc:"Whether patient data was open on it."`
	Note       string        `json:"note,omitempty"`
	Aware      time.Time     `json:"aware" doc:"When the organisation became aware of the loss."`
	Deadline   time.Time     `json:"deadline" doc:"72 hours later: until then it is decided, and done, whether the loss is reported to the Information Commissioner."`
	Found      *time.Time    `json:"found,omitempty"`
	Closed     *time.Time    `json:"closed,omitempty"`
	Message    string        `json:"message" doc:"What the device shows."`
	Phone      string        `json:"phone,omitempty"`
	Footnote   string        `json:"footnote,omitempty"`
	Located    *time.Time    `json:"located,omitempty" doc:"When a location was last received; it is read by itself, and each look is audited."`
}

// Someone is a person in a record, as they were called then.
type Someone struct {
	ID   ward.PersonID `json:"id,omitempty" doc:"Left out for Ward itself and for the server's console."`
	Name string        `json:"name"`
}

// via begins what stands for a person's id where none acted.
const via = "via "

// by names who did a deed.
func by(id ward.PersonID, name string) Someone {
	if strings.HasPrefix(string(id), via) {
		id = ""
	}
	return Someone{ID: id, Name: name}
}

func caseOf(c lost.Case) Case {
	return Case{
		ID: c.ID, Device: c.Device, Kind: c.Kind, State: c.State, Drill: c.Drill, ReportedBy: by(c.ReportedBy, c.ReportedName), Identified: c.Identified,
		Reported: c.Reported.UTC(), Where: c.LastSeenWhere, When: when(c.LastSeenAt), Unlocked: c.WasUnlocked, DataOpen: c.DataOpen, Note: c.Note,
		Aware: c.Aware.UTC(), Deadline: lost.Deadline(c).UTC(),
		Found: when(c.Found), Closed: when(c.Closed), Message: c.Message, Phone: c.Phone, Footnote: c.Footnote, Located: when(c.Located),
	}
}

// Event is an entry of a case's timeline.
type Event struct {
	At          time.Time      `json:"at"`
	Kind        lost.EventKind `json:"kind"`
	Text        string         `json:"text"`
	By          *Someone       `json:"by,omitempty"`
	Purpose     string         `json:"purpose,omitempty" doc:"Why a location was asked for or looked at."`
	Serials     []string       `json:"serials,omitempty" nullable:"false" doc:"Of the certificates that were revoked."`
	Order       ward.OrderID   `json:"order,omitempty" doc:"That was proposed."`
	Command     string         `json:"command,omitempty"`
	RequestType string         `json:"request_type,omitempty"`
	State       command.State  `json:"state,omitempty"`
	Answered    *time.Time     `json:"answered,omitempty"`
}

func eventOf(e lost.Event) Event {
	out := Event{
		At: e.At.UTC(), Kind: e.Kind, Text: e.Text, Purpose: e.Purpose, Serials: e.Serials, Order: e.Order,
		Command: e.Command, RequestType: e.RequestType, State: e.State, Answered: when(e.Answered),
	}
	if e.Person != "" || e.Name != "" {
		who := by(e.Person, e.Name)
		out.By = &who
	}
	return out
}

// CaseDetail is a case with what happened in it.
type CaseDetail struct {
	Case
	Timeline []Event `json:"timeline" nullable:"false"`
}

// LostReport is what is told of a missing device.
type LostReport struct {
	Kind       lost.Kind   `json:"kind,omitempty" enum:"lost,stolen" doc:"lost if left out."`
	Where      string      `json:"where,omitempty" doc:"Where it was last seen, in the reporter's words."`
	When       time.Time   `json:"when,omitzero" required:"false" doc:"When a person last saw it."`
	Unlocked   lost.Answer `json:"unlocked,omitempty" enum:"yes,no" doc:"Whether it was unlocked; left out if not known."`
	DataOpen   lost.Answer `json:"data_open,omitempty" enum:"yes,no" doc:"Whether patient data was open on it; left out if not known."`
	Identified string      `json:"identified,omitempty" doc:"How the reporter was known, such as: help desk, called back on the number of the staff list."`
	Note       string      `json:"note,omitempty"`
	Drill      lost.Drill  `json:"drill,omitempty" enum:"dry,live" doc:"A rehearsal: dry sends and revokes nothing, live does everything on a device that is kept for it. Left out for a real loss."`
	Message    string      `json:"message,omitempty" doc:"Shown on the device instead of the organisation's words."`
	Phone      string      `json:"phone,omitempty"`
	Footnote   string      `json:"footnote,omitempty"`
}

func (r LostReport) report(ids ...ward.DeviceID) lost.Report {
	return lost.Report{
		Devices: ids, Kind: r.Kind, LastSeenWhere: r.Where, LastSeenAt: r.When, WasUnlocked: r.Unlocked, DataOpen: r.DataOpen, Identified: r.Identified,
		Note: r.Note, Drill: r.Drill, Message: r.Message, Phone: r.Phone, Footnote: r.Footnote,
	}
}
