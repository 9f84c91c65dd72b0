package lost

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
)

// Answers keeps what devices answered, as they said it. NotFound means that it is not
// kept, or that it is sealed because it holds a secret.
type Answers interface {
	Raw(ctx context.Context, uuid string, e ward.EnrolmentID) ([]byte, error)
}

// File is everything that the file of a case tells, as it stands at Made. It holds no
// location.
type File struct {
	Made         time.Time     `json:"made"`
	Case         FileCase      `json:"case"`
	Device       FileDevice    `json:"device"` // as it was when it was reported
	Reporter     FileReporter  `json:"reporter"`
	Events       []FileEvent   `json:"events"` // the timeline without the commands
	Commands     []FileCommand `json:"commands"`
	Locations    []Look        `json:"locations_asked"`
	Certificates []string      `json:"certificates_revoked"` // serial numbers
	Orders       []string      `json:"orders_proposed"`      // ids of those that Ward proposed
	Assessment   Assessment    `json:"assessment"`
	Decisions    []Decision    `json:"decisions"` // the oldest first; the last counts
}

// FileCase is the case itself.
type FileCase struct {
	ID            ward.CaseID `json:"id"`
	Kind          Kind        `json:"kind"`
	State         State       `json:"state"`
	Drill         Drill       `json:"drill,omitempty"`
	Reported      time.Time   `json:"reported"`
	Aware         time.Time   `json:"aware"`
	Deadline      time.Time   `json:"deadline"`
	LastSeenWhere string      `json:"last_seen_where,omitempty"`
	LastSeenAt    time.Time   `json:"last_seen_at,omitzero"`
	WasUnlocked   Answer      `json:"was_unlocked,omitempty"`
	DataOpen      Answer      `json:"data_open,omitempty"`
	Note          string      `json:"note,omitempty"`
	// What the report has the device show. With none it shows the policy's or the
	// installation's words, which are not kept with the case.
	Message  string    `json:"message,omitempty"`
	Phone    string    `json:"phone,omitempty"`
	Footnote string    `json:"footnote,omitempty"`
	Found    time.Time `json:"found,omitzero"`
	Closed   time.Time `json:"closed,omitzero"`
}

// FileDevice is the device of a case.
type FileDevice struct {
	ID         ward.DeviceID    `json:"id"`
	Serial     string           `json:"serial,omitempty"`
	Name       string           `json:"name,omitempty"`
	Platform   ward.Platform    `json:"platform,omitempty"`
	Model      string           `json:"model,omitempty"`
	OSVersion  string           `json:"os_version,omitempty"`
	Ownership  ward.Ownership   `json:"ownership,omitempty"`
	Group      string           `json:"group,omitempty"`
	Site       string           `json:"site,omitempty"`
	Role       string           `json:"role,omitempty"`
	Owner      string           `json:"owner,omitempty"`
	Email      string           `json:"email,omitempty"`
	State      ward.DeviceState `json:"state,omitempty"`
	Supervised ward.Supervision `json:"supervised,omitempty"`
	LastSeen   time.Time        `json:"last_seen,omitzero"` // before the report
	// AsOf is when all this was so: the report, or now for a case from before it was kept.
	AsOf time.Time `json:"as_of"`
}

// FileReporter is who reported the device.
type FileReporter struct {
	Person     ward.PersonID `json:"person,omitempty"` // empty for who did not sign in
	Name       string        `json:"name"`
	Identified string        `json:"identified"` // how they were known
}

// FileEvent is one entry of the timeline.
type FileEvent struct {
	At      time.Time     `json:"at"`
	Kind    EventKind     `json:"kind"`
	Text    string        `json:"text"`
	Person  ward.PersonID `json:"person,omitempty"`
	Name    string        `json:"name,omitempty"`
	Command string        `json:"command,omitempty"`
	Order   ward.OrderID  `json:"order,omitempty"`
}

// FileCommand is one command of a case. The times after the report are in milliseconds,
// absent for what has not happened.
type FileCommand struct {
	UUID        string           `json:"uuid"`
	RequestType string           `json:"request_type"`
	Enrolment   ward.EnrolmentID `json:"enrolment"`
	Order       ward.OrderID     `json:"order,omitempty"`
	By          ward.PersonID    `json:"by,omitempty"` // empty for Ward
	State       command.State    `json:"state"`
	Words       string           `json:"words"`
	Queued      time.Time        `json:"queued"`
	Delivered   time.Time        `json:"delivered,omitzero"` // the last hand-out
	Deliveries  int              `json:"deliveries"`
	NotNow      time.Time        `json:"not_now,omitzero"`
	Answered    time.Time        `json:"answered,omitzero"`
	Expires     time.Time        `json:"expires,omitzero"`
	Error       string           `json:"error,omitempty"`
	LastSeen    time.Time        `json:"last_seen,omitzero"` // of the enrolment
	Afresh      time.Time        `json:"afresh,omitzero"`    // when the device enrolled anew since, by another identity

	QueuedAfter    *int64 `json:"queued_after_ms,omitempty"`
	DeliveredAfter *int64 `json:"delivered_after_ms,omitempty"`
	AcceptedAfter  *int64 `json:"accepted_after_ms,omitempty"`

	Answer []byte `json:"answer,omitempty"` // as the device sent it; empty where it is not kept
	// AnswerWithheld says why an answer that is kept stands not here.
	AnswerWithheld string `json:"answer_withheld,omitempty"`
}

