package web_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/audit/watch"
	"github.com/wardmdm/ward/server/health"
	"github.com/wardmdm/ward/server/notice"
	"github.com/wardmdm/ward/server/web"
	"github.com/wardmdm/ward/server/wording"
)

// operating are the parts of enrolment, health, the audit log, texts and one's own devices.
type operating struct {
	*world
	watch   *watch.Service
	notices *notice.Service
	facts   health.Facts
}

// profile is a builder of profiles that nobody opens here.
type profile struct{}

func (profile) Profile(context.Context, enrollment.Invitation, enrollment.Ticket) ([]byte, error) {
	return []byte("profile"), nil
}

// holders knows the addresses of people.
type holders struct{ w *world }

func (h holders) Email(ctx context.Context, id ward.PersonID) (string, error) {
	p, err := h.w.access.Person(ctx, id)
	return p.Email, err
}

func newOperating(t *testing.T) *operating {
	t.Helper()
	o := newWorld(t).operate
	o.lost.People = holders{o.world}
	return o
}

// operateParts are what the pages of operating stand on.
func (w *world) operateParts() web.OperateParts {
	w.t.Helper()
	o := &operating{world: w, facts: health.Facts{Now: w.now(), Version: "1", Started: w.now(), Push: true, Approvers: 3, Backup: w.now(), Notices: health.Notices{Configured: true}}}
	w.operate = o
	n := 0
	var err error
	w.invitations, err = enrollment.New(enrollment.Options{
		Store: w.db.Invitations(), Unit: w.db, Devices: w.db.Fleet(), Profiles: profile{}, Now: w.now, Record: w.record.Record,
		NewDevice: func() ward.DeviceID { n++; return ward.DeviceID(fmt.Sprintf("dev-new-%d", n)) },
	})
	w.must(err)
	o.watch = watch.New(w.audit, w.db, w.now)
	o.notices = &notice.Service{Store: w.db.Notices(), Record: w.record, Now: w.now}
	return web.OperateParts{
		Invitations: w.invitations, InviteURL: func(token string) string { return "https://ward.example.nhs.uk/invite/" + token },
		Health: func(context.Context) (health.Report, error) { return health.Judge(o.facts), nil },
		Setup: func(context.Context) ([]health.Step, error) {
			return health.Setup(health.First{Facts: o.facts, Organisation: "St Example’s Hospital", TLS: "files"}), nil
		},
		Audit: w.audit, Verifier: o.watch, Texts: wording.New(w.db, w.record, map[wording.Key]string{wording.LostPhone: "020 7946 0000"}),
		Routes: func() []web.NoticeRoute {
			return []web.NoticeRoute{{Channel: "E-mail", To: "oncall@example.org", Topics: []string{"everything"}}}
		},
		Notices: o.notices, Own: w.db.Fleet().DevicesByEmail,
	}
}
