package ca

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/smallstep/certificates/authority"
	"github.com/smallstep/certificates/authority/config"
	"github.com/smallstep/certificates/authority/provisioner"
	casapi "github.com/smallstep/certificates/cas/apiv1"
	"github.com/smallstep/certificates/cas/softcas"
	"go.step.sm/crypto/minica"
)

// TestHolesStart: a provisioner that can't start is only logged by the library, and its
// clients are refused from then on. Here the server does not start.
func TestHolesStart(t *testing.T) {
	t.Parallel()
	mini, err := minica.New()
	if err != nil {
		t.Fatal(err)
	}
	soft, err := softcas.New(t.Context(), casapi.Options{Signer: mini.Signer, CertificateChain: []*x509.Certificate{mini.Intermediate}})
	if err != nil {
		t.Fatal(err)
	}
	start := func(list ...provisioner.Interface) *authority.Authority {
		step, err := authority.NewEmbedded(
			authority.WithConfig(&config.Config{AuthorityConfig: &config.AuthConfig{Provisioners: list}}),
			authority.WithX509RootCerts(mini.Root), authority.WithX509IntermediateCerts(mini.Intermediate),
			authority.WithX509CAService(soft), authority.WithQuietInit())
		if err != nil {
			t.Fatalf("the library says it itself: %v", err)
		}
		return step
	}
	broken := acmeProvisioner(FormatTPM)
	broken.AttestationRoots = []byte("no certificate")
	if err := started(start(acmeProvisioner(FormatApple), broken), 2); err == nil {
		t.Error("a provisioner that did not start was taken for a good one")
	}
	if err := started(start(acmeProvisioner(FormatApple)), 2); err == nil {
		t.Error("a provisioner that is not there was not missed")
	}
	if err := started(start(acmeProvisioner(FormatApple), acmeProvisioner(FormatTPM)), 2); err != nil {
		t.Errorf("good ones: %v", err)
	}
}

// TestRecent: a nonce is remembered for as long as it may be used.
func TestRecent(t *testing.T) {
	t.Parallel()
	r, now := new(recent), time.Unix(1_800_000_000, 0)
	if !r.first("a", now) || r.first("a", now) {
		t.Error("a nonce is good once")
	}
	if later := now.Add(nonceLife + time.Second); r.first("a", later) || !r.first("b", later) || r.first("a", later.Add(nonceLife)) {
		t.Error("a nonce was forgotten too early")
	}
}