// File returns everything that a case's file tells.
func (s *Service) File(ctx context.Context, id ward.CaseID) (File, error) {
	c, err := s.Store.Case(ctx, id)
	if err != nil {
		return File{}, err
	}
	f := File{Made: s.Now().Truncate(time.Microsecond), Case: fileCase(c), Reporter: FileReporter{c.ReportedBy, or(c.ReportedName, "Ward"), or(c.Identified, NotRecorded)}}
	if f.Device, err = s.fileDevice(ctx, c); err != nil {
		return File{}, err
	}
	events, err := s.Store.Events(ctx, id)
	if err != nil {
		return File{}, fmt.Errorf("events of case %s: %w", id, err)
	}
	commands, err := s.Store.CaseCommands(ctx, id)
	if err != nil {
		return File{}, fmt.Errorf("commands of case %s: %w", id, err)
	}
	f.tell(events)
	f.Locations = append([]Look{}, looks(events, commands)...)
	if f.Commands, err = s.fileCommands(ctx, c, commands); err != nil {
		return File{}, err
	}
	if f.Assessment, err = s.assess(ctx, c); err != nil {
		return File{}, err
	}
	decisions, err := s.Store.Decisions(ctx, id)
	if err != nil {
		return File{}, fmt.Errorf("decisions on case %s: %w", id, err)
	}
	f.Decisions = append([]Decision{}, decisions...)
	return f, nil
}

func fileCase(c Case) FileCase {
	return FileCase{
		ID: c.ID, Kind: c.Kind, State: c.State, Drill: c.Drill, Reported: c.Reported, Aware: c.Aware, Deadline: Deadline(c),
		LastSeenWhere: c.LastSeenWhere, LastSeenAt: c.LastSeenAt, WasUnlocked: c.WasUnlocked, DataOpen: c.DataOpen, Note: c.Note,
		Message: c.Message, Phone: c.Phone, Footnote: c.Footnote, Found: c.Found, Closed: c.Closed,
	}
}

// fileDevice returns the device of a case as it was.
func (s *Service) fileDevice(ctx context.Context, c Case) (FileDevice, error) {
	then, err := s.Store.Snapshot(ctx, c.ID)
	if ward.KindOf(err) == ward.NotFound {
		then = Snapshot{At: s.Now().Truncate(time.Microsecond)}
		if then.Device, err = s.Fleet.Device(ctx, c.Device); ward.KindOf(err) == ward.NotFound {
			then.Device, err = ward.Device{ID: c.Device}, nil
		}
	}
	if err != nil {
		return FileDevice{}, fmt.Errorf("device of case %s: %w", c.ID, err)
	}
	d, e := then.Device, then.Enrolment
	return FileDevice{
		ID: d.ID, Serial: d.Serial, Name: d.Name, Platform: d.Platform, Model: d.Model, OSVersion: d.OSVersion, Ownership: d.Ownership, Group: d.Group,
		Site: d.Site, Role: d.Role, Owner: d.Owner, Email: d.Email, State: d.State, Supervised: e.Supervised, LastSeen: e.LastSeen, AsOf: then.At,
	}, nil
}

// tell takes the events into the file, with the certificates and orders that they name.
func (f *File) tell(events []Event) {
	f.Events, f.Certificates, f.Orders = []FileEvent{}, []string{}, []string{}
	for _, e := range events {
		f.Events = append(f.Events, FileEvent{e.At, e.Kind, e.Text, e.Person, e.Name, e.Command, e.Order})
		switch e.Kind {
		case EventRevoked:
			serials := e.Serials
			if list, ok := strings.CutPrefix(e.Text, revokedText); ok && len(serials) == 0 { // from before they were kept apart
				serials = strings.Split(list, ", ")
			}
			f.Certificates = append(f.Certificates, serials...)
		case EventProposed:
			f.Orders = append(f.Orders, string(e.Order))
		}
	}
}

func (s *Service) fileCommands(ctx context.Context, c Case, commands []command.Record) ([]FileCommand, error) {
	contacts, err := s.contacts(ctx, c.Device, commands)
	if err != nil {
		return nil, err
	}
	out := make([]FileCommand, len(commands))
	for i, r := range commands {
		out[i] = FileCommand{
			UUID: r.UUID, RequestType: r.RequestType, Enrolment: r.Enrolment, Order: r.Order, By: r.By, State: r.State, Words: Words(r, contacts[r.Enrolment]),
			Queued: r.Created, Delivered: r.Delivered, Deliveries: r.Deliveries, NotNow: r.NotNow, Answered: r.Answered, Expires: r.Expires, Error: r.Error,
			LastSeen: contacts[r.Enrolment].LastSeen, Afresh: contacts[r.Enrolment].Afresh, QueuedAfter: after(c.Reported, r.Created), DeliveredAfter: after(c.Reported, r.Delivered),
		}
		if r.State == command.Accepted {
			out[i].AcceptedAfter = after(c.Reported, r.Answered)
		}
		if r.Answered.IsZero() || s.Answers == nil {
			continue
		}
		if r.RequestType == deviceLocation {
			out[i].AnswerWithheld = "it may tell where the device was"
			continue
		}
		out[i].Answer, err = s.Answers.Raw(ctx, r.UUID, r.Enrolment)
		if err != nil && ward.KindOf(err) != ward.NotFound {
			return nil, fmt.Errorf("answer to command %s: %w", r.UUID, err)
		}
	}
	return out, nil
}

// after returns how long after the report something was, in milliseconds; nil for never.
func after(reported, t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	ms := t.Sub(reported).Milliseconds()
	return &ms
}
