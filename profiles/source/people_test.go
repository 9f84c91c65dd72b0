package source_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward/profiles/source"
)

// written is an exception as the file has it.
type written struct{ id, app, scope, from, expires string }

func withExceptions(all ...written) string {
	var b strings.Builder
	b.WriteString(record + "block: {apps: [whatsapp, telegram]}\ngroups: [{name: A, match: {site: x}, notice: n}]\nexceptions:\n")
	for _, e := range all {
		fmt.Fprintf(&b, "  - {id: %s, app: %s, for: {%s}, who: a, reason: b, approver: c, from: %s, expires: %s, review: d}\n", e.id, e.app, e.scope, e.from, e.expires)
	}
	return b.String()
}

// Exceptions of 90 days each followed one another for ever.
func TestExceptionsAreNotChained(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		all  []written
		want []string
	}{
		{"back to back", []written{
			{"C0", "whatsapp", "device: Z", "2026-11-01", "2027-01-29"},
			{"C1", "wa", "device: Z", "2027-01-30", "2027-04-20"},
			{"C2", "whatsapp", "device: Z", "2027-04-21", "2027-07-10"},
			{"C3", "whatsapp", "device: Z", "2030-01-01", "2030-03-01"},
		}, []string{
			"line 14, column 5: C1 goes on where C0 (line 13) ends, for the same app and the same device: together they last 171d, and 90d is the most without 30d between them; what is needed for longer is a change of policy",
			"line 15, column 5: C2 goes on where C1 (line 14) ends, for the same app and the same device: together they last 252d, and 90d is the most without 30d between them; what is needed for longer is a change of policy",
		}},
		{"in another order, in another case, with days between", []written{
			{"C1", "whatsapp", "ward: ward 7", "2027-02-20", "2027-04-20"}, {"C0", "whatsapp", "ward: Ward 7", "2026-11-01", "2027-01-29"},
		}, []string{"line 13, column 5: C1 goes on where C0 (line 14) ends, for the same app and the same ward: together they last 150d, and 90d is the most without 30d between them; what is needed for longer is a change of policy"}},
		{"over one another", []written{
			{"C0", "whatsapp", "owner: Jo@example.org", "2026-11-01", "2027-01-29"}, {"C1", "whatsapp", "owner: jo@example.org", "2026-12-01", "2027-02-27"},
		}, []string{"line 14, column 5: C1 goes on where C0 (line 13) ends, for the same app and the same owner: together they last 119d, and 90d is the most without 30d between them; what is needed for longer is a change of policy"}},
		{"short ones within the most", []written{
			{"C0", "whatsapp", "site: N", "2026-11-01", "2026-11-30"}, {"C1", "whatsapp", "site: N", "2026-12-05", "2027-01-02"}, {"C2", "whatsapp", "site: N", "2026-12-06", "2026-12-20"},
		}, nil},
		{"a pause of 30 days", []written{
			{"C0", "whatsapp", "site: N", "2026-11-01", "2027-01-29"}, {"C1", "whatsapp", "site: N", "2027-03-01", "2027-05-20"},
		}, nil},
		{"a pause of 29 days", []written{
			{"C0", "whatsapp", "group: A", "2026-11-01", "2027-01-29"}, {"C1", "whatsapp", "group: A", "2027-02-28", "2027-05-20"},
		}, []string{"line 14, column 5: C1 goes on where C0 (line 13) ends, for the same app and the same group: together they last 172d, and 90d is the most without 30d between them; what is needed for longer is a change of policy"}},
		{"another app, another scope", []written{
			{"C0", "whatsapp", "site: N", "2026-11-01", "2027-01-29"},
			{"C1", "telegram", "site: N", "2027-01-30", "2027-04-20"},
			{"C2", "whatsapp", "site: S", "2027-01-30", "2027-04-20"},
			{"C3", "whatsapp", "ward: N", "2027-01-30", "2027-04-20"},
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			text := withExceptions(tt.all...)
			if tt.want == nil {
				parse(t, text)
				return
			}
			if diff := cmp.Diff(tt.want, details(t, text, nil)); diff != "" {
				t.Errorf("Details mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

// A text that people read could hold a one-time challenge, which was filled in for any
// device that fetched it.
func TestTextsHoldNoVariables(t *testing.T) {
	t.Parallel()
	const challenge = "'x {{ network.challenge }}'"
	for field, text := range map[string]string{
		"label":           "web_clips: [{label: " + challenge + ", url: 'https://x.example.org'}]",
		"notice":          "notice: " + challenge,
		"notice.cy":       "notice: {en: n, cy: " + challenge + "}",
		"note":            "note: " + challenge,
		"name":            "networks: {relays: [{name: " + challenge + ", url: 'https://r.example.org'}]}",
		"ssid":            "networks: {wifi: [{ssid: " + challenge + ", server_names: [r.example.org], trusted_roots: root.pem}]}",
		"remote_id":       "networks: {vpn: [{name: V, server: v.example.org, remote_id: " + challenge + ", trusted_roots: root.pem}]}",
		"message":         "lost: {message: " + challenge + "}",
		"a key of config": "    config: {" + challenge + ": 1}",
	} {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			got := strings.Join(details(t, record+text, map[string][]byte{"root.pem": root(t)}), "\n")
			if want := ": " + field + " may hold no variable, nor {{ or }}"; !strings.Contains(got, want) {
				t.Errorf("mistakes are\n%s\nwant among them %q", got, want)
			}
		})
	}
	for _, half := range []string{"'{{network.challenge'", "'network.challenge}}'"} { // two texts may come to stand beside one another
		if got := details(t, record+"notice: "+half, nil); !strings.Contains(got[0], "notice may hold no variable") {
			t.Errorf("notice %s: mistakes are %q", half, got)
		}
	}
	if got := details(t, record+"    config: {a: '{{network.challenge}}'}", nil); !strings.Contains(got[0], "config.a has the unknown variable {{network.challenge}}") {
		t.Errorf("mistakes are %q", got)
	}
}

// The name of a device, and an e-mail address, went into links as they were.
func TestAddressesHoldOnlyWhatIsFitForThem(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://x.example.org/?d={{device.id}}&s={{ server.url }}": "",
		"{{server.url}}/staff/{{device.id}}":                        "",
		"https://x.example.org/?d={{device.name}}":                  "may not hold {{device.name}}, whose value can change where an address leads: use {{device.id}}",
		"{{server.url}}/?u={{user.email}}":                          "may not hold {{user.email}}, whose value can change where an address leads",
		"https://x.example.org/{{cert.alias}}":                      "may not hold {{cert.alias}}: an address is seen by others",
		"https://x.example.org/{{enrolment_token}}":                 "may not hold {{enrolment_token}}: an address is seen by others",
		"https://x.example.org/{{network.challenge}}":               "has the unknown variable {{network.challenge}}",
		"https://{{device.id}}.example.org/":                        "may hold variables after its host only",
		"https://x.example.org/{{device.id":                         "has a {{ or }} without its counterpart",
		"https://x.example.org/a b":                                 "may hold no space",
	} {
		for field, text := range map[string]string{"url": "web_clips: [{label: A, url: '" + address + "'}]", "staff_page": "staff_page: '" + address + "'"} {
			_, err := source.Parse([]byte(record+text), source.Inputs{})
			if want == "" {
				if err != nil {
					t.Errorf("%s %s: %v", field, address, err)
				}
				continue
			}
			if got := details(t, record+text, nil); len(got) != 1 || !strings.Contains(got[0], ": "+field+" "+want) {
				t.Errorf("%s %s: mistakes are %q, want %q", field, address, got, want)
			}
		}
	}
}
