package web_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/audit/watch"
	"github.com/wardmdm/ward/server/health"
	"github.com/wardmdm/ward/server/httpd"
	"github.com/wardmdm/ward/server/notice"
	"github.com/wardmdm/ward/server/store/storetest"
	"github.com/wardmdm/ward/server/web"
	"github.com/wardmdm/ward/server/wording"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
)

// operating is a world with the parts of enrolment, health, the audit log, texts and one's
// own devices.
type operating struct {
	*world
	parts   web.OperateParts
	log     *audit.Service
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
	w := newWorld(t)
	o := &operating{world: w, facts: health.Facts{Now: w.now(), Version: "1", Started: w.now(), Approvers: 3, Backup: w.now()}}
	key, err := audit.LoadKey(filepath.Join(t.TempDir(), "audit.key"), "ward.example/audit")
	w.must(err)
	o.log, err = audit.New(audit.Config{Store: w.db.Audit(), Master: storetest.Master(), Key: key, Now: w.now})
	w.must(err)
	n := 0
	invitations, err := enrollment.New(enrollment.Options{
		Store: w.db.Invitations(), Unit: w.db, Devices: w.db.Fleet(), Profiles: profile{}, Now: w.now, Record: log{o.log}.Record,
		NewDevice: func() ward.DeviceID { n++; return ward.DeviceID(fmt.Sprintf("dev-new-%d", n)) },
	})
	w.must(err)
	o.watch = watch.New(o.log, w.db, w.now)
	o.notices = &notice.Service{Store: w.db.Notices(), Record: log{o.log}, Now: w.now}
	o.parts = web.OperateParts{
		Invitations: invitations, InviteURL: func(token string) string { return "https://ward.example.nhs.uk/invite/" + token },
		Health: func(context.Context) (health.Report, error) { return health.Judge(o.facts), nil },
		Setup: func(context.Context) ([]health.Step, error) {
			return health.Setup(health.First{Facts: o.facts, Organisation: "St Example’s Hospital", TLS: "files"}), nil
		},
		Audit: o.log, Verifier: o.watch, Texts: wording.New(w.db, log{o.log}, map[wording.Key]string{wording.LostPhone: "020 7946 0000"}),
		Routes: func() []web.NoticeRoute {
			return []web.NoticeRoute{{Channel: "E-mail", To: "oncall@example.org", Topics: []string{"everything"}}}
		},
		Notices: o.notices, Own: w.db.Fleet().DevicesByEmail,
	}
	w.lost.People = holders{w}
	logger := zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel))
	w.web, err = web.New(web.Options{
		Posture: w.posture, Lost: w.lost, Orders: w.orders, Approvers: w.approvers, Brake: w.brake, Notify: w.notify, Files: w.files, Recovery: w.files, Access: w.access, Sessions: w.db.Sessions(),
		Now: w.now, Log: logger, Policies: w.policies, Name: "St Example’s Hospital", PublicURL: "https://ward.example.nhs.uk", Operate: o.parts,
	})
	w.must(err)
	srv := httptest.NewServer(httpd.Wrap(httpd.Options{Log: logger, Now: w.now}, w.web))
	t.Cleanup(srv.Close)
	w.url = srv.URL
	return o
}

