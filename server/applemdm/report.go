package applemdm

import (
	"context"
	"fmt"
	"net/http"

	"github.com/micromdm/nanomdm/mdm"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/reconcile"
)

type (
	toldKey struct{}
	readKey struct{} // the report as quick read it
)

// CommandAndReportResults takes in a device's report and hands out its next command.
// A device that is idle, with nothing waiting and nothing to plan, costs one read.
func (s *Service) CommandAndReportResults(r *mdm.Request, m *mdm.CommandResults) (cmd *mdm.Command, err error) {
	c, resolved, err := s.contact(r, &m.Enrollment)
	if err != nil {
		return nil, err
	}
	c.Renewed = c.Renewed && m.Status == "Idle" // otherwise it may be the answer to the renewal
	due := s.due(c) || c.Renewed || s.renewalDue(c, r.Certificate)
	if m.Status == "Idle" && !c.Pending && !due && !resolved.IsUserChannel {
		return nil, nil //nolint:nilnil // nanomdm's word for "nothing waits"
	}
	ctx := r.Context()
	if m.Status == "Acknowledged" { // read before the unit of work, in which all writers wait
		root, ok := ctx.Value(readKey{}).(*node)
		told, err := readTold(root, ok, m.Raw, s.now())
		if err != nil {
			m = unreadable(m, err)
		}
		ctx = context.WithValue(ctx, toldKey{}, told)
	}
	err = s.within(r.WithContext(ctx), c, func(r *mdm.Request) error {
		if due {
			if err := s.replan(r.Context(), c.Device); err != nil {
				return err
			}
		}
		cmd, err = s.next.CommandAndReportResults(r, m)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.signed(ctx, cmd)
}

// unreadable turns an answer in an unexpected form into a refusal with that reason.
// Were it refused itself, its command would stay open and stand before all others.
func unreadable(m *mdm.CommandResults, why error) *mdm.CommandResults {
	r := *m
	r.Status = "Error"
	r.ErrorChain = []mdm.ErrorChain{{ErrorDomain: "Ward", USEnglishDescription: "the answer can't be read: " + why.Error()}}
	return &r
}

// due reports whether the device is to be planned before it is answered.
func (s *Service) due(c fleet.Contact) bool {
	if c.Device == "" || c.State != ward.EnrolmentActive {
		return false
	}
	return c.Published > c.Generation || (!c.CheckAt.IsZero() && !c.CheckAt.After(s.now()))
}

// Reported is told by the storage of each stored report, within its unit of work.
func (s *Service) Reported(ctx context.Context, e ward.Enrolment, rec command.Record, known bool) error {
	told, _ := ctx.Value(toldKey{}).(reconcile.Told)
	return s.events.Answered(ctx, e, rec, known, told)
}

// SetBootstrapToken meets service.Checkin.
func (s *Service) SetBootstrapToken(r *mdm.Request, m *mdm.SetBootstrapToken) error {
	c, _, err := s.contact(r, &m.Enrollment)
	if err != nil {
		return err
	}
	return s.within(r, c, func(r *mdm.Request) error { return s.next.SetBootstrapToken(r, m) })
}

// GetBootstrapToken meets service.Checkin.
func (s *Service) GetBootstrapToken(r *mdm.Request, m *mdm.GetBootstrapToken) (t *mdm.BootstrapToken, err error) {
	c, _, err := s.contact(r, &m.Enrollment)
	if err != nil {
		return nil, err
	}
	err = s.within(r, c, func(r *mdm.Request) error {
		t, err = s.next.GetBootstrapToken(r, m)
		return err
	})
	return t, err
}

// UserAuthenticate meets service.Checkin: nanomdm declines the user channel.
func (s *Service) UserAuthenticate(r *mdm.Request, m *mdm.UserAuthenticate) ([]byte, error) {
	if _, _, err := s.contact(r, &m.Enrollment); err != nil {
		return nil, err
	}
	return s.next.UserAuthenticate(r, m)
}

// GetToken meets service.Checkin.
func (s *Service) GetToken(r *mdm.Request, m *mdm.GetToken) (*mdm.GetTokenResponse, error) {
	if _, _, err := s.contact(r, &m.Enrollment); err != nil {
		return nil, err
	}
	return nil, refuse(http.StatusNotFound, fmt.Errorf("a token for %q is not offered", m.TokenServiceType))
}
