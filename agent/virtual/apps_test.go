package virtual_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/agent/internal/trialserver"
	"github.com/wardmdm/ward/agent/virtual"
)

func TestInstallApplication(t *testing.T) {
	t.Parallel()
	type fields = map[string]any
	for _, tc := range []struct {
		name       string
		supervised bool
		decline    bool
		fields     fields
		bundle     string
		state      string // in the answer
		list       string // in the list afterwards
		managed    bool
	}{
		{"supervised", true, false, fields{"iTunesStoreID": 42}, approved, "Queued", "Managed", true},
		{"by bundle id", true, false, fields{"Identifier": approved}, approved, "Queued", "Managed", true},
		{"user says yes", false, false, fields{"iTunesStoreID": 42}, approved, "Prompting", "Managed", true},
		{"user waits", false, true, fields{"iTunesStoreID": 42}, approved, "Prompting", "Prompting", false},
		{"taken over", true, false, fields{"Identifier": whatsApp, "ChangeManagementState": "Managed"}, whatsApp, "Queued", "Managed", true},
		{"take-over asks", false, true, fields{"Identifier": whatsApp, "ChangeManagementState": "Managed"}, whatsApp, "PromptingForManagement", "PromptingForManagement", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := trialserver.New(t)
			p := enrolled(t, s, func(o *virtual.Options) { o.Supervised, o.HoldPrompts = tc.supervised, tc.decline })
			if got := s.Do(t, udid, "InstallApplication", tc.fields)["State"]; got != tc.state {
				t.Errorf("State = %v, want %v", got, tc.state)
			}
			if _, managed := p.AppInstalled(tc.bundle); managed != tc.managed {
				t.Errorf("managed = %v, want %v", managed, tc.managed)
			}
			if got := status(t, s, tc.bundle); got != tc.list {
				t.Errorf("list says %v, want %v", got, tc.list)
			}
		})
	}
}

// status returns the state of an app in ManagedApplicationList, nil if it is not there.
func status(t *testing.T, s *trialserver.Server, bundle string) any {
	t.Helper()
	list := s.Do(t, udid, "ManagedApplicationList", nil)["ManagedApplicationList"].(map[string]any)
	entry, _ := list[bundle].(map[string]any)
	return entry["Status"]
}

func TestUserRejectsAnApp(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	p := enrolled(t, s, func(o *virtual.Options) { o.Supervised, o.HoldPrompts = false, true })
	s.Do(t, udid, "InstallApplication", map[string]any{"iTunesStoreID": 42})
	if !p.Answer(approved, false) || p.Answer(approved, false) {
		t.Error("Answer() did not find exactly one question")
	}
	if got := status(t, s, approved); got != "UserRejected" {
		t.Errorf("list says %v, want UserRejected", got)
	}
	if got := status(t, s, approved); got != nil {
		t.Errorf("list says %v the second time, want nothing: it is reported once", got)
	}
	s.Do(t, udid, "InstallApplication", map[string]any{"iTunesStoreID": 42})
	p.Answer(approved, true)
	if _, managed := p.AppInstalled(approved); !managed {
		t.Error("the app is not managed after the user said yes")
	}
}

