package virtual

import (
	"context"
	"encoding/json"

	"github.com/wardmdm/ward/agent"
)

// enrolAsset gets the identity that the document of a credential asset asks for.
// Source: Apple, CredentialSCEP and CredentialACME.
func (b *body) enrolAsset(ctx context.Context, d *declaration, data []byte) (identity, error) {
	var doc map[string]any
	if err := json.Unmarshal(data, &doc); err != nil {
		return identity{}, &reasonError{reasonAssetForm, err}
	}
	for key, v := range doc {
		if n, ok := v.(float64); ok {
			doc[key] = int64(n) // as a property list has it
		}
	}
	q := agent.Payload{Type: typeSCEP, Identifier: d.id, UUID: d.id, Content: map[string]any{"PayloadContent": doc}}
	if d.name == typeAssetACME {
		q.Type, q.Content = typeACME, doc
	}
	cert, key, err := b.link.identify(ctx, q)
	if err != nil {
		return identity{}, &reasonError{reasonAssetFetch, err}
	}
	return identity{cert, key}, nil
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

// AppIdentities returns the names by which an app that a declaration manages finds the
// identities it was given. Source: Apple, AppManaged declaration, AppConfig.Identities
// (iOS 18.4).
func (b *body) AppIdentities(bundleID string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.apps[bundleID]
	if a == nil || a.declared == "" {
		return nil
	}
	d := b.ddm.held[a.declared]
	if d == nil {
		return nil
	}
	list, _ := nestedIn(d.payload, "AppConfig")["Identities"].([]any)
	var out []string
	for _, v := range list {
		m, _ := v.(map[string]any)
		name, ok := m["Identifier"].(string)
		if ok && b.credential(m["AssetReference"]) != nil {
			out = append(out, name)
		}
	}
	return out
}
