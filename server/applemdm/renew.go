package applemdm

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/jessepeterson/mdmcommands"
	"github.com/micromdm/nanomdm/cryptoutil"
	"github.com/micromdm/nanomdm/mdm"
	"github.com/micromdm/plist"
	"github.com/smallstep/pkcs7"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/reconcile"
)

// Renewals knows the certificates that were issued to follow the identities of devices.
type Renewals interface {
	// Succeed has such a certificate take the place of the identity that it follows, if it
	// is that of the channel's live enrolment, and revokes what it makes worthless, in one
	// unit of work. It reports whether the enrolment goes on under the certificate: it took
	// the place now, or not long ago. A certificate that follows none changes nothing and
	// is no error; one that can't take its place is a *ward.Error of kind Forbidden.
	Succeed(ctx context.Context, cert *x509.Certificate, channel string) (bool, error)
}

// contactOf returns the enrolment that a certificate proves on a channel. A certificate
// that was issued to follow the channel's identity takes its place by its first use.
func (s *Service) contactOf(ctx context.Context, cert *x509.Certificate, channel string) (fleet.Contact, error) {
	hash := Hash(cert)
	c, err := s.store.Contact(ctx, hash)
	if ward.KindOf(err) == ward.NotFound && s.renewals != nil {
		if _, err := s.renewals.Succeed(ctx, cert, channel); err != nil {
			return c, err
		}
		c, err = s.store.Contact(ctx, hash)
		c.Renewed = true
	}
	if err != nil {
		return c, err
	}
	if c.Channel != channel {
		return c, refuse(http.StatusForbidden, errors.New("the certificate is another device's"))
	}
	return c, s.late(ctx, cert)
}

// late asks the record about a certificate that has ended: what let it in so far is that it
// was good once and proves an enrolment that lives.
func (s *Service) late(ctx context.Context, cert *x509.Certificate) error {
	if !s.now().After(cert.NotAfter) {
		return nil
	}
	_, err := s.certificates.Invitation(ctx, cert)
	return err
}

// goesOn reports whether an Authenticate is that of a device which is enrolled and has
// replaced its profile: some systems send it then, and their enrolment goes on. It joins
// the unit of work in ctx. A certificate that has ended proves what it proved before, and
// nothing new.
func (s *Service) goesOn(ctx context.Context, cert *x509.Certificate, channel string) (bool, error) {
	if s.now().After(cert.NotAfter) {
		if _, err := s.contactOf(ctx, cert, channel); err != nil {
			return false, err
		}
	}
	if s.renewals == nil {
		return false, nil
	}
	return s.renewals.Succeed(ctx, cert, channel)
}

// renewalDue reports whether the identity of a contact is to be renewed now that its device
// waits for an answer. One that another authority issued is not Ward's to renew.
func (s *Service) renewalDue(c fleet.Contact, cert *x509.Certificate) bool {
	if c.Device == "" || c.Invitation == "" || c.State != ward.EnrolmentActive {
		return false
	}
	i := reconcile.Identity{From: cert.NotBefore, Until: cert.NotAfter}
	return !i.RenewAt(c.ID).After(s.now())
}

// renewIdentity makes the command that puts another enrolment profile, with a new identity,
// in the place of the one that the device has.
func (c *Compiler) renewIdentity(ctx context.Context, d ward.Device, e ward.Enrolment, uuid string) (any, error) {
	if c.Renewal == nil {
		return nil, errors.New("nothing makes enrolment profiles anew")
	}
	profile, err := c.Renewal(ctx, d, e)
	if err != nil {
		return nil, err
	}
	cmd := mdmcommands.NewInstallProfileCommand(uuid)
	cmd.Command.Payload = profile
	return cmd, nil
}

// managementPayload stands in every enrolment profile, and in no other.
const managementPayload = "<string>com.apple.mdm</string>"

