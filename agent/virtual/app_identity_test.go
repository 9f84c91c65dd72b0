package virtual_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/agent/internal/trialserver"
	"github.com/wardmdm/ward/agent/virtual"
)

// asset is a credential asset whose data lie at an address of the server itself.
func asset(id, kind, address string) trialserver.Declaration {
	return trialserver.Declaration{Identifier: id, Type: "com.apple.asset.credential." + kind, Payload: dict{
		"Reference": dict{"DataURL": address}, "Authentication": dict{"Type": "MDM"},
	}}
}

// managed is an app.managed configuration with an AppConfig.
func managed(s *trialserver.Server, config dict) trialserver.Declaration {
	return configure("app", "app.managed", dict{"ManifestURL": s.URL + "/manifest", "InstallBehavior": dict{"Install": "Required"}, "AppConfig": config})
}

func identities(asset string) dict {
	return dict{"Identities": []any{dict{"Identifier": "client", "AssetReference": asset}}}
}

func toJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// acmeDocument is a com.apple.credential.acme.
func acmeDocument(s *trialserver.Server) dict {
	return dict{
		"DirectoryURL": s.DirectoryURL(), "ClientIdentifier": "SN1", "KeyType": "ECSECPrimeRandom", "KeySize": 256,
		"HardwareBound": true, "Attest": true, "Subject": []any{[]any{[]any{"CN", "app"}}},
	}
}

func TestAppIdentityByACME(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	s.Serve("/manifest", manifest(t))
	var mu sync.Mutex
	signed, fail := []bool{}, false
	s.Handle("GET /credential", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		signed = append(signed, r.Header.Get("Mdm-Signature") != "")
		if fail {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = w.Write(toJSON(t, acmeDocument(s))) // the phone may have gone
	})
	root := attestationRoot(t)
	p := enrolled(t, s, func(o *virtual.Options) { o.Enclave = root.Enclave() })
	a := asset("cred", "acme", s.URL+"/credential")
	a.ServerToken = "1"
	report := s.Declare(t, udid, activate("a", "", "app"), a, managed(s, identities("cred")))
	if got := told(t, report, "configurations", "app"); got["valid"] != "valid" {
		t.Fatalf("configuration = %v, want valid", got)
	}
	first := p.AppIdentities(approved)["client"]
	if first.Leaf == nil || first.Leaf.Subject.CommonName != "app" || !first.PrivateKey.(crypto.Signer).Public().(*ecdsa.PublicKey).Equal(first.Leaf.PublicKey) {
		t.Fatalf("AppIdentities() = %v, want one for app with its key", first.Leaf)
	}
	a.ServerToken = "2"
	s.Declare(t, udid, activate("a", "", "app"), a, managed(s, identities("cred")))
	second := p.AppIdentities(approved)["client"]
	if second.Leaf == nil || bytes.Equal(first.Leaf.Raw, second.Leaf.Raw) {
		t.Error("a new ServerToken of the asset brought no new identity")
	}
	mu.Lock()
	fail = true
	mu.Unlock()
	a.ServerToken = "3"
	report = s.Declare(t, udid, activate("a", "", "app"), a, managed(s, identities("cred")))
	if got := told(t, report, "assets", "cred"); got["valid"] != "invalid" || firstCode(got) != "Error.AssetCannotBeDownloaded" {
		t.Errorf("asset that the server refuses = %v, want AssetCannotBeDownloaded", got)
	}
	if got := told(t, report, "configurations", "app"); firstCode(got) != "Error.MissingAssets" || len(p.AppIdentities(approved)) != 0 {
		t.Errorf("configuration = %v with %v, want MissingAssets and no identity", got, p.AppIdentities(approved))
	}
	mu.Lock()
	defer mu.Unlock()
	if slices.Contains(signed, false) {
		t.Errorf("requests signed: %v, want all", signed)
	}
}

func TestAppCredentials(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	s.Serve("/manifest", manifest(t))
	key, err := oneKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	own, err := s.Issue("shared", key.Public())
	if err != nil {
		t.Fatal(err)
	}
	p12, err := pkcs12.Modern.Encode(key, own, nil, "open")
	if err != nil {
		t.Fatal(err)
	}
	p := enrolled(t, s, nil)
	s.Declare(t, udid, activate("a", "", "app"),
		asset("i", "identity", s.Serve("/i", toJSON(t, dict{"Identity": base64.StdEncoding.EncodeToString(p12), "Password": "open"}))),
		asset("c", "certificate", s.Serve("/c", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.CA.Raw}))),
		asset("p", "userpassword", s.Serve("/p", toJSON(t, dict{"UserName": "ward-7", "Password": "x"}))),
		managed(s, dict{
			"Identities":   []any{dict{"Identifier": "tls", "AssetReference": "i"}},
			"Certificates": []any{dict{"Identifier": "ca", "AssetReference": "c"}},
			"Passwords":    []any{dict{"Identifier": "login", "AssetReference": "p"}},
		}))
	if got := p.AppIdentities(approved)["tls"]; got.Leaf == nil || !bytes.Equal(got.Leaf.Raw, own.Raw) {
		t.Errorf("AppIdentities() = %v, want the one that came with its key", got.Leaf)
	}
	if got := p.AppCertificates(approved)["ca"]; got == nil || !got.Equal(s.CA) {
		t.Errorf("AppCertificates() = %v, want the authority", got)
	}
	if got := p.AppPasswords(approved)["login"]; got != (virtual.Password{UserName: "ward-7", Password: "x"}) {
		t.Errorf("AppPasswords() = %v, want ward-7", got)
	}
	if got := p.AppIdentities("no.such.app"); len(got) != 0 {
		t.Errorf("identities of an app that is not there = %v", got)
	}
}

