package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/jobs"
	"github.com/wardmdm/ward/server/scim"
	"github.com/wardmdm/ward/server/seal"
	"github.com/wardmdm/ward/server/signin"
	"github.com/wardmdm/ward/server/web"
)

// openSignIn puts together how people sign in.
func (s *Server) openSignIn(_ context.Context, _ *seal.Master) (err error) {
	c := s.config.SignIn
	rpID, origin, err := approver.RelyingParty(s.config.PublicURL)
	if err != nil {
		return err
	}
	s.Access.Organisation = s.config.Organisation
	s.SignIn, err = access.NewSignIn(access.SignInConfig{
		Access: s.Access, Store: s.db.SignIn(), RPID: rpID, Origin: origin, Organisation: s.config.Organisation,
		SecondFactor: s.config.factor(), Provided: len(c.OIDC) > 0, LocalToo: c.AllowLocal, Grant: c.grant, Idle: c.idle(),
	})
	if err != nil {
		return err
	}
	client := s.config.signIn
	if client == nil {
		client = signin.NewClient(nil)
	}
	for _, o := range c.OIDC {
		p, err := s.openProvider(o, client)
		if err != nil {
			return err
		}
		s.providers = append(s.providers, web.NamedProvider{Slug: slug(o.Name), Provider: p})
	}
	return nil
}

func (s *Server) openProvider(o OIDC, client *http.Client) (*signin.Provider, error) {
	c := signin.Config{
		Name: o.Name, Issuer: o.Issuer, ClientID: o.ClientID, KeyID: o.KeyID, Scopes: o.Scopes, GroupsClaim: o.GroupsClaim, ExternalClaim: o.DirectoryClaim,
		TrustEmail: o.TrustEmail, Redirect: s.config.PublicURL + web.ProviderBack(slug(o.Name)), Client: client, Now: s.now,
	}
	if c.Scopes == nil {
		c.Scopes = defaultScopes
	}
	var err error
	if o.KeyFile != "" {
		c.Key, err = o.key()
	} else {
		c.Secret, err = o.secret()
	}
	if err != nil {
		return nil, ward.Errorf(ward.Invalid, "The secret of the client at %s can’t be read.", o.Name).Because(err)
	}
	return signin.New(c)
}

// firstBreaksGlass lets the first administrator in by passphrase where everybody else signs in
// with a provider: somebody has to, before the provider works.
func (s *Server) firstBreaksGlass(ctx context.Context) error {
	if s.setup == "" {
		return nil
	}
	p, err := s.Access.PersonByName(ctx, access.FirstAdministrator)
	if err != nil {
		return err
	}
	return s.SignIn.SetBreakGlass(ctx, p.ID, true)
}

// accounts are what the pages of accounts stand on.
func (s *Server) accountParts() web.AccountParts {
	return web.AccountParts{SignIn: s.SignIn, Providers: s.providers, Life: s.config.SignIn.life(), Idle: s.config.SignIn.idle()}
}

// signInJobs asks providers about whoever has a session of theirs.
func (s *Server) signInJobs() []jobs.Job {
	if len(s.providers) == 0 {
		return nil
	}
	every := s.config.SignIn.every()
	return []jobs.Job{{Name: "sign-in", Every: every / 2, Do: func(ctx context.Context) error {
		ctx = ward.WithActor(ctx, ward.System)
		var errs []error
		for _, p := range s.providers {
			asked, ok := p.Provider.(access.Provider)
			if !ok {
				continue
			}
			_, err := s.SignIn.Recheck(ctx, p.DisplayName(), asked, s.now().Add(-every/2))
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}}}
}

// serveDirectories serves what directories tell by SCIM, where there are any.
func (s *Server) serveDirectories(mux *http.ServeMux) error {
	if len(s.config.SignIn.SCIM) == 0 {
		return nil
	}
	tokens := map[string]string{}
	for _, d := range s.config.SignIn.SCIM {
		t, err := d.token()
		if err != nil {
			return ward.Errorf(ward.Invalid, "The token of the directory of %s can’t be read.", d.Provider).Because(err)
		}
		tokens[d.Provider] = t
	}
	h, err := scim.New(scim.Options{Directory: s.SignIn, Tokens: tokens, Now: s.now})
	if err == nil {
		mux.Handle(scim.Path, s.metrics.timed("scim", h))
	}
	return err
}
