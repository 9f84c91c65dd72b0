package approver

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"
)

// A nonce is 16 random bytes, the time at which it was made in microseconds, and a tag over
// both and the question under the root's key. So the time of a signature can't be set back
// to before the end of the approver that made it, not even by who writes the database.
const (
	keySize   = 32
	nonceSalt = 16
	nonceTime = 8
	nonceTag  = 16
)

// newKey returns a key for nonces.
func newKey() ([]byte, error) {
	key := make([]byte, keySize)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("key for nonces: %w", err)
	}
	return key, nil
}

// newNonce returns a nonce for a question to one approver.
func newNonce(key []byte, approver string, p Purpose, hash string, at time.Time) ([]byte, error) {
	n := make([]byte, nonceSalt, nonceSalt+nonceTime+nonceTag)
	if _, err := rand.Read(n); err != nil {
		return nil, fmt.Errorf("nonce: %w", err)
	}
	n = binary.BigEndian.AppendUint64(n, uint64(at.UnixMicro()))
	return append(n, nonceMAC(key, approver, p, hash, n)...), nil
}

func nonceMAC(key []byte, approver string, p Purpose, hash string, made []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write(joined("ward approver nonce v1", []byte(approver), []byte(p), []byte(hash), made))
	return m.Sum(nil)[:nonceTag]
}

// nonceMade returns when Ward made the nonce, and false if it is not one that Ward made for
// this question to this approver.
func nonceMade(key []byte, approver string, p Purpose, hash string, nonce []byte) (time.Time, bool) {
	if len(key) != keySize || len(nonce) != nonceSalt+nonceTime+nonceTag {
		return time.Time{}, false
	}
	made, tag := nonce[:nonceSalt+nonceTime], nonce[nonceSalt+nonceTime:]
	if !hmac.Equal(tag, nonceMAC(key, approver, p, hash, made)) {
		return time.Time{}, false
	}
	return time.UnixMicro(int64(binary.BigEndian.Uint64(made[nonceSalt:]))).UTC(), true //nolint:gosec // the inverse of the above
}
