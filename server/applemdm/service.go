// Package applemdm speaks Apple's device management protocol: it proves who a device
// is, turns check-ins into enrolments and answers into facts, and hands out commands.
// What a device should have is decided elsewhere.
package applemdm

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/micromdm/nanomdm/mdm"
	"github.com/micromdm/nanomdm/service"
	"github.com/micromdm/nanomdm/service/nanomdm"
	"github.com/micromdm/nanomdm/storage"
	"github.com/micromdm/plist"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/declare"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/reconcile"
)

// Store is what the protocol needs of the record besides nanomdm's own storage.
type Store interface {
	Do(ctx context.Context, fn func(ctx context.Context) error) error
	// Contact returns the enrolment that a certificate's hash proves; NotFound for none.
	Contact(ctx context.Context, hash string) (fleet.Contact, error)
	Latest(ctx context.Context, channel string) (ward.Enrolment, error)
	// Seen notes a heartbeat.
	Seen(id ward.EnrolmentID, t time.Time)
}

// Certificates tells for which invitation a certificate was issued, and binds it to
// what it became.
type Certificates interface {
	// Invitation returns the invitation of a device certificate that Ward issued and has not
	// revoked, or that an outside authority issued for an invitation, whose ticket it spends
	// then. It joins the unit of work in ctx. A *ward.Error of kind NotFound means that it is
	// neither.
	Invitation(ctx context.Context, cert *x509.Certificate) (string, error)
	// Attested returns what the device's hardware proved when it got such a certificate; the
	// zero value where that is nothing.
	Attested(ctx context.Context, hash string) (fleet.Attested, error)
	Bind(ctx context.Context, hash string, d ward.DeviceID, e ward.EnrolmentID) error
}

// Events is told what devices do, within the unit of work that records it.
type Events interface {
	Enrolled(ctx context.Context, e ward.Enrolment) error
	CheckedOut(ctx context.Context, e ward.Enrolment) error
	Answered(ctx context.Context, e ward.Enrolment, r command.Record, known bool, t reconcile.Told) error
}

// Service is the check-in and command service. It binds certificates to enrolments and
// runs each request as one unit of work.
type Service struct {
	next         service.CheckinAndCommandService
	store        Store
	admitter     *fleet.Admitter
	certificates Certificates
	events       Events
	replan       func(ctx context.Context, id ward.DeviceID) error
	adopted      func(c *x509.Certificate) bool
	impostor     func(ctx context.Context, invitation string, ar fleet.Arrival, why error) error
	declarations *declare.Service // nil: not offered
	renewals     Renewals         // nil: no certificate takes another's place
	sign         func(ctx context.Context, profile []byte) ([]byte, error)
	now          func() time.Time
}

// Options are the parts of a Service.
type Options struct {
	Store        Store
	Storage      storage.ServiceStore // of nanomdm, on the same database
	Admitter     *fleet.Admitter
	Certificates Certificates
	Events       Events
	Replan       func(ctx context.Context, id ward.DeviceID) error // plan a device, in the unit of ctx
	Adopted      func(c *x509.Certificate) bool                    // whether another authority's device may check in; nil for none
	// Impostor is told, outside any unit of work, of a device that was refused because it
	// says that it is another one than its hardware has proven, and returns why it was. nil
	// tells nobody.
	Impostor     func(ctx context.Context, invitation string, ar fleet.Arrival, why error) error
	Declarations *declare.Service // nil: no device is managed by declarations
	Renewals     Renewals         // nil: no certificate takes another's place
	// Sign completes and signs the enrolment profiles that are delivered; nil leaves them so.
	Sign func(ctx context.Context, profile []byte) ([]byte, error)
	Now  func() time.Time
}

// New returns a service.
func New(o Options) *Service {
	options := []nanomdm.Option{nanomdm.WithUserAuthenticate(nanomdm.NewUAService(o.Storage, false)), nanomdm.WithGetToken(nanomdm.NewTokenMux())}
	if o.Declarations != nil {
		options = append(options, nanomdm.WithDeclarativeManagement(declarative(o.Declarations, o.Now)))
	}
	core := nanomdm.New(o.Storage, options...)
	if o.Adopted == nil {
		o.Adopted = func(*x509.Certificate) bool { return false }
	}
	if o.Impostor == nil {
		o.Impostor = func(_ context.Context, _ string, _ fleet.Arrival, why error) error { return why }
	}
	return &Service{
		next: core, store: o.Store, admitter: o.Admitter, certificates: o.Certificates, events: o.Events,
		replan: o.Replan, adopted: o.Adopted, impostor: o.Impostor, declarations: o.Declarations,
		renewals: o.Renewals, sign: o.Sign, now: o.Now,
	}
}

