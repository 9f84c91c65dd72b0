package server

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/authorize"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/reconcile"
	"github.com/wardmdm/ward/server/web"
)

// authority lets people see to certificates: the API, the pages and the metrics read it.
type authority struct{ s *Server }

var (
	_ api.Authority = authority{}
	_ ca.Holders    = holders{}
)

// registrar does what operators ask.
func (a authority) registrar() *ca.Registrar {
	return &ca.Registrar{
		Authority: a.s.Authority, Holders: holders(a), Audit: a.s.record, AfterRevoke: a.s.remakeCRL,
		Brake: func(ctx context.Context, d ward.DeviceID, fn func(ctx context.Context) error) error {
			return a.s.Lost.Counted(ctx, brake.Revoke, d, fn)
		},
	}
}

// watch looks after what ends: the authority's own, the push certificates, the server's.
func (a authority) watch() *ca.Watch {
	return &ca.Watch{
		Sources: []func(context.Context) ([]ca.Watched, error){a.s.Authority.Watched, a.s.outside.watched, a.serving, a.pushing},
		Unit:    a.s.db, Once: a.s.db.Certificates(), Audit: a.s.record, Now: a.s.now, Log: a.s.Log.Named("ca"),
		Tell: a.ends,
	}
}

// ends tells the people on call that a certificate ends.
func (a authority) ends(ctx context.Context, c ca.Watched, daysLeft int) error {
	when := fmt.Sprintf("ends in %d days", daysLeft)
	switch {
	case daysLeft == 1:
		when = "ends tomorrow"
	case daysLeft < 1:
		when = "has ended, or ends today"
	}
	body := c.Cure
	if c.Device != "" {
		body = strings.TrimSpace(fmt.Sprintf("It is the first of %d device identities that end and were not renewed. %s", c.Count, c.Cure))
	}
	return a.s.Notify.Tell(ctx, notify.Message{Topic: notify.Expiry, Subject: "The certificate " + c.Name + " " + when, Body: body, Link: "/health", Urgent: daysLeft <= 7})
}

// serving tells of the certificate that connections are protected with, or that signs
// profiles behind a proxy.
func (a authority) serving(context.Context) ([]ca.Watched, error) {
	pair, err := a.s.signer.get()
	if err != nil {
		return nil, fmt.Errorf("certificate of the server: %w", err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("certificate of the server: %w", err)
	}
	w := ca.WatchedOf("server", leaf, "Put the renewed certificate in the place of the old one: the server reads its files again by itself.")
	if own := a.s.Authority.Server(); own != nil && own.Equal(leaf) {
		w.Renews, w.Cure = true, "The server replaces it by itself when a client connects, and could not: its log says why."
	}
	return []ca.Watched{w}, nil
}

// pushing tells of the push certificates.
func (a authority) pushing(ctx context.Context) ([]ca.Watched, error) {
	topics, err := a.s.mdm.PushTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("push certificates: %w", err)
	}
	var out []ca.Watched
	for _, t := range topics {
		pair, _, err := a.s.mdm.RetrievePushCert(ctx, t)
		if err != nil {
			return nil, fmt.Errorf("push certificate %s: %w", t, err)
		}
		leaf, err := x509.ParseCertificate(pair.Certificate[0])
		if err != nil {
			return nil, fmt.Errorf("push certificate %s: %w", t, err)
		}
		out = append(out, ca.WatchedOf(t, leaf, "Renew it with the Apple Account that made it: ward apns request. Under another, every device has to enrol anew."))
	}
	return out, nil
}

