package ca

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	casapi "github.com/smallstep/certificates/cas/apiv1"
	"github.com/smallstep/certificates/cas/softcas"
	"github.com/wardmdm/ward"
	"go.uber.org/zap"
)

// Signer stands between an issuer and what signs for it, at step-ca's own seam: a key in a
// file, in a TPM, in a token or in a cloud, each by way of softcas, or an outside
// authority. What it is asked for passed the guard; what it returns is not valid until it
// is recorded. It may be asked by several goroutines. One that can't be reached returns an
// error of kind Unavailable, and nothing is recorded or spent then.
type Signer interface {
	casapi.CertificateAuthorityService
}

var (
	_ Signer = (*guard)(nil)
	_ Signer = (*outsideGuard)(nil)
)

// Outside names a step-ca that signs client certificates in the place of this authority's
// issuers. Its provisioner is one of type JWK whose template takes the names from the
// token: docs/certificates.md has it. Lists, status and issuers are that authority's to
// publish; the record, Check and revocation are Ward's as always, and what Ward revokes is
// passed on to it.
type Outside struct {
	URL          string // https://host[:port]
	Fingerprint  string // SHA-256 of its root's DER, hexadecimal
	Provisioner  string // its name
	KeyFile      string // the provisioner's key in PEM or as a JWK; "" where the authority hands it out, encrypted
	PasswordFile string // the password of the key; "" for a key that has none
}

// mistakes says everything that is wrong with o, each beside the field's name.
func (o *Outside) mistakes() (m []string) {
	if u, err := url.Parse(o.URL); err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		m = append(m, fmt.Sprintf("url: %q is not https://host[:port] without a path", o.URL))
	}
	if b, err := hex.DecodeString(o.Fingerprint); err != nil || len(b) != sha256.Size {
		m = append(m, "fingerprint: it is not the SHA-256 of a root in 64 hexadecimal digits, as step certificate fingerprint tells it")
	}
	if o.Provisioner == "" {
		m = append(m, "provisioner: name the provisioner of type JWK that Ward asks")
	}
	if o.KeyFile == "" && o.PasswordFile == "" {
		m = append(m, "password_file: it is needed where there is no key_file, for the authority hands out the key encrypted")
	}
	return m
}

// Check returns an error of kind Invalid that lists everything that is wrong with o, each
// mistake after the name of its field in the configuration.
func (o *Outside) Check() error {
	if m := o.mistakes(); len(m) > 0 {
		return &ward.Error{Kind: ward.Invalid, Message: "The outside authority is not named rightly:", Details: m}
	}
	return nil
}

// is reports whether root is the outside authority's.
func (o *Outside) is(root *x509.Certificate) bool {
	return o != nil && strings.EqualFold(Hash(root), o.Fingerprint)
}

// outsideLink is the connection to the outside authority, made when it is first needed.
type outsideLink struct {
	mu     sync.Mutex
	client *stepClient
	asked  time.Time         // when its issuers were asked for
	passed map[int]*passedOn // what it was told of each issuer's; under passing
}

// dial returns the connection to the outside authority. Not being able to is an error of
// kind Unavailable; the next call tries again.
func (a *Authority) dial(ctx context.Context) (*stepClient, error) {
	a.outside.mu.Lock()
	defer a.outside.mu.Unlock()
	if a.outside.client != nil {
		return a.outside.client, nil
	}
	var root *x509.Certificate
	if is := a.newest(a.ofOutside); is != nil {
		root = is.root
	}
	client, err := dialStep(ctx, a.o.Outside, root, a.o.Now)
	if err != nil {
		return nil, a.away(err)
	}
	a.outside.client = client
	return client, nil
}

// away says in words for people that the outside authority gave no certificate.
func (a *Authority) away(err error) error {
	return ward.Errorf(ward.Unavailable, "The outside authority %s did not answer as it should: is it running, can Ward reach it, and are ca.outside.fingerprint, provisioner and its key right? Nothing was issued; try again when it is.", a.o.Outside.URL).Because(err)
}

