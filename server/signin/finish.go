package signin

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"golang.org/x/oauth2"
)

// Finish takes what somebody came back with and what Begin had the session keep, asks the
// provider, and returns who it is, with the part of a session that comes from the provider.
func (p *Provider) Finish(ctx context.Context, keep string, q url.Values) (a access.Arrival, x access.Session, err error) {
	var f flight
	if err := json.Unmarshal([]byte(keep), &f); err != nil {
		return a, x, errFlight().Because(err)
	}
	found, says, err := p.discover(ctx)
	if err != nil {
		return a, x, err
	}
	code, err := p.returned(f, q, says)
	if err != nil {
		return a, x, err
	}
	ctx = p.context(ctx, found)
	token, err := p.config(found).Exchange(ctx, code, oauth2.VerifierOption(f.Verifier))
	if refusedBy(err) {
		return a, x, p.wrong("exchange the code: %w", err)
	}
	if err != nil {
		return a, x, p.silent(err)
	}
	c, err := p.claims(ctx, found, token, f.Nonce)
	if err != nil {
		return a, x, err
	}
	if f.Again {
		if at, ok := c.number("auth_time"); !ok || time.Unix(at, 0).Before(f.At.Add(-skew)) {
			return a, x, ward.Errorf(ward.Forbidden, "%s did not ask you again who you are, so this can’t go on. Sign out there first, or tell your IT department.", p.Name)
		}
	}
	if a, err = p.arrival(ctx, found, token, c); err != nil {
		return a, x, err
	}
	x = access.Session{How: access.ByProvider, Provider: p.Name, Subject: a.Subject, ProviderSession: c.text("sid"), Refresh: token.RefreshToken}
	return a, x, nil
}

// claims verifies the ID token that came with a token and returns what it says.
// Source: https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation
func (p *Provider) claims(ctx context.Context, found *oidc.Provider, token *oauth2.Token, nonce string) (claims, error) {
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return nil, p.wrong("there is no ID token")
	}
	id, err := p.verifier(found).Verify(ctx, raw)
	if err != nil {
		return nil, p.wrong("ID token: %w", err)
	}
	var c claims
	if err := id.Claims(&c); err != nil {
		return nil, p.wrong("ID token: %w", err)
	}
	switch {
	case nonce != "" && id.Nonce != nonce:
		return nil, p.wrong("the nonce is another one")
	case id.Subject == "":
		return nil, p.wrong("there is no subject")
	case id.IssuedAt.After(p.Now().Add(skew)):
		return nil, p.wrong("the ID token is from the future: %s", id.IssuedAt)
	case c.text("azp") != "" && c.text("azp") != p.ClientID, len(id.Audience) > 1 && c.text("azp") == "":
		return nil, p.wrong("the ID token was made for another client")
	}
	if id.AccessTokenHash != "" {
		if err := id.VerifyAccessToken(token.AccessToken); err != nil {
			return nil, p.wrong("access token: %w", err)
		}
	}
	return c, nil
}

// arrival says who somebody is, of the ID token and of what the provider tells of them where
// the token does not say.
func (p *Provider) arrival(ctx context.Context, found *oidc.Provider, token *oauth2.Token, c claims) (access.Arrival, error) {
	a := access.Arrival{Provider: p.Name, Issuer: p.Issuer, Subject: c.text("sub")}
	groups, grouped := c.list(p.GroupsClaim)
	overage := c.overage(p.GroupsClaim)
	if found.UserInfoEndpoint() != "" && (!grouped && !overage || c.text("name") == "") {
		more, err := p.userinfo(ctx, found, token, a.Subject)
		if err != nil {
			return a, err
		}
		if !grouped {
			groups, grouped = more.list(p.GroupsClaim)
			overage = overage || more.overage(p.GroupsClaim)
		}
		for k, v := range more {
			if _, there := c[k]; !there {
				c[k] = v
			}
		}
	}
	a.Groups, a.Grouped = groups, grouped
	a.External, a.Name = c.text(p.ExternalClaim), c.text("name")
	if a.Name == "" {
		a.Name = c.text("preferred_username")
	}
	if verified, _ := c["email_verified"].(bool); verified || p.TrustEmail {
		a.Email = c.text("email")
	}
	if overage && !grouped {
		a.Why = "You are in more groups than " + p.Name + " puts into its answer. Your IT department can have it name only the groups that are assigned to Ward, or tell Ward of groups by SCIM."
	}
	return a, nil
}