func TestManifest(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	s.Handle("GET /manifest", func(w http.ResponseWriter, _ *http.Request) {
		b, err := agent.EncodePlist(map[string]any{"items": []any{map[string]any{
			"assets":   []any{map[string]any{"kind": "software-package", "url": "https://127.0.0.1/app.ipa"}},
			"metadata": map[string]any{"bundle-identifier": "org.example.house", "bundle-version": "2.1", "kind": "software", "title": "House"},
		}}})
		if err == nil {
			_, err = w.Write(b)
		}
		if err != nil {
			panic(err)
		}
	})
	s.Handle("GET /empty", func(http.ResponseWriter, *http.Request) {})
	p := enrolled(t, s, nil)
	if got := s.Do(t, udid, "InstallApplication", map[string]any{"ManifestURL": s.URL + "/manifest"})["Identifier"]; got != "org.example.house" {
		t.Errorf("Identifier = %v, want org.example.house", got)
	}
	if err := p.CanLaunch("org.example.house"); err != nil {
		t.Errorf("CanLaunch() = %v, want nil", err)
	}
	for _, path := range []string{"/empty", "/missing"} {
		if got := s.Do(t, udid, "InstallApplication", map[string]any{"ManifestURL": s.URL + path})["Status"]; got != "Error" {
			t.Errorf("%s: %v, want Error", path, got)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	p := enrolled(t, s, nil)
	s.Do(t, udid, "InstallApplication", map[string]any{"iTunesStoreID": 42, "Configuration": map[string]any{"k": "old"}})
	answer := s.Do(t, udid, "Settings", map[string]any{"Settings": []any{
		map[string]any{"Item": "ApplicationConfiguration", "Identifier": approved, "Configuration": map[string]any{"k": "new"}},
		map[string]any{"Item": "ApplicationConfiguration", "Identifier": whatsApp, "Configuration": map[string]any{}},
		map[string]any{"Item": "ApplicationAttributes", "Identifier": approved, "Attributes": map[string]any{"Removable": false}},
		map[string]any{"Item": "DeviceName", "DeviceName": "Bay 4"},
		map[string]any{"Item": "Nonsense"},
	}})
	var got []any
	for _, v := range answer["Settings"].([]any) {
		got = append(got, v.(map[string]any)["Status"])
	}
	if diff := cmp.Diff([]any{"Acknowledged", "Error", "Acknowledged", "Acknowledged", "Error"}, got); diff != "" {
		t.Errorf("Settings mismatch (-want +got):\n%s", diff)
	}
	if c, _ := p.ManagedConfig(approved); !cmp.Equal(c, map[string]any{"k": "new"}) {
		t.Errorf("ManagedConfig() = %v, want the new one", c)
	}
	if p.RemoveByUser(approved) {
		t.Error("the user removed an app that is not removable")
	}
	if name := s.Do(t, udid, "DeviceInformation", map[string]any{"Queries": []any{"DeviceName"}})["QueryResponses"]; !cmp.Equal(name, any(map[string]any{"DeviceName": "Bay 4"})) {
		t.Errorf("DeviceName = %v, want Bay 4", name)
	}
}

func TestInstalledApplicationList(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	p := enrolled(t, s, nil)
	s.Do(t, udid, "InstallApplication", map[string]any{"iTunesStoreID": 42})
	for _, tc := range []struct {
		name   string
		fields map[string]any
		want   []string
	}{
		{"all", nil, []string{whatsApp, approved}},
		{"managed", map[string]any{"ManagedAppsOnly": true}, []string{approved}},
		{"chosen", map[string]any{"Identifiers": []any{whatsApp, "x"}}, []string{whatsApp}},
	} {
		t.Run(tc.name, func(t *testing.T) { //nolint:paralleltest // one phone for all
			var got []string
			for _, a := range s.Do(t, udid, "InstalledApplicationList", tc.fields)["InstalledApplicationList"].([]any) {
				got = append(got, a.(map[string]any)["Identifier"].(string))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("list mismatch (-want +got):\n%s", diff)
			}
		})
	}
	s.Do(t, udid, "InstallProfile", map[string]any{"Payload": restrictions(t, "r", map[string]any{"allowUIAppInstallation": false})})
	if p.InstallByUser(virtual.Installed{BundleID: "x"}) {
		t.Error("the user installed an app although the App Store is gone")
	}
}

func TestDocumentsStayInManagedApps(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	p := enrolled(t, s, func(o *virtual.Options) { o.Supervised = false })
	s.Do(t, udid, "InstallApplication", map[string]any{"iTunesStoreID": 42})
	if p.MayShare(approved, whatsApp) != nil || p.MayPaste(approved, whatsApp) != nil {
		t.Error("nothing forbids it yet")
	}
	s.Do(t, udid, "InstallProfile", map[string]any{"Payload": restrictions(t, "a", map[string]any{"allowOpenFromManagedToUnmanaged": false})})
	if err := p.MayShare(approved, whatsApp); !errors.Is(err, virtual.ErrBlocked) {
		t.Errorf("MayShare() = %v, want ErrBlocked", err)
	}
	if err := p.MayPaste(approved, whatsApp); err != nil {
		t.Errorf("MayPaste() = %v, want nil: the pasteboard is a key of its own", err)
	}
	s.Do(t, udid, "InstallProfile", map[string]any{"Payload": restrictions(t, "b", map[string]any{"requireManagedPasteboard": true})})
	if err := p.MayPaste(approved, whatsApp); !errors.Is(err, virtual.ErrBlocked) {
		t.Errorf("MayPaste() = %v, want ErrBlocked", err)
	}
	if err := p.MayShare(whatsApp, approved); err != nil {
		t.Errorf("MayShare() into the managed app = %v, want nil", err)
	}
}

// appServer answers the approved app; revoked makes it refuse.
func appServer(s *trialserver.Server, revoked *atomic.Bool) {
	refuse := func(w http.ResponseWriter, code string) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusForbidden)
		_ = json.NewEncoder(w).Encode(map[string]string{"code": code, "detail": "Refused."}) // the app may have gone
	}
	s.Handle("POST /app/v1/certificate", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Token, CSR string }
		if json.NewDecoder(r.Body).Decode(&in) != nil || in.Token != "once" {
			refuse(w, "token_invalid")
			return
		}
		b, _ := pem.Decode([]byte(in.CSR))
		csr, err := x509.ParseCertificateRequest(b.Bytes)
		if err != nil || csr.CheckSignature() != nil {
			refuse(w, "csr_invalid")
			return
		}
		c, err := s.Issue("app", csr.PublicKey)
		if err != nil {
			refuse(w, "internal")
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{ // the app may have gone
			"certificate": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})), "not_after": c.NotAfter.Format(time.RFC3339),
		})
	})
	s.Handle("GET /app/v1/me", func(w http.ResponseWriter, r *http.Request) {
		if revoked.Load() || len(r.TLS.PeerCertificates) == 0 {
			refuse(w, "certificate_revoked")
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"device": "D-1", "app": r.TLS.PeerCertificates[0].Subject.CommonName}) // as above
	})
}

