package ca

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	stepapi "github.com/smallstep/certificates/api"
	"go.step.sm/crypto/jose"
)

const (
	// outsideWait is how long the outside authority may take for one answer.
	outsideWait = 15 * time.Second
	tokenLife   = 5 * time.Minute
	maxAnswer   = 1 << 20
)

// stepClient asks a step-ca by one of its provisioners of type JWK. The library's own
// registration authority, cas/stepcas, knows neither a context nor a limit of time, and
// its client brings half a server along.
type stepClient struct {
	o      *Outside
	now    func() time.Time
	root   *x509.Certificate
	http   *http.Client
	signer jose.Signer
}

// dialStep connects to the authority of o. root is its root where that is known already;
// else it is fetched and held against the fingerprint.
func dialStep(ctx context.Context, o *Outside, root *x509.Certificate, now func() time.Time) (*stepClient, error) {
	c := &stepClient{o: o, now: now, root: root}
	if root == nil {
		// Who answers is not known yet, and need not be: the fingerprint tells the root.
		c.http = &http.Client{Timeout: outsideWait, Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}, //nolint:gosec // what comes is held against the fingerprint
			DisableKeepAlives: true,
		}}
		var reply stepapi.RootResponse
		if err := c.call(ctx, http.MethodGet, "/1.0/root/"+strings.ToLower(o.Fingerprint), nil, &reply); err != nil {
			return nil, err
		}
		if c.root = reply.RootPEM.Certificate; c.root == nil || !o.is(c.root) {
			return nil, errors.New("the root is not the one of the fingerprint")
		}
	}
	pool := x509.NewCertPool()
	pool.AddCert(c.root)
	c.http = &http.Client{Timeout: outsideWait, Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute,
	}}
	key, err := c.key(ctx)
	if err != nil {
		return nil, err
	}
	if key.KeyID == "" {
		if key.KeyID, err = jose.Thumbprint(key); err != nil {
			return nil, err
		}
	}
	options := new(jose.SignerOptions).WithType("JWT").WithHeader("kid", key.KeyID)
	c.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(key.Algorithm), Key: key.Key}, options)
	if err != nil {
		return nil, fmt.Errorf("key of the provisioner: %w", err)
	}
	return c, nil
}

// fetch sends a request and returns what is answered, which is text or JSON.
func (c *stepClient) fetch(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.o.URL, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err == nil && res.StatusCode >= http.StatusBadRequest {
		var why struct{ Message string }
		if json.Unmarshal(b, &why) != nil {
			why.Message = "it does not say why"
		}
		err = fmt.Errorf("%s %s: %s: %s", method, path, res.Status, why.Message)
	}
	return b, err
}

func (c *stepClient) call(ctx context.Context, method, path string, question, answer any) error {
	var body []byte
	if question != nil {
		var err error
		if body, err = json.Marshal(question); err != nil {
			return err
		}
	}
	b, err := c.fetch(ctx, method, path, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, answer); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// key reads the provisioner's key from its file, or has the authority hand it out.
func (c *stepClient) key(ctx context.Context) (*jose.JSONWebKey, error) {
	var options []jose.Option
	if c.o.PasswordFile != "" {
		password, err := os.ReadFile(c.o.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("password of the provisioner's key: %w", err)
		}
		options = append(options, jose.WithPassword(bytes.TrimRight(password, "\r\n")))
	}
	if c.o.KeyFile != "" {
		key, err := jose.ReadKey(c.o.KeyFile, options...)
		if err != nil {
			return nil, fmt.Errorf("key of the provisioner: %w", err)
		}
		return key, nil
	}
	for cursor := ""; ; {
		var page struct {
			Provisioners []struct{ Type, Name, EncryptedKey string }
			NextCursor   string
		}
		if err := c.call(ctx, http.MethodGet, "/provisioners?cursor="+url.QueryEscape(cursor), nil, &page); err != nil {
			return nil, err
		}
		for _, p := range page.Provisioners {
			if p.Type != "JWK" || p.Name != c.o.Provisioner {
				continue
			}
			if p.EncryptedKey == "" {
				return nil, errors.New("the authority has no key of the provisioner to hand out: name it by ca.outside.key_file")
			}
			plain, err := jose.Decrypt([]byte(p.EncryptedKey), options...)
			if err != nil {
				return nil, fmt.Errorf("key of the provisioner: %w", err)
			}
			return jose.ParseKey(plain)
		}
		if cursor = page.NextCursor; cursor == "" {
			return nil, fmt.Errorf("the authority has no provisioner %q of type JWK", c.o.Provisioner)
		}
	}
}

// token is a one-time token for one request.
func (c *stepClient) token(path, subject string, sans []string) (string, error) {
	now := c.now()
	claims := jose.Claims{
		ID: rand.Text(), Issuer: c.o.Provisioner, Subject: subject,
		Audience:  jose.Audience{strings.TrimSuffix(c.o.URL, "/") + path},
		NotBefore: jose.NewNumericDate(now.Add(-time.Second)), IssuedAt: jose.NewNumericDate(now.Add(-time.Second)), Expiry: jose.NewNumericDate(now.Add(tokenLife)),
	}
	builder := jose.Signed(c.signer).Claims(claims)
	if len(sans) > 0 {
		builder = builder.Claims(map[string]any{"sans": sans})
	}
	return builder.CompactSerialize()
}

// sign has the key of csr certified for the names in want, until its end, and returns the
// chain.
func (c *stepClient) sign(ctx context.Context, csr *x509.CertificateRequest, want *x509.Certificate) ([]*x509.Certificate, error) {
	ott, err := c.token("/1.0/sign", want.Subject.CommonName, uriTexts(want.URIs))
	if err != nil {
		return nil, err
	}
	question := stepapi.SignRequest{CsrPEM: stepapi.NewCertificateRequest(csr), OTT: ott}
	question.NotAfter.SetDuration(want.NotAfter.Sub(c.now()))
	var answer stepapi.SignResponse
	if err := c.call(ctx, http.MethodPost, "/1.0/sign", question, &answer); err != nil {
		return nil, err
	}
	var chain []*x509.Certificate
	for _, one := range answer.CertChainPEM {
		chain = append(chain, one.Certificate)
	}
	if len(chain) == 0 || slices.Contains(chain, nil) {
		return nil, errors.New("the answer holds no certificate")
	}
	return chain, nil
}

// revoke revokes a certificate; that it is revoked already is no error.
func (c *stepClient) revoke(ctx context.Context, serial string, why Reason) error {
	ott, err := c.token("/1.0/revoke", serial, nil)
	if err != nil {
		return err
	}
	question := stepapi.RevokeRequest{Serial: serial, OTT: ott, ReasonCode: int(why), Reason: why.String(), Passive: true}
	err = c.call(ctx, http.MethodPost, "/1.0/revoke", question, new(stepapi.RevokeResponse))
	if err != nil && strings.Contains(err.Error(), "already revoked") {
		return nil
	}
	return err
}

// intermediates returns the issuers that the authority has now, the one that signs first.
func (c *stepClient) intermediates(ctx context.Context) ([]*x509.Certificate, error) {
	b, err := c.fetch(ctx, http.MethodGet, "/intermediates.pem", nil)
	if err != nil {
		return nil, err
	}
	return parseChain(b)
}
