package tpmid

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-tpm/legacy/tpm2"
	"github.com/smallstep/go-attestation/attest"
	"github.com/wardmdm/ward"
	"go.step.sm/crypto/tpm"
	"golang.org/x/crypto/acme"
)

const challengeType = "device-attest-01" // draft-ietf-acme-device-attest

// order makes the key called name and gets a certificate for it. Each order has an account
// of its own, which dies with it.
func (t *TPM) order(ctx context.Context, o Order, name string, vouched [][]byte) (*tls.Certificate, error) {
	account, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make account key: %w", err)
	}
	c := &acme.Client{
		Key: account, HTTPClient: t.o.HTTP, UserAgent: "ward-tpmid",
		DirectoryURL: o.Server + "/acme/" + url.PathEscape(o.Challenge) + "/tpm/directory",
	}
	if _, err := c.Register(ctx, new(acme.Account), acme.AcceptTOS); err != nil {
		return nil, refused("open account", err)
	}
	order, err := c.AuthorizeOrder(ctx, []acme.AuthzID{{Type: "permanent-identifier", Value: o.Identifier}})
	if err != nil {
		return nil, refused("order", err)
	}
	for _, u := range order.AuthzURLs {
		if err := t.prove(ctx, c, u, name, vouched); err != nil {
			return nil, err
		}
	}
	if order, err = c.WaitOrder(ctx, order.URI); err != nil {
		return nil, refused("order", err)
	}
	key, err := t.tpm.GetSigner(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("order: %w", err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{SignatureAlgorithm: x509.ECDSAWithSHA256}, key)
	if err != nil {
		return nil, fmt.Errorf("request certificate: %w", err)
	}
	chain, _, err := c.CreateCertFromOrder(ctx, order, csr, true)
	if err != nil {
		return nil, refused("request certificate", err)
	}
	return certificate(key, chain)
}

// prove makes the key, has the attestation key say so, and answers the challenge with that.
func (t *TPM) prove(ctx context.Context, c *acme.Client, authorization, name string, vouched [][]byte) error {
	az, err := c.GetAuthorization(ctx, authorization)
	if err != nil {
		return refused("read authorization", err)
	}
	for _, ch := range az.Challenges {
		if ch.Type != challengeType {
			continue
		}
		thumbprint, err := acme.JWKThumbprint(c.Key.Public())
		if err != nil {
			return fmt.Errorf("answer challenge: %w", err)
		}
		digest := sha256.Sum256([]byte(ch.Token + "." + thumbprint))
		object, err := t.attestKey(ctx, name, digest[:], vouched)
		if err != nil {
			return err
		}
		if ch.Payload, err = json.Marshal(map[string]string{"attObj": base64.RawURLEncoding.EncodeToString(object)}); err != nil {
			return fmt.Errorf("answer challenge: %w", err)
		}
		if _, err := c.Accept(ctx, ch); err != nil {
			return refused("answer challenge", err)
		}
		if _, err := c.WaitAuthorization(ctx, authorization); err != nil {
			return refused("answer challenge", err)
		}
		return nil
	}
	return ward.Errorf(ward.Invalid, "The server offers no challenge %s.", challengeType)
}

// attestKey makes a P-256 key in the TPM and returns its attestation object (WebAuthn level
// 2, section 8.3, without authData) over digest.
func (t *TPM) attestKey(ctx context.Context, name string, digest []byte, vouched [][]byte) ([]byte, error) {
	key, err := t.tpm.AttestKey(ctx, akName, name, tpm.AttestKeyConfig{Algorithm: "ECDSA", Size: 256, QualifyingData: digest})
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	p, err := key.CertificationParameters(ctx)
	if err != nil {
		return nil, fmt.Errorf("attest key: %w", err)
	}
	return attestationObject(p, vouched)
}

// COSE's names of what attestation keys sign with (RFC 8812, section 2).
const (
	coseRS256 = -257
	coseRS1   = -65535
)

func attestationObject(p attest.CertificationParameters, vouched [][]byte) ([]byte, error) {
	sig, err := tpm2.DecodeSignature(bytes.NewBuffer(p.CreateSignature))
	if err != nil {
		return nil, fmt.Errorf("attest key: %w", err)
	}
	alg := coseRS256
	switch {
	case sig.RSA == nil:
		return nil, errors.New("attest key: the attestation key is not RSA")
	case sig.RSA.HashAlg == tpm2.AlgSHA1: // that of Windows
		alg = coseRS1
	case sig.RSA.HashAlg != tpm2.AlgSHA256:
		return nil, fmt.Errorf("attest key: the attestation key signs with hash %v", sig.RSA.HashAlg)
	}
	return cbor.Marshal(map[string]any{
		"fmt": "tpm",
		"attStmt": map[string]any{
			"ver": "2.0", "alg": alg, "x5c": vouched, "sig": p.CreateSignature, "certInfo": p.CreateAttestation, "pubArea": p.Public,
		},
	})
}

// refused tells what the ACME server said, without the addresses that have the challenge
// in them.
func refused(doing string, err error) error {
	if e, ok := errors.AsType[*acme.AuthorizationError](err); ok && len(e.Errors) > 0 {
		err = e.Errors[0]
	}
	if e, ok := errors.AsType[*acme.OrderError](err); ok {
		if e.Problem == nil {
			return ward.Errorf(ward.Forbidden, "The server refused to %s: the order is %s.", doing, e.Status)
		}
		err = e.Problem
	}
	if e, ok := errors.AsType[*acme.Error](err); ok {
		kind := ward.Forbidden
		switch {
		case e.StatusCode >= 500, strings.HasSuffix(e.ProblemType, ":rateLimited"):
			kind = ward.Unavailable
		case strings.HasSuffix(e.ProblemType, ":malformed"), strings.HasSuffix(e.ProblemType, ":badCSR"):
			kind = ward.Invalid
		}
		var why strings.Builder
		why.WriteString(e.Detail)
		for _, s := range e.Subproblems {
			why.WriteString(" " + s.Detail)
		}
		return ward.Errorf(kind, "The server refused to %s: %s", doing, why.String())
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		return ward.Errorf(ward.Unavailable, "The server can't be reached to %s.", doing).Because(u.Err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
