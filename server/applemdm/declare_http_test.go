package applemdm_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward/server/declare"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

var profile = []byte(`<plist><string>{{device.id}}</string></plist>`)

func wantedItems() []declare.Item {
	return []declare.Item{
		{Identifier: "org.wardmdm.declaration.restrictions", Type: "com.apple.configuration.legacy", Token: "t1", Payload: []byte(`{"ProfileURL":"{{profile:` + sum(profile) + `}}"}`)},
		{Identifier: "org.wardmdm.declaration.always", Type: "com.apple.activation.simple", Token: "t2", Payload: []byte(`{"StandardConfigurations":["org.wardmdm.declaration.restrictions"]}`)},
		{Identifier: "org.wardmdm.declaration.properties", Type: "com.apple.management.properties", Token: "t3", Payload: []byte(`{"id":"{{device.id}}"}`)},
		{Identifier: "org.wardmdm.declaration.data", Type: "com.apple.asset.data", Token: "t4", Payload: []byte(`{}`)},
	}
}

// TestDeclarations: a device asks for its tokens, its items and each declaration, fetches
// the profile that one of them names, and reports.
func TestDeclarations(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := open(t, db, true)
		d, e := s.enrolled(t, "UDID-1")
		empty := token(t, d)
		s.want(wantedItems()...)
		s.profiles[sum(profile)] = profile
		full := token(t, d)
		if full == empty || token(t, d) != full {
			t.Error("the token does not name the set")
		}
		entry := func(id, token string) []any {
			return []any{map[string]any{"Identifier": "org.wardmdm.declaration." + id, "ServerToken": token}}
		}
		want := map[string]any{"DeclarationsToken": full, "Declarations": map[string]any{
			"Activations": entry("always", "t2"), "Configurations": entry("restrictions", "t1"), "Management": entry("properties", "t3"), "Assets": entry("data", "t4"),
		}}
		if diff := cmp.Diff(want, d.read(t, "declaration-items")); diff != "" {
			t.Errorf("declaration-items mismatch (-want +got):\n%s", diff)
		}
		got := d.read(t, "declaration/management/org.wardmdm.declaration.properties")
		want = map[string]any{"Identifier": "org.wardmdm.declaration.properties", "Type": "com.apple.management.properties", "ServerToken": "t3", "Payload": map[string]any{"id": string(e.Device)}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("declaration mismatch (-want +got):\n%s", diff)
		}
		legacy := d.read(t, "declaration/configuration/org.wardmdm.declaration.restrictions")
		link := legacy["Payload"].(map[string]any)["ProfileURL"].(string)
		code, header, body := s.fetch(t, http.MethodGet, link)
		if code != http.StatusOK || header.Get("Content-Type") != "application/x-apple-aspen-config" || header.Get("Cache-Control") != "no-store" {
			t.Errorf("the profile was answered %d %v", code, header)
		}
		if want := "<plist><string>" + string(e.Device) + " by UDID-1</string></plist>"; string(body) != want {
			t.Errorf("the profile is %s, want %s", body, want)
		}
		s.want()
		if token(t, d) != empty {
			t.Error("nothing wanted has another token than nothing wanted before")
		}
	})
}

func token(t *testing.T, d device) string {
	t.Helper()
	v, ok := d.read(t, "tokens")["SyncTokens"].(map[string]any)
	if !ok {
		t.Fatal("the tokens are none")
	}
	if at, err := time.Parse(time.RFC3339, fmt.Sprint(v["Timestamp"])); err != nil || at.Nanosecond() != 0 {
		t.Errorf("Timestamp = %v: %v", v["Timestamp"], err)
	}
	return fmt.Sprint(v["DeclarationsToken"])
}

func (s *site) fetch(t *testing.T, method, link string) (int, http.Header, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, link, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s.do(t, req)
}

