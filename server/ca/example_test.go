package ca_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
	"go.uber.org/zap"
)

// An app gets its certificate, uses it, and loses it when its phone is lost.
func Example() {
	if err := lose(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// [urn:ward:device:d1 urn:ward:app:uk.example.chat]
	// app of d1
	// true
}

func lose(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "wardca")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // the system clears its temporary folder
	now := func() time.Time { return time.Now().UTC() }
	db, err := store.Open(ctx, store.Options{URL: filepath.Join(dir, "ward.db"), Master: storetest.Master(), Now: now})
	if err != nil {
		return err
	}
	defer db.Close()
	authority, err := ca.Open(ctx, ca.Options{
		Dir: filepath.Join(dir, "ca"), Passphrase: storetest.Master().Derive("certificate authority"), Organisation: "Example Trust",
		PublicURL: "https://ward.example", Unit: db, Store: db.Certificates(), Challenges: gate{}, Now: now, Log: zap.NewNop(),
	})
	if err != nil {
		return err
	}

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return err
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return err
	}
	chain, err := authority.IssueApp(ctx, csr, ca.AppGrant{Device: "d1", Enrolment: "e1", App: "uk.example.chat"}, nil)
	if err != nil {
		return err
	}
	fmt.Println(chain[0].URIs)

	known, err := authority.Check(ctx, chain[0])
	if err != nil {
		return err
	}
	fmt.Println(known.Kind, "of", known.Device)

	if _, err := authority.RevokeApps(ctx, "d1", ca.KeyCompromise, "lost"); err != nil {
		return err
	}
	if err := authority.RemakeCRL(ctx); err != nil {
		return err
	}
	_, err = authority.Check(ctx, chain[0])
	fmt.Println(errors.Is(err, ca.ErrRevoked))
	return nil
}
