// Package signin lets people come in by the account that they have with their organisation:
// OpenID Connect, as Entra ID, Keycloak and the NHS login services speak it. It asks the
// provider and checks every answer; what somebody may do here, and their sessions, it leaves
// to others.
package signin

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/wardmdm/ward"
	"golang.org/x/oauth2"
)

// Config says how a provider is reached. Name, Issuer, ClientID, Redirect, Client and Now are
// needed, and one of Secret and Key.
type Config struct {
	Name     string // as people read it on the button
	Issuer   string
	ClientID string
	Secret   string
	Key      crypto.Signer // proves the client by private_key_jwt in the place of a secret
	KeyID    string
	Scopes   []string // beyond openid
	// GroupsClaim is where the groups stand, "groups" if empty; a dot leads into a claim.
	GroupsClaim string
	// ExternalClaim is where the id stands by which the directory knows somebody: "sub" if empty.
	ExternalClaim string
	TrustEmail    bool // the provider's addresses are its own, whether it says that it verified them or not
	Redirect      string
	Client        *http.Client
	Now           func() time.Time
}

// skew is by how much the clocks of the provider and of this server may differ.
const skew = time.Minute

// flightLife is how long somebody may take to sign in at the provider.
const flightLife = 15 * time.Minute

// Provider is one provider. It may be used by several goroutines.
type Provider struct {
	Config

	mu    sync.Mutex
	found *oidc.Provider
	says  metadata
}

// metadata is what is read of a provider's own description beyond what the library reads.
type metadata struct {
	TellsIssuer bool `json:"authorization_response_iss_parameter_supported"`
}

// New returns a provider. It is asked nothing before somebody signs in.
func New(c Config) (*Provider, error) {
	if c.Name == "" || c.Issuer == "" || c.ClientID == "" || c.Redirect == "" || c.Client == nil || c.Now == nil {
		return nil, errors.New("signin: Name, Issuer, ClientID, Redirect, Client and Now are needed")
	}
	if (c.Secret == "") == (c.Key == nil) {
		return nil, errors.New("signin: one of Secret and Key is needed")
	}
	if c.GroupsClaim == "" {
		c.GroupsClaim = "groups"
	}
	if c.ExternalClaim == "" {
		c.ExternalClaim = "sub"
	}
	return &Provider{Config: c}, nil
}

// DisplayName is what people read on the button.
func (p *Provider) DisplayName() string { return p.Name }

// flight is what is kept in the session while somebody is at the provider.
type flight struct {
	Provider string    `json:"p"`
	State    string    `json:"s"`
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"`
	Again    bool      `json:"a"` // they are asked to prove anew who they are
	At       time.Time `json:"t"`
}

// discover returns the provider's description, which is read once it can be.
func (p *Provider) discover(ctx context.Context) (*oidc.Provider, metadata, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found != nil {
		return p.found, p.says, nil
	}
	// The keys are fetched later by the context of now, which must not end with the request.
	found, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), p.Client), p.Issuer)
	if err != nil {
		return nil, metadata{}, p.silent(err)
	}
	var says metadata
	if err := found.Claims(&says); err != nil {
		return nil, metadata{}, p.silent(err)
	}
	p.found, p.says = found, says
	return found, says, nil
}

// silent is the error of a provider that does not answer.
func (p *Provider) silent(err error) error {
	return ward.Errorf(ward.Unavailable, "%s can’t be reached just now. Try again in a minute.", p.Name).Because(err)
}

