package ca

import (
	"fmt"

	"github.com/smallstep/certificates/authority"
	"github.com/smallstep/certificates/authority/config"
	"github.com/smallstep/certificates/authority/provisioner"
)

// embed builds smallstep's authority around an issuer, its guard and our record. Its only
// provisioners are the two by which ACME is served, which sign nothing by themselves, so
// that nothing is signed but what sign asks for; and it makes no revocation lists: its own
// are numbered in one process only.
func (a *Authority) embed(is *issuer) (*authority.Authority, error) {
	list := provisioner.List{acmeProvisioner(FormatApple), acmeProvisioner(FormatTPM)}
	step, err := authority.NewEmbedded(
		authority.WithConfig(&config.Config{AuthorityConfig: &config.AuthConfig{Provisioners: list}}),
		authority.WithX509RootCerts(a.root),
		authority.WithX509IntermediateCerts(is.cert),
		authority.WithX509CAService(is.guard),
		authority.WithDatabase(&record{a.o.Store, a.o.Now}),
		authority.WithQuietInit())
	if err != nil {
		return nil, err
	}
	return step, started(step, len(list))
}

// acmeProvisioner is what the library's ACME handlers ask for. Attestations are judged by
// attest.go, certificates are signed by sign.
func acmeProvisioner(format string) *provisioner.ACME {
	return &provisioner.ACME{
		Type: "ACME", Name: format,
		Challenges:         []provisioner.ACMEChallenge{provisioner.DEVICE_ATTEST_01},
		AttestationFormats: []provisioner.ACMEAttestationFormat{provisioner.ACMEAttestationFormat(format)},
	}
}

// started makes sure that every provisioner is there and works: one that can't start is
// logged and disabled by the library, and nothing more is said of it.
func started(step *authority.Authority, want int) error {
	list, _, err := step.GetProvisioners("", want+1)
	if err != nil {
		return fmt.Errorf("list provisioners: %w", err)
	}
	for _, p := range list {
		if off, ok := p.(provisioner.Uninitialized); ok {
			return fmt.Errorf("start provisioner %s: %w", p.GetName(), off.Reason)
		}
	}
	if len(list) != want {
		return fmt.Errorf("start provisioners: there are %d, want %d", len(list), want)
	}
	return nil
}
