package virtual

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/wardmdm/ward/agent"
)

// Enclave is the Secure Enclave of one device. Its keys do not leave it: they sign, and
// they can be kept in a form that it alone can open. It is safe for concurrent use.
type Enclave struct {
	root *AttestationRoot
	seal cipher.AEAD

	mu  sync.Mutex
	lie func(*Claims)
}

// Enclave makes the Secure Enclave of one device, whose attestations r stands for.
func (r *AttestationRoot) Enclave() *Enclave {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // it never fails: crypto/rand
	block, err := aes.NewCipher(secret[:])
	if err != nil {
		panic(err) // 32 bytes are a key
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // AES has blocks of 16 bytes
	}
	return &Enclave{root: r, seal: seal}
}

// enclaveKey is a key that stays in its enclave.
type enclaveKey struct {
	in  *Enclave
	key *ecdsa.PrivateKey
}

var _ agent.HardwareKey = (*enclaveKey)(nil)

// Public returns the public part of the key.
func (k *enclaveKey) Public() crypto.PublicKey { return k.key.Public() }

// Sign has the enclave sign a digest.
func (k *enclaveKey) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return k.key.Sign(random, digest, opts)
}

// Wrapped returns the key in the form that Enclave.Unwrap opens.
func (k *enclaveKey) Wrapped() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.key)
	if err != nil {
		return nil, fmt.Errorf("wrap key: %w", err)
	}
	nonce := make([]byte, k.in.seal.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("wrap key: %w", err)
	}
	return k.in.seal.Seal(nonce, nonce, der, nil), nil
}

// Unwrap opens a key that this enclave has wrapped. It serves agent.FileKeeper.
func (e *Enclave) Unwrap(wrapped []byte) (crypto.Signer, error) {
	n := e.seal.NonceSize()
	if len(wrapped) < n {
		return nil, errors.New("unwrap key: it is too short")
	}
	der, err := e.seal.Open(nil, wrapped[:n], wrapped[n:], nil)
	if err != nil {
		return nil, fmt.Errorf("unwrap key: %w", err)
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("unwrap key: %w", err)
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("unwrap key: it is a %T", key)
	}
	return &enclaveKey{e, ec}, nil
}

// NewKey makes a key on the curve P-256 or P-384. Source: Apple, ACMECertificate,
// HardwareBound: it takes KeySize 256 and 384 only.
func (e *Enclave) NewKey(bits int) (crypto.Signer, error) {
	curves := map[int]elliptic.Curve{256: elliptic.P256(), 384: elliptic.P384()}
	if curves[bits] == nil {
		return nil, fmt.Errorf("the Secure Enclave makes no keys of %d bits", bits)
	}
	key, err := ecdsa.GenerateKey(curves[bits], rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return &enclaveKey{e, key}, nil
}

// Lie has edit change what the enclave attests from now on, for tests of whoever believes
// it; nil ends that.
func (e *Enclave) Lie(edit func(*Claims)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lie = edit
}

// Attest returns the attestation object of a key of this enclave. It is empty if the
// claims are withheld.
func (e *Enclave) Attest(key crypto.Signer, c Claims) ([]byte, error) {
	own, ok := key.(*enclaveKey)
	if !ok || own.in != e {
		return nil, errors.New("the key is not in this Secure Enclave")
	}
	if c.Key = own.Public(); c.Format == "" {
		c.Format = "apple"
	}
	e.mu.Lock()
	lie := e.lie
	e.mu.Unlock()
	if lie != nil {
		lie(&c)
	}
	if c.Withhold {
		return nil, nil
	}
	return e.root.attest(c)
}

// silicon is the hardware of a device, as its engine sees it.
type silicon struct{ *body }

var _ agent.Hardware = silicon{}

// NewKey has the Secure Enclave make a key.
func (s silicon) NewKey(bits int) (crypto.Signer, error) {
	if !s.hasEnclave() {
		return nil, errors.New("the device has no Secure Enclave")
	}
	e, err := s.enclave()
	if err != nil {
		return nil, err
	}
	return e.NewKey(bits)
}

// Attest says of the device what Apple's attestation says: in user enrolment neither
// serial number nor UDID. Source: Apple, DeviceInformation response,
// DevicePropertiesAttestation.
func (s silicon) Attest(key crypto.Signer, nonce []byte) ([]byte, error) {
	if !s.attests() {
		return nil, nil
	}
	e, err := s.enclave()
	if err != nil {
		return nil, err
	}
	now, serial, udid := s.opt.Clock(), s.opt.Serial, s.opt.UDID
	if s.opt.UserEnrolment {
		serial, udid = "", ""
	}
	if s.mac() && udid != "" {
		udid = provisioningUDID(udid)
	}
	return e.Attest(key, Claims{
		Serial: serial, UDID: udid, OSVersion: s.OSVersion(), Nonce: nonce, Newer: s.since("17.2", "14.2"),
		NotBefore: now.Add(-attestedBefore), NotAfter: now.Add(attestedAfter),
	})
}

// provisioningUDID is what the attestation of a Mac has in place of the UDID that MDM
// knows. Source: Apple, DevicePropertiesAttestation, and DeviceInformation,
// ProvisioningUniqueDeviceID.
func provisioningUDID(udid string) string {
	sum := sha256.Sum256([]byte("provisioning " + udid))
	return fmt.Sprintf("%08X-%016X", sum[:4], sum[4:12])
}

// enclave returns the device's Secure Enclave. One that the options did not bring is made
// under a root of its own, which nobody believes.
func (b *body) enclave() (*Enclave, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.se == nil {
		r, err := NewAttestationRoot()
		if err != nil {
			return nil, err
		}
		b.se = r.Enclave()
	}
	return b.se, nil
}
