package virtual_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/agent/internal/trialserver"
	"github.com/wardmdm/ward/agent/virtual"
)

// activate is an activation for configurations.
func activate(id, predicate string, configurations ...any) trialserver.Declaration {
	p := dict{"StandardConfigurations": configurations}
	if predicate != "" {
		p["Predicate"] = predicate
	}
	return trialserver.Declaration{Identifier: id, Type: "com.apple.activation.simple", Payload: p}
}

func configure(id, name string, payload dict) trialserver.Declaration {
	return trialserver.Declaration{Identifier: id, Type: "com.apple.configuration." + name, Payload: payload}
}

// dig follows a path of names into a tree.
func dig(v any, path ...string) any {
	for _, p := range path {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	return v
}

// told finds what a status report says of one declaration.
func told(t *testing.T, report dict, kind, id string) dict {
	t.Helper()
	list, _ := dig(report, "StatusItems", "management", "declarations", kind).([]any)
	for _, v := range list {
		if m := v.(dict); m["identifier"] == id {
			return m
		}
	}
	t.Fatalf("the report says nothing of %s: %v", id, report)
	return nil
}

// firstCode is the code of the first reason of a reported declaration, nil for none.
func firstCode(m dict) any {
	list, _ := m["reasons"].([]any)
	if len(list) == 0 {
		return nil
	}
	return list[0].(dict)["code"]
}

func TestDeclaredProfile(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	var fetched atomic.Int32
	body := restrictions(t, "test.declared", dict{"blockedAppBundleIDs": []any{whatsApp}})
	s.Handle("GET /profile", func(w http.ResponseWriter, _ *http.Request) {
		fetched.Add(1)
		_, _ = w.Write(body) // the phone may have gone
	})
	p := enrolled(t, s, nil)
	legacy := configure("c", "legacy", dict{"ProfileURL": s.URL + "/profile"})
	report := s.Declare(t, udid, activate("a", "", "c"), legacy)
	if got := told(t, report, "configurations", "c"); got["active"] != true || got["valid"] != "valid" || got["reasons"] != nil {
		t.Errorf("configuration = %v, want active and valid", got)
	}
	if !p.ProfileInstalled("test.declared") || p.CanLaunch(whatsApp) == nil {
		t.Errorf("profiles = %v, WhatsApp %v; want the declared one in force", p.Profiles(), p.CanLaunch(whatsApp))
	}
	for requestType, fields := range map[string]dict{"RemoveProfile": {"Identifier": "test.declared"}, "InstallProfile": {"Payload": body}} {
		if got := s.Do(t, udid, requestType, fields)["Status"]; got != "Error" {
			t.Errorf("%s of a declared profile = %v, want Error", requestType, got)
		}
	}
	before := len(s.Asked(udid))
	s.Declare(t, udid, activate("a", "", "c", "c2"), legacy, configure("c2", "management.test", dict{"Echo": "x"}))
	want := []string{"tokens", "declaration-items", "declaration/configuration/c2", "declaration/activation/a", "status"}
	if diff := cmp.Diff(want, s.Asked(udid)[before:]); diff != "" {
		t.Errorf("asked for mismatch (-want +got), want only what has changed:\n%s", diff)
	}
	if fetched.Load() != 1 {
		t.Errorf("the profile was fetched %d times, want once", fetched.Load())
	}
	s.Declare(t, udid)
	if p.ProfileInstalled("test.declared") || p.CanLaunch(whatsApp) != nil {
		t.Errorf("profiles = %v after the declaration went, want none", p.Profiles())
	}
}

func TestDeclaredProfileThatIsRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*virtual.Options)
		path   string
		body   []byte
		words  string
	}{
		{"key forbidden in user enrolment", func(o *virtual.Options) { o.UserEnrolment = true }, "/p", restrictions(t, "x", dict{"allowChat": false}), "4023"},
		{"payload that needs supervision", func(o *virtual.Options) { o.Supervised = false }, "/p", mobileconfig(t, "x", "com.apple.homescreenlayout", dict{"Pages": []any{}}), "4025"},
		{"no profile at all", nil, "/p", []byte("junk"), "1000"},
		{"nothing there", nil, "/other", nil, "404"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := trialserver.New(t)
			p := enrolled(t, s, tc.change)
			s.Serve("/p", tc.body)
			report := s.Declare(t, channelOf(p), activate("a", "", "c"), configure("c", "legacy", dict{"ProfileURL": s.URL + tc.path}))
			got := told(t, report, "configurations", "c")
			reason, err := json.Marshal(got["reasons"])
			if err != nil {
				t.Fatal(err)
			}
			if got["valid"] != "invalid" || firstCode(got) != "Error.ConfigurationCannotBeApplied" || !strings.Contains(string(reason), tc.words) || len(p.Profiles()) != 0 {
				t.Errorf("configuration = %v, profiles %v; want it refused with %s", got, p.Profiles(), tc.words)
			}
		})
	}
}

