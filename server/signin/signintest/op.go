// Package signintest runs a real OpenID provider for tests, on TLS and in memory, whose people
// join and leave groups, leave the organisation, and which can be away. It is for tests only.
package signintest

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// What clients of the provider prove themselves with.
const (
	ClientID = "ward"
	Secret   = "canary-client-secret"
	KeyID    = "ward-key"
)

const secretOfUsers = "verysecure"

// OP is a provider.
type OP struct {
	URL    string
	Client *http.Client // trusts it

	t       testing.TB
	storage *vault
	mu      sync.Mutex
	away    bool
}

// User is somebody whom the provider knows.
type User struct {
	ID, Name, Email string
	Groups          []string
	Claims          map[string]any // beyond
}

// Options say what the provider is like.
type Options struct {
	Redirect string        // where it sends people back
	Key      crypto.Signer // its client proves itself by the key in the place of the secret
	Life     time.Duration // of ID tokens; 0 for an hour
	InToken  bool          // who somebody is stands in the ID token, and not only in the user info
}

// vault is what the provider keeps.
type vault struct {
	*storage.Storage
	mu      sync.Mutex
	users   map[string]User
	gone    map[string]bool
	options Options
	client  *storage.Client
}

// New starts a provider that knows the users.
func New(t testing.TB, o Options, users ...User) *OP {
	t.Helper()
	v := &vault{users: map[string]User{}, gone: map[string]bool{}, options: o, client: storage.WebClient(ClientID, Secret, o.Redirect)}
	v.Storage = storage.NewStorageWithClients(v, map[string]*storage.Client{ClientID: v.client, "other": storage.WebClient("other", Secret, o.Redirect)})
	for _, u := range users {
		v.users[u.ID] = u
	}
	srv := httptest.NewUnstartedServer(nil)
	t.Cleanup(srv.Close)
	p := &OP{URL: "https://" + srv.Listener.Addr().String(), t: t, storage: v}
	provider, err := op.NewProvider(&op.Config{
		CryptoKey: sha256.Sum256([]byte("test")), CodeMethodS256: true, AuthMethodPost: true, AuthMethodPrivateKeyJWT: true, GrantTypeRefreshToken: true,
	}, v, op.StaticIssuer(p.URL), op.WithLogger(slog.New(slog.NewTextHandler(io.Discard, nil))))
	if err != nil {
		t.Fatal(err)
	}
	srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		away := p.away
		p.mu.Unlock()
		if away {
			http.Error(w, "away", http.StatusBadGateway)
			return
		}
		provider.ServeHTTP(w, r)
	})
	srv.StartTLS()
	p.Client = srv.Client()
	return p
}

// Away has the provider answer nothing, or answer again.
func (p *OP) Away(away bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = away
}

// Set changes a user.
func (p *OP) Set(u User) {
	p.storage.mu.Lock()
	defer p.storage.mu.Unlock()
	p.storage.users[u.ID] = u
}

// Leave has a user leave the organisation: nothing that was granted to them holds.
func (p *OP) Leave(id string) {
	p.storage.mu.Lock()
	defer p.storage.mu.Unlock()
	p.storage.gone[id] = true
}

// SignIn signs a user in at the address to which a browser was sent, and returns the address
// to which the browser is sent back.
func (p *OP) SignIn(address, user string) string {
	p.t.Helper()
	browser := *p.Client
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	get := func(address string) *url.URL {
		p.t.Helper()
		r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, address, nil)
		if err != nil {
			p.t.Fatal(err)
		}
		res, err := browser.Do(r)
		if err != nil {
			p.t.Fatal(err)
		}
		defer res.Body.Close()
		to, err := res.Location()
		if err != nil {
			b, _ := io.ReadAll(res.Body)
			p.t.Fatalf("GET %s = %d without a location: %s", address, res.StatusCode, b)
		}
		return to
	}
	id := get(address).Query().Get("authRequestID")
	if err := p.storage.CheckUsernamePassword(user, secretOfUsers, id); err != nil {
		p.t.Fatal(err)
	}
	return get(p.URL + "/authorize/callback?id=" + url.QueryEscape(id)).String()
}

