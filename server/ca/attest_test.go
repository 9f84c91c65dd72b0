package ca

import (
	"crypto/x509"
	"encoding/pem"
	"slices"
	"testing"
	"time"
)

// TestAppleRoot: the built-in root is a root, and Apple's.
func TestAppleRoot(t *testing.T) {
	t.Parallel()
	roots, err := new(Authority).appleRoots()
	if err != nil || len(roots) != 1 {
		t.Fatalf("appleRoots = %d, %v", len(roots), err)
	}
	c := roots[0]
	if err := c.CheckSignatureFrom(c); err != nil {
		t.Errorf("it does not verify itself: %v", err)
	}
	if c.Subject.CommonName != "Apple Enterprise Attestation Root CA" || c.NotAfter.Before(time.Date(2047, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("it is %s, valid until %s", c.Subject, c.NotAfter)
	}
}

// FuzzAttestation: whatever a device sends as its attestation is refused or believed, and
// nothing is believed that no root of ours stands behind.
func FuzzAttestation(f *testing.F) {
	block, _ := pem.Decode([]byte(appleRoot))
	x5c := append([]byte{0x81, 0x59, byte(len(block.Bytes) >> 8), byte(len(block.Bytes))}, block.Bytes...)
	apple := append([]byte("\xa2\x63fmt\x65apple\x67attStmt\xa1\x63x5c"), x5c...)
	tpm := append([]byte("\xa2\x63fmt\x63tpm\x67attStmt\xa6\x63ver\x632.0\x63alg\x39\x01\x00\x63sig\x41\x00\x68certInfo\x41\x00\x67pubArea\x41\x00\x63x5c"), x5c...)
	for _, seed := range [][]byte{
		apple, tpm,
		{},
		[]byte("{}"),
		{0xa0},
		{0xa1, 0x63, 'f', 'm', 't', 0x65},
		{0x9f, 0x9f, 0x9f},
		{0xbf, 0xff},
		append([]byte("\xa2\x63fmt\x65apple\x67attStmt\xa1\x63x5c\x9a\xff\xff\xff\xff"), block.Bytes...),
		apple[:len(apple)-7], append(slices.Clip(apple), 0),
	} {
		f.Add(seed)
	}
	nobody := x509.NewCertPool()
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := parseAttestation(b)
		if err != nil {
			return
		}
		if n := len(a.Statement.X5C); n == 0 || n > maxChain {
			t.Fatalf("an attestation with %d certificates was read", n)
		}
		for _, format := range []string{FormatApple, FormatTPM} {
			if p, err := (asked{format: format, token: "token", roots: nobody, now: time.Unix(1_800_000_000, 0)}).verify(a); err == nil {
				t.Fatalf("it was believed: %+v", p)
			}
		}
	})
}

// FuzzAltNames: names that fit two different identifiers are no names at all.
func FuzzAltNames(f *testing.F) {
	f.Add([]byte{0x30, 0x04, 0x82, 0x02, 'S', '1'})
	f.Add([]byte{0x30, 0x14, 0xa0, 0x12, 0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 8, 3, 0xa0, 6, 0x30, 4, 0x0c, 2, 'S', '1'})
	f.Add([]byte{0x30, 0x80})
	f.Add([]byte{0x30, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		if onlyAltNames(b, "S1") == nil && onlyAltNames(b, "S2") == nil && len(b) > 2 {
			t.Errorf("%x is let through as S1 and as S2", b)
		}
	})
}

func TestAltNames(t *testing.T) {
	t.Parallel()
	id := []byte{0x30, 0x14, 0xa0, 0x12, 0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 8, 3, 0xa0, 6, 0x30, 4, 0x0c, 2, 'S', '1'}
	if err := onlyAltNames(id, "S1"); err != nil {
		t.Errorf("the identifier as a permanent identifier: %v", err)
	}
	if err := onlyAltNames(id, "S2"); err == nil {
		t.Error("another permanent identifier was let through")
	}
	if err := onlyAltNames([]byte{0x30, 0x06, 0x87, 0x04, 192, 0, 2, 1}, "S1"); err == nil {
		t.Error("an address was let through")
	}
}