// Hash names a certificate.
func Hash(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// refuse answers a device with a status that is never 401, which could make it leave
// management, and with a reason for the log.
func refuse(status int, err error) error { return service.NewHTTPStatusError(status, err) }

// deny turns an error for people into a status; others stay internal.
func deny(err error) error {
	var already *service.HTTPStatusError
	if err == nil || errors.As(err, &already) {
		return err
	}
	switch ward.KindOf(err) {
	case ward.Forbidden, ward.NotFound, ward.Conflict:
		return refuse(http.StatusForbidden, err)
	case ward.Invalid:
		return refuse(http.StatusBadRequest, err)
	}
	return err
}

var errNoCertificate = errors.New("no certificate proves who the device is")

// contact proves a request: its certificate must be the live identity of the channel
// that it speaks for.
func (s *Service) contact(r *mdm.Request, e *mdm.Enrollment) (fleet.Contact, *mdm.ResolvedEnrollment, error) {
	if r.Certificate == nil {
		return fleet.Contact{}, nil, refuse(http.StatusForbidden, errNoCertificate)
	}
	resolved := e.Resolved()
	if err := resolved.Validate(); err != nil {
		return fleet.Contact{}, nil, refuse(http.StatusBadRequest, err)
	}
	c, err := s.contactOf(r.Context(), r.Certificate, resolved.DeviceChannelID)
	if err != nil {
		return c, nil, deny(err)
	}
	s.store.Seen(c.ID, s.now())
	return c, resolved, nil
}

// within runs fn as the unit of work of a request of contact c.
func (s *Service) within(r *mdm.Request, c fleet.Contact, fn func(r *mdm.Request) error) error {
	ctx := ward.WithActor(r.Context(), ward.Actor{Name: string(c.Device), Via: ward.ViaDevice, Device: c.Device})
	return deny(s.store.Do(ctx, func(ctx context.Context) error {
		return fn(r.WithContext(fleet.WithContact(ctx, c)))
	}))
}

// description is what an Authenticate message tells beyond nanomdm's fields.
// Source: https://developer.apple.com/documentation/devicemanagement/authenticaterequest
type description struct {
	DeviceName  string
	ProductName string
	Model       string
	OSVersion   string
}

// platform tells by the product's name what it runs.
func platform(product string) ward.Platform {
	if len(product) >= 3 && product[:3] == "Mac" || len(product) >= 4 && product[:4] == "iMac" {
		return ward.MacOS
	}
	return ward.IOS
}

// maxName bounds the names that a device gives itself, in bytes. Apple's identifiers
// have 40 at most.
const maxName = 255

var errLongName = fmt.Errorf("a UDID or serial number is longer than %d bytes", maxName)

// short cuts a text that only people read to maxName bytes of whole characters.
func short(s string) string {
	if len(s) <= maxName {
		return s
	}
	return strings.ToValidUTF8(s[:maxName], "")
}

// Authenticate admits a device and begins an epoch, or refuses and changes nothing.
func (s *Service) Authenticate(r *mdm.Request, m *mdm.Authenticate) error {
	if r.Certificate == nil {
		return refuse(http.StatusForbidden, errNoCertificate)
	}
	resolved := m.Enrollment.Resolved()
	if err := resolved.Validate(); err != nil {
		return refuse(http.StatusBadRequest, err)
	}
	if len(resolved.DeviceChannelID) > maxName || len(m.SerialNumber) > maxName {
		return refuse(http.StatusBadRequest, errLongName)
	}
	var d description
	if err := plist.Unmarshal(m.Raw, &d); err != nil {
		return refuse(http.StatusBadRequest, err)
	}
	if d.ProductName == "" {
		d.ProductName = d.Model
	}
	hash := Hash(r.Certificate)
	arrival := fleet.Arrival{
		Channel: resolved.DeviceChannelID, Serial: m.SerialNumber, Name: short(d.DeviceName), Model: short(d.ProductName), OSVersion: short(d.OSVersion),
		Platform: platform(d.ProductName), Hash: hash, Adopted: s.adopted(r.Certificate),
	}
	ctx := ward.WithActor(r.Context(), ward.Actor{Name: m.SerialNumber, Via: ward.ViaDevice})
	invitation := ""
	err := s.store.Do(ctx, func(ctx context.Context) (err error) {
		if !arrival.Adopted {
			if invitation, err = s.certificates.Invitation(ctx, r.Certificate); err != nil {
				return err
			}
			if arrival.Attested, err = s.certificates.Attested(ctx, hash); err != nil {
				return err
			}
		}
		goesOn, err := s.goesOn(ctx, r.Certificate, arrival.Channel)
		if err != nil {
			return err
		}
		ad, err := s.admitter.Admit(ctx, arrival, invitation)
		if err != nil || goesOn {
			return err
		}
		if err := s.next.Authenticate(r.WithContext(fleet.WithAdmission(ctx, ad)), m); err != nil {
			return err
		}
		if arrival.Adopted {
			return nil
		}
		e, err := s.store.Latest(ctx, arrival.Channel)
		if err != nil {
			return err
		}
		return s.certificates.Bind(ctx, hash, ad.Device, e.ID)
	})
	if errors.Is(err, fleet.ErrImpostor) {
		err = s.impostor(ctx, invitation, arrival, err)
	}
	return deny(err)
}

// TokenUpdate completes an enrolment and plans what the device should get.
func (s *Service) TokenUpdate(r *mdm.Request, m *mdm.TokenUpdate) error {
	c, _, err := s.contact(r, &m.Enrollment)
	if err != nil {
		return err
	}
	return s.within(r, c, func(r *mdm.Request) error {
		if err := s.next.TokenUpdate(r, m); err != nil {
			return err
		}
		e, err := s.store.Latest(r.Context(), c.Channel)
		if err != nil || c.State == ward.EnrolmentActive || e.State != ward.EnrolmentActive {
			return err
		}
		return s.events.Enrolled(r.Context(), e)
	})
}

// CheckOut ends an enrolment.
func (s *Service) CheckOut(r *mdm.Request, m *mdm.CheckOut) error {
	c, resolved, err := s.contact(r, &m.Enrollment)
	if err != nil {
		return err
	}
	return s.within(r, c, func(r *mdm.Request) error {
		if err := s.next.CheckOut(r, m); err != nil || resolved.IsUserChannel {
			return err
		}
		return s.events.CheckedOut(r.Context(), c.Enrolment)
	})
}