func TestAppExchangesItsToken(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	var revoked atomic.Bool
	appServer(s, &revoked)
	p := enrolled(t, s, nil)
	if _, err := p.Open(approved); !errors.Is(err, virtual.ErrNotInstalled) {
		t.Errorf("Open() before the installation = %v, want ErrNotInstalled", err)
	}
	config := func(token string) map[string]any {
		return map[string]any{virtual.ConfigServerURL: s.URL, virtual.ConfigToken: token, virtual.ConfigAppID: "approved"}
	}
	s.Do(t, udid, "InstallApplication", map[string]any{"iTunesStoreID": 42, "ManagementFlags": 1, "Configuration": config("once")})
	app, err := p.Open(approved)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.Me(t.Context()); err == nil {
		t.Error("Me() without a certificate worked")
	}
	if err := app.Exchange(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !app.TokenUsed() || app.Certificate() == nil {
		t.Error("the token is not used, or there is no certificate")
	}
	me, err := app.Me(t.Context())
	if diff := cmp.Diff(virtual.Me{Device: "D-1", App: "app"}, me); err != nil || diff != "" {
		t.Errorf("Me() = %v mismatch (-want +got):\n%s", err, diff)
	}
	revoked.Store(true)
	_, err = app.Me(t.Context())
	if refusal, ok := errors.AsType[*virtual.AppError](err); !ok || refusal.Status != 403 || refusal.Code != "certificate_revoked" {
		t.Errorf("Me() after revocation = %v, want 403 certificate_revoked", err)
	}
	s.Do(t, udid, "Settings", map[string]any{"Settings": []any{map[string]any{"Item": "ApplicationConfiguration", "Identifier": approved, "Configuration": config("spent")}}})
	if app.TokenUsed() {
		t.Error("the new token counts as used")
	}
	if refusal, ok := errors.AsType[*virtual.AppError](app.Exchange(t.Context())); !ok || refusal.Code != "token_invalid" {
		t.Errorf("Exchange() of a spent token = %v, want token_invalid", refusal)
	}
	s.Do(t, udid, "EnableLostMode", map[string]any{"Message": "x"})
	if _, err := app.Me(t.Context()); !errors.Is(err, virtual.ErrLost) {
		t.Errorf("Me() in lost mode = %v, want ErrLost", err)
	}
}