// Status meets api.Authority.
func (a authority) Status(ctx context.Context) (v api.AuthorityStatus, err error) {
	all, err := a.watch().All(ctx)
	if err != nil {
		return v, err
	}
	now, signs := a.s.now(), a.s.Authority.Issuer().SerialNumber.String()
	for _, w := range all {
		c := api.AuthorityCertificate{
			Name: w.Name, Subject: w.Subject, Issuer: w.Issuer, Serial: w.Serial, NotAfter: w.NotAfter, DaysLeft: w.DaysLeft(now),
			Device: w.Device, Count: w.Count, Signs: w.Serial == signs && !w.Lost, KeyLost: w.Lost,
		}
		if w.Lost {
			c.Cure = w.Cure
		}
		if days, due := w.Due(now); due {
			c.Warning, c.Cure = &days, w.Cure
		}
		v.Certificates = append(v.Certificates, c)
	}
	counts, err := a.s.db.Certificates().CountCertificates(ctx, now)
	if err != nil {
		return v, fmt.Errorf("count certificates: %w", err)
	}
	v.Counts = make([]api.CertificateCount, len(counts))
	for i, c := range counts {
		v.Counts[i] = api.CertificateCount{Issuer: c.Issuer, Kind: api.CertificateKind(c.Kind), Valid: c.Valid, Expired: c.Expired, Revoked: c.Revoked}
	}
	lists, err := a.s.Authority.Lists(ctx)
	v.Lists = listShapes(lists)
	return v, err
}

func listShapes(lists []ca.CRL) []api.RevocationList {
	out := make([]api.RevocationList, len(lists))
	for i, l := range lists {
		out[i] = api.RevocationList{Issuer: l.Issuer, Number: l.Number, Entries: l.Entries, Made: l.Made, NextUpdate: l.NextUpdate()}
	}
	return out
}

