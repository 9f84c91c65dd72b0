package virtual

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/wardmdm/ward/agent"
)

// The kinds of declarations, as the protocol names them.
const (
	kindActivation    = "activation"
	kindConfiguration = "configuration"
	kindAsset         = "asset"
	kindManagement    = "management"
)

// The words of the field valid. Source: Apple, StatusManagementDeclarations.
const (
	valid   = "valid"
	invalid = "invalid"
	unknown = "unknown"
)

// Reason says why a declaration is not in force. Source: Apple, StatusReason; the codes
// are those of DeclarationBase.
type Reason struct {
	Code        string         `json:"code"`
	Description string         `json:"description,omitempty"`
	Details     map[string]any `json:"details,omitempty"`
}

// The codes that this device gives. Source: Apple, DeclarationBase, Reason Codes.
const (
	reasonActivationFailed   = "Error.ActivationFailed"
	reasonAssetForm          = "Error.AssetCannotBeDeserialized"
	reasonAssetFetch         = "Error.AssetCannotBeDownloaded"
	reasonAssetHash          = "Error.AssetCannotBeVerified"
	reasonNotApplied         = "Error.ConfigurationCannotBeApplied"
	reasonIsInvalid          = "Error.ConfigurationIsInvalid"
	reasonNotSupported       = "Error.ConfigurationNotSupported"
	reasonInvalidPayload     = "Error.InvalidPayload"
	reasonMissingAssets      = "Error.MissingAssets"
	reasonMissingConfigs     = "Error.MissingConfigurations"
	reasonCannotEvaluate     = "Error.UnableToEvaluatePredicate"
	reasonCannotParse        = "Error.UnableToParsePredicate"
	reasonUnknownType        = "Error.UnknownDeclarationType"
	reasonUnknownKeys        = "Error.UnknownPayloadKeys"
	reasonUnknown            = "Error.Unknown"
	reasonNoActivation       = "Info.NotReferencedByActivation"
	reasonNoConfiguration    = "Info.NotReferencedByConfiguration"
	reasonPredicate          = "Info.Predicate"
	typeActivation           = "com.apple.activation.simple"
	typeLegacy               = "com.apple.configuration.legacy"
	typeLegacyInteractive    = "com.apple.configuration.legacy.interactive"
	typeAppManaged           = "com.apple.configuration.app.managed"
	typeSubscriptions        = "com.apple.configuration.management.status-subscriptions"
	typeUpdate               = "com.apple.configuration.softwareupdate.enforcement.specific"
	typeSecurityIdentity     = "com.apple.configuration.security.identity"
	typeManagementProperties = "com.apple.management.properties"
	typeAssetSCEP            = "com.apple.asset.credential.scep"
	typeAssetACME            = "com.apple.asset.credential.acme"
	typeAssetIdentity        = "com.apple.asset.credential.identity"
	typeAssetCertificate     = "com.apple.asset.credential.certificate"
	typeAssetPassword        = "com.apple.asset.credential.userpassword" //nolint:gosec // a name of the protocol
)

// DeclarationState is one declaration as the device reports it.
type DeclarationState struct {
	Identifier, Type, ServerToken string
	Kind                          string // activation, configuration, asset or management
	Active                        bool
	Valid                         string // valid, invalid or unknown
	Reasons                       []Reason
}

// declaration is one that the device holds.
type declaration struct {
	id, kind, name, token string // name is the type
	payload               map[string]any
	fault                 *Reason // found when it was read; nil for none
	when                  predicate
	refs                  []string          // the assets that it names, in the order of their paths
	at                    map[string]string // the path under which each is named

	// What became of it since:
	active  bool
	valid   string
	reasons []Reason
	tried   bool  // what it points to was asked for
	failed  error // and could not be had
	again   bool  // but may be asked for again
	refused error // or could not be put in place
	got     obtained
	former  agent.Identity // of what it replaced, until got is there
}

// ddm is what declarative management keeps on the device.
type ddm struct {
	on       bool   // the server has used it
	token    string // of the declarations held, empty when they may not be all
	held     map[string]*declaration
	reported map[string]string            // what the server knows of each status item, as JSON
	told     map[string]map[string]string // of the items that are lists, each entry
	declined map[string]bool              // apps that the user did not want
}

