package tpmid

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/smallstep/go-attestation/attest"
	"github.com/wardmdm/ward"
	"go.step.sm/crypto/tpm"
)

// The two calls to the attestation authority, in the form of
// go.step.sm/crypto/tpm/attestation, whose own client throws away why it was refused.

type tpmInfo struct {
	Version      attest.TPMVersion `json:"version"`
	Manufacturer string            `json:"manufacturer"`
	Model        string            `json:"model"`
	Firmware     string            `json:"firmwareVersion"`
}

type parameters struct {
	Public            []byte `json:"public"`
	CreateData        []byte `json:"createData"`
	CreateAttestation []byte `json:"createAttestation"`
	CreateSignature   []byte `json:"createSignature"`
}

type attestRequest struct {
	Info   tpmInfo    `json:"tpmInfo"`
	EK     []byte     `json:"ek"`
	Certs  [][]byte   `json:"ekCerts,omitempty"`
	Params parameters `json:"params"`
}

type attestAnswer struct {
	Credential []byte `json:"credential"`
	Secret     []byte `json:"secret"`
}

type secretRequest struct {
	Secret []byte `json:"secret"`
}

type secretAnswer struct {
	Chain [][]byte `json:"chain"`
}

// certify shows that the attestation key and the endorsement key are in one TPM, and
// returns the chain of the certificate that says so.
func (t *TPM) certify(ctx context.Context, o Order, ak *tpm.AK) ([][]byte, error) {
	in, err := t.claim(ctx, ak)
	if err != nil {
		return nil, err
	}
	var asked attestAnswer
	if err := t.call(ctx, o, "attest", in, &asked); err != nil {
		return nil, err
	}
	secret, err := ak.ActivateCredential(ctx, tpm.EncryptedCredential{Credential: asked.Credential, Secret: asked.Secret})
	if err != nil {
		return nil, fmt.Errorf("answer the attestation authority: %w", err)
	}
	var out secretAnswer
	if err := t.call(ctx, o, "secret", secretRequest{secret}, &out); err != nil {
		return nil, err
	}
	if len(out.Chain) == 0 {
		return nil, errors.New("the attestation authority sent no certificate")
	}
	return out.Chain, nil
}

// claim is what the TPM says of itself and of the attestation key.
func (t *TPM) claim(ctx context.Context, ak *tpm.AK) (attestRequest, error) {
	info, err := t.tpm.Info(ctx)
	if err != nil {
		return attestRequest{}, fmt.Errorf("describe tpm: %w", err)
	}
	ek, err := t.endorsement(ctx)
	if err != nil {
		return attestRequest{}, err
	}
	p, err := ak.AttestationParameters(ctx)
	if err != nil {
		return attestRequest{}, fmt.Errorf("describe attestation key: %w", err)
	}
	in := attestRequest{
		Info: tpmInfo{
			Version: attest.TPMVersion20, Manufacturer: strconv.FormatUint(uint64(info.Manufacturer.ID), 10),
			Model: info.VendorInfo, Firmware: info.FirmwareVersion.String(),
		},
		Params: parameters{p.Public, p.CreateData, p.CreateAttestation, p.CreateSignature},
	}
	if in.EK, err = x509.MarshalPKIXPublicKey(ek.Public()); err != nil {
		return attestRequest{}, fmt.Errorf("describe endorsement key: %w", err)
	}
	if c := ek.Certificate(); c != nil {
		in.Certs = [][]byte{c.Raw}
	}
	return in, nil
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 10

// call posts in to the attestation authority and reads its answer into out.
func (t *TPM) call(ctx context.Context, o Order, what string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.Server+"/tpm/"+url.PathEscape(o.Challenge)+"/"+what, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := t.o.HTTP.Do(req)
	if err != nil {
		// The address of the call has the challenge in it, which is not for logs.
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return ward.Errorf(ward.Unavailable, "%s can't be reached.", o.Server).Because(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if resp.StatusCode != http.StatusOK {
		return refusal(resp.Status, b)
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("%s: the answer can't be read: %w", what, err)
	}
	return nil
}

// refusal is the server's problem document (RFC 9457, with Ward's kind) as an error.
func refusal(status string, body []byte) error {
	var p struct {
		Kind   ward.Kind `json:"kind"`
		Detail string    `json:"detail"`
	}
	if err := json.Unmarshal(body, &p); err != nil || p.Kind == "" || p.Detail == "" {
		return ward.Errorf(ward.Unavailable, "The server answers %s: is it Ward's address?", status)
	}
	return ward.Errorf(p.Kind, "%s", p.Detail)
}
