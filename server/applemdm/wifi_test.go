package applemdm

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/micromdm/plist"
	"github.com/wardmdm/ward"
)

type dict = map[string]any

// wayBack is a profile with these payloads.
func wayBack(t testing.TB, payloads ...any) []byte {
	t.Helper()
	return profileOf(t, dict{"PayloadType": "Configuration", "PayloadIdentifier": "org.example.back", "PayloadContent": payloads})
}

func profileOf(t testing.TB, top dict) []byte {
	t.Helper()
	b, err := plist.Marshal(top)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// root is a certificate of a certification authority, DER.
func root(t testing.TB, name string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: []string{"St Mary's"}}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2036, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestWiFiWords(t *testing.T) {
	t.Parallel()
	one, two := root(t, "Wards"), root(t, "Guests")
	ward1 := dict{"PayloadType": typeWiFi, "SSID_STR": "Ward", "EncryptionType": "WPA2", "Password": "s3cret", "EAPClientConfiguration": dict{"UserPassword": "s3cret"}}
	got, err := WiFiWords(wayBack(
		t, ward1,
		dict{"PayloadType": typeWiFi, "DomainName": "roam.example", "ProxyType": "Manual", "ProxyServer": "proxy.example"},
		dict{"PayloadType": typeWiFi, "SSID_STR": "a\u202e\"b", "ProxyType": "Auto", "ProxyPACURL": "https://pac.example/x"},
		dict{"PayloadType": typeWiFi, "SSID_STR": strings.Repeat("x", 300), "ProxyType": "Auto"},
		dict{"PayloadType": typeRoot, "PayloadContent": one},
		dict{"PayloadType": typePEM, "PayloadContent": append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: one}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: two})...)},
		dict{"PayloadType": typePKCS12, "PayloadCertificateFileName": "me.p12", "PayloadContent": []byte{1}, "Password": "s3cret"},
		dict{"PayloadType": typeSCEP, "PayloadContent": dict{"URL": "https://scep.example", "Challenge": "s3cret", "Subject": []any{[]any{[]any{"CN", "phone"}}}}},
	))
	if err != nil {
		t.Fatal(err)
	}
	ca := func(der []byte, name, kind string) string {
		return fmt.Sprintf(`The certification authority "CN=%s,O=St Mary's", until 1 January 2036, SHA-256 %x (%s)`, name, sha256.Sum256(der), kind)
	}
	want := []string{
		`The Wi-Fi network "Ward", encryption "WPA2" (com.apple.wifi.managed)`,
		`The Wi-Fi network "roam.example", by the proxy "proxy.example" (com.apple.wifi.managed)`,
		`The Wi-Fi network "a\u202e\"b", by the proxy that "https://pac.example/x" names (com.apple.wifi.managed)`,
		`The Wi-Fi network "` + strings.Repeat("x", 200) + `…", by the proxy that the network names (com.apple.wifi.managed)`,
		ca(one, "Wards", typeRoot), ca(one, "Wards", typePEM), ca(two, "Guests", typePEM),
		`An identity called "me.p12", whose certificate only its password shows (com.apple.security.pkcs12)`,
		`A certificate for "CN phone" from "https://scep.example" (com.apple.security.scep)`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("words mismatch (-want +got)\n%s", diff)
	}
	if strings.Contains(strings.Join(got, ""), "s3cret") {
		t.Error("the words tell a secret")
	}
}

// TestWiFiRefuses: nothing gets on a phone by its way back but networks and certificates
// that its approvers can read of.
func TestWiFiRefuses(t *testing.T) {
	t.Parallel()
	net := dict{"PayloadType": typeWiFi, "SSID_STR": "Ward"}
	other := func(kind string) []byte { return wayBack(t, net, dict{"PayloadType": kind}) }
	for name, tc := range map[string]struct {
		profile []byte
		want    string
	}{
		"a VPN":                    {other("com.apple.vpn.managed"), `"com.apple.vpn.managed"`},
		"a global proxy":           {other("com.apple.proxy.http.global"), `"com.apple.proxy.http.global"`},
		"an app lock":              {other("com.apple.app.lock"), `"com.apple.app.lock"`},
		"restrictions":             {other("com.apple.applicationaccess"), `"com.apple.applicationaccess"`},
		"a network in capitals":    {other("com.apple.WiFi.managed"), `"com.apple.WiFi.managed"`},
		"no type":                  {other(""), `of the type ""`},
		"management":               {other(managementType), "neither manage nor wipe"},
		"a wipe":                   {wayBack(t, dict{"PayloadType": typeWiFi, "SSID_STR": "Ward", "maxFailedAttempts": 3}), "neither manage nor wipe"},
		"a payload in a payload":   {wayBack(t, dict{"PayloadType": typeWiFi, "SSID_STR": "Ward", "x": []any{dict{"PayloadType": "com.apple.vpn.managed"}}}), `holds another in "x", of the type "com.apple.vpn.managed"`},
		"no network":               {wayBack(t, dict{"PayloadType": typeRoot, "PayloadContent": root(t, "x")}), "no Wi-Fi network"},
		"a network without a name": {wayBack(t, dict{"PayloadType": typeWiFi}), "has no name"},
		"no payloads":              {profileOf(t, dict{"PayloadType": "Configuration"}), "no payloads"},
		"text for a payload":       {wayBack(t, "x"), "is none"},
		"another kind of file":     {profileOf(t, dict{"PayloadContent": []any{net}}), "no configuration profile"},
		"an encrypted one":         {profileOf(t, dict{"PayloadType": "Configuration", "EncryptedPayloadContent": []byte{1}, "PayloadContent": []any{net}}), "encrypted"},
		"no certificate":           {wayBack(t, net, dict{"PayloadType": typePKCS1, "PayloadDisplayName": "Odd", "PayloadContent": []byte("x")}), `"Odd" in it can't be read`},
		"an empty certificate":     {wayBack(t, net, dict{"PayloadType": typePEM, "PayloadContent": []byte{}}), "can't be read"},
		"text behind a PEM":        {wayBack(t, net, dict{"PayloadType": typePEM, "PayloadContent": append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root(t, "x")}), 'x')}), "can't be read"},
		"SCEP of nowhere":          {wayBack(t, net, dict{"PayloadType": typeSCEP}), "names no server"},
		"no property list":         {[]byte("signed"), "unsigned configuration profile"},
	} {
		words, err := WiFiWords(tc.profile)
		if ward.KindOf(err) != ward.Invalid || !strings.Contains(err.Error(), tc.want) || words != nil {
			t.Errorf("%s: WiFiWords = %q, %v; want Invalid that says %q", name, words, err, tc.want)
		}
	}
}

// FuzzWiFiWords: whatever is read holds nothing but the allowed payloads.
func FuzzWiFiWords(f *testing.F) {
	f.Add([]byte(wifi))
	f.Add(wayBack(f, dict{"PayloadType": typeRoot, "PayloadContent": root(f, "x")}, dict{"PayloadType": typeWiFi, "SSID_STR": "a"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		words, err := WiFiWords(b)
		if err == nil && len(words) == 0 {
			t.Error("a profile that does nothing is taken")
		}
		if err != nil && ward.KindOf(err) != ward.Invalid {
			t.Errorf("WiFiWords: %v, want Invalid", err)
		}
	})
}
