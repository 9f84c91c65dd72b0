// Package seal encrypts and authenticates what the database must not be able to
// read or forge: queued commands, unlock tokens, keys. The master key lives in a
// file apart from the database; this package never writes it anywhere else.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrForged means that a sealed value was altered, moved to another row, or sealed
// under another key.
var ErrForged = errors.New("sealed value fails its authentication")

// Master is the key that every other key is derived from.
type Master struct{ key []byte }

// LoadMaster reads the master key from path, making it on first run with mode 0600.
// It refuses a file that others may read.
func LoadMaster(path string) (*Master, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return createMaster(path)
	}
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("master key %s may be read by others (mode %o): run chmod 600 on it", path, st.Mode().Perm())
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(b)))
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("master key %s is damaged: it must be 64 hexadecimal digits; restore it from the backup of the keys", path)
	}
	return &Master{key}, nil
}

func createMaster(path string) (*Master, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	key := make([]byte, 32)
	rand.Read(key)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	if _, err := f.WriteString(hex.EncodeToString(key) + "\n"); err != nil {
		return nil, errors.Join(fmt.Errorf("master key: %w", err), f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	return &Master{key}, nil
}

// NewMaster returns a master key of the given 32 bytes, for tests.
func NewMaster(key [32]byte) *Master { return &Master{key[:]} }

// Derive returns 32 bytes for one purpose. The same purpose gives the same bytes.
func (m *Master) Derive(purpose string) []byte {
	k, err := hkdf.Key(sha256.New, m.key, nil, "ward "+purpose, 32)
	if err != nil {
		panic(err) // only for a length beyond 255 hashes
	}
	return k
}

// Box returns the box for one purpose.
func (m *Master) Box(purpose string) *Box {
	b, err := NewBox(m.Derive(purpose))
	if err != nil {
		panic(err) // only for a key that is not 32 bytes
	}
	return b
}

// Box seals and opens values under one key with AES-256-GCM. It may be used by
// several goroutines.
type Box struct{ aead cipher.AEAD }

// NewBox returns a box for a key of 32 bytes.
func NewBox(key []byte) (*Box, error) {
	if len(key) != 32 {
		return nil, fmt.Errorf("sealing key has %d bytes, want 32", len(key))
	}
	c, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	a, err := cipher.NewGCMWithRandomNonce(c)
	if err != nil {
		return nil, err
	}
	return &Box{a}, nil
}

// Seal encrypts plain and binds it to place, the parts that say which row it
// belongs to.
func (b *Box) Seal(plain []byte, place ...string) []byte {
	return b.aead.Seal(nil, nil, plain, additional(place)) //nolint:gosec // this AEAD makes its own random nonce
}

// Open returns what Seal was given. It returns ErrForged when the value or its
// place is not the one that was sealed.
func (b *Box) Open(sealed []byte, place ...string) ([]byte, error) {
	p, err := b.aead.Open(nil, nil, sealed, additional(place))
	if err != nil {
		return nil, ErrForged
	}
	return p, nil
}

// additional joins the parts so that no two lists give the same bytes.
func additional(place []string) []byte {
	var b []byte
	for _, p := range place {
		b = fmt.Appendf(b, "%d:%s", len(p), p)
	}
	return b
}
