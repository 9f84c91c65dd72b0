package source_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/profiles/source"
)

const mobileconfig = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
<key>PayloadType</key><string>Configuration</string>
<key>PayloadVersion</key><integer>1</integer>
<key>PayloadIdentifier</key><string>org.example.printers</string>
<key>PayloadUUID</key><string>7C6E8E4C-3C4B-4E55-9D41-111111111111</string>
<key>PayloadContent</key><array>
<dict><key>PayloadType</key><string>com.apple.airprint</string><key>PayloadVersion</key><integer>1</integer>
<key>PayloadIdentifier</key><string>org.example.printers.1</string><key>PayloadUUID</key><string>7C6E8E4C-3C4B-4E55-9D41-222222222222</string>
<key>URL</key><string>{{server.url}}/{{ device.id }}?{{user.email}} {{device.name}} {{cert.alias}} {"a":{"b":1}}</string></dict>
<dict><key>PayloadType</key><string>com.apple.font</string><key>PayloadVersion</key><integer>1</integer>
<key>PayloadIdentifier</key><string>org.example.printers.2</string><key>PayloadUUID</key><string>7C6E8E4C-3C4B-4E55-9D41-333333333333</string></dict>
<dict><key>PayloadType</key><string>com.apple.airprint</string><key>PayloadVersion</key><integer>1</integer>
<key>PayloadIdentifier</key><string>org.example.printers.3</string><key>PayloadUUID</key><string>7C6E8E4C-3C4B-4E55-9D41-444444444444</string></dict>
</array></dict></plist>
`

// root is a certificate that ends on 10 December 2026.
func root(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Trust Root"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2026, 12, 10, 0, 0, 0, 0, time.UTC),
	}, &x509.Certificate{}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// full is a policy that uses every field, and the files that it names.
func full(t testing.TB) (string, map[string][]byte) {
	t.Helper()
	read := func(name string) []byte {
		raw, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	return string(read("full.yaml")), map[string][]byte{
		"site.yaml": read("site.yaml"), "root.pem": root(t), "icons/rota.png": []byte("\x89PNG\r\n\x1a\nrest"),
		"own/printers.mobileconfig": []byte(mobileconfig),
	}
}

func parseFull(t testing.TB) *source.Policy {
	t.Helper()
	text, files := full(t)
	p, err := source.Parse([]byte(text), source.Inputs{Files: files})
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return p
}

func TestFilesOfAPolicy(t *testing.T) {
	t.Parallel()
	w := parseFull(t).Base(ward.IOS).Wanted
	if len(w.Own) != 1 || len(w.WiFi) != 1 || len(w.WebClips) != 1 {
		t.Fatalf("there are %d profiles, %d networks and %d clips, want one of each", len(w.Own), len(w.WiFi), len(w.WebClips))
	}
	if diff := cmp.Diff(intent.Own{Name: "Printers", Platform: ward.IOS, Data: []byte(mobileconfig), Types: []string{"com.apple.airprint", "com.apple.font"}}, w.Own[0]); diff != "" {
		t.Errorf("Own mismatch (-want +got):\n%s", diff)
	}
	if c, err := x509.ParseCertificate(w.WiFi[0].TrustedRoots[0]); err != nil || c.Subject.CommonName != "Trust Root" {
		t.Errorf("the root of the network is %v (%v)", c, err)
	}
	if w.WebClips[0].Icon == nil {
		t.Error("the web clip lost its icon")
	}
	if got := parseFull(t).Base(ward.MacOS).Wanted.Own; len(got) != 0 {
		t.Errorf("a Mac gets %d profiles that are for iPhones", len(got))
	}
}

func TestOwnProfilesAreChecked(t *testing.T) {
	t.Parallel()
	change := func(old, replacement string) string { return strings.Replace(mobileconfig, old, replacement, 1) }
	tests := []struct{ name, data, want string }{
		{"management", change("com.apple.airprint", "com.apple.mdm"), "has the payload com.apple.mdm, which would put the device under another server"},
		{"removal password", change("com.apple.airprint", "com.apple.profileRemovalPassword"), "com.apple.profileRemovalPassword"},
		{"declarations", change("com.apple.airprint", "com.apple.declarations"), "can't be installed by a management server"},
		{"removal", change("<key>PayloadVersion", "<key>PayloadRemovalDisallowed</key><true/><key>PayloadVersion"), "PayloadRemovalDisallowed: Ward must be able"},
		{"expiry", change("<key>PayloadVersion", "<key>DurationUntilRemoval</key><integer>60</integer><key>PayloadVersion"), "it would vanish by itself"},
		{"an automatic wipe", change("<key>PayloadVersion", "<key>maxFailedAttempts</key><integer>4</integer><key>PayloadVersion"), "a device would erase itself"},
		{"an automatic wipe in other case", change("<key>PayloadVersion", "<key>MAXFAILEDATTEMPTS</key><integer>4</integer><key>PayloadVersion"), "a device would erase itself"},
		{"a nested automatic wipe", change("<key>PayloadVersion", "<key>Nested</key><array><dict><key>MaximumFailedAttempts</key><integer>4</integer></dict></array><key>PayloadVersion"), "a device would erase itself"},
		{"encrypted", change("<key>PayloadVersion", "<key>EncryptedPayloadContent</key><data>AA==</data><key>PayloadVersion"), "what is in it can't be checked"},
		{"Ward's own name", change("org.example.printers", "org.wardmdm.policy.messaging"), "begins with org.wardmdm."},
		{"no profile", change("<string>Configuration", "<string>Other"), "its PayloadType is not Configuration"},
		{"no identifier", change("PayloadIdentifier", "PayloadIdentifie"), "has no PayloadIdentifier"},
		{"no payloads", change("PayloadContent", "Content"), "has no payloads"},
		{"payload without a type", change("<string>com.apple.font", "<string>"), "a payload without PayloadType, number 2"},
		{"payload without anything", change("<dict><key>PayloadType</key><string>com.apple.font", "<dict/><dict><key>PayloadType</key><string>com.apple.font"), "a payload without PayloadUUID, number 2"},
		{"payload that is text", change("<dict><key>PayloadType</key><string>com.apple.font", "<string>x</string><dict><key>PayloadType</key><string>com.apple.font"), "a payload that is no dictionary, number 2"},
		{"payload without an identifier", change("<key>PayloadIdentifier</key><string>org.example.printers.2</string>", ""), "a payload without PayloadIdentifier, number 2"},
		{"payload without a UUID", change("<key>PayloadUUID</key><string>7C6E8E4C-3C4B-4E55-9D41-333333333333</string>", ""), "a payload without PayloadUUID, number 2"},
		{"payload without a version", change("com.apple.font</string><key>PayloadVersion</key><integer>1</integer>", "com.apple.font</string>"), "a payload without PayloadVersion, number 2"},
		{"payload of another version", change("com.apple.font</string><key>PayloadVersion</key><integer>1</integer>", "com.apple.font</string><key>PayloadVersion</key><integer>2</integer>"), "a payload whose PayloadVersion is not the number 1, number 2"},
		{"UUID twice", change("9D41-333333333333", "9d41-222222222222"), "a payload whose PayloadUUID is that of number 1, number 2"},
		{"UUID of the whole", change("9D41-444444444444", "9D41-111111111111"), "a payload whose PayloadUUID is that of the whole profile, number 3"},
		{"identifier twice", change("printers.3", "printers.1"), "a payload whose PayloadIdentifier is that of number 1, number 3"},
		{"version in words", change("<integer>1</integer>", "<string>1</string>"), "has a PayloadVersion that is not the number 1"},
		{"no version", change("PayloadVersion", "Payloadversion"), "has no PayloadVersion"},
		{"name of the wrong type", change("<key>PayloadVersion", "<key>PayloadDisplayName</key><integer>1</integer><key>PayloadVersion"), "has a PayloadDisplayName that is not text"},
		{"scope that there is not", change("<key>PayloadVersion", "<key>PayloadScope</key><string>system</string><key>PayloadVersion"), "has a PayloadScope that is not System or User"},
		{"target in words", change("<key>PayloadVersion", "<key>TargetDeviceType</key><string>1</string><key>PayloadVersion"), "has a TargetDeviceType that is not a whole number"},
		{"expiry in words", change("<key>PayloadVersion", "<key>PayloadExpirationDate</key><string>2027</string><key>PayloadVersion"), "has a PayloadExpirationDate that is not a date"},
		{"consent in numbers", change("<key>PayloadVersion", "<key>ConsentText</key><dict><key>default</key><integer>1</integer></dict><key>PayloadVersion"), "has a ConsentText that is not a dictionary of texts"},
		{"removal in words", change("<key>PayloadVersion", "<key>PayloadRemovalDisallowed</key><string>false</string><key>PayloadVersion"), "PayloadRemovalDisallowed: Ward must be able"},
		{"encrypted by its mark", change("<key>PayloadVersion", "<key>IsEncrypted</key><true/><key>PayloadVersion"), "may not have the key IsEncrypted"},
		{"removal passcode", change("<key>PayloadVersion", "<key>HasRemovalPasscode</key><true/><key>PayloadVersion"), "may not have the key HasRemovalPasscode"},
		{"type that a device's name makes", change("com.apple.font", "com.apple.{{device.name}}"), "a payload whose PayloadType is not text without a variable, number 2"},
		{"management in capitals", change("com.apple.font", "com.apple.MDM "), "which would put the device under another server"},
		{"a one-time challenge", change("{{server.url}}", "{{network.challenge}}"), "holds {{network.challenge}}, which is for the profiles that Ward makes itself: name the network under networks"},
		{"a one-time challenge in its name", change("<key>PayloadVersion", "<key>PayloadDisplayName</key><string>{{ network.scep_url }}</string><key>PayloadVersion"), "holds {{network.scep_url}}, which is for the profiles that Ward makes itself"},
		{"a one-time token", change("{{server.url}}", "{{enrolment_token}}"), "holds {{enrolment_token}}, which is for the config of an approved app"},
		{"a link of Ward's own", change("{{server.url}}", "{{profile:00}}"), "holds the unknown variable {{profile:00}}"},
		{"a misspelt variable", change("{{server.url}}", "{{device.nam}}"), `holds the unknown variable {{device.nam}}; did you mean "device.name"?`},
		{"signed", "0\x82\x01\x00signed", "is signed"},
		{"binary", "bplist00", "is no XML property list"},
		{"broken", "<plist><dict>", "is no well-formed XML"},
		{"ends too often", "<plist></plist></dict>", "is no well-formed XML"},
		{"deep", strings.Repeat("<array>", 40) + strings.Repeat("</array>", 40), "is nested deeper than 32"},
		{"entities", `<!DOCTYPE plist [<!ENTITY a "b">]><plist/>`, "declares entities"},
		{"no dictionary", "<plist><string>a</string></plist>", "is no property list"},
		{"too large", "<plist>" + strings.Repeat(" ", 1<<20), "is larger than 1048576 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := details(t, record+"profiles: [{name: P, platform: ios, file: p.mobileconfig}]", map[string][]byte{"p.mobileconfig": []byte(tt.data)})
			if !strings.Contains(got[0], `line 10, column 43: the file "p.mobileconfig" `) || !strings.Contains(strings.Join(got, "\n"), tt.want) {
				t.Errorf("mistakes are %q, want %q", got, tt.want)
			}
		})
	}
}

func TestCertificatesAndIconsAreChecked(t *testing.T) {
	t.Parallel()
	good := root(t)
	for _, tt := range []struct{ name, pem, icon, want string }{
		{"no PEM", "hello", "\x89PNG\r\n\x1a\n", `the file "root.pem" holds no certificate in PEM form`},
		{"a key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "\x89PNG\r\n\x1a\n", "holds a PRIVATE KEY; only certificates belong there"},
		{"no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "\x89PNG\r\n\x1a\n", "a certificate that can't be read"},
		{"no picture", string(good), "GIF89a", `the file "icon.png" is no PNG picture`},
	} {
		text := record + "networks: {wifi: [{ssid: S, server_names: [r.example.org], trusted_roots: root.pem}]}\nweb_clips: [{label: A, url: 'https://a.example.org', icon: icon.png}]"
		got := details(t, text, map[string][]byte{"root.pem": []byte(tt.pem), "icon.png": []byte(tt.icon)})
		if len(got) != 1 || !strings.Contains(got[0], tt.want) {
			t.Errorf("%s: mistakes are %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A mistake in the site's catalogue names that file, beside those of the policy.
func TestSiteCatalogue(t *testing.T) {
	t.Parallel()
	text, files := full(t)
	if got := slugs(parseFull(t).Base(ward.IOS).Wanted.Block); !cmp.Equal(got[len(got)-1], "ward-gossip") {
		t.Errorf("the site's app is not in the block: %v", got)
	}
	files["site.yaml"] = []byte("- {slug: x, name: X, category: gossip}\n")
	got := strings.Join(details(t, text, files), "\n")
	for _, want := range []string{`line 43, column 10: the catalogue has no app "ward-gossip"`, "site.yaml line 1, column "} {
		if !strings.Contains(got, want) {
			t.Errorf("mistakes are\n%s\nwant among them %q", got, want)
		}
	}
}