// LogoutToken makes what the provider sends when somebody signs out there. Claims beyond or in
// the place of the usual ones may be given.
func (p *OP) LogoutToken(user string, claims map[string]any) string {
	p.t.Helper()
	key, err := p.storage.SigningKey(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: key.SignatureAlgorithm(), Key: jose.JSONWebKey{Key: key.Key(), KeyID: key.ID()}}, (&jose.SignerOptions{}).WithType("logout+jwt"))
	if err != nil {
		p.t.Fatal(err)
	}
	now := time.Now()
	all := map[string]any{
		"iss": p.URL, "sub": user, "aud": ClientID, "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(), "jti": "1",
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
	for k, v := range claims {
		if all[k] = v; v == nil {
			delete(all, k)
		}
	}
	b, err := json.Marshal(all)
	if err != nil {
		p.t.Fatal(err)
	}
	signed, err := s.Sign(b)
	if err != nil {
		p.t.Fatal(err)
	}
	out, err := signed.CompactSerialize()
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

// GetUserByID meets storage.UserStore.
func (v *vault) GetUserByID(id string) *storage.User {
	v.mu.Lock()
	defer v.mu.Unlock()
	u, ok := v.users[id]
	if !ok || v.gone[id] {
		return nil
	}
	return &storage.User{ID: u.ID, Username: u.ID, Password: secretOfUsers, FirstName: u.Name, Email: u.Email, EmailVerified: true}
}

// GetUserByUsername meets storage.UserStore.
func (v *vault) GetUserByUsername(name string) *storage.User { return v.GetUserByID(name) }

// ExampleClientID meets storage.UserStore.
func (v *vault) ExampleClientID() string { return "service" }

func (v *vault) add(info *oidc.UserInfo, id string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	u, ok := v.users[id]
	if !ok || v.gone[id] {
		return errors.New("there is no such user")
	}
	info.Subject, info.Name, info.Email, info.EmailVerified = u.ID, u.Name, u.Email, true
	if u.Groups != nil {
		info.AppendClaims("groups", u.Groups)
	}
	for k, c := range u.Claims {
		info.AppendClaims(k, c)
	}
	return nil
}

// SetUserinfoFromRequest meets op.CanSetUserinfoFromRequest.
func (v *vault) SetUserinfoFromRequest(_ context.Context, info *oidc.UserInfo, r op.IDTokenRequest, _ []string) error {
	if info.Subject = r.GetSubject(); !v.options.InToken {
		return nil
	}
	return v.add(info, r.GetSubject())
}

// SetUserinfoFromToken meets op.Storage.
func (v *vault) SetUserinfoFromToken(_ context.Context, info *oidc.UserInfo, _, subject, _ string) error {
	return v.add(info, subject)
}

// TokenRequestByRefreshToken meets op.Storage.
func (v *vault) TokenRequestByRefreshToken(ctx context.Context, token string) (op.RefreshTokenRequest, error) {
	r, err := v.Storage.TokenRequestByRefreshToken(ctx, token)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.gone[r.GetSubject()] {
		return nil, errors.New("this user has left")
	}
	return r, nil
}

// GetClientByClientID meets op.Storage.
func (v *vault) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := v.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	return client{c, v.options}, nil
}

// GetKeyByIDAndClientID meets op.Storage.
func (v *vault) GetKeyByIDAndClientID(_ context.Context, keyID, id string) (*jose.JSONWebKey, error) {
	if v.options.Key == nil || keyID != KeyID || id != ClientID {
		return nil, errors.New("there is no such key")
	}
	return &jose.JSONWebKey{KeyID: keyID, Use: "sig", Key: v.options.Key.Public()}, nil
}

// client is a client as the options say.
type client struct {
	op.Client
	o Options
}

// AuthMethod meets op.Client.
func (c client) AuthMethod() oidc.AuthMethod {
	if c.o.Key != nil {
		return oidc.AuthMethodPrivateKeyJWT
	}
	return c.Client.AuthMethod()
}

// IDTokenLifetime meets op.Client.
func (c client) IDTokenLifetime() time.Duration {
	if c.o.Life > 0 {
		return c.o.Life
	}
	return c.Client.IDTokenLifetime()
}

// IDTokenUserinfoClaimsAssertion meets op.Client.
func (c client) IDTokenUserinfoClaimsAssertion() bool { return c.o.InToken }

// IsScopeAllowed meets op.Client.
func (c client) IsScopeAllowed(string) bool { return true }
