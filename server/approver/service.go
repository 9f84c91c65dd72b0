package approver

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/wardmdm/ward"
)

const (
	// nonceLife is how long a question to a passkey is open.
	nonceLife = 5 * time.Minute
	// inviteLife is how long an invitation to register a passkey is good.
	inviteLife = 7 * 24 * time.Hour
	// maxInput bounds what a browser sends.
	maxInput = 64 << 10
	// Quorum is how many approvers vouch for a new one, and how many founders there are.
	Quorum = 2
	// maxText bounds subjects and reasons, in bytes.
	maxText = 500
)

// People knows the accounts. Email may be empty; NotFound means that there is no such person.
type People interface {
	Email(ctx context.Context, person ward.PersonID) (string, error)
}

// Config is what a Service needs. Everything up to Origin must be set.
type Config struct {
	Store Store
	Root  Root
	Audit Recorder
	Now   func() time.Time
	// RPID is the host by which people reach Ward, without a port, and Origin the scheme,
	// host and port; see RelyingParty. Passkeys are bound to them: under another host every
	// approver has to register anew.
	RPID, Origin string
	Organisation string // shown by the passkey's dialogue; "Ward" if empty
	// OnAdded is told of every approver that begins to stand, within the unit of work that
	// makes it so, so that nobody becomes one unnoticed. It may be nil.
	OnAdded func(ctx context.Context, a Approver) error
	// OnEnded is told of every approver whom somebody ends, standing or pending, and why,
	// within the unit of work that makes it so, so that nobody loses them unnoticed. by is
	// the id of the person who did, or who acted where it was none. It may be nil.
	OnEnded func(ctx context.Context, a Approver, by, reason string) error
	// People tells e-mail addresses, by which one human being is known under two accounts;
	// nil: subjects alone are compared.
	People People
}

// Service knows approvers and proves what they signed. It may be used by several
// goroutines.
type Service struct {
	Config
	proven *proven
}

// New returns a service.
func New(c Config) (*Service, error) {
	if c.Store == nil || c.Root == nil || c.Audit == nil || c.Now == nil {
		return nil, errors.New("approver service: Store, Root, Audit and Now are needed")
	}
	id, origin, err := RelyingParty(c.Origin)
	if err != nil {
		return nil, err
	}
	c.RPID = strings.ToLower(c.RPID)
	if c.RPID == "" || (c.RPID != id && !strings.HasSuffix(id, "."+c.RPID)) {
		return nil, errors.New("approver service: RPID must be the host of Origin, or a domain above it")
	}
	c.Origin = origin
	if c.Organisation == "" {
		c.Organisation = "Ward"
	}
	return &Service{Config: c, proven: newProven()}, nil
}

// RelyingParty returns what passkeys are bound to where people reach Ward at publicURL: the
// host, and the origin as browsers write it, without a path and without the scheme's own
// port.
// Source: https://www.w3.org/TR/webauthn-3/#relying-party-identifier
func RelyingParty(publicURL string) (rpID, origin string, err error) {
	u, err := url.Parse(publicURL)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "" {
		return "", "", errors.New("approver service: the public URL must be https://host or https://host:port")
	}
	rpID = strings.ToLower(u.Hostname())
	host, port := rpID, u.Port()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" && (u.Scheme != "https" || port != "443") && (u.Scheme != "http" || port != "80") {
		host = net.JoinHostPort(rpID, port)
	}
	return rpID, u.Scheme + "://" + host, nil
}

// now is the time as the database keeps it.
func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// person returns who acts, who must have signed in themselves: a token, the console and
// Ward never sign.
func person(ctx context.Context) (ward.Actor, error) {
	a := ward.ActorFrom(ctx)
	if a.Person == "" || a.Via != ward.ViaSession {
		return a, ward.Errorf(ward.Forbidden, "Only a person who has signed in by a browser can use a passkey.")
	}
	return a, nil
}

// console returns nil if the operator acts at the server's console.
func console(ctx context.Context, deed string) error {
	if ward.ActorFrom(ctx).Via != ward.ViaConsole {
		return ward.Errorf(ward.Forbidden, "Only the operator can %s, at the server's console.", deed)
	}
	return nil
}

// whoActs says who acts, for records that people read.
func whoActs(a ward.Actor) string {
	switch {
	case a.Person != "":
		return string(a.Person)
	case a.Name != "":
		return a.Name
	}
	return "via " + string(a.Via)
}

// changeRoot changes the root of trust while nobody else changes approvers.
func (s *Service) changeRoot(ctx context.Context, f func(*Trusted) error) error {
	return s.Store.Do(ctx, func(ctx context.Context) error {
		if err := s.Store.HoldApprovers(ctx); err != nil {
			return err
		}
		return s.Root.Change(ctx, f)
	})
}

// added tells of an approver that begins to stand.
func (s *Service) added(ctx context.Context, a Approver) error {
	if s.OnAdded == nil {
		return nil
	}
	return s.OnAdded(ctx, a)
}