// channelOf is what a phone calls itself to its server.
func channelOf(p *virtual.Phone) string {
	e, err := p.Enrolment()
	if err != nil {
		return p.UDID()
	}
	if e.EnrollmentID != "" {
		return e.EnrollmentID
	}
	return e.UDID
}

func TestStatusReports(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	p := enrolled(t, s, nil)
	items := []any{}
	for _, name := range []string{"device.operating-system.version", "passcode.is-compliant", "mdm.app", "device.identifier.serial-number", "no.such.item"} {
		items = append(items, dict{"Name": name})
	}
	report := s.Declare(t, udid, activate("a", "", "s", "p"),
		configure("s", "management.status-subscriptions", dict{"StatusItems": items}), configure("p", "passcode.settings", dict{"MinimumLength": 6}))
	for path, want := range map[string]any{
		"device operating-system version": "18.6", "passcode is-compliant": true, "device identifier serial-number": "SN1", "mdm app": []any{},
	} {
		if got := dig(report["StatusItems"], strings.Fields(path)...); !cmp.Equal(got, want) {
			t.Errorf("%s = %v, want %v", path, got, want)
		}
	}
	if dig(report, "StatusItems", "management", "client-capabilities", "supported-payloads", "status-items") == nil || dig(report, "StatusItems", "passcode", "is-present") != nil {
		t.Errorf("report = %v, want client-capabilities and nothing that was not subscribed to", report)
	}
	if errs := report["Errors"].([]any); len(errs) != 1 || errs[0].(dict)["StatusItem"] != "no.such.item" {
		t.Errorf("Errors = %v, want one for no.such.item", errs)
	}
	next := func() dict {
		t.Helper()
		n := len(s.Statuses(udid))
		s.AwaitStatuses(t, udid, n+1)
		return s.Statuses(udid)[n]
	}
	n := len(s.Statuses(udid))
	s.Do(t, udid, "InstallApplication", dict{"iTunesStoreID": 42})
	s.AwaitStatuses(t, udid, n+1)
	report = s.Statuses(udid)[n]
	if got := dig(report, "StatusItems", "mdm", "app"); !cmp.Equal(dig(got.([]any)[0], "identifier"), any(approved)) || dig(report, "StatusItems", "device") != nil {
		t.Errorf("report after an installation = %v, want the app and nothing that has not changed", report)
	}
	n = len(s.Statuses(udid))
	s.Do(t, udid, "RemoveApplication", dict{"Identifier": approved})
	s.AwaitStatuses(t, udid, n+1)
	if got := dig(s.Statuses(udid)[n], "StatusItems", "mdm", "app"); !cmp.Equal(got, any([]any{dict{"identifier": approved, "_removed": true}})) {
		t.Errorf("mdm.app after a removal = %v, want _removed", got)
	}
	if err := p.ReportStatus(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	all := s.Statuses(udid)
	if report = all[len(all)-1]; report["FullReport"] != true || dig(report, "StatusItems", "device", "operating-system", "version") != "18.6" || !cmp.Equal(dig(report, "StatusItems", "mdm", "app"), any([]any{})) {
		t.Errorf("full report = %v, want everything", report)
	}
	go p.UpdateSystem("18.7")
	if report = next(); dig(report, "StatusItems", "device", "operating-system", "version") != "18.7" {
		t.Errorf("report after an update = %v, want 18.7", report)
	}
	n = len(s.Statuses(udid))
	if err := p.ReportStatus(t.Context(), false); err != nil || len(s.Statuses(udid)) != n {
		t.Errorf("ReportStatus() = %v with %d reports more, want none: nothing has changed", err, len(s.Statuses(udid))-n)
	}
}

func TestTokensComeWithTheCommand(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	enrolled(t, s, nil)
	s.SetDeclarations(t, udid, activate("a", ""))
	s.Do(t, udid, "DeclarativeManagement", dict{"Data": s.Tokens(t, udid)})
	s.AwaitStatuses(t, udid, 1)
	if got := s.Asked(udid); slices.Contains(got, "tokens") || !slices.Contains(got, "declaration/activation/a") {
		t.Errorf("asked for %v, want no tokens: they came with the command", got)
	}
	before := len(s.Asked(udid))
	s.Do(t, udid, "DeclarativeManagement", dict{"Data": s.Tokens(t, udid)})
	s.Do(t, udid, "ProfileList", nil)
	if got := s.Asked(udid)[before:]; len(got) != 0 {
		t.Errorf("asked for %v, want nothing: the token is the one it has", got)
	}
}

func TestDeclarationsNeedIOS15(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	enrolled(t, s, func(o *virtual.Options) { o.OSVersion = "14.8" })
	if got := verdict(s.Do(t, udid, "DeclarativeManagement", nil)); got != uint64(12021) {
		t.Errorf("DeclarativeManagement on iOS 14 = %v, want 12021", got)
	}
}

func TestDeclaredApp(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	p := enrolled(t, s, func(o *virtual.Options) { o.Supervised, o.HoldPrompts = false, true })
	config, err := agent.EncodePlist(dict{"server_url": "https://ward.example"})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(config)
	asset := func(hash string) trialserver.Declaration {
		return trialserver.Declaration{Identifier: "d", Type: "com.apple.asset.data", Payload: dict{"Reference": dict{
			"DataURL": s.URL + "/config", "ContentType": "application/xml", "Size": len(config), "Hash-SHA-256": hash,
		}, "Authentication": dict{"Type": "MDM"}}}
	}
	s.Serve("/config", config)
	s.Serve("/manifest", manifest(t))
	app := configure("c", "app.managed", dict{"ManifestURL": s.URL + "/manifest", "InstallBehavior": dict{"Install": "Required"}, "LegacyAppConfigAssetReference": "d"})
	report := s.Declare(t, udid, activate("a", "", "c"), app, asset("00"))
	if got := told(t, report, "assets", "d"); firstCode(got) != "Error.AssetCannotBeVerified" {
		t.Errorf("asset with another hash = %v, want Error.AssetCannotBeVerified", got)
	}
	if got := told(t, report, "configurations", "c"); firstCode(got) != "Error.MissingAssets" {
		t.Errorf("configuration without its asset = %v, want Error.MissingAssets", got)
	}
	s.Declare(t, udid, activate("a", "", "c"), app, asset(hex.EncodeToString(sum[:])))
	if installed, _ := p.AppInstalled(approved); installed {
		t.Error("the app is there before the user was asked")
	}
	if !p.Answer(approved, true) {
		t.Fatal("the user was not asked")
	}
	if got, _ := p.ManagedConfig(approved); got["server_url"] != "https://ward.example" {
		t.Errorf("ManagedConfig() = %v, want that of the asset", got)
	}
	s.Declare(t, udid)
	if installed, _ := p.AppInstalled(approved); installed {
		t.Error("the app outlived its declaration")
	}
}

func TestManagementEndsDeclarations(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	p := enrolled(t, s, nil)
	address := s.Serve("/p", restrictions(t, "test.declared", dict{"blockedAppBundleIDs": []any{whatsApp}}))
	s.Declare(t, udid, activate("a", "", "c"), configure("c", "legacy", dict{"ProfileURL": address}))
	own := mobileconfig(t, "own", "com.apple.wifi.managed", dict{"SSID_STR": "Home"})
	if err := p.InstallProfileByHand(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	if err := p.RemoveProfileByHand("test.declared"); err == nil {
		t.Error("the user removed what management installed")
	}
	if err := p.RemoveManagement(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"own"}, p.Profiles()); diff != "" || len(p.Declarations()) != 0 || p.CanLaunch(whatsApp) != nil {
		t.Errorf("declarations %v, WhatsApp %v, profiles mismatch (-want +got):\n%s", p.Declarations(), p.CanLaunch(whatsApp), diff)
	}
	if err := p.RemoveProfileByHand("own"); err != nil || len(p.Profiles()) != 0 {
		t.Errorf("RemoveProfileByHand() = %v with %v, want the user's own gone", err, p.Profiles())
	}
}

func TestSyncSurvivesABrokenServer(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	var failures atomic.Int32
	s.Intercept = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/p" || failures.Add(1) > 2 {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	p := enrolled(t, s, nil)
	address := s.Serve("/p", restrictions(t, "test.declared", dict{"allowChat": false}))
	s.Declare(t, udid, activate("a", "", "c"), configure("c", "legacy", dict{"ProfileURL": address}))
	if err := p.Await(t.Context(), func(p *virtual.Phone) bool { return p.ProfileInstalled("test.declared") }); err != nil {
		t.Fatal(err)
	}
}

func TestDeclarationsAfterEnrollingAgain(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	p := enrolled(t, s, nil)
	address := s.Serve("/p", restrictions(t, "test.declared", dict{"allowChat": false}))
	list := []trialserver.Declaration{activate("a", "", "c"), configure("c", "legacy", dict{"ProfileURL": address})}
	s.Declare(t, udid, list...)
	if err := p.RemoveManagement(t.Context()); err != nil {
		t.Fatal(err)
	}
	switchOn(t, s, p)
	if len(p.Declarations()) != 0 || p.ProfileInstalled("test.declared") {
		t.Errorf("declarations %v, profiles %v; want none before the server asks again", p.Declarations(), p.Profiles())
	}
	s.Declare(t, udid, list...)
	if !p.ProfileInstalled("test.declared") {
		t.Error("the declared profile did not come back")
	}
	n := len(s.Statuses(udid))
	if err := p.SetPasscode("814205"); err != nil {
		t.Fatal(err)
	}
	s.Do(t, udid, "InstallApplication", dict{"iTunesStoreID": 42}) // wakes the follow-up, which has nothing to say
	if got := len(s.Statuses(udid)); got != n {
		t.Errorf("%d reports more, want none: nothing is subscribed to", got-n)
	}
}

func TestPropertiesInPredicates(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	p := enrolled(t, s, nil)
	address := s.Serve("/p", restrictions(t, "test.declared", dict{"allowChat": false}))
	property := func(found bool) trialserver.Declaration {
		return trialserver.Declaration{Identifier: "m", Type: "com.apple.management.properties", Payload: dict{"consumerAppFound": found}}
	}
	rest := []trialserver.Declaration{activate("a", "@property(consumerAppFound) == FALSE", "c"), configure("c", "legacy", dict{"ProfileURL": address})}
	report := s.Declare(t, udid, append(rest, property(true))...)
	if got := told(t, report, "activations", "a"); got["active"] != false || firstCode(got) != "Info.Predicate" || p.ProfileInstalled("test.declared") {
		t.Errorf("activation = %v, profiles %v; want neither", got, p.Profiles())
	}
	report = s.Declare(t, udid, append(rest, property(false))...)
	if got := told(t, report, "activations", "a"); got["active"] != true || !p.ProfileInstalled("test.declared") {
		t.Errorf("activation = %v, profiles %v; want both", got, p.Profiles())
	}
}
