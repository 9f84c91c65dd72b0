package audit

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Key signs checkpoints. It lives in a file apart from the database, so that whoever
// can write the database cannot rewrite the past.
type Key struct {
	signer   note.Signer
	verifier note.Verifier
	public   string
}

// LoadKey reads the signing key from path, making one with mode 0600 on first run. The
// name says whose log it is, such as "ward.trust.nhs.uk/audit"; it is taken only when
// the key is made, and may hold no space and no "+". A file that others may read is
// refused. Source of the form: https://pkg.go.dev/golang.org/x/mod/sumdb/note
func LoadKey(path, name string) (*Key, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return createKey(path, name)
	}
	if err != nil {
		return nil, fmt.Errorf("audit key: %w", err)
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("audit key: %w", err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("audit key %s may be read by others (mode %o): run chmod 600 on it", path, st.Mode().Perm())
	}
	k, err := ParseKey(strings.TrimSpace(string(b)))
	if err != nil {
		return nil, fmt.Errorf("audit key %s is damaged: restore it from the backup of the keys: %w", path, err)
	}
	return k, nil
}

func createKey(path, name string) (*Key, error) {
	secret, _, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return nil, fmt.Errorf("make audit key: %w", err)
	}
	k, err := ParseKey(secret)
	if err != nil {
		return nil, fmt.Errorf("make audit key named %q: %w", name, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make audit key: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make audit key: %w", err)
	}
	if _, err := f.WriteString(secret + "\n"); err != nil {
		return nil, errors.Join(fmt.Errorf("make audit key: %w", err), f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("make audit key: %w", err)
	}
	return k, nil
}

// ParseKey reads a signing key in note's text form, PRIVATE+KEY+name+hash+data.
func ParseKey(text string) (*Key, error) {
	signer, err := note.NewSigner(text)
	if err != nil {
		return nil, err
	}
	fields := strings.SplitN(text, "+", 5) // the data itself may hold a "+"
	data, err := base64.StdEncoding.DecodeString(fields[len(fields)-1])
	if err != nil || len(data) != 1+ed25519.SeedSize { // the first byte names the algorithm
		return nil, errors.New("malformed signing key")
	}
	public, ok := ed25519.NewKeyFromSeed(data[1:]).Public().(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("malformed signing key")
	}
	text, err = note.NewEd25519VerifierKey(signer.Name(), public)
	if err != nil {
		return nil, err
	}
	verifier, err := note.NewVerifier(text)
	if err != nil {
		return nil, err
	}
	return &Key{signer, verifier, text}, nil
}

// Name returns the name of the log, which every checkpoint begins with.
func (k *Key) Name() string { return k.signer.Name() }

// Public returns the public key as text, which a verifier needs and which should be
// kept outside the installation.
func (k *Key) Public() string { return k.public }
