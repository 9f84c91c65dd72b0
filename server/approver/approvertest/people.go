package approvertest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/approver"
)

// Root is a root of trust in memory. Its zero value is ready, and trusts nobody.
type Root struct {
	mu      sync.Mutex
	trusted approver.Trusted
}

var _ approver.Root = (*Root)(nil)

// Read meets approver.Root.
func (r *Root) Read(context.Context) (approver.Trusted, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.trusted, nil
}

// Change meets approver.Root.
func (r *Root) Change(_ context.Context, f func(*approver.Trusted) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, err := r.trusted.Changed(f)
	if err == nil {
		r.trusted = t
	}
	return err
}

// Who is somebody to make an approver of.
type Who struct {
	Person  ward.PersonID
	Name    string // the person's id if empty
	Subject string // the person's id if empty
	Outside bool
	Roles   []ward.Role // ward.RoleApprover if empty
}

// Person is someone who registered a passkey.
type Person struct {
	approver.Approver
	Passkey *Passkey
	Actor   ward.Actor
}

// As returns a context in which the person acts, signed in by a browser.
func (p *Person) As(ctx context.Context) context.Context { return ward.WithActor(ctx, p.Actor) }

// Sign has the person ask for what is to be signed and answer it, and returns the answer for
// the service's Finish or Vouch.
func (p *Person) Sign(ctx context.Context, s *approver.Service, purpose approver.Purpose, hash string) (response []byte, err error) {
	options, err := s.Begin(p.As(ctx), purpose, hash)
	if err != nil {
		return nil, err
	}
	return p.Passkey.Sign(options)
}

// Assert has the person sign, and returns the assertion that Verify proves.
func (p *Person) Assert(ctx context.Context, s *approver.Service, purpose approver.Purpose, hash string) (approver.Assertion, error) {
	response, err := p.Sign(ctx, s, purpose, hash)
	if err != nil {
		return approver.Assertion{}, err
	}
	_, a, err := s.Finish(p.As(ctx), purpose, hash, response)
	return a, err
}

// VouchFor has the person vouch for an approver and returns the record after that.
func (p *Person) VouchFor(ctx context.Context, s *approver.Service, a approver.Approver) (approver.Approver, error) {
	response, err := p.Sign(ctx, s, approver.ForApprover, a.Hash)
	if err != nil {
		return approver.Approver{}, err
	}
	return s.Vouch(p.As(ctx), a.ID, response)
}

// Register has somebody register a new passkey: they are then pending. Whom the service does not
// invite, for they are an approver already by another account, is invited past it, as by SQL, so
// that tests reach the rules beneath.
func Register(ctx context.Context, s *approver.Service, w Who) (*Person, error) {
	if w.Name == "" {
		w.Name = string(w.Person)
	}
	if w.Subject == "" {
		w.Subject = string(w.Person)
	}
	if len(w.Roles) == 0 {
		w.Roles = []ward.Role{ward.RoleApprover}
	}
	key, err := New(s.RPID, s.Origin)
	if err != nil {
		return nil, err
	}
	p := &Person{Passkey: key, Actor: ward.Actor{Person: w.Person, Name: w.Name, Via: ward.ViaSession, Roles: w.Roles}}
	secret, err := s.Invite(console(ctx), w.Person, w.Subject, w.Outside)
	if ward.KindOf(err) == ward.Conflict {
		secret, err = pastIt(ctx, s, w)
	}
	if err != nil {
		return nil, fmt.Errorf("invite %s: %w", w.Person, err)
	}
	options, err := s.BeginRegister(p.As(ctx), secret)
	if err != nil {
		return nil, fmt.Errorf("register %s: %w", w.Person, err)
	}
	response, err := key.Create(options)
	if err != nil {
		return nil, err
	}
	if p.Approver, err = s.FinishRegister(p.As(ctx), secret, response); err != nil {
		return nil, fmt.Errorf("register %s: %w", w.Person, err)
	}
	return p, nil
}

// pastIt writes an invitation that the service did not make.
func pastIt(ctx context.Context, s *approver.Service, w Who) (secret string, err error) {
	secret = "past " + string(w.Person) + rand.Text()
	sum := sha256.Sum256([]byte(secret))
	now := s.Now()
	return secret, s.Store.AddInvite(ctx, approver.Invite{
		Hash: hex.EncodeToString(sum[:]), Person: w.Person, Subject: approver.Subject(w.Subject), Outside: w.Outside, By: "nobody", Created: now, Expires: now.Add(time.Hour),
	})
}

// Seed makes approvers who stand: the first two are founders, which the operator trusts, and
// those two vouch for each of the others. It needs two at least, and a service that nobody
// stands in yet.
func Seed(ctx context.Context, s *approver.Service, who ...Who) ([]*Person, error) {
	if len(who) < approver.Quorum {
		return nil, errors.New("seed approvers: two founders are needed")
	}
	var out []*Person
	for i, w := range who {
		p, err := Register(ctx, s, w)
		if err != nil {
			return nil, fmt.Errorf("seed approvers: %w", err)
		}
		out = append(out, p)
		if i+1 == approver.Quorum {
			if err := s.Trust(console(ctx), out[0].ID, out[1].ID); err != nil {
				return nil, fmt.Errorf("seed approvers: %w", err)
			}
		}
		if i < approver.Quorum {
			continue
		}
		for _, f := range out[:approver.Quorum] {
			if _, err := f.VouchFor(ctx, s, p.Approver); err != nil {
				return nil, fmt.Errorf("seed approvers: %s for %s: %w", f.Name, p.Name, err)
			}
		}
	}
	for _, p := range out {
		stands, err := s.ByPerson(ctx, p.Person)
		if err != nil {
			return nil, fmt.Errorf("seed approvers: %w", err)
		}
		p.Approver = stands
	}
	return out, nil
}

func console(ctx context.Context) context.Context {
	return ward.WithActor(ctx, ward.Actor{Name: "Operator", Via: ward.ViaConsole})
}
