package virtual

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/wardmdm/ward/agent"
)

// maxRounds bounds how often one change of the device may lead to the next: a predicate
// that takes away what makes it true would otherwise go on for ever.
const maxRounds = 8

// apply brings the device into line with its declarations: it works out which are in
// force, gets what they point to, and installs or removes. What could not be fetched is
// tried again at the next sync. It returns what went wrong with the network.
func (b *body) apply(ctx context.Context) error {
	var errs []error
	for range maxRounds {
		b.mu.Lock()
		needs := b.settle()
		b.mu.Unlock()
		if len(needs) == 0 {
			break
		}
		for _, d := range needs {
			if err := b.satisfy(ctx, d); err != nil {
				errs = append(errs, err)
			}
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.notice()
	return errors.Join(errs...)
}

// settle works out which declarations are in force and puts their effects in place. It
// returns those for which something has to be fetched first; until it is here, what was
// in place stays. The caller holds b.mu.
func (b *body) settle() []*declaration {
	for _, d := range b.ddm.held {
		d.refused = nil
	}
	for range maxRounds {
		before := b.outline()
		if needs := b.weigh(); len(needs) > 0 {
			return needs
		}
		b.putInPlace()
		b.kept = nil
		if b.outline() == before {
			break
		}
	}
	return nil
}

// weigh decides until nothing changes any more: a predicate may depend on what other
// declarations do.
func (b *body) weigh() (needs []*declaration) {
	for range maxRounds {
		before := b.outline()
		b.kept = nil
		b.activate()
		needs = b.judge()
		if b.outline() == before {
			break
		}
	}
	b.kept = nil
	return needs
}

// outline is what is in force, for comparison.
func (b *body) outline() string {
	var s strings.Builder
	for _, id := range slices.Sorted(maps.Keys(b.ddm.held)) {
		d := b.ddm.held[id]
		s.WriteString(id)
		s.WriteString(strconv.FormatBool(d.active))
		s.WriteString(d.valid)
	}
	return s.String()
}

// activate decides about the activations, and by them which configurations are active.
func (b *body) activate() {
	named := map[string]string{} // configuration to how its best activation stands
	for _, d := range b.ddm.held {
		if d.kind != kindActivation {
			continue
		}
		how := b.activation(d)
		for _, id := range stringsOf(d.payload["StandardConfigurations"]) {
			if old := named[id]; old == "" || how == valid || how == unknown && old == invalid {
				named[id] = how
			}
		}
	}
	for _, d := range b.ddm.held {
		if d.kind != kindConfiguration {
			continue
		}
		d.reasons = nil
		d.active, d.valid = named[d.id] == valid, valid
		switch {
		case d.fault != nil:
			d.active, d.valid, d.reasons = false, invalid, []Reason{*d.fault}
		case named[d.id] == "":
			d.valid = unknown
			d.reasons = []Reason{{Code: reasonNoActivation, Description: fmt.Sprintf("Configuration %s:%s is not referenced by an activation.", d.id, d.token), Details: map[string]any{"Identifier": d.id, "ServerToken": d.token}}}
		case named[d.id] == invalid:
			d.valid = unknown
			d.reasons = []Reason{{Code: reasonActivationFailed, Description: "The activation failed."}}
		case !d.active:
			d.valid = unknown
		}
	}
}

// activation decides about one activation. It returns valid if it is in force, unknown
// if its predicate is false, and invalid if it fails.
func (b *body) activation(d *declaration) string {
	d.active, d.valid, d.reasons = false, invalid, nil
	if d.fault != nil {
		d.reasons = []Reason{*d.fault}
		return invalid
	}
	var missing []string
	for _, id := range stringsOf(d.payload["StandardConfigurations"]) {
		if c := b.ddm.held[id]; c == nil || c.kind != kindConfiguration {
			missing = append(missing, id)
		}
	}
	if len(missing) > 0 {
		d.reasons = []Reason{{Code: reasonMissingConfigs, Description: "Missing: " + strings.Join(missing, ", "), Details: map[string]any{"ConfigurationIdentifiers": missing}}}
		return invalid
	}
	if d.when != nil {
		text, _ := d.payload["Predicate"].(string)
		ok, err := d.when(b.lookup)
		if err != nil {
			d.reasons = []Reason{{Code: reasonCannotEvaluate, Description: err.Error(), Details: map[string]any{"Predicate": text}}}
			return invalid
		}
		if !ok {
			d.valid = valid
			d.reasons = []Reason{{Code: reasonPredicate, Description: "The predicate evaluated to false.", Details: map[string]any{"Identifier": d.id, "ServerToken": d.token, "Predicate": text}}}
			return unknown
		}
	}
	d.active, d.valid = true, valid
	return valid
}

// lookup answers a predicate. The caller holds b.mu.
func (b *body) lookup(kind, name string) (any, bool) {
	if kind == "status" {
		return b.statusItem(name)
	}
	for _, id := range slices.Sorted(maps.Keys(b.ddm.held)) {
		if d := b.ddm.held[id]; d.name == typeManagementProperties && d.fault == nil {
			if v, ok := d.payload[name]; ok {
				return v, true
			}
		}
	}
	return nil, false
}

// judge decides about assets and management, and finds what the active configurations
// still need or lack.
func (b *body) judge() []*declaration {
	wanted := map[string]bool{}
	for _, d := range b.ddm.held {
		if d.kind == kindConfiguration && d.active {
			for _, id := range d.refs {
				wanted[id] = true
			}
		}
	}
	var needs []*declaration
	for _, id := range slices.Sorted(maps.Keys(b.ddm.held)) {
		d := b.ddm.held[id]
		switch d.kind {
		case kindAsset:
			b.judgeAsset(d, wanted[id])
		case kindManagement:
			d.active, d.valid, d.reasons = d.fault == nil, valid, nil
			if d.fault != nil {
				d.valid, d.reasons = invalid, []Reason{*d.fault}
			}
		}
		if d.active && d.fetches() && !d.tried {
			needs = append(needs, d)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(b.ddm.held)) {
		if d := b.ddm.held[id]; d.kind == kindConfiguration && d.active {
			b.judgeConfiguration(d)
		}
	}
	return needs
}

// fetches reports whether a declaration points to something outside.
func (d *declaration) fetches() bool {
	switch d.name {
	case typeLegacy, typeLegacyInteractive:
		return true
	case typeAppManaged:
		return d.payload["ManifestURL"] != nil
	}
	return d.kind == kindAsset && nestedIn(d.payload, "Reference") != nil
}

func (b *body) judgeAsset(d *declaration, wanted bool) {
	d.active, d.valid, d.reasons = wanted, valid, nil
	switch {
	case d.fault != nil:
		d.active, d.valid, d.reasons = false, invalid, []Reason{*d.fault}
	case !wanted:
		d.valid = unknown
		d.reasons = []Reason{{Code: reasonNoConfiguration, Description: fmt.Sprintf("Asset %s:%s is not referenced by a configuration.", d.id, d.token)}}
	case d.failed != nil:
		d.valid, d.reasons = invalid, []Reason{reasonFor(d.failed)}
	}
}

// reasonFor makes a reason of what went wrong.
func reasonFor(err error) Reason {
	if r, ok := errors.AsType[*reasonError](err); ok {
		return Reason{Code: r.code, Description: err.Error()}
	}
	return Reason{Code: reasonNotApplied, Description: err.Error()}
}

// reasonError is an error that has a code of its own.
type reasonError struct {
	code string
	err  error
}

func (e *reasonError) Error() string { return e.err.Error() }
func (e *reasonError) Unwrap() error { return e.err }

// judgeConfiguration takes an active configuration out of force that lacks something.
func (b *body) judgeConfiguration(d *declaration) {
	var missing []string
	for _, id := range d.refs {
		if a := b.ddm.held[id]; a == nil || a.kind != kindAsset || a.valid != valid {
			missing = append(missing, id)
		}
	}
	switch {
	case b.misnamed(d) != "":
		id := b.misnamed(d)
		d.reasons = []Reason{{Code: reasonIsInvalid, Description: fmt.Sprintf("%s: %s is a %s", d.at[id], id, b.ddm.held[id].name)}}
	case len(missing) > 0:
		d.reasons = []Reason{{Code: reasonMissingAssets, Description: "Missing: " + strings.Join(missing, ", "), Details: map[string]any{"AssetIdentifiers": missing}}}
	case d.failed != nil:
		d.reasons = []Reason{reasonFor(d.failed)}
	case d.refused != nil:
		d.reasons = []Reason{reasonFor(d.refused)}
	default:
		return
	}
	d.active, d.valid = false, invalid
}

// misnamed returns an asset that d names where one of another type belongs, empty for none.
func (b *body) misnamed(d *declaration) string {
	for _, id := range d.refs {
		a, types := b.ddm.held[id], assetTypes(d.name, d.at[id])
		if a != nil && types != nil && !slices.Contains(types, a.name) {
			return id
		}
	}
	return ""
}

// obtained is what a declaration points to.
type obtained struct {
	profile *held
	wanted  *wanted
	data    []byte
	// Of credential assets:
	identity    agent.Identity
	certificate *x509.Certificate
	password    *Password
}

// satisfy fetches what a declaration points to. Every failure is kept with the
// declaration, for the report; one that may pass is returned too. A profile that the
// device does not take is not asked for again, everything else is at the next sync.
func (b *body) satisfy(ctx context.Context, d *declaration) error {
	got, err := b.obtain(ctx, d)
	b.mu.Lock()
	defer b.mu.Unlock()
	d.tried, d.failed, d.again = true, err, err != nil
	if err == nil {
		d.got = got
		return nil
	}
	if pe, ok := errors.AsType[*agent.ProfileError](err); ok {
		d.again = pe.Domain == domainSCEP
		return nil
	}
	if r, ok := errors.AsType[*reasonError](err); ok && r.code != reasonAssetFetch {
		return nil
	}
	if agent.Transient(err) {
		return err
	}
	return nil
}

func (b *body) obtain(ctx context.Context, d *declaration) (got obtained, err error) {
	switch d.name {
	case typeLegacy, typeLegacyInteractive:
		address, _ := d.payload["ProfileURL"].(string)
		data, err := b.link.fetch(ctx, address, true)
		if err != nil {
			return got, err
		}
		prof, err := legacyProfile(data)
		if err != nil {
			return got, err
		}
		got.profile, err = b.prepare(ctx, prof, byDeclaration+d.id)
		return got, err
	case typeAppManaged:
		address, _ := d.payload["ManifestURL"].(string)
		in, err := b.readManifest(ctx, address)
		got.wanted = &wanted{Installed: in}
		return got, err
	}
	ref := nestedIn(d.payload, "Reference")
	address, _ := ref["DataURL"].(string)
	prove := nestedIn(d.payload, "Authentication")["Type"] == "MDM"
	if got.data, err = b.link.fetch(ctx, address, prove); err != nil {
		return got, &reasonError{reasonAssetFetch, err}
	}
	if err := verifyAsset(ref, got.data); err != nil {
		return got, &reasonError{reasonAssetHash, err}
	}
	return got, b.read(ctx, d, &got)
}

// verifyAsset holds what was fetched against what the declaration says of it. A Size of 0
// says nothing, of the hash neither. Source: Apple, AssetData, Hash-SHA-256.
func verifyAsset(ref map[string]any, data []byte) error {
	n, ok := ref["Size"].(float64)
	if ok && n == 0 {
		return nil
	}
	if ok && int(n) != len(data) {
		return fmt.Errorf("the asset has %d bytes, want %d", len(data), int(n))
	}
	sum := sha256.Sum256(data)
	if want, ok := ref["Hash-SHA-256"].(string); ok && !strings.EqualFold(want, hex.EncodeToString(sum[:])) {
		return errors.New("the asset does not have the hash that its declaration names")
	}
	return nil
}

// putInPlace installs what is in force and removes what no longer is.
func (b *body) putInPlace() {
	live := map[string]bool{}
	for _, id := range slices.Sorted(maps.Keys(b.ddm.held)) {
		d := b.ddm.held[id]
		if !d.active || d.kind != kindConfiguration {
			continue
		}
		var err error
		switch {
		case d.got.profile != nil:
			if err = b.place(d.got.profile); err == nil {
				live[d.got.profile.profile.Identifier] = true
			}
		case d.name == typeAppManaged:
			err = b.placeApp(d)
		}
		if err != nil {
			d.active, d.valid, d.refused, d.reasons = false, invalid, err, []Reason{reasonFor(err)}
		}
	}
	maps.DeleteFunc(b.profiles, func(id string, h *held) bool { return strings.HasPrefix(h.by, byDeclaration) && !live[id] })
	b.removeDeclaredApps()
}