// inForce returns the configurations of a type that are in force, in the order of their
// identifiers. The caller holds b.mu.
func (b *body) inForce(name string) []*declaration {
	var out []*declaration
	for _, id := range slices.Sorted(maps.Keys(b.ddm.held)) {
		if d := b.ddm.held[id]; d.name == name && d.active && d.valid == valid {
			out = append(out, d)
		}
	}
	return out
}

// maxDeclaration bounds one declaration.
const maxDeclaration = 1 << 20

// readDeclaration reads a declaration and holds it against what this device takes. An
// error is one of the message; a fault of the declaration itself is kept in it.
func (b *body) readDeclaration(raw []byte) (*declaration, error) {
	if len(raw) > maxDeclaration {
		return nil, fmt.Errorf("read declaration: %d bytes, at most %d", len(raw), maxDeclaration)
	}
	var m struct {
		Identifier, Type, ServerToken string
		Payload                       map[string]any
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("read declaration: %w", err)
	}
	d := &declaration{id: m.Identifier, name: m.Type, token: m.ServerToken, payload: m.Payload, kind: kindOf(m.Type)}
	if d.id == "" || d.token == "" || len(d.id) > 64 || len(d.token) > 64 || d.kind == "" {
		return nil, fmt.Errorf("read declaration %q: Identifier and ServerToken need 1 to 64 octets, and Type a kind", m.Identifier)
	}
	d.fault = b.checkDeclaration(d)
	if p, ok := d.payload["Predicate"].(string); ok && d.kind == kindActivation && d.fault == nil {
		var err error
		if d.when, err = parsePredicate(p); err != nil {
			d.fault = &Reason{Code: reasonCannotParse, Description: err.Error(), Details: map[string]any{"Predicate": p}}
		}
	}
	return d, nil
}

// kindOf returns the kind that a type of declaration belongs to, empty for none.
func kindOf(name string) string {
	rest, ok := strings.CutPrefix(name, "com.apple.")
	kind, _, more := strings.Cut(rest, ".")
	if ok && more && slices.Contains([]string{kindActivation, kindConfiguration, kindAsset, kindManagement}, kind) {
		return kind
	}
	return ""
}

// state returns d as it is reported.
func (d *declaration) state() DeclarationState {
	return DeclarationState{Identifier: d.id, Type: d.name, ServerToken: d.token, Kind: d.kind, Active: d.active, Valid: d.valid, Reasons: slices.Clone(d.reasons)}
}

// Declarations returns the declarations on the device, in the order of their identifiers.
func (b *body) Declarations() []DeclarationState {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.states()
}

func (b *body) states() []DeclarationState {
	out := make([]DeclarationState, 0, len(b.ddm.held))
	for _, id := range slices.Sorted(maps.Keys(b.ddm.held)) {
		out = append(out, b.ddm.held[id].state())
	}
	return out
}

// Declaration returns the state of one declaration; ok is false if the device has none
// of that identifier.
func (b *body) Declaration(identifier string) (s DeclarationState, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.ddm.held[identifier]
	if d == nil {
		return DeclarationState{}, false
	}
	return d.state(), true
}

// Update is an update of the system that the device has to install.
type Update struct {
	Version string
	By      string // local date and time, as yyyy-mm-ddThh:mm:ss
}

// UpdateEnforced returns the update that declarations enforce and the device has not got
// yet; the lowest deadline counts. ok is false for none.
func (b *body) UpdateEnforced() (u Update, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.updateEnforced()
}

func (b *body) updateEnforced() (u Update, ok bool) {
	for _, d := range b.inForce(typeUpdate) {
		version, _ := d.payload["TargetOSVersion"].(string)
		due, _ := d.payload["TargetLocalDateTime"].(string)
		if atLeast(b.os, version) || ok && due >= u.By {
			continue
		}
		u, ok = Update{version, due}, true
	}
	return u, ok
}

// legacyProfile makes the profile of a legacy configuration ready, or says why not.
func legacyProfile(data []byte) (*agent.Profile, error) {
	p, err := agent.ParseProfile(data)
	if err != nil {
		return nil, err
	}
	if len(p.Of(typeMDM)) > 0 {
		return nil, refusal(codeUnacceptable, "a declaration cannot bring the management profile")
	}
	return p, nil
}