// errLost says that an issuer has no key to sign with any more.
func errLost(is *issuer) error {
	return ward.Errorf(ward.Unavailable, "The key of %s is lost, and no other issuer signs now: make one by ward ca rotate --key file, or wait for the time of one that was made.", is.name())
}

// errAllowed is how a guard that has nothing to sign with says that it would sign.
var errAllowed = errors.New("it would be signed")

// outsideGuard asks the outside authority for what the guard would let pass.
type outsideGuard struct {
	a     *Authority
	is    *issuer
	rules *guard
}

func newOutsideGuard(a *Authority, is *issuer) *outsideGuard {
	nothing := &softcas.SoftCAS{CertificateSigner: func() ([]*x509.Certificate, crypto.Signer, error) { return nil, nil, errAllowed }}
	return &outsideGuard{a, is, &guard{nothing}}
}

// CreateCertificate has the outside authority sign, and refuses what it returns unless it
// says what was asked for. Then it is revoked there.
func (g *outsideGuard) CreateCertificate(r *casapi.CreateCertificateRequest) (*casapi.CreateCertificateResponse, error) {
	if _, err := g.rules.CreateCertificate(r); !errors.Is(err, errAllowed) {
		return nil, err
	}
	if !g.a.ofOutside(g.is) {
		return nil, errLost(g.is)
	}
	want := r.Template
	if r.CSR == nil || r.IsCAServerCert {
		return nil, errors.New("guard: the outside authority is asked for client certificates only")
	}
	if err := sameNames(r.CSR, want); err != nil {
		return nil, err
	}
	ctx := context.Background() // step-ca's seam knows none; the client has a limit of time
	client, err := g.a.dial(ctx)
	if err != nil {
		return nil, err
	}
	chain, err := client.sign(ctx, r.CSR, want)
	if err != nil {
		return nil, g.a.away(err)
	}
	leaf := chain[0]
	if leaf.CheckSignatureFrom(g.is.cert) != nil {
		return nil, errors.Join(g.a.changed(ctx), g.a.undo(ctx, client, leaf))
	}
	if wrong := differs(leaf, want, g.a.o.Now()); len(wrong) > 0 {
		err := &ward.Error{
			Kind: ward.Unavailable, Details: wrong,
			Message: "The outside authority signed something else than it was asked for, so nothing was issued. Mend the template of its provisioner: docs/certificates.md has the one that is needed.",
		}
		return nil, errors.Join(err, g.a.undo(ctx, client, leaf))
	}
	return &casapi.CreateCertificateResponse{Certificate: leaf, CertificateChain: []*x509.Certificate{g.is.cert}}, nil
}

// RenewCertificate refuses, as the guard does.
func (g *outsideGuard) RenewCertificate(r *casapi.RenewCertificateRequest) (*casapi.RenewCertificateResponse, error) {
	return g.rules.RenewCertificate(r)
}

// RevokeCertificate has nothing to do: what the record says is passed on after the commit.
func (g *outsideGuard) RevokeCertificate(r *casapi.RevokeCertificateRequest) (*casapi.RevokeCertificateResponse, error) {
	return &casapi.RevokeCertificateResponse{Certificate: r.Certificate}, nil
}

// undo has the outside authority revoke what it signed and Ward does not take.
func (a *Authority) undo(ctx context.Context, client *stepClient, leaf *x509.Certificate) error {
	serial := leaf.SerialNumber.String()
	a.o.Log.Warn("a certificate of the outside authority was not taken, and is revoked there", zap.String("serial", serial))
	if err := client.revoke(ctx, serial, Ceased); err != nil {
		return fmt.Errorf("revoke certificate %s, which is not in the record, at the outside authority: %w", serial, err)
	}
	return nil
}

// changed takes in the issuers that the outside authority has now.
func (a *Authority) changed(ctx context.Context) error {
	if err := a.askOutside(ctx); err != nil {
		return err
	}
	return ward.Errorf(ward.Unavailable, "The outside authority signs with another issuer than before. It is known now: try again.")
}
