package virtual

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/wardmdm/ward/agent"
)

// read makes of the data of a credential asset what configurations need of it. Other
// assets are taken as they are.
func (b *body) read(ctx context.Context, d *declaration, got *obtained) (err error) {
	switch d.name {
	case typeAssetSCEP, typeAssetACME:
		got.identity, err = b.enrolAsset(ctx, d, got.data)
	case typeAssetIdentity:
		got.identity, err = openIdentity(b, got.data)
	case typeAssetCertificate:
		got.certificate, err = readCertificate(got.data)
	case typeAssetPassword:
		var doc map[string]any
		if doc, err = b.document(d.name, got.data); err == nil {
			got.password = &Password{}
			got.password.UserName, _ = doc["UserName"].(string)
			got.password.Password, _ = doc["Password"].(string)
		}
	}
	return err
}

// document reads the document of a credential asset and holds it against its schema.
func (b *body) document(name string, data []byte) (map[string]any, error) {
	var doc map[string]any
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, &reasonError{reasonAssetForm, err}
	}
	c := checker{b: b, keys: credentialDocuments[name]}
	c.dict("", doc)
	if faults := append(c.unknown, c.wrong...); len(faults) > 0 {
		return nil, &reasonError{reasonAssetForm, fmt.Errorf("the credential has faults: %s", strings.Join(faults, "; "))}
	}
	for key, v := range doc {
		if n, ok := v.(float64); ok {
			doc[key] = int64(n) // as a property list has it
		}
	}
	return doc, nil
}

// enrolAsset gets the identity that the document of a credential asset asks for.
// Source: Apple, CredentialSCEP and CredentialACME.
func (b *body) enrolAsset(ctx context.Context, d *declaration, data []byte) (agent.Identity, error) {
	doc, err := b.document(d.name, data)
	if err != nil {
		return agent.Identity{}, err
	}
	q := agent.Payload{Type: typeACME, Identifier: d.id, UUID: d.id, Content: doc}
	if d.name == typeAssetACME {
		if err := b.checkACME(q, true); err != nil {
			return agent.Identity{}, &reasonError{reasonAssetForm, err}
		}
	} else {
		if text, ok := doc["CAFingerprint"].(string); ok {
			if doc["CAFingerprint"], err = base64.StdEncoding.DecodeString(text); err != nil {
				return agent.Identity{}, &reasonError{reasonAssetForm, fmt.Errorf("CAFingerprint: %w", err)}
			}
		}
		q.Type, q.Content = typeSCEP, map[string]any{"PayloadContent": doc}
	}
	i, err := b.link.identify(ctx, q)
	if err != nil {
		return agent.Identity{}, &reasonError{reasonAssetFetch, err}
	}
	return i, nil
}

// openIdentity opens an identity that comes with its key. Source: Apple,
// CredentialIdentity: a PKCS #12 in base64, with its password.
func openIdentity(b *body, data []byte) (agent.Identity, error) {
	bad := func(err error) (agent.Identity, error) {
		return agent.Identity{}, &reasonError{reasonAssetForm, err}
	}
	doc, err := b.document(typeAssetIdentity, data)
	if err != nil {
		return agent.Identity{}, err
	}
	text, _ := doc["Identity"].(string)
	password, _ := doc["Password"].(string)
	p12, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return bad(fmt.Errorf("Identity: %w", err)) //nolint:staticcheck // it is the name of a key
	}
	key, cert, _, err := pkcs12.DecodeChain(p12, password)
	if err != nil {
		return bad(fmt.Errorf("open identity: %w", err))
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return bad(fmt.Errorf("open identity: the key is a %T", key))
	}
	return agent.Identity{Certificate: cert, Key: signer}, nil
}

// readCertificate reads a certificate in PEM or DER. Source: Apple, AssetCredentialCertificate,
// whose content types are application/pkcs1 and application/pem.
func readCertificate(data []byte) (*x509.Certificate, error) {
	if p, _ := pem.Decode(data); p != nil {
		data = p.Bytes
	}
	c, err := x509.ParseCertificate(data)
	if err != nil {
		return nil, &reasonError{reasonAssetForm, err}
	}
	return c, nil
}

// credential returns the asset that a reference names, nil unless it is in force. The
// caller holds b.mu.
func (b *body) credential(ref any) *declaration {
	id, _ := ref.(string)
	d := b.ddm.held[id]
	if d == nil || !d.active || d.valid != valid {
		return nil
	}
	return d
}

// inherit lets d stand in for the declaration that it replaces until what it points to is
// there.
func (d *declaration) inherit(old *declaration) {
	if old == nil || old.kind != kindAsset || d.kind != kindAsset {
		return
	}
	if d.former = old.got.identity; d.former.Certificate == nil {
		d.former = old.former
	}
}

// assetTypes are the types of asset that may stand under a path, nil for any.
// Source: Apple's schema, assettypes of AppManaged and SecurityIdentity.
func assetTypes(configuration, path string) []string {
	switch {
	case strings.HasSuffix(path, "Identities[].AssetReference"), configuration == typeSecurityIdentity && path == "CredentialAssetReference":
		return []string{typeAssetIdentity, typeAssetSCEP, typeAssetACME}
	case strings.HasSuffix(path, "Certificates[].AssetReference"):
		return []string{typeAssetCertificate}
	case strings.HasSuffix(path, "Passwords[].AssetReference"):
		return []string{typeAssetPassword}
	case configuration == typeAppManaged:
		return []string{"com.apple.asset.data"}
	}
	return nil
}
