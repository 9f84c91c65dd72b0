package scim_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/scim"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

const secret = "canary-directory-token-of-32-characters"

// site is a directory's end of the protocol, on a real gate and database.
type site struct {
	t      *testing.T
	db     *store.DB
	access *access.Service
	signIn *access.SignIn
	log    *audit.Service
	url    string
}

func newSite(t *testing.T, db *store.DB) *site {
	t.Helper()
	now := func() time.Time { return time.Now().UTC() }
	s := &site{t: t, db: db}
	key, err := audit.LoadKey(filepath.Join(t.TempDir(), "audit.key"), "ward.example/audit")
	s.must(err)
	s.log, err = audit.New(audit.Config{Store: db.Audit(), Master: storetest.Master(), Key: key, Now: now})
	s.must(err)
	s.access, err = access.New(access.Config{Store: db.Access(), Audit: s.log, Now: now})
	s.must(err)
	s.signIn, err = access.NewSignIn(access.SignInConfig{
		Access: s.access, Store: db.SignIn(), RPID: "ward.example", Origin: "https://ward.example", Provided: true,
		Grant: func(_ string, groups []string) (roles []ward.Role, _ ward.Scope) {
			for _, g := range groups {
				if g == "ward-helpdesk" {
					roles = append(roles, ward.RoleSupport)
				}
			}
			return roles, ward.Scope{}
		},
	})
	s.must(err)
	h, err := scim.New(scim.Options{Directory: s.signIn, Tokens: map[string]string{"Trust": secret, "Other": strings.Repeat("o", 40)}, Now: now})
	s.must(err)
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	s.url = srv.URL + "/scim/v2"
	return s
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// ask sends a request of the directory and returns what came, which must have the status.
func (s *site) ask(token, method, path, body string, want int) map[string]any {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	s.must(err)
	r.Header.Set("Content-Type", "application/scim+json")
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(r)
	s.must(err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	s.must(err)
	if res.StatusCode != want {
		s.t.Errorf("%s %s = %d, want %d: %s", method, path, res.StatusCode, want, b)
	}
	out := map[string]any{}
	if len(b) > 0 {
		s.must(json.Unmarshal(b, &out))
	}
	return out
}

func userBody(name, external string) string {
	return fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":%q,"externalId":%q,"active":true,"password":"canary-password","name":{"givenName":"Maud","familyName":"Ellery"}}`, name, external)
}

const patch = `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[%s]}`

// TestLeaver: an account that is switched off upstream loses its sessions, tokens and roles at
// once, and does not come back in.
func TestLeaver(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db)
		id := s.ask(secret, "POST", "/Users", userBody("maud@trust.example", "object-7"), 201)["id"].(string)
		s.ask(secret, "POST", "/Users", userBody("MAUD@trust.example", "object-8"), 409)
		group := s.ask(secret, "POST", "/Groups", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"ward-helpdesk","externalId":"g1"}`, 201)["id"].(string)
		arrival := access.Arrival{Provider: "Trust", Issuer: "https://op.example", Subject: "sub-1", External: "object-7", Name: "Maud Ellery"}
		if _, err := s.signIn.Arrive(t.Context(), arrival); ward.KindOf(err) != ward.Forbidden {
			t.Errorf("arrival without a group: %v; want Forbidden", err)
		}
		s.ask(secret, "PATCH", "/Groups/"+group, fmt.Sprintf(patch, `{"op":"Add","path":"members","value":[{"value":"`+id+`"}]}`), 200)
		p, err := s.signIn.Arrive(t.Context(), arrival)
		s.must(err)
		x := s.signIn.NewSession(p.ID, access.ByProvider)
		ctx, sitting := access.WithSitting(t.Context())
		sitting.Begin = &x
		s.must(db.Sessions().CommitCtx(ctx, "cookie", []byte("1"), time.Now().Add(time.Hour)))
		_, token, err := s.access.CreateToken(ward.WithActor(t.Context(), ward.System), access.NewToken{Person: p.ID, Name: "nightly"})
		s.must(err)

		for _, off := range []string{
			`{"op":"Replace","path":"active","value":false}`, `{"op":"replace","value":{"active":false}}`,
		} {
			s.ask(secret, "PATCH", "/Users/"+id, fmt.Sprintf(patch, off), 200)
			if _, found, err := db.Sessions().FindCtx(context.Background(), "cookie"); found || err != nil {
				t.Errorf("after %s the session still stands: %v", off, err)
			}
			if _, err := s.access.Authenticate(t.Context(), token); ward.KindOf(err) != ward.Unauthenticated {
				t.Errorf("after %s the token still works: %v", off, err)
			}
			if _, err := s.signIn.Arrive(t.Context(), arrival); ward.KindOf(err) != ward.Forbidden || !strings.Contains(err.Error(), "no longer in use") {
				t.Errorf("after %s: arrival: %v; want Forbidden", off, err)
			}
			if q, err := s.access.Person(t.Context(), p.ID); err != nil || len(q.Roles) != 0 {
				t.Errorf("after %s the roles are %v, %v", off, q.Roles, err)
			}
		}
		s.ask(secret, "PATCH", "/Users/"+id, fmt.Sprintf(patch, `{"op":"replace","path":"active","value":true}`), 200)
		if back, err := s.signIn.Arrive(t.Context(), arrival); err != nil || back.ID != p.ID {
			t.Errorf("after they came back: %v, %v; want the same person", back.ID, err)
		}
		s.ask(secret, "PATCH", "/Groups/"+group, fmt.Sprintf(patch, `{"op":"remove","path":"members[value eq \"`+id+`\"]"}`), 200)
		if q, err := s.access.Person(t.Context(), p.ID); err != nil || len(q.Roles) != 0 {
			t.Errorf("out of the group the roles are %v, %v", q.Roles, err)
		}
		s.ask(secret, "DELETE", "/Users/"+id, "", 204)
		s.ask(secret, "GET", "/Users/"+id, "", 404)
		said, err := s.log.List(t.Context(), audit.Filter{Oldest: true, Limit: 100})
		s.must(err)
		var actions []string
		for _, e := range said {
			actions = append(actions, e.Action)
		}
		for _, want := range []string{access.ActionDirectoryUser, access.ActionDirectoryGroup, access.ActionSessionsEnded, access.ActionTokenRevoked, access.ActionProvidedRoles, access.ActionDirectoryLeft} {
			if !strings.Contains(strings.Join(actions, " "), want) {
				t.Errorf("the audit log lacks %s: %v", want, actions)
			}
		}
	})
}

// TestProtocol: who may ask, what is found, and that one directory does not see another's.
func TestProtocol(t *testing.T) {
	t.Parallel()
	s := newSite(t, storetest.SQLite(t))
	for _, token := range []string{"", "wrong", secret + "x"} {
		s.ask(token, "GET", "/Users", "", 401)
		s.ask(token, "POST", "/Users", userBody("a", "1"), 401)
	}
	id := s.ask(secret, "POST", "/Users", userBody("maud@trust.example", "object-7"), 201)["id"].(string)
	s.ask(secret, "POST", "/Users", userBody("joan@trust.example", "object-9"), 201)
	for filter, want := range map[string]float64{
		`userName eq "MAUD@trust.example"`: 1, `userName eq "nobody"`: 0, `externalId eq "object-9"`: 1, `userName co "trust"`: 2, "": 2,
	} {
		path := "/Users"
		if filter != "" {
			path += "?filter=" + strings.NewReplacer(" ", "%20", `"`, "%22").Replace(filter)
		}
		if got := s.ask(secret, "GET", path, "", 200)["totalResults"]; got != want {
			t.Errorf("%s finds %v, want %v", filter, got, want)
		}
	}
	got := s.ask(secret, "GET", "/Users/"+id, "", 200)
	if got["userName"] != "maud@trust.example" || got["active"] != true || got["password"] != nil {
		t.Errorf("user = %v", got)
	}
	other := strings.Repeat("o", 40)
	s.ask(other, "GET", "/Users/"+id, "", 404)
	s.ask(other, "DELETE", "/Users/"+id, "", 404)
	s.ask(other, "PATCH", "/Users/"+id, fmt.Sprintf(patch, `{"op":"replace","path":"active","value":false}`), 404)
	s.ask(secret, "PUT", "/Users/"+id, strings.Replace(userBody("maud@trust.example", "object-7"), `"active":true`, `"active":false`, 1), 200)
	if got := s.ask(secret, "GET", "/Users/"+id, "", 200)["active"]; got != false {
		t.Errorf("after PUT active is %v", got)
	}
	s.ask(secret, "POST", "/Groups", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"g","members":[{"value":"nobody"}]}`, 400)
	s.ask(secret, "POST", "/Users", `{"userName":7}`, 400)
	s.ask(secret, "GET", "/ServiceProviderConfig", "", 200)
}
