package approver

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/wardmdm/ward"
)

// Glass is the public half of the sealed key, by which one device can be dealt with in the
// night when no approver answers. Nobody keeps its secret half whole: that is split in two
// parts, printed and sealed, neither of which says anything without the other.
type Glass struct {
	Public []byte    // Ed25519
	At     time.Time // when it was made
}

func (g Glass) whole() bool { return len(g.Public) == ed25519.PublicKeySize }

// The printed form of a part is "ward-glass-1-" or "ward-glass-2-" and, in base32, the
// part, the beginning of the public key and a checksum: 64 characters in groups of four.
const (
	glassPrefix = "ward-glass-"
	glassGroup  = 4
	glassMark   = 4 // bytes of the public key, so that parts of two keys are told apart
	glassSum    = 4 // bytes of the checksum
	glassLength = ed25519.SeedSize + glassMark + glassSum
	glassLimit  = 1 << 10 // characters that are read at all
	glassDomain = "ward break glass v1"
)

// NewGlass makes a sealed key. The parts are to be printed and put into two envelopes for
// two keepers; they are kept nowhere else. Its time is not set.
func NewGlass() (parts [2]string, g Glass, err error) {
	var seed, first, second [ed25519.SeedSize]byte
	for _, b := range []*[ed25519.SeedSize]byte{&seed, &first} {
		if _, err := rand.Read(b[:]); err != nil {
			return parts, Glass{}, fmt.Errorf("make a sealed key: %w", err)
		}
	}
	subtle.XORBytes(second[:], seed[:], first[:])
	public := publicOf(seed[:])
	parts[0], parts[1] = printPart(1, first[:], public), printPart(2, second[:], public)
	return parts, Glass{Public: public}, nil
}

func publicOf(seed []byte) ed25519.PublicKey {
	return ed25519.PublicKey(ed25519.NewKeyFromSeed(seed)[ed25519.SeedSize:])
}

func printPart(n int, share, public []byte) string {
	b := append(bytes.Clone(share), public[:glassMark]...)
	text := base32.StdEncoding.EncodeToString(append(b, partSum(n, b)...))
	var groups []string
	for i := 0; i < len(text); i += glassGroup {
		groups = append(groups, text[i:min(i+glassGroup, len(text))])
	}
	return glassPrefix + strconv.Itoa(n) + "-" + strings.Join(groups, "-")
}

func partSum(n int, b []byte) []byte {
	sum := sha256.Sum256(joined(glassDomain+" part", []byte{byte(n)}, b)) //nolint:gosec // 1 or 2
	return sum[:glassSum]
}

// readPart reads a part as people type it: in either case, with or without the white space
// and the hyphens. where says which part of the form it was, for the error.
func readPart(where, text string) (n int, share, mark []byte, err error) {
	wrong := func(why string) error {
		return ward.Errorf(ward.Invalid, "The %s part %s.", where, why)
	}
	if len(text) > glassLimit {
		return 0, nil, nil, wrong("is far too long")
	}
	flat := func(s string) string {
		return strings.ReplaceAll(strings.Join(strings.Fields(strings.ToUpper(s)), ""), "-", "")
	}
	rest, ok := strings.CutPrefix(flat(text), flat(glassPrefix))
	if !ok || rest == "" || (rest[0] != '1' && rest[0] != '2') {
		return 0, nil, nil, wrong("does not begin with ward-glass-1- or ward-glass-2-")
	}
	n = int(rest[0] - '0')
	b, err := base32.StdEncoding.DecodeString(rest[1:])
	switch {
	case err != nil:
		return 0, nil, nil, wrong("is mistyped: after its beginning it has the letters A to Z and the digits 2 to 7 alone, 64 of them")
	case len(b) != glassLength:
		return 0, nil, nil, wrong(fmt.Sprintf("is not whole: after its beginning it has %d letters and digits, and this has %d", glassLength*8/5, len(rest)-1))
	}
	body, sum := b[:glassLength-glassSum], b[glassLength-glassSum:]
	if !bytes.Equal(sum, partSum(n, body)) {
		return 0, nil, nil, wrong("is mistyped: compare it with the paper letter by letter")
	}
	return n, body[:ed25519.SeedSize], body[ed25519.SeedSize:], nil
}

// SignGlass puts the two parts together, in either order, and signs the hash of an order.
// It runs where the keepers are, never on the server. Invalid says which part is mistyped,
// that it is one part twice, or that the parts are of two keys.
func SignGlass(part1, part2, hash string) (sig []byte, err error) {
	if !validHash(hash) {
		return nil, ward.Errorf(ward.Invalid, "What is to be signed is not the hash of an order.")
	}
	n1, share1, mark1, err := readPart("first", part1)
	if err != nil {
		return nil, err
	}
	n2, share2, mark2, err := readPart("second", part2)
	if err != nil {
		return nil, err
	}
	if n1 == n2 {
		return nil, ward.Errorf(ward.Invalid, "Both are part %d: the other envelope holds part %d.", n1, 3-n1)
	}
	seed := make([]byte, ed25519.SeedSize)
	subtle.XORBytes(seed, share1, share2)
	if public := publicOf(seed); !bytes.Equal(mark1, mark2) || !bytes.Equal(mark1, public[:glassMark]) {
		return nil, ward.Errorf(ward.Invalid, "The two parts are of different keys: one of them was replaced by a newer one.")
	}
	return ed25519.Sign(ed25519.NewKeyFromSeed(seed), glassMessage(hash)), nil
}

// glassMessage is what the sealed key signs for a hash.
func glassMessage(hash string) []byte { return joined(glassDomain, []byte(hash)) }

// VerifyGlass returns nil if the sealed key signed the hash. Forbidden says that it did not;
// NotFound that no sealed key was made.
func (s *Service) VerifyGlass(ctx context.Context, hash string, sig []byte) error {
	g, ok, err := s.Glass(ctx)
	if err != nil {
		return err
	}
	if !ok {
		return ward.Errorf(ward.NotFound, "There is no sealed key. The operator makes one at the server's console.")
	}
	if !validHash(hash) || !ed25519.Verify(g.Public, glassMessage(hash), sig) {
		return ward.Errorf(ward.Forbidden, "This was not signed by the sealed key for exactly this order.")
	}
	return nil
}

// Glass returns the public half of the sealed key, and whether there is one.
func (s *Service) Glass(ctx context.Context) (Glass, bool, error) {
	t, err := s.Root.Read(ctx)
	if err != nil {
		return Glass{}, false, err
	}
	return t.Glass, t.Glass.whole(), nil
}

// MakeGlass makes a sealed key in the place of any before it, whose parts are then waste
// paper, and returns its two parts, which are shown this once. The operator alone may do
// it, at the server's console.
func (s *Service) MakeGlass(ctx context.Context) (parts [2]string, err error) {
	if err := console(ctx, "make a sealed key"); err != nil {
		return parts, err
	}
	parts, g, err := NewGlass()
	if err != nil {
		return parts, err
	}
	g.At = s.now()
	err = s.Store.Do(ctx, func(ctx context.Context) error {
		return s.Audit.Record(ctx, ActionGlassMade, hex.EncodeToString(g.Public[:glassMark]), map[string]string{"public_key": hex.EncodeToString(g.Public)})
	})
	if err != nil {
		return [2]string{}, err
	}
	if err := s.changeRoot(ctx, func(t *Trusted) error { t.Glass = g; return nil }); err != nil {
		return [2]string{}, err
	}
	return parts, nil
}
