package web

import (
	"context"
	"net/http"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/audit/watch"
	"github.com/wardmdm/ward/server/health"
	"github.com/wardmdm/ward/server/wording"
)

// Invitations lets people invite devices. *enrollment.Service meets it.
type Invitations interface {
	Search(ctx context.Context, f enrollment.Filter) ([]enrollment.Invitation, error)
	Counts(ctx context.Context, f enrollment.Filter) (map[enrollment.State]int, error)
	Invitation(ctx context.Context, id string) (enrollment.Invitation, error)
	Find(ctx context.Context, token string) (enrollment.Invitation, error)
	Create(ctx context.Context, r enrollment.Request) (enrollment.Invited, error)
	CreateMany(ctx context.Context, rs []enrollment.Request) ([]enrollment.Invited, error)
	Check(ctx context.Context, rows []enrollment.StaffRow) error
	Revoke(ctx context.Context, id string) (enrollment.Invitation, error)
	Renew(ctx context.Context, id string) (enrollment.Invited, error)
}

// AuditLog is read by people. *audit.Service meets it.
type AuditLog interface {
	List(ctx context.Context, f audit.Filter) ([]audit.Recorded, error)
	Entry(ctx context.Context, id int64) (audit.Recorded, error)
	Prove(ctx context.Context, indices []int64) (audit.Evidence, error)
	Checkpoint(ctx context.Context) (audit.SignedCheckpoint, error)
	PublicKey() string
	Record(ctx context.Context, e audit.Entry) error
}

// Verifier verifies the whole audit log. *watch.Service meets it.
type Verifier interface {
	Last(ctx context.Context) (watch.Result, error)
	Progress() watch.Progress
	Ask(ctx context.Context) error
}

// Texts are those that an organisation changes. *wording.Service meets it.
type Texts interface {
	Texts(ctx context.Context) ([]wording.Text, error)
	Text(ctx context.Context, k wording.Key) (string, error)
	Change(ctx context.Context, to map[wording.Key]string) error
}

// Acknowledgements keeps who has read the notice. *notice.Service meets it.
type Acknowledgements interface {
	Acknowledged(ctx context.Context, person ward.PersonID, version string) (time.Time, error)
	Acknowledge(ctx context.Context, email, version, text string) error
}

// NoticeRoute says who is told what by which channel.
type NoticeRoute struct {
	Channel string // in words, such as "E-mail" or "Webhook pager"
	To      string // may be empty
	Topics  []string
}

// OperateParts are what the pages of enrolment, set-up, health, the audit log, settings and a
// member of staff's own devices stand on. The pages of a part that is nil are not there.
type OperateParts struct {
	Invitations Invitations
	InviteURL   func(token string) string // the link of an invitation's token
	Health      func(ctx context.Context) (health.Report, error)
	Setup       func(ctx context.Context) ([]health.Step, error)
	Audit       AuditLog
	Verifier    Verifier
	Texts       Texts
	Routes      func() []NoticeRoute
	Notices     Acknowledgements
	Own         func(ctx context.Context, email string) ([]ward.Device, error) // the devices of whoever has this address
}

// operatePages are those templates.
type operatePages struct {
	enrolment  page[*enrolmentPage]
	invitation page[*invitationPage]
	inviteNew  page[*inviteNewPage]
	importCSV  page[*importPage]
	sheets     page[*sheetsPage]
	made       page[*madePage]
	setup      page[*setupPage]
	health     page[*healthPage]
	audit      page[*auditPage]
	entry      page[*entryPage]
	verify     page[*verifyPage]
	texts      page[*textsPage]
	routing    page[*routingPage]
	mine       page[*minePage]
	mineLost   page[*mineLostPage]
}

func (p *operatePages) files() []pageFile {
	return []pageFile{
		file("enrolment", &p.enrolment),
		file("invitation", &p.invitation),
		file("invitenew", &p.inviteNew),
		file("import", &p.importCSV),
		file("sheets", &p.sheets),
		file("made", &p.made),
		file("setup", &p.setup),
		file("health", &p.health),
		file("audit", &p.audit),
		file("auditentry", &p.entry),
		file("auditverify", &p.verify),
		file("texts", &p.texts),
		file("routing", &p.routing),
		file("mine", &p.mine),
		file("minelost", &p.mineLost),
	}
}

// operateRoutes are those addresses.
func (s *Server) operateRoutes() []route {
	o := s.Operate
	invites, log := o.Invitations != nil && o.InviteURL != nil, o.Audit != nil
	verifier, mine := log && o.Verifier != nil, o.Own != nil && o.Notices != nil
	return []route{
		{"GET /enrolment", access.InviteRead, s.where(invites, s.enrolment)},
		{"GET /enrolment/new", access.InviteCreate, s.where(invites, s.inviteForm)},
		{"POST /enrolment/new", access.InviteCreate, s.where(invites, s.invite)},
		{"GET /enrolment/import", access.InviteCreate, s.where(invites, s.importForm)},
		{"POST /enrolment/import", access.InviteCreate, s.where(invites, s.importTable)},
		{"POST /enrolment/sheets", access.InviteCreate, s.where(invites, s.printSheets)},
		{"POST /enrolment/links", access.InviteCreate, s.where(invites, s.linksFile)},
		{"GET /enrolment/{id}", access.InviteRead, s.where(invites, s.invitation)},
		{"POST /enrolment/{id}/revoke", access.InviteCreate, s.where(invites, s.revokeInvitation)},
		{"POST /enrolment/{id}/again", access.InviteCreate, s.where(invites, s.inviteAgain)},
		{"GET /enrolment/{id}/print", access.InviteCreate, s.where(invites, s.printForm)},
		{"POST /enrolment/{id}/print", access.InviteCreate, s.where(invites, s.printAgain)},

		{"GET /setup", access.HealthRead, s.where(o.Setup != nil, s.setupList)},
		{"GET /health", access.HealthRead, s.where(o.Health != nil, s.healthReport)},

		{"GET /audit", access.AuditRead, s.where(log, s.auditLog)},
		{"GET /audit/{id}", access.AuditRead, s.where(log, s.auditEntry)},
		{"GET /audit/{id}/proof", access.AuditExport, s.where(log, s.auditProof)},
		{"GET /audit/verify", access.AuditRead, s.where(verifier, s.verification)},
		{"POST /audit/verify", access.AuditRead, s.where(verifier, s.verify)},

		{"GET /settings/templates", access.TemplateWrite, s.where(o.Texts != nil, s.texts)},
		{"POST /settings/templates", access.TemplateWrite, s.where(o.Texts != nil, s.changeTexts)},
		{"GET /settings/notifications", access.NotifyRead, s.where(o.Routes != nil, s.routing)},

		{"GET /mine", signedIn, s.where(mine, s.mine)},
		{"POST /mine/acknowledge", signedIn, s.where(mine, s.acknowledge)},
		{"GET /mine/{id}/lost", signedIn, s.where(mine, s.mineLostForm)},
		{"POST /mine/{id}/lost", signedIn, s.where(mine, s.mineLost)},
	}
}

// where is a page that is there only where what it stands on is.
func (s *Server) where(there bool, h handler) handler {
	if there {
		return h
	}
	return func(w http.ResponseWriter, r *http.Request) error { return s.unknown(w, r) }
}
