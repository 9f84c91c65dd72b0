package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/audit/watch"
	"github.com/wardmdm/ward/server/jobs"
	"github.com/wardmdm/ward/server/notice"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/seal"
	"github.com/wardmdm/ward/server/web"
	"github.com/wardmdm/ward/server/wording"
)

// openOperate puts together what the pages of running an installation stand on.
func (s *Server) openOperate(context.Context, *seal.Master) error {
	words := s.config.Lost
	s.Texts = wording.New(s.db, s.record, map[wording.Key]string{
		wording.LostMessage: words.Message, wording.LostPhone: words.Phone, wording.LostFootnote: words.Footnote,
	})
	s.Verifier = watch.New(s.Audit, s.db, s.now)
	s.Acknowledgements = &notice.Service{Store: s.db.Notices(), Record: s.record, Now: s.now}
	s.book, s.started = jobs.NewBook(s.now), s.now()
	return nil
}

// operateParts are what those pages stand on.
func (s *Server) operateParts() web.OperateParts {
	return web.OperateParts{
		Invitations: s.Enrolment, InviteURL: s.InviteURL, Health: s.Health, Setup: s.SetupSteps, Audit: s.Audit, Verifier: s.Verifier,
		Texts: s.Texts, Routes: s.config.Notify.routes, Notices: s.Acknowledgements, Own: s.fleet.DevicesByEmail,
	}
}

// operateJobs are the jobs of running an installation.
func (s *Server) operateJobs() []jobs.Job {
	return []jobs.Job{
		{Name: "verify", Every: 10 * time.Minute, Wake: s.Verifier.Wanted(), Do: s.Verifier.Do},
		{Name: "health", Every: healthEvery, Do: s.lookAtHealth},
	}
}

// AuditVerified tells of the last verification of the audit log, and whether it was sound; at
// is zero where there was none.
func (s *Server) AuditVerified(ctx context.Context) (at time.Time, size int64, sound bool, err error) {
	r, err := s.Verifier.Last(ctx)
	return r.At, r.Size, r.Sound, err
}

// AcknowledgedBy tells who has read a version of the notice to staff, the newest first;
// whoever read any for "".
func (s *Server) AcknowledgedBy(ctx context.Context, version string) ([]notice.Acknowledgement, error) {
	return s.Acknowledgements.AcknowledgedBy(ctx, version)
}

// lostWords are what a lost device shows where neither its report nor the policy says.
func (s *Server) lostWords(ctx context.Context) (w profiles.LostMode, err error) {
	for _, f := range []struct {
		key  wording.Key
		into *string
	}{{wording.LostMessage, &w.Message}, {wording.LostPhone, &w.Phone}, {wording.LostFootnote, &w.Footnote}} {
		if *f.into, err = s.Texts.Text(ctx, f.key); err != nil {
			return w, fmt.Errorf("words of a lost device: %w", err)
		}
	}
	return w, nil
}

// routes says who is told what, as the configuration has it.
func (n Notify) routes() []web.NoticeRoute {
	all := make([]string, 0, len(notify.Topics()))
	for _, t := range notify.Topics() {
		all = append(all, topicWords(t))
	}
	var out []web.NoticeRoute
	if n.Email.Host != "" {
		out = append(out, web.NoticeRoute{Channel: "E-mail", To: strings.Join(n.Email.To, ", "), Topics: []string{"everything"}})
	}
	for _, w := range n.Webhooks {
		r := web.NoticeRoute{Channel: "Webhook " + w.Name, To: string(w.Format), Topics: []string{"everything"}}
		if len(w.Topics) > 0 && len(w.Topics) < len(all) {
			r.Topics = nil
			for _, t := range w.Topics {
				r.Topics = append(r.Topics, topicWords(t))
			}
			slices.Sort(r.Topics)
			r.Topics = append(r.Topics, "and what everybody must know")
		}
		out = append(out, r)
	}
	return out
}

// topicWords writes a topic as people read it.
func topicWords(t notify.Topic) string {
	return strings.NewReplacer(".", ": ", "-", " ", "_", " ").Replace(string(t))
}
