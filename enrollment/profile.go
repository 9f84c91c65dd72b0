package enrollment

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/google/uuid"
	"github.com/jessepeterson/cfgprofiles"
	"github.com/micromdm/plist"
	"github.com/wardmdm/ward"
)

// ManagementProfileIdentifier is the PayloadIdentifier of every enrolment profile.
// RemoveProfile with it ends a device's management.
const ManagementProfileIdentifier = "com.github.wardmdm.enrolment"

// profileSpace is the name space (RFC 9562 §5.5) of the payloads' UUIDs, so that an
// invitation's profile has the same ones each time it is made.
var profileSpace = uuid.MustParse("7e8b0f0e-6a57-5c5e-9d0b-3f3a4a0c2f61")

// Profiles makes enrolment profiles. Source of the payloads' keys: Apple, the profile
// payloads "MDM", "SCEP" and "ACMECertificate",
// https://developer.apple.com/documentation/devicemanagement/mdm, …/scep and
// …/acmecertificate.
type Profiles struct {
	organisation string
	publicURL    string
	topic        func(ctx context.Context) (string, error)
	roots        []*x509.Certificate
	source       Source
}

var _ Builder = (*Profiles)(nil)

// NewProfiles returns a builder. publicURL is https://host[:port], where devices reach
// /mdm, /scep and /acme; it cannot change once devices are enrolled. topic returns the topic of
// the push certificate, "" if there is none. roots are certificates that a device must
// trust to connect: none if the server's certificate is publicly trusted.
func NewProfiles(organisation, publicURL string, topic func(ctx context.Context) (string, error), roots ...*x509.Certificate) (*Profiles, error) {
	u, err := url.Parse(publicURL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("enrolment profiles: public URL: %w", err)
	case u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "":
		return nil, fmt.Errorf("enrolment profiles: the public URL %q is not https://host[:port]", publicURL)
	case organisation == "" || topic == nil:
		return nil, errors.New("enrolment profiles: an organisation and a topic are needed")
	}
	publicURL = "https://" + u.Host
	return &Profiles{organisation, publicURL, topic, roots, own{organisation, publicURL}}, nil
}

// Profile returns the enrolment profile of an invitation as XML, not signed. Its payloads
// have the same identifiers and UUIDs each time, but for the one that gets the identity,
// which has others by ACME than by SCEP. Without a push certificate it is a *ward.Error of
// kind Unavailable.
func (b *Profiles) Profile(ctx context.Context, i Invitation, t Ticket) ([]byte, error) {
	topic, err := b.topic(ctx)
	if err != nil {
		return nil, fmt.Errorf("push topic: %w", err)
	}
	if topic == "" {
		return nil, ward.Errorf(ward.Unavailable, "No device can enrol yet, because there is no Apple push certificate. An administrator imports one with: ward apns import")
	}
	p := cfgprofiles.NewProfile(ManagementProfileIdentifier)
	b.name(&p.Payload, i, "", b.organisation+" device management")
	p.PayloadDescription = "Lets " + b.organisation + " manage this device."
	p.ConsentText = map[string]string{"default": b.consent(i)}
	// A device that is not supervised would let the user remove it all the same.
	p.PayloadRemovalDisallowed = i.Supervised
	if i.Platform == ward.MacOS {
		p.PayloadScope = "System" // without it a Mac would install the profile for one user
	}
	for _, root := range b.roots {
		p.AddPayload(b.root(i, root))
	}
	if t.Identifier == "" {
		q, err := b.source.Ask(ctx, i, t.Challenge)
		if err != nil {
			return nil, fmt.Errorf("enrolment profile: %w", err)
		}
		scep := b.scep(i, q)
		p.AddPayload(scep)
		p.AddPayload(b.mdm(i, topic, scep.PayloadUUID))
	} else {
		acme := b.acme(i, t)
		p.AddPayload(acme)
		p.AddPayload(b.mdm(i, topic, acme.PayloadUUID))
	}
	xml, err := plist.MarshalIndent(p, "\t")
	if err != nil {
		return nil, fmt.Errorf("enrolment profile: %w", err)
	}
	return xml, nil
}

