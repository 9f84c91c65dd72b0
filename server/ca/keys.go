package ca

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wardmdm/ward"
	kmsapi "go.step.sm/crypto/kms/apiv1"
	_ "go.step.sm/crypto/kms/tpmkms" // keys in a TPM; it needs no cgo
	"go.step.sm/crypto/kms/uri"
	"go.step.sm/crypto/pemutil"
)

// KeyInFile is where an issuer's key is unless another place is named: an encrypted file
// in Dir.
const KeyInFile = "file"

// issuerURI is the file in an issuer's folder that says where its key is, for one that is
// not in issuerKey beside it.
const issuerURI = "issuer.uri"

// place is a kind of thing that keeps keys and signs with them, and never lets one out.
type place struct {
	kind    kmsapi.Type
	makes   bool   // it makes a key that it does not have
	build   string // the tag of a Ward that knows it, "" if each does
	needs   string // what else building it needs
	example string
}

// places are the key services that step's library knows and that Ward has a use for.
var places = []place{
	{kmsapi.TPMKMS, true, "", "", "tpmkms:name=ward-issuer;device=/dev/tpmrm0"},
	{kmsapi.PKCS11, true, "pkcs11", ", which needs a C compiler", "pkcs11:module-path=/usr/lib/softhsm/libsofthsm2.so;token=ward;id=01;object=ward-issuer?pin-source=/etc/ward/pin"},
	{kmsapi.AmazonKMS, false, "cloudkms", "", "awskms:key-id=1234abcd-12ab-34cd-56ef-1234567890ab;region=eu-west-2"},
	{kmsapi.AzureKMS, false, "cloudkms", "", "azurekms:vault=ward;name=issuer"},
	{kmsapi.CloudKMS, false, "cloudkms", "", "cloudkms:projects/p/locations/l/keyRings/r/cryptoKeys/issuer/cryptoKeyVersions/1"},
}

// CheckKeyPlace returns an error of kind Invalid unless text says where the key of an issuer
// may be: "" or KeyInFile, or the URI of a key in a TPM, a PKCS #11 token or a cloud key
// service that this program was built for, with all that it needs and no word that is not
// known. It opens nothing. A PIN in the URI is refused,
// for the URI is kept and shown: pin-source names a file.
func CheckKeyPlace(text string) error {
	if text == "" || text == KeyInFile {
		return nil
	}
	p, u, err := parsePlace(text)
	if err != nil {
		return err
	}
	return checkAttributes(p, u)
}

// parsePlace reads a URI. Its errors never repeat it: it may hold a PIN.
func parsePlace(text string) (place, *uri.URI, error) {
	u, err := uri.Parse(text)
	if err != nil {
		return place{}, nil, ward.Errorf(ward.Invalid, "This is not the URI of a key, such as %s.", places[0].example)
	}
	if strings.EqualFold(u.Scheme, KeyInFile) {
		return place{}, nil, ward.Errorf(ward.Invalid, "A key in a file is kept, encrypted, among the other keys of the server: write %q alone, without a path.", KeyInFile)
	}
	i := slices.IndexFunc(places, func(p place) bool { return strings.EqualFold(u.Scheme, string(p.kind)) })
	if i < 0 {
		var all []string
		for _, p := range places {
			all = append(all, string(p.kind)+":")
		}
		return place{}, nil, ward.Errorf(ward.Invalid, "Keys can't be kept in %q: name %q, or a URI that begins with %s.", u.Scheme, KeyInFile, strings.Join(all, ", "))
	}
	p := places[i]
	if u.Has("pin-value") || u.Has("pin-prompt") || u.User != nil {
		return place{}, nil, ward.Errorf(ward.Invalid, "The URI of the key holds a PIN or asks for one: put the PIN into a file and name that by pin-source.")
	}
	if _, ok := kmsapi.LoadKeyManagerNewFunc(p.kind); !ok {
		return place{}, nil, ward.Errorf(ward.Invalid, "This program was built without keys in %s: build it by go build -tags %s ./cmd/ward%s.", p.kind, p.build, p.needs)
	}
	return p, u, nil
}

// openKey returns the key that a URI names, and makes it where it is not there, if make is
// set and its place can. Where the place can't be reached it is an error of kind Unavailable.
func (o *Options) openKey(ctx context.Context, text string, mayMake bool) (crypto.Signer, error) {
	p, u, err := parsePlace(text)
	if err != nil {
		return nil, err
	}
	if path := u.Get("pin-source"); path != "" { // the library would try without one, and a token counts that
		if _, err := u.Read("pin-source"); err != nil {
			return nil, ward.Errorf(ward.Unavailable, "The PIN of the issuer's key can't be read: %v.", err)
		}
	}
	away := func(err error) error {
		return ward.Errorf(ward.Unavailable, "The issuer's key %s can't be opened. Is what keeps it there, running, and may Ward use it? Is it the one in which the key was made? If the key is gone for good, put an empty file named lost into its issuer's folder and make another issuer by ward ca rotate: docs/certificates.md, Keys. What was said: %v.", text, err)
	}
	open, _ := kmsapi.LoadKeyManagerNewFunc(p.kind)
	manager, err := open(ctx, kmsapi.Options{Type: p.kind, URI: text, StorageDirectory: filepath.Join(o.Dir, "tpm")})
	if err != nil {
		return nil, away(err)
	}
	signer, err := manager.CreateSigner(&kmsapi.CreateSignerRequest{SigningKey: text})
	if err != nil && mayMake && p.makes {
		made, makeErr := manager.CreateKey(&kmsapi.CreateKeyRequest{Name: text, SignatureAlgorithm: kmsapi.ECDSAWithSHA256})
		if makeErr != nil {
			return nil, errors.Join(away(errors.Join(err, makeErr)), manager.Close())
		}
		signer, err = manager.CreateSigner(&made.CreateSignerRequest)
	}
	if err != nil {
		return nil, errors.Join(away(err), manager.Close())
	}
	if err := fitForIssuer(signer); err != nil {
		return nil, errors.Join(ward.Errorf(ward.Invalid, "The key %s can't be that of an issuer: %v.", text, err), manager.Close())
	}
	return held{signer, text}, nil
}

