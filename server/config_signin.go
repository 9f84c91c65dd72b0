package server

import (
	"crypto"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/signin"
)

// SignIn says how people sign in.
type SignIn struct {
	SecondFactor   string      `yaml:"second_factor"`
	SessionHours   int         `yaml:"session_hours"`
	IdleMinutes    int         `yaml:"idle_minutes"`
	RecheckMinutes int         `yaml:"recheck_minutes"`
	AllowLocal     bool        `yaml:"allow_local"`
	OIDC           []OIDC      `yaml:"oidc"`
	SCIM           []Directory `yaml:"scim"`
}

// OIDC is a provider with whose accounts people sign in.
type OIDC struct {
	Name           string      `yaml:"name"`
	Issuer         string      `yaml:"issuer"`
	ClientID       string      `yaml:"client_id"`
	SecretFile     string      `yaml:"client_secret_file"`
	KeyFile        string      `yaml:"client_key_file"`
	KeyID          string      `yaml:"client_key_id"`
	Scopes         []string    `yaml:"scopes"`
	GroupsClaim    string      `yaml:"groups_claim"`
	DirectoryClaim string      `yaml:"directory_claim"`
	TrustEmail     bool        `yaml:"trust_email"`
	Grants         []OIDCGrant `yaml:"grants"`
}

// OIDCGrant is what one group of a provider gives.
type OIDCGrant struct {
	Group  string      `yaml:"group"`
	Roles  []ward.Role `yaml:"roles"`
	Sites  []string    `yaml:"sites"`
	Groups []string    `yaml:"groups"`
}

// Directory is a directory that tells by SCIM who has left.
type Directory struct {
	Provider  string `yaml:"provider"`
	TokenFile string `yaml:"token_file"`
}

func defaultSignIn() SignIn { return SignIn{SessionHours: 12, IdleMinutes: 120, RecheckMinutes: 5} }

// defaultScopes are asked for where a provider's configuration names none.
var defaultScopes = []string{"profile", "email", "offline_access"}

// slug is the part of addresses that stands for a provider.
func slug(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)):
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	return strings.Trim(b.String(), "-")
}

// factor is the policy on second factors: required but in a trial, where nothing else is said.
func (c *Config) factor() string {
	switch {
	case c.SignIn.SecondFactor != "":
		return c.SignIn.SecondFactor
	case c.Trial:
		return access.FactorOptional
	}
	return access.FactorRequired
}

func (s SignIn) mistakes(bad func(field, format string, args ...any)) {
	if s.SecondFactor != "" && s.SecondFactor != access.FactorOptional && s.SecondFactor != access.FactorRequired {
		bad("sign_in.second_factor", "%q is neither %s nor %s", s.SecondFactor, access.FactorRequired, access.FactorOptional)
	}
	for _, n := range []struct {
		field       string
		value, most int
	}{{"session_hours", s.SessionHours, 24}, {"idle_minutes", s.IdleMinutes, 24 * 60}, {"recheck_minutes", s.RecheckMinutes, 60}} {
		if n.value < 1 || n.value > n.most {
			bad("sign_in."+n.field, "%d is not a number from 1 to %d", n.value, n.most)
		}
	}
	slugs, issuers := map[string]bool{}, map[string]bool{}
	for i, o := range s.OIDC {
		wrong := func(field, format string, args ...any) {
			bad(fmt.Sprintf("sign_in.oidc[%d].%s", i, field), format, args...)
		}
		o.mistakes(wrong)
		if name := slug(o.Name); name == "" || slugs[name] {
			wrong("name", "%q is empty or too like another: people read it on the button", o.Name)
		}
		if issuers[o.Issuer] {
			wrong("issuer", "%s stands twice", o.Issuer)
		}
		slugs[slug(o.Name)], issuers[o.Issuer] = true, true
	}
	told := map[string]bool{}
	for i, d := range s.SCIM {
		wrong := func(field, format string, args ...any) {
			bad(fmt.Sprintf("sign_in.scim[%d].%s", i, field), format, args...)
		}
		if !slices.ContainsFunc(s.OIDC, func(o OIDC) bool { return o.Name == d.Provider }) || told[d.Provider] {
			wrong("provider", "%q is not the name of one of sign_in.oidc, or stands twice", d.Provider)
		}
		told[d.Provider] = true
		if _, err := d.token(); err != nil {
			wrong("token_file", "%v", err)
		}
	}
}

func (o OIDC) mistakes(wrong func(field, format string, args ...any)) {
	if u, err := url.Parse(o.Issuer); err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		wrong("issuer", "%q is not an https address without a query", o.Issuer)
	}
	if o.ClientID == "" {
		wrong("client_id", "it is missing")
	}
	switch {
	case (o.SecretFile == "") == (o.KeyFile == ""):
		wrong("client_secret_file", "name one of it and client_key_file")
	case o.SecretFile != "":
		if _, err := o.secret(); err != nil {
			wrong("client_secret_file", "%v", err)
		}
	default:
		if _, err := o.key(); err != nil {
			wrong("client_key_file", "%v", err)
		}
	}
	if len(o.Grants) == 0 {
		wrong("grants", "say what groups give, or nobody comes in")
	}
	for i, g := range o.Grants {
		if g.Group == "" || len(g.Roles) == 0 {
			wrong(fmt.Sprintf("grants[%d]", i), "it needs a group and roles")
		}
	}
}

// readSecret reads a secret from a file.
func readSecret(path string, least int) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	s := strings.TrimSpace(string(b))
	if len(s) < least {
		return "", fmt.Errorf("%s holds no secret of at least %d characters", path, least)
	}
	return s, nil
}

func (o OIDC) secret() (string, error) { return readSecret(o.SecretFile, 1) }

func (o OIDC) key() (crypto.Signer, error) {
	b, err := os.ReadFile(o.KeyFile)
	if err != nil {
		return nil, err
	}
	return signin.ReadKey(b)
}

func (d Directory) token() (string, error) { return readSecret(d.TokenFile, 32) }

func (s SignIn) life() time.Duration  { return time.Duration(s.SessionHours) * time.Hour }
func (s SignIn) idle() time.Duration  { return time.Duration(s.IdleMinutes) * time.Minute }
func (s SignIn) every() time.Duration { return time.Duration(s.RecheckMinutes) * time.Minute }

// grant says what the groups of a provider give: every role of every group, and the bounds of
// all that have any. Where one group bounds and another does not, the bound holds for both.
func (s SignIn) grant(provider string, groups []string) (roles []ward.Role, scope ward.Scope) {
	add := func(to *[]string, more []string) {
		for _, m := range more {
			if !slices.Contains(*to, m) {
				*to = append(*to, m)
			}
		}
	}
	for _, o := range s.OIDC {
		if o.Name != provider {
			continue
		}
		for _, g := range o.Grants {
			if !slices.Contains(groups, g.Group) {
				continue
			}
			for _, r := range g.Roles {
				if !slices.Contains(roles, r) {
					roles = append(roles, r)
				}
			}
			add(&scope.Sites, g.Sites)
			add(&scope.Groups, g.Groups)
		}
	}
	return roles, scope
}