// Certificates meets api.Authority.
func (a authority) Certificates(ctx context.Context, f api.CertificateFilter) ([]api.IssuedCertificate, error) {
	now := a.s.now()
	pick := ca.Filter{Device: f.Device, Kind: ca.Kind(f.Kind), Revoked: f.Revoked, After: f.After, Limit: f.Limit, Now: now}
	if f.Expiring > 0 {
		pick.ExpiringBy = now.AddDate(0, 0, f.Expiring)
	}
	all, err := a.s.db.Certificates().Certificates(ctx, pick)
	if err != nil {
		return nil, fmt.Errorf("list certificates: %w", err)
	}
	var uses map[string]authorize.Use
	if f.Device != "" {
		if uses, err = a.s.db.Authorize().Uses(ctx, f.Device); err != nil {
			return nil, err
		}
	}
	out := make([]api.IssuedCertificate, len(all))
	for i, c := range all {
		if out[i], err = a.shape(ctx, c, uses[c.Serial].Used); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// shape describes a certificate of the record.
func (a authority) shape(ctx context.Context, c ca.Certificate, used time.Time) (api.IssuedCertificate, error) {
	manages, err := holders(a).Lives(ctx, c)
	if err != nil {
		return api.IssuedCertificate{}, err
	}
	out := api.IssuedCertificate{
		Serial: c.Serial, Kind: api.CertificateKind(c.Kind), Subject: c.Subject, Device: c.Device, NotBefore: c.NotBefore, NotAfter: c.NotAfter, Manages: manages,
		Attested: c.Attested.Format != "",
	}
	if by := c.Attested; by.Format != "" {
		out.Attestation = &api.Attestation{By: by.Format, Serial: by.Serial, UDID: by.UDID, OS: by.OS}
	}
	if i := (reconcile.Identity{From: c.NotBefore, Until: c.NotAfter}); manages {
		if due := i.RenewAt(c.Enrolment); !due.After(a.s.now()) {
			out.RenewalDue = &due
		}
	}
	for _, is := range a.s.Authority.Numbered() {
		if is.Number == c.Issuer {
			out.Issuer = is.Certificate.Subject.String()
		}
	}
	if c.Issuer == ca.Foreign {
		cert, err := x509.ParseCertificate(c.DER)
		if err != nil {
			return out, fmt.Errorf("certificate %s: %w", c.Serial, err)
		}
		out.Issuer = cert.Issuer.String() + ", outside: its own revocation lists and OCSP tell of it, not Ward's"
	}
	if c.Kind == ca.KindApp {
		out.App = c.App
	}
	if !used.IsZero() {
		used = used.UTC()
		out.LastUsed = &used
	}
	if c.Revoked() {
		at := c.RevokedAt.UTC()
		out.RevokedAt, out.Reason, out.RevokedBy = &at, c.Reason.String(), c.RevokedBy
	}
	return out, nil
}

// Revoke meets api.Authority.
func (a authority) Revoke(ctx context.Context, r api.CertificateRevocation) (api.IssuedCertificate, error) {
	reason, ok := ca.Reasons()[r.Reason]
	if !ok {
		return api.IssuedCertificate{}, ward.Errorf(ward.Invalid, "There is no reason %q to revoke a certificate.", r.Reason)
	}
	c, err := a.registrar().Revoke(ctx, ca.Withdrawal{Serial: r.Serial, Reason: reason, Retire: r.Retire, Why: r.Why})
	if err != nil {
		return api.IssuedCertificate{}, err
	}
	return a.shape(ctx, c, time.Time{})
}

// RemakeLists meets api.Authority.
func (a authority) RemakeLists(ctx context.Context) ([]api.RevocationList, error) {
	lists, err := a.registrar().RemakeLists(ctx)
	return listShapes(lists), err
}

// WriteList meets api.Authority.
func (a authority) WriteList(ctx context.Context, issuer int, w io.Writer) error {
	lists, err := a.s.Authority.Lists(ctx)
	if err != nil {
		return err
	}
	for _, l := range lists {
		if l.Issuer == issuer {
			_, err := w.Write(l.DER)
			return err
		}
	}
	return ward.Errorf(ward.NotFound, "There is no issuer %d.", issuer)
}

// ofDevice lists a device's certificates for its page.
func (a authority) ofDevice(ctx context.Context, id ward.DeviceID) ([]web.Certificate, error) {
	const newest = 20
	all, err := a.Certificates(ctx, api.CertificateFilter{Device: id, Limit: newest})
	if err != nil {
		return nil, err
	}
	out := make([]web.Certificate, len(all))
	for i, c := range all {
		out[i] = web.Certificate{Serial: c.Serial, Kind: string(c.Kind), App: c.App, Issuer: c.Issuer, Issued: c.NotBefore, NotAfter: c.NotAfter, Manages: c.Manages}
		if c.Attestation != nil {
			out[i].AttestedBy, out[i].Hardware = c.Attestation.By, c.Attestation.Serial
		}
		if c.RenewalDue != nil {
			out[i].RenewalDue = *c.RenewalDue
		}
		if c.RevokedAt != nil {
			out[i].Revoked = *c.RevokedAt
		}
		if c.LastUsed != nil {
			out[i].LastUsed = *c.LastUsed
		}
	}
	return out, nil
}

// holders knows what devices are managed by.
type holders struct{ s *Server }

// Lives meets ca.Holders. What was issued to follow an identity counts before its first use
// too: the device may have it in the place of the other already.
func (h holders) Lives(ctx context.Context, c ca.Certificate) (bool, error) {
	if c.Kind != ca.KindDevice {
		return false, nil
	}
	contact, err := h.s.fleet.Contact(ctx, c.Hash)
	e := contact.Enrolment
	if ward.KindOf(err) == ward.NotFound && c.RenewedFrom != "" && c.Enrolment != "" && !c.Revoked() {
		e, err = h.s.fleet.Enrolment(ctx, c.Enrolment)
	}
	if ward.KindOf(err) == ward.NotFound {
		return false, nil
	}
	return err == nil && e.State != ward.EnrolmentEnded, err
}

// Retire meets ca.Holders.
func (h holders) Retire(ctx context.Context, c ca.Certificate, why string) error {
	contact, err := h.s.fleet.Contact(ctx, c.Hash)
	e := contact.Enrolment
	if ward.KindOf(err) == ward.NotFound && c.Enrolment != "" {
		e, err = h.s.fleet.Enrolment(ctx, c.Enrolment)
	}
	if err != nil {
		return err
	}
	if err := h.s.fleet.EndEnrolment(ctx, e.ID, "retired: "+why); err != nil || e.Device == "" {
		return err
	}
	d, err := h.s.fleet.Device(ctx, e.Device)
	if err != nil {
		return err
	}
	if err := events(h).Cease(ctx, e, false); err != nil {
		return err
	}
	return events(h).left(ctx, d, e, "retired")
}

// perIssuers serves with a handler that is made anew when there is another issuer.
type perIssuers struct {
	authority *ca.Authority
	make      func() http.Handler

	mu      sync.Mutex
	count   int
	handler http.Handler
}

func (p *perIssuers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := len(p.authority.Issuers())
	p.mu.Lock()
	if p.handler == nil || p.count != n {
		p.handler, p.count = p.make(), n
	}
	h := p.handler
	p.mu.Unlock()
	h.ServeHTTP(w, r)
}
