package server

import (
	"context"
	"crypto"
	"crypto/x509"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/casefile"
	"github.com/wardmdm/ward/server/evidence"
	"github.com/wardmdm/ward/server/jobs"
	"github.com/wardmdm/ward/server/seal"
	"github.com/wardmdm/ward/server/store"
)

// sealEvery is how often changes of postures are sealed into the audit log: within so much
// they could still be altered by whoever can write the database.
const sealEvery = time.Hour

// openEvidence puts together what makes reports.
func (s *Server) openEvidence(context.Context, *seal.Master) (err error) {
	s.Evidence, err = evidence.New(evidence.Config{
		Estate: s.Estate, Policies: s.Policy, Cases: s.Lost, Orders: s.Orders, Brake: s.Brake, Approvers: s.Approvers, People: s.Access, Notices: s.Notify, Invitations: s.Enrolment,
		Seals: s.db.Evidence(), Audit: s.Audit, Now: s.now, Organisation: s.config.Organisation, PublicURL: s.config.PublicURL,
		Sign: casefile.CMS{Parts: s.signing}, Eraser: eraser{s.db.Evidence(), s.Access, s.Audit}, Standing: s.standingOf,
	})
	return err
}

// signing gives what reports are signed with. It is asked each time: the signer is opened
// after the reports are, and its certificate is renewed.
func (s *Server) signing() (*x509.Certificate, []*x509.Certificate, crypto.Signer, error) {
	return s.signer.parts()
}

// sealJob seals changes of postures.
func (s *Server) sealJob() jobs.Job {
	return jobs.Job{Name: "posture seals", Every: sealEvery, Do: func(ctx context.Context) error {
		_, err := s.Evidence.Seal(ward.WithActor(ctx, ward.System))
		return err
	}}
}

// eraser takes away what is kept of a person, each part where it is kept.
type eraser struct {
	store.Evidence
	access *access.Service
	log    *audit.Service
}

var _ evidence.Eraser = eraser{}

// ErasePerson meets evidence.Eraser.
func (e eraser) ErasePerson(ctx context.Context, id ward.PersonID) error {
	return e.access.ErasePerson(ctx, id)
}

// ForgetPerson meets evidence.Eraser.
func (e eraser) ForgetPerson(ctx context.Context, id ward.PersonID) (int64, error) {
	return e.log.ForgetPerson(ctx, id)
}

// standingOf tells how somebody signs in.
func (s *Server) standingOf(ctx context.Context, id ward.PersonID) (evidence.Standing, error) {
	p, err := s.Access.Person(ctx, id)
	if err != nil {
		return evidence.Standing{}, err
	}
	a, err := s.SignIn.Account(ctx, id)
	if err != nil {
		return evidence.Standing{}, err
	}
	live, err := s.db.SignIn().SessionsOf(ctx, id, s.now().Add(-time.Duration(s.config.SignIn.IdleMinutes)*time.Minute))
	if err != nil {
		return evidence.Standing{}, err
	}
	return evidence.Standing{Factor: factorWords(a), Sessions: len(live), Scope: p.Scope}, nil
}

// factorWords says by what somebody proves who they are beyond a passphrase.
func factorWords(a access.Account) string {
	var all []string
	if !a.Local() {
		all = append(all, "by "+strings.Join(a.Providers, " and "))
	}
	if a.Passkeys > 0 {
		all = append(all, "passkey")
	}
	if a.App {
		all = append(all, "authenticator app")
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

// erased takes away what the parts beside accounts keep of a person who is erased, within
// the unit of work that does it.
func (s *Server) erased(ctx context.Context, id ward.PersonID) error {
	if err := s.db.SignIn().Forget(ctx, id); err != nil {
		return err
	}
	_, err := s.db.Notices().Forget(ctx, id)
	return err
}
