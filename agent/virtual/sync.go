package virtual

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/wardmdm/ward/agent"
)

// declarativeManagement is the command that turns declarations on, or says that they
// have changed. What follows has its own messages, after the answer.
// Source: Apple, DeclarativeManagement command.
func (b *body) declarativeManagement(_ context.Context, c agent.Command) agent.Response {
	data, ok := optional[[]byte](c.Payload, "Data")
	if !ok {
		return malformed("Data is not data")
	}
	if !b.since(declarativeIOS, declarativeMac) {
		return fail(domainMDM, codeInvalidType, "the request type is not known")
	}
	r := done(nil)
	r.After = func(ctx context.Context) error { return b.link.sync(ctx, data) }
	return r
}

// sync fetches the declarations that have changed, brings the phone into line with them
// and reports. tokens is a TokensResponse that came with the command, nil to ask for one.
func (p *Phone) sync(ctx context.Context, tokens []byte) error {
	p.syncing.Lock()
	defer p.syncing.Unlock()
	if !p.Enrolled() {
		return agent.ErrNotEnrolled
	}
	p.mu.Lock()
	p.ddm.on = true
	if p.ddm.held == nil {
		p.ddm.held = map[string]*declaration{}
	}
	known := p.ddm.token
	p.mu.Unlock()
	token, err := p.currentToken(ctx, tokens)
	if err != nil {
		return err
	}
	if token != known || token == "" {
		if err := p.refresh(ctx); err != nil {
			return err
		}
	}
	p.mu.Lock()
	for _, d := range p.ddm.held {
		d.tried = d.tried && !d.again
	}
	p.mu.Unlock()
	err = p.apply(ctx)
	return errors.Join(err, p.send(ctx, false))
}

// currentToken reads a TokensResponse, or asks for one.
func (p *Phone) currentToken(ctx context.Context, data []byte) (string, error) {
	if len(data) == 0 {
		var err error
		if data, err = p.client.Declare(ctx, "tokens", nil); err != nil {
			return "", err
		}
	}
	var m struct {
		SyncTokens struct{ DeclarationsToken string }
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return "", fmt.Errorf("read tokens: %w", err)
	}
	return m.SyncTokens.DeclarationsToken, nil
}

// manifest is a list of declarations by name alone.
type manifest []struct{ Identifier, ServerToken string }

// refresh fetches the list of declarations, and of these the ones whose ServerToken is
// not that of the one held.
func (p *Phone) refresh(ctx context.Context) error {
	data, err := p.client.Declare(ctx, "declaration-items", nil)
	if err != nil {
		return err
	}
	var m struct {
		Declarations struct {
			Activations, Configurations, Assets, Management manifest
		}
		DeclarationsToken string
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return fmt.Errorf("read declaration items: %w", err)
	}
	next, whole := map[string]*declaration{}, true
	for _, l := range []struct {
		kind string
		list manifest
	}{
		{kindAsset, m.Declarations.Assets},
		{kindConfiguration, m.Declarations.Configurations},
		{kindActivation, m.Declarations.Activations},
		{kindManagement, m.Declarations.Management},
	} {
		for _, item := range l.list {
			d, err := p.declaration(ctx, l.kind, item.Identifier, item.ServerToken)
			if err != nil {
				return err
			}
			if whole = whole && d != nil; d != nil {
				next[d.id] = d
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ddm.on {
		return agent.ErrNotEnrolled // management ended meanwhile
	}
	p.ddm.held, p.ddm.token = next, ""
	if whole {
		p.ddm.token = m.DeclarationsToken
	}
	return nil
}

// declaration returns one declaration, from the phone if it has it already. It is nil
// for one that the server lists and does not give, or gives as another.
func (p *Phone) declaration(ctx context.Context, kind, id, token string) (*declaration, error) {
	p.mu.Lock()
	old := p.ddm.held[id]
	p.mu.Unlock()
	if old != nil && old.kind == kind && old.token == token {
		return old, nil
	}
	raw, err := p.client.Declare(ctx, "declaration/"+kind+"/"+id, nil)
	if se, ok := errors.AsType[*agent.StatusError](err); ok && se.Status == http.StatusNotFound {
		return nil, nil //nolint:nilnil // the caller asks
	}
	if err != nil {
		return nil, err
	}
	d, err := p.readDeclaration(raw)
	if err != nil {
		return nil, err
	}
	if d.id != id || d.kind != kind || d.token != token {
		return nil, nil //nolint:nilnil // the caller asks
	}
	d.inherit(old)
	return d, nil
}

// same reports whether d and e are one declaration in one state of its content.
func (d *declaration) same(e *declaration) bool {
	return d.id == e.id && d.name == e.name && d.token == e.token
}

// follow looks at the declarations again after something on the phone has changed, and
// reports what the server does not know.
func (p *Phone) follow(ctx context.Context) error {
	p.mu.Lock()
	p.due = false
	p.mu.Unlock()
	p.syncing.Lock()
	defer p.syncing.Unlock()
	if !p.declarative() {
		return nil
	}
	err := p.apply(ctx)
	return errors.Join(err, p.send(ctx, false))
}

// declarative reports whether the server has turned declarations on.
func (p *Phone) declarative() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ddm.on
}

// ReportStatus sends a status report: everything if full, as a phone does about once a
// day, and otherwise what has changed since the last. It does nothing before the server
// has turned declarations on, or where there is nothing to report.
func (p *Phone) ReportStatus(ctx context.Context, full bool) error {
	p.syncing.Lock()
	defer p.syncing.Unlock()
	if !p.declarative() {
		return nil
	}
	return p.send(ctx, full)
}

// send sends a report and remembers what the server knows by it.
func (p *Phone) send(ctx context.Context, full bool) error {
	p.mu.Lock()
	r, err := p.report(full)
	p.mu.Unlock()
	if err != nil || r == nil {
		return err
	}
	if _, err := p.client.Declare(ctx, "status", r.body); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ddm.on {
		p.ddm.reported, p.ddm.told = r.reported, r.told
	}
	return nil
}
