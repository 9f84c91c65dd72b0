package signin

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// ReadKey reads the key by which the client proves itself: an RSA key of at least 2048 bits or
// an ECDSA key on P-256, in PEM.
func ReadKey(b []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, errors.New("it holds no key in PEM")
	}
	var key any
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, err
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() >= 2048 {
			return k, nil
		}
	case *ecdsa.PrivateKey:
		if k.Curve == elliptic.P256() {
			return k, nil
		}
	}
	return nil, errors.New("it is neither an RSA key of at least 2048 bits nor an ECDSA key on P-256")
}

// asserting proves the client to the token endpoint by a signed statement: private_key_jwt.
// Source: https://www.rfc-editor.org/rfc/rfc7523#section-2.2
type asserting struct {
	p     *Provider
	token string
	next  http.RoundTripper
}

// RoundTrip meets http.RoundTripper.
func (t asserting) RoundTrip(r *http.Request) (*http.Response, error) {
	next := t.next
	if next == nil {
		next = http.DefaultTransport
	}
	if r.Method != http.MethodPost || r.URL.String() != t.token || r.Body == nil {
		return next.RoundTrip(r)
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if err = errors.Join(err, r.Body.Close()); err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(b))
	if err != nil {
		return nil, err
	}
	statement, err := t.p.assertion(t.token)
	if err != nil {
		return nil, err
	}
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	form.Set("client_assertion", statement)
	body := []byte(form.Encode())
	r = r.Clone(r.Context())
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return next.RoundTrip(r)
}

// assertion is the signed statement, good once and for five minutes. It is made out both to the
// token endpoint, as NHS login wants it, and to the issuer, as newer providers do.
func (p *Provider) assertion(audience string) (string, error) {
	alg := jose.ES256
	if _, ok := p.Key.(*rsa.PrivateKey); ok {
		alg = jose.RS512 // what NHS login and CIS2 ask for, and others take
	}
	o := (&jose.SignerOptions{}).WithType("JWT")
	if p.KeyID != "" {
		o = o.WithHeader(jose.HeaderKey("kid"), p.KeyID)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: p.Key}, o)
	if err != nil {
		return "", err
	}
	now := p.Now()
	return jwt.Signed(s).Claims(jwt.Claims{
		Issuer: p.ClientID, Subject: p.ClientID, Audience: jwt.Audience{audience, p.Issuer}, ID: rand.Text(),
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now.Add(-skew)), Expiry: jwt.NewNumericDate(now.Add(5 * time.Minute)),
	}).Serialize()
}