// consent is what the device shows before the profile is installed.
func (b *Profiles) consent(i Invitation) string {
	if i.Ownership == ward.Personal {
		return b.organisation + " will be able to see the names of the apps on this device, its model and its settings, to lock it, and to install and remove work apps and settings. " +
			"It cannot erase this device, nor see your messages, photos or browsing. You can remove this profile at any time in Settings; what it installed then goes with it."
	}
	return "This device belongs to " + b.organisation + ", which will be able to see its apps and settings, to install and remove apps and settings, to lock it, and to erase it if it is lost."
}

// name fills in what all payloads have in common. part is empty for the profile itself.
func (b *Profiles) name(p *cfgprofiles.Payload, i Invitation, part, display string) {
	p.PayloadIdentifier = ManagementProfileIdentifier
	if part != "" {
		p.PayloadIdentifier += "." + part
	}
	p.PayloadUUID = strings.ToUpper(uuid.NewSHA1(profileSpace, []byte(i.ID+"\x00"+part)).String())
	p.PayloadDisplayName = display
	p.PayloadOrganization = b.organisation
}

func (b *Profiles) root(i Invitation, cert *x509.Certificate) *cfgprofiles.CertificatePKCS1Payload {
	sum := sha256.Sum256(cert.Raw)
	part := "root." + hex.EncodeToString(sum[:4])
	p := cfgprofiles.NewCertificatePKCS1Payload("")
	p.PayloadType = "com.apple.security.root" // of the same form as pkcs1
	b.name(&p.Payload, i, part, cert.Subject.CommonName)
	p.PayloadCertificateFileName = "root.cer"
	p.PayloadContent = cert.Raw
	return p
}

// scep has the device make an RSA key and ask for its identity.
func (b *Profiles) scep(i Invitation, q Question) *cfgprofiles.SCEPPayload {
	p := cfgprofiles.NewSCEPPayload("")
	b.name(&p.Payload, i, "scep", "Device identity")
	p.PayloadContent = cfgprofiles.SCEPPayloadContent{
		URL:        q.URL,
		Name:       q.Name,
		Subject:    q.Subject,
		Challenge:  q.Challenge,
		KeySize:    2048, // Apple's default is 1024
		KeyType:    "RSA",
		KeyUsage:   5, // signing and encryption
		Retries:    3,
		RetryDelay: 10,
	}
	return p
}

// acme has the device make a key in its secure element, prove that it did, and ask for its
// identity. A device orders for ClientIdentifier, as a permanent-identifier
// (draft-ietf-acme-device-attest), and names nothing else: the authority decides.
func (b *Profiles) acme(i Invitation, t Ticket) *cfgprofiles.ACMECertificatePayload {
	p := cfgprofiles.NewACMECertificatePayload("")
	b.name(&p.Payload, i, "acme", "Device identity")
	p.DirectoryURL = b.publicURL + "/acme/" + t.Challenge + "/apple/directory"
	p.ClientIdentifier = t.Identifier
	p.Subject = [][][]string{{{"CN", t.Identifier}}}
	p.KeyType, p.KeySize = "ECSECPrimeRandom", 256 // or 384; nothing else is bound to hardware
	p.HardwareBound, p.Attest = true, true
	p.UsageFlags = 1                                   // signing
	p.ExtendedKeyUsage = []string{"1.3.6.1.5.5.7.3.2"} // id-kp-clientAuth
	return p
}

func (b *Profiles) mdm(i Invitation, topic, identity string) *cfgprofiles.MDMPayload {
	p := cfgprofiles.NewMDMPayload("")
	b.name(&p.Payload, i, "mdm", "Device management")
	p.IdentityCertificateUUID = identity
	p.Topic = topic
	p.ServerURL = b.publicURL + "/mdm"
	p.CheckInURL = p.ServerURL
	p.SignMessage = true
	p.CheckOutWhenRemoved = true
	p.AccessRights = int(i.Rights())
	if i.Platform == ward.MacOS {
		// A Mac wants the first to enrol at all, and keeps its bootstrap token for the second.
		p.ServerCapabilities = []string{"com.apple.mdm.per-user-connections", "com.apple.mdm.bootstraptoken"}
	}
	return p
}
