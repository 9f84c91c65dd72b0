package ca

import (
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"go.step.sm/crypto/keyutil"
	"go.step.sm/crypto/pemutil"
	"go.step.sm/crypto/x509util"
	"go.uber.org/zap"
)

// attestationDir is the folder below Dir that holds the attestation authority. It has a
// root of its own, which nothing but the challenge device-attest-01 trusts: what it signs
// is no client's certificate anywhere.
const attestationDir = "tpm"

// attestationAuthority signs the certificates of attestation keys.
type attestationAuthority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// AttestationRoot returns the root of the attestation authority for TPMs, nil if none was
// made so far: it is made when the first TPM has proved itself.
func (a *Authority) AttestationRoot() (*x509.Certificate, error) {
	c, err := pemutil.ReadCertificate(filepath.Join(a.o.Dir, attestationDir, rootCert))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // the word for "none so far"
	}
	if err != nil {
		return nil, fmt.Errorf("load attestation authority: %w", err)
	}
	return c, nil
}

// tpmRoots returns the authorities that certified the attestation keys of TPMs: those of
// the options and Ward's own. Ask each time: it may be made meanwhile.
func (a *Authority) tpmRoots() []*x509.Certificate {
	roots := slices.Clip(a.o.TPMRoots)
	own, err := a.AttestationRoot()
	if err != nil {
		a.o.Log.Error("attestation authority not trusted", zap.Error(err)) // and nothing that it signed is
	}
	if own != nil {
		roots = append(roots, own)
	}
	return roots
}

// open returns the attestation authority, making it where there is none.
func (t *TPM) open(ctx context.Context) (*attestationAuthority, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.signer != nil {
		return t.signer, nil
	}
	dir := t.dir()
	_, err := os.Stat(dir)
	made := errors.Is(err, fs.ErrNotExist)
	if made {
		err = t.make(ctx, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("open attestation authority: %w", err)
	}
	s, err := readAttestation(dir, t.a.o.Passphrase)
	if err != nil {
		return nil, err
	}
	// Several copies of the server have to trust the same one.
	hash, err := t.o.Store.ClaimAttestationRoot(ctx, Hash(s.cert))
	if err != nil {
		return nil, fmt.Errorf("open attestation authority: %w", err)
	}
	if hash != Hash(s.cert) {
		err := elsewhere(dir)
		if made { // at the same moment as on the other copy
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
		return nil, err
	}
	t.signer = s
	return s, nil
}

func elsewhere(dir string) error {
	return ward.Errorf(ward.Unavailable, "The attestation authority for TPMs was made on another copy of the server, or belongs to a backup. Bring its folder here, to %s.", dir)
}

// make makes the attestation authority, unless the database knows one already.
func (t *TPM) make(ctx context.Context, dir string) error {
	hash, err := t.o.Store.AttestationRoot(ctx)
	if err != nil {
		return err
	}
	if hash != "" {
		return elsewhere(dir)
	}
	key, err := keyutil.GenerateSigner("EC", "P-256", 0)
	if err != nil {
		return err
	}
	root := authorityTemplate(t.a.organisation(), "TPM Attestation CA", t.a.o.Now().Truncate(time.Second), rootLife, 0)
	root.KeyUsage = x509.KeyUsageCertSign
	root.UnknownExtKeyUsage = []asn1.ObjectIdentifier{oidAIKCertificate}
	cert, err := x509util.CreateCertificate(root, root, key.Public(), key)
	if err != nil {
		return err
	}
	text, err := keyPEM(key, t.a.o.Passphrase)
	if err != nil {
		return err
	}
	t.a.o.Log.Info("attestation authority made", zap.String("folder", dir), zap.Time("not_after", cert.NotAfter))
	return writeWhole(dir, map[string][]byte{rootCert: certPEM(cert), rootKey: text})
}

func readAttestation(dir string, passphrase []byte) (*attestationAuthority, error) {
	cert, err := pemutil.ReadCertificate(filepath.Join(dir, rootCert))
	if err != nil {
		return nil, fmt.Errorf("load attestation authority: %w", err)
	}
	path := filepath.Join(dir, rootKey)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load attestation authority: %w", err)
	}
	k, err := pemutil.ParseKey(text, pemutil.WithPassword(passphrase))
	if errors.Is(err, x509.IncorrectPasswordError) {
		return nil, ward.Errorf(ward.Forbidden, "The passphrase does not open the attestation authority's key %s. It is derived from the master key: use the one that was in place when the key was made.", path).Because(err)
	}
	if err != nil {
		return nil, fmt.Errorf("load attestation authority: %s: %w", path, err)
	}
	key, ok := k.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("load attestation authority: %s holds a %T", path, k)
	}
	if public, ok := cert.PublicKey.(interface{ Equal(x crypto.PublicKey) bool }); !ok || !public.Equal(key.Public()) {
		return nil, fmt.Errorf("load attestation authority in %s: %w", dir, errKeyApart)
	}
	return &attestationAuthority{cert, key}, nil
}

// certify signs the certificate of an attestation key, and returns it with its issuer's.
// The names and the purpose are those that WebAuthn asks for (level 2, section 8.3.1); the
// permanent identifier names the TPM.
func (s *attestationAuthority) certify(v Activation, now time.Time) ([2]*x509.Certificate, error) {
	ak, err := x509.ParsePKIXPublicKey(v.AK)
	if err != nil {
		return [2]*x509.Certificate{}, err
	}
	names, err := attestationNames(v)
	if err != nil {
		return [2]*x509.Certificate{}, err
	}
	now = now.UTC().Truncate(time.Second)
	t := &x509.Certificate{
		NotBefore: now.Add(-backdate), NotAfter: now.Add(attestationLife),
		KeyUsage: x509.KeyUsageDigitalSignature, UnknownExtKeyUsage: []asn1.ObjectIdentifier{oidAIKCertificate}, BasicConstraintsValid: true,
		ExtraExtensions: []pkix.Extension{names},
	}
	if t.NotAfter.After(s.cert.NotAfter) {
		t.NotAfter = s.cert.NotAfter
	}
	cert, err := x509util.CreateCertificate(t, s.cert, ak, s.key)
	return [2]*x509.Certificate{cert, s.cert}, err
}

// attestationNames returns the subject alternative name of an attestation key's
// certificate. It is critical, for the subject is empty.
func attestationNames(v Activation) (pkix.Extension, error) {
	type attribute struct {
		Type  string `json:"type"`
		Value string `json:"value"`
	}
	hardware, err := json.Marshal(map[string][]attribute{"extraNames": {
		{"2.23.133.2.1", v.Manufacturer}, {"2.23.133.2.2", v.Model}, {"2.23.133.2.3", v.Firmware},
	}})
	if err != nil {
		return pkix.Extension{}, err
	}
	key, err := hex.DecodeString(strings.TrimPrefix(v.EK, EKPrefix))
	if err != nil {
		return pkix.Extension{}, err
	}
	var raw [3]asn1.RawValue
	for i, n := range []x509util.SubjectAlternativeName{
		{Type: x509util.PermanentIdentifierType, Value: v.EK},
		{Type: x509util.DirectoryNameType, ASN1Value: hardware},
		{Type: x509util.URIType, Value: "urn:ek:sha256:" + base64.StdEncoding.EncodeToString(key)}, // without which step takes none
	} {
		if raw[i], err = n.RawValue(); err != nil {
			return pkix.Extension{}, err
		}
	}
	der, err := asn1.Marshal(raw[:])
	return pkix.Extension{Id: oidSubjectAltName, Critical: true, Value: der}, err
}