func (p *Provider) config(found *oidc.Provider) *oauth2.Config {
	e := found.Endpoint()
	if p.Key != nil {
		e.AuthStyle = oauth2.AuthStyleInParams
	}
	scopes := []string{oidc.ScopeOpenID}
	for _, s := range p.Scopes {
		if !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	return &oauth2.Config{ClientID: p.ClientID, ClientSecret: p.Secret, Endpoint: e, RedirectURL: p.Redirect, Scopes: scopes}
}

// context carries the client by which the provider is asked.
func (p *Provider) context(ctx context.Context, found *oidc.Provider) context.Context {
	c := p.Client
	if p.Key != nil {
		with := *c
		with.Transport = asserting{p, found.Endpoint().TokenURL, c.Transport}
		c = &with
	}
	return oidc.ClientContext(ctx, c)
}

// Begin returns the address at which somebody signs in, and what the session has to keep until
// they are back. again has the provider ask them anew, however lately they signed in there.
func (p *Provider) Begin(ctx context.Context, again bool) (address, keep string, err error) {
	found, _, err := p.discover(ctx)
	if err != nil {
		return "", "", err
	}
	f := flight{Provider: p.Name, State: oauth2.GenerateVerifier(), Nonce: oauth2.GenerateVerifier(), Verifier: oauth2.GenerateVerifier(), Again: again, At: p.Now()}
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(f.Verifier), oidc.Nonce(f.Nonce)}
	if again {
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"), oauth2.SetAuthURLParam("max_age", "0"))
	}
	b, err := json.Marshal(f)
	if err != nil {
		return "", "", err
	}
	return p.config(found).AuthCodeURL(f.State, options...), string(b), nil
}

// errFlight is the one answer to whoever comes back without having gone.
func errFlight() *ward.Error {
	return ward.Errorf(ward.Forbidden, "This sign-in was begun in another browser or took too long. Begin again.")
}

// returned checks what somebody came back with, and returns the code.
func (p *Provider) returned(f flight, q url.Values, says metadata) (code string, err error) {
	now := p.Now()
	if f.Provider != p.Name || f.State == "" || q.Get("state") != f.State || now.After(f.At.Add(flightLife)) || now.Before(f.At.Add(-skew)) {
		return "", errFlight()
	}
	// Who asks one provider must not take the answer of another: RFC 9207.
	if iss := q.Get("iss"); iss != p.Issuer && (iss != "" || says.TellsIssuer) {
		return "", ward.Errorf(ward.Forbidden, "The answer came from another provider than the one you went to. Begin again.")
	}
	if e := q.Get("error"); e != "" {
		err := fmt.Errorf("provider: %.100q: %.300q", e, q.Get("error_description"))
		if e == "access_denied" {
			return "", ward.Errorf(ward.Forbidden, "%s did not let you in, or you stopped it.", p.Name).Because(err)
		}
		return "", ward.Errorf(ward.Unavailable, "%s could not sign you in. Try again; if it goes on, tell your IT department.", p.Name).Because(err)
	}
	if code = q.Get("code"); code == "" {
		return "", errFlight()
	}
	return code, nil
}

// wrong is the answer to a provider whose answer does not hold.
func (p *Provider) wrong(format string, args ...any) error {
	return ward.Errorf(ward.Forbidden, "The answer of %s does not hold, so you were not signed in. Try again; if it goes on, tell your IT department.", p.Name).Because(fmt.Errorf(format, args...))
}

// algorithms are the signatures that are taken: never none, and never one by the client's own
// secret.
var algorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}

func (p *Provider) verifier(found *oidc.Provider) *oidc.IDTokenVerifier {
	return found.Verifier(&oidc.Config{
		ClientID: p.ClientID, SupportedSigningAlgs: algorithms,
		Now: func() time.Time { return p.Now().Add(-skew) },
	})
}

// refusedBy reports whether a provider refuses what it was asked, and is not merely away.
func refusedBy(err error) bool {
	e, ok := errors.AsType[*oauth2.RetrieveError](err)
	return ok && e.Response != nil && e.Response.StatusCode >= 400 && e.Response.StatusCode < 500 && e.Response.StatusCode != http.StatusTooManyRequests
}

// over reports whether a provider says that what it granted holds no more.
func over(err error) bool {
	e, ok := errors.AsType[*oauth2.RetrieveError](err)
	return ok && slices.Contains([]string{"invalid_grant", "interaction_required", "login_required", "consent_required", "access_denied"}, strings.ToLower(e.ErrorCode))
}
