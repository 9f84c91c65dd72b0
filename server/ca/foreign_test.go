package ca_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store/storetest"
)

// TestCheckForeign: a certificate of whoever's authority proves a device only if it is one
// for clients.
func TestCheckForeign(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}
	for _, tt := range []struct {
		name string
		c    x509.Certificate
		ok   bool
	}{
		{"for clients", x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, true},
		{"for clients and more", x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection, x509.ExtKeyUsageClientAuth}}, true},
		{"for whatever", x509.Certificate{}, true},
		{"for servers", x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, false},
		{"for IPsec, as NDES has it", x509.Certificate{UnknownExtKeyUsage: []asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 8, 2, 2}}}, false},
		{"an authority", x509.Certificate{IsCA: true}, false},
		{"a weak key", x509.Certificate{PublicKey: weak}, false},
		{"no serial number", x509.Certificate{SerialNumber: big.NewInt(-1)}, false},
	} {
		if tt.c.PublicKey == nil {
			tt.c.PublicKey = key.Public()
		}
		if tt.c.SerialNumber == nil {
			tt.c.SerialNumber = big.NewInt(2)
		}
		err := ca.CheckForeign(&tt.c)
		if (err == nil) != tt.ok || err != nil && (ward.KindOf(err) != ward.Forbidden || !errors.Is(err, ca.ErrUnusable)) {
			t.Errorf("%s: %v, want it let in: %v", tt.name, err, tt.ok)
		}
	}
}

// TestForeignRow: certificates of two authorities with one serial number have two names, and
// one that is not in the record is foreign to Check.
func TestForeignRow(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	var rows []ca.Certificate
	for range 2 {
		key := newKey(t)
		c := signed(t, &x509.Certificate{
			SerialNumber: big.NewInt(2), NotBefore: f.clock.now().Add(-time.Hour), NotAfter: f.clock.now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}, nil, key.Public(), key)
		if _, err := f.Check(t.Context(), c); !errors.Is(err, ca.ErrForeign) {
			t.Errorf("Check() of one that is not in the record = %v", err)
		}
		row := ca.ForeignRow(c, ca.Grant{Invitation: "i", Device: "d"})
		if row.Kind != ca.KindDevice || row.Issuer != ca.Foreign || row.Invitation != "i" || row.Device != "d" || !strings.HasPrefix(row.Serial, "outside-2-") {
			t.Errorf("ForeignRow() = %+v", row)
		}
		if err := f.db.Certificates().InsertCertificate(t.Context(), row); err != nil {
			t.Fatal(err)
		}
		if got, err := f.Check(t.Context(), c); err != nil || got.Serial != row.Serial {
			t.Errorf("Check() of one that is in the record = %+v, %v", got, err)
		}
		if ok, err := f.Revoke(t.Context(), row.Serial, ca.Withdrawn, "test"); !ok || err != nil {
			t.Errorf("Revoke() = %v, %v", ok, err)
		}
		if _, err := f.Check(t.Context(), c); !errors.Is(err, ca.ErrRevoked) {
			t.Errorf("Check() of one that was revoked = %v", err)
		}
		rows = append(rows, row)
	}
	if rows[0].Serial == rows[1].Serial {
		t.Errorf("both are %s", rows[0].Serial)
	}
	if err := f.RemakeCRL(t.Context()); err != nil {
		t.Errorf("RemakeCRL() with foreign certificates revoked = %v", err)
	}
}