// TestDeclarationsRefused: whoever should not have a declaration gets a 4xx that is never
// 401; what fails behind is a 500, at which a device tries again.
func TestDeclarationsRefused(t *testing.T) {
	t.Parallel()
	s := open(t, storetest.SQLite(t), true)
	s.want(wantedItems()...)
	d, _ := s.enrolled(t, "UDID-1")
	pending, stranger := s.device(t, "UDID-2"), s.device(t, "UDID-9")
	pending.authenticate(t)
	gone, _ := s.enrolled(t, "UDID-3")
	if code, _ := gone.checkin(t, "CheckOut", nil); code != http.StatusOK {
		t.Fatalf("CheckOut was answered %d", code)
	}
	other := d
	other.udid = "UDID-3"
	refused := open(t, storetest.SQLite(t), false)
	without, _ := refused.enrolled(t, "UDID-4")
	user := func() (int, []byte) {
		return d.checkin(t, "DeclarativeManagement", map[string]any{"Endpoint": "tokens", "UserID": "5C5C5C5C-0000-4000-8000-000000000001", "UserShortName": "ada"})
	}
	ask := func(d device, endpoint string) func() (int, []byte) {
		return func() (int, []byte) { return d.ask(t, endpoint, nil) }
	}
	for _, tc := range []struct {
		name string
		deed func() (int, []byte)
		want int
	}{
		{"a declaration that it has", ask(d, "declaration/asset/org.wardmdm.declaration.data"), 200},
		{"one that it has not", ask(d, "declaration/asset/org.wardmdm.declaration.nothing"), 404},
		{"one of another manifest", ask(d, "declaration/configuration/org.wardmdm.declaration.data"), 404},
		{"no name", ask(d, "declaration/asset/"), 404},
		{"no manifest", ask(d, "declaration/org.wardmdm.declaration.data"), 404},
		{"an endpoint that is none", ask(d, "secrets"), 404},
		{"no endpoint", ask(d, ""), 404},
		{"the user channel", user, 404},
		{"a device that is enrolling", ask(pending, "tokens"), 403},
		{"a device that has left", ask(gone, "tokens"), 403},
		{"a certificate of another device", ask(other, "tokens"), 403},
		{"a device that never enrolled", ask(stranger, "tokens"), 403},
		{"where nothing is offered", ask(without, "tokens"), 404},
		{"a status where nothing is offered", func() (int, []byte) { return without.ask(t, "status", []byte(`{}`)) }, 404},
		{"a status that is none", func() (int, []byte) { return d.ask(t, "status", []byte(`{`)) }, 400},
		{"no status", ask(d, "status"), 400},
		{"a status in another form", func() (int, []byte) {
			return d.ask(t, "status", []byte(`{"StatusItems":{"management":{"declarations":[]}}}`))
		}, 400},
		{"a deep status", func() (int, []byte) {
			return d.ask(t, "status", []byte(strings.Repeat("[", 200)+strings.Repeat("]", 200)))
		}, 400},
		{"a large status", func() (int, []byte) { return d.ask(t, "status", append(bytes.Repeat([]byte(" "), 1<<20), "{}"...)) }, 400},
	} {
		if code, b := tc.deed(); code != tc.want {
			t.Errorf("%s: answered %d %s, want %d", tc.name, code, b, tc.want)
		}
	}
	s.want(declare.Item{Identifier: "a", Type: "com.apple.asset.data", Token: "1", Payload: []byte(`{"a":"{{nobody.knows}}"}`)})
	if code, _ := d.ask(t, "declaration/asset/a", nil); code != http.StatusInternalServerError {
		t.Errorf("a variable that nobody knows was answered %d", code)
	}
	s.fail(errors.New("boom"))
	for _, endpoint := range []string{"tokens", "declaration-items", "declaration/asset/a"} {
		if code, _ := d.ask(t, endpoint, nil); code != http.StatusInternalServerError {
			t.Errorf("%s was answered %d where what is wanted is not known, want 500", endpoint, code)
		}
	}
}

// TestDeclaredProfiles: a link serves its own profile to whoever holds it while the
// device should have it, and everything else looks the same.
func TestDeclaredProfiles(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := open(t, db, true)
		s.want(wantedItems()...)
		s.profiles[sum(profile)] = profile
		d, e := s.enrolled(t, "UDID-1")
		links, err := declare.NewLinks(s.url, bytes.Repeat([]byte{9}, 32))
		if err != nil {
			t.Fatal(err)
		}
		good := links.URL(e.ID, sum(profile))
		other, _ := s.enrolled(t, "UDID-2")
		if code, _ := other.checkin(t, "CheckOut", nil); code != http.StatusOK {
			t.Fatalf("CheckOut was answered %d", code)
		}
		ended, err := db.Fleet().Latest(t.Context(), "UDID-2")
		if err != nil {
			t.Fatal(err)
		}
		_, _, nothing := s.fetch(t, http.MethodGet, s.url+declare.Path+"a/b/c")
		for _, tc := range []struct {
			name, method, link string
			want               int
		}{
			{"the link", "GET", good, 200},
			{"it again", "GET", good, 200},
			{"with the last character changed", "GET", good[:len(good)-1] + "!", 404},
			{"for another enrolment", "GET", strings.Replace(good, string(e.ID), string(ended.ID), 1), 404},
			{"of an enrolment that ended", "GET", links.URL(ended.ID, sum(profile)), 404},
			{"of an enrolment that never was", "GET", links.URL("enr_none", sum(profile)), 404},
			{"of a profile that it should not have", "GET", links.URL(e.ID, sum([]byte("x"))), 404},
			{"HEAD", "HEAD", good, 405},
			{"POST", "POST", good, 405},
		} {
			code, header, body := s.fetch(t, tc.method, tc.link)
			if code != tc.want || header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: answered %d %v, want %d and nothing kept", tc.name, code, header, tc.want)
			}
			if code == http.StatusNotFound && !bytes.Equal(body, nothing) {
				t.Errorf("%s: answered %q, want the one face %q", tc.name, body, nothing)
			}
		}
		s.fail(errors.New("boom"))
		if code, _, _ := s.fetch(t, http.MethodGet, good); code != http.StatusServiceUnavailable {
			t.Errorf("a good link was answered %d where the profile can't be had, want 503", code)
		}
		s.fail(nil)
		if code, _ := d.checkin(t, "CheckOut", nil); code != http.StatusOK {
			t.Fatalf("CheckOut was answered %d", code)
		}
		if code, _, _ := s.fetch(t, http.MethodGet, good); code != http.StatusNotFound {
			t.Errorf("a link outlived its enrolment: answered %d", code)
		}
	})
}
