package approver

import "time"

// ForgeNonce makes a nonce as Ward does, for tests in which a thief holds the key for it.
func ForgeNonce(key []byte, approver string, p Purpose, hash string, at time.Time) ([]byte, error) {
	return newNonce(key, approver, p, hash, at)
}

// CanonicalKey is canonicalKey.
func CanonicalKey(cose []byte) ([]byte, error) { return canonicalKey(cose) }

// ParseRoot and FormatRoot read and write the file of the first approvers.
func ParseRoot(b []byte) (Trusted, error) { return parseRoot(b) }

// FormatRoot is the inverse of ParseRoot.
func FormatRoot(t Trusted) ([]byte, error) { return formatRoot(t) }

// StatementHash is the hash by which a statement is known.
func StatementHash(a Approver) string { return statementHash(a) }
