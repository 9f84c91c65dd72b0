package agent

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"golang.org/x/crypto/acme"
)

// The types of key in an ACME payload.
const (
	KeyRSA = "RSA"
	KeyEC  = "ECSECPrimeRandom"
)

const (
	// acmeTimeout bounds one conversation with an ACME server.
	acmeTimeout = 2 * time.Minute
	// acmeTries is how often one request is sent while the server is busy or not reached.
	acmeTries = 3
	// acmeAgent is what Apple's ACME client calls itself.
	acmeAgent = "com.apple.security.acmeclient/1.0"
	// attestChallenge is the only challenge an Apple device answers. Source: Apple, ACME
	// payload, and draft-ietf-acme-device-attest, section 5.
	attestChallenge = "device-attest-01"
)

// ACME is what a com.apple.security.acme payload says, or a com.apple.credential.acme
// document. Source: Apple, "ACMECertificate" payload.
type ACME struct {
	DirectoryURL     string
	ClientIdentifier string // the permanent-identifier of the order
	KeyType          string // KeyRSA or KeyEC
	KeySize          int    // bits
	HardwareBound    bool   // the key stays in the secure element
	Attest           bool   // which says so to the server
	Subject          [][][]string
	AltName          map[string]string // by Apple's names of the kinds
	UsageFlags       int               // 1 signs, 4 encrypts
	ExtendedKeyUsage []string          // dotted OIDs
}

// acmeIdentity makes a key and gets a certificate for it as a says, by RFC 8555.
func (c *Client) acmeIdentity(ctx context.Context, a ACME) (Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, acmeTimeout)
	defer cancel()
	key, err := c.acmeKey(ctx, a)
	if err != nil {
		return Identity{}, err
	}
	account, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Identity{}, fmt.Errorf("acme account key: %w", err)
	}
	client := &acme.Client{
		Key: account, DirectoryURL: a.DirectoryURL, UserAgent: acmeAgent, RetryBackoff: c.acmeBackoff,
		HTTPClient: &http.Client{Transport: c.cfg.Transport.shared, Timeout: requestTimeout},
	}
	if _, err := client.Register(ctx, &acme.Account{}, acme.AcceptTOS); err != nil {
		return Identity{}, fmt.Errorf("acme account: %w", err)
	}
	order, err := client.AuthorizeOrder(ctx, []acme.AuthzID{{Type: "permanent-identifier", Value: a.ClientIdentifier}})
	if err != nil {
		return Identity{}, fmt.Errorf("acme order: %w", err)
	}
	for _, u := range order.AuthzURLs {
		if err := c.prove(ctx, client, u, key, a.Attest); err != nil {
			return Identity{}, fmt.Errorf("acme challenge: %w", err)
		}
	}
	if order, err = client.WaitOrder(ctx, order.URI); err != nil {
		return Identity{}, fmt.Errorf("acme order: %w", err)
	}
	cert, err := finalize(ctx, client, order, a, key)
	if err != nil {
		return Identity{}, fmt.Errorf("acme certificate: %w", err)
	}
	return Identity{cert, key}, nil
}

// acmeBackoff says how long to wait before a request is sent again; nothing ends it.
func (c *Client) acmeBackoff(n int, _ *http.Request, _ *http.Response) time.Duration {
	if n >= acmeTries {
		return 0
	}
	return min(c.cfg.RetryMin<<n, c.cfg.RetryMax)
}

// prove answers the challenge of one authorization.
func (c *Client) prove(ctx context.Context, client *acme.Client, address string, key crypto.Signer, attest bool) error {
	z, err := client.GetAuthorization(ctx, address)
	if err != nil {
		return err
	}
	if z.Status == acme.StatusValid {
		return nil
	}
	i := slices.IndexFunc(z.Challenges, func(x *acme.Challenge) bool { return x.Type == attestChallenge })
	if i < 0 {
		return fmt.Errorf("the server offers no %s", attestChallenge)
	}
	ch := z.Challenges[i]
	if ch.Payload, err = c.statement(key, ch.Token, attest); err != nil {
		return err
	}
	after, err := client.Accept(ctx, ch)
	if err != nil {
		return err
	}
	if after.Status == acme.StatusInvalid && after.Error != nil {
		return after.Error
	}
	_, err = client.WaitAuthorization(ctx, address)
	if refused, ok := errors.AsType[*acme.AuthorizationError](err); ok {
		return errors.Join(append([]error{err}, refused.Errors...)...)
	}
	return err
}

// statement is the payload that answers a challenge. Its attestation is fresh by the
// SHA-256 of the token; where the device does not attest, the object is an empty one
// ({} in base64url), and it is for the server to say whether that is enough.
// Source: Apple, ACME payload, Attest and its notes.
func (c *Client) statement(key crypto.Signer, token string, attest bool) (json.RawMessage, error) {
	object := []byte("{}")
	if attest && c.cfg.Hardware != nil {
		sum := sha256.Sum256([]byte(token))
		made, err := c.cfg.Hardware.Attest(key, sum[:])
		if err != nil {
			return nil, fmt.Errorf("attest key: %w", err)
		}
		if len(made) > 0 {
			object = made
		}
	}
	return json.Marshal(map[string]string{"attObj": base64.RawURLEncoding.EncodeToString(object)})
}

// finalize asks for the certificate and holds it against the key.
func finalize(ctx context.Context, client *acme.Client, order *acme.Order, a ACME, key crypto.Signer) (*x509.Certificate, error) {
	csr, err := a.request(key)
	if err != nil {
		return nil, err
	}
	chain, _, err := client.CreateOrderCert(ctx, order.FinalizeURL, csr, true)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, err
	}
	if !matches(cert, key) {
		return nil, errors.New("the certificate is for another key")
	}
	return cert, nil
}

// acmeRefusal returns what an ACME server said when it refused for good (RFC 8555, 6.7).
func acmeRefusal(err error) (string, bool) {
	if e, ok := errors.AsType[*acme.Error](err); ok {
		busy := e.StatusCode >= 500 || e.StatusCode == http.StatusTooManyRequests || e.StatusCode == http.StatusRequestTimeout
		return e.Detail, !busy
	}
	if e, ok := errors.AsType[*acme.OrderError](err); ok {
		if e.Problem != nil {
			return e.Problem.Detail, true
		}
		return "The order is " + e.Status + ".", true
	}
	if _, ok := errors.AsType[*acme.AuthorizationError](err); ok {
		return "The server does not believe the device.", true
	}
	return "", false
}
