package ca

import (
	"context"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/unit"
)

// What the audit log calls an operator's deeds.
const (
	ActionRevoked   = "certificate.revoked"
	ActionRetired   = "device.retired"
	ActionListsMade = "revocation.listed"
	ActionRotated   = "issuer.made"
)

// Holders knows what proves itself by a certificate.
type Holders interface {
	// Lives reports whether a live enrolment proves itself by c.
	Lives(ctx context.Context, c Certificate) (bool, error)
	// Retire ends that enrolment, with everything that hangs on it. It joins the unit of
	// work in ctx.
	Retire(ctx context.Context, c Certificate, why string) error
}

// Brake runs fn in one unit of work unless the actor has done too much of late, which is
// an error of kind Conflict. device is empty for a certificate of no device.
type Brake func(ctx context.Context, device ward.DeviceID, fn func(ctx context.Context) error) error

// Registrar does what operators ask of the authority, and has it audited.
type Registrar struct {
	Authority *Authority
	Holders   Holders
	Brake     Brake
	Audit     Recorder
	// AfterRevoke is called once a revocation is durable: the lists are to be made anew.
	AfterRevoke func()
}

// Withdrawal is what an operator says to have a certificate revoked.
type Withdrawal struct {
	Serial string // decimal, or hexadecimal with colons or after 0x
	Reason Reason
	// Retire says that the identity of a live enrolment is meant, which is given up by it.
	Retire bool
	Why    string // for the record; needed with Retire
}

// Reasons are the words for reasons of revocation (RFC 5280 section 5.3.1).
func Reasons() map[string]Reason {
	return map[string]Reason{
		"unspecified": Unspecified, "key-compromise": KeyCompromise, "superseded": Superseded, "ceased": Ceased, "withdrawn": Withdrawn,
	}
}

// String returns the word for r, its number where there is none.
func (r Reason) String() string {
	for word, code := range Reasons() {
		if code == r {
			return word
		}
	}
	return strconv.Itoa(int(r))
}

// Revoke revokes a certificate for good, in one unit of work with its audit entry, and
// returns it as it is then. One that was revoked before is an error of kind Conflict, and
// one that this server shows to whoever connects, until it has another. So
// is the identity of a live enrolment, without which its device could never fetch the
// command that locks or erases it, unless Retire says that the device is given up; its
// enrolment then ends.
func (g *Registrar) Revoke(ctx context.Context, w Withdrawal) (Certificate, error) {
	serial, err := serialOf(w.Serial)
	if err != nil {
		return Certificate{}, err
	}
	if w.Retire && strings.TrimSpace(w.Why) == "" {
		return Certificate{}, ward.Errorf(ward.Invalid, "Say why the device is given up: the record has to tell.")
	}
	c, err := g.Authority.o.Store.CertificateBySerial(ctx, serial)
	if err != nil {
		return Certificate{}, err
	}
	err = g.Brake(ctx, c.Device, func(ctx context.Context) error {
		if c, err = g.Authority.o.Store.CertificateBySerial(ctx, serial); err != nil {
			return err
		}
		return g.revoke(ctx, &c, w)
	})
	return c, err
}

// revoke does it, within a unit of work.
func (g *Registrar) revoke(ctx context.Context, c *Certificate, w Withdrawal) error {
	if c.Revoked() {
		return ward.Errorf(ward.Conflict, "This certificate was revoked before, at %s.", c.RevokedAt.Format(time.RFC3339))
	}
	if own := g.Authority.Server(); own != nil && own.SerialNumber.String() == c.Serial {
		return ward.Errorf(ward.Conflict, "This server proves itself by this certificate now: clients would refuse it, once revoked. Restart the server, which then makes another, and revoke this one after that.")
	}
	lives, err := g.Holders.Lives(ctx, *c)
	if err != nil {
		return fmt.Errorf("revoke certificate %s: %w", c.Serial, err)
	}
	if lives && !w.Retire {
		return ward.Errorf(ward.Conflict, "A device is managed by this certificate: without it, it could never fetch the command that locks or erases it. Report the device lost, or erase it first; to give it up all the same, retire it and say why.")
	}
	by := ward.ActorFrom(ctx)
	who := string(by.Person)
	if who == "" {
		who = by.Name
	}
	if _, err := g.Authority.Revoke(ctx, c.Serial, w.Reason, who); err != nil {
		return err
	}
	detail := map[string]string{"kind": string(c.Kind), "reason": w.Reason.String(), "device": string(c.Device), "why": w.Why}
	if err := g.Audit.Record(ctx, ActionRevoked, c.Serial, detail); err != nil {
		return err
	}
	if lives {
		if err := g.Holders.Retire(ctx, *c, w.Why); err != nil {
			return fmt.Errorf("retire %s: %w", c.Device, err)
		}
		if err := g.Audit.Record(ctx, ActionRetired, string(c.Device), map[string]string{"certificate": c.Serial, "why": w.Why}); err != nil {
			return err
		}
	}
	unit.AfterCommit(ctx, g.AfterRevoke)
	*c, err = g.Authority.o.Store.CertificateBySerial(ctx, c.Serial)
	return err
}

// RemakeLists makes every revocation list anew and returns them.
func (g *Registrar) RemakeLists(ctx context.Context) ([]CRL, error) {
	if err := g.Authority.RemakeCRL(ctx); err != nil {
		return nil, err
	}
	lists, err := g.Authority.Lists(ctx)
	if err != nil {
		return nil, err
	}
	detail := map[string]string{}
	for _, l := range lists {
		detail["issuer "+strconv.Itoa(l.Issuer)] = "number " + strconv.FormatInt(l.Number, 10) + ", " + strconv.Itoa(l.Entries) + " entries"
	}
	return lists, g.Authority.o.Unit.Do(ctx, func(ctx context.Context) error { return g.Audit.Record(ctx, ActionListsMade, "", detail) })
}

// serialOf reads a serial number in decimal, or in hexadecimal as other tools write it, or
// what the record calls a certificate of another authority.
func serialOf(text string) (string, error) {
	if text = strings.TrimSpace(text); foreignSerial.MatchString(text) {
		return text, nil
	}
	digits := strings.ReplaceAll(text, ":", "")
	base := 10
	if hex, ok := strings.CutPrefix(strings.ToLower(digits), "0x"); ok || strings.Contains(text, ":") || strings.ContainsAny(digits, "abcdefABCDEF") {
		digits, base = hex, 16
	}
	n, ok := new(big.Int).SetString(digits, base)
	if !ok || n.Sign() <= 0 || n.BitLen() > 160 { // RFC 5280 section 4.1.2.2
		return "", ward.Errorf(ward.Invalid, "%q is not the serial number of a certificate.", text)
	}
	return n.String(), nil
}
