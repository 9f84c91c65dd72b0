package declare

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
)

var testKey = bytes.Repeat([]byte{7}, 32)

func testLinks(t testing.TB) Links {
	t.Helper()
	l, err := NewLinks("https://ward.example/", testKey)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

var hash = strings.Repeat("0a", 32)

// TestLinks: a link proves itself and no other.
func TestLinks(t *testing.T) {
	t.Parallel()
	l := testLinks(t)
	url := l.URL("enr_1", hash)
	mac, ok := strings.CutPrefix(url, "https://ward.example/mdm/v1/declared/enr_1/"+hash+"/")
	if !ok || len(mac) != 43 {
		t.Fatalf("URL() = %s", url)
	}
	other, err := NewLinks("https://ward.example", bytes.Repeat([]byte{8}, 32))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, id, hash, mac string
		links               Links
		want                bool
	}{
		{"the link", "enr_1", hash, mac, l, true},
		{"another enrolment", "enr_2", hash, mac, l, false},
		{"another profile", "enr_1", strings.Repeat("0b", 32), mac, l, false},
		{"parts moved from one to the other", "enr_1/0a", hash[2:], mac, l, false},
		{"no proof", "enr_1", hash, "", l, false},
		{"half a proof", "enr_1", hash, mac[:20], l, false},
		{"a proof and more", "enr_1", hash, mac + "A", l, false},
		{"under another key", "enr_1", hash, mac, other, false},
		{"no hash", "enr_1", "", l.mac("enr_1", ""), l, false},
		{"a hash in another form", "enr_1", strings.ToUpper(hash), l.mac("enr_1", strings.ToUpper(hash)), l, false},
		{"a long enrolment", strings.Repeat("e", 65), hash, l.mac(ward.EnrolmentID(strings.Repeat("e", 65)), hash), l, false},
	} {
		if got := tc.links.Proves(ward.EnrolmentID(tc.id), tc.hash, tc.mac); got != tc.want {
			t.Errorf("%s: Proves() = %t, want %t", tc.name, got, tc.want)
		}
	}
}

func TestNewLinksRefuses(t *testing.T) {
	t.Parallel()
	if _, err := NewLinks("https://ward.example", testKey[:31]); err == nil {
		t.Error("a short key was taken")
	}
	if _, err := NewLinks("http://ward.example", testKey); err == nil {
		t.Error("an address without TLS was taken")
	}
}

func TestBind(t *testing.T) {
	t.Parallel()
	s := &Service{links: testLinks(t)}
	d := ward.Device{ID: "dev_1", Name: `Ada's "phone" \ <b> {{server.url}}` + "\u2028", Email: "ada@hospital.example"}
	e := ward.Enrolment{ID: "enr_1"}
	for _, tc := range []struct {
		name, payload string
		want          any    // nil for an error
		wrong         string // part of the error
	}{
		{"nothing to bind", `{"A":[1,true]}`, map[string]any{"A": []any{1.0, true}}, ""},
		{"a profile", `{"ProfileURL":"{{profile:` + hash + `}}"}`, map[string]any{"ProfileURL": s.links.URL("enr_1", hash)}, ""},
		{"values within a text", `{"U":"{{server.url}}/x/{{ device.id }}?m={{user.email}}"}`, map[string]any{"U": "https://ward.example/x/dev_1?m=ada@hospital.example"}, ""},
		{"a value that needs quoting, and is not read again", `{"N":"<{{device.name}}>"}`, map[string]any{"N": "<" + d.Name + ">"}, ""},
		{"a profile that is none", `{"ProfileURL":"{{profile:../x}}"}`, nil, "profile:../x"},
		{"a value that nobody knows", `{"A":"{{device.colour}} {{network.challenge}}"}`, nil, "device.colour, network.challenge"},
		{"the one-time token", `{"A":"{{enrolment_token}}"}`, nil, "enrolment_token"},
		{"a variable outside a text", `{"A":{{device.id}}}`, nil, "outside a text"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			out, err := s.bind([]byte(tc.payload), d, e)
			if tc.want == nil {
				if err == nil || !strings.Contains(err.Error(), tc.wrong) {
					t.Errorf("bind() = %s, %v; want an error with %q", out, err, tc.wrong)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got any
			if err := json.Unmarshal(out, &got); err != nil {
				t.Fatalf("bind() = %s: %v", out, err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("bind() mismatch (-want +got):\n%s", diff)
			}
		})
	}
}
