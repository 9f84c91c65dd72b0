package agent

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// Identity is a certificate with its key, which may be one that stays in hardware. The zero
// value is none.
type Identity struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
}

// TLS returns i as a TLS client shows it: the certificate alone, as Apple's systems do for
// an identity from the keychain. It is empty for no identity.
func (i Identity) TLS() tls.Certificate {
	if i.Certificate == nil {
		return tls.Certificate{}
	}
	return tls.Certificate{Certificate: [][]byte{i.Certificate.Raw}, PrivateKey: i.Key, Leaf: i.Certificate}
}

// Hardware is the secure element of a device.
type Hardware interface {
	// NewKey makes a P-256 or P-384 key, by its bits, that never leaves the hardware.
	NewKey(bits int) (crypto.Signer, error)
	// Attest returns the attestation object of a key that NewKey has made, with nonce in
	// it. It is empty where the hardware attests nothing.
	Attest(key crypto.Signer, nonce []byte) ([]byte, error)
}

// HardwareKey is a key that cannot be exported but kept in a form that only the hardware
// it came from can open.
type HardwareKey interface {
	crypto.Signer
	Wrapped() ([]byte, error)
}

// errNoHardware says that a payload wants what the device has not got.
var errNoHardware = errors.New("the device has no hardware for the key")

// Identity makes a key and gets a certificate for it, as a com.apple.security.scep or
// com.apple.security.acme payload says.
func (c *Client) Identity(ctx context.Context, q Payload) (Identity, error) {
	i, err := c.identity(ctx, q)
	if err != nil {
		return Identity{}, fmt.Errorf("identity %s: %w", q.Identifier, err)
	}
	return i, nil
}

func (c *Client) identity(ctx context.Context, q Payload) (Identity, error) {
	if q.Type == typeACME {
		a, err := ParseACME(q)
		if err != nil {
			return Identity{}, err
		}
		return c.acmeIdentity(ctx, a)
	}
	s, err := ParseSCEP(q)
	if err != nil {
		return Identity{}, err
	}
	key, err := c.cfg.Keys(ctx)
	if err != nil {
		return Identity{}, err
	}
	client := scepClient{payload: s, now: c.cfg.Now, call: c.callSCEP}
	cert, err := client.enrol(ctx, key)
	return Identity{cert, key}, err
}

// acmeKey makes the key that a says.
func (c *Client) acmeKey(ctx context.Context, a ACME) (crypto.Signer, error) {
	switch {
	case a.HardwareBound && c.cfg.Hardware == nil:
		return nil, errNoHardware
	case a.HardwareBound:
		return c.cfg.Hardware.NewKey(a.KeySize)
	case a.KeyType == KeyRSA && a.KeySize == keyBits:
		return c.cfg.Keys(ctx)
	case a.KeyType == KeyRSA:
		return rsa.GenerateKey(rand.Reader, a.KeySize)
	}
	curves := map[int]elliptic.Curve{256: elliptic.P256(), 384: elliptic.P384(), 521: elliptic.P521()}
	curve := curves[a.KeySize]
	if curve == nil {
		return nil, fmt.Errorf("this device makes no keys on the curve P-%d", a.KeySize)
	}
	return ecdsa.GenerateKey(curve, rand.Reader)
}

// matches reports whether cert is for key.
func matches(cert *x509.Certificate, key crypto.Signer) bool {
	pub, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && pub.Equal(cert.PublicKey)
}
