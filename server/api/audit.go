package api

import (
	"context"
	"io"
	"strconv"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/audit"
)

// The actions of this file and of backups that stand in the audit log: both carry
// personal data out of the installation.
const (
	actionExported = "audit.exported"
	actionBackup   = "backup.made"
)

// Entry is an entry of the audit log.
type Entry struct {
	ID            int64             `json:"id"`
	Index         *int64            `json:"index" doc:"Its place in the tree; null until it is sequenced."`
	At            time.Time         `json:"at"`
	Action        string            `json:"action"`
	Actor         *Actor            `json:"actor,omitempty" doc:"Left out once erased."`
	Subject       string            `json:"subject,omitempty"`
	Detail        map[string]string `json:"detail,omitempty"`
	ActorErased   bool              `json:"actor_erased,omitempty"`
	SubjectErased bool              `json:"subject_erased,omitempty"`
	Damaged       bool              `json:"damaged,omitempty" doc:"What is stored is not what was recorded: someone altered it."`
}

// Actor is who did something.
type Actor struct {
	Person ward.PersonID `json:"person,omitempty"`
	Name   string        `json:"name"`
	Via    ward.Via      `json:"via"`
	Token  string        `json:"token,omitempty" doc:"The token's id."`
	Device ward.DeviceID `json:"device,omitempty"`
}

func entryOf(r audit.Recorded) Entry {
	e := Entry{
		ID: r.ID, At: r.At.UTC(), Action: r.Action, Subject: r.Subject, Detail: r.Detail,
		ActorErased: r.ActorErased, SubjectErased: r.SubjectErased, Damaged: r.Damaged,
	}
	if r.Index >= 0 {
		e.Index = &r.Index
	}
	if !r.ActorErased {
		e.Actor = &Actor{Person: r.Actor.Person, Name: r.Actor.Name, Via: r.Actor.Via, Token: r.Actor.Token, Device: r.Actor.Device}
	}
	return e
}

type listAuditInput struct {
	Paging
	Action  string `query:"action" maxLength:"100"`
	Subject string `query:"subject" maxLength:"200" doc:"The id of what it was done to."`
	Actor   string `query:"actor" maxLength:"200" doc:"The id of the person or device that acted."`
	Oldest  bool   `query:"oldest" doc:"The oldest first."`
	From    string `query:"from" maxLength:"40" doc:"At or after this time: 2026-03-12 or 2026-03-12T08:00:00Z."`
	Until   string `query:"until" maxLength:"40" doc:"Before this time; a date means the end of that day."`
}

// bound reads a time, or a date as its beginning in UTC.
func bound(name, text string, days int) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return t.AddDate(0, 0, days), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, ward.Errorf(ward.Invalid, "%s is %q: write a date such as 2026-03-12, or a time such as 2026-03-12T08:00:00Z.", name, text)
	}
	return t, nil
}

func (s *server) listAudit(ctx context.Context, in *listAuditInput) (*reply[List[Entry]], error) {
	after, err := number(in.After)
	if err != nil {
		return nil, err
	}
	from, err := bound("from", in.From, 0)
	if err != nil {
		return nil, err
	}
	until, err := bound("until", in.Until, 1)
	if err != nil {
		return nil, err
	}
	rs, err := s.Audit.List(ctx, audit.Filter{Action: in.Action, Subject: in.Subject, Actor: in.Actor, From: from, Until: until, After: after, Oldest: in.Oldest, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	return answer(page(rs, in.Limit, func(r audit.Recorded) string { return strconv.FormatInt(r.ID, 10) }, entryOf)), nil
}

// text is an answer that is no JSON.
type text struct {
	ContentType string `header:"Content-Type" hidden:"true"`
	Body        []byte
}

const plain = "text/plain; charset=utf-8"

func (s *server) auditCheckpoint(ctx context.Context, _ *noInput) (*text, error) {
	c, err := s.Audit.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	return &text{ContentType: plain, Body: c.Note}, nil
}

func (s *server) auditKey(context.Context, *noInput) (*text, error) {
	return &text{ContentType: plain, Body: []byte(s.Audit.PublicKey() + "\n")}, nil
}

type exportInput struct {
	Leaves bool `query:"leaves" doc:"Without any personal data; it can be verified just as well."`
}

func (s *server) exportAudit(ctx context.Context, in *exportInput) (*stream, error) {
	export := s.Audit.ExportLeaves
	if !in.Leaves {
		export = s.Audit.Export
		if err := s.Audit.Record(ctx, audit.Entry{Action: actionExported}); err != nil {
			return nil, err
		}
	}
	return streamed(ctx, jsonLines, export), nil
}

const (
	jsonLines = "application/jsonl"
	archive   = "application/octet-stream"
)

func (s *server) backup(ctx context.Context, _ *noInput) (*stream, error) {
	if err := s.Audit.Record(ctx, audit.Entry{Action: actionBackup}); err != nil {
		return nil, err
	}
	return streamed(ctx, archive, func(ctx context.Context, w io.Writer) error { return s.Backups.Write(ctx, w) }), nil
}
