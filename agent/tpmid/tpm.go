// Package tpmid gives a workstation an identity whose key is made in its TPM and never
// leaves it: it shows Ward's attestation authority that the TPM is the one it says it is,
// and gets a certificate for the key by the ACME challenge device-attest-01. It decides
// nothing about who may enrol, keeps no private key, and is no management agent.
package tpmid

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"github.com/wardmdm/ward"
	"go.step.sm/crypto/tpm"
	"go.step.sm/crypto/tpm/storage"
)

// Options say which TPM is used and where its keys are kept. Dir and HTTP are needed.
type Options struct {
	// Device is the path of a TPM 2.0 or of a Unix socket on which one answers; "" means the
	// system's own, and on Windows it must be "".
	Device string
	// Dir keeps the keys, which only this TPM can open, and the certificate. It is made if
	// need be, for its owner alone.
	Dir string
	// HTTP reaches Ward; it says which authorities are trusted for that.
	HTTP *http.Client
}

// TPM is a TPM with the keys that were made in it for Ward. Its methods may be called by
// several goroutines.
type TPM struct {
	o     Options
	tpm   *tpm.TPM
	store *storage.Dirstore
	mu    sync.Mutex // one enrolment at a time
}

// Order says what a workstation asks for, and of whom.
type Order struct {
	// Server is https://host[:port] of Ward.
	Server string
	// Challenge is the one-time challenge that entitles to an identity.
	Challenge string
	// Identifier is what the challenge is bound to; "" means this TPM's name: see EK.
	Identifier string
}

const (
	identityFile = "identity.json"
	akName       = "attestation" // the attestation key serves every enrolment
)

// Open returns the TPM. A computer without a usable one is an error of kind Unavailable.
func Open(ctx context.Context, o Options) (*TPM, error) {
	if o.Dir == "" || o.HTTP == nil {
		return nil, errors.New("open tpm: Dir and HTTP are needed")
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open tpm: %w", err)
	}
	t := &TPM{o: o, store: storage.NewDirstore(filepath.Join(o.Dir, "keys"))}
	// A certificate that is not in the TPM itself is not fetched from its manufacturer: the
	// workstation talks to Ward alone.
	opts := []tpm.NewTPMOption{tpm.WithStore(t.store), tpm.WithDisableDownload()}
	if o.Device != "" {
		opts = append(opts, tpm.WithCommandChannel(&device{path: o.Device}))
	}
	var err error
	if t.tpm, err = tpm.New(opts...); err != nil {
		return nil, fmt.Errorf("open tpm: %w", err)
	}
	if _, err := t.tpm.Info(ctx); err != nil {
		return nil, ward.Errorf(ward.Unavailable, "This computer has no TPM 2.0 that can be used: is it switched on in the firmware, and may this program use it?").Because(err)
	}
	return t, nil
}

// EK returns the name of the TPM, by which it is registered: "ek:" and the SHA-256 of its
// endorsement key's public half (PKIX, DER) in hexadecimal.
func (t *TPM) EK(ctx context.Context) (string, error) {
	ek, err := t.endorsement(ctx)
	if err != nil {
		return "", err
	}
	return ekName(ek.Public())
}

func ekName(ek crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(ek)
	if err != nil {
		return "", fmt.Errorf("name tpm: %w", err)
	}
	h := sha256.Sum256(der)
	return "ek:" + hex.EncodeToString(h[:]), nil
}

func (t *TPM) endorsement(ctx context.Context) (*tpm.EK, error) {
	eks, err := t.tpm.GetEKs(ctx)
	if err != nil {
		return nil, fmt.Errorf("read endorsement key: %w", err)
	}
	if len(eks) == 0 {
		return nil, ward.Errorf(ward.Unavailable, "The TPM has no endorsement key.")
	}
	return eks[0], nil
}

// kept is what identityFile has.
type kept struct {
	Key   string   `json:"key"`   // its name in the store
	Chain [][]byte `json:"chain"` // DER, the identity first
}

