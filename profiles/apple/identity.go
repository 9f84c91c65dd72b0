package apple

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/micromdm/plist"

	"github.com/wardmdm/ward/profiles/intent"
)

// Types of the assets by which an app gets its identity and its configuration.
// Source: declarative/declarations/assets of Apple's schema.
const (
	typeACMEAsset = "com.apple.asset.credential.acme"
	typeSCEPAsset = "com.apple.asset.credential.scep" //nolint:gosec // the name of a type, not a secret
	typeDataAsset = "com.apple.asset.data"
)

// clientAuth is the purpose of every certificate for an app (RFC 5280 section 4.2.1.12).
const clientAuth = "1.3.6.1.5.5.7.3.2"

// since184 is the iOS from which a declaration can give an app identities and a
// configuration. Source: configurations/app.managed.yaml, AppConfig.
func since184() intent.Version { return ver(18, 4) }

// Identifies reports whether an iPhone with this system can be given identities for apps: on
// older ones it makes no difference whether its hardware attests keys.
func Identifies(v intent.Version) bool { return v.AtLeast(since184()) }

func certifying(a intent.App) string { return "Give " + a.Name + " its certificate" }

// certify settles how the app gets its certificate on this device, and tells it.
func (c *compiler) certify(a intent.App, app *App) []intent.Outcome {
	if !a.NeedsCertificate {
		return nil
	}
	app.Certificate = a.Certificate
	o := intent.Outcome{ID: intent.CertifyApp, Subject: a.Name, Intent: certifying(a), Covers: []string{app.BundleID}}
	switch a.Certificate.By() {
	case intent.ByNetwork:
		c.carried(a, &o)
		return []intent.Outcome{o}
	case intent.ByManagedApp:
		app.NeedsCertificate = true
		why, cure := c.noIdentity(*app)
		if why == "" {
			app.Delivery = intent.ByManagedApp
			o.Verdict, o.Mechanism, o.Since = intent.Enforced, typeManagedApp+" Identities", since184().String()
			o.Why = fmt.Sprintf("The phone gets the certificate, and %s finds it as %s if it uses Apple's ManagedApp framework; one that does not finds none.", a.Name, a.Certificate.Name())
			return []intent.Outcome{o}
		}
		if a.Certificate.Attested {
			app.Config, _ = tokenless(a.Config).(map[string]any)
			o.Verdict, o.Cure = intent.Impossible, cure
			o.Why = why + " So " + a.Name + " gets none: its key is to be attested, and by a token it would not be."
			return []intent.Outcome{o}
		}
		c.byToken(a, app, &o)
		if app.Delivery != "" {
			o.Why = why + " " + o.Why
		} else {
			o.Why, o.Cure = why, cure
		}
	case intent.ByToken:
		app.NeedsCertificate = true
		c.byToken(a, app, &o)
	}
	return []intent.Outcome{o}
}

// uncertified tells of an app's certificate where there is no app.
func (c *compiler) uncertified(a intent.App, why intent.Outcome) {
	if a.NeedsCertificate {
		why.ID, why.Intent = intent.CertifyApp, certifying(a)
		c.tell(why)
	}
}

// carried tells of an app that the network knows by what carries it.
func (c *compiler) carried(a intent.App, o *intent.Outcome) {
	if len(c.carriers()) > 0 {
		o.Verdict, o.Mechanism = intent.Enforced, "per-app VPN or relay"
		o.Why = "The VPN or the relay that carries " + a.Name + " proves the " + c.d.one() + " by a certificate of its own."
		return
	}
	o.Verdict = intent.NotEnforced
	o.Why = "No per-app VPN or relay carries " + a.Name + " on this " + c.d.one() + ", so nothing proves who it is."
	o.Cure = "Add one under networks with per_app: true, or another delivery."
}

// byToken has the app fetch its certificate with a token of its configuration, if there is
// one.
func (c *compiler) byToken(a intent.App, app *App, o *intent.Outcome) {
	if !holds(a.Config, tokenVariable) {
		o.Verdict, o.Why = intent.Impossible, "The configuration of "+a.Name+" holds no token to fetch a certificate with."
		o.Cure = "Add {{" + tokenVariable + "}} to its config."
		return
	}
	app.Delivery = intent.ByToken
	o.Verdict, o.Mechanism = intent.Enforced, "one-time token in the managed configuration"
	o.Why = a.Name + " fetches its certificate itself, with the one-time token of its configuration."
}

// noIdentity says why no declaration can give the app its identity here; empty where one can.
// A token is no cure for a certificate that is to be attested.
func (c *compiler) noIdentity(a App) (why, cure string) {
	or := func(cure, otherwise string) string {
		if a.Certificate.Attested {
			return cure
		}
		return cure + otherwise
	}
	switch {
	case !c.d.ios() && a.Certificate.Attested:
		return "Ward gives Mac apps no identity by declaration.", "Name no app for macos, or leave attested out of its certificate."
	case !c.d.ios():
		return "Ward gives Mac apps no identity by declaration.", "Add {{" + tokenVariable + "}} to its config."
	case !c.d.OS.AtLeast(since184()):
		n := need{since: since184()}
		why, cure = c.d.refusal(c.d.lacks(n), n)
		return why, or(cure, " Or add {{"+tokenVariable+"}} to the app's config, with which it can fetch its certificate itself.")
	case a.managedURL() == "" || !a.Required:
		return "A declaration manages only a required app with a manifest_url: one of the App Store would need a licence that Ward does not assign.",
			or("Set required: true and a manifest_url", ", or add {{"+tokenVariable+"}} to the app's config") + "."
	}
	return "", ""
}