func TestCredentialRefused(t *testing.T) {
	t.Parallel()
	without := func(key string) func(dict) { return func(d dict) { delete(d, key) } }
	with := func(key string, v any) func(dict) { return func(d dict) { d[key] = v } }
	for _, tc := range []struct {
		name   string
		device virtual.Options
		kind   string
		edit   func(dict)
		code   string // of the asset; of the configuration if it begins with "="; empty: valid
	}{
		{"as it should be", virtual.Options{}, "acme", nil, ""},
		{"before AppConfig", virtual.Options{OSVersion: "18.3"}, "acme", nil, "=Error.UnknownPayloadKeys"},
		{"no key size", virtual.Options{}, "acme", without("KeySize"), "Error.AssetCannotBeDeserialized"},
		{"key of another kind of document", virtual.Options{}, "acme", with("Challenge", "x"), "Error.AssetCannotBeDeserialized"},
		{"P-192", virtual.Options{}, "acme", func(d dict) { d["KeySize"], d["HardwareBound"], d["Attest"] = 192, false, false }, "Error.AssetCannotBeDeserialized"},
		{"directory without TLS", virtual.Options{}, "acme", with("DirectoryURL", "http://x/"), "Error.AssetCannotBeDeserialized"},
		{"in hardware on a Mac", virtual.Options{Platform: ward.MacOS, OSVersion: "27.0"}, "acme", nil, "Error.AssetCannotBeDeserialized"},
		{"fingerprint that is no base64", virtual.Options{}, "scep", func(d dict) {
			clear(d)
			d["URL"], d["CAFingerprint"] = "https://x/", "%"
		}, "Error.AssetCannotBeDeserialized"},
		{"asset of another type", virtual.Options{}, "certificate", nil, "=Error.ConfigurationIsInvalid"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.device.Supervised = true
			tc.device.Store = []virtual.StoreApp{{ID: 42, Installed: virtual.Installed{BundleID: approved, Name: "x", Version: "1"}}}
			j := virtual.NewJudge(tc.device)
			doc := dict{
				"DirectoryURL": "https://x/directory", "ClientIdentifier": "SN1", "KeyType": "ECSECPrimeRandom", "KeySize": 256,
				"HardwareBound": true, "Attest": true, "Subject": []any{},
			}
			if tc.edit != nil {
				tc.edit(doc)
			}
			app := decl(t, "app", "configuration.app.managed", dict{
				"AppStoreID": "42", "InstallBehavior": dict{"Install": "Required", "License": dict{"Assignment": "Device"}}, "AppConfig": identities("cred"),
			})
			cred := decl(t, "cred", "asset.credential."+tc.kind, dict{"Reference": dict{"DataURL": "https://x/c"}})
			states := j.ApplyDeclarations([][]byte{decl(t, "a", "activation.simple", dict{"StandardConfigurations": []any{"app"}}), app, cred}, func(string) ([]byte, error) { return toJSON(t, doc), nil })
			want, of := tc.code, "cred"
			if rest, ok := strings.CutPrefix(want, "="); ok {
				want, of = rest, "app"
			}
			i := slices.IndexFunc(states, func(s virtual.DeclarationState) bool { return s.Identifier == of })
			got := ""
			if len(states[i].Reasons) > 0 {
				got = states[i].Reasons[0].Code
			}
			if got != want {
				t.Errorf("%s = %+v, want %q", of, states[i], want)
			}
			if names := slices.Collect(maps.Keys(j.AppIdentities(approved))); (len(names) == 1) != (want == "") {
				t.Errorf("AppIdentities() = %v", names)
			}
		})
	}
}

func TestProfileWithACME(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	p := enrolled(t, s, nil)
	content := func() []byte {
		b, err := agent.EncodePlist(dict{
			"PayloadType": "Configuration", "PayloadVersion": 1, "PayloadIdentifier": "wifi", "PayloadUUID": "U", "PayloadContent": []any{
				acmePayload(s),
				dict{"PayloadType": "com.apple.wifi.managed", "PayloadVersion": 1, "PayloadIdentifier": "w", "PayloadUUID": "U-3", "SSID_STR": "Clinical", "PayloadCertificateUUID": "U-2", "EAPClientConfiguration": dict{"AcceptEAPTypes": []any{13}}},
				dict{"PayloadType": "com.apple.relay.managed", "PayloadVersion": 1, "PayloadIdentifier": "r", "PayloadUUID": "U-4", "Relays": []any{dict{"HTTP3RelayURL": "https://relay", "PayloadCertificateUUID": "U-2"}}},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if got := verdict(s.Do(t, udid, "InstallProfile", dict{"Payload": content()})); got != "Acknowledged" {
		t.Fatalf("InstallProfile = %v, want Acknowledged", got)
	}
	got := p.ProfileIdentities("wifi")["U-2"]
	if got.Leaf == nil || len(p.WiFi()) != 1 || !p.WiFi()[0].Identity || !p.Relays()[0].Identity {
		t.Errorf("identities %v, networks %+v; want one for both", got.Leaf, p.WiFi())
	}
	old := phoneOf("15.8", true)
	if pe, ok := errors.AsType[*agent.ProfileError](old.InstallProfile(content())); !ok || pe.Code != 2003 {
		t.Errorf("iOS 15 = %v, want 2003: it knows no such identity", pe)
	}
	s.SawACME(func(a *trialserver.ACME) {
		a.Refuse = func(trialserver.Answer) error { return errors.New("no") }
	})
	if got := verdict(s.Do(t, udid, "InstallProfile", dict{"Payload": content()})); got != uint64(22013) || p.ProfileIdentities("wifi")["U-2"].Leaf == nil {
		t.Errorf("InstallProfile that gets no identity = %v, want 22013 and the old profile", got)
	}
}