// Identity returns the identity of the last enrolment that succeeded. Its private key signs
// in the TPM. None is a *ward.Error of kind NotFound; keys that were made in another TPM, or
// before this one was cleared, an error of kind Conflict.
func (t *TPM) Identity(ctx context.Context) (*tls.Certificate, error) {
	k, err := t.kept()
	if err != nil {
		return nil, err
	}
	if k.Key == "" {
		return nil, ward.Errorf(ward.NotFound, "This computer has no identity so far: enrol it.")
	}
	key, err := t.tpm.GetSigner(ctx, k.Key)
	if err != nil {
		return nil, ward.Errorf(ward.Conflict, "The TPM does not open the key of this computer's identity: it was cleared, or is another one. Enrol anew.").Because(err)
	}
	return certificate(key, k.Chain)
}

// certificate puts a key and its chain together. A TPM signs with the hash that the key was
// made for.
func certificate(key crypto.Signer, chain [][]byte) (*tls.Certificate, error) {
	if len(chain) == 0 {
		return nil, errors.New("identity: no certificate")
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	if public, ok := leaf.PublicKey.(interface{ Equal(x crypto.PublicKey) bool }); !ok || !public.Equal(key.Public()) {
		return nil, errors.New("identity: the certificate is for another key")
	}
	return &tls.Certificate{
		Certificate: chain, PrivateKey: key, Leaf: leaf, SupportedSignatureAlgorithms: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
	}, nil
}

// Enrol makes a key in the TPM, gets a certificate for it and keeps both as the identity, in
// place of the one before. What the server refuses is a *ward.Error in its own words; the
// identity before it stays then.
func (t *TPM) Enrol(ctx context.Context, o Order) (*tls.Certificate, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before, err := t.kept()
	if err != nil {
		return nil, err
	}
	if o.Identifier == "" {
		if o.Identifier, err = t.EK(ctx); err != nil {
			return nil, err
		}
	}
	ak, err := t.attestationKey(ctx)
	if err != nil {
		return nil, err
	}
	vouched, err := t.certify(ctx, o, ak)
	if err != nil {
		return nil, fmt.Errorf("certify attestation key: %w", err)
	}
	name := rand.Text()
	id, err := t.order(ctx, o, name, vouched)
	if err == nil {
		err = t.keep(kept{Key: name, Chain: id.Certificate})
	}
	if err != nil {
		return nil, errors.Join(err, t.forget(ctx, name))
	}
	if before.Key != "" {
		if err := t.forget(ctx, before.Key); err != nil {
			return id, fmt.Errorf("the identity is in place, but the key of the one before stays: %w", err)
		}
	}
	return id, nil
}

// forget removes a key, if it is there.
func (t *TPM) forget(ctx context.Context, name string) error {
	if err := t.tpm.DeleteKey(ctx, name); err != nil && !errors.Is(err, tpm.ErrNotFound) {
		return fmt.Errorf("remove key: %w", err)
	}
	return nil
}

// attestationKey returns the attestation key, making one where there is none that this TPM
// opens: it takes a slow TPM many seconds.
func (t *TPM) attestationKey(ctx context.Context) (*tpm.AK, error) {
	ak, err := t.tpm.GetAK(ctx, akName)
	if err == nil {
		_, err = ak.AttestationParameters(ctx)
	}
	if err == nil {
		return ak, nil
	}
	// Half a file after a power cut, or a TPM that was cleared: nothing else needs the key.
	if err := t.store.DeleteAK(akName); err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("replace attestation key: %w", err)
	}
	if ak, err = t.tpm.CreateAK(ctx, akName); err != nil {
		return nil, fmt.Errorf("make attestation key: %w", err)
	}
	return ak, nil
}

// kept reads identityFile; nothing is no error.
func (t *TPM) kept() (k kept, err error) {
	b, err := os.ReadFile(filepath.Join(t.o.Dir, identityFile))
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &k)
	}
	if err != nil {
		return k, fmt.Errorf("read identity: %w", err)
	}
	return k, nil
}

// keep writes identityFile, whole or not at all.
func (t *TPM) keep(k kept) (err error) {
	b, err := json.Marshal(k)
	if err != nil {
		return fmt.Errorf("keep identity: %w", err)
	}
	f, err := os.CreateTemp(t.o.Dir, ".identity-") // mode 0600
	if err != nil {
		return fmt.Errorf("keep identity: %w", err)
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(t.o.Dir, identityFile))
	}
	if err != nil {
		return fmt.Errorf("keep identity: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}