// userinfo asks the provider of somebody. What it says must be of the same person: nothing
// else proves that it is.
func (p *Provider) userinfo(ctx context.Context, found *oidc.Provider, token *oauth2.Token, subject string) (claims, error) {
	info, err := found.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return nil, p.silent(err)
	}
	if info.Subject != subject {
		return nil, p.wrong("the provider told of somebody else")
	}
	var c claims
	if err := info.Claims(&c); err != nil {
		return nil, p.wrong("user info: %w", err)
	}
	return c, nil
}

// Recheck meets access.Provider.
func (p *Provider) Recheck(ctx context.Context, x access.Session) (a access.Arrival, refresh string, err error) {
	found, _, err := p.discover(ctx)
	if err != nil {
		return a, "", err
	}
	ctx = p.context(ctx, found)
	token, err := p.config(found).TokenSource(ctx, &oauth2.Token{RefreshToken: x.Refresh}).Token()
	if over(err) {
		return a, "", ward.Errorf(ward.Forbidden, "%s lets this account in no more.", p.Name).Because(err)
	}
	if err != nil {
		return a, "", p.silent(err)
	}
	refresh = token.RefreshToken
	var c claims
	if raw, _ := token.Extra("id_token").(string); raw != "" {
		if c, err = p.claims(ctx, found, token, ""); err != nil {
			return a, refresh, err
		}
	} else {
		c, err = p.userinfo(ctx, found, token, x.Subject)
		if err != nil {
			return a, refresh, err
		}
	}
	if c.text("sub") != x.Subject {
		return a, refresh, p.wrong("the provider told of somebody else")
	}
	if a, err = p.arrival(ctx, found, token, c); err != nil {
		return a, refresh, err
	}
	_, idToken := token.Extra("id_token").(string)
	a.Silent = !a.Grouped && !idToken // nothing was said of groups, so that nothing changed
	return a, refresh, nil
}

var _ access.Provider = (*Provider)(nil)

// LoggedOut reads a logout token, by which a provider says that somebody has signed out there
// or was signed out, and returns whose sessions are over.
// Source: https://openid.net/specs/openid-connect-backchannel-1_0.html#Validation
func (p *Provider) LoggedOut(ctx context.Context, raw string) (subject, session string, err error) {
	found, _, err := p.discover(ctx)
	if err != nil {
		return "", "", err
	}
	bad := ward.Errorf(ward.Invalid, "The logout token does not hold: it is not of now, or not made by the provider for this client.")
	if len(raw) > 32<<10 {
		return "", "", bad
	}
	t, err := p.verifier(found).VerifyLogout(p.context(ctx, found), raw)
	if err != nil {
		return "", "", bad.Because(err)
	}
	if now := p.Now(); t.IssuedAt.After(now.Add(skew)) || t.IssuedAt.Before(now.Add(-10*time.Minute)) {
		return "", "", bad
	}
	return t.Subject, t.SessionID, nil
}

// claims are what a token says.
type claims map[string]any

func (c claims) text(name string) string {
	v, _ := c[name].(string)
	return strings.TrimSpace(v)
}

func (c claims) number(name string) (int64, bool) {
	v, ok := c[name].(float64)
	return int64(v), ok
}

// at returns a claim by name, or by a path with dots such as realm_access.roles.
func (c claims) at(name string) (any, bool) {
	if v, ok := c[name]; ok {
		return v, true
	}
	first, rest, ok := strings.Cut(name, ".")
	if !ok {
		return nil, false
	}
	inner, ok := c[first].(map[string]any)
	if !ok {
		return nil, false
	}
	return claims(inner).at(rest)
}

// list returns a claim that is a list of texts or one text, and whether it was told.
func (c claims) list(name string) (out []string, told bool) {
	v, ok := c.at(name)
	if !ok {
		return nil, false
	}
	switch v := v.(type) {
	case string:
		return []string{v}, true
	case []any:
		for _, e := range v {
			if s, ok := e.(string); ok && s != "" && !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
		return out, true
	}
	return nil, false
}

// overage reports whether Entra ID left the groups out because there are too many.
// Source: https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference#groups-overage-claim
func (c claims) overage(name string) bool {
	names, _ := c["_claim_names"].(map[string]any)
	_, there := names[name]
	has, _ := c["hasgroups"].(bool)
	return there || has
}
