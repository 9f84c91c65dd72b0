package ca

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.step.sm/crypto/jose"
)

// nonceLife is how long a nonce may wait to be used.
const nonceLife = time.Hour

// seal makes nonces and accounts that need no row: each is sealed with a key that all
// copies of the server derive from the passphrase, for one challenge. Whether a nonce was
// used is in the database.
type seal struct{ key []byte }

func newSeal(passphrase []byte) (seal, error) {
	key, err := hkdf.Key(sha256.New, passphrase, nil, "ward acme nonces and accounts", sha256.Size)
	if err != nil {
		return seal{}, fmt.Errorf("derive the key of ACME: %w", err)
	}
	return seal{key}, nil
}

var raw64 = base64.RawURLEncoding

// mac seals content of one sort for one challenge. Content has a place of its own in what
// is sealed, at the end, so that no other sort or challenge can be read into it.
func (s seal) mac(sort, challenge string, content []byte) []byte {
	h := hmac.New(sha256.New, s.key)
	fmt.Fprintf(h, "%s\n%s\n", sort, challenge)
	h.Write(content)
	return h.Sum(nil)[:16]
}

// nonce returns a new nonce (RFC 8555 section 6.5).
func (s seal) nonce(challenge string, now time.Time) string {
	b := make([]byte, 24, 40)
	binary.BigEndian.PutUint64(b, uint64(now.UnixMicro()))
	rand.Read(b[8:])
	return raw64.EncodeToString(append(b, s.mac("nonce", challenge, b)...))
}

// fresh reports whether nonce was made for this challenge not long ago. The clocks of
// several copies of the server may differ a little.
func (s seal) fresh(nonce, challenge string, now time.Time) bool {
	b, err := raw64.Strict().DecodeString(nonce)
	if err != nil || len(b) != 40 || !hmac.Equal(b[24:], s.mac("nonce", challenge, b[:24])) {
		return false
	}
	age := now.Sub(time.UnixMicro(int64(binary.BigEndian.Uint64(b)))) //nolint:gosec // it was sealed here
	return age < nonceLife && age > -time.Minute
}

// maxRecent bounds what a process remembers of nonces: some 10 MB.
const maxRecent = 50_000

// recent remembers nonces, in two generations of which the older is dropped when the
// younger is full or nonceLife old.
type recent struct {
	mu          sync.Mutex
	young, aged map[string]struct{}
	since       time.Time
}

// first reports whether nonce was not seen in this process before.
func (r *recent) first(nonce string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.young) >= maxRecent || r.young == nil || now.Sub(r.since) > nonceLife {
		r.young, r.aged, r.since = map[string]struct{}{}, r.young, now
	}
	_, young := r.young[nonce]
	_, aged := r.aged[nonce]
	r.young[nonce] = struct{}{}
	return !young && !aged
}

// errAccountKey refuses a key that no account may have.
var errAccountKey = errors.New("an account's key must be EC, Ed25519, or RSA with at most 4096 bits")

// account returns the id of the account of a key: the key itself, sealed.
func (s seal) account(challenge string, key *jose.JSONWebKey) (string, error) {
	switch k := key.Key.(type) {
	case *ecdsa.PublicKey, ed25519.PublicKey:
	case *rsa.PublicKey:
		if k.N.BitLen() > 4096 {
			return "", errAccountKey
		}
	default:
		return "", errAccountKey
	}
	b, err := json.Marshal(&jose.JSONWebKey{Key: key.Key}) // and nothing else that came with it
	if err != nil {
		return "", fmt.Errorf("account: %w", err)
	}
	return raw64.EncodeToString(b) + "." + raw64.EncodeToString(s.mac("account", challenge, b)), nil
}

// accountKey returns the key of an account of this challenge, nil if it has no such one.
func (s seal) accountKey(challenge, id string) *jose.JSONWebKey {
	text, sealed, _ := strings.Cut(id, ".")
	b, err := raw64.Strict().DecodeString(text)
	if err != nil {
		return nil
	}
	mac, err := raw64.Strict().DecodeString(sealed)
	if err != nil || !hmac.Equal(mac, s.mac("account", challenge, b)) {
		return nil
	}
	key := new(jose.JSONWebKey)
	if json.Unmarshal(b, key) != nil {
		return nil
	}
	return key
}