// fitForIssuer says why a key of a key service would not do: signatures of lists and of
// answers to OCSP are made with the usual algorithm of each kind of key.
func fitForIssuer(s crypto.Signer) error {
	if err := checkKey(s.Public()); err != nil {
		return err
	}
	says, ok := s.(interface {
		SignatureAlgorithm() x509.SignatureAlgorithm
	})
	usual, err := usualSignature(s.Public())
	if err == nil && ok && says.SignatureAlgorithm() != usual.algorithm {
		err = fmt.Errorf("it signs by %s, want %s", says.SignatureAlgorithm(), usual.algorithm)
	}
	return err
}

// held is a key that something else keeps and signs with.
type held struct {
	crypto.Signer
	where string
}

// Sign says in words for people that what keeps the key can't be reached.
func (h held) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	b, err := h.Signer.Sign(random, digest, opts)
	if err != nil {
		return nil, ward.Errorf(ward.Unavailable, "The issuer's key %s can't be used. Is what keeps it there, and running? Nothing was issued; try again when it is.", h.where).Because(err)
	}
	return b, nil
}

// madeKey is a new key with what has to stand in its issuer's folder to find it again.
type madeKey struct {
	crypto.Signer
	files map[string][]byte
}

// newKey makes a key for an issuer at a place; "" is the one of the options. A key that is
// there already is taken, unless it is that of another issuer.
func (o *Options) newKey(ctx context.Context, at string, others []*x509.Certificate) (madeKey, error) {
	if at == "" {
		at = o.IssuerKey
	}
	if at == "" || at == KeyInFile {
		key, err := newFileKey()
		if err != nil {
			return madeKey{}, err
		}
		text, err := keyPEM(key, o.Passphrase)
		return madeKey{key, map[string][]byte{issuerKey: text}}, err
	}
	key, err := o.openKey(ctx, at, true)
	if err != nil {
		return madeKey{}, err
	}
	for _, c := range others {
		if sameKey(c.PublicKey, key.Public()) {
			return madeKey{}, ward.Errorf(ward.Conflict, "The key %s is that of the issuer %s already: each issuer has a key of its own. %s", at, c.Subject, anotherName(at))
		}
	}
	return madeKey{key, map[string][]byte{issuerURI: []byte(at + "\n")}}, nil
}

// readKey opens the key that the folder of an issuer holds or names. fs.ErrNotExist says
// that it does neither.
func (o *Options) readKey(ctx context.Context, dir string) (madeKey, error) {
	named, err := os.ReadFile(filepath.Join(dir, issuerURI))
	if errors.Is(err, fs.ErrNotExist) {
		path := filepath.Join(dir, issuerKey)
		text, err := os.ReadFile(path)
		if err != nil {
			return madeKey{}, fmt.Errorf("load issuer: %w", err)
		}
		key, err := parseFileKey(path, text, o.Passphrase)
		return madeKey{key, map[string][]byte{issuerKey: text}}, err
	}
	if err != nil {
		return madeKey{}, fmt.Errorf("load issuer: %w", err)
	}
	key, err := o.openKey(ctx, strings.TrimSpace(string(named)), false)
	return madeKey{key, map[string][]byte{issuerURI: named}}, err
}

// parseFileKey opens a key that was read from path.
func parseFileKey(path string, text, passphrase []byte) (*rsa.PrivateKey, error) {
	k, err := pemutil.ParseKey(text, pemutil.WithPassword(passphrase))
	if errors.Is(err, x509.IncorrectPasswordError) {
		return nil, ward.Errorf(ward.Forbidden, "The passphrase does not open the certificate authority's key %s. It is derived from the master key: use the one that was in place when the key was made.", path)
	}
	if err != nil {
		return nil, fmt.Errorf("load issuer: %s: %w", path, err)
	}
	key, ok := k.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("load issuer: %s holds a %T, want an RSA key", path, k)
	}
	return key, nil
}

// sameKey reports whether a and b are one public key.
func sameKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(x crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// ElsewhereKeys returns the URIs of the keys of issuers in dir that are not in it, sorted:
// whoever copies dir has not copied them. A dir that is not there has none.
func ElsewhereKeys(dir string) ([]string, error) {
	named, err := filepath.Glob(filepath.Join(dir, "*", issuerURI))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, path := range named {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("keys elsewhere: %w", err)
		}
		out = append(out, strings.TrimSpace(string(b)))
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