// managedURL returns where the manifest lies by which a declaration can manage the app,
// empty if it can't.
func (a App) managedURL() string {
	if strings.Contains(a.ManifestURL, tokenVariable) {
		return ""
	}
	return a.ManifestURL
}

// identify gives the app its identity by an asset that the device makes a key and gets a
// certificate for.
// Source: configurations/app.managed.yaml, AppConfig; assets/credentials/acme.yaml, scep.yaml.
func (c *compiler) identify(a App, f *config) {
	attested := c.d.Attests || a.Certificate.Attested
	kind, document := typeSCEPAsset, map[string]any{
		"URL": variableSCEP, "Challenge": variableAppChallenge, "Name": "Ward",
		"Subject": subject(variableDevice), "Keysize": 2048, "Key Type": "RSA",
		"Key Usage": 5, // signing and encryption
	}
	if attested {
		kind, document = typeACMEAsset, map[string]any{
			"DirectoryURL": variableDirectory, "ClientIdentifier": variableIdentifier,
			"KeyType": "ECSECPrimeRandom", "KeySize": 384, "HardwareBound": true, "Attest": true,
			"Subject": subject(variableIdentifier), "ExtendedKeyUsage": []any{clientAuth},
			"UsageFlags": 1, // signing
		}
	}
	data, err := canonical(document)
	if err != nil {
		c.failed(fmt.Errorf("write identity of %s: %w", a.BundleID, err))
		return
	}
	hash := c.document(Document{ContentType: "application/json", Data: data, App: a.BundleID, Identity: true, Attested: attested})
	asset := c.declaration(config{last: "identity." + slug(a.BundleID), kind: kind, app: a.BundleID, payload: map[string]any{
		"Reference":      reference(hash, "application/json"),
		"Authentication": map[string]any{"Type": "MDM"},
		"Accessible":     "AfterFirstUnlock", // the app is woken by messages while the phone is locked
	}})
	f.app, f.bare = a.BundleID, maps.Clone(f.payload)
	f.payload["AppConfig"] = map[string]any{"Identities": []any{map[string]any{"Identifier": a.Certificate.Name(), "AssetReference": asset}}}
}

// configure gives a declared app its configuration, without what holds a one-time token:
// the device may fetch it again and again.
// Source: configurations/app.managed.yaml, LegacyAppConfigAssetReference.
func (c *compiler) configure(a App, f *config) {
	kept, _ := tokenless(a.Config).(map[string]any)
	if len(kept) == 0 {
		return
	}
	data, err := plist.MarshalIndent(kept, "\t")
	if err != nil {
		c.failed(fmt.Errorf("write configuration of %s: %w", a.BundleID, err))
		return
	}
	const contentType = "application/x-plist"
	hash := c.document(Document{ContentType: contentType, Data: data, App: a.BundleID})
	f.payload["LegacyAppConfigAssetReference"] = c.declaration(config{last: "config." + slug(a.BundleID), kind: typeDataAsset, payload: map[string]any{
		"Reference":      reference(hash, contentType),
		"Authentication": map[string]any{"Type": "MDM"},
	}})
}

func subject(name string) []any { return []any{[]any{[]any{"CN", name}}} }

func reference(hash, contentType string) map[string]any {
	return map[string]any{"DataURL": "{{document:" + hash + "}}", "ContentType": contentType}
}

// document adds one and returns its hash.
func (c *compiler) document(d Document) string {
	d.Hash = digest(slices.Concat(fmt.Appendf(nil, "%s\n%s\n%t %t\n", d.App, d.ContentType, d.Identity, d.Attested), d.Data))
	c.result.Documents = append(c.result.Documents, d)
	return d.Hash
}

// holds reports whether a text of a configuration holds a variable.
func holds(x any, name string) bool {
	switch x := x.(type) {
	case string:
		return strings.Contains(strings.ReplaceAll(x, " ", ""), "{{"+name+"}}")
	case map[string]any:
		for _, v := range x {
			if holds(v, name) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(x, func(v any) bool { return holds(v, name) })
	}
	return false
}

// tokenless returns a configuration without the texts that hold a one-time token; nil for
// such a text itself.
func tokenless(x any) any {
	switch x := x.(type) {
	case string:
		if holds(x, tokenVariable) {
			return nil
		}
	case map[string]any:
		out := make(map[string]any, len(x))
		for k, v := range x {
			if kept := tokenless(v); kept != nil {
				out[k] = kept
			}
		}
		return out
	case []any:
		out := make([]any, 0, len(x))
		for _, v := range x {
			if kept := tokenless(v); kept != nil {
				out = append(out, kept)
			}
		}
		return out
	}
	return x
}