// signed returns a command as it is to be delivered: an enrolment profile in it is signed,
// as the one was that the device has, be it to renew an identity or to come back by after an
// erase. That is done here because signing is slow, and so is whoever else gives something
// for the profile, and in the unit of work that makes the command all writers wait.
func (s *Service) signed(ctx context.Context, cmd *mdm.Command) (*mdm.Command, error) {
	if cmd == nil || s.sign == nil {
		return cmd, nil
	}
	var list any
	var profile *[]byte
	switch cmd.Command.RequestType {
	case mdmcommands.InstallProfileRequestType:
		var c mdmcommands.InstallProfileCommand
		if err := plist.Unmarshal(cmd.Raw, &c); err != nil {
			return nil, fmt.Errorf("read command %s: %w", cmd.CommandUUID, err)
		}
		list, profile = &c, &c.Command.Payload
	case mdmcommands.EraseDeviceRequestType:
		var c mdmcommands.EraseDeviceCommand
		if err := plist.Unmarshal(cmd.Raw, &c); err != nil {
			return nil, fmt.Errorf("read command %s: %w", cmd.CommandUUID, err)
		}
		if back := c.Command.ReturnToService; back != nil {
			list, profile = &c, back.MDMProfileData
		}
	}
	if profile == nil || !strings.Contains(string(*profile), managementPayload) {
		return cmd, nil
	}
	sealed, err := s.sign(ctx, *profile)
	if err != nil {
		return nil, fmt.Errorf("sign the profile of command %s: %w", cmd.CommandUUID, err)
	}
	*profile = sealed
	out := *cmd
	if out.Raw, err = plist.Marshal(list); err != nil {
		return nil, fmt.Errorf("encode command %s: %w", cmd.CommandUUID, err)
	}
	return &out, nil
}

// maxSignature bounds an Mdm-Signature header: one with a chain of certificates has 6 KiB.
const maxSignature = 16 << 10

// readSignature reads an Mdm-Signature header. Nothing in it is believed yet; but what it is
// verified with comes with it, so a key that would be slow to verify with is refused first.
func readSignature(header string) (*pkcs7.PKCS7, error) {
	if len(header) > maxSignature {
		return nil, fmt.Errorf("a signature of %d bytes is too large", len(header))
	}
	sig, err := base64.StdEncoding.DecodeString(header)
	if err != nil {
		return nil, err
	}
	p7, err := pkcs7.Parse(sig)
	if err != nil {
		return nil, err
	}
	for _, c := range p7.Certificates {
		switch k := c.PublicKey.(type) {
		case *rsa.PublicKey:
			if k.N.BitLen() > maxRSA {
				return nil, fmt.Errorf("the signature comes with an RSA key of %d bits", k.N.BitLen())
			}
		case *ecdsa.PublicKey:
		default:
			return nil, fmt.Errorf("the signature comes with a key of type %T", k)
		}
	}
	return p7, nil
}

// maxRSA is the largest RSA key that signatures are verified with, in bits.
const maxRSA = 4096

// verifySignature verifies an Mdm-Signature header, as the library does, but that it leaves
// the end of the certificate to the verifier of chains: a device that was away for long
// signs with what it has.
func verifySignature(header string, body []byte) (*x509.Certificate, error) {
	p7, err := readSignature(header)
	if err != nil {
		return nil, fmt.Errorf("read signature: %w", err)
	}
	cert, err := cryptoutil.VerifyMdmSignature(header, body)
	when, ok := errors.AsType[*pkcs7.SigningTimeNotValidError](err)
	if !ok || !when.SigningTime.After(when.NotAfter) {
		return cert, err
	}
	if cert = p7.GetOnlySigner(); cert == nil {
		return nil, errors.New("invalid or missing signer")
	}
	p7.Content = body
	for i, c := range p7.Certificates {
		if c == cert {
			longer := *c
			longer.NotAfter = when.SigningTime
			p7.Certificates[i] = &longer
		}
	}
	if err := p7.Verify(); err != nil {
		return nil, err
	}
	return cert, nil
}
